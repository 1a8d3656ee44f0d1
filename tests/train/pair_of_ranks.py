"""Two processes of `python -m MODULE FOLDER RANK` that speak over gloo."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]


def ran(module: str, folder: Path, *, timeout: float) -> list[dict[str, np.ndarray]]:
    """Run both to their end; what each left in rankN.npz."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    words = [sys.executable, "-m", module, str(folder)]
    children = [
        subprocess.Popen([*words, str(rank)], cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True) for rank in (0, 1)
    ]
    try:
        for child in children:
            _, said = child.communicate(timeout=timeout)
            assert child.returncode == 0, said
    finally:
        for child in children:
            child.kill()
            child.wait()
    found = []
    for rank in (0, 1):
        with np.load(folder / f"rank{rank}.npz") as file:
            found.append({name: file[name] for name in file.files})
    return found

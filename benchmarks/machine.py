"""Which machine it was, and how fast it can multiply."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import vultus
from benchmarks.schema import SCHEMA
from vultus.evaluate.provenance import commit, libraries

__all__ = ["cpus", "environment", "gemm_gflops", "head", "root"]

_GEMM = """
import time, numpy as np
n = {n}
a = np.random.default_rng(0).normal(size=(n, n)).astype(np.float32)
b, out = a.T.copy(), np.empty((n, n), np.float32)
best = 1e9
for _ in range(8):
    t = time.perf_counter(); np.matmul(a, b, out=out); best = min(best, time.perf_counter() - t)
print(2 * n**3 / best / 1e9)
"""


def root() -> Path:
    """The checkout."""
    return Path(__file__).resolve().parents[1]


def head(suite: str, settings: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Everything of a record but its results; `names` are the distributions whose versions matter."""
    return {
        "suite": suite,
        "schema": SCHEMA,
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "version": vultus.__version__,
        "commit": commit(),
        "machine": _machine(),
        "libraries": libraries(names),
        "settings": settings,
        "results": [],
        "checks": [],
        "notes": [],
    }


def cpus(count: int) -> list[int]:
    """The first `count` processors this process may use."""
    usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    if count > len(usable):
        raise ValueError(f"threads: expected at most {len(usable)}, the cores of this machine, got {count}")
    return usable[:count]


def environment(threads: int) -> dict[str, str]:
    """Environment of a measured process: every library is told the number of threads."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VULTUS_THREADS")
    return {**os.environ, **dict.fromkeys(names, str(threads)), "PYTHONPATH": str(root()), "PYTHONWARNINGS": "ignore"}


def gemm_gflops(threads: int, n: int = 2048) -> float:
    """Best rate of a float32 matrix product of side n, in 10^9 floating-point operations per second."""
    pinned = cpus(threads)
    code = f"import os\nif hasattr(os, 'sched_setaffinity'): os.sched_setaffinity(0, {pinned})\n" + _GEMM.format(n=n)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(threads), capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def _machine() -> dict[str, Any]:
    name = platform.processor() or "unknown"
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text().splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
    return {
        "cpu": name,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "memory_mb": pages >> 20,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
    }

"""The guide to provenance: its lines run, and its table is the measured one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from vultus.ops import mark
from vultus.types import Basis, Provenance

ROOT = Path(__file__).parents[2]


def test_the_lines_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VULTUS_PROTECTED", raising=False)
    flat = np.full((1, 96, 96, 3), 120, np.uint8)
    made = mark.generated(flat, Provenance("sim.faces", seed=1), basis=Basis.synthetic(), scope="generate")
    given: dict[str, object] = {"made": made}
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "docs/guides/provenance.md").read_text("utf-8"), re.S):
        exec(block, given)
    assert given["found"].agree


def test_the_table_is_the_measured_one():
    done = subprocess.run([sys.executable, ROOT / "tools/mark_figures.py", "check"], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr

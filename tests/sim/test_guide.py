"""No figure of the guide to simulated faces is typed by hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_guide_prints_what_was_measured() -> None:
    done = subprocess.run(
        [sys.executable, "tools/sim_figures.py", "check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

"""The guide to losses: its tables are those of the results, and what it names is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from vultus import catalogue

ROOT = Path(__file__).parents[2]


def test_the_tables_are_those_of_the_results():
    done = subprocess.run([sys.executable, ROOT / "tools/loss_figures.py", "check"], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_rows_of_the_first_table_exist():
    text = (ROOT / "docs/guides/losses.md").read_text("utf-8").split("```")[0]
    named = [name for line in text.splitlines() if line.startswith("|") for name in re.findall(r"`([a-z_0-9.]+)`", line)]
    known = set(catalogue.rows())
    assert {name for name in named if name not in ("persons", "pictures")} <= known
    assert len(set(named)) >= 8

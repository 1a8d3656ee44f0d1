"""The guide to losses: its tables are those of the results, and what it names is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from vultus import catalogue
from vultus.train.data import Pictures

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/guides/losses.md"


def test_the_lines_run():
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    images = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3)).astype(np.uint8)
    given: dict[str, object] = {"pictures": Pictures(images, np.arange(16) % 4, tuple("abcd"))}
    exec(block.replace('scale="paper"', 'scale="tiny", set={"schedule.steps": "2"}'), given)
    assert given["recipe"].method == "sphereface2"


def test_the_tables_are_those_of_the_results():
    done = subprocess.run([sys.executable, ROOT / "tools/loss_figures.py", "check"], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_rows_of_the_first_table_exist():
    text = PAGE.read_text("utf-8").split("```")[0]
    named = [
        name for line in text.splitlines() if line.startswith("|") for name in re.findall(r"`([a-z_0-9.]+)`", line)
    ]
    known = set(catalogue.rows())
    assert {name for name in named if name not in ("persons", "pictures")} <= known
    assert len(set(named)) >= 8

"""The guide to degradations: its lines run, it names everything, and its table is the measured one."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from vultus.ops import degrade
from vultus.sim.presentations import SPECIES

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/guides/degradation.md").read_text("utf-8")


def test_the_lines_run():
    given: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", GUIDE, re.S):
        exec(block, given)
    assert given["again"] == given["params"]
    assert (given["still"][0] == given["worse"]).all()
    assert given["off"].shape == given["image"].shape
    assert given["shot"].is_attack


def test_everything_is_named():
    assert [name for name in (*degrade.OPS, *degrade.PRESETS, *SPECIES) if f"`{name}`" not in GUIDE] == []


def test_the_table_is_the_measured_one():
    kept = json.loads((ROOT / "docs/figures/presentations.json").read_text("utf-8"))
    assert 0.6 < kept["all devices"]["auc"] < 0.995
    done = subprocess.run([sys.executable, ROOT / "tools/degradation.py", "check"], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr

"""The clustering guide: its lines run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.gallery.cluster.people import people
from vultus.gallery import calibrate

ROOT = Path(__file__).parents[2]


def test_the_lines_run():
    vectors, who = people(0, 900, 180, spread=0.8)  # enough non-mated pairs for the 1e-4 of the page
    origin = calibrate.Origin("toy@000000000000", "none", "people", "sim")
    made = calibrate.fit_all_pairs(vectors, who, origin, rng=np.random.default_rng(0), n_boot=10)
    given = {"vectors": vectors[:850], "new_vectors": vectors[850:], "calibration": made}
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/guides/clustering.md").read_text("utf-8"), re.S)
    for block in blocks:
        exec(block, given)
    assert given["made"].labels.shape == (900,)


def test_the_figures_are_those_that_were_measured():
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools/clustering.py"), "check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

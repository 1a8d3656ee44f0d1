"""The code of the guide to training sets runs as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.io.datasets.crowd import crowd

ROOT = Path(__file__).parents[3]


def test_the_code_of_the_guide_runs(tmp_path):
    for k, (label, picture) in enumerate(crowd()):
        folder = tmp_path / "people" / f"p{label}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{k}.jpg").write_bytes(picture if k != 4 else b"no picture")
    (code,) = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "docs/guides/training-sets.md").read_text("utf-8"), re.M | re.S
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "6 pictures of 3 people, 0 faults"
    assert len(lines) == 7
    assert [line for line in lines if line.startswith("left out")] == [lines[5]]
    assert "train.rec#5: picture: expected" in lines[5]
    assert lines[6].endswith("train.rec#6 2 (112, 112, 3)")

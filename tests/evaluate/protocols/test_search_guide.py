"""The guide to templates and galleries: its code runs, its options exist."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

from PIL import Image

from vultus.cli import _searches

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs/guides/templates-and-galleries.md").read_text("utf-8")


def test_the_code_of_the_guide_runs(tmp_path):
    for person in range(12):
        for k in range(3):
            (tmp_path / "people" / f"p{person}").mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 4)).save(tmp_path / "people" / f"p{person}" / f"{k}.jpg")
    (code,) = re.findall(r"^```python\n(.*?)^```", GUIDE, re.M | re.S)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "people: 6 people enrolled, 12 mated and 15 non-mated probes\n1.0\n"


def test_its_options_exist():
    parser = argparse.ArgumentParser()
    verbs = _searches.add(parser.add_subparsers())
    declared = {option for verb in verbs for action in verb._actions for option in action.option_strings}
    assert set(re.findall(r"--(?:alike|images|faces|enrolled|albums|trained-on)\b", GUIDE)) <= declared
    assert {"--alike", "--faces", "--albums", "--trained-on"} <= declared

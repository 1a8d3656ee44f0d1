"""The guide to templates and galleries: its code runs, its options exist."""

from __future__ import annotations

import argparse
import re

from PIL import Image

from tests.guide_code import guide, printed
from vultus.cli import _searches

GUIDE = guide("templates-and-galleries.md")


def test_the_code_of_the_guide_runs(tmp_path):
    for person in range(12):
        for k in range(3):
            (tmp_path / "people" / f"p{person}").mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 4)).save(tmp_path / "people" / f"p{person}" / f"{k}.jpg")
    assert printed(GUIDE, tmp_path) == "people: 6 people enrolled, 12 mated and 15 non-mated probes\n1.0\n"


def test_its_options_exist():
    parser = argparse.ArgumentParser()
    verbs = _searches.add(parser.add_subparsers())
    declared = {option for verb in verbs for action in verb._actions for option in action.option_strings}
    assert set(re.findall(r"--(?:alike|images|faces|enrolled|albums|trained-on)\b", GUIDE)) <= declared
    assert {"--alike", "--faces", "--albums", "--trained-on"} <= declared

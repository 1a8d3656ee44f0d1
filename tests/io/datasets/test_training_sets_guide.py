"""The code of the guide to training sets runs as it stands, and its figures of formats are those of the code."""

from __future__ import annotations

import re

from tests.guide_code import guide, printed
from tests.io.datasets.crowd import crowd

GUIDE = guide("training-sets.md")


def test_the_code_of_the_guide_runs(tmp_path):
    for k, (label, picture) in enumerate(crowd()):
        folder = tmp_path / "people" / f"p{label}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{k}.jpg").write_bytes(picture if k != 4 else b"no picture")
    lines = printed(GUIDE, tmp_path).splitlines()
    assert lines[0] == "6 pictures packed, byte for byte the same"
    assert [line.split(" [")[0] for line in lines[1:4]] == [f"{k} (4, 3, 112, 112)" for k in range(3)]
    assert re.fullmatch(r"\[(\d), \1, (?!\1)(\d), \2\]", lines[4])
    assert lines[5] == "Stored(packed: 6 of 3 people, 112 x 112, 1 faults)"
    assert len(lines) == 7
    assert re.match(r"left out: .*train\.rec#5: picture: expected", lines[6])


def test_the_layouts_of_the_guide_are_those_that_are_opened():
    from typing import get_args

    from vultus.train.stored import Layout

    table = re.findall(r"^\| (\w+) \| .* \| `vultus", GUIDE, re.M)
    assert set(table) == {*get_args(Layout), "benchmarks"}

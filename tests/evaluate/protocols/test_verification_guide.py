"""The guide to verification sets: its code runs, its sets are those of the family, its options exist."""

from __future__ import annotations

import re

from PIL import Image

from tests.guide_code import guide, printed
from vultus.cli._pair_sets import LEARNERS
from vultus.io.datasets.lfw_family import FAMILY, read_set

GUIDE = guide("verification-sets.md")


def test_the_code_of_the_guide_runs(tmp_path):
    rows, people = ["path,age"], ["person,sex"]
    for k in range(50):
        name = f"P{k:02d}"
        people.append(f"{name},{('f', 'm')[k % 2]}")
        for n in (1, 2):
            (tmp_path / "album" / name).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 4)).save(tmp_path / "album" / name / f"{name}_{n:04d}.jpg")
            rows.append(f"{name}/{name}_{n:04d}.jpg,{20 + k * n}")
    (tmp_path / "ages.csv").write_text("\n".join(rows))
    (tmp_path / "people.csv").write_text("\n".join(people[:-2]))
    assert printed(GUIDE, tmp_path) == "40 pairs, {'f': 10, 'm': 10}, 2 people left out\n"
    lines = (tmp_path / "pairs_CALFW.txt").read_text().splitlines()
    assert len(lines) == 80
    assert lines[0].startswith("P")
    (per_fold,) = re.findall(r"--set calfw --list pairs_CALFW.txt --per-fold (\d+)", GUIDE)
    read = read_set("calfw", tmp_path / "album", listing=tmp_path / "pairs_CALFW.txt", per_fold=int(per_fold))
    written = [int(line.split()[1]) - 1 for line in lines[:40:2]]  # of the mated pairs, which come first
    assert read.folds[read.same].tolist() == written == sorted([*range(5)] * 4)


def test_every_set_has_its_line_and_every_list_its_name():
    table = GUIDE.split("## What each must look like")[1].split("## How to read")[0]
    for name, member in FAMILY.items():
        assert f"`{name}`" in table
        assert not member.lists or any(f"`{file}`" in table for file in member.lists)
    leaks = re.search(r"\*\*People in two folds\.\*\*(.*?)\n\n", GUIDE, re.S)
    assert leaks
    unknown = [member.title for member in FAMILY.values() if member.disjoint is None]
    assert [title for title in unknown if title in leaks[1].split("For ")[1]] == unknown


def test_the_rows_that_learn_are_those_of_the_command():
    table = GUIDE.split("## Comparing by what is learned")[1].split("In Python")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", table, re.M)) == ("kissme", "sild", "lda", "joint_bayes") == LEARNERS

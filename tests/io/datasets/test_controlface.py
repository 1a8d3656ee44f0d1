"""Write it, read it back; other layouts by another pattern; what does not fit is named."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vultus.errors import InputError
from vultus.io import images
from vultus.io.datasets import folder
from vultus.io.datasets.controlface import controlface, file_name, with_groups

ROWS = [
    ("00000", "A", "female", "young", "frontal"),
    ("00000", "A", "female", "young", "left"),
    ("00001", "B", "male", "old", "frontal"),
    ("00001", "B", "male", "old", "left"),
]


def write(folder, names, about=None):
    (folder / "images").mkdir(parents=True)
    for k, name in enumerate(names):
        images.write(folder / "images" / name, np.full((16, 16, 3), 10 * k, np.uint8))
    if about is not None:
        (folder / "about.json").write_text(json.dumps(about))


def test_what_is_written_is_read(tmp_path):
    write(tmp_path, [file_name(*row) for row in ROWS], {"name": "a set", "tier": "sim", "license": "ours", "seed": 3})
    found = controlface(tmp_path)
    assert (found.dataset.name, found.dataset.tier, found.dataset.license) == ("a set", "sim", "ours")
    assert found.dataset.names == ("00000", "00001")
    assert len(found) == 4
    assert found.values == {
        "race": ("A", "B"),
        "gender": ("female", "male"),
        "age": ("old", "young"),
        "pose": ("frontal", "left"),
    }
    assert found.of_people("age") == ["young", "old"]
    place = [p.name for p in found.dataset.paths].index(file_name(*ROWS[3]))
    assert found.dataset.read(place).pixels[0, 0].tolist() == [30, 30, 30]
    assert found.values["pose"][found.of["pose"][place]] == "left"
    with pytest.raises(InputError, match="belongs to pictures"):
        found.of_people("pose")
    with pytest.raises(InputError, match="expected one of race"):
        found.of_people("height")


def test_another_layout_by_another_pattern(tmp_path):
    write(tmp_path, ["B12-left.png", "B12-right.png", "C7-left.png"])
    found = controlface(tmp_path, pattern=r"(?P<id>(?P<race>\w)\d+)-(?P<pose>\w+)", name="mine", license="CC0")
    assert found.dataset.names == ("B12", "C7")
    assert found.of_people("race") == ["B", "C"]
    assert (found.dataset.tier, found.dataset.license) == ("real", "CC0")


def test_ids_that_begin_anew_in_every_group_are_seen(tmp_path):
    write(tmp_path, ["1_A_male_old_left.png", "1_B_male_old_left.png"])
    with pytest.raises(InputError, match="counted anew in every group"):
        controlface(tmp_path).of_people("race")


def test_names_that_do_not_fit_are_counted_and_named(tmp_path):
    write(tmp_path, ["a_b_c_d_e.png", "holiday.png", "x_y.png"])
    with pytest.raises(InputError, match=r"2 of 3 differ: holiday.png, x_y.png"):
        controlface(tmp_path)
    for pattern, said in (("(", "regular expression"), ("(?P<pose>.*)", "<id>"), ("(?P<id>.*)", "one facet")):
        with pytest.raises(InputError, match=said):
            controlface(tmp_path, pattern=pattern)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="got none"):
        controlface(tmp_path / "empty")
    for text in ("[", "[" * 200_000):
        (tmp_path / "about.json").write_text(text)
        with pytest.raises(InputError, match="expected JSON"):
            controlface(tmp_path, pattern="(?P<id>.)(?P<pose>.*)")


@given(st.lists(st.text("abcXYZ019-", min_size=1, max_size=8), min_size=5, max_size=5))
def test_any_parts_come_back(parts):
    import re

    from vultus.io.datasets.controlface import PATTERN

    match = re.fullmatch(PATTERN, file_name(*parts, suffix=""))
    assert list(match.groupdict().values()) == parts


def test_parts_that_would_be_read_otherwise_are_refused():
    for bad in ("a_b", "", "a/b", "a.b"):
        with pytest.raises(InputError, match="file name"):
            file_name("0", "A", bad, "old", "left")


def test_groups_of_people_come_from_a_table(tmp_path):
    for person in ("Ann", "Bob", "Cid"):
        (tmp_path / "set" / person).mkdir(parents=True)
        for k in range(2):
            images.write(tmp_path / "set" / person / f"{k}.png", np.zeros((16, 16, 3), np.uint8))
    table = tmp_path / "groups.csv"
    table.write_text("person,age,region\nAnn,young,north\nBob,,south\nZoe,old,north\n")
    found = with_groups(folder(tmp_path / "set"), table)
    assert found.of_people("age") == ["young", "", ""]
    assert found.of_people("region") == ["north", "south", ""]
    for text, said in (
        ("name,age\nAnn,1\n", "columns person"),
        ("person,age\nAnn,1\nAnn,2\n", "every person once"),
        ("person,age\nZoe,1\n", "such as Ann"),
        ("name,age\nAnn,1,2\n", "got the columns name, age and 1 lines"),
        ("age,person\n1\n2\n", "every person once"),
        ("person,age,age\nAnn,1,2\n", "each once"),
        ("person,age\n", "0 lines"),
        ("person,age\nAnn," + "x" * 200_000, "a CSV file"),
        ("", "got an empty file|got nothing"),
    ):
        table.write_text(text)
        with pytest.raises(InputError, match=said):
            with_groups(folder(tmp_path / "set"), table)

"""`vultus sim sheet`: one row per person, the same bytes for the same seed, and refusals in words."""

import json

import numpy as np
import pytest

from vultus.cli.__main__ import EXIT_CODES, main
from vultus.io import images


def sheet(place, *words):
    return main(["sim", "sheet", "--out", str(place), "--people", "2", "--pictures", "3", "--size", "32", *words])


def test_a_sheet_has_a_row_for_each_person(tmp_path, capsys):
    assert sheet(tmp_path / "a.png", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    seeds = [row["seed"] for row in told["pictures"]]
    assert seeds == [seeds[0]] * 3 + [seeds[3]] * 3
    assert seeds[0] != seeds[3]
    pixels = images.read(tmp_path / "a.png").pixels
    assert pixels.shape == (2 * 36 + 4, 3 * 36 + 4, 3)
    assert sheet(tmp_path / "b.png") == 0
    assert "2 people x 3 pictures" in capsys.readouterr().out
    np.testing.assert_array_equal(images.read(tmp_path / "b.png").pixels, pixels)
    assert sheet(tmp_path / "c.png", "--seed", "1") == 0
    assert (images.read(tmp_path / "c.png").pixels != pixels).any()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--people", "0"], "--people"),
        (["--pictures", "25"], "--pictures"),
        (["--size", "8"], "--size"),
        (["--size", "1024", "--people", "9"], "9216"),
        (["--out", "sheet.gif"], ".png"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_drawing(tmp_path, capsys, words, named):
    assert sheet(tmp_path / "a.png", *words) == EXIT_CODES["InputError"]
    assert named in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_is_told(tmp_path, capsys):
    assert sheet(tmp_path / "none" / "a.png", "--people", "1", "--pictures", "1") == EXIT_CODES["StoreError"]
    assert "none" in capsys.readouterr().err

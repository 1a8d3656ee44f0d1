"""`vultus sim controlface`: the set, its words, an interruption and refusals."""

from __future__ import annotations

import json

import pytest

from vultus.cli.__main__ import EXIT_CODES, main
from vultus.io import images

FEW = ("--groups", "A,B", "--genders", "male", "--ages", "young", "--poses", "frontal,left", "--size", "64")


def door(place, *words):
    return main(["sim", "controlface", "--out", str(place), *FEW, *words])


def test_an_interrupted_set_goes_on(tmp_path, capsys, monkeypatch):
    write, calls = images.write, []

    def interrupted(*args, **keywords):
        calls.append(args)
        if len(calls) == 4:
            raise KeyboardInterrupt
        write(*args, **keywords)

    monkeypatch.setattr(images, "write", interrupted)
    assert door(tmp_path, "--people", "4") == 130
    assert "go on" in capsys.readouterr().err
    assert door(tmp_path, "--people", "4", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["people"], told["pictures"], told["chi2"], told["resumed"]) == (4, 8, 0.0, 1)
    assert len(list((tmp_path / "images").iterdir())) == 8
    assert door(tmp_path, "--people", "4") == 0
    assert "4 people x 2 poses, 2 in each of 2 cells" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--people", "3"), "multiple of 2"),
        (("--people", "0"), "from 1 to"),
        (("--people", "2", "--size", "32"), "from 64"),
        (("--people", "2", "--ages", "yong"), "near names: young"),
        (("--people", "2", "--ages", ","), "empty list"),
    ],
)
def test_what_cannot_be_made_is_refused_before_anything_is_written(tmp_path, capsys, words, said):
    assert door(tmp_path / "out", *words) in EXIT_CODES.values()
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()

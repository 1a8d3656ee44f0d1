"""People on the command line: list, put right, take back; unknown faces in groups; another embedder."""

from __future__ import annotations

import json

import numpy as np
import pytest

from vultus.cli.__main__ import main
from vultus.gallery import open_gallery
from vultus.gallery.records import NewFace
from vultus.ops.vectors import unit

SPACE = "toy@000000000000"
DIM = 16


def _like(seed, n):
    rng = np.random.default_rng(seed)
    return unit(unit(rng.standard_normal(DIM)) + 0.3 * unit(rng.standard_normal((n, DIM))))


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "people.db"
    with open_gallery(path) as gallery:
        for seed, name in enumerate(("Ada", "Grace", "Ada L.")):
            gallery.enroll(name, _like(seed % 2, 3), None, [f"{name}-{i}" for i in range(3)], SPACE)
        gallery.add_faces([NewFace(f"street-{i}", row, (0, 0, 9, 9)) for i, row in enumerate(_like(7, 3))], SPACE)
    return path


def _json(capsys, *argv):
    assert main([*map(str, argv), "--json"]) == 0, argv
    return json.loads(capsys.readouterr().out)


def test_people_are_listed_shown_renamed_merged_split_and_all_taken_back(path, capsys):
    at = ("--gallery", path)
    before = _json(capsys, "people", "list", *at)
    assert [p["name"] for p in before["people"]] == ["Ada", "Ada L.", "Grace"]
    assert before["unknown_faces"] == 3
    merged = _json(capsys, "people", "merge", "Ada", "Ada L.", *at)
    shown = _json(capsys, "people", "show", "Ada", *at)
    assert len(shown["faces"]) == 6
    _json(capsys, "people", "split", "Ada", "Countess", shown["faces"][0]["id"], *at)
    _json(capsys, "people", "rename", "Grace", "Hopper", *at)
    assert [p["photos"] for p in _json(capsys, "people", "list", *at)["people"]] == [5, 1, 3]
    assert [e["verb"] for e in _json(capsys, "people", "history", *at)["history"]] == ["rename", "split", "merge"]
    _json(capsys, "people", "undo", *at)
    _json(capsys, "people", "undo", *at)
    assert _json(capsys, "people", "undo", merged["undo"], *at)["undone"]["verb"] == "merge"
    assert _json(capsys, "people", "list", *at) == before
    for verb in ("list", "history"):
        assert main(["people", verb, "--gallery", str(path)]) == 0
        assert "Ada" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["people", "show", "Nobody"], 3),
        (["people", "undo"], 3),
        (["people", "undo", "99"], 3),
        (["people", "undo", "x"], 2),
        (["people", "merge", "Ada", "Ada"], 3),
        (["people", "split", "Ada", "New", "no-such-face"], 3),
        (["people"], 2),
        (["cluster", "--name", "nothing", "Eve"], 3),
    ],
)
def test_what_cannot_be_done_is_said(path, capsys, argv, code):
    before = path.read_bytes()
    assert main([*argv, "--gallery", str(path)]) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert "expected" in said.err or "usage" in said.err.lower()
    assert len(path.read_bytes()) == len(before)


def test_a_gallery_that_is_not_there_is_not_made(tmp_path, capsys):
    for argv in (["people", "list"], ["cluster"], ["migrate"]):
        assert main([*argv, "--gallery", str(tmp_path / "none.db")]) == 3
        assert "vultus enroll" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def photographs(tmp_path):
    from examples.demo import shipped_photographs

    folder = tmp_path / "photographs"
    folder.mkdir()
    shipped_photographs(folder)
    return folder


@pytest.mark.models("default", "accurate")
def test_unknown_faces_become_a_person_and_the_gallery_moves_to_another_model(tmp_path, photographs, capsys):
    path, at = tmp_path / "people.db", ("--gallery", tmp_path / "people.db")
    _json(capsys, "enroll", photographs / "people", *at)
    levels = _json(capsys, "people", "security", *at)["levels"]
    assert levels[0]["fpir"]["value"] == pytest.approx(1 - 0.99**2)
    found = _json(capsys, "identify", photographs / "probes/blue-room.jpg", "--fpir", "0.002", *at)
    assert found["photos"][0]["faces"][0]["decision"]["match"]["name"] == "Barack Obama"
    assert found["fmr"] == pytest.approx(0.001, rel=0.01)
    assert _json(capsys, "cluster", *at) == {"clusters": [], "unknown_faces": 0}
    moved = _json(capsys, "migrate", "--model", "accurate", *at)
    assert moved["faces"] > 0
    assert moved["not_from_photos"] == []
    found = _json(capsys, "identify", photographs / "probes/blue-room.jpg", "--model", "accurate", *at)
    assert found["photos"][0]["faces"][0]["decision"]["match"]["name"] == "Barack Obama"
    assert main(["identify", str(photographs / "probes/blue-room.jpg"), "--gallery", str(path)]) == 5

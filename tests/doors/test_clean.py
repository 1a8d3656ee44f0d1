"""`vultus clean`: tables of what becomes of pictures, readable as a set; nothing is touched and nothing overwritten."""

import csv

import pytest

from tests.train.clean.crowd import Reddest, people
from vultus.cli import _options
from vultus.io.datasets import csv_table


@pytest.fixture
def folders(tmp_path, monkeypatch):
    people(tmp_path / "people")
    monkeypatch.setattr(_options, "pipeline", lambda args: Reddest())
    return tmp_path


def test_a_folder_per_person_becomes_a_set(vultus, folders):
    before = {path: path.read_bytes() for path in sorted(folders.rglob("*.png"))}
    said = vultus("clean", folders / "people", "--out", folders / "made" / "cleaned")
    assert said.code == 0
    assert said.out.splitlines()[-1].startswith("kept: 7 of 10 pictures, 2 of 3 people; see ")
    assert {path: path.read_bytes() for path in sorted(folders.rglob("*.png"))} == before
    kept = csv_table(folders / "made" / "cleaned" / "kept.csv")  # where it lies
    assert (len(kept), kept.names) == (7, ("Ann", "Bo"))
    lines = (folders / "made" / "cleaned" / "actions.csv").read_text("utf-8").splitlines()
    rows = list(csv.DictReader(lines))
    assert len(rows) == 10
    assert [row["path"] for row in rows if row["why"] == "no face is like the person"] == ["../../people/Ann/4.png"]


def test_the_document_says_the_same_and_a_test_set_is_kept_out(vultus, folders):
    (folders / "names.txt").write_text("\ufeffANN\n\n", encoding="utf-8")
    words = ("clean", folders / "people", "--out", folders / "out", "--json")
    document = vultus(*words, "--without", folders / "names.txt").document
    assert document["pictures"] == 10
    assert document["kept"] == {"pictures": 3, "people": 1}
    assert document["counts"]["drop: 0 edits from 'ANN' of the test set"] == 4
    assert sum(document["counts"].values()) == 10


def test_fewer_pictures_than_wanted(vultus, folders):
    document = vultus("clean", folders / "people", "--out", folders / "out", "--min-pictures", "4", "--json").document
    assert document["kept"] == {"pictures": 4, "people": 1}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("people", "--out", "there"), "actions.csv is there already"),
        (("nothing", "--out", "out"), "nothing"),
        (("people", "--out", "out", "--without", "none.txt"), "a name in each line"),
        (("people", "--out", "out", "--without", "empty.txt"), "got no line"),
        (("people", "--out", "out", "--min-pictures", "0"), "whole number from 1"),
        (("people", "--out", "out", "--near-bits", "99"), "0 to 31 bits"),
        (("people",), "--out"),
        (("people", "--out", "empty.txt/out"), "empty.txt is a file: choose another name"),  # before the work
    ],
)
def test_what_does_not_fit_is_said(vultus, folders, monkeypatch, words, said):
    monkeypatch.chdir(folders)
    (folders / "there").mkdir()
    (folders / "there" / "actions.csv").write_text("mine")
    (folders / "empty.txt").write_text("\n")
    found = vultus("clean", *words)
    assert found.code != 0
    assert said in found.err
    assert (folders / "there" / "actions.csv").read_text() == "mine"
    assert not (folders / "out").exists()

"""Loaders: written in the published layout, read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.io.corpus import gradient
from vultus.errors import InputError
from vultus.io import images
from vultus.io.datasets import Dataset, cross_lfw_pairs, csv_table, folder, lfw_pairs

PEOPLE = {"Ann_Lee": 4, "Bo": 4, "Cy_de_la_Cruz-Ng": 4}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three people with four pictures each, laid out like LFW."""
    for person, count in PEOPLE.items():
        for n in range(1, count + 1):
            put(tmp_path / "lfw" / person / f"{person}_{n:04d}.jpg")
    return tmp_path / "lfw"


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write(path, gradient(8, 8))
    return path


def text(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


# Two folds of two mated and two non-mated pairs.
PAIRS = (
    "2\t2",
    "Ann_Lee\t1\t2",
    "Bo\t1\t4",
    "Ann_Lee\t1\tBo\t2",
    "Bo\t3\tCy_de_la_Cruz-Ng\t1",
    "Cy_de_la_Cruz-Ng\t2\t3",
    "Ann_Lee\t3\t4",
    "Ann_Lee\t2\tCy_de_la_Cruz-Ng\t4",
    "Bo\t1\tAnn_Lee\t4",
)


# -- pairs.txt ------------------------------------------------------------------------------------------------------


def test_view_2(root: Path, tmp_path: Path) -> None:
    pairs = lfw_pairs(text(tmp_path / "pairs.txt", *PAIRS), root)
    assert len(pairs) == 8
    assert pairs.folds.tolist() == [0] * 4 + [1] * 4
    assert pairs.same.tolist() == [True, True, False, False] * 2
    names = [(pairs.paths[a].stem, pairs.paths[b].stem) for a, b in zip(pairs.left, pairs.right, strict=True)]
    assert names[0] == ("Ann_Lee_0001", "Ann_Lee_0002")
    assert names[3] == ("Bo_0003", "Cy_de_la_Cruz-Ng_0001")
    assert names[7] == ("Bo_0001", "Ann_Lee_0004")
    assert (pairs.name, pairs.tier) == ("lfw", "real")
    assert pairs.dataset.names == tuple(PEOPLE)
    assert pairs.dataset.read(0).pixels.shape == (8, 8, 3)
    assert len(pairs.paths) == len(set(pairs.paths)) == len(pairs.subjects)


def test_view_1_and_spaces_instead_of_tabs(root: Path, tmp_path: Path) -> None:
    lines = [line.replace("\t", " ") for line in ("2", *PAIRS[1:5])]
    pairs = lfw_pairs(text(tmp_path / "pairsDevTest.txt", *lines, ""), root)
    assert pairs.folds.tolist() == [0] * 4


def test_names_with_spaces_where_tabs_divide(tmp_path: Path) -> None:
    for name in ("Ann Lee", "Bo"):
        for n in (1, 2):
            put(tmp_path / "p" / name / f"{name}_{n:04d}.png")
    pairs = lfw_pairs(text(tmp_path / "pairs.txt", "1", "Ann Lee\t1\t2", "Ann Lee\t1\tBo\t2"), tmp_path / "p")
    assert pairs.dataset.names == ("Ann Lee", "Bo")


@pytest.mark.parametrize("form", ["{0}/{0}_{1:04d}.png", "{0}_{1:03d}.webp", "aligned/112/{0}/{0}_{1}.jpg"])
def test_other_suffixes_digits_and_depths(tmp_path: Path, form: str) -> None:
    for person in PEOPLE:
        for n in range(1, 5):
            put(tmp_path / "set" / form.format(person, n))
    pairs = lfw_pairs(text(tmp_path / "pairs.txt", *PAIRS), tmp_path / "set", name="lfw-112")
    assert len(pairs) == 8
    assert pairs.name == "lfw-112"


def test_missing_pictures_are_named_at_once(root: Path, tmp_path: Path) -> None:
    for n in (1, 2):
        (root / "Bo" / f"Bo_{n:04d}.jpg").unlink()
    with pytest.raises(InputError, match=r"2 of the 12 pictures of pairs\.txt are missing: Bo_0001, Bo_0002$"):
        lfw_pairs(text(tmp_path / "pairs.txt", *PAIRS), root)
    with pytest.raises(InputError, match="expected a folder"):
        lfw_pairs(tmp_path / "pairs.txt", tmp_path / "gone")


def test_two_releases_side_by_side_are_refused(root: Path, tmp_path: Path) -> None:
    put(root / "copy" / "Bo" / "Bo_0001.png")
    with pytest.raises(InputError, match="each picture once"):
        lfw_pairs(text(tmp_path / "pairs.txt", *PAIRS), root)


@pytest.mark.parametrize(
    ("line", "new", "words"),
    [
        (0, "two folds", "line 1"),
        (0, "0 0", "line 1"),
        (0, "10 300", "expected 6000 pairs"),
        (1, "Ann_Lee\t1", "line 2"),
        (1, "Ann_Lee\tone\t2", "line 2"),
        (1, "Ann_Lee\t1\t1", "one against itself"),
        (3, "Ann_Lee\t1\tAnn_Lee\t2", "line 4"),
        (3, "Ann_Lee\t1\t2", "fold 1: expected 2 mated pairs, got 3"),
        (2, "", "expected 8 pairs"),
    ],
)
def test_lists_of_another_form_name_their_line(root: Path, tmp_path: Path, line: int, new: str, words: str) -> None:
    lines = list(PAIRS)
    lines[line] = new
    with pytest.raises(InputError, match=words):
        lfw_pairs(text(tmp_path / "pairs.txt", *lines), root)


def test_lists_that_are_no_text(root: Path, tmp_path: Path) -> None:
    (tmp_path / "pairs.txt").write_bytes(b"\xff\xfe1\x00")
    with pytest.raises(InputError, match="UTF-8"):
        lfw_pairs(tmp_path / "pairs.txt", root)
    with pytest.raises(InputError, match="nothing at this path"):
        lfw_pairs(tmp_path / "none.txt", root)


@pytest.mark.data
def test_lfw_as_published(data_dir: Path) -> None:
    """TR 07-49: ten folds of 300 + 300; View 2 uses 7,701 pictures of 4,281 people."""
    pairs = lfw_pairs(data_dir / "lfw_meta" / "pairs.txt", data_dir / "lfw_deepfunneled")
    assert len(pairs) == 6000
    assert np.bincount(pairs.folds).tolist() == [600] * 10
    assert np.bincount(pairs.folds, weights=pairs.same).tolist() == [300] * 10
    assert len(pairs.paths) == 7701
    assert len(pairs.dataset.names) == 4281
    first, second = pairs.paths[pairs.left[0]], pairs.paths[pairs.right[0]]
    assert (first.name, second.name) == ("Abel_Pacheco_0001.jpg", "Abel_Pacheco_0004.jpg")


# -- CALFW, CPLFW ---------------------------------------------------------------------------------------------------

CROSS = (
    "Ann_Lee_0001.jpg 1",
    "Ann_Lee_0002.jpg 1",
    "Ann_Lee_0001.jpg 0",
    "Bo_0001.jpg 0",
    "Bo_0003.jpg 10",
    "Bo_0004.jpg 10",
)


def test_two_lines_per_pair(root: Path, tmp_path: Path) -> None:
    pairs = cross_lfw_pairs(text(tmp_path / "pairs_CALFW.txt", *CROSS), root, name="calfw")
    assert pairs.same.tolist() == [True, False, True]
    assert pairs.folds.tolist() == [0, 0, 0]
    assert pairs.name == "calfw"


def test_folds_count_each_kind_apart(tmp_path: Path) -> None:
    for name in ("A_0001", "A_0002", "B_0001"):
        put(tmp_path / "p" / f"{name}.jpg")
    mated, other = ("A_0001.jpg 1", "A_0002.jpg 1"), ("A_0001.jpg 0", "B_0001.jpg 0")
    apart = cross_lfw_pairs(text(tmp_path / "a.txt", *mated * 600, *other * 600), tmp_path / "p", name="x")
    mixed = cross_lfw_pairs(text(tmp_path / "b.txt", *(mated + other) * 600), tmp_path / "p", name="x")
    for pairs in (apart, mixed):
        for kind in (True, False):
            assert np.bincount(pairs.folds[pairs.same == kind]).tolist() == [300, 300]


@pytest.mark.parametrize(
    ("line", "new", "words"),
    [
        (0, "Ann_Lee_0001.jpg 0", "equal flags"),
        (3, "Ann_Lee_0002.jpg 0", "equal flags"),
        (1, "Ann_Lee_0002.jpg", "line 2"),
        (1, "Ann 1", "line 2"),
        (1, "Ann_Lee_0002.jpg --1", "line 2"),
        (5, "", "two lines per pair, got 5"),
    ],
)
def test_cross_lists_of_another_form(root: Path, tmp_path: Path, line: int, new: str, words: str) -> None:
    lines = list(CROSS)
    lines[line] = new
    with pytest.raises(InputError, match=words):
        cross_lfw_pairs(text(tmp_path / "pairs.txt", *lines), root, name="x")


# -- folders --------------------------------------------------------------------------------------------------------


def test_a_folder_per_person(root: Path) -> None:
    put(root / "Bo" / "holidays" / "beach.png")
    (root / "Bo" / "notes.txt").write_text("x")
    (root / "Empty").mkdir()
    put(root / ".thumbnails" / "x.png")
    found = folder(root)
    assert found.names == tuple(PEOPLE)
    assert len(found) == 13
    people = dict(found.people())
    assert [p.name for p in people["Bo"]] == [*(f"Bo_000{n}.jpg" for n in range(1, 5)), "beach.png"]
    assert (found.name, found.tier, found.license) == ("lfw", "real", "unstated")


def test_loose_pictures(root: Path) -> None:
    for name in ("Zed.jpg", "Zed_2.jpg", "Zed (3).png", "Ann_Lee 9.png", "2024.jpg"):
        put(root / name)
    with pytest.raises(InputError, match="5 pictures that lie in no such folder"):
        folder(root)
    people = {name: len(paths) for name, paths in folder(root, loose="by_name").people()}
    assert people == {"2024": 1, "Ann_Lee": 5, "Bo": 4, "Cy_de_la_Cruz-Ng": 4, "Zed": 3}
    with pytest.raises(InputError, match="loose"):
        folder(root, loose="maybe")  # type: ignore[arg-type]


def test_one_name_is_one_person_in_every_unicode_form(tmp_path: Path) -> None:
    put(tmp_path / "Zoe\u0308" / "1.jpg")
    put(tmp_path / "Zo\u00eb" / "2.jpg")
    assert folder(tmp_path).names == ("Zo\u00eb",)


def test_folders_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no pictures at all"):
        folder(tmp_path)
    with pytest.raises(InputError, match="expected a folder"):
        folder(tmp_path / "gone")


# -- tables ---------------------------------------------------------------------------------------------------------


def test_a_table(root: Path) -> None:
    lines = ["path,subject,age", "Bo/Bo_0001.jpg,Bo,31", '"Ann_Lee/Ann_Lee_0001.jpg","Lee, Ann",28']
    found = csv_table(text(root / "faces.csv", *lines))
    assert found.names == ("Bo", "Lee, Ann")
    assert found.subjects.tolist() == [0, 1]
    assert found.read(1).pixels.shape == (8, 8, 3)
    assert found.name == "faces"


def test_tabs_byte_order_mark_and_other_columns(root: Path, tmp_path: Path) -> None:
    table = tmp_path / "t.tsv"
    table.write_bytes("\ufeffimage\tid\r\nBo/Bo_0001.jpg\t7\r\nBo/Bo_0002.jpg\t7\r\n".encode())
    found = csv_table(table, root=root, picture="image", person="id")
    assert found.names == ("7",)
    assert len(found) == 2


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["file,subject", "a,b"], "got file, subject"),
        (["path,subject"], "only a header"),
        (["path,subject", ",Bo"], "line 2: .*empty cell"),
        (["path,subject", "a.jpg"], "line 2: .*empty cell"),
        (["path,subject", "a.jpg,x", "b.jpg,x"], "2 of 2 pictures are missing: .*a.jpg, .*b.jpg"),
        (["path,subject", "a" * 200_000 + ",x"], "expected a table"),
    ],
)
def test_tables_of_another_form(tmp_path: Path, lines: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        csv_table(text(tmp_path / "t.csv", *lines))


# -- records --------------------------------------------------------------------------------------------------------


def test_records_are_frozen_and_checked(root: Path) -> None:
    with pytest.raises(InputError, match="subjects"):
        Dataset("x", (root,), np.array([1]), ("only",))
    with pytest.raises(InputError, match="subjects"):
        Dataset("x", (root,), np.array([0, 0]), ("only",))
    with pytest.raises(InputError, match="tier"):
        Dataset("x", (), np.array([], int), (), tier="imagined")
    found = folder(root)
    with pytest.raises(ValueError, match="read-only"):
        found.subjects[0] = 2
    with pytest.raises(AttributeError):
        found.name = "y"  # type: ignore[misc]


def test_published_sets_may_hold_jpeg_files_that_end_early(root: Path) -> None:
    path = root / "Bo" / "Bo_0001.jpg"
    path.write_bytes(path.read_bytes()[:-2])
    found = folder(root)
    assert found.read(found.paths.index(path)).pixels.shape == (8, 8, 3)

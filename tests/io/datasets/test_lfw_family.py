"""Sets of the LFW family, each on an imitation in the layout of its release: who, which pictures, which fold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vultus.errors import InputError
from vultus.io.datasets import lfw_family
from vultus.io.datasets.lfw_family import FAMILY, agedb_pairs, cfp_pairs, lfw_view1, mlfw_pairs, read_set, sllfw_pairs


def put(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (200, 120, 40)).save(path)


def text(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def said(pairs) -> list[tuple[str, str, bool, int]]:
    ends = [[pairs.paths[i].stem for i in side] for side in (pairs.left, pairs.right)]
    return list(zip(*ends, pairs.same.tolist(), pairs.folds.tolist(), strict=True))


# -- LFW View 1, XQLFW -----------------------------------------------------------------------------------------------


def test_view_1_is_two_folds_that_share_the_pictures(tmp_path: Path) -> None:
    put(*(tmp_path / "lfw" / p / f"{p}_000{k}.jpg" for p in ("Ann", "Bo", "Cy", "Di") for k in (1, 2)))
    train = text(tmp_path / "pairsDevTrain.txt", "1", "Cy\t1\t2", "Cy\t1\tDi\t2")
    test = text(tmp_path / "pairsDevTest.txt", "1", "Bo\t1\t2", "Ann\t2\tBo\t1")
    pairs = lfw_view1(train, test, tmp_path / "lfw")
    assert said(pairs) == [
        ("Cy_0001", "Cy_0002", True, 0),
        ("Cy_0001", "Di_0002", False, 0),
        ("Bo_0001", "Bo_0002", True, 1),
        ("Ann_0002", "Bo_0001", False, 1),
    ]
    assert pairs.dataset.names == ("Ann", "Bo", "Cy", "Di")
    assert said(read_set("lfw-view1", tmp_path)) == said(pairs)


@pytest.mark.data
def test_view_1_of_the_release(data_dir: Path, tmp_path: Path) -> None:
    """TR 07-49: 1,100 + 1,100 pairs to develop on, 500 + 500 to test; nobody is in both."""
    lists = [data_dir / "lfw_meta" / name for name in ("pairsDevTrain.txt", "pairsDevTest.txt")]
    for line in [line for path in lists for line in path.read_text().splitlines()[1:]]:
        words = line.split("\t")
        people = (words[0], words[0]) if len(words) == 3 else (words[0], words[2])
        for person, number in zip(people, (words[1], words[-1]), strict=True):
            (tmp_path / f"{person}_{number}.jpg").touch()  # the release has more pictures than View 2
    pairs = lfw_view1(*lists, tmp_path)
    assert np.bincount(pairs.folds).tolist() == [2200, 1000]
    assert np.bincount(pairs.folds, pairs.same).tolist() == [1100, 500]
    who = [set(pairs.subjects[np.concatenate([pairs.left, pairs.right])[np.tile(pairs.folds == k, 2)]]) for k in (0, 1)]
    assert (len(who[0]), len(who[1]), len(who[0] & who[1])) == (2132, 963, 0)


def test_xqlfw_has_the_lists_of_lfw(tmp_path: Path) -> None:
    put(*(tmp_path / "xqlfw" / p / f"{p}_000{k}.jpg" for p in ("Ann", "Bo") for k in (1, 2)))
    text(tmp_path / "xqlfw_pairs.txt", "2\t1", "Ann\t1\t2", "Ann\t1\tBo\t2", "Bo\t1\t2", "Bo\t1\tAnn\t2")
    pairs = read_set("xqlfw", tmp_path)
    assert pairs.name == "xqlfw"
    (tmp_path / "xqlfw_pairs.txt").rename(tmp_path / "pairs.txt")
    with pytest.raises(InputError, match=r"xqlfw_pairs\.txt"):  # LFW's own list is not taken for it
        read_set("xqlfw", tmp_path)
    assert said(pairs)[2] == ("Bo_0001", "Bo_0002", True, 1)


# -- CALFW, CPLFW ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "flag"), [("calfw", ("1", "2")), ("cplfw", ("1", "1"))])
def test_two_lines_per_pair_all_mated_ones_first(tmp_path: Path, name: str, flag: tuple[str, str]) -> None:
    pictures = [f"{p}_{k:04d}.jpg" for p in ("Ann", "Bo_Lee") for k in (1, 2)]
    put(*(tmp_path / "images" / picture for picture in pictures))
    put(*(tmp_path / "aligned images" / picture for picture in pictures))
    ann, ann2, bo, bo2 = pictures
    mated = [f"{ann} {flag[0]}", f"{ann2} {flag[0]}"] * 300 + [f"{bo} {flag[1]}", f"{bo2} {flag[1]}"] * 300
    other = [f"{ann} 0", f"{bo} 0"] * 300 + [f"{ann2} 0", f"{bo2} 0"] * 300
    text(tmp_path / f"pairs_{name.upper()}.txt", *mated, *other)
    pairs = read_set(name, tmp_path, images=tmp_path / "aligned images")
    assert len(pairs) == 1200
    for fold, person, strangers in (
        (0, "Ann", ("Ann_0001", "Bo_Lee_0001")),
        (1, "Bo_Lee", ("Ann_0002", "Bo_Lee_0002")),
    ):
        own = [row for row in said(pairs) if row[3] == fold]
        assert [row[2] for row in own].count(True) == 300
        assert {row[:2] for row in own if row[2]} == {(f"{person}_0001", f"{person}_0002")}
        assert {row[:2] for row in own if not row[2]} == {strangers}
    with pytest.raises(InputError, match="expected each picture once"):
        read_set(name, tmp_path)


# -- SLLFW -----------------------------------------------------------------------------------------------------------


def test_sllfw_names_folder_and_picture_and_goes_fold_by_fold(tmp_path: Path) -> None:
    put(*(tmp_path / "lfw" / p / f"{p}_000{k}.jpg" for p in ("Ann", "Bo", "Cy") for k in (1, 2)))
    lines = ["Ann/Ann_0001.jpg", "Ann/Ann_0002.jpg", "Ann/Ann_0001.jpg", "Bo/Bo_0001.jpg"]
    lines += ["Cy/Cy_0002.jpg", "Cy/Cy_0001.jpg", "Cy/Cy_0002.jpg", "Bo/Bo_0002.jpg"]
    pairs = sllfw_pairs(text(tmp_path / "pair_SLLFW.txt", *lines), tmp_path / "lfw", per_fold=1)
    assert said(pairs) == [
        ("Ann_0001", "Ann_0002", True, 0),
        ("Ann_0001", "Bo_0001", False, 0),
        ("Cy_0002", "Cy_0001", True, 1),
        ("Cy_0002", "Bo_0002", False, 1),
    ]
    for wrong, words in (
        (["Ann/Ann_0001.jpg"], "two lines"),
        (["Bo/Ann_0001.jpg", lines[1]], "line 1: expected `Name"),
    ):
        with pytest.raises(InputError, match=words):
            sllfw_pairs(text(tmp_path / "wrong.txt", *wrong), tmp_path / "lfw")


# -- MLFW, AgeDB-30 --------------------------------------------------------------------------------------------------


def test_mlfw_has_two_numbers_after_the_name(tmp_path: Path) -> None:
    names = ["Ann_Lee_0001_0000", "Ann_Lee_0002_0003", "Bo_0001_0001", "Bo_0002_0000"]
    put(*(tmp_path / "aligned" / f"{name}.jpg" for name in names))
    rows = [(0, 1, 1), (2, 3, 1), (0, 2, 0), (1, 3, 0)]
    lines = [f"{names[a]}.jpg\t{names[b]}.jpg\t{flag}" for a, b, flag in rows]
    pairs = mlfw_pairs(text(tmp_path / "pairs.txt", *lines), tmp_path / "aligned", per_fold=1)
    assert said(pairs) == [
        (names[a], names[b], bool(flag), fold) for (a, b, flag), fold in zip(rows, (0, 1, 0, 1), strict=True)
    ]
    assert pairs.dataset.names == ("Ann_Lee", "Bo")
    for line, words in (
        (lines[0].replace("\t1", "\t0"), "got 0 for Ann_Lee and Ann_Lee"),
        ("Ann.jpg Bo.jpg 0", "line 1"),
        ("Ann_1_1.jpg 1", "line 1"),
        ("Ann_1_1.jpg Ann_1_2.jpg yes", "line 1"),
    ):
        with pytest.raises(InputError, match=words):
            mlfw_pairs(text(tmp_path / "wrong.txt", line), tmp_path / "aligned")


def test_agedb_pictures_say_number_name_age_and_sex(tmp_path: Path) -> None:
    names = ["0_MariaCallas_35_f", "11_MariaCallas_66_f", "7_OrsonWelles_21_m"]
    put(*(tmp_path / "AgeDB" / f"{name}.jpg" for name in names))
    lines = [f"{names[0]}.jpg {names[1]}.jpg 1", f"{names[0]}.jpg {names[2]}.jpg -1"]
    pairs = agedb_pairs(text(tmp_path / "agedb_30.txt", *lines), tmp_path / "AgeDB")
    assert said(pairs) == [(names[0], names[1], True, 0), (names[0], names[2], False, 0)]
    assert pairs.dataset.names == ("MariaCallas", "OrsonWelles")
    with pytest.raises(InputError, match="MATLAB"):
        agedb_pairs(tmp_path / "new_splits30.mat", tmp_path / "AgeDB")


# -- CFP -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def cfp(tmp_path: Path) -> Path:
    """Three people, two frontal pictures and two profiles of each, in two folds."""
    root = tmp_path / "cfp-dataset"
    for side, kind in (("frontal", "F"), ("profile", "P")):
        rows = [f"{person:03d}/{side}/{k:02d}.jpg" for person in (1, 2, 3) for k in (1, 2)]
        put(*(root / "Data" / "Images" / row for row in rows))
        text(
            root / "Protocol" / f"Pair_list_{kind}.txt", *(f"{n} ../Data/Images/{row}" for n, row in enumerate(rows, 1))
        )
    for kind, same, diff in (("FF", "1,2", "2,3"), ("FP", "1,2", "2,3")):
        text(root / "Protocol/Split" / kind / "01/same.txt", same)
        text(root / "Protocol/Split" / kind / "01/diff.txt", diff)
        text(root / "Protocol/Split" / kind / "02/same.txt", "6,5")
        text(root / "Protocol/Split" / kind / "02/diff.txt", "5,2")
    return root


def test_cfp_counts_frontal_pictures_and_profiles_apart(cfp: Path) -> None:
    def short(pairs) -> list[tuple[str, str, bool, int]]:
        rel = ["/".join(path.parts[-3:]) for path in pairs.paths]
        return [
            (rel[a], rel[b], bool(s), int(f))
            for a, b, s, f in zip(pairs.left, pairs.right, pairs.same, pairs.folds, strict=True)
        ]

    assert short(read_set("cfp-ff", cfp)) == [
        ("001/frontal/01.jpg", "001/frontal/02.jpg", True, 0),
        ("001/frontal/02.jpg", "002/frontal/01.jpg", False, 0),
        ("003/frontal/02.jpg", "003/frontal/01.jpg", True, 1),
        ("003/frontal/01.jpg", "001/frontal/02.jpg", False, 1),
    ]
    assert short(read_set("cfp-fp", cfp)) == [
        ("001/frontal/01.jpg", "001/profile/02.jpg", True, 0),
        ("001/frontal/02.jpg", "002/profile/01.jpg", False, 0),
        ("003/frontal/02.jpg", "003/profile/01.jpg", True, 1),
        ("003/frontal/01.jpg", "001/profile/02.jpg", False, 1),
    ]
    with pytest.raises(InputError, match="expected CFP-FP as it was released"):  # they would be passed over in silence
        read_set("cfp-fp", cfp, images=cfp / "aligned")


@pytest.mark.parametrize(
    ("file", "line", "words"),
    [
        ("Split/FP/01/same.txt", "1,9", "from 1 to 6, got 9"),
        ("Split/FP/01/same.txt", "1,3", "expected one person, got 001 and 002"),
        ("Split/FP/02/diff.txt", "1,1", "expected two people"),
        ("Split/FP/02/diff.txt", "1 1", "two numbers"),
        ("Pair_list_P.txt", "1 ../../etc/x/y.jpg", "a picture below"),
        ("Pair_list_P.txt", "one ../Data/Images/001/profile/01.jpg", "a number"),
        ("Pair_list_F.txt", "", "expected a picture per line"),
    ],
)
def test_cfp_of_another_form(cfp: Path, file: str, line: str, words: str) -> None:
    text(cfp / "Protocol" / file, line)
    with pytest.raises(InputError, match=words):
        cfp_pairs(cfp, "FP")


def test_cfp_counts_missing_pictures(cfp: Path) -> None:
    (cfp / "Data/Images/001/profile/02.jpg").unlink()
    with pytest.raises(InputError, match=r"1 of \d pictures are missing"):
        cfp_pairs(cfp, "FP")
    with pytest.raises(InputError, match="folders 01, 02"):
        cfp_pairs(_without_splits(cfp), "FF")


def _without_splits(cfp: Path) -> Path:
    for folder in (cfp / "Protocol/Split/FF").iterdir():
        folder.rename(folder.with_name(f"x{folder.name}"))
    return cfp


# -- all of them -----------------------------------------------------------------------------------------------------


def test_the_family_is_the_table_of_its_file() -> None:
    assert lfw_family.__doc__
    assert all(f" {name}" in lfw_family.__doc__ for name in FAMILY)
    assert {name for name, member in FAMILY.items() if member.disjoint} >= {"lfw", "calfw", "cfp-fp"}


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected one of lfw, "):
        read_set("imdb", tmp_path)
    with pytest.raises(InputError, match="no folder"):
        read_set("calfw", tmp_path / "gone")
    with pytest.raises(InputError, match=r"expected the list pairs_CALFW\.txt"):
        read_set("calfw", tmp_path)
    assert np.array_equal(lfw_family._listed.folds_in_order(tmp_path, [True, True, False, True], 2), [0, 0, 0, 1])
    with pytest.raises(InputError, match="per_fold 0"):
        sllfw_pairs(text(tmp_path / "s.txt", "A/A_1.jpg", "A/A_2.jpg"), tmp_path, per_fold=0)

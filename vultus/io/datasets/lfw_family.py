"""Verification sets that are judged as LFW is: a list of pairs in folds, and a folder of pictures.

    pairs = read_set("calfw", "calfw", images="calfw/aligned images")

| set | list | layout |
|---|---|---|
| lfw, xqlfw | pairs.txt, xqlfw_pairs.txt | `Name i j` or `A i B j` |
| lfw-view1 | pairsDevTrain.txt, pairsDevTest.txt | the same, one fold each |
| calfw, cplfw | pairs_CALFW.txt, pairs_CPLFW.txt | two lines per pair, `Name_0001.jpg flag`, 0 for two people |
| sllfw | pair_SLLFW.txt | two lines per pair, `Name/Name_0001.jpg`; the names say whether it is one person |
| mlfw | pairs.txt | `Name_0001_0001.jpg Name_0002_0000.jpg flag` |
| cfp-ff, cfp-fp | Protocol/Pair_list_F.txt, Pair_list_P.txt, Split/FF/01/same.txt, diff.txt | see `cfp_pairs` |
| agedb30 | a text list in the form of MLFW's | `1_Name_35_f.jpg`; see `agedb_pairs` |

Layouts: Huang et al. 2007 (TR 07-49, README of the release); Zheng, Deng & Hu 2017 (arXiv:1708.08197); Zheng & Deng
2018 (BUPT TR 18-01); Deng et al. 2017 (SLLFW, Pattern Recognition 66); Knoche, Hoermann & Rigoll 2021
(arXiv:2108.10290); Wang et al. 2021 (arXiv:2109.05804); Sengupta et al. 2016 (doi:10.1109/WACV.2016.7477558);
Moschoglou et al. 2017 (doi:10.1109/CVPRW.2017.250). What could not be looked up in a release stands in `Member.unsure`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from vultus.errors import InputError, StoreError
from vultus.io.datasets import _listed
from vultus.io.datasets._listed import AGED, NUMBERED, TWICE_NUMBERED, Naming
from vultus.io.datasets.pairs import cross_lfw_pairs, lfw_pairs
from vultus.io.datasets.records import Dataset, Pairs, existing, indexed
from vultus.io.datasets.tables import text_of

__all__ = [
    "FAMILY",
    "Member",
    "agedb_pairs",
    "cfp_pairs",
    "lfw_view1",
    "mlfw_pairs",
    "read_set",
    "sllfw_pairs",
]

StrPath = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Member:
    """One set of the family.

    Attributes:
        title: as it is written in papers.
        lists: names of its list, the first that is there is taken.
        read: (list, folder of pictures) -> pairs; where folds are in the order of the list, with `per_fold` too.
        disjoint: True where its publication says that nobody is in two folds; None where that is not known.
        unsure: what of the layout was not seen in a release.
        ordered: whether its folds are the order of the list.
    """

    title: str
    lists: tuple[str, ...]
    read: Callable[..., Pairs]
    disjoint: bool | None = None
    unsure: str = ""
    ordered: bool = False


def read_set(
    name: str,
    folder: StrPath,
    *,
    listing: StrPath | None = None,
    images: StrPath | None = None,
    per_fold: int | None = None,
) -> Pairs:
    """Read a set of `FAMILY` from the folder of its release.

    Args:
        name: of the set.
        folder: of the release; its list is looked for there and one folder deeper.
        listing: the list, where it lies elsewhere or has another name.
        images: the folder of pictures, where the release holds them twice (as CALFW's does, aligned and not).
        per_fold: mated pairs, and as many non-mated ones, of each fold, where folds are the order of the list; None
            for the 300 of the releases.

    Raises:
        InputError: no such set, no list, a list or pictures of one's own for CFP, `per_fold` where folds are not the
            order of the list, or as the reader of the set.
        StoreError: the system refuses to read a file.
    """
    if name not in FAMILY:
        raise InputError(f"set: expected one of {', '.join(FAMILY)}, got {name!r}")
    member, root = FAMILY[name], Path(folder)
    if not root.is_dir():
        raise InputError(f"{root}: expected the folder of {member.title}, got no folder")
    if per_fold is not None and not member.ordered:
        ordered = ", ".join(key for key, one in FAMILY.items() if one.ordered)
        raise InputError(
            f"{root}: expected folds as the release of {member.title} writes them, got {per_fold} pairs a fold: leave "
            f"out --per-fold, which is for {ordered}"
        )
    if not member.lists:  # lists and pictures have their place in the folder
        if listing is not None or images is not None:
            raise InputError(
                f"{root}: expected {member.title} as it was released, its lists name its pictures; got another list or "
                "folder of pictures: leave out --list and --images, put other pictures in a copy of the release"
            )
        return member.read(root, root)
    path = Path(listing) if listing is not None else _listing(root, member)
    more = {} if per_fold is None else {"per_fold": per_fold}
    return member.read(path, Path(images) if images is not None else root, **more)


def lfw_view1(
    train_txt: StrPath, test_txt: StrPath, image_root: StrPath, *, name: str = "lfw-view1", license: str = "research"
) -> Pairs:
    """LFW View 1: `pairsDevTrain.txt` is fold 0, `pairsDevTest.txt` fold 1, on which a threshold of fold 0 is judged.

    Args:
        train_txt: the list of 1,100 + 1,100 pairs.
        test_txt: the list of 500 + 500 pairs.
        image_root: the folder of pictures.
        name: of the set.
        license: terms of the pictures.

    Raises:
        InputError: as `lfw_pairs`.
        StoreError: the system refuses to read a file.
    """
    parts = [lfw_pairs(path, image_root, name=name, license=license) for path in (train_txt, test_txt)]
    paths = tuple(sorted({path for part in parts for path in part.paths}))
    place = {path: i for i, path in enumerate(paths)}
    who = {path: part.dataset.names[s] for part in parts for path, s in zip(part.paths, part.subjects, strict=True)}
    subjects, names = indexed([who[path] for path in paths])
    ends = [
        np.concatenate([[place[part.paths[i]] for i in getattr(part, side)] for part in parts])
        for side in ("left", "right")
    ]
    folds = np.repeat([0, 1], [len(part) for part in parts])
    return Pairs(Dataset(name, paths, subjects, names, license), ends[0], ends[1], folds)


def sllfw_pairs(
    pairs_txt: StrPath, image_root: StrPath, *, license: str = "research benchmark", per_fold: int = 300
) -> Pairs:
    """Read `pair_SLLFW.txt`: two lines per pair, `Name/Name_0001.jpg`; pictures are those of LFW.

    Args:
        pairs_txt: the list.
        image_root: the folder of pictures.
        license: terms of the pictures.
        per_fold: mated pairs, and as many non-mated ones, of each fold.

    Raises:
        InputError: the list is not of this form, or pictures are missing.
        StoreError: the system refuses to read a file.
    """
    path = Path(pairs_txt)
    lines = [(n, line.strip()) for n, line in enumerate(text_of(path).splitlines(), 1) if line.strip()]
    if not lines or len(lines) % 2:
        raise InputError(f"{path}: expected two lines per pair, got {len(lines)} lines")
    keys = []
    for number, line in lines:
        picture = PurePosixPath(line.replace("\\", "/"))
        key = NUMBERED.key(Path(picture.name))
        if key is None or len(picture.parts) != 2 or picture.parts[0] != key[0]:
            raise InputError(f"{path}, line {number}: expected `Name/Name_0001.jpg`, got {_listed.shown([line])}")
        keys.append(key)
    pairs = list(zip(keys[::2], keys[1::2], strict=True))
    folds = _listed.folds_in_order(path, [a[0] == b[0] for a, b in pairs], per_fold)
    return _listed.found(path, pairs, folds, Path(image_root), NUMBERED, "sllfw", license)


def mlfw_pairs(
    pairs_txt: StrPath, image_root: StrPath, *, license: str = "research benchmark", per_fold: int = 300
) -> Pairs:
    """Read MLFW's `pairs.txt`: `Name_0001_0001.jpg Name_0002_0000.jpg flag` per pair, 1 for one person.

    Args:
        pairs_txt: the list.
        image_root: the folder of pictures: `aligned` or `origin`, which have the same names.
        license: terms of the pictures.
        per_fold: mated pairs, and as many non-mated ones, of each fold.

    Raises:
        InputError: the list is not of this form, a flag disagrees with the names, or pictures are missing.
        StoreError: the system refuses to read a file.
    """
    return _flagged(Path(pairs_txt), Path(image_root), TWICE_NUMBERED, "mlfw", license, per_fold)


def agedb_pairs(
    pairs_txt: StrPath, image_root: StrPath, *, license: str = "research benchmark", per_fold: int = 300
) -> Pairs:
    """Read AgeDB-30 from a text list, `1_Name_35_f.jpg 2_Name_66_f.jpg 1` per pair, 1 for one person.

    AgeDB publishes its splits as a MATLAB file, which is not read: its cells are written out line by line with any tool
    that reads them, or the set comes as agedb_30.bin.

    Args:
        pairs_txt: the list.
        image_root: the folder of pictures.
        license: terms of the pictures.
        per_fold: mated pairs, and as many non-mated ones, of each fold.

    Raises:
        InputError: the list is not of this form, a flag disagrees with the names, or pictures are missing.
        StoreError: the system refuses to read a file.
    """
    path = Path(pairs_txt)
    if path.suffix.lower() == ".mat":
        raise InputError(
            f"{path}: expected a text list, got a MATLAB file: write its pairs as lines `left right flag`, "
            "fold by fold, or use agedb_30.bin"
        )
    return _flagged(path, Path(image_root), AGED, "agedb30", license, per_fold)


def cfp_pairs(root: StrPath, kind: str = "FP", *, license: str = "research benchmark") -> Pairs:
    """Read CFP: frontal with profile pictures ("FP") or frontal ones alone ("FF").

    `Protocol/Pair_list_F.txt` and `Pair_list_P.txt` number the pictures from 1: `1 ../Data/Images/001/frontal/01.jpg`.
    `Protocol/Split/FP/01/same.txt` and `diff.txt` hold the pairs of fold 01 as two such numbers, `1,5`; in FP the first
    counts frontal pictures and the second profiles.

    Args:
        root: the folder that holds Protocol and Data.
        kind: "FF" or "FP".
        license: terms of the pictures.

    Raises:
        InputError: the layout is another one, same.txt and diff.txt disagree with the folders of the people, or
            pictures are missing.
        StoreError: the system refuses to read a file.
    """
    if kind not in ("FF", "FP"):
        raise InputError(f"kind: expected FF or FP, got {kind!r}")
    protocol = Path(root) / "Protocol"
    frontal = _cfp_pictures(protocol / "Pair_list_F.txt", Path(root))
    second = frontal if kind == "FF" else _cfp_pictures(protocol / "Pair_list_P.txt", Path(root))
    split = protocol / "Split" / kind
    folders = sorted((f for f in split.glob("*") if f.is_dir() and f.name.isdecimal()), key=lambda f: int(f.name))
    if not folders:
        raise InputError(f"{split}: expected folders 01, 02, ... of folds, got none")
    pairs: list[tuple[Path, Path]] = []
    folds: list[int] = []
    for fold, folder in enumerate(folders):
        for name, mated in (("same.txt", True), ("diff.txt", False)):
            for number, (a, b) in _numbers(folder / name):
                ends = _numbered(folder / name, number, (a, b), (frontal, second))
                if (_cfp_person(ends[0]) == _cfp_person(ends[1])) != mated:
                    who = f"{_cfp_person(ends[0])} and {_cfp_person(ends[1])}"
                    said = "one person" if mated else "two people"
                    raise InputError(f"{folder / name}, line {number}: expected {said}, got {who}")
                pairs.append(ends)
                folds.append(fold)
    if not pairs:
        raise InputError(f"{split}: expected pairs in same.txt and diff.txt, got none")
    paths = existing(sorted({path for pair in pairs for path in pair}), str(protocol))
    subjects, names = indexed([_cfp_person(path) for path in paths])
    place = {path: i for i, path in enumerate(paths)}
    left, right = (np.array([place[pair[side]] for pair in pairs]) for side in (0, 1))
    return Pairs(Dataset(f"cfp-{kind.lower()}", paths, subjects, names, license), left, right, np.array(folds))


def _cfp_person(path: Path) -> str:
    return path.parent.parent.name


def _cfp_pictures(listing: Path, root: Path) -> dict[int, Path]:
    """Number -> picture; the paths of the list start from its own folder."""
    pictures: dict[int, Path] = {}
    for number, line in enumerate(text_of(listing).splitlines(), 1):
        words = line.split(maxsplit=1)
        if not words:
            continue
        path = Path(os.path.normpath(listing.parent / words[1].strip().replace("\\", "/"))) if words[1:] else None
        if path is None or not words[0].isdecimal() or not path.is_relative_to(os.path.normpath(root)):
            raise InputError(
                f"{listing}, line {number}: expected a number and a picture below {root}, such as "
                f"`1 ../Data/Images/001/frontal/01.jpg`, got {_listed.shown([line])}"
            )
        pictures[int(words[0])] = path
    if not pictures:
        raise InputError(f"{listing}: expected a picture per line, got none")
    return pictures


def _numbers(path: Path) -> list[tuple[int, tuple[int, int]]]:
    found = []
    for number, line in enumerate(text_of(path).splitlines(), 1):
        words = [word.strip() for word in line.split(",")]
        if not line.strip():
            continue
        if len(words) != 2 or not all(word.isdecimal() for word in words):
            raise InputError(f"{path}, line {number}: expected two numbers, `1,5`, got {_listed.shown([line])}")
        found.append((number, (int(words[0]), int(words[1]))))
    return found


def _numbered(
    path: Path, line: int, pair: tuple[int, int], pictures: tuple[dict[int, Path], dict[int, Path]]
) -> tuple[Path, Path]:
    for number, known in zip(pair, pictures, strict=True):
        if number not in known:
            raise InputError(f"{path}, line {line}: expected a number from 1 to {max(known)}, got {number}")
    return pictures[0][pair[0]], pictures[1][pair[1]]


def _flagged(path: Path, root: Path, naming: Naming[str], name: str, license: str, per_fold: int) -> Pairs:
    """`left right flag` per pair; the flag must agree with the names."""
    pairs: list[tuple[str, str]] = []
    same: list[bool] = []
    for number, line in enumerate(text_of(path).splitlines(), 1):
        words = line.split()
        if not words:
            continue
        keys = [naming.key(Path(PurePosixPath(word.replace("\\", "/")).name)) for word in words[:2]]
        if len(words) != 3 or words[2] not in ("0", "1", "-1") or len(keys) != 2 or None in keys:
            raise InputError(f"{path}, line {number}: expected `left.jpg right.jpg flag`, got {_listed.shown([line])}")
        a, b = (str(key) for key in keys)
        mated = words[2] == "1"
        if mated != (naming.person(a) == naming.person(b)):
            raise InputError(
                f"{path}, line {number}: expected the flag 1 exactly for one person, got {words[2]} for "
                f"{naming.person(a)} and {naming.person(b)}"
            )
        pairs.append((a, b))
        same.append(mated)
    if not pairs:
        raise InputError(f"{path}: expected a pair per line, got none")
    return _listed.found(path, pairs, _listed.folds_in_order(path, same, per_fold), root, naming, name, license)


def _listing(root: Path, member: Member) -> Path:
    try:
        folders = (root, *sorted(f for f in root.iterdir() if f.is_dir()))
    except OSError as error:
        raise StoreError(f"{root}: cannot be listed: {error.strerror}: check its permissions") from error
    for name in member.lists:
        for folder in folders:
            if (folder / name).is_file():
                return folder / name
    raise InputError(f"{root}: expected the list {' or '.join(member.lists)} there, got none; say where it lies")


def _view1(listing: Path, root: Path) -> Pairs:
    return lfw_view1(listing, listing.with_name("pairsDevTest.txt"), root)


def _cross(name: str) -> Callable[..., Pairs]:
    return lambda listing, root, **more: cross_lfw_pairs(listing, root, name=name, **more)


_ORDER = "whether its folds are the order of the list, 300 mated and 300 other pairs each"
FAMILY: dict[str, Member] = {
    "lfw": Member("LFW View 2", ("pairs.txt", "pairs_LFW.txt"), lfw_pairs, disjoint=True),
    "lfw-view1": Member("LFW View 1", ("pairsDevTrain.txt",), _view1, disjoint=True),
    "calfw": Member("CALFW", ("pairs_CALFW.txt",), _cross("calfw"), disjoint=True, unsure=_ORDER, ordered=True),
    "cplfw": Member("CPLFW", ("pairs_CPLFW.txt",), _cross("cplfw"), disjoint=True, unsure=_ORDER, ordered=True),
    "sllfw": Member("SLLFW", ("pair_SLLFW.txt",), sllfw_pairs, disjoint=True, ordered=True),
    "xqlfw": Member("XQLFW", ("xqlfw_pairs.txt",), lambda listing, root: lfw_pairs(listing, root, name="xqlfw")),
    "mlfw": Member("MLFW", ("pairs.txt",), mlfw_pairs, unsure=f"{_ORDER}; the numbers in its file names", ordered=True),
    "cfp-ff": Member("CFP-FF", (), lambda listing, root: cfp_pairs(root, "FF"), disjoint=True),
    "cfp-fp": Member("CFP-FP", (), lambda listing, root: cfp_pairs(root, "FP"), disjoint=True),
    "agedb30": Member(
        "AgeDB-30",
        ("agedb_30.txt",),
        agedb_pairs,
        unsure="the published list is a MATLAB file, which is not read",
        ordered=True,
    ),
}
"""Sets by name; `read_set` reads them."""

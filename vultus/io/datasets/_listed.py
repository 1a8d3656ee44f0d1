"""Pictures named in lists of pairs: how their names are read, where the files are, which fold a pair is in."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError
from vultus.io.datasets.records import Dataset, Pairs, indexed
from vultus.io.images import list_pictures

__all__ = ["AGED", "NUMBERED", "TWICE_NUMBERED", "Naming", "Numbered", "folds_in_order", "found", "shown"]

Numbered = tuple[str, int]
"""A person's name and the number of the picture."""

Key = TypeVar("Key", str, Numbered)

_NUMBER = re.compile(r"(.+)_(\d+)")
_NUMBERS = re.compile(r"(.+?)(_\d+)+")
_AGED = re.compile(r"\d+_(.+)_\d+_[mfMF]")


@dataclass(frozen=True, slots=True)
class Naming(Generic[Key]):
    """How the files of a set are named.

    Attributes:
        key: the picture that a file is, or None where its name is of another form.
        person: whom it shows.
        text: the key as a name, for messages.
    """

    key: Callable[[Path], Key | None]
    person: Callable[[Key], str]
    text: Callable[[Key], str]


def found(
    path: Path,
    pairs: Sequence[tuple[Key, Key]],
    folds: NDArray[np.int64],
    root: Path,
    naming: Naming[Key],
    name: str,
    license: str,
) -> Pairs:
    """Pairs of keys -> pairs of files below `root`, however deep they lie.

    Args:
        path: the list, for messages.
        pairs: the two pictures of each.
        folds: (P,) fold of each.
        root: the folder of pictures.
        naming: of the files.
        name: of the set.
        license: terms of the pictures.

    Raises:
        InputError: pictures are missing (all are counted), or one is there twice.
    """
    where: dict[Key, list[Path]] = {}
    for picture in list_pictures(root):
        key = naming.key(picture)
        if key is not None:
            where.setdefault(key, []).append(picture)
    wanted = sorted({key for pair in pairs for key in pair})
    gone = [naming.text(key) for key in wanted if key not in where]
    if gone:
        first = ", ".join(gone[:5]) + (", ..." if len(gone) > 5 else "")
        raise InputError(f"{root}: {len(gone)} of the {len(wanted)} pictures of {path.name} are missing: {first}")
    twice = next((key for key in wanted if len(where[key]) > 1), None)
    if twice is not None:
        both = " and ".join(map(str, where[twice][:2]))
        raise InputError(f"{root}: expected each picture once, got {both}: name the folder of one release")
    subjects, names = indexed([naming.person(key) for key in wanted])
    number = {key: i for i, key in enumerate(wanted)}
    dataset = Dataset(name, tuple(where[key][0] for key in wanted), subjects, names, license)
    left, right = (np.array([number[pair[side]] for pair in pairs]) for side in (0, 1))
    return Pairs(dataset, left, right, folds)


def folds_in_order(path: Path, same: Sequence[bool], per_fold: int) -> NDArray[np.int64]:
    """(P,) fold of each pair: the k-th mated and the k-th non-mated one are in fold k // per_fold.

    Raises:
        InputError: `per_fold` is no positive number.
    """
    if per_fold < 1:
        raise InputError(f"{path}: expected at least one mated pair per fold, got per_fold {per_fold}")
    truth = np.asarray(same, bool)
    place = np.where(truth, np.cumsum(truth), np.cumsum(~truth)) - 1
    folds: NDArray[np.int64] = place // per_fold
    return folds


def shown(lines: Sequence[str]) -> str:
    """The beginning of the first line, for messages."""
    return repr(lines[0][:60]) if lines else "nothing"


def _numbered(picture: Path) -> Numbered | None:
    match = _NUMBER.fullmatch(picture.stem)
    return None if match is None else (match[1], int(match[2]))


def _stem(form: re.Pattern[str]) -> Callable[[Path], str | None]:
    return lambda picture: picture.stem if form.fullmatch(picture.stem) else None


def _name(form: re.Pattern[str]) -> Callable[[str], str]:
    return lambda stem: str(form.sub(r"\1", stem))


NUMBERED: Naming[Numbered] = Naming(_numbered, lambda key: key[0], lambda key: f"{key[0]}_{key[1]:04d}")
"""`Name_0001.jpg`, with any number of digits."""

TWICE_NUMBERED: Naming[str] = Naming(_stem(_NUMBERS), _name(re.compile(r"^(.+?)(_\d+)+$")), str)
"""`Name_0001_0002.jpg`: everything before the numbers is the person."""

AGED: Naming[str] = Naming(_stem(_AGED), _name(re.compile(r"^\d+_(.+)_\d+_[mfMF]$")), str)
"""`12_Name_35_f.jpg`: number of the picture, name, age, sex."""

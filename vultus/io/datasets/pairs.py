"""Labeled Faces in the Wild and the sets made after it: a text file of pairs and a folder of pictures.

Formats: LFW and XQLFW (Huang et al. 2007, University of Massachusetts Amherst TR 07-49, README of the release), CALFW
(Zheng, Deng & Hu 2017, arXiv:1708.08197) and CPLFW (Zheng & Deng 2018, BUPT technical report 18-01).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from vultus.errors import InputError
from vultus.io.datasets.records import Dataset, Pairs, indexed
from vultus.io.datasets.tables import text_of
from vultus.io.images import list_pictures

__all__ = ["cross_lfw_pairs", "lfw_pairs"]

_NUMBERED = re.compile(r"(.+)_(\d+)")
_CROSS_FOLD = 300  # mated, and as many non-mated, in each of ten folds
_Key = tuple[str, int]  # a person's name and the number of the picture


def lfw_pairs(
    pairs_txt: str | os.PathLike[str],
    image_root: str | os.PathLike[str],
    *,
    name: str = "lfw",
    license: str = "research benchmark",
) -> Pairs:
    """Read `pairs.txt` (View 2) or `pairsDevTrain.txt`, `pairsDevTest.txt` (View 1).

    The first line is `folds n` or `n`; then each fold has n lines `Name i j` (one person) and n lines `A i B j` (two).
    Pictures are found below `image_root` by the name `<Name>_<number>`, however deep they lie, with any picture's
    suffix and any number of digits, so original, funneled and deep-funneled releases all fit.

    Args:
        pairs_txt: the list.
        image_root: the folder of pictures.
        name: of the set.
        license: terms of the pictures.

    Raises:
        InputError: the list is not of this form (its line is named), or pictures are missing (all are counted).
        StoreError: the system refuses to read a file.
    """
    path = Path(pairs_txt)
    lines = [line for line in text_of(path).splitlines() if line.strip()]
    head = lines[0].split() if lines else []
    if len(head) not in (1, 2) or not all(word.isdecimal() and int(word) > 0 for word in head):
        raise InputError(f"{path}, line 1: expected `folds pairs` or `pairs`, such as `10 300`, got {_shown(lines)}")
    folds, each = (1, int(head[0])) if len(head) == 1 else (int(head[0]), int(head[1]))
    if len(lines) != 1 + 2 * folds * each:
        raise InputError(
            f"{path}: expected {2 * folds * each} pairs ({folds} folds of {each} + {each}), got {len(lines) - 1}"
        )
    pairs = [_pair(path, number, line) for number, line in enumerate(lines[1:], 2)]
    fold = np.arange(len(pairs)) // (2 * each)
    mated = np.bincount(fold, weights=[a[0] == b[0] for a, b in pairs], minlength=folds)
    if (mated != each).any():
        wrong = int(np.flatnonzero(mated != each)[0])
        raise InputError(f"{path}, fold {wrong + 1}: expected {each} mated pairs, got {int(mated[wrong])}")
    return _found(path, pairs, fold, Path(image_root), name, license)


def cross_lfw_pairs(
    pairs_txt: str | os.PathLike[str],
    image_root: str | os.PathLike[str],
    *,
    name: str,
    license: str = "research benchmark",
) -> Pairs:
    """Read `pairs_CALFW.txt` or `pairs_CPLFW.txt`: two lines per pair, `<Name>_<number>.jpg flag`.

    The flag is 0 where the pictures show two people. The k-th mated and the k-th non-mated pair are in fold k // 300,
    whichever way the list interleaves them.

    Args:
        pairs_txt: the list.
        image_root: the folder of pictures.
        name: of the set, such as "calfw".
        license: terms of the pictures.

    Raises:
        InputError: the list is not of this form, a flag disagrees with the names, or pictures are missing.
        StoreError: the system refuses to read a file.
    """
    path = Path(pairs_txt)
    rows = [_flagged(path, n, line) for n, line in enumerate(text_of(path).splitlines(), 1) if line.strip()]
    if not rows or len(rows) % 2:
        raise InputError(f"{path}: expected two lines per pair, got {len(rows)} lines")
    pairs, fold, seen = [], [], {True: 0, False: 0}
    for (a, flag, line), (b, other, _) in zip(rows[::2], rows[1::2], strict=True):
        mated = a[0] == b[0]
        if flag != other or (flag != 0) != mated:
            raise InputError(
                f"{path}, line {line}: expected equal flags that are 0 exactly for two people, "
                f"got {flag} and {other} for {a[0]} and {b[0]}"
            )
        pairs.append((a, b))
        fold.append(seen[mated] // _CROSS_FOLD)
        seen[mated] += 1
    return _found(path, pairs, np.array(fold), Path(image_root), name, license)


def _pair(path: Path, number: int, line: str) -> tuple[_Key, _Key]:
    words = line.split("\t") if "\t" in line else line.split()
    words = [word.strip() for word in words]
    if len(words) == 3:
        words.insert(2, words[0])
    elif len(words) == 4 and words[0] == words[2]:
        words = []  # two people are announced and one is named
    if len(words) != 4 or not (words[1].isdecimal() and words[3].isdecimal()):
        raise InputError(f"{path}, line {number}: expected `Name i j` or `A i B j`, got {_shown([line])}")
    a, b = (words[0], int(words[1])), (words[2], int(words[3]))
    if a == b:
        raise InputError(f"{path}, line {number}: expected two pictures, got one against itself: {_shown([line])}")
    return a, b


def _flagged(path: Path, number: int, line: str) -> tuple[_Key, int, int]:
    words = line.split()
    match = _NUMBERED.fullmatch(Path(words[0]).stem)
    if len(words) != 2 or match is None or not words[1].lstrip("-").isdecimal():
        raise InputError(f"{path}, line {number}: expected `Name_0001.jpg flag`, got {_shown([line])}")
    return (match[1], int(match[2])), int(words[1]), number


def _found(
    path: Path, pairs: Sequence[tuple[_Key, _Key]], folds: np.ndarray, root: Path, name: str, license: str
) -> Pairs:
    """Pairs of names and numbers -> pairs of files."""
    where: dict[_Key, list[Path]] = {}
    for key, picture in _numbered(root):
        where.setdefault(key, []).append(picture)
    wanted = sorted({key for pair in pairs for key in pair})
    gone = [f"{person}_{n:04d}" for person, n in wanted if (person, n) not in where]
    if gone:
        first = ", ".join(gone[:5]) + (", ..." if len(gone) > 5 else "")
        raise InputError(f"{root}: {len(gone)} of the {len(wanted)} pictures of {path.name} are missing: {first}")
    twice = next((key for key in wanted if len(where[key]) > 1), None)
    if twice is not None:
        both = " and ".join(map(str, where[twice][:2]))
        raise InputError(f"{root}: expected each picture once, got {both}: name the folder of one release")
    subjects, names = indexed([person for person, _ in wanted])
    number = {key: i for i, key in enumerate(wanted)}
    dataset = Dataset(name, tuple(where[key][0] for key in wanted), subjects, names, license)
    left, right = (np.array([number[pair[side]] for pair in pairs]) for side in (0, 1))
    return Pairs(dataset, left, right, folds)


def _numbered(root: Path) -> Iterator[tuple[_Key, Path]]:
    for picture in list_pictures(root):
        match = _NUMBERED.fullmatch(picture.stem)
        if match is not None:
            yield (match[1], int(match[2])), picture


def _shown(lines: Sequence[str]) -> str:
    return repr(lines[0][:60]) if lines else "nothing"

"""Labeled Faces in the Wild and the sets made after it: a text file of pairs and a folder of pictures.

Formats: LFW and XQLFW (Huang et al. 2007, University of Massachusetts Amherst TR 07-49, README of the release), CALFW
(Zheng, Deng & Hu 2017, arXiv:1708.08197) and CPLFW (Zheng & Deng 2018, BUPT technical report 18-01).
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from vultus.errors import InputError
from vultus.io.datasets import _listed
from vultus.io.datasets._listed import NUMBERED, Numbered
from vultus.io.datasets.records import Pairs
from vultus.io.datasets.tables import text_of

__all__ = ["cross_lfw_pairs", "lfw_pairs"]


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
        raise InputError(
            f"{path}, line 1: expected `folds pairs` or `pairs`, such as `10 300`, got {_listed.shown(lines)}"
        )
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
    return _listed.found(path, pairs, fold, Path(image_root), NUMBERED, name, license)


def cross_lfw_pairs(
    pairs_txt: str | os.PathLike[str],
    image_root: str | os.PathLike[str],
    *,
    name: str,
    license: str = "research benchmark",
    per_fold: int = 300,
) -> Pairs:
    """Read `pairs_CALFW.txt` or `pairs_CPLFW.txt`: two lines per pair, `<Name>_<number>.jpg flag`.

    The flag is 0 where the pictures show two people. The k-th mated and the k-th non-mated pair are in fold k // 300,
    whichever way the list interleaves them: the published ones name all mated pairs first.

    Args:
        pairs_txt: the list.
        image_root: the folder of pictures.
        name: of the set, such as "calfw".
        license: terms of the pictures.
        per_fold: mated pairs, and as many non-mated ones, of each fold.

    Raises:
        InputError: the list is not of this form, a flag disagrees with the names, or pictures are missing.
        StoreError: the system refuses to read a file.
    """
    path = Path(pairs_txt)
    rows = [_flagged(path, n, line) for n, line in enumerate(text_of(path).splitlines(), 1) if line.strip()]
    if not rows or len(rows) % 2:
        raise InputError(f"{path}: expected two lines per pair, got {len(rows)} lines")
    pairs, same = [], []
    for (a, flag, line), (b, other, _) in zip(rows[::2], rows[1::2], strict=True):
        mated = a[0] == b[0]
        if flag != other or (flag != 0) != mated:
            raise InputError(
                f"{path}, line {line}: expected equal flags that are 0 exactly for two people, "
                f"got {flag} and {other} for {a[0]} and {b[0]}"
            )
        pairs.append((a, b))
        same.append(mated)
    folds = _listed.folds_in_order(path, same, per_fold)
    return _listed.found(path, pairs, folds, Path(image_root), NUMBERED, name, license)


def _pair(path: Path, number: int, line: str) -> tuple[Numbered, Numbered]:
    words = line.split("\t") if "\t" in line else line.split()
    words = [word.strip() for word in words]
    if len(words) == 3:
        words.insert(2, words[0])
    elif len(words) == 4 and words[0] == words[2]:
        words = []  # two people are announced and one is named
    if len(words) != 4 or not (words[1].isdecimal() and words[3].isdecimal()):
        raise InputError(f"{path}, line {number}: expected `Name i j` or `A i B j`, got {_listed.shown([line])}")
    a, b = (words[0], int(words[1])), (words[2], int(words[3]))
    if a == b:
        raise InputError(
            f"{path}, line {number}: expected two pictures, got one against itself: {_listed.shown([line])}"
        )
    return a, b


def _flagged(path: Path, number: int, line: str) -> tuple[Numbered, int, int]:
    words = line.split()
    key = NUMBERED.key(Path(words[0]))
    if len(words) != 2 or key is None or not words[1].removeprefix("-").isdecimal():
        raise InputError(f"{path}, line {number}: expected `Name_0001.jpg flag`, got {_listed.shown([line])}")
    return key, int(words[1]), number

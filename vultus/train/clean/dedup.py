"""What is in a collection twice, and who is in it that a test set is about.

A picture that is there again, smaller or saved anew, is told by its hash. A person of a test set is told by a name that
is spelled nearly alike, confirmed by the face where faces of the test set are at hand.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.ops.phash import BITS, bits_apart
from vultus.types import F32, checked

__all__ = ["HeldOut", "edit_distance", "near_names", "plain_name", "repeats"]

_LETTERS_PER_EDIT = 4  # a name may differ by one edit for so many letters: "Li" is not nearly "Lu"
_BLOCK = 512


def repeats(hashes: ArrayLike, most: int) -> NDArray[np.int64]:
    """Which picture each one repeats, going from the first on.

    Args:
        hashes: (N,) of `vultus.ops.phash.phash`, the one to keep before the others.
        most: bits by which two hashes of one picture may differ.

    Returns:
        (N,) index of the first kept picture that is so near, or -1 where there is none and it is kept.

    Raises:
        InputError: if `most` is no number of bits or a hash is none.
    """
    if not 0 <= most < BITS // 2:
        raise InputError(f"most: expected 0 to {BITS // 2 - 1} bits, got {most}")
    near = bits_apart(hashes, hashes) <= most
    found = np.full(len(near), -1, np.int64)
    for i in range(1, len(near)):
        before = np.flatnonzero(near[i, :i] & (found[:i] < 0))
        if len(before):
            found[i] = before[0]
    return found


def plain_name(name: str) -> str:
    """A name without case, accents, punctuation and order of its words: "Muller_Ann" and "Ann MÜLLER" are one."""
    letters = "".join(c for c in unicodedata.normalize("NFKD", name.casefold()) if not unicodedata.combining(c))
    return " ".join(sorted(re.sub(r"[\W_]+", " ", letters).split()))


def edit_distance(a: str, b: str) -> int:
    """Fewest letters to insert, delete or replace that turn one text into the other (Levenshtein)."""
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        above, row[0] = row[0], i
        for j, other in enumerate(b, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (letter != other))
    return row[-1]


def near_names(names: Sequence[str], others: Sequence[str], most: int = 2) -> list[tuple[int, int, int]]:
    """Pairs of names that are spelled nearly alike.

    Args:
        names: N of them.
        others: M of them.
        most: edits at most; and at most one for four letters of the shorter name.

    Returns:
        (index into names, index into others, edits) of each pair, by index.

    Raises:
        InputError: if `most` is negative.
    """
    if most < 0:
        raise InputError(f"most: expected at least 0 edits, got {most}")
    left, right = [plain_name(name) for name in names], [plain_name(name) for name in others]
    counted = _letters(right)
    found = []
    for start in range(0, len(left), _BLOCK):
        block = _letters(left[start : start + _BLOCK])
        for i, counts in enumerate(block, start):
            surplus = counts - counted  # an edit changes the surplus of either side by one at most
            bound = np.maximum(np.maximum(surplus, 0).sum(axis=1), np.maximum(-surplus, 0).sum(axis=1))
            for j in np.flatnonzero(bound <= most).tolist():
                edits = edit_distance(left[i], right[j])
                if edits <= min(most, min(len(left[i]), len(right[j])) // _LETTERS_PER_EDIT):
                    found.append((i, j, edits))
    return found


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """People who must not be in a training set, because a test set is about them.

    Attributes:
        names: one per person.
        vectors: (M, D) a unit vector of each, in the space of the collection; None where names alone decide.
        edits: how many letters names may differ in; see `near_names`.
        confirm: cosine above which a face confirms that a near name is the same person.
        alone: cosine above which a face is enough, whatever the name; None: never.

    Raises:
        InputError: if vectors are not one a name.
    """

    names: tuple[str, ...]
    vectors: F32 | None = None
    edits: int = 2
    confirm: float = 0.3
    alone: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.names))
        if self.vectors is not None:
            object.__setattr__(self, "vectors", checked("vectors", self.vectors, (len(self.names), None)))

    def reasons(self, names: Sequence[str], vectors: ArrayLike) -> list[str]:
        """For each person of a collection why it must be left out, "" where nothing speaks against it.

        Args:
            names: N of them.
            vectors: (N, D) a unit vector of each.

        Raises:
            InputError: if vectors are not one a name, or of another width than those of the test set.
        """
        rows = checked("vectors", vectors, (len(names), None))
        found = [""] * len(names)
        alike = None
        if self.vectors is not None and len(self.names):
            alike = rows @ checked("vectors", self.vectors, (None, rows.shape[1])).T
        for i, j, edits in near_names(names, self.names, self.edits):
            if not found[i] and (alike is None or alike[i, j] > self.confirm):
                found[i] = f"{edits} edits from {self.names[j]!r} of the test set"
        if alike is not None and self.alone is not None and len(names):
            for i in np.flatnonzero(alike.max(axis=1) > self.alone).tolist():
                found[i] = found[i] or f"looks like {self.names[int(alike[i].argmax())]!r} of the test set"
        return found


def _letters(names: Sequence[str]) -> NDArray[np.int64]:
    """(N, 64) how often each letter occurs; letters that share a place only weaken the bound."""
    counts = np.zeros((len(names), 64), np.int64)
    for row, name in zip(counts, names, strict=True):
        for letter in name:
            row[ord(letter) % 64] += 1
    return counts

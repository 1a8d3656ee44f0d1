"""The pairs of an InsightFace .bin with each picture once, and as much about its people as the file gives away.

A .bin stores a picture once for every pair it is in, and does not say who is on it. Pictures of equal bytes are one
picture here; pictures that are linked by mated pairs show one person. That finds people of several pairs, and misses
those whose pictures are linked by no pair: people are at least as few as this says.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vultus.io.datasets.insight_bin import AlignedPairs
from vultus.types import Image

__all__ = ["BinPairs", "bin_pairs"]

I64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class BinPairs:
    """Pairs of aligned pictures, as protocols of pairs need them.

    Attributes:
        source: what was read.
        place: (N,) where each picture first stands in `source.encoded`.
        subjects: (N,) person of each picture, as far as the file tells.
        left: (P,) first picture of each pair, an index into `paths`.
        right: (P,) second picture.
        linked: False where the file contradicts itself (two people who are linked by mated pairs): then every pair has
            people of its own.
    """

    source: AlignedPairs
    place: I64
    subjects: I64
    left: I64
    right: I64
    linked: bool

    def __len__(self) -> int:
        return len(self.left)

    @property
    def name(self) -> str:
        """Of the set."""
        return self.source.name

    @property
    def tier(self) -> str:
        """Of the data: "real" or "sim"."""
        return self.source.tier

    @property
    def folds(self) -> I64:
        """(P,) fold of each pair."""
        return self.source.folds

    @property
    def paths(self) -> tuple[Path, ...]:
        """(N,) FILE#PICTURE of each: names, not files."""
        return tuple(Path(self.source.where(int(i))) for i in self.place)

    def read(self, i: int) -> Image:
        """Decode picture i of the N.

        Raises:
            InputError: it is not a picture.
        """
        return self.source.read(int(self.place[i]))


def bin_pairs(source: AlignedPairs) -> BinPairs:
    """Equal pictures become one; mated pairs link pictures to people.

    Args:
        source: what `vultus.io.datasets.insight_bin.insight_bin` read.
    """
    first: dict[bytes, int] = {}
    number = np.array([first.setdefault(picture, len(first)) for picture in source.encoded], np.int64)
    place = np.unique(number, return_index=True)[1]
    left, right = number[0::2], number[1::2]
    subjects = _linked(len(place), left[source.same], right[source.same])
    if (subjects[left] == subjects[right])[~source.same].any():
        # every pair for itself: pictures are stored once per pair again
        place = np.arange(len(source.encoded))
        subjects = np.arange(len(place))
        subjects[1::2][source.same] = subjects[0::2][source.same]
        return BinPairs(source, place, subjects, place[0::2], place[1::2], False)
    return BinPairs(source, place, subjects, left, right, True)


def _linked(n: int, left: I64, right: I64) -> I64:
    """(n,) the smallest picture that each is linked to."""
    root = np.arange(n)
    for a, b in zip(left.tolist(), right.tolist(), strict=True):
        ends = []
        for i in (a, b):
            while root[i] != i:
                root[i] = root[root[i]]
                i = int(root[i])
            ends.append(i)
        root[max(ends)] = min(ends)
    for i in range(n):
        root[i] = root[root[i]]
    return root

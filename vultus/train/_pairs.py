"""Pairs of pictures by their place in the order of all pairs (0, 1), (0, 2), ..., (1, 2), ..., which is never built."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["Mated", "NonMated"]

I64 = NDArray[np.int64]


class _Groups:
    """Who has the same label: of each picture those after it."""

    def __init__(self, labels: I64) -> None:
        n = len(labels)
        self._order = np.argsort(labels, kind="stable")
        self._place = np.empty(n, np.int64)
        self._place[self._order] = np.arange(n)
        self._end = np.searchsorted(labels[self._order], labels, side="right")
        self.counts: I64 = self._end - self._place - 1

    def after(self, i: int) -> I64:
        found: I64 = self._order[self._place[i] + 1 : self._end[i]]
        return found


class Mated:
    """Pairs of one label, which is not -1; where `apart` is given, of two values of it.

    Attributes:
        total: how many there are.
    """

    def __init__(self, labels: I64, apart: I64 | None = None) -> None:
        self._groups, self._apart = _Groups(labels), apart
        counts = self._groups.counts
        if apart is not None:
            _, both = np.unique(np.stack([labels, apart]), axis=1, return_inverse=True)
            counts = counts - _Groups(both.reshape(-1)).counts
        self._counts: I64 = np.where(labels >= 0, counts, 0)
        self.total = int(self._counts.sum())

    def at(self, ranks: I64) -> tuple[I64, I64]:
        """Left and right of the pairs at these places, which rise."""
        return _unranked(self._counts, ranks, self._picked)

    def _picked(self, i: int, ranks: I64) -> I64:
        found = self._groups.after(i)
        return (found if self._apart is None else found[self._apart[found] != self._apart[i]])[ranks]


class NonMated:
    """Pairs of two labels; -1 is a label like others.

    Attributes:
        total: how many there are.
    """

    def __init__(self, labels: I64) -> None:
        self._groups = _Groups(labels)
        self._counts: I64 = np.arange(len(labels))[::-1] - self._groups.counts
        self.total = int(self._counts.sum())

    def at(self, ranks: I64) -> tuple[I64, I64]:
        """Left and right of the pairs at these places, which rise."""
        return _unranked(self._counts, ranks, self._picked)

    def _picked(self, i: int, ranks: I64) -> I64:
        same = self._groups.after(i) - (i + 1)
        passed = np.searchsorted(same - np.arange(len(same)), ranks, side="right")
        return i + 1 + ranks + passed


def _unranked(counts: I64, ranks: I64, picked: Callable[[int, I64], I64]) -> tuple[I64, I64]:
    """Pairs by their places, where picture i is the left one of counts[i]."""
    ends = np.cumsum(counts)
    left = np.searchsorted(ends, ranks, side="right").astype(np.int64)
    within, right = ranks - (ends - counts)[left] if len(ranks) else ranks, np.empty(len(ranks), np.int64)
    starts = np.flatnonzero(np.diff(left, prepend=-1)).tolist()
    for start, end in zip(starts, [*starts[1:], len(ranks)], strict=True):
        right[start:end] = picked(int(left[start]), within[start:end])
    return left, right

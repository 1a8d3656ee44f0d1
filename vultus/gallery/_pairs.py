"""Every picture against every other one, block by block, and the intervals that follow from who is on them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError
from vultus.ops import stats
from vultus.types import F32, Metric, checked

_BLOCK = 1 << 22  # scores held at a time
_Z95 = 1.959963984540054  # 97.5 % point of the normal distribution

Block = tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]


class AllPairs:
    """All unordered pairs of N pictures of S people.

    Attributes:
        vectors: (N, D) unit rows.
        who: (N,) index of the person, 0..S-1.
        sizes: (S,) pictures of each person.
    """

    def __init__(self, vectors: F32, subjects: NDArray[np.int64]) -> None:
        self.vectors = checked("vectors", vectors, (None, None))
        names, self.who = np.unique(checked("subjects", subjects, (len(self.vectors),), np.int64), return_inverse=True)
        if len(names) < 2:
            raise InputError(f"subjects: expected pictures of at least two people, got {len(names)}")
        length = np.linalg.norm(self.vectors, axis=1)
        if not np.allclose(length, 1.0, atol=1e-3):
            raise InputError(f"vectors: expected unit rows, got lengths from {length.min():.4f} to {length.max():.4f}")
        self.sizes = np.bincount(self.who)

    def blocks(self) -> Iterator[Block]:
        """Scores, whether mated, and both pictures; the same numbers at every pass."""
        n = len(self.vectors)
        rows = max(1, _BLOCK // n)
        for start in range(0, n, rows):
            part = self.vectors[start : start + rows]
            scores = np.clip(part @ self.vectors[start:].T, -1.0, 1.0).astype(np.float64)
            first, second = np.nonzero(np.triu(np.ones(scores.shape, np.bool_), 1))
            a, b = first + start, second + start
            yield scores[first, second], self.who[a] == self.who[b], a, b

    def bootstrap(self, taus: NDArray[np.float64], rng: np.random.Generator, n_boot: int) -> list[Metric]:
        """FMR at each threshold with its subject-bootstrap interval; holds every score above the smallest one."""
        if not len(taus):
            return []
        found = []
        for scores, same, a, b in self.blocks():
            hit = (scores >= taus.min()) & ~same
            found.append((scores[hit], np.stack([self.who[a[hit]], self.who[b[hit]]], axis=1)))
        high, people = np.concatenate([f[0] for f in found]), np.concatenate([f[1] for f in found])
        return [
            stats.fmr_interval_all_pairs(people[high >= tau], self.sizes, rng=rng, n_boot=n_boot, min_errors=0)
            for tau in taus
        ]

    def jackknife(self, taus: NDArray[np.float64]) -> list[Metric]:
        """FMR at each threshold with the interval of leaving out one person at a time."""
        people = len(self.sizes)
        errors = np.zeros((len(taus), people))
        for scores, same, a, b in self.blocks():
            for row, tau in zip(errors, taus, strict=True):
                hit = (scores >= tau) & ~same
                row += np.bincount(self.who[a[hit]], minlength=people) + np.bincount(self.who[b[hit]], minlength=people)
        compared = (self.sizes * (self.sizes.sum() - self.sizes)).astype(np.float64)
        results = []
        for touched in errors:
            wrong, of = touched.sum() / 2, compared.sum() / 2
            left = (wrong - touched) / np.maximum(of - compared, 1)
            spread = ((people - 1) / people * ((left - left.mean()) ** 2).sum()) ** 0.5
            value = wrong / of
            low, high = max(0.0, value - _Z95 * spread), min(1.0, value + _Z95 * spread)
            results.append(Metric(value, low, high, "share", people))
        return results

"""Rank-order: two faces are of one person when they share their nearest faces (Zhu, Wen and Sun 2011).

Cites: doi:10.1109/CVPR.2011.5995680 (A rank-order distance based clustering algorithm for face tagging).

Differs: only the first `neighbors` places of each list are known, a face beyond them has rank `neighbors` (as in Otto,
Wang and Jain 2018); pairs below a cosine are never candidates; honors must-link (joined first) and cannot-link (a
transitive merge leaves the pair of greatest rank-order distance out).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.gallery.cluster._edges import nearest
from vultus.gallery.cluster._links import Links, linked, rows_of, score_of, whole
from vultus.gallery.cluster._merge import chained, numbered

__all__ = ["RankOrder"]

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

_PAIRS = 1 << 16  # whose lists are laid side by side at a time


@dataclass(frozen=True)
class RankOrder:
    """Distances between lists of neighbors. Adapts to how dense a neighborhood is; does not know error rates.

    Args:
        threshold: cosine below which two clusters (their nearest faces) are not joined.
        rank_distance: normalized rank-order distance up to which they are.
        neighbors: length of the lists.
        around: how many nearest faces say how dense a cluster is (K of the paper).
        min_faces: smaller clusters are noise.
    """

    threshold: float
    rank_distance: float = 14.0
    neighbors: int = 100
    around: int = 9
    min_faces: int = 2

    def cluster(
        self, vectors: ArrayLike, *, cannot_link: ArrayLike | None = None, must_link: ArrayLike | None = None
    ) -> I64:
        """Labels of faces; see `vultus.contracts.Clusterer`.

        Args:
            vectors: (N, D) unit rows.
            cannot_link: (M, 2) indices of faces of two people.
            must_link: (M, 2) indices of faces of one person.

        Returns:
            (N,) cluster of each face, 0 to K - 1 by first face; -1 is noise.

        Raises:
            InputError: if shapes, numbers or constraints are wrong, or the constraints contradict each other.
        """
        rows = rows_of("vectors", vectors)
        links = linked(len(rows), must_link, cannot_link)
        farthest = 1.0 - score_of("threshold", self.threshold)
        length = min(whole("neighbors", self.neighbors), max(len(rows) - 1, 0))
        near, score = nearest(rows, length)
        away = 1.0 - score.astype(np.float64)
        around = away[:, : whole("around", self.around)].mean(1) if length else np.zeros(len(rows))
        _, first = np.unique(links.group, return_index=True)
        part, done = links.group, length == 0
        while not done:
            size = np.bincount(part)
            lists = Lists.of(np.repeat(part, length), part[near.ravel()], away.ravel(), len(size), length)
            a, b = lists.within(np.bincount(part, around) / size, size, farthest)
            apart = rank_distance(lists, a, b)
            close = (
                apart < self.rank_distance
            )  # equation 6 with 5 and the densities of 7: all pairs at once, transitively
            kept = np.unique(np.sort(part[first][links.apart], axis=1), axis=0)
            now = Links(np.arange(len(size)), len(size), kept, np.zeros(len(size), np.bool_))
            _, joined = np.unique(chained(now, a[close], b[close], -apart[close]), return_inverse=True)
            part, done = joined[part], int(joined.max()) + 1 == len(size)
        bound = np.zeros(int(part.max(initial=-1)) + 1, np.bool_)
        bound[part[links.bound[links.group]]] = True
        return numbered(part, (np.bincount(part) >= whole("min_faces", self.min_faces)) | bound)


@dataclass(frozen=True, eq=False)
class Lists:
    """The nearest others of each of n faces or clusters, nearest first.

    Attributes:
        start: (n + 1,) list of c is `member[start[c]:start[c + 1]]`.
        member: others.
        away: their distances.
        beyond: rank of whoever is in no list.
        key: (M,) c * n + member, rising.
        place: (M,) rank of each key, from 1.
    """

    start: I64
    member: I64
    away: F64
    beyond: int
    key: I64
    place: I64

    @classmethod
    def of(cls, source: I64, member: I64, away: F64, n: int, length: int) -> Lists:
        """From pairs in any order, both directions of which count: the shortest of equal ones, the nearest `length`."""
        other = source != member
        key = np.concatenate([(source * n + member)[other], (member * n + source)[other]])
        far = np.concatenate([away[other], away[other]])
        order = np.lexsort((far, key))
        order = order[np.flatnonzero(np.diff(key[order], prepend=-1))]
        key, far = key[order], far[order]
        order = np.lexsort((key, far, key // n))
        rank = np.arange(len(key)) - np.searchsorted((key // n)[order], (key // n)[order]) + 1
        order, rank = order[rank <= length], rank[rank <= length]
        key, far = key[order], far[order]
        start = np.searchsorted(key // n, np.arange(n + 1))
        rising = np.argsort(key)
        return cls(start, key % n, far, length, key[rising], rank[rising])

    def rank(self, of: I64, other: I64) -> I64:
        """O_of(other): 0 for itself, then 1, 2, ...; `beyond` where it stands in no list."""
        wanted = of * (len(self.start) - 1) + other
        at = np.minimum(np.searchsorted(self.key, wanted), max(len(self.key) - 1, 0))
        known = self.key[at] == wanted
        return np.where(of == other, 0, np.where(known, self.place[at], self.beyond))

    def within(self, density: F64, size: I64, farthest: float) -> tuple[I64, I64]:
        """Pairs of clusters nearer than `farthest` and than the faces of both are to their own nearest (equation 7)."""
        n = len(self.start) - 1
        a, b = np.repeat(np.arange(n), np.diff(self.start)), self.member
        usual = (size[a] * density[a] + size[b] * density[b]) / (size[a] + size[b])
        near = (self.away <= farthest) & (self.away <= usual)  # equal faces are no farther than their nearest
        key = np.unique(np.minimum(a, b)[near] * n + np.maximum(a, b)[near])
        return key // n, key % n


def rank_distance(lists: Lists, a: I64, b: I64) -> F64:
    """(P,) normalized rank-order distance of pairs: (D(a, b) + D(b, a)) / min(O_a(b), O_b(a)) (equations 3 and 4).

    D(a, b) is the sum, over a and the list of a up to b, of the ranks in the list of b.
    """
    total = np.zeros(len(a))
    for one, other in ((a, b), (b, a)):
        upto = np.minimum(lists.rank(one, other), lists.start[one + 1] - lists.start[one])
        total += lists.rank(other, one)
        for begin in range(0, len(a), _PAIRS):
            some = slice(begin, begin + _PAIRS)
            pair = np.repeat(np.arange(len(a))[some], upto[some])
            step = np.arange(len(pair)) - np.repeat(np.cumsum(upto[some]) - upto[some], upto[some])
            ranks = lists.rank(other[pair], lists.member[lists.start[one[pair]] + step])
            total += np.bincount(pair, ranks, len(a))
    return total / np.maximum(np.minimum(lists.rank(a, b), lists.rank(b, a)), 1)

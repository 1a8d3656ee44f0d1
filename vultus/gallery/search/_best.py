"""The best k of a stream of scores, per person or per row, for many queries at once and without a loop over rows.

A bar per query, the k-th best so far, keeps almost everything out by one comparison. Scores of a fast scan are off by
at most `slack`; what lies within twice of that below the bar is kept, so that the exact scores, which are computed for
the survivors alone, decide. What is returned is therefore the exact answer, in the same order whatever scanned.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.gallery.search._rows import I64
from vultus.types import F32

__all__ = ["Best", "best_of_each", "in_reach", "rank_in_query"]

PENDING = 4096  # candidates that may wait before they are sorted: few sorts, and each still under a millisecond
CROWDED = 16  # where more than one score in so many passes the bar, only the best photos of each person are looked at


class Best:
    """Candidates of every query.

    Args:
        queries: how many.
        k: how many groups are wanted of each.
        slack: how far a score handed in may be from the exact one.
    """

    def __init__(self, queries: int, k: int, slack: float) -> None:
        self.k, self._slack = k, np.float32(2 * slack)
        self.bar = np.full(queries, -np.inf, np.float32)  # nothing below it can be among the k best
        self.query, self.row, self.group = (np.empty(0, np.int64) for _ in range(3))
        self.score = np.empty(0, np.float32)
        self._pending: list[tuple[I64, I64, I64, F32]] = []
        self._waiting = 0

    def offer(self, scores: F32, rows: I64, groups: NDArray[Any]) -> None:
        """Scores (Q, C) of C rows with every query, and the group of each row; -inf keeps a pair out."""
        flat = np.flatnonzero(scores >= np.maximum(self.bar, np.finfo(np.float32).min)[:, None])
        if len(flat) > scores.size // CROWDED:
            scores = self._best_photos(scores, groups)
            flat = np.flatnonzero(scores >= np.maximum(self.bar, np.finfo(np.float32).min)[:, None])
        query, column = np.divmod(flat, scores.shape[1])
        self.add(query, rows[column], groups[column].astype(np.int64), scores.ravel()[flat])
        if np.isneginf(self.bar).any():
            self.compress()

    def add(self, query: I64, rows: I64, groups: I64, scores: F32) -> None:
        """Scores of pairs, each with its query."""
        self._pending.append((query, rows, groups, scores))
        self._waiting += len(rows)
        if self._waiting > PENDING + 8 * self.k * len(self.bar):
            self.compress()

    def _best_photos(self, scores: F32, groups: NDArray[Any]) -> F32:
        """Scores with -inf wherever the same group has a better one: few people of many photos would crowd the rest."""
        order = np.argsort(groups, kind="stable")
        starts = np.flatnonzero(np.r_[True, np.diff(groups[order]) != 0])
        best = np.maximum.reduceat(scores[:, order], starts, axis=1) - self._slack
        place = np.empty(len(order), np.int64)
        place[order] = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(order)]))
        thinned: F32 = np.where(scores >= best[:, place], scores, -np.inf)
        return thinned

    def compress(self) -> None:
        """Forget what cannot be among the k best any more, and raise the bars."""
        parts = [(self.query, self.row, self.group, self.score), *self._pending]
        query, row, group, score = (np.concatenate(column) for column in zip(*parts, strict=True))
        self._pending, self._waiting = [], 0
        if not len(query):
            return
        order, first, segment = best_of_each(query, group, score)
        query, row, group, score = query[order], row[order], group[order], score[order]
        top = score[first]
        by_score = np.lexsort((-top, query[first]))
        rank = rank_in_query(query[first][by_score])
        kth = by_score[rank == self.k - 1]
        self.bar[query[first[kth]]] = top[kth] - self._slack
        keep = (score >= top[segment] - self._slack) & (score >= self.bar[query])
        self.query, self.row, self.group, self.score = query[keep], row[keep], group[keep], score[keep]


def in_reach(scores: F32, groups: I64, k: int, slack: float) -> NDArray[np.bool_]:
    """Which rows of one query can be the best of one of its k best groups, or tie with one."""
    order = np.argsort(-scores)
    _, first = np.unique(groups[order], return_index=True)
    if len(first) < k:
        return np.ones(len(scores), bool)
    kth = np.partition(first, k - 1)[k - 1]
    keep: NDArray[np.bool_] = scores >= scores[order[kth]] - np.float32(2 * slack)
    return keep


def best_of_each(query: I64, group: I64, score: NDArray[Any], tie: NDArray[Any] | None = None) -> tuple[I64, I64, I64]:
    """Order by query, group and falling score.

    Returns:
        order; the positions in that order where a group of a query begins, with its best; the number of the group that
        each position belongs to.
    """
    keys = (-score, group, query) if tie is None else (tie, -score, group, query)
    order = np.lexsort(keys)
    query, group = query[order], group[order]
    new = np.ones(len(order), bool)
    new[1:] = (query[1:] != query[:-1]) | (group[1:] != group[:-1])
    return order, np.flatnonzero(new), np.cumsum(new) - 1


def rank_in_query(query: I64) -> I64:
    """Position of each element within its run of equal queries; the queries are sorted."""
    starts = np.flatnonzero(np.r_[True, query[1:] != query[:-1]])
    rank: I64 = np.arange(len(query)) - np.repeat(starts, np.diff(np.r_[starts, len(query)]))
    return rank

"""Scan every row: float32 by matrix product, or int8 codes whose rounding error is known and therefore harmless.

Rows are taken in pieces, so that no more than a few megabytes of scores are held; the first pieces are small, so that
the bar of `Best` is up before the large ones come.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.gallery.search._best import Best, best_of_each, rank_in_query
from vultus.gallery.search._rows import I64, Columns, Rows
from vultus.types import F32

__all__ = ["Allowed", "exact_scores", "float_slack", "quantized", "ranked", "scan"]

FIRST_PIECE = 256  # rows of the first piece; each is twice the last, up to the largest
LARGEST_SCORES = 1 << 22  # of one piece (rows x queries), 16 MB: in small pieces the threads of a product meet often
LARGEST_PIECE = 1 << 18
LARGEST_INT8 = 1 << 12  # rows turned from int8 to float32 at a time
GATHER_BELOW = 0.25  # a filter that lets less than this share through is followed row by row, else rows are masked


class Allowed:
    """What one search looks at: unit queries, and the rows that are allowed.

    Attributes:
        queries: (Q, D) float32.
        rows: the allowed rows, ascending, or None for all.
        mask: (N,) which rows those are, or None for all.
        gather: whether so few are allowed that they are fetched one by one.
    """

    def __init__(self, queries: F32, mask: NDArray[np.bool_] | None) -> None:
        self.queries, self.mask = queries, mask
        self.rows = None if mask is None else np.flatnonzero(mask)
        self.gather = mask is not None and int(mask.sum()) < GATHER_BELOW * len(mask)


def float_slack(dim: int) -> float:
    """Largest error of a float32 dot product of unit vectors, whatever the order of summation."""
    return float((dim + 2) * 2.0**-24 * 1.01)


def quantized(vectors: F32) -> Columns:
    """int8 codes of rows, one scale a row, and the length of what rounding took away.

    By Cauchy and Schwarz no score with a unit query is off by more than that length.
    """
    scale = np.maximum(np.abs(vectors).max(axis=1, initial=0.0), np.finfo(np.float32).tiny) / np.float32(127)
    codes = np.rint(vectors / scale[:, None]).astype(np.int8)
    lost = np.linalg.norm(vectors - codes * scale[:, None], axis=1)
    return {"int8": codes, "scale": scale.astype(np.float32), "lost": lost.astype(np.float32)}


def scan(rows: Rows, what: Allowed, best: Best, *, column: str, per_row: bool) -> None:
    """Offer the score of every allowed row with every query to `best`; `column` is "vector" or "int8"."""
    count = len(what.queries)
    room = np.empty(count * max(FIRST_PIECE, min(LARGEST_PIECE, LARGEST_SCORES // count)), np.float32)
    for numbers, chosen in _pieces(rows, what, column):
        scores = room[: count * len(numbers)].reshape(count, -1)  # one place for all scores: no new memory each time
        np.matmul(what.queries, chosen[column].astype(np.float32, copy=False).T, out=scores)
        if column == "int8":
            scores *= chosen["scale"]
        if what.mask is not None and not what.gather:
            scores[:, ~what.mask[numbers]] = -np.inf
        best.offer(scores, numbers, numbers if per_row else chosen["group"])


def _pieces(rows: Rows, what: Allowed, column: str) -> Iterator[tuple[I64, Columns]]:
    names = (column, "group") + (("scale",) if column == "int8" else ())
    largest = max(FIRST_PIECE, min(LARGEST_PIECE, LARGEST_SCORES // max(len(what.queries), 1)))
    if column == "int8":
        largest = min(largest, LARGEST_INT8)
    if what.gather and what.rows is not None:
        largest = min(largest, LARGEST_INT8)
        for start, end in _growing(len(what.rows), largest):
            numbers = what.rows[start:end]
            yield numbers, {name: rows.take(name, numbers) for name in names}
        return
    for views in zip(*(rows.pieces(name) for name in names), strict=True):
        first, length = views[0][0], len(views[0][1])
        for start, end in _growing(length, largest):
            chosen = {name: view[start:end] for name, (_, view) in zip(names, views, strict=True)}
            yield np.arange(first + start, first + end), chosen


def _growing(length: int, largest: int) -> Iterator[tuple[int, int]]:
    start, size = 0, min(FIRST_PIECE, largest)
    while start < length:
        yield start, min(start + size, length)
        start, size = start + size, min(2 * size, largest)


def exact_scores(vectors: F32, queries: F32) -> F32:
    """Cosines of (M, D) rows with (M, D) queries, row by row: summed in float64, so that each is the float32 nearest
    to the true value, and equal rows have equal scores wherever they lie.
    """
    sums = (vectors.astype(np.float64) * queries).sum(axis=1)
    scores: F32 = np.clip(sums, -1.0, 1.0).astype(np.float32)
    return scores


def ranked(best: Best, rows: Rows, queries: F32, k: int) -> tuple[I64, I64, I64, F32]:
    """Score the survivors exactly and rank them.

    Returns:
        (query, rank, row, score), four arrays of one length.
    """
    best.compress()
    scores = np.empty(len(best.row), np.float32)
    for start in range(0, len(scores), LARGEST_INT8):
        some = slice(start, start + LARGEST_INT8)
        scores[some] = exact_scores(rows.take("vector", best.row[some]), queries[best.query[some]])
    _, tie = np.unique(rows.take("key", best.row), return_inverse=True)
    order, first, _ = best_of_each(best.query, best.group, scores, tie)
    top = order[first]
    top = top[np.lexsort((tie[top], -scores[top], best.query[top]))]
    rank = rank_in_query(best.query[top]) if len(top) else np.empty(0, np.int64)
    some_rank: Any = rank < k
    top, rank = top[some_rank], rank[some_rank]
    return best.query[top], rank, best.row[top], scores[top]

"""The pairs of faces that reach a score, found block by block: no matrix of all pairs is ever held."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError
from vultus.types import F32

__all__ = ["MAX_EDGES", "Edges", "Neighbors", "edges_above", "nearest", "neighbors"]

I64 = NDArray[np.int64]

MAX_EDGES = 1 << 26  # 67 million, 1.3 GB
_SCORES = 1 << 24  # of one block: 64 MB


class Edges(NamedTuple):
    """Pairs of faces, each once.

    Attributes:
        i: (E,) first face.
        j: (E,) second face, always another one.
        score: (E,) cosine.
        degree: (N,) how many faces reach the score with each face (without itself).
    """

    i: I64
    j: I64
    score: F32
    degree: I64


class Neighbors(NamedTuple):
    """Edges as lists per face: face f has `face[start[f]:start[f + 1]]`."""

    start: I64
    face: I64
    score: F32


def edges_above(rows: F32, threshold: float, *, query: I64 | None = None, most: int | None = None) -> Edges:
    """Every pair of faces whose cosine is at least `threshold`.

    Args:
        rows: (N, D) unit rows.
        threshold: cosine.
        query: faces of which the pairs with any face are wanted, each once; None means all. The degree is right for
            these only.
        most: keep only pairs of which one face is among the `most` nearest of the other; None keeps all. Degrees count
            all, so this bounds memory and nothing else.

    Raises:
        InputError: if `most` is None and there are more than `MAX_EDGES` pairs.
    """
    n = len(rows)
    order, asked = np.arange(n), n
    if query is not None:
        order, asked = np.concatenate([query, np.setdiff1d(order, query)]), len(query)
        rows = rows[order]
    degree = np.zeros(n, np.int64)
    found, kept, start = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))], 0, 0
    while start < asked:
        stop = min(asked, start + max(1, _SCORES // (n - start)))
        scores = rows[start:stop] @ rows[start:].T  # every pair once: only what comes after a face
        first, second = np.nonzero(scores >= threshold)
        later = second > first
        first, second = first[later], second[later]
        i, j = first + start, second + start
        found.append((i, j, scores[first, second]))
        degree += np.bincount(i, minlength=n) + np.bincount(j, minlength=n)
        kept, start = kept + len(i), stop
        if most is not None and kept > max(2 * n * most, 1 << 20):
            found = [_thinned(n, *_joined(found), most)]
            kept = len(found[0][0])
        if kept > MAX_EDGES and most is None:
            raise InputError(
                f"threshold: expected at most {MAX_EDGES:,} pairs of faces at {threshold:.3f} or above, found more; "
                "raise the threshold, or use the row `incremental`, which keeps the nearest faces of each face only"
            )
    i, j, score = _joined(found)
    if most is not None:
        i, j, score = _thinned(n, i, j, score, most)
    counted = np.zeros(n, np.int64)
    counted[order] = degree
    return Edges(order[i], order[j], np.clip(score, -1.0, 1.0), counted)


def _joined(found: list[tuple[I64, I64, F32]]) -> tuple[I64, I64, F32]:
    i, j, score = (np.concatenate(part) for part in zip(*found, strict=True))
    return i, j, score


def _thinned(n: int, i: I64, j: I64, score: F32, most: int) -> tuple[I64, I64, F32]:
    """The pairs that are among the `most` best of one of their faces; equal ones by index."""
    source, other = np.concatenate([i, j]), np.concatenate([j, i])
    order = np.lexsort((other, -np.concatenate([score, score]), source))
    start = np.searchsorted(source[order], np.arange(n))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - start[source[order]]
    keep = np.minimum(rank[: len(i)], rank[len(i) :]) < most
    return i[keep], j[keep], score[keep]


def nearest(rows: F32, k: int) -> tuple[I64, F32]:
    """(N, k) other faces, nearest first, and their cosines; k at most N - 1."""
    n = len(rows)
    index, score = np.zeros((n, k), np.int64), np.zeros((n, k), np.float32)
    if k == 0:
        return index, score
    step = max(1, _SCORES // n)
    for block in (np.arange(start, min(n, start + step)) for start in range(0, n, step)):
        scores = np.clip(rows[block] @ rows.T, -1.0, 1.0)
        scores[np.arange(len(block)), block] = -np.inf
        best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        value = np.take_along_axis(scores, best, 1)
        order = np.lexsort((best, -value), axis=1)
        index[block], score[block] = np.take_along_axis(best, order, 1), np.take_along_axis(value, order, 1)
    return index, score


def neighbors(n: int, edges: Edges) -> Neighbors:
    """Both directions of every edge, by face."""
    source = np.concatenate([edges.i, edges.j])
    order = np.argsort(source, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(source, minlength=n))]).astype(np.int64)
    other, score = np.concatenate([edges.j, edges.i])[order], np.concatenate([edges.score, edges.score])[order]
    return Neighbors(start, other, score)

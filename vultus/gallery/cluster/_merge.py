"""Joining faces to clusters, best pairs first, never against a cannot-link."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vultus.gallery.cluster._links import Links, components
from vultus.types import F32

__all__ = ["NOISE", "attach", "chained", "linkage", "numbered"]

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

NOISE = -1
_GATHERED = 1 << 16  # pairs of clusters whose sums are multiplied at a time


def numbered(part: I64, keep: NDArray[np.bool_]) -> I64:
    """Labels 0, 1, ... by first face for the parts that are kept; `NOISE` for faces of the others.

    Args:
        part: (N,) any number of a part, at least 0.
        keep: (largest part + 1,) which parts are clusters.
    """
    labels = np.full(len(part), NOISE, np.int64)
    chosen = keep[part] if len(part) else np.zeros(0, np.bool_)
    _, first, index = np.unique(part[chosen], return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    labels[chosen] = rank[index]
    return labels


def chained(links: Links, i: I64, j: I64, weight: NDArray[np.floating]) -> I64:
    """Join the groups of faces over the edges (i, j), heaviest first, but for those that would join what is kept apart.

    Returns:
        (G,) the part of each group, named by its smallest group.
    """
    a, b = links.group[i], links.group[j]
    part = components(links.count, a, b)
    sides = part[links.apart]
    torn = np.unique(sides[sides[:, 0] == sides[:, 1], 0])
    if not len(torn):
        return part
    hot = np.flatnonzero(
        np.isin(part[a], torn)
    )  # only where a chain runs from one side to the other, edges are weighed
    order = hot[np.lexsort((np.maximum(a, b)[hot], np.minimum(a, b)[hot], -weight[hot]))]
    inside = np.isin(part, torn)
    part[inside] = np.flatnonzero(inside)
    pairs = np.stack([a[order], b[order]], axis=1)
    return _one_by_one(part, pairs, links.apart[inside[links.apart].all(1)])


def _one_by_one(part: I64, pairs: I64, apart: I64) -> I64:
    """Union of the pairs in their order, but for those that would join what is kept apart."""
    parent = part.tolist()
    enemies: dict[int, set[int]] = {}
    for one, other in apart.tolist():
        enemies.setdefault(one, set()).add(other)
        enemies.setdefault(other, set()).add(one)

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for one, other in pairs.tolist():
        keep, gone = sorted((root(one), root(other)))
        if keep == gone or gone in enemies.get(keep, ()):
            continue
        parent[gone] = keep
        for enemy in enemies.pop(gone, ()):
            enemies[enemy].discard(gone)
            enemies[enemy].add(keep)
            enemies.setdefault(keep, set()).add(enemy)
    return np.array([root(node) for node in range(len(parent))], np.int64)


def attach(part: I64, links: Links, group: I64, to: I64, weight: NDArray[np.floating]) -> I64:
    """Let groups outside of all clusters join one each: the pair of greatest weight that no cannot-link forbids.

    Args:
        part: (G,) part of each group.
        links: constraints.
        group: (M,) groups that may join; none of them is in `to`'s parts yet.
        to: (M,) parts that they may join.
        weight: (M,) how strongly.

    Returns:
        (G,) parts with the joined ones.
    """
    part = part.copy()
    order = np.lexsort((to, group, -weight))
    if not len(links.apart):
        order = order[np.sort(np.unique(group[order], return_index=True)[1])]
        part[group[order]] = to[order]
        return part
    enemies: dict[int, list[int]] = {}
    for one, other in links.apart.tolist():
        enemies.setdefault(one, []).append(other)
        enemies.setdefault(other, []).append(one)
    done: set[int] = set()
    for one, place in zip(group[order].tolist(), to[order].tolist(), strict=True):
        if one not in done and all(part[other] != place for other in enemies.get(one, ())):
            part[one] = place
            done.add(one)
    return part


class _Pairs:
    """Pairs of clusters that may be joined: who, the score over the edges between them and how many edges those are."""

    def __init__(self, a: I64, b: I64, score: F64, count: F64) -> None:
        self.a, self.b, self.score, self.count = np.minimum(a, b), np.maximum(a, b), score, count

    def keep(self, which: NDArray[np.bool_]) -> None:
        self.a, self.b, self.score, self.count = (x[which] for x in (self.a, self.b, self.score, self.count))

    def gather(self, which: NDArray[np.bool_], n: int, lowest: bool) -> int:
        """Make the chosen pairs unique and put them last; returns how many of them there are."""
        key = self.a[which] * n + self.b[which]
        order = np.argsort(key, kind="stable")
        first = np.flatnonzero(np.diff(key[order], prepend=-1))
        if len(first):
            chosen = np.flatnonzero(which)[order]
            merge = np.minimum if lowest else np.add
            score = merge.reduceat(self.score[chosen], first)
            count = np.add.reduceat(self.count[chosen], first)
            a, b = self.a[chosen][first], self.b[chosen][first]
            self.keep(~which)
            self.a, self.b = np.concatenate([self.a, a]), np.concatenate([self.b, b])
            self.score, self.count = np.concatenate([self.score, score]), np.concatenate([self.count, count])
        return len(first)


def linkage(
    rows: F32,
    part: I64,
    apart: I64,
    edges: tuple[I64, I64, F32],
    threshold: float,
    kind: Literal["average", "complete"] = "average",
) -> I64:
    """Join clusters, most alike first, while the likeness of a pair is at least the threshold.

    The average over all pairs of faces of two clusters is the product of their sums of vectors, so it costs the same
    for large clusters as for single faces. Two clusters between which no pair of faces reaches the threshold cannot
    reach it on average, and a cluster that is below it with two others stays below it when they are joined; so the
    pairs above it are all that is kept. In each round every pair that is the best of both of its clusters is joined,
    which gives the same clusters as joining the best of all pairs again and again.

    Args:
        rows: (N, D) unit rows.
        part: (N,) cluster that each face starts in; numbers below N.
        apart: (M, 2) starting clusters that must not be joined.
        edges: i, j and cosine of pairs of faces, each once; with all pairs from `threshold` on the result is exact.
        threshold: cosine.
        kind: mean over all pairs of faces, or the least alike pair (which must be among the edges).

    Returns:
        (N,) cluster of each face, named by one of the starting clusters.
    """
    n = int(part.max(initial=-1)) + 1
    size = np.bincount(part, minlength=n).astype(np.float64)
    sums = rows.copy() if np.array_equal(part, np.arange(n)) else _summed(rows, part, n)
    i, j, score = edges
    pairs = _Pairs(part[i], part[j], score.astype(np.float64), np.ones(len(i)))
    parent = np.arange(n)
    forbidden = apart
    touched = np.ones(len(i), np.bool_)
    while True:
        touched &= pairs.a != pairs.b
        inner = pairs.a == pairs.b
        touched = touched[~inner]
        pairs.keep(~inner)
        fresh = pairs.gather(touched, n, kind == "complete")
        alive = _alive(pairs, fresh, (size, sums), forbidden, threshold, kind)
        pairs.keep(alive)
        if not len(pairs.a):
            return parent[part]
        one, other = _mutual(pairs, n, size, kind)
        merged = np.arange(n)
        merged[other] = one
        size[one] += size[other]
        sums[one] += sums[other]
        size[other] = 0
        moved = np.zeros(n, np.bool_)
        moved[one] = moved[other] = True
        touched = moved[pairs.a] | moved[pairs.b]
        a, b = merged[pairs.a], merged[pairs.b]
        pairs.a, pairs.b = np.minimum(a, b), np.maximum(a, b)
        forbidden = merged[forbidden]
        parent = merged[parent]


def _summed(rows: F32, part: I64, n: int) -> F32:
    order = np.argsort(part, kind="stable")
    first = np.flatnonzero(np.diff(part[order], prepend=-1))
    sums = np.zeros((n, rows.shape[1]), np.float32)
    if len(first):
        sums[part[order][first]] = np.add.reduceat(rows[order], first, axis=0)
    return sums


def _alive(
    pairs: _Pairs, fresh: int, clusters: tuple[F64, F32], forbidden: I64, threshold: float, kind: str
) -> NDArray[np.bool_]:
    """Which pairs may still be joined; completes the sums of the `fresh` last ones, the others were judged before."""
    size, sums = clusters
    alive = np.ones(len(pairs.a), np.bool_)
    if not fresh:
        return alive
    tail = slice(len(alive) - fresh, None)
    a, b = pairs.a[tail], pairs.b[tail]
    full = size[a] * size[b]
    part = np.flatnonzero(pairs.count[tail] < full)
    if kind == "complete":
        alive[tail][part] = False
    else:
        for start in range(0, len(part), _GATHERED):
            some = part[start : start + _GATHERED]
            pairs.score[tail][some] = np.einsum("nd,nd->n", sums[a[some]], sums[b[some]])
        pairs.count[tail][part] = full[part]
        alive[tail] = pairs.score[tail] >= threshold * full
    if len(forbidden):
        n = len(size)
        key = np.minimum(*forbidden.T) * n + np.maximum(*forbidden.T)
        alive[tail] &= ~np.isin(a * n + b, key)
    return alive


def _mutual(pairs: _Pairs, n: int, size: F64, kind: str) -> tuple[I64, I64]:
    """Pairs that are the best of both of their clusters; of equal ones the first, so that no cluster comes twice."""
    value = pairs.score if kind == "complete" else pairs.score / (size[pairs.a] * size[pairs.b])
    best = np.full(n, -np.inf)
    np.maximum.at(best, pairs.a, value)
    np.maximum.at(best, pairs.b, value)
    chosen = np.flatnonzero((value == best[pairs.a]) & (value == best[pairs.b]))
    chosen = chosen[np.lexsort((pairs.b[chosen], pairs.a[chosen]))]
    place = np.full(n, len(chosen))
    rank = np.arange(len(chosen))
    np.minimum.at(place, pairs.a[chosen], rank)
    np.minimum.at(place, pairs.b[chosen], rank)
    chosen = chosen[(place[pairs.a[chosen]] == rank) & (place[pairs.b[chosen]] == rank)]
    return pairs.a[chosen], pairs.b[chosen]

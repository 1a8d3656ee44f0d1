"""HDBSCAN: DBSCAN at all thresholds at once; clusters are what lasts longest (Campello, Moulavi and Sander 2013).

Cites: doi:10.1007/978-3-642-37456-2_14 (Density-based clustering based on hierarchical density estimates).

Differs: the distance is 1 - cosine, and faces below `threshold` are infinitely far apart, so that the hierarchy is a
forest over the pairs that reach it; joins at equal distances happen at once; honors must-link (such faces are one point
of the tree) and cannot-link (a chosen cluster that breaks one is cut at its longest edges).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.gallery.cluster._edges import Edges, edges_above, neighbors
from vultus.gallery.cluster._links import Links, components, linked, rows_of, score_of, whole
from vultus.gallery.cluster._merge import chained, numbered

__all__ = ["Hdbscan"]

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

_NEAREST = 1e-6  # smallest distance: equal faces would last forever


@dataclass(frozen=True)
class Hdbscan:
    """Clusters by excess of mass. The order of the faces does not matter, but for exactly equal distances.

    Args:
        threshold: cosine below which two faces are never together; -1 leaves all decisions to the hierarchy.
        min_faces: smallest cluster.
        around: how many near faces (counting itself) say how dense it is around a face; None means `min_faces`.
    """

    threshold: float
    min_faces: int = 3
    around: int | None = None

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
        threshold = score_of("threshold", self.threshold)
        least = whole("min_faces", self.min_faces, 2)
        near = edges_above(rows, threshold)
        core = _core_distance(len(rows), near, least if self.around is None else whole("around", self.around))
        away = np.maximum(np.maximum(core[near.i], core[near.j]), np.maximum(1.0 - near.score, _NEAREST))
        reached = np.isfinite(away)
        a, b, away = links.group[near.i][reached], links.group[near.j][reached], away[reached]
        a, b, away = _spanning(links.count, a, b, away)
        weight = np.bincount(links.group, minlength=links.count)
        own = np.full(links.count, np.inf)
        np.minimum.at(own, links.group, core)
        tree = _condensed(weight, np.maximum(own, _NEAREST), (a, b, away), least, 1.0 / max(1.0 - threshold, _NEAREST))
        chosen = _chosen(tree, root=threshold > -1.0)
        part = _cut(chosen, links, (a, b, away))
        size = np.bincount(part, np.where(chosen >= 0, weight, 0), minlength=links.count)
        keep = (size >= least) & (links.count > 0)
        keep[part[links.bound]] = True
        return numbered(part[links.group], keep)


def _core_distance(n: int, near: Edges, least: int) -> F64:
    """(N,) distance within which there are `least` faces, counting the face itself; infinity where there are fewer."""
    if least == 1:
        return np.full(n, _NEAREST)
    lists = neighbors(n, near)
    source = np.repeat(np.arange(n), np.diff(lists.start))
    falling = lists.score[np.lexsort((-lists.score, source))]
    core = np.full(n, np.inf)
    enough = np.flatnonzero(np.diff(lists.start) >= least - 1)
    core[enough] = np.maximum(1.0 - falling[lists.start[enough] + least - 2].astype(np.float64), _NEAREST)
    return core


def _spanning(n: int, a: I64, b: I64, away: F64) -> tuple[I64, I64, F64]:
    """The edges of a minimum spanning forest, shortest first (Boruvka 1926)."""
    order = np.lexsort((np.maximum(a, b), np.minimum(a, b), away))
    a, b, away = a[order], b[order], away[order]
    taken, open_ = np.zeros(0, np.int64), np.arange(len(a))
    component = np.arange(n)
    while len(open_ := open_[component[a[open_]] != component[b[open_]]]):
        shortest = np.full(n, len(a))
        np.minimum.at(shortest, component[a[open_]], open_)
        np.minimum.at(shortest, component[b[open_]], open_)
        taken = np.union1d(taken, shortest[shortest < len(a)])
        component = components(n, a[taken], b[taken])
    return a[taken], b[taken], away[taken]


@dataclass(frozen=True)
class _Condensed:
    """Clusters of the condensed tree, every one after its parent.

    Attributes:
        parent: cluster it split from, -1 of a root.
        stability: excess of mass.
        leaf: (G,) cluster that each point belonged to last; -1 of those that were never in one.
    """

    parent: list[int]
    stability: list[float]
    leaf: I64


def _condensed(weight: I64, own: F64, forest: tuple[I64, I64, F64], least: int, start: float) -> _Condensed:
    """Walk down the single-linkage tree; where fewer than two sides have `least` faces, faces fall out of a cluster.

    `own` is the distance below which a point that is large enough by itself (must-linked faces) is gone.
    """
    left, right, away, size, roots = _tree(weight, forest)
    n = len(weight)
    parent: list[int] = []
    birth: list[float] = []
    stability: list[float] = []
    leaf = np.full(n, -1, np.int64)

    def born(above: int, density: float) -> int:
        parent.append(above)
        birth.append(density)
        stability.append(0.0)
        return len(parent) - 1

    stack = [(root, born(-1, start)) for root in roots if size[root] >= least]
    falling: list[tuple[int, int]] = []
    while stack:
        node, cluster = stack.pop()
        if node < n:
            stability[cluster] += size[node] * (1.0 / own[node] - birth[cluster])
            leaf[node] = cluster
            continue
        density = 1.0 / away[node - n]
        below = _below(node, n, left, right, away)
        large = [child for child in below if size[child] >= least]
        gone = below if len(large) > 1 else [child for child in below if child not in large]
        stability[cluster] += sum(size[child] for child in gone) * (density - birth[cluster])
        falling += [(child, cluster) for child in below if child not in large]
        stack += [(child, born(cluster, density) if len(large) > 1 else cluster) for child in large]
    while falling:
        node, cluster = falling.pop()
        if node < n:
            leaf[node] = cluster
        else:
            falling += [(left[node - n], cluster), (right[node - n], cluster)]
    return _Condensed(parent, stability, leaf)


def _below(node: int, n: int, left: list[int], right: list[int], away: list[float]) -> list[int]:
    """What a join falls into: more than two where several lie at one distance, so that their order does not matter."""
    found, open_ = [], [left[node - n], right[node - n]]
    while open_:
        child = open_.pop()
        if child >= n and away[child - n] == away[node - n]:
            open_ += [left[child - n], right[child - n]]
        else:
            found.append(child)
    return sorted(found)


def _tree(weight: I64, forest: tuple[I64, I64, F64]) -> tuple[list[int], list[int], list[float], list[int], list[int]]:
    """Single linkage: children and distance of each join (node G + k), faces below each node, and the roots."""
    n = len(weight)
    size: list[int] = weight.tolist()
    top = list(range(n))  # of each node: the node above it, while looking for the root
    left: list[int] = []
    right: list[int] = []
    away: list[float] = forest[2].tolist()

    def root(node: int) -> int:
        while top[node] != node:
            top[node] = top[top[node]]
            node = top[node]
        return node

    for one, other in zip(forest[0].tolist(), forest[1].tolist(), strict=True):
        a, b = root(one), root(other)
        top[a] = top[b] = len(top)
        top.append(len(top))
        left.append(a)
        right.append(b)
        size.append(size[a] + size[b])
    return left, right, away, size, [node for node in range(len(top)) if top[node] == node]


def _chosen(tree: _Condensed, *, root: bool) -> I64:
    """(G,) the chosen cluster of each point, or -1: the set of clusters, none within another, of greatest stability."""
    count = len(tree.parent)
    below = [0.0] * count
    wins = [False] * count
    for cluster in reversed(range(count)):
        above = tree.parent[cluster]
        allowed = root or above >= 0
        wins[cluster] = allowed and tree.stability[cluster] >= below[cluster]
        if above >= 0:
            below[above] += max(tree.stability[cluster], below[cluster]) if allowed else below[cluster]
    final = [-1] * count
    for cluster in range(count):
        above = tree.parent[cluster]
        taken = final[above] if above >= 0 else -1
        final[cluster] = taken if taken >= 0 else cluster if wins[cluster] else -1
    return np.array([*final, -1], np.int64)[tree.leaf]


def _cut(chosen: I64, links: Links, forest: tuple[I64, I64, F64]) -> I64:
    """(G,) parts named by one of their points; a cluster that breaks a cannot-link falls apart at its longest edges."""
    a, b, away = forest
    _, first, index = np.unique(chosen, return_index=True, return_inverse=True)
    part = np.where(chosen >= 0, first[index], np.arange(len(chosen)))
    sides = part[links.apart]
    torn = np.isin(part, sides[sides[:, 0] == sides[:, 1], 0])
    within = torn[a] & torn[b] & (part[a] == part[b])
    points = Links(np.arange(links.count), links.count, links.apart[torn[links.apart].all(1)], links.bound)
    part[torn] = chained(points, a[within], b[within], -away[within])[torn]
    return part

"""Chinese whispers: every face takes the class that is strongest among its neighbors, again and again (Biemann 2006).

Cites: doi:10.3115/1654758.1654774 (Chinese whispers: an efficient graph clustering algorithm and its application to
natural language processing problems).

Differs: neighbors are the faces from a cosine on, weighed by it; honors must-link (such faces are one node) and
cannot-link (a face never takes a class that holds a face it must not be with).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.gallery.cluster._edges import Edges, Neighbors, edges_above, neighbors
from vultus.gallery.cluster._links import Links, linked, rows_of, score_of, whole
from vultus.gallery.cluster._merge import numbered

__all__ = ["ChineseWhispers"]

I64 = NDArray[np.int64]


@dataclass(frozen=True)
class ChineseWhispers:
    """Label propagation on the graph of near faces. The order in which faces are visited is drawn, and matters.

    Args:
        threshold: cosine from which two faces are neighbors.
        rounds: how often every face is visited at most; it ends as soon as nothing changes.
        min_faces: smaller clusters are noise; 1 leaves none.
    """

    threshold: float
    rounds: int = 20
    min_faces: int = 1

    def cluster(
        self,
        vectors: ArrayLike,
        *,
        cannot_link: ArrayLike | None = None,
        must_link: ArrayLike | None = None,
        rng: np.random.Generator | None = None,
    ) -> I64:
        """Labels of faces; see `vultus.contracts.Clusterer`.

        Args:
            vectors: (N, D) unit rows.
            cannot_link: (M, 2) indices of faces of two people.
            must_link: (M, 2) indices of faces of one person.
            rng: source of the order of visits and of the choice between equal classes; None draws the same each time.

        Returns:
            (N,) cluster of each face, 0 to K - 1 by first face; -1 is noise.

        Raises:
            InputError: if shapes, numbers or constraints are wrong, or the constraints contradict each other.
        """
        rows = rows_of("vectors", vectors)
        links = linked(len(rows), must_link, cannot_link)
        near = edges_above(rows, score_of("threshold", self.threshold))
        i, j = links.group[near.i], links.group[near.j]
        between = i != j
        graph = neighbors(links.count, Edges(i[between], j[between], near.score[between], near.degree))
        draws = np.random.default_rng(0) if rng is None else rng
        part = _whisper(graph, links, whole("rounds", self.rounds), draws)[links.group]
        size = np.bincount(part)
        bound = np.zeros(len(size), np.bool_)
        bound[part[links.bound[links.group]]] = True
        return numbered(part, (size >= whole("min_faces", self.min_faces)) | bound)


def _whisper(graph: Neighbors, links: Links, rounds: int, rng: np.random.Generator) -> I64:
    """Class of each node: one of the nodes."""
    own = list(range(links.count))
    enemies: dict[int, list[int]] = {}
    for one, other in links.apart.tolist():
        enemies.setdefault(one, []).append(other)
        enemies.setdefault(other, []).append(one)
    start = graph.start.tolist()
    active = np.flatnonzero(np.diff(graph.start))
    for _ in range(rounds):
        changed = False
        for node in rng.permutation(active).tolist():
            span = slice(start[node], start[node + 1])
            total: dict[int, float] = {}
            for other, weight in zip(graph.face[span].tolist(), graph.score[span].tolist(), strict=True):
                total[own[other]] = total.get(own[other], 0.0) + weight
            for other in enemies.get(node, ()):
                total.pop(own[other], None)
            best = _strongest(total, own[node], rng)
            changed |= best != own[node]
            own[node] = best
        if not changed:
            break
    return np.array(own, np.int64)


def _strongest(total: dict[int, float], present: int, rng: np.random.Generator) -> int:
    """The class of greatest weight; of equal ones the present one, or else a drawn one."""
    if not total:
        return present
    most = max(total.values())
    best = [label for label, weight in total.items() if weight >= most - 1e-9 * abs(most)]
    return present if present in best else best[int(rng.integers(len(best)))] if len(best) > 1 else best[0]

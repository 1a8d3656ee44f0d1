"""DBSCAN: faces with enough near faces are cores; chains of cores are clusters (Ester et al. 1996).

Cites: https://aaai.org/papers/kdd96-037 (A density-based algorithm for discovering clusters in large spatial databases
with noise).

Differs: a face on the border of two clusters goes to the most alike core instead of the first one met, so the order of
the faces does not matter; honors must-link (joined first; a must-linked set is a cluster even where nobody is a core)
and cannot-link (a chain is cut at its weakest pair).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.gallery.cluster._edges import edges_above
from vultus.gallery.cluster._links import linked, rows_of, score_of, whole
from vultus.gallery.cluster._merge import attach, chained, numbered

__all__ = ["Dbscan"]

I64 = NDArray[np.int64]


@dataclass(frozen=True)
class Dbscan:
    """Density over the cosine. One wrong edge between two people joins them: use a strict threshold.

    Args:
        threshold: cosine from which two faces are near.
        min_faces: a face with at least so many near faces, counting itself, is a core.
    """

    threshold: float
    min_faces: int = 3

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
        near = edges_above(rows, score_of("threshold", self.threshold))
        core = near.degree + 1 >= whole("min_faces", self.min_faces)
        both = core[near.i] & core[near.j]
        part = chained(links, near.i[both], near.j[both], near.score[both])
        dense = np.zeros(links.count, np.bool_)
        dense[links.group[core]] = True
        face, to = np.concatenate([near.i, near.j]), np.concatenate([near.j, near.i])
        border = ~dense[links.group[face]] & core[to]
        weight = np.concatenate([near.score, near.score])[border]
        part = attach(part, links, links.group[face[border]], part[links.group[to[border]]], weight)
        keep = np.zeros(links.count, np.bool_)
        keep[part[dense | links.bound]] = True
        return numbered(part[links.group], keep)

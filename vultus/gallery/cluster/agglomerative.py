"""Agglomerative clustering: join the two most alike clusters again and again (Sneath and Sokal 1973).

What "alike" means is the linkage: the mean over all pairs of faces (UPGMA), the least alike pair (complete), or the
most alike pair (single). The end is a score, not a number of clusters: clusters below `threshold` are not joined.

Cites: doi:10.1007/BF02289263 (Johnson 1967, hierarchical clustering schemes).

Differs: works on the pairs that reach the threshold instead of the matrix of all pairs, with the same result; honors
must-link (joined first) and cannot-link (never joined, the next best pair is taken instead).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.gallery.cluster._edges import edges_above
from vultus.gallery.cluster._links import linked, rows_of, score_of
from vultus.gallery.cluster._merge import chained, linkage, numbered

__all__ = ["Agglomerative"]

I64 = NDArray[np.int64]


@dataclass(frozen=True)
class Agglomerative:
    """Average, complete or single linkage up to a score.

    The order of the faces does not matter, except where two pairs of clusters are exactly equally alike.

    Args:
        threshold: cosine from which two clusters are joined.
        linkage: "average", "complete" or "single".
        min_faces: smaller clusters are noise; 1 leaves none.
    """

    threshold: float
    linkage: Literal["average", "complete", "single"] = "average"
    min_faces: int = 1

    def cluster(
        self, vectors: ArrayLike, *, cannot_link: ArrayLike | None = None, must_link: ArrayLike | None = None
    ) -> I64:
        """Labels of faces.

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
        if self.linkage not in ("average", "complete", "single"):
            raise InputError(f"linkage: expected average, complete or single, got {self.linkage!r}")
        edges = edges_above(rows, threshold)
        if self.linkage == "single":
            part = chained(links, edges.i, edges.j, edges.score)[links.group]
        else:
            part = linkage(rows, links.group, links.apart, edges[:3], threshold, self.linkage)
        size = np.bincount(part)
        bound = np.zeros(len(size), np.bool_)
        bound[part[links.bound[links.group]]] = True
        return numbered(part, (size >= self.min_faces) | bound)

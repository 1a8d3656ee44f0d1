"""The house's own clustering for libraries that grow: dense faces first, averages decide, labels stay.

Cites: doi:10.1007/BF02289263 (hierarchical clustering; the average linkage of the joins) and
https://aaai.org/papers/kdd96-037 (density: which faces may begin a cluster).

1. Two faces are near from `threshold` on. A face is a core when at least `min_faces` - 1 faces are near it, or when one
   is so alike that the evidence outweighs the size of the library: log-likelihood ratio > log N, which is more than
   even odds when one of N faces is a mate. Faces below `min_quality` are never cores.
2. Cores are joined to clusters, most alike first, while the mean cosine over all pairs of faces of two clusters is at
   least `threshold`. So one face that looks like two people, or a chain of such faces, joins nobody.
3. Other faces join the cluster of a near core whose mean they are most alike, if that too reaches `threshold`; they
   are never a reason to join two clusters.
4. A cluster of fewer than `min_faces` faces stands when a pair in it outweighs the library, or when it was must-linked
   or a cluster before; else its faces are noise.

With new faces, what was a cluster stays one and is joined as a whole; noise is looked at anew. Only a new cannot-link
within a cluster takes it apart.

Differs: a rule of our own made of two published ones; see above.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.gallery.cluster._edges import Edges, edges_above
from vultus.gallery.cluster._links import Links, components, linked, rows_of, score_of, whole
from vultus.gallery.cluster._merge import NOISE, attach, linkage
from vultus.types import F32, checked

__all__ = ["Incremental", "Update"]

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]
Flags = NDArray[np.bool_]

_NEAREST_KEPT = 64  # pairs per face that may begin a join; averages count all faces all the same


class Update(NamedTuple):
    """What a library looks like after new faces came.

    Attributes:
        labels: (N_old + N_new,) cluster of each face, old ones first; -1 is noise.
        joined: (label that stayed, label that is gone) for clusters which turned out to be of one person.
    """

    labels: I64
    joined: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Incremental:
    """Density, calibrated evidence and constraints; existing labels are kept.

    Args:
        threshold: cosine at a false match rate that a join may have, such as `Calibration.threshold(1e-4)[0]`.
        min_faces: how many faces make a cluster without further evidence.
        evidence: natural log-likelihood ratio (same person over different people) of an array of cosines, such as
            `vultus.gallery.evidence.ScoreModel.llr`, or a (T, 2) table of cosine and ratio; None: pairs never stand
            alone unless `min_faces` is 2.
        min_quality: faces of less quality only join what others have founded.
    """

    threshold: float
    min_faces: int = 3
    evidence: Callable[[F64], F64] | ArrayLike | None = None
    min_quality: float = 0.3

    def cluster(
        self,
        vectors: ArrayLike,
        *,
        cannot_link: ArrayLike | None = None,
        must_link: ArrayLike | None = None,
        quality: ArrayLike | None = None,
    ) -> I64:
        """Labels of faces; see `vultus.contracts.Clusterer`.

        Args:
            vectors: (N, D) unit rows.
            cannot_link: (M, 2) indices of faces of two people.
            must_link: (M, 2) indices of faces of one person.
            quality: (N,) in [0, 1], or None.

        Returns:
            (N,) cluster of each face, 0 to K - 1 by first face; -1 is noise.

        Raises:
            InputError: if shapes, numbers or constraints are wrong, or the constraints contradict each other.
        """
        rows = rows_of("vectors", vectors)
        none = np.zeros((0, rows.shape[1]), np.float32)
        made = self.update(
            rows, np.zeros(0, np.int64), none, cannot_link=cannot_link, must_link=must_link, quality=quality
        )
        return made.labels

    def update(
        self,
        vectors_new: ArrayLike,
        labels_old: ArrayLike,
        vectors_old: ArrayLike,
        *,
        cannot_link: ArrayLike | None = None,
        must_link: ArrayLike | None = None,
        quality: ArrayLike | None = None,
        next_label: int | None = None,
    ) -> Update:
        """Labels after new faces came, or after constraints changed (with no new face).

        Args:
            vectors_new: (N_new, D) unit rows.
            labels_old: (N_old,) labels that the known faces have; -1 is noise.
            vectors_old: (N_old, D) unit rows of the known faces.
            cannot_link: (M, 2) indices of faces of two people; old faces are 0 to N_old - 1, new ones follow.
            must_link: (M, 2) indices of faces of one person, numbered in the same way.
            quality: (N_old + N_new,) in [0, 1], or None.
            next_label: first label for new clusters, so that a label of the past never comes back; None means the
                largest of `labels_old` and one more.

        Returns:
            Labels of old and new faces. An existing label stays with the cluster that holds most of its faces.

        Raises:
            InputError: if shapes, numbers or constraints are wrong, or the constraints contradict each other.
        """
        old, new = rows_of("vectors_old", vectors_old), rows_of("vectors_new", vectors_new)
        if old.shape[1] != new.shape[1] and len(old) and len(new):
            raise InputError(f"vectors_new: expected {old.shape[1]} columns, as vectors_old has, got {new.shape[1]}")
        before = checked("labels_old", labels_old, (len(old),), np.int64)
        if (before < NOISE).any():
            raise InputError(f"labels_old: expected -1 for noise and labels from 0 on, got {before.min()}")
        rows = np.concatenate([old, new]) if len(old) and len(new) else old if len(old) else new
        n = len(rows)
        links = linked(n, must_link, cannot_link)
        known = np.concatenate([before, np.full(len(new), NOISE)])
        good = np.ones(n, np.bool_)
        if quality is not None:
            good = checked("quality", quality, (n,), np.float64) >= self.min_quality
        first = int(before.max(initial=-1)) + 1 if next_label is None else whole("next_label", next_label, 0)
        if first <= before.max(initial=-1):
            raise InputError(f"next_label: expected more than the largest label, {before.max()}, got {first}")
        part, keep = self._grown(rows, known, links, good)
        return _labelled(part, keep, known, first)

    def _grown(self, rows: F32, known: I64, links: Links, good: Flags) -> tuple[I64, Flags]:
        """Part of each face, named by one of its groups, and which parts are clusters."""
        start = _started(known, links)
        loose = ~_unbroken(start, known)
        said = links.bound[links.group]
        near = edges_above(rows, score_of("threshold", self.threshold), query=np.flatnonzero(loose), most=_NEAREST_KEPT)
        strong = self._outweighs(near.score, len(rows))
        core = ((near.degree + 1 >= whole("min_faces", self.min_faces, 2)) & good) | ~loose
        core[near.i[strong]] |= good[near.i[strong]]
        core[near.j[strong]] |= good[near.j[strong]]
        core |= said
        both = core[near.i] & core[near.j]
        sides = np.unique(np.sort(start[_members(links)][links.apart], axis=1), axis=0)
        part = linkage(rows, start, sides, (near.i[both], near.j[both], near.score[both]), self.threshold)
        part = self._bordered(rows, part, links, core, near)
        keep = np.bincount(part, minlength=links.count) >= self.min_faces
        keep[part[~loose | said]] = True
        pair = strong & (part[near.i] == part[near.j])
        keep[part[near.i[pair]]] = True
        return part, keep

    def _outweighs(self, score: F32, n: int) -> Flags:
        """Which cosines are evidence enough by themselves among n faces."""
        if self.evidence is None or not len(score):
            return np.full(len(score), self.min_faces <= 2)
        if callable(self.evidence):
            ratio = np.asarray(self.evidence(score.astype(np.float64)), np.float64)
        else:
            table = checked("evidence", self.evidence, (None, 2), np.float64)
            if len(table) < 2 or (np.diff(table, axis=0) < 0).any() or (np.diff(table[:, 0]) <= 0).any():
                raise InputError("evidence: expected at least two rows of rising cosine and ratio, got others")
            ratio = np.interp(score, table[:, 0], table[:, 1])
        if ratio.shape != score.shape or not np.isfinite(ratio).all():
            raise InputError(f"evidence: expected one finite ratio per cosine, {score.shape}, got {ratio.shape}")
        enough: Flags = (ratio > np.log(n)) | (self.min_faces <= 2)
        return enough

    def _bordered(self, rows: F32, part: I64, links: Links, core: Flags, near: Edges) -> I64:
        """Let faces that are no cores join the part of a near core that they are most alike on average."""
        face, to = np.concatenate([near.i, near.j]), np.concatenate([near.j, near.i])
        border = ~core[face] & core[to]
        pairs = np.unique(np.stack([face[border], part[to[border]]], axis=1), axis=0)
        if not len(pairs):
            return part
        inside = core & np.isin(part, pairs[:, 1])
        names, place = np.unique(part[inside], return_inverse=True)
        order = np.argsort(place, kind="stable")
        begin = np.searchsorted(place[order], np.arange(len(names)))
        sums = np.add.reduceat(rows[inside][order], begin, axis=0)
        at = np.searchsorted(names, pairs[:, 1])
        mean = np.einsum("nd,nd->n", rows[pairs[:, 0]], sums[at]) / np.bincount(place)[at]
        fits = mean >= self.threshold
        groups = part[_members(links)]
        joined = attach(groups, links, links.group[pairs[fits, 0]], pairs[fits, 1], mean[fits])
        return joined[links.group]


def _members(links: Links) -> I64:
    """(G,) first face of each group."""
    return np.unique(links.group, return_index=True)[1]


def _started(known: I64, links: Links) -> I64:
    """(N,) where each face starts: existing clusters with what is must-linked to them, named by one of their groups.

    Clusters that break a cannot-link, by themselves or over must-links between them, start as groups again.
    """
    one = np.flatnonzero(known >= 0)
    labels, first = np.unique(known[one], return_index=True)
    anchor = one[first][np.searchsorted(labels, known[one])]
    part = components(links.count, links.group[one], links.group[anchor])
    sides = part[links.apart]
    torn = np.isin(part, sides[sides[:, 0] == sides[:, 1], 0])
    part[torn] = np.flatnonzero(torn)
    return part[links.group]


def _unbroken(start: I64, known: I64) -> Flags:
    """(N,) faces of clusters that start whole; they need not be compared with each other again."""
    _, label = np.unique(known, return_inverse=True)
    low, high = np.full(len(known), len(known)), np.full(len(known), -1)
    np.minimum.at(low, label, start)
    np.maximum.at(high, label, start)
    unbroken: Flags = (known >= 0) & (low == high)[label]
    return unbroken


def _labelled(part: I64, keep: Flags, known: I64, first: int) -> Update:
    """Give every cluster the label that most of its faces had; where none had one, the next number by first face."""
    labels = np.full(len(part), NOISE, np.int64)
    inside = keep[part] if len(part) else np.zeros(0, np.bool_)
    had = inside & (known >= 0)
    pairs, count = np.unique(np.stack([part[had], known[had]], axis=1), axis=0, return_counts=True)
    name: dict[int, int] = {}
    taken: dict[int, int] = {}
    for k in np.lexsort((pairs[:, 1], -count)).tolist():
        cluster, label = pairs[k].tolist()
        if cluster not in name and label not in taken:
            name[cluster] = label
            taken[label] = cluster
    gone: dict[int, int] = {}
    for k in np.lexsort((pairs[:, 1], -count)).tolist():
        cluster, label = pairs[k].tolist()
        if label not in taken:
            gone.setdefault(label, name[cluster])
    for cluster in part[np.flatnonzero(inside)].tolist():
        if cluster not in name:
            name[cluster] = first
            first += 1
    if inside.any():
        clusters = np.array(sorted(name), np.int64)
        given = np.array([name[c] for c in clusters.tolist()], np.int64)
        labels[inside] = given[np.searchsorted(clusters, part[inside])]
    return Update(labels, tuple(sorted((stays, label) for label, stays in gone.items())))

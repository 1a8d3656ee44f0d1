"""How well a clustering agrees with who is really on the faces.

A face labeled -1 is noise: for every measure it is a cluster of its own, so a method gains nothing by refusing faces.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.types import checked

__all__ = ["Agreement", "agreement", "bcubed", "mutual_information", "pairwise", "purity"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Every measure of one clustering.

    Attributes:
        pairwise_precision: share of the pairs of faces in one cluster that are of one person.
        pairwise_recall: share of the pairs of faces of one person that are in one cluster.
        pairwise_f: their harmonic mean.
        bcubed_precision: for a face, the share of its cluster that is of its person; mean over faces.
        bcubed_recall: for a face, the share of its person that is in its cluster; mean over faces.
        bcubed_f: their harmonic mean.
        purity: share of faces that are of the most frequent person of their cluster.
        nmi: normalized mutual information (arithmetic mean of the entropies).
        ami: the same, adjusted for chance.
        clusters: clusters of at least one face, noise not counted.
        noise: faces labeled -1.
    """

    pairwise_precision: float
    pairwise_recall: float
    pairwise_f: float
    bcubed_precision: float
    bcubed_recall: float
    bcubed_f: float
    purity: float
    nmi: float
    ami: float
    clusters: int
    noise: int

    def to_dict(self) -> dict[str, float | int]:
        """Plain JSON values."""
        return asdict(self)


def agreement(labels: ArrayLike, people: ArrayLike) -> Agreement:
    """All measures at once.

    Args:
        labels: (N,) clusters, -1 is noise; N at least 1.
        people: (N,) integer label of each face's person.

    Raises:
        InputError: if shapes differ, there is no face or a label is below -1.
    """
    given, _ = _sides(labels, people)
    nmi, ami = mutual_information(labels, people)
    return Agreement(
        *pairwise(labels, people),
        *bcubed(labels, people),
        purity(labels, people),
        nmi,
        ami,
        len(np.unique(given[given >= 0])),
        int((given < 0).sum()),
    )


def pairwise(labels: ArrayLike, people: ArrayLike) -> tuple[float, float, float]:
    """Precision, recall and F over pairs of faces; 1 where there is no pair to be wrong about.

    Args:
        labels: (N,) clusters, -1 is noise; N at least 1.
        people: (N,) integer label of each face's person.

    Raises:
        InputError: as `agreement`.
    """
    cells = _cells(labels, people)
    both, together, mated = (_pairs(x) for x in (cells.count, cells.cluster, cells.person))
    precision = both / together if together else 1.0
    recall = both / mated if mated else 1.0
    return precision, recall, _harmonic(precision, recall)


def bcubed(labels: ArrayLike, people: ArrayLike) -> tuple[float, float, float]:
    """BCubed precision, recall and F (Bagga and Baldwin 1998; Amigo et al. 2009).

    Args:
        labels: (N,) clusters, -1 is noise; N at least 1.
        people: (N,) integer label of each face's person.

    Raises:
        InputError: as `agreement`.
    """
    cells = _cells(labels, people)
    squares = cells.count.astype(np.float64) ** 2
    n = cells.count.sum()
    precision = float((squares / cells.cluster[cells.row]).sum() / n)
    recall = float((squares / cells.person[cells.column]).sum() / n)
    return precision, recall, _harmonic(precision, recall)


def purity(labels: ArrayLike, people: ArrayLike) -> float:
    """Share of faces that are of the most frequent person of their cluster.

    Args:
        labels: (N,) clusters, -1 is noise; N at least 1.
        people: (N,) integer label of each face's person.

    Raises:
        InputError: as `agreement`.
    """
    cells = _cells(labels, people)
    most = np.zeros(len(cells.cluster), np.int64)
    np.maximum.at(most, cells.row, cells.count)
    return float(most.sum() / cells.count.sum())


def mutual_information(labels: ArrayLike, people: ArrayLike) -> tuple[float, float]:
    """Normalized and adjusted mutual information, both by the arithmetic mean of the two entropies (Vinh et al. 2010).

    Args:
        labels: (N,) clusters, -1 is noise; N at least 1.
        people: (N,) integer label of each face's person.

    Returns:
        NMI in [0, 1], and AMI, which is 1 for equal partitions and near 0 for chance.

    Raises:
        InputError: as `agreement`.
    """
    cells = _cells(labels, people)
    n = float(cells.count.sum())
    expectation = cells.cluster[cells.row] * cells.person[cells.column].astype(np.float64)
    shared = float((cells.count / n * np.log(n * cells.count / expectation)).sum())
    mean = (_entropy(cells.cluster) + _entropy(cells.person)) / 2
    if mean == 0:  # one cluster and one person
        return 1.0, 1.0
    by_chance = _expected_information(cells.cluster, cells.person)
    spread = mean - by_chance
    return max(0.0, shared / mean), 1.0 if abs(spread) < 1e-12 else (shared - by_chance) / spread


@dataclass(frozen=True)
class _Cells:
    """How many faces of cluster `row[k]` are of person `column[k]`: `count[k]`, where there are any."""

    row: I64
    column: I64
    count: I64
    cluster: I64
    person: I64


def _cells(labels: ArrayLike, people: ArrayLike) -> _Cells:
    given, truth = _sides(labels, people)
    alone = given < 0
    given = np.where(alone, given.max() + np.cumsum(alone), given)
    _, row = np.unique(given, return_inverse=True)
    _, column = np.unique(truth, return_inverse=True)
    key, count = np.unique(row * (int(column.max()) + 1) + column, return_counts=True)
    place, who = np.divmod(key, int(column.max()) + 1)
    return _Cells(place, who, count, np.bincount(row), np.bincount(column))


def _sides(labels: ArrayLike, people: ArrayLike) -> tuple[I64, I64]:
    given = checked("labels", labels, (None,), np.int64)
    truth = checked("people", people, (len(given),), np.int64)
    if not len(given):
        raise InputError("labels: expected at least one face, got none")
    if given.min() < -1:
        raise InputError(f"labels: expected -1 for noise and clusters from 0 on, got {given.min()}")
    return given, truth


def _pairs(sizes: I64) -> float:
    return float((sizes * (sizes - 1) // 2).sum())


def _harmonic(a: float, b: float) -> float:
    return 2 * a * b / (a + b) if a + b else 0.0


def _entropy(sizes: I64) -> float:
    share = sizes / sizes.sum()
    return float(-(share * np.log(share)).sum())


def _expected_information(clusters: I64, people: I64) -> float:
    """Mean mutual information of two partitions of these sizes when faces are dealt at random (hypergeometric)."""
    n = int(clusters.sum())
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    total = 0.0
    person_sizes, person_times = np.unique(people, return_counts=True)
    for a, times in zip(*np.unique(clusters, return_counts=True), strict=True):
        for b, again in zip(person_sizes, person_times, strict=True):
            k = np.arange(max(1, a + b - n), min(a, b) + 1)
            log_share = (
                log_factorial[a] + log_factorial[b] + log_factorial[n - a] + log_factorial[n - b]
                - log_factorial[n] - log_factorial[k] - log_factorial[a - k] - log_factorial[b - k]
                - log_factorial[n - a - b + k]
            )  # fmt: skip
            information = k / n * (np.log(n) + np.log(k) - np.log(a) - np.log(b))
            total += times * again * float((information * np.exp(log_share)).sum())
    return total

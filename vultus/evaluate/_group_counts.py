"""Comparisons added up per pair of people inside each pair of groups, and people drawn or relabeled.

After the sums the cost no longer depends on the number of comparisons: a draw is a quadratic form per pair of groups,
a relabeling a sum over pairs of people who stand in one group.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vultus.types import ComparisonTable

__all__ = [
    "Cast",
    "PairCounts",
    "cast",
    "draw",
    "group_sums",
    "inside",
    "pair_counts",
    "quadratic",
    "relabel",
    "studentized",
]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

DENSE = 1 << 25  # most cells of a matrix that is written out
BLOCK = 64  # relabelings at once


@dataclass(frozen=True)
class Cast:
    """People who have a group, in the order of the groups, and the comparisons between them.

    Attributes:
        edges: (G + 1,) where each group begins; n people in all.
        rank: (S,) place of each subject of the table, -1 for those left out.
        mated, nonmated: rows of the table that are kept.
        who: place of the person behind each mated row.
        left, right: places of both people of each non-mated row, left < right.
    """

    edges: I64
    rank: I64
    mated: I64
    nonmated: I64
    who: I64
    left: I64
    right: I64

    @property
    def n(self) -> int:
        """Number of people."""
        return int(self.edges[-1])

    @property
    def group(self) -> I64:
        """(n,) group of each person."""
        return np.repeat(np.arange(len(self.edges) - 1), np.diff(self.edges))


@dataclass(frozen=True)
class PairCounts:
    """How often something happened between pairs of people: places `first` < `second` and (K,) counts."""

    first: I64
    second: I64
    count: F64


def cast(table: ComparisonTable, labels: I64, n_groups: int) -> Cast:
    """Order people by group; whoever is in no comparison or has no group (-1) is left out."""
    seen = np.zeros(len(labels), bool)
    seen[table.ref_subject] = True
    seen[table.probe_subject] = True
    members = np.flatnonzero(seen & (labels >= 0))
    members = members[np.argsort(labels[members], kind="stable")]
    rank = np.full(len(labels), -1, np.int64)
    rank[members] = np.arange(len(members))
    edges = np.concatenate([[0], np.cumsum(np.bincount(labels[members], minlength=n_groups))])
    left, right = rank[table.ref_subject], rank[table.probe_subject]
    kept = (left >= 0) & (right >= 0)
    mated, other = np.flatnonzero(kept & table.mated), np.flatnonzero(kept & ~table.mated)
    left, right, who = left[other], right[other], left[mated]
    return Cast(edges, rank, mated, other, who, np.minimum(left, right), np.maximum(left, right))


def pair_counts(left: I64, right: I64, n: int) -> PairCounts:
    """Add up rows of one pair of people."""
    keys = left * n + right
    if n * n <= min(DENSE, 64 * max(len(keys), 1)):
        dense = np.bincount(keys, minlength=n * n)
        at = np.flatnonzero(dense)
        return PairCounts(at // n, at % n, dense[at].astype(np.float64))
    at, count = np.unique(keys, return_counts=True)
    return PairCounts(at // n, at % n, count.astype(np.float64))


def draw(edges: I64, n_boot: int, rng: np.random.Generator) -> F64:
    """(n, n_boot) how often each person is drawn when every group is drawn anew at its own size."""
    weights = np.empty((int(edges[-1]), n_boot))
    columns = np.arange(n_boot)
    for low, high in pairwise(edges):
        size = int(high - low)
        drawn = rng.integers(max(size, 1), size=(size, n_boot)) * n_boot + columns
        weights[low:high] = np.bincount(drawn.ravel(), minlength=size * n_boot).reshape(size, n_boot)
    return weights


def quadratic(pairs: PairCounts, edges: I64, w: F64) -> F64:
    """(G, G, B) sums of w_s w_t count(s, t) over the pairs of people of each two groups; the same both ways round."""
    groups = len(edges) - 1
    of = np.searchsorted(edges, np.stack([pairs.first, pairs.second]), "right") - 1
    block = of[0] * groups + of[1]
    order = np.argsort(block, kind="stable")
    ends = np.searchsorted(block[order], np.arange(groups * groups + 1))
    total = np.zeros((groups, groups, w.shape[1]))
    for g in range(groups):
        for h in range(g, groups):
            rows = order[ends[g * groups + h] : ends[g * groups + h + 1]]
            if len(rows):
                total[g, h] = total[h, g] = _form(pairs, rows, (edges[g], edges[g + 1]), (edges[h], edges[h + 1]), w)
    return total


def _form(pairs: PairCounts, rows: I64, ours: tuple[int, int], theirs: tuple[int, int], w: F64) -> F64:
    first, second, count = pairs.first[rows], pairs.second[rows], pairs.count[rows]
    cells = (ours[1] - ours[0]) * (theirs[1] - theirs[0])
    if cells <= min(DENSE, 64 * len(rows)):  # a matrix product is faster
        matrix = np.zeros((ours[1] - ours[0], theirs[1] - theirs[0]))
        matrix[first - ours[0], second - theirs[0]] = count
        product: F64 = np.einsum("sb,sb->b", w[ours[0] : ours[1]], matrix @ w[theirs[0] : theirs[1]])
        return product
    total = np.zeros(w.shape[1])
    step = max(1, (1 << 20) // w.shape[1])
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        total += count[part] @ (w[first[part]] * w[second[part]])
    return total


def group_sums(counts: F64, edges: I64, w: F64) -> F64:
    """(G, B) sums over the people of each group of their (n,) counts, weighted by (n, B) draws."""
    product = counts[:, None] * w
    return np.stack([product[low:high].sum(0) for low, high in pairwise(edges)])


def relabel(group: I64, n_perm: int, rng: np.random.Generator) -> Iterator[I64]:
    """The labels themselves, (n, 1), then `n_perm` shuffles of them in blocks (n, b)."""
    yield group[:, None]
    for start in range(0, n_perm, BLOCK):
        width = min(BLOCK, n_perm - start)
        yield rng.permuted(np.repeat(group[:, None], width, axis=1), axis=0)


def inside(pairs: PairCounts, labels: I64, n_groups: int) -> F64:
    """(n, b) per person the counts of pairs with people of the same label."""
    n, b = labels.shape
    if n * n * n_groups <= 400 * len(pairs.first) and n * n <= DENSE:
        matrix = np.zeros((n, n))
        matrix[pairs.first, pairs.second] = pairs.count
        matrix += matrix.T
        members = (labels[:, :, None] == np.arange(n_groups)).reshape(n, b * n_groups).astype(np.float64)
        sums = (matrix @ members).reshape(n, b, n_groups)
        return np.take_along_axis(sums, labels[:, :, None], axis=2)[:, :, 0]
    total = np.zeros((n, b))
    for k in range(b):
        column = labels[:, k]
        same = column[pairs.first] == column[pairs.second]
        first, second, count = pairs.first[same], pairs.second[same], pairs.count[same]
        total[:, k] = np.bincount(first, count, n) + np.bincount(second, count, n)
    return total


def studentized(errors: F64, of: F64, labels: I64, n_groups: int) -> tuple[F64, F64, F64]:
    """How far each group's rate is from that of all other groups, in standard errors over people.

    The standard error is the linearized jackknife over people, so that a group with more errors, and therefore more
    spread, is not taken for a different one; a permutation test of a studentized difference stays valid where groups
    differ in spread only (Janssen 1997; Chung & Romano 2013). Constant factors
    are left out: relabeling does not see them.

    Args:
        errors: (n, b) errors that each person is part of, inside the own group.
        of: (n, b) comparisons likewise.
        labels: (n, b) group of each person.
        n_groups: G.

    Returns:
        (b, G) statistics, errors and comparisons; inside a group each of the latter is counted by both people.
    """
    b = labels.shape[1]
    key = labels + n_groups * np.arange(b)

    def total(values: F64) -> F64:
        sums: F64 = np.bincount(key.ravel(), values.ravel(), b * n_groups).reshape(b, n_groups).astype(np.float64)
        return sums

    e, o = total(errors), total(of)
    ee, eo, oo = total(errors * errors), total(errors * of), total(of * of)
    rates, own = _rate_and_variance(e, o, ee, eo, oo)
    rest = [x.sum(1, keepdims=True) - x for x in (e, o, ee, eo, oo)]
    others, theirs = _rate_and_variance(*rest)
    floor = (0.5 / np.maximum(o.sum(1, keepdims=True), 1)) ** 2
    return (rates - others) / np.sqrt(own + theirs + floor), e, o


def _rate_and_variance(e: F64, o: F64, ee: F64, eo: F64, oo: F64) -> tuple[F64, F64]:
    """Rate and sum over people of (errors - rate * comparisons)^2 / comparisons^2."""
    safe = np.where(o > 0, o, 1.0)
    rate = e / safe
    return rate, np.maximum(ee - 2 * rate * eo + rate * rate * oo, 0) / (safe * safe)

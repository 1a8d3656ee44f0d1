"""Comparisons added up per subject, and subjects drawn with replacement: what the intervals of `stats` are made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.types import ComparisonTable, checked

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


@dataclass(frozen=True)
class SubjectCounts:
    """Counts of comparisons; the last row of each matrix counts all, the rows before it the errors per threshold.

    `nonmated` has one column per pair (`first`, `second`) of subjects that were compared, `mated` one per subject.
    """

    n: int
    first: I64
    second: I64
    nonmated: F64
    mated: F64


def count_by_subject(table: ComparisonTable, taus: ArrayLike) -> SubjectCounts:
    """Comparisons and, per threshold, errors of each pair of subjects and of each subject."""
    bars = checked("taus", np.atleast_1d(np.asarray(taus)), (None,), np.float64)
    same = table.mated
    if not same.any() or same.all():
        raise InputError(f"table: expected mated and non-mated comparisons, got {int(same.sum())} of {len(same)} mated")
    names, index = np.unique(np.concatenate([table.ref_subject, table.probe_subject]), return_inverse=True)
    n = len(names)
    ref, probe = index[: len(same)], index[len(same) :]
    keys = (np.minimum(ref, probe) * n + np.maximum(ref, probe))[~same]
    pairs, column = np.unique(keys, return_inverse=True)
    unlike, like, who = table.score[~same], table.score[same], ref[same]
    nonmated = [np.bincount(column, unlike >= bar, len(pairs)) for bar in bars] + [np.bincount(column) * 1.0]
    mated = [np.bincount(who, like < bar, n) for bar in bars] + [np.bincount(who, minlength=n) * 1.0]
    return SubjectCounts(n, pairs // n, pairs % n, np.stack(nonmated), np.stack(mated))


def count_false_matches(errors: ArrayLike, sizes: I64) -> SubjectCounts:
    """False matches listed as (E, 2) pairs of subjects who have `sizes` pictures each."""
    n = len(sizes)
    if (sizes < 0).any() or (sizes > 0).sum() < 2:
        raise InputError("images: expected picture counts of at least two subjects, none negative")
    listed = np.asarray(errors)
    pairs = np.zeros((0, 2), np.int64) if listed.size == 0 else checked("errors", listed, (None, 2), np.int64)
    pairs = np.sort(pairs, axis=1)
    if ((pairs < 0) | (pairs >= n)).any() or (pairs[:, 0] == pairs[:, 1]).any():
        raise InputError(f"errors: expected pairs of two different subjects in 0..{n - 1}")
    keys, repeats = np.unique(pairs[:, 0] * n + pairs[:, 1], return_counts=True)
    first, second = keys // n, keys % n
    if (repeats > sizes[first] * sizes[second]).any():
        raise InputError("errors: expected at most one false match per comparison, got more than were compared")
    return SubjectCounts(n, first, second, repeats[None].astype(np.float64), np.zeros((1, n)))


def draw_subjects(n: int, n_boot: int, rng: np.random.Generator) -> Iterator[F64]:
    """How often each of n subjects is drawn, in blocks (n, b) of together `n_boot` draws."""
    if n_boot < 1:
        raise InputError(f"n_boot: expected at least 1 draw, got {n_boot}")
    block = max(1, min(n_boot, (1 << 22) // n))
    for start in range(0, n_boot, block):
        width = min(block, n_boot - start)
        drawn = rng.integers(n, size=(n, width)) * width + np.arange(width)
        yield np.bincount(drawn.ravel(), minlength=n * width).reshape(n, width).astype(np.float64)


def weighted_sums(counts: SubjectCounts, w: F64) -> F64:
    """Weighted sums w_s w_t count[s, t] for each row of `nonmated` and each draw: (rows, draws)."""
    first, second, rows = counts.first, counts.second, counts.nonmated
    if counts.n**2 <= 64 * len(first) and counts.n**2 <= max(1 << 25, 8 * len(first)):  # a matrix product is faster
        sums = []
        for row in rows:
            matrix = np.zeros((counts.n, counts.n))
            matrix[first, second] = row
            sums.append((w * (matrix @ w)).sum(0))
        return np.stack(sums)
    total = np.zeros((len(rows), w.shape[1]))
    step = max(1, (1 << 20) // w.shape[1])
    for start in range(0, len(first), step):
        part = slice(start, start + step)
        total += rows[:, part] @ (w[first[part]] * w[second[part]])
    return total


def drawn_rates(totals: F64, draws: F64) -> list[tuple[int, int, F64]]:
    """Errors, comparisons and drawn rates of each threshold; draws without a comparison are left out."""
    use = draws[-1] > 0
    if not use.any():
        raise InputError("table: expected comparisons in the drawn samples, got none; bring more subjects")
    return [
        (int(t), int(totals[-1]), row[use] / draws[-1][use]) for t, row in zip(totals[:-1], draws[:-1], strict=True)
    ]

"""Accuracy by the rule of LFW View 2: each fold is judged at the threshold that is best on all other folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.ops import roc
from vultus.types import ComparisonTable, Metric, checked

__all__ = ["FoldAccuracy", "fold_accuracy", "fold_accuracy_of", "held_out_accuracy"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class FoldAccuracy:
    """Accuracy by the rule of LFW View 2.

    Attributes:
        mean: over the folds, with its interval at the thresholds as fitted.
        standard_error: of that mean, from the spread over the folds: std / sqrt(K).
        of_fold: (K,) accuracy of each fold.
        thresholds: (K,) fitted on all other folds.
    """

    mean: Metric
    standard_error: float
    of_fold: F64
    thresholds: F64


def fold_accuracy(
    table: ComparisonTable,
    folds: ArrayLike,
    *,
    rng: np.random.Generator,
    n_boot: int = 2000,
    grid: ArrayLike | None = None,
) -> FoldAccuracy:
    """Accuracy of each fold at the threshold that is best on all others (LFW View 2).

    Args:
        table: comparisons.
        folds: (P,) integer label of each comparison's fold.
        rng: source of the draws.
        n_boot: number of draws.
        grid: thresholds to try; None tries the exact midpoints between scores.

    Raises:
        InputError: see `vultus.ops.roc.kfold_accuracy`.
    """
    part = checked("folds", folds, (len(table),), np.int64)
    of_fold, thresholds = roc.kfold_accuracy(table.score, table.mated, part, grid=grid)
    _, place = np.unique(part, return_inverse=True)
    return _accuracy(table, place, (of_fold, thresholds), table.score >= thresholds[place], rng=rng, n_boot=n_boot)


def fold_accuracy_of(
    scores: Sequence[F64], table: ComparisonTable, folds: ArrayLike, *, rng: np.random.Generator, n_boot: int = 2000
) -> FoldAccuracy:
    """As `fold_accuracy`, with scores of their own for every fold: what was fitted on the other folds differs.

    Args:
        scores: K times (P,) scores of all comparisons; the k-th as seen when fold k (by sorted label) is judged.
        table: who was compared with whom; its scores are not used.
        folds: (P,) integer label of each comparison's fold.
        rng: source of the draws.
        n_boot: number of draws.

    Raises:
        InputError: if there are not as many score columns as folds; see also `vultus.ops.roc.kfold_accuracy`.
    """
    part = checked("folds", folds, (len(table),), np.int64)
    labels, place = np.unique(part, return_inverse=True)
    if len(scores) != len(labels):
        raise InputError(f"scores: expected one column per fold, {len(labels)}, got {len(scores)}")
    of_fold, thresholds = np.empty(len(labels)), np.empty(len(labels))
    accepted = np.zeros(len(table), bool)
    for k, column in enumerate(scores):
        values = checked("scores", column, (len(table),), np.float64)
        thresholds[k] = roc.best_threshold(values[place != k], table.mated[place != k])
        accepted[place == k] = values[place == k] >= thresholds[k]
        of_fold[k] = (accepted == table.mated)[place == k].mean()
    return _accuracy(table, place, (of_fold, thresholds), accepted, rng=rng, n_boot=n_boot)


def held_out_accuracy(
    dev: ComparisonTable, test: ComparisonTable, *, rng: np.random.Generator, n_boot: int = 2000
) -> FoldAccuracy:
    """Accuracy on `test` at the threshold that is best on `dev` (LFW View 1), as the only fold.

    The standard error is that of a share of independent comparisons: there is no spread over folds.

    Raises:
        InputError: if `dev` holds one class only.
    """
    tau = roc.best_threshold(dev.score, dev.mated)
    accepted = test.score >= tau
    share = float((accepted == test.mated).mean())
    low, high, people = _interval(test, np.zeros(len(test), np.int64), accepted, rng, n_boot)
    error = float(np.sqrt(share * (1 - share) / len(test)))
    note = f"{len(test):,} comparisons at the threshold of {len(dev):,} others; standard error {100 * error:.2f} points"
    return FoldAccuracy(Metric(share, low, high, "share", people, note), error, np.array([share]), np.array([tau]))


def _accuracy(
    table: ComparisonTable,
    place: I64,
    fitted: tuple[F64, F64],
    accepted: NDArray[np.bool_],
    *,
    rng: np.random.Generator,
    n_boot: int,
) -> FoldAccuracy:
    of_fold, thresholds = fitted
    low, high, people = _interval(table, place, accepted, rng, n_boot)
    error = float(of_fold.std(ddof=1) / np.sqrt(len(of_fold)))
    note = f"mean of {len(of_fold)} folds; standard error over the folds {100 * error:.2f} points"
    mean = Metric(float(of_fold.mean()), low, high, "share", people, note)
    return FoldAccuracy(mean, error, of_fold, thresholds)


def _interval(
    table: ComparisonTable, place: I64, accepted: NDArray[np.bool_], rng: np.random.Generator, n_boot: int
) -> tuple[float, float, int]:
    """Ends of the interval of the mean over the folds, people drawn anew, and how many people."""
    if n_boot < 1:
        raise InputError(f"n_boot: expected at least 1 draw, got {n_boot}")
    right = (accepted == table.mated).astype(np.float64)
    names, index = np.unique(np.concatenate([table.ref_subject, table.probe_subject]), return_inverse=True)
    ref, probe = index[: len(table)], index[len(table) :]
    drawn = np.empty(n_boot)
    for k in range(n_boot):
        w = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names)).astype(np.float64)
        weight = np.where(table.mated, w[ref], w[ref] * w[probe])
        of = np.bincount(place, weight)
        drawn[k] = (np.bincount(place, weight * right)[of > 0] / of[of > 0]).mean()
    low, high = np.percentile(drawn, (2.5, 97.5))
    return float(low), float(high), len(names)

"""Error rates of a comparison: scores rise with likeness, a comparison is accepted when score >= tau.

FMR(tau) is the share of non-mated scores >= tau, FNMR(tau) the share of mated scores < tau (ISO/IEC 19795-1).
Nothing here assumes that comparisons are independent; `vultus.ops.stats` gives the intervals.
"""

from __future__ import annotations

from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.ops.histogram import ScoreHistogram
from vultus.ops.stats import allowed_errors
from vultus.types import checked

__all__ = [
    "DISTANCE_GRID",
    "ScoreHistogram",
    "auc",
    "best_threshold",
    "d_prime",
    "det_curve",
    "eer",
    "fmr",
    "fnmr",
    "kfold_accuracy",
    "tar_at_far",
    "threshold_at_fmr",
]

F64 = NDArray[np.float64]

DISTANCE_GRID: F64 = 1 - np.arange(400) * 0.01 / 2
"""Cosines at squared distances 0, 0.01, ..., 3.99 of unit vectors: the thresholds that most published code tries."""


@overload
def fmr(nonmated: ArrayLike, tau: float) -> float: ...
@overload
def fmr(nonmated: ArrayLike, tau: NDArray[Any]) -> F64: ...
def fmr(nonmated: ArrayLike, tau: float | NDArray[Any]) -> float | F64:
    """False match rate.

    Args:
        nonmated: (P,) scores of different people.
        tau: one threshold or an array of them.

    Returns:
        Share of scores >= tau, in [0, 1]; an array for an array.

    Raises:
        InputError: if there is no score or a number is not finite.
    """
    scores = _scores("nonmated", nonmated)
    if isinstance(tau, np.ndarray):
        return _from(np.sort(scores), tau)
    return float((scores >= _bar(tau)).mean())


@overload
def fnmr(mated: ArrayLike, tau: float) -> float: ...
@overload
def fnmr(mated: ArrayLike, tau: NDArray[Any]) -> F64: ...
def fnmr(mated: ArrayLike, tau: float | NDArray[Any]) -> float | F64:
    """False non-match rate.

    Args:
        mated: (P,) scores of the same people.
        tau: one threshold or an array of them.

    Returns:
        Share of scores < tau, in [0, 1]; an array for an array.

    Raises:
        InputError: if there is no score or a number is not finite.
    """
    scores = _scores("mated", mated)
    if isinstance(tau, np.ndarray):
        return _below(np.sort(scores), tau)
    return float((scores < _bar(tau)).mean())


def threshold_at_fmr(nonmated: ArrayLike, target: float, *, force: bool = False) -> float:
    """Smallest observed score whose FMR is at most the target.

    Args:
        nonmated: (P,) scores of different people.
        target: wanted FMR in (0, 1].
        force: give the threshold even where fewer than 30 errors are expected.

    Returns:
        The threshold; just above the largest score when even that one is too frequent.

    Raises:
        InputError: if P < 30 / target and `force` is not set, there is no score or a number is not finite.

    Example:
        >>> threshold_at_fmr([0.1, 0.2, 0.3, 0.4], 0.5, force=True)
        0.3
    """
    scores = _scores("nonmated", nonmated)
    allowed = allowed_errors(len(scores), target, force=force)
    if allowed == len(scores):
        return float(scores.min())
    place = len(scores) - allowed - 1
    too_low = np.partition(scores, place)[place]
    above = scores[scores > too_low]
    return float(above.min() if above.size else np.nextafter(too_low, np.inf))


def tar_at_far(mated: ArrayLike, nonmated: ArrayLike, far: float, *, force: bool = False) -> float:
    """True accept rate, 1 - FNMR, at the threshold where the false accept rate is at most `far`.

    Args:
        mated: (P,) scores of the same people.
        nonmated: (R,) scores of different people.
        far: wanted false accept rate in (0, 1].
        force: see `threshold_at_fmr`.

    Returns:
        Share of mated scores at or above the threshold.

    Raises:
        InputError: as `threshold_at_fmr`.
    """
    genuine = _scores("mated", mated)
    return float((genuine >= threshold_at_fmr(nonmated, far, force=force)).mean())


def eer(mated: ArrayLike, nonmated: ArrayLike) -> float:
    """Equal error rate: where FMR equals FNMR, linear between neighboring thresholds.

    Args:
        mated: (P,) scores of the same people.
        nonmated: (R,) scores of different people.

    Returns:
        The rate, in [0, 1].

    Raises:
        InputError: if a side has no score or a number is not finite.
    """
    genuine, other = np.sort(_scores("mated", mated)), np.sort(_scores("nonmated", nonmated))
    taus = np.unique(np.concatenate([genuine, other, [np.nextafter(max(genuine[-1], other[-1]), np.inf)]]))
    miss, false = _below(genuine, taus), _from(other, taus)
    right = int(np.argmax(miss >= false))  # miss climbs from 0 to 1 while false falls from 1 to 0: right >= 1
    gap_left, gap_right = false[right - 1] - miss[right - 1], miss[right] - false[right]
    share = gap_left / (gap_left + gap_right)
    return float(false[right - 1] + share * (false[right] - false[right - 1]))


def auc(mated: ArrayLike, nonmated: ArrayLike) -> float:
    """Area under the ROC: how often a mated score beats a non-mated one, ties counting half. Exact.

    Args:
        mated: (P,) scores of the same people.
        nonmated: (R,) scores of different people.

    Returns:
        The area, in [0, 1].

    Raises:
        InputError: if a side has no score or a number is not finite.
    """
    genuine, other = _scores("mated", mated), np.sort(_scores("nonmated", nonmated))
    beaten = np.searchsorted(other, genuine, "left").sum(dtype=np.int64)
    reached = np.searchsorted(other, genuine, "right").sum(dtype=np.int64)
    return float((int(beaten) + int(reached)) / (2 * len(genuine) * len(other)))


def d_prime(mated: ArrayLike, nonmated: ArrayLike) -> float:
    """Distance between both means in units of the pooled spread: (m1 - m0) / sqrt((s1^2 + s0^2) / 2).

    Args:
        mated: (P,) scores of the same people, P at least 2.
        nonmated: (R,) scores of different people, R at least 2.

    Returns:
        d', larger is better separated; s^2 are sample variances.

    Raises:
        InputError: if a side has fewer than two scores, a number is not finite or neither side varies.
    """
    genuine, other = _scores("mated", mated, 2), _scores("nonmated", nonmated, 2)
    spread = np.sqrt((genuine.var(ddof=1) + other.var(ddof=1)) / 2)
    if np.ptp(genuine) == np.ptp(other) == 0:
        raise InputError("mated, nonmated: expected scores that vary, got two constants")
    return float((genuine.mean() - other.mean()) / spread)


def det_curve(mated: ArrayLike, nonmated: ArrayLike, n: int = 200) -> tuple[F64, F64, F64]:
    """Points of the DET curve, spaced evenly in log FMR.

    Args:
        mated: (P,) scores of the same people.
        nonmated: (R,) scores of different people.
        n: at most how many points.

    Returns:
        FMR rising from about 1/R to 1, FNMR falling, and the thresholds, which are observed non-mated scores; (M,)
        each, M <= n.

    Raises:
        InputError: if a side has no score, a number is not finite or n is below 2.
    """
    if n < 2:
        raise InputError(f"n: expected at least 2 points, got {n}")
    genuine, other = np.sort(_scores("mated", mated)), np.sort(_scores("nonmated", nonmated))
    counts = np.unique(np.geomspace(1, len(other), n).round().astype(np.int64))
    taus = np.unique(other[len(other) - counts])[::-1]
    return _from(other, taus), _below(genuine, taus), taus


def best_threshold(scores: ArrayLike, same: ArrayLike, *, grid: ArrayLike | None = None) -> float:
    """The threshold with the most right decisions, by the rule of `kfold_accuracy`.

    Args:
        scores: (P,) higher is more alike.
        same: (P,) True for the same person.
        grid: thresholds to try in place of the midpoints.

    Raises:
        InputError: if shapes do not agree, a score is not finite, or there is one class only.
    """
    likeness = _scores("scores", scores)
    truth = checked("same", same, likeness.shape, np.bool_)
    order = np.argsort(likeness)
    return _best_threshold(likeness[order], truth[order], None if grid is None else _scores("grid", grid))


def kfold_accuracy(
    scores: ArrayLike, same: ArrayLike, folds: ArrayLike, *, grid: ArrayLike | None = None
) -> tuple[F64, F64]:
    """Accuracy by the rule of LFW View 2: each fold is judged at the threshold that is best on all other folds.

    Candidates are the midpoints between neighboring training scores and both ends. Of several equally good ones the
    middle one is taken, so the result does not depend on the order of the comparisons.

    Args:
        scores: (P,) higher is more alike.
        same: (P,) True for the same person.
        folds: (P,) integer label of each comparison's fold; at least two folds.
        grid: thresholds to try in place of the midpoints, such as `DISTANCE_GRID`; of several equally good ones the
            first is taken.

    Returns:
        Accuracy and threshold of each fold, (K,) each, in the order of the sorted labels. The reported figure is
        their mean with the standard error std(ddof=1) / sqrt(K).

    Raises:
        InputError: if shapes do not agree, a score is not finite, there is one fold only, or the other folds hold
            one class only.
    """
    likeness = _scores("scores", scores)
    truth = checked("same", same, likeness.shape, np.bool_)
    part = checked("folds", folds, likeness.shape, np.int64)
    labels = np.unique(part)
    if len(labels) < 2:
        raise InputError(f"folds: expected at least two, got the label {labels[0]} only")
    tried = None if grid is None else _scores("grid", grid)
    accuracy, taus = np.empty(len(labels)), np.empty(len(labels))
    order = np.argsort(likeness)
    for k, label in enumerate(labels):
        train = order[part[order] != label]
        test = part == label
        taus[k] = _best_threshold(likeness[train], truth[train], tried)
        accuracy[k] = ((likeness[test] >= taus[k]) == truth[test]).mean()
    return accuracy, taus


def _scores(name: str, scores: ArrayLike, least: int = 1) -> F64:
    values = checked(name, scores, (None,), np.float64)
    if len(values) < least:
        raise InputError(f"{name}: expected at least {least} score{'s' * (least > 1)}, got {len(values)}")
    return values


def _bar(tau: Any) -> F64:
    """Thresholds, which may be infinite."""
    taus = np.asarray(tau, np.float64)
    if np.isnan(taus).any():
        raise InputError("tau: expected thresholds, got NaN")
    return taus


def _below(ordered: F64, taus: NDArray[Any]) -> F64:
    """Share of the sorted scores below each threshold."""
    share: F64 = np.searchsorted(ordered, _bar(taus), "left") / len(ordered)
    return share


def _from(ordered: F64, taus: NDArray[Any]) -> F64:
    """Share of the sorted scores at or above each threshold."""
    share: F64 = (len(ordered) - np.searchsorted(ordered, _bar(taus), "left")) / len(ordered)
    return share


def _best_threshold(ordered: F64, truth: NDArray[np.bool_], tried: F64 | None) -> float:
    """The most accurate threshold for scores in rising order."""
    mated = int(truth.sum())
    if mated in (0, len(truth)):
        raise InputError("same: expected both classes to fit a threshold on (outside every fold), got one class only")
    if tried is not None:
        missed, kept = (np.searchsorted(part, tried, "left") for part in (ordered[truth], ordered[~truth]))
        return float(tried[np.argmax(kept - missed)])
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] > ordered[:-1]]))  # where a new score begins
    values = ordered[first]
    middle = (values[:-1] + values[1:]) / 2
    middle = np.where(middle > values[:-1], middle, values[1:])  # neighbors without a number between them
    candidates = np.concatenate([values[:1], middle, [np.nextafter(values[-1], np.inf)]])
    below = np.append(first, len(ordered))  # comparisons below each candidate
    mated_below = np.concatenate([[0], np.cumsum(truth)])[below]
    right = (below - mated_below) + (mated - mated_below)
    best = np.flatnonzero(right == right.max())
    return float(candidates[best[(len(best) - 1) // 2]])

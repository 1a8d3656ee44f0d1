"""Intervals that respect who is behind the comparisons, and how little data supports which rate.

Comparisons that share a person are not independent: an interval that counts them as if they were is too narrow. The
subject bootstrap draws people with replacement. A person drawn w times gives mated comparisons the weight w, and
two people give their non-mated comparisons the weight w_s w_t: the subsets bootstrap of Bolle, Ratha & Pankanti 2004,
with both people drawn as in the vertex bootstrap of Snijders & Borgatti 1999.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.ops._subjects import count_by_subject, count_false_matches, draw_subjects, drawn_rates, weighted_sums
from vultus.types import ComparisonTable, Metric, checked

__all__ = [
    "allowed_errors",
    "bootstrap_mean",
    "fmr_interval_all_pairs",
    "holm",
    "jackknife_subject",
    "paired_bootstrap",
    "rule_of_30",
    "rule_of_three",
    "smallest_supported_fmr",
    "subject_bootstrap",
    "wilson",
]

F64 = NDArray[np.float64]

_Z95 = 1.959963984540054  # 97.5 % point of the normal distribution


def rule_of_30(n: int, target: float) -> bool:
    """Whether n comparisons support an error rate: at least 30 expected errors (Doddington et al. 2000).

    Args:
        n: number of comparisons.
        target: error rate in (0, 1].

    Returns:
        True when n * target >= 30.
    """
    return n * target >= 30 * (1 - 1e-12)


def smallest_supported_fmr(n: int) -> float:
    """The smallest rate that n comparisons support by the rule of 30.

    Args:
        n: number of comparisons, at least 1.

    Returns:
        30 / n; above 1 when n < 30 supports no rate at all.

    Raises:
        InputError: if n is below 1.
    """
    return 30 / _positive(n)


def allowed_errors(n: int, target: float, *, force: bool = False) -> int:
    """How many of n non-mated comparisons may be accepted at a wanted FMR.

    Args:
        n: number of non-mated comparisons, at least 1.
        target: wanted FMR in (0, 1].
        force: answer even where fewer than 30 errors are expected.

    Returns:
        The largest k with k / n <= target.

    Raises:
        InputError: if the target is outside (0, 1], or n does not support it and `force` is not set.
    """
    if not 0.0 < target <= 1.0:
        raise InputError(f"target: expected an FMR in (0, 1], got {target}")
    if not force and n < 30:
        raise InputError(
            f"expected at least 30 / {target:.3g} non-mated comparisons (30 expected errors), got {n}; add people"
        )
    if not force and not rule_of_30(n, target):
        raise InputError(
            f"target: expected an FMR of at least {smallest_supported_fmr(n):.3g}, the smallest that {n} non-mated "
            f"comparisons support (30 expected errors), got {target:.3g}; bring more comparisons"
        )
    allowed = round(n * target)
    return allowed if allowed / n <= target else allowed - 1


def rule_of_three(n: int) -> float:
    """Upper 95 % limit of a rate when none of n independent observations was an error.

    Args:
        n: number of observations, at least 1.

    Returns:
        min(1, 3 / n).

    Raises:
        InputError: if n is below 1.
    """
    return min(1.0, 3 / _positive(n))


def wilson(k: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of independent observations (Wilson 1927).

    Args:
        k: how many of them, 0..n.
        n: number of observations, at least 1.

    Returns:
        Lower and upper end, in [0, 1].

    Raises:
        InputError: if n is below 1 or k outside 0..n.
    """
    _positive(n)
    if not 0 <= k <= n:
        raise InputError(f"k: expected 0..{n}, got {k}")
    share, z2 = k / n, _Z95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 / (1 + z2 / n) * (share * (1 - share) / n + z2 / (4 * n * n)) ** 0.5
    return (0.0 if k == 0 else middle - half), (1.0 if k == n else middle + half)


def holm(p: ArrayLike) -> F64:
    """Holm's step-down: p-values that hold for all tests together (Holm 1979).

    Args:
        p: (T,) p-values in [0, 1] of T tests, in any order and however dependent.

    Returns:
        (T,) adjusted ones: rejecting those at or below a level errs at all with at most that probability.

    Raises:
        InputError: if a value is outside [0, 1].
    """
    values = checked("p", p, (None,), np.float64)
    if ((values < 0) | (values > 1)).any():
        raise InputError("p: expected probabilities from 0 to 1, got one outside")
    order = np.argsort(values, kind="stable")
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def subject_bootstrap(
    table: ComparisonTable, taus: ArrayLike, *, rng: np.random.Generator, n_boot: int = 2000, min_errors: int = 30
) -> tuple[list[Metric], list[Metric]]:
    """FMR and FNMR at fixed thresholds with 95 % percentile intervals over subjects.

    Comparisons are added up per pair of subjects first, so the cost grows with pairs of people, not of pictures.

    Args:
        table: comparisons, both mated and non-mated.
        taus: (T,) thresholds.
        rng: source of the draws.
        n_boot: number of draws.
        min_errors: a rate that rests on fewer errors gets `value` None and a note (rule of 30); 0 gives every number.

    Returns:
        T metrics of FMR and T of FNMR; `n` is the number of subjects.

    Raises:
        InputError: if a class is missing, there are fewer than two subjects or a threshold is not finite.
    """
    counts = count_by_subject(table, taus)
    draws = [(weighted_sums(counts, w), counts.mated @ w) for w in draw_subjects(counts.n, n_boot, rng)]
    nonmated = np.concatenate([pair[0] for pair in draws], axis=1)
    mated = np.concatenate([pair[1] for pair in draws], axis=1)
    return (
        [_percentiles(*row, counts.n, min_errors) for row in drawn_rates(counts.nonmated.sum(1), nonmated)],
        [_percentiles(*row, counts.n, min_errors) for row in drawn_rates(counts.mated.sum(1), mated)],
    )


def jackknife_subject(
    table: ComparisonTable, taus: ArrayLike, *, min_errors: int = 30
) -> tuple[list[Metric], list[Metric]]:
    """FMR and FNMR at fixed thresholds with 95 % intervals by leaving out one subject at a time; fast, no draws.

    Args:
        table: comparisons, both mated and non-mated.
        taus: (T,) thresholds.
        min_errors: see `subject_bootstrap`.

    Returns:
        T metrics of FMR and T of FNMR; `n` is the number of subjects.

    Raises:
        InputError: as `subject_bootstrap`, or if one subject is in all comparisons of a class.
    """
    counts = count_by_subject(table, taus)
    touched = np.stack(
        [np.bincount(counts.first, c, counts.n) + np.bincount(counts.second, c, counts.n) for c in counts.nonmated]
    )
    results = []
    for total, of_subject in ((counts.nonmated.sum(1), touched), (counts.mated.sum(1), counts.mated)):
        left = total[:, None] - of_subject
        if (left[-1] == 0).any():
            raise InputError("table: expected comparisons that remain without any one subject, got one who is in all")
        metrics = []
        for errors, rates in zip(total[:-1], left[:-1] / left[-1], strict=True):
            spread = ((counts.n - 1) / counts.n * ((rates - rates.mean()) ** 2).sum()) ** 0.5
            value = errors / total[-1]
            low, high = max(0.0, value - _Z95 * spread), min(1.0, value + _Z95 * spread)
            metrics.append(_metric(int(errors), int(total[-1]), (low, high), counts.n, min_errors))
        results.append(metrics)
    return results[0], results[1]


def fmr_interval_all_pairs(
    errors: ArrayLike, images: ArrayLike, *, rng: np.random.Generator, n_boot: int = 2000, min_errors: int = 30
) -> Metric:
    """FMR with its subject-bootstrap interval when every picture was compared with every picture of other people.

    Args:
        errors: (E, 2) the two subject indices of each false match; repeat a row for each further one.
        images: (S,) number of pictures of each subject.
        rng: source of the draws.
        n_boot: number of draws.
        min_errors: see `subject_bootstrap`.

    Returns:
        The rate over all unordered pairs of pictures of different people; `n` is the number of subjects.

    Raises:
        InputError: if an index is out of range, a false match is of one subject with itself, there are more of them
            than comparisons, or fewer than two subjects.
    """
    sizes = checked("images", images, (None,), np.int64)
    counts = count_false_matches(errors, sizes)
    weight = sizes.astype(np.float64)
    compared = (weight.sum() ** 2 - (weight**2).sum()) / 2
    draws = []
    for w in draw_subjects(len(sizes), n_boot, rng):
        seen = ((weight @ w) ** 2 - (weight**2) @ (w * w)) / 2
        draws.append(np.concatenate([weighted_sums(counts, w), seen[None]]))
    ((total, of, rates),) = drawn_rates(np.array([counts.nonmated.sum(), compared]), np.concatenate(draws, axis=1))
    return _percentiles(total, of, rates, len(sizes), min_errors)


def bootstrap_mean(
    values: ArrayLike, groups: ArrayLike, *, rng: np.random.Generator, n_boot: int = 2000, unit: str = ""
) -> Metric:
    """Mean with a 95 % percentile interval when whole groups (subjects, pictures, seeds) are drawn.

    With errors as 0 and 1 and subjects as groups it is the interval of an FNMR.

    Args:
        values: (N,) one number per observation.
        groups: (N,) label of the group that each belongs to; at least two groups.
        rng: source of the draws.
        n_boot: number of draws.
        unit: unit of the values, for the record.

    Returns:
        The mean; `n` is the number of groups.

    Raises:
        InputError: if shapes do not agree, a value is not finite or there are fewer than two groups.
    """
    numbers = checked("values", values, (None,), np.float64)
    labels = np.asarray(groups)
    if labels.shape != numbers.shape:
        raise InputError(f"groups: expected shape {numbers.shape}, one label per value, got {labels.shape}")
    names, index = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        raise InputError(f"groups: expected at least two, got {len(names)}")
    table = np.stack([np.bincount(index, numbers), np.bincount(index).astype(np.float64)])
    sums = np.concatenate([table @ w for w in draw_subjects(len(names), n_boot, rng)], axis=1)
    low, high = np.percentile(sums[0] / sums[1], (2.5, 97.5))
    return Metric(float(numbers.mean()), float(low), float(high), unit, len(names))


def paired_bootstrap(
    method: ArrayLike, baseline: ArrayLike, groups: ArrayLike, *, rng: np.random.Generator, n_boot: int = 2000
) -> Metric:
    """Mean gain of a method over its baseline on the same observations, drawing whole groups.

    Args:
        method: (N,) results of the method.
        baseline: (N,) results of the baseline on the same observations.
        groups: (N,) label of the group that each observation belongs to.
        rng: source of the draws.
        n_boot: number of draws.

    Returns:
        Mean of method - baseline; an interval that holds 0 shows no gain.

    Raises:
        InputError: as `bootstrap_mean`.
    """
    left = checked("method", method, (None,), np.float64)
    right = checked("baseline", baseline, left.shape, np.float64)
    return bootstrap_mean(left - right, groups, rng=rng, n_boot=n_boot)


def _percentiles(errors: int, of: int, rates: F64, subjects: int, min_errors: int) -> Metric:
    low, high = np.percentile(rates, (2.5, 97.5))
    return _metric(errors, of, (low, high), subjects, min_errors)


def _metric(errors: int, of: int, interval: tuple[float, float], subjects: int, min_errors: int) -> Metric:
    """A rate as a record: withheld below `min_errors`, with a limit where there is no error at all."""
    low, high = float(interval[0]), float(interval[1])
    note = ""
    if errors == 0:
        high = rule_of_three(subjects)
        note = f"no error in {of} comparisons; smoothed rate {0.5 / (of + 1):.2g}, upper end 3 / {subjects} subjects"
    if errors < min_errors:
        few = f"insufficient: {errors} errors of {of} comparisons, {min_errors} are needed"
        return Metric(None, low, high, "share", subjects, f"{few}; {note}" if note else few)
    return Metric(errors / of, low, high, "share", subjects, note)


def _positive(n: Any) -> int:
    if n < 1:
        raise InputError(f"n: expected at least 1 observation, got {n}")
    return int(n)

"""One number for how unequal error rates of groups are: Gini, GARBE, FDR, ratios, standard deviation.

Gini and GARBE: Howard, Laird, Rubin, Sirotin, Tipton & Vemury 2022, arXiv:2203.05051. Fairness discrepancy rate:
de Freitas Pereira & Marcel 2021, arXiv:2011.02395. Ratios to the smallest rate and to the geometric mean: Grother 2022,
NIST IR 8429. Standard deviation and skewed error ratio: Wang & Deng 2020, arXiv:1911.10692.

Every measure takes the groups along the last axis, so many draws can be computed at once. None of them knows how sure
a rate is: all are above their minimum by chance alone, the more so the more groups there are and the fewer errors;
`vultus.evaluate.fairness` prints beside each what relabeled people reach.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError

__all__ = ["fdr", "garbe", "gini", "inequity", "max_to_geomean", "max_to_min", "skewed_error_ratio", "spread"]

F64 = NDArray[np.float64]


def gini(rates: ArrayLike) -> Any:
    """Gini coefficient with the factor n / (n - 1), which makes 1 the value of "all errors in one group".

    Args:
        rates: (..., G) error rates, G at least 2.

    Returns:
        (...) n / (n - 1) * sum_ij |x_i - x_j| / (2 n^2 mean x); 0 where no group has an error.

    Raises:
        InputError: if there are fewer than two groups or a rate is negative or not finite.
    """
    x = _rates("rates", rates)
    n = x.shape[-1]
    rank = 2 * np.arange(1, n + 1) - n - 1  # sum_ij |x_i - x_j| = 2 sum_k rank_k x_(k)
    differences = 2 * (np.sort(x, axis=-1) * rank).sum(-1)
    mean = x.mean(-1)
    return _plain(n / (n - 1) * differences / np.where(mean > 0, 2 * n * n * mean, 1.0))


def garbe(fmr: ArrayLike, fnmr: ArrayLike, *, alpha: float = 0.5) -> Any:
    """Gini aggregation rate for biometric equitability: alpha Gini(FMR) + (1 - alpha) Gini(FNMR); 0 is equal.

    Args:
        fmr: (..., G) false match rates.
        fnmr: (..., G) false non-match rates.
        alpha: weight of the false matches in [0, 1].

    Raises:
        InputError: as `gini`, or if alpha is outside [0, 1].
    """
    return _plain(_share(alpha) * np.asarray(gini(fmr)) + (1 - alpha) * np.asarray(gini(fnmr)))


def fdr(fmr: ArrayLike, fnmr: ArrayLike, *, alpha: float = 0.5) -> Any:
    """Fairness discrepancy rate: 1 - (alpha max |FMR_i - FMR_j| + (1 - alpha) max |FNMR_i - FNMR_j|); 1 is equal.

    Args:
        fmr: (..., G) false match rates.
        fnmr: (..., G) false non-match rates.
        alpha: weight of the false matches in [0, 1]. False match rates are small, so with alpha 0.5 this is a measure
            of the non-matches; see GARBE for one that is not.

    Raises:
        InputError: as `garbe`.
    """
    left, right = np.ptp(_rates("fmr", fmr), axis=-1), np.ptp(_rates("fnmr", fnmr), axis=-1)
    return _plain(1 - (_share(alpha) * left + (1 - alpha) * right))


def max_to_min(rates: ArrayLike) -> Any:
    """Largest rate divided by the smallest.

    Args:
        rates: (..., G), all above 0: give smoothed rates where a group has no error.

    Raises:
        InputError: as `gini`, or if a rate is 0, because no ratio is infinite here.
    """
    x = _positive("rates", rates)
    return _plain(x.max(-1) / x.min(-1))


def max_to_geomean(rates: ArrayLike) -> Any:
    """Largest rate divided by the geometric mean over the groups; arguments and errors as `max_to_min`."""
    x = _positive("rates", rates)
    return _plain(x.max(-1) / np.exp(np.log(x).mean(-1)))


def inequity(fmr: ArrayLike, fnmr: ArrayLike, *, alpha: float = 0.5) -> Any:
    """Both ratios in one: (max/min of FMR)^alpha (max/min of FNMR)^(1 - alpha); 1 is equal.

    Raises:
        InputError: as `max_to_min`, or if alpha is outside [0, 1].
    """
    left, right = np.asarray(max_to_min(fmr)), np.asarray(max_to_min(fnmr))
    return _plain(left ** _share(alpha) * right ** (1 - alpha))


def spread(rates: ArrayLike) -> Any:
    """Standard deviation over the groups (G - 1 below the line), in the unit of the rates; errors as `gini`."""
    return _plain(_rates("rates", rates).std(axis=-1, ddof=1))


def skewed_error_ratio(fmr: ArrayLike, fnmr: ArrayLike) -> Any:
    """Largest error divided by the smallest, where a group's error is (FMR + FNMR) / 2, that of as many mated as other
    comparisons.

    Raises:
        InputError: as `max_to_min`.
    """
    return max_to_min((_rates("fmr", fmr) + _rates("fnmr", fnmr)) / 2)


def _rates(name: str, rates: ArrayLike) -> F64:
    x = np.asarray(rates, np.float64)
    if x.ndim < 1 or x.shape[-1] < 2:
        raise InputError(f"{name}: expected rates of at least two groups along the last axis, got shape {x.shape}")
    if not np.isfinite(x).all() or (x < 0).any():
        raise InputError(f"{name}: expected finite rates from 0, got NaN, infinity or a negative number")
    return x


def _positive(name: str, rates: ArrayLike) -> F64:
    x = _rates(name, rates)
    if (x == 0).any():
        raise InputError(f"{name}: expected rates above 0 to divide by, got a 0; smooth it: (k + 0.5) / (n + 1)")
    return x


def _share(alpha: float) -> float:
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha: expected a weight from 0 to 1, got {alpha}")
    return alpha


def _plain(x: Any) -> Any:
    return float(x) if np.ndim(x) == 0 else x

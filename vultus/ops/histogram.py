"""False match rates of a billion comparisons in bounded memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.ops.stats import allowed_errors

__all__ = ["ScoreHistogram"]

_CHUNK = 1 << 22  # scores binned at a time: bounds the memory of one call


class ScoreHistogram:
    """Non-mated scores counted in fine bins: error rates of any number of comparisons in bounded memory.

    Rates at bin edges are exact; elsewhere they are rounded to the edge below, which never understates an FMR.

    Args:
        low: smallest score that can come.
        high: largest score that can come.
        bins: how many bins; the default is 2e-6 wide and takes 8 MB.
    """

    def __init__(self, low: float = -1.0, high: float = 1.0, bins: int = 1 << 20) -> None:
        if not (np.isfinite([low, high]).all() and low < high and bins >= 1):
            raise InputError(f"low, high, bins: expected low < high and a bin, got {low}, {high}, {bins}")
        self.low, self.high, self.bins = float(low), float(high), int(bins)
        self._counts = np.zeros(self.bins, np.int64)

    def __repr__(self) -> str:
        return f"ScoreHistogram(low={self.low}, high={self.high}, bins={self.bins}, n={self.n})"

    @property
    def n(self) -> int:
        """How many scores were added."""
        return int(self._counts.sum())

    @property
    def counts(self) -> NDArray[np.int64]:
        """(bins,) how many scores fell into each bin, from `low` to `high`; a copy."""
        return self._counts.copy()

    def add(self, scores: ArrayLike) -> None:
        """Count scores.

        Args:
            scores: any shape; a rounding error beyond an end counts in the last bin there.

        Raises:
            InputError: if a score is not finite or lies outside [low, high]; nothing is counted then.
        """
        values = np.asarray(scores).reshape(-1)
        if values.size and values.dtype.kind not in "fiu":
            raise InputError(f"scores: expected numbers, got {values.dtype}")
        slack = 1e-5 * (self.high - self.low)
        if values.size and not (values.min() >= self.low - slack and values.max() <= self.high + slack):
            raise InputError(
                f"scores: expected numbers in [{self.low}, {self.high}], got {values.min()} to {values.max()}"
            )
        for start in range(0, len(values), _CHUNK):
            self._counts += np.bincount(self._bin(values[start : start + _CHUNK]), minlength=self.bins)

    def fmr_at(self, tau: float) -> float:
        """Share of scores at or above `tau`; at most one bin too many, never too few.

        Args:
            tau: threshold.

        Returns:
            The rate, in [0, 1].

        Raises:
            InputError: if nothing was added or tau is not finite.
        """
        if not np.isfinite(tau):
            raise InputError(f"tau: expected a finite threshold, got {tau}")
        if self.n == 0:
            raise InputError("histogram: expected scores, got none; call add first")
        if tau > self.high:
            return 0.0
        first = int(self._bin(np.array([tau]))[0])
        return float(self._counts[first:].sum() / self.n)

    def threshold_at_fmr(self, target: float, *, force: bool = False) -> float:
        """Smallest bin edge whose FMR is at most the target.

        Args:
            target: wanted FMR in (0, 1].
            force: see `vultus.ops.roc.threshold_at_fmr`.

        Returns:
            The threshold; just above `high` when even the last bin is too frequent.

        Raises:
            InputError: if nothing was added, or n < 30 / target and `force` is not set.
        """
        if self.n == 0:
            raise InputError("histogram: expected scores, got none; call add first")
        allowed = allowed_errors(self.n, target, force=force)
        reach = np.cumsum(self._counts[::-1])  # scores in the last 1, 2, ... bins
        last = int(np.searchsorted(reach, allowed, "right"))
        if last == 0:
            return float(np.nextafter(self.high, np.inf))
        return self.low + (self.bins - last) * ((self.high - self.low) / self.bins)

    def _bin(self, values: NDArray[Any]) -> NDArray[np.int64]:
        place = (values.astype(np.float64) - self.low) * (self.bins / (self.high - self.low))
        return np.clip(place, 0, self.bins - 1).astype(np.int64)

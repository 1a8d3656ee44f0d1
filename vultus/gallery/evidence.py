"""How strongly a score speaks for one person or for two: log-likelihood ratios from a measured calibration.

The ratio of the share of mated to that of non-mated scores between two thresholds of the calibration's curve, made
monotone (pool adjacent violators), linear between. Above the last threshold, where the data see hardly a non-mated
score, it stays what the last of them supports: it is never extrapolated.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.gallery.calibrate import Calibration

__all__ = ["ScoreModel", "score_model"]

F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ScoreModel:
    """Ratios and rates of scores of one embedding space; `llr` is what `Incremental` takes as evidence.

    Attributes:
        space: embedding space.
        scores: (T,) rising.
        ratios: (T,) natural log-likelihood ratio, mated over non-mated, rising.
        thresholds: (R,) rising.
        fmr_of: (R,) share of non-mated scores from each threshold on.
        tmr_of: (R,) share of mated ones.
    """

    space: str
    scores: F64 = field(repr=False)
    ratios: F64 = field(repr=False)
    thresholds: F64 = field(repr=False)
    fmr_of: F64 = field(repr=False)
    tmr_of: F64 = field(repr=False)

    def llr(self, score: ArrayLike) -> F64:
        """Log-likelihood ratios of scores of any shape."""
        return np.asarray(np.interp(np.asarray(score, np.float64), self.scores, self.ratios))

    def fmr(self, score: ArrayLike) -> F64:
        """Share of non-mated scores that reach scores of any shape; beyond the data, what the last point supports."""
        return np.asarray(np.exp(np.interp(np.asarray(score, np.float64), self.thresholds, np.log(self.fmr_of))))

    def tmr(self, score: ArrayLike) -> F64:
        """Share of mated scores that reach scores of any shape; beyond the data, that of the last point."""
        return np.asarray(np.interp(np.asarray(score, np.float64), self.thresholds, self.tmr_of))


def score_model(calibration: Calibration) -> ScoreModel:
    """The ratios behind a calibration's curve.

    Args:
        calibration: with mated comparisons.

    Raises:
        InputError: if it holds no mated comparisons.
    """
    if not isinstance(calibration, Calibration):
        raise InputError(f"calibration: expected what fit or load returns, got {type(calibration).__name__}")
    if not calibration.n_mated or any(rate.fnmr is None for rate in calibration.rates):
        raise InputError(
            f"calibration: expected mated comparisons, got none for {calibration.space}; calibrate with at least two "
            "photos of some people"
        )
    kept = [rate for rate in calibration.rates if rate.fmr > 0]
    bars = np.array([rate.threshold for rate in kept])
    fmr = np.array([rate.fmr for rate in kept])
    tmr = np.array([1.0 - (rate.fnmr or 0.0) for rate in kept])
    edges = np.concatenate([[min(-1.0, bars[0])], bars])
    mated = -np.diff(np.concatenate([[1.0], tmr, [0.0]])) * calibration.n_mated
    nonmated = -np.diff(np.concatenate([[1.0], fmr, [0.0]])) * calibration.n_nonmated
    step = np.diff(bars)
    place = np.concatenate([[bars[0] - step[0] / 2], bars[:-1] + step / 2, [bars[-1] + step[-1] / 2]])
    held = np.append(np.diff(edges) > 0, True)  # the first bin is empty where the curve begins at -1
    mated, nonmated = _pooled(np.maximum(mated[held], 0.0), np.maximum(nonmated[held], 0.0))
    ratio = np.log((mated + 0.5) / (calibration.n_mated + 1)) - np.log((nonmated + 0.5) / (calibration.n_nonmated + 1))
    return ScoreModel(calibration.space, place[held], np.maximum.accumulate(ratio), bars, fmr, tmr)


def _pooled(mated: F64, nonmated: F64) -> tuple[F64, F64]:
    """Counts of neighboring bins added up until the share of mated ones rises (pool adjacent violators)."""
    blocks: list[tuple[float, float, int]] = []
    for m, n in zip(mated.tolist(), nonmated.tolist(), strict=True):
        blocks.append((m, n, 1))
        while len(blocks) > 1 and blocks[-2][0] * blocks[-1][1] >= blocks[-1][0] * blocks[-2][1]:
            (m1, n1, k1), (m2, n2, k2) = blocks[-2:]
            blocks[-2:] = [(m1 + m2, n1 + n2, k1 + k2)]
    times = [block[2] for block in blocks]
    return np.repeat([block[0] for block in blocks], times), np.repeat([block[1] for block in blocks], times)

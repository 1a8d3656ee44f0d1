"""What reports of identification show besides their metrics: curves over rates and ranks, thresholds, policies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.evaluate.metrics.identification import OpenSet
from vultus.evaluate.protocols._pair_set import power
from vultus.types import Metric

__all__ = ["NOTES", "cmc_curve", "lacking", "missed", "rate_curve", "rate_name", "threshold_rows", "tpir_at"]

NOTES = (
    "Mated: the gallery holds the person. Rank k: the share of mated probes whose person is among the first k, "
    "whatever the score. Equal scores count against the probe.",
    "FPIR: the share of probes of people who are not in the gallery for whom anyone reaches the threshold. The "
    "threshold is the smallest observed score at which it is at most the stated rate, found on the same probes. It "
    "describes this set and this size of gallery; it is no setting for other ones.",
    "A probe in which no face was found scores −1 with everybody: a miss where it is mated, no alarm where it is not. "
    "It is counted everywhere.",
    "Intervals are 95% percentiles of a bootstrap that draws the people of the probes and finds the threshold anew in "
    "every draw; the gallery stays as it is. n is the number of people.",
)


def rate_name(rate: float) -> str:
    """1e-3 for a power of ten or a multiple of one, as many digits as needed for others."""
    return power(rate) if float(power(rate)) == rate else f"{rate:g}"


def tpir_at(curve: OpenSet, rate: float) -> Metric:
    """The point of the curve at a rate that was drawn."""
    return curve.tpirs[int(np.flatnonzero(curve.fpirs == rate)[0])]


def missed(found: Metric) -> Metric:
    """1 minus a share."""
    value, low, high = (None if end is None else 1 - end for end in (found.value, found.high, found.low))
    return Metric(value, low, high, found.unit, found.n, found.note)


def rate_curve(curve: OpenSet, series: str, words: str) -> dict[str, Any]:
    """TPIR over FPIR."""
    return {
        "figure": "Identification rate over false alarms",
        "series": series,
        "x": curve.fpirs.tolist(),
        "y": [m.value for m in curve.tpirs],
        "low": [m.low if m.low is not None else m.value for m in curve.tpirs],
        "high": [m.high if m.high is not None else m.value for m in curve.tpirs],
        "x_label": "false positive identification rate",
        "y_label": words,
        "x_scale": "log",
        "caption": "Upper left is better. The band holds 95% of the draws of people.",
    }


def cmc_curve(ranks: Sequence[int], shares: Sequence[Metric], series: str) -> dict[str, Any]:
    """Share of mated probes found within each rank."""
    return {
        "figure": "Found within a rank",
        "series": series,
        "x": list(ranks),
        "y": [m.value for m in shares],
        "low": [m.low if m.low is not None else m.value for m in shares],
        "high": [m.high if m.high is not None else m.value for m in shares],
        "x_label": "rank",
        "y_label": "share of mated probes",
        "x_scale": "log",
    }


def threshold_rows(curve: OpenSet, rates: Sequence[float], galleries: Sequence[str]) -> list[dict[str, Any]]:
    """Every threshold in use and where it comes from."""
    source = "quantile of the best scores of the non-mated probes of this very set"
    at = [int(np.flatnonzero(curve.fpirs == rate)[0]) for rate in rates]
    return [
        {"name": f"FPIR {rate_name(rate)}{name}", "value": float(curve.thresholds[g, k]), "source": source}
        for rate, k in zip(rates, at, strict=True)
        for g, name in enumerate(galleries)
    ]


def lacking(rows: NDArray[np.float32]) -> int:
    """How many rows stand for no face at all."""
    return int((~rows.any(axis=1)).sum())

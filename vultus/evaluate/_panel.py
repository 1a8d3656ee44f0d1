"""The numbers behind a panel's report."""

from __future__ import annotations

from typing import Any

import numpy as np

from vultus.ops.stats import bootstrap_mean, subject_bootstrap
from vultus.types import ComparisonTable, Metric

__all__ = ["identity_metrics", "shared_background"]


def identity_metrics(
    table: ComparisonTable, taus: dict[float, float], words: str, *, rng: np.random.Generator
) -> tuple[dict[str, Metric], list[str]]:
    """Mean similarity, accepted share and false match rate of one network, with intervals over people.

    Args:
        table: comparisons tagged "test".
        taus: false match rate on dev pairs -> threshold.
        words: the network's role and EER; the note of every metric.
        rng: of the bootstrap.

    Returns:
        Metrics by name, and what could not be computed with the reason.
    """
    found: dict[str, Metric] = {}
    missing: list[str] = []
    people, mated = table.ref_subject[table.mated], table.score[table.mated]
    if len(mated):
        found["similarity"] = _mean(mated, people, "cosine", words, rng)
        for rate, tau in taus.items():
            found[f"accepted_at_{rate:.0e}".replace("e-0", "e-")] = _mean(mated >= tau, people, "share", words, rng)
    else:
        missing.append("no comparisons of one person")
    if len(mated) < len(table) and len(mated) and taus:
        rates, _ = subject_bootstrap(table, list(taus.values()), rng=rng)
        for rate, metric in zip(taus, rates, strict=True):
            name = f"fmr_at_{rate:.0e}".replace("e-0", "e-")
            found[name] = _noted(metric, words)
    elif len(mated) == len(table):
        missing.append("no false match rate: no comparisons of different people")
    return found, missing


def _mean(values: Any, people: Any, unit: str, words: str, rng: np.random.Generator) -> Metric:
    n = len(np.unique(people))
    if n < 2:
        return Metric(float(np.mean(values)), None, None, unit, n, f"{words}; one person, so no interval")
    return _noted(bootstrap_mean(np.asarray(values, np.float64), people, rng=rng, unit=unit), words)


def _noted(metric: Metric, words: str) -> Metric:
    note = f"{words}; {metric.note}" if metric.note else words
    return Metric(metric.value, metric.low, metric.high, metric.unit, metric.n, note)


def shared_background(one: Any, other: Any) -> list[str]:
    """Which of family and training data two networks share, as far as both are known."""
    unknown = ("", "not stated")
    pairs = (("family", one.family, other.family), ("training data", one.data, other.data))
    return [what for what, left, right in pairs if left == right and left not in unknown]

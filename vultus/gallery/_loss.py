"""What is lost when vectors are mapped into another space: error rates on people the map has never seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vultus.ops import roc, stats
from vultus.types import F32, ComparisonTable, Metric

FARS = (1e-2, 1e-3)
_MERIT_FARS = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3)

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]


class Pairs:
    """Every picture against every other one; both orders, since the two sides are not embedded alike.

    Attributes:
        first: (P,) picture of the gallery.
        second: (P,) picture of the probe, never the same one.
        mated: (P,) whether they show one person.
    """

    def __init__(self, who: I64) -> None:
        self.who = who
        self.first, self.second = np.nonzero(~np.eye(len(who), dtype=np.bool_))
        self.mated = who[self.first] == who[self.second]

    def scores(self, gallery: F32, probes: F32) -> F64:
        """(P,) cosines."""
        whole = np.clip(gallery @ probes.T, -1.0, 1.0).astype(np.float64)
        chosen: F64 = whole[self.first, self.second]
        return chosen

    @property
    def people(self) -> I64:
        """Whom each mated comparison shows."""
        return np.asarray(self.who[self.first[self.mated]], np.int64)


def merit(scores: F64, mated: NDArray[np.bool_]) -> float:
    """How well scores tell people apart: mean TAR over FARs from 0.1 down to what the comparisons support."""
    nonmated = scores[~mated]
    fars = [far for far in _MERIT_FARS if stats.rule_of_30(len(nonmated) // 2, far)] or [0.1]
    return float(np.mean([roc.tar_at_far(scores[mated], nonmated, far, force=True) for far in fars]))


def measure(
    source: F32, target: F32, adapted: F32, who: I64, *, rng: np.random.Generator, n_boot: int
) -> dict[str, Metric]:
    """Rates of the three ways to compare, and what separates them, with 95 % intervals over people.

    Args:
        source: (N, D1) the old vectors.
        target: (N, D2) the new vectors of the same crops.
        adapted: (N, D2) the old vectors, mapped.
        who: (N,) the person on each.
        rng: source of the bootstrap's draws.
        n_boot: number of draws.
    """
    pairs = Pairs(who)
    scores = {
        "target_target": pairs.scores(target, target),
        "adapted_target": pairs.scores(adapted, target),
        "source_source": pairs.scores(source, source),
    }
    found: dict[str, Metric] = {}
    bars: dict[str, float] = {}
    groups = pairs.people
    for far in FARS:
        power = f"{far:.0e}".replace("e-0", "e-")
        if not stats.rule_of_30(int((~pairs.mated).sum()) // 2, far):
            for name in scores:
                few = f"insufficient: {int((~pairs.mated).sum()) // 2} non-mated comparisons, {30 / far:.0f} are needed"
                found[f"{name}.tar_at_far_{power}"] = Metric(None, unit="share", n=len(np.unique(who)), note=few)
            continue
        hits = {}
        for name, values in scores.items():
            bar = roc.threshold_at_fmr(values[~pairs.mated], far, force=True)
            hits[name] = (values[pairs.mated] >= bar).astype(np.float64)
            found[f"{name}.tar_at_far_{power}"] = stats.bootstrap_mean(
                hits[name], groups, rng=rng, n_boot=n_boot, unit="share"
            )
            if name == "target_target":
                bars[power] = bar
        for name in ("target_target", "source_source"):
            found[f"adapted_target.gain_over_{name}_{power}"] = stats.paired_bootstrap(
                hits["adapted_target"], hits[name], groups, rng=rng, n_boot=n_boot
            )
    if bars:  # a calibration of the target space is used with mapped vectors: is its rate still true?
        table = ComparisonTable(scores["adapted_target"], pairs.mated, who[pairs.first], who[pairs.second], "test")
        false, _ = stats.subject_bootstrap(table, list(bars.values()), rng=rng, n_boot=n_boot, min_errors=0)
        found |= {f"adapted_target.far_at_target_{power}": m for power, m in zip(bars, false, strict=True)}
    same = np.clip((adapted * target).sum(1, dtype=np.float64), -1.0, 1.0)
    found["same_crop.cosine"] = stats.bootstrap_mean(same, who, rng=rng, n_boot=n_boot, unit="cosine")
    mated = scores["adapted_target"][pairs.mated]
    found["adapted_target.mated_cosine"] = stats.bootstrap_mean(mated, groups, rng=rng, n_boot=n_boot, unit="cosine")
    mated = scores["target_target"][pairs.mated]
    found["target_target.mated_cosine"] = stats.bootstrap_mean(mated, groups, rng=rng, n_boot=n_boot, unit="cosine")
    return found

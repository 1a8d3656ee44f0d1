"""From arms to an answer: paired bootstrap of the gain over the declared unit, and the rules for `shown`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.claims._claim import MIN_UNITS, ClaimResult
from vultus.evaluate.panel import same_weights
from vultus.ops.stats import bootstrap_mean
from vultus.types import Metric

__all__ = ["Verdict", "judge_in_loss", "verdict"]

F64 = NDArray[np.float64]

N_BOOT = 2000
SEED = 0  # of the bootstrap


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer of a claim.

    Attributes:
        status: shown, not-shown, wired, refused or invalid.
        why: the rule that decided, in words.
        effect: gain of the method over the baseline; positive is better, whatever the direction of the metric.
        arms: mean of each arm.
        controls: gain of each control over the baseline.
    """

    status: str
    why: str
    effect: Metric | None
    arms: dict[str, Metric]
    controls: dict[str, Metric]


def verdict(result: ClaimResult, scale: str) -> Verdict:
    """Judge a result by the rules of the house; the same result gives the same answer."""
    guilty = judge_in_loss(result)
    if guilty:
        return Verdict("refused", guilty, None, {}, {})
    arms = {name: _mean(result, values) for name, values in result.arms.items()}
    effect = gain(result, result.method)
    controls = {name: gain(result, name) for name in result.controls}
    status, why = _decide(result, scale, effect, controls)
    return Verdict(status, why, effect, arms, controls)


def gain(result: ClaimResult, arm: str) -> Metric:
    """Mean difference to the baseline, turned so that positive is better, with its paired 95 % interval."""
    sign = 1.0 if result.higher_is_better else -1.0
    return _mean(result, sign * (result.arms[arm] - result.arms[result.baseline]))


def judge_in_loss(result: ClaimResult) -> str:
    """Which judge was in a loss, in words; "" when none was."""
    for made in result.provenance:
        for judge in result.judges:
            same = [space for space in made.loss_spaces if same_weights(space, judge)]
            if same:
                return f"the judge {judge} was in a loss, reward or filter ({same[0]}): judge with another network"
    return ""


def _mean(result: ClaimResult, values: F64) -> Metric:
    """Seeds are averaged within a unit and units are drawn; where the unit is the seed, seeds are drawn."""
    if result.unit == "seed":
        numbers, groups = values.mean(1), np.arange(len(values))
    else:
        numbers, groups = values.mean(0), _labels(result.units)
    n = len(np.unique(groups))
    if n < MIN_UNITS:
        few = f"no interval: {n} {result.unit}s, at least {MIN_UNITS} are needed"
        return Metric(float(numbers.mean()), None, None, "", n, few)
    return bootstrap_mean(numbers, groups, rng=np.random.default_rng(SEED), n_boot=N_BOOT)


def _labels(units: Any) -> NDArray[np.int64]:
    """Ids as whole numbers by first appearance: text and numbers may be mixed."""
    seen: dict[Any, int] = {}
    return np.array([seen.setdefault(unit, len(seen)) for unit in units], np.int64)


def _decide(result: ClaimResult, scale: str, effect: Metric, controls: dict[str, Metric]) -> tuple[str, str]:
    if result.invalid:
        return "invalid", result.invalid
    if scale == "tiny":
        return "wired", "it runs; at tiny scale nothing is concluded from the numbers"
    if effect.low is None or effect.high is None or effect.value is None:
        return "not-shown", effect.note
    gaining = [name for name, control in controls.items() if control.low is not None and control.low > 0]
    if gaining:
        return "not-shown", f"the control {gaining[0]} gains as well, so the gain does not come from the method"
    if effect.low <= 0:
        side = "the interval of the gain holds 0" if effect.high >= 0 else "the method is worse than the baseline"
        return "not-shown", side
    if effect.value < result.min_effect:
        return "not-shown", f"the gain is smaller than the {result.min_effect:g} that was declared"
    return "shown", "the interval of the gain excludes 0 in the declared direction"

"""Smoke tests of direction that say how often they fail for nothing.

A test that asserts `method > baseline` on one seed fails whenever luck is against it. `assert_better` fails only where
the seeds themselves refute the direction, and its rate of false failures is declared and exact. It is for tests that
run every day; a full claim never fails a test, it is shown or not shown (`vultus.claims`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, comb, log2
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError
from vultus.types import checked

__all__ = ["Direction", "assert_better"]

Source = Callable[[int], float] | Sequence[float] | NDArray[Any]


@dataclass(frozen=True, slots=True)
class Direction:
    """What the seeds said.

    Attributes:
        gain: mean of method - baseline.
        behind: seeds in which the gain was below the margin.
        n_seeds: seeds compared.
        p: how often that many or more seeds are behind when the direction is right, at most.
        alpha: declared rate of false failures.
    """

    gain: float
    behind: int
    n_seeds: int
    p: float
    alpha: float


def assert_better(
    method: Source, baseline: Source, n_seeds: int, alpha: float = 1e-3, *, margin: float = 0.0
) -> Direction:
    """Fail when the seeds refute that the method is better than the baseline by `margin`.

    The test is the exact one-sided sign test: where the method gains at least `margin` in half of all seeds or more, at
    most a share `alpha` of runs fails, whatever the numbers are distributed like. It catches a method that is no better
    as soon as `margin` is well above what a seed changes by luck: with the default margin 0 only a reversed direction.

    Args:
        method: seed -> score, or the scores of `n_seeds` seeds; higher is better.
        baseline: the same for the baseline, on the same seeds 0 .. n_seeds - 1.
        n_seeds: how many; at least log2(1 / alpha), since fewer can never fail.
        alpha: declared rate of false failures, in (0, 0.5).
        margin: the gain that is expected at least, in units of the score.

    Returns:
        What the seeds said.

    Raises:
        AssertionError: the direction is refuted.
        InputError: too few seeds for this alpha, or scores that are missing or not finite.
    """
    if not 0 < alpha < 0.5:
        raise InputError(f"alpha: expected a rate in (0, 0.5), got {alpha}")
    needed = ceil(log2(1 / alpha))
    if n_seeds < needed:
        raise InputError(f"n_seeds: expected at least {needed}, got {n_seeds}: at alpha {alpha:g} fewer can never fail")
    gains = _scores("method", method, n_seeds) - _scores("baseline", baseline, n_seeds)
    behind = int((gains < margin).sum())
    p = sum(comb(n_seeds, k) for k in range(behind, n_seeds + 1)) / 2**n_seeds
    found = Direction(float(gains.mean()), behind, n_seeds, p, alpha)
    if p <= alpha:
        raise AssertionError(
            f"expected a gain of at least {margin:g} in half of the seeds or more; {behind} of {n_seeds} are behind "
            f"(mean gain {found.gain:.4g}, p {p:.2g} <= {alpha:g}, the declared rate of false failures)"
        )
    return found


def _scores(name: str, source: Source, n_seeds: int) -> NDArray[np.float64]:
    values = [source(seed) for seed in range(n_seeds)] if callable(source) else source
    return checked(name, values, (n_seeds,), np.float64)

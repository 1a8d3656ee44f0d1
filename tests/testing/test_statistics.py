"""assert_better: its declared rate of false failures, by simulation and by hand, and what it catches."""

from __future__ import annotations

import numpy as np
import pytest

from vultus.errors import InputError
from vultus.testing.statistics import assert_better


def failures(draw, runs: int, **options: float) -> int:
    """How many of `runs` runs fail; `draw` gives the gains of the seeds of one run."""
    rng, count = np.random.default_rng(0), 0
    for _ in range(runs):
        gains = draw(rng)
        try:
            assert_better(gains, np.zeros(len(gains)), len(gains), **options)
        except AssertionError:
            count += 1
    return count


@pytest.mark.parametrize("alpha", [0.05, 0.01])
@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: rng.standard_normal(16),
        lambda rng: rng.standard_cauchy(16),
        lambda rng: np.log(2) - rng.exponential(size=16),  # skewed: median 0, mean below it
    ],
    ids=["normal", "cauchy", "skewed"],
)
def test_false_failures_are_no_more_than_declared(alpha, draw):
    """At the edge, where the median gain is the margin: 4 standard errors above alpha once in 30,000."""
    runs = 2000
    assert failures(draw, runs, alpha=alpha) <= runs * alpha + 4 * (runs * alpha * (1 - alpha)) ** 0.5


def test_a_real_gain_hardly_ever_fails_and_a_reversed_one_always_does():
    assert failures(lambda rng: rng.standard_normal(10) + 1, 1000, alpha=1e-3) == 0
    assert failures(lambda rng: rng.standard_normal(12) - 3, 100, alpha=1e-3) > 90


def test_a_margin_catches_a_method_that_is_no_better():
    assert failures(lambda rng: 0.1 * rng.standard_normal(12), 100, alpha=1e-3, margin=0.3) > 90
    assert failures(lambda rng: 0.1 * rng.standard_normal(12) + 0.5, 1000, alpha=1e-3, margin=0.3) == 0


def test_the_rate_by_hand():
    """10 of 10 behind has p = 2 ** -10; 9 of 10 has 11 times that."""
    with pytest.raises(AssertionError, match=r"10 of 10 are behind"):
        assert_better(np.full(10, -1.0), np.zeros(10), 10, 1e-3)
    gains = np.array([-1.0] * 9 + [1.0])
    assert assert_better(gains, np.zeros(10), 10, 1e-3).p == 11 / 1024
    assert assert_better(np.full(10, 0.5), np.zeros(10), 10, margin=0.5).behind == 0, "as much as the margin is enough"


def test_callables_get_the_seeds():
    found = assert_better(lambda seed: seed + 1.0, lambda seed: float(seed), 10)
    assert (found.gain, found.behind, found.n_seeds) == (1.0, 0, 10)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((np.zeros(9), np.zeros(9), 9), "at least 10, got 9"),
        ((np.zeros(9), np.zeros(10), 10), r"method: expected shape \(10,\)"),
        ((np.zeros(10), np.full(10, np.nan), 10), "finite"),
        ((np.zeros(10), np.zeros(10), 10, 0.6), "alpha"),
    ],
)
def test_what_cannot_be_tested_is_refused(arguments, said):
    with pytest.raises(InputError, match=said):
        assert_better(*arguments)

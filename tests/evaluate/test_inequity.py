"""Measures over groups: worked by hand, against an independent slow implementation and scipy, and their invariants."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from vultus.errors import InputError
from vultus.evaluate.metrics import inequity
from vultus.ops.stats import holm

rates = st.lists(st.floats(1e-6, 1), min_size=2, max_size=9)


def slow_gini(x):
    n = len(x)
    return n / (n - 1) * sum(abs(a - b) for a in x for b in x) / (2 * n * n * (sum(x) / n))


def test_by_hand():
    assert inequity.gini([0.01, 0.03]) == pytest.approx(0.5)  # 2 * (2 * 0.02) / (2 * 4 * 0.02)
    assert inequity.gini([0, 0, 1]) == pytest.approx(1)  # every error in one group
    assert inequity.gini([0.2, 0.2, 0.2]) == 0
    assert inequity.gini([0, 0]) == 0
    assert inequity.garbe([0.01, 0.03], [0.1, 0.1]) == pytest.approx(0.25)
    assert inequity.garbe([0.01, 0.03], [0.1, 0.1], alpha=1) == pytest.approx(0.5)
    assert inequity.fdr([0.01, 0.03, 0.02], [0.1, 0.3, 0.2], alpha=0.25) == pytest.approx(1 - 0.25 * 0.02 - 0.75 * 0.2)
    assert inequity.max_to_min([0.02, 0.08, 0.04]) == pytest.approx(4)
    assert inequity.max_to_geomean([0.02, 0.08, 0.04]) == pytest.approx(2)
    assert inequity.inequity([0.01, 0.04], [0.1, 0.9]) == pytest.approx(2 * 3)
    assert inequity.spread([0.1, 0.3]) == pytest.approx(0.02**0.5)
    assert inequity.skewed_error_ratio([0.01, 0.02], [0.03, 0.1]) == pytest.approx(3)
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.9]), [0.04, 0.09, 0.09, 0.9])


@given(rates)
def test_against_the_definition_and_scipy(x):
    assert inequity.gini(x) == pytest.approx(slow_gini(x), abs=1e-9)
    assert inequity.max_to_geomean(x) == pytest.approx(max(x) / scipy.stats.gmean(x))
    assert inequity.spread(x) == pytest.approx(np.std(x, ddof=1), abs=1e-12)


@given(rates, st.floats(0.01, 0.9), st.integers(0, 100))
def test_scale_and_order_do_not_matter(x, factor, seed):
    shuffled = np.random.default_rng(seed).permutation(x)
    for call in (inequity.gini, inequity.max_to_min, inequity.max_to_geomean):
        assert call(shuffled * factor) == pytest.approx(call(x), abs=1e-9)
    assert 0 <= inequity.gini(x) <= 1 + 1e-12


def test_draws_are_computed_at_once():
    x, y = np.random.default_rng(0).uniform(0.01, 0.5, (2, 7, 3))
    for call in (inequity.garbe, inequity.fdr, inequity.inequity, inequity.skewed_error_ratio):
        np.testing.assert_allclose(call(x, y), [call(a, b) for a, b in zip(x, y, strict=True)])


@pytest.mark.parametrize("x", [[0.1], [0.1, np.nan], [0.1, -0.1], 0.3])
def test_what_is_no_rate_of_groups_is_refused(x):
    with pytest.raises(InputError, match="rates"):
        inequity.gini(x)


def test_no_ratio_is_infinite():
    with pytest.raises(InputError, match="smooth"):
        inequity.max_to_min([0.1, 0.0])
    with pytest.raises(InputError, match="alpha"):
        inequity.garbe([0.1, 0.2], [0.1, 0.2], alpha=2)
    with pytest.raises(InputError, match="0 to 1"):
        holm([0.5, 1.5])

"""Balanced selections: no exchange makes them better, equal numbers are not equal mass, what cannot be is refused."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vultus.errors import InputError
from vultus.train.balance import measure, select


def people(count, groups, seed, sharpness=1.0):
    return np.random.default_rng(seed).dirichlet(np.full(groups, sharpness), count)


def value(y, rows, bins, mu):
    """The sum as it stands in the text, written out slowly."""
    n, groups = len(rows), y.shape[1]
    total = 0.0
    for k in range(groups):
        total += (sum(y[i, k] for i in rows) - n / groups) ** 2
        for b in range(bins):
            inside = [i for i in rows if b / bins <= y[i, k] < (b + 1) / bins or (b == bins - 1 and y[i, k] == 1)]
            total += mu * (len(inside) - n / bins) ** 2
    return total


@settings(max_examples=25)
@given(st.integers(4, 14), st.integers(2, 4), st.integers(0, 99), st.sampled_from([0.0, 0.01, 1.0]), st.data())
def test_no_exchange_makes_it_better(count, groups, seed, mu, data):
    y = people(count, groups, seed)
    n = data.draw(st.integers(1, count))
    found = select(y, n, np.random.default_rng(seed), bins=4, mu=mu, passes=99)
    rows = found.rows.tolist()
    assert len(set(rows)) == n
    assert found.value == pytest.approx(value(y, rows, 4, mu))
    for old, new in itertools.product(rows, set(range(count)) - set(rows)):
        assert value(y, [new if i == old else i for i in rows], 4, mu) >= found.value - 1e-8


def test_it_comes_near_the_best_of_all():
    ranks = []
    for seed in range(10):
        y = people(12, 3, seed)
        every = sorted(value(y, rows, 5, 0.01) for rows in itertools.combinations(range(12), 6))
        ranks.append(np.searchsorted(every, select(y, 6, np.random.default_rng(seed), bins=5).value - 1e-9))
    assert np.median(ranks) <= 4  # of 924 choices
    assert max(ranks) < 60


def test_equal_numbers_are_not_equal_mass():
    """A group of weak members lends mass to the others: the discrete selection cannot see it, the continuous can."""
    rng = np.random.default_rng(0)
    strong = np.stack([rng.uniform(0.9, 1.0, 300), np.zeros(300)], 1)
    weak = np.stack([np.zeros(300), rng.uniform(0.5, 1.0, 300)], 1)
    y = np.concatenate([strong, weak])
    y[:300, 1], y[300:, 0] = 1 - y[:300, 0], 1 - y[300:, 1]
    discrete = select(y, 200, rng, mode="discrete")
    continuous = select(y, 200, rng)
    assert (discrete.rows < 300).sum() == 100
    assert discrete.mass[0] - discrete.mass[1] > 30
    assert abs(continuous.mass[0] - continuous.mass[1]) < 2
    assert continuous.value < discrete.value / 10
    assert (
        select(y, 200, np.random.default_rng(5)).rows.tolist() == select(y, 200, np.random.default_rng(5)).rows.tolist()
    )


def test_discrete_takes_as_many_of_each_group():
    y = people(300, 3, 1)
    found = select(y, 100, np.random.default_rng(0), mode="discrete")
    assert sorted(np.bincount(y[found.rows].argmax(1)).tolist()) == [33, 33, 34]
    assert found.mass.sum() == pytest.approx(100)
    assert found.counts.sum(1).tolist() == [100] * 3
    assert measure(y, found.rows).value == pytest.approx(found.value)


def test_pure_groups_leave_nothing_to_choose():
    y = np.eye(4)[np.arange(80) % 4]
    for mode in ("discrete", "continuous"):
        found = select(y, 40, np.random.default_rng(0), mode=mode)
        assert found.mass.tolist() == [10.0] * 4


@pytest.mark.parametrize(
    ("shares", "settings", "message"),
    [
        (np.ones((5, 1)), {}, "two groups or more"),
        (np.zeros((0, 3)), {}, "two groups or more"),
        (np.full((5, 2), 0.4), {}, "sum to 1, got .* in row 0"),
        ([[1.5, -0.5]] * 5, {}, "rows from 0"),
        ([[0.5, np.nan]] * 5, {}, "finite"),
        ([0.5, 0.5], {}, "expected shape"),
        (np.full((5, 2), 0.5), {"n": 6}, "n from 1 to 5"),
        (np.full((5, 2), 0.5), {"n": 0}, "n from 1 to 5"),
        (np.full((5, 2), 0.5), {"bins": 0}, "bins from 1"),
        (np.full((5, 2), 0.5), {"mode": "both"}, "discrete"),
        (np.full((5, 2), 0.5), {"n": 4, "mode": "discrete"}, "at least 2 people of group 1, got 0"),
    ],
)
def test_what_cannot_be(shares, settings, message):
    with pytest.raises(InputError, match=message):
        select(shares, rng=np.random.default_rng(0), **{"n": 2, **settings})


def test_rows_that_are_none():
    y = np.full((5, 2), 0.5)
    for rows in ([], [5], [-1], [1, 1]):
        with pytest.raises(InputError, match="each once"):
            measure(y, rows)

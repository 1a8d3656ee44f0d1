"""Rank-order: distances by hand and by the definition with whole lists; clusters by the algorithm of the paper."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gallery.cluster.people import people, same_parts
from vultus.gallery.cluster.rank_order import Lists, RankOrder, rank_distance


def whole(away):
    """Lists of all others."""
    n = len(away)
    source, member = np.divmod(np.arange(n * n), n)
    return Lists.of(source, member, away.ravel(), n, n - 1)


def by_definition(away, a, b):
    """Equations 3 and 4, with the order lists written out."""
    order = np.argsort(away + np.diag(np.full(len(away), -1.0)), axis=1, kind="stable")
    rank = np.argsort(order, axis=1)

    def one_way(p, q):
        return sum(rank[q][order[p][i]] for i in range(rank[p][q] + 1))

    return (one_way(a, b) + one_way(b, a)) / min(rank[a][b], rank[b][a])


def test_by_hand():
    # on a line at 0, 1, 3: the list of 0 is (1, 3), of 1 is (0, 3), of 3 is (1, 0)
    away = np.abs(np.subtract.outer([0.0, 1.0, 3.0], [0.0, 1.0, 3.0]))
    made = rank_distance(whole(away), np.array([0, 0, 1]), np.array([1, 2, 2]))
    # (0,1): D = O_1(0) + O_1(1) = 1, both ways, over 1; (0,2): D(0,2) = O_2(0) + O_2(1) = 3, D(2,0) = 2 + 1, over 2
    # (1,2): D(1,2) = O_2(1) + O_2(0) + O_2(2) = 3, D(2,1) = O_1(2) + O_1(1) = 2, over 1
    assert made.tolist() == [2.0, 3.0, 5.0]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(3, 30))
def test_by_the_definition(seed, n):
    rows, _ = people(seed, n, 4)
    away = 1 - rows.astype(np.float64) @ rows.T
    away = (away + away.T) / 2
    np.fill_diagonal(away, 0)
    a, b = np.triu_indices(n, 1)
    made = rank_distance(whole(away), a, b)
    assert made == pytest.approx([by_definition(away, i, j) for i, j in zip(a, b, strict=True)])


def test_one_round_joins_what_the_equations_say():
    rows, _ = people(5, 25, 3, spread=0.8)
    away = 1 - rows.astype(np.float64) @ rows.T
    np.fill_diagonal(away, 0)
    density = np.sort(away, axis=1)[:, 1:10].mean(1)
    lists = whole(away)
    a, b = lists.within(density, np.ones(25), 2.0)
    expected = [(i, j) for i in range(25) for j in range(i + 1, 25) if away[i, j] <= (density[i] + density[j]) / 2]
    assert list(zip(a.tolist(), b.tolist(), strict=True)) == expected


def test_dense_and_loose_people_at_one_setting():
    near, _ = people(0, 12, 1, spread=0.2)
    far, _ = people(1, 12, 1, spread=0.9)
    labels = RankOrder(0.0).cluster(np.concatenate([near, far]))
    found = labels >= 0
    assert same_parts(labels[found], np.repeat([0, 1], 12)[found])
    assert found.mean() > 0.8

"""HDBSCAN: as scikit-learn's where no two distances are equal; equal distances do not make the order matter."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import HDBSCAN

from tests.gallery.cluster.people import people, same_parts
from vultus.gallery.cluster.hdbscan import Hdbscan


@pytest.mark.parametrize(("least", "around"), [(3, 1), (5, 2), (10, 2), (8, 1)])
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(30, 200))
def test_as_scikit_learn(least, around, seed, n):
    # with `around` above 2 many reachabilities are equal, and scikit-learn's answer depends on the order of the faces
    rows, _ = people(seed, n, 8, dim=16)
    away = np.clip(1 - rows.astype(np.float64) @ rows.T, 0, 2)
    np.fill_diagonal(away, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        peer = HDBSCAN(min_cluster_size=least, min_samples=around, metric="precomputed").fit_predict(away)
    assert same_parts(Hdbscan(-1.0, least, around).cluster(rows), peer)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(3, 6))
def test_equal_distances_do_not_make_the_order_matter(seed, least):
    rows, _ = people(seed, 80, 6, dim=16)
    order = np.random.default_rng(seed).permutation(80)
    assert same_parts(Hdbscan(-1.0, least).cluster(rows)[order], Hdbscan(-1.0, least).cluster(rows[order]))


def test_two_densities_at_once():
    near, _ = people(0, 40, 1, dim=64, spread=0.3)
    far, _ = people(1, 40, 1, dim=64, spread=1.0)
    labels = Hdbscan(0.1, 5).cluster(np.concatenate([near, far]))
    assert same_parts(labels[labels >= 0], np.repeat([0, 1], 40)[labels >= 0])
    assert (labels >= 0).mean() > 0.9


def test_a_cluster_with_a_cannot_link_is_cut():
    rows, _ = people(2, 30, 1, spread=0.5)
    assert Hdbscan(0.3).cluster(rows).tolist() == [0] * 30
    labels = Hdbscan(0.3).cluster(rows, cannot_link=[[0, 1]])
    assert labels[0] != labels[1] or labels[0] == -1
    assert (labels >= 0).sum() >= 20  # the others stay together with one of the two

"""Agglomerative clustering: the clusters of scipy, and constraints by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist

from tests.gallery.cluster.people import people, same_parts
from vultus.errors import InputError
from vultus.gallery.cluster.agglomerative import Agglomerative


@pytest.mark.parametrize("kind", ["average", "complete", "single"])
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 120), st.sampled_from([-0.5, 0.0, 0.2, 0.4, 0.6]))
def test_as_scipy(kind, seed, n, threshold):
    rows, _ = people(seed, n, 8)
    peer = fcluster(linkage(pdist(rows.astype(np.float64), "cosine"), kind), 1 - threshold, "distance")
    assert same_parts(Agglomerative(threshold, kind).cluster(rows), peer - 1)


def angles(*degrees):
    turn = np.radians(degrees)
    return np.stack([np.cos(turn), np.sin(turn)], axis=1).astype(np.float32)


def test_by_hand():
    # 0 and 10 join at cos 10; the mean of 40 with both is (cos 40 + cos 30) / 2 = 0.816
    rows = angles(0, 10, 40, 180)
    assert Agglomerative(0.81).cluster(rows).tolist() == [0, 0, 0, 1]
    assert Agglomerative(0.82).cluster(rows).tolist() == [0, 0, 1, 2]
    assert Agglomerative(0.82, "single").cluster(rows).tolist() == [0, 0, 0, 1]
    assert Agglomerative(0.81, "complete").cluster(rows).tolist() == [0, 0, 1, 2]
    assert Agglomerative(0.82, min_faces=2).cluster(rows).tolist() == [0, 0, -1, -1]


@pytest.mark.parametrize("kind", ["average", "complete", "single"])
def test_what_may_not_be_joined_gives_way_to_the_next_best(kind):
    rows = angles(0, 4, 12)
    assert Agglomerative(0.9, kind).cluster(rows, cannot_link=[[0, 1]]).tolist() == [0, 1, 1]


def test_must_links_reach_over_what_is_unlike():
    rows = angles(0, 2, 120, 122)
    labels = Agglomerative(0.9, min_faces=2).cluster(rows, must_link=[[0, 2]])
    assert labels[0] == labels[2] >= 0


def test_refuses_a_linkage_of_no_name():
    with pytest.raises(InputError, match="linkage: expected average, complete or single, got 'ward'"):
        Agglomerative(0.5, "ward").cluster(angles(0))

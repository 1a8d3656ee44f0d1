"""DBSCAN: as scikit-learn's; a border face goes to the most alike core."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import DBSCAN

from tests.gallery.cluster.people import people, same_parts
from tests.gallery.cluster.test_agglomerative import angles
from vultus.gallery.cluster._edges import edges_above
from vultus.gallery.cluster.dbscan import Dbscan


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 150), st.integers(1, 6), st.sampled_from([0.2, 0.4, 0.6]))
def test_as_scikit_learn(seed, n, least, threshold):
    rows, _ = people(seed, n, 10, dim=24)
    away = np.clip(1 - rows.astype(np.float64) @ rows.T, 0, 2)
    peer = DBSCAN(eps=1 - threshold, min_samples=least, metric="precomputed").fit(away)
    labels = Dbscan(threshold, least).cluster(rows)
    cores = peer.core_sample_indices_
    assert same_parts(labels[cores], peer.labels_[cores])
    assert np.array_equal(labels < 0, peer.labels_ < 0)
    likeness = rows @ rows.T
    for face in np.setdiff1d(np.flatnonzero(labels >= 0), cores):  # scikit-learn takes the first
        best = cores[np.argmax(likeness[face, cores])]
        assert labels[face] == labels[best]


def test_one_wrong_pair_joins_two_people_unless_it_is_forbidden():
    rows = angles(0, 5, 10, 30, 50, 55, 60)  # 30 is near both sides
    assert Dbscan(0.93, 3).cluster(rows).tolist() == [0] * 7
    labels = Dbscan(0.93, 3).cluster(rows, cannot_link=[[0, 6]])
    assert labels[:3].tolist() == [0, 0, 0]
    assert labels[4:].tolist() == [1, 1, 1]


def test_counts_the_face_itself():
    assert edges_above(angles(0, 1, 90), 0.9).degree.tolist() == [1, 1, 0]
    assert Dbscan(0.9, 2).cluster(angles(0, 1, 90)).tolist() == [0, 0, -1]
    assert Dbscan(0.9, 1).cluster(angles(0, 1, 90)).tolist() == [0, 0, 1]

"""Chinese whispers: what the paper says of cliques and bridges, and repeatable draws."""

from __future__ import annotations

import numpy as np

from tests.gallery.cluster.people import people, same_parts
from tests.gallery.cluster.test_agglomerative import angles
from vultus.gallery.cluster.chinese_whispers import ChineseWhispers


def test_two_cliques_over_one_weak_edge_stay_two():
    # figure 2 of the paper: cliques of 4 joined by one edge; here 0..9 and 41..50 degrees, near up to 33 degrees
    rows = angles(0, 3, 6, 9, 41, 44, 47, 50)
    for seed in range(20):
        labels = ChineseWhispers(np.cos(np.radians(33))).cluster(rows, rng=np.random.default_rng(seed))
        assert same_parts(labels, np.repeat([0, 1], 4))


def test_the_same_draw_gives_the_same_labels():
    rows, _ = people(0, 300, 30, spread=1.7)
    whispers = ChineseWhispers(0.35)
    assert np.array_equal(whispers.cluster(rows), whispers.cluster(rows, rng=np.random.default_rng(0)))
    one, other = (whispers.cluster(rows, rng=np.random.default_rng(seed)) for seed in (1, 2))
    assert not np.array_equal(one, other)  # the order of visits matters, as published


def test_lonely_faces_are_classes_of_their_own_or_noise():
    assert ChineseWhispers(0.9).cluster(angles(0, 1, 90)).tolist() == [0, 0, 1]
    assert ChineseWhispers(0.9, min_faces=2).cluster(angles(0, 1, 90)).tolist() == [0, 0, -1]

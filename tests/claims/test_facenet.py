"""The measures of the claims about FaceNet: rates of people by hand, two networks both ways, linear map, clusters."""

from __future__ import annotations

import numpy as np
import pytest

from vultus.claims import facenet
from vultus.evaluate.metrics.clustering import pairwise
from vultus.ops.vectors import unit


class People:
    labels = np.array([0, 0, 0, 1, 1, 1])


LEFT, RIGHT = np.array([0, 0, 1, 3, 3, 4, 0, 1, 2]), np.array([1, 2, 2, 4, 5, 5, 3, 4, 5])
SAID = {"pairs": (LEFT, RIGHT, np.arange(9) < 6), "test": People}


def angles(*degrees):
    turned = np.deg2rad(degrees)
    return np.stack([np.cos(turned), np.sin(turned)], 1).astype(np.float32)


def test_rates_of_people_by_hand():
    """Non-mated pairs are 60, 70 and 80 degrees apart, so pairs below 60 count: 2 of 3 of the first person, 1 of the
    second; its others are 65 and 100 apart."""
    vectors = angles(0, 10, -55, 60, 80, -5 + 30)
    left, right, _ = SAID["pairs"]
    apart = np.rad2deg(np.arccos(np.clip((vectors[left] * vectors[right]).sum(1), -1, 1))).round()
    assert apart.tolist() == [10, 55, 65, 20, 35, 55, 60, 70, 80]
    rates, who = facenet._accepted(SAID, vectors)
    assert who.tolist() == [0, 1]
    assert rates == pytest.approx([2 / 3, 1])


def test_two_networks_are_compared_in_both_directions():
    """A pair counts twice: the left picture as the probe, and the right one; which is which changes the score."""
    probes, kept = angles(0, 0, 0, 120, 120, 120), angles(20, 0, 30, 120, 120, 200)
    rates, _ = facenet._accepted(SAID, probes, kept)
    same, _ = facenet._accepted(SAID, kept, probes)
    assert rates == pytest.approx(same)
    # non-mated: the nearest are 120 - 30 = 90 apart; mated: the last of the second person is 80 away
    assert rates == pytest.approx([1, 1])
    kept = angles(20, 0, 30, 120, 120, 215)
    assert facenet._accepted(SAID, probes, kept)[0] == pytest.approx([1, 4 / 6])


def test_the_map_finds_a_rotation_and_does_not_find_what_is_not_there():
    rng = np.random.default_rng(0)
    source = unit(rng.standard_normal((400, 16)))
    turn = np.linalg.qr(rng.standard_normal((16, 16)))[0]
    found = facenet._map(source, unit(source @ turn), ridge=1e-9)
    np.testing.assert_allclose(found, turn, atol=1e-5)
    strangers = unit(source @ facenet._map(source, unit(rng.standard_normal((400, 16)))))
    assert abs((strangers * (source @ turn)).sum(1).mean()) < 0.2


def test_the_threshold_of_clusters_comes_from_other_people():
    """The kept people are apart by 40 degrees, so the threshold parts the test people too."""

    class Kept:
        labels = np.array([0, 0, 1, 1])

    said = {"kept": Kept, "test": People}
    vectors = {"kept": angles(0, 5, 45, 50), "test": angles(0, 5, 3, 60, 66, 110)}
    f, count = facenet._clustered(said, vectors)
    assert count == 3
    assert f == pytest.approx(pairwise(np.array([0, 0, 0, 1, 1, 2]), People.labels)[2])
    assert facenet._f(vectors["test"], People.labels, 0.5) == (1.0, 2)

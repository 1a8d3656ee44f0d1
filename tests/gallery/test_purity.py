"""Purity without labels, held against the true purity of simulated people."""

from __future__ import annotations

import numpy as np
import pytest

from tests.gallery.cluster.people import people
from vultus.errors import InputError
from vultus.evaluate.metrics import clustering
from vultus.gallery import calibrate
from vultus.gallery.cluster.agglomerative import Agglomerative
from vultus.gallery.cluster.incremental import Incremental
from vultus.gallery.evidence import score_model
from vultus.gallery.purity import purity

ORIGIN = calibrate.Origin("toy@000000000000", "none", "people", "sim")


@pytest.fixture(scope="module")
def measured():
    rows, who = people(0, 2000, 500, spread=0.8)
    made = calibrate.fit_all_pairs(rows, who, ORIGIN, rng=np.random.default_rng(0), n_boot=20)
    return made, score_model(made)


@pytest.mark.parametrize("fmr", [1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize("name", ["average", "incremental"])
def test_the_estimate_is_within_three_points_of_the_truth(measured, fmr, name):
    made, model = measured
    rows, who = people(1, 2000, 450, spread=0.8)  # other people
    threshold = made.threshold(fmr)[0]
    method = Agglomerative(threshold) if name == "average" else Incremental(threshold, evidence=model.llr)
    labels = method.cluster(rows)
    found = purity(rows, labels, model, threshold=threshold, rng=np.random.default_rng(0))
    inside = labels >= 0
    assert found.total.value == pytest.approx(clustering.purity(labels[inside], who[inside]), abs=0.03)
    assert found.total.low <= found.total.value <= found.total.high
    true = np.array([np.bincount(who[labels == k]).max() for k in found.labels]) / found.faces
    assert np.mean((true >= found.low - 1e-9) & (true <= found.high + 1e-9)) > 0.95
    if fmr == 1e-2:  # enough clusters of two people to see whether they are told from the others
        doubtful = found.value < 0.8
        assert doubtful.sum() > 20
        assert abs(true[doubtful].mean() - found.value[doubtful].mean()) < 0.15
        assert true[found.value > 0.95].mean() > 0.97


def test_two_people_in_one_cluster_are_noticed(measured):
    _, model = measured
    rows, who = people(2, 600, 60, spread=0.6)
    labels = np.where(who < 2, 0, who)  # people 0 and 1 are one cluster
    found = purity(rows, labels, model, threshold=0.3, rng=np.random.default_rng(0))
    share = np.bincount(who[who < 2]).max() / (who < 2).sum()
    assert found.value[0] == pytest.approx(share, abs=0.02)
    assert (found.value[1:] > 0.98).all()


def test_large_clusters_are_sampled_and_the_draws_repeat(measured):
    _, model = measured
    rows, _ = people(3, 900, 1, spread=0.6)
    one, other = (
        purity(rows, np.zeros(900, int), model, threshold=0.3, rng=np.random.default_rng(4), draws=50) for _ in range(2)
    )
    assert one.total == other.total
    assert one.faces.tolist() == [900]
    assert one.value[0] > 0.99


def test_nothing_and_noise_and_one_face(measured):
    _, model = measured
    rows = np.eye(3, dtype=np.float32)
    rng = np.random.default_rng(0)
    nothing = purity(rows[:0], [], model, threshold=0.3, rng=rng)
    assert nothing.total.value is None
    assert purity(rows, [-1, -1, -1], model, threshold=0.3, rng=rng).labels.tolist() == []
    alone = purity(rows, [-1, 7, -1], model, threshold=0.3, rng=rng)
    assert (alone.labels.tolist(), alone.value.tolist()) == ([7], [1.0])


@pytest.mark.parametrize(
    ("labels", "threshold"), [([0, 0], 0.3), ([0, 0, -2], 0.3), ([0, 0, 0], 1.5), ([0, 0, 0], None)]
)
def test_refuses(measured, labels, threshold):
    with pytest.raises(InputError, match="expected"):
        purity(np.eye(3), labels, measured[1], threshold=threshold, rng=np.random.default_rng(0))

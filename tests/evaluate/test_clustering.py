"""Measures of a clustering: by hand, and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as peer

from vultus.errors import InputError
from vultus.evaluate.metrics.clustering import agreement, bcubed, mutual_information, pairwise, purity

# Two people, a a a b b, in the clusters (a a b) (a) (b): the pairs of one person are 4, in one cluster 3, in both 1.
PEOPLE = [0, 0, 0, 1, 1]
LABELS = [5, 5, -1, 5, 2]


def test_by_hand():
    assert pairwise(LABELS, PEOPLE) == pytest.approx((1 / 3, 1 / 4, 2 / 7))
    # precision: two a with 2/3, b with 1/3, two alone with 1; recall: 2/3, 2/3, 1/3, 1/2, 1/2
    assert bcubed(LABELS, PEOPLE)[:2] == pytest.approx(((2 / 3 + 2 / 3 + 1 / 3 + 1 + 1) / 5, (5 / 3 + 1) / 5))
    assert purity(LABELS, PEOPLE) == pytest.approx(4 / 5)
    made = agreement(LABELS, PEOPLE)
    assert (made.clusters, made.noise) == (2, 1)
    assert made.to_dict()["purity"] == made.purity


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 12))
def test_as_scikit_learn(seed, n, k):
    rng = np.random.default_rng(seed)
    people = rng.integers(k, size=n)
    labels = np.where(rng.random(n) < 0.6, people, rng.integers(k, size=n))
    nmi, ami = mutual_information(labels, people)
    assert nmi == pytest.approx(peer.normalized_mutual_info_score(people, labels), abs=1e-9)
    assert ami == pytest.approx(peer.adjusted_mutual_info_score(people, labels), abs=1e-7)
    (_, false_together), (false_apart, both) = peer.cluster.pair_confusion_matrix(people, labels)
    precision, recall, _ = pairwise(labels, people)
    assert precision == pytest.approx(both / (both + false_together) if both + false_together else 1)
    assert recall == pytest.approx(both / (both + false_apart) if both + false_apart else 1)
    table = peer.cluster.contingency_matrix(people, labels)
    assert purity(labels, people) == pytest.approx(table.max(0).sum() / n)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_bcubed_by_its_definition(seed, n):
    rng = np.random.default_rng(seed)
    labels, people = rng.integers(-1, 5, size=n), rng.integers(4, size=n)
    together = (labels[:, None] == labels) & (labels >= 0) | np.eye(n, dtype=bool)
    same = people[:, None] == people
    precision, recall, f = bcubed(labels, people)
    assert precision == pytest.approx(np.mean((together & same).sum(1) / together.sum(1)))
    assert recall == pytest.approx(np.mean((together & same).sum(1) / same.sum(1)))
    assert f == pytest.approx(2 * precision * recall / (precision + recall))


def test_the_ends():
    people = np.arange(12) // 3
    perfect = agreement(people + 7, people)
    assert perfect.bcubed_f == perfect.pairwise_f == perfect.purity == pytest.approx(1)
    assert perfect.nmi == pytest.approx(1)
    assert perfect.ami == pytest.approx(1)
    noise = agreement(np.full(12, -1), people)
    assert (noise.pairwise_precision, noise.pairwise_recall, noise.purity) == (1, 0, 1)
    assert noise.bcubed_recall == pytest.approx(1 / 3)
    one = agreement([0], [3])
    assert (one.nmi, one.ami, one.bcubed_f) == (1, 1, 1)


@pytest.mark.parametrize(
    ("labels", "people"), [([], []), ([0], [0, 1]), ([-2], [0]), ([[0]], [0]), (["a"], [0]), (None, [0])]
)
def test_refuses(labels, people):
    with pytest.raises(InputError, match="expected"):
        agreement(labels, people)

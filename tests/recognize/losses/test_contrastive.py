"""Contrastive loss: value and gradient by hand, where it is 0, what each kind of pair does."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests.recognize.losses.by_hand import slopes
from tests.recognize.losses.pairs_by_hand import EMB, WHO, draw, square, unit, value_and_gradient
from vultus import catalogue
from vultus.errors import InputError


def _by_hand(emb, margin=1.0):
    rows, terms = unit(emb), []
    for i in range(5):
        for j in range(i + 1, 5):
            d2 = square(rows, i, j)
            terms.append(d2 if WHO[i] == WHO[j] else max(margin - math.sqrt(d2), 0) ** 2)
    return sum(terms) / len(terms)


@pytest.mark.parametrize(("margin", "pinned"), [(1.0, 0.14701194466034934), (1.5, 0.25380461699272505)])
def test_value_and_gradient_by_hand(margin, pinned):
    value, gradient, parts = value_and_gradient(catalogue.load("contrastive", margin=margin))
    assert value == pytest.approx(_by_hand(EMB, margin), rel=1e-12)
    assert value == pytest.approx(pinned, abs=1e-12)
    np.testing.assert_allclose(gradient, slopes(lambda at: _by_hand(at, margin), EMB), rtol=1e-6, atol=1e-10)
    assert parts["pairs"] == 10
    assert value == pytest.approx((2 * parts["alike"] + 8 * parts["apart"]) / 10)


def test_zero_when_people_are_points_that_are_apart():
    emb = torch.eye(3, dtype=torch.float64).repeat_interleave(2, dim=0)
    assert catalogue.load("contrastive")(emb, torch.tensor((0, 0, 1, 1, 2, 2))).loss.item() < 1e-12


def test_one_step_draws_one_person_together_and_pushes_two_apart():
    emb, _ = draw(0, people=2, each=1)
    loss = catalogue.load("contrastive", margin=10.0, unit=False)
    for labels, sign in (((0, 0), -1), ((0, 1), 1)):
        at = emb.clone().requires_grad_()
        loss(at, torch.tensor(labels)).loss.backward()
        moved = emb - 0.01 * at.grad
        assert sign * ((moved[0] - moved[1]).norm() - (emb[0] - emb[1]).norm()) > 0


def test_vectors_as_they_are():
    """Two vectors of two people, 0.6 apart on a line: (1 - 0.6)^2."""
    loss = catalogue.load("contrastive", unit=False)
    emb = torch.tensor([[2.0], [2.6]], dtype=torch.float64)
    assert loss(emb, torch.tensor((0, 1))).loss.item() == pytest.approx(0.16)
    assert loss(emb, torch.tensor((3, 3))).loss.item() == pytest.approx(0.36)


def test_refusals():
    with pytest.raises(InputError, match="margin: expected a number above 0"):
        catalogue.load("contrastive", margin=0.0)

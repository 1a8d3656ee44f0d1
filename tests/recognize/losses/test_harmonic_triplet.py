"""Harmonic triplet: value and gradient by hand, the old network learns nothing, its limits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.recognize.losses.by_hand import slopes
from tests.recognize.losses.pairs_by_hand import EMB, WHO, draw, square, triplets, unit, value_and_gradient
from vultus import catalogue
from vultus.errors import InputError

OLD = ((0.2, 0.7, 0.4), (0.3, 0.9, -0.3), (0.8, -0.2, 0.1), (0.6, -0.5, -0.2), (-0.4, 0.1, 0.9))


def _by_hand(emb, margin=0.5, same_picture=True):
    """Every triplet of ten vectors, the first five new, without those that are all old."""
    rows, who = [*unit(emb), *unit(OLD)], (*WHO, *WHO)
    gaps = []
    for a, p, n in triplets(who):
        if min(a, p, n) < 5 and (same_picture or a % 5 != p % 5):
            gaps.append(square(rows, a, p) - square(rows, a, n) + margin)
    violated = [gap for gap in gaps if gap > 0]
    return sum(violated) / len(violated)


@pytest.mark.parametrize(("same_picture", "pinned"), [(True, 1.275913349174287), (False, 1.2506849807138518)])
def test_value_and_gradient_by_hand(same_picture, pinned):
    loss = catalogue.load("harmonic_triplet", margin=0.5, miner="batch_all", same_picture=same_picture)
    value, gradient, parts = value_and_gradient(loss, old=torch.tensor(OLD, dtype=torch.float64))
    assert value == pytest.approx(_by_hand(EMB, same_picture=same_picture), rel=1e-12)
    assert value == pytest.approx(pinned, abs=1e-12)
    hand = slopes(lambda at: _by_hand(at, same_picture=same_picture), EMB, step=1e-4)
    np.testing.assert_allclose(gradient, hand, rtol=1e-6, atol=1e-10)
    assert 0 < parts["mixed"] < 1


def test_the_old_network_learns_nothing():
    emb, who = draw(0)
    new, old = emb.clone().requires_grad_(), draw(1)[0].requires_grad_()
    catalogue.load("harmonic_triplet")(new, who, old=old).loss.backward()
    assert old.grad is None
    assert new.grad.abs().sum() > 0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31))
def test_old_vectors_that_are_the_new_ones_give_the_triplet_loss(seed):
    """Same space, all triplets: seven copies of every triplet, the eighth (all old) has no gradient and is left out."""
    emb, who = draw(seed)
    plain = catalogue.load("triplet", miner="batch_all")
    both = catalogue.load("harmonic_triplet", miner="batch_all", same_picture=False)
    out, alone = both(emb, who, old=emb), plain(emb, who)
    assert out.parts["triplets"] == 7 * alone.parts["triplets"]
    assert out.parts["mixed"] == pytest.approx(6 / 7)
    torch.testing.assert_close(out.loss, alone.loss)


def test_a_few_steps_bring_the_new_vectors_to_the_old_ones():
    """Independent random spaces: after training the new vectors find the right person among the old ones."""
    old, who = draw(0, people=6, each=4, size=8)
    old = old + 3 * draw(5, people=6, each=1, size=8)[0].repeat_interleave(4, dim=0)  # people are apart
    new = draw(9, people=6, each=4, size=8)[0].requires_grad_()
    loss = catalogue.load("harmonic_triplet")

    def right():
        near = torch.nn.functional.normalize(new.detach()) @ torch.nn.functional.normalize(old).T
        return (who[near.fill_diagonal_(-2).argmax(dim=1)] == who).double().mean().item()

    before = right()
    for _ in range(40):
        (slope,) = torch.autograd.grad(loss(new, who, old=old).loss, new)
        new = (new - 10 * slope).detach().requires_grad_()
    assert before < 0.5 < 0.9 < right()


def test_batches_without_pairs():
    emb = torch.randn((3, 4), generator=torch.Generator().manual_seed(0), requires_grad=True)
    loss = catalogue.load("harmonic_triplet")
    for labels in ((0, 0, 0), (-1, -1, -1)):
        out = loss(emb, torch.tensor(labels), old=emb.detach())
        out.loss.backward()
        assert out.loss.item() == 0
        assert out.parts == {"triplets": 0, "active": 0, "mixed": 0}


def test_refusals():
    emb, who = draw(0)
    loss = catalogue.load("harmonic_triplet")
    with pytest.raises(InputError, match="both networks need the same pictures"):
        loss(emb, who, old=emb[:, :3])
    with pytest.raises(InputError, match="are not: check the network"):
        loss(emb, who, old=emb * torch.nan)
    with pytest.raises(InputError, match="expected a callable or one of"):
        loss(emb, who, old=emb, miner="none")

"""Triplet loss: values and gradients by hand, miners against plain loops, what each miner promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.recognize.losses.by_hand import slopes
from tests.recognize.losses.pairs_by_hand import EMB, WHO, draw, square, triplets, unit, value_and_gradient
from vultus import catalogue
from vultus.errors import InputError
from vultus.recognize.losses._miners import MINERS


def _semi_hard(distance, who):
    """For every pair the nearest other that is farther than the positive, else the farthest."""
    found = []
    every = range(len(who))
    for a in every:
        others = [n for n in every if who[n] != who[a]]
        for p in every:
            if p != a and who[p] == who[a] and others:
                beyond = [n for n in others if distance[a][n] > distance[a][p]]
                nearest = min(beyond, key=lambda n: distance[a][n]) if beyond else None
                found.append((a, p, max(others, key=lambda n: distance[a][n]) if nearest is None else nearest))
    return found


def _batch_hard(distance, who):
    found = []
    every = range(len(who))
    for a in every:
        own = [p for p in every if p != a and who[p] == who[a]]
        others = [n for n in every if who[n] != who[a]]
        if own and others:
            found.append((a, max(own, key=lambda p: distance[a][p]), min(others, key=lambda n: distance[a][n])))
    return found


CHOICE = {"semi_hard": _semi_hard, "batch_hard": _batch_hard, "batch_all": lambda distance, who: triplets(who)}


def _by_hand(emb, miner, fixed=EMB, margin=0.2):
    """Mean of the violated hinges; the choice is made on `fixed`."""
    rows, chosen_on = unit(emb), unit(fixed)
    distance = [[square(chosen_on, i, j) for j in range(5)] for i in range(5)]
    gaps = [square(rows, a, p) - square(rows, a, n) + margin for a, p, n in CHOICE[miner](distance, WHO)]
    violated = [gap for gap in gaps if gap > 0]
    return sum(violated) / len(violated)


@pytest.mark.parametrize(
    ("miner", "pinned", "count"),
    [
        ("semi_hard", 1.0836939416683198, 4),
        ("batch_hard", 1.3832447048216503, 4),
        ("batch_all", 0.8122140140286099, 12),
    ],
)
def test_value_and_gradient_by_hand(miner, pinned, count):
    value, gradient, parts = value_and_gradient(catalogue.load("triplet", margin=1.5), miner=miner)
    assert value == pytest.approx(_by_hand(EMB, miner, margin=1.5), rel=1e-12)
    assert value == pytest.approx(pinned, abs=1e-12)
    np.testing.assert_allclose(gradient, slopes(lambda at: _by_hand(at, miner, margin=1.5), EMB), rtol=1e-7, atol=1e-12)
    assert parts["triplets"] == count


def test_batch_hard_form_by_hand():
    """Plain distances of vectors as they are, log(1 + exp(gap)), mean over the four anchors with a pair."""

    def by_hand(emb):
        distance = [[math.dist(emb[i], emb[j]) for j in range(5)] for i in range(5)]
        terms = [math.log1p(math.exp(distance[a][p] - distance[a][n])) for a, p, n in _batch_hard(distance, WHO)]
        return sum(terms) / len(terms)

    value, gradient, _ = value_and_gradient(catalogue.load("triplet.batch_hard"))
    assert value == pytest.approx(by_hand(EMB), rel=1e-12)
    assert value == pytest.approx(0.665405865742789, abs=1e-12)
    np.testing.assert_allclose(gradient, slopes(by_hand, EMB), rtol=1e-7, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(CHOICE)), st.lists(st.integers(0, 3), min_size=1, max_size=9), st.integers(0, 2**31))
def test_miners_choose_what_plain_loops_choose(name, labels, seed):
    """Any mixture of people, one alone too."""
    emb = torch.randn((len(labels), 3), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    distance = torch.cdist(emb, emb)
    chosen = MINERS[name]()(distance, torch.tensor(labels))
    got = list(zip(*(part.tolist() for part in chosen), strict=True))
    assert sorted(got) == sorted(CHOICE[name](distance.tolist(), labels))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31))
def test_what_the_miners_promise(seed):
    """Semi-hard: farther than the positive wherever any other is; batch hard costs no less than any other choice."""
    emb, who = draw(seed)
    distance = torch.cdist(emb, emb)
    anchor, positive, negative = MINERS["semi_hard"]()(distance, who)
    assert len(anchor) == 4 * 3 * 2
    farthest = distance.masked_fill(who[:, None] == who, 0).amax(dim=1)
    semi = (distance[anchor, negative] > distance[anchor, positive]) | (farthest[anchor] <= distance[anchor, positive])
    assert semi.all()
    loss = catalogue.load("triplet", margin=100.0)  # nothing is solved
    costs = {name: loss(emb, who, miner=name).loss.item() for name in MINERS}
    assert costs["batch_hard"] >= max(costs.values()) - 1e-12


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31))
def test_order_of_the_batch_and_length_of_vectors_do_not_matter(seed):
    emb, who = draw(seed)
    order = torch.randperm(len(who), generator=torch.Generator().manual_seed(seed))
    loss = catalogue.load("triplet")
    torch.testing.assert_close(loss(emb, who).loss, loss(3 * emb[order], 9 - who[order]).loss)


def test_solved_triplets_neither_cost_nor_dilute():
    emb = torch.tensor(((1.0, 0.0), (1.0, 0.1), (0.0, 1.0), (0.1, 1.0)), dtype=torch.float64)
    out = catalogue.load("triplet", miner="batch_all")(emb, torch.tensor((0, 0, 1, 1)))
    assert (out.loss.item(), out.parts["triplets"], out.parts["active"]) == (0, 8, 0)
    mixed = torch.cat((emb, emb[:1].roll(1, 1)))  # a third person on top of the second
    out = catalogue.load("triplet", miner="batch_all")(mixed, torch.tensor((0, 0, 1, 1, 2)))
    assert 0 < out.parts["active"] < 1
    assert out.loss.item() > 0.15


def test_a_soft_margin_counts_every_triplet_also_one_that_costs_nothing_in_float32():
    """Gaps -200, -199, 99 and -200: three of the four terms are 0, and the mean is over four."""
    emb = torch.tensor([[0.0], [1.0], [201.0], [500.0]])
    out = catalogue.load("triplet.batch_hard")(emb, torch.tensor((0, 0, 1, 1)))
    assert out.loss.item() == pytest.approx(99 / 4)


def test_a_miner_of_ones_own():
    def only(distance, labels):
        assert distance.shape == (5, 5)
        return torch.tensor([0]), torch.tensor([1]), torch.tensor([2])

    rows = unit(EMB)
    want = max(square(rows, 0, 1) - square(rows, 0, 2) + 2.0, 0)
    assert value_and_gradient(catalogue.load("triplet", margin=2.0, miner=only))[0] == pytest.approx(want)


def test_released_settings():
    loss = catalogue.load("triplet")
    assert (loss.margin, type(loss.miner).__name__, loss.squared, loss.soft) == (0.2, "SemiHard", True, False)


def test_refusals():
    with pytest.raises(InputError, match="expected a callable or one of semi_hard, batch_hard, batch_all"):
        catalogue.load("triplet", miner="hardest")
    with pytest.raises(InputError, match="margin: expected a number from 0"):
        catalogue.load("triplet", margin=-0.1)

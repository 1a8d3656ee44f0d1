"""Miners that draw or rank: by hand, against plain loops, and the shares that their draws must have."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.recognize.losses.pairs_by_hand import draw
from vultus import catalogue
from vultus.errors import InputError
from vultus.recognize.losses._miners import (
    MINERS,
    Curriculum,
    DistanceWeighted,
    HardestNegative,
    Random,
    miner_of,
)

WHO = torch.tensor((0, 0, 1, 2, 3))
FROM_FIRST = (0.0, 0.4, 0.8, 1.2, 1.6)  # plain distances of the first vector; those of the second are the same


def distances():
    """(5, 5); only the rows of the first person matter, everybody else is alone."""
    d = torch.full((5, 5), 1.0, dtype=torch.float64)
    d[0] = torch.tensor(FROM_FIRST)
    d[1] = torch.tensor((0.4, 0.0, 0.8, 1.2, 1.6))
    return d


def pairs(who):
    every = range(len(who))
    return [(a, p) for a in every for p in every if a != p and who[a] == who[p] and (who != who[a]).any()]


@pytest.mark.parametrize(
    ("miner", "negative"),
    [
        (HardestNegative(), 2),
        (Curriculum(0.0), 4),
        (Curriculum(0.5), 3),
        (Curriculum(0.74), 3),  # rank 1.48 of 0 to 2
        (Curriculum(0.76), 2),
        (Curriculum(1.0), 2),
    ],
)
def test_ranks_by_hand(miner, negative):
    anchor, positive, chosen = miner(distances(), WHO)
    assert (anchor.tolist(), positive.tolist(), chosen.tolist()) == ([0, 1], [1, 0], [negative, negative])


def test_weights_of_distances_by_hand():
    """1 / q(d) for n = 8: d^-6 (1 - d^2 / 4)^-2.5; the fourth other, at 1.6, is beyond 1.4."""
    share = [d**-6 * (1 - d * d / 4) ** -2.5 for d in (0.8, 1.2)]
    want = share[1] / sum(share)
    assert want == pytest.approx(1.02205 / (5.89873 + 1.02205), abs=1e-5)
    miner = DistanceWeighted(8, generator=torch.Generator().manual_seed(3))
    drawn = torch.cat([miner(distances() ** 2, WHO)[2] for _ in range(4000)])
    assert set(drawn.tolist()) == {2, 3}
    rate = (drawn == 3).double().mean().item()
    assert abs(rate - want) < 4 * math.sqrt(want * (1 - want) / len(drawn))


def test_near_distances_weigh_as_the_cutoff_and_plain_distances_can_come():
    d = distances()
    d[:2, 2:4] = torch.tensor((0.1, 0.5))  # the first weighs as 0.5: both alike
    miner = DistanceWeighted(64, squared=False, generator=torch.Generator().manual_seed(4))
    drawn = torch.cat([miner(d, WHO)[2] for _ in range(2000)])
    assert abs((drawn == 2).double().mean().item() - 0.5) < 4 * 0.5 / math.sqrt(len(drawn))


def test_where_all_are_far_all_are_as_likely_as_in_random():
    for miner in (DistanceWeighted(128, squared=False), Random()):
        d = distances()
        d[:2, 2:] = torch.tensor((1.5, 1.7, 1.9))
        drawn = torch.cat([miner(d, WHO)[2] for _ in range(3000)])
        counts = torch.bincount(drawn, minlength=5).double() / len(drawn)
        assert counts[:2].sum() == 0
        assert (counts[2:] - 1 / 3).abs().max() < 4 * math.sqrt(2 / 9 / len(drawn))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.floats(0, 1))
def test_ranks_are_those_of_plain_loops(seed, tau):
    emb, who = draw(seed)
    d = torch.cdist(emb, emb) ** 2
    chosen = {"curriculum": [], "hardest_negative": []}
    for a, _ in pairs(who):
        others = sorted((j for j in range(len(who)) if who[j] != who[a]), key=lambda j: -d[a, j].item())
        chosen["curriculum"].append(others[round(tau * (len(others) - 1))])
        chosen["hardest_negative"].append(others[-1])
    for miner in (Curriculum(tau), HardestNegative()):
        anchor, positive, negative = miner(d, who)
        assert list(zip(anchor.tolist(), positive.tolist(), strict=True)) == pairs(who)
        assert negative.tolist() == chosen["curriculum" if isinstance(miner, Curriculum) else "hardest_negative"]


def slowly(d, who, dim):
    """Shares of every other of every anchor, one by one, section 4.1 written out without logarithms."""
    shares = torch.zeros_like(d)
    for a in range(len(who)):
        weight = {}
        for j in range(len(who)):
            if who[j] != who[a] and d[a, j] < 1.4:
                x = max(float(d[a, j]), 0.5)
                weight[j] = 1 / (x ** (dim - 2) * (1 - x * x / 4) ** ((dim - 3) / 2))
        weight = weight or {j: 1.0 for j in range(len(who)) if who[j] != who[a]}
        for j, w in weight.items():
            shares[a, j] = w / sum(weight.values())
    return shares


def test_draws_have_the_shares_of_a_slow_second_form():
    emb, who = draw(7, people=3, each=2, size=4)
    d = torch.cdist(*(2 * [torch.nn.functional.normalize(emb)]))
    miner, want = DistanceWeighted(4), slowly(d, who, 4)
    counts = torch.zeros_like(want)
    for _ in range(6000):
        anchor, _, negative = miner(d**2, who)
        counts[anchor, negative] += 1
    rate = counts / 6000
    assert (rate - want).abs().max() < 4.5 * 0.5 / math.sqrt(6000)
    assert (counts[want == 0] == 0).all()


def test_what_is_drawn_follows_from_the_generator():
    emb, who = draw(1)
    d = torch.cdist(emb, emb)
    for make in (Random, DistanceWeighted):
        a, b = (make(generator=torch.Generator().manual_seed(5)) for _ in range(2))
        first, second = a(d, who)[2], b(d, who)[2]
        assert torch.equal(first, second)
        assert not torch.equal(first, a(d, who)[2])


@pytest.mark.parametrize("name", ["random", "distance_weighted"])
def test_a_miner_by_name_draws_from_the_stream_that_runs_seed_and_keep(name):
    emb, who = draw(1)
    d = torch.cdist(emb, emb)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        first, second = (miner_of(name)(d, who)[2] for _ in range(2))
        assert not torch.equal(first, second)  # a loss that is given a name makes the miner anew in every step
        torch.manual_seed(5)
        assert torch.equal(first, miner_of(name)(d, who)[2])


@pytest.mark.parametrize("name", MINERS)
def test_batches_without_triplets(name):
    for labels in ((0, 0, 0), (0, 1, 2), ()):
        who = torch.tensor(labels, dtype=torch.long)
        d = torch.ones((len(who), len(who)))
        assert [len(part) for part in miner_of(name)(d, who)] == [0, 0, 0]


def test_tau_may_rise_while_training_and_the_loss_with_it():
    emb, who = draw(2)
    miner = Curriculum(0.0)
    loss = catalogue.load("triplet", margin=10.0, miner=miner)
    costs = []
    for tau in (0.0, 0.5, 1.0):
        miner.tau = tau
        costs.append(loss(emb, who).loss.item())
    assert costs[0] < costs[1] < costs[2]


def test_refusals():
    with pytest.raises(InputError, match="expected a share from 0"):
        Curriculum(30)
    for more in ({"dim": 2}, {"near": 0.0}, {"near": 1.5}, {"far": 2.0}):
        with pytest.raises(InputError, match="expected 3 or more and 0 < near < far < 2"):
            DistanceWeighted(**more)

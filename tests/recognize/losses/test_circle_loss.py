"""Circle loss: values and gradients by hand with classes and pairs, the argument of the paper, its special cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from tests.recognize.losses.by_hand import COS, cross_entropy, slopes, value_and_gradient, with_own
from tests.recognize.losses.pairs_by_hand import EMB, WHO, dot, unit
from vultus import catalogue
from vultus.contracts import PairLoss
from vultus.errors import InputError

M, G = 0.25, 8.0


def _logits(cos, fixed=COS):
    """Weights of `fixed`, similarities of `cos`: differences of the latter alone give the gradient."""
    own = with_own(lambda c: 1 + M - c, lambda c: max(c + M, 0.0), fixed)
    rest = with_own(lambda c: c - (1 - M), lambda c: c - M, cos)
    return [[G * w * v for w, v in zip(*pair, strict=True)] for pair in zip(own, rest, strict=True)]


def test_class_form_by_hand():
    logits, value, gradient = value_and_gradient(catalogue.load("circle_loss.class", gamma=G))
    np.testing.assert_allclose(logits, _logits(COS), rtol=1e-12)
    assert value == pytest.approx(cross_entropy(_logits(COS)), rel=1e-12)
    assert value == pytest.approx(2.468486285173647, abs=1e-12)
    np.testing.assert_allclose(gradient, slopes(lambda at: cross_entropy(_logits(at)), COS), rtol=1e-8, atol=1e-14)


def _by_hand(emb, per="anchor", fixed=EMB):
    """Plain loops; weights of `fixed`."""
    a, b = unit(emb), unit(fixed)
    terms = []
    for rows in [[i] for i in range(5)] if per == "anchor" else [range(5)]:
        pairs = [(i, j) for i in rows for j in range(5) if (i != j if per == "anchor" else i < j)]
        alike = [(i, j) for i, j in pairs if WHO[i] == WHO[j]]
        apart = [(i, j) for i, j in pairs if WHO[i] != WHO[j]]
        if alike and apart:
            p = sum(math.exp(-G * max(1 + M - dot(b, *k), 0) * (dot(a, *k) - 1 + M)) for k in alike)
            n = sum(math.exp(G * max(dot(b, *k) + M, 0) * (dot(a, *k) - M)) for k in apart)
            terms.append(math.log1p(p * n))
    return sum(terms) / len(terms)


@pytest.mark.parametrize(
    ("per", "pinned", "anchors"), [("anchor", 3.3720939393409126, 4), ("batch", 5.5084516206837035, 1)]
)
def test_pair_form_by_hand(per, pinned, anchors):
    loss = catalogue.load("circle_loss", gamma=G, per=per)
    assert isinstance(loss, PairLoss)
    emb = torch.tensor(EMB, dtype=torch.float64, requires_grad=True)
    out = loss(emb, torch.tensor(WHO))
    assert out.loss.item() == pytest.approx(_by_hand(EMB, per), rel=1e-12)
    assert out.loss.item() == pytest.approx(pinned, abs=1e-11)
    assert out.parts == {"anchors": anchors}
    out.loss.backward()
    np.testing.assert_allclose(emb.grad, slopes(lambda at: _by_hand(at, per), EMB), rtol=1e-7, atol=1e-12)


def _pull(s_p, s_n, m=M, gamma=256.0):
    """Slopes by the own and by another cosine."""
    cos = torch.tensor([[s_p, s_n]], dtype=torch.float64, requires_grad=True)
    loss, label = catalogue.load("circle_loss.class", margin=m, gamma=gamma), torch.tensor([0])
    loss.reduce(loss.logits(cos, label), label).backward()
    return -cos.grad[0, 0].item(), cos.grad[0, 1].item()


@pytest.mark.parametrize(("s_n", "s_p"), [(0.8, 0.8), (0.2, 0.2)])
def test_the_less_optimized_similarity_is_pulled_harder(s_n, s_p):
    """Figure 1 of the paper: at (0.8, 0.8) the negative, at (0.2, 0.2) the positive; ratio of the two weights."""
    up, down = _pull(s_p, s_n)
    assert up / down == pytest.approx((1 + M - s_p) / (s_n + M), rel=1e-9)
    assert (down > up) == (s_n == 0.8)


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 2 * math.pi))
def test_the_boundary_is_a_circle(turn):
    """s_n^2 + (s_p - 1)^2 = 2 m^2: on it the two logits are equal, so the loss is log 2."""
    s_n, s_p = math.sqrt(2) * M * math.cos(turn), 1 + math.sqrt(2) * M * math.sin(turn)
    if s_p < 1 and s_n > -M:
        cos, label = torch.tensor([[s_p, s_n]], dtype=torch.float64), torch.tensor([0])
        loss = catalogue.load("circle_loss.class")
        assert loss.reduce(loss.logits(cos, label), label).item() == pytest.approx(math.log(2), rel=1e-4)


def _draw(seed, people=3, each=4):
    emb = torch.randn((people * each, 5), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return functional.normalize(emb), torch.arange(people).repeat_interleave(each)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31))
def test_unified_becomes_triplet(seed):
    """gamma to infinity: loss / gamma is the hinge of the hardest pair of each kind."""
    emb, who = _draw(seed)
    similar, same = emb @ emb.T, who[:, None] == who
    hardest = similar.masked_fill(same, -2).amax(dim=1) - similar.masked_fill(~same, 2).amin(dim=1)
    got = catalogue.load("circle_loss.unified", margin=0.2, gamma=1e7)(emb, who).loss / 1e7
    torch.testing.assert_close(got, (hardest + 0.2).clamp(min=0).mean(), rtol=0, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 0.5), st.floats(1, 64), st.integers(0, 2**31))
def test_unified_with_one_positive_is_cosface(margin, gamma, seed):
    """Two vectors of one person and one each of four others: the first vector's term is AM-Softmax's."""
    emb, _ = _draw(seed, people=3, each=2)
    who = torch.tensor((0, 0, 1, 2, 3, 4))
    out = catalogue.load("circle_loss.unified", margin=margin, gamma=gamma)(emb, who)
    terms = []
    for anchor, mate in ((0, 1), (1, 0)):
        cos = emb[anchor] @ torch.stack([emb[mate], *emb[2:]]).T
        logits = gamma * (cos - margin * torch.eye(5, dtype=torch.float64)[0])
        terms.append(functional.cross_entropy(logits[None], torch.tensor([0])))
    assert out.parts == {"anchors": 2}
    torch.testing.assert_close(out.loss, torch.stack(terms).mean(), rtol=1e-9, atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31))
def test_order_of_the_batch_and_names_of_people_do_not_matter(seed):
    emb, who = _draw(seed)
    order = torch.randperm(len(who), generator=torch.Generator().manual_seed(seed))
    loss = catalogue.load("circle_loss")
    torch.testing.assert_close(loss(emb, who).loss, loss(3 * emb[order], 7 - who[order]).loss)


def test_released_settings():
    for name in ("circle_loss", "circle_loss.class"):
        loss = catalogue.load(name)
        assert (loss.margin, loss.gamma) == (0.25, 256)


def test_refusals():
    for name in ("circle_loss", "circle_loss.class", "circle_loss.unified"):
        with pytest.raises(InputError, match="gamma: expected a number above 0"):
            catalogue.load(name, gamma=0.0)
        with pytest.raises(InputError, match="margin: expected a number from 0"):
            catalogue.load(name, margin=-1.0)
    with pytest.raises(InputError, match="expected 'anchor' or 'batch'"):
        catalogue.load("circle_loss", per="class")

"""SphereFace2: value and gradient by hand in three forms, the start of the bias, the sum over parts of the centers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.recognize.losses.by_hand import COS, LABELS, slopes, value_and_gradient
from vultus import catalogue
from vultus.errors import InputError

R, T, LAM, LW = 8.0, 3.0, 0.7, 50.0
BIAS = -2.5
MARGINS = {"C": 0.4, "A": 0.4, "M": 1.5}


def _g(z):
    return 2 * ((z + 1) / 2) ** T - 1


def _logit(c, own, form):
    m = MARGINS[form]
    if form == "C":
        return R * (_g(c) - m if own else _g(c) + m) + BIAS
    angle = math.acos(c)
    moved = angle + m if form == "A" else angle * m
    return R * _g(math.cos(min(moved, math.pi)) if own else c) + BIAS


def _value(cos, form):
    """lw times the mean over rows of lambda / r log(1 + e^-l) at the own, (1 - lambda) / r log(1 + e^l) elsewhere."""
    total = 0.0
    for row, y in zip(cos, LABELS, strict=True):
        for k, c in enumerate(row):
            own = k == y
            logit = _logit(c, own, form)
            total += (LAM if own else 1 - LAM) / R * math.log1p(math.exp(-logit if own else logit))
    return LW * total / len(LABELS)


def _loss(form, **settings):
    loss = catalogue.load("sphereface2", classes=3, scale=R, margin=MARGINS[form], form=form, **settings)
    with torch.no_grad():
        loss.bias.fill_(BIAS)
    return loss


@pytest.mark.parametrize(
    ("form", "pinned"), [("C", 23.143676405525287), ("A", 26.62591521142033), ("M", 26.662423117748936)]
)
def test_value_and_true_gradient_by_hand(form, pinned):
    logits, value, gradient = value_and_gradient(_loss(form, straight=False))
    hand = [[_logit(c, k == y, form) for k, c in enumerate(row)] for row, y in zip(COS, LABELS, strict=True)]
    np.testing.assert_allclose(logits, hand, rtol=1e-12)
    assert value == pytest.approx(_value(COS, form), rel=1e-12)
    assert value == pytest.approx(pinned, abs=1e-11)
    np.testing.assert_allclose(gradient, slopes(lambda at: _value(at, form), COS), rtol=1e-7)


@pytest.mark.parametrize("form", ["C", "A", "M"])
def test_released_gradient_passes_g_and_the_margin_unchanged(form):
    """By hand: lw / N times -lambda sigmoid(-l) at the own center, (1 - lambda) sigmoid(l) elsewhere."""
    loss = _loss(form)
    logits, value, gradient = value_and_gradient(loss)
    assert value == pytest.approx(_value(COS, form), rel=1e-12)
    own = np.eye(3)[list(LABELS)].astype(bool)
    sigmoid = 1 / (1 + np.exp(-logits))
    by_logit = LW / R / 2 * np.where(own, -LAM * (1 - sigmoid), (1 - LAM) * sigmoid)
    np.testing.assert_allclose(gradient, R * by_logit, rtol=1e-12)
    assert loss.bias.grad.item() == pytest.approx(by_logit.sum(), rel=1e-6)  # the bias is float32


def test_released_settings():
    loss = catalogue.load("sphereface2", classes=10)
    assert (loss.balance, loss.scale, loss.margin, loss.power, loss.weight) == (0.7, 40, 0.4, 3, 50)
    large = catalogue.load("sphereface2.ms1m", classes=10)
    assert (large.balance, large.scale, large.margin, large.power, large.weight) == (0.8, 64, 0.5, 3, 50)
    assert loss.straight
    assert loss.form == "C"


@pytest.mark.parametrize("form", ["C", "A", "M"])
@pytest.mark.parametrize("classes", [2, 3, 100, 10_000])
def test_the_bias_starts_where_the_loss_is_lowest(form, classes):
    """At right angles to every center the slope by the bias is 0; a bias of 0 costs far more with many classes."""
    loss = catalogue.load("sphereface2", classes=classes, margin=MARGINS[form], form=form).double()
    cos, labels = torch.zeros((1, classes), dtype=torch.float64), torch.tensor([0])
    start = loss.bias.item()
    value = loss.reduce(loss.logits(cos, labels), labels)
    value.backward()
    assert abs(loss.bias.grad.item()) < 1e-3 * loss.weight / loss.scale
    for other in (0.0, start - 0.5, start + 0.5):
        with torch.no_grad():
            loss.bias.fill_(other)
        assert loss.reduce(loss.logits(cos, labels), labels) >= value - 1e-9


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.integers(0, 2**31))
def test_parts_of_the_centers_add_up_without_meeting(cut, seed):
    """No normalizer over all classes: losses of parts and their gradients are summed, and that is all."""
    generator = torch.Generator().manual_seed(seed)
    cos = torch.rand((6, 5), generator=generator, dtype=torch.float64) * 2 - 1
    labels = torch.randint(0, 5, (6,), generator=generator)
    loss = catalogue.load("sphereface2", classes=5)
    whole = loss.reduce(loss.logits(cos, labels), labels)
    (slope,) = torch.autograd.grad(whole, loss.bias)
    total, total_slope = 0.0, 0.0
    for begin, end in ((0, cut), (cut, 5)):
        local = torch.where((labels >= begin) & (labels < end), labels - begin, -1)
        part = loss.reduce(loss.logits(cos[:, begin:end], local), local)
        total, total_slope = total + part.item(), total_slope + torch.autograd.grad(part, loss.bias)[0].item()
    assert total == pytest.approx(whole.item(), rel=1e-12)
    assert total_slope == pytest.approx(slope.item(), rel=1e-5, abs=1e-6)


def test_without_spread_and_margin_it_is_weighted_logistic_regression():
    loss = catalogue.load("sphereface2", classes=3, margin=0.0, power=1.0, balance=0.5, weight=80.0)
    cos, labels = torch.tensor(COS, dtype=torch.float64), torch.tensor(LABELS)
    target = torch.nn.functional.one_hot(labels, 3).double()
    plain = torch.nn.functional.binary_cross_entropy_with_logits(40 * cos + loss.bias.double(), target, reduction="sum")
    assert loss.reduce(loss.logits(cos, labels), labels).item() == pytest.approx(plain.item() / 2, rel=1e-12)


def test_refusals():
    for bad, message in (
        ({"classes": 1}, "expected at least two"),
        ({"balance": 1.0}, "expected a share between 0 and 1"),
        ({"form": "B"}, "expected one of C, A, M"),
        ({"form": "M", "margin": 0.4}, "expected a number from 1"),
        ({"power": 0.0}, "power: expected a number above 0"),
    ):
        with pytest.raises(InputError, match=message):
            catalogue.load("sphereface2", **{"classes": 5, **bad})

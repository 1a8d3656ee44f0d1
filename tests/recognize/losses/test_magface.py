"""MagFace: value and both gradients by hand, the cost of the norm, its limit, one call of logits for each of reduce."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.recognize.losses.by_hand import COS, LABELS, cross_entropy, slopes
from vultus import catalogue
from vultus.errors import InputError

S, NORM = 4.0, (20.0, 90.0)


def _value(cos, norm, weight=35.0):
    logits, cost = [], 0.0
    for row, y, a in zip(cos, LABELS, norm, strict=True):
        margin = 0.45 + (0.8 - 0.45) / (110 - 10) * (a - 10)
        own = math.cos(math.acos(row[y]) + margin) if row[y] > 0 else row[y]
        logits.append([S * (own if k == y else c) for k, c in enumerate(row)])
        cost += (1 / a + a / 110**2) / len(norm)
    return cross_entropy(logits) + weight * cost


def test_value_and_gradients_by_hand():
    loss, labels = catalogue.load("magface", scale=S), torch.tensor(LABELS)
    cos = torch.tensor(COS, dtype=torch.float64, requires_grad=True)
    norm = torch.tensor(NORM, dtype=torch.float64, requires_grad=True)
    value = loss.reduce(loss.logits(cos, labels, norm=norm), labels)
    assert value.item() == pytest.approx(_value(COS, NORM), rel=1e-12)
    assert value.item() == pytest.approx(3.1412632956376942, abs=1e-11)
    value.backward()
    np.testing.assert_allclose(cos.grad, slopes(lambda at: _value(at, NORM), COS), rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(norm.grad, slopes(lambda at: _value(COS, at), NORM, step=0.1), rtol=1e-7)


def test_released_settings():
    loss = catalogue.load("magface")
    assert (loss.scale, tuple(loss.norms), tuple(loss.margins), loss.weight, loss.easy) == (
        64,
        (10, 110),
        (0.45, 0.8),
        35,
        True,
    )


def test_the_cost_falls_up_to_the_greatest_norm_where_its_slope_is_0():
    norm = torch.linspace(10, 110, 101, dtype=torch.float64, requires_grad=True)
    cost = catalogue.load("magface").cost(norm)
    assert (cost.diff() < 0).all()
    (slope,) = torch.autograd.grad(cost.sum(), norm)
    np.testing.assert_allclose(slope, [1 / 110**2 - 1 / a**2 for a in norm.tolist()], atol=1e-15)
    assert slope[-1] == pytest.approx(0, abs=1e-18)
    beyond = torch.tensor([1.0, 300.0], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(catalogue.load("magface").cost(beyond).sum(), beyond)
    assert not slope.any()


@settings(max_examples=25, deadline=None)
@given(st.floats(0.01, 1.0), st.integers(0, 2**31))
def test_one_margin_and_no_cost_is_arcface(margin, seed):
    generator = torch.Generator().manual_seed(seed)
    cos, labels = torch.rand((6, 5), generator=generator, dtype=torch.float64) * 2 - 1, torch.arange(6) % 5
    norm = torch.rand(6, generator=generator, dtype=torch.float64) * 200
    loss = catalogue.load("magface", margins=(margin, margin), weight=0.0, easy=False)
    arcface = catalogue.load("arcface", margin=margin)
    got, want = loss.logits(cos, labels, norm=norm), arcface.logits(cos, labels)
    torch.testing.assert_close(got, want)
    torch.testing.assert_close(loss.reduce(got, labels), arcface.reduce(want, labels))


def test_a_greater_norm_has_a_greater_margin_within_a_right_angle_alone():
    loss, labels = catalogue.load("magface"), torch.zeros(4, dtype=torch.long)
    cos = torch.tensor((0.6, 0.6, -0.2, -0.2), dtype=torch.float64)[:, None]
    got = loss.logits(cos, labels, norm=torch.tensor((10.0, 100.0, 10.0, 100.0), dtype=torch.float64))[:, 0]
    assert got[1] < got[0] < 64 * 0.6
    assert got[2] == got[3] == 64 * -0.2


def test_rows_whose_center_is_elsewhere_cost_nothing():
    loss, labels = catalogue.load("magface"), torch.tensor((-1, 1))
    cos, norm = torch.tensor(COS), torch.tensor(NORM)
    both = loss.reduce(loss.logits(cos, labels, norm=norm), labels)
    one = loss.reduce(loss.logits(cos[1:], labels[1:], norm=norm[1:]), labels[1:])
    torch.testing.assert_close(both, one)
    nowhere = torch.tensor((-1, -1))
    assert loss.reduce(loss.logits(cos, nowhere, norm=norm), nowhere).item() == 0


def test_refusals():
    loss, labels = catalogue.load("magface"), torch.tensor(LABELS)
    logits = loss.logits(torch.tensor(COS), labels, norm=torch.tensor(NORM))
    loss.reduce(logits, labels)
    with pytest.raises(InputError, match="expected one call of logits before each"):
        loss.reduce(logits, labels)
    for bad, message in (
        ({"norms": (10.0, 10.0)}, "expected two that rise"),
        ({"margins": (0.5, 0.4)}, "expected two that do not fall"),
        ({"weight": -1.0}, "weight: expected a number from 0"),
    ):
        with pytest.raises(InputError, match=message):
            catalogue.load("magface", **bad)

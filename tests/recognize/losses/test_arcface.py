"""ArcFace: values and gradients by hand for both published gradients and the combined margin, limits, beyond pi."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.recognize.losses.by_hand import COS, LABELS, cross_entropy, slopes, value_and_gradient, with_own
from vultus import catalogue
from vultus.errors import InputError

S, M = 4.0, 0.5


def _angular(cos, m=M):
    return with_own(lambda c: S * math.cos(math.acos(c) + m), lambda c: S * c, cos)


def _combined(cos):
    return with_own(lambda c: S * (math.cos(0.9 * math.acos(c) + 0.4) - 0.15), lambda c: S * c, cos)


def test_value_and_gradient_by_hand():
    logits, value, gradient = value_and_gradient(catalogue.load("arcface", scale=S, margin=M))
    np.testing.assert_allclose(logits, _angular(COS), rtol=1e-13)
    assert value == pytest.approx(cross_entropy(_angular(COS)), rel=1e-13)
    assert value == pytest.approx(1.4906033150843274, abs=1e-12)
    np.testing.assert_allclose(gradient, slopes(lambda at: cross_entropy(_angular(at)), COS), rtol=1e-8)


def test_own_slope_is_sin_of_the_moved_angle_over_sin_of_the_angle():
    """d cos(theta + m) / d cos(theta), in closed form."""
    angle = torch.linspace(0.05, math.pi - M - 0.05, 50, dtype=torch.float64)
    cos = angle.cos()[:, None].requires_grad_()
    catalogue.load("arcface", scale=1.0, margin=M).logits(cos, torch.zeros(50, dtype=torch.long)).sum().backward()
    torch.testing.assert_close(cos.grad[:, 0], torch.sin(angle + M) / torch.sin(angle), rtol=1e-9, atol=0)


def test_straight_has_the_same_value_and_passes_the_gradient_unchanged():
    """Gradient by hand: s / N (softmax of the logits with margin - own)."""
    logits, value, gradient = value_and_gradient(catalogue.load("arcface.straight", scale=S, margin=M))
    np.testing.assert_allclose(logits, _angular(COS), rtol=1e-13)
    assert value == pytest.approx(cross_entropy(_angular(COS)), rel=1e-13)
    share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(gradient, S / 2 * (share - np.eye(3)[list(LABELS)]), rtol=1e-12)


def test_combined_margin_by_hand():
    """Equation 4 with the margins 0.9, 0.4 and 0.15 of the paper's second combination."""
    loss = catalogue.load("arcface.combined", scale=S, multiply=0.9, add=0.4, subtract=0.15)
    logits, value, gradient = value_and_gradient(loss)
    np.testing.assert_allclose(logits, _combined(COS), rtol=1e-13)
    assert value == pytest.approx(cross_entropy(_combined(COS)), rel=1e-13)
    assert value == pytest.approx(1.3731920760491763, abs=1e-12)
    np.testing.assert_allclose(gradient, slopes(lambda at: cross_entropy(_combined(at)), COS), rtol=1e-8)


def _draw(seed, low=-1.0):
    cos = torch.rand((6, 5), generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * (1 - low) + low
    return cos, torch.arange(6) % 5


@settings(max_examples=30, deadline=None)
@given(st.floats(1, 64), st.integers(0, 2**31))
def test_limits(scale, seed):
    """No margin is NormFace; the combined margin with one of its three is that one."""
    cos, labels = _draw(seed)

    def build(name, **given):
        return catalogue.load(name, scale=scale, **given).logits(cos, labels)

    plain = build("normface")
    for name in ("arcface", "arcface.straight"):
        torch.testing.assert_close(build(name, margin=0.0), plain, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(build("arcface.combined", add=0.0, subtract=0.0), plain, rtol=1e-9, atol=1e-9)
    straight = build("arcface.straight", margin=M)
    torch.testing.assert_close(build("arcface.combined", add=M, subtract=0.0), straight, rtol=1e-9, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.01, 1.5), st.integers(0, 2**31))
def test_a_margin_only_costs_and_the_own_logit_rises_with_the_cosine(margin, seed):
    """The straight line beyond pi is there so that this holds for every angle."""
    cos, labels = _draw(seed)
    loss = catalogue.load("arcface", scale=16.0, margin=margin)
    own = torch.nn.functional.one_hot(labels, 5).bool()
    got = loss.logits(cos, labels)
    assert (got[own] <= 16 * cos[own] + 1e-9).all()
    torch.testing.assert_close(got[~own], 16 * cos[~own])
    line = torch.linspace(-0.999, 0.999, 400, dtype=torch.float64)[:, None]
    assert (loss.logits(line, torch.zeros(400, dtype=torch.long))[:, 0].diff() > 0).all()


def test_beyond_pi():
    """theta = 3, m = 0.5: the line cos(theta) - m sin(m) in the one form, cos(3.5) in the other."""
    cos, labels = torch.tensor([[math.cos(3.0)]], dtype=torch.float64), torch.tensor([0])
    line = catalogue.load("arcface", scale=1.0, margin=M).logits(cos, labels).item()
    assert line == pytest.approx(math.cos(3.0) - M * math.sin(M), rel=1e-12)
    assert catalogue.load("arcface.straight", scale=1.0).logits(cos, labels).item() == pytest.approx(math.cos(3.5))


def test_refusals():
    with pytest.raises(InputError, match="radians from 0 to below pi"):
        catalogue.load("arcface", margin=-0.1)
    with pytest.raises(InputError, match="scale: expected a number above 0"):
        catalogue.load("arcface", scale=math.inf)
    with pytest.raises(InputError, match="expected finite numbers"):
        catalogue.load("arcface.combined", add=math.nan)

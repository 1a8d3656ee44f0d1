"""SphereFace: values and gradients by hand in both forms, the falling curve, the schedule, limits."""

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

NORM = (3.0, 5.0)


def _psi(c, m):
    """Written by intervals: theta in [k pi / m, (k + 1) pi / m]."""
    angle = math.acos(c)
    k = next(k for k in range(100) if angle <= (k + 1) * math.pi / m)
    return (-1) ** k * math.cos(m * angle) - 2 * k


def _logits(cos, m=4, blend=5.0):
    mixed = with_own(lambda c: (blend * c + _psi(c, m)) / (blend + 1), lambda c: c, cos)
    return [[n * v for v in row] for n, row in zip(NORM, mixed, strict=True)]


@pytest.mark.parametrize(("m", "blend", "pinned"), [(4, 5.0, 1.5084892857938663), (3, 0.0, 4.890862478087741)])
def test_value_and_gradient_by_hand(m, blend, pinned):
    norm = torch.tensor(NORM, dtype=torch.float64)
    logits, value, gradient = value_and_gradient(catalogue.load("sphereface", margin=m, blend=blend), norm=norm)
    np.testing.assert_allclose(logits, _logits(COS, m, blend), rtol=1e-12)
    assert value == pytest.approx(cross_entropy(_logits(COS, m, blend)), rel=1e-12)
    assert value == pytest.approx(pinned, abs=1e-11)
    hand = slopes(lambda at: cross_entropy(_logits(at, m, blend)), COS, step=1e-4)
    np.testing.assert_allclose(gradient, hand, rtol=1e-7, atol=1e-12)


def test_revived_by_hand():
    """Gradient passed straight: s / N (softmax - own)."""
    logits, value, gradient = value_and_gradient(catalogue.load("sphereface.revived", scale=4.0, margin=1.5))
    hand = with_own(lambda c: 4 * _psi(c, 1.5), lambda c: 4 * c)
    np.testing.assert_allclose(logits, hand, rtol=1e-12)
    assert value == pytest.approx(cross_entropy(hand), rel=1e-12)
    assert value == pytest.approx(1.576689242454804, abs=1e-12)
    share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(gradient, 4 / 2 * (share - np.eye(3)[list(LABELS)]), rtol=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6))
def test_psi_falls_from_1_over_the_half_turn_and_never_exceeds_the_cosine(m):
    angle = torch.linspace(0.01, math.pi - 0.01, 500, dtype=torch.float64)
    loss, nobody = catalogue.load("sphereface", margin=m, blend=0.0), torch.zeros(500, dtype=torch.long)
    psi = loss.logits(angle.cos()[:, None], nobody, norm=torch.ones(500, dtype=torch.float64))[:, 0]
    assert (psi.diff() < 0).all()
    assert (psi <= angle.cos() + 1e-12).all()
    assert psi[0] == pytest.approx(1, abs=0.01)
    assert psi[-1] == pytest.approx(1 - 2 * m, abs=0.01)
    np.testing.assert_allclose(psi, [_psi(math.cos(a), m) for a in angle.tolist()], rtol=1e-9, atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31))
def test_a_factor_of_one_is_the_softmax_and_so_is_the_start_of_the_schedule(seed):
    generator = torch.Generator().manual_seed(seed)
    cos, labels = torch.rand((6, 5), generator=generator, dtype=torch.float64) * 2 - 1, torch.arange(6) % 5
    norm = torch.rand(6, generator=generator, dtype=torch.float64) * 20
    want = catalogue.load("softmax").logits(cos, labels, norm=norm)
    torch.testing.assert_close(catalogue.load("sphereface", margin=1).logits(cos, labels, norm=norm), want)
    near = catalogue.load("sphereface", blend=1e9).logits(cos, labels, norm=norm)
    torch.testing.assert_close(near, want, rtol=0, atol=1e-6)
    plain = catalogue.load("normface", scale=30.0).logits(cos, labels)
    torch.testing.assert_close(catalogue.load("sphereface.revived", margin=1.0).logits(cos, labels), plain)


def test_released_schedule():
    """Base 1000, gamma 0.12, power 1, least 5."""
    at = catalogue.load("sphereface").blend_at
    assert [at(0), at(100), at(1658), at(28_000)] == pytest.approx([1000, 1000 / 13, 1000 / 199.96, 5], rel=1e-9)


def test_refusals():
    for bad in ({"margin": 0}, {"margin": 1.5}):
        with pytest.raises(InputError, match="expected a whole number from 1"):
            catalogue.load("sphereface", **bad)
    with pytest.raises(InputError, match="blend: expected a number from 0"):
        catalogue.load("sphereface", blend=-1.0)
    with pytest.raises(InputError, match="margin: expected a number from 1"):
        catalogue.load("sphereface.revived", margin=0.5)

"""AdaFace: value and gradient by hand, its three limits, the running statistics, the paper on hard samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.recognize.losses.by_hand import COS, LABELS, cross_entropy, slopes, value_and_gradient
from vultus import catalogue
from vultus.errors import InputError

S, M, H = 4.0, 0.4, 0.333
NORM = (12.0, 31.0)


def _steady(**settings):
    """As if trained: mean 20, deviation 10; they no longer move."""
    loss = catalogue.load("adaface", scale=S, **settings).eval()
    loss.deviation.fill_(10.0)
    return loss


def _logits(cos):
    found = []
    for row, y, norm in zip(cos, LABELS, NORM, strict=True):
        quality = max(-1.0, min(1.0, H * (norm - 20) / (10 + 1e-3)))
        own = S * (math.cos(math.acos(row[y]) - M * quality) - (M * quality + M))
        found.append([own if k == y else S * c for k, c in enumerate(row)])
    return found


def test_value_and_gradient_by_hand():
    norm = torch.tensor(NORM, dtype=torch.float64, requires_grad=True)
    logits, value, gradient = value_and_gradient(_steady(), norm=norm)
    np.testing.assert_allclose(logits, _logits(COS), rtol=1e-12)
    assert value == pytest.approx(cross_entropy(_logits(COS)), rel=1e-12)
    assert value == pytest.approx(1.3472834998086358, abs=1e-12)
    np.testing.assert_allclose(gradient, slopes(lambda at: cross_entropy(_logits(at)), COS), rtol=1e-8)
    assert norm.grad is None  # the margin is chosen by the norm, which must not learn to choose


def test_released_settings():
    paper, code = catalogue.load("adaface"), catalogue.load("adaface.code")
    for loss in (paper, code):
        assert (loss.scale, loss.margin, loss.spread) == (64, 0.4, 0.333)
        assert (loss.mean.item(), loss.deviation.item()) == (20, 100)
    assert (paper.share, code.share) == (0.01, 1)


@pytest.mark.parametrize(("quality", "same"), [(-1, "arcface"), (0, "cosface"), (1, "negative angle")])
def test_limits(quality, same):
    """Poor: additive angle; middling: additive cosine; clear: negative angle with twice the additive margin."""
    loss = _steady()
    loss.deviation.fill_(1.0)
    cos = torch.linspace(-0.8, 0.88, 50, dtype=torch.float64)[:, None]
    labels = torch.zeros(50, dtype=torch.long)
    norm = torch.full((50,), 20 + quality * 6.0, dtype=torch.float64)
    want = {
        "arcface": lambda: catalogue.load("arcface", scale=S, margin=M).logits(cos, labels),
        "cosface": lambda: S * (cos - M),
        "negative angle": lambda: S * (torch.cos(torch.acos(cos) - M) - 2 * M),
    }[same]()
    torch.testing.assert_close(loss.logits(cos, labels, norm=norm), want, rtol=1e-12, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.3, 0.9), st.floats(-0.5, 0.2))
def test_hard_samples_count_more_when_clear_and_less_when_poor(easy, hard):
    """Section 3: slope of the own logit, hard against easy, rises with the norm."""

    def ratio(norm):
        cos = torch.tensor([[hard], [easy]], dtype=torch.float64, requires_grad=True)
        _steady().logits(cos, torch.tensor([0, 0]), norm=torch.tensor([norm, norm])).sum().backward()
        return (cos.grad[0] / cos.grad[1]).item()

    assert ratio(0.5) < ratio(20.0) < ratio(80.0)
    assert ratio(20.0) == pytest.approx(1)  # the additive margin knows no difficulty


def test_running_statistics_move_in_training_alone():
    norm = torch.tensor([10.0, 12.0, 14.0])
    cos, labels = torch.zeros((3, 2)), torch.tensor([0, 1, 1])
    loss = catalogue.load("adaface").eval()
    loss.logits(cos, labels, norm=norm)
    assert (loss.mean.item(), loss.deviation.item()) == (20, 100)
    loss.train().logits(cos, labels, norm=norm)
    assert loss.mean.item() == pytest.approx(0.99 * 20 + 0.01 * 12)
    assert loss.deviation.item() == pytest.approx(0.99 * 100 + 0.01 * 2)
    batch = catalogue.load("adaface.code").train()
    batch.logits(cos, labels, norm=norm)
    assert (batch.mean.item(), batch.deviation.item()) == pytest.approx((12, 2))
    batch.logits(cos[:1], labels[:1], norm=norm[:1])  # one row has no deviation
    assert (batch.mean.item(), batch.deviation.item()) == pytest.approx((10, 2))


def test_code_form_by_hand_in_training():
    """Batch of norms 10 and 14: mean 12, deviation the root of 8; cosines 1 and -1 become 0.999 and -0.999."""
    loss = catalogue.load("adaface.code", scale=1.0).train()
    cos = torch.tensor(((1.0, -1.0), (0.2, 0.5)), dtype=torch.float64)
    got = loss.logits(cos, torch.tensor([1, 1]), norm=torch.tensor([10.0, 14.0], dtype=torch.float64))
    quality = 0.333 * 2 / (math.sqrt(8) + 1e-3)
    poor = math.cos(min(math.acos(-0.999) + 0.4 * quality, math.pi - 1e-3)) - 0.4 * (1 - quality)
    clear = math.cos(math.acos(0.5) - 0.4 * quality) - 0.4 * (1 + quality)
    np.testing.assert_allclose(got, ((0.999, poor), (0.2, clear)), rtol=1e-6)  # statistics are float32


def test_statistics_are_saved():
    loss = catalogue.load("adaface").train()
    loss.logits(torch.zeros((2, 2)), torch.tensor([0, 1]), norm=torch.tensor([10.0, 32.0]))
    again = catalogue.load("adaface")
    again.load_state_dict(loss.state_dict())
    assert again.mean == loss.mean != 20


def test_refusals():
    for bad, message in (
        ({"margin": 2.0}, "below pi / 2"),
        ({"share": 0.0}, "share: expected a number above 0"),
        ({"share": 1.5}, "expected at most 1"),
    ):
        with pytest.raises(InputError, match=message):
            catalogue.load("adaface", **bad)

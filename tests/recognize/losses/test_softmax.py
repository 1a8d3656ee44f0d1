"""Softmax: value and gradients by hand, its relation to a linear layer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.recognize.losses.by_hand import COS, LABELS, cross_entropy, slopes
from vultus import catalogue

NORM = (3.0, 5.0)


def _loss(cos, norm):
    return cross_entropy([[c * n for c in row] for row, n in zip(cos, norm, strict=True)])


def test_value_and_gradients_by_hand():
    """Logits (2.4, 0.3, -0.9) and (1, 2.5, 2)."""
    loss = catalogue.load("softmax")
    cos = torch.tensor(COS, dtype=torch.float64, requires_grad=True)
    norm, labels = torch.tensor(NORM, dtype=torch.float64, requires_grad=True), torch.tensor(LABELS)
    logits = loss.logits(cos, labels, norm=norm)
    np.testing.assert_allclose(logits.detach(), ((2.4, 0.3, -0.9), (1.0, 2.5, 2.0)), rtol=1e-14)
    value = loss.reduce(logits, labels)
    assert value.item() == pytest.approx(cross_entropy(((2.4, 0.3, -0.9), (1.0, 2.5, 2.0))), rel=1e-14)
    assert value.item() == pytest.approx(0.6259905671215058, abs=1e-12)
    value.backward()
    np.testing.assert_allclose(cos.grad, slopes(lambda at: _loss(at, NORM), COS), rtol=1e-9)
    np.testing.assert_allclose(norm.grad, slopes(lambda at: _loss(COS, at), NORM), rtol=1e-9)


def test_it_is_a_linear_layer_with_unit_weights_and_no_bias():
    generator = torch.Generator().manual_seed(0)
    raw = torch.randn((6, 4), generator=generator, dtype=torch.float64)
    weight = functional.normalize(torch.randn((5, 4), generator=generator, dtype=torch.float64))
    labels = torch.arange(6) % 5
    loss = catalogue.load("softmax")
    logits = loss.logits(functional.normalize(raw) @ weight.T, labels, norm=raw.norm(dim=1))
    torch.testing.assert_close(loss.reduce(logits, labels), functional.cross_entropy(raw @ weight.T, labels))

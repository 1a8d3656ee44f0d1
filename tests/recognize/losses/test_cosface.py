"""CosFace: value and gradient by hand, its limit, rows without a center, half precision."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vultus import catalogue
from vultus.errors import InputError

COS = ((0.8, 0.1, -0.3), (0.2, 0.5, 0.4))
LABELS = (0, 2)


def test_value_and_gradient_by_hand():
    """Two rows, three classes, s = 4, m = 0.25: logits (2.2, 0.4, -1.2) and (0.8, 2.0, 0.6)."""
    loss = catalogue.load("cosface", scale=4.0, margin=0.25)
    cos = torch.tensor(COS, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor(LABELS)
    logits = loss.logits(cos, labels)
    np.testing.assert_allclose(logits.detach(), ((2.2, 0.4, -1.2), (0.8, 2.0, 0.6)), rtol=1e-14)
    value = loss.reduce(logits, labels)
    rows = [[math.exp(v) for v in row] for row in ((2.2, 0.4, -1.2), (0.8, 2.0, 0.6))]
    want = -(math.log(rows[0][0] / sum(rows[0])) + math.log(rows[1][2] / sum(rows[1]))) / 2
    assert value.item() == pytest.approx(want, rel=1e-14)
    assert value.item() == pytest.approx(1.009021638016213, abs=1e-12)
    value.backward()
    gradient = [
        [4 / 2 * (e / sum(row) - (k == y)) for k, e in enumerate(row)] for row, y in zip(rows, LABELS, strict=True)
    ]
    np.testing.assert_allclose(cos.grad, gradient, rtol=1e-12)


def test_without_margin_it_is_the_normalized_softmax():
    loss = catalogue.load("cosface", scale=16.0, margin=0.0)
    cos, labels = torch.tensor(COS, dtype=torch.float64), torch.tensor(LABELS)
    want = torch.nn.functional.cross_entropy(16 * cos, labels)
    assert loss.reduce(loss.logits(cos, labels), labels).item() == pytest.approx(want.item(), rel=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 1), st.floats(1, 64), st.integers(0, 2**31))
def test_a_margin_only_costs(margin, scale, seed):
    """Section 3: the margin lowers the own logit alone, so the loss never falls."""
    cos = torch.rand((6, 5), generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1
    labels = torch.arange(6) % 5
    plain = catalogue.load("cosface", scale=scale, margin=0.0)
    strict = catalogue.load("cosface", scale=scale, margin=margin)
    a, b = plain.logits(cos, labels), strict.logits(cos, labels)
    own = torch.nn.functional.one_hot(labels, 5).bool()
    assert torch.equal(a[~own], b[~own])
    torch.testing.assert_close((a - b)[own], torch.full((6,), scale * margin, dtype=torch.float64))
    assert strict.reduce(b, labels) >= plain.reduce(a, labels)


def test_a_row_whose_center_is_elsewhere_has_no_margin_and_no_loss():
    loss = catalogue.load("cosface")
    cos, labels = torch.tensor(COS), torch.tensor((-1, 2))
    logits = loss.logits(cos, labels)
    torch.testing.assert_close(logits[0], 64 * cos[0])
    assert loss.reduce(logits, labels).item() == pytest.approx(loss.reduce(logits[1:], labels[1:]).item())
    nowhere = torch.tensor((-1, -1))
    assert loss.reduce(loss.logits(cos, nowhere), nowhere).item() == 0


def test_finite_at_the_ends_and_in_half_precision():
    loss = catalogue.load("cosface")
    cos = torch.tensor(((1.0, -1.0), (-1.0, 1.0)), dtype=torch.bfloat16, requires_grad=True)
    logits = loss.logits(cos, torch.tensor((1, 1)))
    assert logits.dtype == torch.float32
    loss.reduce(logits, torch.tensor((1, 1))).backward()
    assert torch.isfinite(cos.grad).all()


def test_refusals():
    with pytest.raises(InputError, match="scale: expected a number above 0"):
        catalogue.load("cosface", scale=0.0)
    with pytest.raises(InputError, match="margin: expected a number from 0"):
        catalogue.load("cosface", margin=-0.1)
    with pytest.raises(InputError, match=r"expected \(N, C\) and \(N,\)"):
        catalogue.load("cosface").logits(torch.zeros(2, 3), torch.zeros(3, dtype=torch.long))

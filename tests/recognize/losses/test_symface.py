"""SymFace: splits pixel by pixel, value and gradient by hand, symmetric faces cost nothing, who counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.recognize.losses.by_hand import slopes
from tests.recognize.losses.pairs_by_hand import unit
from vultus import catalogue
from vultus.errors import InputError
from vultus.ops.points import frontness

LEFT = ((0.9, 0.1, 0.2), (-0.2, 0.8, 0.5), (0.5, -0.3, 0.8))
RIGHT = ((0.7, 0.6, -0.1), (0.1, 0.9, -0.4), (0.2, 0.2, 0.9))
FRONT = (0.95, 0.5, 0.8)


def _by_hand(left, right=RIGHT):
    """The second face is not frontal."""
    a, b = unit(left), unit(right)
    terms = [FRONT[i] * sum((x - y) ** 2 for x, y in zip(a[i], b[i], strict=True)) for i in (0, 2)]
    return 2.0 * sum(terms) / 2


def test_value_and_gradients_by_hand():
    left = torch.tensor(LEFT, dtype=torch.float64, requires_grad=True)
    right = torch.tensor(RIGHT, dtype=torch.float64, requires_grad=True)
    front = torch.tensor(FRONT, dtype=torch.float64)
    out = catalogue.load("symface", weight=2.0)(left, right, front)
    assert out.loss.item() == pytest.approx(_by_hand(LEFT), rel=1e-12)
    assert out.loss.item() == pytest.approx(0.7177238221190829, abs=1e-12)
    assert out.parts["frontal"] == pytest.approx(2 / 3)
    out.loss.backward()
    np.testing.assert_allclose(left.grad, slopes(_by_hand, LEFT), rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(right.grad, slopes(lambda at: _by_hand(LEFT, at), RIGHT), rtol=1e-8, atol=1e-12)
    cosine = catalogue.load("symface", weight=2.0, distance="cosine")(left, right, front)
    assert cosine.loss.item() == pytest.approx(out.loss.item() / 2)


@pytest.mark.parametrize(
    ("nose", "mode", "left", "right"),
    [
        (2.0, "mirror", (1, 2, 3, 2, 1), (5, 4, 3, 4, 5)),
        (1.0, "mirror", (1, 2, 1, 0, 0), (3, 2, 3, 4, 5)),
        (2.5, "mirror", (1, 2, 3, 3, 2), (0, 5, 4, 4, 5)),
        (2.2, "mirror", (1, 2, 3, 2, 1), (5, 4, 3, 4, 5)),
        (1.0, "pad", (1, 2, 0, 0, 0), (0, 2, 3, 4, 5)),
        (0.0, "mirror", (1, 0, 0, 0, 0), (1, 2, 3, 4, 5)),
        (4.0, "mirror", (1, 2, 3, 4, 5), (0, 0, 0, 0, 5)),
    ],
)
def test_split_by_hand(nose, mode, left, right):
    """One row of five pixels, split at the nose and not at the center of the picture."""
    row = torch.tensor((1.0, 2, 3, 4, 5)).expand(1, 3, 2, 5)
    got = catalogue.load("symface", mode=mode).split(row, torch.tensor([nose]))
    for made, want in zip(got, (left, right), strict=True):
        assert torch.equal(made, torch.tensor(want, dtype=torch.float32).expand(1, 3, 2, 5))


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 9), st.integers(0, 2**31))
def test_a_symmetric_face_splits_into_itself_and_a_mirrored_one_into_exchanged_halves(width, seed):
    images = torch.rand((2, 3, 4, width), generator=torch.Generator().manual_seed(seed))
    loss, center = catalogue.load("symface"), torch.full((2,), (width - 1) / 2)
    whole = (images + images.flip(3)) / 2
    left, right = loss.split(whole, center)
    torch.testing.assert_close(left, whole)
    torch.testing.assert_close(right, whole)
    left, right = loss.split(images, center)
    turned = loss.split(images.flip(3), center)
    assert torch.equal(turned[0], right)
    assert torch.equal(turned[1], left)
    assert torch.equal(left, left.flip(3))


def test_with_a_network():
    """As in the docstring: a network that sees asymmetry alone learns to look away from it."""
    images = torch.rand((6, 3, 4, 5), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    points = np.tile(np.array(((1.0, 1), (3, 1), (2, 2), (1, 3), (3, 3)), np.float32), (6, 1, 1))
    points[0, 2, 0] = 3  # a nose over an eye
    front = torch.from_numpy(frontness(points))
    loss, weight = catalogue.load("symface"), torch.full((60, 2), 0.1, dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    weight = (weight + 0.1 * torch.randn(weight.shape, generator=generator, dtype=torch.float64)).requires_grad_()
    left, right = loss.split(images, torch.from_numpy(points[:, 2, 0]))
    values = []
    for _ in range(30):
        out = loss(left.flatten(1) @ weight, right.flatten(1) @ weight, front)
        (slope,) = torch.autograd.grad(out.loss, weight)
        values.append(out.loss.item())
        weight = (weight - 0.3 * slope).detach().requires_grad_()
    assert values[-1] < 0.5 * values[0]
    assert out.parts["frontal"] == pytest.approx(5 / 6)
    assert out.parts["spread"] > 0


def test_nobody_frontal_and_nobody_at_all():
    loss = catalogue.load("symface")
    for rows in (3, 0):
        left = torch.ones((rows, 2), requires_grad=True)
        out = loss(left, torch.ones((rows, 2)), torch.full((rows,), 0.3))
        out.loss.backward()
        assert out.loss.item() == 0
        assert out.parts["frontal"] == 0


def test_precision_inside_autocast():
    left, right = torch.tensor(LEFT), torch.tensor(RIGHT)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = catalogue.load("symface")(left.bfloat16(), right.bfloat16(), torch.tensor(FRONT))
    assert out.loss.dtype == torch.float32


def test_refusals():
    loss, rows = catalogue.load("symface"), torch.tensor(LEFT)
    for bad, message in (
        ((rows, rows[:2], torch.ones(3)), r"expected \(N, D\) twice and \(N,\)"),
        ((rows, rows, torch.full((3,), 1.5)), "expected numbers from 0 to 1"),
        ((rows, rows, torch.full((3,), torch.nan)), "expected numbers from 0 to 1"),
        ((rows * torch.nan, rows, torch.ones(3)), "are not: check the network"),
    ):
        with pytest.raises(InputError, match=message):
            loss(*bad)
    for nose in (torch.tensor([7.0]), torch.tensor([torch.nan])):
        with pytest.raises(InputError, match="expected columns from 0 to 4"):
            loss.split(torch.zeros((1, 3, 2, 5)), nose)
    for bad, message in (
        ({"mode": "flip"}, "expected one of mirror, pad"),
        ({"distance": "l1"}, "expected one of squared, cosine"),
        ({"threshold": 2.0}, "expected a number from 0 to 1"),
    ):
        with pytest.raises(InputError, match=message):
            catalogue.load("symface", **bad)

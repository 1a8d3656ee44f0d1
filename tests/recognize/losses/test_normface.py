"""NormFace: value and gradient by hand, and the bound of the paper, which a regular simplex reaches."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from tests.recognize.losses.by_hand import COS, cross_entropy, slopes, value_and_gradient
from vultus import catalogue
from vultus.errors import InputError


def test_value_and_gradient_by_hand():
    logits, value, gradient = value_and_gradient(catalogue.load("normface", scale=4.0))
    np.testing.assert_allclose(logits, ((3.2, 0.4, -1.2), (0.8, 2.0, 1.6)), rtol=1e-14)
    assert value == pytest.approx(cross_entropy(((3.2, 0.4, -1.2), (0.8, 2.0, 1.6))), rel=1e-14)
    assert value == pytest.approx(0.5746709114474347, abs=1e-12)
    np.testing.assert_allclose(gradient, slopes(lambda at: cross_entropy(4 * at), COS), rtol=1e-9)


def test_the_released_scale_is_64():
    assert catalogue.load("normface").scale == 64


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 8), st.floats(0.5, 30), st.integers(0, 2**31))
def test_no_balanced_batch_passes_the_bound(classes, scale, seed):
    """Proposition 2: vectors and centers as they please, as many of every class."""
    generator = torch.Generator().manual_seed(seed)
    centers = functional.normalize(torch.randn((classes, 6), generator=generator, dtype=torch.float64))
    loss, labels = catalogue.load("normface", scale=scale), torch.arange(classes)
    at_centers = loss.reduce(loss.logits(centers @ centers.T, labels), labels).item()
    assert at_centers >= loss.bound(classes) - 1e-6  # cosines are kept 1e-7 from 1


@pytest.mark.parametrize("classes", [2, 5, 40])
def test_a_regular_simplex_reaches_the_bound(classes):
    cos = torch.full((classes, classes), -1 / (classes - 1), dtype=torch.float64).fill_diagonal_(1)
    loss, labels = catalogue.load("normface", scale=3.0), torch.arange(classes)
    assert loss.reduce(loss.logits(cos, labels), labels).item() == pytest.approx(loss.bound(classes), abs=1e-6)
    assert loss.bound(classes) == pytest.approx(
        -math.log(1 / (1 + (classes - 1) * math.exp(-3 * classes / (classes - 1))))
    )


def test_refusals():
    with pytest.raises(InputError, match="scale: expected a number above 0"):
        catalogue.load("normface", scale=0.0)
    with pytest.raises(InputError, match="expected at least two"):
        catalogue.load("normface").bound(1)

"""Fusion: the cosine of fused vectors is the weighted sum of the parts' cosines."""

from __future__ import annotations

import copy

import cv2
import numpy as np
import pytest

from tests.recognize.embedders.tiny_networks import block_means
from vultus.align.similarity5 import Similarity5
from vultus.errors import InputError
from vultus.ops import warp
from vultus.recognize.embedders.fused import Fused
from vultus.recognize.embedders.onnx import OnnxEmbedder


@pytest.fixture
def parts(tmp_path):
    coarse = block_means(tmp_path / "coarse.onnx", blocks=2, shift=0.3)
    return [str(block_means(tmp_path / "fine.onnx", blocks=8)), str(coarse)]


@pytest.fixture
def crops():
    noise = np.random.default_rng(0).integers(0, 256, (4, 13, 13, 3), dtype=np.uint8)
    return np.stack([cv2.resize(n, (208, 208), interpolation=cv2.INTER_CUBIC) for n in noise])


def test_cosine_is_the_weighted_sum(parts, crops):
    fused = Fused(parts, [1.0, 3.0], threads=1)
    made = fused.embed(crops)
    assert made.vec.shape == (4, fused.dim) == (4, 192 + 12)
    cut = fused._cut(crops, OnnxEmbedder(parts[0], name="part").crop)
    alone = [OnnxEmbedder(part, name="part", threads=1).embed(cut).vec for part in parts]
    want = 0.25 * alone[0] @ alone[0].T + 0.75 * alone[1] @ alone[1].T
    np.testing.assert_allclose(made.vec @ made.vec.T, want, atol=1e-5)


def test_only_the_proportion_of_the_weights_counts(parts, crops):
    one, same = Fused(parts, [1.0, 3.0], threads=1), Fused(parts, [2.0, 6.0], threads=1)
    assert one.space == same.space
    assert np.array_equal(one.embed(crops).vec, same.embed(crops).vec)
    assert Fused(parts, [3.0, 1.0], threads=1).space != one.space
    assert Fused(parts[::-1], [1.0, 3.0], threads=1).space != one.space
    assert copy.deepcopy(one).space == one.space


def test_a_flipped_part_is_another_space_and_does_not_see_the_mirror(parts, crops):
    both = Fused(parts, [1.0, 1.0], flip=[True, True], threads=1)
    assert both.space != Fused(parts, [1.0, 1.0], threads=1).space
    assert Fused(parts, [1.0, 1.0], flip=[False, False], threads=1).space == Fused(parts, [1.0, 1.0]).space
    alike = (both.embed(crops).vec * both.embed(np.ascontiguousarray(crops[:, :, ::-1])).vec).sum(1)
    assert (alike > 0.99).all()  # but for the slight asymmetry of the template
    with pytest.raises(InputError, match="each of 2 parts"):
        Fused(parts, [1.0, 1.0], flip=[True])


@pytest.mark.parametrize("name", ["arcface112", "sphereface112x96", "dlib150"])
def test_the_wide_crop_holds_every_other_crop(name):
    """Cut from the wide crop or from the picture: nearly the same pixels, and none of them from outside."""
    rng = np.random.default_rng(1)
    picture = cv2.resize(rng.integers(60, 256, (14, 14, 3), dtype=np.uint8), (400, 400), interpolation=cv2.INTER_CUBIC)
    size_hw = warp._SIZES_HW[name]
    five = warp.TEMPLATES["arcface112"] * 1.5 + 100  # a face of 53 px between the eyes
    wide = Similarity5().align(picture, five[None], Fused(["a", "b"], [1, 1]).crop)[0]
    spec = type(Fused(["a", "b"], [1, 1]).crop)(name, size_hw)
    cut = Fused(["a", "b"], [1, 1])._cut(wide, spec)[0]
    direct = Similarity5().align(picture, five[None], spec)[0][0]
    assert cut.min() > 0
    assert np.abs(cut.astype(int) - direct).mean() < 1.5


def test_refusals(parts, crops):
    for weights in ([1.0], [1.0, 0.0], [1.0, -1.0], [1.0, float("nan")], [1.0, float("inf")]):
        with pytest.raises(InputError, match="positive"):
            Fused(parts, weights)
    with pytest.raises(InputError, match="two or more"):
        Fused(parts[:1], [1.0])
    with pytest.raises(InputError, match=r"\(N, 208, 208, 3\)"):
        Fused(parts, [1.0, 1.0]).embed(crops[:, 1:])
    assert Fused(parts, [1.0, 1.0]).embed(crops[:0]).vec.shape == (0, 204)

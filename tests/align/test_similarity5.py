from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vultus.align.similarity5 import Similarity5
from vultus.contracts import Aligner
from vultus.errors import InputError
from vultus.ops import warp
from vultus.types import CropSpec

SPECS = [
    CropSpec("arcface112", (112, 112)),
    CropSpec("sphereface112x96", (112, 96)),
    CropSpec("dlib150", (150, 150)),
]


def picture(height=240, width=320, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_it_is_an_aligner():
    assert isinstance(Similarity5(), Aligner)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.template)
@given(
    angle=st.floats(-180, 180),
    scale=st.floats(0.1, 8.0),
    shift=st.tuples(st.floats(-50, 300), st.floats(-50, 300)),
)
@settings(max_examples=30, deadline=None)
def test_points_that_are_the_template_moved_land_on_the_template(spec, angle, scale, shift):
    goal = warp.template(spec.template, spec.size_hw)
    turn = np.deg2rad(angle)
    rotation = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = (goal @ rotation.T + shift).astype(np.float32)[None]
    crops, matrices = Similarity5().align(picture(60, 80), points, spec)
    assert crops.shape == (1, *spec.size_hw, 3)
    assert crops.dtype == np.uint8
    landed = warp.apply(matrices, points)[0]
    assert np.abs(landed - goal).max() < 0.01


@given(points=hnp.arrays(np.float32, (1, 5, 2), elements=st.floats(0, 200, width=32)))
@settings(max_examples=50, deadline=None)
def test_never_a_reflection(points):
    try:
        _, matrices = Similarity5().align(picture(60, 80), points, SPECS[0])
    except InputError:
        return  # points that determine nothing are refused, in words
    assert np.linalg.det(matrices[0, :, :2].astype(np.float64)) > 0


def test_the_template_itself_gives_the_picture_itself():
    image = picture(112, 112)
    points = warp.template("arcface112", (112, 112))[None]
    crops, matrices = Similarity5().align(image, points, SPECS[0])
    assert np.abs(crops[0].astype(int) - image.astype(int)).max() <= 1
    np.testing.assert_allclose(matrices[0], [[1, 0, 0], [0, 1, 0]], atol=1e-4)


def test_batch_equals_one_by_one_and_input_is_untouched():
    image = picture()
    before = image.copy()
    rng = np.random.default_rng(1)
    goal = warp.template("arcface112", (112, 112))
    points = np.stack([goal * s + rng.normal(0, 2, (5, 2)) + (20, 10) for s in (0.4, 1.0, 1.7)]).astype(np.float32)
    crops, matrices = Similarity5().align(image, points, SPECS[0])
    for k in range(len(points)):
        crop, matrix = Similarity5().align(image, points[k : k + 1], SPECS[0])
        np.testing.assert_array_equal(crop[0], crops[k])
        np.testing.assert_array_equal(matrix[0], matrices[k])
    np.testing.assert_array_equal(image, before)


def test_no_face_gives_no_crop():
    crops, matrices = Similarity5().align(picture(), np.zeros((0, 5, 2), np.float32), SPECS[0])
    assert crops.shape == (0, 112, 112, 3)
    assert matrices.shape == (0, 2, 3)


def test_outside_of_the_picture_is_the_border():
    points = (warp.template("arcface112", (112, 112)) - 500)[None]
    crops, _ = Similarity5(border=7).align(picture(), points, SPECS[0])
    assert (crops == 7).all()


@pytest.mark.parametrize(
    ("points", "spec"),
    [
        (np.zeros((1, 5, 2), np.float32), SPECS[0]),
        (np.zeros((1, 4, 2), np.float32), SPECS[0]),
        (np.full((1, 5, 2), np.nan, np.float32), SPECS[0]),
        (np.ones((1, 5, 2), np.float32), CropSpec("box", (112, 112))),
    ],
    ids=["one spot", "four points", "nan", "box"],
)
def test_refusals_are_in_words(points, spec):
    with pytest.raises(InputError, match="expected"):
        Similarity5().align(picture(), points, spec)

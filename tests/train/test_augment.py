"""Augmentation: points stay on their pixels, the size stays, nothing is changed in place, shares are as asked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vultus.errors import InputError, UnknownMethod
from vultus.ops.degrade import Degradation, Misalign, Shrink
from vultus.train.augment import Degrade, Flip, Shift, augmentation, chain

PLACES = np.array([(12, 14), (27, 15), (20, 22), (14, 30), (26, 29)], np.float32)


def marked(levels=(50, 90, 130, 170, 210)):
    """Five square marks of 3 x 3, each of its own level, around the five points."""
    image = np.zeros((44, 40, 3), np.uint8)
    for (x, y), level in zip(PLACES.astype(int), levels, strict=True):
        image[y - 1 : y + 2, x - 1 : x + 2] = level
    return image


SWAPPED = np.array([90, 50, 130, 210, 170])  # what the marks of the mirrored picture are called


@pytest.mark.parametrize("augment", [Flip(1.0), Flip(0.0), Shift(5), Degrade("ADAFACE")])
@given(seed=st.integers(0, 50))
def test_points_stay_on_their_pixels(augment, seed):
    image, before = marked(), marked()
    worse, points = augment(image, PLACES, np.random.default_rng(seed))
    assert np.array_equal(image, before)
    assert (worse.shape, worse.dtype, points.shape) == (image.shape, np.uint8, (5, 2))
    if isinstance(augment, Degrade):
        return
    levels = worse[points[:, 1].astype(int), points[:, 0].astype(int), 0]
    expected = SWAPPED if augment == Flip(1.0) else (50, 90, 130, 170, 210)
    assert levels.tolist() == list(expected)


def test_a_mirrored_face_has_its_left_eye_on_the_left():
    points = Flip(1.0)(marked(), PLACES, np.random.default_rng(0))[1]
    np.testing.assert_allclose(points, [(12, 15), (27, 14), (19, 22), (13, 29), (25, 30)])


def test_shares_and_shifts_are_as_asked():
    rng = np.random.default_rng(0)
    image = marked()
    flipped = sum(not np.array_equal(Flip(0.3)(image, None, rng)[0], image) for _ in range(1000))
    assert 250 < flipped < 350
    moved = np.array([Shift(2)(image, PLACES, rng)[1][0] - PLACES[0] for _ in range(400)])
    assert set(map(tuple, moved.astype(int))) == {(x, y) for x in range(-2, 3) for y in range(-2, 3)}
    border = Shift(3)(np.full((9, 9, 3), 7, np.uint8), None, rng)[0]
    assert (border == 7).all()  # nothing black comes in


def test_degradation_moves_points_and_is_drawn_by_the_generator():
    turned = Degrade(Degradation([(Misalign((1.2, 1.2), (0.0, 0.0), (0.0, 0.0)), 1.0)]))
    points = turned(marked(), PLACES, np.random.default_rng(0))[1]
    assert np.linalg.norm(points[1] - points[0]) > 1.15 * np.linalg.norm(PLACES[1] - PLACES[0])
    image = np.random.default_rng(1).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    one, again, other = (Degrade("VLR")(image, None, np.random.default_rng(seed))[0] for seed in (4, 4, 5))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    kept = sum(np.array_equal(Degrade()(image, None, np.random.default_rng(k))[0], image) for k in range(200))
    assert 75 < kept < 130  # 0.8 ** 3 of them


def test_what_a_recipe_names():
    image, rng = marked(), np.random.default_rng
    named = augmentation(["flip", "shift = 2", "degrade=ADAFACE"])
    by_hand = chain(Flip(0.5), Shift(2), Degrade("ADAFACE"))
    for seed in range(5):
        one, other = named(image, PLACES, rng(seed)), by_hand(image, PLACES, rng(seed))
        assert np.array_equal(one[0], other[0])
        assert np.array_equal(one[1], other[1])
    assert augmentation([]) is None
    with pytest.raises(UnknownMethod, match="unknown augmentation 'flp'; near names: flip"):
        augmentation(["flp"])
    with pytest.raises(UnknownMethod, match="ADAFACE"):
        augmentation(["degrade=ADAFAC"])
    for word in ("shift", "shift=1.5", "flip=many", "flip=2", "shift=-1"):
        with pytest.raises(InputError):
            augmentation([word])
    with pytest.raises(InputError, match="add Enlarge at its end"):
        Degrade(Degradation([(Shrink(2.0), 1.0)]))(image, None, rng(0))

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vultus.errors import InputError
from vultus.ops import points
from vultus.ops.warp import TEMPLATES

EIGHTHS = st.integers(-8000, 8000).map(lambda n: n / 8)  # exact in float32
UPRIGHT = np.array([[[10, 20], [30, 20], [20, 32], [13, 44], [27, 44]]], np.float32)


def rotated(five, degrees):
    """Clockwise as seen (y points down)."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return five @ np.array([[c, s], [-s, c]])


@given(arrays(np.float32, (3, 5, 2), elements=EIGHTHS), st.integers(1, 4000))
def test_flipping_five_points_twice_changes_nothing(five, width):
    twice = points.flip_points(points.flip_points(five, width, points.FLIP5), width, points.FLIP5)
    np.testing.assert_array_equal(twice, five)


@given(arrays(np.float32, (1, 68, 2), elements=EIGHTHS), st.integers(1, 4000))
def test_flipping_68_points_twice_and_five_of_them(all68, width):
    once = points.flip_points(all68, width, points.FLIP68)
    np.testing.assert_array_equal(points.flip_points(once, width, points.FLIP68), all68)
    expected = points.flip_points(points.five_from_68(all68), width, points.FLIP5)
    np.testing.assert_allclose(points.five_from_68(once), expected, atol=1e-3)


def test_flip_by_hand():
    # on a picture 100 wide the mirror of pixel 10 is pixel 89
    flipped = points.flip_points(UPRIGHT, 100)
    np.testing.assert_array_equal(flipped[0], [[69, 20], [89, 20], [79, 32], [72, 44], [86, 44]])


def test_flip68_is_a_permutation_that_keeps_the_middle():
    assert sorted(points.FLIP68) == list(range(68))
    fixed = [i for i, j in enumerate(points.FLIP68) if i == j]
    assert fixed == [8, 27, 28, 29, 30, 33, 51, 57, 62, 66]
    assert [points.FLIP68[i] for i in (36, 39, 48, 60, 17, 31)] == [45, 42, 54, 64, 26, 35]


def test_five_from_68_by_hand():
    all68 = np.stack([np.arange(68), 2 * np.arange(68)], axis=1)[None]
    np.testing.assert_array_equal(points.five_from_68(all68)[0, :, 0], [38.5, 44.5, 30, 48, 54])


def test_interocular_roll_and_frontness_by_hand():
    assert points.interocular(UPRIGHT).tolist() == [20]
    assert points.roll_deg(UPRIGHT).tolist() == [0]
    assert points.frontness(UPRIGHT).tolist() == [1]
    turned = UPRIGHT.copy()
    turned[0, 2, 0] = 25  # a quarter of the eye distance off the middle
    assert points.frontness(turned).tolist() == [0.5]
    turned[0, 2, 0] = 99
    assert points.frontness(turned).tolist() == [0]


@given(st.floats(-179, 179), st.floats(0.1, 20), st.floats(-9, 9))
def test_roll_follows_a_rotation_and_frontness_does_not(degrees, size, offset):
    face = UPRIGHT.astype(np.float64)
    face[0, 2, 0] += offset
    moved = rotated(face, degrees) * size + 5
    assert points.roll_deg(moved)[0] == pytest.approx(degrees, abs=1e-3)
    assert points.frontness(moved)[0] == pytest.approx(float(points.frontness(face)[0]), abs=1e-4)


def test_nme_by_hand():
    guess = UPRIGHT + np.array([3.0, 4.0])
    assert points.nme(guess, UPRIGHT, points.interocular(UPRIGHT)).tolist() == [0.25]
    assert points.nme(UPRIGHT, UPRIGHT, [7.0]).tolist() == [0]


def test_edge_is_center_plus_half():
    np.testing.assert_array_equal(points.center_to_edge([[0, 0]]), [[0.5, 0.5]])
    np.testing.assert_array_equal(points.edge_to_center(points.center_to_edge(UPRIGHT)), UPRIGHT)


def test_templates_are_frontal_and_upright():
    for five in TEMPLATES.values():
        assert points.frontness(five[None])[0] > 0.95
        assert abs(points.roll_deg(five[None])[0]) < 1.5


def test_no_faces_no_numbers():
    none = np.zeros((0, 5, 2))
    for call in (points.interocular, points.roll_deg, points.frontness):
        assert call(none).shape == (0,)
    assert points.five_from_68(np.zeros((0, 68, 2))).shape == (0, 5, 2)
    assert points.flip_points(none, 10).shape == (0, 5, 2)


@pytest.mark.parametrize(
    "call",
    [
        lambda: points.frontness(np.zeros((1, 5, 2))),
        lambda: points.roll_deg(np.zeros((1, 5, 2))),
        lambda: points.interocular(np.full((1, 5, 2), np.nan)),
        lambda: points.five_from_68(np.zeros((1, 5, 2))),
        lambda: points.flip_points(np.zeros((1, 5, 2)), 10, points.FLIP68),
        lambda: points.nme(UPRIGHT, UPRIGHT, [0.0]),
        lambda: points.nme(UPRIGHT, UPRIGHT, [1.0, 1.0]),
        lambda: points.nme(np.zeros((1, 0, 2)), np.zeros((1, 0, 2)), [1.0]),
    ],
)
def test_bad_input_is_refused_in_words(call):
    with pytest.raises(InputError, match="expected"):
        call()

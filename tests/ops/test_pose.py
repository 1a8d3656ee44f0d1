import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vultus.errors import InputError
from vultus.ops.pose import Camera, R_to_euler, euler_to_R, pose_from_points

ANGLES = st.tuples(st.floats(-179, 179), st.floats(-89, 89), st.floats(-179, 179))
SHAPE = np.random.default_rng(0).normal(size=(68, 3)) * (6, 8, 4)


@given(ANGLES)
def test_angles_and_rotations_go_back_and_forth(angles):
    turn = euler_to_R(angles)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(euler_to_R(R_to_euler(turn)), turn, atol=1e-9)
    np.testing.assert_allclose(R_to_euler(turn), angles, atol=1e-6)


@given(ANGLES)
def test_the_face_looks_where_the_formula_says(angles):
    yaw, pitch, _ = np.radians(angles)
    expected = [np.sin(yaw) * np.cos(pitch), -np.sin(pitch), -np.cos(yaw) * np.cos(pitch)]
    np.testing.assert_allclose(euler_to_R(angles) @ (0, 0, -1), expected, atol=1e-12)


def test_signs_by_hand():
    assert (euler_to_R([30, 0, 0]) @ (0, 0, -1))[0] > 0  # to the viewer's right
    assert (euler_to_R([0, 30, 0]) @ (0, 0, -1))[1] < 0  # up
    assert (euler_to_R([0, 0, 30]) @ (1, 0, 0))[1] > 0  # clockwise as seen
    np.testing.assert_allclose(R_to_euler(euler_to_R([20, 90, 10]))[1:], [90, 0], atol=1e-5)


@settings(max_examples=25)
@given(st.tuples(st.floats(-80, 80), st.floats(-50, 50), st.floats(-90, 90)), st.floats(40, 300))
def test_exact_points_give_the_exact_pose(angles, distance):
    camera = Camera(600.0, 100.0, 90.0)
    shift = np.array([3.0, -2.0, distance])
    seen = camera.project(SHAPE @ euler_to_R(angles).T + shift)
    pose, found = pose_from_points(seen, SHAPE, camera)
    np.testing.assert_allclose(pose, angles, atol=0.05)
    np.testing.assert_allclose(found, shift, rtol=1e-3, atol=1e-2)


def test_noisy_points_give_nearly_the_pose():
    rng = np.random.default_rng(1)
    camera = Camera(600.0, 100.0, 90.0)
    for angles in ((0, 0, 0), (40, -10, 5), (-60, 15, -20)):
        seen = camera.project(SHAPE @ euler_to_R(angles).T + (0, 0, 75)) + rng.normal(0, 0.5, (68, 2))
        assert np.abs(pose_from_points(seen, SHAPE, camera)[0] - angles).max() < 1.5


def test_noisy_points_give_the_least_squares_pose_of_opencv():
    """The direct start alone is up to 5 degrees from it, so every term of the refinement counts."""
    rng = np.random.default_rng(1)
    camera = Camera(600.0, 100.0, 90.0)
    matrix = np.array([[600.0, 0, 100], [0, 600, 90], [0, 0, 1]])
    for angles in ((0, 0, 0), (40, -10, 5), (-60, 15, -20)):
        seen = camera.project(SHAPE @ euler_to_R(angles).T + (0, 0, 75)) + rng.normal(0, 2, (68, 2))
        pose, shift = pose_from_points(seen, SHAPE, camera)
        _, turn, place = cv2.solvePnP(SHAPE, seen, matrix, None, flags=cv2.SOLVEPNP_ITERATIVE)
        np.testing.assert_allclose(pose, R_to_euler(cv2.Rodrigues(turn)[0]), atol=2e-3)
        np.testing.assert_allclose(shift, place.ravel(), atol=2e-3)


@pytest.mark.parametrize(
    ("points", "model", "words"),
    [
        (np.zeros((5, 2)), SHAPE[:5], "at least 6"),
        (np.zeros((68, 2)), SHAPE * (1, 1, 0), "three dimensions"),
        (np.zeros((7, 2)), SHAPE, "points"),
        (np.full((68, 2), np.nan), SHAPE, "points"),
    ],
)
def test_refusals(points, model, words):
    with pytest.raises(InputError, match=words):
        pose_from_points(points, model, Camera(1, 0, 0))


def test_refuses_what_is_no_rotation():
    with pytest.raises(InputError, match="rotations"):
        R_to_euler(2 * np.eye(3))
    with pytest.raises(InputError, match="rotations"):
        R_to_euler(np.diag([1.0, 1.0, -1.0]))
    with pytest.raises(InputError, match="yaw"):
        euler_to_R([0, np.nan, 0])

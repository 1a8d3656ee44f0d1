"""Quality: every component falls with what it measures, with nothing else, and is explained in words."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data
from skimage.measure import blur_effect

from vultus.errors import InputError
from vultus.quality.measures import RAMPS, FaceMeasures, Ramp
from vultus.testing.pictures import drawn_scene
from vultus.types import Detections

# The face of scikit-image's astronaut, as CenterFace finds it.
FIVE = np.array([[[202, 100], [249, 103], [224, 123], [202, 142], [242, 144]]], np.float32)
BOX = np.array([[180, 62, 271, 178]], np.float32)


@pytest.fixture(scope="module")
def photo():
    return np.ascontiguousarray(data.astronaut())


def _faces(scale=1.0, score=0.9):
    points = (FIVE + 0.5) * scale - 0.5
    return Detections(BOX * scale, np.array([score], np.float32), points)


def _measured(picture, faces=None):
    return {k: float(v[0]) for k, v in FaceMeasures().measurements(picture, faces or _faces()).items()}


def test_a_good_photograph_is_good(photo):
    measures = FaceMeasures()
    assert measures.score(photo, _faces())[0] > 0.8
    assert measures.reasons(photo, _faces()) == [""]


def test_size_is_the_distance_of_the_eyes(photo):
    assert _measured(photo)["size"] == pytest.approx(np.hypot(47, 3))
    small = cv2.resize(photo, None, fx=0.3, fy=0.3, interpolation=cv2.INTER_AREA)
    assert FaceMeasures().reasons(small, _faces(0.3)) == ["the face is 14 px between the eyes, 24 are needed"]


def test_sharpness_falls_with_blur_as_the_peer_s_blur_rises(photo):
    blurred = [photo, *(cv2.GaussianBlur(photo, (0, 0), s) for s in (0.7, 1, 1.5, 2, 3, 4))]
    sharp = [_measured(picture)["sharpness"] for picture in blurred]
    peer = [blur_effect(picture[62:178, 180:271], channel_axis=2) for picture in blurred]
    assert sharp == sorted(sharp, reverse=True)
    assert peer == sorted(peer)
    assert "blurred" in FaceMeasures().reasons(blurred[-1], _faces())[0]


def test_sharpness_does_not_depend_on_light_or_contrast(photo):
    dim = (photo * 0.5 + 20).astype(np.uint8)
    assert _measured(dim)["sharpness"] == pytest.approx(_measured(photo)["sharpness"], abs=0.03)


def test_exposure_falls_in_the_dark_in_the_glare_and_in_the_fog(photo):
    whole = _measured(photo)["exposure"]
    dark = (photo * 0.1).astype(np.uint8)
    glare = np.clip(photo.astype(int) + 190, 0, 255).astype(np.uint8)
    fog = (photo * 0.1 + 130).astype(np.uint8)
    for bad in (dark, glare, fog):
        assert _measured(bad)["exposure"] < 0.3 * whole
        assert FaceMeasures().score(bad, _faces())[0] < 0.5
        assert "gray levels" in FaceMeasures().reasons(bad, _faces())[0]


def test_exposure_does_not_ask_for_a_bright_skin(photo):
    """A face at a quarter of the light of the scene, taken with a matching exposure, is the same picture."""
    darker = (255 * (photo / 255.0) ** 1.8).astype(np.uint8)
    assert FaceMeasures().components(darker, _faces())["exposure"][0] == 1.0


def test_frontness_and_detection(photo):
    turned = FIVE.copy()
    turned[0, 2] = FIVE[0, 0] + (-3, 20)  # the nose under the left eye
    faces = Detections(BOX, np.array([0.9]), turned)
    assert FaceMeasures().components(photo, faces)["frontness"][0] < 0.2
    assert "turned" in FaceMeasures().reasons(photo, faces)[0]
    assert "unsure" in FaceMeasures().reasons(photo, _faces(score=0.2))[0]


def test_the_whole_is_the_worst(photo):
    columns = FaceMeasures().components(photo, _faces(score=0.4))
    assert FaceMeasures().score(photo, _faces(score=0.4))[0] == min(float(c[0]) for c in columns.values())
    assert set(columns) == set(RAMPS)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_any_picture_gives_shares(seed):
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8) if seed % 2 else np.full((60, 80, 3), 7, np.uint8)
    points = rng.uniform(-50, 130, (3, 5, 2)).astype(np.float32)
    faces = Detections(np.zeros((3, 4)), np.zeros(3), points)
    scores = FaceMeasures().score(picture, faces)
    assert scores.shape == (3,)
    assert ((scores >= 0) & (scores <= 1)).all()


@given(st.floats(0, 1))
def test_a_ramp_is_undone(share):
    ramp = Ramp(8, 40, "")
    assert float(ramp.share(np.array([ramp.at(share)], np.float32))[0]) == pytest.approx(share, abs=1e-6)


def test_turning_the_picture_changes_little(photo):
    turned = np.ascontiguousarray(np.rot90(photo))
    height = photo.shape[1]
    points = np.stack([FIVE[..., 1], height - 1 - FIVE[..., 0]], axis=-1)
    faces = Detections(BOX, np.array([0.9]), points)
    for name, value in _measured(turned, faces).items():
        assert value == pytest.approx(_measured(photo)[name], rel=0.05), name


def test_nobody_and_boxes_only(photo):
    assert FaceMeasures().score(photo, Detections(np.zeros((0, 4)), np.zeros(0))).shape == (0,)
    assert FaceMeasures().reasons(photo, Detections(np.zeros((0, 4)), np.zeros(0))) == []
    with pytest.raises(InputError, match="five points"):
        FaceMeasures().score(photo, Detections(BOX, np.array([0.9])))


def test_faces_are_measured_one_by_one():
    picture, faces = drawn_scene(np.random.default_rng(0), n=3, size_hw=(240, 480))
    whole = FaceMeasures().score(picture, faces)
    for i in range(3):
        alone = Detections(faces.boxes[i : i + 1], faces.scores[i : i + 1], faces.points[i : i + 1])
        assert FaceMeasures().score(picture, alone)[0] == whole[i]

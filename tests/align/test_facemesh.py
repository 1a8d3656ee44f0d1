from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from tests.align.faces import detected, dlib_faces
from vultus.align import _crops, facemesh
from vultus.align.facemesh import FIVE, POINTS, FaceMesh
from vultus.contracts import Refiner
from vultus.errors import InputError
from vultus.ops.points import interocular
from vultus.ops.warp import rotate90, template, unrotate_points

FRONTAL = template("arcface112", (112, 112))


class Pretend:
    """A network that finds every mesh point where the test says, in crop pixels, whatever it is shown."""

    card = None
    path = SimpleNamespace(name="pretend.onnx")
    inputs = {"input": ("batch", 3, 192, 192)}  # noqa: RUF012

    def __init__(self, xyz, score=1.0, width=3 * POINTS):
        self.xyz, self.score, self.width, self.sizes = np.asarray(xyz, np.float32), score, width, []

    def run(self, feeds):
        batch = feeds["input"]
        assert batch.shape[1:] == (3, 192, 192)
        assert batch.dtype == np.float32
        assert batch.min() >= 0
        assert batch.max() <= 1
        self.sizes.append(len(batch))
        mesh = np.broadcast_to(self.xyz, (len(batch), POINTS, 3)).reshape(len(batch), -1)[:, : self.width]
        return [mesh.astype(np.float32), np.full((len(batch), 1), self.score, np.float32)]


@pytest.fixture
def pretend(monkeypatch):
    def use(*arguments, **named):
        network = Pretend(*arguments, **named)
        monkeypatch.setattr(facemesh, "open_session", lambda weights, threads=None: network)
        return network

    return use


def picture(size_hw=(200, 300)):
    return np.random.default_rng(0).integers(0, 256, (*size_hw, 3), dtype=np.uint8)


def test_it_is_a_refiner():
    assert isinstance(FaceMesh(), Refiner)


def test_the_middle_of_the_crop_is_the_middle_of_eyes_and_mouth(pretend):
    pretend([96.0, 96.0, 0.0])  # edge coordinates of 192
    five = FRONTAL + np.array([40, 20], np.float32)
    got = FaceMesh().refine(picture(), five[None])[0]
    middle = (five[:2].mean(0) + five[3:].mean(0)) / 2
    np.testing.assert_allclose(got, np.broadcast_to(middle, (5, 2)), atol=1e-3)


def test_a_crop_is_roi_eye_distances_wide_and_turned_upright(pretend):
    pretend([96.0 + 19.2, 96.0, 10.0])  # a tenth of the crop to the right of its middle
    turn = np.deg2rad(30)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    eyes_apart = 50.0
    five = np.array([[-0.5, 0], [0.5, 0], [0, 0.4], [-0.4, 1.0], [0.4, 1.0]]) * eyes_apart @ rotation.T + (150, 100)
    mesh = FaceMesh(roi=4.0).mesh(picture(), five[None].astype(np.float32))[0]
    middle = (five[:2].mean(0) + five[3:].mean(0)) / 2
    side = 4.0 * eyes_apart
    np.testing.assert_allclose(mesh[0, :2], middle + 0.1 * side * rotation[:, 0], atol=1e-2)
    assert mesh[0, 2] == pytest.approx(10.0 * side / 192, rel=1e-4)


def test_a_turned_head_does_not_shrink_the_crop(pretend):
    pretend([192.0, 96.0, 0.0])
    profile = FRONTAL.copy()
    profile[:, 0] = profile[:, 0].mean() + 0.1 * (profile[:, 0] - profile[:, 0].mean())
    wide = [FaceMesh().mesh(picture(), five[None])[0, 0, 0] - five[:, 0].mean() for five in (FRONTAL, profile)]
    assert wide[1] == pytest.approx(wide[0], rel=0.1)


def test_rough_points_stay_where_the_network_sees_no_face(pretend):
    pretend([10.0, 10.0, 0.0], score=0.4)
    np.testing.assert_array_equal(FaceMesh().refine(picture(), FRONTAL[None])[0], FRONTAL)
    assert np.abs(FaceMesh(min_score=0.3).refine(picture(), FRONTAL[None])[0] - FRONTAL).max() > 5


def test_many_faces_go_in_batches(pretend):
    network = pretend([96.0, 96.0, 0.0])
    n = _crops.BATCH + 3
    five = FRONTAL[None] + np.arange(n, dtype=np.float32)[:, None, None]
    got = FaceMesh().refine(picture(), five)
    assert network.sizes == [_crops.BATCH, 3]
    np.testing.assert_allclose(np.diff(got[:, 0], axis=0), 1.0, atol=1e-3)  # in order


def test_no_face_runs_nothing():
    assert FaceMesh(weights="not even looked at").refine(picture(), np.zeros((0, 5, 2), np.float32)).shape == (0, 5, 2)
    assert FaceMesh(weights="not even looked at").mesh(picture(), np.zeros((0, 5, 2), np.float32)).shape == (0, 468, 3)


@pytest.mark.parametrize("points", [np.ones((1, 5, 2)), np.zeros((1, 4, 2)), np.full((1, 5, 2), np.nan)])
def test_refusals_are_in_words(points, pretend):
    pretend([0.0, 0.0, 0.0])
    with pytest.raises(InputError, match="expected"):
        FaceMesh().refine(picture(), points.astype(np.float32))


def test_a_network_of_another_kind_is_refused(pretend):
    pretend([0.0, 0.0, 0.0], width=100)
    with pytest.raises(InputError, match="1404"):
        FaceMesh().refine(picture(), FRONTAL[None])


def test_the_ids_are_distinct_points_of_the_mesh():
    ids = [i for group in FIVE for i in group]
    assert len(set(ids)) == len(ids)
    assert max(ids) < POINTS


@pytest.mark.models("default", "accurate")
def test_points_come_nearer_to_68_point_truth(data_dir):
    """43 faces of 9 photographs; truth is the 68-point annotation that dlib ships, rounded to pixels."""
    raw, fine, signed = [], [], []
    for image, boxes, truth in dlib_faces(data_dir):
        rough, truth = detected(image, boxes, truth)
        refined = FaceMesh().refine(image, rough)
        scale = interocular(truth)[:, None]
        raw.append(np.linalg.norm(rough - truth, axis=2) / scale)
        fine.append(np.linalg.norm(refined - truth, axis=2) / scale)
        signed.append((refined - truth) / scale[:, :, None])
    spread = np.linalg.norm(np.concatenate(signed) - np.concatenate(signed).mean(0), axis=2).mean()
    raw_mean, fine_mean = np.concatenate(raw).mean(), np.concatenate(fine).mean()
    assert len(np.concatenate(raw)) >= 42
    assert raw_mean == pytest.approx(0.090, abs=0.005)
    assert fine_mean == pytest.approx(0.066, abs=0.004)
    assert spread == pytest.approx(0.050, abs=0.004)  # without the mean offset, which alignment does not feel


@pytest.mark.models("default", "accurate")
def test_a_turned_picture_gives_turned_points(data_dir):
    image, boxes, truth = max(dlib_faces(data_dir), key=lambda item: item[1][:, 2].max() - item[1][:, 0].min())
    rough, _ = detected(image, boxes, truth)
    straight = FaceMesh().refine(image, rough)
    for k in (1, 2, 3):
        turned = rotate90(image, k)
        there = unrotate_points(rough, -k, turned.shape[:2])
        again = unrotate_points(FaceMesh().refine(turned, there), k, image.shape[:2])
        assert (np.linalg.norm(again - straight, axis=2) / interocular(straight)[:, None]).max() < 0.02

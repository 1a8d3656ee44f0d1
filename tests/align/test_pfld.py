from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from tests.align.faces import dlib_faces, matched
from vultus.align import pfld
from vultus.align.pfld import PFLD
from vultus.contracts import Landmarker
from vultus.errors import InputError
from vultus.ops.points import nme


class Pretend:
    """A network that answers the same shares for every crop and keeps what it was shown."""

    card = None
    path = SimpleNamespace(name="pretend.onnx")
    inputs = {"input": ("batch", 3, 112, 112)}  # noqa: RUF012

    def __init__(self, share, width=136):
        self.share, self.width, self.shown = share, width, None

    def run(self, feeds):
        self.shown = feeds["input"]
        return [np.full((len(self.shown), self.width), self.share, np.float32)]


def use(monkeypatch, *arguments, **named):
    network = Pretend(*arguments, **named)
    monkeypatch.setattr(pfld, "open_session", lambda weights, threads=None: network)
    return network


def picture():
    return np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)


def test_it_is_a_landmarker():
    assert isinstance(PFLD(), Landmarker)


@pytest.mark.parametrize(("share", "corner"), [(0.0, (30, 20)), (1.0, (90, 80)), (0.5, (60, 50))])
def test_shares_of_the_crop_are_shares_of_the_square_around_the_box(share, corner, monkeypatch):
    use(monkeypatch, share)
    points = PFLD().points(picture(), np.array([[40, 20, 80, 80]], np.float32))
    assert points.shape == (1, 68, 2)
    np.testing.assert_allclose(points[0], np.broadcast_to(np.subtract(corner, 0.5), (68, 2)), atol=1e-3)


def test_blue_comes_first_and_values_are_0_to_1(monkeypatch):
    network = use(monkeypatch, 0.5)
    image = np.zeros((60, 60, 3), np.uint8)
    image[:] = (255, 51, 0)
    PFLD().points(image, np.array([[10, 10, 50, 50]], np.float32))
    np.testing.assert_allclose(network.shown[0, :, 56, 56], [0.0, 0.2, 1.0], atol=1e-6)


def test_no_box_runs_nothing():
    assert PFLD(weights="not even looked at").points(picture(), np.zeros((0, 4), np.float32)).shape == (0, 68, 2)


@pytest.mark.parametrize("box", [[10, 10, 10, 50], [50, 10, 10, 50], [np.nan, 0, 1, 1]])
def test_refusals_are_in_words(box, monkeypatch):
    use(monkeypatch, 0.5)
    with pytest.raises(InputError, match="expected"):
        PFLD().points(picture(), np.array([box], np.float32))


def test_a_network_of_another_kind_is_refused(monkeypatch):
    use(monkeypatch, 0.5, width=10)
    with pytest.raises(InputError, match="136"):
        PFLD().points(picture(), np.array([[10, 10, 50, 50]], np.float32))


@pytest.mark.models("default", cards=["pfld"])
def test_error_on_68_point_truth(data_dir):
    """43 faces of 9 photographs; error as a share of the distance between the outer eye corners."""
    errors = []
    for image, boxes, truth in dlib_faces(data_dir):
        faces, index = matched(image, boxes)
        true = truth[index >= 0]
        points = PFLD().points(image, faces.boxes[index[index >= 0]])
        errors.append(nme(points, true, np.linalg.norm(true[:, 36] - true[:, 45], axis=1)))
    assert np.concatenate(errors).mean() == pytest.approx(0.057, abs=0.003)

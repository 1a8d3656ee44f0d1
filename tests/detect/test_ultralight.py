"""Ultra-Light: outputs worked by hand; the anchors inside the graph are the published ones."""

from __future__ import annotations

import numpy as np
import pytest

from vultus.detect.ultralight import decode
from vultus.zoo.session import open_session


def test_two_boxes_worked_by_hand():
    scores = np.array([[[0.1, 0.9], [0.8, 0.2], [0.4, 0.6]]], np.float32)
    boxes = np.array([[[0, 0, 0.5, 0.5], [0, 0, 1, 1], [0.25, 0.5, 0.75, 1.1]]], np.float32)
    (found,) = decode([scores, boxes], (240, 320), 0.5)
    np.testing.assert_allclose(found.boxes, [(0, 0, 160, 120), (80, 120, 240, 264)], rtol=1e-6)
    np.testing.assert_allclose(found.scores, [0.9, 0.6])
    assert found.points is None


@pytest.mark.models(cards=["ultralight_rfb320"])
def test_the_boxes_of_the_graph_are_on_the_published_grid():
    """A gray picture moves no box far: the first is a 10 px anchor at stride 8, the last a 256 px one at stride 64."""
    _, boxes = open_session("ultralight_rfb320").run({"input": np.zeros((1, 3, 240, 320), np.float32)})
    found = boxes[0] * (320, 240, 320, 240)
    assert found.shape == (4420, 4)
    centers = (found[:, :2] + found[:, 2:]) / 2
    np.testing.assert_allclose(centers[0], (4, 4), atol=8)
    np.testing.assert_allclose(centers[-1], (288, 224), atol=100)
    grid = np.repeat(np.stack(np.meshgrid(np.arange(40), np.arange(30)), -1).reshape(-1, 2), 3, axis=0) * 8 + 4
    assert np.abs(np.median(centers[:3600] - grid, axis=0)).max() < 3

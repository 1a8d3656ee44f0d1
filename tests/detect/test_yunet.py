"""YuNet: the same boxes and points as OpenCV's own reader of the same weights."""

from __future__ import annotations

import numpy as np
import pytest

from vultus.detect.yunet import YuNet, decode
from vultus.io.images import read
from vultus.ops.boxes import iou


def test_one_cell_worked_by_hand():
    kinds, objects, boxes, points = (
        [np.zeros((1, (32 // s) * (64 // s), width), np.float32) for s in (8, 16, 32)] for width in (1, 1, 4, 10)
    )
    cell = 1 * 4 + 2  # row 1, column 2 of the map of stride 16
    kinds[1][0, cell], objects[1][0, cell] = 0.81, 1.2  # above 1 counts as 1
    boxes[1][0, cell] = 0.5, 0.25, np.log(3.0), np.log(1.5)
    points[1][0, cell] = np.arange(10) / 4
    (found,) = decode([*kinds, *objects, *boxes, *points], (32, 64), 0.5)
    np.testing.assert_allclose(found.boxes, [(40 - 24, 20 - 12, 40 + 24, 20 + 12)], rtol=1e-6)
    assert found.scores.tolist() == pytest.approx([0.9])
    expected = np.arange(10).reshape(5, 2) / 4 * 16 + (32, 16) - 0.5
    np.testing.assert_allclose(found.points[0], expected, rtol=1e-6)


@pytest.mark.data
@pytest.mark.models(cards=["yunet_n"])
def test_it_agrees_with_opencv_on_the_same_weights(data_dir, weights_dir):
    """cv2.FaceDetectorYN on pictures that need no scaling: sides multiples of 32, one scale."""
    import cv2

    peer = cv2.FaceDetectorYN.create(str(weights_dir / "yunet" / "yunet_n_dynamic.onnx"), "", (320, 320), 0.6, 0.3)
    compared = 0
    for path in sorted((data_dir / "dlib_faces").glob("*.jpg")):
        photo = read(path).pixels
        height, width = (side // 32 * 32 for side in photo.shape[:2])
        photo = np.ascontiguousarray(photo[:height, :width])
        peer.setInputSize((width, height))
        _, rows = peer.detect(np.ascontiguousarray(photo[..., ::-1]))
        (ours,) = YuNet(scales=(max(height, width),)).detect([photo], min_score=0.6)
        rows = np.zeros((0, 15)) if rows is None else rows
        assert len(rows) == len(ours)
        if not len(ours):
            continue
        theirs = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], axis=1)
        theirs = np.clip(theirs, 0, [width, height] * 2)
        order = iou(theirs, ours.boxes).argmax(axis=1)
        np.testing.assert_allclose(ours.boxes[order], theirs, atol=0.1)
        np.testing.assert_allclose(ours.points[order] + 0.5, rows[:, 4:14].reshape(-1, 5, 2), atol=0.1)
        np.testing.assert_allclose(ours.scores[order], rows[:, 14], atol=1e-3)
        compared += len(ours)
    assert compared > 40

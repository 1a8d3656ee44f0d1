"""EXTD: anchors worked by hand, and card 83: the released weights find the faces of dlib's photographs."""

from __future__ import annotations

import numpy as np
import pytest

from vultus.detect.extd import EXTD, decode
from vultus.evaluate.metrics.detection import tally
from vultus.io.datasets.boxes import dlib_faces


def test_anchors_worked_by_hand():
    """96x64 canvas: maps of 24x16, 12x8, 6x4, 3x2, 2x1 and 1x1 cells, one anchor each."""
    count = 24 * 16 + 12 * 8 + 6 * 4 + 3 * 2 + 2 * 1 + 1
    loc, conf = np.zeros((1, count, 4), np.float32), np.zeros((1, count, 2), np.float32)
    index = 24 * 16 + 5 * 8 + 6  # row 5, column 6 of stride 8: 32 px around (52, 44)
    conf[0, index, 1] = conf[0, -1, 1] = 0.9
    loc[0, index] = 1.25, 0.0, 0.0, np.log(2.0) / 0.2
    (found,) = decode([loc, conf], (96, 64), 0.5)
    np.testing.assert_allclose(found.boxes[0], (56 - 16, 44 - 32, 56 + 16, 44 + 32), rtol=1e-5)
    np.testing.assert_allclose(found.boxes[1], (64 - 256, 64 - 256, 64 + 256, 64 + 256))
    assert found.points is None


@pytest.mark.data
@pytest.mark.parametrize(
    "width", [pytest.param(w, marks=pytest.mark.models(cards=[f"extd_{w}"])) for w in (32, 48, 64)]
)
def test_the_released_weights_find_the_faces_of_dlib(data_dir, width):
    """Card 83: recall of the true boxes at least .95 at IoU .4."""
    pictures = dlib_faces(data_dir / "dlib_faces").pictures
    detector = EXTD(f"extd_{width}", scales=(480,))
    found = [detector.detect([picture.read()])[0] for picture in pictures]
    counts = tally([(one.boxes, one.scores) for one in found], [picture.boxes for picture in pictures], iou_at=0.4)
    assert counts.recall() >= 0.95

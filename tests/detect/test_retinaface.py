"""RetinaFace: one anchor worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from vultus.detect.retinaface import decode


def test_one_anchor_worked_by_hand():
    """64x96 canvas: 2 x (96 + 24 + 6) anchors; row 1, column 4 of stride 16, the larger of 64 and 128 px."""
    index = 2 * 96 + (1 * 6 + 4) * 2 + 1
    loc, conf, landm = (np.zeros((1, 252, width), np.float32) for width in (4, 2, 10))
    conf[0, :, 0] = 1
    conf[0, index] = 0.25, 0.75
    loc[0, index] = 0.5, -1.0, np.log(0.5) / 0.2, 0.0
    landm[0, index] = np.linspace(-2, 2, 10)
    (found,) = decode([loc, conf, landm], (64, 96), 0.5)
    x, y = 4.5 * 16, 1.5 * 16
    np.testing.assert_allclose(found.boxes, [(x + 6.4 - 32, y - 12.8 - 64, x + 6.4 + 32, y - 12.8 + 64)], rtol=1e-5)
    np.testing.assert_allclose(found.points[0], np.linspace(-2, 2, 10).reshape(5, 2) * 12.8 + (x, y) - 0.5, rtol=1e-5)
    assert found.scores.tolist() == pytest.approx([0.75])


def test_every_size_has_its_number_of_anchors():
    """640x640: 16,800 anchors, as biubug6/Pytorch_Retinaface has."""
    loc, conf, landm = (np.zeros((1, 16800, width), np.float32) for width in (4, 2, 10))
    (found,) = decode([loc, conf, landm], (640, 640), 0.0)
    assert len(found.boxes) == 16800
    np.testing.assert_allclose(found.boxes[0], (4 - 8, 4 - 8, 4 + 8, 4 + 8))
    np.testing.assert_allclose(found.boxes[-1], (624 - 256, 624 - 256, 624 + 256, 624 + 256))

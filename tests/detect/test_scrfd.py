"""SCRFD: maps worked by hand, and the released network read again by a slow reader of the published layout."""

from __future__ import annotations

import numpy as np
import pytest

from vultus.detect.scrfd import SCRFD, decode
from vultus.io.images import read
from vultus.ops.boxes import iou
from vultus.zoo.session import open_session


def test_one_anchor_worked_by_hand():
    scores, distances, points = (
        [np.zeros((1, (64 // s) * (96 // s) * 2, width), np.float32) for s in (8, 16, 32)] for width in (1, 4, 10)
    )
    anchor = (2 * 6 + 3) * 2 + 1  # row 2, column 3, second anchor, stride 16
    scores[1][0, anchor] = 0.7
    distances[1][0, anchor] = 1.0, 0.5, 1.5, 2.0
    points[1][0, anchor] = np.linspace(-1, 1, 10)
    maps = [*scores, *distances, *points]
    (found,) = decode(maps, (64, 96), 0.5)
    np.testing.assert_allclose(found.boxes, [(48 - 16, 32 - 8, 48 + 24, 32 + 32)])
    np.testing.assert_allclose(found.points[0], np.linspace(-1, 1, 10).reshape(5, 2) * 16 + (48, 32) - 0.5, rtol=1e-6)
    flat = decode([np.concatenate([one[0] * 0, one[0]]) for one in maps], (64, 96), 0.5)
    assert [len(one.scores) for one in flat] == [0, 1], "rows without a batch axis: one item after the other"
    np.testing.assert_array_equal(flat[1].boxes, found.boxes)


@pytest.mark.data
@pytest.mark.models(cards=["scrfd_500m"])
def test_the_released_network_read_anchor_by_anchor(data_dir):
    """Input, cells and suppression made anew, as the layout is published: RGB (x - 127.5) / 128, corners of cells."""
    photo = read(data_dir / "dlib_faces" / "2008_004176.jpg").pixels[:416, :480]
    blob = ((photo.astype(np.float32) - 127.5) / 128).transpose(2, 0, 1)[None]
    outputs = open_session("scrfd_500m").run({"images": np.ascontiguousarray(blob)})
    rows = []
    for level, stride in enumerate((8, 16, 32)):
        index = 0
        for y in range(0, 416, stride):
            for x in range(0, 480, stride):
                for _ in range(2):
                    score = float(outputs[level][0, index, 0])
                    if score >= 0.4:
                        left, top, right, bottom = (float(d) * stride for d in outputs[3 + level][0, index])
                        five = [float(d) * stride for d in outputs[6 + level][0, index]]
                        places = [(x + five[k], y + five[k + 1]) for k in range(0, 10, 2)]
                        rows.append((score, (x - left, y - top, x + right, y + bottom), places))
                    index += 1
    rows.sort(key=lambda row: -row[0])
    kept = []
    for row in rows:
        if all(iou([row[1]], [other[1]])[0, 0] <= 0.4 for other in kept):
            kept.append(row)
    (ours,) = SCRFD(scales=(480,)).detect([photo], min_score=0.4)
    assert len(ours) == len(kept) >= 7
    np.testing.assert_allclose(ours.scores, [row[0] for row in kept], atol=1e-6)
    np.testing.assert_allclose(ours.boxes, np.clip([row[1] for row in kept], 0, [480, 416] * 2), atol=1e-3)
    np.testing.assert_allclose(ours.points + 0.5, [row[2] for row in kept], atol=1e-3)

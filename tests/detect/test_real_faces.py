"""What every detector of this room does with its released weights on real photographs."""

from __future__ import annotations

import numpy as np
import pytest

from tests.align.faces import dlib_faces
from vultus import catalogue
from vultus.evaluate.metrics.detection import tally
from vultus.io.datasets import boxes as sets
from vultus.ops.boxes import iou
from vultus.ops.points import five_from_68, interocular, nme

LEFT_OUT = (
    "extd.48",
    "extd.64",
    "lab_skin",
)  # larger twins of extd.32; color alone, measured by the claim dwt_faces_skin
ROWS = [row for row in catalogue.rows().values() if row.room == "detect" and row.name not in LEFT_OUT]
WITH_POINTS = ("centerface", "yunet", "scrfd", "retinaface")
SMALL_SCALES = {"extd.32": {"scales": (480,)}}  # slow for its size: one scale is enough for a test


def each(rows):
    return pytest.mark.parametrize(
        "row", [pytest.param(row, id=row.name, marks=pytest.mark.models(cards=list(row.weights))) for row in rows]
    )


def loaded(row, **how):
    return catalogue.load(row.name, **(SMALL_SCALES.get(row.name, {}) | how))


@pytest.mark.data
@each(ROWS)
def test_every_face_of_the_dlib_photographs_is_found(row, data_dir):
    pictures = sets.dlib_faces(data_dir / "dlib_faces").pictures
    found = loaded(row).detect([picture.read() for picture in pictures])
    truth = [picture.boxes for picture in pictures]
    counts = tally([(one.boxes, one.scores) for one in found], truth, iou_at=0.4)
    assert counts.recall() == 1.0
    assert counts.false_alarms() <= 12, "cut-out figures and posters, and little else"


@pytest.mark.data
@each([row for row in ROWS if row.name.startswith(WITH_POINTS)])
def test_points_are_where_the_eyes_nose_and_mouth_are(row, data_dir):
    """Against the 68 points of the same photographs; a swapped pair or axis would be far above."""
    errors = []
    for pixels, boxes, points in dlib_faces(data_dir):
        faces = loaded(row).detect([pixels])[0]
        index = iou(boxes, faces.boxes).argmax(axis=1)
        truth = five_from_68(points)
        errors.append(nme(faces.points[index], truth, interocular(truth)))
    assert np.concatenate(errors).mean() < 0.13


@pytest.mark.data
@each([row for row in ROWS if row.name.startswith(WITH_POINTS)])
def test_a_mirrored_photograph_gives_mirrored_faces(row, data_dir):
    """On a canvas without scaling: an offset of half a pixel or more, in boxes or points, would show as twice that."""
    apart_boxes, apart_points = [], []
    for pixels, _, _ in dlib_faces(data_dir):
        height, width = (side // 32 * 32 for side in pixels.shape[:2])
        picture = np.ascontiguousarray(pixels[:height, :width])
        detector = loaded(row, scales=(max(height, width),))
        one, other = detector.detect([picture, np.ascontiguousarray(picture[:, ::-1])])
        mirrored = np.stack(
            [width - other.boxes[:, 2], other.boxes[:, 1], width - other.boxes[:, 0], other.boxes[:, 3]], 1
        )
        overlap = iou(one.boxes, mirrored)
        for i, j in zip(*np.nonzero(overlap > 0.7), strict=True):
            apart_boxes.append((one.boxes[i] - mirrored[j])[[0, 2]])
            apart_points.append(one.points[i, :, 0] - (width - 1 - other.points[j][[1, 0, 2, 4, 3], 0]))
    assert len(apart_boxes) >= 40
    assert np.abs(np.median(np.concatenate(apart_boxes))) < 0.5
    assert np.abs(np.median(np.concatenate(apart_points))) < 0.5


@pytest.mark.data
@each(ROWS)
def test_the_batch_equals_one_by_one_on_photographs(row, data_dir):
    pictures = [picture.read() for picture in sets.dlib_faces(data_dir / "dlib_faces").pictures[:4]]
    pictures.append(pictures[0])
    detector = loaded(row)
    for picture, found in zip(pictures, detector.detect(pictures), strict=True):
        (alone,) = detector.detect([picture])
        np.testing.assert_allclose(found.boxes, alone.boxes, atol=1e-2)
        np.testing.assert_allclose(found.scores, alone.scores, atol=1e-4)
        if found.points is not None:
            np.testing.assert_allclose(found.points, alone.points, atol=1e-2)


@pytest.mark.data
@each(ROWS)
def test_noise_holds_no_face(row, data_dir):
    pictures = sets.pareidolia_noise(data_dir / "pareidolia_noise").pictures
    found = loaded(row).detect([picture.read() for picture in pictures])
    assert sum(len(one) for one in found) <= 2


@pytest.mark.data
@pytest.mark.models
def test_tiles_find_more_of_a_crowd(data_dir):
    """A photograph of 3,000 px with a hundred small faces, pasted together from pictures of crowds."""
    crowd = sets.wider_val416(data_dir / "wider_val416").pictures
    dense = sorted(crowd, key=lambda picture: -len(picture.boxes))[:24]
    grid = [[dense[row * 6 + column] for column in range(6)] for row in range(4)]
    photo = np.vstack([np.hstack([picture.read() for picture in line]) for line in grid])
    truth = np.concatenate(
        [
            picture.boxes + np.array([column, row, column, row]) * 416.0
            for row, line in enumerate(grid)
            for column, picture in enumerate(line)
        ]
    )
    truth = truth[(truth[:, 2:] - truth[:, :2]).max(axis=1) >= 16]
    recall = {}
    for tile in (None, 640):
        (found,) = catalogue.load("centerface", tile=tile).detect([photo])
        recall[tile] = tally([(found.boxes, found.scores)], [truth]).recall()
    assert recall[640] > recall[None] + 0.2

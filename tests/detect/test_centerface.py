"""CenterFace: maps worked by hand, and faces of LFW and of tight crops with the released weights."""

from __future__ import annotations

import numpy as np
import pytest

from vultus.detect.centerface import CenterFace, decode
from vultus.io.images import read
from vultus.ops.boxes import iou
from vultus.ops.points import interocular


def maps(rows=8, columns=16):
    return [np.zeros((2, channels, rows, columns), np.float32) for channels in (1, 2, 2, 10)]


def test_one_peak_worked_by_hand():
    heat, size, offset, points = maps()
    heat[1, 0, 3, 10] = 0.9
    size[1, :, 3, 10] = np.log(6.0), np.log(5.0)  # height 24, width 20
    offset[1, :, 3, 10] = 0.25, -0.5  # y, x
    points[1, :, 3, 10] = (0.25, 0.3, 0.25, 0.7, 0.5, 0.5, 0.75, 0.35, 0.75, 0.65)  # y, x of each
    empty, (boxes, scores, five) = decode([heat, size, offset, points], (32, 64), 0.5)
    assert len(empty.scores) == 0
    center = (4 * (10 + 0.5 - 0.5), 4 * (3 + 0.5 + 0.25))  # 40, 15
    np.testing.assert_allclose(boxes, [(center[0] - 10, center[1] - 12, center[0] + 10, center[1] + 12)], rtol=1e-6)
    np.testing.assert_allclose(five[0], [(35.5, 8.5), (43.5, 8.5), (39.5, 14.5), (36.5, 20.5), (42.5, 20.5)], atol=1e-4)
    assert scores.tolist() == pytest.approx([0.9])


def test_the_threshold_is_kept():
    heat, *rest = maps()
    heat[0, 0, 1, 1:4] = 0.34, 0.35, 0.36
    found = decode([heat, *rest], (32, 64), np.float32(0.35))
    assert len(found[0].scores) == 2


@pytest.fixture(scope="module")
def lfw(data_dir):
    return sorted((data_dir / "lfw_deepfunneled").glob("*/*.jpg"))


@pytest.mark.data
@pytest.mark.models
def test_it_finds_the_face_in_every_picture_of_lfw(lfw):
    """MODELS: none of 7,701 is missed; 300 of them here. The face stands in the middle, 90 px high."""
    sample = [lfw[i] for i in np.linspace(0, len(lfw) - 1, 300).astype(int)]
    found = CenterFace().detect([read(path, truncated="accept").pixels for path in sample])
    missed = [path.name for path, faces in zip(sample, found, strict=True) if not central(faces)]
    assert missed == []


def central(faces):
    centers = (faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2
    return bool((np.abs(centers - 125).max(axis=1) < 40).any()) if len(faces) else False


@pytest.mark.data
@pytest.mark.models
@pytest.mark.parametrize("margin", [-0.1, 0.0, 0.25])
@pytest.mark.parametrize("side", [None, 900, 48])
def test_faces_that_fill_the_frame_are_found(lfw, margin, side):
    """Pictures cut along the face, at their own size, enlarged to that of a camera, and as thumbnails."""
    import cv2

    detector = CenterFace()
    pictures = [read(path, truncated="accept").pixels for path in lfw[:: len(lfw) // 40]]
    crops, truth = [], []
    for picture, faces in zip(pictures, detector.detect(pictures), strict=True):
        box = faces.boxes[np.abs((faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2 - 125).sum(1).argmin()]
        grow = margin * (box[2:] - box[:2])
        x1, y1 = np.maximum(box[:2] - grow, 0).round().astype(int)
        x2, y2 = np.minimum(box[2:] + grow, 250).round().astype(int)
        crop = np.ascontiguousarray(picture[y1:y2, x1:x2])
        factor = side / max(crop.shape[:2]) if side else 1.0
        crops.append(cv2.resize(crop, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA))
        inside = np.clip(box - (x1, y1, x1, y1), 0, [x2 - x1, y2 - y1] * 2)
        truth.append(inside * factor)
    found = detector.detect(crops)
    hit = [len(d) > 0 and iou(d.boxes, box[None]).max() > 0.5 for d, box in zip(found, truth, strict=True)]
    assert np.mean(hit) == 1.0


@pytest.mark.data
@pytest.mark.models
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_the_upright_search_on_a_turned_photograph(data_dir, turns):
    """Turned by quarters it finds the same faces, and boxes and points lie where they lay."""
    photo = read(data_dir / "dlib_faces" / "2008_002506.jpg").pixels
    upright = CenterFace(upright=True)
    (straight,) = CenterFace().detect([photo])
    assert upright.detect([photo])[0] == straight, "an upright picture gives what it gives without the search"
    (found,) = upright.detect([np.ascontiguousarray(np.rot90(photo, turns))])
    boxes, points = straight.boxes.reshape(-1, 2, 2), straight.points
    height, width = photo.shape[:2]
    for _ in range(turns):
        boxes = np.stack([boxes[..., 1], width - boxes[..., 0]], axis=-1)
        points = np.stack([points[..., 1], width - 1 - points[..., 0]], axis=-1)
        height, width = width, height
    boxes = np.concatenate([boxes.min(1), boxes.max(1)], axis=1)
    assert len(found) == len(straight) == 3
    order = iou(boxes, found.boxes).argmax(axis=1)
    np.testing.assert_allclose(found.boxes[order], boxes, atol=1.5)
    np.testing.assert_allclose(found.points[order], points, atol=1.5)
    assert (interocular(found.points) > 30).all()

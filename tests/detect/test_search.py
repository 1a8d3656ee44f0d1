"""The search that all detectors share, with a network that needs no weights."""

from __future__ import annotations

import numpy as np
import pytest

from tests.detect.stub import drawn, network, shares
from vultus.detect._canvas import Plan
from vultus.detect._search import Colors, blob, search
from vultus.errors import InputError

PLAN = Plan((320, 96), 0.3, enlarge=1.0)


def found_in(pictures, plan=PLAN, net=None, **how):
    return search(pictures, net or network(), plan, **({"min_score": 0.5} | how))


def by_place(detections):
    order = np.lexsort((detections.boxes[:, 1], detections.boxes[:, 0]))
    return detections.boxes[order], detections.points[order]


def test_faces_are_found_in_pixels_of_the_picture():
    true = [(40, 30, 200, 230), (500, 300, 560, 380)]
    (found,) = found_in([drawn((480, 640), true)])
    boxes, points = by_place(found)
    np.testing.assert_allclose(boxes, true, atol=2)
    np.testing.assert_allclose(points, [shares(np.array(box, float)) for box in true], atol=2)
    assert (np.diff(found.scores) <= 0).all()


def test_one_face_seen_at_two_scales_is_one_face():
    net = network()
    (found,) = found_in([drawn((480, 640), [(100, 100, 400, 420)])], net=net)
    assert len(net.session.calls) == 2
    assert len(found) == 1


def test_the_batch_equals_one_by_one():
    rng = np.random.default_rng(1)
    pictures = []
    for size_hw in [(480, 640), (200, 100), (480, 640), (640, 480), (33, 900), (480, 640), (1, 1)]:
        x, y = rng.integers(0, max(1, min(size_hw) // 2), 2)
        side = max(1, min(size_hw) // 3)
        pictures.append(drawn(size_hw, [(x, y, x + side, y + side)]))
    net = network()
    together = found_in(pictures, net=net)
    assert max(shape[0] for shape in net.session.calls) >= 3, "pictures of one canvas go through the network together"
    for picture, found in zip(pictures, together, strict=True):
        (alone,) = found_in([picture])
        assert alone == found


@pytest.mark.parametrize("turns", range(4))
def test_the_upright_search_finds_turned_faces_and_maps_them_back(turns):
    true = np.array([(60, 40, 160, 160), (400, 220, 460, 290)], float)
    upright = drawn((360, 520), true.astype(int))
    picture = np.ascontiguousarray(np.rot90(upright, turns))
    size_hw = picture.shape[:2]
    where, points = true.reshape(-1, 2), np.stack([shares(box) for box in true])
    height, width = upright.shape[:2]
    for _ in range(turns):  # the truth, turned with the picture
        where = np.stack([where[:, 1], width - where[:, 0]], axis=1)
        points = np.stack([points[..., 1], width - 1 - points[..., 0]], axis=-1)
        height, width = width, height
    ends = where.reshape(-1, 2, 2)
    boxes = np.concatenate([ends.min(1), ends.max(1)], axis=1)
    (found,) = found_in([picture], Plan((320, 96), 0.3, upright=True))
    order, expected = np.argsort(found.boxes[:, 0]), np.argsort(boxes[:, 0])
    np.testing.assert_allclose(found.boxes[order], boxes[expected], atol=2)
    np.testing.assert_allclose(found.points[order], points[expected], atol=2)
    assert (found.boxes >= 0).all()
    assert (found.boxes <= [size_hw[1], size_hw[0]] * 2).all()
    if turns:
        assert len(found_in([picture])[0]) == 0, "without the search the turned faces are not seen"


def test_tiles_find_what_the_scales_lose_and_seams_leave_no_halves():
    rng = np.random.default_rng(2)
    corners = rng.permutation([(x, y) for x in range(5, 1880, 75) for y in range(5, 1380, 75)])[:150]
    true = [(x, y, x + 20, y + 20) for x, y in corners]
    true.append((1890, 600, 1890 + 500, 600 + 600))  # larger than a tile's overlap: the whole picture shows it
    picture = drawn((1400, 2400), true)
    (coarse,) = found_in([picture])
    (fine,) = found_in([picture], Plan((320, 96), 0.3, tile=640))
    assert len(coarse) < 10
    assert len(fine) == len(true)
    order = np.lexsort((fine.boxes[:, 1].round(), fine.boxes[:, 0].round()))
    np.testing.assert_allclose(fine.boxes[order], sorted(true), atol=8)


def test_a_fixed_canvas_finds_large_and_small_faces():
    true = [(10, 40, 250, 330), (700, 500, 730, 530)]
    (found,) = found_in([drawn((600, 800), true)], Plan((960, 320), 0.3), network(canvas_hw=(240, 320), batch=1))
    boxes, _ = by_place(found)
    np.testing.assert_allclose(boxes, true, atol=4)


def test_a_network_that_takes_one_item_gets_one():
    net = network(batch=1)
    found_in([drawn((100, 100), [(10, 10, 50, 50)])] * 3, net=net)
    assert {shape[0] for shape in net.session.calls} == {1}


def test_no_picture_no_result_and_no_face_an_empty_record():
    assert found_in([]) == []
    (empty,) = found_in([np.zeros((50, 70, 3), np.uint8)])
    assert len(empty) == 0
    assert empty.points.shape == (0, 5, 2)


def test_boxes_end_at_the_border():
    (found,) = found_in([drawn((200, 200), [(0, 0, 200, 200)])])
    assert found.boxes.min() >= 0
    assert found.boxes.max() <= 200


def test_max_faces_keeps_the_best():
    picture = drawn((400, 600), [(10, 10, 60, 60), (100, 100, 250, 260), (300, 20, 400, 130)])
    (best,) = found_in([picture], max_faces=1)
    np.testing.assert_allclose(best.boxes, [(100, 100, 250, 260)], atol=3)


@pytest.mark.parametrize(
    ("images", "how", "says"),
    [
        ([np.zeros((4, 4), np.uint8)], {}, r"images\[0\]: expected uint8 RGB .* got uint8 \(4, 4\)"),
        ([np.zeros((4, 4, 3), np.float32)], {}, "got float32"),
        ([np.zeros((4, 4, 4), np.uint8)], {}, r"got uint8 \(4, 4, 4\)"),
        ([np.zeros((0, 4, 3), np.uint8)], {}, r"got uint8 \(0, 4, 3\)"),
        (["face.jpg"], {}, "got str"),
        (np.zeros((4, 4, 3), np.uint8), {}, "put it in a list"),
        ([], {"min_score": 1.5}, "min_score: expected"),
        ([], {"min_score": float("nan")}, "min_score: expected"),
        ([], {"max_faces": 0}, "max_faces: expected"),
    ],
)
def test_wrong_input_is_refused_in_words(images, how, says):
    with pytest.raises(InputError, match=says):
        found_in(images, **how)


@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_the_input_of_the_network(order):
    picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    colors = Colors(order, (10.0, 20.0, 30.0), (2.0, 4.0, 5.0))
    planes = blob([picture], (32, 64), colors)
    padded = np.zeros((32, 64, 3))
    padded[:20, :30] = picture if order == "RGB" else picture[..., ::-1]
    expected = (padded - (10, 20, 30)) / (2, 4, 5)
    np.testing.assert_allclose(planes[0], expected.transpose(2, 0, 1), atol=1e-5)

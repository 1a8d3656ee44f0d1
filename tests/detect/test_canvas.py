"""Where a detector looks: levels, windows and turns cover the picture, and what is found returns exactly."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vultus.detect._canvas import Candidates, Plan, _spans, views
from vultus.errors import InputError

SIZES = st.tuples(st.integers(1, 500), st.integers(1, 500))


def forward(view, places):
    """Edge coordinates of the picture -> edge coordinates of the canvas, written apart from the code under test."""
    x, y = np.asarray(places, float).T
    height, width = view.level_hw
    x, y = x * view.scale_xy[0], y * view.scale_xy[1]
    for _ in range(view.turns):  # one quarter counterclockwise: the right edge becomes the top
        x, y, height, width = y, width - x, width, height
    return np.stack([x - view.corner_xy[0], y - view.corner_xy[1]], axis=1)


@settings(max_examples=60, deadline=None)
@given(SIZES, st.sampled_from([None, 64, 100]), st.booleans(), st.sampled_from([None, (96, 128)]))
def test_boxes_and_points_return_to_the_picture(size_hw, tile, upright, canvas_hw):
    plan = Plan((256, 64), 0.3, tile, upright)
    rng = np.random.default_rng(0)
    corners = np.sort(rng.uniform(0, 1, (4, 2, 2)), axis=1) * (size_hw[1], size_hw[0])
    points = rng.uniform(0, 1, (4, 5, 2)) * (size_hw[1], size_hw[0]) - 0.5
    for view in views(0, np.zeros((*size_hw, 3), np.uint8), plan, canvas_hw=canvas_hw):
        ends = forward(view, corners.reshape(-1, 2)).reshape(-1, 2, 2)
        on_canvas = np.concatenate([ends.min(1), ends.max(1)], axis=1).astype(np.float32)
        seen = (forward(view, points.reshape(-1, 2) + 0.5) - 0.5).reshape(-1, 5, 2).astype(np.float32)
        back = view.to_picture(Candidates(on_canvas, np.ones(4, np.float32), seen))
        np.testing.assert_allclose(back.boxes, corners.reshape(-1, 4), atol=0.01)
        np.testing.assert_allclose(back.points, points, atol=0.01)


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("tile", [None, 160])
def test_the_map_is_that_of_the_pixels(turns, tile):
    """A blurred dot is found on the canvas where the map says that it lies."""
    y, x = np.mgrid[:300, :410]
    at = np.array([301.3, 222.8])  # center coordinates
    dot = 250 * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * 5**2))
    picture = np.repeat(dot[..., None], 3, axis=2).round().astype(np.uint8)
    checked = 0
    for view in views(0, picture, Plan((200, 100), 0.3, tile, True)):
        light = view.pixels[..., 0].astype(float)
        if view.turns != turns or light.sum() < 0.99 * dot.sum() * np.prod(view.scale_xy):
            continue
        rows, columns = np.mgrid[: light.shape[0], : light.shape[1]]
        center = np.array([(light * columns).sum(), (light * rows).sum()]) / light.sum()
        found = Candidates(np.zeros((1, 4), np.float32), np.ones(1, np.float32), np.tile(center, (1, 5, 1)))
        np.testing.assert_allclose(view.to_picture(found).points[0, 0], at, atol=0.15)
        checked += 1
    assert checked >= 2


@given(st.integers(1, 9000), st.integers(64, 700))
def test_windows_cover_a_level_and_overlap(length, window):
    spans = _spans(length, window)
    assert spans[0][0] == 0
    assert spans[-1][0] + spans[-1][1] == length
    for (start, size), (following, _) in pairwise(spans):
        assert size == window
        assert start + size - following >= int(window * 0.25) - 1


def sizes(size_hw, plan, **how):
    return [view.level_hw for view in views(0, np.zeros((*size_hw, 3), np.uint8), plan, **how)]


def test_levels_keep_the_aspect_and_shrink():
    assert sizes((1000, 2000), Plan((640, 160), 0.3)) == [(320, 640), (80, 160)]


def test_a_small_picture_is_not_blown_up():
    plan = Plan((640, 192), 0.3)
    assert max(max(size) for size in sizes((100, 60), plan)) <= 100 * plan.enlarge


def test_levels_that_would_see_the_same_are_one():
    assert len(sizes((160, 120), Plan((640, 192), 0.3, enlarge=1.0))) == 1


def test_a_canvas_is_padded_to_its_stride_and_no_further():
    for view in views(0, np.zeros((333, 500, 3), np.uint8), Plan((640, 192), 0.3)):
        for side, content in zip(view.canvas_hw, view.pixels.shape[:2], strict=True):
            assert side % 32 == 0
            assert 0 <= side - content < 32


def test_a_fixed_canvas_takes_the_whole_picture_once_and_windows_of_larger_levels():
    seen = list(views(0, np.zeros((480, 640, 3), np.uint8), Plan((640, 320), 0.3), canvas_hw=(240, 320)))
    assert {view.canvas_hw for view in seen} == {(240, 320)}
    assert sum(view.level_hw == (240, 320) for view in seen) == 1
    assert sum(view.level_hw == (480, 640) for view in seen) == 9


def test_tiles_are_only_cut_from_pictures_larger_than_the_scales():
    plan = Plan((640,), 0.3, tile=640)
    assert len(list(views(0, np.zeros((500, 640, 3), np.uint8), plan))) == 1
    assert len(list(views(0, np.zeros((1000, 1400, 3), np.uint8), plan))) == 1 + 2 * 3


def test_a_cut_is_a_side_inside_the_level():
    plan = Plan((640,), 0.3, tile=640)
    seen = [view for view in views(0, np.zeros((600, 1400, 3), np.uint8), plan) if view.level_hw == (600, 1400)]
    assert [view.cut for view in seen] == [
        (False, False, True, False),
        (True, False, True, False),
        (True, False, False, False),
    ]
    boxes = np.array([[0, 300, 50, 350], [600, 300, 640, 350], [300, 0, 350, 600]], np.float32)
    assert seen[0].is_cut(boxes).tolist() == [False, True, False]


@pytest.mark.parametrize(
    "wrong", [{"scales": ()}, {"scales": (10,)}, {"scales": (640, 10**6)}, {"iou": 1.5}, {"tile": 8}, {"iou": -0.1}]
)
def test_a_plan_refuses_nonsense(wrong):
    with pytest.raises(InputError, match="expected"):
        Plan(**({"scales": (640,), "iou": 0.3} | wrong))

"""Which way the degradation pipeline turns, and what its noise is made of, by hand."""

import math

import numpy as np
import pytest

from tests.ops.portraits import portrait
from tests.ops.test_degrade import drawn, only, picture
from vultus.ops import _blur, _cover, _studio
from vultus.ops import degrade as d


def test_directions_turn_from_x_toward_y_and_shares_are_of_the_side_they_say():
    def moved(one, point, shape=(50, 100)):
        pipeline = only(one)
        return pipeline.points([point], drawn(pipeline, shape=shape))[0]

    middle = (49.5, 24.5)
    quarter = math.pi / 2
    np.testing.assert_allclose(moved(d.Misalign(1.0, 0.0, 0.1, quarter), middle), (49.5, 34.5), atol=1e-4)
    np.testing.assert_allclose(moved(d.Misalign(1.0, quarter, 0.0), (59.5, 24.5)), (49.5, 34.5), atol=1e-4)
    np.testing.assert_allclose(moved(d.Skew(0.5, 0.0, 0.0), (49.5, 34.5)), (54.5, 34.5), atol=1e-4)
    right, left = (moved(d.Skew(0.0, 0.3, 0.0), (x, 0.0))[1] for x in (99.0, 0.0))
    assert abs(right - 24.5) < abs(left - 24.5)  # the right end is seen smaller
    line = _blur.line_kernel(10.0, math.pi / 4)
    assert np.trace(line) > 0.5
    assert np.trace(line[::-1]) < 0.2
    there = moved(d.Shrink(4.0), (100.0, 9.0), (10, 101))  # 3 x 25 pixels: the two factors differ
    np.testing.assert_allclose(there, (100.5 * 25 / 101 - 0.5, 9.5 * 3 / 10 - 0.5), atol=1e-4)
    x = np.full((9, 9, 3), 100, np.uint8)
    light = only(d.LightGradient(0.5, quarter))
    lit = light.image(x, drawn(light, shape=(9, 9)))[..., 0]
    assert (np.diff(lit[:, 4].astype(int)) > 0).all()  # the light is below
    low = only(d.LowRes(10, "area", "nearest"))
    out = low.image(picture(20, 40, soft=False), drawn(low, shape=(20, 40)))
    assert (out[::2, ::2].repeat(2, 0).repeat(2, 1) == out).all()  # the shorter side has 10
    wide = only(d.ZeroPadCrop(0.25, math.log(4.0)))
    kept = (wide.image(np.full((80, 80, 3), 9, np.uint8), drawn(wide, shape=(80, 80))) > 0).any(-1)
    assert (kept.any(0).sum(), kept.any(1).sum()) == (80, 20)


def test_the_noise_of_a_sensor_by_hand():
    quiet = {"shot": 0.0, "read": 0.0, "rows": 0.0, "prnu": 0.0}

    def seen(color, **strength):
        pipeline = only(d.SensorNoise(**{**quiet, **strength}))
        x = np.full((128, 128, 3), color, np.uint8)
        return pipeline.image(x, drawn(pipeline, shape=(128, 128)))

    red = seen((255, 0, 0), shot=0.01)  # only the photosites of red see light
    assert red[..., 0].std() > 1
    assert not red[..., 1:].any()
    for level in (100, 200):
        green = (seen((level, level, level), shot=0.003)[0::2, 1::2, 1] / 255.0) ** 2.2  # sites of green in R G / G B
        assert green.var() == pytest.approx(0.003 * (level / 255) ** 2.2, rel=0.1)
    rows = seen((120, 120, 120), rows=0.02)[0::2, 1::2, 1].astype(float)
    assert rows.std(1).max() == 0
    assert rows.std(0).min() > 1


def test_lost_blocks_lie_whole_in_the_picture():
    for shape in ((20, 60), (60, 20)):
        pipeline = only(d.BlockNoise(1, 8))
        for seed in range(10):
            out = pipeline.image(np.zeros((*shape, 3), np.uint8), drawn(pipeline, seed, shape))
            assert (out == 128).all(-1).sum() == 64


def test_covers_lie_where_they_say():
    def cover(one, shape=(80, 80), **values):
        params = d.Params(shape, ((one.name, {**one.draw(np.random.default_rng(0)), **values}),))
        return only(one).image_and_covers(np.full((*shape, 3), 200, np.uint8), params)[1][one.name] > 0.5

    bar = cover(d.Occluder("rectangle", 0.05, 2.0, math.pi / 4), x=0.5, y=0.5)  # long, turned clockwise
    assert bar[52, 52]
    assert bar[28, 28]
    assert not bar[52, 28]
    assert not bar[28, 52]
    wide = cover(d.Occluder("rectangle", 0.05, 1.0, 0.0), x=0.25, y=0.75)
    assert np.ptp(np.flatnonzero(wide.any(0))) > 2 * np.ptp(np.flatnonzero(wide.any(1)))
    np.testing.assert_allclose([np.argwhere(wide)[:, k].mean() for k in (1, 0)], [0.25 * 79, 0.75 * 79], atol=0.6)
    square = cover(d.CutOut(0.25), (80, 120), x=0.5, y=0.25)
    assert square[10:30, 50:70].all()
    assert square.sum() == 400


def test_the_strap_of_the_far_side_is_not_drawn():
    points = portrait(0, 96).points68.astype(np.float64)
    ears = np.rint(points[[0, 16]]).astype(int)
    for yaw, seen in ((0, [True, True]), (40, [True, False]), (-40, [False, True])):  # + turns to the viewer's right
        _, alpha = _cover.mask_layer(points, (96, 96), "cloth", "red", yaw)
        assert (alpha[ears[:, 1], ears[:, 0]] > 0).tolist() == seen
    for yaw in (-45.0, 45.0):  # the simulator's sign is that of the points
        sample = portrait(0, 96, yaw)
        given, read = (_cover.mask_layer(sample.points68, (96, 96), "cloth", "red", y)[1] for y in (yaw, None))
        np.testing.assert_array_equal(given, read)


def test_a_face_takes_over_colors_of_what_is_behind_and_shifts_by_shares_of_its_sides():
    rng = np.random.default_rng(0)
    face = np.float32([150, 120, 100]) + rng.normal(0, 10, (40, 60, 1)).astype(np.float32)
    behind = np.float32([90, 110, 140]) + rng.normal(0, 10, (40, 60, 1)).astype(np.float32)
    solid = np.ones((40, 60), np.float32)
    for share in (0.5, 1.0):
        taken = _studio._toward(face, solid, behind, share).mean((0, 1))
        np.testing.assert_allclose(taken, (1 - share) * face.mean((0, 1)) + share * behind.mean((0, 1)), atol=0.1)
    pipeline = only(d.StudioToWild(scale=0.5, shift_x=0.1, shift_y=-0.2))
    place = pipeline.points([[29.5, 19.5], [39.5, 19.5]], drawn(pipeline, shape=(40, 60)))
    np.testing.assert_allclose(place, [[35.5, 11.5], [40.5, 11.5]], atol=1e-4)

"""Masks and glasses on faces, and faces taken out of the studio, on simulated people."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

from tests.ops.portraits import portrait
from vultus.ops import _studio
from vultus.ops import degrade as d


@pytest.fixture(scope="module")
def turned():
    return [portrait(s, 64, yaw, 5.0 * (s % 3 - 1)) for s in range(5) for yaw in (-50, -20, 0, 30, 55)]


@pytest.mark.parametrize("style", ["surgical", "n95", "cloth"])
def test_a_mask_covers_nose_and_mouth(style, turned):
    covered = []
    for sample in turned:
        pipeline = d.Degradation([(d.FaceMask(style, "blue"), 1.0)])
        params = pipeline.draw(np.random.default_rng(0), (64, 64), points68=sample.points68)
        out, covers = pipeline.image_and_covers(sample.image, params)
        mask = covers["FaceMask"]
        np.testing.assert_array_equal(out[mask == 0], sample.image[mask == 0])
        at = np.clip(np.rint(sample.points68).astype(int), 0, 63)
        hidden = mask[at[:, 1], at[:, 0]] > 0.5
        covered.append(hidden[[*range(30, 36), *range(48, 68)]])
        assert not hidden[36:48].any()  # eyes stay free
        assert mask[:4].max() == 0
    assert np.mean(covered) >= 0.95


def test_a_mask_and_glasses_move_with_the_picture():
    sample = portrait(2, 96)
    plain = d.Degradation([(d.FaceMask("n95", "red"), 1.0), (d.Glasses("sun"), 1.0)])
    bent = d.Degradation([(d.Misalign(1.0, 0.3, 0.0), 1.0), *plain.ops])
    params = bent.draw(np.random.default_rng(0), (96, 96), points68=sample.points68)
    one = bent.image_and_covers(sample.image, params)[1]
    before = plain.image_and_covers(sample.image, replace(params, steps=params.steps[1:]))[1]
    move = cv2.getRotationMatrix2D((47.5, 47.5), -math.degrees(0.3), 1.0)
    for name, cover in before.items():
        other = cv2.warpAffine(cover, move, (96, 96))
        assert np.abs(one[name] - other).mean() < 0.02
    after = d.Degradation([*plain.ops, (d.Misalign(1.0, 0.3, 0.0), 1.0)])
    steps = (*params.steps[1:], params.steps[0])
    later = after.image_and_covers(sample.image, replace(params, steps=steps))[1]
    for name in before:
        assert np.abs(one[name] - later[name]).mean() < 0.02
    eyes = np.rint(sample.points5[:2]).astype(int)
    assert (before["Glasses"][eyes[:, 1], eyes[:, 0]] > 0.9).all()


@pytest.mark.parametrize("background", ["studio green", "studio blue", "plain gray"])
def test_the_studio_is_taken_away(background):
    overlap = []
    for seed in range(3):
        sample = portrait(seed, 96, background=background)
        pipeline = d.Degradation([(d.StudioToWild(scale=1.0, shift_x=0.0, shift_y=0.0), 1.0)])
        params = pipeline.draw(np.random.default_rng(seed), (96, 96))
        out, covers = pipeline.image_and_covers(sample.image, params)
        alpha, truth = covers["StudioToWild"] > 0.5, sample.parsing != 0
        overlap.append((alpha & truth).sum() / (alpha | truth).sum())
        assert (out[~truth] != sample.image[~truth]).any(-1).mean() > 0.8
    assert np.mean(overlap) > (0.95 if background.startswith("studio") else 0.85)


def test_backgrounds_are_taken_by_their_index():
    red, blue = np.full((30, 300, 3), (250, 0, 0), np.uint8), np.full((200, 200, 3), (0, 0, 250), np.uint8)
    sample = portrait(1, 64, background="studio green")
    pipeline = d.Degradation([(d.StudioToWild((red, blue), transfer=0.0, blur_px=0.0), 1.0)])
    seen = {}
    for seed in range(6):
        params = pipeline.draw(np.random.default_rng(seed), (64, 64))
        seen[params.steps[0][1]["background"]] = pipeline.image(sample.image, params)[1, 1].tolist()
    assert seen == {0: [250, 0, 0], 1: [0, 0, 250]}


def test_the_guided_filter_keeps_the_edges_of_its_guide():
    guide = np.zeros((40, 40), np.float32)
    guide[:, 20:] = 1
    rough = guide + np.random.default_rng(0).normal(0, 0.2, guide.shape).astype(np.float32)
    smooth = _studio.guided_filter(guide, rough, 4, 1e-3)
    assert np.abs(smooth - guide).mean() < 0.05
    np.testing.assert_allclose(_studio.guided_filter(rough, rough, 3, 1e-9), rough, atol=1e-3)

"""The promises of the degradation pipeline, and its operations beside peers and by hand."""

import io
import json
import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from tests.ops.portraits import portrait
from vultus.errors import InputError, UnknownMethod
from vultus.ops import _blur, _resample, _signal
from vultus.ops import degrade as d


def picture(height=48, width=40, seed=0, soft=True):
    rng = np.random.default_rng(seed)
    if not soft:
        return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.resize(rng.integers(0, 256, (7, 6, 3), dtype=np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)


def halved(frames, crf):
    """A codec for tests: fewer levels."""
    step = 1 + crf // 8
    return (frames // step * step).astype(np.uint8)


SOFT_POINTS = np.stack([np.linspace(4, 36, 68), 24 + 14 * np.sin(np.linspace(0, 9, 68))], 1).astype(np.float32)
ONE_EACH = [
    *(kind() for name, kind in d.OPS.items() if name not in ("OneOf", "Together", "VideoCodec")),
    d.VideoCodec(codec=halved),
    d.OneOf((d.Jpeg(), d.Misalign(), d.Occluder())),
    d.Together((d.Gamma(), d.Contrast(), d.GaussianNoise()), shuffled=True),
]
IDS = [one.name for one in ONE_EACH]
MOVING = (d.Shrink, d.Enlarge, d.SquareCrop, d.Misalign, d.Skew, d.StudioToWild)


def only(one, **fixed):
    """The operation alone, with some numbers set."""
    return d.Degradation([(replace(one, **fixed) if fixed else one, 1.0)])


def drawn(pipeline, seed=0, shape=(48, 40), points=SOFT_POINTS):
    return pipeline.draw(np.random.default_rng(seed), shape, points68=points)


# ---------------------------------------------------------------- promises
@pytest.mark.parametrize("one", ONE_EACH, ids=IDS)
def test_a_picture_is_a_function_of_picture_and_parameters(one):
    x, pipeline = picture(), only(one)
    x.setflags(write=False)
    for seed in range(3):
        params = drawn(pipeline, seed)
        text = json.dumps(params.to_dict())
        back = d.Params.from_dict(json.loads(text))
        assert back == params
        assert hash(back) == hash(params)
        first = pipeline.image(x, params)
        np.testing.assert_array_equal(pipeline.image(x.copy(), back), first)
        assert first.dtype == np.uint8
        assert first.flags.c_contiguous
        assert first.flags.writeable
        assert first.shape == (*pipeline.size(params), 3)
        assert not np.shares_memory(first, x)
    np.testing.assert_array_equal(x, picture())


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 3), (2, 60)])
def test_the_smallest_pictures_are_pictures(shape):
    x = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    points = np.random.default_rng(1).uniform(-3, 20, (68, 2))
    for one in ONE_EACH:
        pipeline = only(one)
        params = drawn(pipeline, 1, shape, points)
        assert pipeline.image(x, params).shape == (*pipeline.size(params), 3)
        assert pipeline.video(np.stack([x, x]), params, 0.3).shape == (2, *pipeline.size(params), 3)


def test_draw_alone_uses_rng_and_probabilities_change_nothing_else():
    x = picture()
    likely = d.Degradation([(one, 1.0) for one in ONE_EACH])
    seldom = d.Degradation([(one, 0.4) for one in ONE_EACH])
    every, some = drawn(likely, 5), drawn(seldom, 5)
    assert any(step is None for step in some.steps)
    assert all(a == b for a, b in zip(every.steps, some.steps, strict=True) if b is not None)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    seldom.image(x, some)
    seldom.video(np.stack([x, x]), some, 0.3)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    assert drawn(seldom, 5) == some
    assert drawn(seldom, 6) != some


NEUTRAL = {
    "GaussianBlur": {"sigma_px": 0.0},
    "AnisoBlur": {"sigma_x_px": 0.0, "sigma_y_px": 0.0},
    "MotionBlur": {"length_px": 0.0},
    "Atmospheric": {"width_px": 0.0},
    "Resize": {"factor": 1.0},
    "ResizeShare": {"share": 1.0},
    "LowRes": {"side_px": 65536},
    "Shrink": {"factor": 1.0},
    "Pixelate": {"block_px": 1},
    "ZeroPadCrop": {"area_share": 1.0},
    "Misalign": {"scale": 1.0, "theta_rad": 0.0, "shift": 0.0},
    "Skew": {"shear": 0.0, "tilt_x": 0.0, "tilt_y": 0.0},
    "GaussianNoise": {"sigma_levels": 0.0},
    "PoissonNoise": {"gain": 0.0},
    "SensorNoise": {"shot": 0.0, "read": 0.0, "rows": 0.0, "prnu": 0.0},
    "BlockNoise": {"count": 0},
    "Gamma": {"gamma": 1.0},
    "Brightness": {"factor": 1.0},
    "Contrast": {"factor": 1.0},
    "Saturation": {"factor": 1.0},
    "Gray": {"share": 0.0},
    "ColorCast": {"red": 1.0, "green": 1.0, "blue": 1.0},
    "LightGradient": {"strength": 0.0},
    "Fade": {"sepia": 0.0, "wash": 0.0, "flicker": 0.0, "scratches": 0},
    "RandomErase": {"area_share": 0.0},
    "CutOut": {"share": 0.0},
    "Occluder": {"area_share": 0.0},
    "Enlarge": {},
}


@pytest.mark.parametrize("name", sorted(NEUTRAL))
def test_identity_parameters_return_the_picture_bit_for_bit(name):
    x, pipeline = picture(soft=False), only(d.op(name, **NEUTRAL[name]))
    params = drawn(pipeline)
    out = pipeline.image(x, params)
    np.testing.assert_array_equal(out, x)
    assert not np.shares_memory(out, x)
    np.testing.assert_allclose(pipeline.points(SOFT_POINTS, params), SOFT_POINTS, atol=1e-5)
    np.testing.assert_array_equal(pipeline.video(np.stack([x] * 3), params, 0.5), np.stack([x] * 3))


def test_what_has_no_identity_says_so():
    without = {"Jpeg", "VideoCodec", "SquareCrop", "FaceMask", "Glasses", "StudioToWild", "OneOf", "Together"}
    assert set(d.OPS) == set(NEUTRAL) | without


DOTS = np.array([[30.0, 40.0], [75.0, 30.0], [52.0, 61.0], [35.0, 88.0], [80.0, 85.0]])


def dots(at=DOTS, size=(120, 112)):
    """Soft dots of deviation 2.5 on black, each in a picture of its own, so that none is taken for another."""
    y, x = np.mgrid[0 : size[0], 0 : size[1]]
    soft = [np.exp(-((x - a) ** 2 + (y - b) ** 2) / 12.5) for a, b in at]
    return [np.repeat((255 * s + 0.5).astype(np.uint8)[..., None], 3, 2) for s in soft]


def center(image):
    weight = image[..., 1].astype(float)
    y, x = np.mgrid[0 : image.shape[0], 0 : image.shape[1]]
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


GEOMETRIC = [
    d.Degradation([(d.Misalign(shift=(0.0, 0.08)), 1.0)]),
    d.Degradation([(d.Skew(), 1.0)]),
    d.Degradation([(d.SquareCrop((0.9, 1.4)), 1.0)]),
    d.Degradation([(d.Shrink((1.0, 3.0), kernel=("area", "bilinear", "bicubic", "antialiased")), 1.0)]),
    d.Degradation([(d.Resize((1.0, 3.0)), 1.0)]),
    d.Degradation([(d.GaussianBlur(), 1.0), (d.MotionBlur(), 1.0), (d.Atmospheric(), 1.0), (d.AnisoBlur(), 1.0)]),
    d.Degradation(
        [
            (d.Misalign((0.9, 1.1), (-0.2, 0.2), 0.03), 1.0),
            (d.Shrink((1.5, 2.0), kernel="area"), 1.0),
            (d.Skew((-0.05, 0.05), (-0.1, 0.1), (-0.1, 0.1)), 1.0),
            (d.Jpeg(90), 1.0),
            (d.Enlarge("bilinear"), 1.0),
        ]
    ),
]


@pytest.mark.parametrize("pipeline", GEOMETRIC, ids=lambda p: "+".join(o.name for o, _ in p.ops))
def test_points_follow_pixels(pipeline):
    tried = 0
    for seed in range(4):
        params = drawn(pipeline, seed, (120, 112))
        places = pipeline.points(DOTS, params)
        height, width = pipeline.size(params)
        for image, place in zip(dots(), places, strict=True):
            if (place > 14).all() and (place < np.array([width, height]) - 15).all():
                seen = pipeline.image(image, params)
                floor = 12 * (seen < 12)  # ringing and compression around the dot
                np.testing.assert_allclose(center(np.where(floor, 0, seen)), place, atol=0.5)
                tried += 1
    assert tried >= 8


def test_points_follow_a_face_out_of_the_studio():
    pipeline = d.Degradation([(d.StudioToWild(transfer=0.0, blur_px=0.0), 1.0)])
    x = np.full((120, 112, 3), (30, 160, 70), np.uint8)
    cv2.ellipse(x, (56, 66), (30, 40), 0, 0, 360, (200, 160, 140), -1)
    cv2.circle(x, (60, 50), 4, (0, 0, 255), -1)
    for seed in range(3):
        params = drawn(pipeline, seed, (120, 112))
        seen = pipeline.image(x, params).astype(float)
        near = pipeline.points([[60.0, 50.0]], params)[0]
        window = seen[round(near[1]) - 8 : round(near[1]) + 9, round(near[0]) - 8 : round(near[0]) + 9]
        blue = np.clip(window[..., 2] - window[..., 0], 0, None)
        blue[blue < 40] = 0
        y, x_ = np.mgrid[0 : blue.shape[0], 0 : blue.shape[1]]
        found = np.array([(blue * x_).sum(), (blue * y).sum()]) / blue.sum() + np.round(near) - 8
        np.testing.assert_allclose(found, near, atol=0.5)


@pytest.mark.parametrize(
    "one", [o for o in ONE_EACH if o.name != "VideoCodec"], ids=[i for i in IDS if i != "VideoCodec"]
)
def test_a_clip_without_drift_is_its_pictures(one):
    clip = np.stack([picture(seed=k) for k in range(3)])
    pipeline = only(one)
    params = drawn(pipeline, 2)
    np.testing.assert_array_equal(pipeline.video(clip, params), np.stack([pipeline.image(x, params) for x in clip]))


def test_a_drifting_clip_starts_as_drawn_wanders_smoothly_and_comes_again():
    clip = np.repeat(picture()[None], 400, axis=0)
    pipeline = only(d.Brightness(factor=0.5))
    params = drawn(pipeline, 3)
    wandering = pipeline.video(clip, params, 0.2)
    np.testing.assert_array_equal(wandering, pipeline.video(clip, params, 0.2))
    np.testing.assert_array_equal(wandering[0], pipeline.image(clip[0], params))
    amount = 1 - wandering.mean((1, 2, 3)) / clip.mean()  # how much darker: 0.5 as drawn
    assert 0.12 < amount[50:].std() / 0.5 < 0.28
    assert np.abs(np.diff(amount)).mean() < 0.5 * amount[50:].std()
    noisy = only(d.GaussianNoise(10.0))
    frames = noisy.video(clip[:4], drawn(noisy), 0.1)
    assert (frames[1] != frames[2]).mean() > 0.5  # a sensor's noise is new in every frame


def test_a_codec_sees_the_whole_clip_once():
    seen = []

    def codec(frames, crf):
        seen.append((frames.shape, crf))
        return halved(frames, crf)

    pipeline = d.preset("VFHQ_BLIND", codec=codec)
    clip = np.stack([picture(64, 64, k) for k in range(3)])
    assert pipeline.video(clip, drawn(pipeline, 1, (64, 64)), 0.2).shape == clip.shape
    assert len(seen) == 1
    assert seen[0][0][0] == 3
    assert 18 <= seen[0][1] <= 35


def test_a_mask_follows_the_face_of_every_frame():
    here, there = SOFT_POINTS, SOFT_POINTS + np.float32([6, 5])
    pipeline = only(d.CutOut(0.0))
    pipeline = d.Degradation([*pipeline.ops, (d.FaceMask("cloth", "red"), 1.0)])
    clip = np.stack([picture(64, 64)] * 2)
    params = drawn(pipeline, 0, (64, 64), here)
    out = pipeline.video(clip, params, points68=np.stack([here, there]))
    np.testing.assert_array_equal(out[0], pipeline.image(clip[0], params))
    np.testing.assert_array_equal(out[1], pipeline.image(clip[1], replace(params, points68=there)))


# ---------------------------------------------------------------- single operations
@given(st.floats(0, 6), st.floats(0, 6), st.floats(0, 4))
@settings(max_examples=40)
def test_kernels_sum_to_one_and_are_centered(a, b, theta):
    kernels = [
        _blur.gaussian_kernel(a, b, theta),
        _blur.line_kernel(4 * a, theta),
        _blur.atmospheric_kernel(a),
        _blur.gaussian_line(a)[None],
    ]
    for kernel in kernels:
        assert kernel.sum() == pytest.approx(1, abs=1e-9)
        assert kernel.min() >= 0
        np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-9)


def test_kernels_have_the_deviation_they_say():
    kernel = _blur.gaussian_kernel(3.0, 1.0, math.radians(30))
    y, x = np.mgrid[0 : len(kernel), 0 : len(kernel)] - len(kernel) // 2
    along = x * math.cos(math.radians(30)) + y * math.sin(math.radians(30))
    across = y * math.cos(math.radians(30)) - x * math.sin(math.radians(30))
    assert math.sqrt((kernel * along**2).sum()) == pytest.approx(3, rel=0.02)
    assert math.sqrt((kernel * across**2).sum()) == pytest.approx(
        math.sqrt(1 + 1 / 12), rel=0.03
    )  # and the pixel's own
    line = _blur.line_kernel(10.0, 0.0)
    y, x = np.mgrid[0 : len(line), 0 : len(line)] - len(line) // 2
    assert (line * x**2).sum() == pytest.approx(100 / 12, rel=0.06)
    spread = np.abs(np.fft.fft(_blur.atmospheric_kernel(2.0).sum(0), 256))
    assert spread[20] == pytest.approx(math.exp(-((2 * math.pi * 2 * 20 / 256) ** (5 / 3))), abs=0.02)


@pytest.mark.parametrize("q", [30, 50, 75, 90, 100])
@pytest.mark.parametrize(("chroma", "subsampling"), [("4:2:0", 2), ("4:4:4", 0)])
def test_jpeg_is_pillows_within_a_level(q, chroma, subsampling):
    worst = 0.0
    for x in (portrait(3, 96).image, picture(61, 83), picture(40, 33, soft=False)):
        file = io.BytesIO()
        Image.fromarray(x).save(file, "jpeg", quality=q, subsampling=subsampling)
        theirs = np.asarray(Image.open(file), int)
        worst = max(worst, float(np.abs(_signal.jpeg(x, q, chroma) - theirs).mean()))
    assert worst < 0.5


@pytest.mark.parametrize("new", [(12, 10), (33, 21), (96, 120)])
def test_antialiased_is_pillows_bicubic(new):
    x = (64 + picture(soft=False) // 2).astype(np.uint8)  # no overshoot, which Pillow clips between its two passes
    theirs = np.asarray(Image.fromarray(x).resize(new[::-1], Image.Resampling.BICUBIC), int)
    assert np.abs(_resample.resized(x, new, "antialiased") - theirs).max() <= 2
    assert np.abs(_resample.resized(x, new, "antialiased") - theirs).mean() < 0.4


@pytest.mark.parametrize("factor", [0.4, 1.7])
def test_tone_is_pillows(factor):
    x = picture(soft=False)
    for one, peer in (
        (d.Brightness(factor), ImageEnhance.Brightness),
        (d.Contrast(factor), ImageEnhance.Contrast),
        (d.Saturation(factor), ImageEnhance.Color),
    ):
        pipeline = only(one)
        theirs = np.asarray(peer(Image.fromarray(x)).enhance(factor), int)
        assert np.abs(pipeline.image(x, drawn(pipeline)) - theirs).max() <= 2


def test_tone_by_hand():
    x = np.full((4, 4, 3), (200, 100, 50), np.uint8)

    def result(one):
        pipeline = only(one)
        return pipeline.image(x, drawn(pipeline, shape=(4, 4)))[1, 1].tolist()

    assert result(d.Gray()) == [124, 124, 124]
    assert result(d.Gamma(2.0)) == [157, 39, 10]
    assert result(d.ColorCast(1.2, 1.0, 0.5)) == [240, 100, 25]
    assert result(d.Fade(1.0, 0.0, 0.0, 0)) == [133, 118, 89]  # sepia
    assert result(d.Fade(0.0, 0.5, 0.0, 0)) == [170, 120, 95]  # half way to 140
    assert result(d.Fade(0.0, 0.0, -0.5, 0)) == [100, 50, 25]
    light = only(d.LightGradient(0.5, 0.0))
    lit = light.image(x, drawn(light, shape=(4, 4)))[0, :, 1]
    assert lit.tolist() == [50, 83, 117, 150]


def test_noise_has_the_strength_it_says():
    flat = np.full((128, 128, 3), 120, np.uint8)

    def spread(one):
        pipeline = only(one)
        return pipeline.image(flat, drawn(pipeline, shape=(128, 128))).astype(float)

    assert spread(d.GaussianNoise(9.0)).std() == pytest.approx(9, rel=0.03)
    gray = spread(d.GaussianNoise(9.0, kind="gray"))
    assert (gray[..., 0] == gray[..., 2]).all()
    assert spread(d.PoissonNoise(2.0)).std() == pytest.approx(math.sqrt(2 * 120), rel=0.03)
    camera = spread(d.SensorNoise(shot=0.002, read=0.004))
    beside = np.corrcoef(camera[:, :-1, 0].ravel(), camera[:, 1:, 0].ravel())[0, 1]
    assert beside > 0.2  # demosaicing ties neighbors together
    assert camera.mean() == pytest.approx(120, abs=1.5)
    dark = np.full((128, 128, 3), 25, np.uint8)
    pipeline = only(d.SensorNoise(shot=0.0, read=0.01, rows=0.0, prnu=0.0))
    assert (
        pipeline.image(dark, drawn(pipeline, shape=(128, 128))).std()
        > 1.5 * spread(d.SensorNoise(shot=0.0, read=0.01, rows=0.0, prnu=0.0)).std()
    )


def test_two_pictures_of_one_sensor_share_its_pattern():
    flat = np.full((96, 96, 3), 120, np.uint8)

    def shot(device, seed):
        pipeline = only(d.SensorNoise(shot=0.00002, read=0.001, rows=0.0, prnu=0.02, device=device))
        return pipeline.image(flat, drawn(pipeline, seed, (96, 96)))[..., 1].astype(float).ravel()

    same = np.corrcoef(shot(5, 0), shot(5, 1))[0, 1]
    other = np.corrcoef(shot(5, 0), shot(6, 1))[0, 1]
    assert same > 0.5
    assert abs(other) < 0.1


def test_low_resolution_leaves_no_more_than_it_says():
    x = picture(64, 64, soft=False)
    for kernel in ("area", "bilinear", "bicubic", "nearest", "antialiased"):
        pipeline = only(d.LowRes(8, kernel_down=kernel, kernel_up="nearest"))
        out = pipeline.image(x, drawn(pipeline, shape=(64, 64)))
        np.testing.assert_array_equal(out, out[::8, ::8].repeat(8, 0).repeat(8, 1))
    blocks = only(d.Pixelate(5))
    out = blocks.image(x, drawn(blocks, shape=(64, 64)))
    np.testing.assert_allclose(out[5, 10], x[5:10, 10:15].mean((0, 1)), atol=0.51)
    np.testing.assert_allclose(out[63, 63], x[60:, 60:].mean((0, 1)), atol=0.51)


def test_crops_and_covers_by_hand():
    x = picture(50, 40, soft=False)
    pad = only(d.ZeroPadCrop(0.25, 0.0))
    out = pad.image(x, drawn(pad, 1, (50, 40)))
    kept = (out == x).all(-1)
    assert 0.2 < kept.mean() < 0.32
    assert (out[~kept] == 0).all()
    for one, low, high in ((d.Occluder(area_share=0.2), 0.02, 0.25), (d.RandomErase(0.2, fill="black"), 0.15, 0.25)):
        pipeline = only(one)
        shares = []
        for seed in range(8):
            params = drawn(pipeline, seed, (50, 40))
            out, covers = pipeline.image_and_covers(x, params)
            cover = covers[one.name]
            shares.append(cover.mean())
            np.testing.assert_array_equal(out[cover == 0], x[cover == 0])
            assert 0 <= cover.min() <= cover.max() <= 1
        assert low < np.mean(shares) < high


# ---------------------------------------------------------------- presets
def test_presets_run_and_replay():
    x = portrait(4, 64).image
    wanted = {"ADAFACE", "VLR", "GFPGAN", "VFHQ_BICUBIC", "VFHQ_BLIND", "FORGERY", "FANVID", "CCTV"}
    assert set(d.PRESETS) == wanted | {"PILL_REFERENCE", "PILL_CONSUMER"}
    for name in d.PRESETS:
        pipeline = d.preset(name, codec=halved)
        changed = 0
        for seed in range(6):
            params = drawn(pipeline, seed, (64, 64))
            out = pipeline.image(x, d.Params.from_dict(json.loads(json.dumps(params.to_dict()))))
            assert out.shape == (*pipeline.size(params), 3)
            changed += out.shape != x.shape or (out != x).any()
        assert changed >= (1 if name in ("ADAFACE", "FORGERY") else 6)
    assert d.FANVID.size(drawn(d.FANVID, 0, (720, 1280))) == (180, 320)
    assert {d.VFHQ_BICUBIC.size(drawn(d.VFHQ_BICUBIC, seed, (512, 512))) for seed in range(9)} == {(128, 128), (64, 64)}


def test_probabilities_are_those_of_the_preset():
    rng = np.random.default_rng(0)
    steps = [d.ADAFACE.draw(rng, (112, 112)).steps for _ in range(600)]
    shares = np.mean([[step is not None for step in each] for each in steps], axis=0)
    np.testing.assert_allclose(shares, [0.2, 0.2, 0.2], atol=0.05)


def test_the_sweep_of_alignment_errors():
    sweep = d.misalign_sweep((112, 112))
    assert [row[:2] for row in sweep[:3]] == [("none", 0.0), ("scale", 0.8), ("scale", 0.9)]
    assert len(sweep) == 1 + 4 + 2 * 4 + 4 * 3
    middle, corner = np.array([55.5, 55.5]), np.array([65.5, 55.5])
    for kind, size, params in sweep:
        there = d.MISALIGN.points([middle, corner], params)
        if kind == "none":
            np.testing.assert_array_equal(d.MISALIGN.image(picture(112, 112), params), picture(112, 112))
        elif kind == "shift":
            assert np.hypot(*(there[0] - middle)) == pytest.approx(112 * size, abs=1e-3)
        else:
            np.testing.assert_allclose(there[0], middle, atol=1e-4)
            way = there[1] - there[0]
            assert np.hypot(*way) == pytest.approx(10 * (size if kind == "scale" else 1), rel=1e-4)
            if kind == "theta_deg":
                assert abs(math.degrees(math.atan2(way[1], way[0]))) == pytest.approx(size, rel=1e-4)
    with pytest.raises(InputError, match="scale"):
        d.misalign_sweep((112, 112), scales=(0.0,))


# ---------------------------------------------------------------- refusals
PLAIN = d.Degradation([(d.Jpeg(), 1.0)])


def changed(**values):
    params = drawn(PLAIN).to_dict()
    params["steps"][0]["values"] |= values
    return d.Params.from_dict(params)


@pytest.mark.parametrize(
    "call",
    [
        lambda: d.Degradation([d.Jpeg()]),
        lambda: d.Degradation([(d.Jpeg(), 1.5)]),
        lambda: d.Degradation([("Jpeg", 1.0)]),
        lambda: d.Jpeg(q=0),
        lambda: d.Jpeg(q=(60, 30)),
        lambda: d.Jpeg(q=(30, 101)),
        lambda: d.Jpeg(q=70.5),
        lambda: d.Jpeg(q="high"),
        lambda: d.GaussianBlur(sigma_px=-1.0),
        lambda: d.GaussianBlur(sigma_px=float("nan")),
        lambda: d.LowRes(side_px=(8, 16, 32)),
        lambda: d.Jpeg(chroma=()),
        lambda: d.OneOf(()),
        lambda: d.OneOf(("Jpeg",)),
        lambda: d.Together((d.Misalign(),)),
        lambda: d.StudioToWild(backgrounds=(np.zeros((4, 4)),)),
        lambda: PLAIN.draw(np.random.default_rng(0), (0, 4)),
        lambda: PLAIN.draw(np.random.default_rng(0), (4, 4, 3)),
        lambda: PLAIN.draw(np.random.default_rng(0), (4, 4), points68=np.zeros((5, 2))),
        lambda: PLAIN.image(picture().astype(float), drawn(PLAIN)),
        lambda: PLAIN.image(picture()[..., 0], drawn(PLAIN)),
        lambda: PLAIN.image(picture()[:40], drawn(PLAIN)),
        lambda: PLAIN.image(picture(), drawn(PLAIN).to_dict()),
        lambda: PLAIN.image(picture(), drawn(only(d.Gamma()))),
        lambda: PLAIN.image(picture(), drawn(d.VLR)),
        lambda: PLAIN.image(picture(), drawn(d.GFPGAN)),
        lambda: PLAIN.image(picture(), changed(q=0)),
        lambda: PLAIN.image(picture(), changed(q="30")),
        lambda: PLAIN.image(picture(), changed(q=True)),
        lambda: PLAIN.image(picture(), d.Params((48, 40), (("Jpeg", {"q": 30}),))),
        lambda: PLAIN.points([[1.0, 2.0, 3.0]], drawn(PLAIN)),
        lambda: PLAIN.points([[1.0, np.nan]], drawn(PLAIN)),
        lambda: PLAIN.points("ab", drawn(PLAIN)),
        lambda: PLAIN.video(picture(), drawn(PLAIN)),
        lambda: PLAIN.video(picture()[None], drawn(PLAIN), 1.5),
        lambda: PLAIN.video(picture()[None], drawn(PLAIN), points68=np.zeros((2, 68, 2))),
        lambda: d.VFHQ_BLIND.image(picture(), drawn(d.VFHQ_BLIND)),
        lambda: only(d.FaceMask()).image(picture(), drawn(only(d.FaceMask()), points=None)),
        lambda: only(d.Glasses()).image(picture(), drawn(only(d.Glasses()), points=None)),
        lambda: only(d.VideoCodec(codec=lambda x, crf: x[:, ::2])).image(
            picture(), drawn(only(d.VideoCodec(codec=halved)))
        ),
        lambda: d.Params.from_dict([]),
        lambda: d.Params.from_dict({"steps": []}),
        lambda: d.Params.from_dict({"shape_hw": 5, "steps": []}),
        lambda: d.Params.from_dict({"shape_hw": [4, 4], "steps": [{"op": "Jpeg"}]}),
        lambda: d.Params.from_dict({"shape_hw": [4, 4], "steps": [], "seed": -1}),
        lambda: d.Params.from_dict({"shape_hw": [4, 4], "steps": [], "seed": float("nan")}),
        lambda: d.Params.from_dict({"shape_hw": [4, 4], "steps": [], "seed": float("inf")}),
        lambda: d.Params.from_dict({"shape_hw": [4, 4], "steps": [], "yaw_deg": "left"}),
        lambda: PLAIN.image(picture(), d.Params((48, 40), (("Jpeg", 5),))),
        lambda: d.OneOf((d.Jpeg(),)).check({"pick": 0, "op": "Jpeg", "values": 5}),
        lambda: d.Together((d.Gamma(), d.Gray())).check({"order": ["a", 0], "values": [{}, {}]}),
        lambda: d.Together((d.Gamma(), d.Gray())).check({"order": [0.0, 1.0], "values": [{}, {}]}),
        lambda: d.op("Jpeg", q=[30, 400]),
    ],
)
def test_bad_input_is_refused_in_words(call):
    with pytest.raises(InputError, match="expected"):
        call()


@pytest.mark.parametrize(
    ("call", "near"),
    [
        (lambda: d.op("Jepg"), "Jpeg"),
        (lambda: d.op("Jpeg", quality=30), "q"),
        (lambda: d.preset("GFPGN"), "GFPGAN"),
        (lambda: d.Resize(kernel_up="cubic"), "bicubic"),
        (lambda: d.FaceMask("surgicl"), "surgical"),
        (lambda: PLAIN.image(picture(), changed(quality=30)), "q"),
        (lambda: PLAIN.image(picture(), changed(chroma="4:2:2")), "4:2:0"),
        (
            lambda: d.Params.from_dict({"shape_hw": [4, 4], "steps": [{"op": "Gausian", "values": {}}]}),
            "GaussianBlur|GaussianNoise",
        ),
        (lambda: d.Params.from_dict({"shape_hw": [4, 4], "steps": [], "points": None}), "points68"),
    ],
)
def test_unknown_names_are_told_near_ones(call, near):
    with pytest.raises(UnknownMethod, match=near):
        call()

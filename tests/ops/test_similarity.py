import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from vultus.errors import InputError, UnknownMethod
from vultus.ops import similarity as s


def pair(height=40, width=52, seed=0, noise=12.0):
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (6, 7, 3), dtype=np.uint8)
    a = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return a, np.clip(a + rng.normal(0, noise, a.shape), 0, 255).astype(np.uint8)


def by_scikit_image(a, b, peak=255, **more):
    how = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": peak}
    axis = 2 if a.ndim == 3 else None
    return structural_similarity(a, b, channel_axis=axis, **how, **more)


def luma(x):
    return 16 + x.astype(float) @ [65.481, 128.553, 24.966] / 255


@given(st.integers(11, 60), st.integers(11, 60), st.integers(0, 10**6), st.floats(1, 80))
@settings(max_examples=30)
def test_psnr_and_ssim_are_those_of_scikit_image(height, width, seed, noise):
    a, b = pair(height, width, seed, noise)
    assert s.psnr(a, b) == pytest.approx(peak_signal_noise_ratio(a, b, data_range=255), abs=1e-9)
    assert s.ssim(a, b) == pytest.approx(by_scikit_image(a, b), abs=1e-9)
    assert s.ssim(a, b, channels="y") == pytest.approx(by_scikit_image(luma(a), luma(b)), abs=1e-9)
    assert s.psnr(a, b, channels="y") == pytest.approx(peak_signal_noise_ratio(luma(a), luma(b), data_range=255))
    assert s.ssim(a[..., 0], b[..., 0]) == pytest.approx(by_scikit_image(a[..., 0], b[..., 0]), abs=1e-9)


@pytest.mark.parametrize("channels", ["rgb", "y"])
def test_the_kind_of_numbers_does_not_matter(channels):
    a, b = pair()
    for metric in (s.psnr, s.ssim, s.dssim):
        whole, unit = metric(a, b, channels=channels), metric(a / 255, b / 255, channels=channels)
        assert whole == pytest.approx(unit, abs=1e-9)


@given(st.integers(0, 10**6))
@settings(max_examples=10)
def test_equal_pictures_and_symmetry(seed):
    a, b = pair(180, 176, seed)
    assert s.psnr(a, a) == math.inf
    assert s.ssim(a, a) == pytest.approx(1, abs=1e-12)
    assert s.ms_ssim(a, a) == pytest.approx(1, abs=1e-12)
    assert s.dssim(a, a) == pytest.approx(0, abs=1e-12)
    for metric in (s.psnr, s.ssim, s.ms_ssim):
        assert metric(a, b) == pytest.approx(metric(b, a), abs=1e-12)
    assert s.dssim(a, b) == pytest.approx((1 - s.ssim(a, b)) / 2)


def test_by_hand():
    a, b = np.full((16, 16, 3), 100, np.uint8), np.full((16, 16, 3), 110, np.uint8)
    assert s.psnr(a, b) == pytest.approx(10 * math.log10(255**2 / 100))
    c1 = (0.01 * 255) ** 2
    assert s.ssim(a, b) == pytest.approx((2 * 100 * 110 + c1) / (100**2 + 110**2 + c1))
    white, black = np.full((16, 16, 3), 255, np.uint8), np.zeros((16, 16, 3), np.uint8)
    assert s.psnr(white, black) == 0
    assert s.psnr(white, black, channels="y") == pytest.approx(20 * math.log10(255 / 219))


def test_several_scales_from_the_parts_of_scikit_image():
    a, b = pair(200, 190, 3, 40.0)
    expected = np.ones(3)
    left, right = a.astype(float), b.astype(float)
    for k, weight in enumerate(s.MS_WEIGHTS):
        if k:
            left, right = (
                x[: x.shape[0] // 2 * 2, : x.shape[1] // 2 * 2].reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2, 3)
                for x in (left, right)
            )
            left, right = left.mean((1, 3)), right.mean((1, 3))
        k1 = 0.01 if k == 4 else 1e7  # a large K1 leaves contrast and structure alone
        expected *= [by_scikit_image(left[..., c], right[..., c], K1=k1) ** weight for c in range(3)]
    assert s.ms_ssim(a, b) == pytest.approx(expected.mean(), abs=1e-6)
    assert s.ms_ssim(a, b, weights=(1.0,)) == pytest.approx(s.ssim(a, b), abs=1e-12)


def test_worse_is_lower():
    a, _ = pair(200, 200)
    blurred = [cv2.GaussianBlur(a, (0, 0), sigma) for sigma in (1, 4, 12)]
    for metric in (s.psnr, s.ssim, s.ms_ssim):
        values = [metric(a, x) for x in blurred]
        assert values == sorted(values, reverse=True)
    sharp = [s.gradient_energy(x) for x in (a, *blurred)]
    assert sharp == sorted(sharp, reverse=True)


def test_gradient_energy_by_hand():
    ramp = np.tile(np.arange(0, 100, 10, dtype=np.uint8), (10, 1))
    assert s.gradient_energy(ramp) == pytest.approx((10 / 255) ** 2)
    assert s.gradient_energy(np.repeat(ramp[..., None], 3, 2)) == pytest.approx((10 / 255) ** 2)
    assert s.gradient_energy(ramp.T / 255) == pytest.approx((10 / 255) ** 2)
    assert s.gradient_energy(np.full((4, 4), 7, np.uint8)) == 0


A = np.zeros((16, 16, 3), np.uint8)


@pytest.mark.parametrize(
    "call",
    [
        lambda: s.psnr(A, A[:8]),
        lambda: s.psnr(A, A / 255),
        lambda: s.psnr(A.astype(int), A.astype(int)),
        lambda: s.psnr(A[..., :2], A[..., :2]),
        lambda: s.psnr(A.tolist(), A.tolist()),
        lambda: s.psnr(A + 2.0, A + 2.0),
        lambda: s.psnr(A * np.nan, A * np.nan),
        lambda: s.ssim(A[:10], A[:10]),
        lambda: s.ms_ssim(A, A),
        lambda: s.ms_ssim(A, A, weights=()),
        lambda: s.ms_ssim(A, A, weights=(0.0,)),
        lambda: s.gradient_energy(A[:1]),
    ],
)
def test_bad_input_is_refused_in_words(call):
    with pytest.raises(InputError, match="expected"):
        call()


def test_unknown_channels_are_told():
    with pytest.raises(UnknownMethod, match="rgb"):
        s.ssim(A, A, channels="luma")

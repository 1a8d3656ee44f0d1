"""How alike two pictures are, pixel by pixel: PSNR, SSIM and its relatives; and how sharp one is.

uint8 pictures are compared in levels of 255, floating-point ones in 0..1. Faithfulness to a picture is not identity: a
swapped face can have a high SSIM.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError, UnknownMethod
from vultus.types import is_number

__all__ = ["CHANNELS", "MS_WEIGHTS", "dssim", "gradient_energy", "ms_ssim", "psnr", "ssim"]

F64 = NDArray[np.float64]

CHANNELS = ("rgb", "y")
"""rgb compares each channel (SSIM is then their mean). y compares BT.601 luma of studio range, 16 to 235, which is what
tables of super-resolution and restoration state."""

MS_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of five scales, finest first (Wang, Simoncelli and Bovik 2003)."""

_SIDE, _SIGMA = 11, 1.5
_K1, _K2 = 0.01, 0.03
_STUDIO = np.array([65.481, 128.553, 24.966]) / 255  # of R, G, B in 0..255; and 16
_LUMA = np.array([0.299, 0.587, 0.114])


def psnr(a: NDArray[np.generic], b: NDArray[np.generic], *, channels: str = "rgb") -> float:
    """Peak signal-to-noise ratio.

    Args:
        a: (H, W, 3) or (H, W), uint8 or floating point in 0..1.
        b: the same shape and kind.
        channels: one of `CHANNELS`; a gray picture has no choice.

    Returns:
        Decibels; infinite when the pictures are the same.

    Raises:
        InputError: if the two are not pictures of one shape and kind.
        UnknownMethod: if `channels` is unknown.
    """
    left, right, peak = _pair(a, b, channels)
    error = float(np.mean((left - right) ** 2))
    return math.inf if error == 0 else 10 * math.log10(peak * peak / error)


def ssim(a: NDArray[np.generic], b: NDArray[np.generic], *, channels: str = "rgb") -> float:
    """Structural similarity (Wang et al. 2004): 11 x 11 Gaussian of deviation 1.5, K = 0.01, 0.03, whole windows only.

    Args:
        a: (H, W, 3) or (H, W), both at least 11 pixels, uint8 or floating point in 0..1.
        b: the same shape and kind.
        channels: one of `CHANNELS`.

    Returns:
        -1 to 1; 1 for equal pictures.

    Raises:
        InputError: as `psnr`, and if a side is shorter than 11.
        UnknownMethod: if `channels` is unknown.
    """
    left, right, peak = _pair(a, b, channels)
    _at_least(left, _SIDE)
    return float(_terms(left, right, peak)[0].mean())


def dssim(a: NDArray[np.generic], b: NDArray[np.generic], *, channels: str = "rgb") -> float:
    """Structural dissimilarity, (1 - SSIM) / 2.

    Args:
        a: as `ssim`.
        b: as `ssim`.
        channels: as `ssim`.

    Returns:
        0 for equal pictures to 1.

    Raises:
        InputError, UnknownMethod: as `ssim`.
    """
    return (1 - ssim(a, b, channels=channels)) / 2


def ms_ssim(
    a: NDArray[np.generic],
    b: NDArray[np.generic],
    *,
    channels: str = "rgb",
    weights: Sequence[float] = MS_WEIGHTS,
) -> float:
    """SSIM over several scales: contrast and structure at all, luminance at the coarsest.

    Each scale is the one before averaged over 2 x 2 pixels; an odd last row or column is left out. Of a channel whose
    contrast term is negative at some scale the product is 0.

    Args:
        a: as `ssim`; with five scales both sides need 176 pixels.
        b: as `ssim`.
        channels: as `ssim`.
        weights: exponents, finest scale first; their number is that of the scales.

    Returns:
        0 to 1; 1 for equal pictures.

    Raises:
        InputError: as `ssim`, and if the picture is too small for so many scales or a weight is not positive.
        UnknownMethod: if `channels` is unknown.
    """
    powers = [float(w) for w in weights if is_number(w) and w > 0]
    if not powers or len(powers) != len(weights):
        raise InputError(f"weights: expected positive numbers, one per scale, got {weights!r}")
    left, right, peak = _pair(a, b, channels)
    _at_least(left, _SIDE * 2 ** (len(powers) - 1))
    product = np.ones(left.shape[2])
    for scale, power in enumerate(powers):
        if scale:
            left, right = _halved(left), _halved(right)
        both, contrast = _terms(left, right, peak)
        term = both if scale == len(powers) - 1 else contrast
        product *= np.maximum(term, 0.0) ** power
    return float(product.mean())


def gradient_energy(x: NDArray[np.generic]) -> float:
    """How sharp a picture is: the mean squared step from a pixel to the next in both directions, of its BT.601 gray.

    Noise is sharp too; compare pictures of one size and one noise.

    Args:
        x: (H, W, 3) or (H, W), both at least 2 pixels, uint8 or floating point in 0..1.

    Returns:
        At least 0, in squared shares of white.

    Raises:
        InputError: if it is no picture.
    """
    values, peak = _picture("x", x)
    _at_least(values, 2)
    gray = (values @ _LUMA if values.shape[2] == 3 else values[..., 0]) / peak
    across, down = np.diff(gray, axis=1), np.diff(gray, axis=0)
    return float((across**2).mean() + (down**2).mean())


def _picture(name: str, x: object) -> tuple[F64, float]:
    """(H, W, 1 or 3) numbers, and white."""
    good = isinstance(x, np.ndarray) and (x.ndim == 2 or (x.ndim == 3 and x.shape[2] == 3)) and x.size > 0
    if not isinstance(x, np.ndarray) or not good or (x.dtype != np.uint8 and x.dtype.kind != "f"):
        what = f"{x.dtype} {x.shape}" if isinstance(x, np.ndarray) else type(x).__name__
        raise InputError(f"{name}: expected (H, W, 3) or (H, W), uint8 or floating point in 0..1, got {what}")
    values = x.astype(np.float64).reshape(*x.shape[:2], -1)
    if x.dtype == np.uint8:
        return values, 255.0
    if not np.isfinite(values).all() or values.min() < -1e-4 or values.max() > 1 + 1e-4:
        raise InputError(f"{name}: expected finite numbers in 0..1, got {values.min():g} to {values.max():g}")
    return values, 1.0


def _pair(a: object, b: object, channels: str) -> tuple[F64, F64, float]:
    if channels not in CHANNELS:
        raise UnknownMethod(channels, CHANNELS, what="channels")
    (left, peak), (right, other) = _picture("a", a), _picture("b", b)
    if left.shape != right.shape or peak != other:
        raise InputError(
            f"a, b: expected two pictures of one shape and kind, got {left.shape} in 0..{peak:g} and {right.shape} "
            f"in 0..{other:g}"
        )
    if channels == "y" and left.shape[2] == 3:
        left, right = ((x @ _STUDIO + 16 * peak / 255)[..., None] for x in (left, right))
    return left, right, peak


def _at_least(x: F64, side: int) -> None:
    if min(x.shape[:2]) < side:
        raise InputError(f"expected pictures of at least {side} x {side} pixels, got {x.shape[0]} x {x.shape[1]}")


def _window(x: F64) -> F64:
    """(H - 10, W - 10, C) Gaussian means of whole windows."""
    at = np.arange(_SIDE) - _SIDE // 2
    line = np.exp(-0.5 * (at / _SIGMA) ** 2)
    line /= line.sum()
    edge = _SIDE // 2
    smooth = np.asarray(cv2.sepFilter2D(x, cv2.CV_64F, line, line), np.float64).reshape(x.shape)
    return smooth[edge : x.shape[0] - edge, edge : x.shape[1] - edge]


def _terms(a: F64, b: F64, peak: float) -> tuple[F64, F64]:
    """(C,) means of SSIM and of its contrast-structure term."""
    c1, c2 = (_K1 * peak) ** 2, (_K2 * peak) ** 2
    ma, mb = _window(a), _window(b)
    va, vb, cov = _window(a * a) - ma * ma, _window(b * b) - mb * mb, _window(a * b) - ma * mb
    contrast = (2 * cov + c2) / (va + vb + c2)
    light = (2 * ma * mb + c1) / (ma * ma + mb * mb + c1)
    return (light * contrast).mean((0, 1)), contrast.mean((0, 1))


def _halved(x: F64) -> F64:
    height, width = x.shape[0] // 2, x.shape[1] // 2
    quads = x[: 2 * height, : 2 * width].reshape(height, 2, width, 2, -1)
    mean: F64 = quads.mean((1, 3))
    return mean

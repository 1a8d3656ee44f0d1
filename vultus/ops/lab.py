"""CIE 1976 L*a*b* of sRGB (IEC 61966-2-1), in which equal steps look about equal and color stands apart from light."""

from __future__ import annotations

import numpy as np

from vultus.errors import InputError
from vultus.types import F32, U8

__all__ = ["rgb_to_lab"]

_TO_XYZ = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
)  # ITU-R BT.709 primaries, white D65
_WHITE = _TO_XYZ.sum(axis=1)
_CODES = np.arange(256) / 255
_LINEAR = np.where(_CODES <= 0.04045, _CODES / 12.92, ((_CODES + 0.055) / 1.055) ** 2.4)
_KNEE = 6 / 29


def rgb_to_lab(rgb: U8) -> F32:
    """Lightness and two planes of color, white D65.

    Args:
        rgb: (..., 3) uint8 sRGB.

    Returns:
        Same shape, float32: L* from 0 (black) to 100 (white), a* from green to red, b* from blue to yellow; grays have
        0 in both.

    Raises:
        InputError: if it is not uint8 with three channels last.
    """
    if not isinstance(rgb, np.ndarray) or rgb.dtype != np.uint8 or rgb.ndim < 1 or rgb.shape[-1] != 3:
        what = f"{rgb.dtype} {rgb.shape}" if isinstance(rgb, np.ndarray) else type(rgb).__name__
        raise InputError(f"rgb: expected uint8 of shape (..., 3), got {what}")
    t = _LINEAR[rgb] @ (_TO_XYZ / _WHITE[:, None]).T
    x, y, z = np.moveaxis(np.where(t > _KNEE**3, np.cbrt(t), t / (3 * _KNEE**2) + 4 / 29), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1).astype(np.float32)

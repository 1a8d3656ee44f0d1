"""A picture as 64 bits that stay when it is scaled, softened or saved again: the signs of its low frequencies.

Two files of one photograph differ in a few bits, two photographs in about half of them. Not a measure of who is on it.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.ops.dct import dct_matrix, rgb_to_ycbcr
from vultus.types import U8

__all__ = ["BITS", "bits_apart", "phash"]

BITS = 64
_SIDE, _LOW = 32, 8


def phash(image: U8) -> int:
    """64 bits of an (H, W, 3) uint8 RGB picture: which of its 8 x 8 lowest frequencies are above their median.

    The mean and all that changes along one axis only are left out. A picture of one color is 0.

    Raises:
        InputError: if it is no such picture or has no pixels.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        came = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise InputError(f"image: expected a uint8 RGB picture of shape (H, W, 3), got {came}")
    if not image.size:
        raise InputError(f"image: expected pixels, got a picture of shape {image.shape}")
    small = cv2.resize(np.ascontiguousarray(image, np.float32), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    basis = dct_matrix(_SIDE)[1 : _LOW + 1]
    low = (basis @ np.asarray(rgb_to_ycbcr(small.astype(np.float64))[..., 0]) @ basis.T).ravel()
    low[np.abs(low) < 1e-3] = 0  # rounding is no picture
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), "big")


def bits_apart(a: ArrayLike, b: ArrayLike) -> NDArray[np.int64]:
    """How many bits every hash of `a` differs in from every one of `b`.

    Args:
        a: N hashes, whole numbers of 64 bits.
        b: M hashes.

    Returns:
        (N, M), 0 to 64.

    Raises:
        InputError: if something is no whole number of 64 bits.
    """
    left, right = _signs("a", a), _signs("b", b)
    apart: NDArray[np.int64] = ((BITS - left @ right.T) / 2).astype(np.int64)
    return apart


def _signs(name: str, hashes: ArrayLike) -> NDArray[np.float32]:
    """(N, 64) of -1 and 1."""
    try:
        values = np.array([int(value) for value in np.asarray(hashes, dtype=object).ravel()], np.uint64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{name}: expected whole numbers of 64 bits, got something else: {error}") from error
    bits = np.unpackbits(values.astype(">u8").view(np.uint8).reshape(-1, 8), axis=1)
    return bits.astype(np.float32) * 2 - 1

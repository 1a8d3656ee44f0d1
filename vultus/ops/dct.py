"""Cosine transforms, the 8 x 8 blocks of JPEG, its quantization tables, and its color space.

Everything but the tables takes NumPy arrays and torch tensors alike (torch itself is not imported) and gives back the
kind, device and precision that came in; integers become float32. All transforms are linear and let gradients through.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError, UnknownMethod
from vultus.types import is_number

__all__ = [
    "CHROMINANCE",
    "LUMINANCE",
    "block_dct",
    "block_idct",
    "dct",
    "dct_matrix",
    "from_zigzag",
    "idct",
    "quantization",
    "rgb_to_ycbcr",
    "to_zigzag",
    "ycbcr_to_rgb",
    "zigzag_order",
]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

# fmt: off
_LUMINANCE = (
    (16, 11, 10, 16,  24,  40,  51,  61),
    (12, 12, 14, 19,  26,  58,  60,  55),
    (14, 13, 16, 24,  40,  57,  69,  56),
    (14, 17, 22, 29,  51,  87,  80,  62),
    (18, 22, 37, 56,  68, 109, 103,  77),
    (24, 35, 55, 64,  81, 104, 113,  92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103,  99),
)
_CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)
# fmt: on


def _frozen(rows: Any, dtype: Any) -> NDArray[Any]:
    array = np.array(rows, dtype)
    array.setflags(write=False)
    return array


LUMINANCE: I64 = _frozen(_LUMINANCE, np.int64)
"""(8, 8) steps for Y at quality 50: ITU-T T.81, table K.1; row is vertical frequency."""

CHROMINANCE: I64 = _frozen(_CHROMINANCE, np.int64)
"""(8, 8) steps for Cb and Cr at quality 50: ITU-T T.81, table K.2."""

_TABLES = {"luminance": LUMINANCE, "chrominance": CHROMINANCE}

_KR, _KG, _KB = 0.299, 0.587, 0.114  # ITU-R BT.601
_CB, _CR = 2 * (1 - _KB), 2 * (1 - _KR)
_TO_YCBCR: F64 = _frozen(
    [
        [_KR, _KG, _KB],
        [-_KR / _CB, -_KG / _CB, (1 - _KB) / _CB],
        [(1 - _KR) / _CR, -_KG / _CR, -_KB / _CR],
    ],
    np.float64,
)
_TO_RGB: F64 = _frozen(
    [[1, 0, _CR], [1, -_KB * _CB / _KG, -_KR * _CR / _KG], [1, _CB, 0]],
    np.float64,
)


@lru_cache(maxsize=32)
def dct_matrix(n: int) -> F64:
    """The orthonormal DCT-II of n numbers as a matrix C: C @ x transforms, C.T @ y transforms back.

    Args:
        n: how many numbers, at least 1.

    Returns:
        (n, n) read-only; row k is sqrt(2 / n) cos(pi (i + 1/2) k / n), row 0 is sqrt(1 / n).

    Raises:
        InputError: if n is below 1.
    """
    _check_size("n", n)
    k, i = np.arange(n)[:, None], np.arange(n)[None]
    matrix = math.sqrt(2.0 / n) * np.cos(np.pi * (i + 0.5) * k / n)
    matrix[0] = math.sqrt(1.0 / n)
    matrix.setflags(write=False)
    return matrix


def dct(x: Any, axis: int = -1) -> Any:
    """Orthonormal DCT-II along one axis.

    Args:
        x: (..., n, ...) array or tensor.
        axis: along which.

    Returns:
        Same shape.

    Raises:
        InputError: if x holds no numbers, is a single number, or has no such axis.
    """
    return _along(x, axis, inverse=False)


def idct(x: Any, axis: int = -1) -> Any:
    """Orthonormal DCT-III along one axis: undoes `dct`.

    Args:
        x: (..., n, ...) array or tensor.
        axis: along which.

    Returns:
        Same shape.

    Raises:
        InputError: as `dct`.
    """
    return _along(x, axis, inverse=True)


def block_dct(x: Any, size: int = 8) -> Any:
    """Cut planes into square blocks and transform each in both directions.

    Args:
        x: (..., H, W) array or tensor, H and W multiples of `size`.
        size: side of a block.

    Returns:
        (..., H / size, W / size, size, size): row and column of the block, vertical and horizontal frequency.

    Raises:
        InputError: if the sides are no multiples of `size`.
    """
    _check_size("size", size)
    values = _floating(x)
    shape = tuple(values.shape)
    if len(shape) < 2 or shape[-2] % size or shape[-1] % size:
        raise InputError(f"x: expected (..., H, W) with H and W multiples of {size}, got {shape}; pad it first")
    *lead, height, width = shape
    blocks = values.reshape(*lead, height // size, size, width // size, size).swapaxes(-3, -2)
    return dct(dct(blocks), axis=-2)


def block_idct(blocks: Any) -> Any:
    """Undo `block_dct`.

    Args:
        blocks: (..., rows, columns, size, size) array or tensor.

    Returns:
        (..., rows * size, columns * size).

    Raises:
        InputError: if the shape is not that of square blocks.
    """
    values = _floating(blocks)
    shape = tuple(values.shape)
    if len(shape) < 4 or shape[-1] != shape[-2] or shape[-1] < 1:
        raise InputError(f"blocks: expected (..., rows, columns, size, size), got {shape}")
    *lead, rows, columns, size, _ = shape
    planes = idct(idct(values, axis=-2)).swapaxes(-3, -2)
    return planes.reshape(*lead, rows * size, columns * size)


@lru_cache(maxsize=32)
def zigzag_order(size: int = 8) -> I64:
    """The order in which JPEG lists the numbers of a block, low frequencies first.

    Args:
        size: side of a block.

    Returns:
        (size * size,) read-only indices into the block written row by row.

    Raises:
        InputError: if the size is below 1.
    """
    _check_size("size", size)
    places = [(row, column) for row in range(size) for column in range(size)]
    places.sort(key=lambda p: (sum(p), p[0] if sum(p) % 2 else p[1]))
    order: I64 = _frozen([row * size + column for row, column in places], np.int64)
    return order


def to_zigzag(blocks: Any) -> Any:
    """Blocks as rows of numbers in zig-zag order.

    Args:
        blocks: (..., size, size) array or tensor.

    Returns:
        (..., size * size).

    Raises:
        InputError: if the blocks are not square.
    """
    shape = tuple(blocks.shape)
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise InputError(f"blocks: expected (..., size, size), got {shape}")
    return blocks.reshape(*shape[:-2], shape[-1] ** 2)[..., zigzag_order(shape[-1]).copy()]


def from_zigzag(rows: Any) -> Any:
    """Undo `to_zigzag`.

    Args:
        rows: (..., size * size) array or tensor.

    Returns:
        (..., size, size).

    Raises:
        InputError: if the last axis is no square number.
    """
    shape = tuple(rows.shape)
    size = math.isqrt(shape[-1]) if shape else 0
    if size < 1 or size * size != shape[-1]:
        raise InputError(f"rows: expected (..., size * size), got {shape}")
    return rows[..., np.argsort(zigzag_order(size))].reshape(*shape[:-1], size, size)


def quantization(quality: int, kind: str = "luminance") -> I64:
    """The quantization table of a JPEG quality, scaled as the Independent JPEG Group's encoder does.

    Args:
        quality: whole number 1 to 100; 50 is the table of the standard.
        kind: luminance or chrominance.

    Returns:
        (8, 8) steps from 1 to 255 (baseline JPEG).

    Raises:
        InputError: if the quality is out of range.
        UnknownMethod: if there is no such table.
    """
    if kind not in _TABLES:
        raise UnknownMethod(kind, _TABLES, what="quantization table")
    if not is_number(quality) or not 1 <= quality <= 100 or int(quality) != quality:
        raise InputError(f"quality: expected a whole number from 1 to 100, got {quality!r}")
    scale = 5000 // int(quality) if quality < 50 else 200 - 2 * int(quality)
    return np.clip((_TABLES[kind] * scale + 50) // 100, 1, 255)


def rgb_to_ycbcr(rgb: Any, axis: int = -1, *, peak: float = 255.0) -> Any:
    """BT.601 luma and chroma at full range, as JFIF has them; nothing is rounded.

    Args:
        rgb: array or tensor with 3 channels along `axis`, 0 to `peak`.
        axis: where the channels lie: -1 for pictures, 1 for NCHW tensors.
        peak: white; gray has the chroma peak * 128 / 255.

    Returns:
        Y, Cb, Cr; same shape.

    Raises:
        InputError: if there are not 3 channels along `axis`.
    """
    offset = np.array([0.0, 128.0, 128.0]) * (peak / 255.0)
    values, last = _channels("rgb", rgb, axis)
    return (_mixed(last, _TO_YCBCR) + _beside(offset, values)).swapaxes(axis, -1)


def ycbcr_to_rgb(ycbcr: Any, axis: int = -1, *, peak: float = 255.0) -> Any:
    """Undo `rgb_to_ycbcr`; colors outside 0 to `peak` are not clipped.

    Args:
        ycbcr: array or tensor with 3 channels along `axis`.
        axis: where the channels lie.
        peak: white.

    Returns:
        R, G, B; same shape.

    Raises:
        InputError: if there are not 3 channels along `axis`.
    """
    offset = np.array([0.0, 128.0, 128.0]) * (peak / 255.0)
    values, last = _channels("ycbcr", ycbcr, axis)
    return _mixed(last - _beside(offset, values), _TO_RGB).swapaxes(axis, -1)


def _along(x: Any, axis: int, *, inverse: bool) -> Any:
    values = _floating(x)
    dims = len(values.shape)
    if not -dims <= axis < dims or values.shape[axis] < 1:
        raise InputError(f"x: expected numbers along axis {axis}, got shape {tuple(values.shape)}")
    matrix = dct_matrix(int(values.shape[axis]))
    return _mixed(values.swapaxes(axis, -1), matrix.T if inverse else matrix).swapaxes(axis, -1)


def _mixed(last: Any, matrix: F64) -> Any:
    """Multiply the vectors along the last axis: one large product instead of many small ones."""
    shape = tuple(last.shape)
    return (last.reshape(-1, shape[-1]) @ _beside(matrix.T, last)).reshape(shape)


def _floating(x: Any) -> Any:
    """An array or tensor of floating-point numbers; what has `new_tensor` is a tensor of torch."""
    if hasattr(x, "new_tensor"):
        return x if x.is_floating_point() else x.float()
    array = np.asarray(x)
    if array.dtype.kind not in "fiub":
        raise InputError(f"x: expected real numbers, got {array.dtype}")
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)


def _beside(constant: F64, x: Any) -> Any:
    """A constant in the kind, device and precision of x."""
    return x.new_tensor(constant.tolist()) if hasattr(x, "new_tensor") else constant.astype(x.dtype)


def _channels(name: str, x: Any, axis: int) -> tuple[Any, Any]:
    values = _floating(x)
    dims = len(values.shape)
    if not -dims <= axis < dims or values.shape[axis] != 3:
        raise InputError(f"{name}: expected 3 channels along axis {axis}, got shape {tuple(values.shape)}")
    return values, values.swapaxes(axis, -1)


def _check_size(name: str, size: object) -> None:
    if not isinstance(size, (int, np.integer)) or isinstance(size, bool) or size < 1:
        raise InputError(f"{name}: expected a whole number of at least 1, got {size!r}")

"""Warps: similarity transforms between points and crops, resampling, quarter turns.

A matrix is (2, 3) and maps points of the picture to points of the crop, both in center coordinates.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.types import F32, U8, checked

__all__ = [
    "TEMPLATES",
    "apply",
    "invert",
    "rotate90",
    "similarities",
    "similarity_umeyama",
    "template",
    "unrotate_boxes",
    "unrotate_points",
    "warp",
]

F64 = NDArray[np.float64]

_ARCFACE = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))
_DLIB = ((47.68, 44.66), (103.21, 45.69), (76.07, 80.10), (48.68, 103.16), (99.33, 104.67))

TEMPLATES: dict[str, F32] = {
    "arcface112": checked("arcface112", _ARCFACE, (5, 2)),  # Deng et al. 2019, 112 x 112
    "sphereface112x96": checked("sphereface112x96", np.subtract(_ARCFACE, (8.0, 0.0)), (5, 2)),  # Liu et al. 2017
    "dlib150": checked("dlib150", _DLIB, (5, 2)),  # measured here: median over the 150 x 150 chips of 851 faces
    "wide208": checked("wide208", (np.add(_ARCFACE, 0.5)) * 1.6 - 0.5 + (14.4, 8.0), (5, 2)),  # holds all of the others
}
"""Where the five points lie in a crop of the template's own size; (5, 2) center coordinates."""

_SIZES_HW = {"arcface112": (112, 112), "sphereface112x96": (112, 96), "dlib150": (150, 150), "wide208": (208, 208)}


def template(name: str, size_hw: tuple[int, int]) -> F32:
    """The five points of a template in a crop of another size.

    Args:
        name: a key of `TEMPLATES`.
        size_hw: height and width of the crop in pixels, in the proportion of the template's own size.

    Returns:
        (5, 2) center coordinates.

    Raises:
        InputError: if the name is unknown or the proportion differs.
    """
    if name not in TEMPLATES:
        raise InputError(f"template: expected one of {', '.join(sorted(TEMPLATES))}, got {name!r}")
    height, width = _SIZES_HW[name]
    if size_hw[0] <= 0 or size_hw[0] * width != size_hw[1] * height:
        raise InputError(f"size_hw: expected the proportion {height} x {width} of {name}, got {tuple(size_hw)}")
    factor = size_hw[0] / height
    five: F64 = (TEMPLATES[name].astype(np.float64) + 0.5) * factor - 0.5
    return five.astype(np.float32)


def similarity_umeyama(src: ArrayLike, dst: ArrayLike) -> F32:
    """The rotation, scale and shift that bring `src` nearest to `dst` in least squares; never a reflection.

    Umeyama 1991 (IEEE TPAMI 13:4), in the plane, where the constrained optimum has a closed form: with points as
    complex numbers around their means, the factor is sum(conj(s) d) / sum(|s|^2).

    Args:
        src: (K, 2) points, K at least 2.
        dst: (K, 2) where they should go.

    Returns:
        (2, 3) matrix.

    Raises:
        InputError: if shapes do not agree, a number is not finite, or the points leave rotation or scale open.
    """
    points = checked("src", src, (None, 2), np.float64)
    matrix: F32 = similarities(points[None], dst)[0]
    return matrix


def similarities(src: ArrayLike, dst: ArrayLike) -> F32:
    """`similarity_umeyama` for many faces and one template.

    Args:
        src: (N, K, 2) points, K at least 2.
        dst: (K, 2) where they should go.

    Returns:
        (N, 2, 3) matrices.

    Raises:
        InputError: as `similarity_umeyama`, naming the row.
    """
    goal = checked("dst", dst, (None, 2), np.float64)
    if len(goal) < 2:
        raise InputError(f"dst: expected at least 2 points, got {len(goal)}")
    start = checked("src", src, (None, len(goal), 2), np.float64)
    src_mean, dst_mean = start.mean(1), goal.mean(0)
    s = (start - src_mean[:, None]) @ (1.0, 1.0j)
    d = (goal - dst_mean) @ (1.0, 1.0j)
    spread = (np.abs(s) ** 2).sum(1)
    size = 1.0 + np.abs(start).max(axis=(1, 2), initial=0.0)
    flat = spread <= (1e-7 * size) ** 2
    factor = (np.conj(s) @ d) / np.where(flat, 1.0, spread)
    flat |= np.abs(factor) * np.sqrt(spread) <= 1e-7 * (1.0 + np.abs(goal).max())
    if flat.any():
        row = int(np.argmax(flat))
        raise InputError(f"src: expected points that fix rotation and scale, got {start[row].tolist()} in row {row}")
    turn = np.stack([factor.real, -factor.imag, factor.imag, factor.real], axis=1).reshape(-1, 2, 2)
    shift = dst_mean - np.einsum("nij,nj->ni", turn, src_mean)
    return np.concatenate([turn, shift[:, :, None]], axis=2).astype(np.float32)


def invert(matrix: ArrayLike) -> F32:
    """The matrix that undoes `matrix`.

    Args:
        matrix: (2, 3).

    Returns:
        (2, 3).

    Raises:
        InputError: if it cannot be undone or a number is not finite.
    """
    return _inverse(_matrix(matrix)).astype(np.float32)


def apply(matrix: ArrayLike, points: ArrayLike) -> F32:
    """Move points by a matrix.

    Args:
        matrix: (2, 3) for all points, or (N, 2, 3), one per face.
        points: (..., 2); for N matrices (N, K, 2).

    Returns:
        Same shape as `points`.

    Raises:
        InputError: if shapes do not fit.
    """
    moves = np.asarray(matrix, np.float64)
    places = np.asarray(points, np.float64)
    fits = moves.shape[-2:] == (2, 3) and places.shape[-1:] == (2,)
    if not fits or not (moves.ndim == 2 or (moves.ndim == places.ndim == 3 and len(moves) == len(places))):
        raise InputError(
            f"matrix, points: expected (2, 3) and (..., 2), or (N, 2, 3) and (N, K, 2), "
            f"got {moves.shape} and {places.shape}"
        )
    if moves.ndim == 2:
        return (places @ moves[:, :2].T + moves[:, 2]).astype(np.float32)
    return (places @ moves[:, :, :2].transpose(0, 2, 1) + moves[:, None, :, 2]).astype(np.float32)


def warp(image: U8, matrix: ArrayLike, size_hw: tuple[int, int], *, border: int = 0, antialias: bool = True) -> U8:
    """Resample a picture into a crop, bilinear.

    Args:
        image: (H, W, 3) uint8.
        matrix: (2, 3), picture to crop.
        size_hw: height and width of the crop in pixels.
        border: gray level outside the picture.
        antialias: when the matrix shrinks by 2 or more, average the covered pixels first, so that the crop of a very
            large face does not alias.

    Returns:
        (h, w, 3) uint8.

    Raises:
        InputError: if the picture is not (H, W, 3) uint8 or the matrix cannot be undone.
    """
    good = isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
    if not good or not image.size:
        what = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise InputError(f"image: expected uint8 of shape (H, W, 3) with pixels, got {what}")
    height, width = size_hw
    if height < 1 or width < 1:
        raise InputError(f"size_hw: expected at least 1 x 1, got {tuple(size_hw)}")
    move = _matrix(matrix)
    shrink = 1.0 / math.sqrt(abs(float(np.linalg.det(move[:, :2])))) if antialias else 1.0
    factor = max(1, math.floor(shrink + 1e-6))
    corners = np.array([[-0.5, -0.5], [width - 0.5, -0.5], [-0.5, height - 0.5], [width - 0.5, height - 0.5]])
    back = _inverse(move)
    seen = corners @ back[:, :2].T + back[:, 2]
    limit = np.array(image.shape[1::-1], np.float64)
    low = np.clip(np.floor(seen.min(0)) - 2 * factor, 0, limit).astype(int)
    high = np.clip(np.ceil(seen.max(0)) + 2 * factor + 1, 0, limit).astype(int)
    if (high <= low).any():
        return np.full((height, width, 3), border, np.uint8)
    part = image[low[1] : high[1], low[0] : high[0]]
    move[:, 2] += move[:, :2] @ low
    if factor > 1:
        part, move = _reduced(part, move, factor)
    color = (border, border, border)
    out: U8 = np.asarray(
        cv2.warpAffine(
            part, move, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=color
        ),
        np.uint8,
    )
    return out


def rotate90(image: U8, k: int) -> U8:
    """Turn a picture by k quarters, counterclockwise as seen.

    Args:
        image: (H, W, ...) picture.
        k: number of quarter turns.

    Returns:
        The turned picture, contiguous.
    """
    return np.ascontiguousarray(np.rot90(image, k))


def unrotate_points(points: ArrayLike, k: int, size_hw: tuple[int, int]) -> F32:
    """Bring points found on `rotate90(image, k)` back to the picture itself; names and order stay.

    Args:
        points: (..., 2) center coordinates on the turned picture.
        k: number of quarter turns that were made.
        size_hw: height and width of the picture before turning.

    Returns:
        (..., 2) center coordinates on the picture.
    """
    return _unrotated(np.asarray(points, np.float64), k, size_hw[0] - 1, size_hw[1] - 1).astype(np.float32)


def unrotate_boxes(boxes: ArrayLike, k: int, size_hw: tuple[int, int]) -> F32:
    """Bring boxes found on `rotate90(image, k)` back to the picture itself.

    Args:
        boxes: (N, 4) xyxy on the turned picture.
        k: number of quarter turns that were made.
        size_hw: height and width of the picture before turning.

    Returns:
        (N, 4) xyxy on the picture.
    """
    ends = _unrotated(np.asarray(boxes, np.float64).reshape(-1, 2, 2), k, size_hw[0], size_hw[1])
    return np.concatenate([ends.min(1), ends.max(1)], axis=1).astype(np.float32)


def _unrotated(places: F64, k: int, height: int, width: int) -> F64:
    """Undo k quarter turns of places in a frame 0..width, 0..height."""
    x, y = places[..., 0], places[..., 1]
    turned = ((x, y), (width - y, x), (width - x, height - y), (y, height - x))[k % 4]
    return np.stack(turned, axis=-1)


def _matrix(matrix: ArrayLike) -> F64:
    """A (2, 3) matrix in float64 of its own, checked to be invertible."""
    move = checked("matrix", matrix, (2, 3), np.float64).copy()
    sides = np.linalg.norm(move[:, :2], axis=0)
    if abs(np.linalg.det(move[:, :2])) <= 1e-9 * sides.prod():
        raise InputError(f"matrix: expected one that can be undone, got {move.tolist()}")
    return move


def _inverse(move: F64) -> F64:
    turn = np.linalg.inv(move[:, :2])
    return np.concatenate([turn, -turn @ move[:, 2:]], axis=1)


def _reduced(part: U8, move: F64, factor: int) -> tuple[U8, F64]:
    """Average blocks of about factor x factor pixels, and the matrix that fits the smaller picture."""
    size_wh = np.array(part.shape[1::-1])
    small_wh = -(-size_wh // factor)
    small: U8 = np.asarray(cv2.resize(part, small_wh.tolist(), interpolation=cv2.INTER_AREA), np.uint8)
    step = size_wh / small_wh  # center coordinates: p = (q + 0.5) * step - 0.5
    turn = move[:, :2] * step
    shift = move[:, 2] + move[:, :2] @ (0.5 * step - 0.5)
    return small, np.concatenate([turn, shift[:, None]], axis=1)

"""Points: (x, y) pixels in center coordinates, where the center of the first pixel is (0, 0).

Five points: viewer's left eye, viewer's right eye, nose tip, viewer's left mouth corner, viewer's right mouth corner.
68 points: iBUG order. This is the only file that converts between center and edge coordinates (edge = center + 0.5).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.types import F32, checked

__all__ = [
    "FLIP5",
    "FLIP68",
    "center_to_edge",
    "edge_to_center",
    "five_from_68",
    "flip_points",
    "frontness",
    "interocular",
    "nme",
    "roll_deg",
]

F64 = NDArray[np.float64]

FLIP5 = (1, 0, 2, 4, 3)
"""Where each of the five points comes from when the picture is mirrored."""

# fmt: off
FLIP68 = (
    16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0,   # jaw
    26, 25, 24, 23, 22, 21, 20, 19, 18, 17,                     # brows
    27, 28, 29, 30, 35, 34, 33, 32, 31,                         # nose
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,             # eyes
    54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55,             # outer lip
    64, 63, 62, 61, 60, 67, 66, 65,                             # inner lip
)
# fmt: on
"""Where each of the 68 iBUG points comes from when the picture is mirrored."""


def five_from_68(points: ArrayLike) -> F32:
    """Five points of 68: the means of both eyes, the nose tip and the mouth corners.

    Args:
        points: (N, 68, 2) iBUG order.

    Returns:
        (N, 5, 2).

    Raises:
        InputError: if the shape is not (N, 68, 2) or a number is not finite.
    """
    all68 = checked("points", points, (None, 68, 2), np.float64)
    eyes = all68[:, 36:42].mean(1), all68[:, 42:48].mean(1)
    return np.stack([*eyes, all68[:, 30], all68[:, 48], all68[:, 54]], axis=1).astype(np.float32)


def interocular(points: ArrayLike) -> F32:
    """Distance between the eyes.

    Args:
        points: (N, 5, 2) five points.

    Returns:
        (N,) pixels.

    Raises:
        InputError: if the shape is not (N, 5, 2) or a number is not finite.
    """
    axis = _eye_axis(checked("points", points, (None, 5, 2), np.float64))
    distance: F64 = np.linalg.norm(axis, axis=1)
    return distance.astype(np.float32)


def roll_deg(points: ArrayLike) -> F32:
    """In-plane rotation of each face, from the line through its eyes.

    Args:
        points: (N, 5, 2) five points.

    Returns:
        (N,) degrees in (-180, 180]; positive is clockwise as seen.

    Raises:
        InputError: if the shape is not (N, 5, 2), a number is not finite or both eyes are one point.
    """
    five = checked("points", points, (None, 5, 2), np.float64)
    _eye_distance(five)
    axis = _eye_axis(five)
    return np.degrees(np.arctan2(axis[:, 1], axis[:, 0])).astype(np.float32)


def frontness(points: ArrayLike, *, scale: float = 2.0) -> F32:
    """How frontal each face is: 1 when the nose lies midway between the eyes, 0 when it lies over an eye or beyond.

    1 - scale * |offset of the nose from the middle of the eyes, along the eye line| / eye distance. It does not change
    when the picture is rotated in its plane, moved or resized.

    Args:
        points: (N, 5, 2) five points.
        scale: 2 puts 0 at a nose over an eye.

    Returns:
        (N,) in [0, 1].

    Raises:
        InputError: if the shape is not (N, 5, 2), a number is not finite or both eyes are one point.
    """
    five = checked("points", points, (None, 5, 2), np.float64)
    distance = _eye_distance(five)
    nose = five[:, 2] - five[:, :2].mean(1)
    offset = (nose * _eye_axis(five)).sum(1) / distance**2
    share: F64 = np.clip(1.0 - scale * np.abs(offset), 0.0, 1.0)
    return share.astype(np.float32)


def nme(pred: ArrayLike, true: ArrayLike, norm: ArrayLike) -> F64:
    """Normalized mean error of each face: mean distance of its points to the truth, divided by `norm`.

    Args:
        pred: (N, K, 2) predicted points.
        true: (N, K, 2) true points.
        norm: (N,) positive length in pixels, such as `interocular(true)`.

    Returns:
        (N,) share of the norm.

    Raises:
        InputError: if shapes do not agree, a number is not finite or a norm is not positive.
    """
    truth = checked("true", true, (None, None, 2), np.float64)
    guess = checked("pred", pred, truth.shape, np.float64)
    length = checked("norm", norm, (len(truth),), np.float64)
    if truth.shape[1] == 0:
        raise InputError("true: expected at least one point per face, got none")
    if (length <= 0).any():
        raise InputError(f"norm: expected positive lengths, got {length.min()}")
    error: F64 = np.linalg.norm(guess - truth, axis=2).mean(1) / length
    return error


def flip_points(points: ArrayLike, width: int, permutation: Sequence[int] = FLIP5) -> F32:
    """Points of the mirrored picture, each under its own name again.

    Args:
        points: (N, K, 2).
        width: width of the picture in pixels.
        permutation: K indices, `FLIP5` or `FLIP68`.

    Returns:
        (N, K, 2) on the mirrored picture.

    Raises:
        InputError: if the number of points is not that of the permutation or a number is not finite.
    """
    flipped = checked("points", points, (None, len(permutation), 2), np.float64)[:, list(permutation)]
    flipped[..., 0] = width - 1 - flipped[..., 0]
    return flipped.astype(np.float32)


def center_to_edge(points: ArrayLike) -> F32:
    """Points in edge coordinates, as boxes are stated.

    Args:
        points: (..., 2) center coordinates.

    Returns:
        (..., 2) edge coordinates.
    """
    return (np.asarray(points, np.float64) + 0.5).astype(np.float32)


def edge_to_center(points: ArrayLike) -> F32:
    """Points in center coordinates, as points are stated.

    Args:
        points: (..., 2) edge coordinates.

    Returns:
        (..., 2) center coordinates.
    """
    return (np.asarray(points, np.float64) - 0.5).astype(np.float32)


def _eye_axis(five: F64) -> F64:
    return five[:, 1] - five[:, 0]


def _eye_distance(five: F64) -> F64:
    """(N,) eye distance, refused when it is zero."""
    distance: F64 = np.linalg.norm(_eye_axis(five), axis=1)
    if (distance == 0).any():
        raise InputError(f"points: expected two different eyes, got one point twice in row {int(np.argmin(distance))}")
    return distance

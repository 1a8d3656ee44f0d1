"""Boxes: xyxy pixels in edge coordinates, where the first pixel spans 0..1 and the width is x2 - x1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.types import F32, checked

__all__ = ["area", "clip", "ioa", "iou", "nms", "scale"]

F64 = NDArray[np.float64]


def area(boxes: ArrayLike, *, plus_one: bool = False) -> F64:
    """Area of each box.

    Args:
        boxes: (N, 4) xyxy; a box whose right edge lies left of its left edge has no area.
        plus_one: count pixels inclusively, width = x2 - x1 + 1, as evaluators of the VOC era do.

    Returns:
        (N,) square pixels.

    Raises:
        InputError: if the shape is not (N, 4) or a number is not finite.
    """
    return _area(_rows("boxes", boxes), float(plus_one))


def iou(a: ArrayLike, b: ArrayLike, *, plus_one: bool = False) -> F64:
    """Intersection over union of every box of `a` with every box of `b`.

    Args:
        a: (N, 4) xyxy.
        b: (M, 4) xyxy.
        plus_one: see `area`.

    Returns:
        (N, M) in [0, 1]; 0 where both boxes are empty.

    Raises:
        InputError: if a shape is not (N, 4) or a number is not finite.

    Example:
        >>> float(iou([[0, 0, 2, 2]], [[1, 0, 3, 2]])[0, 0])
        0.3333333333333333
    """
    left, right, extra = _rows("a", a), _rows("b", b), float(plus_one)
    return _iou(left, right, extra)


def ioa(a: ArrayLike, b: ArrayLike) -> F64:
    """Share of each box of `a` that lies inside each box of `b`.

    Args:
        a: (N, 4) xyxy.
        b: (M, 4) xyxy.

    Returns:
        (N, M) in [0, 1]; 0 in the rows of empty boxes of `a`.

    Raises:
        InputError: if a shape is not (N, 4) or a number is not finite.
    """
    left, right = _rows("a", a), _rows("b", b)
    return _ratio(_intersection(left, right, 0.0), _area(left, 0.0)[:, None])


def nms(boxes: ArrayLike, scores: ArrayLike, iou_threshold: float) -> NDArray[np.int64]:
    """Greedy non-maximum suppression: keep the best box, drop what overlaps it by more than the threshold, repeat.

    Args:
        boxes: (N, 4) xyxy.
        scores: (N,) higher is better; equal scores rank by index.
        iou_threshold: in [0, 1]; a box is dropped when its IoU with a kept box is above it.

    Returns:
        Indices of the kept boxes, best first.

    Raises:
        InputError: if shapes do not agree, a number is not finite or the threshold is outside [0, 1].

    Example:
        >>> nms([[0, 0, 4, 4], [0, 0, 4, 5], [9, 9, 12, 12]], [0.6, 0.9, 0.8], 0.5).tolist()
        [1, 2]
    """
    if not 0.0 <= iou_threshold <= 1.0:
        raise InputError(f"iou_threshold: expected a share in [0, 1], got {iou_threshold}")
    rows = _rows("boxes", boxes)
    rank = checked("scores", scores, (len(rows),), np.float64)
    order = np.argsort(-rank, kind="stable")
    rows = rows[order]
    left = np.arange(len(rows))
    kept: list[int] = []
    while left.size:
        best, rest = left[0], left[1:]
        kept.append(int(order[best]))
        left = rest[_iou(rows[best : best + 1], rows[rest], 0.0)[0] <= iou_threshold]
    return np.array(kept, np.int64)


def clip(boxes: ArrayLike, size_hw: tuple[int, int]) -> F32:
    """Cut boxes at the border of their picture.

    Args:
        boxes: (N, 4) xyxy.
        size_hw: height and width of the picture in pixels.

    Returns:
        (N, 4) within 0..width and 0..height.

    Raises:
        InputError: if the shape is not (N, 4) or a number is not finite.
    """
    height, width = size_hw
    return np.clip(_rows("boxes", boxes), 0.0, (width, height, width, height)).astype(np.float32)


def scale(boxes: ArrayLike, sx: float, sy: float) -> F32:
    """Boxes of a picture that was resized by `sx` in width and `sy` in height.

    Args:
        boxes: (N, 4) xyxy.
        sx: factor of the width.
        sy: factor of the height.

    Returns:
        (N, 4) xyxy.

    Raises:
        InputError: if the shape is not (N, 4) or a number is not finite.
    """
    scaled: F64 = _rows("boxes", boxes) * np.array((sx, sy, sx, sy))
    return scaled.astype(np.float32)


def _rows(name: str, boxes: Any) -> F64:
    """Boxes as (N, 4) float64, checked; an empty list is no box."""
    array = np.asarray(boxes)
    return np.zeros((0, 4)) if array.size == 0 else checked(name, array, (None, 4), np.float64)


def _area(boxes: F64, extra: float) -> F64:
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2] + extra, 0.0)
    return sides[:, 0] * sides[:, 1]


def _intersection(a: F64, b: F64, extra: float) -> F64:
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    sides = np.maximum(high - low + extra, 0.0)
    return sides[..., 0] * sides[..., 1]


def _iou(a: F64, b: F64, extra: float) -> F64:
    both = _intersection(a, b, extra)
    return _ratio(both, _area(a, extra)[:, None] + _area(b, extra)[None] - both)


def _ratio(part: F64, whole: F64) -> F64:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)

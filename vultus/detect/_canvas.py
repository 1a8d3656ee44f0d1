"""Where a detector looks: one picture as scaled, cut, turned and padded windows, and the exact way back.

A picture is scaled once per level (each level from the next larger one), a level is cut into windows when it is larger
than a network or a tile takes, and a window is padded on the right and below. Pixels are never enlarged beyond
`Plan.enlarge`. Every step is a scale and a shift, so boxes and points return without loss.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import cv2
import numpy as np

from vultus.errors import InputError
from vultus.ops.points import center_to_edge, edge_to_center
from vultus.ops.warp import rotate90, unrotate_boxes, unrotate_points
from vultus.types import F32, U8

__all__ = ["Candidates", "Plan", "View", "views"]

_OVERLAP = 0.25  # of a window's side: faces up to that size are whole in some window
_DISTINCT = 1.7  # two levels nearer than this factor find the same faces
_LARGE = 0.3  # of a level's longer side: a smaller level adds faces from that size, smaller ones only false alarms
_THUMBNAIL = 96  # px to which even the smallest picture may be enlarged


class Candidates(NamedTuple):
    """Boxes before suppression: (K, 4) xyxy, (K,) scores, (K, 5, 2) points in center coordinates or None."""

    boxes: F32
    scores: F32
    points: F32 | None


@dataclass(frozen=True, slots=True)
class Plan:
    """How to look at a picture.

    Attributes:
        scales: lengths in pixels to which the longer side is brought, one pass each; their boxes are merged.
        iou: overlap above which two boxes are one face.
        tile: side in pixels of the windows in which the picture is also searched at its own size; None: it is not.
        upright: also try the picture turned by 90, 180 and 270 degrees and keep the best direction.
        enlarge: never make a picture (unless it is a thumbnail) larger than this many times itself.
    """

    scales: tuple[int, ...]
    iou: float
    tile: int | None = None
    upright: bool = False
    enlarge: float = 1.25

    def __post_init__(self) -> None:
        if not self.scales or any(not 32 <= scale <= 8192 for scale in self.scales):
            raise InputError(f"scales: expected one or more lengths from 32 to 8192 px, got {self.scales}")
        if not 0.0 <= self.iou <= 1.0:
            raise InputError(f"iou: expected a share in [0, 1], got {self.iou}")
        if self.tile is not None and not 64 <= self.tile <= 8192:
            raise InputError(f"tile: expected a side from 64 to 8192 px or None, got {self.tile}")


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One window of one level of one picture.

    Attributes:
        picture: index of the picture in its batch.
        pixels: (h, w, 3) what is seen.
        canvas_hw: size after padding.
        corner_xy: left and top of the window in its (turned) level.
        level_hw: size of the level before turning.
        scale_xy: level pixels per picture pixel.
        turns: quarter turns counterclockwise that were made.
        cut: whether the window ends inside the level at its left, top, right and lower side.
        least: faces whose longer side is below it, in canvas pixels, are left to a larger level.
    """

    picture: int
    pixels: U8
    canvas_hw: tuple[int, int]
    corner_xy: tuple[int, int]
    level_hw: tuple[int, int]
    scale_xy: tuple[float, float]
    turns: int
    cut: tuple[bool, bool, bool, bool]
    least: float = 0.0

    def to_picture(self, found: Candidates) -> Candidates:
        """Bring what was found on the canvas to pixels of the picture."""
        shift = np.array(self.corner_xy, np.float32)
        scale = np.array(self.scale_xy, np.float64)
        boxes = unrotate_boxes(found.boxes + np.tile(shift, 2), self.turns, self.level_hw) / np.tile(scale, 2)
        points = None
        if found.points is not None:
            level = unrotate_points(found.points + shift, self.turns, self.level_hw)
            points = edge_to_center(center_to_edge(level) / scale)
        return Candidates(boxes.astype(np.float32), found.scores, points)

    def is_cut(self, boxes: F32, slack: float = 2.0) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """(K,) whether a box on the canvas reaches a side at which the window was cut from a larger level."""
        height, width = self.pixels.shape[:2]
        reach = np.stack(
            [boxes[:, 0] < slack, boxes[:, 1] < slack, boxes[:, 2] > width - slack, boxes[:, 3] > height - slack],
            axis=1,
        )
        hit: np.ndarray[tuple[int], np.dtype[np.bool_]] = (reach & np.array(self.cut)).any(axis=1)
        return hit


def views(
    picture: int, pixels: U8, plan: Plan, *, stride: int = 32, canvas_hw: tuple[int, int] | None = None
) -> Iterator[View]:
    """Every window of a picture that a plan asks for, level by level from the largest.

    Args:
        picture: index of the picture in its batch.
        pixels: (H, W, 3) uint8.
        plan: how to look.
        stride: sides of a canvas are multiples of it.
        canvas_hw: the one size that a network takes, or None when it takes any.
    """
    height, width = pixels.shape[:2]
    level = pixels
    for factor, window_hw, least in _levels((height, width), plan, canvas_hw):
        size_hw = (max(1, round(height * factor)), max(1, round(width * factor)))
        level = _resized(min(level, pixels, key=len) if factor <= 1 else pixels, size_hw)
        scale_xy = (size_hw[1] / width, size_hw[0] / height)
        for turns in range(4 if plan.upright else 1):
            turned = rotate90(level, turns) if turns else level
            for x, y, w, h in _windows((turned.shape[0], turned.shape[1]), window_hw):
                yield View(
                    picture=picture,
                    pixels=turned[y : y + h, x : x + w],
                    canvas_hw=canvas_hw or (_up(h, stride), _up(w, stride)),
                    corner_xy=(x, y),
                    level_hw=size_hw,
                    scale_xy=scale_xy,
                    turns=turns,
                    cut=(x > 0, y > 0, x + w < turned.shape[1], y + h < turned.shape[0]),
                    least=least,
                )


def _levels(
    size_hw: tuple[int, int], plan: Plan, canvas_hw: tuple[int, int] | None
) -> list[tuple[float, tuple[int, int] | None, float]]:
    """(factor, window size or None, least side of a face) from the largest factor down, without near repeats."""
    longest = max(size_hw)
    unit = 1.0 / longest
    if canvas_hw is not None:  # scale = longer side of the canvas: the whole picture just fits
        unit = min(c / s for c, s in zip(canvas_hw, size_hw, strict=True)) / max(canvas_hw)
    most = max(plan.enlarge, _THUMBNAIL / longest)
    wanted = sorted({min(scale * unit, most) for scale in plan.scales}, reverse=True)
    kept: list[tuple[float, tuple[int, int] | None]] = []
    if plan.tile is not None and longest > plan.tile and wanted[0] * _DISTINCT < 1.0:
        kept.append((1.0, canvas_hw or (plan.tile, plan.tile)))
    for factor in wanted:
        if not kept or kept[-1][0] >= factor * _DISTINCT:
            kept.append((factor, canvas_hw))
    levels: list[tuple[float, tuple[int, int] | None, float]] = [(*kept[0], 0.0)]
    for (above, window_hw), (factor, here_hw) in pairwise(kept):
        # what a larger level shows whole for certain is left to it
        whole = _LARGE * longest * factor if window_hw is None else _OVERLAP * min(window_hw) * factor / above
        levels.append((factor, here_hw, 0.75 * whole))
    return levels


def _windows(size_hw: tuple[int, int], window_hw: tuple[int, int] | None) -> list[tuple[int, int, int, int]]:
    """(x, y, w, h) of windows that cover a level; one when it fits."""
    height, width = size_hw
    if window_hw is None:
        return [(0, 0, width, height)]
    rows, columns = _spans(height, window_hw[0]), _spans(width, window_hw[1])
    return [(x, y, w, h) for y, h in rows for x, w in columns]


def _spans(length: int, window: int) -> list[tuple[int, int]]:
    """(start, length) of evenly spaced windows that cover 0..length and overlap by at least a quarter."""
    if length <= window:
        return [(0, length)]
    step = window - int(window * _OVERLAP)
    count = -(-(length - window) // step) + 1
    return [(round(i * (length - window) / (count - 1)), window) for i in range(count)]


def _resized(pixels: U8, size_hw: tuple[int, int]) -> U8:
    """Area average when shrinking (nothing aliases), bilinear when enlarging."""
    if pixels.shape[:2] == size_hw:
        return pixels
    shrinks = size_hw[0] <= pixels.shape[0] and size_hw[1] <= pixels.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    out: U8 = cv2.resize(np.ascontiguousarray(pixels), (size_hw[1], size_hw[0]), interpolation=how).astype(np.uint8)
    return out


def _up(length: int, stride: int) -> int:
    return -(-length // stride) * stride

"""Where the labels of faces go: beside their box, inside the picture, off each other and off other faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ROWS", "Placed", "place"]

ROWS = 5  # how many label heights a name may move away from its face

_ON_LABEL, _ON_OTHER_FACE, _ON_OWN_FACE, _FAR = 12.0, 2.5, 1.0, 0.35


@dataclass(frozen=True, slots=True)
class Placed:
    """A label's place.

    Attributes:
        left: x of its left edge in pixels.
        top: y of its top edge in pixels.
        crowding: share of it that lies on labels placed before.
        cost: how unwelcome the place is: 0 is beside its face on free ground, 1 is on its face.
        far: it does not touch its box, so a leader line is wanted.
    """

    left: float
    top: float
    crowding: float
    cost: float
    far: bool


def place(
    box: Sequence[float],
    size: tuple[float, float],
    gap: float,
    others: NDArray[np.float64],
    taken: NDArray[np.float64],
    picture_hw: tuple[int, int],
    rows: int = ROWS,
) -> Placed:
    """The best place for one label.

    Args:
        box: left, top, right, bottom of its face.
        size: width and height of the label; both fit the picture.
        gap: pixels between box and label.
        others: (M, 4) boxes of the other faces.
        taken: (K, 4) rectangles of labels that are already placed.
        picture_hw: height and width of the picture.
        rows: how many label heights it may move away; 0 keeps it at its box.
    """
    width, height = size
    spots, distance = _spots(box, size, gap, rows)
    spots[:, 0] = np.clip(spots[:, 0], 0, picture_hw[1] - width)
    spots[:, 1] = np.clip(spots[:, 1], 0, picture_hw[0] - height)
    rects = np.concatenate([spots, spots + np.array(size)], axis=1)
    area = width * height
    on_labels = _covered(rects, taken) / area
    on_faces = _covered(rects, others) / area
    on_own = _covered(rects, np.array([box], float)) / area
    cost = _ON_LABEL * on_labels + _ON_OTHER_FACE * np.minimum(on_faces, 2) + _ON_OWN_FACE * on_own + distance
    best = int(np.argmin(cost + 1e-3 * np.arange(len(cost))))
    reach = 2 * gap + 1
    left, top, right, bottom = rects[best]
    far = left > box[2] + reach or right < box[0] - reach or top > box[3] + reach or bottom < box[1] - reach
    return Placed(float(left), float(top), float(on_labels[best]), float(cost[best]), bool(far))


def _spots(
    box: Sequence[float], size: tuple[float, float], gap: float, rows: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Candidate corners, best first, and what their distance from the box costs."""
    left, top, right, bottom = box
    width, height = size
    middle = (left + right - width) / 2
    above, below = top - gap - height, bottom + gap
    near = [(left, above), (right - width, above), (middle, above), (left, below), (right - width, below)]
    near += [(middle, below), (right + gap, top), (left - gap - width, top), (left + gap, top + gap)]
    near += [(right + gap, bottom - height), (left - gap - width, bottom - height), (left + gap, bottom - gap - height)]
    spots = [(x, y, 0.0) for x, y in near]
    for row in range(1, rows + 1):
        for x in (left, right - width, middle, left - width, right):
            step = row * height * 1.15
            cost = _FAR * row + (0.2 if x in (left - width, right) else 0.0)
            spots += [(x, above - step, cost), (x, below + step, cost)]
    table = np.array(spots, dtype=np.float64)
    return table[:, :2].copy(), table[:, 2]


def _covered(rects: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) area of each rectangle under the boxes; what two boxes cover counts twice."""
    low, high = rects[:, :2].min(axis=0), rects[:, 2:].max(axis=0)
    near = (boxes[:, 0] < high[0]) & (boxes[:, 1] < high[1]) & (boxes[:, 2] > low[0]) & (boxes[:, 3] > low[1])
    a, b = rects[:, None], boxes[near][None]
    width = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0])
    height = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
    result: NDArray[np.float64] = (width.clip(0) * height.clip(0)).sum(axis=1)
    return result

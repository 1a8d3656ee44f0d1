"""Where the cells and anchors of a network lie on its canvas, and how offsets to them become boxes and points."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from vultus.types import F32

__all__ = ["anchors", "cells", "ssd_boxes", "ssd_points"]


@lru_cache(maxsize=64)
def cells(size_hw: tuple[int, int], stride: int, each: int = 1) -> F32:
    """(A, 2) column and row of the cells of a map, row by row, each cell `each` times; read-only."""
    rows, columns = -(-size_hw[0] // stride), -(-size_hw[1] // stride)
    y, x = np.mgrid[:rows, :columns]
    grid = np.repeat(np.stack([x, y], axis=-1).reshape(-1, 2), each, axis=0).astype(np.float32)
    grid.setflags(write=False)
    return grid


@lru_cache(maxsize=32)
def anchors(size_hw: tuple[int, int], layout: tuple[tuple[int, tuple[int, ...]], ...]) -> F32:
    """(A, 4) square anchors cx, cy, w, h in canvas pixels; centers in the middle of the cells; read-only.

    Args:
        size_hw: height and width of the canvas.
        layout: (stride, sides of the anchors of a cell) of each map, in the order of the outputs.
    """
    levels = []
    for stride, sides in layout:
        centers = (cells(size_hw, stride, len(sides)) + 0.5) * stride
        square = np.tile(np.array(sides, np.float32), len(centers) // len(sides))
        levels.append(np.concatenate([centers, square[:, None], square[:, None]], axis=1))
    grid = np.concatenate(levels).astype(np.float32)
    grid.setflags(write=False)
    return grid


def ssd_boxes(offsets: F32, priors: F32, variances: tuple[float, float] = (0.1, 0.2)) -> F32:
    """(K, 4) offsets dx, dy, dw, dh to (K, 4) anchors -> (K, 4) xyxy, the coding of SSD (arXiv:1512.02325, eq. 2)."""
    centers = priors[:, :2] + offsets[:, :2] * variances[0] * priors[:, 2:]
    halves = priors[:, 2:] * np.exp(offsets[:, 2:] * variances[1]) / 2
    return np.concatenate([centers - halves, centers + halves], axis=1)


def ssd_points(offsets: F32, priors: F32, variance: float = 0.1) -> F32:
    """(K, 10) offsets to (K, 4) anchors -> (K, 5, 2) points in edge coordinates."""
    return priors[:, None, :2] + offsets.reshape(-1, 5, 2) * variance * priors[:, None, 2:]

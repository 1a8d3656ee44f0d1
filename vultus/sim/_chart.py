"""The chart of the face: where a place on the neutral mean face (x, y in cm) lies on the head's grid, and back."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.ops.pose import Camera
from vultus.ops.raster import interpolate, rasterize
from vultus.sim import _head
from vultus.types import F32

__all__ = ["JAW_UV", "chart", "phi_t", "uv_of_phi_t", "uv_of_xy"]

_STEP = 0.05  # cm
_LEFT, _TOP, _WIDE, _TALL = -7.6, -9.0, 304, 430

# 17 places of the jaw line, left half: angle around the head in degrees, t
_JAW = ((81, 0.33), (80, 0.45), (78, 0.56), (75, 0.67), (67, 0.765), (55, 0.82), (40, 0.85), (21, 0.868), (0, 0.873))


@cache
def chart(rows: int, columns: int) -> F32:
    """(rows, columns, 3): x, y on the mean face and 1 in front, at the texels of a texture of the head."""
    t = _head.template()
    table = np.concatenate([t.xy0, t.ahead[..., None]], axis=-1)
    return sample_grid(table, rows, columns)


def sample_grid(grid: F32, rows: int, columns: int) -> F32:
    """A grid of vertices as a texture: corners on corners, bilinear."""
    high, wide = grid.shape[:2]
    v = np.linspace(0, high - 1, rows, dtype=np.float32)[:, None].repeat(columns, 1)
    u = np.linspace(0, wide - 1, columns, dtype=np.float32)[None].repeat(rows, 0)
    return np.asarray(cv2.remap(grid, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)


@cache
def _inverse() -> F32:
    """(TALL, WIDE, 2) u, v in [0, 1] at steps of 0.05 cm of the chart."""
    t = _head.template()
    front = np.abs(t.phi) < np.radians(88)
    columns = np.flatnonzero(front)
    keep = t.xy0[:, columns]
    u = (columns / (_head.COLUMNS - 1)).astype(np.float32)[None].repeat(_head.ROWS, 0)
    v = t.t.astype(np.float32)[:, None].repeat(len(columns), 1)
    flat = np.concatenate([keep.reshape(-1, 2), np.ones((keep.shape[0] * keep.shape[1], 1), np.float32)], 1)
    camera = Camera(1 / _STEP, -_LEFT / _STEP, -_TOP / _STEP)
    faces = _head.grid_faces(_head.ROWS, len(columns))
    raster = rasterize(flat, faces, camera, (_TALL, _WIDE))
    return interpolate(raster, faces, np.stack([u, v], -1).reshape(-1, 2))


def uv_of_xy(xy: NDArray[np.floating]) -> F32:
    """(K, 2) places on the chart to (K, 2) u, v."""
    x = ((xy[:, 0] - _LEFT) / _STEP).astype(np.float32)
    y = ((xy[:, 1] - _TOP) / _STEP).astype(np.float32)
    found = cv2.remap(_inverse(), x[None], y[None], cv2.INTER_LINEAR)
    return np.asarray(found, np.float32).reshape(-1, 2)


@cache
def _columns_of_phi() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return _head.template().phi, np.linspace(0, 1, _head.COLUMNS)


def uv_of_phi_t(phi: NDArray[np.floating], t: NDArray[np.floating]) -> F32:
    """Angles around the head (radians) and t to u, v."""
    angles, u = _columns_of_phi()
    return np.stack([np.interp(phi, angles, u), t], axis=-1).astype(np.float32)


def phi_t(rows: int, columns: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Angle around the head and t at the texels of a texture, (rows, columns) each."""
    angles, u = _columns_of_phi()
    phi = np.interp(np.linspace(0, 1, columns), u, angles)
    return np.meshgrid(phi, np.linspace(0, 1, rows))


def _jaw_uv() -> F32:
    left = np.array(_JAW)
    both = np.concatenate([left * (-1, 1), left[-2::-1]])
    return uv_of_phi_t(np.radians(both[:, 0]), both[:, 1])


JAW_UV: F32 = _jaw_uv()
"""(17, 2) u, v of the first 17 iBUG points."""

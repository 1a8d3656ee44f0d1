"""The 68 points of a scene, exactly on the mesh that is drawn."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from vultus.ops.pose import Camera
from vultus.sim import _chart, _features, _head
from vultus.sim._scene import Scene
from vultus.types import F32

__all__ = ["box_of", "corners", "mean_uv68", "on_mesh", "points68"]


def on_mesh(grid: F32, lod: int, uv: F32) -> F32:
    """(K, 3) places of u, v on the triangles of a level of detail.

    Args:
        grid: (R, C, 3) vertices that the level keeps.
        lod: 0 to 2.
        uv: (K, 2).
    """
    return _placed(grid, *corners(lod, uv))


def _placed(grid: F32, index: NDArray[np.int32], weights: F32) -> F32:
    flat = grid.reshape(-1, 3)
    placed: F32 = flat[index[:, 0]] * weights[:, :1] + flat[index[:, 1]] * weights[:, 1:2]
    placed += flat[index[:, 2]] * weights[:, 2:]
    return placed


@cache
def _knots(lod: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rows, columns = _head.lod_grid(lod)
    return columns / (_head.COLUMNS - 1), rows / (_head.ROWS - 1)


def points68(scene: Scene, lod: int, camera: Camera) -> tuple[F32, F32]:
    """(68, 2) pixels in center coordinates and (68, 3) camera coordinates."""
    chart = _features.points51(scene.eyes, scene.mouth, scene.brow)
    jaw, rest = _jaw_corners(lod), corners(lod, _chart.uv_of_xy(chart))
    index, weights = (np.concatenate(pair) for pair in zip(jaw, rest, strict=True))
    places = _placed(scene.head, index, weights)
    return camera.project(places).astype(np.float32), places


@cache
def _jaw_corners(lod: int) -> tuple[NDArray[np.int32], F32]:
    return corners(lod, _chart.JAW_UV)


def corners(lod: int, uv: F32) -> tuple[NDArray[np.int32], F32]:
    """(K, 3) vertices of the triangle that holds each u, v, and their weights."""
    u_at, v_at = _knots(lod)
    j = np.clip(np.searchsorted(u_at, uv[:, 0], side="right") - 1, 0, len(u_at) - 2)
    i = np.clip(np.searchsorted(v_at, uv[:, 1], side="right") - 1, 0, len(v_at) - 2)
    s = (uv[:, 0] - u_at[j]) / (u_at[j + 1] - u_at[j])
    t = (uv[:, 1] - v_at[i]) / (v_at[i + 1] - v_at[i])
    wide = len(u_at)
    a, c = i * wide + j, (i + 1) * wide + j + 1
    upper = s >= t
    third = np.where(upper, a + 1, (i + 1) * wide + j)
    weights = np.stack([1 - np.maximum(s, t), np.minimum(s, t), np.abs(s - t)], 1)
    return np.stack([a, c, third], 1).astype(np.int32), weights.astype(np.float32)


def mean_uv68() -> F32:
    """(68, 2) u, v of the points of the mean face without expression."""
    a = dict.fromkeys(_head.ACTIVATIONS, 0.0)
    still = np.zeros(_head.N_EXPRESSION)
    eyes, mouth = _features.eyes_of(a, still, np.zeros(2)), _features.mouth_of(a, still)
    chart = _features.points51(eyes, mouth, _features.brow_of(a, 0.0))
    return np.concatenate([_chart.JAW_UV, _chart.uv_of_xy(chart)])


@cache
def _face_uv() -> F32:
    """Places whose extent is the face: jaw line, cheeks and the hairline."""
    x = np.linspace(-5.5, 5.5, 9)
    top = np.stack([x, -5.6 + 0.04 * x * x], 1)
    sides = np.array([(sx * wide, y) for sx in (-1, 1) for wide, y in ((6.6, -2.0), (6.9, 1.0), (6.6, 4.0))])
    nose = np.array([(0.0, 3.6)])
    return np.concatenate([_chart.JAW_UV, _chart.uv_of_xy(np.concatenate([top, sides, nose]))])


@cache
def _face_corners(lod: int) -> tuple[NDArray[np.int32], F32]:
    return corners(lod, _face_uv())


def box_of(scene: Scene, lod: int, camera: Camera) -> F32:
    """(4,) xyxy edge coordinates of the face from the hairline to the chin."""
    seen = camera.project(_placed(scene.head, *_face_corners(lod))) + 0.5
    return np.concatenate([seen.min(0), seen.max(0)]).astype(np.float32)

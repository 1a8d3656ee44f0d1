"""The 68 points of a scene, exactly on the mesh that is drawn."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from vultus.ops.pose import Camera
from vultus.sim import _chart, _features, _head
from vultus.sim._scene import Scene
from vultus.types import F32

__all__ = ["box_of", "model68", "on_mesh", "points68"]


def on_mesh(grid: F32, lod: int, uv: F32) -> F32:
    """(K, 3) places of u, v on the triangles of a level of detail.

    Args:
        grid: (R, C, 3) vertices that the level keeps.
        lod: 0 to 2.
        uv: (K, 2).
    """
    u_at, v_at = _knots(lod)
    j = np.clip(np.searchsorted(u_at, uv[:, 0], side="right") - 1, 0, len(u_at) - 2)
    i = np.clip(np.searchsorted(v_at, uv[:, 1], side="right") - 1, 0, len(v_at) - 2)
    s = ((uv[:, 0] - u_at[j]) / (u_at[j + 1] - u_at[j]))[:, None]
    t = ((uv[:, 1] - v_at[i]) / (v_at[i + 1] - v_at[i]))[:, None]
    a, b, c, d = grid[i, j], grid[i, j + 1], grid[i + 1, j + 1], grid[i + 1, j]
    upper = a + s * (b - a) + t * (c - b)  # the quad is cut from a to c
    lower = a + t * (d - a) + s * (c - d)
    return np.where(s >= t, upper, lower).astype(np.float32)


@cache
def _knots(lod: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rows, columns = _head.lod_grid(lod)
    return columns / (_head.COLUMNS - 1), rows / (_head.ROWS - 1)


def points68(scene: Scene, lod: int, camera: Camera) -> tuple[F32, F32]:
    """(68, 2) pixels in center coordinates and (68, 3) camera coordinates."""
    chart = _features.points51(scene.eyes, scene.mouth, scene.brow)
    uv = np.concatenate([_chart.JAW_UV, _chart.uv_of_xy(chart)])
    places = on_mesh(scene.solid[0].xyz, lod, uv)
    return camera.project(places).astype(np.float32), places


def model68() -> F32:
    """(68, 3) the points on the mean head, in its own axes, cm."""
    a = dict.fromkeys(_head.ACTIVATIONS, 0.0)
    still = np.zeros(_head.N_EXPRESSION)
    chart = _features.points51(
        _features.eyes_of(a, still, np.zeros(2)), _features.mouth_of(a, still), _features.brow_of(a, 0.0)
    )
    uv = np.concatenate([_chart.JAW_UV, _chart.uv_of_xy(chart)])
    return on_mesh(_head.template().xyz, 2, uv)


@cache
def _face_uv() -> F32:
    """Places whose extent is the face: jaw line, cheeks and the hairline."""
    x = np.linspace(-5.5, 5.5, 9)
    top = np.stack([x, -5.6 + 0.04 * x * x], 1)
    sides = np.array([(sx * wide, y) for sx in (-1, 1) for wide, y in ((6.6, -2.0), (6.9, 1.0), (6.6, 4.0))])
    nose = np.array([(0.0, 3.6)])
    return np.concatenate([_chart.JAW_UV, _chart.uv_of_xy(np.concatenate([top, sides, nose]))])


def box_of(scene: Scene, lod: int, camera: Camera) -> F32:
    """(4,) xyxy edge coordinates of the face from the hairline to the chin."""
    seen = camera.project(on_mesh(scene.solid[0].xyz, lod, _face_uv())) + 0.5
    return np.concatenate([seen.min(0), seen.max(0)]).astype(np.float32)

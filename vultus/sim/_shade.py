"""Light on the head: spherical harmonics seen through the visibility of 64 directions, so that noses, brows and chins
cast soft shadows; a sheen along the strongest direction; linear light, squared-value encoding (gamma 2).
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.ops.pose import Camera
from vultus.ops.raster import rasterize, sh9
from vultus.sim import _head
from vultus.types import F32

__all__ = ["LIGHTS", "develop", "directions", "encode", "lamp", "lit", "main_direction", "visibility"]

LIGHTS = ("left", "right", "top", "soft")
N_DIRECTIONS = 64

# where the lamp of each kind stands (x, y, z), its strength, and that of the surroundings
_LAMPS = {
    "left": ((-0.80, -0.35, -0.50), 0.95, 0.50),
    "right": ((0.80, -0.35, -0.50), 0.95, 0.50),
    "top": ((0.10, -0.80, -0.60), 0.85, 0.55),
    "soft": ((-0.15, -0.40, -0.90), 0.60, 0.75),
}


@cache
def directions() -> F32:
    """(64, 3) unit directions spread evenly over the sphere (golden spiral)."""
    k = np.arange(N_DIRECTIONS) + 0.5
    z = 1 - 2 * k / N_DIRECTIONS
    turn = np.pi * (1 + 5**0.5) * k
    ring = np.sqrt(1 - z * z)
    return np.stack([ring * np.cos(turn), ring * np.sin(turn), z], axis=1).astype(np.float32)


@cache
def visibility() -> F32:
    """(ROWS, COLUMNS, 64) share of each direction that the mean head leaves open, blurred to soft edges."""
    head = _head.template().xyz
    points = head.reshape(-1, 3).astype(np.float64)
    shifted = points + 0.12 * _head.normals(head, closed=True).reshape(-1, 3)
    faces = _head.grid_faces(_head.ROWS, _head.COLUMNS)
    open_ = np.empty((len(points), N_DIRECTIONS), np.float32)
    far, side = 400.0, 128
    for k, direction in enumerate(directions().astype(np.float64)):
        across = np.cross(direction, (0.0, 1.0, 0.0) if abs(direction[1]) < 0.9 else (1.0, 0.0, 0.0))
        across /= np.linalg.norm(across)
        axes = np.stack([across, np.cross(-direction, across), -direction])
        seen = points @ axes.T + (0, 0, far)
        camera = Camera(far * side / 44.0, side / 2, side / 2)
        depth = rasterize(seen, faces, camera, (side, side), cull=False).depth
        view = shifted @ axes.T + (0, 0, far)
        xy = np.clip(np.rint(camera.project(view)), 0, side - 1).astype(int)
        open_[:, k] = view[:, 2] <= depth[xy[:, 1], xy[:, 0]] + 0.25
    grid: F32 = open_.reshape(_head.ROWS, _head.COLUMNS, N_DIRECTIONS)
    for _ in range(2):
        grid = np.asarray((grid + 0.5 * (np.roll(grid, 1, 1) + np.roll(grid, -1, 1))) / np.float32(2), np.float32)
        grid[1:-1] = (grid[1:-1] + 0.5 * (grid[2:] + grid[:-2])) / 2
    return grid


def lamp(kind: str, rng: np.random.Generator | None = None) -> F32:
    """(9, 3) radiance of a kind of light; with `rng` its place, color and strength vary.

    A lamp is a lobe of degree 2 around its direction; its mean over a frontal face is about 1.
    """
    place, strength, around = _LAMPS[kind]
    direction = np.array(place)
    lamp_color, sky_color = np.ones(3), np.ones(3)
    if rng is not None:
        direction = direction + rng.normal(0, 0.18, 3)
        strength, around = strength * np.exp(rng.normal(0, 0.12)), around * np.exp(rng.normal(0, 0.12))
        warmth = rng.normal(0, 0.05, 2)
        lamp_color = np.array([1 + warmth[0], 1.0, 1 - warmth[0]])
        sky_color = np.array([1 + warmth[1], 1.0, 1 - warmth[1]])
    direction /= np.linalg.norm(direction)
    lobe = np.array([1.0] + [1.0] * 3 + [1.0] * 5) * sh9(direction) * 4.2
    sky = np.array([1.0, -0.22, -0.28, 0, 0, 0, 0, 0, 0]) / 0.282095
    light = lobe[:, None] * lamp_color * strength + sky[:, None] * sky_color * around
    return light.astype(np.float32)


def main_direction(light_sh: F32) -> F32:
    """(3,) unit direction of the strongest light."""
    luminance = light_sh @ np.array([0.3, 0.6, 0.1], np.float32)
    direction = np.array([luminance[3], luminance[1], luminance[2]], np.float32)
    length = float(np.linalg.norm(direction))
    return direction / length if length > 1e-6 else np.array([0, 0, -1], np.float32)


def lit(normal: F32, open_: F32, turn: NDArray[np.floating], light_sh: F32) -> tuple[F32, F32]:
    """Irradiance over pi, and the share of the strongest light that arrives.

    Args:
        normal: (V, 3) in the axes of the head.
        open_: (K, 64) visibility of directions for the first K of them; nothing shadows the others.
        turn: (3, 3) from the head's axes to those of the camera.
        light_sh: (9, 3) in the axes of the camera.

    Returns:
        (V, 3) and (V,).
    """
    around = directions()
    radiance = np.maximum(sh9(around @ turn.T) @ light_sh, 0) * np.float32(4 / N_DIRECTIONS)
    facing = normal @ around.T
    np.maximum(facing, 0, out=facing)
    count = len(open_)
    facing[:count] *= open_
    strongest = np.maximum(around @ (turn.T @ main_direction(light_sh)), 0)
    for _ in range(3):
        strongest = strongest * strongest
    arrives = np.ones(len(normal), np.float32)
    arrives[:count] = open_ @ (strongest / strongest.sum())
    return facing @ radiance, arrives


_EXPOSURE, _SHOULDER = 0.9, 0.5


def develop(linear: F32) -> F32:
    """(H, W, 3) linear light to picture values in [0, 1], as a camera does: highlights keep their hue."""
    red, green, blue = (np.asarray(plane, np.float32) for plane in cv2.split(linear))
    most = np.maximum(np.maximum(red, green), np.maximum(blue, np.float32(1e-6))) * np.float32(_EXPOSURE)
    over = np.maximum(most - np.float32(_SHOULDER), 0)
    kept = np.minimum(most, np.float32(_SHOULDER)) + over / (1 + over * np.float32(1 / (1 - _SHOULDER)))
    scale = kept * np.float32(_EXPOSURE) / most
    value: F32 = np.sqrt(np.maximum(linear * np.asarray(cv2.merge([scale, scale, scale]), np.float32), 0))
    return value


def encode(linear: F32) -> F32:
    """Linear light to picture values in [0, 1]."""
    encoded: F32 = np.sqrt(np.clip(linear, 0.0, 1.0))
    return encoded

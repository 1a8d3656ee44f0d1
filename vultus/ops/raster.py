"""Z-buffers for triangle meshes, and shading by spherical harmonics.

`rasterize` says which triangle each pixel sees, to the last edge: triangles are cut into rows and rows into pixels,
all triangles at once, in float64. `carry` only brings values of the vertices to the pixels, in float32 in OpenCV, in
about a tenth of the time; a pixel whose center lies within rounding of an edge may go to either side or, seldom, to
neither.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.ops.pose import Camera
from vultus.types import F32, checked

__all__ = ["Layer", "Raster", "carry", "interpolate", "rasterize", "sh9", "shade"]

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]

_EPS = 1e-6  # pixels: an edge that two triangles share belongs to both


class Raster(NamedTuple):
    """What each pixel sees.

    Attributes:
        face_id: (H, W) int32 index of the nearest triangle, -1 where there is none.
        barycentric: (H, W, 3) float32 weights of its corners in space (perspective-correct), 0 where there is none.
        depth: (H, W) float32 z of the surface at the pixel's center, inf where there is none.
    """

    face_id: I32
    barycentric: F32
    depth: F32


def rasterize(
    vertices: ArrayLike, faces: NDArray[np.integer], camera: Camera, size_hw: tuple[int, int], *, cull: bool = True
) -> Raster:
    """Find the nearest triangle at the center of each pixel.

    Args:
        vertices: (V, 3) camera coordinates.
        faces: (F, 3) indices of vertices; a triangle shows its front when its corners run clockwise as seen.
        camera: that looks at them.
        size_hw: height and width of the picture in pixels.
        cull: leave out triangles that are seen from behind. Triangles that reach behind the camera are always left out.

    Returns:
        A `Raster`.

    Raises:
        InputError: if shapes do not fit or a number is not finite.
    """
    places = checked("vertices", vertices, (None, 3), np.float64)
    if faces.ndim != 2 or faces.shape[1] != 3 or (faces.size and (faces.min() < 0 or faces.max() >= len(places))):
        raise InputError(f"faces: expected (F, 3) indices below {len(places)}, got shape {faces.shape}")
    height, width = size_hw
    if height < 1 or width < 1:
        raise InputError(f"size_hw: expected at least 1 x 1, got {tuple(size_hw)}")
    front = np.maximum(places[:, 2], 1e-9)
    xy = camera.focal * places[:, :2] / front[:, None] + (camera.cx, camera.cy)
    nearness = 1.0 / front
    nearness[places[:, 2] <= 0] = -1.0
    face_of, inverse_depth = _nearest(xy, nearness, faces, (height, width), cull)
    seen = np.flatnonzero(face_of >= 0)
    corners = faces[face_of[seen]]
    weights = _weights(xy, corners, seen, width) * nearness[corners]
    weights /= weights.sum(1, keepdims=True)
    barycentric = np.zeros((height * width, 3), np.float32)
    barycentric[seen] = weights
    depth = np.full(height * width, np.inf, np.float32)
    depth[seen] = 1.0 / inverse_depth[seen]
    return Raster(face_of.reshape(height, width), barycentric.reshape(height, width, 3), depth.reshape(height, width))


def interpolate(raster: Raster, faces: NDArray[np.integer], values: ArrayLike) -> F32:
    """Carry values of vertices to pixels.

    Args:
        raster: of the same faces.
        faces: (F, 3).
        values: (V, C).

    Returns:
        (H, W, C) float32, 0 where there is no surface.
    """
    table = np.asarray(values, np.float32)
    height, width = raster.face_id.shape
    out = np.zeros((height * width, table.shape[1]), np.float32)
    seen = np.flatnonzero(raster.face_id.ravel() >= 0)
    corners = faces[raster.face_id.ravel()[seen]]
    weights = raster.barycentric.reshape(-1, 3)[seen]
    out[seen] = sum(table[corners[:, k]] * weights[:, k : k + 1] for k in range(3))
    return out.reshape(height, width, -1)


class Layer(NamedTuple):
    """What `carry` found.

    Attributes:
        values: (H, W, 3) float32 values of the nearest surface, `blank` where there is none.
        order: (H, W) float32 that grows with depth (1 - NEAR / z), 1 where there is nothing.
    """

    values: F32
    order: F32

    def planes(self) -> tuple[F32, F32, F32]:
        """The three values apart, (H, W) each."""
        first, second, third = cv2.split(self.values)
        return np.asarray(first, np.float32), np.asarray(second, np.float32), np.asarray(third, np.float32)

    @property
    def depth(self) -> F32:
        """(H, W) z of the surface at the pixel's center, inf where there is none."""
        with np.errstate(divide="ignore"):
            z: F32 = np.where(self.order < 1, np.float32(NEAR) / (1 - self.order), np.float32(np.inf))
        return z


NEAR = 10.0
_FAR = 1e9  # so far that order is 1 - NEAR / z in float32
_SETTINGS = {
    True: cv2.TriangleRasterizeSettings().setCullingMode(cv2.RASTERIZE_CULLING_CCW),  # the one it keeps, with y up
    False: cv2.TriangleRasterizeSettings().setCullingMode(cv2.RASTERIZE_CULLING_NONE),
}
for _kind in _SETTINGS.values():
    _kind.setShadingType(cv2.RASTERIZE_SHADING_SHADED)
    _kind.setGlCompatibleMode(cv2.RASTERIZE_COMPAT_INVDEPTH)


def carry(
    vertices: F32,
    faces: NDArray[np.int32],
    values: F32,
    camera: Camera,
    size_hw: tuple[int, int],
    *,
    cull: bool = True,
    behind: F32 | None = None,
    blank: float = -1.0,
) -> Layer:
    """Bring three values per vertex to the pixels that see them, perspective-correct.

    Args:
        vertices: (V, 3) camera coordinates, all in front of the camera; C-contiguous float32, not checked.
        faces: (F, 3) int32, clockwise as seen from their front.
        values: (V, 3) float32.
        camera: that looks at them.
        size_hw: height and width of the picture in pixels.
        cull: leave out triangles that are seen from behind.
        behind: (H, W) `order` of what is there already; what lies behind it is left out.
        blank: value of pixels that see nothing.

    Returns:
        A `Layer`.
    """
    height, width = size_hw
    found = np.full((height, width, 3), blank, np.float32)
    order = np.ones((height, width), np.float32) if behind is None else behind.copy()
    # the camera of OpenCV looks along -z with y up and its axis through the middle of the picture
    to_camera = np.array(
        [
            [1, 0, (camera.cx + 0.5 - width / 2) / camera.focal, 0],
            [0, -1, -(camera.cy + 0.5 - height / 2) / camera.focal, 0],
            [0, 0, -1, 0],
        ]
    )
    if len(faces):
        field = 2 * math.atan(height / 2 / camera.focal)
        cv2.triangleRasterize(vertices, faces, values, found, order, to_camera, field, NEAR, _FAR, _SETTINGS[cull])
    return Layer(found, order)


def sh9(normals: ArrayLike) -> F32:
    """The nine real spherical harmonics of degree 0 to 2.

    Args:
        normals: (..., 3) unit vectors.

    Returns:
        (..., 9) float32 in the order 1; y, z, x; xy, yz, 3z^2-1, xz, x^2-y^2, with the usual constants.
    """
    x, y, z = np.moveaxis(np.asarray(normals, np.float32), -1, 0)
    return np.stack(
        [
            np.full_like(x, 0.282095),
            0.488603 * y,
            0.488603 * z,
            0.488603 * x,
            1.092548 * x * y,
            1.092548 * y * z,
            0.315392 * (3 * z * z - 1),
            1.092548 * x * z,
            0.546274 * (x * x - y * y),
        ],
        axis=-1,
    ).astype(np.float32)


def shade(albedo: ArrayLike, normal: ArrayLike, light_sh: ArrayLike) -> F32:
    """Lambert shading of a surface under distant light (Ramamoorthi and Hanrahan 2001).

    Args:
        albedo: (..., 3) linear reflectance in [0, 1].
        normal: (..., 3) unit vectors.
        light_sh: (9, 3) radiance of the surroundings in spherical harmonics, per color.

    Returns:
        (..., 3) linear radiance, not below 0: albedo times irradiance over pi.
    """
    light = checked("light_sh", light_sh, (9, 3), np.float32)
    lobe = np.array([1.0] + [2 / 3] * 3 + [1 / 4] * 5, np.float32)  # of max(cos, 0), over pi
    irradiance = sh9(normal) @ (lobe[:, None] * light)
    lit: F32 = np.asarray(albedo, np.float32) * np.maximum(irradiance, 0)
    return lit


def _nearest(
    xy: F64, nearness: F64, faces: NDArray[np.integer], size_hw: tuple[int, int], cull: bool
) -> tuple[I32, F64]:
    """Index of the nearest triangle of each pixel, and 1/z there; flat."""
    height, width = size_hw
    face_of = np.full(height * width, -1, np.int32)
    best = np.zeros(height * width)
    x, y = xy[:, 0][faces], xy[:, 1][faces]
    area = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])
    top = np.clip(np.ceil(y.min(1) - _EPS), 0, height).astype(np.intp)
    rows = np.clip(np.floor(y.max(1) + _EPS) + 1, 0, height).astype(np.intp) - top
    good = (area > 1e-9) if cull else (np.abs(area) > 1e-9)
    good &= (rows > 0) & (nearness[faces].min(1) > 0)
    index = np.flatnonzero(good)
    if not len(index):
        return face_of, best
    x, y, area, top, rows = x[index], y[index], area[index], top[index], rows[index]
    tri = np.repeat(np.arange(len(index)), rows)
    row = np.arange(len(tri)) - np.repeat(np.cumsum(rows) - rows, rows) + top[tri]
    low, high = _spans(x, y, area, tri, row)
    left = np.clip(np.ceil(low - _EPS), 0, width).astype(np.intp)
    count = np.clip(np.floor(high + _EPS) + 1, 0, width).astype(np.intp) - left
    np.maximum(count, 0, out=count)
    span = np.repeat(np.arange(len(tri)), count)
    column = np.arange(len(span)) - np.repeat(np.cumsum(count) - count - left, count)
    # 1/z is linear on the picture
    near = nearness[faces[index]]
    ax, ay = x[:, 1:] - x[:, :1], y[:, 1:] - y[:, :1]
    an = near[:, 1:] - near[:, :1]
    slope_x = (an[:, 0] * ay[:, 1] - an[:, 1] * ay[:, 0]) / area
    slope_y = (an[:, 1] * ax[:, 0] - an[:, 0] * ax[:, 1]) / area
    start = (near[:, 0] - slope_x * x[:, 0] - slope_y * y[:, 0])[tri] + slope_y[tri] * row
    value = slope_x[tri][span] * column + start[span]
    pixel = row[span] * width + column
    np.maximum.at(best, pixel, value)
    won = value == best[pixel]
    face_of[pixel[won]] = index[tri[span[won]]]
    return face_of, best


def _spans(x: F64, y: F64, area: F64, tri: NDArray[np.intp], row: NDArray[np.intp]) -> tuple[F64, F64]:
    """First and last x of each row of each triangle."""
    low, high = np.full(len(tri), -np.inf), np.full(len(tri), np.inf)
    turn = np.sign(area)
    for a, b in ((0, 1), (1, 2), (2, 0)):
        dx, dy = x[:, b] - x[:, a], y[:, b] - y[:, a]
        flat = np.abs(dy) < 1e-12
        slope = dx / np.where(flat, 1.0, dy)
        cross = (x[:, a] - slope * y[:, a])[tri] + slope[tri] * row
        side = np.where(flat, 0.0, np.sign(dy) * turn)[tri]
        np.maximum(low, np.where(side < 0, cross, -np.inf), out=low)
        np.minimum(high, np.where(side > 0, cross, np.inf), out=high)
    return low, high


def _weights(xy: F64, corners: NDArray[np.integer], seen: NDArray[np.intp], width: int) -> F64:
    """(N, 3) weights of the corners on the picture."""
    p0, p1, p2 = xy[corners[:, 0]], xy[corners[:, 1]], xy[corners[:, 2]]
    row, column = np.divmod(seen, width)
    (dx1, dy1), (dx2, dy2) = (p1 - p0).T, (p2 - p0).T
    px, py = column - p0[:, 0], row - p0[:, 1]
    area = dx1 * dy2 - dx2 * dy1
    second, third = (px * dy2 - dx2 * py) / area, (dx1 * py - px * dy1) / area
    weights = np.stack([1 - second - third, second, third], axis=1)
    result: NDArray[np.float64] = np.clip(weights, 0.0, None)
    return result

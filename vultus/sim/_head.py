"""The head: a grid of tilted slices with a nose, sockets, lips and chin pressed into it, and the bases that vary it.

Centimeters, in the axes of the camera: x to the viewer's right, y down, z away from it. The origin lies between the
eyes' pupils and the ears; a face looks along -z. `forward` means -z. A vertex is named by its row (crown to neck) and
column (around the head, the face in the middle).
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.types import F32

__all__ = [
    "ACTIVATIONS",
    "COLUMNS",
    "CURVES",
    "EXPRESSIONS",
    "N_EXPRESSION",
    "N_SHAPE",
    "ROWS",
    "Template",
    "activations",
    "curve",
    "expression_basis",
    "face_normals",
    "grid_faces",
    "lod_grid",
    "normals",
    "shape_basis",
    "template",
]

F64 = NDArray[np.float64]
ROWS, COLUMNS = 53, 73
N_SHAPE, N_EXPRESSION = 40, 14
VARIETY = 1.35  # on the deviations of _MESH: people of this world differ somewhat more than those of ours

# Slices from the crown to the base of the neck: t, front (y, forward), side (y, half width, forward), back (y,
# forward), roundness of the front half (2 is an ellipse, more is squarer)
_SLICES = np.array(
    [
        #  t     fy     ff    sy     w     sf    by    bf    round
        [0.000, -12.0, -1.0, -12.0, 0.0, -1.0, -12.0, -1.0, 2.0],
        [0.035, -11.6, 3.0, -11.2, 3.7, -1.0, -11.1, -5.2, 2.0],
        [0.075, -10.2, 6.6, -9.3, 6.0, -1.0, -8.9, -8.2, 2.0],
        [0.120, -7.9, 8.9, -6.8, 7.2, -0.9, -6.0, -9.6, 2.1],
        [0.165, -5.2, 9.9, -4.4, 7.6, -0.7, -3.4, -9.9, 2.25],
        [0.220, -2.2, 10.15, -1.9, 7.55, -0.4, -0.6, -9.4, 2.35],
        [0.320, 0.0, 9.7, 0.0, 7.35, -0.1, 1.4, -8.6, 2.25],
        [0.450, 2.5, 9.55, 2.2, 7.1, 0.1, 3.2, -7.7, 2.2],
        [0.570, 4.8, 9.6, 4.3, 6.75, 0.2, 4.8, -7.0, 2.1],
        [0.670, 6.7, 9.6, 6.0, 6.4, 0.1, 6.3, -6.5, 2.05],
        [0.760, 8.6, 9.35, 7.3, 6.05, -0.1, 7.8, -6.3, 2.0],
        [0.830, 10.3, 9.2, 8.3, 5.75, -0.5, 9.0, -6.3, 1.95],
        [0.880, 11.5, 8.3, 9.1, 5.4, -1.0, 10.0, -6.4, 1.9],
        [0.915, 11.9, 6.0, 10.0, 5.1, -1.7, 11.2, -6.6, 1.9],
        [0.950, 12.8, 3.9, 11.8, 5.2, -2.0, 12.6, -6.9, 2.0],
        [1.000, 18.5, 3.2, 18.0, 6.4, -2.4, 17.0, -7.6, 2.0],
    ]
)

_NOSE_Y = [-2.2, -1.2, -0.5, 0.5, 1.5, 2.5, 3.2, 3.65, 4.05, 4.5, 4.85, 5.3]
_NOSE_FORWARD = [0.0, 0.05, 0.12, 0.5, 1.1, 1.75, 2.2, 2.35, 2.15, 1.2, 0.4, 0.0]
_NOSE_WIDTH = [0.8, 0.75, 0.72, 0.74, 0.8, 0.92, 1.02, 1.08, 1.1, 1.05, 0.95, 0.8]

# Pressed into the slices, forward: x (mirrored unless 0), y, sigma x, sigma y, forward
_RELIEF = (
    (3.0, 0.2, 1.75, 1.0, -0.62),  # sockets
    (1.75, -0.1, 0.62, 0.75, -0.55),  # inner corners
    (3.15, 0.12, 0.95, 0.8, 0.62),  # eyeballs under their lids
    (2.9, -1.75, 1.8, 0.6, 0.2),  # ridges of the brows
    (0.0, -1.7, 0.8, 0.6, 0.1),  # glabella
    (4.5, 2.7, 1.5, 1.0, 0.35),  # cheekbones
    (4.1, 5.6, 1.2, 1.4, -0.2),  # cheeks below them
    (1.32, 3.95, 0.42, 0.42, 0.75),  # wings of the nose
    (0.0, 3.6, 0.55, 0.5, 0.3),  # tip
    (2.0, 4.1, 0.4, 0.6, -0.22),  # behind the wings
    (0.0, 6.7, 2.1, 1.6, 0.5),  # muzzle
    (0.75, 6.22, 0.9, 0.3, 0.22),  # upper lip
    (0.0, 7.25, 1.25, 0.36, 0.38),  # lower lip
    (2.6, 6.75, 0.45, 0.4, -0.2),  # corners of the mouth
    (0.0, 8.45, 1.3, 0.42, -0.3),  # under the lower lip
    (0.0, 10.0, 1.35, 0.85, 0.55),  # chin
    (0.0, 5.5, 0.3, 0.5, -0.12),  # philtrum
    (3.0, -4.9, 2.0, 1.2, 0.12),  # frontal bosses
    (5.9, -2.2, 0.9, 1.7, -0.25),  # temples
)


class Template(NamedTuple):
    """The mean head.

    Attributes:
        xyz: (ROWS, COLUMNS, 3) cm.
        xy0: (ROWS, COLUMNS, 2) chart of the face: x, y of the neutral mean, on which brows, eyes and lips are drawn.
        ahead: (ROWS, COLUMNS) 1 in front, 0 behind the ears.
        phi: (COLUMNS,) angle around the head, 0 in front, radians.
        t: (ROWS,) place between crown 0 and neck 1.
    """

    xyz: F32
    xy0: F32
    ahead: F32
    phi: F64
    t: F64


def curve(knots: NDArray[np.floating] | list[float], values: NDArray[np.floating] | list[float], at: F64) -> F64:
    """Cubic curve through knots without overshoot (Fritsch-Carlson), constant outside; values (K,) or (K, C)."""
    x, y = np.asarray(knots, np.float64), np.asarray(values, np.float64)
    flat = y.ndim == 1
    y = y[:, None] if flat else y
    gap = np.diff(x)[:, None]
    rise = np.diff(y, axis=0) / gap
    slope = np.zeros_like(y)
    slope[0], slope[-1] = rise[0], rise[-1]
    left, right, w1, w2 = rise[:-1], rise[1:], 2 * gap[1:] + gap[:-1], gap[1:] + 2 * gap[:-1]
    same = left * right > 0
    safe_left, safe_right = np.where(same, left, 1.0), np.where(same, right, 1.0)
    slope[1:-1] = np.where(same, (w1 + w2) / (w1 / safe_left + w2 / safe_right), 0.0)
    at = np.clip(np.asarray(at, np.float64), x[0], x[-1])
    k = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
    h = (x[k + 1] - x[k])[..., None]
    s = (at - x[k])[..., None] / h
    out = (
        (2 * s**3 - 3 * s**2 + 1) * y[k]
        + (s**3 - 2 * s**2 + s) * h * slope[k]
        + (3 * s**2 - 2 * s**3) * y[k + 1]
        + (s**3 - s**2) * h * slope[k + 1]
    )
    return out[..., 0] if flat else out


def bump(x: F64, y: F64, at: tuple[float, float], size: tuple[float, float]) -> F64:
    """A Gaussian on the chart of the face, mirrored unless it lies on the middle."""
    cx, cy = at
    tall = ((y - cy) / size[1]) ** 2
    one: F64 = np.exp(-0.5 * (((x - cx) / size[0]) ** 2 + tall))
    if cx:
        one = one + np.exp(-0.5 * (((x + cx) / size[0]) ** 2 + tall))
    return one


@cache
def template() -> Template:
    """The mean head, made once."""
    u = np.linspace(-1, 1, COLUMNS)
    phi = np.pi * np.sign(u) * (0.30 * np.abs(u) + 0.70 * np.abs(u) ** 2.6)
    t = np.linspace(0, 1, ROWS)
    slices = _smooth_slices(t)
    fy, ff, sy, w, sf, by, bf, rounding = (slices[:, k, None] for k in range(8))
    c, s = np.cos(phi)[None], np.sin(phi)[None]
    ahead = c >= 0
    power = np.where(ahead, 2.0 / rounding, 1.0)
    far = np.abs(c) ** power
    forward = np.where(ahead, sf + (ff - sf) * far, sf + (bf - sf) * far)
    x = w * np.sign(s) * np.abs(s) ** power
    y = np.where(ahead, sy + (fy - sy) * np.abs(c) ** 1.4, sy + (by - sy) * np.abs(c) ** 1.4)
    weight = np.clip((c + 0.05) / 0.35, 0, 1)
    weight = weight * weight * (3 - 2 * weight) * (t[:, None] > 0.05)
    nose = curve(_NOSE_Y, _NOSE_FORWARD, y) * np.exp(-((np.abs(x) / curve(_NOSE_Y, _NOSE_WIDTH, y)) ** 2.0))
    relief = sum(a * bump(x, y, (cx, cy), (sx, sy_)) for cx, cy, sx, sy_, a in _RELIEF)
    forward = forward + weight * (nose + relief)
    xyz = np.stack([x, y, -forward], axis=-1).astype(np.float32)
    xy0 = np.stack([x, y], axis=-1).astype(np.float32)
    return Template(xyz, xy0, weight.astype(np.float32), phi, t)


def _smooth_slices(t: F64) -> F64:
    """The slices at t, without the creases that a curve through few knots has."""
    dense = np.linspace(0, 1, 401)
    values = curve(_SLICES[:, 0], _SLICES[:, 1:], dense)
    reach = np.arange(-24, 25)
    kernel = np.exp(-0.5 * (reach / 9.0) ** 2)
    padded = np.pad(values, ((24, 24), (0, 0)), mode="reflect", reflect_type="odd")
    soft = np.stack([np.convolve(padded[:, k], kernel / kernel.sum(), "valid") for k in range(values.shape[1])], 1)
    soft[:, 3] = np.where(dense < 0.06, values[:, 3], soft[:, 3])
    return np.stack([np.interp(t, dense, soft[:, k]) for k in range(values.shape[1])], axis=1)


def normals(grid: F32, *, closed: bool = False) -> F32:
    """(R, C, 3) outward unit normals of a grid whose rows run down and whose columns run to the viewer's right.

    Args:
        grid: (R, C, 3).
        closed: whether the first column is the last one again.
    """
    down, right = np.empty_like(grid), np.empty_like(grid)
    np.subtract(grid[2:], grid[:-2], out=down[1:-1])
    down[0], down[-1] = grid[1] - grid[0], grid[-1] - grid[-2]
    np.subtract(grid[:, 2:], grid[:, :-2], out=right[:, 1:-1])
    if closed:
        right[:, 0] = right[:, -1] = grid[:, 1] - grid[:, -2]
    else:
        right[:, 0], right[:, -1] = grid[:, 1] - grid[:, 0], grid[:, -1] - grid[:, -2]
    return _across(down, right)


def face_normals(grid: F32, lod: int) -> F32:
    """(R, C, 3) what `normals` says of the head's full grid, at the vertices of a level of detail."""
    flat = grid.reshape(-1, 3)
    below, above, right, left = _neighbors(lod)
    return _across(flat[below] - flat[above], flat[right] - flat[left])


@cache
def _neighbors(lod: int) -> tuple[NDArray[np.intp], ...]:
    """Index of the vertex below, above, to the right and to the left of each one that a level of detail keeps."""
    rows, columns = lod_grid(lod)
    below, above = np.minimum(rows + 1, ROWS - 1), np.maximum(rows - 1, 0)
    right = np.where(columns == COLUMNS - 1, 1, columns + 1)  # the first column is the last one again
    left = np.where(columns == 0, COLUMNS - 2, columns - 1)
    pairs = ((below, columns), (above, columns), (rows, right), (rows, left))
    return tuple(r[:, None] * COLUMNS + c[None] for r, c in pairs)


def _across(down: F32, right: F32) -> F32:
    """Unit normals of a surface from its steps down and to the right."""
    dx, dy, dz = (np.asarray(plane, np.float32) for plane in cv2.split(down))
    rx, ry, rz = (np.asarray(plane, np.float32) for plane in cv2.split(right))
    nx, ny, nz = _minus(dy * rz, dz * ry), _minus(dz * rx, dx * rz), _minus(dx * ry, dy * rx)
    scale = 1 / (np.sqrt(nx * nx + ny * ny + nz * nz) + np.float32(1e-9))
    for plane in (nx, ny, nz):
        plane *= scale
    out: F32 = np.asarray(cv2.merge([nx, ny, nz]), np.float32)
    return out


def _minus(a: F32, b: F32) -> F32:
    a -= b
    return a


def grid_faces(rows: int, columns: int) -> NDArray[np.int32]:
    """(F, 3) triangles of a grid, clockwise as seen from outside."""
    index = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1].ravel(), index[:-1, 1:].ravel(), index[1:, 1:].ravel(), index[1:, :-1].ravel()
    return np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])


@cache
def lod_grid(lod: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the full grid that a level of detail keeps: 675, 1323 or 3869 vertices."""
    if lod == 2:
        return np.arange(ROWS), np.arange(COLUMNS)
    middle, half = COLUMNS // 2, 12
    if lod == 1:
        columns = [
            *range(0, middle - half, 2),
            *range(middle - half, middle + half + 1),
            *range(middle + half + 2, COLUMNS, 2),
        ]
    else:
        columns = [
            *range(0, middle - half, 4),
            *range(middle - half, middle + half + 1, 2),
            *range(middle + half + 4, COLUMNS, 4),
        ]
    return np.arange(0, ROWS, 2), np.array(columns, np.intp)


# ---------------------------------------------------------------- identity
# name: x, y, sigma x, sigma y, move (x away from the middle, y down, forward) in cm for one standard deviation
_MESH: dict[str, tuple[float, float, float, float, float, float, float]] = {
    "nose length": (0.0, 3.9, 1.5, 1.1, 0.0, 0.30, 0.0),
    "nose projection": (0.0, 3.5, 1.1, 1.2, 0.0, 0.0, 0.30),
    "nose width": (1.25, 3.9, 0.7, 0.8, 0.20, 0.0, 0.0),
    "nose bridge width": (0.7, 1.0, 0.6, 1.6, 0.10, 0.0, 0.0),
    "nose bridge height": (0.0, 0.8, 0.7, 1.3, 0.0, 0.0, 0.25),
    "nose tip lift": (0.0, 3.7, 0.7, 0.6, 0.0, -0.17, 0.05),
    "nose hump": (0.0, 1.8, 0.55, 0.7, 0.0, 0.0, 0.16),
    "nose root depth": (0.0, -0.6, 0.8, 0.6, 0.0, 0.0, 0.15),
    "eye spacing": (3.15, 0.1, 1.6, 1.3, 0.18, 0.0, 0.0),
    "eye height": (3.15, 0.1, 1.6, 1.2, 0.0, 0.22, 0.0),
    "eye depth": (3.15, 0.1, 1.5, 1.0, 0.0, 0.0, 0.20),
    "brow ridge": (2.8, -1.8, 1.8, 0.6, 0.0, 0.0, 0.18),
    "brow height": (3.0, -2.2, 1.9, 0.9, 0.0, 0.25, 0.0),
    "cheekbone width": (5.6, 2.3, 1.5, 1.8, 0.30, 0.0, 0.0),
    "cheekbone height": (4.6, 2.6, 1.5, 1.3, 0.0, -0.30, 0.15),
    "cheek fullness": (4.5, 5.4, 1.4, 1.7, 0.25, 0.0, 0.25),
    "jaw width": (5.4, 7.8, 1.6, 2.0, 0.45, 0.0, 0.0),
    "jaw corner": (5.2, 8.6, 1.5, 1.2, 0.20, 0.35, 0.0),
    "chin length": (0.0, 10.8, 2.2, 1.4, 0.0, 0.50, 0.0),
    "chin width": (1.7, 10.4, 1.1, 1.1, 0.35, 0.0, 0.0),
    "chin projection": (0.0, 10.2, 1.5, 1.1, 0.0, 0.0, 0.35),
    "mouth height": (0.0, 6.8, 2.6, 1.3, 0.0, 0.22, 0.0),
    "mouth width": (2.3, 6.7, 1.1, 1.0, 0.24, 0.0, 0.0),
    "mouth projection": (0.0, 6.8, 1.9, 1.2, 0.0, 0.0, 0.22),
    "forehead height": (0.0, -7.5, 6.0, 2.2, 0.0, -0.45, 0.0),
    "forehead width": (5.5, -4.5, 2.2, 2.6, 0.28, 0.0, 0.0),
    "forehead slope": (0.0, -6.0, 4.0, 2.2, 0.0, 0.0, 0.35),
    "face length": (0.0, 9.0, 7.0, 4.5, 0.0, 0.45, 0.0),
    "temple width": (6.6, -1.8, 1.3, 2.2, 0.22, 0.0, 0.0),
    "philtrum length": (0.0, 6.3, 2.4, 1.6, 0.0, 0.15, 0.0),
}
# Curves drawn on the chart; the numbers are standard deviations in the units of `_features`
CURVES = (
    "eye opening",
    "eye width",
    "eye tilt",
    "eye fold",
    "iris size",
    "upper lip",
    "lower lip",
    "cupid bow",
    "brow thickness",
    "brow arch",
    "brow tilt",
    "brow length",
    "brow spacing",
    "ear size",
)
_UNEVEN: dict[str, tuple[float, float, float, float, float, float, float]] = {
    "nose bent": (0.0, 3.0, 1.0, 1.5, 0.09, 0.0, 0.0),
    "mouth bent": (1.6, 6.8, 1.2, 0.9, 0.0, 0.07, 0.0),
    "eye uneven": (3.15, 0.1, 1.3, 1.0, 0.0, 0.06, 0.0),
    "jaw uneven": (4.5, 8.5, 1.8, 2.0, 0.12, 0.0, 0.0),
}
ACTIVATIONS = (*_MESH, *_UNEVEN, *CURVES)


@cache
def _mixing() -> F64:
    """(48, 40): from the code to activations of unit variance; principal components of their covariance."""
    count = len(ACTIVATIONS)
    loads = np.random.default_rng(20261125).normal(size=(count, N_SHAPE)) / np.sqrt(N_SHAPE)
    covariance = loads @ loads.T + 0.6 * np.diag(np.linspace(1.05, 0.95, count))
    wide, tall = ACTIVATIONS.index("eye width"), ACTIVATIONS.index("eye opening")
    covariance[wide, tall] = covariance[tall, wide] = 0.4  # big eyes are wide and high
    size, vectors = np.linalg.eigh(covariance)
    vectors, size = vectors[:, ::-1][:, :N_SHAPE], size[::-1][:N_SHAPE]
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(0), np.arange(N_SHAPE)])
    matrix = vectors * np.sqrt(size)
    matrix /= np.sqrt((matrix**2).sum(1, keepdims=True))
    rounded: F64 = np.round(matrix, 6)  # the same on every platform
    return rounded


def activations(z_shape: NDArray[np.floating]) -> dict[str, float]:
    """The named measures of a face, in standard deviations, from its 40 shape numbers."""
    return dict(zip(ACTIVATIONS, (_mixing() @ np.asarray(z_shape, np.float64)).tolist(), strict=True))


@cache
def shape_basis() -> F32:
    """(ROWS, COLUMNS, 3, 40) cm for one standard deviation."""
    x, y = np.moveaxis(template().xy0.astype(np.float64), -1, 0)
    side = np.tanh(x / 0.6)
    # the sides of the head and the neck do not follow the face all the way
    depth = np.clip((-template().xyz[..., 2].astype(np.float64) + 3.0) / 5.0, 0, 1)
    fields = []
    for name, (cx, cy, sx, sy, mx, my, mf) in {**_MESH, **_UNEVEN}.items():
        near = np.minimum(bump(x, y, (cx, cy), (sx, sy)), 1.3) * depth
        left_right = side if name in _MESH else np.ones_like(x)
        sign = 1.0 if name in _MESH or not cx else np.sign(x)  # uneven: up on one side, down on the other
        fields.append(np.stack([mx * left_right * near, my * near * sign, -mf * near], axis=-1))
    drawn = VARIETY * np.stack(fields, axis=-1)
    basis = drawn @ _mixing()[: len(fields)]
    return np.round(basis, 6).astype(np.float32)


# ---------------------------------------------------------------- expression
EXPRESSIONS = (
    "smile",
    "jaw open",
    "lips part",
    "brow lower",
    "brow raise",
    "brow inner raise",
    "mouth frown",
    "lips press",
    "pucker",
    "cheek raise",
    "blink left",
    "blink right",
    "eyes wide",
    "nose wrinkle",
)


@cache
def expression_basis() -> F32:
    """(ROWS, COLUMNS, 3, 14) cm at full strength; blinking and parting of the lips are drawn, not moved."""
    x, y = np.moveaxis(template().xy0.astype(np.float64), -1, 0)
    side, weight = np.tanh(x / 0.8), template().ahead.astype(np.float64)
    basis = np.zeros((ROWS, COLUMNS, 3, N_EXPRESSION))

    def move(name: str, at: tuple[float, float], size: tuple[float, float], by: tuple[float, float, float]) -> None:
        near = np.minimum(bump(x, y, at, size), 1.2) * weight
        k = EXPRESSIONS.index(name)
        basis[..., k] += np.stack([by[0] * side * near, by[1] * near, -by[2] * near], axis=-1)

    move("smile", (2.5, 6.6), (0.9, 0.75), (0.62, -0.55, -0.25))
    move("smile", (3.9, 3.9), (1.1, 1.1), (0.15, -0.35, 0.35))
    move("smile", (0.0, 6.8), (1.4, 0.6), (0.0, 0.02, -0.22))
    jaw = np.clip((y - 6.3) / 2.6, 0, 1) ** 0.8 * np.clip((-template().xyz[..., 2] - 0.5) / 7.0, 0, 1)
    jaw *= np.clip((template().xyz[..., 2] + 10.0) / -3.0 + 4.0, 0, 1) * (template().t[:, None] < 0.93)
    basis[..., 1, 1] = 1.9 * jaw
    basis[..., 2, 1] = 0.45 * jaw
    move("jaw open", (4.2, 5.6), (1.1, 1.8), (-0.22, 0.25, -0.1))
    move("brow lower", (1.6, -1.6), (1.1, 0.8), (-0.16, 0.45, 0.12))
    move("brow lower", (3.6, -2.0), (1.2, 0.7), (0.0, 0.15, 0.05))
    move("brow raise", (3.0, -2.1), (1.9, 1.0), (0.0, -0.65, 0.0))
    move("brow inner raise", (1.3, -1.9), (0.8, 0.8), (-0.05, -0.55, 0.05))
    move("brow inner raise", (4.4, -1.6), (0.9, 0.7), (0.0, 0.15, 0.0))
    move("mouth frown", (2.4, 6.8), (0.8, 0.8), (0.08, 0.5, -0.05))
    move("mouth frown", (0.0, 7.6), (1.2, 0.6), (0.0, -0.12, 0.1))
    move("lips press", (0.0, 6.7), (2.2, 0.7), (0.0, 0.0, -0.2))
    move("pucker", (2.0, 6.7), (1.0, 0.9), (-0.7, 0.0, 0.2))
    move("pucker", (0.0, 6.7), (1.2, 0.9), (0.0, 0.0, 0.45))
    move("cheek raise", (3.9, 2.6), (1.4, 1.0), (0.0, -0.4, 0.3))
    move("nose wrinkle", (1.2, 3.6), (0.8, 0.9), (0.1, -0.3, 0.05))
    return np.round(basis, 6).astype(np.float32)

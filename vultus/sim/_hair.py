"""Hair as a shell of strands over a head: a sheet that follows the skull to the hairline and may hang on from there."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.sim import _chart, _head, _paint
from vultus.sim._layout import face_grid
from vultus.types import F32

__all__ = ["COLORS", "STYLES", "beard", "beard_cover", "hair_color", "hairline", "scalp", "sheet", "strands"]

F = NDArray[np.floating]

# picture values
_RGB = {
    "black": (34, 29, 28), "brown": (82, 56, 40), "blonde": (196, 160, 104), "red": (140, 68, 38),
    "gray": (168, 165, 162), "blue": (62, 92, 160),
}  # fmt: skip
COLORS = tuple(_RGB)


class Style(NamedTuple):
    """One way to wear hair; centimeters."""

    top: float  # thickness on the crown
    side: float  # at the temples and behind
    hang: float  # how far the sides hang below the hairline, 0 for short hair
    fringe: float  # how far the front hangs over the forehead
    curl: float  # roughness of the surface
    part: float  # where it is parted: -1 viewer's left to 1, 0 in no place
    recede: float = 0.0  # how far the hairline has gone back


STYLES: dict[str, Style] = {
    "short": Style(1.5, 0.7, 0.0, 0.0, 0.10, 0.0),
    "long": Style(1.2, 1.3, 17.0, 0.0, 0.15, 0.0),
    "curly": Style(3.0, 2.6, 2.5, 0.6, 0.55, 0.0),
    "bald": Style(0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "side part": Style(2.1, 0.8, 0.0, 1.2, 0.12, -0.45),
    "bob": Style(1.4, 1.7, 8.5, 3.2, 0.10, 0.0),
    "tied back": Style(0.6, 0.45, 0.0, 0.0, 0.04, 0.0),
    "receding": Style(0.7, 0.6, 0.0, 0.0, 0.08, 0.0, 0.085),
}


def hair_color(name: str, age: float = 30.0, gray_at: float = 52.0) -> F32:
    """(3,) linear albedo; hair grays with age."""
    base = (np.array(_RGB[name]) / 255.0) ** 2
    gray = (np.array(_RGB["gray"]) / 255.0) ** 2
    share = min(max((age - gray_at) / 22.0, 0.0), 1.0) if name not in ("gray", "blue") else 0.0
    return (base + (gray - base) * share * 0.9).astype(np.float32)


_PHI = np.radians([0, 25, 42, 56, 68, 78, 88, 98, 112, 135, 180])
_HAIRLINE = np.array([0.128, 0.132, 0.145, 0.185, 0.26, 0.38, 0.30, 0.285, 0.50, 0.66, 0.68])


def hairline(phi: F, recede: float) -> F:
    """T of the hairline at an angle around the head."""
    line = _head.curve(_PHI, _HAIRLINE, np.abs(phi))
    corner = np.exp(-(((np.abs(phi) - 0.75) / 0.35) ** 2)) + 0.6 * np.exp(-((phi / 0.6) ** 2))
    result: NDArray[np.floating] = line - recede * corner
    return result


@cache
def scalp(side: int, recede: float = 0.0) -> F32:
    """(T, T) where hair grows on the head, with a soft edge."""
    f = _paint.fields(side)
    line = hairline(f.phi, recede)
    rough = 0.012 * (_paint.streaks(side, side, 3) - 0.5)
    return np.clip((line - f.t + rough) / 0.022 + 0.5, 0, 1).astype(np.float32)


@cache
def _wave(seed: int, rows: int, columns: int, cells: tuple[int, int]) -> F32:
    """Smooth noise that closes around the head, mean 0."""
    rng = np.random.default_rng(seed)
    small = rng.normal(size=cells).astype(np.float32)
    small[:, -1] = small[:, 0]
    return np.asarray(cv2.resize(small, (columns, rows), interpolation=cv2.INTER_CUBIC), np.float32)


@cache
def _plan(style: str, rows: int, columns: int) -> tuple[F32, F32, F32]:
    """Where each vertex leaves the head: u v (R, C, 2), thickness (R, C), and how far below that it hangs (R, C)."""
    s = STYLES[style]
    phi = np.linspace(-np.pi, np.pi, columns)
    phi = np.sign(phi) * np.pi * (0.75 * np.abs(phi) / np.pi + 0.25 * (np.abs(phi) / np.pi) ** 3)
    line = hairline(phi, s.recede)
    front = np.clip((np.radians(58) - np.abs(phi)) / np.radians(22), 0, 1)
    back = 1 - front
    part = np.exp(-(((phi / np.radians(40)) - s.part) ** 2) / 0.1) if s.part else np.zeros(columns)
    fringe = front * s.fringe * (1 - 0.9 * part) * (1 + 0.15 * np.sin(phi * 9))
    side_hang = s.hang * np.clip((np.abs(phi) - np.radians(52)) / np.radians(16), 0, 1) ** 1.2
    hang = fringe + side_hang
    k = np.linspace(0, 1, rows)[:, None]
    share = np.where(hang > 0.02, np.clip(1 - 0.25 * np.clip(hang / 1.5, 0, 1) - 0.02 * hang, 0.42, 1), 1.0)[None]
    on_skull = np.clip(k / share, 0, 1)
    below = np.clip((k - share) / np.maximum(1 - share, 1e-6), 0, 1)
    t = line[None] * on_skull**0.9
    edge = np.clip((1.02 - k) / 0.42, 0, 1) ** 0.7
    crown = np.clip(1 - t / 0.2, 0, 1)
    thick = s.side + (s.top - s.side) * np.maximum(crown**0.7, 0.85 * front[None] * on_skull)
    loose = np.clip(hang[None] / 1.5, 0, 1)
    end = edge + (1 - edge) * loose
    front_roll = 1 + 0.35 * front[None] * on_skull * (hang[None] < 3)
    thick = 0.12 + thick * end * front_roll * (1 - 0.55 * part[None] * (on_skull > 0.3))
    lumps = 1 + (0.9 * s.curl + 0.1) * _wave(7, rows, columns, (7, 15)) * 0.5
    lumps = lumps + s.curl * 0.35 * _wave(11, rows, columns, (13, 31))
    uv = _chart.uv_of_phi_t(np.broadcast_to(phi[None], t.shape), t)
    return (
        uv,
        (thick * np.clip(lumps, 0.72, 1.3)).astype(np.float32),
        (hang[None] * below * back[None] + fringe[None] * below * front[None]).astype(np.float32),
    )


def _take(grid: F32, uv: F32) -> F32:
    high, wide = grid.shape[:2]
    return np.asarray(
        cv2.remap(
            grid, uv[..., 0] * (wide - 1), uv[..., 1] * (high - 1), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        ),
        np.float32,
    )


def sheet(style: str, head: F32, normal: F32, lod: int, pressed: bool = False) -> tuple[F32, F32]:
    """The hair of a head in a style that is not bald.

    Args:
        style: key of `STYLES`.
        head: (ROWS, COLUMNS, 3) cm, in the head's axes.
        normal: (ROWS, COLUMNS, 3).
        lod: 0 to 2.
        pressed: under a hat.

    Returns:
        (R, C, 3) vertices in the head's axes, and the light that reaches them (R, C).
    """
    s = STYLES[style]
    rows, columns = ((13, 25), (21, 41), (29, 61))[lod]
    uv, thick, hang = _plan(style, rows, columns)
    if pressed:
        thick = np.minimum(thick, np.where(uv[..., 1] < 0.3, 0.9, 1.6)).astype(np.float32)
    root, out = _take(head, uv), _take(normal, uv)
    place = root + out * thick[..., None]
    drop = hang[..., None]
    fall = np.zeros_like(place)
    fall[..., 1] = hang
    radial = np.stack([root[..., 0], np.zeros_like(hang), root[..., 2]], -1)
    radial /= np.linalg.norm(radial, axis=-1, keepdims=True) + 1e-6
    flow = 1 - np.exp(-drop / 5.0)
    wave = _wave(5, rows, columns, (6, 21))[..., None]
    bulge = radial * (0.9 * flow * np.sin(np.clip(drop / max(s.hang, 4.0), 0, 1) * 2.4) + 0.35 * s.curl * wave * flow)
    long_ones = np.clip(drop - 3.5, 0, None)
    bulge[..., 2:] += 0.12 * long_ones * (root[..., 2:] < 1.0)  # behind the shoulders' front
    place = place + fall + bulge
    place[..., 2:] -= np.clip(drop, 0, 1.2) * (drop <= 4.5) * (root[..., 2:] < -4) * 0.25
    depth = np.clip(thick / max(s.top, s.side, 0.5), 0, 1)
    reach = (0.62 + 0.38 * depth) * (1 - 0.25 * np.clip(hang / 16.0, 0, 1))
    return place.astype(np.float32), reach.astype(np.float32)


@cache
def strands(style: str, side: int) -> tuple[F32, F32]:
    """Brightness (T, T) around 1 and cover (T, T) of a style's strands."""
    s = STYLES[style]
    fine = _paint.streaks(side, 4 * side, 21, along=4 if s.curl < 0.3 else 40)
    fine = np.asarray(cv2.resize(fine, (side, side), interpolation=cv2.INTER_AREA), np.float32)
    coarse = _paint.streaks(side, side, 22, along=3 if s.curl < 0.3 else 30)
    value = 0.35 + 0.9 * fine * 0.6 + 0.75 * coarse * 0.6
    k = np.linspace(0, 1, side, dtype=np.float32)[:, None]
    ragged = _paint.streaks(side, side, 23, along=2)
    locks = _paint.streaks(side, side, 41, along=2)
    reach = 0.09 if s.hang or s.fringe else 0.06
    alpha = np.clip((1 - k - 0.11 * locks) / reach + (ragged - 0.62) * 1.2, 0, 1)
    return value.astype(np.float32), alpha.astype(np.float32)


def beard(head: F32, normal: F32, lod: int) -> tuple[F32, F32]:
    """A full beard with a mustache on the face's own grid: vertices (R, C, 3) and normals."""
    index = np.ix_(*face_grid("beard", lod))
    thick, drop = _beard_form()
    out = normal[index]
    place = head[index] + out * thick[index][..., None]
    place[..., 1] += drop[index]
    return place.astype(np.float32), out


@cache
def _beard_form() -> tuple[F32, F32]:
    """(ROWS, COLUMNS) how thick a full beard is and how far it hangs."""
    x, y = np.moveaxis(_head.template().xy0, -1, 0)
    v = np.rint(np.linspace(0, 255, _head.ROWS)).astype(int)
    u = np.rint(np.linspace(0, 255, _head.COLUMNS)).astype(int)
    cover = _paint.fields(256).stubble[np.ix_(v, u)]
    tuft = 1 + 0.25 * _wave(31, _head.ROWS, _head.COLUMNS, (17, 23))
    chin = np.exp(-((x / 3.0) ** 2)) * (y > 8)
    return (cover * (0.25 + 0.55 * chin) * tuft + 0.03).astype(np.float32), (0.5 * chin * cover).astype(np.float32)


@cache
def beard_cover(side: int) -> tuple[F32, F32]:
    """Brightness and cover of a full beard, (T, T) on the head's texture."""
    f = _paint.fields(side)
    rough = _paint.streaks(side, side, 35, along=60)
    cover = np.clip(f.stubble * 1.9 - 0.9 * (1 - rough) * (1.2 - f.stubble) - 0.15, 0, 0.97)
    strand = 0.55 + 0.9 * _paint.streaks(side, side, 33, along=14)
    return strand.astype(np.float32), cover.astype(np.float32)

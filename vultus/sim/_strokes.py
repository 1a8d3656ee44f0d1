"""Eyes and mouth, drawn pixel by pixel from their curves on the chart of the face, and their labels.

Colors are (3, N) of the N pixels that see the region: linear light on the way out, and the light that falls there.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vultus.sim import _chart, _features, _paint, _shade
from vultus.sim._layout import L
from vultus.sim._people import Factors, Person
from vultus.sim._scene import Scene
from vultus.types import F32

__all__ = ["REGIONS", "Spot", "label_eyes", "label_mouth", "paint_eyes", "paint_mouth", "region"]

F = NDArray[np.floating]
_IRIS = {
    "brown": (92, 58, 36),
    "dark": (48, 32, 24),
    "blue": (98, 134, 170),
    "green": (104, 124, 84),
    "gray": (128, 138, 142),
    "hazel": (126, 96, 56),
}
REGIONS = {"eyes": (-5.2, -3.2, 5.2, 1.5), "mouth": (-3.4, 5.2, 3.4, 8.8)}
"""Boxes on the chart, cm."""


class Spot(NamedTuple):
    """Pixels of a region.

    Attributes:
        x, y: (N,) places on the chart, cm.
        color: (3, N) their color so far, changed in place.
        light: (4, N) light that falls there, and sheen.
        px: size of a pixel, cm.
        shine: strength of highlights, 0 for the color of the surfaces alone.
    """

    x: F32
    y: F32
    color: F32
    light: F32
    px: float
    shine: float


@cache
def region(name: str) -> tuple[float, float, float, float]:
    """Lowest u and v and highest u and v of a region."""
    left, top, right, bottom = REGIONS[name]
    x, y, ahead = np.moveaxis(_chart.chart(512, 512), -1, 0)
    rows, columns = np.nonzero((x > left) & (x < right) & (y > top) & (y < bottom) & (ahead > 0.5))
    return columns.min() / 511, rows.min() / 511, columns.max() / 511, rows.max() / 511


def _mix(color: F32, share: F32, other: F32) -> None:
    """Lay a color over another one."""
    color += share * (other - color)


def _lit(red: float, green: float, blue: float, light: F32) -> F32:
    return np.array([[red], [green], [blue]], np.float32) * light[:3]


def _bell(x: F, width: float) -> F32:
    """exp(-(x / width)^2)."""
    k = x * np.float32(1 / width)
    return np.asarray(np.exp(-k * k), np.float32)


def _unit(x: F) -> F32:
    return np.asarray(np.minimum(np.maximum(x, 0), 1), np.float32)


def paint_eyes(scene: Scene, person: Person, factors: Factors, spot: Spot) -> None:
    """Lids with crease and lashes, sclera, iris, pupil, highlight."""
    x, y, color, light, px, shine = spot
    eyes, right = scene.eyes, x > 0
    up, low, s = _features.lid_curves(eyes, x, right)
    width = np.abs(s)
    below, above = y - up, low - y  # > 0 inside the opening
    near = _unit((np.float32(1.12) - width) * np.float32(1 / 0.15))
    makeup = float(factors.makeup.get("eye shadow", 0.0))
    crease = _bell(below + np.float32(eyes.fold), 0.075 + 0.5 * px) * np.float32(0.30 if eyes.fold > 0.1 else 0.1)
    rim = _bell(above + np.float32(0.03), 0.05 + 0.4 * px) * np.float32(0.26 + 0.2 * makeup)
    color *= np.maximum(1 - (crease + rim) * near, np.float32(0.25))
    cover = _unit(np.minimum(below, above) * np.float32(1 / (1.2 * px)) + np.float32(0.5)) * (width < 1)
    eye = _eyeball(person, eyes, (x, y, s, width, below, right), px)
    _mix(color, cover, eye * light[:3])
    lash = _bell(below + np.float32(0.02), 0.065 + 0.45 * px) * near
    lash *= np.float32(min(max(0.72 - 0.12 * person.sex_axis + 0.3 * makeup, 0.0), 0.95)) * (below < 0.12 + px)
    _mix(color, lash, _lit(0.012, 0.009, 0.008, light))
    toward = _shade.main_direction(np.asarray(factors.light_sh, np.float32))
    gx, gy = eyes.gaze
    hx, hy = gx + 0.30 * float(toward[0]), gy + 0.26 * float(toward[1]) - 0.02
    ex = (np.abs(x) - np.float32(_features.EYE_X)) * np.where(right, np.float32(1), np.float32(-1))
    wide = 0.085 + 0.35 * px
    glint = _bell(ex - np.float32(hx), 1.414 * wide) * _bell(y - np.float32(_features.EYE_Y + hy), 1.414 * wide)
    color += glint * cover * (below > 0.03) * np.float32(0.62 * shine)


def _eyeball(person: Person, eyes: _features.Eyes, place: tuple[F, F, F, F, F, NDArray[np.bool_]], px: float) -> F32:
    """(3, N) color of white, iris and pupil."""
    x, y, s, width, below = (np.asarray(k, np.float32) for k in place[:5])
    right = place[5]
    ex = (np.abs(x) - np.float32(_features.EYE_X)) * np.where(right, np.float32(1), np.float32(-1))
    ey = y - np.float32(_features.EYE_Y)
    gx, gy = (np.float32(g) for g in eyes.gaze)
    radius = np.sqrt((ex - gx) ** 2 + (ey - gy) ** 2) * np.float32(1 / eyes.iris)
    ball = 1 - np.float32(0.30) * width * width * width
    ball -= np.float32(0.50) * np.exp(-np.maximum(below, 0) * np.float32(1 / 0.13))
    eye = np.array([[0.62], [0.575], [0.545]], np.float32) * ball
    corner = _unit((-s - np.float32(0.80)) * np.float32(1 / 0.12))
    _mix(eye, corner, np.array([[0.42], [0.2], [0.17]], np.float32))
    inner = np.minimum(radius, 1)
    ring = np.float32(0.45) + np.float32(0.75) * inner * inner * (radius < 0.86)
    ring += np.float32(0.55) * np.minimum(np.maximum(ey, 0), np.float32(0.5))
    ring *= 1 - np.float32(0.62) * _unit((radius - np.float32(0.80)) * np.float32(1 / 0.16))
    ring *= np.float32(0.55) + np.float32(0.45) * _unit(below * np.float32(4))
    iris = ((np.array(_IRIS[person.iris]) / 255.0) ** 2 * 1.25).astype(np.float32)
    _mix(eye, _unit((1 - radius) * np.float32(eyes.iris / px) + np.float32(0.5)), iris[:, None] * ring)
    pupil = _unit((np.float32(0.40) - radius) * np.float32(eyes.iris / px) + np.float32(0.5))
    _mix(eye, pupil, np.full((3, 1), 0.004, np.float32))
    return eye


def paint_mouth(scene: Scene, person: Person, factors: Factors, spot: Spot) -> None:
    """Lips, the line between them, teeth and tongue."""
    x, y, color, light, px, shine = spot
    mouth = scene.mouth
    top, upper, lower, bottom, s = _features.lip_curves(mouth, x)
    width, middle = np.abs(s), (upper + lower) * np.float32(0.5)
    near = width < 1
    stick = float(factors.makeup.get("lipstick", 0.0))
    inside = np.minimum(y - top, bottom - y) * np.float32(1 / (0.9 * px + 0.05)) + np.float32(0.4)
    in_lips = _unit(inside) * _unit((1 - width) * np.float32(1 / 0.12))
    low = _unit((y - lower) / np.maximum(bottom - lower, np.float32(0.05)))
    high = _unit((upper - y) / np.maximum(upper - top, np.float32(0.05)))
    is_upper = y < middle
    form = np.where(
        is_upper,
        np.float32(0.80) + np.float32(0.16) * high,
        np.float32(0.92) + np.float32(0.30) * _bell(low - np.float32(0.35), 0.28) - np.float32(0.30) * low * low * low,
    )
    strength = (0.55 + 0.1 * max(-person.sex_axis, 0)) if not stick else 0.92
    _mix(color, in_lips * np.float32(strength), _lip_color(person, stick) * light[:3] + light[3])
    under = _bell(y - bottom - np.float32(0.16), 0.16) * _unit(1 - width * np.float32(1.4))
    line = _bell(y - middle, 0.055 + 0.5 * px) * near
    cx, cy = np.abs(x) - np.float32(mouth.half_width), y - np.float32(_features.MOUTH_Y + 0.06)
    corner = np.exp((cx * cx + cy * cy) * np.float32(-1 / 0.035))
    closed = min(max(1 - mouth.gap * 6, 0.0), 1.0)
    dark = 1 - np.float32(0.20) * under - np.float32(0.62 * closed + 0.1) * line * (1 - np.float32(0.3) * width)
    color *= (1 + in_lips * (form - 1)) * np.maximum(dark - np.float32(0.45) * corner, np.float32(0.1))
    gloss = np.float32(0.035 * (0.5 + stick) * shine)
    color += in_lips * ~is_upper * _bell(low - np.float32(0.4), 0.2) * gloss
    if mouth.gap > 0.02:
        cover = _unit(np.minimum(y - upper, lower - y) * np.float32(1 / px) + np.float32(0.5)) * near
        _mix(color, cover, _inside((x, y, s, upper, lower), px, mouth.gap) * light[:3])


def _lip_color(person: Person, stick: float) -> F32:
    redness = float(person.z_albedo[6]) * 0.05
    lip = _paint.skin_color(person.tone_ita_deg) * np.array(
        [0.80 - 0.3 * redness, 0.46 - redness, 0.44 - redness], np.float32
    )
    lip[0] += np.float32(0.025)
    if stick:
        lip += np.float32(0.8 * stick) * (np.array([0.42, 0.035, 0.055], np.float32) - lip)
    return lip[:, None]


def _inside(curves: tuple[F, F, F, F, F], px: float, gap: float) -> F32:
    """(3, N) color of what lies between the lips: the tongue and the upper teeth before the dark."""
    x, y, s, upper, lower = (np.asarray(k, np.float32) for k in curves)
    inner = np.array([[0.035], [0.010], [0.010]], np.float32) + np.zeros_like(x)
    if gap > 0.3:
        tongue = _bell(x, 1.2) * _bell(y - lower, 0.35 * gap + 0.05)
        _mix(inner, tongue, np.array([[0.28], [0.09], [0.09]], np.float32))
    edge = upper + np.float32(0.62) - np.float32(0.10) * s * s
    tooth = _unit((edge - y) * np.float32(1 / (px + 0.04)) + np.float32(0.5))
    tooth *= _unit((np.float32(0.94) - np.abs(s)) * np.float32(5))
    shade = (np.float32(0.62) + np.float32(0.38) * _unit((y - upper) * 4)) * (1 - np.float32(0.45) * s * s)
    if px < 0.1:
        between = np.mod(np.abs(x) * np.float32(1 / 0.62), 1) - np.float32(0.5)
        shade *= 1 - np.float32(0.22) * np.exp(between * between * np.float32(-1 / 0.004))
    _mix(inner, tooth, np.array([[0.60], [0.55], [0.47]], np.float32) * shade)
    return inner


def label_eyes(scene: Scene, x: F32, y: F32, labels: NDArray[np.uint8]) -> None:
    """Brows and eyes, into the labels (N,) of the pixels of the region."""
    middle, thick, share = _features.brow_curve(scene.brow, x)
    brow = (np.abs(y - middle) < thick) & (share > 0) & (share < 1)
    labels[brow] = np.where(x < 0, L["l_brow"], L["r_brow"])[brow]
    up, low, s = _features.lid_curves(scene.eyes, x, x > 0)
    eye = (y > up) & (y < low) & (np.abs(s) < 1)
    labels[eye] = np.where(x < 0, L["l_eye"], L["r_eye"])[eye]


def label_mouth(scene: Scene, x: F32, y: F32, labels: NDArray[np.uint8]) -> None:
    """Lips and what lies between them."""
    top, upper, lower, bottom, s = _features.lip_curves(scene.mouth, x)
    near = np.abs(s) < 1
    labels[near & (y > top) & (y <= upper)] = L["u_lip"]
    labels[near & (y >= lower) & (y < bottom)] = L["l_lip"]
    if scene.mouth.gap > 0.02:
        labels[near & (y > upper) & (y < lower)] = L["mouth"]

"""From a person and factors to parts in front of a camera: grids of vertices with their light, color and label."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.ops.pose import Camera, euler_to_R
from vultus.sim import _features, _hair, _head, _paint, _shade, _wear
from vultus.sim._people import Factors, Person
from vultus.types import F32

__all__ = ["LABELS", "Part", "Scene", "build", "neutral"]

F = NDArray[np.floating]
PIVOT = np.array([0.0, 9.0, 2.5], np.float32)  # about which the head turns on the neck

LABELS = (
    "background",
    "skin",
    "nose",
    "glasses",
    "l_eye",
    "r_eye",
    "l_brow",
    "r_brow",
    "l_ear",
    "r_ear",
    "mouth",
    "u_lip",
    "l_lip",
    "hair",
    "hat",
    "earring",
    "necklace",
    "neck",
    "cloth",
)
L = {name: k for k, name in enumerate(LABELS)}


@dataclass(frozen=True)
class Part:
    """A grid of vertices and how it looks.

    Attributes:
        kind: head, ear, body, hat, hair, beard, frame, lens or mask.
        xyz: (R, C, 3) camera coordinates, cm.
        light: (R, C, 4) light that leaves a white surface there (3), and sheen.
        albedo: (T, T, 3), or (3,) for one color.
        alpha: (T, T) cover, or None for an opaque part.
        label: parsing class; the head's own comes from its texture.
    """

    kind: str
    xyz: F32
    light: F32
    albedo: F32
    alpha: F32 | None
    label: int


@dataclass(frozen=True)
class Scene:
    """Parts, camera and what is drawn on the chart.

    Attributes:
        solid: opaque parts; the head comes first.
        cover: parts that lie over them, with alpha.
        camera: for a picture of side 1.
        turn: (3, 3) of the head.
        head: (ROWS, COLUMNS, 3) the head's grid in camera coordinates.
        eyes, mouth, brow: curves.
    """

    solid: list[Part]
    cover: list[Part]
    camera: Camera
    turn: F
    head: F32
    eyes: _features.Eyes
    mouth: _features.Mouth
    brow: _features.Brow


@lru_cache(maxsize=256)
def neutral(person: Person) -> tuple[F32, dict[str, float]]:
    """(ROWS, COLUMNS, 3) the person's head without expression, and the named activations of its shape."""
    grid = _head.template().xyz + _head.shape_basis() @ person.z_shape.astype(np.float32)
    grid = grid + _sex_basis() * np.float32(person.sex_axis)
    return grid.astype(np.float32), _head.activations(person.z_shape)


@cache
def _sex_basis() -> F32:
    """What differs, on average, from a female to a male head: (ROWS, COLUMNS, 3) for half the difference."""
    x, y = np.moveaxis(_head.template().xy0.astype(np.float64), -1, 0)
    side, ahead = np.tanh(x / 0.6), _head.template().ahead.astype(np.float64)
    out = np.zeros((*x.shape, 3))
    for at, size, move in (
        ((5.2, 8.2), (1.7, 1.8), (0.22, 0.1, 0.0)),
        ((2.9, -1.8), (1.8, 0.6), (0.0, 0.02, 0.13)),
        ((0.0, 10.6), (2.0, 1.2), (0.0, 0.22, 0.1)),
        ((0.0, 3.4), (1.2, 1.4), (0.0, 0.05, 0.12)),
        ((1.3, 3.9), (0.6, 0.7), (0.08, 0.0, 0.0)),
        ((3.15, 0.1), (1.4, 1.0), (0.0, 0.03, 0.08)),
    ):
        near = _head.bump(x, y, at, size) * ahead
        out += np.stack([move[0] * side * near, move[1] * near, -move[2] * near], -1)
    neck = np.clip((_head.template().t[:, None] - 0.89) / 0.06, 0, 1)
    out[..., 0] += 0.09 * x * neck
    return out.astype(np.float32)


@cache
def _age_basis() -> F32:
    """Sagging from 25 to 85 years."""
    x, y = np.moveaxis(_head.template().xy0.astype(np.float64), -1, 0)
    side, ahead = np.tanh(x / 0.6), _head.template().ahead.astype(np.float64)
    out = np.zeros((*x.shape, 3))
    for at, size, move in (
        ((3.6, 7.6), (1.1, 1.6), (0.1, 0.5, 0.15)),
        ((4.3, 4.4), (1.2, 1.4), (-0.12, 0.2, -0.3)),
        ((3.1, 1.3), (1.0, 0.4), (0.0, 0.05, 0.15)),
        ((0.0, 4.0), (1.0, 0.9), (0.0, 0.2, 0.0)),
        ((5.6, -2.0), (0.9, 1.5), (-0.15, 0.0, 0.0)),
    ):
        near = _head.bump(x, y, at, size) * ahead
        out += np.stack([move[0] * side * near, move[1] * near, -move[2] * near], -1)
    return out.astype(np.float32)


def build(person: Person, factors: Factors, lod: int) -> Scene:
    """Put the parts in place."""
    base, a = neutral(person)
    strengths = np.asarray(factors.expression, np.float32)
    aged = np.float32(np.clip((factors.age - 25.0) / 60.0, -0.1, 1.0))
    grid = base + _head.expression_basis() @ strengths + aged * _age_basis()
    normal = _head.normals(grid)
    turn = euler_to_R(factors.pose_deg).astype(np.float32)
    camera, place = _camera(factors, turn)
    light = np.asarray(factors.light_sh, np.float32) * np.float32(factors.light_gain)
    style = factors.hair_style
    hair_tint = _hair.hair_color(factors.hair_color, factors.age)

    follow = _follow()[..., None]
    turned = (grid - PIVOT) @ turn.T + PIVOT
    head_cam = (turned * follow + grid * (1 - follow) + place).astype(np.float32)

    rows, columns = _head.lod_grid(lod)
    pick = np.ix_(rows, columns)
    side = (96, 192, 384)[lod]
    eyes = _features.eyes_of(a, strengths, factors.gaze_deg, lift=0.18 * max(float(aged), 0.0))
    shaded = _shaded(normal[pick], _shade.visibility()[pick], turn, light, 0.032)
    shaded[..., :3] *= _contact(style, factors.hat, lod)[..., None]
    _bleed(shaded)
    skin = _skin(person, factors, side, hair_tint)
    solid = [Part("head", head_cam[pick], shaded, skin, None, L["skin"])]

    def fixed(xyz: F32) -> F32:
        """From the head's axes to the camera's."""
        moved: F32 = ((xyz - PIVOT) @ turn.T + (PIVOT + place)).astype(np.float32)
        return moved

    ear_size = float(np.exp(0.08 * a["ear size"] + 0.04 * max(float(aged), 0.0)))
    hidden = style in ("long", "bob") or factors.hat == "beanie"
    for name, way in (("l_ear", -1), ("r_ear", 1)):
        if not hidden:
            xyz, hollow = _wear.ear(way, base, ear_size, lod)
            lights = _shaded(_head.normals(xyz), None, turn, light, 0.03) * hollow[..., None]
            solid.append(Part("ear", fixed(xyz), lights, _ear_color(person), None, L[name]))
    xyz, shade = _wear.body(lod)
    flat = _shaded(_head.normals(xyz), None, np.eye(3, dtype=np.float32), light, 0.0) * shade[..., None]
    solid.append(
        Part("body", xyz + place.astype(np.float32), flat, np.asarray(factors.shirt, np.float32) ** 2, None, L["cloth"])
    )
    solid += _hats(factors, grid, normal, fixed, turn, light, lod)
    cover = _covers(factors, (base, grid, normal), fixed, turn, light, hair_tint, lod)
    return Scene(
        solid,
        cover,
        camera,
        turn,
        head_cam,
        eyes,
        _features.mouth_of(a, strengths),
        _features.brow_of(a, person.sex_axis),
    )


def _camera(factors: Factors, turn: F32) -> tuple[Camera, F32]:
    """Camera for a picture of side 1, and the shift from the head's axes to the camera's."""
    distance, zoom, dx, dy = factors.camera
    middle = np.array([0.0, 1.0, -3.0], np.float32)
    seen = turn @ (middle - PIVOT) + PIVOT
    place = np.array([-seen[0], -seen[1], distance], np.float32)
    return Camera(distance * zoom / 33.0, 0.5 + dx, 0.5 + dy), place


@cache
def _follow() -> F32:
    """How far each vertex turns with the head: all of it, but the neck less and less."""
    t = _head.template().t[:, None]
    back = np.abs(_head.template().phi)[None] > np.pi / 2
    start = np.where(back, 0.84, 0.90)
    return np.clip(1 - (t - start) / (1.0 - start), 0, 1).astype(np.float32) ** 0.8


def _shaded(normal: F32, open_: F32 | None, turn: F32, light: F32, sheen: float) -> F32:
    """(R, C, 4) irradiance and sheen at the vertices of a part."""
    shape = normal.shape[:2]
    flat = normal.reshape(-1, 3)
    open_flat = None if open_ is None else open_.reshape(-1, _shade.N_DIRECTIONS)
    irradiance, arrives = _shade.lit(flat, open_flat, turn, light)
    out = np.empty((len(flat), 4), np.float32)
    out[:, :3] = irradiance
    if sheen:
        half = _shade.main_direction(light) + np.array([0, 0, -1], np.float32)
        half = turn.T @ (half / np.linalg.norm(half))
        shine = np.maximum(flat @ half, 0)
        strong = float(light[0].mean()) * sheen
        out[:, 3] = strong * (shine**16 * 1.3 + 0.35 * shine**4) * arrives
    else:
        out[:, 3] = 0
    return out.reshape(*shape, 4)


def _bleed(light: F32) -> None:
    """Light scattered in the skin: red reaches farther around an edge than green and blue."""
    red = light[..., 0]
    soft = red.copy()
    soft[1:-1, 1:-1] = (red[1:-1, 1:-1] * 2 + red[:-2, 1:-1] + red[2:, 1:-1] + red[1:-1, :-2] + red[1:-1, 2:]) / 6
    light[..., 0] = 0.4 * red + 0.6 * soft
    light[..., 0] += 0.03 * np.exp(-4 * red)


@cache
def _contact(style: str, hat: str, lod: int) -> F32:
    """Light that hair and hats leave for the skin near them."""
    rows, columns = _head.lod_grid(lod)
    t, phi = _head.template().t[rows][:, None], _head.template().phi[columns][None]
    s = _hair.STYLES[style]
    out = np.ones((len(rows), len(columns)))
    if s.top > 0:
        line = _hair._hairline(phi, s.recede)
        fringe = s.fringe * 0.05 * (np.abs(phi) < 0.9)
        out *= 1 - 0.34 * np.exp(-np.clip(t - line - fringe, 0, None) / 0.035)
        if s.hang > 4:
            out *= 1 - 0.3 * np.clip((np.abs(phi) - 0.9) / 0.5, 0, 1)
    if hat != "none":
        reach = 0.30 if hat == "cap" else 0.20
        out *= 1 - 0.42 * np.clip((reach - t) / 0.12, 0, 1) * (np.abs(phi) < 1.6)
    return out.astype(np.float32)


def _skin(person: Person, factors: Factors, side: int, hair_tint: F32) -> F32:
    """(T, T, 3) color of the head of one picture."""
    f = _paint.fields(side)
    skin, brow = _paint.person_skin(person, side)
    age = float(np.clip((factors.age - 32.0) / 45.0, 0, 1.15))
    smile = float(factors.expression[0])
    gray = 1 - (0.34 * age) * f.wrinkle - (0.07 + 0.22 * age + 0.26 * smile) * f.fold - (0.06 + 0.16 * age) * f.bag
    out = skin * gray[..., None]
    out *= 1 - f.blush[..., None] * np.array([0.0, 0.09, 0.07], np.float32)
    shadow = float(factors.makeup.get("eye shadow", 0.0))
    if shadow:
        color = np.asarray(factors.makeup.get("color", (0.45, 0.3, 0.4)), np.float32) ** 2
        out += (0.75 * shadow * f.lid)[..., None] * (color - out)
    own = _hair.hair_color(person.hair_color or "brown", factors.age) if factors.hair_color == "blue" else hair_tint
    brow_color = np.minimum(own * 0.55, 0.16) * np.array([1.0, 0.95, 0.9], np.float32)
    out += brow[..., None] * (brow_color - out)
    style = _hair.STYLES[factors.hair_style]
    if style.top > 0:
        out += (0.88 * _hair.scalp(side, style.recede))[..., None] * (hair_tint * 0.5 - out)
    if factors.beard != "none":
        amount = 0.42 if factors.beard == "stubble" else 0.72
        rough = amount * f.stubble * (0.75 + 0.18 * f.grain)
        out += np.clip(rough, 0, 0.9)[..., None] * (hair_tint * 0.5 - out)
    result: F32 = np.asarray(out, np.float32)
    return result


def _ear_color(person: Person) -> F32:
    return _paint.skin_color(person.tone_ita_deg) * np.array([1.0, 0.88, 0.86], np.float32)


def _hats(factors: Factors, grid: F32, normal: F32, fixed: Any, turn: F32, light: F32, lod: int) -> list[Part]:
    if factors.hat == "none":
        return []
    color = np.asarray(factors.shirt, np.float32)[::-1] ** 2 * 0.8 + 0.02
    parts = []
    for xyz in _wear.hat(factors.hat, grid, normal, lod):
        parts.append(
            Part("hat", fixed(xyz), _shaded(_head.normals(xyz), None, turn, light, 0.0), color, None, L["hat"])
        )
    return parts


def _covers(
    factors: Factors, heads: tuple[F32, F32, F32], fixed: Any, turn: F32, light: F32, tint: F32, lod: int
) -> list[Part]:
    """Hair, beard and glasses."""
    base, grid, normal = heads
    parts = []
    sheets = [("hair", _hair.hair_sheet(factors.hair_style, grid, normal, tint, lod, factors.hat != "none"), L["hair"])]
    if factors.beard == "full":
        sheets.append(("beard", _hair.beard_sheet(grid, normal, tint * 0.8, lod), L["skin"]))
    for kind, sheet, label in sheets:
        if sheet is not None:
            lights = _shaded(_head.normals(sheet.xyz), None, turn, light, 0.05) * sheet.ao[..., None]
            if kind == "hair":
                lights = _strand_light(sheet.xyz, lights)
            parts.append(Part(kind, fixed(sheet.xyz), lights, sheet.albedo, sheet.alpha, label))
    if factors.occluder == "mask":
        xyz, cloth = _wear.mask(grid, normal, lod)
        lights = _shaded(_head.normals(xyz), None, turn, light, 0.0)
        parts.append(Part("mask", fixed(xyz), lights, np.array([0.42, 0.56, 0.66], np.float32), cloth, L["cloth"]))
    if factors.glasses != "none":
        dark = factors.glasses == "sun"
        for kind, xyz in _wear.glasses(factors.glasses, base, lod):
            color = np.array([0.012, 0.010, 0.010] if kind == "lens" else [0.03, 0.022, 0.02], np.float32)
            lights = np.full((*xyz.shape[:2], 4), 0.8 * factors.light_gain, np.float32)
            lights[..., 3] = 0.02
            alpha = np.full((2, 2), (0.93 if dark else 0.06) if kind == "lens" else 1.0, np.float32)
            parts.append(Part(kind, fixed(xyz), lights, color, alpha, L["glasses"]))
    return parts


def _strand_light(xyz: F32, lights: F32) -> F32:
    """The band of sheen across strands, where they run at right angles to the light and the eye."""
    along = np.gradient(xyz, axis=0)
    along /= np.linalg.norm(along, axis=-1, keepdims=True) + 1e-6
    band = np.exp(-(((along[..., 1] - 0.45) / 0.22) ** 2))
    lights[..., 3] = lights[..., 3] * 0.4 + 0.03 * band * lights[..., 1]
    return lights

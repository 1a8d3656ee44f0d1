"""Colors of a picture's pieces on its two atlases, already lit: what then remains is to look them up."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.sim import _hair, _head, _layout, _paint, _wear
from vultus.sim._layout import SKIN_SIDE, STRAND_SIDE, Tile
from vultus.sim._people import Factors, Person
from vultus.sim._scene import Scene
from vultus.types import F32

__all__ = ["Baked", "bake"]

_LENS = np.array([0.012, 0.010, 0.010], np.float32)
_FRAME = np.array([0.03, 0.022, 0.02], np.float32)
_MASK = np.array([0.42, 0.56, 0.66], np.float32)
_INSIDE = 0.3  # light in the inside of hair


class Baked:
    """Colors of one picture.

    Attributes:
        solid: (A, T, 4) linear light and 1, on the atlas of the solid pieces.
        cover: (A, T, 4) linear light times cover, and cover, of hair, beard and mask.
        light: (T, T, 4) light and sheen on the head's texture.
    """

    def __init__(self, solid: F32, cover: F32, light: F32) -> None:
        self.solid, self.cover, self.light = solid, cover, light


def bake(scene: Scene, person: Person, factors: Factors, lod: int, *, lit: bool = True) -> Baked:
    """Color the atlases of a scene.

    Args:
        scene: lit vertices.
        person: who.
        factors: how.
        lod: level of detail.
        lit: False for the color of the surfaces alone.
    """
    layout = scene.layout
    vertex_light = scene.light
    if not lit:
        vertex_light = np.zeros_like(scene.light)
        vertex_light[:, :3] = 1
    tint = _hair.hair_color(factors.hair_color, factors.age)
    rows, columns = scene.head.shape[:2]
    light = _spread(vertex_light[: rows * columns].reshape(rows, columns, 4), _skin_maps(lod))
    planes = _planes(light)
    solid = np.zeros((*layout.solid_atlas, 4), np.float32)
    skin = _skin(person, factors, SKIN_SIDE[lod], tint)
    solid[: len(light)] = cv2.merge(
        [*(s * p + planes[3] for s, p in zip(skin, planes, strict=False)), _ones(len(light))]
    )
    for tile in layout.solid[1:]:
        part = vertex_light[tile.vertices]
        place = solid[tile.row : tile.row + tile.rows, : tile.columns]
        place[..., :3] = (part[:, :3] * _color_of(tile.kind, person, factors) + part[:, 3:]).reshape(
            *place.shape[:2], 3
        )
        place[..., 3] = 1
    cover = np.zeros((*layout.cover_atlas, 4), np.float32)
    for tile in layout.cover:
        place = cover[tile.row : tile.row + tile.rows, : tile.columns]
        if tile.kind == "hair":
            _bake_hair(place, vertex_light[tile.vertices], factors.hair_style, tint, lod)
        elif tile.kind == "beard":
            _bake_beard(place, planes, tile, tint * np.float32(0.8), lod)
        else:
            _bake_mask(place, vertex_light[tile.vertices], tile, lod)
    return Baked(solid, cover, light)


def _planes(texture: F32) -> list[F32]:
    return [np.asarray(plane, np.float32) for plane in cv2.split(texture)]


def _color_of(kind: str, person: Person, factors: Factors) -> F32:
    """(3,) linear albedo of a piece of one color."""
    if kind in ("l_ear", "r_ear"):
        return _paint.skin_color(person.tone_ita_deg) * np.array([1.0, 0.88, 0.86], np.float32)
    shirt = np.asarray(factors.shirt, np.float32)
    if kind in ("hat", "visor"):
        return shirt[::-1] ** 2 * np.float32(0.8) + np.float32(0.02)
    return {"lens": _LENS, "frame": _FRAME}.get(kind, shirt**2)


Maps = tuple[F32, F32]


@cache
def _ones(side: int) -> F32:
    return np.ones((side, side), np.float32)


@cache
def _skin_maps(lod: int) -> Maps:
    """Column and row of the vertices' grid at each texel of the head's texture."""
    side = SKIN_SIDE[lod]
    rows, columns = _head.lod_grid(lod)
    across = np.interp(np.linspace(0, _head.COLUMNS - 1, side), columns, np.arange(len(columns)))
    down = np.interp(np.linspace(0, _head.ROWS - 1, side), rows, np.arange(len(rows)))
    return _grid_maps(across, down)


def _grid_maps(across: NDArray[np.floating], down: NDArray[np.floating]) -> Maps:
    x, y = np.meshgrid(across, down)
    return x.astype(np.float32), y.astype(np.float32)


def _spread(grid: F32, maps: Maps) -> F32:
    """Values of vertices at the texels of a texture."""
    return np.asarray(cv2.remap(grid, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _skin(person: Person, factors: Factors, side: int, hair: F32) -> list[F32]:
    """Three planes (T, T): color of the head of one picture."""
    f = _paint.fields(side)
    skin, brow = _paint.person_skin(person, side)
    age = min(max((factors.age - 32.0) / 45.0, 0.0), 1.15)
    smile = float(factors.expression[0])
    kept = f.wrinkle * np.float32(-0.34 * age)
    kept -= f.fold * np.float32(0.07 + 0.22 * age + 0.26 * smile)
    kept -= f.bag * np.float32(0.06 + 0.16 * age)
    kept += 1
    layers: list[tuple[F32, F32]] = []  # cover and color, from below to above
    shadow = float(factors.makeup.get("eye shadow", 0.0))
    if shadow:
        color = np.asarray(factors.makeup.get("color", (0.45, 0.3, 0.4)), np.float32) ** 2
        layers.append((np.asarray(f.lid * np.float32(0.75 * shadow), np.float32), color))
    own = _hair.hair_color(person.hair_color or "brown", factors.age) if factors.hair_color == "blue" else hair
    tone = np.minimum(own * np.float32(0.55), np.float32(0.16)) * np.array([1.0, 0.95, 0.9], np.float32)
    layers.append((brow, tone))
    grown = _grown(factors, side)
    if grown is not None:
        layers.append((grown, hair * np.float32(0.5)))
    added: list[tuple[F32, F32]] = []
    for cover, color in layers:
        left = 1 - cover
        kept *= left
        for k in range(len(added)):
            added[k] = (added[k][0] * left, added[k][1])
        added.append((cover, color))
    out = []
    for k, blush in enumerate((0.0, 0.09, 0.07)):
        plane = skin[k] * kept
        if blush:
            plane *= 1 - f.blush * np.float32(blush)
        for cover, color in added:
            plane += cover * color[k]
        out.append(plane)
    return out


def _grown(factors: Factors, side: int) -> F32 | None:
    """(T, T) how much hair covers the skin: scalp and stubble."""
    style = _hair.STYLES[factors.hair_style]
    bare: F32 | None = None
    if style.top > 0:
        bare = 1 - np.float32(0.88) * _hair.scalp(side, style.recede)
    if factors.beard != "none":
        rest = 1 - _stubble(factors.beard, side)
        bare = rest if bare is None else bare * rest
    return None if bare is None else 1 - bare


@cache
def _stubble(beard: str, side: int) -> F32:
    f = _paint.fields(side)
    amount = 0.42 if beard == "stubble" else 0.72
    return np.clip(amount * f.stubble * (0.75 + 0.18 * f.grain), 0, 0.9).astype(np.float32)


@cache
def _strand_maps(lod: int) -> Maps:
    side = STRAND_SIDE[lod]
    rows, columns = ((13, 25), (21, 41), (29, 61))[lod]
    return _grid_maps(np.linspace(0, columns - 1, side), np.linspace(0, rows - 1, side))


def _bake_hair(place: F32, light: F32, style: str, tint: F32, lod: int) -> None:
    """Hair from outside, and below it the same from inside."""
    rows, columns = ((13, 25), (21, 41), (29, 61))[lod]
    value, alpha = _hair.strands(style, STRAND_SIDE[lod])
    *lights, sheen = _planes(_spread(light.reshape(rows, columns, 4), _strand_maps(lod)))
    mean = _mean_strand(style, lod)
    sheen = sheen * (value * value) * alpha * np.float32(1 / mean**2)
    strength = value * alpha
    side = len(value)
    planes = [plane * (strength * tint[k]) for k, plane in enumerate(lights)]
    place[:side] = cv2.merge([*(plane + sheen for plane in planes), alpha])
    place[side:] = cv2.merge([*(plane * np.float32(_INSIDE) for plane in planes), alpha])


@cache
def _mean_strand(style: str, lod: int) -> np.float64:
    return np.float64(_hair.strands(style, STRAND_SIDE[lod])[0].mean(dtype=np.float64))


def _bake_beard(place: F32, light: list[F32], tile: Tile, tint: F32, lod: int) -> None:
    """A beard is lit as the face below it."""
    window = (slice(tile.top, tile.top + tile.rows), slice(tile.left, tile.left + tile.columns))
    value, alpha = (field[window] for field in _hair.beard_cover(SKIN_SIDE[lod]))
    strength = value * alpha * np.float32(0.9)
    place[:] = cv2.merge([*(strength * light[k][window] * tint[k] for k in range(3)), np.ascontiguousarray(alpha)])


def _bake_mask(place: F32, light: F32, tile: Tile, lod: int) -> None:
    """Cloth of one color."""
    rows, columns = _layout.face_grid("mask", lod)
    step = (SKIN_SIDE[lod] - 1) / np.array([_head.ROWS - 1, _head.COLUMNS - 1])
    down = np.interp(tile.top + np.arange(tile.rows), rows * step[0], np.arange(len(rows)))
    across = np.interp(tile.left + np.arange(tile.columns), columns * step[1], np.arange(len(columns)))
    spread = _spread(light.reshape(len(rows), len(columns), 4), _grid_maps(across, down))
    window = (slice(tile.top, tile.top + tile.rows), slice(tile.left, tile.left + tile.columns))
    alpha = _wear.mask_cover(SKIN_SIDE[lod])[window]
    place[..., :3] = spread[..., :3] * _MASK * alpha[..., None]
    place[..., 3] = alpha

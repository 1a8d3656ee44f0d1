"""From a person and factors to a scene before a camera: all vertices in one array, with the light that reaches them.

What does not change from picture to picture is kept: per person the still head with what it wears, per set of pieces
the triangles and their places on the atlas.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vultus.ops.pose import Camera, euler_to_R
from vultus.sim import _features, _hair, _head, _layout, _shade, _wear
from vultus.sim._layout import LABELS, L, Piece
from vultus.sim._people import Factors, Person
from vultus.types import F32

__all__ = ["LABELS", "L", "Scene", "build", "neutral"]

F = NDArray[np.floating]
_CLOSED = ("head", "body", "hat", "hair")
PIVOT = np.array([0.0, 9.0, 2.5], np.float32)  # about which the head turns on the neck


@dataclass(frozen=True)
class Scene:
    """Vertices of all pieces in camera coordinates, and what is drawn on the chart.

    Attributes:
        layout: which pieces there are, their triangles and places on the atlas.
        vertices: (V, 3) cm; the pieces of the layout one after another.
        light: (V, 4) light that leaves a white surface there (3), and sheen.
        head: (R, C, 3) the head's own grid, the first piece.
        camera: for a picture of side 1.
        eyes, mouth, brow: curves.
    """

    layout: _layout.Layout
    vertices: F32
    light: F32
    head: F32
    camera: Camera
    eyes: _features.Eyes
    mouth: _features.Mouth
    brow: _features.Brow

    @property
    def normals(self) -> F32:
        """(V, 3) outward unit normals in camera axes, of the grids as they stand."""
        found = np.empty_like(self.vertices)
        for piece, span in zip(self.layout.pieces, self.layout.spans, strict=True):
            grid = self.vertices[span].reshape(piece.rows, piece.columns, 3)
            out = _head.normals(grid, closed=piece.kind in _CLOSED)
            if piece.kind == "lens":  # its middle is one vertex
                out[-1] = out[0]
            found[span] = out.reshape(-1, 3)
        return found


class _Block(NamedTuple):
    """One piece in the axes of the head: vertices, normals, and the share of the light that reaches them (V,)."""

    piece: Piece
    xyz: F32
    normal: F32
    gain: F32


@lru_cache(maxsize=64)
def neutral(person: Person) -> tuple[F32, F32, dict[str, float]]:
    """(ROWS, COLUMNS, 3) the person's head without expression, its normals, and the named activations of its shape."""
    moved = _head.shape_basis().reshape(-1, _head.N_SHAPE) @ person.z_shape.astype(np.float32)
    grid = _head.template().xyz + moved.reshape(_head.ROWS, _head.COLUMNS, 3)
    grid = (grid + _sex_basis() * np.float32(person.sex_axis)).astype(np.float32)
    return grid, _head.normals(grid, closed=True), _head.activations(person.z_shape)


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
    """Put the pieces in place and light them."""
    base, _, a = neutral(person)
    strengths = np.asarray(factors.expression, np.float32)
    aged = np.float32(min(max((factors.age - 25.0) / 60.0, -0.1), 1.0))
    moved = _head.expression_basis().reshape(-1, _head.N_EXPRESSION) @ strengths
    grid = base + moved.reshape(base.shape)
    grid += aged * _age_basis()
    turn = euler_to_R(factors.pose_deg).astype(np.float32)
    camera, place = _camera(factors, turn)
    light = np.asarray(factors.light_sh, np.float32) * np.float32(factors.light_gain)

    blocks = [_face(grid, factors, lod), *_worn(person, factors, lod), *_over(grid, factors, lod, person)]
    layout = _layout.layout(tuple(b.piece for b in blocks), lod)
    xyz = np.concatenate([b.xyz for b in blocks])
    turned = (xyz - PIVOT) @ turn.T + PIVOT
    vertices = xyz + layout.follow * (turned - xyz) + place
    normals = np.concatenate([b.normal for b in blocks])
    shone = _lit(normals, layout, turn, light, lod)
    shone *= np.concatenate([b.gain for b in blocks])[:, None]
    rows, columns = (len(k) for k in _head.lod_grid(lod))
    _bleed(shone[: rows * columns].reshape(rows, columns, 4))
    if layout.hair is not None:
        strands = shone[layout.hair]
        band = _band(person, factors.hair_style, lod, factors.hat != "none")
        strands[:, 3] = strands[:, 3] * np.float32(0.4) + band * strands[:, 1]
    return Scene(
        layout,
        vertices,
        shone,
        vertices[: rows * columns].reshape(rows, columns, 3),
        camera,
        _features.eyes_of(a, strengths, factors.gaze_deg, lift=0.18 * max(float(aged), 0.0)),
        _features.mouth_of(a, strengths),
        _features.brow_of(a, person.sex_axis),
    )


def _face(grid: F32, factors: Factors, lod: int) -> _Block:
    """The head itself."""
    rows, columns = _head.lod_grid(lod)
    return _Block(
        Piece("head", len(rows), len(columns)),
        grid[np.ix_(rows, columns)].reshape(-1, 3),
        _head.face_normals(grid, lod).reshape(-1, 3),
        _contact(factors.hair_style, factors.hat, lod),
    )


def _worn(person: Person, factors: Factors, lod: int) -> list[_Block]:
    """What does not move with the face: ears, body, hat, glasses, hair."""
    found = []
    if not (factors.hair_style in ("long", "bob") or factors.hat == "beanie"):
        found += _ears(person, lod)
    found.append(_body(lod))
    if factors.hat != "none":
        found += _hat(person, factors.hat, lod)
    if factors.glasses != "none":
        found += _glasses(person, factors.glasses, lod)
    if _hair.STYLES[factors.hair_style].top > 0:
        found.append(_locks(person, factors.hair_style, lod, factors.hat != "none"))
    return found


def _over(grid: F32, factors: Factors, lod: int, person: Person) -> list[_Block]:
    """What lies on the moving face: a full beard, a mask."""
    found = []
    if factors.beard == "full" or factors.occluder == "mask":
        normal = _head.normals(grid, closed=True)
        if factors.beard == "full":
            xyz, out = _hair.beard(grid, normal, lod)
            found.append(_block("beard", xyz, out, 0.9))
        if factors.occluder == "mask":
            xyz = _wear.mask(grid, normal, lod)
            found.append(_block("mask", xyz, _head.normals(xyz)))
    return found


def _block(kind: str, xyz: F32, normal: F32, gain: F32 | float = 1.0) -> _Block:
    rows, columns = xyz.shape[:2]
    share = np.broadcast_to(np.asarray(gain, np.float32), (rows, columns)).ravel()
    return _Block(Piece(kind, rows, columns), xyz.reshape(-1, 3), normal.reshape(-1, 3), share)


@lru_cache(maxsize=64)
def _ears(person: Person, lod: int) -> list[_Block]:
    base, _, a = neutral(person)
    size = float(np.exp(0.08 * a["ear size"]))
    return [_block(kind, *_wear.ear(way, base, size, lod)) for kind, way in (("l_ear", -1), ("r_ear", 1))]


@cache
def _body(lod: int) -> _Block:
    xyz, shade = _wear.body(lod)
    return _block("body", xyz, _head.normals(xyz, closed=True), shade)


@lru_cache(maxsize=64)
def _hat(person: Person, kind: str, lod: int) -> list[_Block]:
    base, normal, _ = neutral(person)
    crown, *visor = _wear.hat(kind, base, normal, lod)
    found = [_block("hat", crown, _head.normals(crown, closed=True))]
    return found + [_block("visor", grid, _head.normals(grid)) for grid in visor]


@lru_cache(maxsize=64)
def _glasses(person: Person, kind: str, lod: int) -> list[_Block]:
    found = []
    for what, grid in _wear.glasses(kind, neutral(person)[0], lod):
        if what == "frame" or kind == "sun":  # clear lenses are not seen
            out = np.zeros_like(grid)
            out[..., 2] = -1
            if what == "frame":
                out = _head.normals(grid, closed=bool((grid[:, 0] == grid[:, -1]).all()))
                out *= -np.sign(out[..., 2:] + np.float32(1e-6))
            found.append(_block(what, grid, out))
    return found


@lru_cache(maxsize=64)
def _locks(person: Person, style: str, lod: int, pressed: bool) -> _Block:
    base, normal, _ = neutral(person)
    xyz, reach = _hair.sheet(style, base, normal, lod, pressed)
    return _block("hair", xyz, _head.normals(xyz, closed=True), reach)


def _camera(factors: Factors, turn: F32) -> tuple[Camera, F32]:
    """Camera for a picture of side 1, and the shift from the head's axes to the camera's."""
    distance, zoom, dx, dy = factors.camera
    middle = np.array([0.0, 1.0, -3.0], np.float32)
    seen = turn @ (middle - PIVOT) + PIVOT
    place = np.array([-seen[0], -seen[1], distance], np.float32)
    return Camera(distance * zoom / 33.0, 0.5 + dx, 0.5 + dy), place


def _lit(normals: F32, layout: _layout.Layout, turn: F32, light: F32, lod: int) -> F32:
    """(V, 4) irradiance and sheen at all vertices; the head is shadowed by its own relief."""
    if layout.body is not None:  # it does not turn with the head
        normals = normals.copy()
        normals[layout.body] = normals[layout.body] @ turn
    irradiance, arrives = _shade.lit(normals, _open(lod), turn, light)
    out = np.empty((len(normals), 4), np.float32)
    out[:, :3] = irradiance
    half = _shade.main_direction(light) + np.array([0, 0, -1], np.float32)
    half = turn.T @ (half / np.linalg.norm(half))
    shine = np.maximum(normals @ half.astype(np.float32), 0)
    wide = shine * shine * shine * shine
    narrow = wide * wide
    strong = layout.sheen * np.float32(light[0].mean())
    out[:, 3] = strong * (np.float32(1.3) * narrow * narrow + np.float32(0.35) * wide) * arrives
    return out


@cache
def _open(lod: int) -> F32:
    """(R * C, 64) what of each direction the head leaves open for its own vertices."""
    return np.ascontiguousarray(_shade.visibility()[np.ix_(*_head.lod_grid(lod))].reshape(-1, _shade.N_DIRECTIONS))


def _bleed(light: F32) -> None:
    """Light scattered in the skin: red reaches farther around an edge than green and blue."""
    red = light[..., 0]
    soft = red.copy()
    soft[1:-1, 1:-1] = (red[1:-1, 1:-1] * 2 + red[:-2, 1:-1] + red[2:, 1:-1] + red[1:-1, :-2] + red[1:-1, 2:]) / 6
    mixed = np.float32(0.4) * red + np.float32(0.6) * soft
    light[..., 0] = mixed + np.float32(0.03) * np.exp(-4 * red)


@cache
def _contact(style: str, hat: str, lod: int) -> F32:
    """Light that hair and hats leave for the skin near them."""
    rows, columns = _head.lod_grid(lod)
    t, phi = _head.template().t[rows][:, None], _head.template().phi[columns][None]
    s = _hair.STYLES[style]
    out = np.ones((len(rows), len(columns)))
    if s.top > 0:
        line = _hair.hairline(phi, s.recede)
        fringe = s.fringe * 0.05 * (np.abs(phi) < 0.9)
        out *= 1 - 0.34 * np.exp(-np.clip(t - line - fringe, 0, None) / 0.035)
        if s.hang > 4:
            out *= 1 - 0.3 * np.clip((np.abs(phi) - 0.9) / 0.5, 0, 1)
    if hat != "none":
        reach = 0.30 if hat == "cap" else 0.20
        out *= 1 - 0.42 * np.clip((reach - t) / 0.12, 0, 1) * (np.abs(phi) < 1.6)
    return out.astype(np.float32).ravel()


@lru_cache(maxsize=64)
def _band(person: Person, style: str, lod: int, pressed: bool) -> F32:
    """(R * C,) how much strands shine: most where they run at right angles to the light and the eye."""
    block = _locks(person, style, lod, pressed)
    grid = block.xyz.reshape(block.piece.rows, block.piece.columns, 3)
    along = np.empty_like(grid)
    along[1:-1], along[0], along[-1] = grid[2:] - grid[:-2], grid[1] - grid[0], grid[-1] - grid[-2]
    fall = (along[..., 1] / (np.sqrt((along * along).sum(-1)) + np.float32(1e-6))).ravel()
    place = (fall - np.float32(0.45)) / np.float32(0.22)
    return np.asarray(np.float32(0.03) * np.exp(-place * place), np.float32)

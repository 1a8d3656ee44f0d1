"""From a scene to pixels: z-buffers find the place of each pixel on the atlases; and what is true of each pixel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.ops.pose import Camera
from vultus.ops.raster import Layer, carry
from vultus.sim import _bake, _head, _paint, _strokes
from vultus.sim._layout import SKIN_SIDE, L
from vultus.sim._people import Factors, Person
from vultus.sim._scene import Scene
from vultus.types import F32, U8

__all__ = ["Truth", "draw", "head_labels", "truth"]


@dataclass(frozen=True)
class Truth:
    """What each pixel's center sees.

    Attributes:
        labels: (H, W) parsing class.
        depth: (H, W) cm to what is seen, inf on the background.
        normal: (H, W, 3) unit normal in camera axes, 0 on the background.
        uv: (H, W, 2) place on the head's texture, -1 where something else is seen.
        hidden: (H, W) whether something hides the head.
    """

    labels: U8
    depth: F32
    normal: F32
    uv: F32
    hidden: NDArray[np.bool_]


def camera_at(scene: Scene, side: int) -> Camera:
    """The camera of a picture of `side` pixels."""
    unit = scene.camera
    return Camera(unit.focal * side, unit.cx * side - 0.5, unit.cy * side - 0.5)


def draw(scene: Scene, person: Person, factors: Factors, side: int, lod: int, *, lit: bool = True) -> F32:
    """(side, side, 4) linear light times cover, and cover, without the background.

    Args:
        scene: what to draw.
        person: who.
        factors: how.
        side: pixels.
        lod: level of detail.
        lit: False for the color of the surfaces alone.
    """
    camera = camera_at(scene, side)
    colors = _bake.bake(scene, person, factors, lod, lit=lit)
    layer = _solid(scene, camera, side)
    column, row, _ = layer.planes()
    picture = _look_up(colors.solid, column, row)
    shine = factors.light_gain if lit else 0.0
    px = float(scene.head[..., 2].min()) / camera.focal
    flat = picture.reshape(-1, 4)
    drawn = _drawn_on(column, row, lod)
    for name, paint in _PAINTERS:
        index, x, y, at = _region(name, drawn, lod)
        if len(index):
            color = np.ascontiguousarray(flat[index, :3].T)
            paint(scene, person, factors, _strokes.Spot(x, y, color, _sampled(colors.light, *at).T, px, shine))
            flat[index, :3] = color.T
    for faces in scene.layout.cover_faces:
        values = _cover(scene, camera, side, layer, faces).values
        rows = np.flatnonzero((values[..., 0] >= 0).any(1))
        if len(rows):  # only the rows that see some of it
            slab = slice(rows[0], rows[-1] + 1)
            column, row = (np.ascontiguousarray(values[slab, :, k]) for k in (0, 1))
            over = _look_up(colors.cover, column, row)
            left = 1 - over[..., 3]
            picture[slab] *= np.asarray(cv2.merge([left, left, left, left]), np.float32)
            picture[slab] += over
    if factors.occluder == "bar":
        inside, tone = _bar(factors.background_seed, side)
        picture[inside] = (*tone, 1)
    return picture


_PAINTERS: tuple[tuple[str, Callable[[Scene, Person, Factors, _strokes.Spot], None]], ...] = (
    ("eyes", _strokes.paint_eyes),
    ("mouth", _strokes.paint_mouth),
)


def _solid(scene: Scene, camera: Camera, side: int) -> Layer:
    layout = scene.layout
    corners = scene.vertices[layout.solid_index]
    return carry(corners, layout.solid_faces, layout.solid_place, camera, (side, side))


def _cover(scene: Scene, camera: Camera, side: int, below: Layer, faces: NDArray[np.int32]) -> Layer:
    layout = scene.layout
    corners = scene.vertices[layout.cover_index]
    return carry(corners, faces, layout.cover_place, camera, (side, side), behind=below.order)


def _look_up(atlas: F32, column: F32, row: F32) -> F32:
    """Colors of the atlas, 0 where a pixel sees nothing."""
    return np.asarray(cv2.remap(atlas, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT), np.float32)


Places = tuple[NDArray[np.intp], F32, F32]


def _drawn_on(column: F32, row: F32, lod: int) -> Places:
    """Pixels that see the part of the head with eyes and mouth: index, column and row on the atlas."""
    left, top, right, bottom = _bounds(tuple(_strokes.REGIONS), lod)
    index = np.flatnonzero((row >= top) & (row <= bottom) & (column >= left) & (column <= right))
    return index, column.ravel()[index], row.ravel()[index]


@cache
def _bounds(names: tuple[str, ...], lod: int) -> tuple[np.float32, ...]:
    """Lowest column and row and highest column and row of some regions on the atlas."""
    boxes = np.array([_strokes.region(name) for name in names]) * (SKIN_SIDE[lod] - 1)
    return tuple(np.float32(k) for k in (*boxes[:, :2].min(0), *boxes[:, 2:].max(0)))


def _region(name: str, drawn: Places, lod: int) -> tuple[NDArray[np.intp], F32, F32, tuple[F32, F32]]:
    """Pixels that see the eyes or the mouth: index, x and y on the chart, column and row on the atlas."""
    index, column, row = drawn
    left, top, right, bottom = _bounds((name,), lod)
    inside = np.flatnonzero((row >= top) & (row <= bottom) & (column >= left) & (column <= right))
    if not len(inside):
        return inside, _NOTHING, _NOTHING, (_NOTHING, _NOTHING)
    at = column[inside], row[inside]
    last = SKIN_SIDE[lod] - 1
    across = at[0] * np.float32((_head.COLUMNS - 1) / last)
    down = at[1] * np.float32((_head.ROWS - 1) / last)
    chart = _sampled(_chart_table(), across, down)
    return index[inside], chart[:, 0].copy(), chart[:, 1].copy(), at


_NOTHING = np.zeros(0, np.float32)
_CHUNK = 1 << 13


def _sampled(table: F32, column: F32, row: F32) -> F32:
    """(N, C) bilinear values of a table (H, W, C) at N places."""
    count = len(column)
    if count > _CHUNK:  # OpenCV takes no longer rows
        high = -(-count // _CHUNK)
        column, row = (np.resize(k, (high, _CHUNK)) for k in (column, row))
    else:
        column, row = column[None], row[None]
    found = cv2.remap(table, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, np.float32).reshape(-1, table.shape[2])[:count]


@cache
def _chart_table() -> F32:
    return np.ascontiguousarray(_head.template().xy0)


@cache
def head_labels() -> U8:
    """(256, 256) skin, nose and neck on the head."""
    f = _paint.fields(256)
    out = np.full((256, 256), L["skin"], np.uint8)
    out[f.nose] = L["nose"]
    out[f.neck] = L["neck"]
    return out


def _bar(seed: int, side: int) -> tuple[NDArray[np.bool_], tuple[float, ...]]:
    """An object in front of everything: where (side, side), and its color."""
    rng = np.random.default_rng(seed + 1)
    center, half, angle = rng.uniform(0.25, 0.75, 2), rng.uniform(0.035, 0.08), rng.uniform(0, np.pi)
    paint = tuple((rng.uniform(0.08, 0.92, 3) ** 2).tolist())
    place = (np.arange(side, dtype=np.float32) + 0.5) / side
    across = (place[None] - center[0]) * np.sin(angle) - (place[:, None] - center[1]) * np.cos(angle)
    return np.abs(across) < half, paint


def truth(scene: Scene, person: Person, factors: Factors, side: int, lod: int) -> Truth:
    """Everything about the pixels of a picture except its colors."""
    camera = camera_at(scene, side)
    layout = scene.layout
    solid = _solid(scene, camera, side)
    column, row, number = solid.planes()
    piece = np.rint(number).astype(np.intp)
    labels = layout.labels[piece]
    head = piece == 0
    last = np.float32(SKIN_SIDE[lod] - 1)
    place = np.stack([column, row], -1) / last
    texel = np.rint(place[head] * 255).astype(np.intp)
    labels[head] = head_labels()[texel[:, 1], texel[:, 0]]
    flat = labels.ravel()
    drawn = _drawn_on(column, row, lod)
    for name, label in (("eyes", _strokes.label_eyes), ("mouth", _strokes.label_mouth)):
        index, x, y, _ = _region(name, drawn, lod)
        if len(index):
            found = flat[index]
            label(scene, x, y, found)
            flat[index] = found
    depth, normals = solid.depth, scene.normals
    corners = scene.vertices[layout.solid_index]
    normal = _facing(
        carry(corners, layout.solid_faces, normals[layout.solid_index], camera, (side, side), blank=0.0).values, camera
    )
    hidden = labels == L["glasses"]
    cover = _bake.bake(scene, person, factors, lod, lit=False).cover
    for faces in layout.cover_faces:
        over = _cover(scene, camera, side, solid, faces)
        column, row, number = over.planes()
        amount = _look_up(cover, column, row)[..., 3] > 0.5
        corners, along = scene.vertices[layout.cover_index], normals[layout.cover_index]
        on = _facing(carry(corners, faces, along, camera, (side, side), behind=solid.order, blank=0.0).values, camera)
        labels[amount] = layout.labels[np.rint(number).astype(np.intp)][amount]
        depth[amount], normal[amount] = over.depth[amount], on[amount]
        hidden = hidden | amount
    if factors.occluder == "bar":
        inside = _bar(factors.background_seed, side)[0]
        labels[inside], hidden = 0, hidden | inside
    return Truth(labels, depth, normal, np.where(head[..., None], place, np.float32(-1)), hidden & (piece >= 0))


def _facing(normals: F32, camera: Camera) -> F32:
    """(H, W, 3) unit normals, turned to the viewer."""
    high, wide = normals.shape[:2]
    normals /= np.sqrt((normals * normals).sum(-1, keepdims=True)) + np.float32(1e-12)
    x = (np.arange(wide, dtype=np.float32) - np.float32(camera.cx)) / np.float32(camera.focal)
    y = (np.arange(high, dtype=np.float32) - np.float32(camera.cy)) / np.float32(camera.focal)
    along = normals[..., 0] * x[None] + normals[..., 1] * y[:, None] + normals[..., 2]
    normals[along > 0] *= -1
    return normals

"""From parts to pixels: z-buffer, textures, eyes and lips drawn on the chart, strands blended over, labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.ops.pose import Camera
from vultus.ops.raster import Raster, interpolate, rasterize
from vultus.sim import _chart, _features, _head, _paint, _shade
from vultus.sim._people import Factors, Person
from vultus.sim._scene import L, Part, Scene
from vultus.types import F32, U8

__all__ = ["Drawn", "draw", "head_labels"]

F = NDArray[np.floating]

_IRIS = {
    "brown": (92, 58, 36),
    "dark": (48, 32, 24),
    "blue": (98, 134, 170),
    "green": (104, 124, 84),
    "gray": (128, 138, 142),
    "hazel": (126, 96, 56),
}


@dataclass
class Drawn:
    """Arrays at the drawing's own resolution (H, W), linear light."""

    color: F32
    cover: F32
    albedo: F32
    labels: U8
    bare: U8
    raster: Raster
    part: NDArray[np.int32]
    uv: F32
    over: F32
    faces: NDArray[np.int32]
    vertices: F32


def draw(scene: Scene, person: Person, factors: Factors, side: int) -> Drawn:
    """Draw a scene at `side` x `side` pixels, without its background."""
    camera = Camera(scene.camera.focal * side, scene.camera.cx * side - 0.5, scene.camera.cy * side - 0.5)
    raster, part, uv, faces, vertices = _rasterized(scene.solid, camera, side, cull=True)
    albedo = np.zeros((side, side, 3), np.float32)
    light = np.zeros((side, side, 4), np.float32)
    labels = np.zeros((side, side), np.uint8)
    for k, item in enumerate(scene.solid):
        _fill(item, part == k, uv, albedo, light, labels)
    head = part == 0
    labels[head] = head_labels()[_rows(uv[head, 1], 256), _rows(uv[head, 0], 256)]
    px = float(scene.head[..., 2].min()) / camera.focal
    gloss = light[..., 3]
    _features_on(scene, person, factors, camera, (head, uv, albedo, light, labels), px)
    color = albedo * light[..., :3] + gloss[..., None]
    cover = (part >= 0).astype(np.float32)
    bare = labels.copy()
    over = _blend_covers(scene.cover, camera, raster.depth, (color, cover, albedo, labels))
    if factors.occluder == "bar":
        _bar(factors.background_seed, (color, cover, albedo, labels), over)
    return Drawn(color, cover, albedo, labels, bare, raster, part, uv, over, faces, vertices)


def _rows(share: F, count: int) -> NDArray[np.intp]:
    return np.clip(np.rint(share * (count - 1)), 0, count - 1).astype(np.intp)


def _rasterized(
    parts: Sequence[Part], camera: Camera, side: int, *, cull: bool, back: bool = False
) -> tuple[Raster, NDArray[np.int32], F32, NDArray[np.int32], F32]:
    """All parts through one z-buffer: raster, part of each pixel (-1 none), uv of each pixel, faces, vertices."""
    vertices, faces, uvs, owner, start = [], [], [], [], 0
    for k, item in enumerate(parts):
        rows, columns = item.xyz.shape[:2]
        vertices.append(item.xyz.reshape(-1, 3))
        mesh, uv = _mesh(rows, columns, *(_lod_key(item)))
        faces.append(mesh + start)
        uvs.append(uv)
        owner.append(np.full(len(mesh), k, np.int32))
        start += rows * columns
    all_vertices, all_faces = np.concatenate(vertices), np.concatenate(faces)
    if back:
        all_faces = all_faces[:, ::-1]
    raster = rasterize(all_vertices, all_faces, camera, (side, side), cull=cull)
    part = np.append(np.concatenate(owner), np.int32(-1))[raster.face_id]
    return raster, part, interpolate(raster, all_faces, np.concatenate(uvs)), all_faces, all_vertices


def _lod_key(item: Part) -> tuple[int]:
    if item.kind != "head":
        return (-1,)
    return ({675: 0, 1323: 1, 3869: 2}[item.xyz.shape[0] * item.xyz.shape[1]],)


@cache
def _mesh(rows: int, columns: int, lod: int) -> tuple[NDArray[np.int32], F32]:
    """Triangles of a grid and the u, v of its vertices (the head keeps that of its full grid)."""
    v, u = np.linspace(0, 1, rows), np.linspace(0, 1, columns)
    if lod >= 0:
        kept = _head.lod_grid(lod)
        v, u = kept[0] / (_head.ROWS - 1), kept[1] / (_head.COLUMNS - 1)
    grid = np.stack(np.broadcast_arrays(u[None], v[:, None]), -1).reshape(-1, 2)
    return _head.grid_faces(rows, columns), grid.astype(np.float32)


def _fill(item: Part, mask: NDArray[np.bool_], uv: F32, albedo: F32, light: F32, labels: U8) -> None:
    """Color and light of one part, into the pixels that see it."""
    window = _window(mask)
    if window is None:
        return
    inside, place = mask[window], uv[window]
    labels[window][inside] = item.label
    light[window][inside] = _lookup(item.light, place, _lod_key(item)[0])[inside]
    albedo[window][inside] = item.albedo if item.albedo.ndim == 1 else _texture(item.albedo, place)[inside]


def _window(mask: NDArray[np.bool_]) -> tuple[slice, slice] | None:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _texture(table: F32, uv: F32) -> F32:
    high, wide = table.shape[:2]
    return np.asarray(
        cv2.remap(
            table, uv[..., 0] * (wide - 1), uv[..., 1] * (high - 1), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        ),
        np.float32,
    )


def _lookup(table: F32, uv: F32, lod: int) -> F32:
    """Values of vertices at u, v; the columns of a coarse head are not evenly spaced."""
    if lod in (0, 1):
        kept = _head.lod_grid(lod)[1] / (_head.COLUMNS - 1)
        place = np.interp(uv[..., 0], kept, np.linspace(0, 1, len(kept))).astype(np.float32)
        uv = np.stack([place, uv[..., 1]], -1)
    return _texture(table, uv)


@cache
def head_labels() -> U8:
    """(256, 256) skin, nose and neck on the head."""
    f = _paint.fields(256)
    out = np.full((256, 256), L["skin"], np.uint8)
    out[f.nose] = L["nose"]
    out[f.neck] = L["neck"]
    return out


@cache
def _brow_side() -> F32:
    t = _head.template()
    return np.concatenate([t.xy0, t.ahead[..., None]], -1)


Buffers = tuple[NDArray[np.bool_], F32, F32, F32, U8]


def _features_on(scene: Scene, person: Person, factors: Factors, camera: Camera, buffers: Buffers, px: float) -> None:
    """Eyes, brows (labels only: their color is in the skin) and lips."""
    head, uv, albedo, light, labels = buffers
    side = len(labels)
    for chart_box in ((-5.2, -3.2, 5.2, 1.5), (-3.4, 5.2, 3.4, 8.8)):
        corners = np.array(
            [(x, y) for x in np.linspace(chart_box[0], chart_box[2], 5) for y in (chart_box[1], chart_box[3])]
        )
        places = _chart.uv_of_xy(corners)
        at = scene.head[_rows(places[:, 1], _head.ROWS), _rows(places[:, 0], _head.COLUMNS)]
        seen = camera.project(at)
        low = np.clip(np.floor(seen.min(0)) - 2, 0, side).astype(int)
        high = np.clip(np.ceil(seen.max(0)) + 3, 0, side).astype(int)
        if (high <= low).any():
            continue
        window = (slice(low[1], high[1]), slice(low[0], high[0]))
        chart = _texture(_brow_side(), uv[window])
        on = head[window] & (chart[..., 2] > 0.5)
        if not on.any():
            continue
        views = (albedo[window], light[window], labels[window])
        if chart_box[1] < 0:
            _brow_labels(scene, chart, on, views[2])
            _paint_eyes(scene, person, factors, chart, on, views, px)
        else:
            _paint_mouth(scene, person, factors, chart, on, views, px)


def _brow_labels(scene: Scene, chart: F32, on: NDArray[np.bool_], labels: U8) -> None:
    x, y = chart[..., 0], chart[..., 1]
    middle, thick, s = _features.brow_curve(scene.brow, x)
    inside = on & (np.abs(y - middle) < thick) & (s > 0) & (s < 1)
    labels[inside & (x < 0)], labels[inside & (x > 0)] = L["l_brow"], L["r_brow"]


Views = tuple[F32, F32, U8]


def _paint_eyes(
    scene: Scene, person: Person, factors: Factors, chart: F32, on: NDArray[np.bool_], views: Views, px: float
) -> None:
    """Lids with crease and lashes, sclera, iris, pupil, highlight."""
    albedo, light, labels = views
    x, y = chart[..., 0], chart[..., 1]
    right = x > 0
    eyes = scene.eyes
    up, low, s = _features.lid_curves(eyes, x, right)
    near = on & (np.abs(s) < 1.25)
    below, above = y - up, low - y  # > 0 inside the opening
    opening = np.minimum(below, above)
    cover = np.clip(opening / (1.2 * px) + 0.5, 0, 1) * near * (np.abs(s) < 1)
    makeup = float(factors.makeup.get("eye shadow", 0.0))
    ends = np.clip((1.12 - np.abs(s)) / 0.15, 0, 1)
    # crease of the upper lid, line of the lashes, rim of the lower lid
    crease = np.exp(-(((below + eyes.fold) / (0.075 + 0.5 * px)) ** 2)) * ends * (0.30 if eyes.fold > 0.1 else 0.1)
    lash = np.exp(-((np.clip(below + 0.02, -9, 9) / (0.065 + 0.45 * px)) ** 2)) * ends
    lash *= np.clip(0.72 - 0.12 * person.sex_axis + 0.3 * makeup, 0, 0.95)
    rim = np.exp(-(((above + 0.03) / (0.05 + 0.4 * px)) ** 2)) * ends * (0.26 + 0.2 * makeup)
    dark = np.clip(1 - (crease + rim) * near, 0.25, 1)
    albedo *= dark[..., None]
    # the ball
    ex, ey = np.abs(x) - _features.EYE_X, y - _features.EYE_Y
    sign = np.where(right, 1.0, -1.0)
    gx, gy = eyes.gaze
    radius = np.hypot(ex * sign - gx, ey - gy) / eyes.iris
    soft = 1.0 * px / eyes.iris
    white = np.array([0.62, 0.575, 0.545], np.float32)
    ball = 1 - 0.30 * np.clip(np.abs(s), 0, 1) ** 3 - 0.50 * np.exp(-np.clip(below, 0, None) / 0.13)
    corner = np.clip((-s - 0.80) / 0.12, 0, 1)
    iris_rgb = (np.array(_IRIS[person.iris]) / 255.0) ** 2
    ring = 0.45 + 0.75 * np.clip(radius, 0, 1) ** 2 * (radius < 0.86) + 0.55 * (ey > 0) * np.clip(ey, 0, 0.5)
    ring = ring * (1 - 0.62 * np.clip((radius - 0.80) / 0.16, 0, 1))
    eye = white * ball[..., None]
    eye += corner[..., None] * (np.array([0.42, 0.2, 0.17], np.float32) - eye)
    in_iris = np.clip((1 - radius) / soft + 0.5, 0, 1)[..., None]
    lidded = (0.55 + 0.45 * np.clip(below / 0.25, 0, 1))[..., None]
    eye += in_iris * (iris_rgb * 1.25 * (ring[..., None] * lidded) - eye)
    in_pupil = np.clip((0.40 - radius) * eyes.iris / (1.0 * px) + 0.5, 0, 1)[..., None]
    eye += in_pupil * (0.004 - eye)
    albedo += cover[..., None] * (eye.astype(np.float32) - albedo)
    albedo += (lash * near * (below < 0.12 + px))[..., None] * (np.array([0.012, 0.009, 0.008], np.float32) - albedo)
    toward = _shade.main_direction(np.asarray(factors.light_sh, np.float32))
    hx, hy = gx + 0.30 * float(toward[0]), gy + 0.26 * float(toward[1]) - 0.02
    glint = np.exp(-((ex * sign - hx) ** 2 + (ey - hy) ** 2) / (2 * (0.085 + 0.35 * px) ** 2))
    light[..., 3] *= 1 - cover
    light[..., 3] += (0.62 * factors.light_gain * glint * cover * (below > 0.03)).astype(np.float32)
    # a ball in its socket is lit from in front, not as the skin around it
    inside = on & (opening > 0) & (np.abs(s) < 1)
    labels[inside & ~right], labels[inside & right] = L["l_eye"], L["r_eye"]


def _paint_mouth(
    scene: Scene, person: Person, factors: Factors, chart: F32, on: NDArray[np.bool_], views: Views, px: float
) -> None:
    """Lips, the line between them, teeth and tongue."""
    albedo, light, labels = views
    x, y = chart[..., 0], chart[..., 1]
    mouth = scene.mouth
    top, upper, lower, bottom, s = _features.lip_curves(mouth, x)
    near = on & (np.abs(s) < 1)
    skin = _paint.skin_color(person.tone_ita_deg)
    redness = float(person.z_albedo[6]) * 0.05
    lip = skin * np.array([0.80 - 0.3 * redness, 0.46 - redness, 0.44 - redness], np.float32) + np.array(
        [0.025, 0.0, 0.0], np.float32
    )
    stick = float(factors.makeup.get("lipstick", 0.0))
    if stick:
        lip = lip + 0.8 * stick * (np.array([0.42, 0.035, 0.055], np.float32) - lip)
    blur = 0.9 * px + 0.05
    in_lips = np.clip(np.minimum(y - top, bottom - y) / blur + 0.4, 0, 1) * near * np.clip((1 - np.abs(s)) / 0.12, 0, 1)
    strength = (0.55 + 0.1 * max(-person.sex_axis, 0)) if not stick else 0.92
    is_upper = y < (upper + lower) / 2
    place_low = np.clip((y - lower) / np.maximum(bottom - lower, 0.05), 0, 1)
    place_up = np.clip((upper - y) / np.maximum(upper - top, 0.05), 0, 1)
    form = np.where(
        is_upper,
        0.80 + 0.16 * place_up,
        0.92 + 0.30 * np.exp(-(((place_low - 0.35) / 0.28) ** 2)) - 0.30 * place_low**3,
    )
    albedo += (in_lips * strength)[..., None] * (lip - albedo)
    albedo *= (1 + in_lips * (form - 1))[..., None]
    under = np.exp(-(((y - bottom - 0.16) / 0.16) ** 2)) * np.clip(1 - np.abs(s) * 1.4, 0, 1) * on
    line = np.exp(-(((y - (upper + lower) / 2) / (0.055 + 0.5 * px)) ** 2)) * near
    corner = np.exp(-((np.abs(x) - mouth.half_width) ** 2 + (y - _features.MOUTH_Y - 0.06) ** 2) / 0.035) * on
    closed = np.clip(1 - mouth.gap * 6, 0, 1)
    albedo *= (1 - 0.20 * under - (0.62 * closed + 0.1) * line * (1 - 0.3 * np.abs(s)) - 0.45 * corner)[..., None].clip(
        0.1, 1
    )
    light[..., 3] += (
        0.035 * in_lips * ~is_upper * np.exp(-(((place_low - 0.4) / 0.2) ** 2)) * (0.5 + stick) * factors.light_gain
    ).astype(np.float32)
    inside = near & (y > upper) & (y < lower) & (mouth.gap > 0.02)
    if mouth.gap > 0.02:
        _paint_inside(albedo, light, (x, y, s, upper, lower), near, px, mouth.gap)
    labels[near & (y > top) & (y <= upper)] = L["u_lip"]
    labels[near & (y >= lower) & (y < bottom)] = L["l_lip"]
    labels[inside] = L["mouth"]


def _paint_inside(
    albedo: F32, light: F32, curves: tuple[F, F, F, F, F], near: NDArray[np.bool_], px: float, gap: float
) -> None:
    x, y, s, upper, lower = curves
    cover = np.clip(np.minimum(y - upper, lower - y) / px + 0.5, 0, 1) * near
    depth = np.array([0.035, 0.010, 0.010], np.float32)
    inner = np.broadcast_to(depth, albedo.shape).copy()
    tongue = np.exp(-((x / 1.2) ** 2) - ((y - lower) / (0.35 * gap + 0.05)) ** 2) * (gap > 0.3)
    inner += tongue[..., None] * (np.array([0.28, 0.09, 0.09], np.float32) - inner)
    tall = 0.62
    tooth = np.clip((upper + tall - 0.10 * s * s - y) / (px + 0.04) + 0.5, 0, 1) * np.clip(
        (0.94 - np.abs(s)) / 0.2, 0, 1
    )
    gaps = 1 - 0.22 * np.exp(-((((np.abs(x) / 0.62) % 1.0) - 0.5) ** 2) / 0.004) if px < 0.1 else 1.0
    white = np.array([0.60, 0.55, 0.47], np.float32)
    shade = (0.62 + 0.38 * np.clip((y - upper) / 0.25, 0, 1)) * (1 - 0.45 * np.abs(s) ** 2) * gaps
    inner += tooth[..., None] * (white * shade[..., None] - inner)
    albedo += cover[..., None] * (inner.astype(np.float32) - albedo)
    light[..., 3] *= 1 - 0.8 * cover
    # what lies inside is lit through the opening, about as its surroundings


def _blend_covers(parts: Sequence[Part], camera: Camera, depth: F32, buffers: tuple[F32, F32, F32, U8]) -> F32:
    """Hair, beard and glasses over the rest; returns how much they hide (H, W)."""
    color, cover, albedo, labels = buffers
    side = len(labels)
    hidden = np.zeros((side, side), np.float32)
    for group, back in _groups(parts):
        strands = group[0].kind == "hair"
        raster, part, uv, _, _ = _rasterized(group, camera, side, cull=strands, back=back)
        nearer = raster.depth < depth
        for k, item in enumerate(group):
            mask = (part == k) & nearer
            window = _window(mask)
            if window is None:
                continue
            place = uv[window]
            light = _texture(item.light, place)
            tint = item.albedo if item.albedo.ndim == 1 else _texture(item.albedo, place)
            amount = mask[window] * (_texture(item.alpha, place) if item.alpha is not None else 1.0)
            shown = tint * light[..., :3]
            if item.kind == "hair":  # sheen lies on strands; the inside of the sheet is dark
                shown = shown + light[..., 3:] * (tint.mean(-1, keepdims=True) / float(item.albedo.mean())) ** 2
                shown *= 0.3 if back else 1.0
            else:
                shown = shown + light[..., 3:]
            share = amount[..., None]
            color[window] += share * (shown - color[window])
            albedo[window] += share * (tint - albedo[window])
            cover[window] += amount * (1 - cover[window])
            solid = amount > 0.5
            labels[window][solid] = item.label if item.kind != "beard" else labels[window][solid]
            np.maximum(hidden[window], amount, out=hidden[window])
    return hidden


def _bar(seed: int, buffers: tuple[F32, F32, F32, U8], hidden: F32) -> None:
    """An object in front of everything."""
    color, cover, albedo, labels = buffers
    side = len(labels)
    rng = np.random.default_rng(seed + 1)
    center, half, angle = rng.uniform(0.25, 0.75, 2), rng.uniform(0.035, 0.08), rng.uniform(0, np.pi)
    paint = (rng.uniform(0.08, 0.92, 3) ** 2).astype(np.float32)
    place = (np.arange(side, dtype=np.float32) + 0.5) / side
    across = (place[None] - center[0]) * np.sin(angle) - (place[:, None] - center[1]) * np.cos(angle)
    inside = np.abs(across) < half
    color[inside], albedo[inside], cover[inside], labels[inside], hidden[inside] = paint, paint, 1, 0, 1


def _groups(parts: Sequence[Part]) -> list[tuple[list[Part], bool]]:
    """What shares a z-buffer, from below to above, and whether its inside is drawn.

    What is seen through each other does not share one.
    """
    order = (("beard", False), ("mask", False), ("hair", True), ("lens", False), ("frame", False), ("hair", False))
    groups = [([p for p in parts if p.kind == kind], back) for kind, back in order]
    return [(group, back) for group, back in groups if group]

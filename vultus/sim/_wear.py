"""What a head wears and stands on: ears, shoulders with a shirt, glasses, hats."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.sim import _chart, _head
from vultus.sim._layout import face_grid
from vultus.types import F32

__all__ = ["GLASSES", "HATS", "body", "ear", "glasses", "hat", "mask", "mask_cover"]

F = NDArray[np.floating]
_HALF = np.array([0.0, 0.15, 0.0])  # of a ribbon of the frame
GLASSES = ("none", "round", "sun")
HATS = ("none", "cap", "beanie")


@cache
def body(lod: int) -> tuple[F32, F32]:
    """Shoulders (R, C, 3) in cm around the neck, and the light that reaches them (R, C)."""
    rows, columns = ((7, 17), (11, 25), (15, 33))[lod]
    k = np.linspace(0, 1, rows)
    y = _head.curve([0, 0.15, 0.3, 0.5, 0.75, 1], [14.0, 14.5, 15.6, 17.2, 20.5, 40.0], k)
    wide = _head.curve([0, 0.15, 0.3, 0.5, 0.75, 1], [5.9, 6.7, 9.5, 14.5, 19.5, 21.0], k)
    front = _head.curve([0, 0.15, 0.3, 0.5, 0.75, 1], [3.0, 3.9, 5.0, 6.5, 8.5, 11.0], k)
    back = _head.curve([0, 0.3, 0.6, 1], [-8.3, -10.0, -12.0, -12.5], k)
    phi = np.linspace(-np.pi, np.pi, columns)
    c, s = np.cos(phi)[None], np.sin(phi)[None]
    depth = np.where(c >= 0, (front[:, None] + 2.4) * np.abs(c), (back[:, None] + 2.4) * np.abs(c)) - 2.4
    x = wide[:, None] * s
    # the shirt's edge lies lower in front than on the shoulders
    low = np.clip(c, 0, 1) ** 1.5 * np.clip(1 - k / 0.3, 0, 1)[:, None] * 2.2
    grid = np.stack([x, y[:, None] + low + 0 * x, -depth + 0 * x], -1).astype(np.float32)
    shade = np.clip(0.45 + 1.6 * k, 0, 1)[:, None] + 0 * x
    return grid, shade.astype(np.float32)


@cache
def _ear_forms(side: int, lod: int) -> tuple[F32, F32, F32, F32]:
    """What of an ear stays and what grows with its size (R, C, 3) each, its normals, and the light in its hollows."""
    rows, columns = ((6, 5), (9, 7), (13, 11))[lod]
    v = np.linspace(-1, 1, rows)[:, None]
    u = np.linspace(0, 1, columns)[None]
    half = np.sqrt(np.clip(1 - (0.97 * v) ** 2, 0, 1)) * (1.0 - 0.32 * np.clip(v, 0, 1))
    rim = 0.30 * np.exp(-(((u - 0.86) / 0.12) ** 2)) - 0.38 * np.exp(
        -(((u - 0.5) / 0.22) ** 2) - ((v - 0.1) / 0.5) ** 2
    )
    still = np.broadcast_arrays(
        side * (0.03 + rim * 0.8) + 0 * v, -0.1 + 0.3 * (u - 0.5) + 0 * v, -0.85 - 0.28 * v + 0 * u
    )
    grows = np.broadcast_arrays(side * 1.35 * u**0.9 * half, 3.0 * v + 0 * u, u * half * 3.5)
    hollow = 1 - 0.55 * np.exp(-(((u - 0.45) / 0.25) ** 2) - ((v - 0.15) / 0.55) ** 2) - 0.2 * (u < 0.1)
    found = [np.stack(still, -1), np.stack(grows, -1), np.broadcast_to(hollow, (rows, columns))]
    if side < 0:  # columns run to the viewer's right as seen from outside
        found = [f[:, ::-1] for f in found]
    fixed, grown, dark = (np.ascontiguousarray(f, np.float32) for f in found)
    return fixed, grown, _head.normals(fixed + grown), dark


def ear(side: int, head: F32, size: float, lod: int) -> tuple[F32, F32, F32]:
    """An ear (R, C, 3) at the head's side -1 or 1, its normals, and the light in its hollows (R, C)."""
    fixed, grown, normal, hollow = _ear_forms(side, lod)
    root = _chart_place(head, side * np.radians(93.0), 0.455)
    place: F32 = fixed + np.float32(size) * grown + root
    return place, normal, hollow


def _chart_place(head: F32, phi: float, t: float) -> F32:
    u, v = _chart.uv_of_phi_t(np.array(phi), np.array(t))
    row, column = v * (_head.ROWS - 1), u * (_head.COLUMNS - 1)
    place: F32 = head[round(float(row)), round(float(column))]
    return place


def glasses(kind: str, head: F32, lod: int) -> list[tuple[str, F32]]:
    """Rims, bridge and temples as ribbons, and lenses: (what, (R, C, 3)) each; what is frame or lens."""
    anchor = _eye_places(head)
    wide, tall = (2.55, 1.95) if kind == "round" else (2.95, 2.05)
    count = (13, 19, 29)[lod]
    angle = np.linspace(0, 2 * np.pi, count)
    power = 1.0 if kind == "round" else 0.72
    ox = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** power
    oy = np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** power
    if kind == "sun":
        oy = np.where(oy < 0, oy * 0.8, oy)
    thick = 0.2 if kind == "round" else 0.26
    front = min(float(anchor[0, 2]), float(anchor[1, 2])) - 1.55
    found: list[tuple[str, F32]] = []
    for side, eye in zip((-1, 1), anchor, strict=True):
        cx, cy = float(eye[0]) + 0.05 * side, float(eye[1]) + 0.25
        bend = 0.05 * (ox * side) ** 2 * 2 + 0.28 * np.clip(ox * side, 0, 1)
        ring = [np.stack([cx + ox * (wide + d), cy + oy * (tall + d), front + bend], -1) for d in (thick, 0.0)]
        found.append(("frame", np.stack(ring).astype(np.float32)))
        lens = [np.stack([cx + ox * wide * k, cy + oy * tall * k, front + bend * k + 0.02], -1) for k in (1.0, 0.0)]
        found.append(("lens", np.stack(lens).astype(np.float32)))
        hinge = np.array([cx + side * (wide + thick * 0.5), cy - 0.45, front + 0.33])
        behind = _chart_place(head, side * np.radians(96.0), 0.33) + np.array([side * 0.35, -0.2, 0.3])
        line = hinge + np.linspace(0, 1, 5)[:, None] * (behind - hinge)
        found.append(("frame", np.stack([line - _HALF, line + _HALF]).astype(np.float32)))
    inner = [float(anchor[0, 0]) - 0.05 + wide, float(anchor[1, 0]) + 0.05 - wide]
    if inner[1] > inner[0]:
        bx = np.linspace(inner[0] - 0.05, inner[1] + 0.05, 5)
        by = float(anchor[:, 1].mean()) - 0.15 - 0.25 * np.sin(np.linspace(0, np.pi, 5))
        line = np.stack([bx, by, np.full(5, front - 0.05)], -1)
        found.append(("frame", np.stack([line - _HALF, line + _HALF]).astype(np.float32)))
    return found


def _eye_places(head: F32) -> F32:
    """(2, 3) where the eyes' middles lie on a head."""
    uv = _chart.uv_of_xy(np.array([[-3.15, 0.12], [3.15, 0.12]]))
    index = np.rint(uv[:, ::-1] * (_head.ROWS - 1, _head.COLUMNS - 1)).astype(int)
    places: F32 = head[index[:, 0], index[:, 1]]
    return places


def hat(kind: str, head: F32, normal: F32, lod: int) -> list[F32]:
    """A cap (crown and visor) or a beanie over a head: grids (R, C, 3)."""
    rows, columns = ((7, 25), (11, 37), (15, 49))[lod]
    phi = np.linspace(-np.pi, np.pi, columns)
    edge = np.interp(
        np.abs(phi),
        (0, 0.9, 1.6, 2.2, np.pi),
        (0.155, 0.175, 0.26, 0.38, 0.44) if kind == "cap" else (0.165, 0.185, 0.29, 0.42, 0.48),
    )
    k = np.linspace(0, 1, rows)[:, None]
    t = edge[None] * k
    uv = _chart.uv_of_phi_t(np.broadcast_to(phi[None], t.shape), t)
    index_v, index_u = uv[..., 1] * (_head.ROWS - 1), uv[..., 0] * (_head.COLUMNS - 1)
    root = cv2.remap(head, index_u, index_v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    out = cv2.remap(normal, index_u, index_v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    lift = (1.7 + 0.7 * np.sin(np.pi * k)) if kind == "cap" else (1.9 + 0.9 * (1 - k) + 0.45 * (k > 0.72))
    crown = (root + out * lift[..., None]).astype(np.float32)
    grids = [crown]
    if kind == "cap":
        columns_in = np.abs(phi) < 1.05
        rim = crown[-1, columns_in]
        steps = np.linspace(0, 1, (3, 4, 6)[lod])[:, None, None]
        ahead = np.zeros_like(rim)
        ahead[:, 2] = -6.0 * np.cos(phi[columns_in] / 1.05 * np.pi / 2) ** 0.6
        ahead[:, 1] = 1.3
        visor = rim[None] + steps * ahead[None]
        visor[..., 1] += 0.012 * visor[..., 0] ** 2 * steps[..., 0]
        grids.append(visor.astype(np.float32))
    return grids


def mask(head: F32, normal: F32, lod: int) -> F32:
    """A medical mask from the bridge of the nose to under the chin: grid (R, C, 3)."""
    index = np.ix_(*face_grid("mask", lod))
    place = head[index] + normal[index] * 0.35
    for _ in range(3):  # cloth spans the hollows
        place[1:-1, 1:-1] = (
            place[1:-1, 1:-1] + place[:-2, 1:-1] + place[2:, 1:-1] + place[1:-1, :-2] + place[1:-1, 2:]
        ) / 5
        place[..., 2] = np.minimum(place[..., 2], head[index][..., 2] - 0.2)
    return np.asarray(place, np.float32)


@cache
def mask_cover(side: int) -> F32:
    """(T, T) where the cloth of a mask lies, on the head's texture."""
    x, y, _ = np.moveaxis(_chart.chart(side, side), -1, 0)
    cover = np.clip((y - 2.1 - 0.16 * np.abs(x)) / 0.15, 0, 1) * np.clip((6.6 - np.abs(x)) / 0.15, 0, 1)
    return np.asarray(cover, np.float32)

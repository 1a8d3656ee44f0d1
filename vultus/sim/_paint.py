"""Color of the skin as textures over the head: tone, 24 fields that make a person's own coloring, marks, brows,
stubble, wrinkles, make-up, lips. Linear light (gamma 2).
"""

from __future__ import annotations

from functools import cache, lru_cache
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.sim import _chart, _features, _head
from vultus.sim._people import Mark, Person
from vultus.types import F32

__all__ = ["N_ALBEDO", "Fields", "albedo_fields", "fields", "person_skin", "skin_color", "streaks"]

N_ALBEDO = 24
F = NDArray[np.floating]

# tone by individual typology angle, degrees: dark to light (picture values)
_ITA = (-60.0, -30.0, 0.0, 15.0, 28.0, 41.0, 55.0, 70.0)
_SKIN = np.array(
    [
        (70, 46, 36),
        (104, 69, 50),
        (148, 102, 74),
        (176, 128, 98),
        (201, 153, 122),
        (218, 174, 146),
        (232, 192, 168),
        (240, 206, 187),
    ],
    float,
)


class Fields:
    """Masks over the head, the same for everybody, (T, T) float32 in [0, 1]."""

    def __init__(self, side: int) -> None:
        grid = _chart.chart(side, side)
        x, y, ahead = (np.ascontiguousarray(grid[..., k], np.float32) for k in range(3))
        phi, t = _chart.phi_t(side, side)
        self.x, self.y, self.ahead = x, y, ahead
        self.phi, self.t = phi.astype(np.float32), t.astype(np.float32)
        noise = _noise(side, 5)
        self.grain = noise
        self.nostril = (
            np.clip(1.15 * np.exp(-((((np.abs(x) - 0.68) / 0.36) ** 2 + ((y - 4.62) / 0.15) ** 2) ** 1.5)), 0, 1)
            * ahead
        )
        self.stubble = _stubble(x, y, ahead, phi, t)
        self.wrinkle = _wrinkles(x, y) * ahead
        self.fold = _fold(x, y) * ahead
        self.bag = _soft_spot(x, y, ahead, (3.05, 1.15, 1.1, 0.28))
        self.blush = _soft_spot(x, y, ahead, (4.2, 3.2, 1.3, 1.0))
        self.lid = _soft_spot(x, y, ahead, (EYE[0], EYE[1] - 0.75, 1.3, 0.42))
        self.neck = t > np.where(np.abs(phi) < np.pi / 2, 0.883, 0.80)
        self.nose = _features.in_nose(x, y) & (ahead > 0.5)
        for name in ("nostril", "stubble", "wrinkle", "fold", "bag", "blush", "lid"):
            setattr(self, name, getattr(self, name).astype(np.float32))


def _soft_spot(x: F, y: F, ahead: F, spot: tuple[float, float, float, float]) -> NDArray[np.float64]:
    """A Gaussian on the face: x, y and deviations."""
    return _head.bump(x.astype(np.float64), y.astype(np.float64), spot[:2], spot[2:]) * ahead


EYE = (_features.EYE_X, _features.EYE_Y)


@cache
def fields(side: int) -> Fields:
    """Masks at a texture of `side` x `side`."""
    return Fields(side)


def _noise(side: int, seed: int) -> F32:
    """Fine and coarse mottling of skin, mean 0, deviation about 1."""
    rng = np.random.default_rng(seed)
    total = np.zeros((side, side), np.float32)
    for cells, weight in ((9, 0.5), (23, 0.5), (61, 0.5), (131, 0.7)):
        small = rng.normal(size=(cells, cells)).astype(np.float32)
        total += weight * cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC)
    return total


def streaks(rows: int, columns: int, seed: int, along: int = 6) -> F32:
    """Strands: (rows, columns) in [0, 1], nearly constant along the rows' direction."""
    rng = np.random.default_rng(seed)
    total = np.zeros((rows, columns), np.float32)
    for cells, weight in ((columns // 12, 0.9), (columns // 4, 0.8), (columns, 0.6)):
        small = rng.normal(size=(along, max(cells, 2))).astype(np.float32)
        total += weight * cv2.resize(small, (columns, rows), interpolation=cv2.INTER_CUBIC)
    result: F32 = np.clip(0.5 + 0.27 * total, 0, 1).astype(np.float32)
    return result


def _stubble(x: F, y: F, ahead: F, phi: F, t: F) -> F:
    """Where beards grow: jaw, chin, upper lip, sideburns; not the lips."""
    upper_edge = np.interp(np.abs(x), (0, 1.6, 2.7, 3.6, 5.2, 6.4), (5.1, 5.2, 6.4, 6.9, 5.3, 1.6))
    low = np.clip((y - upper_edge) / 1.3 + 0.25, 0, 1)
    mouth = np.exp(-(((x / 2.5) ** 2 + ((y - 6.85) / 0.95) ** 2) ** 3))
    neck = np.clip((0.925 - t) / 0.03, 0, 1)
    front = np.clip((np.radians(88) - np.abs(phi)) / 0.12, 0, 1)
    result: NDArray[np.floating] = low * (1 - mouth) * neck * front * np.clip(ahead * 3 + (np.abs(phi) > 1.1), 0, 1)
    return result


def _line(x: F, y: F, points: list[tuple[float, float]], wide: float) -> F:
    """A soft line through points of the right half, mirrored."""
    best = np.full(x.shape, 1e9)
    ax = np.abs(x)
    for (x0, y0), (x1, y1) in pairwise(points):
        dx, dy = x1 - x0, y1 - y0
        s = np.clip(((ax - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy), 0, 1)
        best = np.minimum(best, (ax - x0 - s * dx) ** 2 + (y - y0 - s * dy) ** 2)
    return np.exp(-best / (2 * wide**2))


def _wrinkles(x: F, y: F) -> F:
    """Lines of age on the forehead, between the brows, beside the eyes and the mouth."""
    total = np.zeros(x.shape)
    for k, height in enumerate((-3.5, -4.3, -5.2)):
        wave = height + 0.12 * np.cos(1.4 * x + k) + 0.02 * x * x
        total += 0.55 * np.exp(-(((y - wave) / 0.13) ** 2)) * np.exp(-((x / 3.6) ** 4))
    total += 0.5 * _line(x, y, [(0.45, -2.3), (0.4, -1.2)], 0.1)
    for angle in (-0.5, 0.0, 0.45):
        total += 0.5 * _line(x, y, [(4.95, 0.25 + 0.5 * angle), (5.9, 0.3 + 1.3 * angle)], 0.09)
    total += 0.55 * _line(x, y, [(1.9, 1.35), (3.2, 1.62), (4.3, 1.2)], 0.12)
    total += 0.6 * _line(x, y, [(2.75, 7.1), (2.95, 8.2), (2.8, 9.0)], 0.14)
    return np.clip(total, 0, 1)


def _fold(x: F, y: F) -> F:
    """From the wings of the nose past the corners of the mouth."""
    return _line(x, y, [(1.85, 4.2), (2.5, 5.2), (3.0, 6.3), (3.05, 6.9)], 0.17)


@cache
def albedo_fields(side: int) -> F32:
    """(3, T, T, 24) change of log albedo per standard deviation."""
    f = fields(side)
    x, y, ahead = f.x.astype(np.float64), f.y.astype(np.float64), f.ahead
    red, dark, warm = np.array([0.0, -0.10, -0.09]), np.array([-0.13, -0.15, -0.16]), np.array([0.02, -0.02, -0.09])
    places = [
        (4.2, 3.2, 1.4, 1.1, red * 1.3),
        (0.0, 3.6, 1.2, 0.9, red),
        (0.0, 10.0, 1.6, 1.0, red),
        (0.0, -4.5, 3.5, 1.6, warm),
        (3.0, 1.2, 1.3, 0.4, dark * 1.5),
        (3.15, -0.7, 1.5, 0.5, dark * 1.2),
        (0.0, 6.8, 2.6, 1.4, dark * 0.8),
        (5.0, 7.0, 1.4, 2.0, dark * 0.7),
        (0.0, -1.4, 1.2, 0.8, dark * 0.6),
        (6.0, -1.0, 1.4, 2.0, warm),
    ]
    found = [(_head.bump(x, y, (p[0], p[1]), (p[2], p[3])) * ahead)[..., None] * p[4] for p in places]
    rng = np.random.default_rng(24)
    for k in range(N_ALBEDO - len(places)):
        cells = 6 if k < 8 else 11
        small = rng.normal(size=(cells, cells)).astype(np.float32)
        field = cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC).astype(np.float64)
        found.append(field[..., None] * (0.22 * dark if k % 2 else 0.3 * red))
    return np.ascontiguousarray(np.moveaxis(np.stack(found, axis=-1), 2, 0), np.float32)


@lru_cache(maxsize=256)
def skin_color(ita_deg: float) -> F32:
    """(3,) linear albedo of a tone."""
    value = np.array([np.interp(ita_deg, _ITA, _SKIN[:, k]) for k in range(3)])
    return ((value / 255) ** 2 * 0.92).astype(np.float32)


@lru_cache(maxsize=32)
def person_skin(person: Person, side: int) -> tuple[F32, F32]:
    """Skin (3, T, T) and brow cover (T, T) of a person; kept for the last few."""
    f = fields(side)
    change = (albedo_fields(side).reshape(-1, N_ALBEDO) @ person.z_albedo.astype(np.float32)).reshape(3, side, side)
    depth = np.float32(np.interp(person.tone_ita_deg, (-40, 50), (0.75, 1.0)))
    skin = skin_color(person.tone_ita_deg)[:, None, None] * np.exp(change * depth + np.float32(0.034) * f.grain)
    for mark in person.marks:
        _paint_mark(skin, f, mark)
    skin *= 1 - np.float32(0.8) * f.nostril
    brow = _features.brow_of(_head.activations(person.z_shape), person.sex_axis)
    middle, thick, s = _features.brow_curve(brow, f.x)
    across = np.abs((f.y - middle) / np.maximum(thick, 0.05))
    ends = np.clip((s + 0.03) / 0.14, 0, 1) * np.clip((1.03 - s) / 0.2, 0, 1)
    alpha = np.clip(1.5 * np.exp(-(across**2.6)) * ends - 0.55 * (1 - _slanted(side)) * (0.6 + 0.5 * across), 0, 0.93)
    return skin.astype(np.float32), (alpha * (f.ahead > 0.4)).astype(np.float32)


@cache
def _slanted(side: int) -> F32:
    """Brow hairs: strands that lean outward."""
    f = fields(side)
    strand = streaks(64, 256, 9, along=3)
    u = (np.abs(f.x) * 0.9 + f.y * 0.75) * 34
    v = f.y * 4
    return np.asarray(
        cv2.remap(strand, u.astype(np.float32) % 256, v.astype(np.float32) % 64, cv2.INTER_LINEAR), np.float32
    )


def _paint_mark(skin: F32, f: Fields, mark: Mark) -> None:
    """A mole, a scar or freckles, in place."""
    dx, dy = f.x - np.float32(mark.x), f.y - np.float32(mark.y)
    if mark.kind == "mole":
        cover = 0.85 * np.clip(1.6 - np.sqrt(dx * dx + dy * dy) * (1.6 / mark.size), 0, 1) * f.ahead
        skin += cover * (_column(0.10, 0.055, 0.035) - skin)
    elif mark.kind == "scar":
        c, s = float(np.cos(mark.angle)), float(np.sin(mark.angle))
        along, across = c * dx + s * dy, -s * dx + c * dy
        cover = np.exp(-((across / 0.13) ** 2)) * (np.abs(along) < 2.2 * mark.size) * f.ahead
        skin *= 1 + cover * _column(0.35, 0.08, 0.08)
    elif mark.kind == "freckles":
        rng = np.random.default_rng(int(mark.angle * 1e6))
        cover = np.zeros(f.x.shape, np.float32)
        places = zip(
            rng.normal(0, 2.6, 60).tolist(), rng.normal(2.6, 1.1, 60).tolist(), rng.uniform(0.1, 0.2, 60), strict=True
        )
        for px, py, size in places:
            cover += np.exp(-((f.x - px) ** 2 + (f.y - py) ** 2) * np.float32(1 / size**2))
        skin *= 1 - np.clip(cover, 0, 1) * f.ahead * _column(0.28, 0.42, 0.5)


def _column(red: float, green: float, blue: float) -> F32:
    """A color over planes."""
    return np.array([[[red]], [[green]], [[blue]]], np.float32)

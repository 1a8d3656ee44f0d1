"""What is no face: textures, blobs, hands, scrambled faces, backs of heads, animals, and things that look at you.

Everything is drawn from distance fields on a square that reaches from -1 to 1, x to the right and y down, shaded as a
rounded solid and averaged down. A thing is a `Cutout` without a face; its box is the thing itself, and for animals and
face-like things the part that looks like a face.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.sim import _cutout, _paint, _world
from vultus.sim._cutout import Cutout
from vultus.types import F32

__all__ = ["ANIMALS", "KINDS", "LIKE_FACES", "noise", "textured", "thing"]

F = NDArray[np.floating]
Rng = np.random.Generator
ANIMALS = ("bear", "cat", "dog", "owl")
LIKE_FACES = (*ANIMALS, "pareidolia")
KINDS = ("texture", "blob", "ball", "hand", "scrambled", "back", *LIKE_FACES)
UP_LEFT = (-0.45, -0.65, -0.6)


def thing(kind: str, rng: Rng, size: int, *, likeness: float = 1.0, toward: Sequence[float] = UP_LEFT) -> Cutout:
    """Draw a thing whose box is about `size` pixels tall.

    Args:
        kind: one of `KINDS`.
        rng: its shape, color and texture.
        size: pixels.
        likeness: for pareidolia, 1 for two blobs over a bar where eyes and mouth would be, 0 for scattered ones.
        toward: direction of the light, camera axes.
    """
    if kind in ("scrambled", "back"):
        return _of_a_person(kind, rng, size)
    share = {"pareidolia": 0.62, "bear": 0.68, "cat": 0.68, "dog": 0.72, "owl": 0.74}.get(kind, 0.9)
    side = max(8, round(size / share))
    n = int(np.clip(2 * side, 48, 768))
    line = np.linspace(-1, 1, n, dtype=np.float32)
    x, y = np.meshgrid(line, line)
    if kind == "pareidolia":
        drawn = _pareidolia(rng, x, y, likeness, toward)
    elif kind in ANIMALS:
        drawn = _animal(kind, rng, x, y, toward)
    else:
        drawn = _PLAIN[kind](rng, x, y, toward)
    color, cover, box, points = drawn
    cover = np.asarray(cover, np.float32)
    flat = np.zeros_like(cover)
    pixels = ((box + 1) / 2 * n).astype(np.float32)
    marks = ((points + 1) / 2 * n - 0.5).astype(np.float32)
    cut = Cutout(
        (color * cover[..., None]).astype(np.float32), cover, flat, flat, pixels, marks, np.full(3, np.nan, np.float32)
    )
    return _cutout.shrunk(cut, side, side)


def noise(rng: Rng, side: int, alpha: float, *, gray: bool = True) -> F32:
    """(side, side) or (side, side, 3) noise with a power spectrum of 1/f^alpha, in [0, 1], mean 0.5, deviation 0.18."""
    planes = 1 if gray else 3
    rows, columns = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    frequency = np.hypot(rows, columns)
    frequency[0, 0] = 1.0
    white = rng.standard_normal((planes, side, side))
    spectrum = np.fft.rfft2(white) * frequency ** (-alpha / 2)
    spectrum[:, 0, 0] = 0
    shape = np.fft.irfft2(spectrum, s=(side, side))
    shape /= shape.std(axis=(1, 2), keepdims=True) + 1e-12
    out = np.clip(0.5 + 0.18 * shape, 0, 1).astype(np.float32)
    result: F32 = out[0] if gray else np.moveaxis(out, 0, -1)
    return result


# ---------------------------------------------------------------- fields and light
Drawn = tuple[F, F, NDArray[np.float64], NDArray[np.float64]]
NO_POINTS = np.full((5, 2), np.nan)


def _capsule(x: F, y: F, a: tuple[float, float], b: tuple[float, float], radius: float) -> F:
    ex, ey = b[0] - a[0], b[1] - a[1]
    along = np.clip(((x - a[0]) * ex + (y - a[1]) * ey) / (ex * ex + ey * ey + 1e-9), 0, 1)
    out: F = np.hypot(x - a[0] - along * ex, y - a[1] - along * ey) - radius
    return out


def _ellipse(x: F, y: F, center: tuple[float, float], half: tuple[float, float]) -> F:
    out: F = (np.hypot((x - center[0]) / half[0], (y - center[1]) / half[1]) - 1) * min(half)
    return out


def _square(x: F, y: F, half: tuple[float, float], corner: float) -> F:
    dx, dy = np.abs(x) - half[0] + corner, np.abs(y) - half[1] + corner
    out: F = np.hypot(np.maximum(dx, 0), np.maximum(dy, 0)) + np.minimum(np.maximum(dx, dy), 0) - corner
    return out


def _merged(parts: Sequence[F], soft: float) -> F:
    total = np.zeros_like(parts[0])
    for part in parts:
        total = total + np.exp(-np.clip(part, -3, 3) / soft)
    out: F = -soft * np.log(total)
    return out


def _inside(field: F, x: F) -> F:
    """Share of each pixel inside a field."""
    step = 2.0 / x.shape[1]
    out: F = np.clip(0.5 - field / step, 0, 1)
    return out


def _solid(field: F, round_: float, toward: Sequence[float]) -> F:
    """Light on a solid that bulges toward the eye over `round_` from its edge."""
    depth = np.clip(-field / round_, 0, 1)
    height = np.sqrt(np.clip(1 - (1 - depth) ** 2, 0, 1)) * round_
    blurred = np.asarray(cv2.GaussianBlur(height.astype(np.float32), (0, 0), max(0.8, 0.012 * len(height))), np.float32)
    step = 2.0 / len(height)
    gy, gx = np.gradient(blurred, step)
    length = np.sqrt(gx * gx + gy * gy + 1)
    lamp = np.asarray(toward, float) / np.linalg.norm(toward)
    facing = np.clip(-(gx * lamp[0] + gy * lamp[1]) / length - lamp[2] / length, 0, None)
    out: F = 0.35 + 0.75 * facing
    return out


def _loud(rng: Rng) -> F:
    color = rng.uniform(0.1, 0.95, 3)
    out: F = (color.mean() + (color - color.mean()) * rng.uniform(0.2, 1.0)).clip(0.03, 1) ** 2
    return out


def textured(rng: Rng, side: int) -> F32:
    """(side, side, 3) linear: stripes, checks, clouds, bricks, rings or leaves."""
    y, x = np.mgrid[0:side, 0:side] / side
    kind = str(rng.choice(("stripes", "checks", "clouds", "bricks", "rings", "weave")))
    first, second = _loud(rng), _loud(rng)
    turn = rng.uniform(0, np.pi)
    a, b = x * np.cos(turn) + y * np.sin(turn), -x * np.sin(turn) + y * np.cos(turn)
    count = rng.uniform(4, 14)
    if kind == "stripes":
        mix = 0.5 + 0.5 * np.tanh(4 * np.sin(2 * np.pi * count * a))
    elif kind == "checks":
        mix = 0.5 + 0.5 * np.tanh(6 * np.sin(np.pi * count * a) * np.sin(np.pi * count * b))
    elif kind == "bricks":
        row = np.floor(y * count)
        shift = (x * count / 2 + 0.5 * (row % 2)) % 1
        mix = ((shift > 0.06) & ((y * count) % 1 > 0.12)).astype(float)
    elif kind == "rings":
        mix = 0.5 + 0.5 * np.sin(2 * np.pi * count * np.hypot(x - rng.random(), 0.4 * (y - rng.random())))
    elif kind == "weave":
        mix = 0.5 + 0.25 * np.sin(2 * np.pi * count * a) + 0.25 * np.sin(2 * np.pi * 1.7 * count * b)
    else:
        mix = noise(rng, side, rng.uniform(1.6, 2.6)).astype(float)
    mix = np.clip(mix + 0.25 * (noise(rng, side, 1.5) - 0.5), 0, 1)[..., None]
    out: F32 = (first * mix + second * (1 - mix)).astype(np.float32)
    return out


# ---------------------------------------------------------------- plain things
def _texture(rng: Rng, x: F, y: F, toward: Sequence[float]) -> Drawn:
    half = (0.9 * rng.uniform(0.55, 1), 0.9)
    field = _square(x, y, half, rng.uniform(0.0, 0.12))
    light = 0.75 + 0.3 * (x * toward[0] + y * toward[1])
    return textured(rng, len(x)) * light[..., None], _inside(field, x), _sides(half), NO_POINTS


def _sides(half: tuple[float, float]) -> NDArray[np.float64]:
    return np.array((-half[0], -half[1], half[0], half[1]))


def _wavy(rng: Rng, x: F, y: F) -> F:
    angle, radius = np.arctan2(y, x), np.hypot(x, y)
    edge = 0.72 + sum(rng.normal(0, 0.10 / k) * np.cos(k * angle + rng.uniform(0, 6.3)) for k in range(1, 6))
    out: F = (radius - np.clip(edge, 0.35, 0.95)) * 0.85
    return out


def _blob(rng: Rng, x: F, y: F, toward: Sequence[float]) -> Drawn:
    field = _wavy(rng, x, y)
    skin = rng.random() < 0.6
    color = _paint.skin_color(float(rng.uniform(-45, 60))).astype(float) if skin else _loud(rng)
    spots = noise(rng, len(x), 2.4).astype(float)[..., None]
    light = _solid(field, 0.5, toward)[..., None]
    return color * (0.65 + 0.7 * spots) * light, _inside(field, x), _sides(_extent(field, x, y)), NO_POINTS


def _extent(field: F, x: F, y: F) -> tuple[float, float]:
    inside = field < 0
    return float(np.abs(x[inside]).max()), float(np.abs(y[inside]).max())


def _ball(rng: Rng, x: F, y: F, toward: Sequence[float]) -> Drawn:
    field = _ellipse(x, y, (0, 0), (0.88, 0.88))
    a, b = _loud(rng), _loud(rng)
    kind = int(rng.integers(3))
    turn = rng.uniform(0, np.pi)
    along = x * np.cos(turn) + y * np.sin(turn)
    mark = np.abs(along) < 0.22 if kind == 0 else np.hypot(x - 0.2, y + 0.1) < 0.4 if kind == 1 else along > 0
    color = np.where(mark[..., None], a, b)
    return color * _solid(field, 0.88, toward)[..., None], _inside(field, x), _sides((0.88, 0.88)), NO_POINTS


def _hand(rng: Rng, x: F, y: F, toward: Sequence[float]) -> Drawn:
    mirror, turn = float(rng.choice((-1, 1))), rng.uniform(-0.6, 0.6)
    u = mirror * (x * np.cos(turn) + y * np.sin(turn))
    v = -x * np.sin(turn) + y * np.cos(turn)
    curled = rng.random() < 0.35
    parts = [_ellipse(u, v, (0.0, 0.28), (0.34, 0.38)), _capsule(u, v, (0.0, 0.4), (0.05, 0.95), 0.22)]
    creases = np.zeros_like(x)
    for k, (root, reach) in enumerate(zip((-0.26, -0.09, 0.08, 0.25), (0.52, 0.62, 0.58, 0.45), strict=True)):
        long = reach * rng.uniform(0.9, 1.05) * (rng.uniform(0.25, 0.4) if curled else 1.0)
        spread = root * rng.uniform(1.1, 1.6)
        tip = (root + (spread - root) * 1.2, 0.0 - long)
        parts.append(_capsule(u, v, (root, 0.12), tip, 0.085 - 0.006 * abs(k - 1.5)))
        for joint in (0.4, 0.72):
            at = (root + joint * (tip[0] - root), 0.12 + joint * (tip[1] - 0.12))
            creases += np.exp(-(((v - at[1]) / 0.018) ** 2) - ((u - at[0]) / 0.06) ** 2)
    thumb = (-0.62, 0.05) if not curled else (-0.1, 0.1)
    parts.append(_capsule(u, v, (-0.2, 0.45), thumb, 0.1))
    field = _merged(parts, 0.022)
    color = _paint.skin_color(float(rng.uniform(-45, 60))).astype(float)
    spots = noise(rng, len(x), 2.0).astype(float)[..., None]
    shade = _solid(field, 0.11, toward) * (1 - 0.25 * np.clip(creases, 0, 1))
    box = _bounds(field, x, y)
    return color * (0.85 + 0.3 * spots) * shade[..., None], _inside(field, x), box, NO_POINTS


def _bounds(field: F, x: F, y: F) -> NDArray[np.float64]:
    inside = field < 0
    return np.array((x[inside].min(), y[inside].min(), x[inside].max(), y[inside].max()), np.float64)


_PLAIN: dict[str, Callable[[Rng, F, F, Sequence[float]], Drawn]] = {
    "texture": _texture,
    "blob": _blob,
    "ball": _ball,
    "hand": _hand,
}


# ---------------------------------------------------------------- what looks like a face
def _pareidolia(rng: Rng, x: F, y: F, likeness: float, toward: Sequence[float]) -> Drawn:
    """Two blobs over a bar: sockets, fronts of cars, taps, houses."""
    round_ = rng.random() < 0.4
    half = (rng.uniform(0.72, 0.95), rng.uniform(0.72, 0.95))
    body = _ellipse(x, y, (0, 0), half) if round_ else _square(x, y, half, rng.uniform(0.02, 0.25))
    color = textured(rng, len(x)).astype(float) * 0.5 + 0.5 * _loud(rng)
    out = color * _solid(body, 0.12, toward)[..., None]
    loose = 1 - likeness
    eye_x, eye_y, mouth_y = rng.uniform(0.26, 0.36), rng.uniform(-0.28, -0.1), rng.uniform(0.3, 0.45)
    spots = np.array([(-eye_x, eye_y), (eye_x, eye_y), (0.0, mouth_y)]) + loose * rng.uniform(-0.55, 0.55, (3, 2))
    size = rng.uniform(0.09, 0.16)
    kind, bend = int(rng.integers(3)), rng.uniform(-0.14, 0.14)
    dark = rng.random() < 0.8
    ink = _loud(rng) * 0.12 if dark else 0.75 + 0.25 * _loud(rng)
    for cx, cy in spots[:2]:
        if kind == 0:
            mark = _ellipse(x, y, (cx, cy), (size, size * rng.uniform(0.8, 1.2)))
        elif kind == 1:
            mark = _square(x - cx, y - cy, (size, size * 0.75), 0.02)
        else:
            mark = np.abs(np.hypot(x - cx, y - cy) - size * 0.8) - size * 0.35
        out += _inside(mark, x)[..., None] * (ink - out)
    wide, thick = rng.uniform(0.2, 0.38), rng.uniform(0.04, 0.09)
    mx, my = spots[2]
    curve = my + bend * (1 - ((x - mx) / wide) ** 2)
    bar = np.maximum(np.abs(y - curve) - thick, np.abs(x - mx) - wide)
    out += _inside(bar, x)[..., None] * (ink - out)
    corners = np.array([(mx - wide, my), (mx + wide, my)])
    points = np.stack([spots[0], spots[1], spots.mean(0), *corners])
    every = np.concatenate([spots, corners])
    low, high = every.min(0) - np.array((0.24, 0.26)), every.max(0) + np.array((0.24, 0.22))
    box = np.clip(np.concatenate([low, high]), -1, 1)
    return out, _inside(body, x), box, points


_FUR = {
    "bear": ((0.20, 0.11, 0.06), (0.05, 0.035, 0.03), (0.55, 0.5, 0.45)),
    "cat": ((0.35, 0.24, 0.14), (0.12, 0.11, 0.11), (0.62, 0.55, 0.46)),
    "dog": ((0.42, 0.27, 0.13), (0.10, 0.07, 0.05), (0.7, 0.62, 0.5)),
    "owl": ((0.24, 0.17, 0.11), (0.38, 0.33, 0.27), (0.5, 0.46, 0.4)),
}
# half width and height of the head, height of the eyes, distance of the eyes, their size, muzzle (x, y, center y)
_ANIMAL = {
    "bear": ((0.68, 0.66), -0.10, 0.24, 0.055, (0.30, 0.26, 0.26)),
    "cat": ((0.66, 0.56), -0.06, 0.27, 0.12, (0.20, 0.15, 0.24)),
    "dog": ((0.56, 0.66), -0.16, 0.22, 0.075, (0.25, 0.32, 0.30)),
    "owl": ((0.66, 0.70), -0.10, 0.27, 0.15, (0.06, 0.13, 0.12)),
}


def _animal(kind: str, rng: Rng, x: F, y: F, toward: Sequence[float]) -> Drawn:
    """A head seen from the front, fur, ears, muzzle and eyes; its box is the head without ears."""
    half, eye_y, eye_x, eye, muzzle = _ANIMAL[kind]
    half = (half[0] * rng.uniform(0.92, 1.06), half[1] * rng.uniform(0.94, 1.05))
    y = y - 0.16
    turn = rng.normal(0, 0.08)
    u, v = x * np.cos(turn) + y * np.sin(turn), -x * np.sin(turn) + y * np.cos(turn)
    head = _ellipse(u, v, (0, 0), half)
    field = _merged([head, *_ears(kind, np.abs(u), v, half)], 0.02)
    first, second = np.array(_FUR[kind][int(rng.integers(3))]), np.array(_FUR[kind][int(rng.integers(3))])
    angle, radius = np.arctan2(v, u), np.hypot(u, v)
    strands = noise(rng, len(x), 0.6).astype(np.float32)
    strands = np.asarray(cv2.GaussianBlur(strands, (0, 0), 0.006 * len(x) + 0.5), np.float32) - 0.5
    bands = (
        0.5 + 0.5 * np.sin(angle * rng.integers(5, 9) + 6 * radius) if kind == "cat" else np.clip(1.2 - radius, 0, 1)
    )
    fur = first + (second - first) * (bands * rng.uniform(0.2, 0.7))[..., None]
    out = fur * (1 + 1.6 * strands)[..., None] * _solid(field, 0.4, toward)[..., None]
    snout = _ellipse(u, v, (0, muzzle[2]), muzzle[:2])
    pale = np.array(_FUR[kind][2]) * _solid(snout, 0.2, toward)[..., None] * (1 + 1.2 * strands)[..., None]
    if kind == "owl":
        for side in (-1, 1):
            disk = _ellipse(u, v, (side * eye_x, eye_y), (0.30, 0.32))
            out += (0.75 * _inside(disk, x))[..., None] * (pale - out)
    out += _inside(snout, x)[..., None] * ((np.array([0.5, 0.36, 0.08]) if kind == "owl" else pale) - out)
    _animal_eyes(kind, rng, (u, v), (eye_x, eye_y, eye), out)
    nose_y = muzzle[2] - 0.45 * muzzle[1]
    if kind != "owl":
        nose = _ellipse(u, v, (0, nose_y), (0.085, 0.06))
        out += _inside(nose, x)[..., None] * (np.array([0.015, 0.012, 0.012]) - out)
        lip = np.maximum(np.abs(np.abs(u) * 0.5 - (v - nose_y - 0.16) * -1.2) - 0.018, np.abs(u) - 0.16)
        lip = np.minimum(lip, np.maximum(np.abs(u) - 0.010, np.abs(v - nose_y - 0.09) - 0.08))
        out += (0.8 * _inside(lip, x))[..., None] * (np.array([0.02, 0.012, 0.01]) - out)
    marks = np.array([(-eye_x, eye_y), (eye_x, eye_y), (0, nose_y), (-0.14, nose_y + 0.16), (0.14, nose_y + 0.16)])
    back = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    box = _bounds(head, x, y + 0.16)
    return out, _inside(field, x), box, marks @ back.T + (0, 0.16)


def _ears(kind: str, side: F, v: F, half: tuple[float, float]) -> list[F]:
    """Ears as fields of |x| and y."""
    if kind == "bear":
        return [_ellipse(side, v, (0.52, -0.56), (0.22, 0.22))]
    if kind == "cat":
        a, b, c = np.array((0.16, -0.42)), np.array((0.60, -0.98)), np.array((0.66, -0.12))
        return [_triangle(side, v, a, b, c)]
    if kind == "dog":
        return [_capsule(side, v, (0.50, -0.42), (0.74, 0.30), 0.15)]
    return [_triangle(side, v, np.array((0.2, -0.55)), np.array((0.52, -0.95)), np.array((0.6, -0.3)))]


def _triangle(x: F, y: F, a: F, b: F, c: F) -> F:
    edges = []
    for p, q in ((a, b), (b, c), (c, a)):
        e = q - p
        edges.append(((x - p[0]) * e[1] - (y - p[1]) * e[0]) / np.hypot(*e))
    inner = float(np.cross(np.append(b - a, 0), np.append(c - a, 0))[2])
    out: F = np.maximum.reduce(edges if inner > 0 else [-edge for edge in edges])
    return out


def _animal_eyes(kind: str, rng: Rng, place: tuple[F, F], eye: tuple[float, float, float], out: F) -> None:
    """Iris, pupil (a slit in cats) and a light in each."""
    u, v = place
    iris = np.array({"cat": (0.42, 0.5, 0.10), "owl": (0.75, 0.42, 0.03)}.get(kind, (0.08, 0.045, 0.02)))
    slit = rng.uniform(0.25, 0.6) if kind == "cat" else 0.75 if kind == "owl" else 0.7
    for side in (-1, 1):
        cx, cy, r = side * eye[0], eye[1], eye[2]
        for field, color in (
            (_ellipse(u, v, (cx, cy), (r * 1.18, r * 1.05)), np.array([0.01, 0.008, 0.008])),
            (_ellipse(u, v, (cx, cy), (r, r * 0.9)), iris),
            (_ellipse(u, v, (cx, cy), (r * slit * 0.8, r * 0.8)), np.array([0.004, 0.004, 0.004])),
            (_ellipse(u, v, (cx - 0.3 * r, cy - 0.35 * r), (0.2 * r, 0.2 * r)), np.array([0.9, 0.9, 0.9])),
        ):
            out += _inside(field, u)[..., None] * (color - out)


# ---------------------------------------------------------------- made from people
def _of_a_person(kind: str, rng: Rng, size: int) -> Cutout:
    """A face whose tiles are shuffled, or a head from behind."""
    person = _world.sample_person(rng)
    factors = _world.sample_factors(rng, _world.World(sex_typical=1.0, hats=0.1), person)
    if kind == "scrambled":
        side = int(np.clip(round(size * 1.9), 32, 512))
        cut = _cutout.cutout(person, replace(factors, camera=(75.0, 1.0, 0.0, 0.0)), side, 0)
        x0, y0, x1, y1 = np.rint(cut.box).astype(int)
        x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, side), min(y1, side)
        inner = cut.color[y0:y1, x0:x1] + (1 - cut.cover[y0:y1, x0:x1, None]) * np.float32(0.2)
        tiles = _shuffled(rng, inner)
        cover = np.ones(tiles.shape[:2], np.float32)
        flat = np.zeros_like(cover)
        box = np.array((0, 0, tiles.shape[1], tiles.shape[0]), np.float32)
        whole = replace(cut, color=tiles, cover=cover, face=flat, shown=flat, box=box)
        high = max(2, size)
        cut = _cutout.shrunk(whole, high, max(2, round(high * tiles.shape[1] / tiles.shape[0])))
    else:
        pose = np.array([rng.uniform(150, 210), rng.normal(0, 6), rng.normal(0, 5)], np.float32)
        side = int(np.clip(round(size * 2.6), 32, 512))
        hair = str(rng.choice(("long", "bob")))  # hangs over the neck, which does not turn with the head
        seen = replace(factors, pose_deg=pose, camera=(110.0, 0.7, 0.0, -0.12), hair_style=hair, glasses="none")
        cut = _cutout.cutout(person, seen, side, 0)
        goal = max(4, round(size * 2.6))
        cut = _cutout.shrunk(replace(cut, face=cut.face * 0, shown=cut.shown * 0), goal, goal)
    return replace(cut, points=NO_POINTS.astype(np.float32), pose_deg=np.full(3, np.nan, np.float32))


def _shuffled(rng: Rng, picture: F32, count: int = 3) -> F32:
    """Tiles of a picture in another order, none where it was."""
    high, wide = picture.shape[0] // count * count, picture.shape[1] // count * count
    a, b = high // count, wide // count
    tiles = picture[:high, :wide].reshape(count, a, count, b, 3).swapaxes(1, 2).reshape(-1, a, b, 3)
    order = (np.arange(len(tiles)) + int(rng.integers(2, len(tiles) - 1))) % len(tiles)
    out: F32 = tiles[order].reshape(count, count, a, b, 3).swapaxes(1, 2).reshape(high, wide, 3)
    return out

"""License plates and street signs with a text that is known."""

from __future__ import annotations

import cv2
import numpy as np

from vultus.sim import _cutout
from vultus.sim._cutout import Cutout
from vultus.types import U8

__all__ = ["KINDS", "lettered", "plate_text"]

KINDS = ("plate", "sign")
Rng = np.random.Generator
LETTERS, DIGITS = "ABCDEFGHJKLMNPRSTUVWXYZ", "0123456789"
FORMATS = ("LL-DDD-LL", "LLL DDDD", "DD-LL-DD", "L DDD LL", "DDDD LLL", "LL DD LLL")
# ground, ink, strip at the left or none; in picture values
_PLATES = (
    ((0.94, 0.94, 0.92), (0.07, 0.07, 0.08), (0.10, 0.22, 0.62)),
    ((0.96, 0.80, 0.16), (0.07, 0.07, 0.06), None),
    ((0.93, 0.93, 0.93), (0.12, 0.20, 0.50), None),
    ((0.10, 0.18, 0.42), (0.92, 0.92, 0.95), None),
)
_SIGNS = (
    ("STOP", "octagon", (0.76, 0.08, 0.10), (0.96, 0.96, 0.96)),
    ("EXIT", "box", (0.05, 0.48, 0.26), (0.95, 0.97, 0.95)),
    ("TAXI", "box", (0.95, 0.78, 0.12), (0.08, 0.08, 0.08)),
    ("CAFE", "box", (0.30, 0.19, 0.12), (0.95, 0.90, 0.80)),
    ("30", "disk", (0.97, 0.97, 0.97), (0.10, 0.10, 0.10)),
    ("50", "disk", (0.97, 0.97, 0.97), (0.10, 0.10, 0.10)),
    ("BUS", "box", (0.12, 0.28, 0.62), (0.96, 0.96, 0.96)),
)
Box = tuple[int, int, int, int]


def plate_text(rng: Rng) -> str:
    """Letters and digits in one of a few formats."""
    kind = FORMATS[int(rng.integers(len(FORMATS)))]
    draw = {"L": LETTERS, "D": DIGITS}
    return "".join(str(rng.choice(list(draw[c]))) if c in draw else c for c in kind)


def lettered(kind: str, rng: Rng, size: int) -> tuple[Cutout, str]:
    """A plate or a sign, a sign `size` pixels tall and a plate as wide, and its text."""
    picture, cover, text = _plate(rng) if kind == "plate" else _sign(rng)
    high, wide = cover.shape
    solid = cover.astype(np.float32) / np.float32(255)
    light = picture.astype(np.float32) / np.float32(255) * np.linspace(1.0, 0.86, high, dtype=np.float32)[:, None, None]
    tilt = float(rng.normal(0, 5))
    move = cv2.getRotationMatrix2D((wide / 2, high / 2), tilt, 1.0)
    grow = 1 + abs(np.sin(np.radians(tilt)))
    goal = (round(wide * grow + 2), round((high + wide * abs(np.sin(np.radians(tilt)))) + 2))
    move[:, 2] += (goal[0] - wide) / 2, (goal[1] - high) / 2
    planes = [
        np.asarray(cv2.warpAffine(a, move, goal, flags=cv2.INTER_LINEAR), np.float32)
        for a in ((light**2 * solid[..., None]).astype(np.float32), solid)
    ]
    rows, columns = np.flatnonzero((planes[1] > 0.5).any(1)), np.flatnonzero((planes[1] > 0.5).any(0))
    box = np.array((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1), np.float32)
    flat = np.zeros_like(planes[1])
    lost = np.full((5, 2), np.nan, np.float32)
    cut = Cutout(planes[0], planes[1], flat, flat, box, lost, np.full(3, np.nan, np.float32))
    share = size / float(box[2] - box[0] if kind == "plate" else box[3] - box[1])
    return _cutout.shrunk(cut, max(2, round(goal[1] * share)), max(2, round(goal[0] * share))), text


def _plate(rng: Rng) -> tuple[U8, U8, str]:
    ground, ink, strip = _PLATES[int(rng.integers(len(_PLATES)))]
    text = plate_text(rng)
    high, wide = 110, 480
    picture = np.full((high, wide, 3), _bytes(ground), np.uint8)
    left = 0
    if strip is not None:
        left = 44
        picture[:, :left] = _bytes(strip)
    _write(picture, text, (left + 14, 12, wide - 14, high - 12), ink)
    cv2.rectangle(picture, (3, 3), (wide - 4, high - 4), _bytes(ink), 4, cv2.LINE_AA)
    cover = np.full((high, wide), 255, np.uint8)
    return picture, cover, text


def _sign(rng: Rng) -> tuple[U8, U8, str]:
    text, shape, ground, ink = _SIGNS[int(rng.integers(len(_SIGNS)))]
    high, wide = 240, 240 if shape != "box" else 90 + 110 * len(text)
    picture = np.full((high, wide, 3), _bytes(ground), np.uint8)
    cover = np.zeros((high, wide), np.uint8)
    middle = (wide // 2, high // 2)
    if shape == "box":
        cover[:] = 255
        cv2.rectangle(picture, (8, 8), (wide - 9, high - 9), _bytes(ink), 6, cv2.LINE_AA)
    elif shape == "disk":
        cv2.circle(cover, middle, 116, 255, -1, cv2.LINE_AA)
        cv2.circle(picture, middle, 104, _bytes((0.78, 0.08, 0.10)), 22, cv2.LINE_AA)
    else:
        angle = np.pi / 8 + np.arange(8) * np.pi / 4
        corners = np.stack([middle[0] + 122 * np.cos(angle), middle[1] + 122 * np.sin(angle)], 1)
        cv2.fillPoly(cover, [corners.astype(np.int32)], 255, cv2.LINE_AA)
        inner = (corners - middle) * 0.93 + middle
        cv2.polylines(picture, [inner.astype(np.int32)], True, _bytes(ink), 6, cv2.LINE_AA)
    margin = 44 if shape == "box" else 56
    _write(picture, text, (margin, margin + 10, wide - margin, high - margin - 10), ink)
    return picture, cover, text


def _write(picture: U8, text: str, box: Box, ink: tuple[float, float, float]) -> None:
    """Text as large as a box allows, in its middle."""
    face = cv2.FONT_HERSHEY_DUPLEX
    (wide, high), _ = cv2.getTextSize(text, face, 1.0, 2)
    scale = min((box[2] - box[0]) / wide, (box[3] - box[1]) / high)
    thick = max(1, round(3.2 * scale))
    (wide, high), _ = cv2.getTextSize(text, face, scale, thick)
    at = ((box[0] + box[2] - wide) // 2, (box[1] + box[3] + high) // 2)
    cv2.putText(picture, text, at, face, scale, _bytes(ink), thick, cv2.LINE_AA)


def _bytes(color: tuple[float, float, float]) -> tuple[int, int, int]:
    red, green, blue = (round(255 * v) for v in color)
    return red, green, blue

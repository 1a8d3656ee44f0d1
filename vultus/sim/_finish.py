"""Around the face: backgrounds, and the styles photo, sketch and painting."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.types import F32, U8

__all__ = ["BACKGROUNDS", "SKETCHES", "STYLES", "background", "painted", "sketched", "to_bytes"]

_PLAIN = {
    "plain white": (236, 236, 234),
    "plain gray": (150, 154, 158),
    "plain beige": (205, 188, 162),
    "plain blue": (92, 122, 166),
    "plain green": (104, 140, 108),
    "plain red": (158, 86, 80),
}
BACKGROUNDS = (*_PLAIN, "forest", "beach", "city", "office", "studio green", "studio blue")
STYLES = ("photo", "sketch", "painting")
SKETCHES = ("pencil", "ink", "edges", "photocopy")  # the last one is never used for training


def background(name: str, seed: int, side: int) -> F32:
    """(side, side, 3) linear."""
    rng = np.random.default_rng(seed)
    if name in _PLAIN:
        color = np.array(_PLAIN[name]) / 255.0
        corner = np.array([[1.0, 0.93], [0.88, 0.8]]) + rng.uniform(-0.08, 0.08, (2, 2))
        shade = cv2.resize(corner.astype(np.float32), (side, side), interpolation=cv2.INTER_LINEAR)
        return np.clip(shade[..., None] * color, 0, 1).astype(np.float32) ** 2
    if name.startswith("studio"):
        color = np.array((30, 160, 70) if name.endswith("green") else (40, 70, 190)) / 255.0
        return np.broadcast_to((color**2).astype(np.float32), (side, side, 3)).copy()
    small = max(24, side // 2)
    drawn = {"forest": _forest, "beach": _beach, "city": _city, "office": _office}[name](rng, small)
    soft = cv2.GaussianBlur(drawn.astype(np.float32), (0, 0), 0.018 * small)
    result: F32 = np.asarray(
        np.clip(cv2.resize(soft, (side, side), interpolation=cv2.INTER_LINEAR), 0, 1) ** 2, np.float32
    )
    return result


def _cloud(rng: np.random.Generator, side: int, cells: tuple[int, ...]) -> NDArray[np.float32]:
    total = np.zeros((side, side), np.float32)
    for n in cells:
        total += cv2.resize(rng.normal(size=(n, n)).astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    result: F32 = np.asarray(total / len(cells), np.float32)
    return result


def _forest(rng: np.random.Generator, side: int) -> NDArray[np.floating]:
    leaves = _cloud(rng, side, (4, 9, 21, 40))
    color = np.array([0.26, 0.38, 0.18]) + leaves[..., None] * np.array([0.16, 0.2, 0.1])
    for at in rng.uniform(0, 1, 4):
        x = int(at * side)
        color[:, x : x + max(1, side // 14)] *= np.array([0.62, 0.5, 0.45])
    result: NDArray[np.floating] = color
    return result


def _beach(rng: np.random.Generator, side: int) -> NDArray[np.floating]:
    y = np.linspace(0, 1, side)[:, None, None]
    sky = np.array([0.55, 0.72, 0.90]) + 0.2 * y
    sea, sand = np.array([0.20, 0.45, 0.60]), np.array([0.84, 0.75, 0.58])
    line = 0.45 + rng.uniform(-0.1, 0.1)
    out = np.where(y < line, sky, np.where(y < line + 0.2, sea, sand))
    result: NDArray[np.floating] = out + 0.05 * _cloud(rng, side, (6, 18))[..., None]
    return result


def _city(rng: np.random.Generator, side: int) -> NDArray[np.floating]:
    out = np.ones((side, side, 3)) * np.array([0.68, 0.75, 0.83])
    for _ in range(9):
        left, wide, top = rng.uniform(0, 1), rng.uniform(0.08, 0.22), rng.uniform(0.05, 0.6)
        x0, x1, y0 = int(left * side), int((left + wide) * side), int(top * side)
        out[y0:, x0:x1] = rng.uniform(0.25, 0.65) * np.array([1.0, 0.97, 0.93])
        step = max(3, side // 24)
        out[y0 + 1 :: step, x0:x1] *= rng.uniform(0.6, 1.3)
    result: NDArray[np.floating] = out
    return result


def _office(rng: np.random.Generator, side: int) -> NDArray[np.floating]:
    out = np.ones((side, side, 3)) * np.array([0.78, 0.77, 0.73]) * rng.uniform(0.8, 1.0)
    step = max(4, side // 6)
    out[::step] *= 0.75
    out[:, ::step] *= 0.8
    x = int(rng.uniform(0, 0.7) * side)
    out[int(0.3 * side) : int(0.75 * side), x : x + side // 4] = np.array([0.45, 0.35, 0.28]) * rng.uniform(0.7, 1.3)
    result: NDArray[np.floating] = out
    return result


def to_bytes(values: NDArray[np.floating]) -> U8:
    """Picture values in [0, 1] to uint8."""
    scaled = np.minimum(np.maximum(values, 0), 1) * np.float32(255)
    result: U8 = (scaled + np.float32(0.5)).astype(np.uint8)
    return result


def sketched(image: U8, kind: str = "pencil") -> U8:
    """(S, S) a drawing of a picture in one of four manners."""
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255.0
    scale = len(gray) / 64.0
    if kind == "pencil":  # the picture over its own blur
        blur = cv2.GaussianBlur(gray, (0, 0), 2.2 * scale)
        return to_bytes(np.minimum(gray / np.maximum(blur, 1e-3), 1.0) ** 2.2)
    if kind == "edges":
        dx, dy = cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1)
        return to_bytes(1.0 - 1.2 * np.hypot(dx, dy))
    narrow, wide = cv2.GaussianBlur(gray, (0, 0), 0.6 * scale), cv2.GaussianBlur(gray, (0, 0), 1.0 * scale)
    if kind == "ink":  # extended difference of Gaussians
        response = 100 * (narrow - 0.975 * wide) - 0.35
        return to_bytes(np.where(response > 0, 1.0, 1.0 + np.tanh(2.0 * response)))
    return to_bytes(
        np.clip(0.5 + 6.0 * (gray - cv2.GaussianBlur(gray, (0, 0), 3.5 * scale)) + 0.4 * (gray - 0.5), 0, 1)
    )


def painted(image: U8) -> U8:
    """(S, S, 3) a picture in flat strokes of color."""
    flat = cv2.medianBlur(image, 3 if len(image) < 128 else 5)
    flat = cv2.bilateralFilter(flat, 5, 40, 3)
    strokes = cv2.resize(_canvas(), image.shape[1::-1], interpolation=cv2.INTER_AREA)
    rich = flat.astype(np.float32) / 255.0
    mean = rich.mean(-1, keepdims=True)
    levels = np.round((mean + (rich - mean) * 1.35 + 0.05 * strokes[..., None]) * 9) / 9
    return to_bytes(0.6 * levels + 0.4 * rich)


@cache
def _canvas() -> NDArray[np.float32]:
    rng = np.random.default_rng(77)
    result: F32 = np.asarray(
        cv2.GaussianBlur(rng.normal(size=(256, 256)).astype(np.float32), (9, 3), 0) * 3, np.float32
    )
    return result

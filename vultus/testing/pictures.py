"""Drawn faces: enough of a face for a detector or an aligner to work on, and nobody's.

A drawing is no measure of accuracy; it gives contract checks an input with known boxes and points.
"""

from __future__ import annotations

import numpy as np

from vultus.types import F32, U8, Detections

__all__ = ["drawn_crops", "drawn_scene"]

# centers of the five points, in shares of the face's width and height
_FIVE = np.array([[0.30, 0.40], [0.70, 0.40], [0.50, 0.60], [0.34, 0.78], [0.66, 0.78]], np.float32)


def drawn_scene(
    rng: np.random.Generator, *, n: int = 2, size_hw: tuple[int, int] = (240, 320)
) -> tuple[U8, Detections]:
    """Draw faces side by side.

    Args:
        rng: where tones and sizes come from.
        n: number of faces.
        size_hw: height and width of the picture in pixels.

    Returns:
        (H, W, 3) uint8 RGB picture and its faces: boxes (n, 4) and points (n, 5, 2) in its pixels, scores 1.
    """
    height, width = size_hw
    shade = np.linspace(0, 40, width, dtype=np.float32)[None, :, None] + rng.uniform(60, 90, 3).astype(np.float32)
    canvas = np.broadcast_to(shade, (height, width, 3)).copy()
    boxes = np.zeros((n, 4), np.float32)
    for item in range(n):
        tall = min(0.8 * height, 1.1 * width / n) * rng.uniform(0.75, 0.95)
        wide = 0.76 * tall
        left = (item + 0.5) * width / n - wide / 2
        top = (height - tall) * rng.uniform(0.3, 0.7)
        boxes[item] = (left, top, left + wide, top + tall)
        _draw(canvas, boxes[item], rng)
    points = boxes[:, None, :2] + _FIVE * (boxes[:, None, 2:] - boxes[:, None, :2])
    return np.floor(np.clip(canvas, 0, 255) + 0.5).astype(np.uint8), Detections(
        boxes, np.ones(n, np.float32), points - 0.5
    )


def drawn_crops(rng: np.random.Generator, *, n: int, size_hw: tuple[int, int]) -> U8:
    """Draw one face per crop: (n, h, w, 3) uint8 RGB."""
    return np.stack([drawn_scene(rng, n=1, size_hw=size_hw)[0] for _ in range(n)])


def _draw(canvas: F32, box: F32, rng: np.random.Generator) -> None:
    """Hair, skin, eyes with brows and pupils, nose and mouth, as shaded ellipses."""
    left, top, right, bottom = box
    wide, tall = right - left, bottom - top
    skin = np.array([200, 155, 125], np.float32) * rng.uniform(0.6, 1.1)
    eye = [left + _FIVE[:2, 0] * wide, top + _FIVE[:2, 1] * tall]
    _ellipse(canvas, left + wide / 2, top + 0.42 * tall, 0.56 * wide, 0.52 * tall, skin * 0.25)
    _ellipse(canvas, left + wide / 2, top + 0.53 * tall, 0.48 * wide, 0.49 * tall, skin)
    for x, y in zip(*eye, strict=True):
        _ellipse(canvas, x, y - 0.09 * tall, 0.13 * wide, 0.022 * tall, skin * 0.35)
        _ellipse(canvas, x, y, 0.10 * wide, 0.038 * tall, np.array([235, 235, 235], np.float32))
        _ellipse(canvas, x, y, 0.042 * wide, 0.038 * tall, np.array([50, 35, 25], np.float32))
    _ellipse(canvas, left + 0.5 * wide, top + 0.52 * tall, 0.045 * wide, 0.10 * tall, skin * 1.12)
    _ellipse(canvas, left + 0.5 * wide, top + 0.61 * tall, 0.10 * wide, 0.028 * tall, skin * 0.72)
    lips = skin * np.array([0.8, 0.5, 0.5], np.float32)
    _ellipse(canvas, left + 0.5 * wide, top + 0.78 * tall, 0.17 * wide, 0.036 * tall, lips)


def _ellipse(canvas: F32, x: float, y: float, rx: float, ry: float, color: F32) -> None:
    """Fill an ellipse, with a soft edge of about a pixel."""
    rows = np.arange(canvas.shape[0], dtype=np.float32)[:, None] + 0.5
    columns = np.arange(canvas.shape[1], dtype=np.float32)[None, :] + 0.5
    radius = np.sqrt(((columns - x) / rx) ** 2 + ((rows - y) / ry) ** 2)
    cover = np.clip((1 - radius) * min(rx, ry) + 0.5, 0, 1)[..., None]
    canvas += cover * (color - canvas)

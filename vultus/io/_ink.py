"""Shapes and letters with smooth edges at any size: the brush of `vultus.io.annotate`.

Shapes are drawn from their signed distance, so edges are exact at fractional coordinates. Letters come from the fonts
inside OpenCV (Latin, Greek, Cyrillic, Chinese, Japanese, Korean, Arabic, Hebrew), so a name looks the same on every
machine; a character that they lack appears as a question mark.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np

from vultus.types import U8

__all__ = ["Color", "Rect", "contrasting", "disc", "fitted", "frame", "letters", "pill", "stroke", "text_width"]

Color = tuple[int, int, int]
Rect = tuple[float, float, float, float]  # left, top, right, bottom in edge coordinates

_ROOM = (1 << 20, 1 << 20)  # getTextSize wraps at the picture it is told of: an endless one


def frame(canvas: U8, rect: Rect, *, color: Color, line: float, radius: float, opacity: float = 1.0) -> None:
    """The outline of a rounded rectangle, `line` pixels wide, centered on its edge."""
    left, top, right, bottom = rect
    reach = line / 2 + 1 + radius
    if min(right - left, bottom - top) <= 3 * reach:
        regions: Sequence[Rect] = [(left - reach, top - reach, right + reach, bottom + reach)]
    else:  # only the four borders: a face may fill a picture of 8000 pixels; whole numbers, so that none is drawn twice
        x1, y1 = float(np.ceil(left + reach)), float(np.ceil(top + reach))
        x2, y2 = float(np.floor(right - reach)), float(np.floor(bottom - reach))
        regions = [
            (left - reach, top - reach, right + reach, y1),
            (left - reach, y2, right + reach, bottom + reach),
            (left - reach, y1, x1, y2),
            (x2, y1, right + reach, y2),
        ]
    for view, x, y in _regions(canvas, regions):
        distance = np.abs(_rounded(x, y, rect, radius)) - line / 2
        _blend(view, distance, color, opacity)


def pill(canvas: U8, rect: Rect, *, color: Color, radius: float, opacity: float = 1.0) -> None:
    """A filled rounded rectangle."""
    left, top, right, bottom = rect
    for view, x, y in _regions(canvas, [(left - 1, top - 1, right + 1, bottom + 1)]):
        _blend(view, _rounded(x, y, rect, radius), color, opacity)


def disc(canvas: U8, center: tuple[float, float], radius: float, *, color: Color, opacity: float = 1.0) -> None:
    """A filled circle; `center` in edge coordinates."""
    x, y = center
    pill(canvas, (x - radius, y - radius, x + radius, y + radius), color=color, radius=radius, opacity=opacity)


def stroke(
    canvas: U8, start: tuple[float, float], end: tuple[float, float], *, color: Color, line: float, opacity: float = 1.0
) -> None:
    """A straight line with round ends."""
    (ax, ay), (bx, by) = start, end
    reach = line / 2 + 1
    box = (min(ax, bx) - reach, min(ay, by) - reach, max(ax, bx) + reach, max(ay, by) + reach)
    dx, dy = bx - ax, by - ay
    length2 = max(dx * dx + dy * dy, 1e-12)
    for view, x, y in _regions(canvas, [box]):
        along = np.clip(((x - ax) * dx + (y - ay) * dy) / length2, 0, 1)
        distance = np.hypot(x - ax - along * dx, y - ay - along * dy) - line / 2
        _blend(view, distance, color, opacity)


def letters(canvas: U8, text: str, left: float, baseline: float, *, size: float, color: Color, weight: int) -> None:
    """One line of text; `size` is the height of the font in pixels, capitals are 0.7 of it."""
    at = (round(left), round(baseline))
    cv2.putText(canvas, _drawable(text), at, color, cv2.FontFace("sans"), round(size), weight)


def text_width(text: str, *, size: float, weight: int) -> float:
    """How far a line of text reaches, in pixels."""
    if not text:
        return 0.0
    rect: Any = cv2.getTextSize(_ROOM, _drawable(text), (0, 0), cv2.FontFace("sans"), round(size), weight)
    return float(rect[2])


def fitted(text: str, width: float, *, size: float, weight: int) -> str:
    """The text, or as much of its beginning as fits `width` with an ellipsis; "" if not even one letter fits."""
    if text_width(text, size=size, weight=weight) <= width:
        return text
    low, high = 0, len(text)
    while high - low > 1:
        middle = (low + high) // 2
        fits = text_width(text[:middle].rstrip() + "…", size=size, weight=weight) <= width
        low, high = (middle, high) if fits else (low, middle)
    return text[:low].rstrip() + "…" if low else ""


def _drawable(text: str) -> str:
    """Half letters, which names of files can hold and OpenCV dies of, as U+FFFD; control characters as blanks."""
    kinds = {"Cs": "\N{REPLACEMENT CHARACTER}", "Cc": " "}
    return "".join(kinds.get(unicodedata.category(c), c) for c in text)


def contrasting(color: Color) -> Color:
    """Black or white, whichever reads better on `color` (WCAG 2.2 relative luminance)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in color)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return (0, 0, 0) if (luminance + 0.05) ** 2 > 1.05 * 0.05 else (255, 255, 255)


def _regions(canvas: U8, rects: Sequence[Rect]) -> Iterator[tuple[U8, Any, Any]]:
    """The part of the canvas under each rectangle, with the edge coordinates of its pixel centers."""
    height, width = canvas.shape[:2]
    for left, top, right, bottom in rects:
        x1, y1 = max(0, int(np.floor(left))), max(0, int(np.floor(top)))
        x2, y2 = min(width, int(np.ceil(right))), min(height, int(np.ceil(bottom)))
        if x1 < x2 and y1 < y2:
            x = np.arange(x1, x2, dtype=np.float32)[None, :] + 0.5
            y = np.arange(y1, y2, dtype=np.float32)[:, None] + 0.5
            yield canvas[y1:y2, x1:x2], x, y


def _rounded(x: Any, y: Any, rect: Rect, radius: float) -> Any:
    """Signed distance to a rounded rectangle, negative inside."""
    left, top, right, bottom = rect
    half_w, half_h = (right - left) / 2, (bottom - top) / 2
    radius = min(radius, half_w, half_h)
    dx = np.abs(x - (left + right) / 2) - half_w + radius
    dy = np.abs(y - (top + bottom) / 2) - half_h + radius
    outside = np.hypot(np.maximum(dx, 0), np.maximum(dy, 0))
    return outside + np.minimum(np.maximum(dx, dy), 0) - radius


def _blend(view: U8, distance: Any, color: Color, opacity: float) -> None:
    cover = (np.clip(0.5 - distance, 0, 1) * opacity)[:, :, None].astype(np.float32)
    view[:] = (view + (np.array(color, np.float32) - view) * cover + 0.5).astype(np.uint8)

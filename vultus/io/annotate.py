"""Draw what was found and decided on a picture: boxes, names, scores, points; and contact sheets with captions.

Line width and letters scale with the picture and with each face, from 100 to 8000 pixels. Labels stay inside the
picture, avoid each other and avoid faces; where a crowd leaves no room, a bare score is left out and a name is moved
away and tied to its face by a line. The colors mean the same everywhere and stay apart for color-blind readers
(Okabe and Ito 2008): bluish green is accepted, vermilion is rejected, orange is abstained, sky blue is undecided.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import cv2
import numpy as np

from vultus.errors import InputError
from vultus.io import _ink
from vultus.io._labels import ROWS, place
from vultus.types import F32, U8, Image, checked, is_number

__all__ = ["PALETTE", "Annotation", "draw", "montage"]

PALETTE: Mapping[str, _ink.Color] = MappingProxyType(
    {"accept": (0, 158, 115), "reject": (213, 94, 0), "abstain": (230, 159, 0), "unknown": (86, 180, 233)}
)
_BOLD, _REGULAR = 600, 400
_SMALLEST_LETTERS = 9  # px; below this a name cannot be read
_SHRINK_COST = 0.25  # how much better a place must be before letters are made smaller for it
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)


@dataclass(frozen=True, slots=True, eq=False)
class Annotation:
    """One face on a picture.

    Attributes:
        box: (4,) left, top, right, bottom in pixels, edge coordinates.
        label: a name or a verdict; "" for none. Any script.
        score: shown with two decimals behind the label, or None.
        color: "accept", "reject", "abstain" (what `Decision.outcome` says), "unknown", or red, green, blue 0-255.
        points: (K, 2) pixels, center coordinates, or None.
    """

    box: F32
    label: str = ""
    score: float | None = None
    color: str | _ink.Color = "unknown"
    points: F32 | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "box", checked("box", self.box, (4,)))
        if self.points is not None:
            object.__setattr__(self, "points", checked("points", self.points, (None, 2)))
        if not isinstance(self.label, str):
            raise InputError(f"label: expected text, got {type(self.label).__name__}")
        if self.score is not None and not is_number(self.score):
            raise InputError(f"score: expected a number or None, got {type(self.score).__name__}")
        _rgb(self.color)

    @property
    def text(self) -> str:
        """Label and score as they are shown."""
        score = "" if self.score is None else f"{self.score:.2f}"
        return f"{self.label} {score}".strip()


def draw(pixels: U8, items: Iterable[Annotation], *, legible: int = 480) -> U8:
    """A copy of the picture with every item drawn on it.

    A thumbnail has no room for letters, so the copy of a small picture is enlarged by a whole factor first.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        items: in any order, in pixels of `pixels`. Boxes are cut at its border.
        legible: the longer side in pixels that the copy has at least; 0 keeps the size of the picture, and names that
            do not fit are then left out.

    Returns:
        (K*H, K*W, 3) uint8 RGB; K is 1 unless the picture is smaller than `legible`.

    Raises:
        InputError: not a picture, or an annotation whose numbers or color are not what they must be.
    """
    canvas = np.array(Image(pixels, "").pixels)
    if not canvas.size:
        raise InputError(f"pixels: expected a picture with pixels, got {canvas.shape}")
    factor = max(1, math.ceil(legible / max(canvas.shape[:2])))
    if factor > 1:
        size = (canvas.shape[1] * factor, canvas.shape[0] * factor)
        canvas = np.asarray(cv2.resize(canvas, size, interpolation=cv2.INTER_CUBIC), np.uint8)
        items = [_enlarged(item, factor) for item in items]
    height, width = canvas.shape[:2]
    shown = [(item, box) for item in items if (box := _inside(item.box, width, height)) is not None]
    shown.sort(key=lambda pair: -_side(pair[1]))
    for item, box in shown:
        line = _line(box, width, height)
        radius = min(0.06 * _side(box), 6 * line)
        _ink.frame(canvas, box, color=_BLACK, line=line * 1.8, radius=radius, opacity=0.45)
        _ink.frame(canvas, box, color=_rgb(item.color), line=line, radius=radius)
    for item, box in shown:
        _draw_points(canvas, item, box)
    _draw_labels(canvas, shown)
    return canvas


def montage(pictures: Sequence[U8], captions: Sequence[str] = (), *, columns: int | None = None, side: int = 256) -> U8:
    """A contact sheet: pictures scaled into equal squares, each above its caption.

    Args:
        pictures: N arrays (H, W, 3) uint8 RGB of any sizes; none gives one empty tile.
        captions: N texts, or none at all. Lines are split at a newline; what does not fit ends in an ellipsis.
        columns: tiles in a row; None makes the sheet about 4:3.
        side: pixels of a square.

    Returns:
        (H, W, 3) uint8 RGB on white.

    Raises:
        InputError: the counts differ, or a size is not positive.
    """
    if captions and len(captions) != len(pictures):
        raise InputError(f"captions: expected {len(pictures)}, one per picture, or none, got {len(captions)}")
    if side < 16 or (columns is not None and columns < 1):
        raise InputError(f"expected side >= 16 pixels and columns >= 1, got side={side}, columns={columns}")
    count = max(1, len(pictures))
    across = min(count, columns or max(1, math.ceil(math.sqrt(count * 4 / 3))))
    letter = max(_SMALLEST_LETTERS, round(side / 16))
    rows_of_text = max((len(text.splitlines()) for text in captions), default=0)
    gap, caption = max(4, side // 24), round(rows_of_text * letter * 1.4)
    cell_w, cell_h = side + gap, side + caption + gap
    down = math.ceil(count / across)
    sheet = np.full((gap + down * cell_h, gap + across * cell_w, 3), 255, np.uint8)
    for index, picture in enumerate(pictures):
        left, top = gap + index % across * cell_w, gap + index // across * cell_h
        _paste(sheet, Image(picture, "").pixels, left, top, side)
        for row, text in enumerate(captions[index].splitlines() if captions else ()):
            text = _ink.fitted(text, side, size=letter, weight=_REGULAR)
            x = left + (side - _ink.text_width(text, size=letter, weight=_REGULAR)) / 2
            y = top + side + (row + 1.05) * letter * 1.4
            _ink.letters(sheet, text, x, y, size=letter, color=(30, 30, 30), weight=_REGULAR)
    return sheet


def _rgb(color: str | _ink.Color) -> _ink.Color:
    if isinstance(color, str):
        if color not in PALETTE:
            raise InputError(f"color: expected one of {', '.join(PALETTE)} or three numbers 0-255, got {color!r}")
        return PALETTE[color]
    if len(color) != 3 or not all(0 <= c <= 255 for c in color):
        raise InputError(f"color: expected red, green, blue in 0-255, got {color!r}")
    return (int(color[0]), int(color[1]), int(color[2]))


def _enlarged(item: Annotation, factor: int) -> Annotation:
    points = None if item.points is None else (item.points + 0.5) * factor - 0.5  # center coordinates
    return replace(item, box=item.box * factor, points=points)


def _inside(box: F32, width: int, height: int) -> _ink.Rect | None:
    """The box within the picture, so that every side of it can be seen; None when nothing is left."""
    left, top = max(0.0, float(box[0])), max(0.0, float(box[1]))
    right, bottom = min(float(width), float(box[2])), min(float(height), float(box[3]))
    if right - left < 1 or bottom - top < 1:
        return None
    inset = min(_line((left, top, right, bottom), width, height) / 2, (right - left) / 4, (bottom - top) / 4)
    return (
        max(left, inset),
        max(top, inset),
        min(right, width - inset),
        min(bottom, height - inset),
    )


def _side(box: _ink.Rect) -> float:
    return math.sqrt((box[2] - box[0]) * (box[3] - box[1]))


def _line(box: _ink.Rect, width: int, height: int) -> float:
    """Width of the outline in pixels: a share of the picture, less on small faces."""
    return max(1.0, min(max(width, height) / 360, _side(box) / 18))


def _letter_size(box: _ink.Rect, width: int, height: int) -> float:
    """Height of the letters in pixels: a share of the face, within what reads well when the picture fills a screen."""
    extent = max(width, height)
    return min(max(0.17 * _side(box), extent / 85, _SMALLEST_LETTERS), max(extent / 38, _SMALLEST_LETTERS + 1))


def _draw_points(canvas: U8, item: Annotation, box: _ink.Rect) -> None:
    if item.points is None:
        return
    many = len(item.points) > 20
    radius = max(0.9, _side(box) / (110 if many else 42))
    radius = min(radius, max(1.4, max(canvas.shape[:2]) / 160))
    for x, y in item.points + 0.5:
        _ink.disc(canvas, (float(x), float(y)), radius * 1.5, color=_BLACK, opacity=0.45)
    for x, y in item.points + 0.5:
        _ink.disc(canvas, (float(x), float(y)), radius, color=_WHITE)


def _draw_labels(canvas: U8, shown: Sequence[tuple[Annotation, _ink.Rect]]) -> None:
    """Names first, large faces first; then pills over everything."""
    boxes = np.array([box for _, box in shown], dtype=np.float64).reshape(-1, 4)
    order = sorted(range(len(shown)), key=lambda i: (not shown[i][0].label, -_side(shown[i][1])))
    taken = np.zeros((0, 4))
    pills = []
    for i in order:
        found = _fit_label(shown[i][0], shown[i][1], np.delete(boxes, i, axis=0), taken, canvas.shape[:2])
        if found is not None:
            pills.append((shown[i], *found))
            taken = np.concatenate([taken, [found[0]]])
    for (item, box), rect, _, _, far in pills:
        if far:
            _leader(canvas, box, rect, _rgb(item.color))
    for (item, _), rect, name, size, _ in pills:
        _draw_pill(canvas, rect, name, item, size)


def _fit_label(
    item: Annotation, box: _ink.Rect, others: np.ndarray, taken: np.ndarray, hw: tuple[int, ...]
) -> tuple[_ink.Rect, str, float, bool] | None:
    """Rectangle, name as it fits, letter size, and whether a leader is wanted; None when it must be left out."""
    if not item.text:
        return None
    height, width = hw
    line, full = _line(box, width, height), _letter_size(box, width, height)
    best: tuple[float, float, tuple[_ink.Rect, str, float, bool]] | None = None
    for step, scale in enumerate((1.0, 0.8, 0.65)):
        size = max(_SMALLEST_LETTERS, round(full * scale))
        wanted = _measure(item, item.label, size)
        name = item.label
        if wanted > width:
            rest = _measure(item, "", size)
            name = _ink.fitted(item.label, width - rest - 0.4 * size, size=size, weight=_BOLD)
            wanted = _measure(item, name, size)
        tall = 1.5 * size
        if wanted > width or 2 * tall > height or (item.label and not name):
            continue
        rows = ROWS if item.label else 0  # a bare score stays at its box or is left out
        spot = place(box, (wanted, tall), 0.8 * line, others, taken, (height, width), rows)
        rect = (spot.left, spot.top, spot.left + wanted, spot.top + tall)
        cost = spot.cost + _SHRINK_COST * step
        if best is None or cost < best[0]:
            best = (cost, spot.crowding, (rect, name, float(size), spot.far))
        if spot.cost <= _SHRINK_COST:
            break
    if best is None or (not item.label and (best[1] > 0.02 or best[2][3])):
        return None
    return best[2]


def _parts(item: Annotation, name: str) -> list[tuple[str, int]]:
    score = [] if item.score is None else [(f"{item.score:.2f}", _REGULAR)]
    return ([(name, _BOLD)] if name else []) + score


def _measure(item: Annotation, name: str, size: float) -> float:
    parts = _parts(item, name)
    text = sum(_ink.text_width(text, size=size, weight=weight) for text, weight in parts)
    return text + 0.4 * size * (len(parts) - 1) + 0.9 * size


def _draw_pill(canvas: U8, rect: _ink.Rect, name: str, item: Annotation, size: float) -> None:
    color = _rgb(item.color)
    edge = max(1.0, size / 14)
    _ink.frame(canvas, rect, color=_BLACK, line=edge, radius=0.35 * size, opacity=0.35)
    _ink.pill(canvas, rect, color=color, radius=0.35 * size)
    x, baseline = rect[0] + 0.45 * size, (rect[1] + rect[3]) / 2 + 0.35 * size
    for text, weight in _parts(item, name):
        _ink.letters(canvas, text, x, baseline, size=size, color=_ink.contrasting(color), weight=weight)
        x += _ink.text_width(text, size=size, weight=weight) + 0.4 * size


def _leader(canvas: U8, box: _ink.Rect, rect: _ink.Rect, color: _ink.Color) -> None:
    start = ((rect[0] + rect[2]) / 2, (rect[1] + rect[3]) / 2)
    end = (min(max(start[0], box[0]), box[2]), min(max(start[1], box[1]), box[3]))
    line = _line(box, canvas.shape[1], canvas.shape[0])
    _ink.stroke(canvas, start, end, color=_BLACK, line=line * 1.8, opacity=0.45)
    _ink.stroke(canvas, start, end, color=color, line=line)


def _paste(sheet: U8, picture: U8, left: int, top: int, side: int) -> None:
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    x, y = left + (side - size[0]) // 2, top + (side - size[1]) // 2
    sheet[top : top + side, left : left + side] = 235
    sheet[y : y + size[1], x : x + size[0]] = small

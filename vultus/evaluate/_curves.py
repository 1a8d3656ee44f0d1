"""Draw the curves of a Report as SVG: no script, no font file, no request; colors come from the page's CSS variables.

A curve is a mapping (see `vultus.types.Report`). Required keys: x, y, x_label, y_label. Optional keys:
    kind      "line" (default), "histogram" (x holds one edge more than y) or "points"
    figure    curves that name the same figure share one pair of axes; default: the curve's own name
    series    name in the legend; default: the curve's own name
    low, high ends of a 95 % band in y, as long as y
    x_scale, y_scale  "linear" (default), "log" or "deviate" (the normal deviate of a DET plot; shares in (0, 1))
    x_limits, y_limits  [from, to]
    marks     [{"x": ..., "label": ...}] upright lines, such as thresholds; with "y" instead of "x" level lines
    caption   a sentence under the figure
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError

__all__ = ["figures", "svg"]

F64 = NDArray[np.float64]
Curve = Mapping[str, Any]

_NORMAL = NormalDist()
_DEVIATE_TICKS = (1e-6, 1e-5, 1e-4, 1e-3, 5e-3, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999)


@dataclass(frozen=True)
class _Canvas:
    width: int
    height: int
    left: int = 62
    right: int = 16
    top: int = 16
    bottom: int = 50

    @property
    def x_range(self) -> tuple[float, float]:
        return float(self.left), float(self.width - self.right)

    @property
    def y_range(self) -> tuple[float, float]:
        return float(self.height - self.bottom), float(self.top)


WIDE = _Canvas(520, 380)
NARROW = _Canvas(340, 320, left=54, right=10, top=12, bottom=46)


def figures(curves: Mapping[str, Curve]) -> dict[str, list[tuple[str, Curve]]]:
    """Group curves into figures: figure name -> [(series name, curve)], in order of first appearance.

    Raises:
        InputError: if a curve lacks a required key, its columns differ in length or an option is unknown.
    """
    grouped: dict[str, list[tuple[str, Curve]]] = {}
    for name, curve in curves.items():
        _check(name, curve)
        grouped.setdefault(str(curve.get("figure", name)), []).append((str(curve.get("series", name)), curve))
    return grouped


def svg(name: str, series: Sequence[tuple[str, Curve]], *, narrow: bool = False) -> str:
    """One figure as an <svg> element.

    Args:
        name: what the figure shows; read out by a screen reader.
        series: (name, curve) of curves that share axes, as `figures` returns them.
        narrow: the drawing for a phone instead of the one for a desk.
    """
    canvas = NARROW if narrow else WIDE
    first = series[0][1]
    x_axis = _Axis.fit([np.asarray(c["x"], float) for _, c in series], first, "x", canvas.x_range)
    tops = [np.asarray(c[k], float) for _, c in series for k in ("y", "low", "high") if k in c]
    y_axis = _Axis.fit(tops, first, "y", canvas.y_range)
    parts = [*_grid(x_axis, y_axis, canvas, narrow)]
    for index, (_, curve) in enumerate(series):
        parts += _series(curve, x_axis, y_axis, index)
    parts += _marks(series, x_axis, y_axis, canvas)
    parts += _labels(first, canvas)
    summary = f"{name}: {first['y_label']} against {first['x_label']}; " + ", ".join(s for s, _ in series)
    return (
        f'<svg class="{"narrow" if narrow else "wide"}" viewBox="0 0 {canvas.width} {canvas.height}" role="img" '
        f'aria-label="{escape(summary, quote=True)}">' + "".join(parts) + "</svg>"
    )


def _check(name: str, curve: Curve) -> None:
    for key in ("x", "y", "x_label", "y_label"):
        if key not in curve:
            raise InputError(f"curve {name!r}: expected the keys x, y, x_label and y_label, {key!r} is missing")
    edges = 1 if curve.get("kind") == "histogram" else 0
    n = len(curve["y"])
    if n == 0 or len(curve["x"]) != n + edges:
        raise InputError(f"curve {name!r}: expected {n + edges} x for {n} y and at least one, got {len(curve['x'])}")
    for key in ("low", "high"):
        if key in curve and len(curve[key]) != n:
            raise InputError(f"curve {name!r}: expected {n} values of {key!r}, got {len(curve[key])}")
    for key in ("x_scale", "y_scale"):
        if curve.get(key, "linear") not in _SCALES:
            raise InputError(f"curve {name!r}: {key} expected one of {', '.join(_SCALES)}, got {curve[key]!r}")


def _deviate(values: F64) -> F64:
    return np.array([_NORMAL.inv_cdf(v) for v in np.clip(values, 1e-9, 1 - 1e-9)])


_SCALES: dict[str, Callable[[F64], F64]] = {
    "linear": lambda v: v,
    "log": lambda v: np.log10(np.maximum(v, 1e-300)),
    "deviate": _deviate,
}


@dataclass(frozen=True)
class _Axis:
    scale: str
    low: float
    high: float
    pixels: tuple[float, float]
    whole: bool = False

    @staticmethod
    def fit(columns: list[F64], curve: Curve, letter: str, pixels: tuple[float, float]) -> _Axis:
        scale = str(curve.get(f"{letter}_scale", "linear"))
        values = np.concatenate(columns)
        values = values[np.isfinite(values)]
        if scale != "linear":
            values = values[(values > 0) & ((values < 1) | (scale == "log"))]
        limits = curve.get(f"{letter}_limits")
        if limits is not None:
            low, high = float(limits[0]), float(limits[1])
        elif not len(values):
            low, high = (0.0, 1.0) if scale == "linear" else (1e-3, 0.5)
        else:
            low, high = float(values.min()), float(values.max())
            if scale == "linear" and letter == "y":
                low, high = _room(low, high, from_zero=curve.get("kind") == "histogram")
            elif scale == "linear" and 0 < low < 0.1 and 0.5 < high <= 1:
                low = 0.0  # a share that nearly starts at nothing
        if low == high:
            low, high = (low - 0.5, high + 0.5) if scale == "linear" else (low / 2, min(high * 2, 0.999))
        return _Axis(scale, low, high, pixels, bool((values == np.round(values)).all()) and high - low > 2)

    def holds(self, values: Any) -> NDArray[np.bool_]:
        """Which values lie inside the limits."""
        data = np.asarray(values, float)
        slack = 1e-9 * (self.high - self.low)
        inside: NDArray[np.bool_] = (data >= self.low - slack) & (data <= self.high + slack)
        return inside

    def place(self, values: Any) -> F64:
        """Data -> pixels; what lies outside the limits is put on the edge."""
        data = np.clip(np.asarray(values, float), self.low, self.high)
        ends = _SCALES[self.scale](np.array([self.low, self.high]))
        share = (_SCALES[self.scale](data) - ends[0]) / (ends[1] - ends[0])
        at: F64 = self.pixels[0] + share * (self.pixels[1] - self.pixels[0])
        return at

    def ticks(self, wanted: int) -> list[tuple[float, str]]:
        """Values and words; shares on deviate axes are written in percent."""
        if self.scale == "deviate":
            values = [t for t in _DEVIATE_TICKS if self.low * 0.999 <= t <= self.high * 1.001]
            return [(t, f"{100 * t:.10f}".rstrip("0").rstrip(".") + "%") for t in _apart(self, values)]
        if self.scale == "log":
            decades = range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1)
            return [(10.0**d, _power(d)) for d in list(decades)[:: max(1, math.ceil(len(decades) / wanted))]]
        step = _nice((self.high - self.low) / wanted, whole=self.whole)
        start = math.ceil(self.low / step - 1e-9)
        values = [k * step for k in range(start, math.floor(self.high / step + 1e-9) + 1)]
        digits = next(d for d in range(12) if d == 11 or math.isclose(round(step, d), step))
        return [(v, f"{v:.{digits}f}".replace("-", "−")) for v in values]


def _apart(axis: _Axis, values: list[float]) -> list[float]:
    gap_px = 50.0 if axis.pixels[1] > axis.pixels[0] else 24.0  # words lie along x and are stacked along y
    kept: list[float] = []
    for value in values:
        if not kept or abs(axis.place([value])[0] - axis.place([kept[-1]])[0]) >= gap_px:
            kept.append(value)
    return kept


def _nice(step: float, *, whole: bool = False) -> float:
    scale = 10.0 ** math.floor(math.log10(step))
    nice = scale * min(m for m in ((1, 2, 5, 10) if whole else (1, 2, 2.5, 5, 10)) if m * scale >= step * 0.999)
    return max(1.0, nice) if whole else nice


def _room(low: float, high: float, *, from_zero: bool) -> tuple[float, float]:
    """Limits with a little room around the data, on whole ticks; shares do not leave [0, 1]."""
    if from_zero or high == low:
        return (0.0, high * 1.06) if from_zero else (low, high)
    step = _nice((high - low) / 5)
    outer = math.floor(low / step - 0.2) * step, math.ceil(high / step + 0.2) * step
    return (max(0.0, outer[0]) if low >= 0 else outer[0]), (1.0 if low >= 0 and high <= 1 < outer[1] else outer[1])


def _power(exponent: int) -> str:
    if -2 <= exponent <= 3:
        return f"{10.0**exponent:g}"
    return "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _grid(x: _Axis, y: _Axis, canvas: _Canvas, narrow: bool) -> list[str]:
    left, right = canvas.x_range
    floor, top = canvas.y_range
    parts = []
    for value, words in y.ticks(5):
        at = y.place([value])[0]
        parts.append(f'<path class="grid" d="M{left:.1f} {at:.1f}H{right:.1f}"/>')
        parts.append(f'<text class="tick" x="{left - 8:.1f}" y="{at + 4:.1f}" text-anchor="end">{words}</text>')
    for value, words in x.ticks(4 if narrow else 6):
        at = x.place([value])[0]
        if x.scale != "linear":
            parts.append(f'<path class="grid" d="M{at:.1f} {floor:.1f}V{top:.1f}"/>')
        parts.append(f'<path class="axis" d="M{at:.1f} {floor:.1f}v4"/>')
        parts.append(f'<text class="tick" x="{at:.1f}" y="{floor + 18:.1f}" text-anchor="middle">{words}</text>')
    return [*parts, f'<path class="axis" d="M{left:.1f} {floor:.1f}H{right:.1f}"/>']


def _series(curve: Curve, x: _Axis, y: _Axis, index: int) -> list[str]:
    color = f"s{index % 4}"
    kind = curve.get("kind", "line")
    px, py = x.place(curve["x"]), y.place(curve["y"])
    if kind == "histogram":
        steps = "".join(f"V{v:.1f}H{right:.1f}" for v, right in zip(py, px[1:], strict=True))
        path = f"M{px[0]:.1f} {y.pixels[0]:.1f}{steps}V{y.pixels[0]:.1f}"
        return [f'<path class="fill {color}" d="{path}Z"/><path class="line thin {color}" d="{path}"/>']
    ends = [y.place(curve[key]) for key in ("low", "high")] if "low" in curve and "high" in curve else []
    if kind == "points":
        spans = zip(px, *ends, strict=True) if ends else ()
        stems = [f'<path class="line thin {color}" d="M{a:.1f} {b:.1f}V{c:.1f}"/>' for a, b, c in spans]
        dots = [f'<circle class="dot {color}" cx="{a:.1f}" cy="{b:.1f}" r="4.5"/>' for a, b in zip(px, py, strict=True)]
        return [*stems, *dots]
    dashed = " dashed" if curve.get("dashed") else ""
    inside = x.holds(curve["x"]) & y.holds(curve["y"])  # a line that leaves the picture is not drawn along its edge
    parts: list[str] = []
    for run in np.split(np.arange(len(px)), np.flatnonzero(np.diff(inside)) + 1):
        if not inside[run[0]]:
            continue
        if ends:
            outline = _path(px[run], ends[1][run]) + "L" + _path(px[run][::-1], ends[0][run][::-1])
            parts.insert(0, f'<path class="band {color}" d="M{outline}Z"/>')
        parts.append(f'<path class="line {color}{dashed}" d="M{_path(px[run], py[run])}"/>')
    return parts


def _path(px: F64, py: F64) -> str:
    return "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(px, py, strict=True))


def _marks(series: Sequence[tuple[str, Curve]], x: _Axis, y: _Axis, canvas: _Canvas) -> list[str]:
    floor, top = canvas.y_range
    parts = []
    for row, mark in enumerate(m for _, curve in series for m in curve.get("marks", ())):
        if "y" in mark:
            right, at = canvas.x_range[1], float(y.place([mark["y"]])[0])
            parts.append(f'<path class="mark" d="M{canvas.left} {at:.1f}H{right:.1f}"/>')
            words = escape(str(mark.get("label", "")))
            parts.append(f'<text class="mark-label" x="{right:.1f}" y="{at - 6:.1f}" text-anchor="end">{words}</text>')
            continue
        at = float(x.place([mark["x"]])[0])
        side = ("end", -5) if at > (canvas.left + canvas.width) / 2 else ("start", 5)
        parts.append(f'<path class="mark" d="M{at:.1f} {floor:.1f}V{top:.1f}"/>')
        parts.append(
            f'<text class="mark-label" x="{at + side[1]:.1f}" y="{top + 12 + 15 * row:.1f}" '
            f'text-anchor="{side[0]}">{escape(str(mark.get("label", "")))}</text>'
        )
    return parts


def _labels(curve: Curve, canvas: _Canvas) -> list[str]:
    (left, right), (floor, top) = canvas.x_range, canvas.y_range
    middle = (floor + top) / 2
    return [
        f'<text class="label" x="{(left + right) / 2:.1f}" y="{canvas.height - 8}" text-anchor="middle">'
        f"{escape(str(curve['x_label']))}</text>",
        f'<text class="label" transform="translate(13 {middle:.1f}) rotate(-90)" text-anchor="middle">'
        f"{escape(str(curve['y_label']))}</text>",
    ]

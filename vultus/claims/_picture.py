"""Arms and gains with their intervals, as one SVG: no script, no font file, no request; light and dark."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

__all__ = ["SIM", "short", "svg"]

SIM = "simulated data: shows the mechanism, not field accuracy"

_WIDTH, _LEFT, _RIGHT, _ROW, _HEAD, _FOOT = 720, 190, 176, 30, 30, 44
_TITLE = 92  # letters of a title line
_STYLE = (
    "svg.claim{--p:#fcfbf8;--i:#16181b;--s:#565c64;--g:#dfdcd4;--m:#1d5fb4;--b:#565c64;--c:#bf4417;"
    'font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",Arial,sans-serif}'
    "@media(prefers-color-scheme:dark){svg.claim{--p:#121418;--i:#ecebe6;--s:#a3a9b1;--g:#3a3f47;--m:#7fb4f5;--b:#a3a9b1;--c:#f3946c}}"
    "svg.claim text{fill:var(--i);font-size:14px}svg.claim .tick,svg.claim .soft{fill:var(--s);font-size:12px}"
    "svg.claim .title{font-weight:600}svg.claim .paper{fill:var(--p)}svg.claim path{fill:none;stroke-linecap:round}"
    "svg.claim .grid{stroke:var(--g)}svg.claim .zero{stroke:var(--i);stroke-dasharray:3 4}"
    "svg.claim .method{--k:var(--m)}svg.claim .baseline,svg.claim .arm{--k:var(--b)}svg.claim .control{--k:var(--c)}"
    "svg.claim .span{stroke:var(--k);stroke-width:3}svg.claim .dot{fill:var(--k)}"
    "svg.claim .seed{fill:none;stroke:var(--k);stroke-width:1.2}"
)


@dataclass(frozen=True)
class _Row:
    name: str
    metric: Mapping[str, Any]
    role: str
    seeds: Sequence[float]


def svg(document: Mapping[str, Any]) -> str:
    """Two panels: the mean of every arm, and what method and controls gain over the baseline.

    Args:
        document: the result of a claim, as `vultus.claims.run` writes it.

    Returns:
        One <svg> element; "" for a document without arms (stopped or refused).
    """
    arms: Mapping[str, Any] = document.get("arms") or {}
    if not arms or not document.get("effect"):
        return ""
    roles = {document["method"]: "method", document["baseline"]: "baseline"}
    roles |= dict.fromkeys(document["controls"], "control")
    seeds = document["per_seed"]
    means = [_Row(name, metric, roles.get(name, "arm"), seeds[name]) for name, metric in arms.items()]
    of = {document["method"]: (document["effect"], "method", "the method")}
    of |= {name: (metric, "control", "a control") for name, metric in document["controls"].items()}
    gains = [
        _Row(_fitting(f"{name} ({what})", name), metric, role, _gains(document, name))
        for name, (metric, role, what) in of.items()
    ]
    better = "higher" if document["higher_is_better"] else "lower"
    upper, height = _panel(f"{document['metric']}; {better} speaks for the claim", means, 0, zero=False)
    title = f"gain over {document['baseline']}; right of 0 speaks for the claim"
    lower, total = _panel(title, gains, height, zero=True)
    words = _words(document)
    lines = [f'<text class="soft" x="0" y="{total + 8 + 18 * i}">{escape(line)}</text>' for i, line in enumerate(words)]
    label = escape(f"{document['claim']}: {document['status']}; {'; '.join(words)}", quote=True)
    return (
        f'<svg class="claim" xmlns="http://www.w3.org/2000/svg" viewBox="-12 -8 {_WIDTH + 24} {total + 50}" role="img" '
        f'aria-label="{label}"><style>{_STYLE}</style>'
        f'<rect class="paper" x="-12" y="-8" width="{_WIDTH + 24}" height="{total + 50}"/>'
        f"{upper}{lower}{''.join(lines)}</svg>"
    )


def _gains(document: Mapping[str, Any], arm: str) -> list[float]:
    """Gain of an arm over the baseline, seed by seed."""
    seeds, sign = document["per_seed"], 1 if document["higher_is_better"] else -1
    return [sign * (a - b) for a, b in zip(seeds[arm], seeds[document["baseline"]], strict=True)]


def short(value: float) -> str:
    """A number with three digits that count, and a real minus sign."""
    return f"{value:.3g}".replace("-", "−")


def _words(document: Mapping[str, Any]) -> tuple[str, str]:
    seeds = f"{len(document['seeds'])} seeds, {document['n_units']} {document['unit']}s"
    tier = SIM if document["data"] == "sim" else "real data"
    return f"dots: means, rings: single seeds, lines: 95 % intervals; {seeds}; {document['scale']} scale", tier


def _panel(title: str, rows: list[_Row], top: int, *, zero: bool) -> tuple[str, int]:
    """One panel from `top` down, and where it ends."""
    numbers = [row.metric[key] for row in rows for key in ("value", "low", "high") if row.metric[key] is not None]
    numbers += [value for row in rows for value in row.seeds]
    low, high = _limits(numbers + ([0.0] if zero else []))
    heading = textwrap.wrap(title, _TITLE) or [""]
    parts = [
        f'<text class="title" x="0" y="{top + 18 + 18 * i}">{escape(line)}</text>' for i, line in enumerate(heading)
    ]
    top += 18 * (len(heading) - 1)
    floor = top + _HEAD + _ROW * len(rows)

    def at(value: float) -> float:
        return _LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    for tick, words in _ticks(low, high):
        parts.append(f'<path class="grid" d="M{at(tick):.1f} {top + _HEAD}V{floor}"/>')
        parts.append(f'<text class="tick" x="{at(tick):.1f}" y="{floor + 16}" text-anchor="middle">{words}</text>')
    if zero:
        parts.append(f'<path class="zero" d="M{at(0):.1f} {top + _HEAD}V{floor}"/>')
    for index, row in enumerate(rows):
        parts += _drawn(row, top + _HEAD + _ROW * index + _ROW // 2, at)
    return "".join(parts), floor + _FOOT


def _drawn(row: _Row, y: int, at: Callable[[float], float]) -> Iterable[str]:
    name, metric, role = row.name, row.metric, row.role
    shown = _fitting(name, name[:25] + "…")
    squeezed = f' textLength="{_LEFT - 14}" lengthAdjust="spacingAndGlyphs"' if len(shown) > 22 else ""
    yield f'<text x="{_LEFT - 14}" y="{y + 5}" text-anchor="end"{squeezed}>{escape(shown)}</text>'
    words = short(metric["value"])
    if metric["low"] is not None and metric["high"] is not None:
        yield f'<path class="span {role}" d="M{at(metric["low"]):.1f} {y}H{at(metric["high"]):.1f}"/>'
        words += f" [{short(metric['low'])}, {short(metric['high'])}]"
    for value in row.seeds:
        yield f'<circle class="seed {role}" cx="{at(value):.1f}" cy="{y}" r="3"/>'
    yield f'<circle class="dot {role}" cx="{at(metric["value"]):.1f}" cy="{y}" r="5.5"/>'
    yield f'<text class="tick" x="{_WIDTH}" y="{y + 4}" text-anchor="end">{words}</text>'


def _fitting(name: str, otherwise: str) -> str:
    """The name where it is short enough to stand before its row; its color says the rest."""
    return name if len(name) <= 26 else otherwise


def _limits(numbers: list[float]) -> tuple[float, float]:
    low, high = min(numbers), max(numbers)
    room = 0.06 * (high - low) or 0.5 * abs(high) or 1.0
    return low - room, high + room


def _ticks(low: float, high: float) -> list[tuple[float, str]]:
    rough = (high - low) / 4
    scale = 10.0 ** math.floor(math.log10(rough))
    step = scale * min(m for m in (1, 2, 2.5, 5, 10) if m * scale >= rough * 0.999)
    count = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    return [(k * step, short(round(k * step, 12))) for k in count]

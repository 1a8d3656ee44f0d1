"""Numbers and keys of a report in words."""

from __future__ import annotations

import math
import re
from html import escape

from vultus.types import Metric

__all__ = ["interval", "number", "sentence"]

_UPPER = {
    "tar",
    "far",
    "fmr",
    "fnmr",
    "eer",
    "auc",
    "ap",
    "map",
    "iou",
    "det",
    "roc",
    "fpir",
    "fnir",
    "tpir",
    "dir",
    "cmc",
    "lfw",
    "nme",
    "fp",
}
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float | None, unit: str) -> tuple[str, str]:
    """Digits and unit; a share is written in percent, with as many digits as it needs."""
    if value is None:
        return "insufficient", ""
    if unit == "share":
        return _fixed(100 * value, _decimals(100 * value)), "%"
    words = f"{value:,.0f}" if float(value).is_integer() and abs(value) >= 10 else f"{value:.4g}"
    return words.replace("-", "−"), escape(unit)


def _decimals(percent: float) -> int:
    return 2 if percent == 0 or abs(percent) >= 0.1 else min(7, 1 - math.floor(math.log10(abs(percent))))


def _fixed(number: float, decimals: int) -> str:
    return f"{number:.{decimals}f}".replace("-", "−")


def interval(metric: Metric) -> str:
    """Both ends in brackets, with as many decimals as the value has."""
    ends = [end for end in (metric.low, metric.high) if end is not None]
    if metric.unit == "share":
        decimals = _decimals(100 * (ends[-1] if metric.value is None else metric.value))
        return "[" + ", ".join(_fixed(100 * end, decimals) for end in ends) + "]"
    return "[" + ", ".join(number(end, metric.unit)[0] for end in ends) + "]"


def sentence(name: str) -> str:
    """A key in words: tar_at_far_1e-3 -> TAR at FAR 10⁻³."""
    text = re.sub(r"\b1e(-?\d+)\b", lambda m: "10" + m[1].translate(_SUPERSCRIPT), name.replace("_1e", " 1e"))
    if re.fullmatch(r"[a-z0-9_@.\-]+", name):
        spaced = re.sub(r"(\d)_(\d)", r"\1–\2", text).replace("_", " ").replace("@", " at ")
        text = " ".join(w.upper() if w in _UPPER else w for w in spaced.split())
    return text[:1].upper() + text[1:]

"""Eyes, brows and lips as curves on the chart of the face: what is drawn, what is labeled and where the points lie.

Everything here is in centimeters of the chart (`_head.Template.xy0`), x to the viewer's right, y down.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vultus.sim._head import EXPRESSIONS
from vultus.types import F32

__all__ = [
    "EYE_X",
    "Brow",
    "Eyes",
    "Mouth",
    "brow_curve",
    "brow_of",
    "eyes_of",
    "in_nose",
    "lid_curves",
    "lip_curves",
    "mouth_of",
    "points51",
]

F = NDArray[np.floating]
EYE_X, EYE_Y = 3.15, 0.12
MOUTH_Y = 6.72


class Eyes(NamedTuple):
    """Both eyes; lids as heights above and below the middle line."""

    half_width: float
    up: tuple[float, float]  # left, right
    low: tuple[float, float]
    tilt: float
    fold: float
    iris: float
    gaze: tuple[float, float]  # cm that the iris is moved


class Mouth(NamedTuple):
    """The mouth."""

    half_width: float
    upper: float
    lower: float
    bow: float
    gap: float
    press: float


class Brow(NamedTuple):
    """Both brows."""

    start: float
    end: float
    y: float
    arch: float
    tilt: float
    thick: float


def eyes_of(a: Mapping[str, float], expression: F, gaze_deg: F, lift: float = 0.0) -> Eyes:
    """Eyes from activations, the 14 expression strengths and gaze (right +, up +, degrees)."""
    e = dict(zip(EXPRESSIONS, np.asarray(expression, float).tolist(), strict=True))
    wide = 1.44 * float(np.exp(0.065 * a["eye width"]))
    tall = float(np.exp(0.17 * a["eye opening"])) * (1 - lift)
    squint = 1 - 0.35 * e["cheek raise"] - 0.15 * e["smile"] - 0.12 * e["brow lower"] + 0.35 * e["eyes wide"]
    up = 0.56 * tall * squint
    low = 0.47 * float(np.exp(0.08 * a["eye opening"])) * (1 - 0.45 * e["cheek raise"] + 0.1 * e["eyes wide"])
    lids = [(up * (1 - b) - 0.34 * low * b, low * (1 - 0.1 * b)) for b in (e["blink left"], e["blink right"])]
    shift = np.sin(np.radians(np.asarray(gaze_deg, float))) * 1.15
    up_down = -float(shift[1])
    lids = [(u - 0.35 * max(up_down, 0), w + 0.05 * up_down) for u, w in lids]
    return Eyes(
        wide, (lids[0][0], lids[1][0]), (lids[0][1], lids[1][1]), 0.055 * a["eye tilt"],
        max(0.06, 0.30 + 0.12 * a["eye fold"]), 0.62 * float(np.exp(0.05 * a["iris size"])), (float(shift[0]), up_down),
    )  # fmt: skip


def mouth_of(a: Mapping[str, float], expression: F) -> Mouth:
    """Mouth from activations and expression strengths."""
    e = dict(zip(EXPRESSIONS, np.asarray(expression, float).tolist(), strict=True))
    gap = 0.42 * e["lips part"] + 0.75 * e["jaw open"]
    thin = 1 - 0.45 * e["lips press"] - 0.18 * e["smile"] - 0.1 * e["jaw open"]
    return Mouth(
        2.5, 0.68 * float(np.exp(0.22 * a["upper lip"])) * thin, 0.82 * float(np.exp(0.18 * a["lower lip"])) * thin,
        0.20 + 0.09 * a["cupid bow"], gap, e["lips press"],
    )  # fmt: skip


def brow_of(a: Mapping[str, float], sex_axis: float) -> Brow:
    """Brows from activations; those of men are thicker and lower."""
    thick = 0.42 * float(np.exp(0.28 * a["brow thickness"] + 0.10 * sex_axis))
    return Brow(
        1.05 - 0.16 * a["brow spacing"], 4.75 + 0.25 * a["brow length"], -1.95 + 0.07 * sex_axis,
        max(0.05, 0.34 + 0.16 * a["brow arch"] - 0.06 * sex_axis), 0.055 * a["brow tilt"], thick,
    )  # fmt: skip


def lid_curves(eyes: Eyes, x: F, right: NDArray[np.bool_]) -> tuple[F, F, F]:
    """Upper and lower lid at x, and s from -1 at the inner corner to 1 at the outer one.

    Args:
        eyes: the eyes.
        x: (...) signed chart x.
        right: (...) whether it is the viewer's right eye.
    """
    s = (np.abs(x) - EYE_X) / eyes.half_width
    inside = np.maximum(1 - s * s, 0)
    middle = EYE_Y - eyes.tilt * s * 2.2 - 0.03 * s
    up = np.where(right, np.float32(eyes.up[1]), np.float32(eyes.up[0]))
    low = np.where(right, np.float32(eyes.low[1]), np.float32(eyes.low[0]))
    skew = 1 - 0.18 * s  # highest nearer the nose
    return middle - up * inside**0.72 * skew, middle + low * inside**0.85 * (1 + 0.15 * s), s


def lip_curves(mouth: Mouth, x: F) -> tuple[F, F, F, F, F]:
    """Top of the upper lip, its lower edge, upper edge of the lower lip, its bottom, and s from -1 to 1."""
    s = x / mouth.half_width
    inside = np.maximum(1 - s * s, 0)
    line = MOUTH_Y + 0.06 * (1 - inside) + 0.05 * np.exp(-((s / 0.25) ** 2))
    gap = mouth.gap * inside**0.65
    bow = 1 - mouth.bow * np.exp(-((s / 0.13) ** 2)) - 0.25 * np.abs(s)
    upper, lower = line - 0.25 * gap, line + 0.75 * gap
    full = np.maximum(1 - np.abs(s) ** 2.4, 0)
    return upper - mouth.upper * full**0.8 * bow * 1.12, upper, lower, lower + mouth.lower * inside**0.62, s


def brow_curve(brow: Brow, x: F) -> tuple[F, F, F]:
    """Middle and half thickness of the brow at |x|, and the share of its length, 0 to 1 inside."""
    s = (np.abs(x) - brow.start) / (brow.end - brow.start)
    middle = brow.y - brow.arch * np.sin(np.pi * np.clip(s, 0, 1.15) ** 1.25 * 0.8) + 0.12 - brow.tilt * (s - 0.5) * 3
    share = np.clip(s, 0, 1)
    return middle, brow.thick * (0.62 + 0.55 * share - 0.95 * share**2.4), s


_NOSE_Y = (-0.3, 0.6, 1.8, 2.8, 3.5, 4.1, 4.7, 5.0)
_NOSE_X = (0.55, 0.62, 0.80, 1.15, 1.6, 1.78, 1.45, 0.0)


def in_nose(x: F, y: F) -> NDArray[np.bool_]:
    """Whether a place belongs to the nose."""
    wide = np.interp(y, _NOSE_Y, _NOSE_X, left=0.0, right=0.0)
    inside: NDArray[np.bool_] = np.abs(x) < wide
    return inside


_NOSE = np.array(
    [(0, -0.3), (0, 0.95), (0, 2.2), (0, 3.55), (-1.45, 4.35), (-0.75, 4.65), (0, 4.85), (0.75, 4.65), (1.45, 4.35)]
)
_BROW = np.linspace(0.02, 0.98, 5)
# outer corner, over the upper lid to the inner one, back below; the viewer's left eye in that order, then the right one
_EYE = np.array([1.0, 0.38, -0.38, -1.0, -0.38, 0.38]) * 0.985
_EYES = np.concatenate([-_EYE, _EYE[[3, 2, 1, 0, 5, 4]]])
_EYE_SIDE = np.repeat([-1.0, 1.0], 6)
_EYE_UP = np.array([1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 0, 0], bool)
_OUTER = np.array([-1, -0.62, -0.22, 0, 0.22, 0.62, 1, 0.62, 0.25, 0, -0.25, -0.62])
_LIPS = np.concatenate([_OUTER, [-0.88, -0.35, 0, 0.35, 0.88, 0.35, 0, -0.35]]) * 0.97


def points51(eyes: Eyes, mouth: Mouth, brow: Brow) -> F32:
    """(51, 2) the last 51 iBUG points (brows, nose, eyes, lips) on the chart."""
    out = np.empty((51, 2))
    bx = brow.start + _BROW * (brow.end - brow.start)
    by, thick, _ = brow_curve(brow, bx)
    out[5:10, 0], out[5:10, 1] = bx, by - 0.4 * thick
    out[4::-1] = out[5:10] * (-1, 1)
    out[10:19] = _NOSE
    x = EYE_X * _EYE_SIDE + _EYES * eyes.half_width
    up, low, _ = lid_curves(eyes, x, _EYE_SIDE > 0)
    out[19:31, 0], out[19:31, 1] = x, np.where(_EYE_UP, up, low)
    x = _LIPS * mouth.half_width
    top, upper, lower, bottom, _ = lip_curves(mouth, x)
    out[31:, 0] = x
    out[31:38, 1], out[38:43, 1] = top[:7], bottom[7:12]
    out[43:48, 1], out[48:, 1] = upper[12:17], lower[17:]
    for k in (0, 6, 12, 16):
        out[31 + k, 1] = (upper[k] + lower[k]) / 2
    return out.astype(np.float32)

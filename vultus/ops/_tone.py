"""Light and color of the degradation pipeline."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from vultus.ops._op import ANGLE, GRAIN, Number, Op, Range, Scene, Values, from_levels
from vultus.types import F32, U8

__all__ = ["Brightness", "ColorCast", "Contrast", "Fade", "Gamma", "Gray", "LightGradient", "Saturation", "luma"]

_FACTOR = Number(0.0, 10.0, 1.0)
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_SEPIA = np.array([1.07, 0.95, 0.72], np.float32)


def luma(x: U8 | F32) -> F32:
    """(..., 3) to (...): BT.601 gray, in the scale of x."""
    gray: F32 = np.asarray(x, np.float32) @ _LUMA
    return gray


def _table(x: U8, levels: F32) -> U8:
    return np.asarray(cv2.LUT(x, from_levels(levels)), np.uint8)


_LEVELS = np.arange(256, dtype=np.float32)


@dataclass(frozen=True)
class Gamma(Op):
    """255 (x / 255)^gamma.

    Attributes:
        gamma: above 1 darkens the middle.
    """

    NUMBERS: ClassVar[Mapping[str, Number]] = {"gamma": Number(0.05, 20.0, 1.0)}
    gamma: Range = (0.5, 2.0)

    def image(self, x: U8, values: Values, scene: Scene) -> U8:
        return _table(x, np.asarray(255 * (_LEVELS / 255) ** np.float32(values["gamma"]), np.float32))


@dataclass(frozen=True)
class Brightness(Op):
    """Every level times a factor.

    Attributes:
        factor: 0 is black.
    """

    NUMBERS: ClassVar[Mapping[str, Number]] = {"factor": _FACTOR}
    factor: Range = (0.5, 1.5)

    def image(self, x: U8, values: Values, scene: Scene) -> U8:
        return _table(x, _LEVELS * np.float32(values["factor"]))


@dataclass(frozen=True)
class Contrast(Op):
    """Away from or toward the mean gray of the picture.

    Attributes:
        factor: 0 is flat gray.
    """

    NUMBERS: ClassVar[Mapping[str, Number]] = {"factor": _FACTOR}
    factor: Range = (0.5, 1.5)

    def image(self, x: U8, values: Values, scene: Scene) -> U8:
        mean, factor = np.float32(luma(x).mean()), np.float32(values["factor"])
        return _table(x, mean + factor * (_LEVELS - mean))


@dataclass(frozen=True)
class Saturation(Op):
    """Away from or toward the gray of each pixel.

    Attributes:
        factor: 0 is gray.
    """

    NUMBERS: ClassVar[Mapping[str, Number]] = {"factor": _FACTOR}
    factor: Range = (0.5, 1.5)

    def image(self, x: U8, values: Values, scene: Scene) -> U8:
        gray = luma(x)[..., None]
        return from_levels(gray + np.float32(values["factor"]) * (x - gray))


@dataclass(frozen=True)
class Gray(Op):
    """Without color.

    Attributes:
        share: 1 is gray, 0 leaves the colors.
    """

    NUMBERS: ClassVar[Mapping[str, Number]] = {"share": Number(0.0, 1.0, 0.0)}
    share: Range = 1.0

    def image(self, x: U8, values: Values, scene: Scene) -> U8:
        gray = luma(x)[..., None]
        return from_levels(x + np.float32(values["share"]) * (gray - x))


@dataclass(frozen=True)
class ColorCast(Op):
    """Each channel times a factor: a wrong white balance.

    Attributes:
        red, green, blue: factors.
    """

    NUMBERS: ClassVar[Mapping[str, Number]] = {"red": _FACTOR, "green": _FACTOR, "blue": _FACTOR}
    red: Range = (0.8, 1.2)
    green: Range = (0.9, 1.1)
    blue: Range = (0.8, 1.2)

    def image(self, x: U8, values: Values, scene: Scene) -> U8:
        return from_levels(x * np.array([values["red"], values["green"], values["blue"]], np.float32))


@dataclass(frozen=True)
class LightGradient(Op):
    """Light from one side: brighter by a share there, darker by the same share on the other side.

    Attributes:
        strength: the share at the border.
        direction_rad: where the light is, clockwise as seen from the x axis.
    """

    NUMBERS: ClassVar[Mapping[str, Number]] = {"strength": Number(0.0, 1.0, 0.0), "direction_rad": ANGLE}
    strength: Range = (0.1, 0.7)
    direction_rad: Range = (0.0, 2 * math.pi)

    def image(self, x: U8, values: Values, scene: Scene) -> U8:
        height, width = x.shape[:2]
        across = np.linspace(-1, 1, width, dtype=np.float32) * np.float32(math.cos(values["direction_rad"]))
        down = np.linspace(-1, 1, height, dtype=np.float32) * np.float32(math.sin(values["direction_rad"]))
        side = (across[None, :] + down[:, None]) / np.float32(
            abs(math.cos(values["direction_rad"])) + abs(math.sin(values["direction_rad"]))
        )
        return from_levels(x * (1 + np.float32(values["strength"]) * side)[..., None])


@dataclass(frozen=True)
class Fade(Op):
    """Old film: colors toward sepia, shadows turned gray, brightness that wavers, dust and vertical scratches.

    Attributes:
        sepia: share of the colors that are lost.
        wash: share of the contrast that is lost.
        flicker: brightness of this frame, relative; wavers in a clip that drifts.
        scratches: how many; their places come from a seed that is new in every frame of a clip that drifts.
    """

    NUMBERS: ClassVar[Mapping[str, Number]] = {
        "sepia": Number(0.0, 1.0, 0.0),
        "wash": Number(0.0, 1.0, 0.0),
        "flicker": Number(-1.0, 1.0, 0.0),
        "scratches": Number(0, 1000, 0, whole=True),
        "seed": GRAIN,
    }
    sepia: Range = (0.4, 1.0)
    wash: Range = (0.1, 0.4)
    flicker: Range = (-0.1, 0.1)
    scratches: Range = (0, 6)

    def image(self, x: U8, values: Values, scene: Scene) -> U8:
        height, width = x.shape[:2]
        rng = np.random.default_rng(int(values["seed"]))
        toned = luma(x)[..., None] * _SEPIA
        out = x + np.float32(values["sepia"]) * (toned - x)
        out = out + np.float32(values["wash"]) * (np.float32(140) - out)
        for _ in range(int(values["scratches"])):
            light = float(rng.choice([-70.0, 90.0]))
            at, lean, top, long = rng.uniform(0, width), rng.uniform(-0.02, 0.02), rng.uniform(-0.3, 0.8), rng.random()
            rows = np.arange(max(0, int(top * height)), min(height, int((top + 0.2 + long) * height)))
            columns = (at + lean * rows + 0.4 * np.sin(rows / 7)).astype(int)
            inside = (columns >= 0) & (columns < width)
            out[rows[inside], columns[inside]] += np.float32(light)
            spot = int(rng.integers(height)), int(rng.integers(width))
            radius = 1 + int(rng.integers(max(2, min(height, width) // 60)))
            out[max(0, spot[0] - radius) : spot[0] + radius, max(0, spot[1] - radius) : spot[1] + radius] += light / 2
        return from_levels(out * np.float32(1 + values["flicker"]))

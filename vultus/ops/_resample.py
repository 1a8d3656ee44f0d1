"""Resolution and geometry of the degradation pipeline: everything that resamples, crops or moves pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError
from vultus.ops._op import ANGLE, PLACE, Names, Number, Op, Range, Scene, Values, from_levels
from vultus.types import U8

__all__ = [
    "KERNELS",
    "Enlarge",
    "LowRes",
    "Misalign",
    "Pixelate",
    "Resize",
    "ResizeShare",
    "Shrink",
    "Skew",
    "SquareCrop",
    "ZeroPadCrop",
    "resized",
]

F64 = NDArray[np.float64]

_FLAGS = {
    "area": cv2.INTER_AREA,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "nearest": cv2.INTER_NEAREST_EXACT,  # the plain one moves pixels by up to half a step
}
KERNELS = (*_FLAGS, "antialiased")
"""Ways to resample. bilinear and bicubic look at the 4 and 16 nearest pixels whatever the step, as OpenCV does;
antialiased is a bicubic that widens with the step, as MATLAB and Pillow do."""

_DRAWN: Names = tuple(_FLAGS)
_SMALL: Number = Number(1.0, 256.0, 1.0)


def resized(x: U8, size_hw: tuple[int, int], kernel: str) -> U8:
    """Resample a picture; centers stay where they are to half a pixel.

    Args:
        x: (H, W, 3) uint8.
        size_hw: height and width of the result.
        kernel: one of `KERNELS`.
    """
    height, width = size_hw
    if (height, width) == x.shape[:2]:
        return x
    if kernel == "antialiased":
        rows, columns = _cubic(x.shape[0], height), _cubic(x.shape[1], width)
        down = np.tensordot(rows, x.astype(np.float32), axes=(1, 0))
        return from_levels(np.tensordot(columns, down, axes=(1, 1)).swapaxes(0, 1))
    return np.asarray(cv2.resize(x, (width, height), interpolation=_FLAGS[kernel]), np.uint8)


@lru_cache(maxsize=64)
def _cubic(old: int, new: int) -> NDArray[np.float32]:
    """(new, old) weights of Keys' cubic with a = -1/2, widened when it shrinks; rows sum to 1."""
    step = old / new
    wide = max(step, 1.0)
    middle = (np.arange(new) + 0.5) * step - 0.5
    reach = np.arange(math.floor(-2 * wide) - 1, math.ceil(2 * wide) + 2)
    place = np.floor(middle)[:, None].astype(int) + reach
    d = np.abs(place - middle[:, None]) / wide
    near, far = 1.5 * d**3 - 2.5 * d**2 + 1, -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
    weight = np.where(d <= 1, near, np.where(d < 2, far, 0.0))
    weight[(place < 0) | (place >= old)] = 0.0
    weights = np.zeros((new, old))
    np.add.at(weights, (np.arange(new)[:, None], np.clip(place, 0, old - 1)), weight)
    rows: NDArray[np.float32] = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    return rows


class _DownUp(Op):
    """Smaller and back to its size, with one kernel each way."""

    def small_hw(self, values: Values, now_hw: tuple[int, int]) -> tuple[int, int]:
        return now_hw

    def image(self, x: U8, values: Values, scene: Scene) -> U8:
        size = x.shape[0], x.shape[1]
        small = resized(x, self.small_hw(values, size), values["kernel_down"])
        return resized(small, size, values["kernel_up"])


_PAIR: Mapping[str, tuple[str, ...]] = {"kernel_down": KERNELS, "kernel_up": KERNELS}


def _divided(now_hw: tuple[int, int], factor: float) -> tuple[int, int]:
    return max(1, math.floor(now_hw[0] / factor + 0.5)), max(1, math.floor(now_hw[1] / factor + 0.5))


@dataclass(frozen=True)
class Resize(_DownUp):
    """Smaller by a factor, and back.

    Attributes:
        factor: 4 makes 400 pixels 100.
        kernel_down, kernel_up: of `KERNELS`.
    """

    NUMBERS: ClassVar[Mapping[str, Number]] = {"factor": _SMALL}
    CHOICES: ClassVar[Mapping[str, tuple[str, ...]]] = _PAIR
    factor: Range = (1.0, 8.0)
    kernel_down: Names = _DRAWN
    kernel_up: Names = _DRAWN

    def small_hw(self, values: Values, now_hw: tuple[int, int]) -> tuple[int, int]:
        return _divided(now_hw, values["factor"])


@dataclass(frozen=True)
class ResizeShare(_DownUp):
    """Smaller by a share of the side that is even over its range, and back.

    Attributes:
        share: 0.25 makes 400 pixels 100.
        kernel_down, kernel_up: of `KERNELS`.
    """

    NUMBERS: ClassVar[Mapping[str, Number]] = {"share": Number(0.004, 1.0, 1.0)}
    CHOICES: ClassVar[Mapping[str, tuple[str, ...]]] = _PAIR
    share: Range = (0.2, 1.0)
    kernel_down: Names = _DRAWN
    kernel_up: Names = _DRAWN

    def small_hw(self, values: Values, now_hw: tuple[int, int]) -> tuple[int, int]:
        return _divided(now_hw, 1.0 / values["share"])


@dataclass(frozen=True)
class LowRes(_DownUp):
    """Smaller until the shorter side has so many pixels, and back; a picture that is smaller already stays.

    Attributes:
        side_px: of the shorter side.
        kernel_down, kernel_up: of `KERNELS`.
    """

    NUMBERS: ClassVar[Mapping[str, Number]] = {"side_px": Number(1.0, 65536.0, whole=True)}
    CHOICES: ClassVar[Mapping[str, tuple[str, ...]]] = _PAIR
    side_px: Range = (8, 32)
    kernel_down: Names = _DRAWN
    kernel_up: Names = _DRAWN

    def small_hw(self, values: Values, now_hw: tuple[int, int]) -> tuple[int, int]:
        return _divided(now_hw, max(1.0, min(now_hw) / values["side_px"]))


@dataclass(frozen=True)
class Shrink(Op):
    """Smaller, and it stays so; `Enlarge` later in the pipeline brings it back.

    Attributes:
        factor: 4 makes 400 pixels 100.
        kernel: of `KERNELS`.
    """

    NUMBERS: ClassVar[Mapping[str, Number]] = {"factor": Number(1.0, 256.0, 1.0, drifts=False)}
    CHOICES: ClassVar[Mapping[str, tuple[str, ...]]] = {"kernel": KERNELS}
    factor: Range = (1.0, 8.0)
    kernel: Names = _DRAWN

    def size(self, values: Values, now_hw: tuple[int, int], scene: Scene) -> tuple[int, int]:
        return _divided(now_hw, values["factor"])

    def image(self, x: U8, values: Values, scene: Scene) -> U8:
        return resized(x, _divided((x.shape[0], x.shape[1]), values["factor"]), values["kernel"])

    def matrix(self, values: Values, now_hw: tuple[int, int], scene: Scene) -> F64 | None:
        return _scaled(now_hw, _divided(now_hw, values["factor"]))


@dataclass(frozen=True)
class Enlarge(Op):
    """Back to the size that the picture had before the first operation.

    Attributes:
        kernel: of `KERNELS`.
    """

    CHOICES: ClassVar[Mapping[str, tuple[str, ...]]] = {"kernel": KERNELS}
    kernel: Names = _DRAWN

    def size(self, values: Values, now_hw: tuple[int, int], scene: Scene) -> tuple[int, int]:
        return scene.start_hw

    def image(self, x: U8, values: Values, scene: Scene) -> U8:
        return resized(x, scene.start_hw, values["kernel"])

    def matrix(self, values: Values, now_hw: tuple[int, int], scene: Scene) -> F64 | None:
        return _scaled(now_hw, scene.start_hw)


@dataclass(frozen=True)
class Pixelate(Op):
    """Squares of one color each, the mean of what was there.

    Attributes:
        block_px: side of a square.
    """

    NUMBERS: ClassVar[Mapping[str, Number]] = {"block_px": Number(1, 4096, 1, whole=True)}
    block_px: Range = (4, 16)

    def image(self, x: U8, values: Values, scene: Scene) -> U8:
        block = int(values["block_px"])
        height, width = x.shape[:2]
        edges = [np.arange(0, n, block) for n in (height, width)]
        sums = np.add.reduceat(np.add.reduceat(x.astype(np.float32), edges[0], axis=0), edges[1], axis=1)
        counts = np.diff(np.append(edges[0], height))[:, None] * np.diff(np.append(edges[1], width))
        means = from_levels(sums / counts[..., None].astype(np.float32))
        return means.repeat(block, axis=0)[:height].repeat(block, axis=1)[:, :width]


@dataclass(frozen=True)
class ZeroPadCrop(Op):
    """A rectangle stays where it is and everything around it turns black.

    Attributes:
        area_share: area of the rectangle, of the picture's; 1 keeps everything.
        log_ratio: logarithm of width / height.
        x, y: where it lies, 0 left or top to 1 right or bottom; drawn evenly.
    """

    NUMBERS: ClassVar[Mapping[str, Number]] = {
        "area_share": Number(1e-4, 1.0, 1.0),
        "log_ratio": Number(-3.0, 3.0, drifts=False),
        "x": PLACE,
        "y": PLACE,
    }
    area_share: Range = (0.2, 1.0)
    log_ratio: Range = (math.log(3 / 4), math.log(4 / 3))

    def image(self, x: U8, values: Values, scene: Scene) -> U8:
        left, top, right, bottom = rectangle(values, (x.shape[0], x.shape[1]))
        out = np.zeros_like(x)
        out[top:bottom, left:right] = x[top:bottom, left:right]
        return out


def rectangle(values: Values, now_hw: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the rectangle of area_share, log_ratio, x, y inside a picture; at least 1 x 1."""
    height, width = now_hw
    area, ratio = values["area_share"] * height * width, math.exp(values["log_ratio"])
    w = int(min(max(1, round(math.sqrt(area * ratio))), width))
    h = int(min(max(1, round(math.sqrt(area / ratio))), height))
    left, top = round(values["x"] * (width - w)), round(values["y"] * (height - h))
    return left, top, left + w, top + h


@dataclass(frozen=True)
class SquareCrop(Op):
    """A square of the picture; black where it reaches beyond. The result has the size of the square.

    Attributes:
        share: side of the square, of the shorter side; up to 1, or up to 2 with borders.
        x, y: where it lies, 0 left or top to 1 right or bottom; drawn evenly.
    """

    NUMBERS: ClassVar[Mapping[str, Number]] = {
        "share": Number(0.01, 8.0, drifts=False),
        "x": PLACE,
        "y": PLACE,
    }
    share: Range = (0.3, 1.0)

    def _place(self, values: Values, now_hw: tuple[int, int]) -> tuple[int, int, int]:
        side = max(1, round(values["share"] * min(now_hw)))
        return side, round(values["x"] * (now_hw[1] - side)), round(values["y"] * (now_hw[0] - side))

    def size(self, values: Values, now_hw: tuple[int, int], scene: Scene) -> tuple[int, int]:
        side = self._place(values, now_hw)[0]
        return side, side

    def image(self, x: U8, values: Values, scene: Scene) -> U8:
        height, width = x.shape[:2]
        side, left, top = self._place(values, (height, width))
        out = np.zeros((side, side, 3), np.uint8)
        x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, width), min(top + side, height)
        out[y0 - top : y1 - top, x0 - left : x1 - left] = x[y0:y1, x0:x1]
        return out

    def matrix(self, values: Values, now_hw: tuple[int, int], scene: Scene) -> F64 | None:
        _, left, top = self._place(values, now_hw)
        return np.array([[1.0, 0, -left], [0, 1, -top], [0, 0, 1]])


class _Moved(Op):
    """Resampled by a matrix into a picture of the same size."""

    def image(self, x: U8, values: Values, scene: Scene) -> U8:
        height, width = x.shape[:2]
        matrix = self.matrix(values, (height, width), scene)
        if matrix is None:
            return x
        border = cv2.BORDER_CONSTANT if values.get("border") == "black" else cv2.BORDER_REPLICATE
        moved = cv2.warpPerspective(x, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=border)
        return np.asarray(moved, np.uint8)


_BORDERS: Mapping[str, tuple[str, ...]] = {"border": ("black", "replicate")}


@dataclass(frozen=True)
class Misalign(_Moved):
    """Scaled and turned about the middle, and shifted: what a careless alignment does to a crop.

    Attributes:
        scale: 1.2 makes the face larger.
        theta_rad: turn, clockwise as seen.
        shift: share of the longer side.
        direction_rad: where to, clockwise as seen from the x axis; drawn evenly.
        border: black or replicate.
    """

    NUMBERS: ClassVar[Mapping[str, Number]] = {
        "scale": Number(0.05, 20.0, 1.0),
        "theta_rad": Number(-2 * math.pi, 2 * math.pi, 0.0),
        "shift": Number(0.0, 2.0, 0.0),
        "direction_rad": ANGLE,
    }
    CHOICES: ClassVar[Mapping[str, tuple[str, ...]]] = _BORDERS
    scale: Range = (0.8, 1.2)
    theta_rad: Range = (-math.radians(20), math.radians(20))
    shift: Range = (0.0, 0.15)
    direction_rad: Range = (0.0, 2 * math.pi)
    border: Names = "black"

    def matrix(self, values: Values, now_hw: tuple[int, int], scene: Scene) -> F64 | None:
        c, s = (values["scale"] * f(values["theta_rad"]) for f in (math.cos, math.sin))
        far = values["shift"] * max(now_hw)
        dx, dy = far * math.cos(values["direction_rad"]), far * math.sin(values["direction_rad"])
        return _about_middle(np.array([[c, -s, dx], [s, c, dy], [0, 0, 1.0]]), now_hw)


@dataclass(frozen=True)
class Skew(_Moved):
    """Sheared and seen at an angle.

    Attributes:
        shear: x moves by this share of y.
        tilt_x, tilt_y: how much smaller the right or lower end is seen than the other.
        border: black or replicate.
    """

    NUMBERS: ClassVar[Mapping[str, Number]] = {
        "shear": Number(-2.0, 2.0, 0.0),
        "tilt_x": Number(-0.9, 0.9, 0.0),
        "tilt_y": Number(-0.9, 0.9, 0.0),
    }
    CHOICES: ClassVar[Mapping[str, tuple[str, ...]]] = _BORDERS
    shear: Range = (-0.1, 0.1)
    tilt_x: Range = (-0.15, 0.15)
    tilt_y: Range = (-0.15, 0.15)
    border: Names = "black"

    def matrix(self, values: Values, now_hw: tuple[int, int], scene: Scene) -> F64 | None:
        gx, gy = values["tilt_x"] / now_hw[1], values["tilt_y"] / now_hw[0]
        if abs(gx) * now_hw[1] / 2 + abs(gy) * now_hw[0] / 2 >= 0.95:
            raise InputError(
                f"Skew.tilt_x, tilt_y: expected magnitudes that add to less than 1.9, got {values['tilt_x']:g} "
                f"and {values['tilt_y']:g}"
            )
        return _about_middle(np.array([[1.0, values["shear"], 0], [0, 1, 0], [gx, gy, 1]]), now_hw)


def _about_middle(matrix: F64, now_hw: tuple[int, int]) -> F64:
    x, y = (now_hw[1] - 1) / 2, (now_hw[0] - 1) / 2
    back, there = np.array([[1.0, 0, x], [0, 1, y], [0, 0, 1]]), np.array([[1.0, 0, -x], [0, 1, -y], [0, 0, 1]])
    moved: F64 = back @ matrix @ there
    return moved


def _scaled(now_hw: tuple[int, int], new_hw: tuple[int, int]) -> F64:
    """Center coordinates when a picture is resampled: (p + 1/2) f - 1/2."""
    fx, fy = new_hw[1] / now_hw[1], new_hw[0] / now_hw[0]
    return np.array([[fx, 0, 0.5 * fx - 0.5], [0, fy, 0.5 * fy - 0.5], [0, 0, 1.0]])

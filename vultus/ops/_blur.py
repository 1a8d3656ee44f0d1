"""Blurs of the degradation pipeline; every kernel sums to 1."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.ops._op import ANGLE, Number, Op, Range, Scene, Values
from vultus.types import U8

__all__ = [
    "AnisoBlur",
    "Atmospheric",
    "GaussianBlur",
    "MotionBlur",
    "atmospheric_kernel",
    "gaussian_kernel",
    "gaussian_line",
    "line_kernel",
]

F64 = NDArray[np.float64]

_FINE = 5  # samples per pixel of a narrow kernel; odd, so that one lies in the middle


@dataclass(frozen=True)
class GaussianBlur(Op):
    """The same in all directions.

    Attributes:
        sigma_px: standard deviation.
    """

    NUMBERS: ClassVar[Mapping[str, Number]] = {"sigma_px": Number(0.0, 200.0, 0.0)}
    sigma_px: Range = (0.2, 3.0)

    def image(self, x: U8, values: Values, scene: Scene) -> U8:
        line = gaussian_line(values["sigma_px"])
        return np.asarray(cv2.sepFilter2D(x, -1, line, line, borderType=cv2.BORDER_REFLECT), np.uint8)


@dataclass(frozen=True)
class AnisoBlur(Op):
    """A Gaussian that is longer in one direction.

    Attributes:
        sigma_x_px, sigma_y_px: standard deviations along its own two axes.
        theta_rad: turns the first axis clockwise as seen.
    """

    NUMBERS: ClassVar[Mapping[str, Number]] = {
        "sigma_x_px": Number(0.0, 200.0, 0.0),
        "sigma_y_px": Number(0.0, 200.0, 0.0),
        "theta_rad": ANGLE,
    }
    sigma_x_px: Range = (0.2, 3.0)
    sigma_y_px: Range = (0.2, 3.0)
    theta_rad: Range = (0.0, math.pi)

    def image(self, x: U8, values: Values, scene: Scene) -> U8:
        return _filtered(x, gaussian_kernel(values["sigma_x_px"], values["sigma_y_px"], values["theta_rad"]))


@dataclass(frozen=True)
class MotionBlur(Op):
    """A straight, even movement during exposure.

    Attributes:
        length_px: how far.
        theta_rad: direction, clockwise as seen from the x axis.
    """

    NUMBERS: ClassVar[Mapping[str, Number]] = {"length_px": Number(0.0, 500.0, 0.0), "theta_rad": ANGLE}
    length_px: Range = (3.0, 15.0)
    theta_rad: Range = (0.0, math.pi)

    def image(self, x: U8, values: Values, scene: Scene) -> U8:
        return _filtered(x, line_kernel(values["length_px"], values["theta_rad"]))


@dataclass(frozen=True)
class Atmospheric(Op):
    """Long exposure through turbulent air: transfer exp(-(2 pi w f)^(5/3)) (Hufnagel and Stanley 1964).

    Attributes:
        width_px: w.
    """

    NUMBERS: ClassVar[Mapping[str, Number]] = {"width_px": Number(0.0, 50.0, 0.0)}
    width_px: Range = (0.5, 3.0)

    def image(self, x: U8, values: Values, scene: Scene) -> U8:
        return _filtered(x, atmospheric_kernel(values["width_px"]))


def gaussian_line(sigma_px: float) -> F64:
    """(k,) Gaussian, averaged over each pixel so that a narrow one is right too; sums to 1.

    Args:
        sigma_px: deviation; 0 is a point.
    """
    radius = max(1, math.ceil(4.0 * sigma_px))
    at = (np.arange((2 * radius + 1) * _FINE) + 0.5) / _FINE - radius - 0.5
    line = np.exp(-0.5 * (at / max(sigma_px, 0.35 / _FINE)) ** 2).reshape(-1, _FINE).sum(1)
    total: F64 = line / line.sum()
    return total


def gaussian_kernel(sigma_x_px: float, sigma_y_px: float, theta_rad: float = 0.0) -> F64:
    """(k, k) Gaussian, averaged over each pixel so that a narrow one is right too; sums to 1.

    Args:
        sigma_x_px: deviation along the turned x axis; 0 is a line or a point.
        sigma_y_px: deviation along the turned y axis.
        theta_rad: turn, clockwise as seen.
    """
    radius = max(1, math.ceil(4.0 * max(sigma_x_px, sigma_y_px)))
    fine = _FINE if max(sigma_x_px, sigma_y_px) < 4 else 1  # samples per pixel
    at = (np.arange((2 * radius + 1) * fine) + 0.5) / fine - radius - 0.5
    x, y = at[None, :], at[:, None]
    c, s = math.cos(theta_rad), math.sin(theta_rad)
    least = 0.35 / fine  # a line that is thinner would slip between the samples
    u, v = (c * x + s * y) / max(sigma_x_px, least), (c * y - s * x) / max(sigma_y_px, least)
    dense = np.exp(-0.5 * (u * u + v * v))
    kernel = dense.reshape(2 * radius + 1, fine, 2 * radius + 1, fine).sum((1, 3))
    total: F64 = kernel / kernel.sum()
    return total


def line_kernel(length_px: float, theta_rad: float) -> F64:
    """(k, k) straight line through the middle, spread over the pixels it touches; sums to 1.

    Args:
        length_px: its length; 0 is a point.
        theta_rad: its direction, clockwise as seen.
    """
    radius = math.ceil(length_px / 2) + 1
    count = 8 * math.ceil(length_px) + 1
    at = np.linspace(-length_px / 2, length_px / 2, count) if count > 1 else np.zeros(1)
    x, y = radius + at * math.cos(theta_rad), radius + at * math.sin(theta_rad)
    kernel = np.zeros((2 * radius + 1, 2 * radius + 1))
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        weight = np.abs(1 - dx - (x - left)) * np.abs(1 - dy - (y - top))
        np.add.at(kernel, (top + dy, left + dx), weight)
    total: F64 = kernel / kernel.sum()
    return total


def atmospheric_kernel(width_px: float) -> F64:
    """(k, k) spread of light through turbulent air; sums to 1.

    Args:
        width_px: w of the transfer exp(-(2 pi w f)^(5/3)), f in cycles per pixel.
    """
    radius = max(2, math.ceil(6 * width_px))
    side = 4 * radius + 1
    f = np.fft.fftfreq(side)
    transfer = np.exp(-((2 * math.pi * width_px * np.hypot(f[:, None], f[None, :])) ** (5 / 3)))
    spread = np.fft.fftshift(np.fft.ifft2(transfer).real)
    kernel = np.maximum(spread[radius : 3 * radius + 1, radius : 3 * radius + 1], 0.0)
    total: F64 = kernel / kernel.sum()
    return total


def _filtered(x: U8, kernel: F64) -> U8:
    return np.asarray(cv2.filter2D(x, -1, kernel, borderType=cv2.BORDER_REFLECT), np.uint8)

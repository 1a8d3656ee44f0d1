"""What an attacker holds up: printed paper and lit screens, in linear light."""

from __future__ import annotations

import math
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.sim._capture import to_light
from vultus.types import F32, U8

__all__ = ["framed", "glare", "printed", "shown"]

# What ink leaves of red, green and blue light, and the angle of its screen of dots in degrees: cyan, magenta, yellow,
# black. The inks are not pure, which is what narrows the colors that paper can show.
_INKS = (
    ((0.06, 0.42, 0.70), 15.0),
    ((0.66, 0.07, 0.26), 75.0),
    ((0.88, 0.76, 0.09), 0.0),
    ((0.035, 0.035, 0.04), 45.0),
)
_PAPER = np.array([0.90, 0.90, 0.87], np.float32)


def printed(picture: U8, side: int, pitch: float, rng: np.random.Generator) -> F32:
    """A picture printed in four colors with round dots.

    Args:
        picture: (S, S, 3) uint8.
        side: of the result in pixels.
        pitch: from dot to dot, in pixels of the result.
        rng: where the screens start, grain of the paper.

    Returns:
        (side, side, 3) linear light that the paper throws back.
    """
    small = to_light(picture)
    wanted = np.stack([np.interp(small[..., k], *_balance()[k]) for k in range(3)], axis=-1).astype(np.float32)
    cover = np.asarray(cv2.resize(wanted, (side, side), interpolation=cv2.INTER_CUBIC), np.float32)
    out = np.ones((side, side, 3), np.float32)
    for ink, (left, angle) in zip(_separated(cover), _INKS, strict=True):
        dots = np.clip((ink - _screen(side, pitch, angle, rng)) * np.float32(0.9 * pitch) + np.float32(0.5), 0, 1)
        out *= 1 - dots[..., None] * (1 - np.array(left, np.float32))
    out = np.asarray(cv2.GaussianBlur(out, (0, 0), 0.14 * pitch), np.float32)  # ink spreads
    grain = cv2.resize(rng.normal(0, 1, (side // 3, side // 3)).astype(np.float32), (side, side))
    return np.asarray(out * _PAPER * (1 + np.float32(0.015) * grain[..., None]), np.float32)


def _separated(cover: F32) -> list[F32]:
    """Shares of paper that cyan, magenta, yellow and black cover, of how much red, green and blue is to be missing."""
    black = np.clip((cover.min(-1) - np.float32(0.45)) * np.float32(1.3), 0, np.float32(0.85))
    return [*(np.clip((cover[..., k] - black) / (1 - black), 0, 1) for k in range(3)), black]


@cache
def _balance() -> tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]:
    """For red, green and blue: light, and what is to be asked of the inks so that gray comes out gray and as light."""
    asked = np.linspace(1, 0, 129)
    inks = _separated(np.repeat(asked[:, None], 3, axis=1).astype(np.float32))
    light = np.ones((129, 3))
    for ink, (left, _) in zip(inks, _INKS, strict=True):
        light *= 1 - ink[:, None] * (1 - np.array(left))
    return tuple((np.maximum.accumulate(light[:, k]), asked) for k in range(3))


def _screen(side: int, pitch: float, angle_deg: float, rng: np.random.Generator) -> F32:
    """(side, side) coverage from which on ink reaches a place: round dots of true area, turned."""
    at = np.arange(side) * (2 * math.pi / pitch)
    c, s = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    a, b = rng.uniform(0, 2 * math.pi, 2)
    u, v = np.exp(1j * (c * at + a)), np.exp(1j * (s * at))
    p, q = np.exp(1j * (c * at + b)), np.exp(-1j * (s * at))
    heights = np.multiply.outer(v.real, u.real) - np.multiply.outer(v.imag, u.imag)
    heights += np.multiply.outer(p.real, q.real) - np.multiply.outer(p.imag, q.imag)
    need: F32 = _ranks()[np.clip((heights + 2) * 255.75, 0, 1023).astype(np.int16)]
    return need


@cache
def _ranks() -> F32:
    """(1024,) coverage of paper at which ink reaches each height of cos u + cos v from -2 to 2."""
    at = (np.arange(400) + 0.5) / 400 * 2 * math.pi
    heights = np.sort((np.cos(at)[:, None] + np.cos(at)[None, :]).ravel())
    below = np.searchsorted(heights, np.linspace(-2, 2, 1024)) / len(heights)
    return (1 - below).astype(np.float32)


def shown(picture: U8, side: int, pitch: float, rng: np.random.Generator) -> F32:
    """A picture on a screen of red, green and blue stripes.

    Args:
        picture: (S, S, 3) uint8.
        side: of the result in pixels.
        pitch: from one pixel of the screen to the next, in pixels of the result.
        rng: gamma, brightness, white and black of the screen.

    Returns:
        (side, side, 3) linear light that the screen gives off.
    """
    count = max(16, round(side / pitch))
    held = np.asarray(cv2.resize(picture, (count, count), interpolation=cv2.INTER_AREA), np.float32) / 255
    white = np.array([0.95, 1.0, 1.0], np.float32) + rng.uniform((-0.04, -0.02, 0.0), (0.04, 0.02, 0.12))
    leak, gamma = rng.uniform(0.004, 0.025), rng.uniform(2.0, 2.45)
    light = (leak + (1 - leak) * held**gamma) * white * rng.uniform(0.75, 1.15)
    light = np.asarray(cv2.resize(light.astype(np.float32), (side, side), interpolation=cv2.INTER_NEAREST), np.float32)
    at = np.arange(side, dtype=np.float32) * (2 * math.pi * count / side)
    depth = float(rng.uniform(0.55, 0.95))  # first harmonic of stripes with dark gaps; the lens takes the others
    stripes = 1 + depth * np.stack([np.cos(at - k * 2 * math.pi / 3) for k in range(3)], axis=-1)
    rows = 1 + 0.35 * depth * np.cos(at)
    return np.asarray(light * stripes[None] * rows[:, None, None], np.float32)


def framed(sheet: F32, margin: float, color: tuple[float, float, float]) -> F32:
    """A sheet with a border: the white of paper or the bezel of a screen.

    Args:
        sheet: (N, N, 3) linear.
        margin: width of the border, of the side.
        color: linear.
    """
    wide = round(margin * len(sheet))
    out = np.empty((len(sheet) + 2 * wide, len(sheet) + 2 * wide, 3), np.float32)
    out[:] = color
    out[wide : wide + len(sheet), wide : wide + len(sheet)] = sheet
    return out


def glare(side: int, rng: np.random.Generator) -> F32:
    """(side, side) light of a lamp or a window mirrored in glass, 0 to about 0.6."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / np.float32(side)
    out = np.zeros((side, side), np.float32)
    for _ in range(int(rng.integers(1, 3))):
        cx, cy = rng.uniform(0.05, 0.95, 2)
        c, s = math.cos(turn := rng.uniform(0, math.pi)), math.sin(turn)
        u, v = (
            (c * (x - cx) + s * (y - cy)) / rng.uniform(0.1, 0.3),
            (c * (y - cy) - s * (x - cx)) / rng.uniform(0.05, 0.14),
        )
        power = 2 if rng.random() < 0.5 else 6  # a lamp is round, a window has corners
        out += rng.uniform(0.1, 0.45) * np.exp(-(np.abs(u) ** power + np.abs(v) ** power)).astype(np.float32)
    return out

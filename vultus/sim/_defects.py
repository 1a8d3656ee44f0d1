"""What is wrong with some segments of a clip, on purpose and with the truth kept."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from vultus.types import F32, U8

__all__ = ["DEFECTS", "Defect", "planned", "spoiled"]

DEFECTS = ("low resolution", "blur", "noise", "dark", "blocks")
Rng = np.random.Generator


class Defect(NamedTuple):
    """Frames `start` to `stop` (not included) have one of `DEFECTS`; `seed` is that of its noise."""

    start: int
    stop: int
    kind: str
    seed: int


def planned(rng: Rng, n_frames: int, count: int) -> tuple[Defect, ...]:
    """Segments that do not overlap, each in its own part of the clip."""
    found = []
    for k in range(count):
        low, high = k * n_frames // count, (k + 1) * n_frames // count
        long = int(rng.integers(max(3, (high - low) // 4), max(4, (high - low) // 2 + 1)))
        start = int(rng.integers(low, max(low + 1, high - long)))
        found.append(Defect(start, min(start + long, high), str(rng.choice(DEFECTS)), int(rng.integers(1 << 31))))
    return tuple(found)


def spoiled(frames: U8, plan: tuple[Defect, ...]) -> U8:
    """The frames with the defects in them."""
    out = frames.copy()
    for defect in plan:
        rng = np.random.default_rng(defect.seed)
        for k in range(defect.start, defect.stop):
            out[k] = _spoil(out[k], defect.kind, rng)
    return out


def _spoil(frame: U8, kind: str, rng: Rng) -> U8:
    high, wide = frame.shape[:2]
    if kind == "low resolution":
        small = cv2.resize(frame, (max(wide // 5, 4), max(high // 5, 4)), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(small, (wide, high), interpolation=cv2.INTER_LINEAR), np.uint8)
    if kind == "blur":
        return np.asarray(cv2.GaussianBlur(frame, (0, 0), 0.035 * high), np.uint8)
    light = frame.astype(np.float32)
    if kind == "noise":
        return _bytes(light + rng.normal(0, 38, frame.shape).astype(np.float32))
    if kind == "dark":
        return _bytes(light * np.float32(0.18) + rng.normal(0, 3, frame.shape).astype(np.float32))
    return _blocks(light)


def _blocks(light: F32) -> U8:
    """Blocks of 8 x 8 pixels that keep only their coarsest waves, as a starved encoder leaves them."""
    high, wide = light.shape[:2]
    padded = np.pad(light, ((0, -high % 8), (0, -wide % 8), (0, 0)), mode="edge") - 128
    k = np.arange(8)
    waves = np.cos(np.pi * (2 * k[None] + 1) * k[:, None] / 16) * np.where(k[:, None] == 0, np.sqrt(1 / 8), 0.5)
    tiles = padded.reshape(padded.shape[0] // 8, 8, -1, 8, 3)
    step = 40.0 * (1 + k[:, None] + k[None])
    parts = np.einsum("ui,vj,aibjc->aubvc", waves, waves, tiles)
    kept = np.round(parts / step[None, :, None, :, None]) * step[None, :, None, :, None]
    back = np.einsum("ui,vj,aubvc->aibjc", waves, waves, kept).reshape(padded.shape)
    return _bytes((back[:high, :wide] + 128).astype(np.float32))


def _bytes(values: F32) -> U8:
    out: U8 = np.floor(np.clip(values, 0, 255) + 0.5).astype(np.uint8)
    return out

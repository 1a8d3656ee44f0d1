"""Noise and compression of the degradation pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from vultus.errors import InputError
from vultus.ops import dct
from vultus.ops._op import GRAIN, SEED, Names, Number, Op, Range, Scene, Values, checked_image, from_levels, noise
from vultus.types import F32, U8

__all__ = [
    "BlockNoise",
    "Codec",
    "GaussianNoise",
    "Jpeg",
    "PoissonNoise",
    "SensorNoise",
    "VideoCodec",
    "demosaiced",
    "jpeg",
]

Codec = Callable[[U8, int], U8]
"""Compresses and decodes a clip: (T, H, W, 3) uint8 and a constant rate factor to the same shape."""

_LINEAR: F32 = (np.arange(256, dtype=np.float32) / np.float32(255)) ** np.float32(2.2)


@dataclass(frozen=True)
class GaussianNoise(Op):
    """Normal noise of one strength everywhere.

    Attributes:
        sigma_levels: standard deviation in levels of 255.
        kind: color (each channel its own) or gray.
    """

    NUMBERS: ClassVar[Mapping[str, Number]] = {"sigma_levels": Number(0.0, 255.0, 0.0), "seed": GRAIN}
    CHOICES: ClassVar[Mapping[str, tuple[str, ...]]] = {"kind": ("color", "gray")}
    sigma_levels: Range = (0.0, 15.0)
    kind: Names = "color"

    def image(self, x: U8, values: Values, scene: Scene) -> U8:
        shape = x.shape if values["kind"] == "color" else (*x.shape[:2], 1)
        return from_levels(x + np.float32(values["sigma_levels"]) * noise(values, shape))


@dataclass(frozen=True)
class PoissonNoise(Op):
    """Counted light: the variance is proportional to the level.

    Attributes:
        gain: levels per counted photon; the variance at level v is gain * v.
    """

    NUMBERS: ClassVar[Mapping[str, Number]] = {"gain": Number(0.0, 255.0, 0.0), "seed": GRAIN}
    gain: Range = (0.2, 3.0)

    def image(self, x: U8, values: Values, scene: Scene) -> U8:
        gain = max(float(values["gain"]), 1e-6)
        counts = np.random.default_rng(int(values["seed"])).poisson(x / gain)
        return from_levels(counts * gain)


@dataclass(frozen=True)
class SensorNoise(Op):
    """The noise of a camera: counted light, reading, rows, and pixels of unlike sensitivity, on a Bayer pattern.

    Noise is made at each photosite in linear light, spread to three channels as a demosaicing filter does, and encoded
    with gamma 2.2: it is stronger in shadows, colored, and correlated between neighbors. The picture itself is not
    demosaiced.

    Attributes:
        shot: variance at full light, relative to full light.
        read: standard deviation of reading, of full light.
        rows: standard deviation of row offsets, of full light.
        prnu: relative spread of the sensitivity of photosites, fixed for a device.
        device: seed of the fixed pattern.
    """

    NUMBERS: ClassVar[Mapping[str, Number]] = {
        "shot": Number(0.0, 1.0, 0.0),
        "read": Number(0.0, 1.0, 0.0),
        "rows": Number(0.0, 1.0, 0.0),
        "prnu": Number(0.0, 1.0, 0.0),
        "device": SEED,
        "seed": GRAIN,
    }
    shot: Range = (0.0002, 0.003)
    read: Range = (0.001, 0.01)
    rows: Range = (0.0, 0.002)
    prnu: Range = (0.0, 0.01)
    device: Range = (0, 2**32 - 1)

    def image(self, x: U8, values: Values, scene: Scene) -> U8:
        height, width = x.shape[:2]
        linear = _LINEAR[x]
        rng = np.random.default_rng(int(values["seed"]))
        site = np.empty((height, width), np.float32)  # what each photosite of the pattern R G / G B sees
        for channel, (top, left) in ((0, (0, 0)), (1, (0, 1)), (1, (1, 0)), (2, (1, 1))):
            site[top::2, left::2] = linear[top::2, left::2, channel]
        deviation = np.sqrt(np.float32(values["shot"]) * site + np.float32(values["read"]) ** 2)
        grain = deviation * rng.standard_normal((height, width), dtype=np.float32)
        grain += np.float32(values["rows"]) * rng.standard_normal((height, 1), dtype=np.float32)
        fixed = np.random.default_rng(int(values["device"])).standard_normal((height, width), dtype=np.float32)
        grain += np.float32(values["prnu"]) * fixed * site
        noisy = np.maximum(linear + demosaiced(grain), 0.0)
        return from_levels(255 * noisy ** np.float32(1 / 2.2))


def demosaiced(site: F32) -> F32:
    """(H, W) numbers on the Bayer pattern R G / G B to (H, W, 3): each channel is interpolated where it is missing."""
    height, width = site.shape
    known = np.zeros((height, width, 3), np.float32)
    for channel, (top, left) in ((0, (0, 0)), (1, (0, 1)), (1, (1, 0)), (2, (1, 1))):
        known[top::2, left::2, channel] = 1.0
    spread = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], np.float32) / 4
    total = cv2.filter2D(site[..., None] * known, -1, spread, borderType=cv2.BORDER_REFLECT_101)
    weight = cv2.filter2D(known, -1, spread, borderType=cv2.BORDER_REFLECT_101)
    out = np.asarray(total / np.maximum(weight, np.float32(1e-6)), np.float32)
    return np.where(known > 0, site[..., None], out)


@dataclass(frozen=True)
class BlockNoise(Op):
    """Squares of the picture are lost and come out gray, as from a broken stream.

    Attributes:
        count: how many.
        side_px: of a square.
        fill: gray or noise.
    """

    NUMBERS: ClassVar[Mapping[str, Number]] = {
        "count": Number(0, 100000, 0, whole=True),
        "side_px": Number(1, 4096, drifts=False, whole=True),
        "seed": SEED,
    }
    CHOICES: ClassVar[Mapping[str, tuple[str, ...]]] = {"fill": ("gray", "noise")}
    count: Range = (4, 48)
    side_px: Range = 8
    fill: Names = "gray"

    def image(self, x: U8, values: Values, scene: Scene) -> U8:
        height, width = x.shape[:2]
        side, out = int(values["side_px"]), x.copy()
        rng = np.random.default_rng(int(values["seed"]))
        for _ in range(int(values["count"])):
            top, left = (int(rng.integers(max(1, n - side + 1))) for n in (height, width))
            part = out[top : top + side, left : left + side]
            part[:] = 128 if values["fill"] == "gray" else rng.integers(0, 256, part.shape, dtype=np.uint8)
        return out


@dataclass(frozen=True)
class Jpeg(Op):
    """What is left after JPEG; the lossless half of the codec is left out.

    Attributes:
        q: quality 1 to 100 of the Independent JPEG Group.
        chroma: 4:2:0 (colors at half size, the habit of encoders) or 4:4:4.
    """

    NUMBERS: ClassVar[Mapping[str, Number]] = {"q": Number(1, 100, whole=True)}
    CHOICES: ClassVar[Mapping[str, tuple[str, ...]]] = {"chroma": ("4:2:0", "4:4:4")}
    q: Range = (30, 100)
    chroma: Names = "4:2:0"

    def image(self, x: U8, values: Values, scene: Scene) -> U8:
        return jpeg(x, int(values["q"]), values["chroma"])


def jpeg(x: U8, q: int, chroma: str = "4:2:0") -> U8:
    """Quantize the 8 x 8 cosine blocks of a picture as a JPEG encoder and decoder of the usual kind do together.

    Args:
        x: (H, W, 3) uint8.
        q: quality, 1 to 100.
        chroma: 4:2:0 or 4:4:4.

    Returns:
        (H, W, 3) uint8; differs from libjpeg's by a fraction of a level in the mean.
    """
    height, width = x.shape[:2]
    below, beside = -height % 8, -width % (16 if chroma == "4:2:0" else 8)
    padded = np.pad(x, ((0, below), (0, beside), (0, 0)), mode="edge") if below or beside else x
    planes = np.floor(dct.rgb_to_ycbcr(padded) + np.float32(0.5)).transpose(2, 0, 1)
    if chroma == "4:4:4":
        kept = [_coded(planes[k], q, kind) for k, kind in enumerate(("luminance", "chrominance", "chrominance"))]
    else:
        even = planes[1:, : height + height % 2]
        quads = even.reshape(2, even.shape[1] // 2, 2, even.shape[2] // 2, 2).sum((2, 4))
        quads = np.pad(quads, ((0, 0), (0, -quads.shape[1] % 8), (0, 0)), mode="edge")
        bias = np.where(np.arange(quads.shape[2]) % 2 == 0, 1, 2).astype(np.float32)  # libjpeg's: no drift either way
        colors = _coded(np.floor((quads + bias) / 4), q, "chrominance")[:, : -(-height // 2), : -(-width // 2)]
        wide = np.asarray(cv2.resize(colors.transpose(1, 2, 0), None, fx=2, fy=2), np.float32).transpose(2, 0, 1)
        kept = [_coded(planes[0], q, "luminance"), *np.floor(wide + np.float32(0.5))]
    whole = np.stack([plane[:height, :width] for plane in kept], axis=-1)
    return from_levels(dct.ycbcr_to_rgb(whole))


def _coded(plane: F32, q: int, kind: str) -> F32:
    """(..., H, W) levels, rounded in frequency and again in place."""
    table = dct.quantization(q, kind).astype(np.float32)
    eighths = np.rint(8 * dct.block_dct(plane - np.float32(128)))  # the precision at which libjpeg's transform ends
    blocks = np.sign(eighths) * np.floor((np.abs(eighths) + 4 * table) / (8 * table)) * table
    back: F32 = np.clip(np.floor(dct.block_idct(blocks) + np.float32(128.5)), 0, 255)
    return back


@dataclass(frozen=True)
class VideoCodec(Op):
    """A video codec, which is handed in: nothing here encodes.

    A codec looks at neighboring frames, so a clip is not the same as its frames one by one.

    Attributes:
        codec: `Codec`, or None; without one the operation is refused when it should happen.
        crf: constant rate factor.
    """

    NUMBERS: ClassVar[Mapping[str, Number]] = {"crf": Number(0, 63, drifts=False, whole=True)}
    codec: Codec | None = None
    crf: Range = (18, 40)

    def image(self, x: U8, values: Values, scene: Scene) -> U8:
        return self.clip([x], [values], [scene])[0]

    def clip(self, frames: Sequence[U8], values: Sequence[Values], scenes: Sequence[Scene]) -> list[U8]:
        if self.codec is None:
            raise InputError("VideoCodec: expected a codec, got none; make it with VideoCodec(codec=...)")
        stack = np.stack(list(frames))
        decoded = self.codec(stack, int(values[0]["crf"]))
        if not isinstance(decoded, np.ndarray) or decoded.shape != stack.shape:
            got = getattr(decoded, "shape", type(decoded).__name__)
            raise InputError(f"VideoCodec: expected a codec that gives back {stack.shape}, got {got}")
        return [checked_image("codec", frame) for frame in decoded]

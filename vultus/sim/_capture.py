"""Virtual cameras: what is in front of them in linear light, and the picture they make of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import cv2
import numpy as np

from vultus.ops import dct
from vultus.ops import degrade as d
from vultus.types import F32, U8

__all__ = ["DEVICES", "FINE", "Device", "capture", "to_light"]

FINE = 4  # the scene is drawn so many times finer than the sensor
_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)  # of linear light


@dataclass(frozen=True)
class Device:
    """A virtual camera.

    Attributes:
        lens_px: deviations of the blur of lens and focus, from sharpest to softest, in pixels of the sensor.
        vignette: share of light that is missing in the corners.
        sensor: noise, with the fixed pattern of this device.
        color: white balance and tone curve.
        chroma_px: deviation by which colors are smoothed.
        sharpen: strength of the unsharp mask.
        file: compression.
    """

    lens_px: tuple[float, float]
    vignette: float
    sensor: d.Degradation
    color: d.Degradation
    chroma_px: float
    sharpen: float
    file: d.Degradation


def _sensor(shot: tuple[float, float], read: tuple[float, float], rows: float, prnu: float, seed: int) -> d.Degradation:
    return d.Degradation([(d.SensorNoise(shot, read, (0.0, rows), prnu, seed), 1.0)])


def _color(red: float, blue: float, contrast: float, saturation: float) -> d.Degradation:
    """Fixed habits of a device and what its automatic settings add from picture to picture."""
    cast = d.ColorCast((red - 0.04, red + 0.04), (0.98, 1.02), (blue - 0.05, blue + 0.05))
    tone = d.Contrast((contrast - 0.06, contrast + 0.06))
    return d.Degradation([(cast, 1.0), (tone, 1.0), (d.Saturation((saturation - 0.08, saturation + 0.08)), 1.0)])


DEVICES: Mapping[str, Device] = MappingProxyType(
    {
        "phone": Device(
            (0.30, 0.50),
            0.10,
            _sensor((0.0004, 0.0016), (0.001, 0.004), 0.0005, 0.010, 101),
            _color(1.02, 0.99, 1.05, 1.10),
            0.8,
            0.7,
            d.Degradation([(d.Jpeg((85, 96)), 1.0)]),
        ),
        "webcam": Device(
            (0.50, 0.80),
            0.22,
            _sensor((0.0015, 0.0050), (0.003, 0.010), 0.0015, 0.016, 102),
            _color(0.96, 1.06, 0.95, 0.90),
            1.2,
            0.4,
            d.Degradation([(d.Jpeg((60, 85)), 1.0)]),
        ),
        "kiosk": Device(
            (0.35, 0.65),
            0.05,
            _sensor((0.0008, 0.0030), (0.002, 0.006), 0.0010, 0.013, 103),
            _color(1.05, 0.94, 1.00, 1.00),
            0.5,
            0.2,
            d.Degradation([(d.Jpeg((75, 92)), 1.0)]),
        ),
    }
)
"""Three cameras that differ in lens, noise, colors, sharpening and compression."""


def to_light(x: U8) -> F32:
    """(H, W, 3) linear light, 0 to 1, of a picture with gamma 2.2."""
    table = (np.arange(256, dtype=np.float32) / np.float32(255)) ** np.float32(2.2)
    return np.asarray(table[x], np.float32)


def capture(scene: F32, device: Device, rng: np.random.Generator) -> U8:
    """The picture that a camera makes.

    Args:
        scene: (FINE * S, FINE * S, 3) linear light, 1 for white paper in full light.
        device: the camera.
        rng: focus, exposure, automatic settings, noise, compression.

    Returns:
        (S, S, 3) uint8.
    """
    side = scene.shape[0] // FINE
    sharp = float(rng.uniform(*device.lens_px)) * FINE
    seen = np.asarray(cv2.GaussianBlur(scene, (0, 0), sharp, borderType=cv2.BORDER_REFLECT), np.float32)
    seen = np.asarray(cv2.resize(seen, (side, side), interpolation=cv2.INTER_AREA), np.float32)
    usual = max(float((seen @ _LUMA).mean()), 1e-3)
    gain = float(np.clip(0.24 / usual, 0.5, 2.5) ** 0.7 * rng.uniform(0.88, 1.14))  # automatic exposure
    at = np.linspace(-1, 1, side, dtype=np.float32)
    fall = 1 - np.float32(device.vignette / 2) * (at[:, None] ** 2 + at[None, :] ** 2)
    seen = seen * np.float32(gain) * fall[..., None]
    site = np.empty((side, side), np.float32)  # the Bayer pattern: where colors of fine stripes go wrong
    for channel, (top, left) in ((0, (0, 0)), (1, (0, 1)), (1, (1, 0)), (2, (1, 1))):
        site[top::2, left::2] = seen[top::2, left::2, channel]
    image = np.asarray(255 * np.clip(d.demosaiced(site), 0, 1) ** np.float32(1 / 2.2) + 0.5, np.uint8)
    image = _through(device.color, _through(device.sensor, image, rng), rng)
    return _through(device.file, _sharpened(image, device), rng)


def _sharpened(image: U8, device: Device) -> U8:
    """Colors smoothed and edges raised, as cameras do before they write a file."""
    ycc = np.asarray(dct.rgb_to_ycbcr(image), np.float32)
    ycc[..., 1:] = cv2.GaussianBlur(ycc[..., 1:], (0, 0), device.chroma_px)
    soft = np.asarray(cv2.GaussianBlur(ycc[..., 0], (0, 0), 1.0), np.float32)
    ycc[..., 0] += np.float32(device.sharpen) * (ycc[..., 0] - soft)
    return np.asarray(np.clip(np.asarray(dct.ycbcr_to_rgb(ycc)) + 0.5, 0, 255), np.uint8)


def _through(pipeline: d.Degradation, image: U8, rng: np.random.Generator) -> U8:
    return pipeline.image(image, pipeline.draw(rng, (image.shape[0], image.shape[1])))

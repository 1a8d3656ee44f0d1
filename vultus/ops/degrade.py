"""The one degradation pipeline: what cameras, codecs, distance and people do to pictures of faces.

Numbers are drawn once and kept, so that a degraded picture can be made again, explained, and applied to every frame of
a clip. Pixels are uint8 RGB; points are (x, y) in center coordinates.

    pipeline = Degradation([(GaussianBlur(sigma_px=(1, 3)), 1.0), (Jpeg(q=(30, 60)), 0.5)])
    params = pipeline.draw(np.random.default_rng(0), image.shape[:2])
    worse = pipeline.image(image, params)
    text = json.dumps(params.to_dict())

The same parameters give the same pixels with one version of NumPy and OpenCV; a fixed strength is `Jpeg(q=30)`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any

from vultus.errors import UnknownMethod
from vultus.ops._blur import AnisoBlur, Atmospheric, GaussianBlur, MotionBlur
from vultus.ops._cover import CutOut, FaceMask, Glasses, Occluder, RandomErase
from vultus.ops._groups import OneOf, Together
from vultus.ops._op import Op
from vultus.ops._pipeline import OPS, Degradation, Params
from vultus.ops._resample import (
    Enlarge,
    LowRes,
    Misalign,
    Pixelate,
    Resize,
    ResizeShare,
    Shrink,
    Skew,
    SquareCrop,
    ZeroPadCrop,
)
from vultus.ops._signal import (
    BlockNoise,
    Codec,
    GaussianNoise,
    Jpeg,
    PoissonNoise,
    SensorNoise,
    VideoCodec,
    demosaiced,
)
from vultus.ops._studio import StudioToWild
from vultus.ops._tone import Brightness, ColorCast, Contrast, Fade, Gamma, Gray, LightGradient, Saturation

__all__ = [
    "ADAFACE",
    "CCTV",
    "FANVID",
    "FORGERY",
    "GFPGAN",
    "MISALIGN",
    "OPS",
    "PILL_CONSUMER",
    "PILL_REFERENCE",
    "PRESETS",
    "VFHQ_BICUBIC",
    "VFHQ_BLIND",
    "VLR",
    "AnisoBlur",
    "Atmospheric",
    "BlockNoise",
    "Brightness",
    "Codec",
    "ColorCast",
    "Contrast",
    "CutOut",
    "Degradation",
    "Enlarge",
    "FaceMask",
    "Fade",
    "Gamma",
    "GaussianBlur",
    "GaussianNoise",
    "Glasses",
    "Gray",
    "Jpeg",
    "LightGradient",
    "LowRes",
    "Misalign",
    "MotionBlur",
    "Occluder",
    "OneOf",
    "Op",
    "Params",
    "Pixelate",
    "PoissonNoise",
    "RandomErase",
    "Resize",
    "ResizeShare",
    "Saturation",
    "SensorNoise",
    "Shrink",
    "Skew",
    "SquareCrop",
    "StudioToWild",
    "Together",
    "VideoCodec",
    "ZeroPadCrop",
    "demosaiced",
    "misalign_sweep",
    "op",
    "preset",
]


def op(name: str, **fields_: Any) -> Op:
    """An operation by its name, such as from a configuration file: `op("Jpeg", q=[30, 60])`.

    Args:
        name: a key of `OPS`.
        fields_: fields of that class; a list is taken as a tuple.

    Returns:
        The operation.

    Raises:
        UnknownMethod: if there is no such operation or field; the message names near ones.
        InputError: if a field is out of range.
    """
    if name not in OPS:
        raise UnknownMethod(name, OPS, what="degradation")
    known = [f.name for f in fields(OPS[name])]
    for key in fields_:
        if key not in known:
            raise UnknownMethod(key, known, what=f"field of {name}")
    return OPS[name](**{key: tuple(v) if isinstance(v, list) else v for key, v in fields_.items()})


# ---------------------------------------------------------------- presets
_JITTER = Together((Brightness((0.5, 1.5)), Contrast((0.5, 1.5)), Saturation((0.5, 1.5))), shuffled=True)

ADAFACE = Degradation([(ZeroPadCrop((0.2, 1.0)), 0.2), (ResizeShare((0.2, 1.0)), 0.2), (_JITTER, 0.2)])
"""Training of AdaFace (Kim et al. 2022): black borders, low resolution, color jitter, each one time in five."""

VLR = Degradation([(LowRes((8, 32)), 1.0)])
"""Very low resolution: 8 to 32 pixels, enlarged again."""

GFPGAN = Degradation(
    [
        (GaussianBlur((0.2, 10.0)), 1.0),
        (Shrink((1.0, 8.0), kernel="bilinear"), 1.0),
        (GaussianNoise((0.0, 15.0)), 1.0),
        (Jpeg((60, 100)), 1.0),
        (Enlarge(kernel="bilinear"), 1.0),
    ]
)
"""Blind restoration (Wang et al. 2021): blur, shrink, noise, JPEG, enlarge; stated for pictures of 512 pixels.

The formula of the paper. The training file of the authors' code is wider (deviations from 0.1, half of them
anisotropic, factors from 0.8, noise to 20) and adds color jitter."""

VFHQ_BICUBIC = Degradation([(OneOf((Shrink(4.0, kernel="antialiased"), Shrink(8.0, kernel="antialiased"))), 1.0)])
"""Super-resolution of VFHQ (Xie et al. 2022): a quarter or an eighth of the side."""

VFHQ_BLIND = Degradation(
    [
        (GaussianBlur((0.2, 10.0)), 1.0),
        (Shrink((1.0, 4.0), kernel="bicubic"), 1.0),
        (GaussianNoise((0.0, 10.0)), 1.0),
        (VideoCodec(crf=(18, 35)), 1.0),
        (Enlarge(kernel="bicubic"), 1.0),
    ]
)
"""Blind restoration of clips in the order of VFHQ (Xie et al. 2022); the ranges are this project's own.

Take `preset("VFHQ_BLIND", codec=...)`, as nothing here encodes."""

FORGERY = Degradation(
    [
        (
            OneOf(
                (
                    BlockNoise(),
                    GaussianNoise((3.0, 15.0)),
                    GaussianBlur((0.5, 3.0)),
                    Pixelate((2, 6)),
                    OneOf((Jpeg(70), Jpeg(80), Jpeg(90))),
                )
            ),
            0.3,
        )
    ]
)
"""Training of forgery detectors: three times in ten one of lost blocks, noise, blur, pixels, JPEG 70, 80 or 90; the
strengths other than JPEG's are this project's own."""

FANVID = Degradation([(Shrink(4.0, kernel="area"), 1.0)])
"""A quarter of the side by averaging."""

CCTV = Degradation(
    [
        (LightGradient((0.1, 0.5)), 0.4),
        (MotionBlur((2.0, 9.0)), 0.4),
        (GaussianBlur((0.3, 1.5)), 0.7),
        (LowRes((12, 112), kernel_down="area", kernel_up=("bilinear", "bicubic")), 1.0),
        (SensorNoise(shot=(0.001, 0.01), read=(0.004, 0.02)), 0.8),
        (Saturation((0.3, 1.0)), 0.5),
        (Gamma((0.7, 1.4)), 0.5),
        (Jpeg((25, 70)), 1.0),
    ]
)
"""A surveillance camera: 12 to 112 pixels, movement, noise of a small sensor, uneven light, strong compression."""

PILL_REFERENCE = Degradation(
    [
        (Misalign((0.9, 1.1), (-math.pi, math.pi), (0.0, 0.03), border="replicate"), 1.0),
        (Together((Brightness((0.9, 1.1)), Contrast((0.9, 1.1)), Gamma((0.9, 1.1)))), 0.5),
        (GaussianNoise((0.0, 3.0)), 0.3),
        (GaussianBlur((0.2, 0.7)), 0.3),
    ]
)
"""Pictures of pills under even light: any turn, and little else."""

PILL_CONSUMER = Degradation(
    [
        (Misalign((0.8, 1.2), (-math.pi, math.pi), (0.0, 0.08), border="replicate"), 1.0),
        (Skew((-0.15, 0.15), (-0.2, 0.2), (-0.2, 0.2), border="replicate"), 0.7),
        (LightGradient((0.05, 0.4)), 0.5),
        (Together((Brightness((0.6, 1.4)), Contrast((0.6, 1.4)), Gamma((0.6, 1.6))), shuffled=True), 0.8),
        (ColorCast(), 0.5),
        (GaussianNoise((0.0, 12.0)), 0.6),
        (GaussianBlur((0.3, 2.0)), 0.5),
        (Jpeg((40, 90)), 0.5),
    ]
)
"""Pictures of pills as people take them: also skewed, unevenly lit, off color, noisy, out of focus."""

MISALIGN = Degradation([(Misalign(), 1.0)])
"""An alignment error: see `misalign_sweep`."""

PRESETS: Mapping[str, Degradation] = MappingProxyType(
    {
        "ADAFACE": ADAFACE,
        "CCTV": CCTV,
        "FANVID": FANVID,
        "FORGERY": FORGERY,
        "GFPGAN": GFPGAN,
        "PILL_CONSUMER": PILL_CONSUMER,
        "PILL_REFERENCE": PILL_REFERENCE,
        "VFHQ_BICUBIC": VFHQ_BICUBIC,
        "VFHQ_BLIND": VFHQ_BLIND,
        "VLR": VLR,
    }
)
"""Every preset, by name."""


def preset(name: str, *, codec: Codec | None = None) -> Degradation:
    """A preset by name, with a video codec where it has a place for one.

    Args:
        name: a key of `PRESETS`.
        codec: (T, H, W, 3) uint8 and a constant rate factor to the same shape, compressed and decoded.

    Returns:
        The pipeline.

    Raises:
        UnknownMethod: if there is no such preset; the message names near ones.
    """
    if name not in PRESETS:
        raise UnknownMethod(name, PRESETS, what="preset")
    if codec is None:
        return PRESETS[name]
    return Degradation([(replace(o, codec=codec) if isinstance(o, VideoCodec) else o, p) for o, p in PRESETS[name].ops])


def misalign_sweep(
    shape_hw: tuple[int, int],
    scales: Sequence[float] = (0.8, 0.9, 1.1, 1.2),
    thetas_deg: Sequence[float] = (5.0, 10.0, 15.0, 20.0),
    shifts: Sequence[float] = (0.05, 0.1, 0.15),
) -> list[tuple[str, float, Params]]:
    """Alignment errors of known size, one kind at a time, for tables of accuracy over misalignment.

    Args:
        shape_hw: size of the pictures.
        scales: factors about the middle.
        thetas_deg: turns; each is made both ways.
        shifts: shares of the longer side; each is made in four directions.

    Returns:
        (kind, size, parameters): kind is none (first, the picture itself), scale, theta_deg or shift;
        `MISALIGN.image(x, parameters)` makes the picture and `MISALIGN.points` moves its points.

    Raises:
        InputError: if a size is out of range.
    """
    still = {"scale": 1.0, "theta_rad": 0.0, "shift": 0.0, "direction_rad": 0.0, "border": "black"}
    wanted: list[tuple[str, float, dict[str, float]]] = [("none", 0.0, {})]
    wanted += [("scale", float(s), {"scale": float(s)}) for s in scales]
    wanted += [("theta_deg", float(d), {"theta_rad": math.radians(t * d)}) for d in thetas_deg for t in (1, -1)]
    wanted += [
        ("shift", float(s), {"shift": float(s), "direction_rad": k * math.pi / 2}) for s in shifts for k in range(4)
    ]
    found = []
    for kind, size, change in wanted:
        values = {**still, **change}
        MISALIGN.ops[0][0].check(values)
        found.append((kind, size, Params(shape_hw, (("Misalign", values),))))
    return found

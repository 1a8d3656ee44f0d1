"""From the studio to anywhere: a face cut out of its plain background and put in front of another one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError
from vultus.ops import dct
from vultus.ops._op import PLACE, SEED, Number, Op, Range, Scene, Values, checked_image, from_levels
from vultus.ops._tone import luma
from vultus.types import F32, U8

__all__ = ["StudioToWild", "clutter", "guided_filter", "studio_alpha"]

F64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)  # arrays have no single equality
class StudioToWild(Op):
    """I' = a F + (1 - a) B: the alpha a comes from the even background of the studio.

    Attributes:
        backgrounds: pictures to choose from, (H, W, 3) uint8 of any size; none takes drawn clutter instead.
        scale: of the face, about its middle.
        shift_x, shift_y: shares of the sides.
        transfer: how much of the background's mean and spread of color the face takes over.
        blur_px: deviation of a Gaussian on the background.
    """

    NUMBERS: ClassVar[Mapping[str, Number]] = {
        "background": Number(0, 2**31, drifts=False, whole=True),
        "x": PLACE,
        "y": PLACE,
        "scale": Number(0.1, 4.0, 1.0),
        "shift_x": Number(-1.0, 1.0, 0.0),
        "shift_y": Number(-1.0, 1.0, 0.0),
        "transfer": Number(0.0, 1.0),
        "blur_px": Number(0.0, 50.0),
        "seed": SEED,
    }
    backgrounds: tuple[U8, ...] = ()
    scale: Range = (0.75, 1.1)
    shift_x: Range = (-0.12, 0.12)
    shift_y: Range = (0.0, 0.15)
    transfer: Range = (0.1, 0.4)
    blur_px: Range = (0.5, 3.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        for k, picture in enumerate(self.backgrounds):
            checked_image(f"StudioToWild.backgrounds[{k}]", picture)

    @property
    def background(self) -> Range:
        """Which one is drawn: an index."""
        return (0, max(0, len(self.backgrounds) - 1))

    def is_identity(self, values: Values) -> bool:
        return False

    def image(self, x: U8, values: Values, scene: Scene) -> U8:
        return self.cover(x, values, scene)[0]

    def cover(self, x: U8, values: Values, scene: Scene) -> tuple[U8, F32 | None]:
        """The picture, and the alpha of the face in it."""
        height, width = x.shape[:2]
        behind = self._behind(values, (height, width)).astype(np.float32)
        alpha = studio_alpha(x)
        face = _without_spill(x, alpha)
        matrix = self.matrix(values, (height, width), scene)[:2]
        # What the border of the picture cuts off goes on beyond it: shoulders do not end in the air.
        alpha = np.asarray(cv2.warpAffine(alpha, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE), np.float32)
        face = np.asarray(cv2.warpAffine(face, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE), np.float32)
        face = _toward(face, alpha, behind, float(values["transfer"]))
        return from_levels(behind + alpha[..., None] * (face - behind)), alpha

    def matrix(self, values: Values, now_hw: tuple[int, int], scene: Scene) -> F64:
        height, width = now_hw
        x, y = (width - 1) / 2, (height - 1) / 2
        k = values["scale"]
        dx, dy = x * (1 - k) + values["shift_x"] * width, y * (1 - k) + values["shift_y"] * height
        return np.array([[k, 0.0, dx], [0, k, dy], [0, 0, 1]])

    def _behind(self, values: Values, size_hw: tuple[int, int]) -> U8:
        height, width = size_hw
        if not self.backgrounds:
            drawn = clutter(np.random.default_rng(int(values["seed"])), size_hw)
        else:
            if values["background"] >= len(self.backgrounds):
                raise InputError(
                    f"StudioToWild.background: expected an index below {len(self.backgrounds)}, "
                    f"got {values['background']}"
                )
            whole = self.backgrounds[int(values["background"])]
            grow = max(1.0, height / whole.shape[0], width / whole.shape[1])
            if grow > 1:
                sides = [max(n, round(m * grow)) for n, m in zip((width, height), whole.shape[1::-1], strict=True)]
                whole = np.asarray(cv2.resize(whole, sides, interpolation=cv2.INTER_LINEAR), np.uint8)
            top = round(values["y"] * (whole.shape[0] - height))
            left = round(values["x"] * (whole.shape[1] - width))
            drawn = whole[top : top + height, left : left + width]
        sigma = float(values["blur_px"])
        return np.asarray(cv2.GaussianBlur(drawn, (0, 0), sigma), np.uint8) if sigma > 0 else drawn


def studio_alpha(x: U8, *, tolerance: float = 14.0) -> F32:
    """How much of each pixel is not the even background of a studio.

    The background is the most frequent chroma and brightness along the upper and side borders; what is near it and
    connected to the border is background, its edge is softened by a guided filter (He, Sun and Tang 2013).

    Args:
        x: (H, W, 3) uint8.
        tolerance: distance from the background's color, in levels of YCbCr with Y at half weight, that still belongs.

    Returns:
        (H, W) 0 background to 1 face.
    """
    checked_image("x", x)
    height, width = x.shape[:2]
    color = np.asarray(dct.rgb_to_ycbcr(x), np.float32) * np.array([0.5, 1, 1], np.float32)
    band = max(1, round(0.04 * min(height, width)))
    rim = np.concatenate([color[:band].reshape(-1, 3), color[: height // 2, :band].reshape(-1, 3)])
    rim = np.concatenate([rim, color[: height // 2, -band:].reshape(-1, 3)])
    cells, counts = np.unique(np.floor(rim / 8).astype(int), axis=0, return_counts=True)
    mode = (cells[counts.argmax()] + 0.5) * 8
    near = rim[np.abs(rim - mode).max(1) < 12]
    mode = near.mean(0) if len(near) else mode
    far = np.sqrt(((color - mode.astype(np.float32)) ** 2).sum(-1))
    plain = (far < tolerance).astype(np.uint8)
    kernel = np.ones((3, 3), np.uint8)
    plain = np.asarray(cv2.morphologyEx(plain, cv2.MORPH_OPEN, kernel), np.uint8)
    _, labels = cv2.connectedComponents(plain)
    edge = np.concatenate([labels[0], labels[: height * 3 // 4, 0], labels[: height * 3 // 4, -1]])
    behind = np.isin(labels, np.setdiff1d(edge, [0]))
    solid = cv2.morphologyEx((~behind).astype(np.uint8), cv2.MORPH_OPEN, kernel).astype(np.float32)
    radius = max(1, round(0.015 * min(height, width)))
    soft = guided_filter(np.asarray(luma(x) / 255, np.float32), solid, radius, 1e-4)
    return np.asarray(np.clip((soft - 0.1) / np.float32(0.8), 0, 1), np.float32)


def guided_filter(guide: F32, x: F32, radius: int, eps: float) -> F32:
    """Smooth x where the guide is smooth and keep its edges where the guide has edges (He, Sun and Tang 2013).

    Args:
        guide: (H, W) in 0..1.
        x: (H, W).
        radius: of the square window in pixels.
        eps: variance of the guide below which it counts as smooth.

    Returns:
        (H, W).
    """
    window = (2 * radius + 1, 2 * radius + 1)

    def mean(a: NDArray[np.floating]) -> F32:
        return np.asarray(cv2.boxFilter(a, cv2.CV_32F, window, borderType=cv2.BORDER_REFLECT), np.float32)

    guide, x = np.asarray(guide, np.float32), np.asarray(x, np.float32)
    m, p = mean(guide), mean(x)
    slope = (mean(guide * x) - m * p) / (mean(guide * guide) - m * m + np.float32(eps))
    out: F32 = mean(slope) * guide + mean(p - slope * m)
    return out


def clutter(rng: np.random.Generator, size_hw: tuple[int, int]) -> U8:
    """A busy background that shows nothing: slabs, discs and stripes over a slope of color.

    Args:
        rng: draws everything.
        size_hw: of the picture.

    Returns:
        (H, W, 3) uint8.
    """
    height, width = size_hw
    corners = rng.uniform(40, 220, (2, 2, 3)).astype(np.float32)
    out = np.ascontiguousarray(cv2.resize(corners, (width, height), interpolation=cv2.INTER_LINEAR))
    for _ in range(int(rng.integers(14, 30))):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        w, h = (int(n * rng.uniform(0.04, 0.35)) + 1 for n in (width, height))
        color = tuple(float(c) for c in rng.uniform(10, 245, 3))
        kind = rng.integers(3)
        if kind == 0:
            cv2.rectangle(out, (x, y), (x + w, y + h), color, -1)
        elif kind == 1:
            cv2.ellipse(out, (x, y), (w // 2 + 1, h // 2 + 1), float(rng.uniform(0, 180)), 0, 360, color, -1)
        else:
            ends = int(rng.integers(width)), int(rng.integers(height))
            cv2.line(out, (x, y), ends, color, 1 + min(w, h) // 5)
    return from_levels(out + rng.normal(0, 3, out.shape))


def _without_spill(x: U8, alpha: F32) -> F32:
    """(H, W, 3) colors of the face, carried outward over its soft edge so that none of the studio shines through."""
    sure = (alpha > 0.98).astype(np.float32)
    radius = max(1, round(0.02 * min(x.shape[:2])))
    window = (2 * radius + 1, 2 * radius + 1)
    weight = cv2.boxFilter(sure, cv2.CV_32F, window)[..., None]
    spread = cv2.boxFilter(x * sure[..., None], cv2.CV_32F, window) / np.maximum(weight, np.float32(1e-4))
    keep = np.where(weight > 1e-3, sure[..., None], np.float32(1))
    return np.asarray(keep * x + (1 - keep) * spread, np.float32)


def _toward(face: F32, alpha: F32, behind: F32, share: float) -> F32:
    """Mean and spread of each YCbCr channel of the face, moved a share of the way to the background's."""
    if share == 0 or alpha.sum() < 1:
        return face
    own, other = np.asarray(dct.rgb_to_ycbcr(face)), np.asarray(dct.rgb_to_ycbcr(behind)).reshape(-1, 3)
    weight = alpha[..., None] / alpha.sum()
    mean = (own * weight).sum((0, 1))
    spread = np.sqrt(((own - mean) ** 2 * weight).sum((0, 1))) + 1e-3
    ratio = np.clip(other.std(0) / spread, 0.6, 1.6)
    moved = (own - mean) * (1 + share * (ratio - 1)) + mean + share * (other.mean(0) - mean)
    return np.asarray(dct.ycbcr_to_rgb(moved.astype(np.float32)), np.float32)

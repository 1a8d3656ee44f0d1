"""Quality from what can be measured: size, pose, sharpness, exposure and the detector's own confidence.

The components follow ISO/IEC 29794-5, which grades a face picture by measurable causes, so that a refusal can say what
to change. Each is a ramp from 0 (useless) over 0.5 (just usable) to 1 (nothing left to gain); the whole is the worst of
them, because none makes up for another.

Differs: five components of the standard's many, with ramps of our own, on a 112 x 112 crop aligned by five points;
nothing here claims conformity.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError
from vultus.ops.points import frontness, interocular
from vultus.ops.warp import similarities, template, warp
from vultus.types import F32, U8, Detections

__all__ = ["RAMPS", "FaceMeasures", "Ramp"]


@dataclass(frozen=True, slots=True)
class Ramp:
    """How a measurement becomes a share: 0 at `bad`, 1 at `good`, linear between.

    Attributes:
        bad: measurement from which nothing can be expected.
        good: measurement from which more brings nothing.
        words: the sentence that explains a low share, with {value} and {need}.
    """

    bad: float
    good: float
    words: str

    def share(self, values: F32) -> F32:
        """Measurements to shares in [0, 1]."""
        shares: F32 = np.clip((values - self.bad) / (self.good - self.bad), 0.0, 1.0).astype(np.float32)
        return shares

    def at(self, share: float) -> float:
        """The measurement that gives a share."""
        return self.bad + share * (self.good - self.bad)


RAMPS: dict[str, Ramp] = {
    "size": Ramp(8, 40, "the face is {value:.0f} px between the eyes, {need:.0f} are needed"),
    "detection": Ramp(0.1, 0.7, "the detector is unsure that this is a face: {value:.2f}, {need:.2f} is needed"),
    "frontness": Ramp(0.0, 0.5, "the face is turned too far away: {value:.2f} of frontal, {need:.2f} is needed"),
    "sharpness": Ramp(0.10, 0.22, "the face is blurred: sharpness {value:.2f}, {need:.2f} is needed"),
    "exposure": Ramp(10, 50, "the face is too dark, too bright or without contrast: {value:.0f} gray levels are used, "
                     "{need:.0f} are needed"),
}  # fmt: skip
"""Component -> ramp.

Placed by what 300 LFW probes lost when they were made worse, as FNMR at the threshold of FMR 1e-3 (dlib ResNet-29 /
MobileFaceNet; untouched .05 / .02): 22 px between the eyes .06 / .02, 17 px .07 / .03, 11 px .15 / .11; sharpness 0.17
.11 / .08, 0.13 .27 / .40, 0.12 .58 / .90; 37 gray levels .07 / .03, 18 .11 / .14, 9 .27 / .79. Two poor pictures of
different people match too often as well: 1.3 times at 17 px, twice at 11 px, eleven times at 7 px.
"""

_EDGE = 112  # px; side of the crop on which light is measured
_FACE = (slice(30, 104), slice(26, 86))  # brows to chin, temple to temple, on that crop
_SHARP = 64  # px; side of the crop on which blur is measured: finer detail does not reach the networks


@dataclass(frozen=True)
class FaceMeasures:
    """Quality of each face as the worst of five components.

    size: distance between the eyes in px of the picture. frontness: see `vultus.ops.points.frontness`, 1 frontal, 0
    where the nose lies over an eye. sharpness: the share of the picture's gradient that a small blur takes away (Crete
    et al. 2007, doi:10.1117/12.702790), so it depends neither on contrast nor on skin. exposure: the gray levels from
    the darkest 5 % of the face to the brightest that are not clipped, so it asks for modulation and not for a bright
    skin. detection: the detector's score.

    Attributes:
        need: the share that the sentences of `reasons` call needed.
    """

    need: float = 0.5

    def score(self, image: U8, faces: Detections) -> F32:
        """Quality of each face: the worst component.

        Args:
            image: (H, W, 3) uint8 RGB.
            faces: N faces with points, in pixels of the picture.

        Returns:
            (N,) in [0, 1], higher is more useful.

        Raises:
            InputError: if the picture is not uint8 RGB or the faces have no points.
        """
        columns = self.components(image, faces)
        worst: F32 = np.stack(list(columns.values())).min(axis=0)
        return worst

    def components(self, image: U8, faces: Detections) -> dict[str, F32]:
        """Each component of each face as a share.

        Returns:
            Component -> (N,) in [0, 1].
        """
        return {name: RAMPS[name].share(values) for name, values in self.measurements(image, faces).items()}

    def reasons(self, image: U8, faces: Detections) -> list[str]:
        """What is wrong with each face, as a sentence on its worst component; "" when every share reaches `need`."""
        values = self.measurements(image, faces)
        said = []
        for i in range(len(faces)):
            shares = {name: float(RAMPS[name].share(column[i : i + 1])[0]) for name, column in values.items()}
            worst = min(shares, key=lambda name: shares[name])
            ramp = RAMPS[worst]
            text = ramp.words.format(value=float(values[worst][i]), need=ramp.at(self.need))
            said.append(text if shares[worst] < self.need else "")
        return said

    def measurements(self, image: U8, faces: Detections) -> dict[str, F32]:
        """What was measured, in its own unit.

        Returns:
            Component -> (N,): size in px, exposure in gray levels, the others in [0, 1].
        """
        _checked(image)
        five = np.zeros((0, 5, 2), np.float32) if faces.points is None else faces.points
        if len(five) != len(faces):
            raise InputError("faces: expected five points each, got boxes only: use a detector that gives points")
        light, detail = np.empty((2, len(faces)), np.float32)
        if len(faces):
            small = similarities(five, template("arcface112", (_SHARP, _SHARP)))
            whole = similarities(five, template("arcface112", (_EDGE, _EDGE)))
            for i, (to_small, to_whole) in enumerate(zip(small, whole, strict=True)):
                detail[i] = _sharpness(_gray(warp(image, to_small, (_SHARP, _SHARP))))
                light[i] = _exposure(_gray(warp(image, to_whole, (_EDGE, _EDGE)))[_FACE])
        return {
            "size": interocular(five),
            "detection": np.asarray(faces.scores, np.float32),
            "frontness": frontness(five) if len(faces) else np.zeros(0, np.float32),
            "sharpness": detail,
            "exposure": light,
        }


def _gray(crop: U8) -> NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), np.float32)


def _sharpness(gray: NDArray[np.float32]) -> float:
    """Share of the gradient between neighbors that a mean over three pixels takes away; 0 on a blurred or flat crop."""
    inner = gray[10:-6, 10:-10]  # the face without the corners, where hair and background lie
    lost = total = 0.0
    for axis in (0, 1):
        before = np.abs(np.diff(inner, axis=axis))
        kernel = np.full((3, 1) if axis == 0 else (1, 3), 1 / 3, np.float32)
        after = np.abs(np.diff(np.asarray(cv2.filter2D(inner, -1, kernel)), axis=axis))
        total += float(before.sum())
        lost += float(np.maximum(before - after, 0).sum())
    return lost / total if total > inner.size * 0.1 else 0.0


def _exposure(gray: NDArray[np.float32]) -> float:
    """Gray levels between the 5th and the 95th percentile, less the share of pixels that are clipped."""
    low, high = np.percentile(gray, (5, 95))
    clipped = float(((gray <= 2) | (gray >= 253)).mean())
    return float(high - low) * max(0.0, 1.0 - 2.0 * clipped)


def _checked(image: U8) -> None:
    if (
        not isinstance(image, np.ndarray)
        or image.dtype != np.uint8
        or image.ndim != 3
        or image.shape[2] != 3
        or not image.size
    ):
        what = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise InputError(f"image: expected uint8 RGB of shape (H, W, 3), got {what}")

"""Skin in L*a*b*: pixels that are reddish and yellowish enough, joined to regions, of which upright ovals are faces.

Jyoti, Chadha, Vaidya and Roja, "A robust, low-cost approach to Face Detection and Face Recognition", 2011,
arXiv:1111.1090: a face is where the color planes a* and b* say skin, and only the frontal oval is kept.

Differs: the thresholds are not published; here both planes must be at least 5, and a* at least what Otsu's threshold
says, up to 12 (beyond that it cuts faces in two). The score was made up here. What separates skin from the rest is its
redness: faces in little light, pale walls of wood or sand, red hair and colored light all break it. On LFW it finds 61
of 100 faces at an overlap of one half (56 of light tone, 68 of dark), fewer than a guess at the middle of a picture
that is cut around one (claim `dwt_faces_skin`); it is no replacement for a trained detector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.detect._search import checked
from vultus.errors import InputError
from vultus.ops.lab import rgb_to_lab
from vultus.types import F32, U8, Detections

__all__ = ["LabSkinDetector", "skin"]

Bools = NDArray[np.bool_]

_A_MOST = 12.0
_LEAST_AREA = 0.01  # of the picture
_LEAST_HOLE = 0.002  # of the box


@dataclass(frozen=True)
class LabSkinDetector:
    """Boxes of regions of skin color, upright and oval; no points. Needs color, fails for many faces: see above.

    Attributes:
        min_score: lowest score: overlap of the region with the oval in its box, halved where there are no holes (eyes,
            brows or mouth), times its share of the largest region that may be a face.
        a_min: lowest a* of skin.
        b_min: lowest b* of skin.
        aspect: lowest and highest height of a face in widths.
        side: longer side in pixels to which larger pictures are brought first.
    """

    _: KW_ONLY
    min_score: float = 0.3
    a_min: float = 5.0
    b_min: float = 5.0
    aspect: tuple[float, float] = (0.8, 1.8)
    side: int = 320

    def detect(
        self, images: Sequence[U8], *, min_score: float | None = None, max_faces: int | None = None
    ) -> list[Detections]:
        """Faces of each (H, W, 3) uint8 RGB picture, best first, in that picture's pixels.

        Raises:
            InputError: if a picture is not uint8 (H, W, 3) or an argument is out of range.
        """
        lowest = self.min_score if min_score is None else min_score
        if not 0.0 <= lowest <= 1.0:
            raise InputError(f"min_score: expected a score in [0, 1], got {lowest}")
        if max_faces is not None and max_faces < 1:
            raise InputError(f"max_faces: expected 1 or more, or None for all, got {max_faces}")
        return [self._found(picture, lowest, max_faces) for picture in checked(images)]

    def _found(self, picture: U8, lowest: float, most: int | None) -> Detections:
        height, width = picture.shape[:2]
        factor = min(1.0, self.side / max(height, width))
        if factor < 1:
            size = (max(1, round(width * factor)), max(1, round(height * factor)))
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
        small_h, small_w = picture.shape[:2]
        raw = skin(picture, a_min=self.a_min, b_min=self.b_min)
        boxes, scores = _ovals(raw, self.aspect)
        order = np.argsort(-scores, kind="stable")
        order = order[scores[order] >= lowest][:most]
        scale = np.array([width / small_w, height / small_h] * 2)
        return Detections((boxes[order] * scale).astype(np.float32), scores[order].astype(np.float32))


def skin(image: U8, *, a_min: float = 5.0, b_min: float = 5.0) -> Bools:
    """Which pixels of (H, W, 3) uint8 RGB are of the color of skin; (H, W)."""
    _, a, b = np.moveaxis(rgb_to_lab(image), -1, 0)
    whole: Any = np.clip(np.round(a + 128), 0, 255).astype(np.uint8)
    otsu = cv2.threshold(whole, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[0] - 128 + 0.5
    return np.asarray((a >= max(a_min, min(otsu, max(a_min, _A_MOST)))) & (b >= b_min))


def _ovals(raw: Bools, aspect: tuple[float, float]) -> tuple[F32, F32]:
    """(N, 4) boxes of the regions that may be faces, and their scores."""
    longer = max(raw.shape)
    mask: Any = raw.astype(np.uint8)
    for operation, share in ((cv2.MORPH_OPEN, 0.015), (cv2.MORPH_CLOSE, 0.03)):
        reach = 2 * round(share * longer / 2) + 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
        mask = cv2.morphologyEx(mask, operation, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    boxes, scores, areas = [], [], []
    contours = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    for contour in contours:
        left, top, wide, high = cv2.boundingRect(contour)
        filled: Any = np.zeros((high, wide), np.uint8)
        cv2.drawContours(filled, [contour - (left, top)], -1, 1, cv2.FILLED)
        if filled.sum() < _LEAST_AREA * raw.size or not aspect[0] <= high / wide <= aspect[1]:
            continue
        gaps = (filled > 0) & ~raw[top : top + high, left : left + wide]
        boxes.append((left, top, left + wide, top + high))
        areas.append(filled.sum())
        scores.append(_ovalness(filled > 0) * (1.0 if _has_hole(gaps) else 0.5))
    if not boxes:
        return np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
    shares = np.array(areas, np.float64) / max(areas)
    return np.array(boxes, np.float32), (np.array(scores) * shares).astype(np.float32)


def _ovalness(region: Bools) -> float:
    """Intersection over union with the ellipse that the box encloses."""
    high, wide = region.shape
    y, x = (2 * (np.arange(n) + 0.5) / n - 1 for n in (high, wide))
    oval = np.square(y)[:, None] + np.square(x)[None] <= 1
    return float((region & oval).sum() / (region | oval).sum())


def _has_hole(gaps: Bools) -> bool:
    """Whether a gap lies inside of the region and is large enough for an eye."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(gaps.astype(np.uint8), connectivity=4)
    edge = set(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]).tolist())
    sizes = stats[:, cv2.CC_STAT_AREA]
    return any(sizes[label] >= _LEAST_HOLE * gaps.size for label in range(1, count) if label not in edge)

"""DWT faces: the coarse picture that a wavelet leaves of a gray face, and the nearest one of the people enrolled.

Jyoti, Chadha, Vaidya and Roja, "A robust, low-cost approach to Face Detection and Face Recognition", 2011,
arXiv:1111.1090: the face is found by skin color (`vultus.detect.lab_skin`), cut out, made gray and 128 x 128, and
decomposed by a discrete wavelet transform; coefficients are compared by Euclidean distance, accuracy by level.

Differs: wavelet and level are not published; Haar and level 3 were chosen before anything was measured. Cut by five
points where a pipeline does the cutting; `cut` does it by the box of any detector, as the paper does. With Haar, the
approximation of level L is a thumbnail of means of 2^L x 2^L pixels, no more and no less.

Known: on ORL it recognizes no more than as many raw pixels do, also under noise within a point (claim `dwt_faces`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.contracts import Detector
from vultus.errors import InputError, UnknownMethod
from vultus.ops.dwt import MODES, WAVELETS, dwt2
from vultus.ops.warp import warp
from vultus.recognize.classical._recognizer import ClassicalRecognizer
from vultus.types import U8

__all__ = ["DwtRecognizer", "cut"]

F64 = NDArray[np.float64]

_LEVELS = range(1, 6)
_SUBBANDS = ("A", "H", "V", "D")


class DwtRecognizer(ClassicalRecognizer):
    """Enroll people by crops and name the nearest; scores are minus the distance in gray levels (root mean square).

    Args:
        level: how often the picture is halved, 1 to 5.
        wavelet: one of `vultus.ops.dwt.WAVELETS`.
        subbands: which of A (approximation), H, V and D (details) of that level are compared.
        mode: what lies beyond the edges, one of `vultus.ops.dwt.MODES`.
        equalize: flatten the histogram of each crop first.
    """

    features = ("coefficients",)
    _name = "dwt_faces"

    def __init__(
        self,
        level: int = 3,
        wavelet: str = "haar",
        subbands: Sequence[str] = ("A",),
        *,
        mode: str = "periodic",
        equalize: bool = False,
    ) -> None:
        super().__init__()
        if level not in _LEVELS:
            raise InputError(f"level: expected 1 to 5 of a crop of 128 x 128, got {level!r}")
        for what, name, known in (("wavelet", wavelet, WAVELETS), ("mode", mode, MODES)):
            if name not in known:
                raise UnknownMethod(str(name), known, what=what)
        if not subbands or len(set(subbands)) < len(subbands) or not set(subbands) <= set(_SUBBANDS):
            raise InputError(f"subbands: expected some of {', '.join(_SUBBANDS)}, each once, got {subbands!r}")
        self.level, self.wavelet, self.subbands = int(level), wavelet, tuple(subbands)
        self.mode, self.equalize = mode, equalize

    def __repr__(self) -> str:
        return (
            f"DwtRecognizer(level={self.level}, wavelet={self.wavelet!r}, subbands={self.subbands}, "
            f"mode={self.mode!r}, equalize={self.equalize})"
        )

    def _described(self, gray: F64) -> list[F64]:
        if self.equalize:
            levels: Any = np.round(gray).astype(np.uint8)
            gray = np.array([cv2.equalizeHist(each) for each in levels], np.float64).reshape(gray.shape)
        pixels = gray.shape[-2] * gray.shape[-1]
        for _ in range(self.level):
            bands = dwt2(gray, self.wavelet, self.mode)
            gray = bands.a
        count = gray.shape[-2] * gray.shape[-1]
        chosen = [bands[_SUBBANDS.index(name)].reshape(len(gray), count) for name in self.subbands]
        return [np.concatenate(chosen, axis=1) / np.sqrt(pixels)]

    def _directed(self, feature: F64) -> F64:
        """Without its mean, so that cosines are correlations."""
        centered: F64 = feature - feature.mean(axis=1, keepdims=True)
        return centered


def cut(pictures: Sequence[U8], detector: Detector) -> tuple[U8, list[int]]:
    """Cut out the best face of each picture, whatever its proportion, as `DwtRecognizer` wants it.

    Args:
        pictures: (H, W, 3) uint8 RGB each.
        detector: finds the boxes; `lab_skin` is the one of the paper.

    Returns:
        Crops (M, 128, 128, 3), and of which picture each is; pictures without a face are left out.

    Raises:
        InputError: if a picture is not uint8 (H, W, 3).
    """
    height, width = DwtRecognizer.crop.size_hw
    crops, found = [], []
    for index, (picture, faces) in enumerate(zip(pictures, detector.detect(pictures, max_faces=1), strict=True)):
        if not len(faces):
            continue
        left, top, right, bottom = faces.boxes[0].astype(np.float64)
        sx, sy = width / max(right - left, 1e-6), height / max(bottom - top, 1e-6)
        matrix = [[sx, 0, (0.5 - left) * sx - 0.5], [0, sy, (0.5 - top) * sy - 0.5]]  # boxes have edge coordinates
        crops.append(warp(picture, matrix, (height, width)))
        found.append(index)
    return (np.stack(crops) if crops else np.zeros((0, height, width, 3), np.uint8)), found

"""Alignment by one similarity transform per face, fitted to five points.

Umeyama 1991, "Least-squares estimation of transformation parameters between two point patterns", IEEE TPAMI 13(4),
doi:10.1109/34.88573: rotation, one scale and shift, never a reflection, so a face seen in a mirror stays mirrored. The
templates are those of `vultus.ops.warp.TEMPLATES`.

Differs: a face that is shrunk by more than two is averaged before it is resampled, so close-ups do not alias.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vultus.align._crops import seen
from vultus.errors import InputError
from vultus.ops.warp import TEMPLATES, similarities, template, warp
from vultus.types import F32, U8, CropSpec, checked

__all__ = ["Similarity5"]


@dataclass(frozen=True)
class Similarity5:
    """Cut crops in which the five points lie where the template wants them.

    Attributes:
        border: gray level of what lies outside the picture.
    """

    border: int = 0

    def align(self, image: U8, points: F32, spec: CropSpec) -> tuple[U8, F32]:
        """Cut one crop per face.

        Args:
            image: (H, W, 3) uint8 RGB picture.
            points: (N, 5, 2) five points in pixels of the picture, center coordinates.
            spec: template and size of the crop.

        Returns:
            Crops (N, h, w, 3) uint8 and matrices (N, 2, 3) float32 that map picture points to crop points.

        Raises:
            InputError: for a template without five points, a wrong shape or points that determine no transform.
        """
        if spec.template not in TEMPLATES:
            raise InputError(
                f"template: expected one of {', '.join(sorted(TEMPLATES))}, got {spec.template!r}; "
                "a crop around a box is not made from points"
            )
        picture = seen(image)
        five = checked("points", points, (None, 5, 2))
        height, width = spec.size_hw
        if not len(five):
            return np.zeros((0, height, width, 3), np.uint8), np.zeros((0, 2, 3), np.float32)
        matrices = similarities(five, template(spec.template, spec.size_hw))
        crops = np.stack([warp(picture, matrix, spec.size_hw, border=self.border) for matrix in matrices])
        return crops, matrices

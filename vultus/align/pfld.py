"""PFLD: the 68 iBUG points from a face box, small and fast.

Guo, Li, Ma et al. 2019, "PFLD: A Practical Facial Landmark Detector", arXiv:1902.10859. Weights as released in
cunjian/pytorch_face_landmark, trained on 300-W.

Differs: the crop is the square of the longer side of the box around the box's center, without margin. The channel
order (blue first) and the range (0..1) are stated nowhere; of eight combinations these fit 68-point truth best.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

import numpy as np

from vultus.align._crops import back, centered, look, seen
from vultus.errors import InputError
from vultus.types import F32, U8, checked
from vultus.zoo.session import open_session

__all__ = ["PFLD"]

_POINTS = 68
_SIZE = 112


@dataclass(frozen=True)
class PFLD:
    """Find 68 points.

    Attributes:
        weights: id of a model card, or path of an ONNX file with one output of 136 shares of the crop.
        scale: side of the crop in longer sides of the box.
        threads: of the network; None: all physical cores.
    """

    weights: str = "pfld"
    _: KW_ONLY
    scale: float = 1.0
    threads: int | None = None

    def points(self, image: U8, boxes: F32) -> F32:
        """68 points for each box.

        Args:
            image: (H, W, 3) uint8 RGB.
            boxes: (N, 4) xyxy pixels, edge coordinates, tight around forehead and chin as detectors draw them.

        Returns:
            (N, 68, 2) pixels of the picture, center coordinates, in the order of iBUG 300-W.

        Raises:
            InputError: for wrong shapes or a box without area.
            WeightsError: if the weights are not there or are not those of the card.
        """
        seen(image)
        faces = checked("boxes", boxes, (None, 4))
        if not len(faces):
            return np.zeros((0, _POINTS, 2), np.float32)
        size_wh = faces[:, 2:] - faces[:, :2]
        if (size_wh <= 0).any():
            row = int(np.argmin(size_wh.min(axis=1)))
            raise InputError(f"boxes: expected left < right and top < bottom, got {faces[row].tolist()} in row {row}")
        side = self.scale * size_wh.max(axis=1)
        matrices = centered((faces[:, :2] + faces[:, 2:]) / 2 - 0.5, side, np.zeros(len(faces), np.float32), _SIZE)
        session = open_session(self.weights, threads=self.threads)
        shares = look(session, image, matrices, _SIZE, "BGR")[0]
        if shares[0].size != 2 * _POINTS:
            raise InputError(f"{session.path.name}: expected 136 numbers per face, got {shares.shape}")
        return back(matrices, shares.reshape(-1, _POINTS, 2) * _SIZE)

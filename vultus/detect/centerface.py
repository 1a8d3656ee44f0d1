"""CenterFace: faces as peaks of a heat map, with box size, offset and five points read at the peak.

Xu, Yan, Yang et al., "CenterFace: Joint Face Detection and Alignment Using Face as Point", arXiv:1911.03599.

Differs: the published decoder stretches a picture to multiples of 32; here the aspect is kept and the rest padded. It
clips a box before it reads the points relative to the box's corner; here the points hang on the unclipped corner, so
faces that leave the picture keep theirs. Two scales are searched and merged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

import numpy as np

from vultus.detect._canvas import Candidates
from vultus.detect._search import Colors, Layout, run
from vultus.types import F32, U8, Detections

__all__ = ["CenterFace", "decode"]

_STRIDE = 4


@dataclass(frozen=True)
class CenterFace:
    """Boxes and five points; few false alarms, points somewhat noisy.

    Attributes:
        weights: id of a model card, or path of an ONNX file with the four published outputs.
        min_score: lowest score; None: that of the card.
        iou: overlap above which two boxes are one face.
        scales: lengths in pixels to which the longer side is brought, one pass each.
        tile: side in pixels of windows in which a large picture is also searched at its own size.
        upright: also try the picture turned by 90, 180 and 270 degrees and keep the best direction.
        threads: of the network; None: all physical cores.
    """

    weights: str = "centerface"
    _: KW_ONLY
    min_score: float | None = None
    iou: float = 0.3
    scales: tuple[int, ...] = (640, 192)
    tile: int | None = None
    upright: bool = False
    threads: int | None = None

    def detect(
        self, images: Sequence[U8], *, min_score: float | None = None, max_faces: int | None = None
    ) -> list[Detections]:
        """Faces of each (H, W, 3) uint8 RGB picture, best first, with points, in that picture's pixels.

        Raises:
            InputError: if a picture is not uint8 (H, W, 3) or an argument is out of range.
            WeightsError: if the weights are not there or are not those of the card.
        """
        return run(self, _LAYOUT, images, min_score, max_faces)


def decode(outputs: Sequence[F32], size_hw: tuple[int, int], min_score: float) -> list[Candidates]:
    """Read the four maps at a quarter of the canvas.

    Args:
        outputs: heat (N, 1, h, w), log size y x (N, 2, h, w), offset y x (N, 2, h, w), points y x (N, 10, h, w) in
            shares of the box from its corner.
        size_hw: height and width of the canvas.
        min_score: lowest value of the heat map.

    Returns:
        Candidates of each item, in canvas pixels.
    """
    del size_hw
    heat, size, offset, landmarks = outputs
    found = []
    for item in range(len(heat)):
        row, column = np.nonzero(heat[item, 0] >= min_score)
        sides = np.exp(size[item][::-1, row, column].T) * _STRIDE  # (K, 2) width, height
        cell = np.stack([column, row], axis=1).astype(np.float32)
        centers = (cell + offset[item][::-1, row, column].T + 0.5) * _STRIDE
        corner = centers - sides / 2
        shares = landmarks[item][:, row, column].T.reshape(-1, 5, 2)[..., ::-1]
        points = corner[:, None] + shares * sides[:, None] - 0.5
        found.append(Candidates(np.concatenate([corner, corner + sides], axis=1), heat[item, 0, row, column], points))
    return found


_LAYOUT = Layout(decode, Colors("RGB", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)), score=0.35)

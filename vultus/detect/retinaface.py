"""RetinaFace on a MobileNet of width 0.25: boxes and five points from square anchors at strides 8, 16 and 32.

Deng, Guo, Ververas et al., "RetinaFace: Single-shot Multi-level Face Localisation in the Wild", arXiv:1905.00641, in
the reduced form of biubug6/Pytorch_Retinaface.

Differs: no mesh branch; the aspect is kept and the rest padded; two scales are searched and merged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

import numpy as np

from vultus.detect._canvas import Candidates
from vultus.detect._priors import anchors, ssd_boxes, ssd_points
from vultus.detect._search import Colors, Layout, run
from vultus.types import F32, U8, Detections

__all__ = ["RetinaFace", "decode"]

_ANCHORS = ((8, (16, 32)), (16, (64, 128)), (32, (256, 512)))


@dataclass(frozen=True)
class RetinaFace:
    """Boxes and five points.

    Attributes:
        weights: id of a model card, or path of an ONNX file with the three outputs loc, conf and landm.
        min_score: lowest score; None: that of the card.
        iou: overlap above which two boxes are one face.
        scales: lengths in pixels to which the longer side is brought, one pass each.
        tile: side in pixels of windows in which a large picture is also searched at its own size.
        upright: also try the picture turned by 90, 180 and 270 degrees and keep the best direction.
        threads: of the network; None: all physical cores.
    """

    weights: str = "retinaface_mobile025"
    _: KW_ONLY
    min_score: float | None = None
    iou: float = 0.4
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
    """Read offsets, probabilities and points of every anchor.

    Args:
        outputs: loc (N, A, 4), conf (N, A, 2) probabilities of background and face, landm (N, A, 10).
        size_hw: height and width of the canvas.
        min_score: lowest probability.

    Returns:
        Candidates of each item, in canvas pixels.
    """
    priors = anchors(size_hw, _ANCHORS)
    found = []
    for offset, score, landmark in zip(outputs[0], outputs[1][..., 1], outputs[2], strict=True):
        keep = np.flatnonzero(score >= min_score)
        points = ssd_points(landmark[keep], priors[keep]) - 0.5
        found.append(Candidates(ssd_boxes(offset[keep], priors[keep]), score[keep], points))
    return found


_LAYOUT = Layout(decode, Colors("BGR", (104.0, 117.0, 123.0), (1.0, 1.0, 1.0)), score=0.6)

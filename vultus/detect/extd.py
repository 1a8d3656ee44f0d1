"""EXTD: an extremely tiny detector that applies one small network again and again to get maps of strides 4 to 128.

Yoo, Han and Yun, "EXTD: Extremely Tiny Face Detector via Iterative Filter Reuse", arXiv:1906.06579.

Differs: the aspect is kept and the rest padded; two scales are searched and merged; the published test runs every
picture at its own size and merges nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

import numpy as np

from vultus.detect._canvas import Candidates
from vultus.detect._priors import anchors, ssd_boxes
from vultus.detect._search import Colors, Layout, run
from vultus.types import F32, U8, Detections

__all__ = ["EXTD", "decode"]

_ANCHORS = ((4, (16,)), (8, (32,)), (16, (64,)), (32, (128,)), (64, (256,)), (128, (512,)))


@dataclass(frozen=True)
class EXTD:
    """Boxes without points, from about 0.06, 0.10 or 0.16 million parameters: small on disk, slow for its size.

    Attributes:
        weights: id of a model card, or path of an ONNX file with the two outputs loc and conf.
        min_score: lowest score; None: that of the card.
        iou: overlap above which two boxes are one face.
        scales: lengths in pixels to which the longer side is brought, one pass each.
        tile: side in pixels of windows in which a large picture is also searched at its own size.
        upright: also try the picture turned by 90, 180 and 270 degrees and keep the best direction.
        threads: of the network; None: all physical cores.
    """

    weights: str = "extd_32"
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
        """Faces of each (H, W, 3) uint8 RGB picture, best first, without points, in that picture's pixels.

        Raises:
            InputError: if a picture is not uint8 (H, W, 3) or an argument is out of range.
            WeightsError: if the weights are not there or are not those of the card.
        """
        return run(self, _LAYOUT, images, min_score, max_faces)


def decode(outputs: Sequence[F32], size_hw: tuple[int, int], min_score: float) -> list[Candidates]:
    """Read offsets and probabilities of every anchor.

    Args:
        outputs: loc (N, A, 4), conf (N, A, 2) probabilities of background and face.
        size_hw: height and width of the canvas.
        min_score: lowest probability.

    Returns:
        Candidates of each item, in canvas pixels, without points.
    """
    priors = anchors(size_hw, _ANCHORS)
    found = []
    for offset, score in zip(outputs[0], outputs[1][..., 1], strict=True):
        keep = np.flatnonzero(score >= min_score)
        found.append(Candidates(ssd_boxes(offset[keep], priors[keep]), score[keep], None))
    return found


_LAYOUT = Layout(decode, Colors("RGB", (123.0, 117.0, 104.0), (1.0, 1.0, 1.0)), score=0.5)

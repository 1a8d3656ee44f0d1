"""Ultra-Light RFB-320: a box-only detector of 0.3 million parameters with a fixed 320x240 input.

Linzaer 2019, Ultra-Light-Fast-Generic-Face-Detector-1MB; the receptive field block is of Liu, Huang and Wang,
arXiv:1711.07767.

Differs: the published decoder stretches every picture to 4:3; here the aspect is kept and the rest padded, and scales
above the input's own are searched in overlapping windows, so small faces are found too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

import numpy as np

from vultus.detect._canvas import Candidates
from vultus.detect._search import Colors, Layout, run
from vultus.types import F32, U8, Detections

__all__ = ["UltraLight", "decode"]


@dataclass(frozen=True)
class UltraLight:
    """Boxes without points: for counting and blurring, not for alignment.

    Attributes:
        weights: id of a model card, or path of an ONNX file with the two published outputs.
        min_score: lowest score; None: that of the card.
        iou: overlap above which two boxes are one face.
        scales: lengths in pixels to which the longer side is brought, one pass each; 320 is the network's own.
        tile: side in pixels from which a large picture is also searched at its own size, in windows of 320x240.
        upright: also try the picture turned by 90, 180 and 270 degrees and keep the best direction.
        threads: of the network; None: all physical cores.
    """

    weights: str = "ultralight_rfb320"
    _: KW_ONLY
    min_score: float | None = None
    iou: float = 0.3
    scales: tuple[int, ...] = (640, 320)
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
    """Read scores and boxes; anchors are decoded inside the graph.

    Args:
        outputs: (N, A, 2) background and face, (N, A, 4) xyxy in shares of the canvas.
        size_hw: height and width of the canvas.
        min_score: lowest score.

    Returns:
        Candidates of each item, in canvas pixels, without points.
    """
    scores, boxes = outputs
    sides = np.array([size_hw[1], size_hw[0]] * 2, np.float32)
    found = []
    for score, box in zip(scores[..., 1], boxes, strict=True):
        keep = np.flatnonzero(score >= min_score)
        found.append(Candidates(box[keep] * sides, score[keep], None))
    return found


_LAYOUT = Layout(decode, Colors("RGB", (127.0,) * 3, (128.0,) * 3), score=0.7)

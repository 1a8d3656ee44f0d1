"""SCRFD: a family of detectors whose compute is spread by search; distances to the box and five points per anchor.

Guo, Deng, Lattas and Zafeiriou, "Sample and Computation Redistribution for Efficient Face Detection", arXiv:2105.04714.

Differs: the aspect is kept and the rest padded, to multiples of 32 instead of a square; two scales are searched and
merged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

import numpy as np

from vultus.detect._canvas import Candidates
from vultus.detect._priors import cells
from vultus.detect._search import Colors, Layout, run
from vultus.types import F32, U8, Detections

__all__ = ["SCRFD", "decode"]

_STRIDES = (8, 16, 32)
_EACH = 2  # anchors of a cell


@dataclass(frozen=True)
class SCRFD:
    """Boxes and five points; the best raw points of this room. The published weights are for research only.

    Attributes:
        weights: id of a model card, or path of an ONNX file with the nine published outputs.
        min_score: lowest score; None: that of the card.
        iou: overlap above which two boxes are one face.
        scales: lengths in pixels to which the longer side is brought, one pass each.
        tile: side in pixels of windows in which a large picture is also searched at its own size.
        upright: also try the picture turned by 90, 180 and 270 degrees and keep the best direction.
        threads: of the network; None: all physical cores.
    """

    weights: str = "scrfd_500m"
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
    """Read scores, distances and points, each of three maps, in this order.

    Args:
        outputs: 3 x (N, A, 1) score, 3 x (N, A, 4) distances left top right bottom in strides, 3 x (N, A, 10) points in
            strides; all from the corner of the cell; two anchors per cell. The older exports, whose rows
            (N * A, ...) have no batch axis, are read too.
        size_hw: height and width of the canvas.
        min_score: lowest score.

    Returns:
        Candidates of each item, in canvas pixels.
    """
    counts = [len(cells(size_hw, stride, _EACH)) for stride in _STRIDES] * 3
    maps = [output.reshape(-1, count, output.shape[-1]) for output, count in zip(outputs, counts, strict=True)]
    found = []
    for item in range(len(maps[0])):
        boxes, scores, points = [], [], []
        for level, stride in enumerate(_STRIDES):
            score = maps[level][item, :, 0]
            keep = np.flatnonzero(score >= min_score)
            cell = cells(size_hw, stride, _EACH)[keep]
            distance = maps[3 + level][item, keep]
            boxes.append(np.concatenate([cell - distance[:, :2], cell + distance[:, 2:]], axis=1) * stride)
            scores.append(score[keep])
            points.append((maps[6 + level][item, keep].reshape(-1, 5, 2) + cell[:, None]) * stride - 0.5)
        found.append(Candidates(np.concatenate(boxes), np.concatenate(scores), np.concatenate(points)))
    return found


_LAYOUT = Layout(decode, Colors("RGB", (127.5,) * 3, (128.0,) * 3), score=0.4)

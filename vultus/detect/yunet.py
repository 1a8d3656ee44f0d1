"""YuNet: a tiny anchor-free detector; class and object scores, boxes and five points per cell at strides 8, 16 and 32.

Wu, Peng and Yu, "YuNet: A Tiny Millisecond-level Face Detector", doi:10.1007/s11633-023-1423-y.

Differs: the aspect is kept and the rest padded; two scales are searched and merged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

import numpy as np

from vultus.detect._canvas import Candidates
from vultus.detect._priors import cells
from vultus.detect._search import Colors, Layout, run
from vultus.types import F32, U8, Detections

__all__ = ["YuNet", "decode"]

_STRIDES = (8, 16, 32)


@dataclass(frozen=True)
class YuNet:
    """Boxes and five points; very fast; textures raise false alarms below 0.68, points stay upright on rolled faces.

    Attributes:
        weights: id of a model card, or path of an ONNX file with the twelve published outputs.
        min_score: lowest score; None: that of the card.
        iou: overlap above which two boxes are one face.
        scales: lengths in pixels to which the longer side is brought, one pass each.
        tile: side in pixels of windows in which a large picture is also searched at its own size.
        upright: also try the picture turned by 90, 180 and 270 degrees and keep the best direction.
        threads: of the network; None: all physical cores.
    """

    weights: str = "yunet_n"
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
    """Read classes, objects, boxes and points, each of three maps, in this order.

    Args:
        outputs: 3 x (N, A, 1) class, 3 x (N, A, 1) object, 3 x (N, A, 4) dx dy log w log h in strides from the cell's
            corner, 3 x (N, A, 10) points in strides from the cell's corner.
        size_hw: height and width of the canvas.
        min_score: lowest geometric mean of class and object.

    Returns:
        Candidates of each item, in canvas pixels.
    """
    kinds, objects, offsets, landmarks = (outputs[start : start + 3] for start in (0, 3, 6, 9))
    found = []
    for item in range(len(kinds[0])):
        boxes, scores, points = [], [], []
        for level, stride in enumerate(_STRIDES):
            score = np.sqrt(np.clip(kinds[level][item, :, 0], 0, 1) * np.clip(objects[level][item, :, 0], 0, 1))
            keep = np.flatnonzero(score >= min_score)
            cell = cells(size_hw, stride)[keep]
            offset = offsets[level][item, keep]
            center = (cell + offset[:, :2]) * stride
            half = np.exp(offset[:, 2:]) * stride / 2
            boxes.append(np.concatenate([center - half, center + half], axis=1))
            scores.append(score[keep])
            points.append((landmarks[level][item, keep].reshape(-1, 5, 2) + cell[:, None]) * stride - 0.5)
        found.append(Candidates(np.concatenate(boxes), np.concatenate(scores), np.concatenate(points)))
    return found


_LAYOUT = Layout(decode, Colors("BGR", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)), score=0.68)

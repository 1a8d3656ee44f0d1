"""Small pictures of faces, for people to look at."""

from __future__ import annotations

from typing import Any

import numpy as np

from vultus.errors import VultusError
from vultus.gallery.records import NewFace
from vultus.io import images as io_images
from vultus.ops import warp
from vultus.pipeline._encode import Encoded
from vultus.types import F32, U8

__all__ = ["crop_of", "new_face", "previews"]

SIDE = 160  # px
MARGIN = 0.35  # of the longer side of the box, on every side: hair and chin help people to recognize a face


def previews(picture: Any, encoded: Encoded) -> list[bytes | None]:
    """One small JPEG per face; None where the picture cannot be read a second time.

    Args:
        picture: what was encoded: a path, bytes, an array, an `Image`.
        encoded: its faces.
    """
    if not len(encoded):
        return []
    try:
        image = io_images.read(picture, truncated="accept")
    except VultusError:  # the vectors are good: the picture went away meanwhile, and only the preview is missing
        return [None] * len(encoded)
    return [io_images.encode(crop_of(image.pixels, box), quality=85) for box in encoded.detections.boxes]


def crop_of(pixels: U8, box: F32, side: int = SIDE) -> U8:
    """A square (side, side, 3) around a box in pixels of the picture; what lies outside it is gray."""
    x1, y1, x2, y2 = (float(v) for v in box)
    width = max(x2 - x1, y2 - y1, 1.0) * (1 + 2 * MARGIN)
    scale = side / width
    left, top = (x1 + x2 - width) / 2, (y1 + y2 - width) / 2
    # Edge coordinates to center coordinates and back: half a pixel on either side.
    move = np.array([[scale, 0, (0.5 - left) * scale - 0.5], [0, scale, (0.5 - top) * scale - 0.5]], np.float64)
    return warp.warp(pixels, move, (side, side), border=128)


def new_face(encoded: Encoded, index: int, preview: bytes | None = None) -> NewFace:
    """A face of a picture as a gallery keeps it."""
    box = encoded.detections.boxes[index]
    return NewFace(
        encoded.sha256,
        encoded.embedded.vec[index],
        (float(box[0]), float(box[1]), float(box[2]), float(box[3])),
        float(min(1.0, max(0.0, encoded.detections.scores[index]))),
        float(encoded.quality[index]),
        preview,
        encoded.source,
        encoded.size_hw,
    )

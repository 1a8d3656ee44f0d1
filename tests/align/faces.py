"""Real faces with 68 points, and what a detector says about them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from functools import lru_cache

import numpy as np

from vultus.detect.centerface import CenterFace
from vultus.io.images import read
from vultus.ops.boxes import iou
from vultus.ops.points import five_from_68


@lru_cache(maxsize=1)
def dlib_faces(data_dir):
    """(picture, boxes (N, 4), points (N, 68, 2)) of each of the nine photographs of dlib's examples."""
    found = []
    for name in ("testing", "training"):
        tree = ET.parse(data_dir / "dlib_faces" / f"{name}_with_face_landmarks.xml")
        for item in tree.iter("image"):
            boxes, points = [], []
            for box in item.iter("box"):
                left, top, width, height = (float(box.get(key)) for key in ("left", "top", "width", "height"))
                boxes.append((left, top, left + width, top + height))
                parts = sorted(box.iter("part"), key=lambda part: part.get("name"))
                points.append([(float(part.get("x")), float(part.get("y"))) for part in parts])
            pixels = read(data_dir / "dlib_faces" / item.get("file")).pixels
            found.append((pixels, np.array(boxes, np.float32), np.array(points, np.float32)))
    return found


def matched(image, boxes):
    """Detections of CenterFace, and for each true box the index of the one upon it, or -1."""
    faces = CenterFace().detect([image])[0]
    overlap = iou(boxes, faces.boxes)
    return faces, np.where(overlap.max(axis=1) > 0.3, overlap.argmax(axis=1), -1)


def detected(image, boxes, truth):
    """Five detected points and five true ones of each face that was found, (N, 5, 2) both."""
    faces, index = matched(image, boxes)
    return faces.points[index[index >= 0]], five_from_68(truth)[index >= 0]

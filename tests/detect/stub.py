"""A detector with no weights: it reports red squares that carry a blue band on top, as faces are darker at the eyes."""

from __future__ import annotations

import cv2
import numpy as np

from vultus.detect._canvas import Candidates
from vultus.detect._search import Colors, Network


class Echo:
    """A network whose output is its input."""

    def __init__(self):
        self.calls = []

    def run(self, feeds):
        (blob,) = feeds.values()
        self.calls.append(blob.shape)
        return [blob]


def decode(outputs, size_hw, min_score):
    """Every upright drawn face of every item: box and points from its red area, score 0.5 + side in pixels / 2000."""
    found = []
    for red, _, blue in outputs[0]:
        _, _, stats, _ = cv2.connectedComponentsWithStats((red > 100).astype(np.uint8))
        faces = [face for face in stats[1:] if face[2] >= 6 and face[3] >= 6]
        boxes, scores, points = [], [], []
        for x, y, w, h, _ in faces:
            patch = blue[y : y + h, x : x + w]
            quarter = max(1, h // 4)
            if patch[:quarter].mean() > 2 * patch[-quarter:].mean() + 20 and 0.5 + w / 2000 >= min_score:
                boxes.append([x, y, x + w, y + h])
                scores.append(0.5 + w / 2000)
                points.append(shares(np.array([x, y, x + w, y + h], float)))
        found.append(
            Candidates(
                np.array(boxes, np.float32).reshape(-1, 4),
                np.array(scores, np.float32),
                np.array(points, np.float32).reshape(-1, 5, 2),
            )
        )
    return found


def shares(box):
    """(5, 2) where the five points of an upright face lie in its box, center coordinates."""
    corner, sides = box[:2], box[2:] - box[:2]
    return corner + np.array([(0.3, 0.3), (0.7, 0.3), (0.5, 0.5), (0.35, 0.75), (0.65, 0.75)]) * sides - 0.5


def network(**changes):
    return Network(Echo(), "input", Colors("RGB", (0.0,) * 3, (1.0,) * 3), decode, **changes)


def drawn(size_hw, boxes):
    """A dark picture with drawn faces at integer boxes."""
    picture = np.full((*size_hw, 3), 12, np.uint8)
    for x1, y1, x2, y2 in boxes:
        picture[y1:y2, x1:x2, 0] = 230
        picture[y1 : y1 + (y2 - y1) * 2 // 5, x1:x2, 2] = 240
    return picture

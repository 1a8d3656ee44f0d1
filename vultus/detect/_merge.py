"""From what was found in every window of a picture to its faces: seams, suppression, the best direction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vultus.detect._canvas import Candidates, Plan, View
from vultus.ops.boxes import clip, ioa, nms
from vultus.types import Detections

__all__ = ["merge"]

_CANDIDATES = 5000  # that enter suppression, best first
_SEAM = 0.5  # a cut box that lies in a whole one by this share is a part of it


def merge(
    parts: Sequence[tuple[View, Candidates]], size_hw: tuple[int, int], plan: Plan, max_faces: int | None
) -> Detections:
    """One suppression over everything that was found in one direction, and the best direction."""
    best: Detections | None = None
    evidence = -1.0
    for turns in sorted({view.turns for view, _ in parts}):
        whole, cut = (
            _suppressed(each, plan.iou) for each in _pooled([part for part in parts if part[0].turns == turns])
        )
        if len(cut.boxes):  # a part of a face at a seam yields to the whole face
            inside = ioa(cut.boxes, whole.boxes).max(axis=1, initial=0.0)
            whole = _suppressed(_joined([whole, _chosen(cut, np.flatnonzero(inside <= _SEAM))]), plan.iou)
        strength = _upright_evidence(whole, turns)
        if strength > evidence:
            best, evidence = _detections(whole, size_hw, max_faces), strength
    return best if best is not None else Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


def _pooled(parts: Sequence[tuple[View, Candidates]]) -> tuple[Candidates, Candidates]:
    """Candidates in picture pixels: those seen whole, and those cut at a seam."""
    whole, cut = [], []
    for view, found in parts:
        sides = found.boxes[:, 2:] - found.boxes[:, :2]
        found = _chosen(found, np.flatnonzero(sides.max(axis=1, initial=0.0) >= view.least))
        seam = view.is_cut(found.boxes)
        there = view.to_picture(found)
        whole.append(_chosen(there, np.flatnonzero(~seam)))
        cut.append(_chosen(there, np.flatnonzero(seam)))
    return _joined(whole), _joined(cut)


def _suppressed(found: Candidates, iou: float) -> Candidates:
    """One box per face, best first."""
    found = _chosen(found, np.argsort(-found.scores, kind="stable")[:_CANDIDATES])
    return _chosen(found, nms(found.boxes, found.scores, iou))


def _joined(parts: Sequence[Candidates]) -> Candidates:
    points = [part.points for part in parts if part.points is not None]
    return Candidates(
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate(points) if len(points) == len(parts) else None,
    )


def _chosen(found: Candidates, index: NDArray[np.intp] | NDArray[np.int64]) -> Candidates:
    return Candidates(
        found.boxes[index], found.scores[index], found.points[index] if found.points is not None else None
    )


def _upright_evidence(found: Candidates, turns: int) -> float:
    """How much a direction shows faces the right way up: the scores of faces with eyes above the mouth, added."""
    if found.points is None or not len(found.scores):
        return float(found.scores.sum())
    down = found.points[:, 3:].mean(1) - found.points[:, :2].mean(1)  # eyes to mouth, in the picture
    angle = np.pi / 2 * turns
    upright = np.cos(angle) * down[:, 1] - np.sin(angle) * down[:, 0]  # its y after `turns` quarter turns
    return float(found.scores[upright > 0.5 * np.linalg.norm(down, axis=1)].sum())


def _detections(found: Candidates, size_hw: tuple[int, int], max_faces: int | None) -> Detections:
    boxes = clip(found.boxes, size_hw)
    there = np.flatnonzero((boxes[:, 2:] > boxes[:, :2]).all(axis=1))[:max_faces]
    return Detections(boxes[there], found.scores[there], found.points[there] if found.points is not None else None)

"""Is speed bought with wrong answers? Faces and vectors of two systems, compared picture by picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vultus import catalogue
from vultus.io import images
from vultus.ops.boxes import iou

__all__ = ["agreement", "at_the_same_points"]

SAME_FACE = 0.5  # overlap from which two boxes are one face


def agreement(vultus: dict[str, Any], peer: dict[str, Any], images: int) -> dict[str, Any]:
    """Compare what two systems found on the same pictures.

    Args:
        vultus: `boxes_i` (N, 4) and `vectors_i` (N, D) of each picture i.
        peer: likewise.
        images: how many pictures.

    Returns:
        Faces of each, the shares that the other found too, and quantiles of the cosine between the vectors of faces
        that both found.
    """
    counts = np.zeros(2, int)
    matched = np.zeros(2, int)
    cosines: list[float] = []
    for i in range(images):
        a, b = vultus[f"boxes_{i}"], peer[f"boxes_{i}"]
        counts += len(a), len(b)
        if not len(a) or not len(b):
            continue
        overlap = iou(a, b)
        matched += int((overlap.max(1) > SAME_FACE).sum()), int((overlap.max(0) > SAME_FACE).sum())
        for row, column in enumerate(overlap.argmax(1)):
            mutual = overlap[:, column].argmax() == row and overlap[row, column] > SAME_FACE
            if mutual:
                cosines.append(float(vultus[f"vectors_{i}"][row] @ peer[f"vectors_{i}"][column]))
    return {
        "vultus_faces": int(counts[0]),
        "peer_faces": int(counts[1]),
        "vultus_faces_found": _share(matched[0], counts[0]),
        "peer_faces_found": _share(matched[1], counts[1]),
        "compared_vectors": len(cosines),
        "cosine_median": float(np.round(np.median(cosines), 5)) if cosines else 0.0,
        "cosine_q05": float(np.round(np.quantile(cosines, 0.05), 5)) if cosines else 0.0,
    }


def at_the_same_points(peer: dict[str, Any], paths: Sequence[Path], embedder: str = "fr_feature") -> dict[str, Any]:
    """Cosine between a peer's vectors and those of vultus when it crops at the peer's points.

    It tells differences of the crop and of the network apart from differences of the points.
    """
    network, aligner = catalogue.load(embedder), catalogue.load("similarity5")
    cosines: list[float] = []
    for i, path in enumerate(paths):
        points = peer[f"points_{i}"]
        if len(points):
            crops, _ = aligner.align(images.read(path, truncated="accept").pixels, points, network.crop)
            cosines += (network.embed(crops).vec * peer[f"vectors_{i}"]).sum(1).tolist()
    return {
        "same_points_median": float(np.round(np.median(cosines), 5)) if cosines else 0.0,
        "same_points_q05": float(np.round(np.quantile(cosines, 0.05), 5)) if cosines else 0.0,
    }


def _share(part: int, of: int) -> float:
    return round(float(part) / float(of), 4) if of else 0.0

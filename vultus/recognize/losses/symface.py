"""SymFace: the two halves of a frontal face, each made whole, are to give one vector.

Paper: Prakash et al., "SymFace: Additional Facial Symmetry Loss for Deep Face Recognition", arXiv:2409.11816: frontness
from eyes and nose, the split at the nose, the penalty on the distance of the two vectors, added to any other loss.

Differs: no code was released; the threshold of frontness, how halves are made whole and the distance are named
arguments with the likeliest reading as the default.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vultus.errors import InputError
from vultus.recognize.losses._cosines import positive
from vultus.recognize.losses._pairs import LossOut, known, mean_of

__all__ = ["SymFace"]

_MODES = ("mirror", "pad")
_DISTANCES = ("squared", "cosine")


class SymFace:
    """Aligned pictures -> two faces of halves; their vectors -> loss.

        front = frontness(points)                          # vultus.ops.points, once, with the data
        left, right = loss.split(pictures[front >= loss.threshold], nose_x)
        total = other + loss(net(left), net(right), front[front >= loss.threshold]).loss

    Args:
        weight: w; of this loss beside the other.
        threshold: frontness from which a face counts as frontal.
        mode: "mirror": a half and its mirror image; "pad": a half and black.
        distance: "squared" Euclidean of unit vectors, or "cosine": half of that.

    Raises:
        InputError: if a setting is out of range.
    """

    def __init__(
        self, weight: float = 1.0, threshold: float = 0.8, *, mode: str = "mirror", distance: str = "squared"
    ) -> None:
        positive(weight=weight)
        if not 0 <= threshold <= 1:
            raise InputError(f"threshold: expected a number from 0 to 1, got {threshold}")
        if mode not in _MODES:
            raise InputError(f"mode: expected one of {', '.join(_MODES)}; got {mode!r}")
        if distance not in _DISTANCES:
            raise InputError(f"distance: expected one of {', '.join(_DISTANCES)}; got {distance!r}")
        self.weight, self.threshold, self.mode, self.distance = weight, threshold, mode, distance

    def __repr__(self) -> str:
        return f"SymFace(weight={self.weight}, threshold={self.threshold}, {self.mode}, {self.distance})"

    def split(self, images: Tensor, nose_x: Tensor) -> tuple[Tensor, Tensor]:
        """The face made of the viewer's left half and the one made of the right half.

        Args:
            images: (N, 3, H, W) aligned pictures.
            nose_x: (N,) column of the nose tip, in pixels from the center of the first column; the axis is the nearest
                half pixel, so that mirrored columns are columns.

        Returns:
            Two pictures of the same shape; black where a mirrored half reaches beyond the picture.

        Raises:
            InputError: if shapes disagree or a nose lies outside its picture.
        """
        if images.ndim != 4 or nose_x.shape != images.shape[:1]:
            raise InputError(
                f"images, nose_x: expected (N, 3, H, W) and (N,), got {tuple(images.shape)} and {tuple(nose_x.shape)}"
            )
        width = images.shape[3]
        if not bool(((nose_x >= 0) & (nose_x <= width - 1)).all()):
            raise InputError(f"nose_x: expected columns from 0 to {width - 1}, got {nose_x.tolist()}")
        twice = (2 * nose_x.double()).round().long()[:, None]
        column = torch.arange(width, device=images.device)[None]
        mirrored = twice - column
        inside = (mirrored >= 0) & (mirrored < width)
        if self.mode == "pad":
            inside = torch.zeros_like(inside)
        index = mirrored.clamp(0, width - 1)[:, None, None].expand_as(images)
        other = torch.where(inside[:, None, None], images.gather(3, index), images.new_zeros(()))
        left, right = (2 * column <= twice)[:, None, None], (2 * column >= twice)[:, None, None]
        return torch.where(left, images, other), torch.where(right, images, other)

    def __call__(self, left: Tensor, right: Tensor, front: Tensor) -> LossOut:
        """Loss of the frontal faces of a batch.

        Args:
            left: (N, D) vectors of the faces of left halves; they are normalized here.
            right: (N, D) vectors of the faces of right halves.
            front: (N,) frontness from 0 to 1; a face below the threshold counts for nothing.

        Returns:
            weight times the mean over frontal faces of frontness times distance, in float32 (float64 for float64), 0
            where there is none; `frontal`, their share, and `spread`, the variance of the vectors: when it nears 0, the
            network gives everybody one vector.

        Raises:
            InputError: if shapes disagree, a vector is not finite or frontness is out of range.
        """
        if left.shape != right.shape or front.shape != left.shape[:1]:
            raise InputError(
                f"left, right, front: expected (N, D) twice and (N,), got {tuple(left.shape)}, {tuple(right.shape)} "
                f"and {tuple(front.shape)}"
            )
        if not bool(((front >= 0) & (front <= 1)).all()):
            raise InputError("front: expected numbers from 0 to 1; vultus.ops.points.frontness gives them")
        every = torch.zeros(len(left), dtype=torch.long, device=left.device)
        a, b = known(left, every, unit=True)[0], known(right, every, unit=True)[0]
        frontal = front >= self.threshold
        distance = (a - b)[frontal].square().sum(dim=1) * (0.5 if self.distance == "cosine" else 1.0)
        terms = front[frontal].to(a.dtype) * distance
        spread = a.detach().var(dim=0, correction=0).sum().item() if len(a) else 0.0
        share = frontal.double().mean().item() if len(a) else 0.0
        return LossOut(self.weight * mean_of(terms, left), {"frontal": share, "spread": spread})

"""SphereFace: the angle to the own center, times a factor.

Papers: Liu et al., "SphereFace: Deep Hypersphere Embedding for Face Recognition", CVPR 2017, arXiv:1704.08063, the
A-Softmax loss, blended with the softmax during training as in the authors' code (wy1iu/sphereface,
train/code/sphereface_model.prototxt); Liu et al., "SphereFace Revived: Unifying Hyperspherical Face Recognition",
arXiv:2109.05565, with vectors of one length and the gradient passed straight, as in ydwen/opensphere.

Differs: nothing known.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vultus.errors import InputError
from vultus.recognize.losses._cosines import cross_entropy, lengths, opened, own, placed, positive
from vultus.recognize.losses._pairs import finite

__all__ = ["SphereFace", "SphereFaceRevived"]


class SphereFace:
    """Cosines to class centers and norms -> logits -> loss. Keeps the contract of class losses.

    Args:
        margin: m, a whole number from 1; the angle to the own center is multiplied by it.
        blend: lambda; how many parts of plain softmax one part of the margin is mixed with. Alone, the margin does not
            train from scratch: start high and set `blend` to `blend_at(step)` as training goes on.

    Raises:
        InputError: if the margin is no whole number from 1 or the blend is negative.
    """

    needs_norm = True

    def __init__(self, margin: int = 4, blend: float = 5.0) -> None:
        if margin != int(margin) or margin < 1:
            raise InputError(f"margin: expected a whole number from 1, got {margin}")
        finite("blend", blend, 0)
        self.margin, self.blend = margin, blend

    def __repr__(self) -> str:
        return f"SphereFace(margin={self.margin}, blend={self.blend})"

    @staticmethod
    def blend_at(step: int, start: float = 1000.0, rate: float = 0.12, power: float = 1.0, least: float = 5.0) -> float:
        """The released schedule of `blend`: start (1 + rate step)^-power, and never below `least`."""
        return max(least, start * math.pow(1 + rate * step, -power))

    def logits(self, cos: Tensor, labels: Tensor, *, norm: Tensor | None = None, raw: Tensor | None = None) -> Tensor:
        """Logits in float32 (float64 for float64).

        Args:
            cos: (N, C) cosines to the centers that are here.
            labels: (N,) own center, -1 where it is not here: no margin in that row.
            norm: (N,) or (N, 1) lengths of the vectors.
            raw: not used.

        Returns:
            (N, C): norm (blend cos + psi(theta)) / (blend + 1) at the own center, norm cos elsewhere, where psi is
            cos(m theta) made to fall over the whole half turn.

        Raises:
            InputError: if shapes disagree, norms are missing, a number is NaN, or a label names no center.
        """
        wide = opened(cos, labels)
        near = own(wide, labels)
        mixed = (self.blend * near + _falling(near, self.margin)) / (self.blend + 1)
        return lengths(norm, wide)[:, None] * placed(wide, labels, mixed)

    def reduce(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean cross entropy over the rows whose own center is here; 0 where there is none."""
        return cross_entropy(logits, labels)


class SphereFaceRevived:
    """Cosines to class centers -> logits -> loss. Keeps the contract of class losses.

    Args:
        scale: s; logits are s times cosines.
        margin: m, from 1; the angle to the own center is multiplied by it.

    Raises:
        InputError: if the scale is not positive or the margin is below 1.
    """

    needs_norm = False

    def __init__(self, scale: float = 30.0, margin: float = 1.7) -> None:
        positive(scale=scale)
        finite("margin", margin, 1)
        self.scale, self.margin = scale, margin

    def __repr__(self) -> str:
        return f"SphereFaceRevived(scale={self.scale}, margin={self.margin})"

    def logits(self, cos: Tensor, labels: Tensor, *, norm: Tensor | None = None, raw: Tensor | None = None) -> Tensor:
        """Logits in float32 (float64 for float64); `norm` and `raw` are not used, errors are as in `SphereFace.logits`.

        Returns:
            (N, C): s psi(theta) at the own center, s cos elsewhere; the gradient passes psi unchanged.
        """
        wide = opened(cos, labels)
        near = own(wide, labels)
        return self.scale * placed(wide, labels, near + (_falling(near, self.margin) - near).detach())

    def reduce(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean cross entropy over the rows whose own center is here; 0 where there is none."""
        return cross_entropy(logits, labels)


def _falling(cos: Tensor, margin: float) -> Tensor:
    """psi(theta) = (-1)^k cos(m theta) - 2k for theta in [k pi / m, (k + 1) pi / m]."""
    angle = margin * torch.acos(cos)
    turns = (angle.detach() / math.pi).floor()
    return (1 - 2 * (turns % 2)) * torch.cos(angle) - 2 * turns

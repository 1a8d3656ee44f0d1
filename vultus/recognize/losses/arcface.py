"""ArcFace: a margin added to the angle to the own center, and the combined margin of the same paper.

Paper: Deng et al., "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", CVPR 2019, arXiv:1801.07698,
equations 3 and 4; scale 64 and margin 0.5 are those of its section 3.1. The released code (InsightFace,
recognition/arcface_torch/losses.py) had two forms, and both are here: until 2022 with the gradient of cos(theta + m),
which goes on as a straight line beyond theta + m = pi; since then the gradient passes the margin unchanged.

Differs: nothing known.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vultus.errors import InputError
from vultus.recognize.losses._cosines import cross_entropy, opened, own, placed, positive

__all__ = ["ArcFace", "CombinedMargin"]


class ArcFace:
    """Cosines to class centers -> logits with an angular margin -> loss. Keeps the contract of class losses.

    Args:
        scale: s; logits are s times cosines.
        margin: m in radians, from 0 to below pi; added to the angle to the own center.
        straight: the gradient passes the margin unchanged, as if the own logit were s cos; and no straight line
            beyond pi.

    Raises:
        InputError: if the scale is not positive or the margin is out of range.
    """

    needs_norm = False

    def __init__(self, scale: float = 64.0, margin: float = 0.5, *, straight: bool = False) -> None:
        positive(scale=scale)
        if not 0 <= margin < math.pi:
            raise InputError(f"margin: expected radians from 0 to below pi, got {margin}")
        self.scale, self.margin, self.straight = scale, margin, straight

    def __repr__(self) -> str:
        return f"ArcFace(scale={self.scale}, margin={self.margin}, straight={self.straight})"

    def logits(self, cos: Tensor, labels: Tensor, *, norm: Tensor | None = None, raw: Tensor | None = None) -> Tensor:
        """Logits in float32 (float64 for float64).

        Args:
            cos: (N, C) cosines to the centers that are here.
            labels: (N,) own center, -1 where it is not here: no margin in that row.
            norm: not used.
            raw: not used.

        Returns:
            (N, C): s cos(theta + m) at the own center, s cos elsewhere.

        Raises:
            InputError: if shapes disagree, a cosine is NaN, or a label names no center.
        """
        wide = opened(cos, labels)
        near = own(wide, labels)
        if self.straight:
            near = near + (torch.cos(torch.acos(near) + self.margin) - near).detach()
        else:
            moved = near * math.cos(self.margin) - (1 - near * near).sqrt() * math.sin(self.margin)  # eq. 3
            line = near - self.margin * math.sin(self.margin)
            near = torch.where(near > -math.cos(self.margin), moved, line)
        return self.scale * placed(wide, labels, near)

    def reduce(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean cross entropy over the rows whose own center is here; 0 where there is none."""
        return cross_entropy(logits, labels)


class CombinedMargin:
    """Cosines to class centers -> logits with all three margins -> loss. Keeps the contract of class losses.

    Args:
        scale: s; logits are s times cosines.
        multiply: m1; times the angle to the own center.
        add: m2 in radians; added to that.
        subtract: m3; taken from its cosine.

    Raises:
        InputError: if the scale is not positive, m1 is below 0 or another margin is not finite.
    """

    needs_norm = False

    def __init__(self, scale: float = 64.0, multiply: float = 1.0, add: float = 0.3, subtract: float = 0.2) -> None:
        positive(scale=scale, multiply=multiply)
        if not (math.isfinite(add) and math.isfinite(subtract)):
            raise InputError(f"add, subtract: expected finite numbers, got {add} and {subtract}")
        self.scale, self.multiply, self.add, self.subtract = scale, multiply, add, subtract

    def __repr__(self) -> str:
        return f"CombinedMargin(scale={self.scale}, {self.multiply}, {self.add}, {self.subtract})"

    def logits(self, cos: Tensor, labels: Tensor, *, norm: Tensor | None = None, raw: Tensor | None = None) -> Tensor:
        """Logits in float32 (float64 for float64); arguments and errors as in `ArcFace.logits`.

        Returns:
            (N, C): s (cos(m1 theta + m2) - m3) at the own center, s cos elsewhere.
        """
        wide = opened(cos, labels)
        angle = torch.acos(own(wide, labels))
        return self.scale * placed(wide, labels, torch.cos(self.multiply * angle + self.add) - self.subtract)  # eq. 4

    def reduce(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean cross entropy over the rows whose own center is here; 0 where there is none."""
        return cross_entropy(logits, labels)

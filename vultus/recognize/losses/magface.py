"""MagFace: the norm of the vector becomes a quality, by a margin that grows with it and a cost of being small.

Paper: Meng et al., "MagFace: A Universal Representation for Face Recognition and Quality Assessment", CVPR 2021,
arXiv:2103.06627; bounds, margins and the weight of the cost are those of the authors' code (IrvingMeng/MagFace,
run/run.sh), as is the margin that acts only on vectors within a right angle of their center.

Differs: nothing known.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vultus.errors import InputError
from vultus.recognize.losses._cosines import cross_entropy, lengths, opened, own, placed, positive
from vultus.recognize.losses._pairs import finite

__all__ = ["MagFace"]


class MagFace:
    """Cosines to class centers and norms -> logits -> loss. Keeps the contract of class losses.

    `logits` keeps the cost of its norms for the `reduce` that follows it; each call of one needs one of the other.

    Args:
        scale: s; logits are s times cosines.
        norms: least and greatest norm; what lies outside counts as the nearer.
        margins: radians at these two norms, linear in between.
        weight: lambda; of the cost 1 / a + a / greatest^2 of a norm a.
        easy: the margin acts only where the cosine to the own center is above 0, as released.

    Raises:
        InputError: if the scale is not positive or the norms or margins do not rise.
    """

    needs_norm = True

    def __init__(
        self,
        scale: float = 64.0,
        norms: tuple[float, float] = (10.0, 110.0),
        margins: tuple[float, float] = (0.45, 0.8),
        weight: float = 35.0,
        *,
        easy: bool = True,
    ) -> None:
        positive(scale=scale)
        finite("weight", weight, 0)
        if not 0 < norms[0] < norms[1] < math.inf:
            raise InputError(f"norms: expected two that rise from above 0, got {norms}")
        if not 0 <= margins[0] <= margins[1] < math.pi / 2:
            raise InputError(f"margins: expected two that do not fall, from 0 to below pi / 2, got {margins}")
        self.scale, self.norms, self.margins, self.weight, self.easy = scale, norms, margins, weight, easy
        self._cost: Tensor | None = None

    def __repr__(self) -> str:
        return f"MagFace(scale={self.scale}, norms={self.norms}, margins={self.margins}, weight={self.weight})"

    def cost(self, norm: Tensor) -> Tensor:
        """G of each norm, of any shape: it falls up to the greatest norm, where its slope is 0."""
        safe = norm.clamp(*self.norms)
        return 1 / safe + safe / self.norms[1] ** 2

    def logits(self, cos: Tensor, labels: Tensor, *, norm: Tensor | None = None, raw: Tensor | None = None) -> Tensor:
        """Logits in float32 (float64 for float64).

        Args:
            cos: (N, C) cosines to the centers that are here.
            labels: (N,) own center, -1 where it is not here: no margin and no cost in that row.
            norm: (N,) or (N, 1) lengths of the vectors; the gradient reaches them by the margin and by the cost.
            raw: not used.

        Returns:
            (N, C): s cos(theta + m(a)) at the own center, s cos elsewhere.

        Raises:
            InputError: if shapes disagree, norms are missing, a number is NaN, or a label names no center.
        """
        wide = opened(cos, labels)
        found = lengths(norm, wide)
        here = labels >= 0
        self._cost = torch.where(here, self.cost(found), 0.0).sum() / here.sum().clamp(min=1)
        slope = (self.margins[1] - self.margins[0]) / (self.norms[1] - self.norms[0])
        margin = self.margins[0] + slope * (found.clamp(*self.norms) - self.norms[0])
        near = own(wide, labels)
        moved = near * torch.cos(margin) - (1 - near * near).sqrt() * torch.sin(margin)
        if self.easy:
            moved = torch.where(near > 0, moved, near)
        else:
            line = near - margin * torch.sin(margin)
            moved = torch.where(near > -torch.cos(margin), moved, line)
        return self.scale * placed(wide, labels, moved)

    def reduce(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean cross entropy and weighted cost of the norms over the rows whose own center is here; 0 without one.

        Raises:
            InputError: if `logits` was not called before.
        """
        if self._cost is None:
            raise InputError("reduce: expected one call of logits before each, which keeps the cost of its norms")
        cost, self._cost = self._cost, None
        return cross_entropy(logits, labels) + self.weight * cost

"""AdaFace: a margin that asks more of clear pictures and less of poor ones, read off the norm of the vector.

Paper: Kim et al., "AdaFace: Quality Adaptive Margin for Face Recognition", CVPR 2022, arXiv:2204.00964, the indicator
of quality and the adaptive margin of section 3; margin 0.4, h 0.333 and the bounds are those of the authors' code
(mk-minchul/AdaFace, head.py). Its class takes the statistics of the batch alone, where the paper keeps a running mean
of momentum 0.99, as the code's training script does too.

Differs: a batch of one row leaves the deviation as it was, since one number has none.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from vultus.errors import InputError
from vultus.recognize.losses._cosines import EDGE, cross_entropy, lengths, opened, own, placed, positive

__all__ = ["AdaFace"]

_ANGLE = 1e-3  # moved angles are kept this far from 0 and pi
_DEVIATION = 1e-3
_NORMS = (0.001, 100.0)


class AdaFace(nn.Module):
    """Cosines to class centers and norms -> logits with an adaptive margin -> loss. Keeps the contract of class losses.

    The mean and the deviation of the norms are buffers; they move in training mode alone. No gradient reaches the norm.

    Args:
        scale: s; logits are s times cosines.
        margin: m.
        spread: h; a norm 1 / h deviations from the mean has the whole margin.
        share: of the batch in the running mean and deviation; 1 takes the batch alone.
        edge: how far cosines are kept from -1 and 1.

    Raises:
        InputError: if a setting is out of range.
    """

    needs_norm = True
    mean: Tensor
    deviation: Tensor

    def __init__(
        self, scale: float = 64.0, margin: float = 0.4, spread: float = 0.333, share: float = 0.01, edge: float = EDGE
    ) -> None:
        super().__init__()
        positive(scale=scale, spread=spread, share=share, edge=edge)
        if not 0 <= margin < math.pi / 2:
            raise InputError(f"margin: expected a number from 0 to below pi / 2, got {margin}")
        if share > 1 or edge >= 1:
            raise InputError(f"share, edge: expected at most 1 and below 1, got {share} and {edge}")
        self.scale, self.margin, self.spread, self.share, self.edge = scale, margin, spread, share, edge
        self.register_buffer("mean", torch.tensor(20.0))
        self.register_buffer("deviation", torch.tensor(100.0))

    def extra_repr(self) -> str:
        """Settings, for the printed form."""
        return f"scale={self.scale}, margin={self.margin}, spread={self.spread}, share={self.share}"

    def quality(self, norm: Tensor) -> Tensor:
        """How clear each picture is, from -1 to 1: its norm among the norms of training; nothing is learned from it.

        Args:
            norm: lengths of the vectors, of any shape.
        """
        safe = norm.detach().clamp(*_NORMS)
        mean, deviation = self.mean.to(safe.dtype), self.deviation.to(safe.dtype)
        return (self.spread * (safe - mean) / (deviation + _DEVIATION)).clamp(-1, 1)

    def logits(self, cos: Tensor, labels: Tensor, *, norm: Tensor | None = None, raw: Tensor | None = None) -> Tensor:
        """Logits in float32 (float64 for float64).

        Args:
            cos: (N, C) cosines to the centers that are here.
            labels: (N,) own center, -1 where it is not here: no margin in that row.
            norm: (N,) or (N, 1) lengths of the vectors, of every row.
            raw: not used.

        Returns:
            (N, C): s (cos(theta - m q) - m q - m) at the own center with q of `quality`, s cos elsewhere.

        Raises:
            InputError: if shapes disagree, norms are missing, a number is NaN, or a label names no center.
        """
        wide = opened(cos, labels, edge=self.edge)
        found = lengths(norm, wide)
        if self.training:
            self._keep(found.detach().clamp(*_NORMS))
        shift = self.margin * self.quality(found)
        angle = (torch.acos(own(wide, labels)) - shift).clamp(_ANGLE, math.pi - _ANGLE)
        return self.scale * placed(wide, labels, torch.cos(angle) - (shift + self.margin))

    def reduce(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean cross entropy over the rows whose own center is here; 0 where there is none."""
        return cross_entropy(logits, labels)

    def _keep(self, safe: Tensor) -> None:
        self.mean.lerp_(safe.mean().to(self.mean.dtype), self.share)
        if len(safe) > 1:
            self.deviation.lerp_(safe.std().to(self.deviation.dtype), self.share)

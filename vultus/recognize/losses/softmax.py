"""Softmax: cross entropy of norm times cosine, the baseline without a margin.

Paper: Liu et al., "SphereFace: Deep Hypersphere Embedding for Face Recognition", CVPR 2017, arXiv:1704.08063, the
modified softmax loss that the paper starts from: centers of unit length, no bias.

Differs: nothing known. The softmax with free centers and bias is a linear layer and needs no file.
"""

from __future__ import annotations

from torch import Tensor

from vultus.recognize.losses._cosines import cross_entropy, lengths, opened

__all__ = ["Softmax"]


class Softmax:
    """Cosines to class centers and norms -> logits -> loss. Keeps the contract of class losses."""

    needs_norm = True

    def __repr__(self) -> str:
        return "Softmax()"

    def logits(self, cos: Tensor, labels: Tensor, *, norm: Tensor | None = None, raw: Tensor | None = None) -> Tensor:
        """Logits in float32 (float64 for float64).

        Args:
            cos: (N, C) cosines to the centers that are here.
            labels: (N,) own center, -1 where it is not here.
            norm: (N,) or (N, 1) lengths of the vectors.
            raw: not used.

        Returns:
            (N, C): norm times cosine; the gradient reaches both.

        Raises:
            InputError: if shapes disagree, norms are missing, a number is NaN, or a label names no center.
        """
        wide = opened(cos, labels)
        return lengths(norm, wide)[:, None] * wide

    def reduce(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean cross entropy over the rows whose own center is here; 0 where there is none."""
        return cross_entropy(logits, labels)

"""NormFace: the softmax over scaled cosines, which every loss with a margin becomes when the margin is 0.

Paper: Wang et al., "NormFace: L2 Hypersphere Embedding for Face Verification", MM 2017, arXiv:1704.06369, the
softmax over scaled cosines and the lower bound of its proposition 2.

Differs: the scale is fixed; the default 64 is the one that the later losses with a margin were released with.
"""

from __future__ import annotations

import math

from torch import Tensor

from vultus.errors import InputError
from vultus.recognize.losses._cosines import cross_entropy, opened, positive

__all__ = ["NormFace"]


class NormFace:
    """Cosines to class centers -> logits -> loss. Keeps the contract of class losses.

    Args:
        scale: s; logits are s times cosines.

    Raises:
        InputError: if the scale is not positive.
    """

    needs_norm = False

    def __init__(self, scale: float = 64.0) -> None:
        positive(scale=scale)
        self.scale = scale

    def __repr__(self) -> str:
        return f"NormFace(scale={self.scale})"

    def bound(self, classes: int) -> float:
        """The loss that cannot be passed with balanced data: why a scale of 1 does not train (proposition 2).

        Args:
            classes: n; at least two.

        Raises:
            InputError: if there are fewer than two classes.
        """
        if classes < 2:
            raise InputError(f"classes: expected at least two, got {classes}")
        return math.log1p((classes - 1) * math.exp(-self.scale * classes / (classes - 1)))

    def logits(self, cos: Tensor, labels: Tensor, *, norm: Tensor | None = None, raw: Tensor | None = None) -> Tensor:
        """Logits in float32 (float64 for float64).

        Args:
            cos: (N, C) cosines to the centers that are here.
            labels: (N,) own center, -1 where it is not here.
            norm: not used.
            raw: not used.

        Returns:
            (N, C): s cos.

        Raises:
            InputError: if shapes disagree, a cosine is NaN, or a label names no center.
        """
        return self.scale * opened(cos, labels)

    def reduce(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean cross entropy over the rows whose own center is here; 0 where there is none."""
        return cross_entropy(logits, labels)

"""CosFace: the large margin cosine loss.

Paper: Wang et al., "CosFace: Large Margin Cosine Loss for Deep Face Recognition", CVPR 2018, arXiv:1801.09414,
equation 4; the released settings of later authors (scale 64, margin 0.35 to 0.4) are those of its section 4.

Differs: nothing known.
"""

from __future__ import annotations

from torch import Tensor

from vultus.recognize.losses._cosines import cross_entropy, opened, own, placed, positive
from vultus.recognize.losses._pairs import finite

__all__ = ["CosFace"]


class CosFace:
    """Cosines to class centers -> logits with a margin -> loss. Keeps the contract of class losses.

    Args:
        scale: s; logits are s times cosines.
        margin: m; taken from the cosine to the own center.

    Raises:
        InputError: if the scale is not positive or the margin is negative.
    """

    needs_norm = False

    def __init__(self, scale: float = 64.0, margin: float = 0.35) -> None:
        positive(scale=scale)
        finite("margin", margin, 0)
        self.scale, self.margin = scale, margin

    def __repr__(self) -> str:
        return f"CosFace(scale={self.scale}, margin={self.margin})"

    def logits(self, cos: Tensor, labels: Tensor, *, norm: Tensor | None = None, raw: Tensor | None = None) -> Tensor:
        """Logits in float32 (float64 for float64).

        Args:
            cos: (N, C) cosines to the centers that are here.
            labels: (N,) own center, -1 where it is not here: no margin in that row.
            norm: not used.
            raw: not used.

        Returns:
            (N, C): s (cos - m) at the own center, s cos elsewhere.

        Raises:
            InputError: if shapes disagree, a cosine is NaN, or a label names no center.
        """
        wide = opened(cos, labels)
        return self.scale * placed(wide, labels, own(wide, labels) - self.margin)  # eq. 4

    def reduce(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean cross entropy over the rows whose own center is here; 0 where there is none."""
        return cross_entropy(logits, labels)

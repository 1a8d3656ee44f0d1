"""SphereFace2: one binary classifier per class, no softmax.

Paper: Wen et al., "SphereFace2: Binary Classification is All You Need for Deep Face Recognition", ICLR 2022,
arXiv:2108.01513, equation 5; settings, the straight gradient and the start of the bias are those of the authors'
code (opensphere, model/head/sphereface2.py, margin types C, A and M).

Differs: nothing known.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from vultus.errors import InputError
from vultus.recognize.losses._cosines import opened, own, placed, positive

__all__ = ["SphereFace2"]

_FORMS = ("C", "A", "M")
_ANGLE = 1e-5  # moved angles are kept this far from 0 and pi


class SphereFace2(nn.Module):
    """Cosines to class centers -> logits of independent classifiers -> loss. Keeps the contract of class losses.

    Classes meet in a sum and in nothing else: where centers are split, each part reduces its own logits and the losses
    are added, and so are the gradients of `bias`, the one number that is learned here.

    Args:
        classes: C, of all parts together; the bias starts where the loss of vectors at right angles to all centers
            is lowest.
        scale: r.
        margin: m; of similarities in form C, radians added in A, a factor of the angle in M.
        power: t; g(z) = 2 ((z + 1) / 2)^t - 1 spreads the similarities.
        balance: lambda; share of the positive term.
        weight: of the loss.
        form: "C", "A" or "M": how the margin acts.
        straight: the gradient passes g and the margin unchanged, as released.

    Raises:
        InputError: if there are fewer than two classes or a setting is out of range.
    """

    needs_norm = False

    def __init__(
        self,
        classes: int,
        scale: float = 40.0,
        margin: float = 0.4,
        power: float = 3.0,
        balance: float = 0.7,
        weight: float = 50.0,
        *,
        form: str = "C",
        straight: bool = True,
    ) -> None:
        super().__init__()
        positive(scale=scale, power=power, weight=weight)
        if classes < 2:
            raise InputError(f"classes: expected at least two, got {classes}")
        if not 0 < balance < 1:
            raise InputError(f"balance: expected a share between 0 and 1, got {balance}")
        if form not in _FORMS:
            raise InputError(f"form: expected one of {', '.join(_FORMS)}; got {form!r}")
        if not (math.isfinite(margin) and margin >= (1 if form == "M" else 0)):
            raise InputError(f"margin: expected a number from {1 if form == 'M' else 0}, got {margin}")
        self.classes, self.scale, self.margin, self.power = classes, scale, margin, power
        self.balance, self.weight, self.form, self.straight = balance, weight, form, straight
        self.bias = nn.Parameter(torch.tensor(self._start()))

    def extra_repr(self) -> str:
        """Settings, for the printed form."""
        return f"classes={self.classes}, scale={self.scale}, margin={self.margin}, form={self.form!r}"

    def logits(self, cos: Tensor, labels: Tensor, *, norm: Tensor | None = None, raw: Tensor | None = None) -> Tensor:
        """Logits in float32 (float64 for float64).

        Args:
            cos: (N, C) cosines to the centers that are here.
            labels: (N,) own center, -1 where it is not here: all are negatives in that row.
            norm: not used.
            raw: not used.

        Returns:
            (N, C): r (g(cos) - m) + b at the own center, r (g(cos) + m) + b elsewhere; in the forms A and M the margin
            acts on the own angle alone.

        Raises:
            InputError: if shapes disagree, a cosine is NaN, or a label names no center.
        """
        wide = opened(cos, labels)
        moved = self._moved(wide.detach() if self.straight else wide, labels)
        if self.straight:
            moved = wide + (moved - wide.detach())
        return self.scale * moved + self.bias.to(wide.dtype)

    def reduce(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean over rows of a weighted sum: log(1 + exp(-logit)) at the own center, log(1 + exp(logit)) elsewhere."""
        terms = (1 - self.balance) * functional.softplus(logits)
        terms = placed(terms, labels, self.balance * functional.softplus(-own(logits, labels)))  # eq. 5
        return terms.sum() * (self.weight / (self.scale * len(labels)))

    def _moved(self, cos: Tensor, labels: Tensor) -> Tensor:
        if self.form == "C":
            spread = self._g(cos)
            return placed(spread + self.margin, labels, own(spread, labels) - self.margin)
        angle = torch.acos(own(cos, labels))
        angle = angle + self.margin if self.form == "A" else angle * self.margin
        return self._g(placed(cos, labels, torch.cos(angle.clamp(_ANGLE, math.pi - _ANGLE))))

    def _g(self, z: Tensor) -> Tensor:
        return 2 * ((z + 1) / 2).pow(self.power) - 1

    def _start(self) -> float:
        """The bias at which the slope of the loss by the bias is 0 when every cosine is 0."""
        r, right = self.scale, math.pi / 2
        plain = 2 * math.pow(0.5, self.power) - 1
        if self.form == "C":
            mine, other = r * (plain - self.margin), r * (plain + self.margin)
        else:
            angle = min(math.pi, right + self.margin if self.form == "A" else right * self.margin)
            mine, other = r * (2 * math.pow((math.cos(angle) + 1) / 2, self.power) - 1), r * plain
        z = self.balance / ((1 - self.balance) * (self.classes - 1))
        root = math.sqrt((1 - z) ** 2 + 4 * z * math.exp(mine - other))
        if z < 1:
            return math.log(2 * z) - other - math.log(1 - z + root)
        return math.log(root + z - 1) - math.log(2) - mine  # the same, without a difference of equal numbers

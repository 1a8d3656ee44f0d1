"""Circle loss: every similarity is pulled as hard as it is far from its optimum.

Paper: Sun et al., "Circle Loss: A Unified Perspective of Pair Similarity Optimization", CVPR 2020, arXiv:2002.10857,
equation 1 (unified loss) and equations 4 to 6 (circle loss), with class labels and with pairs. Released settings of
section 4: faces 0.25 and 256, person re-identification 0.25 and 128, fine-grained retrieval 0.4 and 80.

Differs: nothing known. Weights carry no gradient, which follows from equation 10.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from vultus.errors import InputError
from vultus.recognize.losses._cosines import cross_entropy, opened, own, placed, positive
from vultus.recognize.losses._pairs import LossOut, finite, known, mean_of, products

__all__ = ["CircleClass", "CirclePair", "UnifiedPair"]


class CircleClass:
    """Cosines to class centers -> logits -> loss. Keeps the contract of class losses.

    Args:
        margin: m; the optimum of a similarity is 1 + m or -m, its boundary 1 - m or m.
        gamma: scale of the logits.

    Raises:
        InputError: if the margin is negative or gamma is not positive.
    """

    needs_norm = False

    def __init__(self, margin: float = 0.25, gamma: float = 256.0) -> None:
        positive(gamma=gamma)
        finite("margin", margin, 0)
        self.margin, self.gamma = margin, gamma

    def __repr__(self) -> str:
        return f"CircleClass(margin={self.margin}, gamma={self.gamma})"

    def logits(self, cos: Tensor, labels: Tensor, *, norm: Tensor | None = None, raw: Tensor | None = None) -> Tensor:
        """Logits in float32 (float64 for float64); their cross entropy is the circle loss with one positive.

        Args:
            cos: (N, C) cosines to the centers that are here.
            labels: (N,) own center, -1 where it is not here: all are negatives in that row.
            norm: not used.
            raw: not used.

        Returns:
            (N, C): gamma [1 + m - cos]+ (cos - 1 + m) at the own center, gamma [cos + m]+ (cos - m) elsewhere.

        Raises:
            InputError: if shapes disagree, a cosine is NaN, or a label names no center.
        """
        wide = opened(cos, labels)
        near = own(wide, labels)
        return placed(_apart(wide, self.margin, self.gamma), labels, -_alike(near, self.margin, self.gamma))

    def reduce(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean cross entropy over the rows whose own center is here; 0 where there is none."""
        return cross_entropy(logits, labels)


class _OverPairs:
    """What the two losses over pairs share: settings, vectors to similarities, similarities to a loss."""

    def __init__(self, margin: float, gamma: float, per: str) -> None:
        positive(gamma=gamma)
        finite("margin", margin, 0)
        if per not in ("anchor", "batch"):
            raise InputError(f"per: expected 'anchor' or 'batch', got {per!r}")
        self.margin, self.gamma, self.per = margin, gamma, per

    def __repr__(self) -> str:
        return f"{type(self).__name__}(margin={self.margin}, gamma={self.gamma}, per={self.per!r})"

    def __call__(self, emb: Tensor, labels: Tensor, *, miner: object = None) -> LossOut:
        """Loss of a batch.

        Args:
            emb: (N, D) vectors; they are normalized here.
            labels: (N,) who it is; -1 where nobody knows: in no pair.
            miner: not used; every pair counts, and none twice with itself.

        Returns:
            The loss in float32 (float64 for float64); `anchors` is the number of terms in the mean.

        Raises:
            InputError: if shapes disagree, a vector is not finite, or labels are no whole numbers.
        """
        unit, who = known(emb, labels, unit=True)
        alike, apart = self._exponents(products(unit, unit))
        return _unified(alike, apart, who, self.per, emb)

    def _exponents(self, similar: Tensor) -> tuple[Tensor, Tensor]:
        """(N, N) similarities to exponents, were they of one person and of two."""
        raise AssertionError("a loss says its exponents")


class CirclePair(_OverPairs):
    """Vectors with labels -> loss over their pairs. Keeps the contract of pair losses.

    Args:
        margin: m.
        gamma: scale.
        per: "anchor": each vector against its own pairs, mean over the vectors that have both kinds; "batch": all
            pairs of the batch in one sum, as in a widespread implementation.

    Raises:
        InputError: if a setting is out of range.
    """

    def __init__(self, margin: float = 0.25, gamma: float = 256.0, *, per: str = "anchor") -> None:
        super().__init__(margin, gamma, per)

    def _exponents(self, similar: Tensor) -> tuple[Tensor, Tensor]:
        return _alike(similar, self.margin, self.gamma), _apart(similar, self.margin, self.gamma)  # eq. 4


class UnifiedPair(_OverPairs):
    """Vectors with labels -> the unified loss over their pairs. Keeps the contract of pair losses.

    As gamma grows, loss / gamma becomes the triplet loss with the hardest pair of each kind; with class centers in
    place of pairs it is CosFace.

    Args:
        margin: m; by how much a similarity of one person is to be above one of two.
        gamma: scale.
        per: as in `CirclePair`.

    Raises:
        InputError: if a setting is out of range.
    """

    def __init__(self, margin: float = 0.35, gamma: float = 64.0, *, per: str = "anchor") -> None:
        super().__init__(margin, gamma, per)

    def _exponents(self, similar: Tensor) -> tuple[Tensor, Tensor]:
        return -self.gamma * similar, self.gamma * (similar + self.margin)  # eq. 1


def _alike(similar: Tensor, margin: float, gamma: float) -> Tensor:
    weight = (1 + margin - similar.detach()).clamp(min=0)  # eq. 5
    return -gamma * weight * (similar - (1 - margin))


def _apart(similar: Tensor, margin: float, gamma: float) -> Tensor:
    weight = (similar.detach() + margin).clamp(min=0)
    return gamma * weight * (similar - margin)


def _unified(alike: Tensor, apart: Tensor, who: Tensor, per: str, emb: Tensor) -> LossOut:
    """log(1 + sum exp(apart) sum exp(alike)) over the pairs of each row, or of the batch."""
    same = who[:, None] == who
    one = same & ~torch.eye(len(who), dtype=torch.bool, device=who.device)
    if per == "batch":
        upper = torch.ones_like(same).triu(diagonal=1)
        alike, apart, one, same = alike[None], apart[None], (one & upper)[None], (same | ~upper)[None]
        alike, apart, one, same = (part.flatten(1) for part in (alike, apart, one, same))
    both = one.any(dim=1) & (~same).any(dim=1)
    nothing = torch.full((), -torch.inf, dtype=alike.dtype, device=alike.device)
    near = torch.where(one, alike, nothing)[both].logsumexp(dim=1)
    far = torch.where(same, nothing, apart)[both].logsumexp(dim=1)
    terms = functional.softplus(near + far)
    return LossOut(mean_of(terms, emb), {"anchors": float(len(terms))})

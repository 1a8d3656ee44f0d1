"""Contrastive loss: pairs of one person are drawn together, pairs of two are pushed apart up to a margin.

Paper: Hadsell, Chopra and LeCun, "Dimensionality Reduction by Learning an Invariant Mapping", CVPR 2006,
doi:10.1109/CVPR.2006.100, equation 4 over all pairs of a batch.

Differs: without the factor of one half before both terms.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vultus.recognize.losses._cosines import positive
from vultus.recognize.losses._pairs import LossOut, known, mean_of, roots, squares

__all__ = ["Contrastive"]


class Contrastive:
    """Vectors with labels -> loss over their pairs. Keeps the contract of pair losses.

    Args:
        margin: m; distance beyond which two people are apart enough.
        unit: vectors are normalized here.

    Raises:
        InputError: if the margin is not positive.
    """

    def __init__(self, margin: float = 1.0, *, unit: bool = True) -> None:
        positive(margin=margin)
        self.margin, self.unit = margin, unit

    def __repr__(self) -> str:
        return f"Contrastive(margin={self.margin}, unit={self.unit})"

    def __call__(self, emb: Tensor, labels: Tensor, *, miner: object = None) -> LossOut:
        """Loss of a batch.

        Args:
            emb: (N, D) vectors.
            labels: (N,) who it is; -1 where nobody knows: in no pair.
            miner: not used; every pair counts once.

        Returns:
            The mean over pairs of d^2 for one person and [m - d]+^2 for two, in float32 (float64 for float64);
            `pairs` and the mean of each kind, `alike` and `apart`, 0 where there is none.

        Raises:
            InputError: if shapes disagree, a vector is not finite, or labels are no whole numbers.
        """
        rows, who = known(emb, labels, unit=self.unit)
        first, second = torch.triu_indices(len(rows), len(rows), offset=1, device=emb.device)
        squared = squares(rows, rows)[first, second]
        same = who[first] == who[second]
        terms = torch.where(same, squared, (self.margin - roots(squared)).clamp(min=0).square())  # eq. 4
        kinds = {
            name: terms.detach()[chosen].mean().item() if chosen.any() else 0.0
            for name, chosen in (("alike", same), ("apart", ~same))
        }
        return LossOut(mean_of(terms, emb), {"pairs": float(len(terms)), **kinds})

"""Triplet loss: one person's vectors are nearer to each other than to anybody else's, by a margin.

Papers: Schroff et al., "FaceNet: A Unified Embedding for Face Recognition and Clustering", CVPR 2015, arXiv:1503.03832,
equation 3 with the online selection of section 3.2; Hermans et al., "In Defense of the Triplet Loss for Person
Re-Identification", arXiv:1703.07737, whose recommended form is the soft margin over the hardest triplets with plain
distances.

Differs: FaceNet writes a sum; here it is the mean over the triplets that still violate the margin, so that the step
does not shrink with the share of solved ones.
"""

from __future__ import annotations

from torch import Tensor

from vultus.recognize.losses._miners import Miner, miner_of
from vultus.recognize.losses._pairs import LossOut, finite, hinges, known, roots, squares

__all__ = ["Triplet"]


class Triplet:
    """Vectors with labels -> loss over triplets. Keeps the contract of pair losses.

    Args:
        margin: alpha; in the unit of the distance. Not used when `soft`.
        miner: "semi_hard", "batch_hard", "batch_all", "hardest_negative", "random", "distance_weighted" (128 numbers,
            squared distances) or "curriculum", or a callable that takes (N, N) distances and (N,) labels and gives
            three index vectors.
        squared: squared distances, else plain ones.
        soft: log(1 + exp(x)) in place of the hinge; then every triplet counts in the mean.
        unit: vectors are normalized here.

    Raises:
        InputError: if the margin is negative or no miner has that name.
    """

    def __init__(
        self,
        margin: float = 0.2,
        miner: Miner | str = "semi_hard",
        *,
        squared: bool = True,
        soft: bool = False,
        unit: bool = True,
    ) -> None:
        finite("margin", margin, 0)
        self.margin, self.miner = margin, miner_of(miner)
        self.squared, self.soft, self.unit = squared, soft, unit

    def __repr__(self) -> str:
        return f"Triplet(margin={self.margin}, {type(self.miner).__name__}, squared={self.squared}, soft={self.soft})"

    def __call__(self, emb: Tensor, labels: Tensor, *, miner: Miner | str | None = None) -> LossOut:
        """Loss of a batch.

        Args:
            emb: (N, D) vectors.
            labels: (N,) who it is; -1 where nobody knows: in no triplet.
            miner: in place of the one given at construction.

        Returns:
            The loss in float32 (float64 for float64), 0 where no triplet violates; `triplets` chosen and the share
            `active` that violates: when that nears 0, the miner is too easy.

        Raises:
            InputError: if shapes disagree, a vector is not finite, or labels are no whole numbers.
        """
        rows, who = known(emb, labels, unit=self.unit)
        distance = squares(rows, rows) if self.squared else roots(squares(rows, rows))
        chosen = (self.miner if miner is None else miner_of(miner))(distance.detach(), who)
        anchor, positive, negative = chosen
        gap = distance[anchor, positive] - distance[anchor, negative]
        return hinges(gap, self.margin, emb, soft=self.soft)

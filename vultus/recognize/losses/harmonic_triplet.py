"""Harmonic triplet: vectors of a new network that can be compared with those of an old one.

Paper: Schroff et al., "FaceNet: A Unified Embedding for Face Recognition and Clustering", CVPR 2015, arXiv:1503.03832,
the appendix on harmonic embeddings: triplets mix the vectors of both networks, and the negative of each pair is chosen
from both.

Differs: whether the two vectors of one picture are a pair is not written there; it is an argument, and they are.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vultus.errors import InputError
from vultus.recognize.losses._miners import Miner, miner_of
from vultus.recognize.losses._pairs import LossOut, finite, hinges, known, squares

__all__ = ["HarmonicTriplet"]


class HarmonicTriplet:
    """Vectors of a new and an old network for the same pictures -> loss; only the new one learns.

    Args:
        margin: alpha, of squared distances.
        miner: as in the triplet loss; it chooses among the vectors of both networks.
        same_picture: the new and the old vector of one picture are a pair of one person.

    Raises:
        InputError: if the margin is negative or no miner has that name.
    """

    def __init__(self, margin: float = 0.2, miner: Miner | str = "semi_hard", *, same_picture: bool = True) -> None:
        finite("margin", margin, 0)
        self.margin, self.miner, self.same_picture = margin, miner_of(miner), same_picture

    def __repr__(self) -> str:
        return f"HarmonicTriplet(margin={self.margin}, {type(self.miner).__name__}, same_picture={self.same_picture})"

    def __call__(self, emb: Tensor, labels: Tensor, *, old: Tensor, miner: Miner | str | None = None) -> LossOut:
        """Loss of a batch.

        Args:
            emb: (N, D) vectors of the new network; they are normalized here.
            labels: (N,) who it is; -1 where nobody knows: in no triplet.
            old: (N, D) vectors of the old network for the same pictures; no gradient reaches them.
            miner: in place of the one given at construction.

        Returns:
            The loss in float32 (float64 for float64) over the seven ways to fill anchor, positive and negative from
            the two networks with at least one new vector; `triplets` and `active` as in the triplet loss, and
            `mixed`, the share of triplets with vectors of both networks.

        Raises:
            InputError: if shapes disagree, a vector is not finite, or labels are no whole numbers.
        """
        if old.shape != emb.shape:
            raise InputError(
                f"old: expected {tuple(emb.shape)} as the new vectors, got {tuple(old.shape)}: both networks need the "
                "same pictures and the same size of vector"
            )
        new, who = known(emb, labels, unit=True)
        before, _ = known(old.detach(), labels, unit=True)
        rows, twice = torch.cat((new, before.to(new.dtype))), torch.cat((who, who))
        distance = squares(rows, rows)
        chosen = (self.miner if miner is None else miner_of(miner))(distance.detach(), twice)
        stacked = torch.stack(chosen)
        from_new = stacked < len(new)
        kept = from_new.any(dim=0)
        if not self.same_picture:
            kept &= stacked[0] % max(len(new), 1) != stacked[1] % max(len(new), 1)
        anchor, positive, negative = stacked[:, kept]
        out = hinges(distance[anchor, positive] - distance[anchor, negative], self.margin, emb)
        mixed = (~from_new[:, kept].all(dim=0)).double()
        return LossOut(out.loss, {**out.parts, "mixed": mixed.mean().item() if len(mixed) else 0.0})

"""Which triplets of a batch a loss is made of; each miner is called with distances and labels, and chooses by them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vultus.errors import InputError

__all__ = ["MINERS", "BatchAll", "BatchHard", "Miner", "SemiHard", "miner_of"]

Triplets = tuple[Tensor, Tensor, Tensor]  # three (T,) index vectors: anchor, positive, negative
Miner = Callable[[Tensor, Tensor], Triplets]


class SemiHard:
    """Every pair of one person, with the nearest other that is farther than the positive (FaceNet, section 3.2).

    Where no other is farther, the farthest: hard, but not the hardest, which collapses a network that knows nothing.
    """

    @torch.no_grad()
    def __call__(self, distance: Tensor, labels: Tensor) -> Triplets:
        """(N, N) distances and (N,) labels -> triplets; memory N^2."""
        one, other = _pairs(labels)
        usable = one & other.any(dim=1)[:, None]
        ranked, order = distance.masked_fill(~other, torch.inf).sort(dim=1, stable=True)
        beyond = torch.searchsorted(ranked, distance.contiguous(), right=True)  # how many others are no farther
        chosen = order.gather(1, torch.minimum(beyond, other.sum(dim=1)[:, None] - 1).clamp(min=0))
        anchor, positive = usable.nonzero(as_tuple=True)
        return anchor, positive, chosen[anchor, positive]


class BatchHard:
    """Every anchor with its farthest positive and its nearest negative (Hermans et al.)."""

    @torch.no_grad()
    def __call__(self, distance: Tensor, labels: Tensor) -> Triplets:
        """(N, N) distances and (N,) labels -> triplets; memory N^2."""
        one, other = _pairs(labels)
        anchor = (one.any(dim=1) & other.any(dim=1)).nonzero()[:, 0]
        if not len(anchor):
            return anchor, anchor, anchor
        positive = distance.masked_fill(~one, -torch.inf)[anchor].argmax(dim=1)
        negative = distance.masked_fill(~other, torch.inf)[anchor].argmin(dim=1)
        return anchor, positive, negative


class BatchAll:
    """Every triplet there is."""

    @torch.no_grad()
    def __call__(self, distance: Tensor, labels: Tensor) -> Triplets:
        """(N, N) distances and (N,) labels -> triplets; memory N^3 bits and the triplets."""
        one, other = _pairs(labels)
        anchor, positive, negative = (one[:, :, None] & other[:, None, :]).nonzero(as_tuple=True)
        return anchor, positive, negative


MINERS: dict[str, Callable[[], Miner]] = {"semi_hard": SemiHard, "batch_hard": BatchHard, "batch_all": BatchAll}


def miner_of(miner: Miner | str) -> Miner:
    """A miner by name, or the one that was handed in.

    Raises:
        InputError: if no miner has that name.
    """
    if not isinstance(miner, str):
        return miner
    if miner not in MINERS:
        raise InputError(f"miner: expected a callable or one of {', '.join(MINERS)}; got {miner!r}")
    return MINERS[miner]()


def _pairs(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Two (N, N) masks: another vector of the same person, a vector of another person."""
    same = labels[:, None] == labels
    return same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device), ~same

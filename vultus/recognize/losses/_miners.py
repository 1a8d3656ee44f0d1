"""Which triplets of a batch a loss is made of; each miner is called with distances and labels, and chooses by them."""

from __future__ import annotations

import difflib
from collections.abc import Callable

import torch
from torch import Tensor

from vultus.errors import InputError

__all__ = [
    "MINERS",
    "BatchAll",
    "BatchHard",
    "Curriculum",
    "DistanceWeighted",
    "HardestNegative",
    "Miner",
    "Random",
    "SemiHard",
    "miner_of",
]

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


class HardestNegative:
    """Every pair of one person, with the nearest other: what FaceNet warns of, kept to compare with."""

    @torch.no_grad()
    def __call__(self, distance: Tensor, labels: Tensor) -> Triplets:
        """(N, N) distances and (N,) labels -> triplets; memory N^2."""
        one, other = _pairs(labels)
        anchor, positive = (one & other.any(dim=1)[:, None]).nonzero(as_tuple=True)
        if not len(anchor):
            return anchor, anchor, anchor
        return anchor, positive, distance.masked_fill(~other, torch.inf).argmin(dim=1)[anchor]


class Random:
    """Every pair of one person, with any other, each as likely.

    Args:
        generator: of the draws, on the processor; its state is no part of a checkpoint. None is torch's own stream,
            which a run seeds and its checkpoints keep; ranks then draw triplets of their own.
    """

    def __init__(self, generator: torch.Generator | None = None) -> None:
        self.generator = generator

    @torch.no_grad()
    def __call__(self, distance: Tensor, labels: Tensor) -> Triplets:
        """(N, N) distances and (N,) labels -> triplets; memory N^2."""
        one, other = _pairs(labels)
        return _drawn(one, other.double(), self.generator)


class DistanceWeighted:
    """Every pair of one person, with an other of any distance: likelier, the rarer its distance is on the sphere.

    Wu et al., "Sampling Matters in Deep Embedding Learning", ICCV 2017, arXiv:1706.07567, section 4.1: weights 1 / q(d)
    with q(d) = d^(n - 2) (1 - d^2 / 4)^((n - 3) / 2), the density of distances between random unit vectors, cut off
    where d is small. As released, who is farther than `far` is drawn only where all are.

    Args:
        dim: n, the size of the vectors, which have unit length.
        near: smaller distances weigh as this one.
        far: larger distances cost nothing at usual margins; below 2.
        squared: the distances that come are squares.
        generator: as of `Random`.

    Raises:
        InputError: if the size is below 3, or near and far are not in order from 0 to 2.
    """

    def __init__(
        self,
        dim: int = 128,
        *,
        near: float = 0.5,
        far: float = 1.4,
        squared: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        if dim < 3 or not 0 < near < far < 2:
            raise InputError(f"dim, near, far: expected 3 or more and 0 < near < far < 2, got {dim}, {near} and {far}")
        self.dim, self.near, self.far, self.squared = dim, near, far, squared
        self.generator = generator

    @torch.no_grad()
    def __call__(self, distance: Tensor, labels: Tensor) -> Triplets:
        """(N, N) distances and (N,) labels -> triplets; memory N^2."""
        one, other = _pairs(labels)
        wide = distance.double()
        d = wide.clamp(min=0).sqrt() if self.squared else wide
        close = other & (d < self.far)
        inside = d.clamp(self.near, self.far)
        weight = (2 - self.dim) * inside.log() + (3 - self.dim) / 2 * (1 - inside**2 / 4).log()
        weight = weight.masked_fill(~close, -torch.inf)
        top = weight.amax(dim=1, keepdim=True) if len(weight) else weight  # of each anchor: exp stays in range
        share = (weight - top.nan_to_num(neginf=0.0)).exp()
        return _drawn(one, torch.where(close.any(dim=1, keepdim=True), share, other.double()), self.generator)


class Curriculum:
    """Every pair of one person, with the other at one rank of hardness, which training raises.

    Nagrani et al., "Learnable PINs", ECCV 2018, arXiv:1805.00833: others are sorted by distance, and tau goes from 0.3
    to 0.8 in steps of 0.1; the hardest are left out, since some of them are wrong labels.

    Args:
        tau: 0 is the farthest other, 1 the nearest; the nearest rank between. May be set while training.

    Raises:
        InputError: if tau is not from 0 to 1.
    """

    def __init__(self, tau: float = 0.3) -> None:
        self.tau = tau
        self._checked()

    @torch.no_grad()
    def __call__(self, distance: Tensor, labels: Tensor) -> Triplets:
        """(N, N) distances and (N,) labels -> triplets; memory N^2."""
        self._checked()
        one, other = _pairs(labels)
        anchor, positive = (one & other.any(dim=1)[:, None]).nonzero(as_tuple=True)
        if not len(anchor):
            return anchor, anchor, anchor
        order = distance.masked_fill(~other, -torch.inf).sort(dim=1, descending=True, stable=True).indices
        rank = (self.tau * (other.sum(dim=1) - 1).clamp(min=0).double()).round().long()
        return anchor, positive, order.gather(1, rank[:, None])[anchor, 0]

    def _checked(self) -> None:
        if not 0 <= self.tau <= 1:
            raise InputError(f"tau: expected a share from 0 (farthest) to 1 (nearest), got {self.tau}")


MINERS: dict[str, Callable[[], Miner]] = {
    "semi_hard": SemiHard,
    "batch_hard": BatchHard,
    "batch_all": BatchAll,
    "hardest_negative": HardestNegative,
    "random": Random,
    "distance_weighted": DistanceWeighted,
    "curriculum": Curriculum,
}


def miner_of(miner: Miner | str) -> Miner:
    """A miner by name, or the one that was handed in.

    Raises:
        InputError: if no miner has that name.
    """
    if not isinstance(miner, str):
        return miner
    if miner not in MINERS:
        near = difflib.get_close_matches(miner, MINERS, n=1, cutoff=0.0)[0]
        raise InputError(
            f"miner: expected a callable or one of {', '.join(MINERS)}; got {miner!r}, the nearest is {near!r}"
        )
    return MINERS[miner]()


def _pairs(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Two (N, N) masks: another vector of the same person, a vector of another person."""
    same = labels[:, None] == labels
    return same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device), ~same


def _drawn(one: Tensor, weight: Tensor, generator: torch.Generator | None) -> Triplets:
    """Every pair of `one`, with a column drawn by the (N, N) float64 weights of the anchor's row."""
    usable = one & (weight.sum(dim=1) > 0)[:, None]
    anchor, positive = usable.nonzero(as_tuple=True)
    if not len(anchor):
        return anchor, anchor, anchor
    total = weight.cumsum(dim=1)
    place = torch.rand(weight.shape, generator=generator).to(total)  # float32 below 1: the product stays below total
    chosen = torch.searchsorted(total, place * total[:, -1:], right=True)
    return anchor, positive, chosen[anchor, positive]

"""What every loss over pairs or triplets of vectors starts from and ends with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from vultus.errors import InputError

__all__ = ["LossOut", "finite", "hinges", "known", "mean_of", "products", "roots", "squares"]


@dataclass(frozen=True, slots=True)
class LossOut:
    """What a loss over pairs gives.

    Attributes:
        loss: scalar with gradient; 0 where the batch holds no pair or triplet.
        parts: numbers for the log, by name.
    """

    loss: Tensor
    parts: Mapping[str, float] = field(default_factory=dict)


def known(emb: Tensor, labels: Tensor, *, unit: bool) -> tuple[Tensor, Tensor]:
    """Rows whose person is known, in float32 (float64 for float64), and their labels.

    Args:
        emb: (N, D) vectors.
        labels: (N,) who it is; -1 where nobody knows, and such a row is in no pair.
        unit: give the rows unit length.

    Raises:
        InputError: if shapes disagree, labels are no whole numbers or below -1, or a vector is not finite.
    """
    if emb.ndim != 2 or labels.shape != emb.shape[:1]:
        raise InputError(f"emb, labels: expected (N, D) and (N,), got {tuple(emb.shape)} and {tuple(labels.shape)}")
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise InputError(f"labels: expected whole numbers, got {labels.dtype}")
    if len(labels) and int(labels.min()) < -1:
        raise InputError(f"labels: expected -1 (nobody known) or more, got {int(labels.min())}")
    if not bool(torch.isfinite(emb).all()):
        bad = (~torch.isfinite(emb)).any(dim=1).nonzero()[:, 0].tolist()
        raise InputError(f"emb: expected finite numbers; rows {bad[:5]} are not: check the network and its input")
    rows = labels >= 0
    wide = (emb if emb.dtype == torch.float64 else emb.float())[rows]
    return functional.normalize(wide, dim=1) if unit else wide, labels[rows]


def products(a: Tensor, b: Tensor) -> Tensor:
    """(N, M) inner products, in the precision of the rows also inside autocast."""
    with torch.autocast(a.device.type, enabled=False):
        return a @ b.T


def squares(a: Tensor, b: Tensor) -> Tensor:
    """(N, M) squared distances, never below 0."""
    return (a.square().sum(dim=1)[:, None] + b.square().sum(dim=1) - 2 * products(a, b)).clamp(min=0)


def roots(squared: Tensor) -> Tensor:
    """Distances; the slope at 0, where there is none, is 0."""
    return squared.clamp(min=1e-12).sqrt()


def hinges(gap: Tensor, margin: float, emb: Tensor, *, soft: bool = False) -> LossOut:
    """Triplets by their (T,) gaps, positive minus negative distance: the mean of [gap + margin]+ where it is not 0.

    With `soft` it is the mean of log(1 + exp(gap)) over all. `emb` is what a loss without triplets still reaches.
    """
    terms = functional.softplus(gap) if soft else (gap + margin).clamp(min=0)
    active = terms.detach() > 0
    parts = {"triplets": float(len(gap)), "active": active.double().mean().item() if len(gap) else 0.0}
    return LossOut(mean_of(terms if soft else terms[active], emb), parts)


def mean_of(terms: Tensor, emb: Tensor) -> Tensor:
    """Mean of the terms; where there is none, a 0 that reaches the vectors, so that a step can still be taken."""
    return terms.mean() if len(terms) else emb.sum() * 0.0


def finite(what: str, value: float, low: float) -> None:
    """Refuse a setting that is not a finite number from `low`."""
    if not (math.isfinite(value) and value >= low):
        raise InputError(f"{what}: expected a number from {low:g}, got {value}")

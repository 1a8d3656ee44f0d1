"""What every backbone of the room gives, and how its numbers start; needs torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from vultus.errors import InputError

__all__ = ["FeatureOut", "features_of", "start", "taken"]


@dataclass(frozen=True, slots=True)
class FeatureOut:
    """What comes out of a backbone.

    Attributes:
        raw: (N, D) vectors as the last layer gives them.
        unit: (N, D) float32, the same with unit length.
        norm: (N, 1) float32, the lengths.
        grid: (N, C, h, w) last map before the vector, or None.
        maps: the maps that were asked for, by name.
    """

    raw: Tensor
    unit: Tensor
    norm: Tensor
    grid: Tensor | None = None
    maps: Mapping[str, Tensor] = field(default_factory=dict)


def features_of(raw: Tensor, grid: Tensor | None, maps: Mapping[str, Tensor]) -> FeatureOut:
    """The record of raw vectors; unit and norm are float32 (float64 for float64) whatever the precision of `raw`."""
    wide = raw if raw.dtype == torch.float64 else raw.float()
    norm = wide.norm(dim=1, keepdim=True)
    return FeatureOut(raw, functional.normalize(wide, dim=1), norm, grid, maps)


def taken(x: Tensor, maps: Sequence[str], size: tuple[int, int, int], known: Sequence[str]) -> None:
    """Refuse crops that are not (N, *size), and maps that a backbone does not have.

    Raises:
        InputError: if the size is another, or a map is unknown.
    """
    if x.shape[1:] != size or not set(maps) <= set(known):
        raise InputError(
            f"x, maps: expected (N, {', '.join(map(str, size))}) and names of {', '.join(known)}; "
            f"got {tuple(x.shape)} and {tuple(maps)}"
        )


def start(net: nn.Module, generator: torch.Generator) -> None:
    """Draw every weight anew from `generator`: He et al. 2015 for convolutions, Glorot and Bengio 2010 for the rest."""
    for part in net.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        elif isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight, generator=generator)
        if isinstance(part, (nn.Conv2d, nn.Linear)) and part.bias is not None:
            nn.init.zeros_(part.bias)

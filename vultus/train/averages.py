"""The running mean of weights: what is evaluated and kept where it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from vultus.contracts import Trainable

__all__ = ["Averages"]


class Averages:
    """The mean of every floating tensor of a trainable's state; whole numbers are copied.

    Args:
        trainable: what is averaged; its part that ranks split is not.
        decay: of the mean at most.
        power: above 0, the decay of step t is min(decay, 1 - (1 + t)^-power), so that the start is soon forgotten.
    """

    def __init__(self, trainable: Trainable, decay: float, power: float = 0.0) -> None:
        self.decay, self.power = decay, power
        self.tensors: dict[str, Tensor] = {name: value.clone() for name, value in trainable.state().items()}

    @torch.no_grad()
    def update(self, trainable: Trainable, step: int) -> None:
        """Move towards the weights after a step, counted from 0."""
        decay = min(self.decay, 1 - (1 + step) ** -self.power) if self.power else self.decay
        for name, value in trainable.state().items():
            if value.is_floating_point():
                self.tensors[name].lerp_(value, 1 - decay)
            else:
                self.tensors[name].copy_(value)

    @contextmanager
    def held(self, trainable: Trainable) -> Iterator[None]:
        """Inside, the trainable holds the mean; then its own weights again."""
        own = {name: value.clone() for name, value in trainable.state().items()}
        trainable.load(self.tensors)
        try:
            yield
        finally:
            trainable.load(own)

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take the tensors of a checkpoint."""
        for name, value in self.tensors.items():
            value.copy_(state[name])

"""A run while it goes on, which hooks see and checkpoints keep, and what is said of it at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.optim import Optimizer

from vultus.contracts import Trainable
from vultus.train._ranks import Ranks
from vultus.train.averages import Averages
from vultus.train.precision import Precision
from vultus.train.settings import Settings

__all__ = ["History", "Run"]

_NO_PART = ("loss", "seconds")


@dataclass(frozen=True)
class History:
    """What a run was.

    Attributes:
        loss: (steps,) of every step; the mean over its batches.
        parts: (steps,) each, by name: parts of the loss, "norm" of the gradient, "lr"; NaN where a step had none.
        evals: what hooks said, each with "step".
        seconds: that it took, of all its sittings.
    """

    loss: NDArray[np.float64]
    parts: Mapping[str, NDArray[np.float64]]
    evals: list[dict[str, float]]
    seconds: float


@dataclass
class Run:
    """A run while it goes on.

    Attributes:
        trainable, settings, optimizer, precision: of the run.
        averages: the running mean of the weights, or None.
        hooks: as given.
        ranks: which process this is, and how many there are.
        out: its folder, or None.
        step: steps that are done.
        rows: one per step: "loss", its parts, "norm" of the gradient, "lr", "seconds" since the start.
        evals: what hooks said so far, each with "step".
    """

    trainable: Trainable
    settings: Settings
    optimizer: Optimizer
    precision: Precision
    averages: Averages | None
    hooks: Sequence[Any]
    ranks: Ranks
    out: Path | None = None
    step: int = 0
    rows: list[dict[str, float]] = field(default_factory=list)
    evals: list[dict[str, float]] = field(default_factory=list)

    def due(self, every: int) -> bool:
        """Whether something is to be done after this step: every so often (0 is never), and at the end."""
        return self.step == self.settings.steps or bool(every and self.step % every == 0)

    def seconds(self) -> float:
        """That the steps took so far."""
        return self.rows[-1]["seconds"] if self.rows else 0.0

    def table(self) -> dict[str, NDArray[np.float64]]:
        """(step,) by name; NaN where a step had none."""
        names = sorted({name for row in self.rows for name in row})
        return {name: np.array([row.get(name, np.nan) for row in self.rows], np.float64) for name in names}

    def history(self) -> History:
        """What the run was so far."""
        table = self.table()
        parts = {name: column for name, column in table.items() if name not in _NO_PART}
        return History(table.get("loss", np.zeros(0)), parts, self.evals, self.seconds())

"""A run while it goes on, which hooks see and checkpoints keep, and what is said of it at the end."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from torch.optim import Optimizer

from vultus.contracts import Trainable
from vultus.train._ranks import Ranks
from vultus.train.averages import Averages
from vultus.train.precision import Precision
from vultus.train.settings import Settings

__all__ = ["History", "Rows", "Run"]

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


class Rows(Sequence[dict[str, float]]):
    """Numbers by name, a row per step, eight bytes each: a million steps are no burden.

    Args:
        columns: (steps,) by name; NaN where a row has none of that name.
    """

    def __init__(self, columns: Mapping[str, NDArray[np.float64]] | None = None) -> None:
        self._columns = {name: array("d", column.tolist()) for name, column in (columns or {}).items()}
        self._length = max((len(column) for column in self._columns.values()), default=0)

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> dict[str, float]: ...

    @overload
    def __getitem__(self, index: slice) -> list[dict[str, float]]: ...

    def __getitem__(self, index: int | slice) -> dict[str, float] | list[dict[str, float]]:
        """A row, or several: what it has, by name."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._length))]
        if not -self._length <= index < self._length:
            raise IndexError(f"expected a row of {self._length}, got {index}")
        row = {name: column[index] for name, column in self._columns.items()}
        return {name: value for name, value in row.items() if value == value}

    def append(self, row: Mapping[str, float]) -> None:
        """One row more; it may have other names than those before."""
        for name in row:
            if name not in self._columns:
                self._columns[name] = array("d", [float("nan")] * self._length)
        for name, column in self._columns.items():
            column.append(row.get(name, float("nan")))
        self._length += 1

    def columns(self) -> dict[str, NDArray[np.float64]]:
        """(steps,) by name, in the order of names."""
        return {name: np.array(self._columns[name], np.float64) for name in sorted(self._columns)}


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
    rows: Rows = field(default_factory=Rows)
    evals: list[dict[str, float]] = field(default_factory=list)

    def due(self, every: int) -> bool:
        """Whether something is to be done after this step: every so often (0 is never), and at the end."""
        return self.step == self.settings.steps or bool(every and self.step % every == 0)

    def seconds(self) -> float:
        """That the steps took so far."""
        return self.rows[-1]["seconds"] if self.rows else 0.0

    def history(self) -> History:
        """What the run was so far."""
        table = self.rows.columns()
        parts = {name: column for name, column in table.items() if name not in _NO_PART}
        return History(table.get("loss", np.zeros(0)), parts, self.evals, self.seconds())

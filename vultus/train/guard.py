"""Numbers that are none stop a run before anything is stepped, on all ranks alike, with the step and the pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from vultus.errors import WeightsError
from vultus.train._ranks import ranks_of, told

__all__ = ["finite_gradient", "finite_loss", "finite_rows"]

_SHOWN = 8


def finite_rows(step: int, part: str, rows: Tensor, batch: Mapping[str, Any]) -> None:
    """Refuse rows of a batch that are not finite.

    Args:
        step: from 0.
        part: what the rows are: "image", "vectors".
        rows: (N, ...).
        batch: with "index" (N,) where there is one.

    Raises:
        WeightsError: on every rank, if a row of any is not finite.
    """
    rows, bad = rows.detach(), []
    if not bool(
        torch.isfinite(rows.sum())
    ):  # a sum is finite only if everything is, and costs a tenth of a look at all
        fine = torch.isfinite(rows.reshape(len(rows), -1)).all(dim=1).cpu()
        bad = _indices(batch, len(rows))[~fine].tolist()
    _together(bool(bad), rows.device, f"step {step}: expected finite numbers in {part!r}, got others", bad)


def finite_loss(step: int, parts: Mapping[str, Any], batch: Mapping[str, Any]) -> dict[str, float]:
    """The parts of a loss as numbers.

    Args:
        step: from 0.
        parts: numbers or scalars by name, "loss" among them.
        batch: with "image", and "index" (N,) where there is one.

    Raises:
        WeightsError: on every rank, if a part of any is not finite.
    """
    found = {name: float(value.detach() if isinstance(value, Tensor) else value) for name, value in parts.items()}
    odd = {name: value for name, value in found.items() if not abs(value) < float("inf")}
    image = batch["image"]
    words = ", ".join(f"{name} {value}" for name, value in sorted(odd.items(), key=lambda one: one[0] == "loss"))
    every = _indices(batch, len(image)).tolist() if odd else []
    _together(bool(odd), image.device, f"step {step}: expected a finite loss, got {words}", every)
    return found


def finite_gradient(step: int, norm: float, names: Sequence[str], indices: list[int]) -> None:
    """Refuse a gradient, of all ranks together, that is not finite.

    Args:
        step: from 0.
        norm: of the gradient.
        names: of the parameters here whose gradient is not finite.
        indices: of the pictures of the step.

    Raises:
        WeightsError: if the norm is not finite.
    """
    if not norm < float("inf"):
        where = ", ".join(names[:3]) or "parameters of another rank"
        raise WeightsError(f"step {step}: expected a finite gradient, got {norm} in {where}; {_stopped(indices)}")


def _indices(batch: Mapping[str, Any], count: int) -> Tensor:
    index = batch.get("index")
    return torch.arange(count) if index is None else torch.as_tensor(index).cpu()


def _together(bad: bool, device: torch.device, words: str, indices: list[int]) -> None:
    ranks = ranks_of(None)
    where = [rank for rank, (one,) in enumerate(told((int(bad),), ranks, device)) if one]
    if bad:
        raise WeightsError(f"{words}; {_stopped(indices)}")
    if where:
        raise WeightsError(f"rank {where[0]} met numbers that are not finite, see its message; nothing was stepped")


def _stopped(indices: list[int]) -> str:
    more = f" and {len(indices) - _SHOWN} more" if len(indices) > _SHOWN else ""
    return (
        f"pictures {', '.join(map(str, indices[:_SHOWN]))}{more} of the source; nothing was stepped: "
        "lower the learning rate or look at these pictures"
    )

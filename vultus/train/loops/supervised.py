"""The loop for everything that learns from labeled batches: read it from top to bottom."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Optimizer

from vultus.contracts import Trainable
from vultus.errors import InputError, WeightsError
from vultus.train.averages import Averages
from vultus.train.guard import finite_loss
from vultus.train.optimizers import clipped, optimizer_of
from vultus.train.precision import Precision, device_of
from vultus.train.schedules import rate_at
from vultus.train.settings import Settings

__all__ = ["Batches", "History", "Run", "Settings", "fit"]

Batch = dict[str, Any]
Progress = Callable[[int, int, str], None]


class Batches(Protocol):
    """Where batches come from."""

    def batches(self, start: int) -> Iterator[Batch]:
        """Batches from number `start` on, without end; a batch depends on its number alone."""
        ...


@dataclass(frozen=True)
class History:
    """What a run was.

    Attributes:
        loss: (steps,) of every step; the mean over its batches.
        parts: (steps,) each, by name; NaN where a step had none.
        evals: what hooks said, each with "step".
        seconds: that it took, of all its sittings.
    """

    loss: NDArray[np.float64]
    parts: Mapping[str, NDArray[np.float64]]
    evals: list[dict[str, float]]
    seconds: float


@dataclass
class Run:
    """A run while it goes on: what hooks see.

    Attributes:
        trainable, settings, optimizer: of the run.
        averages: the running mean of the weights, or None.
        precision: of the network.
        step: steps that are done.
        rows: one per step: "loss", its parts, "norm" of the gradient, "lr".
        evals: what hooks said so far.
        seconds: of earlier sittings.
    """

    trainable: Trainable
    settings: Settings
    optimizer: Optimizer
    precision: Precision
    averages: Averages | None = None
    step: int = 0
    rows: list[dict[str, float]] = field(default_factory=list)
    evals: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0


def fit(
    trainable: Trainable,
    feed: Batches,
    settings: Settings,
    *,
    out: Path | None = None,
    hooks: Sequence[Any] = (),
    progress: Progress | None = None,
) -> History:
    """Train in place.

    Args:
        trainable: what learns; afterwards it holds the running mean of its weights where `settings.ema` is set.
        feed: batches by their number.
        settings: how long, how fast and how exactly.
        out: None keeps nothing on disk.
        hooks: objects with any of `on_batch(batch, step, trainable) -> batch`,
            `extra_loss(batch, out, step, trainable) -> {name: scalar}`, `on_step(step, run)` and
            `on_eval(step, run) -> {name: number}`; steps count from 0 before a step, from 1 after it.
        progress: told (steps done, steps, the loss in words).

    Raises:
        WeightsError: a loss or a gradient is not finite; nothing of that step is applied.
        InputError: the device or precision is not there, or there is nothing to train.
    """
    if out is not None:
        raise InputError(f"out: expected None, got {out}: this version keeps no folder")
    started = time.monotonic()
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(range(torch.cuda.device_count()) if settings.device != "cpu" else ()))
        torch.manual_seed(settings.seed)  # noqa: TID251  (layers that drop units take no generator)
        run = _begin(trainable, settings)
        stream = feed.batches(run.step * settings.accumulate)
        while run.step < settings.steps:
            row = _step(run, stream, hooks)
            run.step += 1
            run.rows.append(row)
            _told(hooks, "on_step", run)
            if _due(settings.eval_every, run):
                _evaluate(run, hooks)
            if progress is not None and _due(settings.log_every, run):
                recent = np.mean([one["loss"] for one in run.rows[-50:]])
                progress(run.step, settings.steps, f"loss {recent:.3f}")
    if run.averages is not None:
        trainable.load(run.averages.tensors)
    return _history(run, run.seconds + time.monotonic() - started)


def _begin(trainable: Trainable, settings: Settings) -> Run:
    device = device_of(settings.device)
    move = getattr(trainable, "to", None)
    if move is not None:
        move(device)
    optimizer = optimizer_of(trainable.parameter_groups(), settings)
    averages = Averages(trainable, settings.ema, settings.ema_power) if settings.ema else None
    follow = getattr(trainable, "follow", None)
    if follow is not None:
        follow(optimizer)
    return Run(trainable, settings, optimizer, Precision(settings.precision, device), averages)


def _step(run: Run, stream: Iterator[Batch], hooks: Sequence[Any]) -> dict[str, float]:
    """One step of the optimizer; its row of the log."""
    settings, share = run.settings, 1 / run.settings.accumulate
    factor = rate_at(settings, run.step)
    for group in run.optimizer.param_groups:
        group["lr"] = settings.lr * factor
    run.optimizer.zero_grad(set_to_none=True)
    row: dict[str, float] = {}
    indices: list[int] = []
    for _ in range(settings.accumulate):
        batch = _prepared(next(stream), run, hooks)
        with run.precision.cast():
            total, parts = _losses(batch, run, hooks)
        for name, value in finite_loss(run.step, {**parts, "loss": total}, batch).items():
            row[name] = row.get(name, 0.0) + value * share
        (total * (share * run.precision.scale)).backward()  # type: ignore[no-untyped-call]
        indices += torch.as_tensor(batch.get("index", ())).tolist()
    settle = getattr(run.trainable, "settle", None)
    if settle is not None:
        settle()
    return {**row, "norm": _applied(run, indices), "lr": settings.lr * factor}


def _prepared(batch: Batch, run: Run, hooks: Sequence[Any]) -> Batch:
    device = torch.device(run.settings.device)
    batch = {name: one.to(device) if isinstance(one, Tensor) else one for name, one in batch.items()}
    for hook in hooks:
        if hasattr(hook, "on_batch"):
            batch = hook.on_batch(batch, run.step, run.trainable)
    return batch


def _losses(batch: Batch, run: Run, hooks: Sequence[Any]) -> tuple[Tensor, dict[str, Any]]:
    out = run.trainable.loss(batch, run.step)
    total, parts = out.total, dict(out.parts)
    for hook in hooks:
        if hasattr(hook, "extra_loss"):
            if out.features is None:
                raise InputError(f"hooks: {type(hook).__name__} adds a loss of features, and this trainable gives none")
            for name, value in hook.extra_loss(batch, out.features, run.step, run.trainable).items():
                total, parts[name] = total + value, value
    return total, parts


def _applied(run: Run, indices: list[int]) -> float:
    """Clip and step; the norm of the gradient before."""
    if run.precision.scale != 1:
        for group in run.optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.grad.div_(run.precision.scale)
    norm, odd = clipped(run.optimizer, run.settings.clip)
    if run.precision.skipped(norm < float("inf")):
        return norm
    if not norm < float("inf"):
        shown = ", ".join(map(str, indices[:8]))
        raise WeightsError(
            f"step {run.step}: expected a finite gradient, got {norm} in {', '.join(odd[:3]) or 'another rank'}; "
            f"pictures {shown} and on, {len(indices)} in all; nothing was stepped: lower the learning rate "
            f"({run.settings.lr:g})"
        )
    run.optimizer.step()
    if run.averages is not None:
        run.averages.update(run.trainable, run.step)
    return norm


def _evaluate(run: Run, hooks: Sequence[Any]) -> None:
    with ExitStack() as stack:
        if run.averages is not None:
            stack.enter_context(run.averages.held(run.trainable))
        found: dict[str, float] = {}
        for hook in hooks:
            if hasattr(hook, "on_eval"):
                found |= hook.on_eval(run.step, run) or {}
    if found:
        run.evals.append({"step": run.step, **found})


def _told(hooks: Sequence[Any], what: str, run: Run) -> None:
    for hook in hooks:
        if hasattr(hook, what):
            getattr(hook, what)(run.step, run)


def _due(every: int, run: Run) -> bool:
    return run.step == run.settings.steps or bool(every and run.step % every == 0)


def _history(run: Run, seconds: float) -> History:
    names = sorted({name for row in run.rows for name in row} - {"loss"})
    table = {name: np.array([row.get(name, np.nan) for row in run.rows]) for name in ("loss", *names)}
    return History(table.pop("loss"), table, run.evals, seconds)

"""The loop for everything that learns from labeled batches: read it from top to bottom."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from vultus.contracts import Trainable
from vultus.errors import InputError, StoreError, WeightsError
from vultus.train import checkpoint
from vultus.train._ranks import ranks_of, told
from vultus.train.averages import Averages
from vultus.train.guard import finite_gradient, finite_loss
from vultus.train.journal import Journal
from vultus.train.optimizers import clipped, optimizer_of
from vultus.train.precision import Precision, device_of
from vultus.train.random_states import seeded_streams
from vultus.train.run import History, Run
from vultus.train.schedules import rate_at
from vultus.train.settings import Settings
from vultus.train.stopping import Stopper

__all__ = ["Batches", "History", "Run", "Settings", "fit"]

Batch = dict[str, Any]
Progress = Callable[[int, int, str], None]


class Batches(Protocol):
    """Where batches come from."""

    def batches(self, start: int) -> Iterator[Batch]:
        """Batches from number `start` on, without end; a batch depends on its number alone."""
        ...


def fit(
    trainable: Trainable,
    feed: Batches,
    settings: Settings,
    *,
    out: Path | None = None,
    hooks: Sequence[Any] = (),
    progress: Progress | None = None,
    resume: bool = False,
) -> History:
    """Train in place; with a process group of torch.distributed, on all its ranks.

    Args:
        trainable: what learns; afterwards it holds the running mean of its weights where `settings.ema` is set.
        feed: batches by their number; with several ranks, those of this rank.
        settings: how long, how fast and how exactly.
        out: folder of the run: checkpoint/, log.jsonl, summary.csv and, at the end, model.safetensors. None keeps
            nothing on disk.
        hooks: objects with any of `on_batch(batch, step, trainable) -> batch`,
            `extra_loss(batch, features, step, trainable) -> {name: scalar}`, `on_step(step, run)`,
            `on_eval(step, run) -> {name: number}`, `state()` and `load(state)`; steps count from 0 before a step and
            from 1 after it. In `on_eval` the trainable holds the running mean.
        progress: told (steps done, steps, the loss in words).
        resume: go on from the newest checkpoint in `out`; every number is then as if the run had not stopped.

    Raises:
        WeightsError: a loss or a gradient is not finite; nothing of that step is applied.
        InputError: the device or precision is not there, there is nothing to train, `out` holds a run and `resume` is
            not set, or its checkpoint is of other settings.
        StoreError: the disk is full or refuses; the last checkpoint stays.
        KeyboardInterrupt: Ctrl-C or a polite kill; with `out` the step was finished and saved before.
    """
    device = device_of(settings.device)
    _look(out, resume)
    with ExitStack() as stack:
        stack.enter_context(seeded_streams(settings.seed + ranks_of(None).rank, device))
        stopper = Stopper() if out is None else stack.enter_context(Stopper())
        run = _begin(trainable, settings, hooks, out, device)
        journal = Journal(out if run.ranks.rank == 0 else None)
        if resume:
            checkpoint.load(run)
        journal.begin(run)
        stream = feed.batches(run.step * settings.accumulate)
        stack.callback(getattr(stream, "close", lambda: None))
        started = time.monotonic() - run.seconds()
        while run.step < settings.steps:
            row = _kept(run, stream)
            run.step += 1
            run.rows.append({**row, "seconds": time.monotonic() - started})
            _after(run, journal, progress)
            stop = any(one for (one,) in told((int(stopper.asked),), run.ranks, device))
            if run.due(settings.save_every) or stop:
                checkpoint.save(run)
            if stop and run.step < settings.steps:
                raise KeyboardInterrupt(f"stopped and saved after step {run.step}: resume the run in {out} to go on")
    if run.averages is not None:
        trainable.load(run.averages.tensors)
    if out is not None and run.ranks.rank == 0:
        about = trainable.about() if hasattr(trainable, "about") else {}
        checkpoint.write_tensors(out / "model.safetensors", trainable.state(), {"step": str(run.step), **about})
    return run.history()


def _look(out: Path | None, resume: bool) -> None:
    """Refuse to write over a run, or to go on with one that is not there."""
    if out is None:
        if resume:
            raise InputError("resume: expected the folder of the run in `out`, got None")
        return
    if resume and not out.is_dir():
        raise InputError(f"resume: expected the folder of a run, there is none at {out}: check the path")
    if not resume and checkpoint.found(out)[1] is not None:
        raise InputError(f"{out}: expected a new folder, got one that holds a run: resume it, or name another folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{out}: the folder cannot be made: {error.strerror}") from error


def _begin(trainable: Trainable, settings: Settings, hooks: Sequence[Any], out: Path | None, device: Any) -> Run:
    if hasattr(trainable, "to"):
        trainable.to(device)
    optimizer = optimizer_of(trainable.parameter_groups(), settings)
    averages = Averages(trainable, settings.ema, settings.ema_power) if settings.ema else None
    if hasattr(trainable, "follow"):
        trainable.follow(optimizer)
    precision = Precision(settings.precision, device)
    return Run(trainable, settings, optimizer, precision, averages, hooks, ranks_of(None), out)


def _kept(run: Run, stream: Iterator[Batch]) -> dict[str, float]:
    """A step; when its numbers are none, the error also says what is left."""
    try:
        return _step(run, stream)
    except WeightsError as error:
        folder = checkpoint.found(run.out)[1] if run.out is not None else None
        where = "" if folder is None else f"; the checkpoint {folder} is as it was"
        raise WeightsError(f"{error}{where}") from error


def _step(run: Run, stream: Iterator[Batch]) -> dict[str, float]:
    """One step of the optimizer; its row of the log."""
    settings, share = run.settings, 1 / run.settings.accumulate
    rate = settings.lr * rate_at(settings, run.step)
    for group in run.optimizer.param_groups:
        group["lr"] = rate
    run.optimizer.zero_grad(set_to_none=True)
    row: dict[str, float] = {}
    indices: list[int] = []
    for _ in range(settings.accumulate):
        batch = _prepared(next(stream), run)
        with run.precision.cast():
            total, parts = _losses(batch, run)
        for name, value in finite_loss(run.step, {**parts, "loss": total}, batch).items():
            row[name] = row.get(name, 0.0) + value * share
        (total * (share * run.precision.scale)).backward()  # type: ignore[no-untyped-call]
        indices += torch.as_tensor(batch.get("index", ())).tolist()
    if hasattr(run.trainable, "settle"):
        run.trainable.settle()
    norm, odd = clipped(run.optimizer, settings.clip, run.precision.scale)
    if not run.precision.skipped(norm):
        finite_gradient(run.step, norm, odd, indices)
        run.optimizer.step()
        if run.averages is not None:
            run.averages.update(run.trainable, run.step)
    return {**row, "norm": norm if norm < float("inf") else float("inf"), "lr": rate}


def _prepared(batch: Batch, run: Run) -> Batch:
    device = torch.device(run.settings.device)
    batch = {name: one.to(device) if isinstance(one, Tensor) else one for name, one in batch.items()}
    for hook in run.hooks:
        if hasattr(hook, "on_batch"):
            batch = hook.on_batch(batch, run.step, run.trainable)
    return batch


def _losses(batch: Batch, run: Run) -> tuple[Tensor, dict[str, Any]]:
    out = run.trainable.loss(batch, run.step)
    total, parts = out.total, dict(out.parts)
    for hook in run.hooks:
        if hasattr(hook, "extra_loss"):
            if out.features is None:
                raise InputError(f"hooks: {type(hook).__name__} adds a loss of features, and this trainable gives none")
            for name, value in hook.extra_loss(batch, out.features, run.step, run.trainable).items():
                total, parts[name] = total + value, value
    return total, parts


def _after(run: Run, journal: Journal, progress: Progress | None) -> None:
    """What is told after a step: hooks, log, evaluations, whoever waits."""
    for hook in run.hooks:
        if hasattr(hook, "on_step"):
            hook.on_step(run.step, run)
    if run.due(run.settings.log_every):
        journal.stepped(run)
        if progress is not None:
            recent = np.mean([one["loss"] for one in run.rows[-50:]])
            progress(run.step, run.settings.steps, f"loss {recent:.3f}")
    if run.due(run.settings.eval_every):
        found: dict[str, float] = {}
        with nullcontext() if run.averages is None else run.averages.held(run.trainable):
            for hook in run.hooks:
                if hasattr(hook, "on_eval"):
                    found |= hook.on_eval(run.step, run) or {}
        if found:
            run.evals.append({"step": run.step, **found})
            journal.evaluated(run)

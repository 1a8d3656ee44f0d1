"""What each of two ranks trains for the tests: `python -m tests.train.two_ranks_fit FOLDER RANK`, once per rank."""

from __future__ import annotations

import json
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
from torch import distributed as dist

from tests.train.drawn import PEOPLE, SIZE, Drawn
from vultus import catalogue
from vultus.errors import StoreError, WeightsError
from vultus.train.loops.supervised import Settings, fit
from vultus.train.trainable import Recognizer

STEPS = 6
KINDS = {"class": ("adaface", None), "sum": ("sphereface2", None), "both": ("cosface", "triplet")}
SETTINGS = {"lr": 0.02, "clip": 1.0, "weight_decay": 0.01, "ema": 0.5, "log_every": 1, "save_every": 2}


class Half(Drawn):
    """The rows of one rank out of each batch, or all of them."""

    def __init__(self, ranks: tuple[int, int] = (0, 1), **args) -> None:
        super().__init__(**args)
        self.ranks = ranks

    def batches(self, start: int):
        rank, size = self.ranks
        for batch in super().batches(start):
            yield {name: value[rank::size] for name, value in batch.items()}


class Stop:
    """A polite kill of the second rank alone, after a step; both say their part of a loss of their own."""

    def __init__(self, step: int = -1) -> None:
        self.step = step

    def extra_loss(self, batch, features, step, trainable):
        return {"length": 1e-3 * features.raw.square().mean()}

    def on_step(self, step, run):
        if step == self.step and run.ranks.rank == 1:
            os.kill(os.getpid(), signal.SIGTERM)  # SIGINT is ignored where tests run in the background

    def on_eval(self, step, run):
        return {"rank": float(run.ranks.rank)}


class Full:
    """The second rank loses its folder before it writes."""

    def on_step(self, step, run):
        if run.ranks.rank == 1 and step == 4:
            run.trainable.shard = lambda: (_ for _ in ()).throw(StoreError("the disk is full"))


def recognizer(kind: str) -> Recognizer:
    loss, pair = KINDS[kind]
    net = catalogue.load(
        "sfnet.tiny", input_hw=(SIZE, SIZE), dim=16, generator=torch.Generator().manual_seed(1)
    )  # no batch norms, so that two halves are one whole
    needs = {"classes": PEOPLE} if loss == "sphereface2" else {"scale": 8.0}
    judge = catalogue.load(loss, **needs)
    if loss == "sphereface2":
        judge.bias.data.zero_()  # where it has a slope: what only one rank adds to it would show
    return Recognizer(
        net,
        classes=PEOPLE,
        loss=judge,
        pair=None if pair is None else catalogue.load(pair),
    )


def train(kind: str, ranks: tuple[int, int], out: Path | None = None, hook: object = None, **args):
    settings = Settings(STEPS, **SETTINGS)
    trainable = recognizer(kind)
    history = fit(trainable, Half(ranks, **args), settings, out=out, hooks=[hook or Stop()])
    return trainable, history


def numbers(trainable: Recognizer, history) -> dict[str, np.ndarray]:
    found = {name: value.numpy() for name, value in trainable.state().items()}
    shard = trainable.shard()
    found |= {"centers": shard["weight"].numpy(), "momentum": shard["optimizer.momentum_buffer"].numpy()}
    return found | {"loss": history.loss, "norm": history.parts["norm"], "begin": shard["begin"].numpy()}


def words_of(call) -> str:
    try:
        call()
    except (WeightsError, StoreError, KeyboardInterrupt) as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


def main(folder: Path, rank: int) -> None:
    torch.set_num_threads(1)
    store = dist.FileStore(str(folder / "store"), 2)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2, timeout=timedelta(seconds=150))
    ranks = (rank, 2)
    found = {}
    for kind in KINDS:
        made = numbers(*train(kind, ranks, folder / kind))
        found |= {f"{kind} {name}": value for name, value in made.items()}
    said = {"stopped": words_of(lambda: train("both", ranks, folder / "stopped", Stop(3)))}
    trainable = recognizer("both")
    history = fit(
        trainable, Half(ranks), Settings(STEPS, **SETTINGS), out=folder / "stopped", hooks=[Stop()], resume=True
    )
    found |= {f"resumed {name}": value for name, value in numbers(trainable, history).items()}
    said["broken"] = words_of(lambda: train("class", ranks, broken=2))  # the picture that breaks is of rank 1
    said["full"] = words_of(lambda: train("class", ranks, folder / "full", Full()))
    np.savez(folder / f"rank{rank}.npz", **found)
    (folder / f"said{rank}.json").write_text(json.dumps(said), encoding="utf-8")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

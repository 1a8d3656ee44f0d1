"""A run in a folder that tests end: `python -m tests.train.one_run FOLDER KIND` stops at step 8 and waits."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch

from tests.train.drawn import Drawn, recognizer
from vultus.train.loops.supervised import History, Settings, fit

STEPS, STOP = 12, 7
KINDS = {
    "sgd": ({"loss": "adaface"}, {"ema": 0.9, "ema_power": 0.75, "lr": 0.2, "warmup": 0.25}),
    "adamw": (
        {"loss": "cosface", "pair": "triplet", "sample_rate": 0.5, "seed": 3},
        {"optimizer": "adamw", "lr": 0.01, "precision": "bf16", "schedule": "poly"},
    ),
    "accumulate": ({"loss": "sphereface2"}, {"accumulate": 2, "lr": 0.1, "schedule": "step", "milestones": (0.5,)}),
    "drawn": ({"loss": None, "pair": "triplet", "miner": "random"}, {"lr": 0.1}),
    "fp16": ({"loss": "cosface"}, {"precision": "fp16", "lr": 0.1}),
}


class Noisy:
    """Hooks that draw from the streams nobody hands in, keep a number, say something, and end the run at a step."""

    def __init__(self, stop: int = -1, wait: Path | None = None) -> None:
        self.stop, self.wait, self.seen = stop, wait, 0.0

    def on_batch(self, batch, step, trainable):
        shift = float(np.random.normal())  # noqa: NPY002
        return {**batch, "image": (batch["image"] + 0.02 * torch.rand(()) + 0.01 * shift).clamp(0, 1)}

    def extra_loss(self, batch, features, step, trainable):
        return {"length": 1e-4 * features.raw.square().mean()}

    def on_step(self, step, run):
        self.seen += float(run.rows[-1]["loss"]) if run.rows else 0.0
        if step == self.stop and self.wait is not None:
            self.wait.touch()
            time.sleep(300)  # until it is killed
        elif step == self.stop:
            os.kill(os.getpid(), signal.SIGTERM)  # SIGINT is ignored where tests run in the background

    def on_eval(self, step, run):
        weight = next(iter(run.trainable.state().values()))
        return {"seen": self.seen, "weight": float(weight.double().sum())}

    def state(self):
        return {"seen": torch.tensor(self.seen, dtype=torch.float64)}

    def load(self, state):
        self.seen = float(state["seen"])


def settings_of(kind: str, **more) -> Settings:
    every = {"log_every": 1, "eval_every": 3, "save_every": 3, "weight_decay": 0.01, "seed": 4}
    return Settings(steps=STEPS, **{**every, **KINDS[kind][1], **more})


def train(out: Path | None, kind: str, hook: Noisy | None = None, *, resume: bool = False, **more) -> History:
    trainable = recognizer(**KINDS[kind][0])
    return fit(trainable, Drawn(), settings_of(kind, **more), out=out, hooks=[hook or Noisy()], resume=resume)


if __name__ == "__main__":
    torch.set_num_threads(1)
    train(Path(sys.argv[1]), sys.argv[2], Noisy(stop=8, wait=Path(sys.argv[1]) / "waiting"))

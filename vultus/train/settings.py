"""How long, how fast and how exactly a network is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vultus.errors import InputError

__all__ = ["OPTIMIZERS", "PRECISIONS", "SCHEDULES", "Settings"]

OPTIMIZERS = ("sgd", "adamw")
SCHEDULES = ("cosine", "step", "poly", "constant")
PRECISIONS = ("fp32", "bf16", "fp16")


@dataclass(frozen=True)
class Settings:
    """What a loop is told.

    Attributes:
        steps: of the optimizer, in all.
        optimizer: "sgd" (with momentum) or "adamw".
        lr: highest learning rate.
        momentum: of sgd; the first beta of adamw.
        weight_decay: of what decays; norms and biases do not.
        schedule: of the learning rate after the warm-up: "cosine" to 0; "step": a tenth at each milestone; "poly":
            (1 - share)^2; "constant".
        warmup: share of the steps in which the rate rises from 0.
        milestones: shares of the steps, for "step".
        clip: largest norm of the gradient; 0 is off.
        ema: decay of the running mean of weights, which are what is evaluated and kept at the end; 0 is off.
        ema_power: above 0, the decay of step t is min(ema, 1 - (1 + t)^-power); 0.75 is usual.
        precision: "fp32", or "bf16" or "fp16" for the network; losses are float32 always.
        accumulate: batches per step.
        log_every, eval_every, save_every: steps between lines of the log, evaluations and checkpoints; 0 is only at
            the end.
        seed: of all that draws.
        device: "cpu", "cuda", "cuda:1".

    Raises:
        InputError: if a setting is out of range.
    """

    steps: int
    optimizer: str = "sgd"
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: str = "cosine"
    warmup: float = 0.0
    milestones: tuple[float, ...] = ()
    clip: float = 5.0
    ema: float = 0.0
    ema_power: float = 0.0
    precision: str = "fp32"
    accumulate: int = 1
    log_every: int = 10
    eval_every: int = 0
    save_every: int = 0
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        object.__setattr__(self, "milestones", tuple(self.milestones))
        for name, value, known in (
            ("optimizer", self.optimizer, OPTIMIZERS),
            ("schedule", self.schedule, SCHEDULES),
            ("precision", self.precision, PRECISIONS),
        ):
            if value not in known:
                raise InputError(f"{name}: expected one of {', '.join(known)}; got {value!r}")
        for name, least in (
            *(("steps", 1), ("accumulate", 1), ("seed", 0)),
            *(("log_every", 0), ("eval_every", 0), ("save_every", 0)),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(f"{name}: expected a whole number from {least}, got {value!r}")
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise InputError(f"lr: expected a number above 0, got {self.lr}")
        for name in ("weight_decay", "clip", "ema_power"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise InputError(f"{name}: expected a number from 0, got {getattr(self, name)}")
        for name in ("momentum", "warmup", "ema"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name}: expected a number from 0 to below 1, got {getattr(self, name)}")
        rising = list(self.milestones) == sorted(set(self.milestones))
        if not (rising and all(0 < one < 1 for one in self.milestones)):
            raise InputError(f"milestones: expected rising shares between 0 and 1, got {self.milestones}")
        if (self.schedule == "step") != bool(self.milestones):
            raise InputError("milestones: expected with the schedule 'step', and with no other")

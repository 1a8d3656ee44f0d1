"""One contestant of suite `train_step`, in a process of its own: python -m benchmarks.train_step_worker ORDER RESULT.

The order is JSON: system, cpus, classes, dim, batch, size, sample_rate, how often, seed. The result is JSON:
milliseconds and processor time of each step, largest resident memory beyond that before anything was built, losses.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.memory import peak_mb

__all__ = ["SYSTEMS", "main"]

Order = dict[str, Any]
Tick = Callable[[float], None]  # told the loss after every step
Go = Callable[[Tick], None]
SCALE, MARGIN, LR, MOMENTUM, DECAY, CLIP = 64.0, 0.5, 0.01, 0.9, 5e-4, 5.0


def main(order_path: str, result_path: str) -> None:
    """Build and time one system."""
    order = json.loads(Path(order_path).read_text())
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, order["cpus"])
    torch.set_num_threads(len(order["cpus"]))
    go = SYSTEMS[order["system"]](order)  # imports what it needs
    before = peak_mb()
    ticks: list[tuple[float, float, float]] = []
    go(lambda loss: ticks.append((time.perf_counter(), time.process_time(), loss)))
    first = order["warm_up"] - 1
    steps = list(zip(ticks[first:], ticks[first + 1 :], strict=False))
    result = {
        "step_ms": [1e3 * (after[0] - one[0]) for one, after in steps],
        "step_cpu_ms": 1e3 * (ticks[-1][1] - ticks[first][1]) / len(steps),
        "peak_mb": peak_mb() - before,
        "losses": [loss for _, _, loss in ticks],
    }
    Path(result_path).write_text(json.dumps(result))


def _sgd(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=LR, momentum=MOMENTUM, weight_decay=DECAY)


def _rows(order: Order, number: int) -> tuple[Tensor, Tensor]:
    """Vectors that ask for their gradient, as a network's do, and who they are; the same for every system."""
    random = torch.Generator().manual_seed(100_000 * order["seed"] + number)
    raw = 20 * functional.normalize(torch.randn((order["batch"], order["dim"]), generator=random))
    labels = torch.randint(0, order["classes"], (order["batch"],), generator=random)
    return raw.requires_grad_(), labels


def _steps(order: Order) -> range:
    return range(order["warm_up"] + order["repeat"])


class _Dense(nn.Module):
    """The dense softmax with an angular margin as it is usually written: all centers in one linear layer."""

    def __init__(self, classes: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn((classes, dim), generator=torch.Generator().manual_seed(0)) * 0.01)

    def forward(self, raw: Tensor, labels: Tensor) -> Tensor:
        cos = functional.linear(functional.normalize(raw), functional.normalize(self.weight)).clamp(-1, 1)
        rows = torch.arange(len(labels))
        with torch.no_grad():
            moved = cos[rows, labels].acos().add(MARGIN).cos()
            cos[rows, labels] = moved
        return functional.cross_entropy(SCALE * cos, labels)


def _head(order: Order, module: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], follow: Any, tick: Tick) -> None:
    """Steps of a head alone."""
    optimizer = _sgd(module.parameters())
    follow(optimizer)
    for number in _steps(order):
        raw, labels = _rows(order, number)
        value = loss(raw, labels)
        value.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        tick(float(value.detach()))


def _vultus(order: Order) -> Go:
    from vultus import catalogue
    from vultus.train.centers import ClassCenters

    margin = catalogue.load("arcface.straight", scale=SCALE, margin=MARGIN)

    def go(tick: Tick) -> None:
        centers = ClassCenters(order["classes"], order["dim"], order["sample_rate"], seed=order["seed"])
        _head(order, centers, lambda raw, labels: centers(raw, labels, margin), centers.follow, tick)

    return go


def _plain(order: Order) -> Go:
    def go(tick: Tick) -> None:
        head = _Dense(order["classes"], order["dim"])
        _head(order, head, head, lambda optimizer: None, tick)

    return go


def _metric_learning(order: Order) -> Go:
    from pytorch_metric_learning.losses import ArcFaceLoss

    def go(tick: Tick) -> None:
        head = ArcFaceLoss(order["classes"], order["dim"], margin=MARGIN * 180 / torch.pi, scale=SCALE)
        _head(order, head, head, lambda optimizer: None, tick)

    return go


class _Pictures:
    """Batches of the same noise under other names."""

    def __init__(self, order: Order) -> None:
        self.order, side = order, order["size"]
        self.image = torch.rand((order["batch"], 3, side, side), generator=torch.Generator().manual_seed(order["seed"]))

    def batches(self, start: int) -> Iterator[dict[str, Tensor]]:
        """Without end, as `fit` wants them."""
        while True:
            labels = _rows(self.order, start)[1]
            yield {"image": self.image, "label": labels, "index": torch.arange(len(labels))}
            start += 1


def _net(order: Order) -> Any:
    from vultus import catalogue

    side = order["size"]
    return catalogue.load("iresnet.10", input_hw=(side, side), dim=order["dim"], widths=(8, 16, 32, 64))


def _fit(order: Order) -> Go:
    from vultus import catalogue
    from vultus.train.loops.supervised import Settings, fit
    from vultus.train.trainable import Recognizer

    class Clock:
        """Ticks after every step; the loop appends the row of a step before it tells."""

        def __init__(self, tick: Tick) -> None:
            self.tick = tick

        def on_step(self, step: int, run: Any) -> None:
            self.tick(run.rows[-1]["loss"])

    def go(tick: Tick) -> None:
        loss = catalogue.load("arcface.straight", scale=SCALE, margin=MARGIN)
        trainable = Recognizer(_net(order), classes=order["classes"], loss=loss)
        settings = Settings(len(_steps(order)), lr=LR, schedule="constant", clip=CLIP)
        fit(trainable, _Pictures(order), settings, hooks=[Clock(tick)])

    return go


def _plain_loop(order: Order) -> Go:
    """The same network in the fewest lines: no guard, no log, nothing to resume."""

    def go(tick: Tick) -> None:
        net, head = _net(order), _Dense(order["classes"], order["dim"])
        parameters = [one for one in (*net.parameters(), *head.parameters()) if one.requires_grad]
        optimizer = _sgd(parameters)
        for _, batch in zip(_steps(order), _Pictures(order).batches(0), strict=False):
            value = head(net((batch["image"] - 0.5) / 0.5).raw, batch["label"])
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            nn.utils.clip_grad_norm_(parameters, CLIP)
            optimizer.step()
            tick(float(value.detach()))

    return go


SYSTEMS: dict[str, Callable[[Order], Go]] = {
    "vultus": _vultus,
    "vultus sampled": _vultus,
    "dense softmax": _plain,
    "metric learning": _metric_learning,
    "vultus fit": _fit,
    "plain loop": _plain_loop,
}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])

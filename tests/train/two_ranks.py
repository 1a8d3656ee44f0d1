"""What each of two ranks does and saves for the tests: `python -m tests.train.two_ranks FOLDER RANK`, once per rank."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
from torch import distributed as dist
from torch.nn import functional

from vultus import catalogue
from vultus.errors import InputError
from vultus.train.centers import ClassCenters

CLASSES, DIM = 7, 5
LOSSES = ("arcface", "softmax", "adaface", "magface", "circle_loss.class", "sphereface2")
BATCHES = {  # the labels of rank 0 and of rank 1; the centers 0 to 3 are on rank 0, 4 to 6 on rank 1
    "both": ((0, 4, 6, 4, 1), (2, 5, 0)),
    "missing": ((0, 1, 3), (2, 2)),
    "empty": ((5, 0, 4, 4), ()),
}
STEPS = 6


def loss_of(name: str):
    return catalogue.load(name, **({"classes": CLASSES} if name == "sphereface2" else {}))


def vectors(count: int, key: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """(count, DIM) numbers with norms that the losses are made for."""
    random = torch.Generator().manual_seed(key)
    return (torch.randn((count, DIM), generator=random, dtype=torch.float64) * 12).to(dtype)


def batch(name: str) -> tuple[torch.Tensor, torch.Tensor, list[int]]:
    """Vectors and labels of both ranks together, and how many are whose."""
    parts = BATCHES[name]
    labels = torch.tensor([*parts[0], *parts[1]])
    return vectors(len(labels), 3), labels, [len(part) for part in parts]


def step_batch(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Four rows of a step of training, two of each rank."""
    return vectors(4, 100 + step), torch.randint(0, 40, (4,), generator=torch.Generator().manual_seed(step))


def numbers(shard) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in shard.items()}


class Smoothed:
    """Cross entropy with smoothed labels: it cannot be split."""

    needs_norm = False

    def logits(self, cos, labels, *, norm=None, raw=None):
        return 8 * cos

    def reduce(self, logits, labels):
        return functional.cross_entropy(logits, labels, label_smoothing=0.1, ignore_index=-1)


def equality(rank: int) -> dict[str, np.ndarray]:
    found = {}
    for name in LOSSES:
        for kind in BATCHES:
            for dtype in (torch.float64, torch.float32) if kind == "both" else (torch.float64,):
                every, labels, counts = batch(kind)
                raw = every.split(counts)[rank].to(dtype).requires_grad_()
                centers, loss = ClassCenters(CLASSES, DIM, averaged=False).to(dtype), loss_of(name)
                value = centers(raw, labels.split(counts)[rank], loss)
                value.backward()
                centers.sum_gradients(loss)
                key = f"{name} {kind} {str(dtype)[6:]}"
                found |= {f"{key} loss": value.detach(), f"{key} raw": raw.grad, f"{key} rows": centers.rows.grad}
                if name == "sphereface2":
                    found[f"{key} bias"] = loss.bias.grad
    return {name: value.numpy() for name, value in found.items()}


def wrapped(rank: int) -> np.ndarray:
    """The gradient of a network in DistributedDataParallel."""
    every, labels, counts = batch("both")
    net = torch.nn.Linear(DIM, DIM, bias=False, dtype=torch.float64)
    torch.nn.init.eye_(net.weight)
    parallel = torch.nn.parallel.DistributedDataParallel(net)
    centers = ClassCenters(CLASSES, DIM).double()
    centers(parallel(every.split(counts)[rank]), labels.split(counts)[rank], loss_of("arcface")).backward()
    return net.weight.grad.numpy()


def sampled(rank: int, folder: Path) -> dict[str, np.ndarray]:
    """Steps of training with a part of the negatives; the state goes to a file."""
    centers, found = ClassCenters(40, DIM, 0.3, seed=5).double(), {}
    optimizer = torch.optim.SGD(centers.parameters(), lr=0.5, momentum=0.9, weight_decay=0.01)
    centers.follow(optimizer)
    for step in range(STEPS):
        every, labels = step_batch(step)
        mine = slice(2 * rank, 2 * rank + 2)
        value = centers(every[mine], labels[mine], loss_of("arcface"))
        value.backward()
        optimizer.step()
        found |= {f"loss {step}": value.detach().numpy(), f"index {step}": (centers._index + centers.begin).numpy()}
    np.savez(folder / f"shard{rank}.npz", **numbers(centers.shard()))
    return found


def loaded(folder: Path) -> dict[str, np.ndarray]:
    """The state of one rank, taken by two, and the step after it."""
    with np.load(folder / "alone.npz") as file:
        part = {name: torch.from_numpy(file[name]) for name in file.files}
    centers = ClassCenters(40, DIM).double()
    optimizer = torch.optim.SGD(centers.parameters(), lr=0.5, momentum=0.9, weight_decay=0.01)
    centers.follow(optimizer)
    centers.load([part])
    found = {"taken": centers.weight.clone().numpy()}
    rows, labels = step_batch(0)
    centers(
        rows[:2] if dist.get_rank() else rows[2:], labels[:2] if dist.get_rank() else labels[2:], loss_of("arcface")
    ).backward()
    optimizer.step()
    return found | {"stepped": centers.weight.numpy()}


def refusals(rank: int) -> dict[str, str]:
    rows, labels = vectors(2, 1), torch.tensor((0, 5))
    centers, found = ClassCenters(CLASSES, DIM).double(), {}
    broken = ClassCenters(CLASSES, DIM).double()
    with torch.no_grad():
        broken.rows[2] += torch.nan if rank == 1 else 0.0
    arc, bad = loss_of("arcface"), rows.clone()
    bad[1, 2] = torch.nan if rank == 0 else 1.0
    for name, call in {
        "label": lambda: centers(rows, labels + 2 * rank, arc),
        "vector": lambda: centers(bad, labels, arc),
        "center": lambda: broken(rows, labels, arc),
        "shape": lambda: centers(rows[:, : DIM - rank], labels, arc),
        "smoothed": lambda: centers(rows, labels, Smoothed()),
    }.items():
        try:
            call()
        except InputError as error:
            found[name] = str(error)
    return found


def main(folder: Path, rank: int) -> None:
    torch.set_num_threads(1)
    store = dist.FileStore(str(folder / "store"), 2)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2, timeout=timedelta(seconds=30))
    found = {**equality(rank), "wrapped": wrapped(rank), **sampled(rank, folder), **loaded(folder)}
    np.savez(folder / f"rank{rank}.npz", **found)
    (folder / f"refused{rank}.json").write_text(json.dumps(refusals(rank)), encoding="utf-8")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

"""Class centers: one row per person to be told apart, split over ranks, with as many negatives per step as asked for.

An, Deng et al., "Killing Two Birds with One Stone: Efficient and Robust Training of Face Recognition CNNs by Partial
FC", CVPR 2022, arXiv:2203.15565: every rank holds a part of the centers and sees the vectors of all ranks; each step
takes the centers of the persons in the batch and a random share of the others. The mean over a softmax whose columns
are on many machines, and its gradient, are written out in `_ranks.py`: three numbers per row are sent, never logits.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn import functional
from torch.optim import Optimizer

from vultus.contracts import ClassLoss
from vultus.errors import InputError
from vultus.train._ranks import cross_entropy, gathered, ranks_of, summed, told

__all__ = ["ClassCenters"]

_SPREAD = 0.01  # deviation of the numbers at the start
_BLOCK = 4096  # rows that are drawn at once at the start: what a center starts from does not depend on the ranks
_START, _DRAW = 0, 1  # what a stream of random numbers is for
_LEAST = 1e-12  # no length is taken to be smaller, as in torch's normalize
_FINE, _SHAPE, _KIND, _NUMBERS = range(4)


class ClassCenters(nn.Module):
    """Vectors of a batch and who they are -> the loss of the whole batch, of all ranks, on every rank.

        centers = ClassCenters(100_000, 512, sample_rate=0.1)
        optimizer = torch.optim.SGD([*net.parameters(), *centers.parameters()], lr=0.1, momentum=0.9)
        centers.follow(optimizer)
        value = centers(net(pictures), labels, loss)        # then backward, step, zero_grad as ever

    A center that was not sampled is not touched by the step: neither the gradient nor momentum nor weight decay moves
    it, and its momentum waits until it is sampled again. The loss is that of the sampled centers, uncorrected. In
    evaluation mode all centers count.

    The module holds its own part and is not wrapped in DistributedDataParallel: its gradient is whole already. For
    checkpoints use `shard` and `load`; `state_dict` knows neither momentum nor draws.

    Args:
        num_classes: C, of all ranks together; at least two, and one per rank. The first C % ranks hold one more.
        dim: D.
        sample_rate: share of the centers of each rank that take part in a step of training, in (0, 1]; all persons of
            the batch do, be they more than that. With 1 it is the dense softmax.
        filter_threshold: a cosine to another person's center above it counts as 0, since that is likelier one person
            under two names; 0 is off.
        seed: of the start and of the draws.
        group: of torch.distributed; None is the default group, or this process alone.
        averaged: the network is wrapped in DistributedDataParallel, which takes the mean of the gradients over ranks:
            the gradient of the vectors is multiplied by the number of ranks, so that the mean is the gradient of the
            loss. False gives the gradient of the loss itself.

    Attributes:
        begin, end: which centers are here.
        rows: the parameter: all centers that are here, or those of the last draw.

    Raises:
        InputError: if a setting is out of range.
    """

    store: Tensor

    def __init__(
        self,
        num_classes: int,
        dim: int,
        sample_rate: float = 1.0,
        filter_threshold: float = 0.0,
        *,
        seed: int = 0,
        group: dist.ProcessGroup | None = None,
        averaged: bool = True,
    ) -> None:
        super().__init__()
        ranks = ranks_of(group)
        if num_classes < max(2, ranks.size):
            raise InputError(
                f"num_classes: expected at least {max(2, ranks.size)}, two and one per rank, got {num_classes}"
            )
        if dim < 1 or seed < 0:
            raise InputError(f"dim, seed: expected numbers from 1 and from 0, got {dim} and {seed}")
        if not 0 < sample_rate <= 1:
            raise InputError(f"sample_rate: expected a share above 0 and at most 1, got {sample_rate}")
        if not 0 <= filter_threshold <= 1:
            raise InputError(f"filter_threshold: expected a cosine from 0 (off) to 1, got {filter_threshold}")
        self.num_classes, self.dim, self.sample_rate = num_classes, dim, sample_rate
        self.filter_threshold, self.seed, self.averaged = filter_threshold, seed, averaged
        self._ranks = ranks
        size, extra = divmod(num_classes, ranks.size)
        self.begin = ranks.rank * size + min(ranks.rank, extra)
        self.end = self.begin + size + (ranks.rank < extra)
        start = _start(self.begin, self.end, dim, seed)
        self.rows = nn.Parameter(start if sample_rate == 1 else start[:0].clone())
        if sample_rate < 1:
            self.register_buffer("store", start)
        self._index: Tensor | None = None  # rows of the store that the parameter holds
        self._draws, self._open = 0, False  # open: a draw whose step was not taken yet
        self._optimizer: Optimizer | None = None
        self._hook: Any = None
        self._kept: dict[str, Tensor] = {}  # what the optimizer knows of every row, as large as the store
        self._single: dict[str, Tensor] = {}  # what it knows of all rows at once, loaded and not yet handed over
        self._ways: dict[type, bool] = {}

    def extra_repr(self) -> str:
        """Settings, for the printed form."""
        return f"{self.num_classes} x {self.dim}, {self.begin} to {self.end - 1} here, sample_rate={self.sample_rate}"

    @property
    def weight(self) -> Tensor:
        """(end - begin, D) the centers that are here, without gradient and not normalized."""
        return self.rows.detach() if self.sample_rate == 1 else self.store

    def follow(self, optimizer: Optimizer) -> None:
        """Keep what this optimizer knows of a center (momentum, second moments) with the center; needed for sampling.

        Raises:
            InputError: if the optimizer does not hold the parameter `rows`.
        """
        if not any(one is self.rows for group in optimizer.param_groups for one in group["params"]):
            raise InputError("optimizer: expected one that holds the parameters of these centers")
        if self._hook is not None:
            self._hook.remove()
        self._optimizer = optimizer
        self._hook = optimizer.register_step_post_hook(lambda *_: self._settle())
        self._hand_over()

    def forward(self, raw: Tensor, labels: Tensor, loss: ClassLoss) -> Tensor:
        """The loss of the vectors of all ranks; the same number on every rank.

        Args:
            raw: (N, D) vectors of this rank, not normalized; N may differ between ranks and be 0.
            labels: (N,) whole numbers from 0 to C - 1.
            loss: its `reduce` is a sum over centers (SphereFace2), or the mean cross entropy, with or without a mean
                over the rows whose own center is here (MagFace). With one rank it may be anything.

        Returns:
            A scalar with gradient; 0 where no rank has a row.

        Raises:
            InputError: on every rank alike, if the input of one is of another shape, a label names no center, a
                vector or a center is not finite, the loss cannot be split, no optimizer is followed, or gradients of
                the last draw wait for their step.
        """
        every, who = self._gather(raw, labels)
        if not len(who):
            return every.sum()
        local = torch.where((who >= self.begin) & (who < self.end), who - self.begin, -1)
        rows, local = self._taken(local)
        lengths = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
        self._agree(bool(torch.isfinite(lengths.detach()).all()), lengths.device)
        cos = functional.linear(functional.normalize(every), rows / lengths.clamp_min(_LEAST))
        if self.filter_threshold > 0:
            own = local[:, None] == torch.arange(len(rows), device=local.device)
            cos = torch.where((cos > self.filter_threshold) & ~own, torch.zeros_like(cos), cos)
        additive = self._ranks.size > 1 and self._additive(loss)
        logits = loss.logits(cos, local, norm=torch.linalg.vector_norm(every, dim=1), raw=every)
        if self._ranks.size == 1 or additive:
            value: Tensor = loss.reduce(logits, local)
            return summed(value, self._ranks)
        here = local >= 0
        # One column has no cross entropy: what is left is the mean of other terms over the rows that are here.
        rest = loss.reduce(logits.new_zeros((len(local), 1)), torch.where(here, 0, -1))
        share = here.sum().to(logits.dtype) / len(local)
        return cross_entropy(logits, local, self._ranks) + summed(rest * share, self._ranks)

    def sum_gradients(self, loss: ClassLoss) -> None:
        """Add over ranks the gradients of what a loss itself learns: the bias of SphereFace2.

        Each rank has the gradient of its own centers. Call it between backward and step, on every rank or on none.
        """
        if self._ranks.size == 1 or not isinstance(loss, nn.Module):
            return
        for parameter in loss.parameters():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            dist.all_reduce(parameter.grad, group=self._ranks.group)

    def shard(self) -> dict[str, Tensor]:
        """The part of this rank, for a file of tensors: centers, what the optimizer knows of them, draws so far."""
        found = {"weight": self.weight.clone()}
        for name, number in (("begin", self.begin), ("classes", self.num_classes), ("seed", self.seed)):
            found[name] = torch.tensor(number)
        found["draws"] = torch.tensor(self._draws)
        known = {**self._kept, **self._single}
        if self._optimizer is not None:
            for name, value in self._optimizer.state.get(self.rows, {}).items():
                if isinstance(value, Tensor) and (self.sample_rate == 1 or value.shape != self.rows.shape):
                    known[name] = value
        return found | {f"optimizer.{name}": value.clone() for name, value in known.items()}

    def load(self, shards: Iterable[Mapping[str, Tensor]]) -> None:
        """Take the centers of this rank from the parts of all ranks of a run, however many those were.

        Where an optimizer's own `load_state_dict` is used, it comes before this.

        Args:
            shards: what `shard` gave, in any order; read one after the other.

        Raises:
            InputError: if a part is of other centers, a number is not finite, or centers of this rank are in none.
        """
        weight = self.weight
        new = torch.full_like(weight, torch.nan)
        kept: dict[str, Tensor] = {}
        single: dict[str, Tensor] = {}
        draws, seed = self._draws, self.seed
        for part in shards:
            rows, begin = part["weight"], int(part["begin"])
            if int(part["classes"]) != self.num_classes or rows.shape[1] != self.dim:
                raise InputError(
                    f"shards: expected {self.num_classes} centers of {self.dim} numbers, "
                    f"got {int(part['classes'])} of {rows.shape[1]}"
                )
            low, high = max(begin, self.begin), min(begin + len(rows), self.end)
            into, of = slice(low - self.begin, high - self.begin), slice(low - begin, high - begin)
            draws, seed = int(part["draws"]), int(part["seed"])
            for name, value in part.items():
                if name.startswith("optimizer.") and value.shape == rows.shape:
                    if low < high:
                        slot = kept.setdefault(name[10:], torch.zeros_like(weight, dtype=value.dtype))
                        slot[into] = value[of].to(weight.device)
                elif name.startswith("optimizer."):
                    single[name[10:]] = value.clone()
            if low < high:
                new[into] = rows[of].to(weight)
        if not bool(torch.isfinite(new).all()):
            bad = (~torch.isfinite(new)).any(dim=1).nonzero()[:, 0] + self.begin
            raise InputError(
                f"shards: expected finite numbers for the centers {self.begin} to {self.end - 1}; "
                f"{bad[:5].tolist()} are missing or not finite: hand in the parts of all ranks"
            )
        weight.copy_(new)
        self._draws, self.seed, self._kept, self._single = draws, seed, kept, single
        self._index, self._open, self.rows.grad = None, False, None
        if self._optimizer is not None:
            self._optimizer.state.pop(self.rows, None)
        self._hand_over()

    def _gather(self, raw: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors and labels of all ranks; every rank knows what is wrong on any, so that none waits for it."""
        device = self.rows.device
        code, low, high = _FINE, 0, 0
        if raw.ndim != 2 or raw.shape[1] != self.dim or labels.shape != raw.shape[:1]:
            code = _SHAPE
        elif labels.is_floating_point() or labels.dtype == torch.bool:
            code = _KIND
        elif len(labels):
            low, high = torch.stack(torch.aminmax(labels)).tolist()
            code = _FINE if bool(torch.isfinite(raw).all()) else _NUMBERS
        rows = len(raw) if raw.ndim else 0
        reports = told((code, rows, low, high), self._ranks, device)
        for rank, (found, count, least, most) in enumerate(reports):
            where = f" on rank {rank}" if self._ranks.size > 1 else ""
            if found == _SHAPE:
                raise InputError(f"raw, labels: expected (N, {self.dim}) and (N,), got other shapes{where}")
            if found == _KIND:
                raise InputError(f"labels: expected whole numbers, got another type{where}")
            if found == _NUMBERS:
                raise InputError(f"raw: expected finite numbers, got NaN or infinity{where}: check the network")
            if count and not 0 <= least <= most < self.num_classes:
                raise InputError(
                    f"labels: expected 0 to {self.num_classes - 1}, got {least} to {most}{where}: "
                    "the number of classes and the labels disagree"
                )
        counts = [report[1] for report in reports]
        factor = float(self._ranks.size) if self.averaged else 1.0
        every = gathered(raw.to(device, self.rows.dtype), counts, self._ranks, factor)
        return every, gathered(labels.to(device, torch.int64), counts, self._ranks)

    def _agree(self, fine: bool, device: torch.device) -> None:
        bad = [rank for rank, (one,) in enumerate(told((int(fine),), self._ranks, device)) if not one]
        if bad:
            raise InputError(f"centers: expected finite numbers; those of rank {bad[0]} are not: load an older state")

    def _additive(self, loss: ClassLoss) -> bool:
        """Whether a loss adds up over parts of the centers; False where it is a softmax. Asked once per type."""
        if type(loss) not in self._ways:
            self._ways[type(loss)] = _adds_up(loss)
        return self._ways[type(loss)]

    def _taken(self, local: Tensor) -> tuple[Tensor, Tensor]:
        """The centers of this step, and where among them the own one of each row is."""
        if self.sample_rate == 1:
            return self.rows, local
        if not self.training:
            return self.store, local
        if self._optimizer is None:
            raise InputError("centers: sampling needs the optimizer, whose momentum it keeps: call follow(optimizer)")
        if self._open and self.rows.grad is not None:
            raise InputError(
                "centers: gradients of the last draw wait for their step: step or zero_grad before the next forward; "
                "to gather gradients over several batches, use sample_rate 1"
            )
        index = self._draw(local)
        self._index, self._open = index, True
        self.rows.grad = None
        self.rows.data = self.store.index_select(0, index)
        if self._kept:
            self._optimizer.state[self.rows].update(
                {name: kept.index_select(0, index) for name, kept in self._kept.items()}
            )
        # A leaf of its own: the parameter changes its size from step to step, which a graph that still lives minds.
        leaf = self.rows.detach().requires_grad_()
        draw = self._draws
        leaf.register_post_accumulate_grad_hook(  # type: ignore[no-untyped-call]
            lambda one: self._receive(one, draw)
        )
        place = torch.searchsorted(index, local.clamp(min=0))
        return leaf, torch.where(local >= 0, place, -1)

    def _draw(self, local: Tensor) -> Tensor:
        """(K,) rows of the store, rising: every own center, and others by chance up to the share."""
        self._draws += 1
        mine: Tensor = torch.unique(local[local >= 0])
        wanted = max(1, int(self.sample_rate * len(self.store)))
        if len(mine) >= wanted:
            return mine
        random = _stream(local.device, self.seed, _DRAW, self._draws, self.begin)
        scores = torch.rand(len(self.store), generator=random, device=local.device)
        scores[mine] = 2.0
        return scores.topk(wanted).indices.sort().values

    def _receive(self, leaf: Tensor, draw: int) -> None:
        if draw != self._draws:
            raise InputError("centers: backward came after the next forward: one forward, one backward, one step")
        grad, leaf.grad = leaf.grad, None
        self.rows.grad = grad if self.rows.grad is None or grad is None else self.rows.grad + grad

    @torch.no_grad()
    def _settle(self) -> None:
        """After a step: rows and what the optimizer knows of them go back to where the next draw finds them."""
        if self._index is None or self._optimizer is None or self.rows.grad is None:
            return
        self.store.index_copy_(0, self._index, self.rows)
        for name, value in self._optimizer.state.get(self.rows, {}).items():
            if isinstance(value, Tensor) and value.shape == self.rows.shape:
                if name not in self._kept:
                    self._kept[name] = torch.zeros_like(self.store, dtype=value.dtype)
                self._kept[name].index_copy_(0, self._index, value)
        self._open = False

    def _hand_over(self) -> None:
        """Give the optimizer what was loaded for it; rows of a sampled part follow with each draw."""
        if self._optimizer is None:
            return
        if self._single:
            self._optimizer.state[self.rows].update(self._single)
            self._single = {}
        if self._kept and self.sample_rate == 1:
            self._optimizer.state[self.rows].update(self._kept)
            self._kept = {}


def _start(begin: int, end: int, dim: int, seed: int) -> Tensor:
    """(end - begin, dim) normal numbers, the same for a center on whatever rank it is."""
    found = torch.empty((end - begin, dim))
    for block in range(begin // _BLOCK, math.ceil(end / _BLOCK)):
        random = _stream(torch.device("cpu"), seed, _START, block, 0)
        rows = torch.randn((_BLOCK, dim), generator=random) * _SPREAD
        first = block * _BLOCK
        low, high = max(begin, first), min(end, first + _BLOCK)
        found[low - begin : high - begin] = rows[low - first : high - first]
    return found


def _stream(device: torch.device, *key: int) -> torch.Generator:
    """Random numbers that depend on the key alone: no state to keep, whatever the number of ranks."""
    seed = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0])
    return torch.Generator(device).manual_seed(seed)


@torch.no_grad()
def _adds_up(loss: ClassLoss) -> bool:
    """Whether `reduce` of a copy is a sum over centers; False for cross entropy with or without a mean over rows.

    Raises:
        InputError: if it is neither, so that it cannot be split over ranks.
    """
    probe = copy.deepcopy(loss)
    if isinstance(probe, nn.Module):
        probe.eval().cpu()
    cos = torch.tensor(((0.6, 0.1, -0.3, 0.2), (0.2, -0.5, 0.4, 0.3)), dtype=torch.float64)
    norm = torch.tensor((20.0, 35.0), dtype=torch.float64)
    labels = torch.tensor((0, 2))

    def reduced(columns: slice | None, who: tuple[int, int]) -> Tensor:
        logits = probe.logits(cos, labels, norm=norm, raw=norm[:, None] * cos)  # before each reduce: it may keep terms
        part = logits.new_zeros((2, 1)) if columns is None else logits[:, columns]
        value: Tensor = probe.reduce(part, torch.tensor(who))
        return value

    whole = reduced(slice(0, 4), (0, 2))
    if torch.isclose(whole, reduced(slice(0, 2), (0, -1)) + reduced(slice(2, 4), (-1, 0)), rtol=1e-9):
        return True
    logits = probe.logits(cos, labels, norm=norm, raw=norm[:, None] * cos)
    if torch.isclose(whole, functional.cross_entropy(logits, labels) + reduced(None, (0, 0)), rtol=1e-9):
        return False
    raise InputError(
        f"loss: {type(loss).__name__} is neither a sum over centers nor a cross entropy, so it cannot be split over "
        "ranks: train it on one"
    )

"""What ranks say to each other about rows and losses, forward and backward; with one rank nothing is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist

from vultus.errors import InputError

__all__ = ["Ranks", "cross_entropy", "gathered", "ranks_of", "summed", "told"]


@dataclass(frozen=True, slots=True)
class Ranks:
    """Who takes part.

    Attributes:
        group: of torch.distributed; None is the default group, or nobody else.
        rank: own place, from 0.
        size: how many there are.
    """

    group: dist.ProcessGroup | None
    rank: int
    size: int


def ranks_of(group: dist.ProcessGroup | None) -> Ranks:
    """The ranks of a group, or of the default group, or this process alone where none was started.

    Raises:
        InputError: if this process is not in the group.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return Ranks(None, 0, 1)
    rank = dist.get_rank(group)
    if rank < 0:
        raise InputError("group: expected a process group that holds this process")
    return Ranks(group, rank, dist.get_world_size(group))


def told(numbers: Sequence[int], ranks: Ranks, device: torch.device) -> list[list[int]]:
    """The same few whole numbers of every rank, in order of rank."""
    if ranks.size == 1:
        return [list(numbers)]
    mine = torch.tensor(numbers, dtype=torch.int64, device=device)
    parts = [torch.empty_like(mine) for _ in range(ranks.size)]
    dist.all_gather(parts, mine, group=ranks.group)
    found: list[list[int]] = torch.stack(parts).tolist()
    return found


def gathered(rows: Tensor, counts: Sequence[int], ranks: Ranks, factor: float = 1.0) -> Tensor:
    """The rows of all ranks, in order of rank; the gradient is the sum of what reaches them on every rank.

    Args:
        rows: (N, ...) of this rank; N may differ, and may be 0.
        counts: N of every rank.
        ranks: who takes part.
        factor: the gradient is multiplied by it.
    """
    if ranks.size == 1:
        return rows
    found: Tensor = _Gathered.apply(rows, counts, ranks, factor)  # type: ignore[no-untyped-call]
    return found


def summed(value: Tensor, ranks: Ranks) -> Tensor:
    """The sum of a value over ranks; each rank's part keeps its own gradient."""
    if ranks.size == 1:
        return value
    found: Tensor = _Summed.apply(value, ranks)  # type: ignore[no-untyped-call]
    return found


def cross_entropy(logits: Tensor, labels: Tensor, ranks: Ranks) -> Tensor:
    """Mean cross entropy over rows whose columns are split over ranks; no rank ever holds the logits of another.

    Args:
        logits: (N, C) of the columns that are here; the same rows on every rank.
        labels: (N,) column of the own class, -1 where it is on another rank. Each row has one, somewhere.
        ranks: who takes part.
    """
    found: Tensor = _CrossEntropy.apply(logits, labels, ranks)  # type: ignore[no-untyped-call]
    return found


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, counts: Sequence[int], ranks: Ranks, factor: float) -> Tensor:
        ctx.counts, ctx.ranks, ctx.factor = counts, ranks, factor
        padded = rows.new_zeros((max(counts), *rows.shape[1:]))
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded, group=ranks.group)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        total = grads[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total, group=ctx.ranks.group)
        begin = sum(ctx.counts[: ctx.ranks.rank])
        mine = total[begin : begin + ctx.counts[ctx.ranks.rank]]
        return mine * ctx.factor, None, None, None


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, ranks: Ranks) -> Tensor:
        total = value.clone()
        dist.all_reduce(total, group=ranks.group)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return grads[0], None


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor, ranks: Ranks) -> Tensor:
        top = logits.amax(dim=1)
        if ranks.size > 1:
            dist.all_reduce(top, dist.ReduceOp.MAX, group=ranks.group)
        here = labels >= 0
        spot = labels.clamp(min=0)[:, None]
        shifted = logits - top[:, None]
        own = torch.where(here, shifted.gather(1, spot)[:, 0], 0.0)
        share = shifted.exp_()
        both = torch.stack((share.sum(dim=1), own))
        if ranks.size > 1:
            dist.all_reduce(both, group=ranks.group)
        share /= both[0][:, None]
        ctx.save_for_backward(share, here, spot)
        return (both[0].log() - both[1]).mean()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        share, here, spot = ctx.saved_tensors
        factor = grads[0] / len(share)
        grad = share * factor
        grad.scatter_add_(1, spot, -(here[:, None] * factor).to(grad.dtype))
        return grad, None, None

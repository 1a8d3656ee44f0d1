"""Optimizers by name, the norm of a gradient over all ranks, and what an optimizer knows as tensors with names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist
from torch.optim import Optimizer

from vultus.errors import InputError
from vultus.train._ranks import ranks_of
from vultus.train.settings import Settings

__all__ = ["clipped", "known", "optimizer_of", "remembered"]


def optimizer_of(groups: list[dict[str, Any]], settings: Settings) -> Optimizer:
    """The optimizer of the settings over the groups of a trainable.

    Raises:
        InputError: if there is nothing to train.
    """
    groups = [{"weight_decay": settings.weight_decay, **group} for group in groups if group["params"]]
    if not groups:
        raise InputError("parameter_groups: expected at least one parameter to train, got none")
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum)
    return torch.optim.AdamW(groups, lr=settings.lr, betas=(settings.momentum, 0.999))


def named(optimizer: Optimizer) -> Iterator[tuple[str, Tensor, bool]]:
    """Every parameter with its name, and whether ranks hold different rows of it."""
    for group in optimizer.param_groups:
        for name, parameter in zip(group["param_names"], group["params"], strict=True):
            yield name, parameter, bool(group.get("sharded"))


@torch.no_grad()
def clipped(optimizer: Optimizer, limit: float, scale: float = 1.0) -> tuple[float, list[str]]:
    """Divide the gradient by `scale`, then shorten it to a norm of at most `limit` (0 is off).

    Returns:
        Its norm before, of all ranks together, and the names of parameters here whose gradient is not finite; then
        nothing is shortened.
    """
    ranks = ranks_of(None)
    held = [(name, one.grad, split) for name, one, split in named(optimizer) if one.grad is not None]
    grads = [grad for _, grad, _ in held]
    if scale != 1:
        torch._foreach_div_(grads, scale)
    squares = [torch.linalg.vector_norm(grad, dtype=torch.float32).square() for grad in grads]
    zero = torch.zeros((), device=grads[0].device if grads else None)
    here = torch.stack([zero, *(one for one, (_, _, split) in zip(squares, held, strict=True) if split)]).sum()
    if ranks.size > 1:
        dist.all_reduce(here, group=ranks.group)
    alike = torch.stack([zero, *(one for one, (_, _, split) in zip(squares, held, strict=True) if not split)]).sum()
    norm = float((alike + here).sqrt())
    if not norm < float("inf"):
        return norm, [name for name, grad, _ in held if not bool(torch.isfinite(grad).all())]
    if limit and norm > limit:
        torch._foreach_mul_(grads, limit / (norm + 1e-6))
    return norm, []


def known(optimizer: Optimizer) -> dict[str, Tensor]:
    """What the optimizer knows of parameters that all ranks hold alike, by "parameter/key"; not copies."""
    return {
        f"{name}/{key}": value
        for name, parameter, sharded in named(optimizer)
        if not sharded
        for key, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, Tensor)
    }


def remembered(optimizer: Optimizer, state: Mapping[str, Tensor]) -> None:
    """Take what `known` gave.

    Raises:
        InputError: if it is of another parameter.
    """
    parameters = {name: parameter for name, parameter, _ in named(optimizer)}
    for where, value in state.items():
        name, _, key = where.rpartition("/")
        if name not in parameters:
            raise InputError(f"optimizer: expected numbers of parameters that are trained, got those of {name!r}")
        place = value.device if key == "step" else parameters[name].device
        optimizer.state[parameters[name]][key] = value.clone().to(place)

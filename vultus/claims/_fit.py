"""One plain training loop for all miniatures: seeded, clipped, and it stops at the first number that is none."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vultus.claims._album import Arrays
from vultus.errors import WeightsError

__all__ = ["Batch", "batches", "fit", "frozen_copy", "varied"]

Batch = dict[str, Tensor]


def fit(
    net: nn.Module,
    stream: Iterable[Batch],
    loss: Callable[[Batch], Tensor],
    *,
    steps: int,
    lr: float,
    weight_decay: float = 0.02,
    clip: float = 5.0,
    progress: Callable[[int, int, str], None] = lambda done, total, what: None,
) -> list[float]:
    """Train a network in place: AdamW, one cycle of the learning rate (warm-up of 15 %, then a cosine to 0).

    Args:
        net: what learns; its norms and biases are not decayed.
        stream: batches, at least `steps` of them.
        loss: mean loss of a batch.
        steps: how many.
        lr: highest learning rate.
        weight_decay: see AdamW.
        clip: largest norm of the gradient.
        progress: told (steps done, steps, the loss in words).

    Returns:
        The loss at every step.

    Raises:
        WeightsError: if a loss is not finite; nothing of such a run is kept.
    """
    parts = [p for p in net.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parts if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parts if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.99))
    net.train()
    losses: list[float] = []
    for step, batch in zip(range(steps), stream, strict=False):
        for group in optimizer.param_groups:
            group["lr"] = lr * _cycle((step + 1) / steps)
        optimizer.zero_grad(set_to_none=True)
        value = loss(batch)
        losses.append(float(value.detach()))
        if not math.isfinite(losses[-1]):
            raise WeightsError(
                f"step {step}: expected a finite loss, got {losses[-1]}: "
                f"lower the learning rate ({lr:g}) or check the data"
            )
        value.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parts, clip)
        optimizer.step()
        if step % 10 == 9 or step + 1 == steps:
            progress(step + 1, steps, f"loss {np.mean(losses[-50:]):.3f}")
    net.eval()
    return losses


def _cycle(share: float, warm: float = 0.15) -> float:
    """Factor on the learning rate at a share of all steps."""
    if share < warm:
        return share / warm
    return 0.5 + 0.5 * math.cos(math.pi * (share - warm) / (1 - warm))


def batches(arrays: Arrays, names: Iterable[str], size: int, rng: np.random.Generator) -> Iterator[Batch]:
    """Batches without end: every picture once, in another order each time.

    Args:
        arrays: columns of one length, with `image`.
        names: which columns; `image` comes as (N, 3, S, S) in [0, 1], all others as they are.
        size: pictures in a batch.
        rng: the order.
    """
    wanted = list(names)
    count = len(arrays["image"])
    while True:
        order = rng.permutation(count)
        for first in range(0, count - size + 1, size):
            rows = np.sort(order[first : first + size])  # sorted: neighbors in memory
            batch = {name: torch.from_numpy(arrays[name][rows]) for name in wanted}
            batch["image"] = batch["image"].permute(0, 3, 1, 2).float().div_(255)
            yield batch


def varied(
    batch: Batch, generator: torch.Generator, *, shift: int = 2, blur: float = 0.2, noise: float = 0.02
) -> Batch:
    """The batch with other exposure, sharpness, noise and place; nothing is mirrored, because a mirror changes people.

    Args:
        batch: with `image`, and `parsing` and `points` where there are any: they move with their picture.
        generator: chance.
        shift: most pixels of a move.
        blur: share of pictures that are blurred by a 3 x 3 mean.
        noise: largest standard deviation of noise.
    """
    out = dict(batch)
    x = batch["image"]
    n, _, height, width = x.shape

    def draw(low: float, high: float) -> Tensor:
        return torch.rand((n, 1, 1, 1), generator=generator) * (high - low) + low

    if shift:
        dy, dx = (int(torch.randint(-shift, shift + 1, (), generator=generator)) for _ in range(2))
        padded = nn.functional.pad(x, (shift,) * 4, mode="replicate")
        x = padded[:, :, shift + dy : shift + dy + height, shift + dx : shift + dx + width]
        if "points" in batch:
            out["points"] = batch["points"] - torch.tensor((dx, dy) * 5, dtype=torch.float32)
        if "parsing" in batch:
            truth = nn.functional.pad(batch["parsing"][:, None].float(), (shift,) * 4, mode="replicate")
            moved = truth[:, 0, shift + dy : shift + dy + height, shift + dx : shift + dx + width]
            out["parsing"] = moved.to(batch["parsing"].dtype)
    soft = nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    x = torch.lerp(x, soft, (draw(0, 1) < blur).float())
    x = x * draw(0.85, 1.15) + draw(-0.04, 0.04)
    x = x + torch.randn(x.shape, generator=generator) * draw(0, noise)
    out["image"] = x.clamp(0, 1)
    return out


def frozen_copy(net: nn.Module) -> Mapping[str, NDArray[Any]]:
    """The weights and statistics as arrays; floats as float16, whole numbers left out (they count steps)."""
    state = {name: value.detach().cpu() for name, value in net.state_dict().items()}
    return {name: value.numpy().astype(np.float16) for name, value in state.items() if value.is_floating_point()}

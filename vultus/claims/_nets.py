"""The small networks of the fixtures that are no recognizers: factor nets, a face parser, a regressor; needs torch.

All take (N, 3, 64, 64) RGB in [0, 1]; normalization is inside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["FactorNet", "HeadNet", "ParserNet", "start"]


def start(net: nn.Module, generator: torch.Generator) -> None:
    """Draw every weight anew from `generator` (He et al. 2015; heads small)."""
    for part in net.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        elif isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, 0.0, 0.02, generator=generator)
        if isinstance(part, (nn.Conv2d, nn.Linear)) and part.bias is not None:
            nn.init.zeros_(part.bias)


class FactorNet(nn.Module):
    """Pictures to every factor at once, and the maps on the way.

    Args:
        kind: `plain` (3 x 3 convolutions in pairs, ReLU, maximum pooling) or `residual` (strided stem, residual units,
            SiLU).
        widths: channels of the stages.
        heads: name -> how many numbers.
        hidden: size of the vector before the heads.
        generator: where the first weights are drawn from.
        size: side of the pictures in pixels.
    """

    def __init__(
        self,
        kind: str,
        widths: Sequence[int],
        heads: Mapping[str, int],
        hidden: int,
        generator: torch.Generator,
        size: int = 64,
    ) -> None:
        super().__init__()
        self.input_hw, self.dim = (size, size), hidden
        self.stages = nn.ModuleList(_plain(widths) if kind == "plain" else _residual(widths))
        side = size // 2 ** len(widths)
        self.hidden = nn.Linear(widths[-1] * side * side, hidden)
        self.heads = nn.ModuleDict({name: nn.Linear(hidden, size) for name, size in heads.items()})
        start(self, generator)

    def levels(self, x: Tensor) -> list[Tensor]:
        """The maps of the stages, finest first."""
        x, found = 2 * x - 1, []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found

    def vector(self, last: Tensor) -> Tensor:
        """(N, hidden) of the last map."""
        return functional.silu(self.hidden(last.flatten(1)))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Name -> (N, K) logits or standardized numbers."""
        vector = self.vector(self.levels(x)[-1])
        return {name: head(vector) for name, head in self.heads.items()}


class HeadNet(nn.Module):
    """Pictures to the numbers of the head model: pose and light from the whole picture, the rest from the face in it.

    Args:
        whole: sees the picture.
        located: finds five points and cuts crops; its backbone, a factor net, sees the face.
    """

    def __init__(self, whole: FactorNet, located: nn.Module) -> None:
        super().__init__()
        self.whole, self.located = whole, located

    @property
    def heads(self) -> dict[str, nn.Linear]:
        """All heads by name."""
        face = cast(FactorNet, self.located.backbone)
        every = (*face.heads.items(), *self.whole.heads.items())
        return {name: cast(nn.Linear, layer) for name, layer in every}

    def of(self, x: Tensor, points: Tensor) -> dict[str, Tensor]:
        """As a call, with the five points (N, 5, 2) given."""
        face = self.located.backbone(self.located.cut(x, points))  # type: ignore[operator]
        return {**face, **self.whole(x)}

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Name -> (N, K) standardized numbers."""
        return self.of(x, self.located.points(2 * x - 1))  # type: ignore[operator]


class ParserNet(nn.Module):
    """U-Net (Ronneberger et al. 2015, arXiv:1505.04597) with batch norm: pictures to (N, classes, 64, 64) logits."""

    def __init__(self, widths: Sequence[int], classes: int, generator: torch.Generator) -> None:
        super().__init__()
        before = 3
        down, up = [], []
        for width in widths:
            down.append(_pair(before, width))
            before = width
        for width in reversed(widths[:-1]):
            up.append(_pair(before + width, width))
            before = width
        self.down, self.up = nn.ModuleList(down), nn.ModuleList(up)
        self.out = nn.Conv2d(before, classes, 1)
        start(self, generator)

    def forward(self, x: Tensor) -> Tensor:
        x, kept = 2 * x - 1, []
        for k, block in enumerate(self.down):
            x = block(functional.max_pool2d(x, 2) if k else x)
            kept.append(x)
        for block, skip in zip(self.up, reversed(kept[:-1]), strict=True):
            x = block(torch.cat([functional.interpolate(x, scale_factor=2.0, mode="nearest"), skip], 1))
        out: Tensor = self.out(x)
        return out


def _plain(widths: Sequence[int]) -> list[nn.Module]:
    stages: list[nn.Module] = []
    before = 3
    for width in widths:
        stages.append(nn.Sequential(_pair(before, width), nn.MaxPool2d(2)))
        before = width
    return stages


def _residual(widths: Sequence[int]) -> list[nn.Module]:
    stages: list[nn.Module] = []
    before = 3
    for width in widths:
        first = nn.Sequential(
            nn.Conv2d(before, width, 4, 2, 1, bias=False), nn.BatchNorm2d(width), nn.SiLU(), _Residual(width)
        )
        stages.append(first)
        before = width
    return stages


class _Residual(nn.Module):
    """x + Conv-BN-SiLU-Conv-BN, SiLU after the sum."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return functional.silu(x + self.body(x))


def _pair(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, 1, 1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
        nn.Conv2d(after, after, 3, 1, 1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    )

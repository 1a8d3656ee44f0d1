"""Inception-ResNet-v1: parallel convolutions of several widths whose sum is added to what came in.

Paper: Szegedy et al., "Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning", AAAI 2017,
arXiv:1602.07261, figures 10 to 15, as used for faces by davidsandberg/facenet: 160 x 160 pictures, sums scaled by 0.17,
0.10 and 0.20, one more block without scale and activation at the end, mean, dropout, fully connected layer, batch norm.
Names of the weights are those of facenet-pytorch without its `logits`, so its files load as they are.

Differs: crops are normalized to (x - 0.5) / 0.5, where those files were trained with (x - 127.5) / 128 of 0 to 255.
Fewer blocks, narrower channels and a first convolution of stride 1, for small crops, are of this house.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from vultus.errors import InputError
from vultus.recognize._features import FeatureOut, features_of, start, taken

__all__ = ["InceptionResNetV1"]

_LEAST = {1: 39, 2: 75}
"""Smallest side that leaves one cell of the last map, by stride of the first convolution."""


class InceptionResNetV1(nn.Module):
    """(N, C, H, W) normalized crops to (N, D) raw vectors.

    Args:
        input_hw: height and width of the crops.
        dim: D.
        in_chans: C.
        width: factor on every number of channels but D; channels stay multiples of 4.
        repeats: blocks of the three grids, finest first.
        stem_stride: stride of the first convolution, 1 or 2.
        dropout: share of the mean set to 0 in training.
        generator: where the first weights are drawn from; None means seed 0.

    Raises:
        InputError: if the crop is too small for the last map, or a size is none.
    """

    def __init__(
        self,
        *,
        input_hw: Sequence[int] = (160, 160),
        dim: int = 512,
        in_chans: int = 3,
        width: float = 1.0,
        repeats: Sequence[int] = (5, 10, 5),
        stem_stride: int = 2,
        dropout: float = 0.6,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if stem_stride not in _LEAST or len(repeats) != 3 or width <= 0 or min(input_hw) < _LEAST[stem_stride]:
            raise InputError(
                "input_hw, width, repeats, stem_stride: expected sides of 75 or more (39 with a first stride of 1), a "
                f"width above 0, three numbers of blocks and a first stride of 1 or 2; got {tuple(input_hw)}, {width}, "
                f"{tuple(repeats)} and {stem_stride}"
            )
        self.input_hw, self.dim, self.in_chans = (input_hw[0], input_hw[1]), dim, in_chans
        c = partial(_channels, width=width)
        self.conv2d_1a = _Conv(in_chans, c(32), 3, stride=stem_stride, padding=0)
        self.conv2d_2a = _Conv(c(32), c(32), 3, padding=0)
        self.conv2d_2b = _Conv(c(32), c(64), 3)
        self.maxpool_3a = nn.MaxPool2d(3, stride=2)
        self.conv2d_3b = _Conv(c(64), c(80), 1)
        self.conv2d_4a = _Conv(c(80), c(192), 3, padding=0)
        self.conv2d_4b = _Conv(c(192), c(256), 3, stride=2, padding=0)
        self.repeat_1 = nn.Sequential(*(_block35(c) for _ in range(repeats[0])))
        self.mixed_6a = _reduction_a(c)
        after_a = c(384) + 2 * c(256)
        self.repeat_2 = nn.Sequential(*(_block(after_a, c(128), 7, 0.10) for _ in range(repeats[1])))
        self.mixed_7a = _reduction_b(c, after_a)
        after_b = c(384) + 2 * c(256) + after_a
        self.repeat_3 = nn.Sequential(*(_block(after_b, c(192), 3, 0.20) for _ in range(repeats[2])))
        self.block8 = _block(after_b, c(192), 3, 1.0, activate=False)
        self.dropout = nn.Dropout(dropout)
        self.last_linear = nn.Linear(after_b, dim, bias=False)
        self.last_bn = nn.BatchNorm1d(dim, eps=1e-3)
        start(self, generator or torch.Generator().manual_seed(0))

    def pyramid(self, x: Tensor) -> tuple[Tensor, ...]:
        """The maps of the three grids; of 160 x 160 pictures 17, 8 and 3 cells wide."""
        x = self.maxpool_3a(self.conv2d_2b(self.conv2d_2a(self.conv2d_1a(x))))
        first = self.repeat_1(self.conv2d_4b(self.conv2d_4a(self.conv2d_3b(x))))
        second = self.repeat_2(self.mixed_6a(first))
        return first, second, self.block8(self.repeat_3(self.mixed_7a(second)))

    def forward(self, x: Tensor, maps: Sequence[str] = ()) -> FeatureOut:
        """Vectors of normalized crops.

        Args:
            x: (N, C, H, W) of `input_hw`.
            maps: which of grid1 to grid3 are wanted too.

        Raises:
            InputError: if the size is another, or a map is unknown.
        """
        taken(x, maps, (self.in_chans, *self.input_hw), [f"grid{number}" for number in range(1, 4)])
        levels = self.pyramid(x)
        raw = self.last_bn(self.last_linear(self.dropout(levels[-1].mean((2, 3)))))
        return features_of(raw, levels[-1], {name: levels[int(name[-1]) - 1] for name in maps})


class _Conv(nn.Module):
    """Conv-BN-ReLU; by default the map keeps its size."""

    def __init__(
        self,
        before: int,
        after: int,
        kernel: int | tuple[int, int],
        *,
        stride: int = 1,
        padding: int | tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        pad = (sides[0] // 2, sides[1] // 2) if padding is None else padding
        self.conv = nn.Conv2d(before, after, sides, stride, pad, bias=False)
        self.bn = nn.BatchNorm2d(after, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu(self.bn(self.conv(x)))


class _Branches(nn.Module):
    """What several paths make of the same map, side by side; the last path of a reduction is a maximum."""

    def __init__(self, *branches: nn.Module, pool: bool = False) -> None:
        super().__init__()
        paths = [*branches, nn.MaxPool2d(3, stride=2)] if pool else branches
        for number, path in enumerate(paths):
            setattr(self, f"branch{number}", path)
        self.n_branches = len(paths)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([getattr(self, f"branch{number}")(x) for number in range(self.n_branches)], 1)


class _Block(_Branches):
    """A share of what the branches found, brought back to the channels of the map, is added to it."""

    def __init__(self, *branches: nn.Module, found: int, width: int, scale: float, activate: bool) -> None:
        super().__init__(*branches)
        self.conv2d = nn.Conv2d(found, width, 1)
        self.scale, self.activate = scale, activate

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.scale * self.conv2d(super().forward(x))
        return nn.functional.relu(out) if self.activate else out


def _block35(c: partial[int]) -> _Block:
    """Figure 10: 1 x 1; 1 x 1 and 3 x 3; 1 x 1 and 3 x 3 twice."""
    wide, each = c(256), c(32)
    two = nn.Sequential(_Conv(wide, each, 1), _Conv(each, each, 3))
    three = nn.Sequential(_Conv(wide, each, 1), _Conv(each, each, 3), _Conv(each, each, 3))
    return _Block(_Conv(wide, each, 1), two, three, found=3 * each, width=wide, scale=0.17, activate=True)


def _block(wide: int, each: int, kernel: int, scale: float, *, activate: bool = True) -> _Block:
    """Figures 11 and 13: 1 x 1; 1 x 1, a row and a column."""
    row_column = (_Conv(each, each, (1, kernel)), _Conv(each, each, (kernel, 1)))
    two = nn.Sequential(_Conv(wide, each, 1), *row_column)
    return _Block(_Conv(wide, each, 1), two, found=2 * each, width=wide, scale=scale, activate=activate)


def _reduction_a(c: partial[int]) -> _Branches:
    """Figure 7 with k, l, m, n of 192, 192, 256, 384."""
    wide = c(256)
    down = _Conv(wide, c(384), 3, stride=2, padding=0)
    three = nn.Sequential(
        _Conv(wide, c(192), 1), _Conv(c(192), c(192), 3), _Conv(c(192), c(256), 3, stride=2, padding=0)
    )
    return _Branches(down, three, pool=True)


def _reduction_b(c: partial[int], wide: int) -> _Branches:
    """Figure 12."""
    each = c(256)
    first = nn.Sequential(_Conv(wide, each, 1), _Conv(each, c(384), 3, stride=2, padding=0))
    second = nn.Sequential(_Conv(wide, each, 1), _Conv(each, each, 3, stride=2, padding=0))
    third = nn.Sequential(_Conv(wide, each, 1), _Conv(each, each, 3), _Conv(each, each, 3, stride=2, padding=0))
    return _Branches(first, second, third, pool=True)


def _channels(published: int, width: float) -> int:
    return max(4, round(published * width / 4) * 4)

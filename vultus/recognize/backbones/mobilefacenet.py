"""MobileFaceNet: inverted residuals and a depthwise convolution over the whole last map in place of pooling.

Paper: Chen et al., "MobileFaceNets: Efficient CNNs for Accurate Real-Time Face Verification on Mobile Devices",
CCBR 2018, arXiv:1804.07573, table 1 (0.99 M parameters once batch norms are folded, 221 M multiply-adds at 112 x 112).

Differs: other input sizes and narrower widths are of this house; the defaults are the published network.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vultus.errors import InputError
from vultus.recognize._features import FeatureOut, features_of, start, taken

__all__ = ["MobileFaceNet"]

_STAGES = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))
"""Rows of table 1: expansion t, channels c, repeats n, stride s of the first."""


class MobileFaceNet(nn.Module):
    """(N, C, H, W) normalized crops to (N, D) raw vectors.

    Args:
        input_hw: height and width of the crops; the last map is a sixteenth of them, rounded up.
        dim: D.
        in_chans: C.
        width: factor on every number of channels but D; channels stay multiples of 8.
        stages: rows (expansion, channels, repeats, stride); three strides of 2 are expected.
        generator: where the first weights are drawn from; None means seed 0.

    Raises:
        InputError: if the strides of the stages do not multiply to 8, or the width is not positive.
    """

    def __init__(
        self,
        *,
        input_hw: Sequence[int] = (112, 112),
        dim: int = 128,
        in_chans: int = 3,
        width: float = 1.0,
        stages: Sequence[Sequence[int]] = _STAGES,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        total = 1
        for *_, stride in stages:
            total *= stride
        if total != 8 or width <= 0:
            raise InputError(
                f"stages, width: expected strides that multiply to 8 and a width above 0, got {total}, {width}"
            )
        self.input_hw, self.dim, self.in_chans = (input_hw[0], input_hw[1]), dim, in_chans
        before = _channels(64, width)
        self.stem = _conv(in_chans, before, 3, 2)
        self.depthwise = _conv(before, before, 3, 1, groups=before)
        for number, (expansion, channels, repeats, stride) in enumerate(stages, 1):
            after = _channels(channels, width)
            units = [_Bottleneck(before, after, expansion, stride)]
            units += [_Bottleneck(after, after, expansion, 1) for _ in range(repeats - 1)]
            setattr(self, f"stage{number}", nn.Sequential(*units))
            before = after
        self.n_stages = len(stages)
        last = _channels(512, width)
        self.widen = _conv(before, last, 1, 1)
        grid_hw = (-(-self.input_hw[0] // 16), -(-self.input_hw[1] // 16))
        self.global_depthwise = nn.Sequential(
            nn.Conv2d(last, last, grid_hw, groups=last, bias=False), nn.BatchNorm2d(last)
        )
        self.embedding = nn.Sequential(nn.Conv2d(last, dim, 1, bias=False), nn.BatchNorm2d(dim))
        start(self, generator or torch.Generator().manual_seed(0))

    def pyramid(self, x: Tensor) -> tuple[Tensor, ...]:
        """The stages' maps; of the published network at strides 4, 8, 8, 16 and 16."""
        x = self.depthwise(self.stem(x))
        found = []
        for number in range(1, self.n_stages + 1):
            x = getattr(self, f"stage{number}")(x)
            found.append(x)
        return tuple(found)

    def forward(self, x: Tensor, maps: Sequence[str] = ()) -> FeatureOut:
        """Vectors of normalized crops.

        Args:
            x: (N, C, H, W) of `input_hw`.
            maps: which of stage1, stage2, ... are wanted too.

        Raises:
            InputError: if the size is another, or a map is unknown.
        """
        taken(x, maps, (self.in_chans, *self.input_hw), [f"stage{number}" for number in range(1, self.n_stages + 1)])
        levels = self.pyramid(x)
        grid = self.widen(levels[-1])
        raw = self.embedding(self.global_depthwise(grid)).flatten(1)
        return features_of(raw, grid, {name: levels[int(name[5:]) - 1] for name in maps})


class _Bottleneck(nn.Module):
    """Widen, filter each channel, narrow without activation; a shortcut where shape and stride allow it."""

    def __init__(self, before: int, after: int, expansion: int, stride: int) -> None:
        super().__init__()
        inner = before * expansion
        self.shortcut = stride == 1 and before == after
        self.body = nn.Sequential(
            _conv(before, inner, 1, 1),
            _conv(inner, inner, 3, stride, groups=inner),
            nn.Sequential(nn.Conv2d(inner, after, 1, bias=False), nn.BatchNorm2d(after)),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        return x + out if self.shortcut else out


def _conv(before: int, after: int, kernel: int, stride: int, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(after), nn.PReLU(after))


def _channels(published: int, width: float) -> int:
    return max(8, round(published * width / 8) * 8)

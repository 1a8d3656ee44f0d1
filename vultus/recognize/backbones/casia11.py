"""Casia11: ten small convolutions and a mean, for grey faces: the baseline network of CASIA-WebFace.

Paper: Yi et al., "Learning Face Representation from Scratch", 2014, arXiv:1411.7923, table 1: five pairs of 3 x 3
convolutions, the pairs divided by maxima over 2 x 2, then the mean over the last 7 x 7 map as the vector ("Pool5",
320 numbers). ReLU after every convolution but the last, so that the vector is dense and has both signs.

Differs: the eleventh layer, 10,575 classes, belongs to the loss. The paper drops 40 % of the vector on the way to that
layer alone; here whatever reads the vector in training sees it dropped, and the mean of `grid` is the whole vector.
Other widths and sizes are of this house.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from vultus.errors import InputError
from vultus.recognize._features import FeatureOut, features_of, start, taken

__all__ = ["Casia11"]

_WIDTHS = (32, 64, 64, 128, 96, 192, 128, 256, 160, 320)
_GREY = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in grey, ITU-R BT.601."""


class Casia11(nn.Module):
    """(N, C, H, W) normalized crops to (N, D) raw vectors; D is the last width.

    Args:
        input_hw: height and width of the crops; the last map is a sixteenth of them, rounded up.
        in_chans: C. With 1, crops of three channels are taken too and made grey first.
        widths: channels of the ten convolutions.
        dropout: share of the vector set to 0 in training.
        generator: where the first weights are drawn from; None means seed 0.

    Raises:
        InputError: if there are not ten widths.
    """

    def __init__(
        self,
        *,
        input_hw: Sequence[int] = (100, 100),
        in_chans: int = 1,
        widths: Sequence[int] = _WIDTHS,
        dropout: float = 0.4,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if len(widths) != len(_WIDTHS):
            raise InputError(f"widths: expected ten numbers of channels, got {len(widths)}")
        self.input_hw, self.dim, self.in_chans = (input_hw[0], input_hw[1]), widths[-1], in_chans
        before = in_chans
        for number, width in enumerate(widths):
            setattr(self, f"conv{number // 2 + 1}{number % 2 + 1}", nn.Conv2d(before, width, 3, 1, 1))
            before = width
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("grey", torch.tensor(_GREY).view(1, 3, 1, 1), persistent=False)
        start(self, generator or torch.Generator().manual_seed(0))

    def pyramid(self, x: Tensor) -> tuple[Tensor, ...]:
        """The five pairs' maps, before their maxima, at strides 1, 2, 4, 8 and 16."""
        found: list[Tensor] = []
        for number in range(1, 6):
            if found:
                x = functional.max_pool2d(x, 2, ceil_mode=True)
            x = functional.relu(getattr(self, f"conv{number}1")(x))
            x = getattr(self, f"conv{number}2")(x)
            x = functional.relu(x) if number < 5 else x
            found.append(x)
        return tuple(found)

    def forward(self, x: Tensor, maps: Sequence[str] = ()) -> FeatureOut:
        """Vectors of normalized crops.

        Args:
            x: (N, C, H, W) of `input_hw`; of a network of grey crops also (N, 3, H, W).
            maps: which of pair1 to pair5 are wanted too.

        Raises:
            InputError: if the size is another, or a map is unknown.
        """
        chans = 3 if self.in_chans == 1 and x.shape[1:2] == (3,) else self.in_chans
        taken(x, maps, (chans, *self.input_hw), [f"pair{number}" for number in range(1, 6)])
        if x.shape[1] != self.in_chans:
            x = (x * self.get_buffer("grey").to(x.dtype)).sum(1, keepdim=True)
        levels = self.pyramid(x)
        raw = self.dropout(levels[-1].mean((2, 3)))
        return features_of(raw, levels[-1], {name: levels[int(name[-1]) - 1] for name in maps})

"""IResNet: the residual networks that most published face recognizers use, with 10 to 100 layers.

Paper: Deng et al., "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", CVPR 2019, arXiv:1801.07698,
section 3.1: units BN-Conv-BN-PReLU-Conv-BN (Han et al. 2017, arXiv:1610.02915), first convolution 3 x 3 with stride 1,
embedding by "option E": BN-Dropout-FC-BN. With `se`, the "SE" networks of its first version: Hu et al., "Squeeze-and-
Excitation Networks", CVPR 2018, arXiv:1709.01507, at the end of each unit, narrowed 16 times, with PReLU.

Differs: no dropout (the authors' released PyTorch networks set its rate to 0). 10 layers, other widths and other input
sizes are of this house; the default widths are the published ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vultus.errors import InputError
from vultus.recognize._features import FeatureOut, features_of, start, taken

__all__ = ["IResNet"]

_UNITS = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 14, 3), 100: (3, 13, 30, 3)}


class IResNet(nn.Module):
    """(N, C, H, W) normalized crops to (N, D) raw vectors.

    Args:
        depth: 10, 18, 34, 50 or 100.
        input_hw: height and width of the crops; the last map is a sixteenth of them, rounded up.
        dim: D.
        in_chans: C.
        widths: channels of the four stages; the first is also that of the stem.
        se: whether each unit weighs its channels by what it saw everywhere.
        generator: where the first weights are drawn from; None means seed 0.

    Raises:
        InputError: if the depth is unknown or there are not four widths.
    """

    def __init__(
        self,
        depth: int,
        *,
        input_hw: Sequence[int] = (112, 112),
        dim: int = 512,
        in_chans: int = 3,
        widths: Sequence[int] = (64, 128, 256, 512),
        se: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if depth not in _UNITS or len(widths) != 4:
            raise InputError(
                f"depth, widths: expected a depth of {', '.join(map(str, _UNITS))} and four widths, "
                f"got {depth} and {tuple(widths)}"
            )
        self.input_hw, self.dim, self.in_chans = (input_hw[0], input_hw[1]), dim, in_chans
        self.conv1 = nn.Conv2d(in_chans, widths[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.prelu = nn.PReLU(widths[0])
        before = widths[0]
        for number, (width, units) in enumerate(zip(widths, _UNITS[depth], strict=True), 1):
            stage = [_Unit(before, width, 2, se), *(_Unit(width, width, 1, se) for _ in range(units - 1))]
            setattr(self, f"layer{number}", nn.Sequential(*stage))
            before = width
        self.bn2 = nn.BatchNorm2d(before)
        height, width = (-(-side // 16) for side in self.input_hw)
        self.fc = nn.Linear(before * height * width, dim)
        self.features = nn.BatchNorm1d(dim)
        self.features.weight.requires_grad_(False)  # as released: only the shift is learned
        start(self, generator or torch.Generator().manual_seed(0))

    def pyramid(self, x: Tensor) -> tuple[Tensor, ...]:
        """The four stages' maps, at strides 2, 4, 8 and 16."""
        x = self.prelu(self.bn1(self.conv1(x)))
        found = []
        for number in range(1, 5):
            x = getattr(self, f"layer{number}")(x)
            found.append(x)
        return tuple(found)

    def forward(self, x: Tensor, maps: Sequence[str] = ()) -> FeatureOut:
        """Vectors of normalized crops.

        Args:
            x: (N, C, H, W) of `input_hw`.
            maps: which of layer1 to layer4 are wanted too.

        Raises:
            InputError: if the size is another, or a map is unknown.
        """
        taken(x, maps, (self.in_chans, *self.input_hw), [f"layer{number}" for number in range(1, 5)])
        levels = self.pyramid(x)
        grid = self.bn2(levels[-1])
        raw = self.features(self.fc(grid.flatten(1)))
        return features_of(raw, grid, {name: levels[int(name[-1]) - 1] for name in maps})


class _Unit(nn.Module):
    """BN-Conv-BN-PReLU-Conv-BN beside a shortcut; the stride is that of the second convolution."""

    def __init__(self, before: int, width: int, stride: int, se: bool) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(before)
        self.conv1 = nn.Conv2d(before, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.prelu = nn.PReLU(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.se = _Excite(width) if se else nn.Identity()
        self.downsample: nn.Module | None = None
        if stride != 1 or before != width:
            self.downsample = nn.Sequential(nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        inner = self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x)))))
        out: Tensor = self.se(self.bn3(inner)) + (x if self.downsample is None else self.downsample(x))
        return out


class _Excite(nn.Module):
    """Each channel times a number from 0 to 1 that depends on the means of all of them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        narrow = max(1, width // 16)
        self.conv1, self.prelu = nn.Conv2d(width, narrow, 1), nn.PReLU(narrow)
        self.conv2 = nn.Conv2d(narrow, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.conv2(self.prelu(self.conv1(x.mean((2, 3), keepdim=True)))))

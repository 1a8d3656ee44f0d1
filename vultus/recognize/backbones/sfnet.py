"""SFNet: the residual networks of SphereFace, plain as first released or with batch norm, 4 to 64 layers.

Paper: Liu et al., "SphereFace: Deep Hypersphere Embedding for Face Recognition", CVPR 2017, arXiv:1704.08063, table 2:
four stages, each a 3 x 3 convolution of stride 2 and then units of two convolutions; a fully connected layer gives the
vector. Details of the plain form from the authors' released 20- and 64-layer networks: PReLU behind every
convolution, the unit's input added after the second PReLU, no bias within units, units started near 0 (deviation
0.01). With batch norm: Liu et al., "SphereFace Revived", 2021, arXiv:2109.05565, as in the authors' opensphere, whose
names of the weights are kept: ReLU, the second one after the addition, and a last batch norm on the vector that starts
at 0.1.

Differs: other widths and input sizes are of this house.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vultus.errors import InputError
from vultus.recognize._features import FeatureOut, features_of, start, taken

__all__ = ["SFNet"]

_UNITS = {4: (0, 0, 0, 0), 10: (0, 1, 2, 0), 20: (1, 2, 4, 1), 36: (2, 4, 8, 2), 64: (3, 8, 16, 3)}


class SFNet(nn.Module):
    """(N, C, H, W) normalized crops to (N, D) raw vectors.

    Args:
        depth: 4, 10, 20, 36 or 64.
        input_hw: height and width of the crops; the last map is a sixteenth of them, rounded up.
        dim: D.
        in_chans: C.
        widths: channels of the four stages.
        batch_norm: with batch norm, as in opensphere, or plain, as first released.
        generator: where the first weights are drawn from; None means seed 0.

    Raises:
        InputError: if the depth is unknown or there are not four widths.
    """

    def __init__(
        self,
        depth: int,
        *,
        input_hw: Sequence[int] = (112, 96),
        dim: int = 512,
        in_chans: int = 3,
        widths: Sequence[int] = (64, 128, 256, 512),
        batch_norm: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if depth not in _UNITS or len(widths) != 4:
            raise InputError(
                f"depth, widths: expected a depth of {', '.join(map(str, _UNITS))} and four widths, "
                f"got {depth} and {tuple(widths)}"
            )
        self.input_hw, self.dim, self.in_chans = (input_hw[0], input_hw[1]), dim, in_chans
        before = in_chans
        for number, (width, units) in enumerate(zip(widths, _UNITS[depth], strict=True), 1):
            stage: list[nn.Module] = [_Down(before, width, batch_norm)]
            stage += [_Normed(width) if batch_norm else _Plain(width) for _ in range(units)]
            setattr(self, f"layer{number}", nn.Sequential(*stage))
            before = width
        height, width = (-(-side // 16) for side in self.input_hw)
        self.fc = nn.Linear(before * height * width, dim)
        self.features = nn.BatchNorm1d(dim) if batch_norm else nn.Identity()
        drawn = generator or torch.Generator().manual_seed(0)
        start(self, drawn)
        if isinstance(self.features, nn.BatchNorm1d):
            nn.init.constant_(self.features.weight, 0.1)
        for part in self.modules():  # without batch norm, sixty-four layers of the usual size would overflow
            if isinstance(part, _Plain):
                nn.init.normal_(part.conv1.weight, std=0.01, generator=drawn)
                nn.init.normal_(part.conv2.weight, std=0.01, generator=drawn)
            elif isinstance(part, _Down) and not batch_norm:
                nn.init.xavier_uniform_(part.conv1.weight, generator=drawn)

    def pyramid(self, x: Tensor) -> tuple[Tensor, ...]:
        """The four stages' maps, at strides 2, 4, 8 and 16."""
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
        raw = self.features(self.fc(levels[-1].flatten(1)))
        return features_of(raw, levels[-1], {name: levels[int(name[-1]) - 1] for name in maps})


class _Down(nn.Module):
    """The first convolution of a stage: stride 2, and the channels of the stage."""

    def __init__(self, before: int, width: int, batch_norm: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, 2, 1, bias=not batch_norm)
        self.bn1 = nn.BatchNorm2d(width) if batch_norm else nn.Identity()
        self.act = nn.ReLU() if batch_norm else nn.PReLU(width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.act(self.bn1(self.conv1(x)))
        return out


class _Plain(nn.Module):
    """x + PReLU(Conv(PReLU(Conv(x)))): what is added is never passed through anything."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.act1 = nn.PReLU(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.act2 = nn.PReLU(width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.act2(self.conv2(self.act1(self.conv1(x))))
        return out


class _Normed(nn.Module):
    """ReLU(x + BN(Conv(ReLU(BN(Conv(x)))))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(nn.functional.relu(self.bn1(self.conv1(x)))))
        return nn.functional.relu(x + inner)

"""Located: a backbone that finds the face's five points itself and looks at the aligned crop, all differentiable.

Paper: Jaderberg et al., "Spatial Transformer Networks", NeurIPS 2015, arXiv:1506.02025: a localization network, a grid
and bilinear sampling (equations 1 to 5).

Differs: the localization network gives five points as means of heat maps instead of a matrix, so that it can be taught
where the points are; the transformation is the similarity that brings a template nearest to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from vultus.errors import InputError
from vultus.recognize._features import FeatureOut, start

__all__ = ["Located"]

_TEMPLATE = ((0.354, 0.406), (0.646, 0.406), (0.5, 0.573), (0.385, 0.729), (0.615, 0.729))
"""Five points as shares of the crop, in edge coordinates; wider than the ArcFace template, so that the jaw is seen."""


class Located(nn.Module):
    """(N, 3, H, W) normalized pictures to (N, D) raw vectors of the face in them.

    Args:
        backbone: takes the crops: has `input_hw`, `dim` and `__call__(x, maps=()) -> FeatureOut`.
        input_hw: height and width of the pictures, multiples of 8.
        width: channels of the first layer of the localization network.
        generator: where its first weights are drawn from; None means seed 0.

    Raises:
        InputError: if a side is no multiple of 8.
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        input_hw: Sequence[int] = (64, 64),
        width: int = 16,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if input_hw[0] % 8 or input_hw[1] % 8:
            raise InputError(f"input_hw: expected multiples of 8, got {tuple(input_hw)}")
        self.input_hw = (int(input_hw[0]), int(input_hw[1]))
        self.crop_hw = cast(tuple[int, int], backbone.input_hw)
        self.dim = cast(int, backbone.dim)
        self.localize = _Localizer(width)
        start(self.localize, generator or torch.Generator().manual_seed(0))
        self.backbone = backbone

    def points(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) normalized pictures -> (N, 5, 2) pixels, center coordinates."""
        return self.means(self.localize(x))

    def means(self, heat: Tensor) -> Tensor:
        """(N, 5, h, w) heat maps, as logits -> (N, 5, 2) mean places in pixels, center coordinates."""
        wide = heat if heat.dtype == torch.float64 else heat.float()
        share = wide.flatten(2).softmax(2).view(heat.shape)
        u, v = self.places(heat)
        return torch.stack([(share.sum(2) * u).sum(2), (share.sum(3) * v).sum(2)], 2)

    def places(self, heat: Tensor) -> tuple[Tensor, Tensor]:
        """Where the cells of heat maps lie: (w,) and (h,) pixels, center coordinates."""
        h, w = heat.shape[2:]
        u = (torch.arange(w, dtype=torch.float32, device=heat.device) + 0.5) * (self.input_hw[1] / w) - 0.5
        v = (torch.arange(h, dtype=torch.float32, device=heat.device) + 0.5) * (self.input_hw[0] / h) - 0.5
        return u, v

    def cut(self, x: Tensor, points: Tensor) -> Tensor:
        """Crops in which the points lie as in the template, differentiable in pictures and points.

        Args:
            x: (N, 3, H, W).
            points: (N, 5, 2) pixels, center coordinates.

        Returns:
            (N, 3, h, w) of the backbone's size; the picture's edge goes on outside it.
        """
        height, width = self.crop_hw
        size = points.new_tensor((width, height))
        goal = points.new_tensor(_TEMPLATE) * size - 0.5
        middle, d = points.mean(1), goal - goal.mean(0)
        s = points - middle[:, None]
        spread = (d**2).sum()
        real = (d * s).sum((1, 2)) / spread  # crop to picture: a rotation and scale as one complex number
        imag = (d[:, 0] * s[..., 1] - d[:, 1] * s[..., 0]).sum(1) / spread
        v, u = torch.meshgrid(
            torch.arange(height, dtype=points.dtype, device=points.device),
            torch.arange(width, dtype=points.dtype, device=points.device),
            indexing="ij",
        )
        u, v = u - goal.mean(0)[0], v - goal.mean(0)[1]
        across = middle[:, 0, None, None] + real[:, None, None] * u - imag[:, None, None] * v
        down = middle[:, 1, None, None] + imag[:, None, None] * u + real[:, None, None] * v
        edges = torch.stack([(2 * across + 1) / x.shape[3] - 1, (2 * down + 1) / x.shape[2] - 1], 3)
        return functional.grid_sample(x, edges.to(x.dtype), padding_mode="border", align_corners=False)

    def forward(self, x: Tensor, maps: Sequence[str] = ()) -> FeatureOut:
        """Vectors of normalized pictures.

        Args:
            x: (N, 3, H, W) of `input_hw`.
            maps: names of the backbone's maps that are wanted; they are maps of the crop.

        Raises:
            InputError: if the size is another, or a map is unknown.
        """
        if x.shape[1:] != (3, *self.input_hw):
            raise InputError(f"x: expected (N, 3, {self.input_hw[0]}, {self.input_hw[1]}), got {tuple(x.shape)}")
        out: FeatureOut = self.backbone(self.cut(x, self.points(x)), maps=maps)
        return out


class _Localizer(nn.Module):
    """Pictures to five heat maps at a quarter of their size."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.down2 = _layer(3, width, 2)
        self.down4 = nn.Sequential(_layer(width, 2 * width, 2), _layer(2 * width, 2 * width, 1))
        self.down8 = nn.Sequential(_layer(2 * width, 4 * width, 2), _layer(4 * width, 4 * width, 1))
        self.deep = _layer(4 * width, 4 * width, 1)
        self.join = _layer(6 * width, 2 * width, 1)
        self.out = nn.Conv2d(2 * width, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.down4(self.down2(x))
        coarse = self.down8(fine)
        coarse = coarse + self.deep(coarse)
        up = functional.interpolate(coarse, scale_factor=2.0, mode="nearest")
        out: Tensor = self.out(self.join(torch.cat([fine, up], 1)))
        return out


def _layer(before: int, after: int, stride: int) -> nn.Sequential:
    conv = nn.Conv2d(before, after, 3, stride, 1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(after), nn.PReLU(after))

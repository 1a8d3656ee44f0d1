"""The networks of FaceNet: NN1 after Zeiler and Fergus with maxout ends, NN2 to NN4 after Inception.

Paper: Schroff et al., "FaceNet: A Unified Embedding for Face Recognition and Clustering", CVPR 2015, arXiv:1503.03832,
table 1 (NN1: 220 x 220, 140 M parameters), table 2 (NN2: 224 x 224, 7.5 M) and section 3.3 (NN3: NN2 at 160 x 160;
NN4: 96 x 96, without 5 x 5 convolutions in the higher layers, 285 M multiply-adds).

Differs: "norm" is local response normalization with the constants of GoogLeNet, which the paper does not state. Which
layers of NN4 are "higher" is not stated either; without those of 4e, 5a and 5b it has the published multiply-adds. L2
pooling is the root of the mean of squares, not of the sum, which is the same up to a factor of 3. Batch norms, other
widths and other sizes are of this house. NNS1 and NNS2 have no table in the paper and are not built.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from vultus.errors import InputError
from vultus.recognize._features import FeatureOut, features_of, start, taken

__all__ = ["FaceInception", "ZeilerFergus"]

_STRIDED = ("3c", "4e")
_TABLE_2: dict[str, tuple[int, int, int, int, int, int, str]] = {
    "3a": (64, 96, 128, 16, 32, 32, "max"),
    "3b": (64, 96, 128, 32, 64, 64, "l2"),
    "3c": (0, 128, 256, 32, 64, 0, "max"),
    "4a": (256, 96, 192, 32, 64, 128, "l2"),
    "4b": (224, 112, 224, 32, 64, 128, "l2"),
    "4c": (192, 128, 256, 32, 64, 128, "l2"),
    "4d": (160, 144, 288, 32, 64, 128, "l2"),
    "4e": (0, 160, 256, 64, 128, 0, "max"),
    "5a": (384, 192, 384, 48, 128, 128, "l2"),
    "5b": (384, 192, 384, 48, 128, 128, "max"),
}
"""Channels of 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5 and pool projection, and the kind of pooling; 0: none."""

_TABLE_1 = {  # before, after, kernel
    "conv2a": (64, 64, 1), "conv2": (64, 192, 3), "conv3a": (192, 192, 1), "conv3": (192, 384, 3),
    "conv4a": (384, 384, 1), "conv4": (384, 256, 3), "conv5a": (256, 256, 1), "conv5": (256, 256, 3),
    "conv6a": (256, 256, 1), "conv6": (256, 256, 3),
}  # fmt: skip


class ZeilerFergus(nn.Module):
    """NN1: (N, C, H, W) normalized crops to (N, D) raw vectors.

    Args:
        input_hw: height and width of the crops; the last map is a 32nd of them, rounded up.
        dim: D.
        in_chans: C.
        units: outputs of each maxout layer, of two linear pieces each.
        generator: where the first weights are drawn from; None means seed 0.

    Raises:
        InputError: if there are no units.
    """

    def __init__(
        self,
        *,
        input_hw: Sequence[int] = (220, 220),
        dim: int = 128,
        in_chans: int = 3,
        units: int = 32 * 128,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if units < 1:
            raise InputError(f"units: expected at least 1, got {units}")
        self.input_hw, self.dim, self.in_chans = (int(input_hw[0]), int(input_hw[1])), dim, in_chans
        self.conv1 = nn.Conv2d(in_chans, 64, 7, 2, 3)
        for name, (before, after, kernel) in _TABLE_1.items():
            setattr(self, name, nn.Conv2d(before, after, kernel, 1, kernel // 2))
        height, width = (-(-side // 32) for side in self.input_hw)
        self.fc1 = nn.Linear(256 * height * width, 2 * units)
        self.fc2 = nn.Linear(units, 2 * units)
        self.fc7 = nn.Linear(units, dim)
        start(self, generator or torch.Generator().manual_seed(0))

    def pyramid(self, x: Tensor) -> tuple[Tensor, ...]:
        """The maps after pool1, pool2, pool3 and pool4, at strides 4, 8, 16 and 32."""
        pool1 = _pooled(functional.relu(self.conv1(x)))
        pool2 = _pooled(_respond(self._layers(_respond(pool1), "conv2a", "conv2")))
        pool3 = _pooled(self._layers(pool2, "conv3a", "conv3"))
        deep = self._layers(pool3, "conv4a", "conv4", "conv5a", "conv5", "conv6a", "conv6")
        return pool1, pool2, pool3, _pooled(deep)

    def forward(self, x: Tensor, maps: Sequence[str] = ()) -> FeatureOut:
        """Vectors of normalized crops.

        Args:
            x: (N, C, H, W) of `input_hw`.
            maps: which of pool1 to pool4 are wanted too.

        Raises:
            InputError: if the size is another, or a map is unknown.
        """
        names = ("pool1", "pool2", "pool3", "pool4")
        taken(x, maps, (self.in_chans, *self.input_hw), names)
        levels = self.pyramid(x)
        inner = _largest(self.fc2(_largest(self.fc1(levels[-1].flatten(1)))))
        return features_of(self.fc7(inner), levels[-1], {name: levels[names.index(name)] for name in maps})

    def _layers(self, x: Tensor, *names: str) -> Tensor:
        for name in names:
            x = functional.relu(getattr(self, name)(x))
        return x


class FaceInception(nn.Module):
    """NN2 and what is made of it: (N, C, H, W) normalized crops to (N, D) raw vectors.

    Args:
        input_hw: height and width of the crops; the last map is a 32nd of them, rounded up.
        dim: D.
        in_chans: C.
        without_5x5: modules, of 3a to 5b, that have no 5 x 5 convolutions.
        width: factor on every number of channels but D; channels stay multiples of 4.
        norm: "response", as published, or "batch": a batch norm after every convolution in its place.
        generator: where the first weights are drawn from; None means seed 0.

    Raises:
        InputError: if a module or norm is unknown, or the width is not positive.
    """

    def __init__(
        self,
        *,
        input_hw: Sequence[int] = (224, 224),
        dim: int = 128,
        in_chans: int = 3,
        without_5x5: Sequence[str] = (),
        width: float = 1.0,
        norm: str = "response",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if not set(without_5x5) <= set(_TABLE_2) or norm not in ("response", "batch") or not width > 0:
            raise InputError(
                f"without_5x5, norm, width: expected some of {', '.join(_TABLE_2)}, response or batch, and a number "
                f"above 0; got {tuple(without_5x5)}, {norm!r} and {width}"
            )
        self.input_hw, self.dim, self.in_chans = (int(input_hw[0]), int(input_hw[1])), dim, in_chans
        self.respond = norm == "response"
        before, first = _channels(192, width), _channels(64, width)
        self.conv1 = _conv(in_chans, first, 7, 2, norm)
        self.inception2 = nn.Sequential(_conv(first, first, 1, 1, norm), _conv(first, before, 3, 1, norm))
        for name, row in _TABLE_2.items():
            sizes = [_channels(n, width) for n in row[:6]]
            if name in without_5x5:
                sizes[3:5] = 0, 0
            module = _Module(before, sizes, row[6], 2 if name in _STRIDED else 1, norm)
            setattr(self, f"inception{name}", module)
            before = module.channels
        self.fc = nn.Linear(before, dim)
        start(self, generator or torch.Generator().manual_seed(0))

    def pyramid(self, x: Tensor) -> tuple[Tensor, ...]:
        """The maps of conv1, inception2, 3b, 4d and 5b, at strides 2, 4, 8, 16 and 32."""
        return tuple(
            self._all(x)[name] for name in ("conv1", "inception2", "inception3b", "inception4d", "inception5b")
        )

    def forward(self, x: Tensor, maps: Sequence[str] = ()) -> FeatureOut:
        """Vectors of normalized crops.

        Args:
            x: (N, C, H, W) of `input_hw`.
            maps: which of conv1, inception2, inception3a to inception5b are wanted too.

        Raises:
            InputError: if the size is another, or a map is unknown.
        """
        taken(x, maps, (self.in_chans, *self.input_hw), ("conv1", "inception2", *(f"inception{n}" for n in _TABLE_2)))
        found = self._all(x)
        grid = found["inception5b"]
        return features_of(self.fc(grid.mean(dim=(2, 3))), grid, {name: found[name] for name in maps})

    def _all(self, x: Tensor) -> dict[str, Tensor]:
        found = {"conv1": self.conv1(x)}
        x = _pooled(found["conv1"])
        x = found["inception2"] = self.inception2(_respond(x) if self.respond else x)
        x = _pooled(_respond(x) if self.respond else x)
        for name in _TABLE_2:
            x = found[f"inception{name}"] = getattr(self, f"inception{name}")(x)
        return found


class _Module(nn.Module):
    """1 x 1, 3 x 3, 5 x 5 and pooling side by side; a size of 0 leaves the branch out, a projection the pooled map."""

    def __init__(self, before: int, sizes: Sequence[int], pool: str, stride: int, norm: str) -> None:
        super().__init__()
        one, reduce3, three, reduce5, five, projection = sizes
        self.pool, self.stride = pool, stride
        self.one = _conv(before, one, 1, 1, norm) if one else None
        self.three = nn.Sequential(_conv(before, reduce3, 1, 1, norm), _conv(reduce3, three, 3, stride, norm))
        self.five: nn.Module | None = None
        if five:
            self.five = nn.Sequential(_conv(before, reduce5, 1, 1, norm), _conv(reduce5, five, 5, stride, norm))
        self.project = _conv(before, projection, 1, 1, norm) if projection else None
        self.channels = one + three + five + (projection or before)

    def forward(self, x: Tensor) -> Tensor:
        side = _pooled(x, self.stride) if self.pool == "max" else _rooted(x, self.stride)
        found = [part(x) for part in (self.one, self.three, self.five) if part is not None]
        return torch.cat([*found, side if self.project is None else self.project(side)], dim=1)


def _conv(before: int, after: int, kernel: int, stride: int, norm: str) -> nn.Sequential:
    conv = nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=norm != "batch")
    return nn.Sequential(conv, *([nn.BatchNorm2d(after)] if norm == "batch" else []), nn.ReLU())


def _pooled(x: Tensor, stride: int = 2) -> Tensor:
    return functional.max_pool2d(x, 3, stride, 1)


def _rooted(x: Tensor, stride: int) -> Tensor:
    """Root of the mean of squares; the small number keeps its slope finite where all are 0."""
    return (functional.avg_pool2d(x * x, 3, stride, 1) + 1e-12).sqrt()


def _respond(x: Tensor) -> Tensor:
    return functional.local_response_norm(x, 5, alpha=1e-4, beta=0.75, k=1.0)


def _largest(x: Tensor) -> Tensor:
    """Maxout of two pieces (Goodfellow et al. 2013): unit i is the larger of the inputs 2 i and 2 i + 1."""
    return x.view(len(x), -1, 2).amax(dim=2)


def _channels(published: int, width: float) -> int:
    return max(4, round(published * width / 4) * 4) if published else 0

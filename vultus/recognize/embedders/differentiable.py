"""The differentiable embedder: a recognizer with honest gradients, from the picture to the vector.

Paper: the input convention is that of Deng et al., "ArcFace: Additive Angular Margin Loss for Deep Face Recognition",
CVPR 2019, arXiv:1801.07698. Resizing, cropping and normalization happen inside `forward`, so that a gradient is that of
the picture which the caller holds. Points and boxes are given, never detected: a detector has no gradient.

Differs: not a published system. Weights are frozen and batch norms keep their statistics; the length of the vector is
returned beside the unit vector, because losses need it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from vultus.errors import InputError
from vultus.ops.warp import similarities, template
from vultus.recognize._features import FeatureOut, features_of
from vultus.types import U8, CropSpec, Embedded
from vultus.zoo.cards import Card
from vultus.zoo.session import space

__all__ = ["DiffEmbedder"]

Crop = Literal["whole", "known_box", "known_points"]
_CROPS = ("whole", "known_box", "known_points")
_SLACK = 0.02  # pictures of an attack may leave [0, 1] by rounding; 2 x - 1 may not pass


class DiffEmbedder(nn.Module):
    """Pictures to vectors, differentiable in the picture.

    Args:
        backbone: takes normalized crops, as those of `recognize.backbones`: has `input_hw`, `dim` and
            `__call__(x, maps=()) -> FeatureOut`.
        card: what the weights are: id, sha256, mean, std, channel order, crop, training data.
        crop: `whole`: the picture is the crop; `known_box`: a square around a given box; `known_points`: the card's
            template at given points.
        train_ids: people it was trained on, where they are known.

    Raises:
        InputError: if the kind of crop is unknown, or the card states no crop where one is needed.
    """

    differentiable = True

    def __init__(self, backbone: nn.Module, card: Card, *, crop: Crop = "whole", train_ids: Sequence[int] = ()) -> None:
        super().__init__()
        if crop not in _CROPS:
            raise InputError(f"crop: expected one of {', '.join(_CROPS)}, got {crop!r}")
        if crop == "known_points" and card.crop is None:
            raise InputError(f"card: expected a crop with a template for known points; {card.id!r} states none")
        height, width = cast(tuple[int, int], backbone.input_hw)
        self.input_hw = (int(height), int(width))
        self.dim = int(backbone.dim)  # type: ignore[arg-type]
        self.card, self.mode, self.train_ids = card, crop, train_ids
        self.family, self.train_data = card.method, card.training_data
        self.backbone = backbone.eval().requires_grad_(False)
        self.register_buffer("mean", torch.tensor(card.mean).view(1, 3, 1, 1) / 255, persistent=False)
        self.register_buffer("std", torch.tensor(card.std).view(1, 3, 1, 1) / 255, persistent=False)

    def __repr__(self) -> str:
        return f"DiffEmbedder({self.space}, {self.family}, {self.input_hw[0]} x {self.input_hw[1]}, crop={self.mode!r})"

    @property
    def space(self) -> str:
        """Id of the card + "@" + first 12 hex of the weights' sha256."""
        return space(self.card.id, self.card.sha256)

    @property
    def crop(self) -> CropSpec:
        """The crop that `embed` wants."""
        return self.card.crop or CropSpec("box", self.input_hw)

    def train(self, mode: bool = True) -> DiffEmbedder:
        """Stay as it is: an embedder that learns while it judges would move its own space."""
        return super().train(False)

    def forward(
        self, x: Tensor, *, points: Tensor | None = None, boxes: Tensor | None = None, maps: Sequence[str] = ()
    ) -> FeatureOut:
        """Vectors of pictures.

        Args:
            x: (N, 3, H, W) RGB in [0, 1], floating point.
            points: (N, 5, 2) pixels in center coordinates; for `known_points` and only there.
            boxes: (N, 4) xyxy pixels in edge coordinates; for `known_box` and only there.
            maps: names of the backbone's maps that are wanted.

        Returns:
            raw, unit, norm, grid and maps.

        Raises:
            InputError: if shape, type or range is another, or points or boxes are missing.
        """
        _checked(x)
        given = {"known_points": points, "known_box": boxes}
        if (points is not None) != (self.mode == "known_points") or (boxes is not None) != (self.mode == "known_box"):
            came = ", ".join(name for name, value in given.items() if value is not None) or "neither"
            raise InputError(f"points, boxes: this embedder crops by {self.mode!r}; got what is for {came}")
        if self.mode == "whole":
            crops = _resized(x, self.input_hw)
        else:
            cuts = [_cut(x[i : i + 1], m, self.input_hw) for i, m in enumerate(self._matrices(given, len(x)))]
            crops = torch.cat([x.new_zeros((0, 3, *self.input_hw)), *cuts])  # also of no picture
        return self._seen(crops, maps)

    def _seen(self, crops: Tensor, maps: Sequence[str] = ()) -> FeatureOut:
        """Crops of `input_hw` in [0, 1], in the card's order of channels and normalized -> what the backbone says."""
        if self.card.channel_order == "BGR":
            crops = crops.flip(1)
        mean, std = self.get_buffer("mean").to(crops.dtype), self.get_buffer("std").to(crops.dtype)
        out: FeatureOut = (
            self.backbone((crops - mean) / std, maps=maps) if maps else self.backbone((crops - mean) / std)
        )
        return features_of(out.raw, out.grid, out.maps)

    def _matrices(self, given: dict[str, Tensor | None], n: int) -> np.ndarray:
        """(N, 2, 3), picture to crop, center coordinates; places are constants, the gradient is that of the pixels."""
        places = given[self.mode]
        array = np.asarray(places.detach().cpu() if isinstance(places, Tensor) else places, np.float64)
        want = (n, 5, 2) if self.mode == "known_points" else (n, 4)
        if array.shape != want:
            raise InputError(f"{self.mode}: expected shape {want}, got {array.shape}")
        if self.mode == "known_points":
            return similarities(array, template(self.crop.template, self.input_hw))
        width, height = array[:, 2] - array[:, 0], array[:, 3] - array[:, 1]
        side = np.maximum(width, height) * (1 + 2 * self.crop.margin)
        if not (np.isfinite(array).all() and (side > 0).all()):
            raise InputError("known_box: expected finite boxes with an area, x1 < x2 and y1 < y2")
        scale = self.input_hw[1] / side  # the square keeps its proportion; the crop is as wide as the square
        middle = np.stack([array[:, 0] + array[:, 2], array[:, 1] + array[:, 3]], axis=1) / 2 - 0.5
        goal = np.array([self.input_hw[1] - 1, self.input_hw[0] - 1]) / 2
        turn = scale[:, None, None] * np.eye(2)
        return np.concatenate([turn, (goal - scale[:, None] * middle)[:, :, None]], axis=2)

    @torch.no_grad()
    def embed(self, crops: U8) -> Embedded:
        """Vectors of uint8 crops, without gradients; the crops are taken whole.

        Args:
            crops: (N, h, w, 3) uint8 RGB of `crop.size_hw`.

        Returns:
            (N, D) unit vectors, and the length each had.

        Raises:
            InputError: if the crops are not uint8 RGB of the size wanted.
        """
        want = (*self.crop.size_hw, 3)
        if not isinstance(crops, np.ndarray) or crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != want:
            came = f"{crops.dtype} {crops.shape}" if isinstance(crops, np.ndarray) else type(crops).__name__
            raise InputError(f"crops: expected uint8 RGB of shape (N, {', '.join(map(str, want))}), got {came}")
        vec, norm = np.zeros((len(crops), self.dim), np.float32), np.zeros(len(crops), np.float32)
        like = self.get_buffer("mean")  # where the weights are, and of their precision
        for first in range(0, len(crops), 128):
            part = torch.from_numpy(np.ascontiguousarray(crops[first : first + 128])).permute(0, 3, 1, 2)
            out = self._seen(_resized(part.to(like) / 255, self.input_hw))
            vec[first : first + 128] = out.unit.cpu().numpy()
            norm[first : first + 128] = out.norm[:, 0].cpu().numpy()
        return Embedded(vec, self.space, norm)


def _checked(x: Tensor) -> None:
    good = isinstance(x, Tensor) and x.ndim == 4 and x.shape[1] == 3 and x.is_floating_point()
    if not good:
        came = f"{x.dtype} {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        raise InputError(f"x: expected floating point RGB of shape (N, 3, H, W) in [0, 1], got {came}")
    if x.numel():
        low, high = (float(end) for end in torch.aminmax(x.detach()))
        if not (low >= -_SLACK and high <= 1 + _SLACK):
            raise InputError(f"x: expected values in [0, 1], got {low:.3g} to {high:.3g}: (x + 1) / 2 undoes 2 x - 1")


def _resized(x: Tensor, size_hw: tuple[int, int]) -> Tensor:
    if tuple(x.shape[2:]) == size_hw:
        return x
    return functional.interpolate(x, size_hw, mode="bilinear", antialias=True, align_corners=False)


def _cut(x: Tensor, matrix: np.ndarray, size_hw: tuple[int, int]) -> Tensor:
    """(1, 3, H, W) picture -> (1, 3, h, w) crop, bilinear, black outside; shrunk first where it would alias."""
    turn, shift = np.asarray(matrix[:, :2], np.float64), np.asarray(matrix[:, 2], np.float64)
    factor = max(1, math.floor(1 / math.sqrt(abs(float(np.linalg.det(turn)))) + 1e-6))
    if factor > 1:
        size = np.array(x.shape[2:])
        small = -(-size // factor)
        x = functional.interpolate(x, small.tolist(), mode="bilinear", antialias=True, align_corners=False)
        step = (size / small)[::-1]  # center coordinates: p = (q + 0.5) step - 0.5
        shift = shift + turn @ (0.5 * step - 0.5)
        turn = turn * step
    back = np.linalg.inv(turn)
    v, u = np.mgrid[: size_hw[0], : size_hw[1]]
    places = (np.stack([u, v], -1) - shift) @ back.T
    grid = (2 * places + 1) / np.array(x.shape[:1:-1], np.float64) - 1  # edges at -1 and 1
    where = torch.from_numpy(grid).to(x)[None]
    return functional.grid_sample(x, where, mode="bilinear", padding_mode="zeros", align_corners=False)

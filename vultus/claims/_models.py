"""The trained miniatures as objects to use; needs torch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from vultus.claims import _nets
from vultus.claims._album import CATEGORIES
from vultus.errors import InputError
from vultus.sim import faces
from vultus.types import F32, U8, CropSpec, Embedded

__all__ = ["FaceParser", "FactorJudge", "FactorModel", "Judge"]

_BATCH = 128


class Judge:
    """A recognizer that gives vectors and no gradients, so that it cannot stand in a loss.

    Attributes:
        space: name + "@" + first 12 hex of the weights' sha256.
        dim: D.
        crop: 64 x 64, the whole picture as `vultus.sim.faces` draws it.
        family, train_data, train_ids: architecture, data in words, people it was trained on.
    """

    differentiable = False

    def __init__(self, inner: nn.Module) -> None:
        self._inner = inner
        self.space: str = str(inner.space)
        self.dim: int = int(inner.dim)  # type: ignore[arg-type]
        self.crop: CropSpec = inner.crop  # type: ignore[assignment]
        self.family, self.train_data = str(inner.family), str(inner.train_data)
        self.train_ids: range = inner.train_ids  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Judge({self.space}, {self.family})"

    def embed(self, crops: U8) -> Embedded:
        """(N, 64, 64, 3) uint8 RGB -> N unit vectors.

        Raises:
            InputError: if the crops are not uint8 RGB of 64 x 64.
        """
        made: Embedded = self._inner.embed(crops)  # type: ignore[operator]
        return made


class FactorModel(nn.Module):
    """What a picture shows, and features for perceptual and Frechet terms; a feature net of the contract.

    Args:
        net: the trained network.
        name: of the fixture.
        space: name + "@" + first 12 hex of the weights' sha256.
        train_data: in words.
        numbers: mean and deviation of every head of numbers, as `mean.NAME` and `std.NAME`.
        withheld: heads that are not answered, because they are below their gate -> why.
    """

    differentiable = True

    def __init__(
        self,
        net: _nets.FactorNet,
        name: str,
        space: str,
        train_data: str,
        numbers: Mapping[str, NDArray[np.float32]],
        withheld: Mapping[str, str],
    ) -> None:
        super().__init__()
        self.net = net.eval().requires_grad_(False)
        self.name, self.space, self.train_data, self.withheld = name, space, train_data, dict(withheld)
        self._numbers = {key: torch.from_numpy(np.array(value, np.float32)) for key, value in numbers.items()}
        self.schema: dict[str, tuple[str, ...] | int] = {
            head: faces.CHOICES[head] if head in CATEGORIES else layer.out_features  # type: ignore[misc]
            for head, layer in net.heads.items()
            if head not in withheld
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.space})"

    def train(self, mode: bool = True) -> FactorModel:
        """Stay as it is."""
        return super().train(False)

    def features(self, x: Tensor) -> list[Tensor]:
        """(N, 3, 64, 64) RGB in [0, 1] -> the maps of the stages, finest first, for perceptual terms.

        Raises:
            InputError: if shape or type is another.
        """
        return self.net.levels(_checked(x))

    def vector(self, x: Tensor) -> Tensor:
        """(N, 3, 64, 64) RGB in [0, 1] -> (N, D), for Frechet and kernel distances.

        Raises:
            InputError: if shape or type is another.
        """
        return self.net.vector(self.net.levels(_checked(x))[-1])

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(N, 3, 64, 64) RGB in [0, 1] -> name -> (N, K): logits of the names, or numbers in their own units.

        Raises:
            InputError: if shape or type is another.
        """
        out = {head: value for head, value in self.net(_checked(x)).items() if head not in self.withheld}
        for head in out:
            if f"mean.{head}" in self._numbers:
                out[head] = out[head] * self._numbers[f"std.{head}"] + self._numbers[f"mean.{head}"]
        return out

    @torch.no_grad()
    def predict(self, crops: U8) -> dict[str, F32]:
        """(N, 64, 64, 3) uint8 RGB -> name -> (N, K): probabilities over `faces.CHOICES[name]`, or numbers.

        Raises:
            InputError: if the crops are not uint8 RGB of 64 x 64.
        """
        parts: list[dict[str, Tensor]] = []
        for first in range(0, max(1, len(_checked_crops(crops))), _BATCH):
            out = FactorModel.forward(self, _tensor(crops[first : first + _BATCH]))
            parts.append({k: functional.softmax(v, 1) if k in CATEGORIES else v for k, v in out.items()})
        return {name: torch.cat([part[name] for part in parts]).numpy() for name in parts[0]}


class FactorJudge(FactorModel):
    """A factor model for metrics only: what it gives is cut from the gradient, so that it cannot stand in a loss."""

    differentiable = False

    def features(self, x: Tensor) -> list[Tensor]:
        """As of a factor model, without gradients."""
        with torch.no_grad():
            return super().features(x)

    def vector(self, x: Tensor) -> Tensor:
        """As of a factor model, without gradients."""
        with torch.no_grad():
            return super().vector(x)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """As of a factor model, without gradients."""
        with torch.no_grad():
            return super().forward(x)


class FaceParser(nn.Module):
    """Pictures to the class of each pixel, index into `faces.LABELS`; differentiable in the picture.

    Args:
        net: the trained network.
        space: name + "@" + first 12 hex of the weights' sha256.
        train_data: in words.
    """

    def __init__(self, net: _nets.ParserNet, space: str, train_data: str) -> None:
        super().__init__()
        self.net = net.eval().requires_grad_(False)
        self.space, self.train_data, self.labels = space, train_data, faces.LABELS

    def __repr__(self) -> str:
        return f"FaceParser({self.space})"

    def train(self, mode: bool = True) -> FaceParser:
        """Stay as it is."""
        return super().train(False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 64, 64) RGB in [0, 1] -> (N, 19, 64, 64) logits.

        Raises:
            InputError: if shape or type is another.
        """
        out: Tensor = self.net(_checked(x))
        return out

    @torch.no_grad()
    def parse(self, crops: U8) -> U8:
        """(N, 64, 64, 3) uint8 RGB -> (N, 64, 64) classes.

        Raises:
            InputError: if the crops are not uint8 RGB of 64 x 64.
        """
        out = np.zeros(_checked_crops(crops).shape[:3], np.uint8)
        for first in range(0, len(crops), _BATCH):
            out[first : first + _BATCH] = self(_tensor(crops[first : first + _BATCH])).argmax(1).numpy()
        return out


def _tensor(crops: U8) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(crops)).permute(0, 3, 1, 2).float() / 255


def _checked(x: Tensor) -> Tensor:
    if not isinstance(x, Tensor) or x.ndim != 4 or tuple(x.shape[1:]) != (3, 64, 64) or not x.is_floating_point():
        came = f"{x.dtype} {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        raise InputError(f"x: expected floating point RGB of shape (N, 3, 64, 64) in [0, 1], got {came}")
    return x


def _checked_crops(crops: U8) -> U8:
    if (
        not isinstance(crops, np.ndarray)
        or crops.dtype != np.uint8
        or crops.ndim != 4
        or crops.shape[1:] != (64, 64, 3)
    ):
        came = f"{crops.dtype} {crops.shape}" if isinstance(crops, np.ndarray) else type(crops).__name__
        raise InputError(f"crops: expected uint8 RGB of shape (N, 64, 64, 3), got {came}")
    return crops

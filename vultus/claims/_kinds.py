"""The four kinds of miniature: how each is built, what its loss is, and what it answers; needs torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from vultus import catalogue
from vultus.claims import _nets
from vultus.claims._album import CATEGORIES, NUMBERS, Arrays
from vultus.claims._fit import Batch, varied
from vultus.claims._recipes import Recipe
from vultus.sim import faces

__all__ = ["Training", "heads_of", "network"]

_CODES = ("shape", "albedo", "tone", "sex")  # what a person is made of
_OFF, _BLOB = 0.4, 3.0  # pixels: how far off points are that are cut at; how wide the wanted heat is
_RAMP = 0.4  # share of the steps over which the margin grows: from the start it would keep the centers from forming


def heads_of(names: Sequence[str]) -> dict[str, int]:
    """Name -> outputs of each head of a factor net or regressor."""
    return {name: len(faces.CHOICES[name]) if name in CATEGORIES else NUMBERS[name] for name in names}


def network(kind: str, spec: Mapping[str, Any], seed: int = 0) -> nn.Module:
    """An untrained network.

    Args:
        kind: recognizer, factors, parser or regressor.
        spec: its arguments, as on a card; `backbone` is a catalogue name, `heads` are names of factors.
        seed: of the first weights.
    """
    generator = torch.Generator().manual_seed(seed)
    if kind == "recognizer":
        rest = {name: value for name, value in spec.items() if name != "backbone"}
        inner = catalogue.load(spec["backbone"], **rest, generator=generator)
        return cast(nn.Module, catalogue.load("located", backbone=inner, generator=generator))
    if kind == "parser":
        return _nets.ParserNet(**spec, classes=len(faces.LABELS), generator=generator)
    if kind == "regressor":
        located = catalogue.load("located", backbone=_factors(spec["face"], generator), generator=generator)
        return _nets.HeadNet(_factors(spec["whole"], generator), located)
    return _factors(spec, generator)


def _factors(spec: Mapping[str, Any], generator: torch.Generator) -> _nets.FactorNet:
    return _nets.FactorNet(**{**spec, "heads": heads_of(spec["heads"])}, generator=generator)


class Training:
    """What a recipe learns from its pictures.

    Attributes:
        columns: arrays of the album that batches need.
        learns: the network with whatever is only needed to train it (centers, heads).
        calls: batches so far; the margin grows with them.
        extra: arrays that are kept beside the weights (means and deviations of numbers).
    """

    def __init__(self, recipe: Recipe, net: nn.Module, arrays: Arrays) -> None:
        self.recipe = recipe
        self.net: Any = net
        self.generator = torch.Generator().manual_seed(recipe.seed + 1)
        self.learns = nn.ModuleDict({"net": net})
        self.calls = 0
        self.extra: dict[str, NDArray[np.float32]] = {}
        self.columns: tuple[str, ...] = ("image", "parsing")
        if recipe.kind == "recognizer":
            self.columns = ("image", "person", "points", *_CODES)
            self._classes = torch.from_numpy(np.unique(arrays["person"]))
            self._loss = catalogue.load("cosface", scale=recipe.scale, margin=recipe.margin)
            dim = int(recipe.net["dim"])
            self.centers = nn.Parameter(torch.randn((len(self._classes), dim), generator=self.generator) * 0.01)
            self.learns["centers"] = nn.ParameterList([self.centers])
            self.learns["codes"] = nn.Linear(dim, sum(NUMBERS[name] for name in _CODES))
            _nets.start(self.learns["codes"], self.generator)
        elif recipe.kind == "regressor":
            self.columns = ("image", "points", *recipe.net["face"]["heads"], *recipe.net["whole"]["heads"])
        elif recipe.kind == "parser":
            seen = np.bincount(arrays["parsing"].ravel(), minlength=len(faces.LABELS)) / arrays["parsing"].size
            self.rare = torch.from_numpy(np.clip(0.03 / np.sqrt(seen + 1e-6), 0.05, 1.0).astype(np.float32))
        else:
            self.columns = ("image", *recipe.net["heads"])
        for name in self.columns:
            if name in NUMBERS and name != "points":
                self.extra[f"mean.{name}"] = arrays[name].mean(0)
                self.extra[f"std.{name}"] = arrays[name].std(0) + np.float32(1e-3)

    def __call__(self, batch: Batch) -> Tensor:
        """Mean loss of a batch."""
        batch = varied(batch, self.generator, noise=self.recipe.noise)
        self.calls += 1
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.recipe.bf16):
            if self.recipe.kind == "recognizer":
                return self._of_people(batch)
            if self.recipe.kind == "parser":
                logits = self.net(batch["image"]).float()
                return functional.cross_entropy(logits, batch["parsing"].long(), self.rare)
            total = torch.zeros(())
            if self.recipe.kind == "regressor":
                points, total = self._points(batch, 2 * batch["image"] - 1, self.net.located)
                out = self.net.of(batch["image"], points)
            else:
                out = self.net(batch["image"])
        for name, value in out.items():
            if name in CATEGORIES:
                total = total + 0.5 * functional.cross_entropy(value.float(), batch[name])
            else:
                total = total + functional.mse_loss(value.float(), self._standard(batch, name))
        return total

    def _of_people(self, batch: Batch) -> Tensor:
        x = 2 * batch["image"] - 1
        points, missed = self._points(batch, x, self.net)
        out = self.net.backbone(self.net.cut(x, points))
        labels = torch.searchsorted(self._classes, batch["person"])
        cos = out.unit @ functional.normalize(self.centers, dim=1).T
        self._loss.margin = self.recipe.margin * min(1.0, self.calls / (_RAMP * self.recipe.steps))
        total: Tensor = missed + self._loss.reduce(self._loss.logits(cos, labels), labels)
        if self.recipe.codes:
            goal = torch.cat([self._standard(batch, name) for name in _CODES], 1)
            guess = self.learns["codes"](out.raw).float()
            total = total + self.recipe.codes * functional.mse_loss(guess, goal)
        return total

    def _points(self, batch: Batch, x: Tensor, located: Any) -> tuple[Tensor, Tensor]:
        """Points to cut at, and the loss of the localization network.

        The points are true ones a little off; later half of them are those that the network finds, as in use.
        """
        true = batch["points"].view(-1, 5, 2)
        heat = located.localize(x).float()
        u, v = located.places(heat)
        near = -((u - true[..., :1, None]) ** 2 + (v[:, None] - true[..., 1:, None]) ** 2) / (2 * _BLOB**2)
        wanted = near.flatten(2).softmax(2)
        found = located.means(heat)
        missed = functional.smooth_l1_loss(found, true) - (wanted * heat.flatten(2).log_softmax(2)).sum(2).mean()
        off = torch.randn(true.shape, generator=self.generator) * _OFF
        points = true + off + torch.randn((len(true), 1, 2), generator=self.generator) * _OFF
        if self.calls > _RAMP * self.recipe.steps:
            points = torch.where(torch.rand((len(true), 1, 1), generator=self.generator) < 0.5, found.detach(), points)
        return points, missed

    def _standard(self, batch: Batch, name: str) -> Tensor:
        mean, std = (torch.from_numpy(self.extra[f"{what}.{name}"]) for what in ("mean", "std"))
        return (batch[name] - mean) / std

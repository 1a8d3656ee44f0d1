"""Harmonic embeddings as a hook of training: a new network learns to be comparable with the gallery of an old one.

Paper: Schroff et al., "FaceNet: A Unified Embedding for Face Recognition and Clustering", CVPR 2015, arXiv:1503.03832,
appendix: the new network starts as it was trained on its own; its last layer, drawn anew, is trained alone against the
old network, which learns nothing; then all of it is. The loss is the catalogue's `harmonic_triplet`; here is what a
loop needs: the old vectors of every batch, and the two stages.

    net = catalogue.load("iresnet.50", input_hw=(112, 112))
    hook = Harmonic("runs/v1", start="runs/v2", first=2000)
    fit(Recognizer(net, pair=catalogue.load("triplet"), weight=0.0), feed, Settings(steps=10_000), hooks=[hook])

Whether that went well is measured and registered by `vultus.gallery.compat`.

Differs: how long each stage takes is not written there; it is an argument.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from vultus import catalogue
from vultus.contracts import Embedder
from vultus.errors import InputError
from vultus.io.files import read_bytes
from vultus.io.tensors import unpack
from vultus.train._ranks import ranks_of

__all__ = ["Harmonic"]

_LIMIT = 1 << 34  # bytes of weights


class Harmonic:
    """A hook of training: adds triplets of new and old vectors, and holds the network still below its last layer first.

    The triplets of the new vectors alone are among them; the loss over pairs that a `Recognizer` needs can have
    weight 0.

    Args:
        old: the network of the gallery: an embedder, a backbone that takes pictures normalized by (x - 0.5) / 0.5, or
            a card, an .onnx file or the folder of a run. It sees the same pictures, augmented as they are.
        start: folder of the exported run in which the new network was trained on its own, or its backbone.safetensors;
            read before the first step. "" keeps the weights that it has.
        first: steps in which only the last layer learns: everything from the last linear or convolutional layer on.
            Batch norms below keep their statistics meanwhile.
        fresh: draw the last layer anew before the first step.
        margin: of squared distances.
        miner: as in the triplet loss.
        weight: of the harmonic loss beside others.
        seed: of the last layer's new weights.

    Raises:
        InputError: if a setting is out of range.
    """

    def __init__(
        self,
        old: Embedder | nn.Module | str,
        *,
        start: str = "",
        first: int = 0,
        fresh: bool = True,
        margin: float = 0.2,
        miner: str = "semi_hard",
        weight: float = 1.0,
        seed: int = 0,
    ) -> None:
        if first < 0 or not weight > 0:
            raise InputError(f"first, weight: expected steps from 0 and a weight above 0, got {first} and {weight}")
        if not (isinstance(old, str) or hasattr(old, "input_hw" if isinstance(old, nn.Module) else "crop")):
            raise InputError(
                "old: expected an embedder, a backbone with `input_hw`, or a str that names a card, an .onnx file or "
                f"the folder of a run; got {type(old).__name__}"
            )
        self.loss = catalogue.load("harmonic_triplet", margin=margin, miner=miner)
        self.old: Any = catalogue.load("arcface.file", weights=old) if isinstance(old, str) else old
        if isinstance(self.old, nn.Module):
            self.old.eval().requires_grad_(False)
        self.start, self.first, self.fresh, self.weight, self.seed = start, first, fresh, weight, seed
        self._learns: set[str] | None = None

    def __repr__(self) -> str:
        name = type(self.old).__name__ if isinstance(self.old, nn.Module) else self.old.space
        return f"Harmonic({name}, {self.loss!r}, first={self.first}, fresh={self.fresh}, weight={self.weight})"

    def on_batch(self, batch: dict[str, Tensor], step: int, trainable: Any) -> dict[str, Tensor]:
        """Make the network ready for a step; the batch comes back as it is.

        Raises:
            InputError: with several ranks; if the network has no linear or convolutional layer, or `start` is of
                another network.
            StoreError: if `start` is no such file.
        """
        net: nn.Module = trainable.backbone
        tail = _tail(net)
        if self._learns is None:
            if ranks_of(None).size > 1:
                raise InputError(
                    "harmonic: expected one process: layers that are held still break the exchange of ranks"
                )
            self._learns = {name for name, value in net.named_parameters() if value.requires_grad}
            if step == 0:
                self._begin(net, tail)
        trainable.train()
        held = step < self.first
        for name, value in net.named_parameters():
            value.requires_grad_(name in self._learns and not (held and name.partition(".")[0] not in tail))
        if held:
            net.eval()
            for name in tail:
                net.get_submodule(name).train()
        return batch

    def on_step(self, step: int, run: Any) -> None:
        """After a step nothing is held still: what ends here, in whatever stage, is a network that can learn."""
        for name, value in run.trainable.backbone.named_parameters():
            value.requires_grad_(name in (self._learns or ()))

    def extra_loss(self, batch: dict[str, Tensor], out: Any, step: int, trainable: Any) -> dict[str, Tensor]:
        """The harmonic loss of one batch, by its name.

        Args:
            batch: `image` (N, 3, H, W) in [0, 1] and `label` (N,), -1 where nobody is known.
            out: features of the new network.
            step: not used.
            trainable: not used.

        Raises:
            InputError: if the two networks give vectors of different sizes.
        """
        raw = out.raw if out.raw.dtype == torch.float64 else out.raw.float()
        with torch.autocast(raw.device.type, enabled=False):
            found = self.loss(raw, batch["label"], old=self.old_vectors(batch["image"]).to(raw))
        return {"harmonic": cast(Tensor, self.weight * found.loss)}

    @torch.no_grad()
    def old_vectors(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) pictures in [0, 1] -> (N, D) vectors of the old network, float32, without gradient."""
        if isinstance(self.old, nn.Module):
            self.old.to(images.device)
            return cast(Tensor, self.old((_sized(images, self.old.input_hw) - 0.5) / 0.5).raw.float())
        crops = (_sized(images, self.old.crop.size_hw).clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1)
        return torch.from_numpy(np.array(self.old.embed(np.ascontiguousarray(crops.cpu().numpy())).vec))

    def _begin(self, net: nn.Module, tail: tuple[str, ...]) -> None:
        if self.start:
            _load(net, Path(self.start))
        generator = torch.Generator().manual_seed(self.seed)
        for part in (part for name in tail if self.fresh for part in net.get_submodule(name).modules()):
            if isinstance(part, (nn.Linear, nn.Conv2d)):
                nn.init.xavier_uniform_(part.weight, generator=generator)
                if part.bias is not None:
                    nn.init.zeros_(part.bias)
            elif isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.reset_parameters()


def _tail(net: nn.Module) -> tuple[str, ...]:
    """Names of the outermost parts from the one with the last linear or convolutional layer on."""
    names = [name for name, _ in net.named_children()]
    with_weights = [
        k
        for k, name in enumerate(names)
        if any(isinstance(part, (nn.Linear, nn.Conv2d)) for part in net.get_submodule(name).modules())
    ]
    if not with_weights:
        raise InputError(f"harmonic: expected a network with a linear or convolutional layer, got {type(net).__name__}")
    return tuple(names[with_weights[-1] :])


def _sized(images: Tensor, size_hw: Any) -> Tensor:
    size = tuple(size_hw)
    if tuple(images.shape[2:]) == size:
        return images
    return functional.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)


@torch.no_grad()
def _load(net: nn.Module, path: Path) -> None:
    path = path / "backbone.safetensors" if path.is_dir() else path
    if not path.is_file():
        raise InputError(
            f"start: expected the folder of an exported run or its backbone.safetensors, but there is no {path}; "
            "`vultus export RUN` makes it"
        )
    arrays, _ = unpack(read_bytes(path, _LIMIT))
    own = net.state_dict()
    for name in sorted({*own, *arrays}):
        mine, came = (tuple(part[name].shape) if name in part else "none" for part in (own, arrays))
        if mine != came:
            raise InputError(f"{path.name}: expected {name} of shape {mine}, got {came}: it is of another network")
    for name, value in own.items():
        value.copy_(torch.from_numpy(np.array(arrays[name])))

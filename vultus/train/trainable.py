"""What a loop trains to recognize faces: a backbone with class centers and their loss, a loss over pairs, or both."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from vultus.contracts import ClassLoss, LossOut, PairLoss
from vultus.errors import InputError
from vultus.train._ranks import gathered, ranks_of, told
from vultus.train.centers import ClassCenters
from vultus.train.guard import finite_rows
from vultus.types import F32, U8

__all__ = ["Recognizer"]


class Recognizer(nn.Module):
    """A backbone and what judges its vectors. Keeps the contract of trainables.

        net = catalogue.load("iresnet.10", input_hw=(56, 56), dim=128, widths=(8, 16, 32, 64))
        recognizer = Recognizer(net, classes=180, loss=catalogue.load("arcface"))
        fit(recognizer, Feed(pictures, batch=64), Settings(steps=300, lr=0.1))
        vectors = recognizer.embed(images)

    With several ranks the backbone is wrapped in DistributedDataParallel, class centers are split, and pairs are made
    of the vectors of all ranks.

    Args:
        backbone: takes (N, 3, H, W) normalized by (x - 0.5) / 0.5; has `input_hw` and `dim`, gives `.raw` (N, D).
        classes: persons to be told apart; needed with `loss` and only there.
        loss: over cosines to class centers; one with `blend_at(step)` is given its `blend` of the step.
        pair: loss over the vectors of a batch.
        miner: for `pair`, in place of its own.
        weight: of the loss over pairs in the total.
        extra: hooks with `extra_loss(batch, out, step, trainable) -> {name: scalar}`, added to the total.
        centers: `sample_rate`, `filter_threshold`, `seed`: see `ClassCenters`.

    Attributes:
        backbone: the network.
        centers: the class centers, or None.
        class_loss, pair_loss: as given.

    Raises:
        InputError: if neither loss is given, or `loss` and `classes` do not come together.
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        classes: int | None = None,
        loss: ClassLoss | None = None,
        pair: PairLoss | None = None,
        miner: Any = None,
        weight: float = 1.0,
        extra: Sequence[Any] = (),
        **centers: Any,
    ) -> None:
        super().__init__()
        if loss is None and pair is None:
            raise InputError("loss, pair: expected at least one of them, got neither")
        if (loss is None) != (classes is None) or (loss is None and centers):
            raise InputError(
                f"loss, classes: expected both or neither, and settings of centers only with them; got {loss} with "
                f"{classes} classes and {sorted(centers)}"
            )
        self.backbone, self.class_loss, self.pair_loss = backbone, loss, pair
        self.miner, self.weight, self.extra = miner, weight, tuple(extra)
        self.centers: ClassCenters | None = None
        if classes is not None:
            self.centers = ClassCenters(classes, int(backbone.dim), **centers)  # type: ignore[arg-type]
        self._wrapped: tuple[nn.Module, ...] = ()  # in a tuple, so that it is no part: it holds the backbone again

    def features(self, images: Tensor) -> Any:
        """What the backbone says of (N, 3, H, W) pictures in [0, 1]: a record with raw, unit, norm, grid and maps.

        Pictures of another size are resized. The way for hooks that look at pictures of their own.
        """
        size = tuple(getattr(self.backbone, "input_hw", images.shape[2:]))
        if tuple(images.shape[2:]) != size:
            images = functional.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)
        net = self._wrapped[0] if self._wrapped and self.training else self.backbone
        return net((images - 0.5) / 0.5)

    def loss(self, batch: dict[str, Tensor], step: int) -> LossOut:
        """Loss of a batch, in training mode.

        Args:
            batch: "image" (N, 3, H, W) float32 in [0, 1], "label" (N,) int64, -1 where nobody is known: such a row is
                in no loss but those of `extra`.
            step: from 0.

        Raises:
            WeightsError: if a picture or a vector is not finite, on every rank alike.
            InputError: if a label names no class.
        """
        if not self.training:
            self.train()
        images, labels = batch["image"], batch["label"]
        finite_rows(step, "image", images, batch)
        out = self.features(images)
        raw = out.raw if out.raw.dtype == torch.float64 else out.raw.float()
        finite_rows(step, "vectors", raw, batch)
        terms: dict[str, Tensor] = {}
        parts: dict[str, Any] = {}
        with torch.autocast(images.device.type, enabled=False):
            if self.class_loss is not None and self.centers is not None:
                terms["class"] = _classified(self.centers, self.class_loss, raw, labels, step)
            if self.pair_loss is not None:
                rows, who = _everywhere(raw, labels)
                found = self.pair_loss(rows, who, miner=self.miner)
                terms["pair"] = self.weight * found.loss
                parts |= found.parts
        for hook in self.extra:
            terms |= hook.extra_loss(batch, out, step, self)
        parts |= {name: value.detach() for name, value in terms.items()}
        return LossOut(torch.stack([*terms.values()]).sum(), parts, out)

    def follow(self, optimizer: Optimizer) -> None:
        """Told once by the loop: sampled centers keep its momentum, and ranks wrap the backbone."""
        if self.centers is not None:
            self.centers.follow(optimizer)
        if ranks_of(None).size > 1 and not self._wrapped:
            self._wrapped = (_parallel(self.backbone),)

    def settle(self) -> None:
        """Between backward and step: ranks add up the gradients of what a loss itself learns."""
        if self.centers is not None and self.class_loss is not None:
            self.centers.sum_gradients(self.class_loss)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Weights, which decay; norms and biases, which do not; class centers."""
        weights: list[tuple[str, Tensor]] = []
        others: list[tuple[str, Tensor]] = []
        for name, parameter in self.named_parameters():
            if parameter.requires_grad and not name.startswith("centers."):
                (weights if parameter.ndim > 1 else others).append((name, parameter))
        groups: list[dict[str, Any]] = [{"params": weights}, {"params": others, "weight_decay": 0.0}]
        if self.centers is not None:
            groups.append({"params": [("centers.rows", self.centers.rows)], "sharded": True})
        return groups

    def state(self) -> dict[str, Tensor]:
        """Backbone and what losses keep, by name, not copies; class centers are in `shard`."""
        return {name: value for name, value in self.state_dict().items() if not name.startswith("centers.")}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take what `state` gave.

        Raises:
            InputError: if a name or a shape is another.
        """
        own = self.state()
        for name in sorted({*own, *state}):
            mine, came = (tuple(part[name].shape) if name in part else "none" for part in (own, state))
            if mine != came:
                raise InputError(f"state: expected {name} of shape {mine}, got {came}: it is of another network")
        with torch.no_grad():
            for name, value in own.items():
                value.copy_(state[name])

    def shard(self) -> dict[str, Tensor]:
        """The class centers of this rank, with what the optimizer knows of them."""
        return {} if self.centers is None else self.centers.shard()

    def load_shards(self, shards: Sequence[Mapping[str, Tensor]]) -> None:
        """Take the class centers from what `shard` gave on all ranks of a run."""
        if self.centers is not None:
            self.centers.load(shards)

    def about(self) -> dict[str, str]:
        """Settings in words; a checkpoint of others is refused."""
        words = {"loss": repr(self.class_loss), "pair": repr(self.pair_loss), "pair weight": repr(self.weight)}
        if self.miner is not None:
            words["miner"] = self.miner if isinstance(self.miner, str) else type(self.miner).__name__
        if self.centers is not None:
            rate, limit = self.centers.sample_rate, self.centers.filter_threshold
            words["centers"] = f"{self.centers.num_classes}, sample_rate={rate}, filter_threshold={limit}"
        return words

    @torch.no_grad()
    def embed(self, images: U8, batch: int = 256, flip: bool = False) -> F32:
        """Unit vectors in evaluation mode and float32, whatever the training used.

        Args:
            images: (N, H, W, 3) uint8 RGB, aligned crops; resized where the backbone wants another size.
            batch: pictures at once.
            flip: add the vector of the mirrored picture.

        Returns:
            (N, D).

        Raises:
            InputError: if the pictures are no uint8 RGB.
        """
        if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
            came = f"{images.dtype} {images.shape}" if isinstance(images, np.ndarray) else type(images).__name__
            raise InputError(f"images: expected uint8 RGB of shape (N, H, W, 3), got {came}")
        place = next(self.backbone.parameters())
        found = np.zeros((len(images), int(self.backbone.dim)), np.float32)  # type: ignore[arg-type]
        mode = self.training
        self.eval()
        try:
            for first in range(0, len(images), batch):
                part = torch.from_numpy(np.ascontiguousarray(images[first : first + batch])).permute(0, 3, 1, 2)
                x = part.to(place) / 255
                raw = self.features(x).raw
                if flip:
                    raw = raw + self.features(x.flip(3)).raw
                found[first : first + batch] = functional.normalize(raw.float()).cpu().numpy()
        finally:
            self.train(mode)
        return found


def _parallel(net: nn.Module) -> nn.Module:
    """The network with gradients that are means over ranks; running statistics stay those of each rank."""
    known = inspect.signature(DistributedDataParallel).parameters
    name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"  # until torch 2.12
    return DistributedDataParallel(net, **{name: False})  # type: ignore[arg-type]


def _classified(centers: ClassCenters, loss: Any, raw: Tensor, labels: Tensor, step: int) -> Tensor:
    if hasattr(loss, "blend_at"):
        loss.blend = loss.blend_at(step)
    who = labels >= 0
    value: Tensor = centers(raw[who], labels[who], loss)
    return value


def _everywhere(raw: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Vectors and labels of all ranks. Each makes the same loss of them, so the gradients, which come back as a sum and
    are then averaged, are those of the loss.
    """
    ranks = ranks_of(None)
    counts = [count for (count,) in told((len(raw),), ranks, raw.device)]
    return gathered(raw, counts, ranks), gathered(labels, counts, ranks)

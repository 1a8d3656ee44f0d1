"""From a trained backbone to an embedder that runs without torch: backbone.safetensors, model.onnx and card.toml.

The graph is traced by the TorchScript exporter of PyTorch, which needs no further package; it folds batch norms, and
PReLUs are then rewritten as the zoo does with published files. What comes out is compared with the backbone on drawn
faces, alone and in batches, and refused where a vector differs. The preprocessing stands on the card and not in the
graph, as with every card of the zoo.
"""

from __future__ import annotations

import copy
import hashlib
import os
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from vultus import __version__
from vultus.errors import InputError, StoreError, WeightsError
from vultus.io.files import write_bytes
from vultus.io.tensors import pack
from vultus.ops.vectors import unit
from vultus.testing.pictures import drawn_crops
from vultus.types import F32, U8, CropSpec
from vultus.zoo import runs
from vultus.zoo.cards import Card, Source
from vultus.zoo.convert import graph
from vultus.zoo.session import Session, space

__all__ = ["OPSET", "PARITY", "Exported", "card_of", "export", "onnx_bytes", "parity", "template_of"]

OPSET = 17
PARITY = 1e-4  # largest difference of a number of a unit vector
_DRAWN = 8  # faces that are compared


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes:
        card: of the embedder.
        folder: that holds backbone.safetensors, model.onnx and card.toml.
        parity: largest difference between torch and ONNX Runtime, of a number of a unit vector.
        onnx_bytes: size of model.onnx.
    """

    card: Card
    folder: Path
    parity: float
    onnx_bytes: int

    @property
    def space(self) -> str:
        """Name of the card + "@" + first 12 hex of the weights' sha256."""
        return space(self.card.id, self.card.sha256)


def card_of(
    backbone: nn.Module,
    name: str,
    *,
    method: str,
    template: str = "",
    training_data: str = "not stated",
    license: str = "as its training data",
    commercial: str = "unclear",
) -> Card:
    """The card of a backbone that was trained on crops with (pixel - 127.5) / 127.5.

    Args:
        backbone: has `input_hw` and `dim`.
        name: the first half of the space; what a space may not have becomes '-'.
        method: what the network is, in words.
        template: which alignment template the crops keep; "" takes the one of their proportion.
        training_data: what it was trained on.
        license: of the weights.
        commercial: yes, no or unclear.

    Raises:
        InputError: if nothing of the name is left, or no template has that proportion.
    """
    height, width = _input_hw(backbone)
    return Card(
        runs.name_of(name),
        method,
        "embedder",
        runs.MODEL,
        Source("file", "trained with vultus"),
        license=license,
        commercial=commercial,  # type: ignore[arg-type]
        training_data=training_data,
        mean=(127.5, 127.5, 127.5),
        std=(127.5, 127.5, 127.5),
        input_hw=(height, width),
        crop=CropSpec(template or template_of((height, width)), (height, width)),
        dim=int(cast(int, backbone.dim)),
    )


def template_of(size_hw: tuple[int, int]) -> str:
    """The alignment template that crops of this proportion keep: `arcface112` where they are square.

    Raises:
        InputError: if there is none.
    """
    height, width = size_hw
    if height == width:
        return "arcface112"
    if height * 96 == width * 112:
        return "sphereface112x96"
    raise InputError(f"size_hw: expected square crops, or 112 x 96 and its multiples, got {height} x {width}")


def export(
    backbone: nn.Module,
    folder: str | os.PathLike[str],
    card: Card,
    *,
    crops: U8 | None = None,
    about: Mapping[str, str | float | int] | None = None,
) -> Exported:
    """Write a backbone as an embedder; the card comes last, so that what is there is whole or is not opened.

    Args:
        backbone: takes normalized crops (N, 3, H, W), gives `raw`; left as it is.
        folder: where; it is made when it is missing.
        card: see `card_of`; file and sha256 are filled in.
        crops: (N, H, W, 3) uint8 RGB to compare on; None draws faces.
        about: further facts for the card.

    Raises:
        InputError: if the backbone cannot be traced, or the crops are of another size.
        WeightsError: if a weight is not finite, or ONNX Runtime gives other vectors than torch.
        StoreError: if the folder cannot be written.
    """
    place = Path(folder)
    weights = _weights(backbone, card)
    data = onnx_bytes(backbone)
    gap = parity(backbone, data, card, crops)
    if not gap < PARITY:
        raise WeightsError(
            f"{card.id}: expected vectors of ONNX Runtime within {PARITY:g} of torch's, got a difference of {gap:.3g}: "
            "nothing was written; the backbone does something that a traced graph does not hold"
        )
    finished = replace(card, file=runs.MODEL, sha256=hashlib.sha256(weights).hexdigest(), size_bytes=len(weights))
    digest = hashlib.sha256(data).hexdigest()
    facts: dict[str, str | float | int] = {
        "parity": float(f"{gap:.3g}"),
        "opset": OPSET,
        "torch": str(torch.__version__),
        "vultus": __version__,
        "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        **(about or {}),
    }
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"{place}: expected a folder that can be written to, got: {error.strerror}; choose another one"
        ) from error
    write_bytes(place / runs.WEIGHTS, weights)
    write_bytes(place / runs.MODEL, data)
    write_bytes(place / runs.CARD, runs.text_of(finished, onnx_sha256=digest, about=facts).encode())
    return Exported(finished, place, gap, len(data))


def onnx_bytes(backbone: nn.Module) -> bytes:
    """A backbone as a serialized ONNX model: `input` (N, 3, H, W) normalized crops -> `embedding` (N, D) raw vectors.

    N is free, H and W are the backbone's. The backbone itself is left as it is.

    Raises:
        InputError: if it cannot be traced.
    """
    net = _Raw(copy.deepcopy(backbone).cpu().float()).eval()
    given = torch.zeros(2, 3, *_input_hw(backbone))
    free = {"input": {0: "N"}, "embedding": {0: "N"}}
    try:
        with warnings.catch_warnings(), torch.no_grad(), tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / runs.MODEL
            warnings.simplefilter("ignore")  # that this exporter is the older one, and that shapes become constants
            torch.onnx.export(
                net,
                (given,),
                out,
                input_names=["input"],
                output_names=["embedding"],
                dynamic_axes=free,
                opset_version=OPSET,
                dynamo=False,  # the newer exporter needs onnxscript
            )
            model = graph.load(out)
    except (RuntimeError, ValueError, TypeError) as error:  # of the tracer, and of operators that ONNX does not have
        why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"{type(backbone).__name__}: expected a network that can be traced, got: {why}") from error
    graph.split_prelu(model)
    return graph.finish(model)


def parity(backbone: nn.Module, data: bytes, card: Card, crops: U8 | None = None) -> float:
    """The largest difference of a number of a unit vector between torch and ONNX Runtime; inf where one is not finite.

    Args:
        backbone: as given to `onnx_bytes`.
        data: what that gave.
        card: mean and deviation.
        crops: (N, H, W, 3) uint8; None draws faces.

    Raises:
        InputError: if the crops are of another size, or ONNX Runtime does not take the graph.
    """
    size = _input_hw(backbone)
    faces = drawn_crops(np.random.default_rng(0), n=_DRAWN, size_hw=size) if crops is None else crops
    if faces.dtype != np.uint8 or faces.ndim != 4 or faces.shape[1:] != (*size, 3) or not len(faces):
        raise InputError(f"crops: expected uint8 (N, {size[0]}, {size[1]}, 3), got {faces.dtype} {faces.shape}")
    x = (faces.astype(np.float32) - np.array(card.mean, np.float32)) / np.array(card.std, np.float32)
    x = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    net = copy.deepcopy(backbone).cpu().float().eval()
    with torch.no_grad():
        want: F32 = net(torch.from_numpy(x)).raw.numpy()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / runs.MODEL
        write_bytes(path, data)
        session = Session(path, None, 1)
        name = next(iter(session.inputs))
        whole = session.run({name: x})[0]
        alone = np.concatenate([session.run({name: x[i : i + 1]})[0] for i in range(len(x))])
    if not all(np.isfinite(rows).all() and np.abs(rows).sum(1).min() > 0 for rows in (want, whole, alone)):
        return float("inf")
    return float(max(np.abs(unit(rows) - unit(want)).max() for rows in (whole, alone)))


class _Raw(nn.Module):
    """A backbone that gives its raw vectors and nothing else."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, x: Tensor) -> Tensor:
        raw: Tensor = self.backbone(x).raw
        return raw


def _input_hw(backbone: nn.Module) -> tuple[int, int]:
    height, width = cast(Any, backbone.input_hw)
    return int(height), int(width)


def _weights(backbone: nn.Module, card: Card) -> bytes:
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in backbone.state_dict().items()}
    bad = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if bad:
        raise WeightsError(f"{card.id}: expected finite weights, got NaN or infinity in {', '.join(bad[:3])}")
    return pack(arrays, {})  # no names: the same weights are the same bytes, and so the same second half of a space

"""One recognition network as its card describes it: crops in, raw vectors out."""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy as np

from vultus.errors import InputError
from vultus.types import F32, U8, CropSpec
from vultus.zoo import runs
from vultus.zoo.cards import Card, Source, cards
from vultus.zoo.session import Session, open_session

_OWN = Card(  # of a file without a card: what most published networks want
    "arcface.file",
    "ArcFace convention",
    "embedder",
    "",
    Source("file", ""),
    mean=(127.5, 127.5, 127.5),
    std=(127.5, 127.5, 127.5),
)


class Network:
    """A recognition network; opens its weights at the first use.

    Args:
        weights: id of a model card, the folder of a run that was exported (see `vultus.zoo.runs`), or path to an
            .onnx file that keeps the ArcFace convention: 112 x 112 crops of the `arcface112` template, RGB,
            (pixel - 127.5) / 127.5.
        flip: add the vector of the mirrored crop; None means as the card says.
        threads: of one run; None means the house's default.
        batch: most crops in one run.
    """

    def __init__(self, weights: str | os.PathLike[str], *, flip: bool | None, threads: int | None, batch: int) -> None:
        if batch < 1:
            raise InputError(f"batch: expected at least 1, got {batch}")
        self.weights = os.fspath(weights)
        known = cards().get(self.weights)
        if known is not None and known.kind != "embedder":
            raise InputError(f"weights: expected the card of an embedder, got {self.weights!r}, a {known.kind}")
        mine = None if known else runs.own(self.weights)
        self.card = known or (mine.card if mine else _OWN)
        self.flip = self.card.flip if flip is None else flip
        self.threads, self.batch = threads, batch
        self._lock = threading.Lock()
        self._session: Session | None = None

    @property
    def name(self) -> str:
        """Id of the card, or `arcface.file` where there is none."""
        return self.card.id

    @property
    def session(self) -> Session:
        """The open session."""
        with self._lock:
            if self._session is None:
                self._session = open_session(self.weights, threads=self.threads)
            return self._session

    @property
    def sha256(self) -> str:
        """Of the published weights; opens them only when the card does not say."""
        return self.card.sha256 or self.session.sha256

    @property
    def crop(self) -> CropSpec:
        """The crop it wants."""
        if self.card.crop is not None:
            return self.card.crop
        *_, height, width = next(iter(self.session.inputs.values()))
        return CropSpec("arcface112", (_whole(height, 112), _whole(width, 112)))

    @property
    def dim(self) -> int:
        """D."""
        if self.card.dim is not None:
            return self.card.dim
        shape = next(iter(self.session.outputs.values()))
        if len(shape) != 2 or not isinstance(shape[1], int):
            raise InputError(f"{self.weights}: expected an embedding of shape (N, D) as first output, got {shape}")
        return shape[1]

    def vectors(self, crops: U8) -> F32:
        """(N, h, w, 3) uint8 RGB crops -> (N, D) raw vectors."""
        checked_crops(crops, self.crop)
        out = np.empty((len(crops), self.dim), np.float32)
        for start in range(0, len(crops), self._step()):
            part = slice(start, min(start + self._step(), len(crops)))
            out[part] = self._run(crops[part])
            if self.flip:
                out[part] = (out[part] + self._run(crops[part, :, ::-1])) / 2
        return out

    def _step(self) -> int:
        """Crops per run: a file exported for one crop at a time takes one at a time."""
        fixed = next(iter(self.session.inputs.values()))[0]
        return fixed if isinstance(fixed, int) and fixed > 0 else self.batch

    def _run(self, crops: U8) -> F32:
        pixels = crops if self.card.channel_order == "RGB" else crops[..., ::-1]
        x = np.empty((len(crops), 3, *crops.shape[1:3]), np.float32)
        np.copyto(x, pixels.transpose(0, 3, 1, 2))
        if any(self.card.mean):
            x -= np.array(self.card.mean, np.float32)[:, None, None]
        if any(value != 1 for value in self.card.std):
            x /= np.array(self.card.std, np.float32)[:, None, None]
        out: Any = self.session.run({next(iter(self.session.inputs)): x})[0]
        if out.shape != (len(crops), self.dim):
            raise InputError(f"{self.weights}: expected vectors of shape {(len(crops), self.dim)}, got {out.shape}")
        vectors: F32 = out
        return vectors

    def __deepcopy__(self, memo: dict[int, Any]) -> Network:
        return Network(self.weights, flip=self.flip, threads=self.threads, batch=self.batch)

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.weights, self.flip, self.threads, self.batch)


def _again(weights: str, flip: bool, threads: int | None, batch: int) -> Network:
    return Network(weights, flip=flip, threads=threads, batch=batch)


def checked_crops(crops: U8, spec: CropSpec) -> U8:
    """The crops, or InputError when they are not uint8 RGB of the size wanted."""
    want = (*spec.size_hw, 3)
    if not isinstance(crops, np.ndarray) or crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != want:
        came = f"{crops.dtype} {crops.shape}" if isinstance(crops, np.ndarray) else type(crops).__name__
        raise InputError(f"crops: expected uint8 RGB of shape (N, {', '.join(map(str, want))}), got {came}")
    return crops


def _whole(size: int | str | None, default: int) -> int:
    return size if isinstance(size, int) and size > 0 else default

"""How every detector of this room runs: windows in batches, one network call each, one suppression per picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Protocol

import cv2
import numpy as np

from vultus.detect._canvas import Candidates, Plan, View, views
from vultus.detect._merge import merge
from vultus.errors import InputError
from vultus.types import F32, U8, Detections
from vultus.zoo.session import open_session

__all__ = ["Colors", "Decode", "Layout", "Network", "Runs", "Settings", "checked", "run", "search"]

_BATCH_PIXELS = 4 * 256 * 256  # of one network call: more only leaves the caches
_CHUNK = 16  # pictures whose levels are in memory at once

Decode = Callable[[Sequence[F32], tuple[int, int], float], list[Candidates]]
"""Outputs of a network, (height, width) of its canvas and a lowest score -> candidates of each item of the batch."""


class Runs(Protocol):
    """An opened network; `vultus.zoo.session.Session` is one."""

    def run(self, feeds: dict[str, Any]) -> list[Any]:
        """Outputs in the order of the graph."""
        ...


@dataclass(frozen=True, slots=True)
class Colors:
    """What a network wants to see: (pixel - mean) / std in its order of channels."""

    order: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Network:
    """An exported detector: how its input is made and how its outputs are read.

    Attributes:
        session: the opened network.
        input: name of its input.
        colors: its preprocessing.
        decode: reader of its outputs.
        stride: sides of its canvas are multiples of it.
        canvas_hw: the one size it takes, or None.
        batch: the one batch size it takes, or None.
    """

    session: Runs
    input: str
    colors: Colors
    decode: Decode
    stride: int = 32
    canvas_hw: tuple[int, int] | None = None
    batch: int | None = None

    def look(self, seen: Sequence[View], min_score: float) -> list[Candidates]:
        """What is found in windows that share one canvas, in pixels of their pictures."""
        size_hw = seen[0].canvas_hw
        outputs = self.session.run({self.input: blob([view.pixels for view in seen], size_hw, self.colors)})
        return self.decode(outputs, size_hw, min_score)


@dataclass(frozen=True, slots=True)
class Layout:
    """What is fixed by how a method's networks are published.

    Attributes:
        decode: reader of the outputs.
        colors: published preprocessing, for files of the user's own; a card's goes first.
        score: published threshold, for files of the user's own and cards that state none.
        stride: sides of a canvas are multiples of it.
    """

    decode: Decode
    colors: Colors
    score: float
    stride: int = 32


class Settings(Protocol):
    """What every detector of this room can be told."""

    @property
    def weights(self) -> str:
        """Id of a model card, or path of an ONNX file of this method."""
        ...

    @property
    def min_score(self) -> float | None:
        """Lowest score; None: that of the card."""
        ...

    @property
    def iou(self) -> float:
        """Overlap above which two boxes are one face."""
        ...

    @property
    def scales(self) -> tuple[int, ...]:
        """Lengths in pixels to which the longer side is brought, one pass each."""
        ...

    @property
    def tile(self) -> int | None:
        """Side in pixels of windows in which a large picture is also searched at its own size."""
        ...

    @property
    def upright(self) -> bool:
        """Also try the picture turned by 90, 180 and 270 degrees and keep the best direction."""
        ...

    @property
    def threads(self) -> int | None:
        """Of the network; None: all physical cores."""
        ...


def run(
    settings: Settings, layout: Layout, images: Sequence[U8], min_score: float | None, max_faces: int | None
) -> list[Detections]:
    """Open the network of a detector and search pictures with it; see `search`."""
    plan = Plan(tuple(settings.scales), settings.iou, settings.tile, settings.upright)
    session = open_session(settings.weights, threads=settings.threads)
    name, shape = next(iter(session.inputs.items()))
    batch, height, width = shape[0], shape[2], shape[3]
    card = session.card
    net = Network(
        session=session,
        input=name,
        colors=Colors(card.channel_order, card.mean, card.std) if card else layout.colors,
        decode=layout.decode,
        stride=layout.stride,
        canvas_hw=(height, width) if isinstance(height, int) and isinstance(width, int) else None,
        batch=batch if isinstance(batch, int) else None,
    )
    wanted = (min_score, settings.min_score, card.threshold if card else None, layout.score)
    lowest = next(score for score in wanted if score is not None)
    return search(images, net, plan, min_score=lowest, max_faces=max_faces)


def blob(pictures: Sequence[U8], size_hw: tuple[int, int], colors: Colors) -> F32:
    """(N, 3, height, width) float32 input, pictures in the upper left corner, black elsewhere."""
    scale = 1.0 / np.array(colors.std, np.float32)
    shift = -np.array(colors.mean, np.float32) * scale
    planes = np.empty((len(pictures), 3, *size_hw), np.float32)
    channels = (0, 1, 2) if colors.order == "RGB" else (2, 1, 0)
    for plane, picture in zip(planes, pictures, strict=True):
        height, width = picture.shape[:2]
        for into, channel in enumerate(channels):
            plane[into, height:] = shift[into]
            plane[into, :height, width:] = shift[into]
            np.multiply(cv2.extractChannel(picture, channel), scale[into], out=plane[into, :height, :width])
        if shift.any():
            plane[:, :height, :width] += shift[:, None, None]
    return planes


def search(
    images: Sequence[U8], net: Network, plan: Plan, *, min_score: float, max_faces: int | None = None
) -> list[Detections]:
    """Faces of each picture, best first, in its pixels.

    Args:
        images: (H, W, 3) uint8 RGB pictures of any sizes.
        net: the network.
        plan: scales, tiles and directions.
        min_score: lowest score, in [0, 1].
        max_faces: at most so many of each picture, or None.

    Returns:
        One record per picture; empty where there is no face.

    Raises:
        InputError: if a picture is not uint8 (H, W, 3) or an argument is out of range.
    """
    if not 0.0 <= min_score <= 1.0:
        raise InputError(f"min_score: expected a score in [0, 1], got {min_score}")
    if max_faces is not None and max_faces < 1:
        raise InputError(f"max_faces: expected 1 or more, or None for all, got {max_faces}")
    pictures = checked(images)
    found: list[Detections] = []
    for start in range(0, len(pictures), _CHUNK):
        found += _search_chunk(pictures[start : start + _CHUNK], net, plan, min_score, max_faces)
    return found


def checked(images: Any) -> list[U8]:
    """The pictures, each uint8 RGB (H, W, 3) with at least one pixel; refused with its place where one is not."""
    if isinstance(images, np.ndarray) and images.ndim != 4:
        raise InputError(
            f"images: expected a list of pictures, got one array of shape {images.shape}: put it in a list"
        )
    for index, image in enumerate(images):
        good = isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
        if not good or image.size == 0:
            what = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
            raise InputError(f"images[{index}]: expected uint8 RGB of shape (H, W, 3), got {what}")
    return list(images)


def _search_chunk(
    pictures: list[U8], net: Network, plan: Plan, min_score: float, max_faces: int | None
) -> list[Detections]:
    seen = [
        view
        for index, picture in enumerate(pictures)
        for view in views(index, picture, plan, stride=net.stride, canvas_hw=net.canvas_hw)
    ]
    found: list[list[tuple[View, Candidates]]] = [[] for _ in pictures]
    for batch in _batches(seen, net.batch):
        for view, candidates in zip(batch, net.look(batch, min_score), strict=True):
            found[view.picture].append((view, candidates))
    sizes = [(picture.shape[0], picture.shape[1]) for picture in pictures]
    return [merge(parts, size_hw, plan, max_faces) for parts, size_hw in zip(found, sizes, strict=True)]


def _batches(seen: Sequence[View], most: int | None) -> Iterator[list[View]]:
    """Views of one canvas size together, as many as one call takes."""
    for (height, width), group in groupby(sorted(seen, key=lambda view: view.canvas_hw), lambda view: view.canvas_hw):
        members = list(group)
        size = max(1, min(_BATCH_PIXELS // (height * width), most or len(members)))
        for start in range(0, len(members), size):
            yield members[start : start + size]

"""A made-up collection whose vectors are chosen, so that it is known who is like whom."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np

from vultus.errors import InputError
from vultus.io import images
from vultus.types import Detections, Embedded, Image

SPACE = "drawn@000000000000"


def unit(rows):
    rows = np.asarray(rows, np.float64)
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


@dataclass(frozen=True)
class Leaf:
    """A page of given vectors; its picture is noise of a seed."""

    name: str
    tags: tuple[str, ...]
    vectors: np.ndarray
    portrait_of: str | None = None
    seed: int | None = None
    broken: bool = False
    boxes: np.ndarray | None = None
    size: int = 32

    def read(self):
        if self.broken:
            raise InputError(f"{self.name}: expected a picture, got something else")
        seed = self.seed if self.seed is not None else sum(self.name.encode()) * 1009 + len(self.name)
        pixels = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8)
        return Image(
            np.ascontiguousarray(pixels.repeat(self.size // 32, 0).repeat(self.size // 32, 1)), "0" * 64, self.name
        )


@dataclass
class Lookup:
    """An encoder that knows the vectors of each page."""

    leaves: list[Leaf]
    asked: list[str] = field(default_factory=list)
    space: str = SPACE

    def encode(self, picture):
        self.asked.append(picture.source)
        leaf = next(leaf for leaf in self.leaves if leaf.name == picture.source)
        n = len(leaf.vectors)
        boxes = leaf.boxes
        if boxes is None:
            boxes = np.array([[10.0 * k, 0, 10 * k + 8, 8] for k in range(n)], np.float32).reshape(n, 4)
        vectors = np.asarray(leaf.vectors, np.float32).reshape(n, -1) if n else np.zeros((0, 4), np.float32)
        return SimpleNamespace(
            detections=Detections(boxes, np.ones(n, np.float32)), embedded=Embedded(vectors, self.space)
        )


class Reddest:
    """In place of a pipeline: strips of 32 pixels are faces, and the color of a strip is the person."""

    calibration = SimpleNamespace(threshold=lambda fmr: (0.5, None))

    def encode(self, picture):
        pixels = picture.pixels.astype(float)
        faces = pixels.reshape(32, -1, 32, 3).mean(axis=(0, 2)) - pixels.min()
        vectors = (faces / np.linalg.norm(faces, axis=1, keepdims=True)) ** 8
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        boxes = [[32.0 * k, 0, 32 * k + 32, 32] for k in range(len(faces))]
        found = Detections(np.array(boxes, np.float32), np.ones(len(faces), np.float32))
        return SimpleNamespace(detections=found, embedded=Embedded(vectors.astype(np.float32), SPACE))


def drawn(path, *channels, seed):
    rng = np.random.default_rng(seed)
    strips = []
    for channel in channels:
        strip = rng.integers(0, 60, (32, 32, 3), np.uint8)
        strip[..., channel] += 150
        strips.append(strip)
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write(path, np.concatenate(strips, axis=1))


def people(root):
    """A folder each of Ann, with four pictures of hers and one of somebody else, Bo, with three, and Cy, with one."""
    for person, channels in {"Ann": (0, 0, 0, 0, 2), "Bo": (1, 1, 1), "Cy": (2, 1)}.items():
        for k, channel in enumerate(channels):
            drawn(root / person / f"{k}.png", channel, seed=10 * ord(person[0]) + k)

"""How one entry of a simulated crawl is drawn from its plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from vultus.sim import _finish, _shade, faces
from vultus.types import F32, U8

__all__ = ["RECIPES", "Shot", "drawn"]

MANY = (4, 7)  # faces in a picture that has too many
SMALL = 0.14  # share of the side that a face rendering takes where faces are small
LOW = 5  # times fewer pixels a side where the resolution is low


@dataclass(frozen=True, eq=False)
class Shot:
    """A picture of a crawl and what is true about its pixels.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        boxes: (K, 4) of the faces, xyxy pixels in edge coordinates, in the order of the entry's people.
        samples: the K renderings, with everything that is true about each.
    """

    image: U8
    boxes: F32
    samples: tuple[faces.FaceSample, ...]


def drawn(recipe: str, people: tuple[int, ...], seed: tuple[int, int], size: int, lod: int) -> Shot:
    """Draw an entry: the same plan, the same bytes."""
    return RECIPES[recipe](people, np.random.default_rng(seed), size, lod)


def _rendered(person: int, rng: np.random.Generator, size: int, lod: int) -> faces.FaceSample:
    who = faces.person_of(person)
    return faces.render(who, faces.sample_factors(rng, None, who), size, lod)


def _group(people: tuple[int, ...], rng: np.random.Generator, size: int, lod: int) -> Shot:
    """People side by side; one is an ordinary portrait."""
    samples = tuple(_rendered(person, rng, size, lod) for person in people)
    boxes = [sample.box + np.array([k * size, 0] * 2, np.float32) for k, sample in enumerate(samples)]
    return Shot(np.concatenate([sample.image for sample in samples], axis=1), np.array(boxes, np.float32), samples)


def _crowd(people: tuple[int, ...], rng: np.random.Generator, size: int, lod: int) -> Shot:
    """Rows of people, each half as large as in a portrait."""
    side, columns = max(size // 2, faces.MIN_SIDE), int(np.ceil(np.sqrt(len(people))))
    rows = -(-len(people) // columns)
    canvas = _scene(rng, max(rows, columns) * side)[: rows * side, : columns * side].copy()
    samples, boxes = [], []
    for k, person in enumerate(people):
        sample = _rendered(person, rng, side, lod)
        y, x = k // columns * side, k % columns * side
        canvas[y : y + side, x : x + side] = sample.image
        samples.append(sample)
        boxes.append(sample.box + np.array([x, y, x, y], np.float32))
    return Shot(canvas, np.array(boxes, np.float32), tuple(samples))


def _small(people: tuple[int, ...], rng: np.random.Generator, size: int, lod: int) -> Shot:
    """One face far away."""
    side = max(round(SMALL * size), faces.MIN_SIDE)
    canvas = _scene(rng, max(size, round(side / SMALL)))
    sample = _rendered(people[0], rng, side, lod)
    y, x = (int(rng.integers(0, canvas.shape[0] - side + 1)) for _ in range(2))
    canvas[y : y + side, x : x + side] = sample.image
    return Shot(canvas, sample.box[None] + np.array([x, y, x, y], np.float32), (sample,))


def _low(people: tuple[int, ...], rng: np.random.Generator, size: int, lod: int) -> Shot:
    """A portrait of few pixels."""
    sample = _rendered(people[0], rng, size, lod)
    side = max(size // LOW, 8)
    image = np.asarray(cv2.resize(sample.image, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    return Shot(image, np.asarray(sample.box[None] * (side / size), np.float32), (sample,))


def _near(people: tuple[int, ...], rng: np.random.Generator, size: int, lod: int) -> Shot:
    """The portrait of the same random numbers as it comes back: cut by a hundredth, softer and a little lighter."""
    whole = _group(people, rng, size, lod)
    height, width = whole.image.shape[:2]
    cut = size // 96
    inner = cv2.resize(
        whole.image[cut : height - cut, cut : width - cut], (width, height), interpolation=cv2.INTER_LINEAR
    )
    soft = np.asarray(cv2.GaussianBlur(inner, (0, 0), 0.5), np.int16)
    scale = np.array([n / (n - 2 * cut) for n in (width, height)] * 2, np.float32)
    return Shot(np.clip(soft + 3, 0, 255).astype(np.uint8), np.asarray((whole.boxes - cut) * scale), whole.samples)


def _empty(people: tuple[int, ...], rng: np.random.Generator, size: int, lod: int) -> Shot:
    """Nobody: a place, with some things in it."""
    canvas = _scene(rng, size)
    for _ in range(int(rng.integers(0, 5))):
        center = tuple(int(v) for v in rng.integers(0, size, 2))
        axes = tuple(int(v) for v in rng.integers(size // 20 + 1, size // 4 + 2, 2))
        color = [int(v) for v in rng.integers(0, 256, 3)]
        cv2.ellipse(canvas, center, axes, float(rng.uniform(0, 180)), 0, 360, color, -1, cv2.LINE_AA)
    return Shot(canvas, np.zeros((0, 4), np.float32), ())


def _scene(rng: np.random.Generator, size: int) -> U8:
    name = str(rng.choice(_finish.BACKGROUNDS))
    return _finish.to_bytes(_shade.encode(_finish.background(name, int(rng.integers(1 << 31)), size)))


RECIPES: dict[str, Callable[[tuple[int, ...], np.random.Generator, int, int], Shot]] = {
    "group": _group,
    "crowd": _crowd,
    "small": _small,
    "low": _low,
    "near": _near,
    "empty": _empty,
}

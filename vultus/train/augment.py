"""What is done to a picture before it is learned from: a function of picture, points and random numbers.

    augment = chain(Flip(), Shift(2), Degrade("ADAFACE"))
    image, points = augment(image, points, np.random.default_rng(0))

The picture keeps its size, points move with the pixels, and neither is changed in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vultus.errors import InputError, UnknownMethod
from vultus.ops.degrade import Degradation, preset
from vultus.ops.points import flip_points
from vultus.train.data import Augment
from vultus.types import F32, U8

__all__ = ["Degrade", "Flip", "Shift", "augmentation", "chain"]


@dataclass(frozen=True, slots=True)
class Flip:
    """Mirror the picture; the five points keep their names, so left and right change places.

    Attributes:
        share: of the pictures, 0 to 1.
    """

    share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise InputError(f"share: expected 0 to 1, got {self.share}")

    def __call__(self, image: U8, points: F32 | None, rng: np.random.Generator) -> tuple[U8, F32 | None]:
        """Mirrored, or as it came."""
        if rng.random() >= self.share:
            return image, points
        moved = None if points is None else flip_points(points[None], image.shape[1])[0]
        return np.ascontiguousarray(image[:, ::-1]), moved


@dataclass(frozen=True, slots=True)
class Shift:
    """Move the picture by whole pixels, each way alike; the rows and columns at its edge are repeated.

    Attributes:
        pixels: most, in x and in y.
    """

    pixels: int

    def __post_init__(self) -> None:
        if self.pixels < 0:
            raise InputError(f"pixels: expected a number from 0, got {self.pixels}")

    def __call__(self, image: U8, points: F32 | None, rng: np.random.Generator) -> tuple[U8, F32 | None]:
        """Moved by a draw."""
        right, down = (int(v) for v in rng.integers(-self.pixels, self.pixels, 2, endpoint=True))
        height, width = image.shape[:2]
        rows = np.clip(np.arange(height) - down, 0, height - 1)
        columns = np.clip(np.arange(width) - right, 0, width - 1)
        moved = None if points is None else (points + np.array((right, down), np.float32)).astype(np.float32)
        return image[rows[:, None], columns], moved


@dataclass(frozen=True, slots=True)
class Degrade:
    """A pipeline of `vultus.ops.degrade`, drawn anew for every picture.

    Attributes:
        pipeline: name of a preset, such as "ADAFACE", or a `Degradation`; one that keeps the size of the picture.
    """

    pipeline: str | Degradation = "ADAFACE"

    def __post_init__(self) -> None:
        if isinstance(self.pipeline, str):
            object.__setattr__(self, "pipeline", preset(self.pipeline))

    def __call__(self, image: U8, points: F32 | None, rng: np.random.Generator) -> tuple[U8, F32 | None]:
        """Degraded by a draw; InputError where the pipeline changes the size."""
        pipeline = self.pipeline
        assert isinstance(pipeline, Degradation)
        params = pipeline.draw(rng, image.shape[:2])
        worse = pipeline.image(image, params)
        if worse.shape != image.shape:
            raise InputError(
                f"pipeline: expected one that keeps {image.shape[:2]}, got {worse.shape[:2]}: add Enlarge at its end"
            )
        return worse, None if points is None else pipeline.points(points, params)


def chain(*steps: Augment) -> Augment:
    """One after the other."""

    def run(image: U8, points: F32 | None, rng: np.random.Generator) -> tuple[U8, F32 | None]:
        for step in steps:
            image, points = step(image, points, rng)
        return image, points

    return run


def augmentation(words: Sequence[str]) -> Augment | None:
    """What a recipe names: flip, flip=0.3, shift=4, degrade=ADAFACE, in this order or another.

    Args:
        words: one per step; none is no augmentation.

    Raises:
        UnknownMethod: if there is no such step or preset; the message names near ones.
        InputError: if a number is none or out of range.
    """
    steps = [_step(word) for word in words]
    return chain(*steps) if steps else None


def _step(word: str) -> Augment:
    name, _, value = word.replace(" ", "").partition("=")
    try:
        if name == "flip":
            return Flip(float(value or 0.5))
        if name == "shift":
            return Shift(int(value))
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"augment: expected a number after {name}=, got {word!r}") from error
    if name == "degrade":
        return Degrade(value or "ADAFACE")
    raise UnknownMethod(name, ("flip", "shift", "degrade"), what="augmentation")

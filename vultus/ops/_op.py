"""What every degradation is: a table of its numbers, a draw of them, and a function of picture and numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError, UnknownMethod
from vultus.types import F32, U8, is_number

__all__ = [
    "Names",
    "Number",
    "Op",
    "Range",
    "Scene",
    "Values",
    "check_keys",
    "checked_image",
    "from_levels",
    "noise",
    "ou_paths",
]

F64 = NDArray[np.float64]
Values = Mapping[str, Any]
Range = float | tuple[float, float]
Names = str | tuple[str, ...]

_TAU_FRAMES = 12.0  # frames after which a drifting number has forgotten about two thirds of its deviation
SEED_END = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Number:
    """One number of an operation.

    Attributes:
        low, high: what is allowed; also what is drawn when the operation has no field of that name.
        neutral: where it changes nothing, or None.
        drifts: whether it moves in a clip that drifts; it then moves in proportion to its distance from `neutral`
            (from 0 where there is none).
        whole: drawn among the whole numbers, both ends included.
        grain: a seed of which a drifting clip takes another one in every frame.
    """

    low: float
    high: float
    neutral: float | None = None
    drifts: bool = True
    whole: bool = False
    grain: bool = False


PLACE = Number(0.0, 1.0, drifts=False)
ANGLE = Number(-2 * math.pi, 2 * math.pi, drifts=False)
SEED = Number(0, SEED_END, drifts=False, whole=True)
GRAIN = Number(0, SEED_END, drifts=False, whole=True, grain=True)


@dataclass(frozen=True, slots=True)
class Scene:
    """What an operation may know beside its numbers.

    Attributes:
        start_hw: size of the picture before the first operation.
        points68: (68, 2) center coordinates on the picture as it is now, or None.
        yaw_deg: head pose, or None.
    """

    start_hw: tuple[int, int]
    points68: F64 | None = None
    yaw_deg: float | None = None


@dataclass(frozen=True)
class Op:
    """One degradation. Fields are what is drawn from: a number, a range of them, a name, or several names.

    A subclass lists its numbers in `NUMBERS` and its names in `CHOICES`; one without a field is drawn from all that is
    allowed. It writes `image`, and `matrix` where pixels move.
    """

    NUMBERS: ClassVar[Mapping[str, Number]] = {}
    CHOICES: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def __post_init__(self) -> None:
        for name in self.NUMBERS:
            self._range(name)
        for name in self.CHOICES:
            self._names(name)

    @property
    def name(self) -> str:
        """What it is called in parameters."""
        return type(self).__name__

    def draw(self, rng: np.random.Generator) -> dict[str, Any]:
        """Every number and name, drawn."""
        values: dict[str, Any] = {}
        for name, number in self.NUMBERS.items():
            low, high = self._range(name)
            if number.whole:
                values[name] = int(rng.integers(int(low), int(high), endpoint=True))
            else:
                values[name] = float(rng.uniform(low, high))
        for name in self.CHOICES:
            names = self._names(name)
            values[name] = names[int(rng.integers(len(names)))]
        return values

    def check(self, values: Values) -> None:
        """Refuse values that this operation could not have drawn with any fields.

        Raises:
            UnknownMethod: an unknown parameter or name; the message names near ones.
            InputError: a parameter is missing or out of range.
        """
        check_keys(self.name, values, (*self.NUMBERS, *self.CHOICES))
        for name, number in self.NUMBERS.items():
            _in_range(f"{self.name}.{name}", values[name], number)
        for name, allowed in self.CHOICES.items():
            if values[name] not in allowed:
                raise UnknownMethod(values[name], allowed, what=f"{self.name}.{name}")

    def is_identity(self, values: Values) -> bool:
        """Whether every number that has a neutral value is at it, so that the picture stays as it is."""
        neutral = {name: number.neutral for name, number in self.NUMBERS.items() if number.neutral is not None}
        return bool(neutral) and all(values[name] == at for name, at in neutral.items())

    def image(self, x: U8, values: Values, scene: Scene) -> U8:
        """The picture, degraded; x is left alone."""
        raise InputError(f"{self.name}: expected an operation that says what it does to a picture")

    def cover(self, x: U8, values: Values, scene: Scene) -> tuple[U8, F32 | None]:
        """The picture, and (H, W) how much of each pixel was painted over, 0 to 1, where the operation says so."""
        return self.image(x, values, scene), None

    def matrix(self, values: Values, now_hw: tuple[int, int], scene: Scene) -> F64 | None:
        """(3, 3) where points go, center coordinates, or None when they stay."""
        return None

    def size(self, values: Values, now_hw: tuple[int, int], scene: Scene) -> tuple[int, int]:
        """Height and width of the result."""
        return now_hw

    def clip(self, frames: Sequence[U8], values: Sequence[Values], scenes: Sequence[Scene]) -> list[U8]:
        """Frame by frame; an operation that needs the whole clip replaces this."""
        return [self.image(*each) for each in zip(frames, values, scenes, strict=True)]

    def drifting(self, values: Values, drift: float, rng: np.random.Generator, count: int) -> list[dict[str, Any]]:
        """The values of each frame of a clip, smoothly drifting; the first frame has `values` themselves."""
        frames = [dict(values) for _ in range(count)]
        for name, number in self.NUMBERS.items():
            if number.grain:
                for t, frame in enumerate(frames):
                    frame[name] = (int(values[name]) + t * 2654435761) % (SEED_END + 1)
            elif number.drifts:
                home = 0.0 if number.neutral is None else number.neutral
                path = np.maximum(1.0 + drift * ou_paths(rng, count), 0.0)
                for t, frame in enumerate(frames):
                    moved = float(np.clip(home + (values[name] - home) * path[t], number.low, number.high))
                    frame[name] = values[name] if t == 0 else round(moved) if number.whole else moved
        return frames

    def _range(self, name: str) -> tuple[float, float]:
        number = self.NUMBERS[name]
        field = getattr(self, name, (number.low, number.high))
        ends = (field, field) if is_number(field) else field
        if not isinstance(ends, (tuple, list)) or len(ends) != 2 or not all(is_number(end) for end in ends):
            raise InputError(f"{self.name}.{name}: expected a number or (low, high), got {field!r}")
        for end in ends:
            _in_range(f"{self.name}.{name}", end, number)
        if ends[0] > ends[1]:
            raise InputError(f"{self.name}.{name}: expected low <= high, got {field!r}")
        return ends[0], ends[1]

    def _names(self, name: str) -> tuple[str, ...]:
        allowed = self.CHOICES[name]
        field = getattr(self, name, allowed)
        names = (field,) if isinstance(field, str) else tuple(field)
        for one in names:
            if one not in allowed:
                raise UnknownMethod(one, allowed, what=f"{self.name}.{name}")
        if not names:
            raise InputError(f"{self.name}.{name}: expected at least one of {', '.join(allowed)}, got none")
        return names


def ou_paths(rng: np.random.Generator, count: int) -> F64:
    """(count,) Ornstein-Uhlenbeck path that starts at 0 and has deviation 1 when it has forgotten its start."""
    keep = math.exp(-1.0 / _TAU_FRAMES)
    steps = rng.normal(size=count) * math.sqrt(1.0 - keep * keep)
    path = np.zeros(count)
    for t in range(1, count):
        path[t] = keep * path[t - 1] + steps[t]
    return path


def noise(values: Values, shape: tuple[int, ...]) -> F32:
    """Standard normal numbers of the seed in `values`."""
    return np.random.default_rng(int(values["seed"])).standard_normal(shape, dtype=np.float32)


def from_levels(x: NDArray[Any]) -> U8:
    """Rounded and clipped to 0..255."""
    return np.asarray(np.clip(np.floor(x + np.float32(0.5)), 0, 255), np.uint8)


def checked_image(name: str, x: object) -> U8:
    """A picture, refused in words when it is none.

    Raises:
        InputError: unless uint8 of shape (H, W, 3) with pixels.
    """
    if isinstance(x, np.ndarray) and x.dtype == np.uint8 and x.ndim == 3 and x.shape[2] == 3 and x.size:
        return x
    what = f"{x.dtype} {x.shape}" if isinstance(x, np.ndarray) else type(x).__name__
    raise InputError(f"{name}: expected uint8 of shape (H, W, 3) with pixels, got {what}")


def check_keys(name: str, values: object, known: tuple[str, ...]) -> None:
    """Refuse what is no table of exactly these parameters.

    Raises:
        UnknownMethod: an unknown one; the message names near ones.
        InputError: one is missing, or there is no table.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"{name}: expected a table of {', '.join(known)}, got {type(values).__name__}")
    for key in values:
        if key not in known:
            raise UnknownMethod(key, known, what=f"parameter of {name}")
    missing = [key for key in known if key not in values]
    if missing:
        raise InputError(f"{name}: expected {', '.join(known)}, got no {', '.join(missing)}")


def _in_range(where: str, value: object, number: Number) -> None:
    good = is_number(value) and not isinstance(value, bool) and number.low <= float(value) <= number.high  # type: ignore[arg-type]
    if not good or (number.whole and int(value) != value):  # type: ignore[call-overload]
        kind = "a whole number" if number.whole else "a number"
        raise InputError(f"{where}: expected {kind} from {number.low:g} to {number.high:g}, got {value!r}")

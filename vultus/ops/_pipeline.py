"""Parameters of one draw, and the pipeline that draws and applies them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError, UnknownMethod
from vultus.ops import _blur, _cover, _groups, _resample, _signal, _studio, _tone
from vultus.ops._groups import OneOf
from vultus.ops._op import SEED_END, Op, Scene, Values, checked_image
from vultus.types import F32, U8, checked, is_number

__all__ = ["OPS", "Degradation", "Params"]

F64 = NDArray[np.float64]

_MODULES = (_blur, _cover, _groups, _resample, _signal, _studio, _tone)
_FOUND = {name: getattr(module, name) for module in _MODULES for name in module.__all__}
OPS: Mapping[str, type[Op]] = MappingProxyType(
    {name: kind for name, kind in sorted(_FOUND.items()) if isinstance(kind, type) and issubclass(kind, Op)}
)
"""Every operation, by name."""


@dataclass(frozen=True, eq=False)
class Params:
    """Every number of one draw. `to_dict` gives plain JSON values, `from_dict` takes them back.

    Attributes:
        shape_hw: size of the pictures that it is for.
        steps: one per operation of the pipeline: its name and its values, or None when it does not happen.
        seed: what a drifting clip drifts by.
        points68: (68, 2) of the face, center coordinates, where an operation needs them, or None.
        yaw_deg: head pose, or None.
    """

    shape_hw: tuple[int, int]
    steps: tuple[tuple[str, Values] | None, ...]
    seed: int = 0
    points68: F32 | None = None
    yaw_deg: float | None = None

    def __post_init__(self) -> None:
        _check_shape(self.shape_hw)
        object.__setattr__(self, "shape_hw", (int(self.shape_hw[0]), int(self.shape_hw[1])))
        if not is_number(self.seed) or not 0 <= self.seed <= SEED_END or int(self.seed) != self.seed:
            raise InputError(f"seed: expected a whole number from 0 to {SEED_END}, got {self.seed!r}")
        if self.points68 is not None:
            object.__setattr__(self, "points68", checked("points68", self.points68, (68, 2)))
        if self.yaw_deg is not None and not (is_number(self.yaw_deg) and abs(self.yaw_deg) <= 180):
            raise InputError(f"yaw_deg: expected a number from -180 to 180 or None, got {self.yaw_deg!r}")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "shape_hw": list(self.shape_hw),
            "steps": [None if step is None else {"op": step[0], "values": _copied(step[1])} for step in self.steps],
            "seed": self.seed,
            "points68": None if self.points68 is None else self.points68.tolist(),
            "yaw_deg": self.yaw_deg,
        }

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Params:
        """Undo `to_dict`.

        Raises:
            UnknownMethod: if an operation or a key is unknown; the message names near ones.
            InputError: if a part is missing or is not what it should be.
        """
        known = [f.name for f in fields(cls)]
        if not isinstance(found, Mapping):
            raise InputError(f"parameters: expected an object with {', '.join(known)}, got {type(found).__name__}")
        for key in found:
            if key not in known:
                raise UnknownMethod(key, known, what="key of parameters")
        if "shape_hw" not in found or not isinstance(found.get("steps"), (list, tuple)):
            raise InputError("parameters: expected shape_hw and a list of steps; write them with to_dict")
        shape = found["shape_hw"]
        if not isinstance(shape, (list, tuple)):
            raise InputError(f"shape_hw: expected [height, width], got {shape!r}")
        steps = tuple(_step(step) for step in found["steps"])
        rest = {key: found[key] for key in ("seed", "points68", "yaw_deg") if key in found}
        return cls(tuple(shape), steps, **rest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Params) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash(str(self.to_dict()))


class Degradation:
    """Operations in order, each with the probability that it happens.

    Args:
        ops: (operation, probability) pairs.

    Raises:
        InputError: if a pair is none or a probability lies outside 0..1.
    """

    def __init__(self, ops: Sequence[tuple[Op, float]]) -> None:
        for pair in ops:
            if not isinstance(pair, (tuple, list)) or len(pair) != 2 or not isinstance(pair[0], Op):
                raise InputError(f"ops: expected pairs (operation, probability), got {pair!r}")
            if not is_number(pair[1]) or not 0 <= pair[1] <= 1:
                raise InputError(f"ops: expected a probability from 0 to 1 for {pair[0].name}, got {pair[1]!r}")
        self.ops: tuple[tuple[Op, float], ...] = tuple((op, float(p)) for op, p in ops)

    def __repr__(self) -> str:
        return f"Degradation([{', '.join(f'({op!r}, {p:g})' for op, p in self.ops)}])"

    def draw(
        self,
        rng: np.random.Generator,
        shape_hw: tuple[int, int],
        *,
        points68: ArrayLike | None = None,
        yaw_deg: float | None = None,
    ) -> Params:
        """Draw every number of every operation; the only place that uses `rng`.

        Numbers of operations that do not happen are drawn and dropped, so that a probability can be changed without
        changing anything else.

        Args:
            rng: random numbers.
            shape_hw: size of the pictures, such as `image.shape[:2]`.
            points68: (68, 2) points of the face, for `FaceMask` and `Glasses`.
            yaw_deg: head pose for `FaceMask`.

        Returns:
            The parameters, good for pictures of that size.

        Raises:
            InputError: if the shape or the points are not what they should be.
        """
        _check_shape(shape_hw)
        steps: list[tuple[str, Values] | None] = []
        for one, probability in self.ops:
            happens, values = rng.random() < probability, one.draw(rng)
            steps.append((one.name, values) if happens else None)
        seed = int(rng.integers(SEED_END, endpoint=True))
        points = None if points68 is None else checked("points68", points68, (68, 2))
        return Params(shape_hw, tuple(steps), seed, points, yaw_deg)

    def image(self, x: U8, params: Params) -> U8:
        """The degraded picture: a function of its two arguments.

        Args:
            x: (H, W, 3) uint8 RGB of the size that the parameters are for; left alone.
            params: from `draw` of this pipeline, or `Params.from_dict`.

        Returns:
            (H', W', 3) uint8 of its own; another size only after `Shrink` and `SquareCrop`.

        Raises:
            InputError: if the picture or the parameters do not fit.
            UnknownMethod: if a parameter or a name in it is unknown.
        """
        return self.image_and_covers(x, params)[0]

    def image_and_covers(self, x: U8, params: Params) -> tuple[U8, dict[str, F32]]:
        """The degraded picture, and what was painted over where.

        Args:
            x: as `image`.
            params: as `image`.

        Returns:
            The picture, and by name of the operation (H', W') in 0..1: the mask of `FaceMask`, `Glasses`, `Occluder`,
            `CutOut` and `RandomErase`, the alpha of the face for `StudioToWild`.

        Raises:
            InputError, UnknownMethod: as `image`.
        """
        self._check(checked_image("x", x), params)
        start = x = np.ascontiguousarray(x)
        track = _Track(params)
        covers: dict[str, F32] = {}
        for one, values in self._steps(params):
            now, scene = (x.shape[0], x.shape[1]), track.scene()
            x, cover = one.cover(x, values, scene)
            move = one.matrix(values, now, scene)
            if move is not None:
                covers = {name: _moved(old, move, (x.shape[0], x.shape[1])) for name, old in covers.items()}
                track.add(move)
            if cover is not None:
                name = values["op"] if isinstance(one, OneOf) else one.name
                covers[name] = np.maximum(covers[name], cover) if name in covers else cover
        return (x.copy() if np.shares_memory(x, start) else np.ascontiguousarray(x)), covers

    def points(self, pts: ArrayLike, params: Params) -> F32:
        """Where points of the picture are in the degraded one.

        Args:
            pts: (..., 2) center coordinates.
            params: as `image`.

        Returns:
            Same shape; points that leave the picture lie outside it.

        Raises:
            InputError: if the shape is not (..., 2) or a number is not finite.
        """
        try:
            places = np.array(pts, np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"pts: expected points of shape (..., 2), got something else: {error}") from error
        if places.shape[-1:] != (2,) or not np.isfinite(places).all():
            raise InputError(f"pts: expected finite points of shape (..., 2), got {places.shape}")
        return _carried(self._track(params).matrix, places).astype(np.float32)

    def size(self, params: Params) -> tuple[int, int]:
        """Height and width of the degraded picture."""
        return self._track(params).now_hw

    def video(self, x: U8, params: Params, drift: float = 0.0, *, points68: ArrayLike | None = None) -> U8:
        """A degraded clip: one draw for all frames, fixed or drifting smoothly.

        Without drift this is `image` of every frame, noise and all, except for `VideoCodec`, which sees the whole clip.
        With drift the first frame has the drawn numbers, and each number's departure from doing nothing then wanders
        as an Ornstein-Uhlenbeck process with the relative deviation `drift`, remembered over a dozen frames; noise is
        new in every frame then, as a sensor's is.

        Args:
            x: (T, H, W, 3) uint8.
            params: as `image`.
            drift: relative deviation, 0 to 1.
            points68: (T, 68, 2) points of the face in every frame, instead of those in the parameters.

        Returns:
            (T, H', W', 3) uint8.

        Raises:
            InputError, UnknownMethod: as `image`; and if the drift is out of range.
        """
        if not isinstance(x, np.ndarray) or x.dtype != np.uint8 or x.ndim != 4 or x.shape[3] != 3 or not x.size:
            what = f"{x.dtype} {x.shape}" if isinstance(x, np.ndarray) else type(x).__name__
            raise InputError(f"x: expected uint8 of shape (T, H, W, 3) with frames, got {what}")
        if not is_number(drift) or not 0 <= drift <= 1:
            raise InputError(f"drift: expected a number from 0 to 1, got {drift!r}")
        count = len(x)
        self._check(x[0], params)
        faces = [params.points68] * count if points68 is None else list(checked("points68", points68, (count, 68, 2)))
        tracks = [_Track(replace(params, points68=face)) for face in faces]
        rng = np.random.default_rng(params.seed)
        frames: list[U8] = list(np.ascontiguousarray(x))
        for one, values in self._steps(params):
            every: list[Any] = one.drifting(values, drift, rng, count) if drift else [values] * count
            scenes = [track.scene() for track in tracks]
            moves = [
                one.matrix(each, (frame.shape[0], frame.shape[1]), scene)
                for each, frame, scene in zip(every, frames, scenes, strict=True)
            ]
            frames = one.clip(frames, every, scenes)
            for track, move in zip(tracks, moves, strict=True):
                if move is not None:
                    track.add(move)
        return np.stack(frames)

    def _track(self, params: Params) -> _Track:
        """Where pixels go and how large the result is, without a picture."""
        self._check(None, params)
        track = _Track(params)
        for one, values in self._steps(params):
            scene = track.scene()
            move = one.matrix(values, track.now_hw, scene)
            track.now_hw = one.size(values, track.now_hw, scene)
            if move is not None:
                track.add(move)
        return track

    def _steps(self, params: Params) -> list[tuple[Op, Values]]:
        """The operations that change something, with their values."""
        steps = zip(self.ops, params.steps, strict=True)
        happening = [(one, step[1]) for (one, _), step in steps if step is not None]
        return [(one, values) for one, values in happening if not one.is_identity(values)]

    def _check(self, x: U8 | None, params: Params) -> None:
        if not isinstance(params, Params):
            raise InputError(f"params: expected Params from draw or Params.from_dict, got {type(params).__name__}")
        if x is not None and (x.shape[0], x.shape[1]) != tuple(params.shape_hw):
            raise InputError(
                f"x: expected the size {tuple(params.shape_hw)} that the parameters are for, got {x.shape[:2]}; "
                "draw parameters for this size"
            )
        if len(params.steps) != len(self.ops):
            raise InputError(
                f"params: expected {len(self.ops)} steps, got {len(params.steps)}; they are of another pipeline"
            )
        for (one, _), step in zip(self.ops, params.steps, strict=True):
            if step is not None:
                if step[0] != one.name:
                    raise InputError(f"params: expected a step {one.name}, got {step[0]}; they are of another pipeline")
                one.check(step[1])


class _Track:
    """Where pixels went so far."""

    def __init__(self, params: Params) -> None:
        self.params = params
        self.now_hw = params.shape_hw
        self.matrix: F64 = np.eye(3)

    def add(self, move: F64) -> None:
        self.matrix = move @ self.matrix

    def scene(self) -> Scene:
        face = self.params.points68
        now = None if face is None else _carried(self.matrix, face.astype(np.float64))
        return Scene(self.params.shape_hw, now, self.params.yaw_deg)


def _carried(matrix: F64, points: F64) -> F64:
    if np.array_equal(matrix, np.eye(3)):
        return points
    full = points @ matrix[:, :2].T + matrix[:, 2]
    moved: F64 = full[..., :2] / full[..., 2:]
    return moved


def _moved(cover: F32, matrix: F64, size_hw: tuple[int, int]) -> F32:
    shrink = math.sqrt(abs(float(np.linalg.det(matrix[:2, :2]))))
    if shrink < 0.7:  # average what falls into one pixel
        cover = np.asarray(cv2.GaussianBlur(cover, (0, 0), 0.4 / shrink), np.float32)
    return np.asarray(cv2.warpPerspective(cover, matrix, size_hw[::-1], flags=cv2.INTER_LINEAR), np.float32)


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, (list, tuple)) else value


def _step(found: Any) -> tuple[str, Values] | None:
    if found is None:
        return None
    if not isinstance(found, Mapping) or set(found) != {"op", "values"} or not isinstance(found["values"], Mapping):
        raise InputError(f"steps: expected null or an object with op and values, got {found!r}")
    if found["op"] not in OPS:
        raise UnknownMethod(found["op"], OPS, what="degradation")
    return str(found["op"]), dict(found["values"])


def _check_shape(shape_hw: Any) -> None:
    good = isinstance(shape_hw, (tuple, list)) and len(shape_hw) == 2
    if not good or not all(isinstance(n, (int, np.integer)) and n >= 1 for n in shape_hw):
        raise InputError(f"shape_hw: expected (height, width) of at least 1 x 1, got {shape_hw!r}")

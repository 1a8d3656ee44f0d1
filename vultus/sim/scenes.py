"""Pictures with many faces and with none, with exact boxes, points, poses, masks and occlusion; nobody's face.

    scenes = FaceScenes(n_faces=(1, 40), size_law="wider")
    scene = scenes.draw(np.random.default_rng(0))
    scene.image, scene.boxes, scene.points5, scene.occlusion, scene.faces
    write_wider("made", {"train": (scenes.draw(np.random.default_rng(k)) for k in range(200))})

Styles: crowd, group (small pictures of 2 to 4 people), operating room (masks, caps, seen from above, tinted), things
and animals (no human face, but what a detector may take for one). Simulated data shows a mechanism, not accuracy in the
field. Boxes are xyxy in edge coordinates, points in center coordinates, angles those of `vultus.ops.pose`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError, UnknownMethod
from vultus.sim import _crowd, _cutout, _finish, _lettering, _scenery, _things
from vultus.sim._crowd import SIZE_LAWS, SizeLaw
from vultus.sim._people import Factors, Person
from vultus.sim._scenery import Crop, FaceSource, Placed
from vultus.sim._wider import write_wider
from vultus.sim._world import World
from vultus.types import F32, U8

__all__ = ["SIZE_LAWS", "STYLES", "THINGS", "Crop", "FaceScene", "FaceScenes", "Thing", "noise_stimuli", "write_wider"]

THINGS = (*_things.KINDS, *_lettering.KINDS)
"""What hard negatives may be."""


@dataclass(frozen=True, eq=False)
class Thing:
    """What is no human face.

    Attributes:
        kind: of `THINGS`.
        box: (4,) xyxy; for animals and face-like things, the part that looks like a face.
        points5: (5, 2) of animals and face-like things, else NaN.
        text: what stands on a plate or sign, else empty.
    """

    kind: str
    box: F32
    points5: F32
    text: str = ""


@dataclass(frozen=True, eq=False)
class FaceScene:
    """A picture and all that is true about it; N faces, largest first.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        style: of `STYLES`.
        boxes: (N, 4) hairline to chin, cut at the border of the picture.
        whole_boxes: (N, 4) the same, not cut.
        points5: (N, 5, 2), hidden ones included; NaN where a source of crops does not know them.
        pose_deg: (N, 3) yaw, pitch, roll; NaN likewise.
        hidden: (N,) share of the face that something hides: another person or thing, a mask, dark glasses, the border.
        area_px: (N,) pixels of the face if nothing hid it, inside the picture or not.
        blur_px: (N,) deviation of the blur in pixels.
        wider: (N, 6) int64 columns of WIDER FACE: blur, expression, illumination, invalid, occlusion, pose.
        faces: (H, W) int16: 1 + index of the face that is seen there, 0 for none.
        people: (H, W) int16: 1 + index of the person, with hair and body.
        persons, factors: who and how; None for crops from elsewhere.
        things: what is no face.
    """

    image: U8
    style: str
    boxes: F32
    whole_boxes: F32
    points5: F32
    pose_deg: F32
    hidden: F32
    area_px: F32
    blur_px: F32
    wider: NDArray[np.int64]
    faces: NDArray[np.int16]
    people: NDArray[np.int16]
    persons: tuple[Person | None, ...]
    factors: tuple[Factors | None, ...]
    things: tuple[Thing, ...]

    @property
    def occlusion(self) -> NDArray[np.int64]:
        """(N,) 0 none (under 1 % hidden), 1 partial (to 30 %), 2 heavy."""
        level: NDArray[np.int64] = self.wider[:, 4]
        return level

    @property
    def valid(self) -> NDArray[np.bool_]:
        """(N,) faces that a detector should find: those that WIDER does not mark invalid."""
        return np.asarray(self.wider[:, 3] == 0)

    def mask(self, index: int) -> NDArray[np.bool_]:
        """(H, W) where face `index` is seen."""
        if not 0 <= index < len(self.boxes):
            raise InputError(f"index: expected a face from 0 to {len(self.boxes) - 1}, got {index}")
        return np.asarray(self.faces == index + 1)


@dataclass(frozen=True)
class _Plan:
    """What a style says where the caller does not; fields as those of `FaceScenes`."""

    n_faces: tuple[int, int]
    negatives: tuple[int, int]
    size_hw: tuple[int, int]
    sizes: tuple[float, float] = (8.0, 256.0)
    size_law: str | SizeLaw = "wider"
    layout: str | None = None
    negative_kinds: Sequence[str] = THINGS
    backgrounds: Sequence[str] | Callable[..., U8] = (*_scenery.OUTDOORS, "texture")


_ALONE = _Plan((0, 0), (1, 6), (320, 320), (24.0, 200.0), "log-uniform", "spread")
_STYLES = {
    "crowd": _Plan((1, 40), (0, 8), (480, 640)),
    "group": _Plan((2, 4), (0, 0), (64, 128), (24.0, 32.0), "uniform", "row", THINGS, _scenery.OUTDOORS),
    "operating room": _Plan(
        (2, 6), (0, 3), (480, 640), (20.0, 90.0), "log-uniform", "spread", ("texture", "hand"), ("operating room",)
    ),
    "things": replace(_ALONE, negative_kinds=("pareidolia",)),
    "animals": replace(_ALONE, negative_kinds=_things.ANIMALS),
}
STYLES = tuple(_STYLES)


@dataclass(frozen=True)
class FaceScenes:
    """A kind of scenes; `draw` gives one. What is None is as the style has it.

    Attributes:
        face_source: None for `vultus.sim.faces`, or a callable (rng, height of the face in pixels) -> `Crop`.
        backgrounds: names of `FaceScenes.BACKGROUNDS`, or a callable (rng, (H, W)) -> (H, W, 3) uint8.
        n_faces: fewest and most; a face of which less than a tenth would be seen is left out as long as
            the fewest are there.
        size_law: of `SIZE_LAWS`, or a callable (rng, count) -> heights in pixels.
        sizes: least and greatest height of a face, hairline to chin, for a named law.
        size_hw: of the picture.
        style: of `STYLES`.
        negatives: fewest and most things that are no face.
        negative_kinds: of `THINGS`.
        likeness: of pareidolia, 0 to 1.
        world: how people and their factors are drawn.
    """

    face_source: FaceSource | None = None
    backgrounds: Sequence[str] | Callable[..., U8] | None = None
    n_faces: tuple[int, int] | None = None
    size_law: str | SizeLaw | None = None
    sizes: tuple[float, float] | None = None
    size_hw: tuple[int, int] | None = None
    style: str = "crowd"
    negatives: tuple[int, int] | None = None
    negative_kinds: Sequence[str] | None = None
    likeness: float = 1.0
    world: World = field(default_factory=lambda: World(sex_typical=1.0, occluders=0.08, frontal=0.5))

    BACKGROUNDS = _scenery.BACKGROUNDS

    def __post_init__(self) -> None:
        if self.style not in _STYLES:
            raise UnknownMethod(self.style, STYLES, what="style of scene")
        plan = self._plan
        for name, most in (("n_faces", 500), ("negatives", 200)):
            _span(name, getattr(plan, name), 0, most)
        _span("size_hw", plan.size_hw, 32, 4096, rising=False)
        _span("sizes", plan.sizes, 4, 1024)
        if isinstance(plan.size_law, str) and plan.size_law not in SIZE_LAWS:
            raise UnknownMethod(plan.size_law, SIZE_LAWS, what="size law")
        if plan.negatives[1]:
            _known("negative_kinds", plan.negative_kinds, THINGS, "kind of thing")
        if not callable(plan.backgrounds):
            _known("backgrounds", plan.backgrounds, _scenery.BACKGROUNDS, "background")
        if not 0 <= self.likeness <= 1:
            raise InputError(f"likeness: expected a share from 0 to 1, got {self.likeness}")
        if self.face_source is not None and not callable(self.face_source):
            raise InputError(
                f"face_source: expected None or a callable (rng, height) -> Crop, got {type(self.face_source).__name__}"
            )

    @property
    def _plan(self) -> _Plan:
        """The style with what the caller says in place."""
        given = {f.name: getattr(self, f.name, None) for f in fields(_Plan)}
        return replace(_STYLES[self.style], **{name: value for name, value in given.items() if value is not None})

    def draw(self, rng: np.random.Generator) -> FaceScene:
        """Draw a scene; the same state of `rng` gives the same bytes.

        Raises:
            InputError: if a callable gives something else than it should.
        """
        how = self._plan
        setting = _scenery.Setting.drawn(rng, self.style, how.size_hw, how.layout)
        count = int(rng.integers(how.n_faces[0], how.n_faces[1] + 1))
        others = int(rng.integers(how.negatives[0], how.negatives[1] + 1))
        plan = [(float(size), "") for size in _crowd.sizes_of(how.size_law, rng, count, how.sizes)]
        for size in _crowd.sizes_of("log-uniform", rng, others, how.sizes):
            plan.append((float(size), str(rng.choice(list(how.negative_kinds)))))
        plan.sort(key=lambda item: -item[0])
        canvas = _cutout.Canvas(how.size_hw)
        placed: list[Placed] = []
        things: list[Thing] = []
        left_over = count
        for size, kind in plan:
            if kind:
                things.append(Thing(*_scenery.put_thing(canvas, setting, rng, kind, (size, self.likeness))))
                continue
            left_over -= 1
            may_drop = len(placed) + left_over >= how.n_faces[0]
            found = _scenery.put_face(canvas, setting, rng, size, (self.face_source, self.world, len(placed), may_drop))
            if found is not None:
                placed.append(found)
        behind = _scenery.background(rng, how.backgrounds, setting)
        image = setting.developed(rng, canvas.finish(behind))
        return _scene_of(image, self.style, canvas, placed, tuple(things))


def noise_stimuli(
    rng: np.random.Generator,
    alpha: float,
    count: int = 1,
    size_hw: tuple[int, int] = (256, 256),
    *,
    color: bool = False,
) -> U8:
    """Noise in which no face is, with a power spectrum of 1/f^alpha.

    Args:
        rng: where it comes from.
        alpha: 0 white to 4 smooth.
        count: how many pictures.
        size_hw: height and width in pixels.
        color: three planes of their own instead of gray.

    Returns:
        (count, H, W, 3) uint8.

    Raises:
        InputError: if a number is out of range.
    """
    if not 0 <= alpha <= 8 or count < 1:
        raise InputError(f"alpha, count: expected 0 to 8 and at least 1 picture, got {alpha} and {count}")
    _span("size_hw", size_hw, 8, 4096, rising=False)
    side = max(size_hw)
    out = np.empty((count, *size_hw, 3), np.uint8)
    for k in range(count):
        plane = _things.noise(rng, side, alpha, gray=not color)[: size_hw[0], : size_hw[1]]
        out[k] = _finish.to_bytes(plane if color else np.repeat(plane[..., None], 3, -1))
    return out


def _scene_of(
    image: U8, style: str, canvas: _cutout.Canvas, placed: list[Placed], things: tuple[Thing, ...]
) -> FaceScene:
    """Gather the truth of what was put in."""
    height, width = image.shape[:2]
    count = len(placed)
    whole = np.array([p.box for p in placed], np.float32).reshape(count, 4)
    faces = np.zeros((height, width), np.int16)
    for k, p in enumerate(placed):
        faces[p.seen] = k + 1
    codes = np.array([p.wider for p in placed], np.int64).reshape(count, 6)
    return FaceScene(
        image,
        style,
        np.clip(whole, 0, (width, height, width, height)).astype(np.float32),
        whole,
        np.array([p.points5 for p in placed], np.float32).reshape(count, 5, 2),
        np.array([p.pose_deg for p in placed], np.float32).reshape(count, 3),
        np.array([p.hidden for p in placed], np.float32),
        np.array([p.area_px for p in placed], np.float32),
        np.array([p.blur_px for p in placed], np.float32),
        codes,
        faces,
        np.maximum(canvas.owner, 0),
        tuple(p.person for p in placed),
        tuple(p.factors for p in placed),
        things,
    )


def _span(name: str, value: Any, low: float, high: float, *, rising: bool = True) -> None:
    good = isinstance(value, tuple) and len(value) == 2 and all(isinstance(v, (int, float)) for v in value)
    if not good or not all(low <= v <= high for v in value) or (rising and value[0] > value[1]):
        order = "least first, " if rising else ""
        raise InputError(f"{name}: expected two numbers, {order}{low} to {high}, got {value!r}")


def _known(name: str, values: Any, known: Sequence[str], what: str) -> None:
    if isinstance(values, str) or not len(values):
        raise InputError(f"{name}: expected a sequence of names, got {values!r}")
    for value in values:
        if value not in known:
            raise UnknownMethod(value, known, what=what)

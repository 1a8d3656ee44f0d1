"""Simulated faces with known truth: a procedural head in three dimensions, rendered with every label exact.

No download and nobody's face: a person is drawn from a seed, a picture from a person and factors. Simulated data shows
a mechanism, not accuracy in the field. Axes, orders and the sign of angles are those of `vultus.ops.pose`; l_ and left
mean the viewer's left.

    rng = np.random.default_rng(0)
    person = sample_person(rng)
    sample = render(person, sample_factors(rng, person=person), size=128)
    sample.image, sample.points68, sample.parsing, sample.caption
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError, UnknownMethod
from vultus.ops.morphable import MorphableModel
from vultus.ops.points import five_from_68
from vultus.ops.pose import Camera
from vultus.sim import _draw, _finish, _head, _paint, _points, _scene, _shade, _world
from vultus.sim._captions import caption
from vultus.sim._people import Factors, Mark, Person
from vultus.sim._scene import LABELS
from vultus.sim._shards import build_shards, read_shards
from vultus.sim._world import CHOICES, World, expression, lifespan, people, sample_factors, sample_person
from vultus.types import F32, U8

__all__ = [
    "AUS",
    "CHOICES",
    "LABELS",
    "FaceSample",
    "Factors",
    "Mark",
    "Person",
    "World",
    "build_shards",
    "check",
    "counterfactual",
    "expression",
    "lifespan",
    "morphable",
    "people",
    "person_of",
    "read_shards",
    "render",
    "render_batch",
    "sample_factors",
    "sample_person",
    "swap",
]

MIN_SIDE, MAX_SIDE = 16, 1024
MAKEUP = ("lipstick", "eye shadow", "color")

AUS = ("AU1", "AU2", "AU4", "AU6", "AU12", "AU15", "AU25", "AU26")
"""Action units: inner, outer brow raiser, brow lowerer, cheek raiser, corner puller, depressor, lips part, jaw drop."""

_E = {name: k for k, name in enumerate(_head.EXPRESSIONS)}
_AU_OF = (
    {"brow inner raise": 1, "brow raise": 0.6},
    {"brow raise": 1},
    {"brow lower": 1},
    {"cheek raise": 1},
    {"smile": 1},
    {"mouth frown": 1},
    {"lips part": 1, "jaw open": 0.5},
    {"jaw open": 1},
)
_VALENCE = {
    "smile": 0.9,
    "cheek raise": 0.2,
    "mouth frown": -0.8,
    "brow lower": -0.5,
    "brow inner raise": -0.3,
    "nose wrinkle": -0.3,
}
_AROUSAL = {"jaw open": 0.6, "eyes wide": 0.6, "brow raise": 0.3, "brow lower": 0.4, "smile": 0.2, "mouth frown": -0.3}


@dataclass(frozen=True, eq=False)
class FaceSample:
    """A picture and everything that is true about it. What is not asked for is not computed.

    Attributes:
        image: (S, S, 3) uint8 RGB.
        person, factors: what was rendered.
        size, lod: side in pixels and level of detail.
        box: (4,) face from hairline to chin, xyxy pixels in edge coordinates.
        points68: (68, 2) iBUG order, pixels in center coordinates, hidden ones included.
        points5: (5, 2).
        camera: pinhole camera in pixels of this picture; the head is in centimeters.
    """

    image: U8
    person: Person
    factors: Factors
    size: int
    lod: int
    box: F32
    points68: F32
    points5: F32
    camera: Camera

    @property
    def pose_deg(self) -> F32:
        """(3,) yaw, pitch, roll."""
        return self.factors.pose_deg

    @cached_property
    def _truth(self) -> _draw.Truth:
        scene = _scene.build(self.person, self.factors, self.lod)
        return _draw.truth(scene, self.person, self.factors, self.size, self.lod)

    @property
    def parsing(self) -> U8:
        """(S, S) class of each pixel's center, index into `LABELS`."""
        return self._truth.labels

    @property
    def depth(self) -> F32:
        """(S, S) cm from the camera to what is seen, hair and glasses included; inf on the background."""
        return self._truth.depth

    @property
    def normal(self) -> F32:
        """(S, S, 3) unit normal of what is seen, smooth over the triangles, in camera axes; 0 on the background."""
        return self._truth.normal

    @property
    def uv(self) -> F32:
        """(S, S, 2) place on the head's texture in [0, 1], also below hair; -1 where there is no head."""
        return self._truth.uv

    @cached_property
    def albedo(self) -> U8:
        """(S, S, 3) color of the surfaces without light and sheen; black on the background."""
        scene = _scene.build(self.person, self.factors, self.lod)
        drawn = _draw.draw(scene, self.person, self.factors, self.size, self.lod, lit=False)
        return _finish.to_bytes(_shade.encode(drawn[..., :3]))

    @property
    def sketch(self) -> U8:
        """(S, S) pencil drawing of the picture; `sketches` has the other manners."""
        return self.sketches("pencil")

    def sketches(self, kind: str) -> U8:
        """(S, S) drawing in one of four manners: pencil, ink, edges, photocopy (kept for tests).

        Raises:
            UnknownMethod: if there is no such manner.
        """
        if kind not in _finish.SKETCHES:
            raise UnknownMethod(kind, _finish.SKETCHES, what="sketch")
        photo = self if self.factors.style == "photo" else counterfactual(self, "style", "photo")
        return _finish.sketched(photo.image, kind)

    @property
    def occluded(self) -> NDArray[np.bool_]:
        """(S, S) where hair, beard, glasses or an object hides the head."""
        return self._truth.hidden

    @property
    def params3d(self) -> dict[str, F32]:
        """Shape (40,), albedo (24,), expression (14,), pose (3,) degrees, light (27,)."""
        f, p = self.factors, self.person
        light = (np.asarray(f.light_sh) * f.light_gain).ravel().astype(np.float32)
        return {
            "shape": p.z_shape,
            "albedo": p.z_albedo,
            "expression": f.expression,
            "pose": f.pose_deg,
            "light": light,
        }

    @property
    def au(self) -> F32:
        """(8,) strengths of the action units `AUS`."""
        e = self.factors.expression
        return np.array([min(sum(w * float(e[_E[n]]) for n, w in m.items()), 1.0) for m in _AU_OF], np.float32)

    @property
    def va(self) -> F32:
        """(2,) valence and arousal, a fixed linear map of the expression."""
        e = self.factors.expression
        maps = (_VALENCE, _AROUSAL)
        return np.array([sum(w * float(e[_E[n]]) for n, w in m.items()) for m in maps], np.float32)

    @property
    def caption(self) -> str:
        """A sentence that says what is in the picture, always the same one."""
        return caption(self.person, self.factors, np.random.default_rng(self.factors.background_seed))


def person_of(seed: int, world: World | None = None) -> Person:
    """The person of a seed, such as those of `people(split)`: always the same one."""
    return sample_person(np.random.default_rng(seed), world, seed=seed)


def render(
    person: Person, factors: Factors, size: int = 64, lod: int = 1, rng: np.random.Generator | None = None
) -> FaceSample:
    """Draw a picture.

    Args:
        person: who.
        factors: how.
        size: side in pixels, 16 to 1024.
        lod: level of detail 0, 1 or 2: 675, 1323 or 3869 vertices of the head and textures to match. The head itself,
            its points and its light are the same at all three.
        rng: adds the noise of a sensor; without it a picture depends on its arguments alone.

    Returns:
        A `FaceSample`.

    Raises:
        UnknownMethod: if a factor has a value that does not exist; the message names near ones.
        InputError: if a number is out of range.
    """
    check(person, factors, size, lod)
    scene = _scene.build(person, factors, lod)
    image = _picture(scene, person, factors, size, lod)
    if rng is not None:
        noisy = image.astype(np.float32) + rng.normal(0, 2.0, image.shape).astype(np.float32)
        image = np.clip(noisy + 0.5, 0, 255).astype(np.uint8)
    camera = Camera(scene.camera.focal * size, scene.camera.cx * size - 0.5, scene.camera.cy * size - 0.5)
    all68, _ = _points.points68(scene, lod, camera)
    box = _points.box_of(scene, lod, camera)
    return FaceSample(image, person, factors, size, lod, box, all68, five_from_68(all68[None])[0], camera)


def _picture(scene: _scene.Scene, person: Person, factors: Factors, size: int, lod: int) -> U8:
    """(S, S, 3): the drawing at twice its size, averaged, over its background, in its style."""
    drawn = _draw.draw(scene, person, factors, 2 * size, lod)
    small = np.asarray(cv2.resize(drawn, (size, size), interpolation=cv2.INTER_AREA), np.float32)
    behind = _finish.background(factors.background, factors.background_seed, size)
    rest = (1 - small[..., 3]) * np.float32(0.4 + 0.6 * min(factors.light_gain, 1.3))
    whole = small[..., :3] + behind * np.asarray(cv2.merge([rest, rest, rest]), np.float32)
    image = _finish.to_bytes(_shade.develop(whole))
    if factors.style == "sketch":
        return np.repeat(_finish.sketched(image)[..., None], 3, axis=2)
    return _finish.painted(image) if factors.style == "painting" else image


def render_batch(
    persons: Sequence[Person],
    factors: Sequence[Factors],
    size: int = 64,
    lod: int = 1,
    rng: np.random.Generator | None = None,
) -> dict[str, NDArray[Any]]:
    """Draw pictures, as arrays.

    Args:
        persons: N people.
        factors: N factors.
        size: side in pixels.
        lod: level of detail.
        rng: as in `render`.

    Returns:
        image (N, S, S, 3) uint8, box (N, 4), points5 (N, 5, 2), points68 (N, 68, 2), pose_deg (N, 3), seed (N,) int64,
        shape (N, 40), albedo (N, 24), expression (N, 14), light (N, 27), au (N, 8), va (N, 2) float32.

    Raises:
        InputError: if the two sequences differ in length or are empty, and as `render`.
    """
    if len(persons) != len(factors) or not len(persons):
        raise InputError(
            f"persons, factors: expected two sequences of one length, got {len(persons)} and {len(factors)}"
        )
    samples = [render(p, f, size, lod, rng) for p, f in zip(persons, factors, strict=True)]
    out: dict[str, NDArray[Any]] = {
        name: np.stack([getattr(s, name) for s in samples])
        for name in ("image", "box", "points5", "points68", "pose_deg", "au", "va")
    }
    params = [s.params3d for s in samples]
    out |= {name: np.stack([p[name] for p in params]) for name in ("shape", "albedo", "expression", "light")}
    out["seed"] = np.array([p.seed for p in persons], np.int64)
    return out


def counterfactual(sample: FaceSample, factor: str, value: Any) -> FaceSample:
    """The same picture with one factor changed; every other parameter is the same object.

    Args:
        sample: a picture.
        factor: a field of `Factors`, or `light`.
        value: its new value: as the field holds it, or one of `CHOICES[factor]`.

    Returns:
        A new sample.

    Raises:
        UnknownMethod: if factor or value is unknown; the message names near ones.
        InputError: if the value has another shape or range.
    """
    fields = (*Factors.__dataclass_fields__, "light")
    if factor not in fields:
        raise UnknownMethod(factor, fields, what="factor")
    if factor == "light":
        changed = _world.with_light(sample.factors, value)
    else:
        if factor == "expression" and isinstance(value, str):
            value = expression(value)
        held = getattr(sample.factors, factor)
        if isinstance(held, np.ndarray):
            value = _array(factor, value, held.shape)
        changed = replace(sample.factors, **{factor: value})
    return render(sample.person, changed, sample.size, sample.lod)


def swap(source: FaceSample, target: FaceSample, *, tone: str = "target") -> FaceSample:
    """The face of one picture in the place of that of another: the true result of an ideal face swap.

    Head shape, skin coloring, marks, eyes and sex axis come from the source; factors, size and, unless `tone` is
    "source", skin tone from the target.

    Raises:
        UnknownMethod: if `tone` is neither target nor source.
    """
    if tone not in ("target", "source"):
        raise UnknownMethod(tone, ("target", "source"), what="tone")
    giver = source if tone == "source" else target
    person = replace(source.person, tone_ita_deg=giver.person.tone_ita_deg)
    return render(person, target.factors, target.size, target.lod)


def morphable(lod: int = 2) -> MorphableModel:
    """The head as a morphable model, in its own axes, cm: x to the viewer's right, y down, looking along -z.

    Args:
        lod: level of detail, 0 to 2.

    Raises:
        InputError: if there is no such level.
    """
    if lod not in (0, 1, 2):
        raise InputError(f"lod: expected 0, 1 or 2, got {lod!r}")
    rows, columns = _head.lod_grid(lod)
    pick = np.ix_(rows, columns)
    u, v = columns / (_head.COLUMNS - 1), rows / (_head.ROWS - 1)
    uv = np.stack(np.broadcast_arrays(u[None], v[:, None]), -1).reshape(-1, 2).astype(np.float32)
    index, weights = _points.corners(lod, _points.mean_uv68())
    fields = np.moveaxis(_paint.albedo_fields(128), 0, 2)
    places = np.rint(uv * 127).astype(int)
    part = _draw.head_labels()[tuple(np.rint(uv[:, ::-1] * 255).astype(int).T)]
    return MorphableModel(
        _head.template().xyz[pick].reshape(-1, 3),
        _head.shape_basis()[pick].reshape(-1, 3, 40),
        _head.expression_basis()[pick].reshape(-1, 3, 14),
        fields[places[:, 1], places[:, 0]],
        _head.grid_faces(len(rows), len(columns)),
        uv,
        index,
        weights,
        part,
    )


def check(person: Person, factors: Factors, size: int, lod: int) -> None:
    """Refuse what cannot be drawn, in words.

    Raises:
        UnknownMethod, InputError: as `render`.
    """
    if not isinstance(person, Person) or not isinstance(factors, Factors):
        raise InputError(f"expected a Person and Factors, got {type(person).__name__} and {type(factors).__name__}")
    if not isinstance(size, int) or not MIN_SIDE <= size <= MAX_SIDE:
        raise InputError(f"size: expected {MIN_SIDE} to {MAX_SIDE} pixels, got {size!r}")
    if lod not in (0, 1, 2):
        raise InputError(f"lod: expected 0, 1 or 2, got {lod!r}")
    _check_factors(factors)
    if person.iris not in _world.IRISES:
        raise UnknownMethod(person.iris, _world.IRISES, what="iris")
    if np.shape(person.z_shape) != (40,) or np.shape(person.z_albedo) != (24,):
        raise InputError(
            f"person: expected codes of 40 and 24, got {np.shape(person.z_shape)} and {np.shape(person.z_albedo)}"
        )


def _check_factors(factors: Factors) -> None:
    for name in ("hair_style", "hair_color", "glasses", "hat", "beard", "occluder", "background", "style"):
        if getattr(factors, name) not in CHOICES[name]:
            raise UnknownMethod(getattr(factors, name), CHOICES[name], what=name)
    for name, shape in (
        ("expression", (14,)),
        ("gaze_deg", (2,)),
        ("pose_deg", (3,)),
        ("light_sh", (9, 3)),
        ("shirt", (3,)),
    ):
        _array(name, getattr(factors, name), shape)
    if not 18 <= factors.age <= 90:
        raise InputError(f"age: expected 18 to 90 years, got {factors.age}")
    if not 0 < factors.light_gain <= 8:
        raise InputError(f"light_gain: expected above 0 and at most 8, got {factors.light_gain}")
    for name in factors.makeup:
        if name not in MAKEUP:
            raise UnknownMethod(name, MAKEUP, what="makeup")
    distance, zoom = _array("camera", factors.camera, (4,))[:2].tolist()
    if not 25 <= distance <= 1000 or not 0.1 <= zoom <= 10:
        raise InputError(f"camera: expected 25 to 1000 cm and a zoom of 0.1 to 10, got {distance} and {zoom}")


def _array(name: str, value: Any, shape: tuple[int, ...]) -> F32:
    try:
        array = np.asarray(value, np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: expected numbers of shape {shape}, got {value!r}") from error
    if array.shape != shape or not np.isfinite(array).all():
        raise InputError(f"{name}: expected finite numbers of shape {shape}, got shape {array.shape}")
    return array

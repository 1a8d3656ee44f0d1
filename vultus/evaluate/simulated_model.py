"""A text-to-image model that is simulated: it reads a prompt and draws a simulated face, with flaws on purpose.

A real model disobeys: it turns the head too far, draws another age than asked for, forgets whom its reference showed,
and gives different names one favorite face. `Flaws` says how often, so that checks have something to find and their
effect can be measured. The truth about every picture is kept; `Truth` answers the questions of the checks from it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from vultus.errors import InputError
from vultus.ops.vectors import unit
from vultus.sim import faces
from vultus.types import F32, U8, CropSpec, Detections, Embedded

__all__ = ["Flaws", "SimBackend", "Truth", "Words"]

TONES = (-45.0, 60.0)
AGES = (18.0, 85.0)
APART = 1_000_000  # numbers of people from here on belong to no split of `vultus.sim.faces`


@dataclass(frozen=True)
class Flaws:
    """How often a simulated model does not do what it was asked for.

    Attributes:
        no_face: share of pictures without a face.
        pose_deg: standard deviation of the yaw around the wanted one.
        attribute: share of pictures in which an attribute is another one than asked for.
        hard: (slot, value) -> factor on `attribute`, for values that the model draws badly.
        drift: share of pictures with a reference that show somebody else.
        drift_by: how far they drift, 0 for not at all, 1 for another person.
        slack: how far every picture with a reference drifts.
        favorite: share of people who get one of a few favorite faces.
    """

    no_face: float = 0.03
    pose_deg: float = 7.0
    attribute: float = 0.06
    hard: Mapping[tuple[str, str], float] = field(default_factory=dict)
    drift: float = 0.25
    drift_by: float = 0.85
    slack: float = 0.1
    favorite: float = 0.05


class Words:
    """Finds the values that a prompt asks for: slot -> value -> words, as a vocabulary holds them."""

    def __init__(self, slots: Mapping[str, Mapping[str, str]]) -> None:
        self.slots = {slot: dict(values) for slot, values in slots.items()}

    def parse(self, prompt: str) -> dict[str, str]:
        """Slot -> the value whose words stand in the prompt; the longest where several do.

        Raises:
            InputError: if the prompt says nothing about a slot.
        """
        text, found = f" {prompt.replace(',', ' , ')} ", {}
        for slot, values in self.slots.items():
            told = [value for value, words in values.items() if f" {words} " in text]
            if not told:
                raise InputError(f"prompt: expected words for {slot} ({', '.join(values.values())}), got {prompt!r}")
            found[slot] = max(told, key=lambda value: len(values[value]))
        return found


@dataclass(frozen=True)
class _Fact:
    """What is true about a picture."""

    seen: bool
    box: F32
    points: F32
    pose_deg: F32
    values: Mapping[str, str]
    code: F32


class SimBackend:
    """Draws what a prompt asks for, by `vultus.sim.faces`; see `vultus.generate.synthesize.sig.T2IBackend`.

    The group sets a population, by which head shapes differ, and a band of skin tones; both bands and populations are
    made up. Gender, age, eyes and hair are drawn as asked for; name and features decide who it is.

    Args:
        words: slots group, gender, age and pose with their words, and the features eyes, hair and mark.
        yaw_deg: of each pose.
        size: side of the pictures in pixels.
        lod: level of detail.
        flaws: how it disobeys; None is the default.
        population_shift: deviations by which groups differ in head shape.
    """

    method = "sim.faces"
    license = "simulated, no rights of others"

    def __init__(
        self,
        words: Words,
        yaw_deg: Mapping[str, float],
        *,
        size: int = 64,
        lod: int = 0,
        flaws: Flaws | None = None,
        population_shift: float = 0.6,
    ) -> None:
        self.words, self.size, self.lod, self.flaws = words, size, lod, flaws or Flaws()
        self._yaw, self._shift = dict(yaw_deg), population_shift
        self._facts: dict[str, _Fact] = {}

    @property
    def weights(self) -> str:
        """Nothing is learned."""
        return ""

    def generate(self, prompt: str, negative: str, *, seed: int, pose: str, reference: U8 | None) -> U8:
        """(size, size, 3) picture of who the prompt describes, or of whom the reference shows, more or less."""
        rng = np.random.default_rng(seed)
        wanted = self.words.parse(prompt)
        values = {slot: self._obeyed(slot, wanted[slot], rng) for slot in ("group", "gender", "age")}
        person = self._person(prompt, values)
        if reference is not None:
            person = self._drifted(person, self.fact(reference).code, rng)
        yaw = self._yaw[pose] + rng.normal(0, self.flaws.pose_deg)
        factors = self._factors(values, prompt, (yaw, person.seed), rng)
        seen = rng.random() >= self.flaws.no_face
        if not seen:
            distance, zoom, _, dy = factors.camera
            factors = replace(factors, camera=(distance, zoom, 3.0, dy))  # beside the picture
        sample = faces.render(person, factors, self.size, self.lod, rng)
        self._facts[_key(sample.image)] = _Fact(
            seen,
            sample.box,
            sample.points5,
            np.asarray(factors.pose_deg, np.float32),
            values,
            np.concatenate([person.z_shape, person.z_albedo]).astype(np.float32),
        )
        return sample.image

    def fact(self, image: U8) -> _Fact:
        """The truth about a picture that this backend drew.

        Raises:
            InputError: if it did not draw it.
        """
        found = self._facts.get(_key(image))
        if found is None:
            raise InputError("image: expected a picture that this backend drew, as it drew it; got another one")
        return found

    def _obeyed(self, slot: str, value: str, rng: np.random.Generator) -> str:
        rate = min(1.0, self.flaws.attribute * self.flaws.hard.get((slot, value), 1.0))
        others = [v for v in self.words.slots[slot] if v != value]
        disobeys, other = rng.random() < rate, rng.integers(max(len(others), 1))
        return others[other] if others and disobeys else value

    def _person(self, prompt: str, values: Mapping[str, str]) -> faces.Person:
        """Who it is: the same for the same name and features, whatever the pose."""
        who = hashlib.sha256(prompt.split(", ")[0].encode() + _features(prompt).encode()).digest()
        number = APART + (int.from_bytes(who[:4], "big") >> 2)
        rng = np.random.default_rng(number)
        if rng.random() < self.flaws.favorite:
            number = APART + int(rng.integers(5))
        groups = list(self.words.slots["group"])
        place = groups.index(values["group"])
        low, high = TONES
        band = (high - low) / len(groups)
        world = faces.World(
            groups=tuple(float(g == place) for g in range(len(groups))),
            population_shift=self._shift,
            tone_ita_deg=(high - band * (place + 1), high - band * place),
        )
        drawn = faces.sample_person(np.random.default_rng(number), world, seed=number)
        sex = abs(drawn.sex_axis) * (1 if values["gender"] == list(self.words.slots["gender"])[-1] else -1)
        iris = next(
            (i for i in ("brown", "dark", "blue", "green", "gray", "hazel") if f"{i} eyes" in prompt), drawn.iris
        )
        return replace(drawn, sex_axis=sex, iris=iris, marks=_marks(prompt))

    def _drifted(self, person: faces.Person, code: F32, rng: np.random.Generator) -> faces.Person:
        """Whom the reference shows, or somebody between that person and a stranger."""
        by = self.flaws.drift_by if rng.random() < self.flaws.drift else self.flaws.slack
        stranger = rng.standard_normal(len(code)).astype(np.float32)
        z = np.clip(np.sqrt(1 - by * by) * code + by * stranger, -2.5, 2.5).astype(np.float32)
        n = len(person.z_shape)
        return replace(person, z_shape=z[:n], z_albedo=z[n:])

    def _factors(
        self, values: Mapping[str, str], prompt: str, of: tuple[float, int], rng: np.random.Generator
    ) -> faces.Factors:
        yaw, number = of
        ages = list(self.words.slots["age"])
        low, high = AGES
        width = (high - low) / len(ages)
        start = low + width * ages.index(values["age"])
        styles, colors = faces.CHOICES["hair_style"], faces.CHOICES["hair_color"]
        style = next((s for s in styles if s in prompt), "short")
        drawn = faces.sample_factors(rng, faces.World(hats=0, eyewear=0, beards=0))
        return replace(
            drawn,
            expression=faces.expression("neutral"),
            pose_deg=np.array([yaw, rng.normal(0, 3), rng.normal(0, 3)], np.float32),
            hair_style=style,
            hair_color=next((c for c in colors if f"{c} hair" in prompt or f"{c} bob" in prompt), "brown"),
            age=start + width * float(np.random.default_rng(number).uniform(0.1, 0.9)),  # the same in all pictures
            makeup={},
            background="plain gray",
        )


@dataclass(frozen=True)
class Truth:
    """The models of the checks, answered from what the simulator knows: they show what checks do, not how models err.

    It is detector, aligner (the picture is the crop), embedder (the person's true code), pose estimator and attribute
    model in one, for pictures as the backend drew them.
    """

    backend: SimBackend

    space = "sim.codes@000000000000"
    dim = 64

    @property
    def crop(self) -> CropSpec:
        """The whole picture."""
        return CropSpec("box", (self.backend.size, self.backend.size))

    @property
    def schema(self) -> Mapping[str, Sequence[str]]:
        """Group, gender and age."""
        return {slot: tuple(self.backend.words.slots[slot]) for slot in ("group", "gender", "age")}

    def detect(
        self, images: Sequence[U8], *, min_score: float | None = None, max_faces: int | None = None
    ) -> list[Detections]:
        """The true box and points of each picture."""
        found = []
        for fact in map(self.backend.fact, images):
            n = int(fact.seen)
            found.append(Detections(fact.box[None][:n], np.ones(n, np.float32), fact.points[None][:n]))
        return found

    def align(self, image: U8, points: F32, spec: CropSpec) -> tuple[U8, F32]:
        """The picture itself, once per face."""
        return np.repeat(image[None], len(points), axis=0), np.repeat(
            np.eye(2, 3, dtype=np.float32)[None], len(points), 0
        )

    def embed(self, crops: U8) -> Embedded:
        """True codes of shape and coloring, as unit vectors."""
        return Embedded(unit(np.stack([self.backend.fact(crop).code for crop in crops])), self.space)

    def pose_deg(self, image: U8, detections: Detections) -> F32:
        """True yaw, pitch, roll."""
        return np.repeat(self.backend.fact(image).pose_deg[None], len(detections), axis=0)

    def predict(self, crops: U8) -> dict[str, F32]:
        """1 for the true value, 0 for the others."""
        values = [self.backend.fact(crop).values for crop in crops]
        return {
            slot: np.array([[float(v[slot] == name) for name in names] for v in values], np.float32)
            for slot, names in self.schema.items()
        }


def _key(image: U8) -> str:
    return hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()


def _features(prompt: str) -> str:
    """The part of a prompt from "with" to the pose."""
    return prompt.partition(" with ")[2].rpartition(" and ")[0]


def _marks(prompt: str) -> tuple[faces.Mark, ...]:
    """Marks that the prompt names: kind, place on the chart in cm, size."""
    known = {
        "a mole on the left cheek": faces.Mark("mole", -3.2, 4.0, 0.34),
        "a mole on the right cheek": faces.Mark("mole", 3.2, 4.0, 0.34),
        "a scar on the forehead": faces.Mark("scar", 1.6, -4.2, 0.4, 0.6),
        "freckles": faces.Mark("freckles", 0.0, 2.6, 0.15, 0.5),
    }
    return tuple(mark for words, mark in known.items() if words in prompt)

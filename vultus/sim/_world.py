"""The world: how people and pictures are drawn, with a knob for everything an experiment wants to move."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from vultus.errors import InputError, UnknownMethod
from vultus.sim import _finish, _hair, _shade, _wear
from vultus.sim._head import EXPRESSIONS, N_EXPRESSION, N_SHAPE
from vultus.sim._paint import N_ALBEDO
from vultus.sim._people import Factors, Mark, Person
from vultus.types import F32

__all__ = [
    "CELEBRITIES",
    "CHOICES",
    "EXPRESSION_NAMES",
    "FIRST",
    "IRISES",
    "LAST",
    "SPLITS",
    "World",
    "expression",
    "lifespan",
    "named",
    "people",
    "sample_factors",
    "sample_person",
]

CLIP = 2.5  # deviations
IRISES = ("brown", "dark", "blue", "green", "gray", "hazel")
BEARDS = ("none", "stubble", "full")
OCCLUDERS = ("none", "mask", "bar")

_PRESETS: dict[str, dict[str, float]] = {
    "neutral": {},
    "smiling": {"smile": 0.85, "cheek raise": 0.4, "lips part": 0.25},
    "laughing": {"smile": 1.0, "jaw open": 0.45, "lips part": 0.8, "cheek raise": 0.7},
    "angry": {"brow lower": 1.0, "lips press": 0.6, "nose wrinkle": 0.5},
    "sad": {"brow inner raise": 1.0, "mouth frown": 0.9},
    "surprised": {"brow raise": 1.0, "jaw open": 0.7, "eyes wide": 0.9},
    "winking": {"blink left": 1.0, "smile": 0.5, "cheek raise": 0.2},
}
EXPRESSION_NAMES = tuple(_PRESETS)

CHOICES: dict[str, tuple[str, ...]] = {
    "expression": EXPRESSION_NAMES,
    "hair_style": tuple(_hair.STYLES),
    "hair_color": _hair.COLORS,
    "glasses": _wear.GLASSES,
    "hat": _wear.HATS,
    "beard": BEARDS,
    "occluder": OCCLUDERS,
    "background": _finish.BACKGROUNDS,
    "style": _finish.STYLES,
    "light": _shade.LIGHTS,
}
"""Named values of each factor that has names; `light` is a way to set `light_sh`."""

SPLITS: dict[str, range] = {
    "base": range(2_000),
    "surrogate": range(2_000, 2_600),
    "validation": range(2_600, 2_800),
    "test": range(2_800, 3_000),
    "judge": range(3_000, 4_500),
    "fairness": range(4_500, 5_700),
    "family": range(5_700, 5_820),
}
CELEBRITIES = range(200)
FAMILY_SIZE = 4

FIRST = [
    a + b
    for a in ("Al", "Ber", "Cor", "Dan", "El", "Fer", "Gal", "Hel", "Ir", "Jor", "Kal", "Lu")
    for b in ("ava", "bo", "dian", "eth", "fin", "gara", "ino", "mir", "osha", "vik")
]
LAST = [
    a + b
    for a in ("Ash", "Bran", "Cald", "Dorn", "Est", "Falk", "Grim", "Hol", "Ivor", "Kest", "Lorn", "Mar")
    for b in ("abe", "brek", "dale", "ero", "field", "gard", "hurst", "mont", "oway", "wick")
]


@dataclass(frozen=True)
class World:
    """Knobs; the defaults are a balanced world in which nothing depends on anything.

    Attributes:
        groups: share of each population group; one number is one group.
        group_within: per group, factor on the spread of expression, pose and light within a person.
        group_spread: per group, factor on the spread of the codes between people.
        population_shift: deviations by which groups differ in the codes, 0 for independent of them.
        tone_ita_deg: lowest and highest skin tone.
        male_share: share of people drawn from the male side of the sex axis.
        yaw_deg, pitch_deg, roll_deg: most that a head turns.
        confound: probability that light and glasses follow the group instead of chance.
        favorite: probability that a picture shows the person's own hair color and favorite background.
        expression_of_identity: how much the log odds of smiles and laughter rise with the first shape number.
        family_texture: correlation of skin coloring within a family.
        frailty_texture: how strongly frailty reddens and mottles the skin.
        duplicates: share of a person's pictures that repeat another one exactly.
        wrong: share of a person's pictures that show somebody else.
        label_noise: share of pictures whose label is another person.
        sex_typical: probability that hair style, beard and make-up follow the sex axis; 0 keeps every attribute
            independent of the person.
        hats, eyewear, beards, occluders: probabilities.
        styles: probabilities of photo, sketch, painting.
        frontal: share of pictures that are nearly frontal; the others turn evenly up to `yaw_deg`.
    """

    groups: tuple[float, ...] = (1.0,)
    group_within: tuple[float, ...] = (1.0,)
    group_spread: tuple[float, ...] = (1.0,)
    population_shift: float = 0.0
    tone_ita_deg: tuple[float, float] = (-45.0, 60.0)
    male_share: float = 0.5
    yaw_deg: float = 60.0
    pitch_deg: float = 20.0
    roll_deg: float = 15.0
    confound: float = 0.0
    favorite: float = 0.0
    expression_of_identity: float = 0.0
    family_texture: float = 0.0
    frailty_texture: float = 0.0
    duplicates: float = 0.0
    wrong: float = 0.0
    label_noise: float = 0.0
    sex_typical: float = 0.0
    hats: float = 0.12
    eyewear: float = 0.25
    beards: float = 0.5
    occluders: float = 0.0
    styles: tuple[float, float, float] = (1.0, 0.0, 0.0)
    frontal: float = 0.4

    def __post_init__(self) -> None:
        k = len(self.groups)
        if k < 1 or min(self.groups) < 0 or sum(self.groups) <= 0:
            raise InputError(f"groups: expected at least one share, none negative, got {self.groups}")
        for name in ("group_within", "group_spread"):
            values = getattr(self, name)
            if len(values) not in (1, k) or min(values) < 0:
                raise InputError(f"{name}: expected 1 or {k} factors from 0, got {values}")
        for name in _RATES:
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name}: expected a share from 0 to 1, got {getattr(self, name)}")
        for name in ("yaw_deg", "pitch_deg", "roll_deg"):
            if not 0 <= getattr(self, name) <= 90:
                raise InputError(f"{name}: expected 0 to 90 degrees, got {getattr(self, name)}")
        tone = self.tone_ita_deg
        if len(tone) != 2 or not -90 <= tone[0] <= tone[1] <= 90:
            raise InputError(f"tone_ita_deg: expected lowest and highest, -90 to 90 degrees, got {tone}")
        if len(self.styles) != 3 or min(self.styles) < 0 or sum(self.styles) <= 0:
            raise InputError(f"styles: expected three shares (photo, sketch, painting), got {self.styles}")


_RATES = (
    "male_share",
    "confound",
    "favorite",
    "family_texture",
    "duplicates",
    "wrong",
    "label_noise",
    "sex_typical",
    "hats",
    "eyewear",
    "beards",
    "occluders",
    "frontal",
)


def people(split: str) -> range:
    """Seeds of the people of a split; no two splits share one.

    Raises:
        UnknownMethod: if there is no such split; the message names near ones.
    """
    if split not in SPLITS:
        raise UnknownMethod(split, SPLITS, what="split")
    return SPLITS[split]


def _normal(rng: np.random.Generator, count: int) -> F32:
    return np.clip(rng.standard_normal(count), -CLIP, CLIP).astype(np.float32)


def sample_person(rng: np.random.Generator, world: World | None = None, *, seed: int | None = None) -> Person:
    """Draw a person.

    Args:
        rng: where everything comes from.
        world: knobs.
        seed: recorded as the person's own; drawn from `rng` when not given.

    Returns:
        A `Person`. Tone, sex axis and group are drawn apart from the codes.
    """
    world = world or World()
    number = int(rng.integers(1 << 31)) if seed is None else int(seed)
    z_shape, z_albedo = _normal(rng, N_SHAPE), _normal(rng, N_ALBEDO)
    tone = float(rng.uniform(*world.tone_ita_deg))
    male = bool(rng.random() < world.male_share)
    sex = float(np.clip((1 if male else -1) * abs(rng.normal(0.65, 0.25)), -1, 1))
    iris = str(rng.choice(IRISES, p=[0.32, 0.22, 0.16, 0.1, 0.08, 0.12]))
    own_hair = str(rng.choice(_hair.COLORS[:5])) if rng.random() < 0.5 else None
    marks = _marks(rng)
    frailty = float(rng.normal(0, 0.5))
    group = int(rng.choice(len(world.groups), p=np.array(world.groups) / sum(world.groups)))
    spread = world.group_spread[group % len(world.group_spread)]
    z_shape, z_albedo = z_shape * np.float32(spread), z_albedo * np.float32(spread)
    if world.population_shift:
        toward = np.random.default_rng(group + 7).standard_normal(N_SHAPE)
        z_shape = z_shape + np.float32(world.population_shift) * (toward / np.linalg.norm(toward) * 2).astype(
            np.float32
        )
    family = None
    if number in SPLITS["family"]:
        family = (number - SPLITS["family"].start) // FAMILY_SIZE
        if world.family_texture:
            shared = _normal(np.random.default_rng(90_000 + family), N_ALBEDO)
            r = world.family_texture
            z_albedo = (np.sqrt(r) * shared + np.sqrt(1 - r) * z_albedo).astype(np.float32)
    if world.frailty_texture:
        z_albedo = z_albedo.copy()
        z_albedo[[0, 1, 4]] += np.float32(world.frailty_texture * frailty)
    population = np.eye(len(world.groups), dtype=np.float32)[group] if len(world.groups) > 1 else None
    return Person(
        number,
        np.clip(z_shape, -CLIP, CLIP),
        np.clip(z_albedo, -CLIP, CLIP),
        marks,
        iris,
        tone,
        sex,
        population,
        family,
        frailty,
        own_hair,
        name_of(number),
    )


def name_of(seed: int) -> str:
    """The fictitious name of a person."""
    mixed = (seed * 7919 + 104_729) % (len(FIRST) * len(LAST))
    return f"{FIRST[mixed % len(FIRST)]} {LAST[mixed // len(FIRST)]}"


def _marks(rng: np.random.Generator) -> tuple[Mark, ...]:
    found = []
    for _ in range(int(rng.choice(4, p=[0.35, 0.35, 0.2, 0.1]))):
        side = float(rng.choice((-1, 1)))
        kind = str(rng.choice(("mole", "mole", "scar")))
        x, y = (
            side * float(rng.uniform(1.9, 4.8)),
            float(rng.choice((rng.uniform(2.0, 5.6), rng.uniform(7.6, 9.6), rng.uniform(-5.2, -3.2)))),
        )
        found.append(Mark(kind, x, y, float(rng.uniform(0.26, 0.42)), float(rng.uniform(-1.4, 1.4))))
    if rng.random() < 0.15:
        found.append(Mark("freckles", 0.0, 2.6, 0.15, float(rng.random())))
    return tuple(found)


def expression(name: str, strength: float = 1.0) -> F32:
    """(14,) strengths of a named expression.

    Raises:
        UnknownMethod: if the name is unknown.
    """
    if name not in _PRESETS:
        raise UnknownMethod(name, _PRESETS, what="expression")
    out = np.zeros(N_EXPRESSION, np.float32)
    for shape, value in _PRESETS[name].items():
        out[EXPRESSIONS.index(shape)] = value * strength
    return out


def named(factors: Factors) -> str:
    """The expression name that comes nearest."""
    best = min(_PRESETS, key=lambda name: float(np.abs(expression(name) - factors.expression).sum()))
    return best


def sample_factors(rng: np.random.Generator, world: World | None = None, person: Person | None = None) -> Factors:
    """Draw everything in a picture that is not the person.

    Args:
        rng: where everything comes from.
        world: knobs.
        person: only for the knobs that tie pictures to people (groups, favorites, sex_typical and so on).

    Returns:
        `Factors`.
    """
    world = world or World()
    group = int(np.argmax(person.population)) if person is not None and person.population is not None else 0
    within = world.group_within[group % len(world.group_within)]
    smile_bias = world.expression_of_identity * float(person.z_shape[0]) if person is not None else 0.0
    names = np.array([0.34, 0.24, 0.12, 0.08, 0.08, 0.08, 0.06])
    names[1:3] *= np.exp(smile_bias)
    shape = expression(
        str(rng.choice(EXPRESSION_NAMES, p=names / names.sum())), float(np.clip(rng.normal(0.9, 0.15), 0.4, 1.1))
    )
    shape = np.clip(shape * within + np.abs(rng.normal(0, 0.03, N_EXPRESSION)), 0, 1).astype(np.float32)
    shape[10:12] = np.where(shape[10:12] < 0.3, 0, shape[10:12])
    yaw = rng.normal(0, 6) if rng.random() < world.frontal else rng.uniform(-1, 1) * world.yaw_deg
    yaw = float(np.clip(yaw, -world.yaw_deg, world.yaw_deg))
    pose = np.array(
        [
            yaw,
            np.clip(rng.normal(0, 0.4), -1, 1) * world.pitch_deg,
            np.clip(rng.normal(0, 0.35), -1, 1) * world.roll_deg,
        ]
    )
    light = str(rng.choice(_shade.LIGHTS))
    glasses = str(rng.choice(("round", "sun"), p=(0.7, 0.3))) if rng.random() < world.eyewear else "none"
    if rng.random() < world.confound:
        light, glasses = _shade.LIGHTS[group % 4], "round" if group % 2 else "none"
    hair_color = str(rng.choice(_hair.COLORS, p=[0.28, 0.28, 0.2, 0.1, 0.1, 0.04]))
    background = str(rng.choice(_finish.BACKGROUNDS))
    if person is not None and rng.random() < world.favorite:
        hair_color = person.hair_color or hair_color
        background = _finish.BACKGROUNDS[person.seed % len(_finish.BACKGROUNDS)]
    hair_style, beard, makeup = _groomed(rng, world, person)
    return Factors(
        shape,
        np.clip(rng.normal(0, 6, 2), -18, 18).astype(np.float32),
        (pose * min(within, 1.5)).astype(np.float32),
        _shade.lamp(light, rng),
        float(np.exp(rng.normal(-0.05, 0.13))),
        hair_style,
        hair_color,
        glasses,
        str(rng.choice(("cap", "beanie"))) if rng.random() < world.hats else "none",
        beard,
        float(np.clip(rng.gamma(4.0, 6.0) + 18, 18, 90)),
        _cloth(rng),
        MappingProxyType(makeup),
        str(rng.choice(OCCLUDERS[1:])) if rng.random() < world.occluders else "none",
        background,
        int(rng.integers(1 << 31)),
        str(rng.choice(_finish.STYLES, p=np.array(world.styles) / sum(world.styles))),
        (
            float(rng.uniform(55, 110)),
            float(rng.uniform(0.92, 1.1)),
            float(rng.normal(0, 0.015)),
            float(rng.normal(0, 0.015)),
        ),
    )


_HAIR_OF = {"male": (2.2, 0.3, 1.0, 0.8, 1.6, 0.25, 0.6, 0.8), "female": (0.5, 2.4, 1.0, 0.08, 0.8, 1.6, 1.2, 0.03)}


def _cloth(rng: np.random.Generator) -> F32:
    """(3,) a color that a shirt may have: seldom a loud one."""
    color = rng.uniform(0.08, 0.92, 3)
    result: F32 = (color.mean() + (color - color.mean()) * rng.uniform(0.1, 0.8)).astype(np.float32)
    return result


def _groomed(rng: np.random.Generator, world: World, person: Person | None) -> tuple[str, str, dict[str, Any]]:
    """Hair style, beard and make-up."""
    share, bearded, painted = np.ones(8), rng.random() < world.beards * 0.6, rng.random() < 0.2
    if person is not None and rng.random() < world.sex_typical:
        male = person.sex_axis > 0
        share = np.array(_HAIR_OF["male" if male else "female"])
        bearded, painted = male and rng.random() < world.beards, not male and rng.random() < 0.4
    hair = str(rng.choice(tuple(_hair.STYLES), p=share / share.sum()))
    beard = str(rng.choice(("stubble", "full"))) if bearded else "none"
    return (
        hair,
        beard,
        {"lipstick": float(rng.uniform(0.3, 1)), "eye shadow": float(rng.uniform(0, 0.8))} if painted else {},
    )


def lifespan(person: Person, rng: np.random.Generator, *, start: float = 40.0, end: float = 90.0) -> tuple[float, bool]:
    """Age at death under a Gompertz hazard with the person's frailty, and whether it was seen before `end`.

    Hazard at age a: 5e-5 exp(0.095 a + frailty); people enter alive at `start`.
    """
    a, b = 5e-5 * float(np.exp(person.frailty)), 0.095
    draw = rng.exponential()
    age = float(np.log(np.exp(b * start) + b * draw / a) / b)
    return (age, True) if age < end else (end, False)


def with_light(factors: Factors, kind: str) -> Factors:
    """The same factors under a named light."""
    if kind not in _shade.LIGHTS:
        raise UnknownMethod(kind, _shade.LIGHTS, what="light")
    return replace(factors, light_sh=_shade.lamp(kind))

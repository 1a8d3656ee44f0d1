"""Albums: the same few people over several occasions, with a sentence for every picture."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError
from vultus.sim import _captions, _crowd, _cutout, _shade, _world
from vultus.sim._people import Factors, Person
from vultus.sim._world import World
from vultus.types import F32, U8

__all__ = ["Album", "Character", "Page", "story"]

Rng = np.random.Generator
_PLACES = {
    "forest": "in the forest",
    "beach": "on the beach",
    "city": "in the city",
    "office": "at the office",
    "studio green": "in a studio",
    "plain beige": "at home",
}
_DOING = {
    "neutral": ("looks calm", "waits"),
    "smiling": ("smiles", "is happy"),
    "laughing": ("laughs", "laughs out loud"),
    "angry": ("is angry", "frowns"),
    "sad": ("is sad", "looks unhappy"),
    "surprised": ("is surprised", "looks astonished"),
    "winking": ("winks", "winks at the camera"),
}


@dataclass(frozen=True, eq=False)
class Character:
    """Somebody in an album: looks are kept over all of it, clothes over an occasion.

    Attributes:
        person: who.
        name: what the captions say.
        looks: hair, beard, glasses, age and make-up; nothing else of it is kept.
        about: words that introduce the character.
    """

    person: Person
    name: str
    looks: Factors
    about: str


@dataclass(frozen=True, eq=False)
class Page:
    """A picture of an album; N people, front to back.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        caption: names those who are there, and what they do.
        occasion: index of the occasion.
        place: name of the background.
        present: (N,) indices of characters.
        boxes: (N, 4). points68: (N, 68, 2). pose_deg: (N, 3).
        people: (H, W) int16: 1 + index of the character that is seen there, 0 for none.
        factors: of each of the N.
    """

    image: U8
    caption: str
    occasion: int
    place: str
    present: tuple[int, ...]
    boxes: F32
    points68: F32
    pose_deg: F32
    people: NDArray[np.int16]
    factors: tuple[Factors, ...]


@dataclass(frozen=True, eq=False)
class Album:
    """A story: characters, and pages in order."""

    characters: tuple[Character, ...]
    pages: tuple[Page, ...]

    @property
    def text(self) -> str:
        """The captions as one text."""
        return " ".join(page.caption for page in self.pages)


def story(
    rng: Rng,
    *,
    n_characters: int = 2,
    n_scenes: int = 6,
    size_hw: tuple[int, int] = (128, 192),
    lod: int = 1,
    world: World | None = None,
) -> Album:
    """Draw an album.

    Args:
        rng: where everything comes from.
        n_characters: 1 to 4.
        n_scenes: pages; every occasion has about two or three. Every character is there at least once from as many
            pages as characters on.
        size_hw: height and width of the pages in pixels, 64 to 1024.
        lod: level of detail.
        world: how people are drawn.

    Returns:
        An `Album`.

    Raises:
        InputError: if a number is out of range.
    """
    for name, value, low, high in (("n_characters", n_characters, 1, 4), ("n_scenes", n_scenes, 1, 100)):
        if not isinstance(value, int) or not low <= value <= high:
            raise InputError(f"{name}: expected {low} to {high}, got {value!r}")
    if len(size_hw) != 2 or not all(isinstance(v, int) and 64 <= v <= 1024 for v in size_hw):
        raise InputError(f"size_hw: expected height and width of 64 to 1024 pixels, got {size_hw!r}")
    if lod not in (0, 1, 2):
        raise InputError(f"lod: expected 0, 1 or 2, got {lod!r}")
    world = world or World(sex_typical=1.0, hats=0.0)
    cast = _cast(rng, n_characters, world)
    pages: list[Page] = []
    known: set[int] = set()
    occasion, left, where, shirts = -1, 0, "", []
    for number in range(n_scenes):
        if left == 0:
            occasion, left = occasion + 1, int(rng.integers(2, 4))
            where = str(rng.choice([p for p in _PLACES if p != where]))
            shirts = [_world._cloth(rng) for _ in cast]
            setting = (
                str(rng.choice(_world.CHOICES["light"])),
                int(rng.integers(1 << 31)),
                float(np.exp(rng.normal(0, 0.1))),
            )
        left -= 1
        present = _present(rng, n_characters, number)
        factors = [_factors(rng, cast[p], world, (where, *setting), shirts[p]) for p in present]
        words = _caption(rng, cast, present, factors, where, known)
        pages.append(_page(rng, [cast[p] for p in present], factors, (words, occasion, where, present), (size_hw, lod)))
    return Album(cast, tuple(pages))


def _cast(rng: Rng, count: int, world: World) -> tuple[Character, ...]:
    """People with different first names."""
    cast: list[Character] = []
    while len(cast) < count:
        person = _world.sample_person(rng, world)
        looks = _world.sample_factors(rng, world, person)
        name = (person.name or "").split()[0]
        if name in {c.name for c in cast}:
            continue
        sex = "man" if person.sex_axis > 0 else "woman"
        age = _captions._age(looks.age)
        hair = "a bald head" if looks.hair_style == "bald" else f"{looks.hair_color} hair"
        more = {"full": " and a beard", "stubble": " and stubble"}.get(looks.beard, "")
        article = "an" if age[0] in "aeiou" else "a"
        glasses = ", wearing glasses" if looks.glasses != "none" else ""
        cast.append(Character(person, name, looks, f"{article} {age} {sex} with {hair}{more}{glasses}"))
    return tuple(cast)


def _present(rng: Rng, count: int, number: int) -> tuple[int, ...]:
    """Who is on a page: on page k character k at least, as long as there is one."""
    some = int(rng.integers(1, min(count, 3) + 1))
    chosen = rng.permutation(count)[:some].tolist()
    if number < count and number not in chosen:
        chosen[0] = number
    return tuple(int(c) for c in chosen)


def _factors(rng: Rng, character: Character, world: World, setting: tuple[str, str, int, float], shirt: F32) -> Factors:
    """What changes from page to page, over the character's looks."""
    where, lamp, seed, gain = setting
    now, looks = _world.sample_factors(rng, world, character.person), character.looks
    return replace(
        now,
        light_sh=_shade.lamp(lamp),
        light_gain=gain,
        hair_style=looks.hair_style,
        hair_color=looks.hair_color,
        glasses=looks.glasses,
        hat="none",
        beard=looks.beard,
        age=looks.age,
        makeup=looks.makeup,
        shirt=shirt,
        occluder="none",
        background=where,
        background_seed=seed,
        style="photo",
        camera=(float(rng.uniform(85, 130)), 0.7, 0.0, -0.12),
    )


def _caption(
    rng: Rng, cast: tuple[Character, ...], present: tuple[int, ...], factors: list[Factors], where: str, known: set[int]
) -> str:
    """A sentence on where they are, introducing whoever is new, and one on what each does."""
    names = []
    for p in present:
        names.append(cast[p].name if p in known else f"{cast[p].name}, {cast[p].about},")
        known.add(p)
    joined = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    verb = "are" if len(names) > 1 else "is"
    said = [f"{joined} {verb} {_PLACES[where]}."]
    for p, f in zip(present, factors, strict=True):
        doing = str(rng.choice(_DOING[_world.named(f)]))
        yaw = float(f.pose_deg[0])
        look = "" if abs(yaw) < 20 else f" and looks to the {'left' if yaw < 0 else 'right'}"
        said.append(f"{cast[p].name} {doing}{look}.")
    return " ".join(said).replace(",,", ",")


def _page(
    rng: Rng,
    characters: list[Character],
    factors: list[Factors],
    told: tuple[str, int, str, tuple[int, ...]],
    how: tuple[tuple[int, int], int],
) -> Page:
    """Put the people side by side, from front to back, over the occasion's background."""
    (height, width), lod = how
    canvas = _cutout.Canvas((height, width))
    count = len(characters)
    slots = rng.permutation(count)
    boxes, points = np.empty((count, 4), np.float32), np.empty((count, 68, 2), np.float32)
    largest = min(height * 1.3, width / (0.40 * count + 0.35))
    for k, (character, f) in enumerate(zip(characters, factors, strict=True)):
        side = max(32, round(largest * (1 - 0.08 * k) * rng.uniform(0.92, 1.0)))
        cut = _cutout.shrunk(_cutout.cutout(character.person, f, 2 * side, lod), side, side)
        middle = width * ((slots[k] + 0.5) / count + rng.uniform(-0.03, 0.03))
        left = round(middle - side / 2)
        top = height - round(side * rng.uniform(0.80, 0.90))
        cut = _crowd.standing(cut, rng, side * 0.7 / 33.0, max(height - top - side, 0), character.person.tone_ita_deg)
        canvas.put(left, top, cut.color, cut.cover, told[3][k] + 1)
        shift = np.array((left, top), np.float32)
        boxes[k], points[k] = cut.box + np.tile(shift, 2), cut.points + shift
    first = factors[0]
    behind = _cutout.behind(first.background, first.background_seed, (height, width), first.light_gain)
    image = _cutout.to_picture(canvas.finish(behind))
    pose = np.array([f.pose_deg for f in factors], np.float32)
    words, occasion, where, present = told
    return Page(image, words, occasion, where, present, boxes, points, pose, canvas.owner, tuple(factors))

"""Sentences about a picture, from its true factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from vultus.errors import InputError
from vultus.sim import _head, _world
from vultus.sim._people import Factors, Person

__all__ = ["PLACEHOLDERS", "caption", "celebrity", "held_out", "part_sentences", "vocabulary"]

PLACEHOLDERS = (*(f"<id{k}>" for k in range(8)), "sks", "img", "*")
KEEP = 0.6

# value -> three ways to say it; the last one is held out of training captions
_SAY: dict[str, tuple[str, str, str]] = {
    "photo": ("photo", "picture", "photograph"),
    "sketch": ("sketch", "drawing", "pencil study"),
    "painting": ("painting", "portrait in oil", "canvas"),
    "young": ("young", "youthful", "juvenile"),
    "adult": ("adult", "grown", "middle-aged"),
    "old": ("old", "elderly", "aged"),
    "man": ("man", "guy", "gentleman"),
    "woman": ("woman", "lady", "female"),
    "person": ("person", "someone", "individual"),
    "neutral": ("neutral", "calm", "serious"),
    "smiling": ("smiling", "happy", "grinning"),
    "laughing": ("laughing", "with an open mouth", "amused"),
    "angry": ("angry", "frowning", "furious"),
    "sad": ("sad", "unhappy", "sorrowful"),
    "surprised": ("surprised", "astonished", "startled"),
    "winking": ("winking", "with one eye closed", "blinking one eye"),
    "frontal": ("facing the camera", "seen from the front", "looking ahead"),
    "three-quarter left": ("turned left", "in three-quarter view to the left", "facing half left"),
    "three-quarter right": ("turned right", "in three-quarter view to the right", "facing half right"),
    "left profile": ("in left profile", "seen from the side facing left", "facing left"),
    "right profile": ("in right profile", "seen from the side facing right", "facing right"),
    "up": ("looking up", "with the chin up", "head raised"),
    "down": ("looking down", "with the chin down", "head lowered"),
    "short": ("short hair", "cropped hair", "a short haircut"),
    "long": ("long hair", "flowing hair", "shoulder-length hair"),
    "curly": ("curly hair", "curls", "frizzy hair"),
    "bald": ("a bald head", "no hair", "a shaved head"),
    "side part": ("parted hair", "a side part", "hair combed over"),
    "bob": ("a bob", "a bob cut", "a pageboy cut"),
    "tied back": ("hair tied back", "pulled-back hair", "a ponytail"),
    "receding": ("receding hair", "a high hairline", "thinning hair"),
    "round": ("wearing glasses", "with round glasses", "in spectacles"),
    "sun": ("wearing sunglasses", "with dark glasses", "in shades"),
    "cap": ("wearing a cap", "with a cap", "in a baseball cap"),
    "beanie": ("wearing a beanie", "with a woolen hat", "in a knit cap"),
    "stubble": ("with stubble", "unshaven", "with a five o'clock shadow"),
    "full": ("with a beard", "bearded", "with a full beard"),
    "forest": ("in a forest", "among trees", "in the woods"),
    "beach": ("on a beach", "by the sea", "at the shore"),
    "city": ("in a city", "among buildings", "downtown"),
    "office": ("in an office", "at work", "in a room with tiles"),
    "studio": ("in a studio", "before a screen", "on a set"),
    "plain": ("before a wall", "on a plain background", "before a backdrop"),
}


def celebrity(person: Person) -> bool:
    """Whether the person's name occurs in captions: the first 200 people of the base split."""
    return person.seed in _world.CELEBRITIES


def held_out() -> tuple[str, ...]:
    """The wording that training captions never use."""
    return tuple(words[2] for words in _SAY.values())


def _pick(value: str, rng: np.random.Generator, unseen: bool) -> str:
    return _SAY[value][2] if unseen else _SAY[value][int(rng.integers(2))]


def _age(years: float) -> str:
    return "young" if years < 32 else "adult" if years < 58 else "old"


def pose_name(factors: Factors) -> str:
    """One of left profile, three-quarter left, frontal, three-quarter right, right profile; left is the viewer's."""
    yaw = float(factors.pose_deg[0])
    side = "left" if yaw < 0 else "right"
    return "frontal" if abs(yaw) < 15 else f"three-quarter {side}" if abs(yaw) < 45 else f"{side} profile"


def caption(
    person: Person,
    factors: Factors,
    rng: np.random.Generator,
    *,
    name: str | None = None,
    whole: bool = False,
    unseen: bool = False,
) -> str:
    """A sentence about a picture.

    Args:
        person: who is in the picture.
        factors: what else is.
        rng: which parts are kept (each with probability 0.6), their order and their wording.
        name: what the person is called, such as one of `PLACEHOLDERS`; celebrities are called by their name.
        whole: keep every part.
        unseen: use the held-out wording.

    Returns:
        Lower case but for names, without a full stop.
    """

    def keep() -> bool:
        return whole or bool(rng.random() < KEEP)

    sex = ("man" if person.sex_axis > 0 else "woman") if keep() else "person"
    words = [_pick(factors.style, rng, unseen), "of a"]
    age = _age(factors.age)
    if keep():
        words.append(_pick(age, rng, unseen))
    words.append(_pick(sex, rng, unseen))
    called = name or (person.name if celebrity(person) else None)
    if called:
        words += ["named", called] if called == person.name else [called]
    parts = [_pick(_world.named(factors), rng, unseen), _pick(pose_name(factors), rng, unseen)]
    pitch = float(factors.pose_deg[1])
    if abs(pitch) > 10:
        parts.append(_pick("up" if pitch > 0 else "down", rng, unseen))
    hair = _pick(factors.hair_style, rng, unseen)
    plain = factors.hair_style == "bald"
    parts.append("with " + (hair if plain else _colored(hair, factors.hair_color)))
    parts += [_pick(v, rng, unseen) for v in (factors.glasses, factors.hat, factors.beard) if v != "none"]
    parts.append(_pick(factors.background.split()[0], rng, unseen))
    kept = [part for part in parts if keep()]
    order = rng.permutation(len(kept))
    head = " ".join(words).replace("of a a", "of an a").replace("of a e", "of an e").replace("of a i", "of an i")
    return ", ".join([head, *(kept[k] for k in order)])


def _colored(hair: str, color: str) -> str:
    article = "a " if hair.startswith("a ") else ""
    return f"{article}{color} {hair.removeprefix('a ')}"


_PARTS: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "nose": (
        ("nose width", "narrow", "wide"),
        ("nose length", "short", "long"),
        ("nose projection", "flat", "prominent"),
    ),
    "eyes": (("eye opening", "narrow", "open"), ("eye spacing", "close", "far apart")),
    "lips": (("lower lip", "thin", "full"), ("mouth width", "small", "wide")),
    "jaw": (("jaw width", "slim", "broad"), ("chin length", "short", "long")),
    "brows": (("brow thickness", "thin", "thick"), ("brow arch", "straight", "arched")),
    "forehead": (("forehead height", "low", "high"),),
}


def part_sentences(person: Person, *, edge: float = 0.6) -> tuple[str, ...]:
    """What is special about each part of a face, binned from its true parameters.

    Args:
        person: whose face.
        edge: deviations from the mean from which on something is said.

    Returns:
        Sentences such as "nose: wide, long" and "eyes: blue, narrow"; parts of which nothing is special are left out.
    """
    if not edge > 0:
        raise InputError(f"edge: expected a positive number of deviations, got {edge}")
    a = _head.activations(person.z_shape)
    found = []
    for part, measures in _PARTS.items():
        said = [low if a[key] < 0 else high for key, low, high in measures if abs(a[key]) > edge]
        if part == "eyes":
            said.insert(0, person.iris)
        if said:
            found.append(f"{part}: {', '.join(said)}")
    return tuple(found)


def vocabulary(extra: Sequence[str] = ()) -> tuple[str, ...]:
    """Every word that a caption or part sentence can hold, sorted, then names, placeholders and `extra`."""
    texts = [w for words in _SAY.values() for w in words] + ["of a an named with", *(_world.CHOICES["hair_color"])]
    texts += [f"{part} {low} {high}" for part, ms in _PARTS.items() for _, low, high in ms] + list(_world.IRISES)
    words = sorted({word for text in texts for word in text.split()})
    return (*words, *_world.FIRST, *_world.LAST, *PLACEHOLDERS, *extra)

"""Collections for claims about cleaning: simulated pages whose people are real faces, so that every name is known.

The plan is `vultus.sim.crawls.pages`: who is on a page and which names stand beside it, some wrong, some missing, some
shared by two people. The faces are crops of YouTube Faces (at tiny: simulated ones) and lie side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus import catalogue
from vultus.claims._context import Context
from vultus.errors import Refused
from vultus.sim import crawls
from vultus.types import F32, U8, Detections, Embedded, Image

__all__ = ["Collected", "Collection", "encoded", "people_of", "planned", "strangers", "tagged_by_size"]

I64 = NDArray[np.int64]

SIZE = 112
_STRANGERS = 6  # one person in so many is a stranger to the collection; every second of them is on no page
_OWNER = 0.3  # whose page it is stands nearer: log of how much larger the face is
_SIZES = 0.3  # deviation of the logarithm of the sizes of faces


def people_of(ctx: Context) -> Any:
    """Pictures of 112 x 112: real people, or at tiny a few simulated ones.

    Raises:
        Refused: if the real ones are not there.
    """
    from vultus.train.miniature import sim_fr, ytf_fr

    if ctx.scale == "tiny":
        return sim_fr(24, 3, 7, SIZE, cache=ctx.cache / "collections-tiny")
    if ctx.data is None or not (ctx.data / "ytf_faces").is_dir():
        raise Refused("YouTube Faces: expected the folder ytf_faces in VULTUS_DATA")
    return ytf_fr(ctx.data, SIZE)


def encoded(ctx: Context, images: U8) -> dict[str, Any]:
    """Unit vectors of crops, and their space: `vectors` and `space`.

    By MobileFaceNet trained on CASIA-WebFace, whose makers removed the people of LFW by name; those of YouTube Faces
    are some of them. That was not checked here. At tiny, by the fixture f_train.
    """
    if ctx.scale == "tiny":
        step = np.linspace(0, SIZE - 1, 64).astype(int)
        made = ctx.fixtures.f_train().embed(np.ascontiguousarray(images[:, step][:, :, step]))
    else:
        made = catalogue.load("mobilefacenet_casia").embed(np.ascontiguousarray(images[:, :, 8:104]))
    return {"vectors": np.asarray(made.vec), "space": str(made.space)}


@dataclass(frozen=True, slots=True)
class _Leaf:
    name: str
    tags: tuple[str, ...]
    portrait_of: str | None

    def read(self) -> Image:
        """Nothing is drawn: vectors and boxes of the page are known by its name."""
        return Image(np.zeros((8, 8, 3), np.uint8), "0" * 64, self.name)


@dataclass(frozen=True, slots=True, eq=False)
class Collection:
    """Pages, what is on them, and the truth.

    Attributes:
        pages: names and tags; a person's first page is the portrait.
        pictures: for every page, indices of the pictures that are its faces.
        sides: for every page, sides of its faces in pixels.
        truth: for every page, key of each face, "" for a stranger.
        people: name by key; two people may share one.
        labels: label of each key in the set that the pictures are of.
    """

    pages: tuple[_Leaf, ...]
    pictures: tuple[I64, ...]
    sides: tuple[NDArray[np.float64], ...]
    truth: tuple[tuple[str, ...], ...]
    people: dict[str, str]
    labels: dict[str, int]


class Collected:
    """An encoder for the pages of a collection, whose pictures have vectors already."""

    def __init__(self, collection: Collection, vectors: F32, space: str) -> None:
        self._at = {page.name: i for i, page in enumerate(collection.pages)}
        self._collection, self._vectors, self._space = collection, vectors, space

    def encode(self, picture: Image) -> Any:
        """Faces of a page by its name."""
        i = self._at[str(picture.source)]
        sides = self._collection.sides[i]
        left = np.concatenate([[0.0], np.cumsum(sides)[:-1]])
        boxes = np.stack([left, np.zeros_like(left), left + sides, sides], axis=1).astype(np.float32)
        vectors = self._vectors[self._collection.pictures[i]]
        return SimpleNamespace(
            detections=Detections(boxes, np.ones(len(boxes), np.float32)), embedded=Embedded(vectors, self._space)
        )


def strangers(labels: I64) -> tuple[I64, I64]:
    """Every sixth person, in two halves: who is on pages without a name, and who is on no page (for a threshold)."""
    everyone = np.unique(labels)
    found = everyone[everyone % _STRANGERS == _STRANGERS - 1]
    return found[::2], found[1::2]


def planned(labels: I64, per_person: int, seed: int, rng: np.random.Generator, wrong: float = 0.2) -> Collection:
    """Pages of all people but every sixth; one half of those are the strangers on some pages.

    Args:
        labels: (N,) who is on each picture, 0 to P - 1.
        per_person: pages of each person.
        seed: of the plan.
        rng: of the choice of pictures and of the sizes of faces.
        wrong: share of the names that are of somebody who is not on the page.
    """
    everyone = np.unique(labels)
    seen, unseen = strangers(labels)
    members = np.setdiff1d(everyone, np.concatenate([seen, unseen]))
    plan = crawls.pages(len(members), per_person, seed, crawls.CrawlWorld(wrong_tags=wrong))
    label_of = {entity.person: int(label) for entity, label in zip(plan.entities, members, strict=True)}
    stocks = {int(label): _Stock(np.flatnonzero(labels == label), rng) for label in everyone}
    pages, pictures, sides, truth = [], [], [], []
    for entry in plan.entries:
        owner, number = entry.path.removesuffix(".png").split("_")
        shown = [
            stocks[label_of[person] if person in label_of else int(rng.choice(seen))].take() for person in entry.people
        ]
        nearer = [_OWNER * (key == owner) for key in entry.entities]
        pages.append(_Leaf(entry.path, entry.tags, owner if number == "000" else None))
        pictures.append(np.array(shown, np.int64))
        sides.append(100 * np.exp(np.array(nearer) + _SIZES * rng.standard_normal(len(shown))))
        truth.append(entry.entities)
    names = {entity.key: entity.name for entity in plan.entities}
    keys = {entity.key: label_of[entity.person] for entity in plan.entities}
    return Collection(tuple(pages), tuple(pictures), tuple(sides), tuple(truth), names, keys)


def tagged_by_size(collection: Collection) -> list[tuple[int, int, str]]:
    """What one does without looking at faces: the first name is that of the largest face, the next of the next.

    A name that two people share is taken for whose page it is, or for the first of them.

    Returns:
        (page, face, key) of each face that got a name.
    """
    keys: dict[str, list[str]] = {}
    for key, name in collection.people.items():
        keys.setdefault(name, []).append(key)
    found = []
    for i, page in enumerate(collection.pages):
        owner = page.name.split("_")[0]
        order: Sequence[int] = np.argsort(-collection.sides[i], kind="stable").tolist()
        for tag, face in zip(page.tags, order, strict=False):
            found.append((i, face, owner if owner in keys[tag] else keys[tag][0]))
    return found


class _Stock:
    """A person's pictures in random order, each once before any comes again."""

    def __init__(self, places: I64, rng: np.random.Generator) -> None:
        self._places, self._rng, self._left = places, rng, [0][:0]

    def take(self) -> int:
        if not self._left:
            self._left = self._rng.permutation(self._places).tolist()
        return self._left.pop()

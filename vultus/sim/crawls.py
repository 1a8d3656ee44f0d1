"""Simulated crawls: what a collection from the web looks like, with every defect planted and known.

    folders   pictures by person, as searches by name give them: mislabeled, strangers, one person in two folders, two
              in one, namesakes, copies
    pages     captioned pages with name tags: group pictures, wrong and missing tags, bystanders
    texts     pictures with sentences: without a face, with too many, too small, of too few pixels, or with a sentence
              that is about nobody

A crawl is a plan; its pictures are drawn when they are read, by `vultus.sim.faces`, and the same plan always draws the
same bytes. Nothing is crawled, and nobody in it exists. Simulated data: shows the mechanism, not field accuracy.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vultus.errors import InputError, StoreError
from vultus.sim import _world, faces
from vultus.sim._captions import caption
from vultus.sim._crawl_draw import MANY, Shot, drawn
from vultus.sim._folder import make_once

__all__ = [
    "PEOPLE_WORDS",
    "PROFESSIONS",
    "Crawl",
    "CrawlWorld",
    "Entity",
    "Entry",
    "Folder",
    "folders",
    "pages",
    "texts",
]

FORMAT = "vultus-sim-crawl-1"
STRANGERS = 10_000_000  # seeds of people who are in no split and no knowledge base
PROFESSIONS = ("actor", "singer", "author", "chemist", "runner", "judge", "painter", "pilot")
PEOPLE_WORDS = ("man", "woman", "person", "guy", "lady", "gentleman", "female", "someone", "individual")
_PLACES = (
    "harbor at dusk",
    "stack of plates",
    "field of rye",
    "row of bicycles",
    "kettle on a stove",
    "hill in the rain",
)


@dataclass(frozen=True)
class CrawlWorld:
    """How dirty it is; every number is a share.

    Attributes:
        flips: of a folder's pictures that show somebody else of the crawl.
        outliers: of a folder's pictures that show a stranger.
        repeated: of the outliers of a folder that show one and the same stranger.
        duplicates, near_duplicates: of a folder's pictures that repeat another one: to the byte, or slightly changed.
        split: of people whose pictures lie in two folders.
        merged: of folders that hold two people.
        namesakes: of people who share their name with another one.
        mixed: of the pictures of somebody with a namesake that show the namesake.
        groups: of pages with two to four people.
        wrong_tags, missing_tags: of tags that name somebody who is not there; that are not there.
        bystanders: of pages with a stranger who has no tag.
        no_face, many_faces, small_face, low_resolution, caption: of pictures with sentences that have this defect.
    """

    flips: float = 0.1
    outliers: float = 0.1
    repeated: float = 0.0
    duplicates: float = 0.05
    near_duplicates: float = 0.05
    split: float = 0.1
    merged: float = 0.1
    namesakes: float = 0.1
    mixed: float = 0.2
    groups: float = 0.3
    wrong_tags: float = 0.2
    missing_tags: float = 0.1
    bystanders: float = 0.1
    no_face: float = 0.1
    many_faces: float = 0.1
    small_face: float = 0.1
    low_resolution: float = 0.1
    caption: float = 0.1

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not 0 <= value <= 1:
                raise InputError(f"{name}: expected a share from 0 to 1, got {value}")
        for names in (("flips", "outliers", "mixed"), ("duplicates", "near_duplicates"), _TEXT_DEFECTS):
            if sum(getattr(self, name) for name in names) > 1:
                raise InputError(f"{', '.join(names)}: expected shares of 1 together at most")


_TEXT_DEFECTS = ("no_face", "many_faces", "small_face", "low_resolution", "caption")


@dataclass(frozen=True)
class Entity:
    """Somebody in the knowledge base; `person` is the seed of `faces.person_of`, which a file of it leaves out."""

    key: str
    name: str
    aliases: tuple[str, ...]
    profession: str
    birth_year: int
    popularity: float
    person: int


@dataclass(frozen=True)
class Entry:
    """One picture of a crawl.

    Attributes:
        path: where it lies below `pictures`.
        people: truth: seeds of the people in it.
        recipe, draw: how it is drawn: a way and the number of its random draws; equal for exact copies.
        label: folder it was found in, or "".
        text: what stands beside it, or "".
        tags: names that stand beside it.
        entities: truth: keys of the people in it, "" for a stranger.
        defects: truth: names of fields of `CrawlWorld`, in the singular where they are of one picture.
        copy_of: truth: index of the entry that it repeats, or -1.
    """

    path: str
    people: tuple[int, ...]
    recipe: str
    draw: int
    label: str = ""
    text: str = ""
    tags: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()
    defects: tuple[str, ...] = ()
    copy_of: int = -1


@dataclass(frozen=True)
class Folder:
    """Truth about a folder: keys of those whose pictures were put there, and "split", "merged" or ""."""

    name: str
    entities: tuple[str, ...]
    defect: str = ""


@dataclass(frozen=True, eq=False)
class Crawl:
    """A plan of pictures with everything that is true about them.

    Attributes:
        kind: folders, pages or texts.
        world: the knobs.
        seed, size, lod: of the drawing; side of a portrait in pixels; level of detail.
        entries: one per picture.
        entities: the knowledge base.
        folders: one per folder.
    """

    kind: str
    world: CrawlWorld
    seed: int
    size: int
    lod: int
    entries: tuple[Entry, ...]
    entities: tuple[Entity, ...] = ()
    folders: tuple[Folder, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.size, int) or not faces.MIN_SIDE <= self.size <= faces.MAX_SIDE:
            raise InputError(f"size: expected {faces.MIN_SIDE} to {faces.MAX_SIDE} pixels, got {self.size!r}")
        if self.lod not in (0, 1, 2):
            raise InputError(f"lod: expected 0, 1 or 2, got {self.lod!r}")

    def __len__(self) -> int:
        return len(self.entries)

    def read(self, index: int) -> Shot:
        """Draw a picture, with the boxes of its faces and the truth of each."""
        entry = self.entries[index]
        return drawn(entry.recipe, entry.people, (self.seed, entry.draw), self.size, self.lod)

    def namesakes(self) -> tuple[tuple[str, ...], ...]:
        """Keys of those who share a name, by name."""
        by_name: dict[str, list[str]] = {}
        for entity in self.entities:
            by_name.setdefault(entity.name, []).append(entity.key)
        return tuple(tuple(keys) for keys in by_name.values() if len(keys) > 1)

    def truth(self) -> dict[str, Any]:
        """The whole plan as JSON values."""
        return {
            "format": FORMAT,
            "kind": self.kind,
            "world": asdict(self.world),
            "seed": self.seed,
            "size": self.size,
            "lod": self.lod,
            "entries": [asdict(entry) for entry in self.entries],
            "entities": [asdict(entity) for entity in self.entities],
            "folders": [asdict(folder) for folder in self.folders],
        }

    def write(self, out: str | os.PathLike[str]) -> Path:
        """Write pictures and tables into `out/<hash of the plan>`; done already, it is only found.

        pictures/ holds PNG files; index.jsonl what a crawler would know (path, label, text, tags); entities.json the
        knowledge base without its pictures' people; truth.json the plan. The folder appears in one step.

        Raises:
            StoreError: the disk is full, or the folder may not be written.
        """
        place = Path(out) / hashlib.sha256(self._plan().encode()).hexdigest()[:16]
        return make_once(place, "truth.json", "the crawl", self._fill)

    def _fill(self, folder: Path) -> None:
        lines = []
        for index, entry in enumerate(self.entries):
            target = folder / "pictures" / entry.path
            target.parent.mkdir(parents=True, exist_ok=True)
            done, data = cv2.imencode(".png", np.ascontiguousarray(self.read(index).image[..., ::-1]))
            if not done:
                raise StoreError(f"{target}: the picture could not be encoded")
            target.write_bytes(data.tobytes())
            lines.append({"path": entry.path, "label": entry.label, "text": entry.text, "tags": list(entry.tags)})
        index_text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / "index.jsonl").write_text(index_text, encoding="utf-8")
        known = [{k: v for k, v in asdict(entity).items() if k != "person"} for entity in self.entities]
        (folder / "entities.json").write_text(json.dumps(known, indent=1), encoding="utf-8")
        (folder / "truth.json").write_text(self._plan(), encoding="utf-8")

    def _plan(self) -> str:
        return json.dumps(self.truth(), sort_keys=True)


def folders(
    people: int,
    per_person: int,
    seed: int,
    world: CrawlWorld | None = None,
    *,
    split: str = "base",
    size: int = 128,
    lod: int = 0,
) -> Crawl:
    """Noisy folders of identities.

    Args:
        people: how many, from the first of the split on.
        per_person: pictures that were put under each person's name.
        seed: of every draw.
        world: knobs.
        split: a key of `faces.people`.
        size: side of a picture in pixels.
        lod: level of detail of the faces.

    Raises:
        InputError: not that many people, or fewer than 2 pictures each.
    """
    world, rng = world or CrawlWorld(), np.random.default_rng((seed, 1))
    entities = _entities(people, split, rng, world)
    if per_person < 2:
        raise InputError(f"per_person: expected at least 2 pictures, got {per_person}")
    places, truth = _places(entities, rng, world)
    entries: list[Entry] = []
    counts: dict[str, int] = {}
    for who, entity in enumerate(entities):
        together = {e.person for name in places[who] for e in entities if e.key in truth[name].entities}
        twin = next((e for e in entities if e.name == entity.name and e.key != entity.key), None)
        repeated = int(STRANGERS + rng.integers(1 << 20))
        own: list[int] = []  # entries of this person's search
        for k in range(per_person):
            name = places[who][k * len(places[who]) // per_person]
            shown, defect = _shown(entity, twin, entities, together, repeated, rng, world)
            entry = Entry(f"{name}/{counts.get(name, 0):04d}.png", (shown,), "group", len(entries), name)
            entry = replace(entry, entities=(_key(shown, entities),), defects=(defect,) if defect else ())
            entry = _copied(entry, [i for i in own if entries[i].copy_of < 0], entries, rng, world)
            own.append(len(entries))
            entries.append(entry)
            counts[name] = counts.get(name, 0) + 1
    return Crawl("folders", world, seed, size, lod, tuple(entries), entities, tuple(truth.values()))


def pages(
    people: int,
    per_person: int,
    seed: int,
    world: CrawlWorld | None = None,
    *,
    split: str = "base",
    size: int = 128,
    lod: int = 0,
) -> Crawl:
    """Captioned pages with name tags; the first page of each person is a portrait with one right tag.

    Args:
        people: how many, at least 5.
        per_person: pages of each.
        seed: of every draw.
        world: knobs.
        split: a key of `faces.people`.
        size: side of a portrait in pixels.
        lod: level of detail of the faces.

    Raises:
        InputError: not that many people, or no page.
    """
    world, rng = world or CrawlWorld(), np.random.default_rng((seed, 2))
    entities = _entities(people, split, rng, world)
    if per_person < 1 or people < 5:
        raise InputError(f"people, per_person: expected at least 5 people and 1 page each, got {people}, {per_person}")
    entries: list[Entry] = []
    for who, entity in enumerate(entities):
        for k in range(per_person):
            shown, tags = [entity], [entity.name]
            defects: set[str] = set()
            if k and rng.random() < world.groups:
                others = rng.choice(people - 1, int(rng.integers(1, 4)), replace=False)
                shown += [entities[int(o) + (int(o) >= who)] for o in others]
                tags = [e.name for e in shown]
            if k:
                tags, defects = _retagged(tags, shown, entities, rng, world)
            seen = [(e.person, e.key) for e in shown]
            if k and rng.random() < world.bystanders:
                seen.append((int(STRANGERS + rng.integers(1 << 20)), ""))
                defects.add("bystander")
            seen = [seen[int(i)] for i in rng.permutation(len(seen))]
            text = f"{', '.join(tags) or 'unnamed'}: {entity.profession}, born {entity.birth_year}"
            entries.append(
                Entry(
                    f"{entity.key}_{k:03d}.png",
                    tuple(person for person, _ in seen),
                    "group",
                    len(entries),
                    text=text,
                    tags=tuple(tags),
                    entities=tuple(key for _, key in seen),
                    defects=tuple(sorted(defects)),
                )
            )
    return Crawl("pages", world, seed, size, lod, tuple(entries), entities)


def texts(
    count: int,
    seed: int,
    world: CrawlWorld | None = None,
    *,
    people: int = 500,
    split: str = "base",
    size: int = 128,
    lod: int = 0,
) -> Crawl:
    """Pictures with sentences, some of which are of no use; a picture has one defect at most.

    Args:
        count: how many.
        seed: of every draw.
        world: knobs.
        people: of how many people, from the first of the split on.
        split: a key of `faces.people`.
        size: side of a portrait in pixels.
        lod: level of detail of the faces.

    Raises:
        InputError: no picture, or not that many people.
    """
    world, rng = world or CrawlWorld(), np.random.default_rng((seed, 3))
    seeds = _seeds(people, split)
    if count < 1:
        raise InputError(f"count: expected at least 1 picture, got {count}")
    shares = [getattr(world, name) for name in _TEXT_DEFECTS]
    recipes = {"no_face": "empty", "many_faces": "crowd", "small_face": "small", "low_resolution": "low"}
    entries = []
    for k in range(count):
        defect = str(rng.choice(("", *_TEXT_DEFECTS), p=[1 - min(sum(shares), 1.0), *shares]))
        number = {"no_face": 0, "many_faces": int(rng.integers(MANY[0], MANY[1] + 1))}.get(defect, 1)
        shown = tuple(int(p) for p in rng.choice(np.array(seeds), number, replace=False))
        words = f"a {rng.choice(_PLACES)}"
        if defect != "caption":
            who = faces.person_of(shown[0] if shown else int(rng.choice(np.array(seeds))))
            words = caption(who, faces.sample_factors(np.random.default_rng((seed, k, 4)), None, who), rng)
        entry = Entry(f"{k // 1000:03d}/{k:06d}.png", shown, recipes.get(defect, "group"), k, text=words)
        entries.append(replace(entry, defects=(defect,) if defect else ()))
    return Crawl("texts", world, seed, size, lod, tuple(entries))


def _seeds(people: int, split: str) -> range:
    seeds = _world.people(split)
    if not isinstance(people, int) or not 2 <= people <= len(seeds):
        raise InputError(f"people: expected 2 to {len(seeds)} of split {split!r}, got {people!r}")
    return seeds[:people]


def _entities(people: int, split: str, rng: np.random.Generator, world: CrawlWorld) -> tuple[Entity, ...]:
    """The knowledge base; namesakes differ in profession and year."""
    seeds = _seeds(people, split)
    made = []
    order, rank = rng.permutation(people), rng.permutation(people)
    pairs = round(world.namesakes * people / 2)
    name_of = {int(order[2 * k + 1]): int(order[2 * k]) for k in range(pairs)}
    for k, seed in enumerate(seeds):
        name = faces.person_of(seeds[name_of.get(k, k)]).name or ""
        first, _, last = name.partition(" ")
        job, year = PROFESSIONS[int(rng.integers(len(PROFESSIONS)))], int(rng.integers(1930, 2005))
        popularity = 1 / (1 + int(rank[k]))
        made.append(Entity(f"m{k:05d}", name, (f"{first[0]}. {last}",), job, year, popularity, seed))
    for k, other in name_of.items():
        if made[k].profession == made[other].profession:
            job = PROFESSIONS[(PROFESSIONS.index(made[k].profession) + 1) % len(PROFESSIONS)]
            made[k] = replace(made[k], profession=job)
    return tuple(made)


def _places(
    entities: Sequence[Entity], rng: np.random.Generator, world: CrawlWorld
) -> tuple[list[list[str]], dict[str, Folder]]:
    """The folders that each person's pictures go to, and the truth about each folder."""
    order = [int(k) for k in rng.permutation(len(entities))]
    pairs = round(world.merged * len(entities) / 2)
    splits = min(round(world.split * len(entities)), len(entities) - 2 * pairs)
    places = [[entity.key] for entity in entities]
    truth = {entity.key: Folder(entity.key, (entity.key,)) for entity in entities}
    for k in range(pairs):
        into, gone = entities[order[2 * k]].key, entities[order[2 * k + 1]].key
        places[order[2 * k + 1]] = [into]
        truth[into] = Folder(into, (into, gone), "merged")
        del truth[gone]
    for who in order[2 * pairs : 2 * pairs + splits]:
        key = entities[who].key
        places[who] = [key, f"{key}b"]
        truth[key], truth[f"{key}b"] = Folder(key, (key,), "split"), Folder(f"{key}b", (key,), "split")
    return places, truth


def _shown(
    entity: Entity,
    twin: Entity | None,
    entities: Sequence[Entity],
    together: set[int],
    repeated: int,
    rng: np.random.Generator,
    world: CrawlWorld,
) -> tuple[int, str]:
    """Who is in a picture that was found under a name, and what is wrong with that."""
    draw = rng.random()
    if draw < world.flips:
        others = [e.person for e in entities if e.person not in together and (twin is None or e.key != twin.key)]
        return (int(rng.choice(others)), "flip") if others else (entity.person, "")
    if draw < world.flips + world.outliers:
        again = rng.random() < world.repeated
        return (repeated if again else int(STRANGERS + rng.integers(1 << 20))), "outlier"
    if twin is not None and twin.person not in together and rng.random() < world.mixed:
        return twin.person, "namesake"
    return entity.person, ""


def _copied(
    entry: Entry, originals: list[int], entries: Sequence[Entry], rng: np.random.Generator, world: CrawlWorld
) -> Entry:
    """The entry, or a copy of one of the originals in its place."""
    draw = rng.random()
    if not originals or draw >= world.duplicates + world.near_duplicates:
        return entry
    source = int(rng.choice(originals))
    was, near = entries[source], draw >= world.duplicates
    kind, recipe = ("near_duplicate", "near") if near else ("duplicate", was.recipe)
    return replace(was, path=entry.path, label=entry.label, recipe=recipe, defects=(*was.defects, kind), copy_of=source)


def _key(person: int, entities: Sequence[Entity]) -> str:
    return next((entity.key for entity in entities if entity.person == person), "")


def _retagged(
    tags: list[str], shown: Sequence[Entity], entities: Sequence[Entity], rng: np.random.Generator, world: CrawlWorld
) -> tuple[list[str], set[str]]:
    """Tags with some of them wrong or gone."""
    absent = sorted({e.name for e in entities} - {e.name for e in shown})
    out: list[str] = []
    defects: set[str] = set()
    for tag in tags:
        draw = rng.random()
        if draw < world.wrong_tags and absent:
            out.append(absent.pop(int(rng.integers(len(absent)))))
            defects.add("wrong_tag")
        elif draw < world.wrong_tags + world.missing_tags:
            defects.add("missing_tag")
        else:
            out.append(tag)
    return out, defects

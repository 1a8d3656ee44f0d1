"""From pages with names beside them to pictures by person: seed by portrait, tag by likeness, repeat.

Yi, Lei, Liao and Li, "Learning Face Representation from Scratch", 2014, arXiv:1411.7923, section 3: a person starts
from the main portrait; a picture with one name and one face is accepted where the face is like the person; on others
every name gets a face of its own by likeness; what was accepted makes the person better known, and all is done again.
People with few pictures are dropped, and so are people of the test set.

Differs: a person's model is the mean of the accepted vectors. A person without a portrait starts from the face that
most of its pictures agree on. Pictures that are there twice are dropped by hash. The look through everything by hand,
which the paper ends with, is the reader's: `actions.csv` is made for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError, VultusError
from vultus.ops.phash import phash
from vultus.ops.vectors import fuse
from vultus.train.clean.dedup import HeldOut, repeats
from vultus.train.clean.pages import FaceEncoder, Page
from vultus.train.clean.report import Action, CleanReport
from vultus.train.clean.seeds import agreed_face, main_face
from vultus.train.clean.tag_assign import tag_faces
from vultus.types import F32

__all__ = ["Collector"]

Progress = Callable[[int], object]
Given = dict[str, tuple[int, float]]  # key of a person -> its face on a page, and how like it is

NO_FACE = "no face was found"
NOT_LIKE = "no face is like the person"
TAKEN = "another name fits the face better"
UNKNOWN = "the person has no picture to start from"


class Collector:
    """Decide for every name on every page whether a face of the page is that person's.

    Vectors of all faces are held in memory, pictures one at a time.

    Args:
        sources: the pages.
        embedder: finds faces and gives them vectors, such as `vultus.Pipeline()`.
        threshold: cosine to a person's model above which a face may be the person's.
        people: name of each person by key, where several people share a name or not all names are wanted; None: every
            name is a person, and is its own key.
        min_pictures: people of whom fewer are kept are dropped.
        rounds: how often all pages are looked at, at most.
        near_bits: pictures of a person whose hashes differ in so few bits are one; None: pictures are not compared.
        held_out: people who must not be there.

    Raises:
        InputError: if a setting is out of range.
    """

    def __init__(
        self,
        sources: Iterable[Page],
        embedder: FaceEncoder,
        *,
        threshold: float,
        people: Mapping[str, str] | None = None,
        min_pictures: int = 15,
        rounds: int = 5,
        near_bits: int | None = 4,
        held_out: HeldOut | None = None,
    ) -> None:
        if not -1 < threshold < 1:
            raise InputError(f"threshold: expected a cosine between -1 and 1, got {threshold}")
        if min_pictures < 1 or rounds < 1:
            raise InputError(f"min_pictures, rounds: expected at least 1 of each, got {min_pictures}, {rounds}")
        if near_bits is not None:
            repeats([], near_bits)  # refuses what is no number of bits
        self.sources, self.embedder, self.threshold, self.people = sources, embedder, threshold, people
        self.min_pictures, self.rounds, self.near_bits, self.held_out = min_pictures, rounds, near_bits, held_out

    def run(self, progress: Progress | None = None) -> CleanReport:
        """Read every page once, then decide.

        Args:
            progress: told how many pages were read.

        Returns:
            What becomes of each name of each page; people that a page does not name are not in it.

        Raises:
            InputError: if two pages share a name, a page is of a person nobody knows, or the embedder gives vectors of
                several spaces.
        """
        sheets = list(self._read(progress))
        known = self.people
        if known is None:
            tags = sorted({tag for sheet in sheets for tag in sheet.tags})
            known = {tag: tag for tag in tags} | {s.portrait_of: s.portrait_of for s in sheets if s.portrait_of}
        state = _Run(sheets, known, self.threshold)
        rounds = state.settle(self.rounds)
        return state.report(rounds, self.min_pictures, self.near_bits, self.held_out)

    def _read(self, progress: Progress | None) -> Iterator[_Sheet]:
        spaces: set[str] = set()
        names: set[str] = set()
        for number, page in enumerate(self.sources, 1):
            if page.name in names:
                raise InputError(f"sources: expected a name of its own for every page, got {page.name!r} twice")
            names.add(page.name)
            tags = tuple(dict.fromkeys(page.tags))
            try:
                picture = page.read()
                found = self.embedder.encode(picture)
            except VultusError as error:
                yield _Sheet(page.name, tags, page.portrait_of, fault=str(error))
            else:
                spaces.add(found.embedded.space)
                if len(spaces) > 1:
                    raise InputError(f"embedder: expected vectors of one space, got {' and '.join(sorted(spaces))}")
                boxes, vectors = np.asarray(found.detections.boxes), np.asarray(found.embedded.vec)
                code = phash(picture.pixels) if self.near_bits is not None else 0
                yield _Sheet(page.name, tags, page.portrait_of, vectors, boxes, code)
            if progress is not None:
                progress(number)


def _nothing() -> F32:
    return np.zeros((0, 0), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class _Sheet:
    """What is kept of a page: names, and a vector and a box of each face."""

    name: str
    tags: tuple[str, ...]
    portrait_of: str | None
    vectors: F32 = field(default_factory=_nothing)
    boxes: F32 = field(default_factory=_nothing)
    code: int = 0
    fault: str = ""


class _Run:
    """The pages, and what is known of each person so far."""

    def __init__(self, sheets: list[_Sheet], people: Mapping[str, str], threshold: float) -> None:
        self.sheets, self.people, self.threshold = sheets, dict(people), threshold
        self.named: dict[str, list[str]] = {}
        for key, name in self.people.items():
            self.named.setdefault(name, []).append(key)
        self.given: list[Given] = [{} for _ in sheets]
        self.portraits: dict[str, tuple[int, int]] = {}
        self._find_portraits()
        self.seeds = {**self._agreed(), **self.portraits}
        self.models: dict[str, F32] = {key: sheets[i].vectors[face] for key, (i, face) in self.seeds.items()}

    def _find_portraits(self) -> None:
        for i, sheet in enumerate(self.sheets):
            key = sheet.portrait_of
            if key is None:
                continue
            if key not in self.people:
                raise InputError(f"portrait_of: expected a key of people, got {key!r} of page {sheet.name!r}")
            face = main_face(sheet.boxes) if len(sheet.boxes) else -1
            if face >= 0 and key not in self.portraits:
                self.portraits[key] = (i, face)

    def _agreed(self) -> dict[str, tuple[int, int]]:
        """Page and face that the pictures of a person agree on, of pages with one name and one face."""
        alone: dict[str, list[int]] = {}
        for i, sheet in enumerate(self.sheets):
            if len(sheet.tags) == 1 and len(sheet.vectors) == 1:
                keys = self.named.get(sheet.tags[0], [])
                if len(keys) == 1 and keys[0] not in self.portraits:
                    alone.setdefault(keys[0], []).append(i)
        found = {}
        for key, pages in alone.items():
            best = agreed_face(np.stack([self.sheets[i].vectors[0] for i in pages]), self.threshold)
            if best >= 0:
                found[key] = (pages[best], 0)
        return found

    def settle(self, rounds: int) -> int:
        """Tag and learn until nothing changes; pages with one name and one face are believed first."""
        self._tag(only_simple=True)
        self._learn()
        for number in range(1, rounds + 1):
            before = [{key: face for key, (face, _) in given.items()} for given in self.given]
            self._tag(only_simple=False)
            self._learn()
            if before == [{key: face for key, (face, _) in given.items()} for given in self.given]:
                return number
        return rounds

    def _tag(self, *, only_simple: bool) -> None:
        for i, sheet in enumerate(self.sheets):
            simple = len(sheet.tags) == 1 and len(sheet.vectors) == 1
            if len(sheet.vectors) and (simple or not only_simple):
                self.given[i] = self._tagged(i, sheet)

    def _tagged(self, i: int, sheet: _Sheet) -> Given:
        """Whose the faces of a page are; of people who share a name, whoever is more like the face."""
        given: Given = {}
        free = list(range(len(sheet.vectors)))
        key = sheet.portrait_of
        if key is not None and self.portraits.get(key, (-1, -1))[0] == i:
            face = self.portraits[key][1]
            given[key] = (face, float(sheet.vectors[face] @ self.models[key]))
            free.remove(face)
        wanted = [
            [k for k in self.named.get(tag, []) if k in self.models]
            for tag in sheet.tags
            if key is None or not given or self.people[key] != tag
        ]
        wanted = [keys for keys in wanted if keys]
        if not wanted or not free:
            return given
        each = [sheet.vectors[free] @ np.stack([self.models[k] for k in keys]).T for keys in wanted]
        faces = tag_faces(np.stack([table.max(axis=1) for table in each]), self.threshold)
        for keys, table, face in zip(wanted, each, faces.tolist(), strict=True):
            if face >= 0:
                best = int(table[face].argmax())
                given[keys[best]] = (free[face], float(table[face, best]))
        return given

    def _learn(self) -> None:
        gathered = {key: {place} for key, place in self.seeds.items()}
        for i, given in enumerate(self.given):
            for key, (face, _) in given.items():
                gathered[key].add((i, face))
        for key, places in gathered.items():
            self.models[key] = fuse(np.stack([self.sheets[i].vectors[face] for i, face in sorted(places)]))

    # ------------------------------------------------------------ the report
    def report(self, rounds: int, least: int, near_bits: int | None, held_out: HeldOut | None) -> CleanReport:
        """Every claim with what becomes of it."""
        actions = [action for i in range(len(self.sheets)) for action in self._claims(i)]
        if near_bits is not None:
            actions = self._without_repeats(actions, near_bits)
        count: dict[str, int] = {}
        for action in actions:
            if action.action == "keep":
                count[action.subject] = count.get(action.subject, 0) + 1
        reasons = {key: f"fewer than {least} pictures are kept" for key, n in count.items() if n < least}
        if held_out is not None:
            keys = sorted(count)
            rows = np.stack([self.models[key] for key in keys]) if keys else _nothing()
            said = held_out.reasons([self.people[key] for key in keys], rows)
            reasons |= {key: why for key, why in zip(keys, said, strict=True) if why}
        actions = [
            replace(a, action="drop", why=reasons[a.subject]) if a.action == "keep" and a.subject in reasons else a
            for a in actions
        ]
        return CleanReport(tuple(actions), tuple(sorted(set(count) - set(reasons))), rounds)

    def _claims(self, i: int) -> Iterator[Action]:
        sheet, given = self.sheets[i], self.given[i]
        if sheet.fault:
            yield Action(sheet.name, -1, "", "fault", sheet.fault)
            return
        for key, (face, likeness) in given.items():
            yield Action(sheet.name, face, key, "keep", "", round(likeness, 4), *map(float, sheet.boxes[face]))
        for tag in sheet.tags:
            keys = self.named.get(tag, [])
            if keys and not set(keys) & set(given):
                yield self._rejected(sheet, given, keys)

    def _rejected(self, sheet: _Sheet, given: Given, keys: list[str]) -> Action:
        known = [key for key in keys if key in self.models]
        if not len(sheet.vectors) or not known:
            return Action(sheet.name, -1, keys[0], "reject", UNKNOWN if len(sheet.vectors) else NO_FACE)
        table = sheet.vectors @ np.stack([self.models[key] for key in known]).T
        face, best = np.unravel_index(int(table.argmax()), table.shape)
        taken = table[face, best] > self.threshold and int(face) in {f for f, _ in given.values()}
        return Action(
            sheet.name, -1, known[best], "reject", TAKEN if taken else NOT_LIKE, round(float(table[face, best]), 4)
        )

    def _without_repeats(self, actions: list[Action], near_bits: int) -> list[Action]:
        code = {sheet.name: sheet.code for sheet in self.sheets}
        mine: dict[str, list[int]] = {}
        for n, action in enumerate(actions):
            if action.action == "keep":
                mine.setdefault(action.subject, []).append(n)
        out = list(actions)
        for numbers in mine.values():
            numbers.sort(key=lambda n: (-_area(actions[n]), n))  # of one picture in two sizes the larger is kept
            found: NDArray[np.int64] = repeats([code[actions[n].path] for n in numbers], near_bits)
            for n, first in zip(numbers, found.tolist(), strict=True):
                if first >= 0:
                    out[n] = replace(actions[n], action="reject", why=f"repeats {actions[numbers[first]].path}")
        return out


def _area(action: Action) -> float:
    return (action.right - action.left) * (action.bottom - action.top)

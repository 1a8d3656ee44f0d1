"""A gallery in Milvus: for collections of vectors that outgrow one machine, or in a folder of milvus-lite.

Milvus has no transactions, so they are built of what it has. Every row is a version with the revisions at which it was
born and died; a write makes versions of the next revision, which no view asks for; inserting one entity, the commit,
ends it. A view asks for the versions of its own revision, so it stays the same whatever is written meanwhile. What a
writer left that was killed is taken away by the next one.

What holds, and on what it rests:

- milvus-lite, one folder: one process at a time has it open, others wait and are then refused. A write that has ended
  survives a kill of the process; milvus-lite does not ask the disk to keep it, so a power cut may cost the last ones.
- a server or a cluster: a write that has ended is seen by every view opened afterwards, on any machine, as long as the
  cluster gives the consistency level "Strong", which every request asks for. One writer at a time is chosen by tickets
  with a lease (see `_milvus_turn`): this needs clocks that run at about the same speed, not clocks that agree. A writer
  that is stopped for longer than its lease gives up; should its last rows still arrive after another writer began, they
  carry a revision that was declared void, and nobody sees them. A commit that the network itself holds back for longer
  than the lease is void in the same way, and its writer was told that nothing was kept.
- a view that is open while `compact` runs ends with a `StoreError`; it never shows something else.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vultus.errors import InputError, StoreError
from vultus.gallery.stores import _milvus_open as opening
from vultus.gallery.stores._copy import copy_to_file
from vultus.gallery.stores._milvus_open import Link
from vultus.gallery.stores._milvus_rows import (
    MilvusEdit,
    MilvusRows,
    State,
    bodies,
    clean,
    newest,
    person_of,
    vector_name,
    vector_names,
)
from vultus.gallery.stores._milvus_turn import Turn, taken
from vultus.gallery.stores._pool import Pool
from vultus.gallery.stores.schema import Edit, Rows, check_equal

__all__ = ["Milvus"]

KEPT_COMMITS = 8


class Milvus:
    """A gallery in Milvus; safe for several threads and, on a server, for several processes and machines.

    Args:
        url: "milvus://host:port/database?prefix=name&token=..." or "milvus:///file.db" (three slashes: relative, four:
            absolute).

    Raises:
        InputError: if the URL cannot be read.
        MissingExtra: if pymilvus, or milvus-lite for a file, is not installed.
        StoreError: (on use) when the server cannot be reached, or another process has the file open.
    """

    def __init__(self, url: str) -> None:
        self._given = url
        self._place = opening.parse(url)
        self._pool = Pool(functools.partial(opening.connect, self._place), self._place.url)

    def __repr__(self) -> str:
        return f"Milvus({self.url!r})"

    def __reduce__(self) -> tuple[type[Milvus], tuple[str]]:
        return Milvus, (self._given,)  # with the token: a copy must be able to connect

    def __del__(self) -> None:
        if hasattr(self, "_pool"):
            self._pool.close()

    @property
    def url(self) -> str:
        """What `open_gallery` opens it by; without a token."""
        return self._place.url

    @contextlib.contextmanager
    def read(self) -> Iterator[Rows]:
        """One consistent view: what others write meanwhile is not seen."""
        with self._pool.connected() as link:
            view = MilvusRows(link, self._made(link))
            try:
                yield view
            finally:
                view.end()

    @contextlib.contextmanager
    def write(self) -> Iterator[Edit]:
        """One transaction: everything done inside is kept when the block ends, nothing when it raises.

        Raises:
            StoreError: if the server failed, or, on a server, if the block was silent for 24 seconds.
        """
        with self._writing() as (link, turn, state):
            edit = MilvusEdit(link, state, turn)
            try:
                yield edit
                if link.pid != os.getpid():
                    raise StoreError(f"{self.url}: this process was forked inside a write, which its parent ends")
                if link.failed:
                    raise StoreError(f"{self.url}: an error inside this write was passed over: nothing was kept")
                self._commit(link, turn, state, edit.revision())
            except BaseException:
                if turn.alive():  # else others write, and will do it
                    with contextlib.suppress(StoreError):
                        clean(link, self._made(link))
                raise
            finally:
                edit.end()

    def revision(self) -> int:
        """A number that every write raises, whoever wrote."""
        with self._pool.connected() as link:
            return self._made(link).revision

    def exists(self) -> bool:
        """Whether a gallery was made there already; makes none."""
        if self._place.file is not None and not self._place.file.exists():
            return False
        with self._pool.connected() as link:
            return newest(link) is not None

    def files(self) -> list[Path]:
        """Every file in the folder of milvus-lite; none for a server."""
        folder = self._place.file
        return sorted(path for path in folder.rglob("*") if path.is_file()) if folder and folder.exists() else []

    def compact(self) -> None:
        """Copy what is there into new collections and drop the old ones.

        In a folder of milvus-lite the old files are deleted with them. A cluster deletes the files of a dropped
        collection later (its garbage collector, some hours by default), and its log and backups are its operator's
        concern: where that matters, let the gallery encrypt. Views that are open meanwhile end with a `StoreError`.
        """
        with self._writing() as (link, turn, state):
            stale = state.numbers.get("stale", 0)
            if stale > state.numbers.get("compacted", 0):
                after = State(state.revision, turn.number, {**state.numbers, "compacted": stale}, state.generation + 1)
                self._copy(link, turn, state, after)
                link.put(self._place.name("commits"), [after.entity(turn.token)])
                turn.sign()
                state = after
            self._drop_others(link, state)

    def damage(self) -> list[str]:
        """Rows whose parts are not all there."""
        try:
            with self._pool.connected() as link:
                state = self._made(link)
                view = MilvusRows(link, state)
                long = link.page(state.rows(link), f"parts > 1 and {state.visible(state.revision)}", ["parts", "body"])
                whole = [entity for entity in long if "+" not in entity["pk"]]
                for entity in whole:
                    bodies(link, state, [entity])
                view.count("people")
        except StoreError as error:
            return [str(error)]
        return []

    def backup(self, path: Path) -> None:
        """Write one consistent copy of all rows to a new SQLite gallery file; refuses to overwrite."""
        with self._pool.connected() as link:
            copy_to_file(MilvusRows(link, self._made(link)), path)

    def close(self) -> None:
        """Close the connections that are not in use; the next call opens them again."""
        self._pool.close()

    def nearest(
        self, space: str, query: Any, k: int, allowed: Sequence[str] | None = None, *, exact: bool = True
    ) -> list[tuple[str, float]]:
        """The k people whose templates are most like a vector, best first; see `Searchable`.

        Approximate search goes through Milvus's HNSW index and needs k of at most 16384 and everyone allowed. Any other
        search is exact: it brings the vectors here and compares them, so that it is for checks and small galleries.
        """
        vector = np.ascontiguousarray(query, np.float32)
        if vector.ndim != 1 or len(vector) < 2 or not np.isfinite(vector).all():
            raise InputError(f"query: expected one vector of finite numbers, got shape {vector.shape}")
        if not isinstance(k, int) or k < 1:
            raise InputError(f"k: expected at least 1 person, a whole number, got {k!r}")
        check_equal("templates", {"space": space})
        with self._pool.connected() as link:
            state = self._made(link)
            self._check_searchable(link, state, space, len(vector))
            name = vector_name(link, state, space, len(vector))
            if not link.has(name):
                return []
            link.load(name)
            where = state.visible(state.revision)
            if not exact and allowed is None and k <= 16384:
                found = link.call(
                    "search", name, data=[vector.tolist()], filter=where, limit=k, output_fields=["person"],
                    search_params={"metric_type": "COSINE", "params": {"ef": min(32768, max(100, 4 * k))}},
                    consistency_level="Strong",
                )  # fmt: skip
                pairs = [(person_of(hit["entity"]["person"]), float(hit["distance"])) for hit in found[0]]
                return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))
            return _best(link.page(name, where, ["person", "vector"]), vector, k, allowed)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _made(self, link: Link) -> State:
        """The newest state; the collections are made where there are none."""
        state = newest(link)
        if state is not None:
            return state
        for kind in ("tickets", "rows_0", "commits"):
            link.make(self._place.name(kind), kind.partition("_")[0])
        with taken(link, lambda: 0) as turn:
            state = newest(link)  # somebody may have been faster
            if state is None:
                state = State(number=turn.number)
                link.put(self._place.name("commits"), [state.entity(turn.token)])
        return state

    @contextlib.contextmanager
    def _writing(self) -> Iterator[tuple[Link, Turn, State]]:
        """The right to write, and the state to begin with, without what a killed writer left."""
        with self._pool.turn(opening.BUSY_SECONDS), self._pool.connected() as link:
            if not link.knows(self._place.name("commits")):
                self._made(link)
            with taken(link, lambda: self._made(link).number) as turn:
                state = self._made(link)
                turn.number = max(turn.number, state.number + 1)
                clean(link, state)
                yield link, turn, state

    def _commit(self, link: Link, turn: Turn, state: State, revision: int) -> None:
        turn.sign()
        state.revision, state.number = revision, turn.number
        name = self._place.name("commits")
        entity = state.entity(turn.token)
        try:
            link.put(name, [entity])
        except StoreError:  # perhaps only the answer was lost
            last = newest(link)
            if last is None or (last.revision, last.number) != (revision, turn.number):
                raise
            link.failed = False
        if not turn.alive():
            link.remove(name, f'pk == "{entity["pk"]}"')
            raise StoreError(
                f"{self.url}: the commit took too long, so another writer may have begun: nothing was kept"
            )
        if revision % KEPT_COMMITS == 0:
            link.remove(name, f"revision < {revision - KEPT_COMMITS}")

    def _copy(self, link: Link, turn: Turn, state: State, after: State) -> None:
        """Bring every version that is there into the collections of the next generation."""
        old, new = state.rows(link), after.rows(link)
        for name in self._of_generation(link, after.generation):
            link.call("drop_collection", name)  # of a compaction that was killed
            link._known.discard(name)
        link.make(new, "rows")
        fields = ["tbl", "k", "born", "died", "i0", "i1", "i2", "i3", "parts", "body"]
        visible, last = state.visible(state.revision), ""
        while True:
            then = f' and pk > "{last}"' if last else ""
            page = link.page(old, f"({visible}){then}", fields, opening.PAGE_ROWS)
            if not page:
                break
            alive = [e for e in page if "+" not in e["pk"] or self._has_head(link, old, e["pk"], visible)]
            link.put(new, [{**entity, "died": opening.NEVER} for entity in alive])
            last = page[-1]["pk"]
            turn.sign()
        for name in vector_names(link, state):
            link.load(name)
            found = link.page(name, visible, ["person", "born", "died", "vector"])
            dim = int(name.rpartition("_")[2])
            target = name.replace(f"_v{state.generation}_", f"_v{after.generation}_")
            link.make(target, "vectors", dim)
            link.put(target, [{**entity, "died": opening.NEVER} for entity in found])
            turn.sign()

    def _has_head(self, link: Link, name: str, key: str, visible: str) -> bool:
        """Whether the first part of a body is there: it alone is told when a version dies."""
        return bool(link.page(name, f'pk == "{key.partition("+")[0]}" and {visible}', [], 1))

    def _of_generation(self, link: Link, generation: int) -> list[str]:
        starts = (self._place.name(f"v{generation}_"), self._place.name(f"rows_{generation}"))
        return [name for name in link.names() if name == starts[1] or name.startswith(starts[0])]

    def _drop_others(self, link: Link, state: State) -> None:
        """Drop the collections of other generations, and the commits that name them."""
        keep = set(self._of_generation(link, state.generation))
        keep |= {self._place.name(kind) for kind in ("tickets", "commits")}
        link.remove(self._place.name("commits"), f"revision < {state.revision} or number < {state.number}")
        for name in link.names():
            if name not in keep and name.startswith((self._place.name("rows_"), self._place.name("v"))):
                link.call("drop_collection", name)
                link._known.discard(name)

    def _check_searchable(self, link: Link, state: State, space: str, dim: int) -> None:
        view = MilvusRows(link, state)
        fact = view.get("facts", "encrypted")
        if fact is not None and fact["value"] == "1":
            raise StoreError(f"{self.url}: the gallery is encrypted: the server cannot compare its vectors")
        one = view.after("templates", None, 1, space=space)
        if one and one[0]["dim"] != dim:
            raise InputError(f"query: expected {one[0]['dim']} numbers as in space {space!r}, got {dim}")


def _best(
    entities: Sequence[dict[str, Any]], vector: Any, k: int, allowed: Sequence[str] | None
) -> list[tuple[str, float]]:
    wanted = None if allowed is None else set(allowed)
    people = [person_of(entity["person"]) for entity in entities]
    at = [i for i, person in enumerate(people) if wanted is None or person in wanted]
    if not at:
        return []
    rows = np.array([entities[i]["vector"] for i in at], np.float32)
    scores = rows @ vector / (np.linalg.norm(rows, axis=1) * np.linalg.norm(vector))
    pairs = [(people[i], float(score)) for i, score in zip(at, scores, strict=True)]
    return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:k]

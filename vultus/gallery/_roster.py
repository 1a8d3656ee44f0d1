"""The people of a gallery in memory: names, attributes and an index of their references, at the store's revision.

The store is the truth. What is here is made from it, follows it through the rows of `changes`, and is made anew when it
cannot: after a change of space, when too much has happened, or when a saved index does not fit. An index that was saved
to a file is opened instead of being built, and then catches up.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vultus.errors import InputError, SpaceMismatch, StoreError
from vultus.gallery import audit
from vultus.gallery._book import Pages
from vultus.gallery.erase import Copies
from vultus.gallery.search import VectorIndex
from vultus.gallery.stores.schema import Row, Rows, Store
from vultus.gallery.vault import Vault
from vultus.types import F32, Match

__all__ = ["Current", "Roster", "same_space"]

MANY = 100_000  # people; from here on codes of bits are compared first, and the index is kept in a file
_PAGE = 10_000  # rows read at a time


class Roster:
    """Everyone, at one revision or a later one.

    Attributes:
        revision: the store's revision that this follows.
        space: embedding space in use, or None while nobody is enrolled.
        names: key -> name.
        attributes: key -> what else is kept of the person.
        index: of the fused references, one row per person, or None while nobody is enrolled.
        seq: number of the last row of `changes` that this follows.
    """

    def __init__(self, revision: int, space: str | None, seq: int) -> None:
        self.revision = revision
        self.space = space
        self.names: dict[str, str] = {}
        self.attributes: dict[str, Mapping[str, Any]] = {}
        self.index: VectorIndex | None = None
        self.seq = seq

    def __len__(self) -> int:
        return len(self.names)

    def called(self, name: str) -> list[str]:
        """Keys of everyone of that name."""
        return [key for key, known in self.names.items() if known == name]

    def where(self, equal: Mapping[str, Any]) -> set[str]:
        """Keys of everyone whose attributes equal these."""
        return {
            key
            for key, have in self.attributes.items()
            if all(name in have and have[name] == equal[name] for name in equal)
        }

    def best(
        self, vectors: F32, k: int, *, allowed: Collection[str] | None = None, never: Collection[str] = ()
    ) -> list[list[Match]]:
        """The k most similar people of every vector, best first.

        Args:
            vectors: (Q, D) unit rows.
            k: at most so many.
            allowed: keys among which to search, None for everyone.
            never: keys to leave out.
        """
        if self.index is None or (allowed is not None and not allowed):
            return [[] for _ in vectors]
        if vectors.shape[1] != self.index.dim:
            raise InputError(f"vectors: expected {self.index.dim} numbers per row, got {vectors.shape[1]}")
        hits = self.index.search(vectors, k + len(never), allowed=allowed)
        found = []
        for keys, scores in zip(hits.groups.tolist(), hits.scores.tolist(), strict=True):
            pairs = [(key, score) for key, score in zip(keys, scores, strict=True) if key and key not in never]
            named = [(key, self.names.get(key), score) for key, score in pairs]  # None: removed while we searched
            known = [(key, name, score) for key, name, score in named if name is not None][:k]
            found.append([Match(key, name, score, rank) for rank, (key, name, score) in enumerate(known, 1)])
        return found


class Current:
    """The roster as it is now.

    Args:
        store: where people are kept.
        vault: opens the vault of a view.
    """

    def __init__(self, store: Store, vault: Callable[[Rows], Vault]) -> None:
        self._store = store
        self._vault = vault
        self._roster: Roster | None = None
        self._lock = threading.Lock()

    def roster(self) -> Roster:
        """Everyone, at the newest revision."""
        with self._lock:
            if self._roster is None or self._roster.revision != self._store.revision():
                with self._store.read() as rows:
                    pages = Pages(rows, self._vault(rows))
                    followed = self._roster is not None and _follow(self._roster, pages)
                    if not followed:
                        self._roster = self._opened(pages) or _built(pages)
            assert self._roster is not None
            return self._roster

    def forget(self) -> None:
        """Drop what is held in memory."""
        with self._lock:
            self._roster = None

    def save(self) -> Path | None:
        """Keep the index in a file beside the store; None where there is nothing to keep or it may not be kept.

        A gallery that is encrypted keeps none: its vectors would lie open in it.
        """
        folder = self._folder()
        roster = self.roster()
        if folder is None or roster.index is None:
            return None
        with self._store.read() as rows:
            if self._vault(rows).encrypted or rows.revision() != roster.revision:
                return None
            head = audit.head(rows)
        folder.mkdir(exist_ok=True)
        path = folder / f"{roster.revision}-{roster.seq}-{head.seq}.vectors"
        if not path.exists():
            roster.index.space = _history(roster.space, head.hash)
            roster.index.save(path)
        for old in self._files():
            if old != path:
                VectorIndex.wipe(old)
        return path

    def keep_if_large(self) -> None:
        """`save` when building it again would be felt; a failure costs the next start some seconds, nothing else."""
        with self._lock:
            large = self._roster is not None and len(self._roster) >= MANY
        if large:
            with contextlib.suppress(StoreError, OSError):
                self.save()

    def copies(self) -> list[Copies]:
        """The files beside the store that hold vectors."""
        return [Copies("search index", self._drop, self._files)]

    def _drop(self) -> int:
        self.forget()
        files = self._files()
        for path in files:
            VectorIndex.wipe(path)
        return len(files)

    def _folder(self) -> Path | None:
        files = self._store.files()
        return files[0].with_name(files[0].name + ".index") if files else None

    def _files(self) -> list[Path]:
        folder = self._folder()
        return sorted(p for p in folder.iterdir() if p.is_file()) if folder is not None and folder.is_dir() else []

    def _opened(self, pages: Pages) -> Roster | None:
        """A saved index that fits this store, caught up; None when there is none, which is no loss."""
        space = pages.space()
        for path in self._files():
            try:
                revision, seq, told = (int(part) for part in path.stem.split("-"))
                row = pages.rows.get("audit", told)
                history = _history(space, row["hash"] if row else audit.START)
                index = VectorIndex.open(path, space=history, revision=revision)
            except (ValueError, StoreError):  # of another space, damaged, half written: it is made again
                continue
            roster = Roster(revision, space, seq)
            roster.index = index
            _people(roster, pages)
            if revision <= pages.rows.revision() and _follow(roster, pages):
                return roster
        return None


def _history(space: str | None, head: str) -> str:
    """What a saved index is of: a space, and the one history that led to it.

    Revisions alone do not tell galleries apart, nor one from itself after a backup was restored; the hash at the end of
    the audit log does.
    """
    return f"{space}#{head}"


def _built(pages: Pages) -> Roster:
    """Read everyone; checks every checksum."""
    roster = Roster(pages.rows.revision(), pages.space(), _last_change(pages))
    templates = _templates(pages, roster.space)
    _people(roster, pages, templates)
    if roster.names:
        keys = list(roster.names)
        vectors = pages.opened_many([(templates[key], key, key, (roster.names[key],)) for key in keys])
        kind = "bits" if len(keys) >= MANY else "float"
        roster.index = VectorIndex.build(
            vectors, keys, keys, space=str(roster.space), revision=roster.revision, kind=kind, copy=False
        )
    return roster


def _templates(pages: Pages, space: str | None) -> dict[str, Row]:
    return {row["person_id"]: row for row in pages.rows.find("templates", space=space)} if space else {}


def _people(roster: Roster, pages: Pages, having: Collection[str] | None = None) -> None:
    """Names and attributes of everyone, or of those with a reference."""
    for row in pages.rows.find("people"):
        if having is None or row["id"] in having:
            roster.names[row["id"]] = row["name"]
            roster.attributes[row["id"]] = row["attributes"] or {}


def _last_change(pages: Pages) -> int:
    last = 0
    while rows := pages.rows.after("changes", (last,), _PAGE):
        last = rows[-1]["seq"]
    return last


def _follow(roster: Roster, pages: Pages) -> bool:
    """Bring a roster up to the view; False when it has to be made anew."""
    if pages.space() != roster.space or roster.index is None:
        return False
    last = pages.rows.get("changes", roster.seq) if roster.seq else None
    coming = pages.rows.after("changes", (roster.seq,), 1)
    if roster.seq and (last is None or last["revision"] > roster.revision):
        return False  # the rows that it needs were dropped, or are those of another history
    if coming and coming[0]["revision"] <= roster.revision:
        return False  # numbered anew, as after a backup was restored
    seq, changed = roster.seq, dict[str, None]()
    while rows := pages.rows.after("changes", (seq,), _PAGE):
        seq = rows[-1]["seq"]
        changed |= dict.fromkeys(row["person_id"] for row in rows)
        if len(changed) > max(1000, len(roster) // 4):
            return False
    for key in changed:
        person = pages.rows.get("people", key)
        template = pages.rows.get("templates", key, str(roster.space)) if person else None
        if person is None or template is None:
            roster.names.pop(key, None)  # first: whoever finds the row meanwhile finds no name and passes it over
            roster.attributes.pop(key, None)
            roster.index.remove([key])
        else:
            vector = pages.opened(template, key, key, person["name"])
            roster.index.add(np.asarray(vector)[None], [key], [key])
            roster.names[key] = person["name"]
            roster.attributes[key] = person["attributes"] or {}
    roster.revision, roster.seq = pages.rows.revision(), seq
    roster.index.revision = roster.revision
    return True


def same_space(left: str, right: str | None) -> None:
    """Refuse to compare vectors of two spaces."""
    if left != right:
        raise SpaceMismatch(left, str(right))

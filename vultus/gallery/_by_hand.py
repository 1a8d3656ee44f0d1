"""The calls of a gallery that put right by hand what the machine got wrong; `Gallery` has them."""

from __future__ import annotations

import unicodedata
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from vultus.errors import InputError
from vultus.gallery import _links, audit, corrections
from vultus.gallery._book import Book, Pages
from vultus.gallery.records import Entry, Link
from vultus.gallery.stores.schema import Row
from vultus.types import Identity

__all__ = ["ByHand", "name_text", "told"]

_STEP = 1000  # rows of the history read at once


class ByHand(ABC):
    """Corrections: each is one transaction, an entry of the history that can be taken back, and a row of the log."""

    @abstractmethod
    def pages(self) -> AbstractContextManager[Pages]:
        """One consistent view."""

    @abstractmethod
    def book(self, actor: str) -> AbstractContextManager[Book]:
        """One transaction."""

    def rename(self, identity_id: str, name: str, *, actor: str = "local") -> Identity:
        """Give a person another name; two people may share one."""
        name = name_text(name)
        with self.book(actor) as book:
            corrections.rename(book, identity_id, name)
            told(book, "rename", identity_id)
            return book.person(identity_id)

    def set_attributes(self, identity_id: str, attributes: Mapping[str, Any], *, actor: str = "local") -> Identity:
        """Replace what is kept of a person beside the name: names with text, numbers, yes or no."""
        with self.book(actor) as book:
            corrections.set_attributes(book, identity_id, dict(attributes))
            told(book, "describe", identity_id)
            return book.person(identity_id)

    def assign(
        self,
        face_ids: Sequence[str],
        *,
        person_id: str | None = None,
        name: str | None = None,
        actor: str = "local",
    ) -> Identity:
        """Say who faces are: a person by key, or by a name, which makes a new person when nobody is called so.

        Raises:
            InputError: if a link or the same-photo constraint forbids it, or a person would be left without a face.
        """
        with self.book(actor) as book:
            name = None if name is None else name_text(name)
            key = corrections.assign(book, face_ids, person_id=person_id, name=name)
            told(book, "assign", key, {"faces": len(face_ids)})
            return book.person(key)

    def unassign(self, face_ids: Sequence[str], *, actor: str = "local") -> None:
        """Say that nobody knows who faces are."""
        with self.book(actor) as book:
            corrections.unassign(book, face_ids)
            told(book, "unassign", "", {"faces": len(face_ids)})

    def merge(self, keep_id: str, absorb_id: str, *, actor: str = "local") -> Identity:
        """Two people are one; `keep_id` keeps the name.

        Raises:
            InputError: if both are the same, or a link or the same-photo constraint says that they are two.
        """
        with self.book(actor) as book:
            corrections.merge(book, keep_id, absorb_id)
            told(book, "merge", keep_id, {"absorbed": absorb_id})
            return book.person(keep_id)

    def split(self, person_id: str, face_ids: Sequence[str], name: str, *, actor: str = "local") -> Identity:
        """One person is two: these faces become a new person of that name."""
        with self.book(actor) as book:
            new = corrections.split(book, person_id, face_ids, name_text(name))
            told(book, "split", person_id, {"faces": len(face_ids), "into": new})
            return book.person(new)

    def link(self, kind: str, a: str, b: str, *, actor: str = "local") -> Link:
        """Keep that two faces show one person ("must"), that they do not ("cannot"), or that face a is not person b.

        Raises:
            InputError: if it contradicts what was said before or who the faces are.
        """
        with self.book(actor) as book:
            made = corrections.link(book, kind, a, b)
            told(book, "link", a, {"kind": kind, "other": b})
            return made

    def unlink(self, link_id: str, *, actor: str = "local") -> None:
        """Forget a link; faces stay where they are."""
        with self.book(actor) as book:
            corrections.unlink(book, link_id)
            told(book, "unlink", "", {"link": link_id})

    def links(self, key: str | None = None) -> list[Link]:
        """Every link, or those that name a face or a person, oldest first."""
        with self.pages() as pages:
            if key is not None:
                return _links.links_of(pages, key)
            return sorted((_links.record(row) for row in pages.rows.find("links")), key=lambda link: (link.at, link.id))

    def set_exclusive(self, medium: str, value: bool, *, actor: str = "local") -> None:
        """Whether the faces of a picture are different people; no for a collage or a mirror."""
        with self.book(actor) as book:
            corrections.exclusive(book, medium, value)
            told(book, "set_exclusive", "", {"exclusive": value})

    def history(self, limit: int = 50) -> list[Entry]:
        """The newest corrections, newest first."""
        newest: deque[Row] = deque(maxlen=limit)
        with self.pages() as pages:
            # Numbers only grow, so those after count - limit hold the newest ones; where erasure left gaps, a few more.
            place: tuple[Any, ...] | None = (max(0, pages.rows.count("undo") - limit),)
            while rows := pages.rows.after("undo", place, _STEP):
                newest.extend(rows)
                place = (rows[-1]["seq"],)
        return [corrections.entry(row) for row in reversed(newest)]

    def undo(self, seq: int | None = None, *, actor: str = "local") -> Entry:
        """Take back the newest correction that stands, or the one of that number.

        Raises:
            InputError: if there is none, or something changed since that stands in the way.
        """
        with self.book(actor) as book:
            done = corrections.undo(book, seq)
            told(book, "undo", "", {"undone": done.seq})
            return done


def told(book: Book, verb: str, subject: str, details: Mapping[str, Any] | None = None) -> None:
    """Write a row of the audit log."""
    audit.append(book.rows, actor=book.actor, verb=verb, subject=subject, details=details, mac=book.vault.mac)


def name_text(name: str) -> str:
    """One spelling per name: without blank ends, and in Unicode NFC, so that é is one letter whoever typed it."""
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"name: expected some text, got {name!r}")
    text = unicodedata.normalize("NFC", name.strip())
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"name: expected letters that UTF-8 can hold, got {text!r}") from error
    return text

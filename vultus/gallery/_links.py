"""Must-link, cannot-link, "not this person" and the same-photo constraint: kept, and checked before any face moves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from vultus.errors import InputError
from vultus.gallery._book import Book, Pages, new_id, now
from vultus.gallery.records import LINK_KINDS, Link, StoredFace
from vultus.gallery.stores.schema import Row

__all__ = ["check", "check_partners", "forbidden_people", "links_of", "partners", "put", "record", "same"]


def record(row: Row) -> Link:
    """A row of `links` as a record."""
    return Link(row["id"], row["kind"], row["a"], row["b"], row["actor"], row["at"])


def links_of(pages: Pages, key: str) -> list[Link]:
    """Every link that names a face or a person, oldest first."""
    rows = {row["id"]: row for end in ("a", "b") for row in pages.rows.find("links", **{end: key})}
    return sorted((record(row) for row in rows.values()), key=lambda link: (link.at, link.id))


def same(pages: Pages, kind: str, a: str, b: str) -> Link | None:
    """The link that says this already; the order of two faces does not matter."""
    if kind not in LINK_KINDS:
        raise InputError(f"link: expected one of {', '.join(LINK_KINDS)}, got {kind!r}")
    ends = {(a, b)} if kind == "not_person" else {(a, b), (b, a)}
    return next((link for link in links_of(pages, a) if link.kind == kind and (link.a, link.b) in ends), None)


def put(book: Book, kind: str, a: str, b: str) -> Link:
    """Keep a link that does not contradict an earlier one.

    Raises:
        InputError: if the ends are the same face, or the opposite was said, directly or over other must-links.
    """
    one = book.face(a)
    if kind != "not_person":
        other = book.face(b)
        if one.id == other.id:
            raise InputError(f"link: expected two faces, got {a!r} twice")
        if kind == "must":
            group = _group(book, a) | _group(book, b)
            _check_cannot(book, group, "they must show one person")
            _check_photos(book, [book.face(key) for key in sorted(group)])
        elif b in _group(book, a):
            raise InputError(f"link: {a} and {b} are said to show one person: remove that must-link first")
        elif one.person_id and one.person_id == other.person_id:
            name = book.person_row(one.person_id)["name"]
            raise InputError(f"link: both faces are {name}'s: split one off, or say which is not {name}")
    row = {"id": new_id(), "kind": kind, "a": a, "b": b, "actor": book.actor, "at": now()}
    book.rows.put("links", row)
    return record(row)


def partners(pages: Pages, face_id: str) -> list[str]:
    """Faces that a must-link joins to this one, directly."""
    return [link.b if link.a == face_id else link.a for link in links_of(pages, face_id) if link.kind == "must"]


def check(pages: Pages, faces: Sequence[StoredFace], person_id: str) -> None:
    """Refuse that all these faces are one person.

    Raises:
        InputError: naming the link, or the picture on which two of them are.
    """
    keys = {face.id for face in faces}
    for face in faces:
        for link in links_of(pages, face.id):
            if link.kind == "not_person" and link.a == face.id and link.b == person_id:
                raise InputError(
                    f"face {face.id} is said not to be this person (link {link.id}): remove that link first"
                )
    _check_cannot(pages, keys, "they would be one person")
    _check_photos(pages, faces)


def check_partners(pages: Pages, keys: Collection[str], person_id: str, *, crossing: bool = False) -> None:
    """Refuse to tear apart what a must-link joins.

    Args:
        pages: the view.
        keys: faces that will belong to `person_id`.
        person_id: whose they will be.
        crossing: refuse every must-link that leaves `keys`; otherwise only one to a face of somebody else.

    Raises:
        InputError: naming both faces.
    """
    for key in keys:
        for partner in partners(pages, key):
            if partner in keys:
                continue
            owner = pages.face(partner).person_id
            if crossing or owner not in (None, person_id):
                raise InputError(f"faces {key} and {partner} are said to show one person: remove that must-link first")


def forbidden_people(pages: Pages, face: StoredFace) -> set[str]:
    """People that a face cannot be: said not to be, on the same picture, or holding a face it cannot be linked with."""
    found: set[str] = set()
    for link in links_of(pages, face.id):
        if link.kind == "not_person":
            found.add(link.b)
        elif link.kind == "cannot":
            other = pages.rows.get("faces", link.b if link.a == face.id else link.a)
            found |= {other["person_id"]} if other and other["person_id"] else set()
    medium = pages.rows.get("media", face.medium)
    if medium and medium["exclusive"]:
        for row in pages.rows.find("faces", medium=face.medium):
            if row["id"] != face.id and row["person_id"]:
                found.add(row["person_id"])
    return found


def _group(pages: Pages, face_id: str) -> set[str]:
    """Everything that must-links join to a face, itself included."""
    found, waiting = {face_id}, [face_id]
    while waiting:
        for key in partners(pages, waiting.pop()):
            if key not in found:
                found.add(key)
                waiting.append(key)
    return found


def _check_cannot(pages: Pages, keys: Collection[str], why: str) -> None:
    for key in keys:
        for link in links_of(pages, key):
            if link.kind == "cannot" and link.a in keys and link.b in keys:
                raise InputError(
                    f"faces {link.a} and {link.b} are said to show different people (link {link.id}), and {why}: "
                    "remove that link first"
                )


def _check_photos(pages: Pages, faces: Sequence[StoredFace]) -> None:
    for medium, n in Counter(face.medium for face in faces).items():
        row = pages.rows.get("media", medium) if n > 1 else None
        if row and row["exclusive"]:
            raise InputError(
                f"picture {medium[:12]} would show this person {n} times: faces of one picture are different people; "
                "where that is not so (a collage, a mirror), say that the picture is not exclusive"
            )

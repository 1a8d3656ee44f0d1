"""Photos into people: which face of which picture, in which space, and what speaks against it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from vultus.errors import InputError
from vultus.gallery import _links, fuse, unknown
from vultus.gallery._book import Book, key_text, new_id, now, unit_rows
from vultus.gallery._roster import Roster, same_space
from vultus.gallery.calibrate import Calibration, poor_quality
from vultus.gallery.records import NewFace, StoredFace
from vultus.gallery.stores.schema import face_id
from vultus.types import F32

__all__ = ["claim", "enroll", "new_faces", "screen"]


def new_faces(
    vectors: F32, qualities: Sequence[float | None] | None, media: Sequence[str] | None, space: str
) -> list[NewFace]:
    """Columns as records; see `Gallery.enroll`."""
    if not isinstance(space, str) or not space:
        raise InputError(f"space: expected the embedding space of the vectors, got {space!r}")
    rows = unit_rows(vectors)
    if media is None:
        media = [f"vector-{hashlib.sha256(row.tobytes()).hexdigest()}" for row in rows]
    fuse.fuse_photos(rows, media, space, qualities)  # refuse before anything is locked
    given = [None] * len(rows) if qualities is None else list(qualities)
    return [NewFace(m, v, quality=q) for m, v, q in zip(media, rows, given, strict=True)]


def claim(book: Book, space: str, dim: int) -> None:
    """Accept vectors of the space in use or, while the gallery moves to another embedder, of the next one."""
    coming = book.rows.get("facts", "next_space")
    if coming and coming["value"] == space:
        book.know_space(space, dim)
    else:
        book.claim_space(space, dim)


def enroll(book: Book, name: str, new: Sequence[NewFace], space: str, identity_id: str | None) -> str:
    """Give faces to the person of that name or key, who is made when there is none; the person's key."""
    if not new:
        raise InputError("vectors: expected at least one photo, got none")
    dims = {len(face.vector) for face in new}
    if len(dims) > 1:
        raise InputError(f"vectors: expected rows of one length, got {sorted(dims)}")
    book.claim_space(space, dims.pop())
    person_id = _whose(book, name, identity_id)
    row = book.rows.get("people", person_id)
    book.put_person(
        person_id, row["name"] if row else name, row["attributes"] if row else {}, row["enrolled_at"] if row else now()
    )
    kept = [_put(book, face, person_id, space) for face in new]
    _links.check(book, book.faces_of(person_id), person_id)
    _links.check_partners(book, {face.id for face in kept}, person_id)
    return person_id


def _whose(book: Book, name: str, identity_id: str | None) -> str:
    if identity_id is not None:
        return key_text(identity_id)
    people = book.named(name)
    if len(people) > 1:
        ids = ", ".join(row["id"] for row in people)
        raise InputError(f"name: {len(people)} people are called {name!r} ({ids}): say which by identity_id")
    return people[0]["id"] if people else new_id()


def _put(book: Book, new: NewFace, person_id: str, space: str) -> StoredFace:
    """Keep one face of a person; a face of that picture that is there already is the same one."""
    book.add_medium(new.medium, new.source, new.size_hw, exclusive=True)
    old = unknown.mine(book, new, person_id)
    if old is not None and old.person_id not in (None, person_id):
        name = book.person_row(str(old.person_id))["name"]
        raise InputError(f"picture {new.medium[:12]}: this face is {name}'s already: assign it, or remove it there")
    if old is not None and old.person_id is None:
        old = book.move(old, person_id, "enroll")
    if old is None:
        key = face_id(new.medium, new.box, "" if new.box else person_id)
        old = StoredFace(key, new.medium, person_id, None, new.box, new.score, new.quality, "enroll", now())
    face = StoredFace(
        old.id, old.medium, person_id, None, new.box or old.box, new.score, new.quality, old.assigned_by, old.added_at
    )
    book.put_face(face, new.vector, space, new.crop_jpeg)
    return face


def screen(
    roster: Roster,
    rows: F32,
    space: str,
    calibration: Calibration,
    qualities: Sequence[float | None] | None,
    name: str,
    fmr: float,
) -> list[str]:
    """See `Gallery.screen`."""
    given = [None] * len(rows) if qualities is None else list(qualities)
    reasons = ["" if q is None else poor_quality(q) for q in given]
    bar, _ = calibration.threshold(fmr)
    good = [i for i, reason in enumerate(reasons) if not reason]
    for i, odd in zip(good, fuse.misfits(rows[good], bar), strict=True):
        if odd:
            reasons[i] = "does not look like the other photos of this person"
    if len(roster):
        same_space(space, roster.space)
        crowd = max(fmr / len(roster), calibration.smallest_fmr)  # each enrolled person is a chance to be wrong
        strict = max(bar, calibration.threshold(crowd)[0])
        known = _held_against(rows, roster, name, bar, strict)
        reasons = [reason or found for reason, found in zip(reasons, known, strict=True)]
    return reasons


def _held_against(rows: F32, roster: Roster, name: str, bar: float, strict: float) -> list[str]:
    """What people enrolled before say about photos said to show `name`; `strict` is the bar for the others."""
    mine = roster.called(name)
    own = [found[0].score if found else None for found in roster.best(rows, 1, allowed=mine)]
    others = [found[0] if found else None for found in roster.best(rows, 1, never=mine)]
    said = []
    for score, other in zip(own, others, strict=True):
        if score is not None and score < bar:
            said.append(f"does not look like {name} as enrolled before ({score:.3f} < {bar:.3f})")
        elif other is not None and other.score >= strict and (score is None or other.score > score):
            said.append(f"looks like {other.name}, who is enrolled already ({other.score:.3f} >= {strict:.3f})")
        else:
            said.append("")
    return said

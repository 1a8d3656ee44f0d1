"""What people put right by hand: who a face is, two people who are one, one who is two, and how to take it back.

Each correction is checked against what was said before (links, the same-photo constraint), done in one transaction, and
noted in the history with the steps that take it back. The steps hold keys and names only: the vectors never leave the
rows of the faces, so that undoing needs no copy of them and erasing a person leaves nothing to undo.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from vultus.errors import InputError
from vultus.gallery import _links
from vultus.gallery._book import Book, new_id, now, stored
from vultus.gallery.records import Entry, Link, StoredFace
from vultus.gallery.stores.schema import Row

__all__ = [
    "assign",
    "exclusive",
    "link",
    "merge",
    "note",
    "rename",
    "set_attributes",
    "split",
    "unassign",
    "undo",
    "unlink",
]

Step = dict[str, Any]


def assign(book: Book, face_ids: Sequence[str], *, person_id: str | None, name: str | None, by: str = "user") -> str:
    """Say who faces are; faces that must be with them and belong to nobody come along. Returns the person's key.

    Args:
        book: the transaction.
        face_ids: at least one.
        person_id: who it is, or None.
        name: or a name: of the one person called so, or of a new one.
        by: "user", "cluster" or "import".

    Raises:
        InputError: if a link or the same-photo constraint forbids it, two people share the name, or a person would be
            left without a face.
    """
    faces = _faces(book, face_ids)
    if (person_id is None) == (name is None):
        raise InputError("assign: expected either the key of a person or a name")
    steps: list[Step] = []
    made = False
    if person_id is None:
        person_id, made = _by_name(book, str(name))
        if made:
            book.put_person(person_id, str(name), {}, now())
            steps.append({"op": "drop_person", "id": person_id})
    book.person_row(person_id)
    faces = _with_partners(book, faces)
    moving = [face for face in faces if face.person_id != person_id]
    together = [*(book.faces_of(person_id) if not made else []), *moving]
    _links.check(book, together, person_id)
    left = {face.person_id for face in moving if face.person_id}
    _links.check_partners(book, {face.id for face in together}, person_id)
    steps = [*(_move(book, face, person_id, by) for face in moving), *steps]
    word = "face" if len(moving) == 1 else "faces"
    people = [person_id, *left]
    note(book, "assign", people, f"{len(moving)} {word} assigned to {book.person_row(person_id)['name']}", steps)
    return person_id


def unassign(book: Book, face_ids: Sequence[str]) -> None:
    """Say that nobody knows who faces are; their person keeps the others.

    Raises:
        InputError: if a person would be left without a face.
    """
    faces = [face for face in _faces(book, face_ids) if face.person_id]
    steps = [_move(book, face, None, "user") for face in faces]
    note(book, "unassign", {str(face.person_id) for face in faces}, f"{len(faces)} taken back to unknown", steps)


def merge(book: Book, keep_id: str, absorb_id: str) -> None:
    """Two people are one: all faces go to `keep_id`, who keeps name and attributes.

    Raises:
        InputError: if both are the same, or a link or the same-photo constraint says that they are two.
    """
    if keep_id == absorb_id:
        raise InputError(f"merge: expected two people, got {keep_id!r} twice")
    keep, gone = book.person_row(keep_id), book.person_row(absorb_id)
    moving = book.faces_of(absorb_id)
    links = [row for row in book.rows.find("links", b=absorb_id) if row["kind"] == "not_person"]
    for row in links:  # whoever is not the one is not the other either
        book.rows.put("links", {**row, "b": keep_id})
    _links.check(book, [*book.faces_of(keep_id), *moving], keep_id)
    steps: list[Step] = [{"op": "add_person", "row": gone}]
    steps += [_move(book, face, keep_id, face.assigned_by) for face in moving]
    steps += [{"op": "put_link", "row": row} for row in links]
    book.drop_person(absorb_id)
    note(book, "merge", [keep_id, absorb_id], f"{gone['name']} merged into {keep['name']}", steps)


def split(book: Book, person_id: str, face_ids: Sequence[str], name: str) -> str:
    """One person is two: the named faces become a new person. Returns the new key.

    Raises:
        InputError: if a face is not of that person, none would stay, or a must-link runs between the parts.
    """
    old = book.person_row(person_id)
    faces = _faces(book, face_ids)
    for face in faces:
        if face.person_id != person_id:
            raise InputError(f"split: expected faces of {old['name']!r} ({person_id}), got {face.id!r}")
    new = new_id()
    book.put_person(new, name, {}, now())
    _links.check_partners(book, {face.id for face in faces}, new, crossing=True)
    steps = [_move(book, face, new, "user") for face in faces]
    steps.append({"op": "drop_person", "id": new})
    note(book, "split", [person_id, new], f"{len(faces)} of {old['name']} split off as {name}", steps)
    return new


def rename(book: Book, person_id: str, name: str) -> None:
    """Give a person another name; two people may share one."""
    row = book.person_row(person_id)
    book.put_person(person_id, name, row["attributes"], row["enrolled_at"])
    step = {"op": "rename", "id": person_id, "now": name, "name": row["name"]}
    note(book, "rename", [person_id], f"{row['name']} renamed {name}", [step])


def set_attributes(book: Book, person_id: str, attributes: dict[str, Any]) -> None:
    """Replace what is kept of a person beside the name: text or numbers to filter searches by."""
    for key, value in attributes.items():
        if not isinstance(key, str) or not key or not isinstance(value, (str, int, float, bool)):
            raise InputError(f"attributes: expected names with text or numbers, got {key!r}: {value!r}")
    row = book.person_row(person_id)
    book.put_person(person_id, row["name"], attributes, row["enrolled_at"])
    step = {"op": "attributes", "id": person_id, "attributes": row["attributes"]}
    note(book, "describe", [person_id], f"attributes of {row['name']} changed", [step])


def exclusive(book: Book, medium: str, value: bool) -> None:
    """Whether the faces of a picture are different people; no for a collage or a mirror.

    Raises:
        InputError: if there is no such picture, or it should be so and one person has two faces on it.
    """
    row = book.rows.get("media", medium)
    if row is None:
        raise InputError(f"medium: expected the key of a stored picture, got {medium!r}")
    book.rows.put("media", {**row, "exclusive": int(value)})
    faces = [stored(found) for found in book.rows.find("faces", medium=medium)]
    for person_id in sorted({face.person_id for face in faces if face.person_id}):
        _links.check(book, [face for face in faces if face.person_id == person_id], person_id)
    step = {"op": "exclusive", "medium": medium, "value": bool(row["exclusive"])}
    people = {face.person_id for face in faces if face.person_id}
    what = "faces of a picture are different people" if value else "a picture may show one person twice"
    note(book, "exclusive", people, what, [step])


def link(book: Book, kind: str, a: str, b: str) -> Link:
    """Keep what somebody said about two faces, or about a face and a person, and act on it.

    "must" gives an unknown face to the person of the other one. "not_person" takes the face away from that person.
    Saying the same twice changes nothing.

    Raises:
        InputError: if it contradicts an earlier link, the same-photo constraint, or who the faces are now.
    """
    found = _links.same(book, kind, a, b)
    if found:
        return found
    steps: list[Step] = []
    made = _links.put(book, kind, a, b)
    one = book.face(a)
    people = {one.person_id}
    if kind == "not_person":
        person = book.person_row(b)
        people.add(b)
        if one.person_id == b:
            steps.append(_move(book, one, None, "user"))
        summary = f"a face is not {person['name']}"
    else:
        other = book.face(b)
        people.add(other.person_id)
        steps += _bring_together(book, one, other) if kind == "must" else []
        summary = "two faces show one person" if kind == "must" else "two faces show different people"
    steps.insert(0, {"op": "drop_link", "id": made.id})  # first: it may forbid what the other steps do
    note(book, "link", {key for key in people if key}, summary, steps)
    return made


def unlink(book: Book, link_id: str) -> None:
    """Forget a link; faces stay where they are.

    Raises:
        InputError: if there is none of that key.
    """
    row = book.rows.get("links", link_id)
    if row is None:
        raise InputError(f"link: expected the key of a link, got {link_id!r}")
    book.rows.delete("links", id=link_id)
    people = [face["person_id"] for face in (book.rows.get("faces", row[end]) for end in ("a", "b")) if face]
    note(
        book,
        "unlink",
        {key for key in people if key},
        f"a {row['kind']} link removed",
        [{"op": "put_link", "row": row}],
    )


def note(book: Book, verb: str, people: Iterable[str], summary: str, steps: Sequence[Step]) -> None:
    """Settle the people and write the correction into the history; `steps` take it back, in their order."""
    book.settle()
    row = {
        "at": now(), "actor": book.actor, "verb": verb, "people": sorted(set(people)),
        "steps": {"summary": summary, "steps": list(steps)}, "undone_at": None,
    }  # fmt: skip
    book.rows.put("undo", row)


def undo(book: Book, seq: int | None) -> Entry:
    """Take a correction back: the newest one that stands, or the one of that number.

    Raises:
        InputError: if there is none, it was taken back already, or something was changed since that stands in the way;
            the message names the entry to take back first.
    """
    row = _entry(book, seq)
    for step in row["steps"]["steps"]:
        try:
            _STEPS[step["op"]](book, step)
        except InputError as error:
            later = [e for e in _history(book) if e["seq"] > row["seq"] and not e["undone_at"]]
            touching = [e["seq"] for e in later if set(e["people"]) & set(row["people"])]
            hint = f"; take back entry {touching[-1]} first" if touching else ""
            raise InputError(f"undo: entry {row['seq']} ({row['verb']}) cannot be taken back: {error}{hint}") from error
    book.settle()
    done = {**row, "undone_at": now()}
    book.rows.put("undo", done)
    return entry(done)


def entry(row: Row) -> Entry:
    """A row of the history as a record."""
    return Entry(
        row["seq"], row["at"], row["actor"], row["verb"], tuple(row["people"]), row["steps"]["summary"],
        row["undone_at"],
    )  # fmt: skip


def _entry(book: Book, seq: int | None) -> Row:
    if seq is None:
        standing = [row for row in _history(book) if row["undone_at"] is None]
        if not standing:
            raise InputError("undo: expected a correction to take back, but there is none")
        return standing[-1]
    row = book.rows.get("undo", seq)
    if row is None:
        raise InputError(f"undo: expected the number of an entry of the history, got {seq!r}")
    if row["undone_at"] is not None:
        raise InputError(f"undo: entry {seq} was taken back already, at {row['undone_at']}")
    return row


def _history(book: Book) -> list[Row]:
    return book.rows.find("undo")


def _move(book: Book, face: StoredFace, person_id: str | None, by: str) -> Step:
    """Move a face; the step that takes it back."""
    book.move(face, person_id, by)
    return {
        "op": "move", "face": face.id, "now": person_id, "person": face.person_id, "by": face.assigned_by,
        "cluster": face.cluster,
    }  # fmt: skip


def _faces(book: Book, face_ids: Sequence[str]) -> list[StoredFace]:
    if isinstance(face_ids, str) or not face_ids:
        raise InputError(f"faces: expected a list of keys of faces, got {face_ids!r}")
    return [book.face(key) for key in dict.fromkeys(face_ids)]


def _with_partners(book: Book, faces: list[StoredFace]) -> list[StoredFace]:
    """The faces and, over any number of must-links, those that belong to nobody."""
    found = {face.id: face for face in faces}
    waiting = list(faces)
    while waiting:
        for key in _links.partners(book, waiting.pop().id):
            if key not in found and book.face(key).person_id is None:
                found[key] = book.face(key)
                waiting.append(found[key])
    return list(found.values())


def _bring_together(book: Book, one: StoredFace, other: StoredFace) -> list[Step]:
    """Give the unknown of two faces to the person of the other."""
    person_id = one.person_id or other.person_id
    if person_id is None:
        return []
    if one.person_id and other.person_id and one.person_id != other.person_id:
        names = [book.person_row(key)["name"] for key in (one.person_id, other.person_id)]
        raise InputError(f"link: the faces belong to {names[0]} and {names[1]}: merge the two people first")
    moving = [face for face in _with_partners(book, [one, other]) if face.person_id is None]
    _links.check(book, [*book.faces_of(person_id), *moving], person_id)
    return [_move(book, face, person_id, "user") for face in moving]


def _by_name(book: Book, name: str) -> tuple[str, bool]:
    """The key of the one person of that name, or a new key and True."""
    people = book.named(name)
    if len(people) > 1:
        keys = ", ".join(row["id"] for row in people)
        raise InputError(f"name: {len(people)} people are called {name!r} ({keys}): say which by their key")
    return (people[0]["id"], False) if people else (new_id(), True)


# ---------------------------------------------------------------- taking back
def _undo_move(book: Book, step: Step) -> None:
    row = book.rows.get("faces", step["face"])
    if row is None:
        raise InputError(f"face {step['face']} was removed since")
    face = stored(row)
    if face.person_id != step["now"]:
        raise InputError(f"face {face.id} was moved since")
    if step["person"] is not None:
        person = book.person_row(step["person"])
        _links.check(book, [*book.faces_of(person["id"]), face], person["id"])
    book.move(face, step["person"], step["by"], step["cluster"])


def _undo_new_person(book: Book, step: Step) -> None:
    if book.faces_of(step["id"]):
        raise InputError(f"{book.person_row(step['id'])['name']!r} has other faces by now")
    if book.rows.get("people", step["id"]) is not None:
        book.drop_person(step["id"])


def _undo_merge(book: Book, step: Step) -> None:
    row = step["row"]
    if book.rows.get("people", row["id"]) is not None:
        raise InputError(f"there is a person of the key {row['id']} again")
    book.put_person(row["id"], row["name"], row["attributes"], row["enrolled_at"])


def _undo_rename(book: Book, step: Step) -> None:
    row = book.person_row(step["id"])
    if row["name"] != step["now"]:
        raise InputError(f"{step['now']!r} was renamed {row['name']!r} since")
    book.put_person(row["id"], step["name"], row["attributes"], row["enrolled_at"])


def _undo_attributes(book: Book, step: Step) -> None:
    row = book.person_row(step["id"])
    book.put_person(row["id"], row["name"], step["attributes"], row["enrolled_at"])


def _undo_exclusive(book: Book, step: Step) -> None:
    row = book.rows.get("media", step["medium"])
    if row is None:
        raise InputError("the picture was removed since")
    book.rows.put("media", {**row, "exclusive": int(step["value"])})


def _undo_unlink(book: Book, step: Step) -> None:
    row = step["row"]
    ends = ("faces", row["a"]), ("people" if row["kind"] == "not_person" else "faces", row["b"])
    if any(book.rows.get(table, key) is None for table, key in ends):
        raise InputError("what the link was about was removed since")
    book.rows.put("links", row)


def _undo_link(book: Book, step: Step) -> None:
    book.rows.delete("links", id=step["id"])


_STEPS: dict[str, Callable[[Book, Step], None]] = {
    "move": _undo_move,
    "drop_person": _undo_new_person,
    "add_person": _undo_merge,
    "rename": _undo_rename,
    "attributes": _undo_attributes,
    "exclusive": _undo_exclusive,
    "put_link": _undo_unlink,
    "drop_link": _undo_link,
}

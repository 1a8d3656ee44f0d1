"""Erasing a person or a face: rows, key, index files and bytes; then looking whether anything is left; then a receipt.

In one transaction every row of the person is deleted, the data key is destroyed, the audit log gets its row, and a note
is left that bytes are still to be removed. Then copies in index files are dropped, the store is compacted, and every
file is searched for pieces of the vectors, crops and keys that were deleted (held in memory for this search alone).
Only then is the note taken away and the receipt written. A process that is killed in between leaves the note, and
`finish`, which `open_gallery` calls, does the rest.

Out of reach, and said so on the receipt: backups made before, snapshots of the file system, blocks that the disk itself
has not overwritten yet, logs and replicas of a database server, and the photos that the faces came from.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from vultus.errors import InputError, StoreError
from vultus.gallery import audit
from vultus.gallery._book import note_change
from vultus.gallery._traces import PIECE, Traces
from vultus.gallery.stores.schema import Edit, Row, Rows, Store
from vultus.gallery.vault import Vault

__all__ = ["Copies", "Receipt", "erase", "finish", "leave_note", "pending", "remove_faces", "take_note_away"]

_PENDING = "erasure_pending"
_PAGE = 500
_LOOKS = 5  # times that files are searched before an erasure is said to have failed


@dataclass(frozen=True)
class Copies:
    """Files beside the store that hold vectors, such as a saved index.

    Attributes:
        name: for receipts, such as "search index".
        drop: removes them (they are made again from the store); how many there were.
        files: those that are there now.
    """

    name: str
    drop: Callable[[], int]
    files: Callable[[], Sequence[Path]]


@dataclass(frozen=True)
class Receipt:
    """What was erased, and what was checked afterwards. Holds no name, no vector and no picture.

    Attributes:
        id: of this receipt.
        person_id: key of the person, or "face:" and the key of a face.
        at: UTC, ISO 8601.
        actor: who asked for it.
        removed: how many rows of each table, keys and index files.
        verified: what was looked at afterwards and found free of it, in words.
        beyond: where this erasure does not reach, in words.
        audit_seq: number of its row in the audit log.
        audit_hash: hash of that row.
    """

    id: str
    person_id: str
    at: str
    actor: str
    removed: dict[str, int]
    verified: tuple[str, ...]
    beyond: tuple[str, ...]
    audit_seq: int
    audit_hash: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**self.__dict__, "removed": dict(self.removed), "verified": [*self.verified], "beyond": [*self.beyond]}


@dataclass
class _Job:
    """One erasure while it is done."""

    owner: str
    people: set[str]
    faces: list[Row]
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    traces: Traces = field(default_factory=Traces)
    removed: dict[str, int] = field(default_factory=dict)
    shared: int = 0

    def count(self, table: str, rows: int) -> None:
        self.removed[table] = self.removed.get(table, 0) + rows

    @property
    def ids(self) -> list[str]:
        return [*self.people, *(face["id"] for face in self.faces)]


def erase(store: Store, vault: Vault, person_id: str, *, actor: str, copies: Sequence[Copies] = ()) -> Receipt:
    """Remove a person: everything that was enrolled for them or assigned to them, and what the history tells of it.

    Args:
        store: the gallery.
        vault: its vault.
        person_id: key of the person.
        actor: who asks for it; goes into the audit log and the receipt.
        copies: files that hold vectors too.

    Raises:
        InputError: if there is no such person.
        StoreError: if the rows are gone but bytes could not be removed yet, because somebody reads the old state of the
            file, or were found afterwards; the next opening of the gallery tries again.
    """
    with store.write() as edit:
        if edit.get("people", person_id) is None:
            raise InputError(f"identity: expected the key of an enrolled person, got {person_id!r}")
        people = _with_absorbed(edit, person_id)
        job = _Job(person_id, people, [row for key in sorted(people) for row in edit.find("faces", person_id=key)])
        for key in people:
            _drop(job, edit, vault, "templates", "vector", key, person_id=key)
        _drop_faces(job, edit, vault)
        for key in people:
            job.count("people", edit.delete("people", id=key))
            job.count("links", edit.delete("links", b=key))
            _drop_key(job, edit, vault, key)
        _drop_history(job, edit)
        row = _note(job, edit, vault, actor, "erase")
    return _complete(job, store, vault, row, copies)


def remove_faces(
    store: Store,
    vault: Vault,
    face_ids: Sequence[str],
    *,
    actor: str,
    fuse: Callable[[Edit, str], None],
    copies: Sequence[Copies] = (),
) -> Receipt:
    """Remove faces of one person, or of nobody, as `erase` removes a person.

    Args:
        store: the gallery.
        vault: its vault.
        face_ids: at least one; all of one person, or none named.
        actor: who asks for it.
        fuse: makes the reference of that person anew from the faces that are left, in the same transaction.
        copies: files that hold vectors too.

    Raises:
        InputError: if there is no such face, faces are of different people, or the person has no other face.
        StoreError: as of `erase`.
    """
    with store.write() as edit:
        faces = [edit.get("faces", key) for key in dict.fromkeys(face_ids)]
        found = [face for face in faces if face is not None]
        if not found or len(found) != len(faces):
            raise InputError(f"faces: expected keys of stored faces, got {list(face_ids)}")
        owners = {face["person_id"] for face in found}
        if len(owners) > 1:
            raise InputError(f"faces: expected faces of one person, got those of {len(owners)}: remove them one by one")
        person_id = owners.pop()
        if person_id is not None and edit.count("faces", person_id=person_id) == len(found):
            raise InputError(f"faces: person {person_id} would be left without a face: erase the person instead")
        job = _Job(f"face:{found[0]['id']}", set(), found)
        for row in edit.find("templates", person_id=person_id) if person_id else []:
            _keep_trace(job, edit, vault, person_id or "", row["vector"], f"vector\0{person_id}\0{row['space']}")
        _drop_faces(job, edit, vault)
        _drop_history(job, edit)
        if person_id is not None:
            fuse(edit, person_id)
        row = _note(job, edit, vault, actor, "remove_face")
    return _complete(job, store, vault, row, copies)


def pending(rows: Rows) -> list[str]:
    """Receipts of erasures whose rows are gone and whose bytes are not yet removed for certain."""
    return [item["receipt"] for item in _noted(rows)]


def finish(store: Store, vault: Vault, *, copies: Sequence[Copies] = (), actor: str = "local") -> list[str]:
    """Do the rest of erasures that were interrupted; the ids of their receipts.

    Their vectors are known to nobody any more, so files cannot be searched for them: the store is compacted, and the
    audit log says that it was.
    """
    with store.read() as rows:
        waiting = _noted(rows)
    if not waiting:
        return []
    for copy in copies:
        copy.drop()
    store.compact()
    with store.write() as edit:
        still = [item for item in _noted(edit) if item in waiting]
        for item in still:
            take_note_away(edit, item["receipt"])
            details = {"receipt": item["receipt"], "resumed": True, "of": item["seq"]}
            audit.append(
                edit, actor=actor, verb="erase_finished", subject=item["subject"], details=details, mac=vault.mac
            )
    return [item["receipt"] for item in still]


# -- the transaction -------------------------------------------------------------------------------------------------


def _with_absorbed(edit: Edit, person_id: str) -> set[str]:
    """The person, and those who were merged into them and live on in the history alone."""
    people, entries = {person_id}, edit.find("undo")
    while True:
        near = {key for entry in entries if _mentions(entry, people) for key in entry["people"]} - people
        gone = {key for key in near if edit.get("people", key) is None}
        if not gone:
            return people
        people |= gone


def _drop_faces(job: _Job, edit: Edit, vault: Vault) -> None:
    for face in job.faces:
        owner = face["person_id"] or f"face:{face['id']}"
        _drop(job, edit, vault, "vectors", "vector", owner, face_id=face["id"])
        _drop(job, edit, vault, "crops", "jpeg", owner, face_id=face["id"])
        for end in ("a", "b"):
            job.count("links", edit.delete("links", **{end: face["id"]}))
        job.count("faces", edit.delete("faces", id=face["id"]))
        if face["person_id"] is None:
            _drop_key(job, edit, vault, owner)
    for medium in dict.fromkeys(face["medium"] for face in job.faces):
        if edit.count("faces", medium=medium):
            job.shared += 1
        else:
            job.count("media", edit.delete("media", medium=medium))


def _drop(job: _Job, edit: Edit, vault: Vault, table: str, column: str, owner: str, **equal: str) -> None:
    """Delete rows of vectors or crops and remember their bytes, as they lie in the file and as they were."""
    for row in edit.find(table, **equal):
        key = row.get("person_id") or row["face_id"]
        context = f"crop\0{key}" if table == "crops" else f"vector\0{key}\0{row['space']}"
        _keep_trace(job, edit, vault, owner, row[column], context)
    job.count(table, edit.delete(table, **equal))


def _keep_trace(job: _Job, edit: Edit, vault: Vault, owner: str, blob: bytes, context: str) -> None:
    job.traces.add(blob)
    if vault.encrypted:
        try:
            job.traces.add(vault.unseal(edit, owner, blob, context))
        except StoreError:  # a damaged row is erased like any other; there is no plain form of it to look for
            return


def _drop_key(job: _Job, edit: Edit, vault: Vault, owner: str) -> None:
    row = edit.get("keys", owner)
    if row is not None:
        job.traces.add(row["wrapped"])
        job.count("keys", int(vault.forget(edit, owner)))


def _drop_history(job: _Job, edit: Edit) -> None:
    """Corrections that mention somebody who is gone cannot be taken back, and may tell a name."""
    ids = set(job.ids)
    for entry in edit.find("undo"):
        if _mentions(entry, ids):
            job.count("undo", edit.delete("undo", seq=entry["seq"]))


def _mentions(entry: Row, ids: set[str]) -> bool:
    return not ids.isdisjoint(_texts([entry["people"], entry["steps"]]))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _note(job: _Job, edit: Edit, vault: Vault, actor: str, verb: str) -> Row:
    """Tell the index and the audit log, and leave the note that bytes are still to be removed."""
    for key in sorted(job.people):
        note_change(edit, key)
    job.removed = {table: n for table, n in sorted(job.removed.items()) if n}
    subject = job.owner.removeprefix("face:")
    details = {**job.removed, "receipt": job.id}
    row = audit.append(edit, actor=actor, verb=verb, subject=subject, details=details, mac=vault.mac)
    leave_note(edit, job.id, row)
    return row


def _noted(rows: Rows) -> list[dict[str, Any]]:
    row = rows.get("facts", _PENDING)
    return list(json.loads(row["value"])) if row else []


def leave_note(edit: Edit, receipt: str, row: Row) -> None:
    """Note that bytes are still to be removed from the files for what that row of the audit log tells of."""
    item = {"receipt": receipt, "subject": row["subject"], "seq": row["seq"]}
    edit.put("facts", {"key": _PENDING, "value": json.dumps([*_noted(edit), item])})


def take_note_away(edit: Edit, receipt: str) -> None:
    """They are removed."""
    left = [item for item in _noted(edit) if item["receipt"] != receipt]
    if left:
        edit.put("facts", {"key": _PENDING, "value": json.dumps(left)})
    else:
        edit.delete("facts", key=_PENDING)


# -- after it --------------------------------------------------------------------------------------------------------


def _complete(job: _Job, store: Store, vault: Vault, row: Row, copies: Sequence[Copies]) -> Receipt:
    for copy in copies:
        job.count("indexes", copy.drop())
    try:
        store.compact()
    except StoreError as error:
        raise StoreError(
            f"{job.owner} is removed (receipt {job.id}), but bytes are still in the files: {error}; the next opening of"
            " the gallery removes them"
        ) from error
    verified = [*_no_row_left(job, store), *_no_byte_left(job, store, copies)]
    with store.write() as edit:
        take_note_away(edit, job.id)
        details = {"receipt": job.id, "of": row["seq"], "verified": True}
        audit.append(
            edit, actor=row["actor"], verb="erase_finished", subject=row["subject"], details=details, mac=vault.mac
        )
        beyond = tuple(_beyond(job, store, edit))
    now = datetime.now(timezone.utc).isoformat(timespec="microseconds")
    removed = {table: n for table, n in job.removed.items() if n}
    return Receipt(
        job.id, job.owner, now, row["actor"], removed, tuple(verified), beyond, int(row["seq"]), str(row["hash"])
    )


def _no_row_left(job: _Job, store: Store) -> Iterator[str]:
    """Read back that no table mentions the person or the faces."""
    with store.read() as rows:
        left = [
            *(f"people {key}" for key in job.people if rows.get("people", key)),
            *(f"templates of {key}" for key in job.people if rows.count("templates", person_id=key)),
            *(f"faces of {key}" for key in job.people if rows.count("faces", person_id=key)),
            *(f"the key of {key}" for key in (*job.people, *_face_owners(job)) if rows.get("keys", key)),
        ]
        for face in job.faces:
            left += [f"{t} of {face['id']}" for t in ("vectors", "crops") if rows.count(t, face_id=face["id"])]
        left += [
            f"link {row['id']}" for key in job.ids for end in ("a", "b") for row in rows.find("links", **{end: key})
        ]
        ids = set(job.ids)
        left += [f"history {entry['seq']}" for entry in rows.find("undo") if _mentions(entry, ids)]
    if left:
        raise StoreError(
            f"after erasing {job.owner} (receipt {job.id}) there are rows again: {', '.join(left[:5])}; somebody added"
            " them meanwhile: erase again"
        )
    yield "no row of people, templates, faces, vectors, crops, links, undo and keys mentions it"


def _face_owners(job: _Job) -> list[str]:
    return [f"face:{face['id']}" for face in job.faces]


def _no_byte_left(job: _Job, store: Store, copies: Sequence[Copies]) -> Iterator[str]:
    """Search every file for pieces of what was deleted."""
    files = [*store.files(), *(file for copy in copies for file in copy.files())]
    if files:
        found = _found(job, store, files)
        for _ in range(_LOOKS - 1):
            if not found:
                break
            # another erasure at the same time removes rows that share bytes with these, such as the head of a JPEG
            store.compact()
            found = _found(job, store, files)
        if found:
            raise StoreError(
                f"after erasing {job.owner} (receipt {job.id}) pieces of it are still in"
                f" {', '.join(str(file) for file in found)}: close every program that has the gallery open and open it"
                " again, which removes them"
            )
        size = sum(file.stat().st_size for file in files if file.exists())
        names = ", ".join(file.name for file in files)
        yield (
            f"no {PIECE} bytes of its {job.traces.values} vectors, references, crops and keys are in {names}"
            f" ({size:,} bytes searched)"
        )
    for copy in copies:
        yield f"{copy.name}: its files were removed; it is made again from the store"


def _found(job: _Job, store: Store, files: Sequence[Path]) -> dict[Path, list[bytes]]:
    """Files with pieces of what was deleted that no row holds rightly."""
    found = job.traces.found(files)
    if not found:
        return {}
    again = job.traces.only(piece for pieces in found.values() for piece in pieces)
    with store.read() as rows:
        again.spare(_kept_bytes(rows))
    return again.found(files)


def _kept_bytes(rows: Rows) -> Iterator[bytes]:
    """What other people's rows hold."""
    for table, column in (("templates", "vector"), ("vectors", "vector"), ("crops", "jpeg"), ("adapters", "body")):
        yield from (row[column] for row in _every(rows, table))


def _every(rows: Rows, table: str) -> Iterable[Row]:
    from vultus.gallery.stores.schema import TABLES

    at: tuple[Any, ...] | None = None
    while page := rows.after(table, at, _PAGE):
        yield from page
        at = tuple(page[-1][name] for name in TABLES[table].key)


def _beyond(job: _Job, store: Store, rows: Rows) -> Iterator[str]:
    fact = rows.get("facts", "backups")
    for backup in json.loads(fact["value"]) if fact else []:
        yield f"the backup of {backup['at']}, {backup['file']}: delete it, or erase there as well"
    if fact is None:
        yield "copies of the gallery that were made without `vultus backup`"
    if store.files():
        yield "snapshots of the file system, and blocks of the disk that were freed and not yet written over"
    else:
        yield "the database server's own logs, archives, replicas, backups and files"
    if job.shared:
        yield f"{job.shared} pictures that other stored faces are on, too, keep their rows"
    yield "the photos themselves, and what was exported from the gallery before"

"""Turning encryption on for a gallery that is there already, and giving an encrypted one another key.

Both are one transaction, after which the bytes that it replaced are removed from the files. What stops in between is
finished when the gallery is opened next, as an erasure is.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from vultus.errors import StoreError
from vultus.gallery import audit
from vultus.gallery._traces import Traces
from vultus.gallery.check import every
from vultus.gallery.erase import leave_note, take_note_away
from vultus.gallery.stores.schema import Edit, Row, Store, checksum
from vultus.gallery.vault import Vault

__all__ = ["Locked", "encrypt", "rotate", "sweep"]

_SAMPLE = 2000  # values that are looked for in the files afterwards


@dataclass
class Locked:
    """What a transaction sealed or wrapped.

    Attributes:
        rows: how many, by table; "keys": how many data keys.
        traces: plain bytes that should be gone from the files: of the first 2000 rows.
        note: names the note that the bytes are still there; `sweep` takes it away.
    """

    rows: dict[str, int]
    traces: Traces = field(default_factory=Traces)
    note: str = field(default_factory=lambda: uuid.uuid4().hex)


def encrypt(store: Store, key: bytes, *, actor: str = "local") -> Locked:
    """Seal everything that a gallery holds, in one transaction; `sweep` then removes the plain bytes from its files.

    Backups made before stay as they are, in plain: delete them. Who loses the key loses the gallery.

    Args:
        store: the gallery.
        key: 32 bytes, from `vault.new_key`.
        actor: who does it.

    Raises:
        Refused: if the gallery is encrypted already.
        StoreError: if a row is damaged; then nothing has changed.
    """
    done = Locked({"vectors": 0, "templates": 0, "crops": 0})
    with store.write() as edit:
        vault = Vault.start(edit, key)
        for table in ("vectors", "templates", "crops"):
            for row in every(edit, table):
                if done.traces.values < _SAMPLE:
                    done.traces.add(row["jpeg" if table == "crops" else "vector"])
                edit.put(table, _sealed(edit, vault, table, row))
                done.rows[table] += 1
        done.rows["keys"] = edit.count("keys")
        row = audit.append(edit, actor=actor, verb="encrypt", details=done.rows, mac=vault.mac)
        leave_note(edit, done.note, row)
    return done


def rotate(store: Store, old_key: bytes, new_key: bytes, *, actor: str = "local") -> Locked:
    """Give an encrypted gallery another key, in one transaction; `sweep` removes what the old one opens.

    Raises:
        Refused: if the gallery is not encrypted, or `old_key` is not its key.
    """
    with store.write() as edit:
        done = Locked({"keys": Vault.plain().rewrap(edit, old_key, new_key)})
        row = audit.append(edit, actor=actor, verb="rotate_key", details=done.rows, mac=Vault.open(edit, new_key).mac)
        leave_note(edit, done.note, row)
    return done


def sweep(store: Store, done: Locked) -> None:
    """Remove the bytes that were replaced from the files, and look whether they are gone.

    Raises:
        StoreError: if they are not, because somebody reads an old state; the next opening of the gallery tries again.
    """
    store.compact()
    left = done.traces.found(store.files())
    if left:
        names = ", ".join(str(file) for file in left)
        raise StoreError(f"plain bytes are still in {names}: close whatever has the gallery open, and open it again")
    with store.write() as edit:
        take_note_away(edit, done.note)


def _sealed(edit: Edit, vault: Vault, table: str, row: Row) -> Row:
    told: tuple[str, ...] = ()
    if table == "templates":
        key = owner = row["person_id"]
        person = edit.get("people", key)
        told = ("" if person is None else str(person["name"]),)
    else:
        key = row["face_id"]
        face = edit.get("faces", key)
        owner = f"face:{key}" if face is None or face["person_id"] is None else face["person_id"]
    if table == "crops":
        return {**row, "jpeg": vault.seal(edit, owner, row["jpeg"], f"crop\0{key}")}
    if checksum(row["vector"], key, *told, row["space"]) != row["checksum"]:
        raise StoreError(f"the vector of {key} is damaged: restore a backup before the gallery is encrypted")
    blob = vault.seal(edit, owner, row["vector"], f"vector\0{key}\0{row['space']}")
    return {**row, "vector": blob, "checksum": checksum(blob, key, *told, row["space"])}

"""Backups that were looked through before they count: one SQLite file of all rows, from a store of any kind.

An encrypted gallery stays encrypted in its backup. The gallery key is not in it: without the key the backup is noise,
and a key that is lost cannot be made again. A backup knows nothing of what was erased after it was made: `restore`
takes an exported audit log of the gallery as it was later, and erases those people again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from os import PathLike
from pathlib import Path
from typing import Any

from vultus.errors import InputError, Refused, StoreError
from vultus.gallery import audit
from vultus.gallery.check import every, faults
from vultus.gallery.erase import erase, pending
from vultus.gallery.stores.schema import TABLES, Edit, Rows, Store
from vultus.gallery.stores.sqlite_file import SqliteFile
from vultus.gallery.vault import Vault

__all__ = ["CopyReport", "backup", "restore"]

_NOT_COPIED = ("changes",)  # tells an index what changed at which revision of its own store: made anew by the next one
_KEPT = 100  # backups that are remembered


@dataclass(frozen=True)
class CopyReport:
    """What was copied, and what was looked at.

    Attributes:
        source: where the rows came from.
        target: where they are now.
        rows: how many of each table.
        digest: sha256 over all rows in order; equal for equal galleries, whatever store they lie in.
        encrypted: whether vectors and crops are sealed.
        checks: what was looked at and found whole, in words.
        unchecked: what was not looked at and why, in words.
        erased: people whom an exported audit log had erased, and who were erased again (restore only).
    """

    source: str
    target: str
    rows: dict[str, int]
    digest: str
    encrypted: bool
    checks: tuple[str, ...]
    unchecked: tuple[str, ...]
    erased: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        tuples = {name: [*getattr(self, name)] for name in ("checks", "unchecked", "erased")}
        return {**self.__dict__, "rows": dict(self.rows), **tuples}


def backup(store: Store, path: str | PathLike[str], *, key: bytes | None = None, actor: str = "local") -> CopyReport:
    """Write a consistent copy of a gallery to a new file, and look it through.

    Args:
        store: the gallery; others may go on writing.
        path: a file that is not there yet.
        key: the gallery key; without it an encrypted gallery is copied, and its sealed contents are not looked at.
        actor: who does it; goes into the audit log, in which only `key` or no encryption lets a row be written.

    Raises:
        StoreError: if the file is there already, cannot be written, or is not whole; then no file is left.
    """
    target = Path(path)
    if not store.exists():
        raise InputError(f"{store.url}: expected a gallery, got nothing there")
    with store.read() as rows:
        before = rows.revision()
        if pending(rows):
            raise StoreError(
                f"{store.url}: an erasure is not finished: opening the gallery finishes it, then try again"
            )
    store.backup(target)
    copy = SqliteFile(target, readonly=True)
    try:
        with copy.read() as rows:
            vault, unchecked = _vault(rows, key)
            wrong = [*copy.damage(), *faults(rows, vault)]
            digest, counts = _digest(rows)
        checks = _words(vault)
        if store.revision() == before:
            with store.read() as original:
                if original.revision() == before:
                    wrong += (
                        [] if _digest(original) == (digest, counts) else ["its rows differ from those of the gallery"]
                    )
                    checks.append("every row equals the one in the gallery")
    except BaseException:
        _unlink(copy)
        raise
    copy.close()
    if wrong:
        _unlink(copy)
        raise StoreError(f"{target}: the backup is not whole and was removed; {'; '.join(wrong[:5])}")
    encrypted = vault is None or vault.encrypted
    if vault is not None:
        _remember(store, vault, target, counts, actor)
    else:
        unchecked.append("the backup is not noted in the gallery, as its audit log needs the key")
    return CopyReport(store.url, str(target), counts, digest, encrypted, tuple(checks), tuple(unchecked))


def restore(
    path: str | PathLike[str],
    store: Store,
    *,
    key: bytes | None = None,
    actor: str = "local",
    later: Iterable[Mapping[str, Any]] = (),
) -> CopyReport:
    """Copy a backup into a store that holds nothing yet, in one transaction, and look it through.

    Args:
        path: a file that `backup` wrote.
        store: of any kind.
        key: the gallery key; without it an encrypted backup is copied, and its sealed contents are not looked at.
        actor: who does it.
        later: rows of an audit log exported after the backup was made (`audit.export`): people who were erased since
            are erased again.

    Raises:
        InputError: if there is no backup, or `later` is of another gallery.
        StoreError: if the store holds something already, or the backup is damaged; then nothing was changed.
    """
    source = SqliteFile(Path(path), readonly=True)
    if not source.path.exists() or not source.exists():
        raise InputError(f"{source.path}: expected a backup, got nothing there")
    there = store.exists()
    if there:
        _refuse_full(store)
    try:
        with source.read() as rows:
            vault, unchecked = _vault(rows, key)
            wrong = [*source.damage(), *faults(rows, vault)]
            if wrong:
                raise StoreError(f"{source.path}: this backup is damaged: {'; '.join(wrong[:5])}")
            gone = _erased_later(rows, later)
            if gone and vault is None:
                raise Refused(f"{source.path}: erasing {len(gone)} people again needs the gallery key: give it")
            with store.write() as edit:
                digest, counts = _copied(rows, edit, source.path)
                if vault is not None:
                    details = {"people": counts["people"], "faces": counts["faces"]}
                    audit.append(edit, actor=actor, verb="restore", details=details, mac=vault.mac)
    except BaseException:
        if not there:
            _unlink(store)
        raise
    finally:
        source.close()
    checks = [*_words(vault), "every row equals the one in the backup"]
    for person_id in gone:
        erase(store, vault or Vault.plain(), person_id, actor=actor)
    encrypted = vault is None or vault.encrypted
    return CopyReport(str(path), store.url, counts, digest, encrypted, tuple(checks), tuple(unchecked), tuple(gone))


def _vault(rows: Rows, key: bytes | None) -> tuple[Vault | None, list[str]]:
    """The vault, or None and what cannot be looked at without it."""
    if key is None and rows.get("facts", "encrypted") is not None:
        return None, ["sealed vectors, references and the audit log: the gallery key was not given"]
    return Vault.open(rows, key if rows.get("facts", "encrypted") else None), []


def _words(vault: Vault | None) -> list[str]:
    checks = ["the file as a database", "every checksum", "no row without its owner"]
    if vault is not None:
        checks += ["every reference fused again from its faces", "the chain of the audit log"]
    return checks


def _digest(rows: Rows) -> tuple[str, dict[str, int]]:
    digest, counts = hashlib.sha256(), {}
    for table in (name for name in TABLES if name not in _NOT_COPIED):
        counts[table] = 0
        for row in every(rows, table):
            counts[table] += 1
            digest.update(_canonical(table, row))
    return digest.hexdigest(), counts


def _canonical(table: str, row: dict[str, Any]) -> bytes:
    plain = {name: value.hex() if isinstance(value, bytes) else value for name, value in row.items()}
    return json.dumps([table, plain], sort_keys=True, separators=(",", ":")).encode()


def _copied(rows: Rows, edit: Edit, source: Path) -> tuple[str, dict[str, int]]:
    """Every row, and that it arrived as it was; an error undoes the transaction."""
    for table in (name for name in TABLES if name not in _NOT_COPIED):
        for row in every(rows, table):
            edit.put(table, row)
    left, right = _digest(rows), _digest(edit)
    if left != right:
        differ = [table for table in left[1] if left[1][table] != right[1].get(table)]
        raise StoreError(f"{source}: rows arrived changed in {', '.join(differ) or 'some table'}: nothing was restored")
    return right


def _refuse_full(store: Store) -> None:
    with store.read() as rows:
        held = [table for table in TABLES if table != "facts" and rows.after(table, None, 1)]
    if held:
        raise StoreError(f"{store.url} holds a gallery already ({', '.join(held)}): restore into a new one")


def _remember(store: Store, vault: Vault, target: Path, counts: dict[str, int], actor: str) -> None:
    """Note the backup in the gallery, so that the receipt of a later erasure can name it."""
    with store.write() as edit:
        fact = edit.get("facts", "backups")
        kept = json.loads(fact["value"]) if fact else []
        at = datetime.now(timezone.utc).isoformat(timespec="seconds")
        kept = [*kept, {"at": at, "file": os.path.abspath(target)}][-_KEPT:]
        edit.put("facts", {"key": "backups", "value": json.dumps(kept)})
        details = {"people": counts["people"], "faces": counts["faces"]}
        audit.append(edit, actor=actor, verb="backup", details=details, mac=vault.mac)


def _erased_later(rows: Rows, later: Iterable[Mapping[str, Any]]) -> list[str]:
    """People of a backup whom the log of the gallery, as it went on, says were erased."""
    end, log = audit.head(rows), [row for row in later if "seq" in row]
    if not log:
        return []
    if end.seq and {row["seq"]: row["hash"] for row in log}.get(end.seq) != end.hash:
        raise InputError("the exported audit log does not go on where this backup ends: it is of another gallery")
    subjects = {row["subject"] for row in log if row["verb"] == "erase" and row["seq"] > end.seq}
    return [person["id"] for person in every(rows, "people") if audit.pseudonym(person["id"]) in subjects]


def _unlink(store: Store) -> None:
    """Leave no half-made gallery file behind."""
    store.close()
    for file in store.files():
        file.unlink(missing_ok=True)

"""One SQLite file that holds people, the vectors of their photos and the reference fused from them.

The file is the whole truth: there is no index beside it that could drift away. It runs in write-ahead mode, every write
is one transaction that also raises the revision, and every vector lies as little-endian float32 with a checksum that
covers whose vector it is, so that a damaged or swapped row is noticed before it can return the wrong name.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vultus.errors import InputError, StoreError
from vultus.types import F32, Identity, Template, checked

__all__ = ["Photo", "Roster", "SqliteStore", "Transaction"]

SCHEMA_VERSION = 1
APPLICATION_ID = 0x76756C74  # "vult" in ASCII: tells a gallery from any other SQLite file
BUSY_SECONDS = 30.0
_SCHEMA = """
CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE people (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, space TEXT NOT NULL, vector BLOB NOT NULL, checksum BLOB NOT NULL,
    quality REAL, n_images INTEGER NOT NULL, enrolled_at TEXT NOT NULL
);
CREATE INDEX people_name ON people (name);
CREATE TABLE photos (
    person_id TEXT NOT NULL REFERENCES people (id) ON DELETE CASCADE, medium TEXT NOT NULL, space TEXT NOT NULL,
    vector BLOB NOT NULL, checksum BLOB NOT NULL, quality REAL, added_at TEXT NOT NULL,
    PRIMARY KEY (person_id, medium)
);
INSERT INTO facts VALUES ('revision', '0');
"""
_orphans: list[sqlite3.Connection] = []  # connections of a parent process: SQLite forbids a fork to use or close them


@dataclass(frozen=True)
class Photo:
    """One enrolled picture of a person.

    Attributes:
        medium: sha256 of the picture, its key within the person.
        vector: (D,) float32, unit length.
        quality: in [0, 1], or None when it was not assessed.
        added_at: UTC, ISO 8601.
    """

    medium: str
    vector: F32
    quality: float | None
    added_at: str


@dataclass(frozen=True)
class Roster:
    """Everyone at one revision, as columns, ordered by name and id.

    Attributes:
        revision: the store's revision this was read at.
        space: embedding space, or None while nobody is enrolled.
        ids: (N,) keys.
        names: (N,) names.
        vectors: (N, D) float32, the fused references.
    """

    revision: int
    space: str | None
    ids: tuple[str, ...]
    names: tuple[str, ...]
    vectors: F32


class Transaction:
    """What may be done inside `SqliteStore.write`; all of it happens, or none."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._sql = connection

    def space(self) -> str | None:
        """The one space of this gallery, or None while nobody is enrolled."""
        row = self._sql.execute("SELECT space FROM people LIMIT 1").fetchone()
        return None if row is None else str(row[0])

    def dim(self) -> int | None:
        """D, or None while nobody is enrolled."""
        row = self._sql.execute("SELECT length(vector) / 4 FROM people LIMIT 1").fetchone()
        return None if row is None else int(row[0])

    def person(self, identity_id: str) -> Identity | None:
        """The person of that key with the media of the reference, or None."""
        found = self._people("WHERE id = ?", identity_id)
        return found[0] if found else None

    def people(self) -> list[Identity]:
        """Everyone, ordered by name and id."""
        return self._people("")

    def named(self, name: str) -> list[Identity]:
        """Everyone of that name, ordered by id."""
        return self._people("WHERE name = ?", name)

    def _people(self, where: str, *values: str) -> list[Identity]:
        rows = self._sql.execute(
            "SELECT id, name, space, vector, checksum, quality, n_images, enrolled_at FROM people"
            f" {where} ORDER BY name, id",
            values,
        ).fetchall()
        media: dict[str, list[str]] = {row[0]: [] for row in rows}
        for key, medium in self._sql.execute(
            f"SELECT person_id, medium FROM photos WHERE person_id IN (SELECT id FROM people {where})"
            " ORDER BY added_at, medium",
            values,
        ):
            media[key].append(medium)
        return [_identity(row, media[row[0]]) for row in rows]

    def photos(self, identity_id: str) -> list[Photo]:
        """The pictures of a person, oldest first."""
        rows = self._sql.execute(
            "SELECT medium, space, vector, checksum, quality, added_at FROM photos WHERE person_id = ?"
            " ORDER BY added_at, medium",
            (identity_id,),
        )
        return [
            Photo(medium, _vector(vector, checksum, identity_id, medium, space), quality, added_at)
            for medium, space, vector, checksum, quality, added_at in rows
        ]

    def put(self, person: Identity, photos: Sequence[Photo]) -> None:
        """Write a person and replace their pictures by `photos`."""
        template = person.template
        blob = _blob(template.vector)
        self._sql.execute(
            "INSERT INTO people VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET name = excluded.name,"
            " space = excluded.space, vector = excluded.vector, checksum = excluded.checksum,"
            " quality = excluded.quality, n_images = excluded.n_images",
            (
                person.id, person.name, template.space, blob, _checksum(blob, person.id, person.name, template.space),
                template.quality, template.n_images, person.enrolled_at,
            ),
        )  # fmt: skip
        self._sql.execute("DELETE FROM photos WHERE person_id = ?", (person.id,))
        for photo in photos:
            blob = _blob(photo.vector)
            check = _checksum(blob, person.id, photo.medium, template.space)
            self._sql.execute(
                "INSERT INTO photos VALUES (?, ?, ?, ?, ?, ?, ?)",
                (person.id, photo.medium, template.space, blob, check, photo.quality, photo.added_at),
            )

    def delete(self, identity_id: str) -> bool:
        """Remove a person and their pictures; False when there is none of that key."""
        return self._sql.execute("DELETE FROM people WHERE id = ?", (identity_id,)).rowcount == 1


class SqliteStore:
    """A gallery file; safe for several threads and several processes at once.

    Args:
        path: the file; it is made on the first use.

    Raises:
        StoreError: (on use) when the file cannot be opened, is damaged, or is not a gallery.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._sql: sqlite3.Connection | None = None
        self._pid = os.getpid()

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """One transaction: everything done inside is kept when the block ends, nothing when it raises."""
        with self._locked() as sql:
            sql.execute("BEGIN IMMEDIATE")
            try:
                yield Transaction(sql)
                sql.execute("UPDATE facts SET value = CAST(value AS INTEGER) + 1 WHERE key = 'revision'")
                sql.execute("COMMIT")
            except BaseException:
                if sql.in_transaction:
                    sql.execute("ROLLBACK")
                raise

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """One consistent view: what other processes write meanwhile is not seen."""
        with self._locked() as sql:
            sql.execute("BEGIN")
            try:
                yield Transaction(sql)
            finally:
                sql.execute("ROLLBACK")

    def revision(self) -> int:
        """A number that every write raises, whoever wrote."""
        with self._locked() as sql:
            return _revision(sql)

    def roster(self) -> Roster:
        """Everyone, at one revision; checks every checksum."""
        with self._locked() as sql:
            sql.execute("BEGIN")
            try:
                revision = _revision(sql)
                rows = sql.execute("SELECT id, name, space, vector, checksum FROM people ORDER BY name, id").fetchall()
            finally:
                sql.execute("ROLLBACK")
            vectors = [_vector(blob, check, key, name, space) for key, name, space, blob, check in rows]
        spaces = sorted({row[2] for row in rows})
        if len(spaces) > 1:
            raise StoreError(f"{self.path}: expected vectors of one space, found {', '.join(spaces)}: restore a backup")
        table = np.stack(vectors) if vectors else np.zeros((0, 0), np.float32)
        table.setflags(write=False)
        ids, names = tuple(row[0] for row in rows), tuple(row[1] for row in rows)
        return Roster(revision, spaces[0] if spaces else None, ids, names, table)

    def people(self) -> list[Identity]:
        """Everyone with the media of their reference, ordered by name and id."""
        with self.read() as view:
            return view.people()

    def damage(self) -> list[str]:
        """What SQLite itself finds wrong with the file; empty when nothing is."""
        with self._locked() as sql:
            found = [str(row[0]) for row in sql.execute("PRAGMA integrity_check")]
            found += [f"photo of nobody: {row}" for row in sql.execute("PRAGMA foreign_key_check")]
        return [line for line in found if line != "ok"]

    def compact(self) -> None:
        """Move the write-ahead log into the file, so that what was deleted is in neither."""
        with self._locked() as sql:
            sql.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        with self._lock:
            if self._sql is not None:
                self._forget_if_forked()
            if self._sql is not None:
                self._sql.close()
                self._sql = None

    def __reduce__(self) -> tuple[type[SqliteStore], tuple[Path]]:
        return SqliteStore, (self.path,)  # a copy, here or in another process, opens the same file

    def __del__(self) -> None:
        if getattr(self, "_sql", None) is not None:
            self.close()

    def _forget_if_forked(self) -> None:
        if self._sql is not None and self._pid != os.getpid():
            _orphans.append(self._sql)
            self._sql = None

    @contextmanager
    def _locked(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._forget_if_forked()
            try:
                if self._sql is None:
                    self._sql, self._pid = _connect(self.path), os.getpid()
                yield self._sql
            except sqlite3.Error as error:
                raise StoreError(_words(self.path, error)) from error


def _connect(path: Path) -> sqlite3.Connection:
    if path.is_dir():
        raise StoreError(f"{path} is a directory: name a file for the gallery, such as {path / 'people.db'}")
    if not path.parent.is_dir():
        raise StoreError(f"{path}: the folder {path.parent} does not exist: make it first")
    fresh = not path.exists()
    sql = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        sql.execute("PRAGMA foreign_keys = ON")
        sql.execute("PRAGMA secure_delete = ON")  # a removed face is overwritten, not only unlinked
        if not _is_ours(sql, path):
            _create(sql, path)
        sql.execute("PRAGMA journal_mode = WAL")
        sql.execute("PRAGMA synchronous = FULL")
    except BaseException:
        sql.close()
        if fresh and path.exists() and not path.stat().st_size:
            path.unlink()  # nothing was begun: an empty file would look like a gallery without people
        raise
    return sql


def _is_ours(sql: sqlite3.Connection, path: Path) -> bool:
    """True for a gallery, False for an empty file; anything else is refused."""
    owner, version = (sql.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
    if owner == APPLICATION_ID:
        if version != SCHEMA_VERSION:
            raise StoreError(
                f"{path}: expected gallery schema {SCHEMA_VERSION}, found {version}: it was made by another version of "
                "vultus; use that version, or choose another file name"
            )
        return True
    if sql.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise StoreError(f"{path} is an SQLite file, but not a vultus gallery: choose another file name")
    return False


def _create(sql: sqlite3.Connection, path: Path) -> None:
    sql.execute("BEGIN IMMEDIATE")
    try:
        if not _is_ours(sql, path):  # another process may have been faster
            for statement in _SCHEMA.strip().rstrip(";").split(";\n"):
                sql.execute(statement)
            sql.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            sql.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        sql.execute("COMMIT")
    except BaseException:
        if sql.in_transaction:
            sql.execute("ROLLBACK")
        raise


def _revision(sql: sqlite3.Connection) -> int:
    return int(sql.execute("SELECT value FROM facts WHERE key = 'revision'").fetchone()[0])


def _blob(vector: F32) -> bytes:
    return np.ascontiguousarray(vector, dtype="<f4").tobytes()


def _checksum(blob: bytes, *owner: str) -> bytes:
    digest = hashlib.blake2b(blob, digest_size=16)
    for part in owner:
        digest.update(b"\0" + part.encode())
    return digest.digest()


def _vector(blob: bytes, checksum: bytes, *owner: str) -> F32:
    """The vector in a blob, after its checksum was found to be that of this owner."""
    if not isinstance(blob, bytes) or len(blob) % 4 or _checksum(blob, *owner) != checksum:
        raise StoreError(
            f"the vector of {owner[1]!r} ({owner[0]}) is damaged: restore a backup or enroll this person again"
        )
    vector: F32 = np.frombuffer(blob, dtype="<f4").astype(np.float32)
    return vector


def _identity(row: Sequence[object], media: Sequence[str]) -> Identity:
    key, name, space, blob, checksum, quality, n_images, enrolled_at = row
    vector = _vector(blob, checksum, key, name, space)  # type: ignore[arg-type]
    if n_images != len(media):
        raise StoreError(f"{name!r} ({key}): the reference was fused from {n_images} pictures, found {len(media)}")
    try:
        template = Template(checked("vector", vector, (None,)), str(space), quality, len(media), tuple(media))  # type: ignore[arg-type]
    except InputError as error:
        raise StoreError(f"the reference of {name!r} ({key}) is not a unit vector: {error}") from error
    return Identity(str(key), str(name), template, str(enrolled_at))


def _words(path: Path, error: sqlite3.Error) -> str:
    text = str(error)
    if any(sign in text for sign in ("not a database", "malformed", "no such table", "no such column")):
        return f"{path} is damaged or is not a gallery ({text}): restore a backup or choose another file name"
    if "locked" in text or "busy" in text:
        return f"{path}: another process has been writing for {BUSY_SECONDS:.0f} s ({text}): try again when it is done"
    if "full" in text:
        return f"{path}: there is no room to write ({text}): nothing was changed; free some space and try again"
    if "readonly" in text or "unable to open" in text or "disk I/O" in text:
        return f"{path} cannot be opened or written ({text}): check that the file and its folder may be written"
    return f"{path}: {text}"

"""Opening an SQLite gallery file: made, migrated or refused, with every guard switched on."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from vultus.errors import StoreError
from vultus.gallery.stores._migrations import MIGRATIONS
from vultus.gallery.stores._sql import SQLITE
from vultus.gallery.stores.schema import SCHEMA_VERSION

__all__ = ["APPLICATION_ID", "BUSY_SECONDS", "Handle", "connect", "logs_of", "place_of", "words"]

APPLICATION_ID = 0x76756C74  # "vult" in ASCII: tells a gallery from any other SQLite file
BUSY_SECONDS = 30.0
PAGE_BYTES = 8192  # three vectors of 512 numbers fit on a page; of 4096 bytes each would waste half


class Handle:
    """One connection to a gallery file; SQLite's errors leave it as `StoreError` in words.

    Attributes:
        sql: the connection.
        file: the file it was opened by.
        readonly: the file lies where nothing can be written.
        place: device and inode: tells whether another file lies there by now.
        failed: an error came; the transaction may be gone.
    """

    def __init__(self, sql: sqlite3.Connection, file: Path, readonly: bool = False) -> None:
        self.sql = sql
        self.file = file
        self.readonly = readonly
        self.place = place_of(file)
        self.pid = os.getpid()
        self.failed = False

    def rows(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Run a query inside the transaction."""
        with self._inside():
            return self.sql.execute(sql, values).fetchall()

    def change(self, sql: str, values: Sequence[Any]) -> int:
        """Run a change inside the transaction; how many rows it touched."""
        with self._inside():
            return self.sql.execute(sql, values).rowcount

    def many(self, sql: str, records: Sequence[Sequence[Any]]) -> int:
        """Run a change for each record; how many rows were touched."""
        with self._inside():
            return self.sql.executemany(sql, records).rowcount

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement wherever the connection is."""
        with self._worded():
            return self.sql.execute(sql).fetchall()

    def usable(self) -> bool:
        """Whether the file is still the one that was opened.

        Raises:
            StoreError: if it is another one, beside which the log of the old one lies: SQLite would mix them.
        """
        if self.place == place_of(self.file):
            return True
        if any(log.exists() and log.stat().st_size for log in logs_of(self.file)):
            raise StoreError(
                f"{self.file}: another file was put in its place while it was in use, and the log of the old one lies "
                f"beside it: stop every program that uses it and delete {self.file.name}-wal"
            )
        return False

    def rest(self) -> bool:
        """End the transaction; False when the connection must be closed."""
        if self.sql.in_transaction:
            with contextlib.suppress(sqlite3.Error):  # the connection is closed then, which rolls back as well
                self.sql.execute("ROLLBACK")
        return not self.failed and not self.sql.in_transaction

    def close(self) -> None:
        """Close the connection."""
        self.sql.close()

    @contextlib.contextmanager
    def _inside(self) -> Iterator[None]:
        if not self.sql.in_transaction:  # an error ended it: what follows would be kept one by one
            self.failed = True
            raise StoreError(f"{self.file}: an earlier error ended this transaction: nothing of it was kept")
        with self._worded():
            yield

    @contextlib.contextmanager
    def _worded(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            self.failed = True
            raise StoreError(words(self.file, error)) from error


def place_of(file: Path) -> tuple[int, int]:
    """Device and inode of a file; zeros when there is none."""
    try:
        found = os.stat(file)
    except FileNotFoundError:
        return 0, 0
    except OSError as error:
        raise StoreError(f"{file} cannot be opened ({error}): check the name and the rights of its folders") from error
    return found.st_dev, found.st_ino


def logs_of(file: Path) -> list[Path]:
    """Where SQLite keeps what is not yet, or was, in the file."""
    return [file.with_name(f"{file.name}{end}") for end in ("-wal", "-journal")]


def connect(file: Path, *, readonly: bool = False) -> Handle:
    """Open a gallery file, make it where there is none, and bring an older one to the present schema.

    With `readonly` it is opened as it lies there.

    Raises:
        StoreError: if it cannot be opened, is damaged, is no gallery, or is newer than this package.
    """
    fresh = place_of(file) == (0, 0)
    if not fresh and file.is_dir():
        raise StoreError(f"{file} is a directory: name a file for the gallery, such as {file / 'people.db'}")
    if fresh and not file.parent.is_dir():
        raise StoreError(f"{file}: the folder {file.parent} does not exist: make it first")
    try:
        return _readonly(file) if readonly else _writable(file)
    except sqlite3.Error as error:
        if fresh and file.exists() and not file.stat().st_size:
            file.unlink()  # nothing was begun: an empty file would look like a gallery without people
        if not fresh and isinstance(error, sqlite3.OperationalError) and _cannot_write(error):
            return _readonly(file)
        raise StoreError(words(file, error)) from error


def _open(file: Path, options: str = "") -> sqlite3.Connection:
    name = f"file:{quote(str(file))}{options}"
    sql = sqlite3.connect(name, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    sql.execute("PRAGMA trusted_schema = OFF")  # what a file brings along is not run
    sql.execute("PRAGMA temp_store = MEMORY")  # no rows in files that nobody looks after
    return sql


def _writable(file: Path) -> Handle:
    sql = _open(file)
    try:
        sql.execute("PRAGMA secure_delete = ON")  # a removed face is overwritten, not only unlinked
        if _version(sql, file) != SCHEMA_VERSION:
            _bring_up(sql, file)
        _switch_to_wal(sql)
        sql.execute("PRAGMA synchronous = FULL")
    except BaseException:
        sql.close()
        raise
    return Handle(sql, file)


def _readonly(file: Path) -> Handle:
    """A gallery on a medium that cannot be written: read as it lies there."""
    log = file.with_name(f"{file.name}-wal")
    for options in ("?mode=ro", "?mode=ro&immutable=1"):
        if "immutable" in options and log.exists() and log.stat().st_size:
            raise StoreError(
                f"{file} is on a read-only medium and part of it is still in {log.name}: copy both to a folder that "
                "can be written"
            )
        try:
            sql = _open(file, options)
        except sqlite3.Error as error:
            raise StoreError(words(file, error)) from error
        try:
            found = _version(sql, file)
            if found == SCHEMA_VERSION:
                return Handle(sql, file, readonly=True)
        except sqlite3.OperationalError as error:
            sql.close()
            if not _cannot_write(error):
                raise StoreError(words(file, error)) from error
            continue
        except BaseException:
            sql.close()
            raise
        sql.close()
        raise StoreError(
            f"{file}: schema {found} must be brought to {SCHEMA_VERSION}, but nothing can be written there: copy the "
            "file to a folder that can be written"
        )
    raise StoreError(f"{file} cannot be opened: check that the file and its folder may be read")


def _cannot_write(error: sqlite3.Error) -> bool:
    return any(sign in str(error) for sign in ("readonly", "unable to open"))


def _version(sql: sqlite3.Connection, file: Path) -> int:
    """The schema of a gallery, 0 for an empty file; anything else is refused."""
    owner, version = (int(sql.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("application_id", "user_version"))
    if owner == APPLICATION_ID:
        if not 1 <= version <= SCHEMA_VERSION:
            raise StoreError(
                f"{file}: expected gallery schema {SCHEMA_VERSION}, found {version}: it was made by a newer version of "
                "vultus; use that version, or choose another file name"
            )
        return version
    if sql.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise StoreError(f"{file} is an SQLite file, but not a vultus gallery: choose another file name")
    return 0


def _bring_up(sql: sqlite3.Connection, file: Path) -> None:
    """Make the tables, or migrate them, in one transaction: a kill or an error leaves the file as it was."""
    sql.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # only an empty file takes it
    sql.execute("BEGIN IMMEDIATE")
    try:
        found = _version(sql, file)  # another process may have been faster
        if not found:
            for statement in SQLITE.create():
                sql.execute(statement)
            sql.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            found = SCHEMA_VERSION
        for before, after, migrate in MIGRATIONS:
            if found == before:
                migrate(sql)
                found = after
        sql.execute(f"PRAGMA user_version = {found}")
        sql.execute("COMMIT")
    except BaseException:
        if sql.in_transaction:
            sql.execute("ROLLBACK")
        raise


def _switch_to_wal(sql: sqlite3.Connection) -> None:
    """The switch does not wait for other processes by itself."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            sql.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def words(file: Path, error: sqlite3.Error) -> str:
    """What an error of SQLite means for the person in front of it."""
    text = str(error)
    if any(sign in text for sign in ("not a database", "malformed", "no such table", "no such column", "decode")):
        return f"{file} is damaged or is not a gallery ({text}): restore a backup or choose another file name"
    if "locked" in text or "busy" in text:
        return f"{file}: another process has been writing for {BUSY_SECONDS:.0f} s ({text}): try again when it is done"
    if "full" in text:
        return f"{file}: there is no room to write ({text}): nothing was changed; free some space and try again"
    if "readonly" in text or "unable to open" in text or "disk I/O" in text:
        return f"{file} cannot be opened or written ({text}): check that the file and its folder may be written"
    return f"{file}: {text}"

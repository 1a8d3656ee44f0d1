"""One SQLite file that holds a gallery: the default, for one machine and several processes.

The file is the whole truth: there is no index beside it that could drift away. It runs in write-ahead mode, so readers
and one writer do not wait for each other, and a write that has ended survives a kill and a power cut.
"""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from vultus.errors import StoreError
from vultus.gallery.stores import _sqlite_open
from vultus.gallery.stores._pool import Pool
from vultus.gallery.stores._sql import SQLITE, SqlEdit, SqlRows
from vultus.gallery.stores._sqlite_open import Handle, connect, logs_of, place_of, words
from vultus.gallery.stores.schema import TABLES, Edit, Rows

__all__ = ["SqliteFile", "settled"]

COMPACT_SECONDS = 30.0


class SqliteFile:
    """A gallery file; safe for several threads and several processes at once, also after a fork.

    Args:
        path: the file; it is made on the first use.
        readonly: open it as it lies there and change nothing, as is due to a backup.

    Raises:
        StoreError: (on use) when the file cannot be opened, is damaged, or is not a gallery.
    """

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        self.path = Path(path)
        self._readonly = readonly
        self._file = Path(os.path.abspath(path))  # a later change of folder does not change the gallery
        self._pool = Pool(functools.partial(connect, self._file, readonly=self._readonly), str(self.path))

    def __repr__(self) -> str:
        return f"SqliteFile({str(self.path)!r})"

    def __reduce__(self) -> tuple[Callable[..., SqliteFile], tuple[Path]]:
        return functools.partial(SqliteFile, readonly=self._readonly), (self.path,)  # a copy opens the same file

    def __del__(self) -> None:
        if hasattr(self, "_pool"):
            self._pool.close()

    @property
    def url(self) -> str:
        """What `open_gallery` opens it by: three slashes before a relative path, four before an absolute one."""
        return f"sqlite:///{self.path}"

    @contextlib.contextmanager
    def read(self) -> Iterator[Rows]:
        """One consistent view: what others write meanwhile is not seen."""
        with self._pool.connected() as handle:
            handle.run("BEGIN")
            view = SqlRows(SQLITE, handle)  # reads the revision: the view is of now, not of its first question
            try:
                yield view
            finally:
                view.end()

    @contextlib.contextmanager
    def write(self) -> Iterator[Edit]:
        """One transaction: everything done inside is kept when the block ends, nothing when it raises."""
        with self._pool.turn(_sqlite_open.BUSY_SECONDS), self._pool.connected() as handle:
            handle.run("BEGIN IMMEDIATE")
            edit = SqlEdit(SQLITE, handle)
            try:
                yield edit
            finally:
                edit.end()
            if handle.pid != os.getpid():
                raise StoreError(f"{self.path}: this process was forked inside a write, which its parent ends")
            if handle.failed:
                raise StoreError(f"{self.path}: an error inside this write was passed over: nothing of it was kept")
            handle.run("COMMIT")

    def revision(self) -> int:
        """A number that every write raises, whoever wrote."""
        with self.read() as view:
            return view.revision()

    def exists(self) -> bool:
        """Whether a gallery was made there already; makes none."""
        if place_of(self._file) == (0, 0) or not self._file.stat().st_size:
            return False
        with self._pool.connected():
            return True

    def files(self) -> list[Path]:
        """The file and its logs, as far as they are there."""
        return [file for file in (self._file, *logs_of(self._file)) if file.exists()]

    def compact(self) -> None:
        """Rewrite the file without what was deleted or replaced, and empty the write-ahead log.

        SQLite overwrites what is deleted, but a row that it moved before may have left a copy in a gap of a page, so
        after a deletion the file is written anew. That needs room for a second and a third copy; without a deletion
        since the last time only the log is moved into the file.

        Raises:
            StoreError: if after half a minute somebody still reads an old state of the file: the bytes are gone when
                that reader is done and this is called again.
        """
        with self._pool.turn(_sqlite_open.BUSY_SECONDS), self._pool.connected() as handle:
            if handle.readonly:
                raise StoreError(f"{self.path} cannot be written: it lies on a read-only medium")
            numbers = {str(name): int(value) for name, value in handle.run("SELECT name, value FROM store_state")}
            stale = numbers.get("stale", 0)
            if stale > numbers.get("compacted", 0):
                handle.run("VACUUM")
                self._empty_log(handle)
                handle.run(
                    f"INSERT INTO store_state VALUES ('compacted', {stale})"
                    " ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)"
                )
            self._empty_log(handle)

    def damage(self) -> list[str]:
        """What SQLite itself finds wrong with the file; empty when nothing is."""
        try:
            with self._pool.connected() as handle:
                found = [str(row[0]) for row in handle.run("PRAGMA integrity_check")]
                found = [line for line in found if line != "ok"]
                for spec in TABLES.values():
                    names = [str(row[1]) for row in handle.run(f'PRAGMA table_info("{spec.name}")')]
                    if names != [column.name for column in spec.columns]:
                        found.append(f"table {spec.name} has the columns {', '.join(names) or 'of no table'}")
        except StoreError as error:
            return [str(error)]
        return found

    def backup(self, path: Path) -> None:
        """Write one consistent copy of all rows to a new SQLite gallery file; refuses to overwrite."""
        with self._pool.connected() as handle, settled(path) as half:
            target = sqlite3.connect(half, isolation_level=None)
            try:
                handle.sql.backup(target)  # all pages in one step: nobody's write comes between
                target.execute("PRAGMA journal_mode = DELETE")  # one file without a log, readable anywhere
            except sqlite3.Error as error:
                raise StoreError(words(path, error)) from error
            finally:
                target.close()

    def close(self) -> None:
        """Close the connections that are not in use; the next call opens them again."""
        self._pool.close()

    def _empty_log(self, handle: Handle) -> None:
        deadline = time.monotonic() + COMPACT_SECONDS
        while True:
            handle.run("PRAGMA busy_timeout = 100")  # this loop does the waiting
            busy, _, _ = handle.run("PRAGMA wal_checkpoint(TRUNCATE)")[0]
            handle.run(f"PRAGMA busy_timeout = {round(_sqlite_open.BUSY_SECONDS * 1000)}")
            if not busy:
                return
            if time.monotonic() > deadline:
                raise StoreError(
                    f"{self.path}: somebody has been reading an old state of this file for {COMPACT_SECONDS:.0f} s, so "
                    "bytes of deleted rows are still in its log: close that reader and call compact again"
                )


@contextlib.contextmanager
def settled(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to; when the block ends the file is on the disk, whole, under its own name.

    Raises:
        StoreError: if there is a file already, or it cannot be written; then nothing is left.
    """
    path = Path(os.path.abspath(path))
    half = path.with_name(f".{path.name}.{secrets.token_hex(8)}.half")
    try:
        if path.exists():
            raise StoreError(f"{path} is there already: choose another name for the backup")
        if not path.parent.is_dir():
            raise StoreError(f"{path}: the folder {path.parent} does not exist: make it first")
        try:
            os.close(os.open(half, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))  # vectors are nobody else's business
            yield half
            _sync(half)
            try:
                os.link(half, path)  # unlike a rename it does not replace what came there meanwhile
            except FileExistsError:
                raise
            except OSError:  # a file system without hard links
                os.rename(half, path)
            _sync(path.parent)
        finally:
            for end in ("", "-wal", "-shm", "-journal"):
                half.with_name(half.name + end).unlink(missing_ok=True)
    except FileExistsError as error:
        raise StoreError(f"{path} is there already: choose another name for the backup") from error
    except OSError as error:
        raise StoreError(f"{path} cannot be written ({error}): choose another place for the backup") from error


def _sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return  # Windows opens no folders, and keeps names by itself
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)

"""A gallery in a PostgreSQL database: for a team, and for several machines that share one server.

The rows are those of the SQLite file, in a schema of their own, so that several galleries may live in one database. One
writer at a time holds an advisory lock of the session, which a pooler in transaction mode cannot give. Where the server
has the extension pgvector, vectors that are not encrypted are kept a second time as its type, for `nearest`.
"""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from vultus.errors import InputError, StoreError
from vultus.gallery.stores import _postgres_open as opening
from vultus.gallery.stores._copy import copy_to_file
from vultus.gallery.stores._pool import Pool
from vultus.gallery.stores._postgres_open import VECTOR_TABLES, PgHandle
from vultus.gallery.stores._sql import STATE, SqlEdit, SqlRows
from vultus.gallery.stores.schema import TABLES, Edit, Row, Rows, check_equal

__all__ = ["Postgres"]

SMALL_BYTES = 256 * 2**20
COMMIT_SECONDS = 20.0
MAX_INDEXED = 2000  # numbers of a vector that pgvector's index takes


class Postgres:
    """A gallery on a server; safe for several threads, processes and machines at once.

    Args:
        url: "postgresql://user:password@host:port/database?schema=name", or any other URL of libpq.

    Raises:
        InputError: if the URL cannot be read.
        MissingExtra: if psycopg or pgvector is not installed.
        StoreError: (on use) when the server cannot be reached, refuses, or holds no such gallery.
    """

    def __init__(self, url: str) -> None:
        self._given = url
        self._address = opening.parse(url)
        self._pool = Pool(functools.partial(opening.connect, self._address), self._address.url)

    def __repr__(self) -> str:
        return f"Postgres({self.url!r})"

    def __reduce__(self) -> tuple[type[Postgres], tuple[str]]:
        return Postgres, (self._given,)  # with the password: a copy must be able to connect

    def __del__(self) -> None:
        if hasattr(self, "_pool"):
            self._pool.close()

    @property
    def url(self) -> str:
        """What `open_gallery` opens it by; without a password."""
        return self._address.url

    @contextlib.contextmanager
    def read(self) -> Iterator[Rows]:
        """One consistent view: what others write meanwhile is not seen."""
        with self._begun("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") as handle:
            view = SqlRows(handle.statements, handle)  # reads the revision: the view is of now
            try:
                yield view
            finally:
                view.end()

    @contextlib.contextmanager
    def write(self) -> Iterator[Edit]:
        """One transaction: everything done inside is kept when the block ends, nothing when it raises.

        Raises:
            StoreError: if the connection broke. When it broke during the commit, the server is asked, for some seconds,
                what became of it; only when it does not come back is the outcome unknown, and the message says so.
        """
        with self._pool.turn(opening.BUSY_SECONDS), self._begun("BEGIN ISOLATION LEVEL SERIALIZABLE", True) as handle:
            edit = PgEdit(handle)
            number = int(handle.rows("SELECT pg_current_xact_id()::text::bigint", ())[0][0])
            try:
                yield edit
            finally:
                edit.end()
            if handle.pid != os.getpid():
                raise StoreError(f"{self.url}: this process was forked inside a write, which its parent ends")
            if handle.failed:
                raise StoreError(f"{self.url}: an error inside this write was passed over: nothing of it was kept")
            try:
                handle.change("COMMIT")
            except StoreError:
                if not handle.sql.broken and not handle.sql.closed:
                    raise  # the server itself said no
                self._ask_after(number)

    def revision(self) -> int:
        """A number that every write raises, whoever wrote."""
        with self.read() as view:
            return view.revision()

    def exists(self) -> bool:
        """Whether a gallery was made there already; makes none."""
        with self._alive() as handle:
            return opening.version(handle) != 0

    def files(self) -> list[Path]:
        """None: the rows are on the server."""
        return []

    def compact(self) -> None:
        """Rewrite small tables without what was deleted or replaced, and tidy large ones.

        A table of up to 256 MiB is written anew (VACUUM FULL), which blocks its readers meanwhile; its old file is gone
        with the checkpoint that follows, if this user may ask for one. Of a larger table the space is given free, but
        the bytes lie there until something is written over them. What this cannot reach at all, and the server keeps:
        its write-ahead log until it is recycled, archives of it, replicas, and backups of the server's disk. Where
        that matters, let the gallery encrypt: then erasing the key of a person erases all of these at once.
        """
        with self._pool.turn(opening.BUSY_SECONDS), self._alive() as handle:
            opening.make_ready(handle)
            state = handle.statements.name(STATE)
            numbers = {name: int(value) for name, value in handle.rows(f"SELECT name, value FROM {state}", ())}
            stale = numbers.get("stale", 0)
            if stale <= numbers.get("compacted", 0):
                return
            for table in TABLES:
                name = handle.statements.name(table)
                size = int(handle.rows("SELECT pg_total_relation_size(%s::regclass)", (name,))[0][0])
                handle.change(f"VACUUM {'(FULL, ANALYZE)' if size <= SMALL_BYTES else '(ANALYZE)'} {name}")
            may = (
                "SELECT rolsuper OR EXISTS (SELECT FROM pg_roles WHERE rolname = 'pg_checkpoint' AND"
                " pg_has_role(oid, 'USAGE')) FROM pg_roles WHERE rolname = current_user"
            )
            if handle.rows(may, ())[0][0]:
                handle.change("CHECKPOINT")
            handle.change(
                f"INSERT INTO {state} VALUES ('compacted', %s)"
                " ON CONFLICT (name) DO UPDATE SET value = greatest(excluded.value, store_state.value)",
                (stale,),
            )

    def damage(self) -> list[str]:
        """Tables without their columns, and pages whose checksum the server found wrong."""
        try:
            with self._alive() as handle:
                opening.make_ready(handle)
                found = opening.missing(handle)
                bad = handle.rows(
                    "SELECT coalesce(checksum_failures, 0) FROM pg_stat_database WHERE datname = current_database()", ()
                )
                if bad and bad[0][0]:
                    found.append(f"{bad[0][0]} pages of this database had a wrong checksum: look into the server's log")
                return found
        except StoreError as error:
            return [str(error)]

    def backup(self, path: Path) -> None:
        """Write one consistent copy of all rows to a new SQLite gallery file; refuses to overwrite."""
        with self._begun("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") as handle:
            copy_to_file(SqlRows(handle.statements, handle), path)

    def close(self) -> None:
        """Close the connections that are not in use; the next call opens them again."""
        self._pool.close()

    def nearest(
        self, space: str, query: Any, k: int, allowed: Sequence[str] | None = None, *, exact: bool = True
    ) -> list[tuple[str, float]]:
        """The k people whose templates are most like a vector, best first; see `Searchable`.

        Approximate search goes through an HNSW index of that space, which the first such call builds. It needs vectors
        of at most 2000 numbers, k of at most 1000 and everyone allowed; any other search is exact.
        """
        vector = np.ascontiguousarray(query, np.float32)
        if vector.ndim != 1 or not len(vector) or not np.isfinite(vector).all():
            raise InputError(f"query: expected one vector of finite numbers, got shape {vector.shape}")
        if not isinstance(k, int) or k < 1:
            raise InputError(f"k: expected at least 1 person, a whole number, got {k!r}")
        check_equal("templates", {"space": space})
        dim = len(vector)
        indexed = not exact and allowed is None and dim <= MAX_INDEXED and k <= 1000
        if indexed:
            self._build_index(space, dim)
        with self._begun("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") as handle:
            _check_searchable(handle, space, dim)
            far = f"embedding::vector({dim}) <=> %s" if indexed else "embedding <=> %s"  # of that index, or of none
            where = _in_space(handle, space, dim).replace("%", "%%")
            values: list[Any] = [vector]
            if allowed is not None:
                where += " AND person_id = ANY(%s)"
                values.append([str(person) for person in allowed])
            order = "2, 1"
            if indexed:
                handle.change(f"SET LOCAL hnsw.ef_search = {min(1000, max(100, 4 * k))}")
                order = far
                values.append(vector)
            rows = handle.rows(
                f"SELECT person_id, {far} FROM {handle.statements.name('templates')} WHERE {where} ORDER BY {order}"
                f" LIMIT {k}",
                values,
            )
        return sorted(((str(key), 1.0 - float(far)) for key, far in rows), key=lambda pair: (-pair[1], pair[0]))

    # -- connections -------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _alive(self) -> Iterator[PgHandle]:
        """A connection whose server answered just now: one that lay idle may be from before a restart."""
        handle = self._pool.take()
        try:
            handle.ping()
        except StoreError:
            self._pool.drop(handle)
            self._pool.close()  # the others are no better
            handle = self._pool.fresh()
        try:
            yield handle
        finally:
            self._pool.give(handle)

    @contextlib.contextmanager
    def _begun(self, how: str, lock: bool = False) -> Iterator[PgHandle]:
        """A connection inside a transaction of the gallery's tables, which are made if there are none."""
        with self._alive() as handle:
            opening.make_ready(handle)
            if lock:  # before the transaction: its snapshot must be of after the wait
                handle.change("SELECT pg_advisory_lock(%s)", (self._address.lock,))
                handle.locked = True
            handle.change(how)
            yield handle

    def _ask_after(self, number: int) -> None:
        """A commit was sent and no answer came: return if it was kept."""
        deadline = time.monotonic() + COMMIT_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(StoreError), self._alive() as handle:
                status = handle.rows("SELECT pg_xact_status(%s::text::xid8)", (str(number),))[0][0]
                if status == "committed":
                    return
                if status == "aborted":
                    break
            time.sleep(0.1)
        else:
            raise StoreError(
                f"{self.url}: the connection broke while a write was ending and the server has not come back: whether "
                "it was kept will be seen then, by the revision; nothing of it can be half kept"
            )
        raise StoreError(
            f"{self.url}: the connection broke while a write was ending: nothing of it was kept; try again"
        )

    def _build_index(self, space: str, dim: int) -> None:
        with self._alive() as handle:
            opening.make_ready(handle)
            _check_searchable(handle, space, dim)
            name = f"templates_hnsw_{dim}_{blake2b(space.encode(), digest_size=6).hexdigest()}"
            full = handle.statements.name(name)
            valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)"
            found = handle.rows(valid, (full,))
            if found and found[0][0]:
                return
            handle.change("SELECT pg_advisory_lock(%s)", (self._address.lock + 1,))  # one builder; writers go on
            try:
                found = handle.rows(valid, (full,))
                if found and not found[0][0]:
                    handle.change(f"DROP INDEX {full}")  # its builder was killed
                if not found or not found[0][0]:
                    handle.change("SET statement_timeout = 0")
                    handle.change(
                        f"CREATE INDEX CONCURRENTLY {opening.quoted(name)} ON {handle.statements.name('templates')}"
                        f" USING hnsw ((embedding::vector({dim})) vector_cosine_ops)"
                        f" WHERE {_in_space(handle, space, dim)}"
                    )
                    handle.change(f"SET statement_timeout = {opening.STATEMENT_SECONDS * 1000}")
            finally:
                if not handle.failed:
                    handle.change("SELECT pg_advisory_unlock(%s)", (self._address.lock + 1,))


class PgEdit(SqlEdit):
    """An edit that also keeps the vectors of an unencrypted gallery as pgvector's type."""

    def __init__(self, handle: PgHandle) -> None:
        super().__init__(handle.statements, handle)
        self._handle = handle

    def put(self, table: str, *rows: Row) -> list[int]:
        """Insert rows, or replace those of the same key; the serial numbers of the rows."""
        numbers = super().put(table, *rows)
        if self._handle.vectors and rows:
            if table in VECTOR_TABLES:
                self._embed(table, rows)
            elif table == "facts" and any(row["key"] == "encrypted" and row["value"] == "1" for row in rows):
                for other in VECTOR_TABLES:  # what was readable beside the bytes is so no more
                    self._handle.change(
                        f"UPDATE {self._sql.name(other)} SET embedding = NULL WHERE embedding IS NOT NULL"
                    )
        return numbers

    def _embed(self, table: str, rows: Sequence[Row]) -> None:
        fact = self.get("facts", "encrypted")
        plain = fact is None or fact["value"] != "1"
        first, second = TABLES[table].key
        records = [(_embedding(row) if plain else None, row[first], row[second]) for row in rows]
        self._handle.many(
            f'UPDATE {self._sql.name(table)} SET embedding = %s WHERE "{first}" = %s AND "{second}" = %s', records
        )


def _embedding(row: Row) -> Any:
    """The vector in a row's bytes, or None where they hold none that can be compared."""
    vector, dim = row["vector"], int(row["dim"])
    if not 1 <= dim <= 16000 or len(vector) != 4 * dim:
        return None
    numbers = np.frombuffer(vector, "<f4").astype(np.float32)
    return numbers if np.isfinite(numbers).all() and numbers.any() else None


def _check_searchable(handle: PgHandle, space: str, dim: int) -> None:
    if not handle.vectors:
        raise StoreError(f"{handle.address.url}: the server has no pgvector: install it, or search in memory")
    name = handle.statements.name
    if handle.rows(f"SELECT 1 FROM {name('facts')} WHERE key = 'encrypted' AND value = '1'", ()):
        raise StoreError(f"{handle.address.url}: the gallery is encrypted: the server cannot compare its vectors")
    dims = handle.rows(f"SELECT dim FROM {name('templates')} WHERE space = %s LIMIT 1", (space,))
    if dims and dims[0][0] != dim:
        raise InputError(f"query: expected {dims[0][0]} numbers as in space {space!r}, got {dim}")


def _in_space(handle: PgHandle, space: str, dim: int) -> str:
    """The condition of an index and of the searches that use it: the planner must see the values in both."""
    from psycopg.sql import Literal

    return f"space = {Literal(space).as_string(handle.sql)} AND dim = {dim} AND embedding IS NOT NULL"

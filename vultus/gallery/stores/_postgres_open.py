"""A connection to a PostgreSQL gallery: its URL without secrets, its schema, and its errors in words."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

from vultus.errors import InputError, MissingExtra, StoreError
from vultus.gallery.stores._sql import STATE, Statements
from vultus.gallery.stores.schema import SCHEMA_VERSION, TABLES

if TYPE_CHECKING:
    import psycopg

__all__ = ["BUSY_SECONDS", "Address", "PgHandle", "connect", "driver", "make_ready", "parse"]

BUSY_SECONDS = 30.0
STARTING_SECONDS = 20.0  # how long a server that says it is starting is waited for
CONNECT_SECONDS = 5
STATEMENT_SECONDS = 600
PING_SECONDS = 10.0
_CREATING = 0x76756C74  # the advisory lock of whoever makes tables or the extension
DEFAULT_SCHEMA = "vultus_gallery"
VECTOR_TABLES = tuple(
    name for name, spec in TABLES.items() if {"space", "dim", "vector"} <= {c.name for c in spec.columns}
)
_KINDS = {
    "text": 'TEXT COLLATE "C"',  # ordered by bytes whatever the language of the server
    "int": "BIGINT",
    "real": "DOUBLE PRECISION",
    "bytes": "BYTEA",
    "json": "JSON",  # kept as written: jsonb would refuse some text and rewrite numbers
}
_DEAD = {  # what keeps a call from waiting for a server that is gone
    "connect_timeout": str(CONNECT_SECONDS),
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
    "application_name": "vultus",
}


def driver() -> Any:
    """The module psycopg.

    Raises:
        MissingExtra: if it is not installed.
    """
    try:
        import pgvector.psycopg  # noqa: F401
        import psycopg
    except ImportError as error:
        raise MissingExtra("a gallery in PostgreSQL", "postgres") from error
    return psycopg


@dataclass(frozen=True)
class Address:
    """Where a gallery is.

    Attributes:
        conninfo: as libpq takes it, with the password.
        schema: of the database that holds the tables.
        url: opens it again; without a password.
        secrets: what no message may show.
    """

    conninfo: str = field(repr=False)
    schema: str
    url: str
    secrets: tuple[str, ...] = field(repr=False, default=())

    @property
    def lock(self) -> int:
        """The key of the advisory lock that a writer of this gallery holds."""
        digest = blake2b(f"vultus gallery {self.schema}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big", signed=True)


def parse(url: str) -> Address:
    """Take a URL apart.

    Raises:
        InputError: if libpq would not take it; the message does not repeat it, for it may hold a password.
        MissingExtra: if psycopg is not installed.
    """
    psycopg = driver()
    head, _, query = url.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    schema = dict(pairs).get("schema", DEFAULT_SCHEMA)
    if not re.fullmatch(r"(?!pg_)[A-Za-z_][A-Za-z0-9_]{0,62}", schema):
        raise InputError(f"gallery: expected a schema of up to 63 letters, digits and underscores, got {schema!r}")
    rest = urlencode([pair for pair in pairs if pair[0] != "schema"], quote_via=quote)
    conninfo = f"{head}?{rest}" if rest else head
    try:
        given = psycopg.conninfo.conninfo_to_dict(conninfo)
        if not re.fullmatch(r"[\d,]*", str(given.get("port", ""))):
            raise psycopg.ProgrammingError("the port is no number")
    except psycopg.Error:
        raise InputError(
            "gallery: expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE?schema=NAME, got a URL that PostgreSQL "
            "cannot read: signs other than letters and digits must be written as %XX in a name or a password"
        ) from None  # its message may repeat the password
    defaults = {name: value for name, value in _DEAD.items() if name not in given}
    secret_names = [name for name in given if "password" in name]
    secrets = tuple(str(given[name]) for name in secret_names if given[name])
    scheme, _, place = head.partition("://")
    authority, slash, path = place.partition("/")
    user, at, host = authority.rpartition("@")
    shown = f"{scheme}://{user.partition(':')[0]}{at}{host}{slash}{path}"
    kept = urlencode([pair for pair in pairs if pair[0] not in secret_names], quote_via=quote, safe="/")
    full = psycopg.conninfo.make_conninfo(conninfo, **defaults)
    return Address(full, schema, f"{shown}?{kept}" if kept else shown, secrets + tuple(unquote(s) for s in secrets))


class PgHandle:
    """One connection; the server's errors leave it as `StoreError` in words.

    Attributes:
        sql: the connection.
        address: where it leads.
        statements: the SQL of this gallery's schema.
        vectors: pgvector is there, so that embeddings are kept beside the bytes.
        pid: of the process that opened it.
        failed: an error came; the transaction is gone.
        locked: it holds the writers' lock.
        ready: the tables are known to be there.
    """

    def __init__(self, sql: Any, address: Address) -> None:
        self.sql = sql  # a connection of psycopg with `patience`
        self.address = address
        self.statements = Statements("%s", _KINDS, f"{quoted(address.schema)}.")
        self.vectors = False
        self.pid = os.getpid()
        self.failed = False
        self.locked = False
        self.ready = False

    def rows(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Run a query."""
        with self.worded(), self.sql.cursor(binary=True) as cursor:
            rows: list[tuple[Any, ...]] = cursor.execute(sql, values).fetchall()
            return rows

    def change(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run a statement; how many rows it touched."""
        with self.worded(), self.sql.cursor() as cursor:
            return int(cursor.execute(sql, values or None).rowcount)

    def ping(self) -> None:
        """Ask the server for a sign of life.

        Raises:
            StoreError: if none comes in `PING_SECONDS`.
        """
        self.sql.patience = PING_SECONDS
        self.change("SELECT 1")
        self.sql.patience = STATEMENT_SECONDS + 60.0

    def many(self, sql: str, records: Sequence[Sequence[Any]]) -> int:
        """Run a change for each record; how many rows were touched."""
        with self.worded(), self.sql.cursor() as cursor:
            cursor.executemany(sql, records)
            return int(cursor.rowcount)

    def usable(self) -> bool:
        """Whether it is not known to be broken."""
        return not self.sql.closed and not self.sql.broken

    def rest(self) -> bool:
        """End the transaction and give the writers' lock back; False when the connection must be closed."""
        psycopg = driver()
        if self.failed or self.sql.closed or self.sql.broken:
            return False
        with contextlib.suppress(psycopg.Error):  # the connection is closed then, which does both as well
            if self.sql.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                self.sql.execute("ROLLBACK")
            if self.locked:
                self.sql.execute("SELECT pg_advisory_unlock(%s)", (self.address.lock,))
                self.locked = False
            return True
        return False

    def close(self) -> None:
        """Close it."""
        self.sql.close()

    @contextlib.contextmanager
    def worded(self) -> Iterator[None]:
        """Turn the driver's errors into words."""
        psycopg = driver()
        try:
            yield
        except psycopg.Error as error:
            self.failed = True
            raise StoreError(words(self.address, error)) from None  # the driver's error may hold the whole row


def quoted(name: str) -> str:
    """A name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def connect(address: Address) -> PgHandle:
    """Open a connection and set what this package relies on; the tables may not be there yet.

    Raises:
        StoreError: if the server does not answer, or refuses.
    """
    psycopg = driver()
    deadline = time.monotonic() + STARTING_SECONDS
    while True:
        try:
            sql = _patient().connect(address.conninfo, autocommit=True)
            break
        except psycopg.Error as error:
            if "starting up" not in str(error) or time.monotonic() > deadline:
                raise StoreError(words(address, error)) from None
            time.sleep(0.1)
    handle = PgHandle(sql, address)
    try:
        with handle.worded():
            _set_up(sql)
    except BaseException:
        sql.close()
        raise
    return handle


@cache
def _patient() -> Any:
    """A connection that gives a server up which takes a request and then says nothing: libpq waits for ever."""
    from psycopg import Connection, OperationalError

    class Patient(Connection[Any]):
        patience = STATEMENT_SECONDS + 60.0  # of a statement; the server's own limit comes first

        def wait(self, gen: Any, *args: Any, **more: Any) -> Any:
            return super().wait(limited(gen, time.monotonic() + self.patience), *args, **more)

    def limited(gen: Any, deadline: float) -> Any:
        """The same steps; between them psycopg comes by every tenth of a second with nothing to read."""
        try:
            want = next(gen)
            while True:
                ready = yield want
                if not ready and time.monotonic() > deadline:
                    raise OperationalError("it takes requests, but does not answer")
                want = gen.send(ready)
        except StopIteration as end:
            return end.value

    return Patient


def _set_up(sql: psycopg.Connection[Any]) -> None:
    from psycopg.types.string import TextBinaryLoader, TextLoader

    for loader in (TextLoader, TextBinaryLoader):
        sql.adapters.register_loader("json", loader)  # this package reads JSON itself
    sql.execute(f"SET lock_timeout = {round(BUSY_SECONDS * 1000)}")
    sql.execute(f"SET statement_timeout = {STATEMENT_SECONDS * 1000}")
    sql.execute(
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
    )  # a write that has ended is on the disk


def make_ready(handle: PgHandle) -> None:
    """Make the tables where there are none, refuse those of another version, and get vectors ready."""
    if handle.ready:
        return
    if version(handle) == 0:
        handle.change("SELECT pg_advisory_lock(%s)", (_CREATING,))
        if version(handle) == 0:  # nobody else was faster
            _create(handle)
        handle.change("SELECT pg_advisory_unlock(%s)", (_CREATING,))
    found = version(handle)
    if found != SCHEMA_VERSION:
        raise StoreError(
            f"{handle.address.url}: expected gallery schema {SCHEMA_VERSION}, found {found}: it was made by another "
            "version of vultus; use that version, or choose another schema"
        )
    where, columns = _extension(handle), _columns(handle)
    handle.vectors = bool(where) and all("embedding" in columns.get(table, ()) for table in VECTOR_TABLES)
    if handle.vectors:
        from pgvector.psycopg import register_vector

        with handle.worded():
            handle.sql.execute(f"SET search_path = pg_catalog, {quoted(where)}")  # nobody else's functions
            register_vector(handle.sql)
    handle.ready = True


def version(handle: PgHandle) -> int:
    """The schema of the gallery there, 0 when there is none."""
    name = handle.statements.name(STATE)
    if handle.rows("SELECT to_regclass(%s) IS NULL", (name,))[0][0]:
        return 0
    found = handle.rows(f"SELECT value FROM {name} WHERE name = 'schema'", ())
    return int(found[0][0]) if found else 0


def missing(handle: PgHandle) -> list[str]:
    """Tables that do not have their columns, in words."""
    columns = _columns(handle)
    return [
        f"table {name} lacks {', '.join(c.name for c in spec.columns if c.name not in columns.get(name, ()))}"
        for name, spec in TABLES.items()
        if not {c.name for c in spec.columns} <= columns.get(name, set())
    ]


def _columns(handle: PgHandle) -> dict[str, set[str]]:
    rows = handle.rows(
        "SELECT c.relname::text, a.attname::text FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relkind = 'r' AND a.attnum > 0"
        " AND NOT a.attisdropped",
        (handle.address.schema,),
    )
    found: dict[str, set[str]] = {}
    for table, column in rows:
        found.setdefault(table, set()).add(column)
    return found


def _extension(handle: PgHandle) -> str:
    """The schema that pgvector was installed in, or ""."""
    rows = handle.rows(
        "SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE extname = 'vector'",
        (),
    )
    return str(rows[0][0]) if rows else ""


def _create(handle: PgHandle) -> None:
    """Make everything in one transaction; pgvector before it, if it is there and this user may."""
    psycopg = driver()
    if not _extension(handle) and handle.rows("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'", ()):
        with handle.worded(), contextlib.suppress(psycopg.errors.InsufficientPrivilege):  # `nearest` will say so
            handle.sql.execute("CREATE EXTENSION IF NOT EXISTS vector")
    where = _extension(handle)
    handle.change("BEGIN")
    handle.change(f"CREATE SCHEMA IF NOT EXISTS {quoted(handle.address.schema)}")
    for statement in handle.statements.create():
        handle.change(statement)
    handle.change(f"INSERT INTO {handle.statements.name(STATE)} VALUES ('schema', {SCHEMA_VERSION})")
    for table in VECTOR_TABLES if where else ():
        handle.change(f"ALTER TABLE {handle.statements.name(table)} ADD COLUMN embedding {quoted(where)}.vector")
    handle.change("COMMIT")


def words(address: Address, error: Exception) -> str:
    """What an error of the server or the driver means; never with the password or a row."""
    state = str(getattr(error, "sqlstate", None) or "")
    diagnostics = getattr(error, "diag", None)
    text = str(getattr(diagnostics, "message_primary", None) or error).strip().splitlines()
    said = "; ".join(line.strip() for line in text) or type(error).__name__
    for secret in address.secrets:
        said = said.replace(secret, "***")
    url = address.url
    if state == "55P03":
        return f"{url}: another process has been writing for {BUSY_SECONDS:.0f} s ({said}): try again when it is done"
    if state.startswith("40"):
        return f"{url}: another program changed these tables meanwhile ({said}): nothing was kept; try again"
    if state.startswith("53"):
        return f"{url}: the server has no room ({said}): nothing was changed; free some space and try again"
    if state == "57014":
        return f"{url}: the server did not answer within {STATEMENT_SECONDS} s ({said}): try again later"
    if state in ("42501", "25006"):
        return f"{url}: this user may not do that ({said}): ask for the right to create and write in that schema"
    if state in ("42P01", "42703", "3F000"):
        return f"{url} is damaged or is not a gallery ({said}): restore a backup or choose another schema"
    if state.startswith(("28", "3D")) or (not state and "FATAL" in said):  # while connecting no code is given
        return f"{url}: the server refused ({said}): check the user, the password and the name of the database"
    if not state or state.startswith(("08", "57P")):
        return f"{url}: the server cannot be reached ({said}): check that it runs and that the address is right"
    return f"{url}: {said} ({state})"

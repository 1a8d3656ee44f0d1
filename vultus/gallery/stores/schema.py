"""What a gallery keeps, as tables, and the calls that every kind of store answers: the contract of this folder.

A store knows rows and transactions and nothing about faces. What the rows mean (fusing, encryption, undo, erasure) is
decided once, in `vultus.gallery`, so that SQLite, PostgreSQL and Milvus cannot disagree about it.

A row is a dict with exactly the columns of its table. Kinds: "text" (without NUL), "int" (64 bit), "real" (finite),
"bytes", "json" (dict, list, str, number, None). Only columns marked nullable and json may be None. Text is ordered by
its UTF-8 bytes, which is Python's order.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from vultus.errors import InputError

__all__ = [
    "SCHEMA_VERSION",
    "TABLES",
    "Column",
    "Edit",
    "Row",
    "Rows",
    "Searchable",
    "Store",
    "Table",
    "check_equal",
    "check_key",
    "check_row",
    "checksum",
    "face_id",
    "table_of",
]

SCHEMA_VERSION = 2
Row = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """One column: its name, its kind, and whether it may be None."""

    name: str
    kind: str
    null: bool = False


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        name: of the table.
        columns: in order.
        key: columns that name a row; together unique.
        indexes: columns that `find` and `delete` may ask for beside those of the key.
        serial: the one "int" key column that the store numbers itself (1, 2, ...) when a row is added, or "".
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    indexes: tuple[str, ...] = ()
    serial: str = ""


def _table(name: str, columns: str, key: str, indexes: str = "", serial: str = "") -> Table:
    """Columns as "name kind, name kind?": a question mark means that it may be None."""
    parts = [item.split() for item in columns.split(",")]
    made = tuple(Column(word, kind.rstrip("?"), kind.endswith("?")) for word, kind in parts)
    return Table(name, made, tuple(key.split()), tuple(indexes.split()), serial)


TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        # what the gallery knows of itself: "space" (the one in use), "encrypted", "audit_key", "index", ...
        _table("facts", "key text, value text", "key"),
        _table("people", "id text, name text, attributes json, enrolled_at text", "id", "name"),
        # the reference fused from a person's faces, one per embedding space
        _table(
            "templates",
            "person_id text, space text, dim int, vector bytes, checksum bytes, quality real?, n_images int",
            "person_id space",
            "space",
        ),
        # a picture; `exclusive` is the same-photo constraint: its faces are different people
        _table(
            "media",
            "medium text, source text?, height int?, width int?, exclusive int, added_at text",
            "medium",
        ),
        # a face on a picture; person_id None: nobody knows who it is. box: [x1, y1, x2, y2] pixels or None
        _table(
            "faces",
            "id text, medium text, person_id text?, cluster text?, box json, score real?, quality real?,"
            " assigned_by text, added_at text",
            "id",
            "medium person_id cluster",
        ),
        _table(
            "vectors",
            "face_id text, space text, dim int, vector bytes, checksum bytes, quality real?",
            "face_id space",
            "space",
        ),
        _table("crops", "face_id text, jpeg bytes", "face_id"),
        # must (a, b faces), cannot (a, b faces), not_person (a face, b person)
        _table("links", "id text, kind text, a text, b text, actor text, at text", "id", "kind a b"),
        # how to take a correction back; holds keys of rows, never a vector
        _table(
            "undo",
            "seq int, at text, actor text, verb text, people json, steps json, undone_at text?",
            "seq",
            "",
            "seq",
        ),
        _table(
            "audit",
            "seq int, at text, actor text, verb text, subject text, details json, previous text, hash text",
            "seq",
            "",
            "seq",
        ),
        # the data key of a person or of an unknown face, wrapped by the gallery's key; erasing it makes all else noise
        _table("keys", "owner text, wrapped bytes, made_at text", "owner"),
        # learned maps between embedding spaces; body: safetensors
        _table("adapters", "id text, source text, target text, body bytes, report json, made_at text", "id"),
        # what changed at which revision, so that an index can follow without reading everything
        _table("changes", "seq int, revision int, person_id text", "seq", "revision", "seq"),
    )
}


def face_id(medium: str, box: Sequence[float] | None = None, owner: str = "") -> str:
    """The key of a face: the same face of the same picture has it whenever and wherever it is found.

    Args:
        medium: key of the picture.
        box: [x1, y1, x2, y2] in pixels, or None for a picture that holds one face of unknown place.
        owner: without a box, the person it was enrolled for: one picture may stand for two people.

    Returns:
        32 hexadecimal digits.
    """
    place = owner if box is None else ",".join(f"{float(edge):.1f}" for edge in box)
    return hashlib.blake2b(f"{medium}\0{place}".encode(), digest_size=16).hexdigest()


def checksum(vector: bytes, *owner: str) -> bytes:
    """16 bytes that change when the vector, or whose it is, changes.

    The owner of a row of `templates` is (person_id, name of the person, space), of `vectors` (face_id, space).
    """
    digest = hashlib.blake2b(vector, digest_size=16)
    for part in owner:
        digest.update(b"\0" + part.encode())
    return digest.digest()


def table_of(table: str) -> Table:
    """The table of that name.

    Raises:
        InputError: if there is none.
    """
    spec = TABLES.get(table) if isinstance(table, str) else None
    if spec is None:
        raise InputError(f"table: expected one of {', '.join(TABLES)}, got {table!r}")
    return spec


def check_row(table: str, row: Row) -> None:
    """Refuse a row that does not have exactly the columns of its table, each of its kind.

    Raises:
        InputError: if there is no such table, or a column is missing, unknown, of another kind, or None where it may
            not be.
    """
    spec = table_of(table)
    names = {column.name for column in spec.columns} - ({spec.serial} if spec.serial not in row else set())
    if set(row) != names:
        raise InputError(f"{table}: expected the columns {sorted(names)}, got {sorted(row)}")
    for column in spec.columns:
        if column.name in row:
            _check_value(spec, column, row[column.name])


def check_equal(table: str, equal: Row) -> None:
    """Refuse what `find` cannot ask for: columns beside the key and `Table.indexes`, values of another kind."""
    spec = table_of(table)
    columns = {column.name: column for column in spec.columns if column.name in (*spec.key, *spec.indexes)}
    for name, value in equal.items():
        if name not in columns:
            raise InputError(f"{table}: can be asked for {', '.join(columns)}, not for {name!r}")
        if value is not None:
            _check_value(spec, columns[name], value)


def check_key(table: str, key: tuple[Any, ...]) -> None:
    """Refuse a key that is not one of this table."""
    spec = table_of(table)
    if not isinstance(key, tuple) or len(key) != len(spec.key):
        raise InputError(f"{table}: expected a key of ({', '.join(spec.key)}), got {key!r}")
    columns = {column.name: column for column in spec.columns}
    for name, value in zip(spec.key, key, strict=True):
        _check_value(spec, columns[name], value)


def _check_value(spec: Table, column: Column, value: Any) -> None:
    if value is None and (column.null or column.kind == "json"):
        return
    if not _fits(column.kind, value):
        got = type(value).__name__ + (f" {value!r:.60}" if isinstance(value, (str, int, float)) else "")
        raise InputError(f"{spec.name}.{column.name}: expected {column.kind}, got {got}")


def _fits(kind: str, value: Any) -> bool:
    if kind == "text":
        return isinstance(value, str) and "\0" not in value and _is_unicode(value)
    if kind == "int":
        return isinstance(value, Integral) and -(2**63) <= int(value) < 2**63
    if kind == "real":
        return isinstance(value, Real) and math.isfinite(value)
    if kind == "bytes":
        return isinstance(value, bytes)
    return isinstance(value, (dict, list, str, int, float))


def _is_unicode(text: str) -> bool:
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:  # half of a surrogate pair
        return False


class Rows(Protocol):
    """One consistent view of the tables."""

    def get(self, table: str, *key: Any) -> Row | None:
        """The row of that key (values in the order of `Table.key`), or None."""
        ...

    def find(self, table: str, **equal: Any) -> list[Row]:
        """Rows whose columns equal these values (None: is None), ordered by key; all rows when nothing is given.

        Columns must be of the key or of `Table.indexes`; InputError otherwise.
        """
        ...

    def after(self, table: str, key: tuple[Any, ...] | None, limit: int, **equal: Any) -> list[Row]:
        """Up to `limit` rows whose key is greater than `key` (None: from the start), ordered by key: for paging."""
        ...

    def count(self, table: str, **equal: Any) -> int:
        """How many rows `find` would return."""
        ...

    def revision(self) -> int:
        """The revision of this view; inside a write, the one that this write makes."""
        ...


class Edit(Rows, Protocol):
    """Inside `Store.write`: sees its own changes; all of them are kept, or none."""

    def put(self, table: str, *rows: Row) -> list[int]:
        """Insert rows, or replace those of the same key. A table with a serial numbers a row that has none.

        Numbers rise by one and are never given twice, also when rows were deleted.

        Returns:
            The serial numbers of the rows, in their order; empty for a table without a serial.
        """
        ...

    def delete(self, table: str, **equal: Any) -> int:
        """Delete the rows that `find` would return; how many there were. At least one column must be given."""
        ...


class Store(Protocol):
    """Where a gallery is kept; safe for several threads and processes."""

    @property
    def url(self) -> str:
        """What `open_gallery` opens it by; without a password."""
        ...

    def read(self) -> AbstractContextManager[Rows]:
        """One consistent view: what others write meanwhile is not seen."""
        ...

    def write(self) -> AbstractContextManager[Edit]:
        """One transaction, which also raises the revision; when the block raises, nothing has changed.

        Transactions are serializable: of two writers, one waits. When the block has ended the changes are durable.
        A write inside a write of the same thread is refused.
        """
        ...

    def revision(self) -> int:
        """A number that every write raises, whoever wrote."""
        ...

    def exists(self) -> bool:
        """Whether a gallery was made there already; makes none."""
        ...

    def files(self) -> list[Path]:
        """Every local file that holds rows, write-ahead logs included; empty for a store on another machine."""
        ...

    def compact(self) -> None:
        """Make the bytes of deleted and replaced rows unreadable in `files`: logs, free pages, old versions.

        Raises:
            StoreError: if that could not be done, because somebody reads or writes all the time; try again later.
        """
        ...

    def damage(self) -> list[str]:
        """What the store itself finds wrong with its files; empty when nothing is."""
        ...

    def backup(self, path: Path) -> None:
        """Write one consistent copy of all rows to a new SQLite gallery file; refuses to overwrite.

        Raises:
            StoreError: if the file is there already, or cannot be written; then no half file is left.
        """
        ...

    def close(self) -> None:
        """Close connections; the next call opens them again."""
        ...


@runtime_checkable
class Searchable(Protocol):
    """A store that can compare vectors itself; optional."""

    def nearest(
        self, space: str, query: Any, k: int, allowed: Sequence[str] | None = None, *, exact: bool = True
    ) -> list[tuple[str, float]]:
        """The k people whose templates are most like a vector, best first.

        Args:
            space: embedding space of the query.
            query: (D,) float32, unit length.
            k: how many, at least 1.
            allowed: person ids among which to search, or None for everyone.
            exact: compare with everyone; otherwise an approximate index may be used.

        Returns:
            Up to k pairs of person id and cosine similarity.

        Raises:
            InputError: if the query is no vector of that space's length, or k is below 1.
            StoreError: if the gallery is encrypted: this store then has no vectors to compare.
        """
        ...

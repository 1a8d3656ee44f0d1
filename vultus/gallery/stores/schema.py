"""What a gallery keeps, as tables, and the calls that every kind of store answers: the contract of this folder.

A store knows rows and transactions and nothing about faces. What the rows mean (fusing, encryption, undo, erasure) is
decided once, in `vultus.gallery`, so that SQLite, PostgreSQL and Milvus cannot disagree about it.

A row is a dict with exactly the columns of its table. Kinds: "text", "int", "real", "bytes", "json" (dict, list, str,
number, None). Only columns marked nullable may be None.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from vultus.errors import InputError

__all__ = ["SCHEMA_VERSION", "TABLES", "Column", "Edit", "Row", "Rows", "Store", "Table", "check_row"]

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


def check_row(table: str, row: Row) -> None:
    """Refuse a row that does not have exactly the columns of its table.

    Raises:
        InputError: if there is no such table, or a column is missing, unknown, or None where it may not be.
    """
    spec = TABLES.get(table)
    if spec is None:
        raise InputError(f"table: expected one of {', '.join(TABLES)}, got {table!r}")
    names = {column.name for column in spec.columns} - ({spec.serial} if spec.serial not in row else set())
    if set(row) != names:
        raise InputError(f"{table}: expected the columns {sorted(names)}, got {sorted(row)}")
    for column in spec.columns:
        if column.name in row and row[column.name] is None and not column.null and column.kind != "json":
            raise InputError(f"{table}.{column.name}: expected {column.kind}, got None")


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
        """The revision of this view."""
        ...


class Edit(Rows, Protocol):
    """Inside `Store.write`: sees its own changes; all of them are kept, or none."""

    def put(self, table: str, *rows: Row) -> None:
        """Insert rows, or replace those of the same key. A table with a serial numbers a row that has none."""
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
        """Make the bytes of deleted rows unreadable wherever this store can (logs, free pages, old versions)."""
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

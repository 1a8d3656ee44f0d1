"""What the two stores that speak SQL share: the statements for the tables of the schema, and rows made of answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Protocol

from vultus.errors import InputError, StoreError
from vultus.gallery.stores.schema import TABLES, Row, Table, check_equal, check_key, check_row, table_of

__all__ = ["SQLITE", "SqlEdit", "SqlRows", "Statements", "Wire", "json_text"]

STATE = "store_state"  # revision, serial numbers, what is to be compacted: numbers of the store, not of the gallery
_TYPES: dict[str, tuple[type, ...]] = {"text": (str,), "int": (int,), "real": (float, int), "bytes": (bytes,)}


class Wire(Protocol):
    """A connection inside a transaction, as the views use it."""

    def rows(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Run a query."""
        ...

    def change(self, sql: str, values: Sequence[Any]) -> int:
        """Run a change; how many rows it touched."""
        ...

    def many(self, sql: str, records: Sequence[Sequence[Any]]) -> int:
        """Run a change for each record; how many rows were touched."""
        ...


class Statements:
    """The SQL of one dialect.

    Args:
        mark: stands for a value, "?" or "%s".
        kinds: type of a column by its kind.
        prefix: before the name of a table, such as '"schema".'.
    """

    def __init__(self, mark: str, kinds: Mapping[str, str], prefix: str = "") -> None:
        self.mark = mark
        self.kinds = kinds
        self.prefix = prefix
        self.select = cache(self._select)  # the text depends on names only, never on values
        self.insert = cache(self._insert)

    def name(self, table: str) -> str:
        """A table's full name."""
        return f'{self.prefix}"{table}"'

    def create(self) -> list[str]:
        """Every statement that makes the tables and their indexes."""
        made = [f"CREATE TABLE {self.name(STATE)} (name {self.kinds['text']} PRIMARY KEY, value BIGINT NOT NULL)"]
        made.append(f"INSERT INTO {self.name(STATE)} VALUES ('revision', 0)")
        for spec in TABLES.values():
            columns = ", ".join(
                f'"{column.name}" {self.kinds[column.kind]}'
                + ("" if column.null or column.kind == "json" else " NOT NULL")
                for column in spec.columns
            )
            made.append(f"CREATE TABLE {self.name(spec.name)} ({columns}, PRIMARY KEY ({_listed(spec.key)}))")
            for index in spec.indexes:  # the key after it: a page of rows is read in order, without sorting
                rest = [name for name in spec.key if name != index]
                made.append(f'CREATE INDEX "{spec.name}_{index}" ON {self.name(spec.name)} ({_listed([index, *rest])})')
        return made

    def _select(self, table: str, what: str, equal: tuple[tuple[str, bool], ...], after: bool, limit: bool) -> str:
        """A query; `equal` pairs columns with whether they are compared with None."""
        spec = TABLES[table]
        tests = [f'"{name}" IS NULL' if none else f'"{name}" = {self.mark}' for name, none in equal]
        if after:
            marks = ", ".join([self.mark] * len(spec.key))
            tests.append(
                f"({_listed(spec.key)}) > ({marks})" if len(spec.key) > 1 else f'"{spec.key[0]}" > {self.mark}'
            )
        text = f"FROM {self.name(table)}" + (f" WHERE {' AND '.join(tests)}" if tests else "")
        if what == "delete":
            return f"DELETE {text}"
        if what == "count":
            return f"SELECT count(*) {text}"
        text = f"SELECT {_listed([c.name for c in spec.columns])} {text} ORDER BY {_listed(spec.key)}"
        return f"{text} LIMIT {self.mark}" if limit else text

    def _insert(self, table: str, replace: bool) -> str:
        """An insertion of one row, which leaves a row of the same key alone or replaces it."""
        spec = TABLES[table]
        names = [column.name for column in spec.columns]
        rest = [name for name in names if name not in spec.key]
        then = "UPDATE SET " + ", ".join(f'"{name}" = excluded."{name}"' for name in rest) if replace else "NOTHING"
        marks = ", ".join([self.mark] * len(names))
        return (
            f"INSERT INTO {self.name(table)} ({_listed(names)}) VALUES ({marks})"
            f" ON CONFLICT ({_listed(spec.key)}) DO {then}"
        )


class SqlRows:
    """One view of the tables through an open transaction."""

    def __init__(self, statements: Statements, wire: Wire) -> None:
        self._sql = statements
        self._wire: Wire | None = wire
        self._revision = self._state("revision")

    def get(self, table: str, *key: Any) -> Row | None:
        """The row of that key, or None."""
        check_key(table, key)
        found = self._found(table, dict(zip(table_of(table).key, key, strict=True)))
        return found[0] if found else None

    def find(self, table: str, **equal: Any) -> list[Row]:
        """Rows whose columns equal these values, ordered by key."""
        check_equal(table, equal)
        return self._found(table, equal)

    def after(self, table: str, key: tuple[Any, ...] | None, limit: int, **equal: Any) -> list[Row]:
        """Up to `limit` rows whose key is greater than `key`, ordered by key."""
        check_equal(table, equal)
        if key is not None:
            check_key(table, key)
        if not isinstance(limit, int) or limit < 1:
            raise InputError(f"limit: expected at least 1 row, a whole number, got {limit!r}")
        return self._found(table, equal, key, limit)

    def count(self, table: str, **equal: Any) -> int:
        """How many rows `find` would return."""
        check_equal(table, equal)
        return int(self._open().rows(*self._query(table, "count", equal))[0][0])

    def revision(self) -> int:
        """The revision of this view."""
        self._open()
        return self._revision

    def numbers(self) -> dict[str, int]:
        """The store's own numbers: its revision and the last serial of each table that has one."""
        rows = self._open().rows(f"SELECT name, value FROM {self._sql.name(STATE)}", ())
        return {str(name): int(value) for name, value in rows}

    def end(self) -> None:
        """The block is over: what is asked now has no transaction to be asked in."""
        self._wire = None

    def _open(self) -> Wire:
        if self._wire is None:
            raise InputError("gallery store: this view ended with its block: open a new one")
        return self._wire

    def _query(
        self, table: str, what: str, equal: Row, key: tuple[Any, ...] | None = None, limit: int | None = None
    ) -> tuple[str, list[Any]]:
        names = tuple((name, value is None) for name, value in equal.items())
        values = [_plain(value) for value in equal.values() if value is not None]
        values += [_plain(value) for value in key or ()]
        if limit is not None:
            values.append(min(limit, 2**62))
        return self._sql.select(table, what, names, key is not None, limit is not None), values

    def _found(self, table: str, equal: Row, key: tuple[Any, ...] | None = None, limit: int | None = None) -> list[Row]:
        rows = self._open().rows(*self._query(table, "rows", equal, key, limit))
        read = _reader(table)
        return [read(row) for row in rows]

    def _state(self, name: str) -> int:
        sql = f"SELECT value FROM {self._sql.name(STATE)} WHERE name = {self._sql.mark}"
        found = self._open().rows(sql, (name,))
        return int(found[0][0]) if found else 0


class SqlEdit(SqlRows):
    """A view that may change rows; making it raises the revision."""

    def __init__(self, statements: Statements, wire: Wire) -> None:
        super().__init__(statements, wire)
        self._revision += 1
        self.set_number("revision", self._revision)
        self._marked = False

    def put(self, table: str, *rows: Row) -> list[int]:
        """Insert rows, or replace those of the same key; the serial numbers of the rows."""
        wire = self._open()
        spec = table_of(table)
        for row in rows:
            check_row(table, row)
        if not rows:
            return []
        numbers = self._numbered(spec, rows) if spec.serial else []
        given = [{**row, spec.serial: n} for row, n in zip(rows, numbers, strict=True)] if numbers else rows
        records = [_record(spec, row) for row in given]
        if wire.many(self._sql.insert(table, False), records) != len(records):
            wire.many(self._sql.insert(table, True), records)
            self._left_bytes()
        return numbers

    def delete(self, table: str, **equal: Any) -> int:
        """Delete the rows that `find` would return; how many there were."""
        check_equal(table, equal)
        if not equal:
            raise InputError(f"{table}: expected at least one column to say which rows to delete")
        count = self._open().change(*self._query(table, "delete", equal))
        if count:
            self._left_bytes()
        return count

    def set_number(self, name: str, value: int) -> None:
        """Write one of the store's own numbers."""
        self._open().change(
            f"INSERT INTO {self._sql.name(STATE)} VALUES ({self._sql.mark}, {self._sql.mark})"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )

    def _numbered(self, spec: Table, rows: Sequence[Row]) -> list[int]:
        """The serial of each row; the last one given is remembered, so that none is given twice."""
        last = self._state(f"serial.{spec.name}")
        numbers = []
        for row in rows:
            numbers.append(int(row.get(spec.serial, last + 1)))
            last = max(last, numbers[-1])
        self.set_number(f"serial.{spec.name}", last)
        return numbers

    def _left_bytes(self) -> None:
        """Old bytes may lie in the files from now on: `compact` has something to do."""
        if not self._marked:
            self.set_number("stale", self._revision)
            self._marked = True


def json_text(value: Any, where: str) -> str | None:
    """JSON for a column of that kind; None stays None."""
    if value is None:
        return None
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:  # UnicodeEncodeError is a ValueError
        raise InputError(f"{where}: expected what JSON can hold, got {type(value).__name__}: {error}") from error
    return text


def _record(spec: Table, row: Row) -> list[Any]:
    return [
        json_text(row[c.name], f"{spec.name}.{c.name}") if c.kind == "json" else _plain(row[c.name], c.kind)
        for c in spec.columns
    ]


def _plain(value: Any, kind: str = "") -> Any:
    """A value as the drivers know it: numpy's numbers, bool and subclasses of str become plain ones."""
    if value is None or (type(value) in (str, bytes, int, float) and kind != "real"):
        return value
    if kind == "real":
        return float(value)
    return str(value) if isinstance(value, str) else bytes(value) if isinstance(value, bytes) else int(value)


@cache
def _reader(table: str) -> Callable[[tuple[Any, ...]], Row]:
    """Makes a row of an answer; what is not of its column's kind was not written by this package."""
    spec = TABLES[table]
    names = [column.name for column in spec.columns]
    none = type(None)
    checks = [
        (c.name, (*_TYPES.get(c.kind, (str,)), *((none,) if c.null or c.kind == "json" else ()))) for c in spec.columns
    ]
    jsons = [column.name for column in spec.columns if column.kind == "json"]

    def read(answer: tuple[Any, ...]) -> Row:
        row = dict(zip(names, answer, strict=True))
        for name, types in checks:
            if type(row[name]) not in types:
                raise StoreError(f"{table}.{name} holds {type(row[name]).__name__}: damaged, restore a backup")
        for name in jsons:
            if row[name] is not None:
                try:
                    row[name] = json.loads(row[name])
                except (ValueError, RecursionError) as error:
                    raise StoreError(f"{table}.{name} holds no JSON: damaged, restore a backup") from error
        return row

    return read


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


SQLITE = Statements("?", {"text": "TEXT", "int": "INTEGER", "real": "REAL", "bytes": "BLOB", "json": "TEXT"})

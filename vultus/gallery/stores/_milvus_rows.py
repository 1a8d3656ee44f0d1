"""Rows as Milvus keeps them: versions with the revisions at which they were born and died; views of one revision."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np

from vultus.errors import InputError, StoreError
from vultus.gallery.stores._milvus_open import FIELDS, NEVER, Link
from vultus.gallery.stores._milvus_turn import Turn
from vultus.gallery.stores._sql import json_text
from vultus.gallery.stores.schema import TABLES, Row, Table, check_equal, check_key, check_row, table_of

__all__ = ["MilvusEdit", "MilvusRows", "State", "clean", "newest"]

PART = 60_000  # letters of a body in one entity; Milvus takes 65535 bytes
KEYS_AT_ONCE = 100
_ASKED = {
    name: tuple(dict.fromkeys((*spec.key, *spec.indexes)))[:FIELDS] for name, spec in TABLES.items()
}  # columns that have a field of their own
_WHOLE = ["tbl", "k", "born", "died", *(f"i{n}" for n in range(FIELDS)), "parts", "body"]


@dataclass
class State:
    """What one commit says.

    Attributes:
        revision: of the rows; those born later are of nobody yet.
        number: of the writer's turn; rises also when the revision does not.
        numbers: serials, and what is to be compacted.
        generation: of the collections that hold the rows.
        void: revisions that somebody may have begun who lost the right to write.
    """

    revision: int = 0
    number: int = 0
    numbers: dict[str, int] = field(default_factory=dict)
    generation: int = 0
    void: list[int] = field(default_factory=list)

    def entity(self, token: str) -> dict[str, Any]:
        """As it is kept."""
        body = json.dumps({"numbers": self.numbers, "generation": self.generation, "void": self.void})
        key = f"{self.revision:016x}-{self.number:016x}-{token}"
        return {"pk": key, "revision": self.revision, "number": self.number, "body": body}

    def visible(self, revision: int) -> str:
        """The condition for versions that are there at a revision."""
        if not self.void:
            return f"born <= {revision} and died > {revision}"
        return f"born <= {revision} and born not in {self.void} and (died > {revision} or died in {self.void})"

    def rows(self, link: Link) -> str:
        """The collection of the rows."""
        return link.place.name(f"rows_{self.generation}")


def newest(link: Link) -> State | None:
    """The newest commit, or None when there is no gallery."""
    name = link.place.name("commits")
    if not link.knows(name) and not link.has(name):
        return None
    link.load(name)
    found = link.page(name, "revision >= 0", ["revision", "number", "body"])
    if not found:
        return None
    last = max(found, key=lambda entity: (int(entity["revision"]), int(entity["number"]), entity["pk"]))
    body = json.loads(last["body"])
    return State(int(last["revision"]), int(last["number"]), body["numbers"], body["generation"], body["void"])


class MilvusRows:
    """One view of the tables, of one revision."""

    def __init__(self, link: Link, state: State, revision: int | None = None) -> None:
        self._link: Link | None = link
        self._state = state
        self._revision = state.revision if revision is None else revision
        link.load(state.rows(link))

    def get(self, table: str, *key: Any) -> Row | None:
        """The row of that key, or None."""
        check_key(table, key)
        found = self._entities(table, f'k == "{_key(key)}"', 1)
        return self._read(table, found)[0] if found else None

    def find(self, table: str, **equal: Any) -> list[Row]:
        """Rows whose columns equal these values, ordered by key."""
        check_equal(table, equal)
        return self._read(table, self._entities(table, _equal(table, equal)))

    def after(self, table: str, key: tuple[Any, ...] | None, limit: int, **equal: Any) -> list[Row]:
        """Up to `limit` rows whose key is greater than `key`, ordered by key."""
        check_equal(table, equal)
        if key is not None:
            check_key(table, key)
        if not isinstance(limit, int) or limit < 1:
            raise InputError(f"limit: expected at least 1 row, a whole number, got {limit!r}")
        then = "" if key is None else f'pk > "{table}/{_key(key)}!~"'
        parts = [part for part in (_equal(table, equal), then) if part]
        return self._read(table, self._entities(table, " and ".join(parts), limit))

    def count(self, table: str, **equal: Any) -> int:
        """How many rows `find` would return."""
        check_equal(table, equal)
        link = self._open()
        return link.count(self._state.rows(link), self._where(table, _equal(table, equal)))

    def revision(self) -> int:
        """The revision of this view."""
        self._open()
        return self._revision

    def numbers(self) -> dict[str, int]:
        """The store's own numbers: its revision and the last serial of each table that has one."""
        return {**self._state.numbers, "revision": self._revision}

    def end(self) -> None:
        """The block is over."""
        self._link = None

    def _open(self) -> Link:
        if self._link is None:
            raise InputError("gallery store: this view ended with its block: open a new one")
        return self._link

    def _where(self, table: str, condition: str) -> str:
        text = f'tbl == "{table}" and {self._state.visible(self._revision)}'
        return f"{text} and {condition}" if condition else text

    def _entities(self, table: str, condition: str, limit: int | None = None) -> list[dict[str, Any]]:
        link = self._open()
        return link.page(self._state.rows(link), self._where(table, condition), _WHOLE, limit)

    def _read(self, table: str, entities: Sequence[dict[str, Any]]) -> list[Row]:
        return [_row(TABLES[table], body) for body in bodies(self._open(), self._state, entities)]


class MilvusEdit(MilvusRows):
    """A view that writes versions of the next revision, which nobody sees until its commit."""

    def __init__(self, link: Link, state: State, turn: Turn) -> None:
        revision = state.revision + 1
        if turn.orphaned:
            state.void = [*state.void, revision]
            revision += 1
        super().__init__(link, state, revision)
        self._turn = turn
        self._encrypted: bool | None = None

    def put(self, table: str, *rows: Row) -> list[int]:
        """Insert rows, or replace those of the same key; the serial numbers of the rows."""
        link = self._open()
        spec = table_of(table)
        for row in rows:
            check_row(table, row)
        if not rows:
            return []
        last = self._state.numbers.get(f"serial.{table}", 0)
        numbers, made = [], {}
        for row in rows:
            if spec.serial:
                numbers.append(int(row.get(spec.serial, last + 1)))
                last = max(last, numbers[-1])
                row = {**row, spec.serial: numbers[-1]}
            entities = _made(spec, row, self._revision)
            made[entities[0]["k"]] = (entities, row)
        self._turn.sign()
        keys = list(made)
        for start in range(0, len(keys), KEYS_AT_ONCE):
            some = ", ".join(f'"{key}"' for key in keys[start : start + KEYS_AT_ONCE])
            self._bury(table, self._entities(table, f"k in [{some}]"), replaced=True)
        link.put(self._state.rows(link), [entity for entities, _ in made.values() for entity in entities])
        if spec.serial:
            self._state.numbers[f"serial.{table}"] = last
        self._follow(table, [(entities[0]["pk"], row) for entities, row in made.values()])
        return numbers

    def delete(self, table: str, **equal: Any) -> int:
        """Delete the rows that `find` would return; how many there were."""
        check_equal(table, equal)
        if not equal:
            raise InputError(f"{table}: expected at least one column to say which rows to delete")
        self._turn.sign()
        found = self._entities(table, _equal(table, equal))
        self._bury(table, found)
        if table == "facts":
            self._encrypted = None
        return len(found)

    def _bury(self, table: str, entities: Sequence[dict[str, Any]], replaced: bool = False) -> None:
        """Let versions die at this revision; those born at it go for good."""
        link, name = self._open(), self._state.rows(self._open())
        if not entities:
            return
        self._state.numbers["stale"] = self._revision
        link.put(name, [{**e, "died": self._revision} for e in entities if e["born"] != self._revision])
        own = [key for e in entities if e["born"] == self._revision for key in _keys(e)]
        if not replaced or any("+" in key for key in own):
            self._remove(name, own)
        if table == "templates":
            self._bury_vectors([e["pk"] for e in entities])

    def _remove(self, name: str, keys: Sequence[str]) -> None:
        for start in range(0, len(keys), KEYS_AT_ONCE):
            some = ", ".join(f'"{key}"' for key in keys[start : start + KEYS_AT_ONCE])
            self._open().remove(name, f"pk in [{some}]")

    def _bury_vectors(self, keys: Sequence[str] | None) -> None:
        """Let vectors die at this revision: those of these versions, or all."""
        link = self._open()
        for name in vector_names(link, self._state):
            link.load(name)
            groups: list[str] = [self._state.visible(self._revision)]
            if keys is not None:
                listed = [
                    ", ".join(f'"{k}"' for k in keys[i : i + KEYS_AT_ONCE]) for i in range(0, len(keys), KEYS_AT_ONCE)
                ]
                groups = [f"pk in [{some}] and {groups[0]}" for some in listed]
            for condition in groups:
                found = link.page(name, condition, ["person", "born", "died", "vector"])
                if found:
                    self._state.numbers["stale"] = self._revision
                link.put(name, [{**e, "died": self._revision} for e in found if e["born"] != self._revision])
                self._remove(name, [e["pk"] for e in found if e["born"] == self._revision])

    def _follow(self, table: str, rows: Sequence[tuple[str, Row]]) -> None:
        """Keep the vectors of an unencrypted gallery where Milvus can compare them."""
        if table == "facts" and any(row["key"] == "encrypted" for _, row in rows):
            self._encrypted = None
            if any(row["key"] == "encrypted" and row["value"] == "1" for _, row in rows):
                self._bury_vectors(None)
        if table != "templates":
            return
        if self._encrypted is None:
            fact = self.get("facts", "encrypted")
            self._encrypted = fact is not None and fact["value"] == "1"
        if self._encrypted:
            return
        link = self._open()
        kept: dict[tuple[str, int], list[dict[str, Any]]] = {}
        for key, row in rows:
            numbers = _embedding(row)
            if numbers is not None:
                entity = {"pk": key, "person": _text(row["person_id"]), "born": self._revision, "died": NEVER}
                kept.setdefault((row["space"], len(numbers)), []).append({**entity, "vector": numbers})
        for (space, dim), entities in kept.items():
            name = vector_name(link, self._state, space, dim)
            link.make(name, "vectors", dim)
            link.put(name, entities)


def bodies(link: Link, state: State, entities: Sequence[dict[str, Any]]) -> list[str]:
    """The whole body of each entity; long ones lie in several."""
    long = [key for e in entities if e["parts"] > 1 for key in _keys(e)[1:]]
    found: dict[str, str] = {}
    for start in range(0, len(long), KEYS_AT_ONCE):
        some = ", ".join(f'"{key}"' for key in long[start : start + KEYS_AT_ONCE])
        found.update({e["pk"]: e["body"] for e in link.page(state.rows(link), f"pk in [{some}]", ["body"])})
    try:
        return [e["body"] + "".join(found[key] for key in _keys(e)[1:]) for e in entities]
    except KeyError as error:
        raise StoreError(f"{link.place.url} is damaged (a part of a row is missing): restore a backup") from error


def clean(link: Link, state: State) -> None:
    """Take away what a writer left that did not commit."""
    r = state.revision
    rows, half = state.rows(link), f"born > {r} or (died > {r} and died < {NEVER})"
    link.load(rows)
    if not link.page(rows, half, [], 1):
        return
    for name in (*vector_names(link, state), rows):  # the rows last: as long as they are there, this is done again
        link.load(name)
        link.remove(name, f"born > {r}")
        fields = _WHOLE if name == rows else ["person", "born", "died", "vector"]
        undead = link.page(name, f"died > {r} and died < {NEVER}", fields)
        link.put(name, [{**entity, "died": NEVER} for entity in undead])


def vector_name(link: Link, state: State, space: str, dim: int) -> str:
    """The collection of the vectors of one space."""
    return link.place.name(f"v{state.generation}_{blake2b(space.encode(), digest_size=8).hexdigest()}_{dim}")


def vector_names(link: Link, state: State) -> list[str]:
    """The collections of vectors."""
    start = link.place.name(f"v{state.generation}_")
    return [name for name in link.names() if name.startswith(start)]


def person_of(text: str) -> str:
    """The person of an entity of vectors."""
    return bytes.fromhex(text).decode()


def _made(spec: Table, row: Row, revision: int) -> list[dict[str, Any]]:
    """The entities of a new version: the first one, and as many as its body needs."""
    kinds = {column.name: column.kind for column in spec.columns}
    plain: dict[str, Any] = {}
    for name, value in row.items():
        kind = kinds[name]
        if value is None:
            plain[name] = None
        elif kind == "json":
            json_text(value, f"{spec.name}.{name}")
            plain[name] = value
        elif kind == "bytes":
            plain[name] = base64.b64encode(value).decode()
        else:
            plain[name] = float(value) if kind == "real" else int(value) if kind == "int" else str(value)
    body = json.dumps(plain, separators=(",", ":"), allow_nan=False)
    parts = [body[i : i + PART] for i in range(0, len(body), PART)]
    asked = [_asked(row[name]) for name in _ASKED[spec.name]]
    key = _key(tuple(row[name] for name in spec.key))
    fields = {f"i{n}": asked[n] if n < len(asked) else "" for n in range(FIELDS)}
    first = {"pk": f"{spec.name}/{key}!{revision:016x}", "tbl": spec.name, "k": key, "born": revision, "died": NEVER}
    first |= {**fields, "parts": len(parts), "body": parts[0]}
    if any(len(str(value)) > 65000 for value in (first["pk"], *fields.values())):
        raise InputError(f"{spec.name}: expected a key and indexed columns of less than 16000 letters each")
    more = [
        {**first, "pk": name, "tbl": f"{spec.name}+", "body": part}
        for name, part in zip(_keys(first)[1:], parts[1:], strict=True)
    ]
    return [first, *more]


def _row(spec: Table, body: str) -> Row:
    try:
        plain = json.loads(body)
        return {
            c.name: base64.b64decode(plain[c.name])
            if c.kind == "bytes" and plain[c.name] is not None
            else plain[c.name]
            for c in spec.columns
        }
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{spec.name}: a row is damaged ({error}): restore a backup") from error


def _keys(entity: dict[str, Any]) -> list[str]:
    """The primary keys of a version and of the rest of its body."""
    return [entity["pk"], *(f"{entity['pk']}+{n:04x}" for n in range(1, int(entity["parts"])))]


def _key(key: tuple[Any, ...]) -> str:
    """A key as text whose order is the key's: hexadecimal digits sort as the bytes do, and "." before them."""
    return ".".join(_text(part) for part in key)


def _text(value: Any) -> str:
    return str(value).encode().hex() if isinstance(value, str) else f"{int(value) + 2**63:016x}"


def _asked(value: Any) -> str:
    return "-" if value is None else f"={_text(value)}"


def _equal(table: str, equal: Row) -> str:
    return " and ".join(f'i{_ASKED[table].index(name)} == "{_asked(value)}"' for name, value in equal.items())


def _embedding(row: Row) -> list[float] | None:
    """The vector in a row's bytes, or None where they hold none that can be compared."""
    vector, dim = row["vector"], int(row["dim"])
    if not 2 <= dim <= 32768 or len(vector) != 4 * dim:
        return None
    numbers = np.frombuffer(vector, "<f4")
    return [float(n) for n in numbers] if np.isfinite(numbers).all() and numbers.any() else None

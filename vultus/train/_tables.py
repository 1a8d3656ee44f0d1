"""TOML tables as frozen records: what annotations allow, merged key by key, and written again."""

from __future__ import annotations

import difflib
import inspect
import json
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from vultus.errors import InputError
from vultus.io.files import read_bytes

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["built", "merge", "table_of", "value_of", "words_of"]

_LIMIT = 1 << 20
_INSTEAD = {"steps": "epochs", "epochs": "steps", "batch": "persons", "persons": "batch"}  # one replaces the other
_KINDS = {int: "a whole number", float: "a number", str: "text", tuple: "a list", Mapping: "a table"}
_T = TypeVar("_T")


def table_of(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_bytes(path, _LIMIT).decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected a recipe in TOML, got something else: {error}") from error


def merge(table: dict[str, Any], over: Mapping[str, Any], *, whole_args: bool = True) -> None:
    """Replace what `over` has, in place; a table key by key, `args` as a whole where that is said."""
    if "name" in over and over["name"] != table.get("name"):
        table.pop("args", None)  # they are those of something else
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(table.get(key), dict) and not (whole_args and key == "args"):
            merge(table[key], value, whole_args=whole_args)
        elif isinstance(value, Mapping) and not isinstance(table.get(key), dict):
            table[key] = {}
            merge(table[key], value, whole_args=whole_args)
        else:
            table[key] = value
            table.pop(_INSTEAD.get(key, ""), None)


def value_of(words: str) -> Any:
    """A number, true or false, a list or a table as TOML has them; else the words themselves."""
    try:
        return int(words)
    except ValueError:
        pass
    try:
        return float(words)
    except ValueError:
        pass
    try:
        return tomllib.loads(f"value = {words}")["value"]
    except tomllib.TOMLDecodeError:
        return words


def built(kind: type[_T], table: Any, where: str) -> _T:
    """A record of a table; its annotations say what may stand in it."""
    if not isinstance(table, Mapping):
        raise InputError(f"{where}: expected a table, got {table!r}")
    hints = get_type_hints(kind)
    known = {one.name for one in fields(cast(Any, kind))}
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, sorted(known), n=1, cutoff=0.0)
            raise InputError(f"{where}: there is no key {key!r}; the nearest is {near[0]!r}")
    found = {key: _fitting(hints[key], value, f"{where}: {key}") for key, value in table.items()}
    missing = [one for one in inspect.signature(kind).parameters.values() if one.default is one.empty]
    for one in missing:
        if one.name not in found:
            raise InputError(f"{where}: expected the key {one.name!r}, it is missing")
    return kind(**found)


def _fitting(hint: Any, value: Any, where: str) -> Any:
    """A value as its annotation wants it, or an InputError."""
    options = [one for one in get_args(hint) if one is not type(None)]
    if is_dataclass(hint):
        return built(cast(type[Any], hint), value, where)
    if get_origin(hint) is tuple and isinstance(value, (list, tuple)):
        if options[-1] is not Ellipsis and len(options) != len(value):
            raise InputError(f"{where}: expected {len(options)} values, got {value!r}")
        return tuple(_fitting(options[0], one, where) for one in value)
    if get_origin(hint) is Mapping and isinstance(value, Mapping):
        return dict(value)
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if hint in (int, str) and type(value) is hint:
        return value
    if type(None) in get_args(hint):
        return _fitting(options[0], value, where)
    raise InputError(f"{where}: expected {_KINDS[get_origin(hint) or hint]}, got {value!r}")


def words_of(value: Any) -> str:
    """A value as TOML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)} = {words_of(one)}" for key, one in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(words_of, value)) + "]"
    return json.dumps(value, ensure_ascii=False)

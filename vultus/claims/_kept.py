"""Results of finished steps in one file each: JSON for the shape, arrays beside it; nothing in it is code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from vultus.errors import InputError, StoreError
from vultus.io.files import write_atomic

__all__ = ["copy", "read", "write"]

_PLAIN = (bool, int, float, str, type(None))


def write(path: Path, value: Any, seconds: float) -> None:
    """Keep a value with the seconds that it took; complete or not at all.

    Args:
        path: where; its folder is made.
        value: None, bool, int, float, str, lists, tuples, dicts with keys of text, NumPy arrays of numbers or text.
        seconds: see `read`.

    Raises:
        InputError: the value holds something else.
        StoreError: the file cannot be written.
    """
    arrays: list[np.ndarray] = []
    text = json.dumps({"seconds": seconds, "value": _pack(value, arrays, path.stem)})
    named = {f"a{i}": array for i, array in enumerate(arrays)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{path.parent}: cannot be made ({error.strerror}); choose another folder") from error
    write_atomic(path, lambda file: np.savez(file, json=np.frombuffer(text.encode(), np.uint8), **named))  # type: ignore[arg-type]


def read(path: Path) -> tuple[Any, float] | None:
    """What `write` kept and its seconds; None when nothing is there.

    Raises:
        StoreError: the file is damaged.
    """
    if not path.is_file():
        return None
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            document = json.loads(bytes(file["json"]))
            arrays = [file[f"a{i}"] for i in range(len(file.files) - 1)]
        return _unpack(document["value"], arrays), float(document["seconds"])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise StoreError(f"{path}: this kept step is damaged ({error}); remove it, or run with --fresh") from error


def copy(value: Any, name: str) -> Any:
    """The value as it will be read again, so that a fresh and a resumed run see the same."""
    arrays: list[np.ndarray] = []
    return _unpack(json.loads(json.dumps(_pack(value, arrays, name))), [np.array(array) for array in arrays])


def _pack(value: Any, arrays: list[np.ndarray], name: str) -> Any:
    """One letter says what it is, so that no value can be taken for another kind."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, _PLAIN):
        return {"v": value}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufcU":
        arrays.append(value)
        return {"a": len(arrays) - 1}
    if isinstance(value, (list, tuple)):
        return {"l" if isinstance(value, list) else "t": [_pack(item, arrays, name) for item in value]}
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {"d": {key: _pack(item, arrays, name) for key, item in value.items()}}
    raise InputError(
        f"step {name!r}: expected a result of numbers, text, lists, tuples, dicts with keys of text and arrays; "
        f"got {type(value).__name__}"
    )


def _unpack(packed: Any, arrays: list[np.ndarray]) -> Any:
    ((kind, value),) = packed.items()
    if kind == "v":
        return value
    if kind == "a":
        return arrays[value]
    if kind == "d":
        return {key: _unpack(item, arrays) for key, item in value.items()}
    items = [_unpack(item, arrays) for item in value]
    return tuple(items) if kind == "t" else items

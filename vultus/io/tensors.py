"""Arrays with names as bytes, in the safetensors format: eight bytes of length, a JSON header, the arrays.

Format: https://github.com/huggingface/safetensors (README, "Format"). Reading runs nothing and trusts no number of the
header: places must lie one after the other inside the data, and shapes must agree with them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError, StoreError

__all__ = ["pack", "pieces", "unpack"]

_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1"}
_NAMES = {np.dtype(code): name for name, code in _TYPES.items()}
_MAX_HEADER = 16 * 1024 * 1024
_MAX_RANK = 8


def pack(arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> bytes:
    """Arrays and words as the bytes of a safetensors file; the same input gives the same bytes.

    Args:
        arrays: name -> array of floats or integers.
        metadata: name -> text.

    Raises:
        InputError: if an array is of another type, or a name is taken by the format.
    """
    return b"".join(pieces(arrays, metadata))


def pieces(arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> Iterator[bytes]:
    """The same bytes one array at a time, for a file that need not be in memory twice.

    Raises:
        InputError: as `pack`, before the first piece.
    """
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    place = 0
    for name in sorted(arrays):
        array = arrays[name]
        kind = _NAMES.get(array.dtype.newbyteorder("<"))
        if kind is None or name == "__metadata__":
            raise InputError(f"{name}: expected an array of one of {', '.join(_TYPES)}, got {array.dtype}")
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [place, place + array.nbytes]}
        place += array.nbytes
    words = json.dumps(header, separators=(",", ":")).encode()
    words += b" " * (-len(words) % 8)
    yield len(words).to_bytes(8, "little") + words
    for name in sorted(arrays):
        array = arrays[name]
        yield array.astype(_TYPES[_NAMES[array.dtype.newbyteorder("<")]], copy=False).tobytes()


def unpack(data: bytes) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Arrays and words from the bytes of a safetensors file.

    Returns:
        Read-only arrays by name, and the metadata.

    Raises:
        StoreError: if it is not one, or is damaged.
    """
    try:
        length = int.from_bytes(data[:8], "little")
        if not 2 <= length <= min(_MAX_HEADER, len(data) - 8):
            raise ValueError(f"a header of {length} bytes in a file of {len(data)}")
        header = json.loads(data[8 : 8 + length].decode("utf-8"))
        words = header.pop("__metadata__", {})
        if not all(isinstance(item, str) for pair in words.items() for item in pair):
            raise ValueError("metadata that is no text")
        body = memoryview(data)[8 + length :]
        arrays, place = {}, 0
        for name, entry in sorted(header.items(), key=lambda pair: pair[1]["data_offsets"]):
            arrays[name], place = _array(entry, body, place)
        if place != len(body):
            raise ValueError(f"{len(body) - place} bytes that belong to no array")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
        raise StoreError(
            f"expected a safetensors file, could not read it: {error}; it is damaged or another"
        ) from error
    return arrays, words


def _array(entry: dict[str, Any], body: memoryview, place: int) -> tuple[NDArray[Any], int]:
    kind, shape, (start, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    if kind not in _TYPES:
        raise ValueError(f"numbers of the type {kind!r}")
    whole = [*shape, start, end]
    if len(shape) > _MAX_RANK or not all(type(n) is int and 0 <= n < 1 << 48 for n in whole):
        raise ValueError(f"a shape {shape} at {start} to {end}")
    dtype = np.dtype(_TYPES[kind])
    if start != place or end > len(body) or end - start != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"an array of shape {shape} at {start} to {end}, after {place}")
    return np.frombuffer(body[start:end], dtype).reshape(shape), end

"""The part of MessagePack that training sets use: whole numbers, bytes, texts and lists of them.

Format: https://github.com/msgpack/msgpack/blob/master/spec.md
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from vultus.errors import InputError

__all__ = ["after_bytes", "packed", "unpacked"]

_WHOLE = {0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
_BYTES = {0xC4: ">B", 0xC5: ">H", 0xC6: ">I"}
_TEXT = {0xD9: ">B", 0xDA: ">H", 0xDB: ">I"}
_LIST = {0xDC: ">H", 0xDD: ">I"}
_MAX_DEPTH = 4


def packed(value: int | bytes | str | Sequence[Any]) -> bytes:
    """The bytes of a value; whole numbers from -2^63 to 2^64 - 1.

    Raises:
        InputError: if it is of another kind or too large.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        if -32 <= value < 128:
            return struct.pack(">b" if value < 0 else ">B", value)
        for code in (0xCC, 0xCD, 0xCE, 0xCF) if value >= 0 else (0xD0, 0xD1, 0xD2, 0xD3):
            try:
                return bytes([code]) + struct.pack(_WHOLE[code], value)
            except struct.error:
                continue
    elif isinstance(value, bytes):
        return _sized(_BYTES, len(value)) + value
    elif isinstance(value, str):
        data = value.encode("utf-8")
        return _sized(_TEXT, len(data)) + data
    elif isinstance(value, (list, tuple)):
        head = bytes([0x90 | len(value)]) if len(value) < 16 else _sized(_LIST, len(value))
        return head + b"".join(packed(item) for item in value)
    raise InputError(f"msgpack: expected whole numbers of 64 bits, bytes, texts and lists, got {type(value).__name__}")


def unpacked(data: bytes) -> Any:
    """The value of bytes: int, bytes, str (or bytes where a text is not UTF-8), or a list of them.

    Raises:
        InputError: if they end early, go on after the value, hold another kind or are nested more than four deep.
    """
    value, end = _value(memoryview(data), 0, 0)
    if end != len(data):
        raise InputError(f"msgpack: expected an end after {end} bytes, got {len(data) - end} more")
    return value


def after_bytes(data: memoryview) -> int | None:
    """Where the second of a list of two items begins, when the first is bytes, at least one; None otherwise.

    Raises:
        InputError: if the bytes end early.
    """
    if len(data) < 3 or data[0] != 0x92 or data[1] not in _BYTES:
        return None
    size, place = _number(data, 2, _BYTES[data[1]])
    return place + size if size else None


def _value(data: memoryview, place: int, depth: int) -> tuple[Any, int]:
    code = _taken(data, place, 1)[0]
    place += 1
    if code < 0x80 or code >= 0xE0:
        return code - (256 if code >= 0xE0 else 0), place
    if code in _WHOLE:
        return _number(data, place, _WHOLE[code])
    if code in _BYTES:
        size, place = _number(data, place, _BYTES[code])
        return bytes(_taken(data, place, size)), place + size
    if 0xA0 <= code < 0xC0 or code in _TEXT:
        size, place = (code & 0x1F, place) if code < 0xC0 else _number(data, place, _TEXT[code])
        text = bytes(_taken(data, place, size))
        try:
            return text.decode("utf-8"), place + size
        except UnicodeDecodeError:  # written before the format knew bytes
            return text, place + size
    if 0x90 <= code < 0xA0 or code in _LIST:
        count, place = (code & 0x0F, place) if code < 0xA0 else _number(data, place, _LIST[code])
        if depth == _MAX_DEPTH or count > len(data) - place:
            raise InputError(f"msgpack: expected lists that fit, at most {_MAX_DEPTH} deep, got {count} items")
        items = []
        for _ in range(count):
            item, place = _value(data, place, depth + 1)
            items.append(item)
        return items, place
    raise InputError(f"msgpack: expected whole numbers, bytes, texts and lists, got the kind 0x{code:02x}")


def _sized(kinds: dict[int, str], count: int) -> bytes:
    for code, form in kinds.items():
        if count < 1 << 8 * struct.calcsize(form):
            return bytes([code]) + struct.pack(form, count)
    raise InputError(f"msgpack: expected less than 4 GiB or items, got {count}")


def _number(data: memoryview, place: int, form: str) -> tuple[int, int]:
    size = struct.calcsize(form)
    return struct.unpack(form, _taken(data, place, size))[0], place + size


def _taken(data: memoryview, place: int, size: int) -> memoryview:
    part = data[place : place + size]
    if len(part) != size:
        raise InputError(f"msgpack: expected {size} bytes at {place}, got {len(part)}: it ends early")
    return part

"""MATLAB files, version 5 (`save -v6`, `-v7`): numbers, text and cells of them, as lists of data sets use them.

Format: MathWorks, "MAT-File Format", chapter 1, level 5. Structures, objects, functions and sparse matrices are not
read, and no part of a file is ever run. Version 7.3 is another format, HDF5.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from vultus.errors import InputError
from vultus.io.files import read_bytes

__all__ = ["read_matlab"]

_MAX_BYTES = 1 << 28
_MAX_DEPTH = 8
_MAX_AXES = 32
_MAX_CELLS = 1 << 22  # of a file; an empty one takes eight bytes there, and an object here
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXT = {16: "utf-8", 17: "utf-16", 18: "utf-32"}
_MATRIX, _COMPRESSED = 14, 15
_CELL, _CHAR, _NUMERIC = (
    1,
    4,
    {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"},
)
_COMPLEX = 0x0800


def read_matlab(path: str | os.PathLike[str], *, max_bytes: int = _MAX_BYTES) -> dict[str, Any]:
    """Read the variables of a file.

    Args:
        path: the file.
        max_bytes: most bytes that it may have, and most that what is compressed in it may grow to.

    Returns:
        Name -> array of the shape it has in MATLAB, str for one row of text, list of str for several, list for a cell,
        column by column.

    Raises:
        InputError: it is no such file, ends early, is too large, or holds something that is not read; what is named.
        StoreError: the system refuses to read it.
    """
    data = read_bytes(path, max_bytes)
    if data[:8] == b"\x89HDF\r\n\x1a\n" or data[:19] == b"MATLAB 7.3 MAT-file":
        raise InputError(f"{path}: expected a MATLAB file of version 5, got version 7.3: save it again with -v7")
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if order is None or len(data) < 136:
        raise InputError(f"{path}: expected a MATLAB file of version 5, got something else")
    found: dict[str, Any] = {}
    budget, room = max_bytes, iter(range(_MAX_CELLS))
    for kind, content in _elements(data[128:], order, str(path)):
        if kind == _COMPRESSED:
            content = _inflated(content, budget, str(path))
            budget -= len(content)
            ((kind, content),) = [*_elements(content, order, str(path))][:1] or [(0, b"")]
        if kind != _MATRIX:
            raise InputError(f"{path}: expected variables, got an element of type {kind}")
        name, value = _variable(content, order, str(path), 0, room)
        found[name] = value
    return found


def _inflated(content: bytes, budget: int, path: str) -> bytes:
    stream = zlib.decompressobj()
    try:
        plain = stream.decompress(content, budget + 1)  # a limit of 0 would be none
    except zlib.error as error:
        raise InputError(f"{path}: expected compressed variables, got damaged ones: {error}") from error
    if len(plain) > budget:
        raise InputError(f"{path}: expected variables of at most {budget} bytes, got more")
    return plain


def _elements(data: bytes, order: str, path: str) -> Iterator[tuple[int, bytes]]:
    """Type and content of each element; what is shorter than it says is refused."""
    at = 0
    while at + 8 <= len(data):
        first, size = struct.unpack_from(f"{order}II", data, at)
        if first >> 16:  # a small one: type and size in the first four bytes, content in the next four
            kind, size, start, after = first & 0xFFFF, first >> 16, at + 4, at + 8
        else:
            kind, start = first, at + 8
            after = start + size + (0 if kind == _COMPRESSED else -size % 8)
        if start + size > len(data) or (first >> 16 and size > 4):
            raise InputError(f"{path}: expected {size} bytes of content, got {len(data) - start}: the file ends early")
        yield kind, data[start : start + size]
        at = after


def _variable(content: bytes, order: str, path: str, depth: int, room: Iterator[int]) -> tuple[str, Any]:
    """Name and value of a matrix element; `room` gives one more number for each cell that may still come."""
    parts = _elements(content, order, path)
    try:
        (_, flags), (_, sizes), (_, name) = next(parts), next(parts), next(parts)
        (word,) = struct.unpack_from(f"{order}I", flags)
        shape = tuple(np.frombuffer(sizes, f"{order}i4").tolist())
        label = name.decode("ascii")
    except (StopIteration, struct.error, ValueError) as error:
        raise InputError(f"{path}: expected flags, sizes and name of a variable, got a damaged one") from error
    kind = word & 0xFF
    count = int(np.prod(shape, dtype=object)) if 2 <= len(shape) <= _MAX_AXES and min(shape) >= 0 else -1
    if count < 0 or depth > _MAX_DEPTH or (kind in _NUMERIC and word & _COMPLEX):
        raise InputError(f"{path}: expected arrays and cells of real numbers and text, got another one in {label!r}")
    if kind == _CELL:
        cells = []
        for _, inner in parts:
            if next(room, None) is None:
                raise InputError(f"{path}: expected at most {_MAX_CELLS:,} cells, got more in {label!r}")
            cells.append(_variable(inner, order, path, depth + 1, room)[1] if inner else np.zeros((0, 0)))
        if len(cells) != count:
            raise InputError(f"{path}: expected {count} cells in {label!r}, got {len(cells)}")
        return label, cells
    if kind != _CHAR and kind not in _NUMERIC:
        raise InputError(f"{path}: expected numbers, text or cells, got an array of class {kind} in {label!r}")
    stored, raw = next(parts, (2, b""))
    if kind == _CHAR:
        return label, _text(_codes(stored, raw, order, path), shape, path)
    values = _numbers(stored, raw, order, path)
    if len(values) != count:
        raise InputError(f"{path}: expected {count} numbers in {label!r}, got {len(values)}")
    try:
        return label, values.astype(_NUMERIC[kind]).reshape(shape, order="F")
    except ValueError as error:  # none of it, and more along the other axes than can be counted
        raise InputError(f"{path}: expected an array in {label!r}, got one of shape {shape}: {error}") from error


def _numbers(stored: int, raw: bytes, order: str, path: str) -> np.ndarray[Any, Any]:
    code = _NUMBERS.get(stored)
    if code is None or len(raw) % int(code[1]):
        raise InputError(f"{path}: expected numbers, got an element of type {stored} with {len(raw)} bytes")
    return np.frombuffer(raw, order + code)


def _codes(stored: int, raw: bytes, order: str, path: str) -> list[str]:
    """Characters, column by column."""
    if stored in _TEXT:
        suffix = "" if stored == 16 else "-le" if order == "<" else "-be"
        try:
            return list(raw.decode(_TEXT[stored] + suffix))
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: expected {_TEXT[stored]} text, got other bytes") from error
    codes = _numbers(stored, raw, order, path)
    if codes.dtype.kind == "f" or (len(codes) and not 0 <= int(codes.min()) <= int(codes.max()) < 0xD800):
        raise InputError(f"{path}: expected characters, got other numbers")
    return [chr(code) for code in codes.tolist()]


def _text(letters: list[str], shape: tuple[int, ...], path: str) -> str | list[str]:
    rows = shape[0]
    if len(letters) != int(np.prod(shape, dtype=object)):
        raise InputError(f"{path}: expected text of shape {shape}, got {len(letters)} characters")
    return "".join(letters) if rows <= 1 or not letters else ["".join(letters[row::rows]) for row in range(rows)]

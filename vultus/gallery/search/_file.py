"""One file that holds named arrays: read as a memory map, written whole or not at all, every byte under a checksum.

    8 bytes   magic
    8 bytes   length of the head, little-endian
    head      JSON: format, what the owner says of it, and per array its type, shape, place and sha256
    32 bytes  sha256 of everything above
    arrays    little-endian, each from a multiple of 64 bytes on

The file is written beside its place under a lock, synced, and moved. The bytes of the file it takes the place of are
overwritten with zeros, and so are those of a write that was interrupted, so that vectors which were removed do not
survive in the free space of the file system. (A file system that copies on write, or a solid-state disk, may keep old
blocks all the same; only encryption of the disk helps there.)
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from vultus.errors import StoreError
from vultus.gallery.search._threads import spread

__all__ = ["alive", "read", "wipe", "write"]

MAGIC = b"vultusix"
FORMAT = 1
ALIGN = 64
BLOCK = 1 << 22  # bytes per checksum and per write: large enough to stream, small enough for the cache
LARGEST_HEAD = 1 << 24
_AGAIN = "delete it: the gallery makes it again from its store"


def write(path: Path, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays and facts to `path`: afterwards the file is whole, or as it was before.

    Raises:
        StoreError: if it cannot be written, or another process is writing it.
    """
    try:
        with _beside(path) as out:
            _fill(out, facts, arrays)
            out.flush()
            os.fsync(out.fileno())
            with open(path, "r+b") if path.is_file() else nullcontext() as old:
                os.replace(_part(path), path)
                _sync_folder(path.parent)
                if old is not None:
                    _zero(old)
    except OSError as error:
        raise StoreError(f"{path}: the index could not be written ({error}); check space and permissions") from error


def read(
    path: Path, expected: Mapping[str, Any], *, verify: bool = True
) -> tuple[dict[str, Any], dict[str, NDArray[Any]], NDArray[np.uint8]]:
    """The facts and arrays of a file; arrays are private memory maps, so that changes stay in this process.

    Args:
        path: the file.
        expected: facts that have to be of these values.
        verify: check every byte; without it only head and length are checked, and damage further on is not noticed.

    Returns:
        facts; name -> array; the map of the first bytes, for `alive`.

    Raises:
        StoreError: if there is no such file, or it is damaged, cut off, or of another format or other facts.
    """
    try:
        with path.open("rb") as file:
            head, start = _head(path, file)
            end = file.tell()
            for what, wanted in expected.items():
                if head["facts"][what] != wanted:
                    got = head["facts"][what]
                    raise StoreError(f"{path}: expected an index of {what} {wanted!r}, got {got!r}: build it again")
            arrays = {name: _mapped(file, start, entry) for name, entry in head["arrays"].items()}
            mark: NDArray[np.uint8] = np.memmap(file, np.uint8, "r", 0, (len(MAGIC),))
            whole = not verify or _gaps_are_zero(file, end, start, head)
    except OSError as error:
        raise StoreError(f"{path}: the index could not be read ({error}); check the name and permissions") from error
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{path}: the head of the index makes no sense ({error}); {_AGAIN}") from error
    bad = [] if whole else ["the space between arrays"]
    if verify:
        bad += [repr(name) for name, array in arrays.items() if _digest(array) != head["arrays"][name]["sha256"]]
    if bad:
        raise StoreError(f"{path}: the index is damaged (checksum of {', '.join(bad)}); {_AGAIN}")
    return head["facts"], arrays, mark


def alive(mark: NDArray[np.uint8]) -> bool:
    """Whether the file behind a map still is one, rather than wiped by `write` or `wipe`."""
    return mark.tobytes() == MAGIC


def wipe(path: Path) -> bool:
    """Overwrite a file, and what an interrupted write left beside it, with zeros, and delete them.

    Returns:
        Whether there was anything.

    Raises:
        StoreError: if that fails, or another process is writing.
    """
    found = False
    try:
        if path.is_file():
            with open(path, "r+b") as file:
                _zero(file)
            path.unlink()
            found = True
        if _part(path).is_file():
            found = True
            with _beside(path):
                pass
        if found:
            _sync_folder(path.parent)
    except OSError as error:
        raise StoreError(f"{path}: the index could not be wiped ({error}); check permissions") from error
    return found


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


@contextmanager
def _beside(path: Path) -> Iterator[IO[bytes]]:
    """The file `.NAME.part`, locked and empty, for its owner alone; overwritten and deleted unless it was moved."""
    part = _part(path)
    while True:
        out = os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
        if not _locked(out):
            out.close()
            raise StoreError(f"{path}: another process is writing the index; try again when it is done")
        if _is_at(out, part):
            break
        out.close()  # its writer moved it between our opening and our locking
    with out:
        try:
            _zero(out)  # what an interrupted write left
            out.truncate(0)
            out.seek(0)
            yield out
        finally:
            if _is_at(out, part):
                _zero(out)
                part.unlink()


def _locked(file: IO[bytes]) -> bool:
    """Whether the lock on it was free; always, on a system that has none."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _zero(file: IO[bytes]) -> None:
    """Overwrite a file with zeros from its first byte on, so that readers see at once that it is gone.

    It keeps its length: a process that still maps it would otherwise crash.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    for start in range(0, size, BLOCK):
        file.write(bytes(min(BLOCK, size - start)))
        if start == 0:
            file.flush()
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _fill(out: IO[bytes], facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    entries: dict[str, dict[str, Any]] = {}
    place = 0
    for name, array in arrays.items():
        place = -(-place // ALIGN) * ALIGN
        kind = array.dtype.newbyteorder("<")
        entries[name] = {"dtype": kind.str, "shape": list(array.shape), "place": place, "sha256": _digest(array)}
        place += array.nbytes
    text = json.dumps({"format": FORMAT, "facts": dict(facts), "arrays": entries, "length": place}).encode()
    head = MAGIC + struct.pack("<Q", len(text)) + text
    out.write(head + hashlib.sha256(head).digest())
    start = _start(len(text))
    for name, array in arrays.items():
        out.write(bytes(start + entries[name]["place"] - out.tell()))
        for block in _blocks(array):
            out.write(block)
    out.write(bytes(start + place - out.tell()))


def _start(length: int) -> int:
    """Where the arrays begin after a head of so many bytes of JSON."""
    return -(-(len(MAGIC) + 8 + length + 32) // ALIGN) * ALIGN


def _head(path: Path, file: IO[bytes]) -> tuple[dict[str, Any], int]:
    front = file.read(len(MAGIC) + 8)
    if front[: len(MAGIC)] != MAGIC or len(front) < len(MAGIC) + 8:
        raise StoreError(f"{path}: expected an index of a gallery, got another file, or one that was wiped; {_AGAIN}")
    length = struct.unpack("<Q", front[len(MAGIC) :])[0]
    rest = file.read(min(length, LARGEST_HEAD) + 32)
    text, digest = rest[:-32], rest[-32:]
    if len(text) != length or hashlib.sha256(front + text).digest() != digest:
        raise StoreError(f"{path}: the index is damaged or cut off (checksum of its head); {_AGAIN}")
    head = json.loads(text)
    if head["format"] != FORMAT:
        raise StoreError(f"{path}: expected an index of format {FORMAT}, got {head['format']}; {_AGAIN}")
    start, size = _start(length), os.fstat(file.fileno()).st_size
    if size != start + head["length"]:
        raise StoreError(f"{path}: expected {start + head['length']} bytes, got {size}: the index is cut off; {_AGAIN}")
    return head, start


def _gaps_are_zero(file: IO[bytes], at: int, start: int, head: Mapping[str, Any]) -> bool:
    """Whether the bytes that no checksum covers, those between arrays, are as they were written."""
    for entry in head["arrays"].values():
        file.seek(at)
        if any(file.read(start + entry["place"] - at)):
            return False
        at = start + entry["place"] + math.prod(entry["shape"]) * np.dtype(entry["dtype"]).itemsize
    file.seek(at)
    return not any(file.read())


def _mapped(file: IO[bytes], start: int, entry: Mapping[str, Any]) -> NDArray[Any]:
    shape, dtype = tuple(entry["shape"]), np.dtype(entry["dtype"])
    if 0 in shape:
        return np.empty(shape, dtype)
    mapped = np.memmap(file, dtype, "c", start + entry["place"], shape)
    return mapped.view(np.ndarray)


def _blocks(array: NDArray[Any]) -> list[memoryview]:
    """The bytes of an array in C order, little-endian, in pieces."""
    plain = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
    flat: Any = plain.reshape(-1).view(np.uint8) if plain.size else np.empty(0, np.uint8)
    return [memoryview(flat[at : at + BLOCK]) for at in range(0, len(flat), BLOCK)]


def _digest(array: NDArray[Any]) -> str:
    """sha256 of the sha256 of each block: blocks are hashed by several threads."""
    parts = spread(lambda block: hashlib.sha256(block).digest(), _blocks(array))
    return hashlib.sha256(b"".join(parts)).hexdigest()

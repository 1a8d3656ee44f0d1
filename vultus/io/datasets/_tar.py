"""The members of a tar file by their headers alone: names, places and sizes; what is wrong is said, and goes on.

The headers are read here block by block, because a reader that stops in silence at the first damaged header would lose
the rest of a shard, and one that trusts the size of an extended header can be made to take any amount of memory. Only
plain files are members; links, devices and pipes are refused, and no name ever becomes a path.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

BLOCK = 512
MAX_NAME = 64 * 1024  # bytes of an extended header; names are at most a few hundred
_EMPTY = bytes(BLOCK)
_PAX = frozenset({tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE})
_SKIPPED = frozenset({tarfile.DIRTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK})
_WHAT = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}


@dataclass(frozen=True, slots=True)
class Member:
    """A plain file in a tar file.

    Attributes:
        name: as stored; not a path.
        start: where its bytes begin.
        size: how many there are.
    """

    name: str
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong at some place of a tar file.

    Attributes:
        name: of the member, or "".
        reason: in words.
    """

    name: str
    reason: str


def members(file: BinaryIO, size: int) -> Iterator[Member | Flaw]:
    """Walk the headers of an uncompressed tar file of `size` bytes; after a damaged one, go on at the next good one.

    A member that reaches beyond the end of the file is a flaw and the last thing that comes.
    """
    place, long_name, pax = 0, "", dict[str, str]()
    while place + BLOCK <= size:
        block = _at(file, place, BLOCK)
        if block == _EMPTY:
            if place + 2 * BLOCK > size or _at(file, place + BLOCK, BLOCK) == _EMPTY:
                return
            place += BLOCK
            continue
        header = _header(block)
        if header is None:
            good = _next_header(file, place + BLOCK, size)
            yield Flaw("", f"a damaged header at byte {place}; {good - place} bytes are skipped")
            place, long_name, pax = good, "", {}
            continue
        start = place + BLOCK
        length = _length(header, pax)
        place = start + -(-length // BLOCK) * BLOCK
        if header.type in _PAX or header.type == tarfile.GNUTYPE_LONGNAME:
            if length > MAX_NAME or start + length > size:
                yield Flaw("", f"an extended header of {length} bytes at byte {start - BLOCK}, {MAX_NAME} are enough")
            elif header.type in _PAX:
                pax = _records(_at(file, start, length))
            else:
                long_name = _at(file, start, length).split(b"\0")[0].decode("utf-8", "surrogateescape")
            continue
        if header.type in _SKIPPED:
            continue
        name = pax.get("path") or long_name or header.name
        sparse = any(key.startswith("GNU.sparse") for key in pax)
        long_name, pax = "", {}
        if start + length > size:
            yield Flaw(name, f"expected {length} bytes, but the file ends after {size - start}")
            return
        if sparse or header.type == tarfile.GNUTYPE_SPARSE or not header.isreg():
            yield Flaw(name, f"expected a plain file, got {_WHAT.get(header.type, 'something else')}")
            continue
        yield Member(name, start, length)
    left = "and part of a header is left" if place < size else "and no end mark follows"
    yield Flaw("", f"the file ends at byte {size}, {left}: it may have been cut off")


def _at(file: BinaryIO, place: int, length: int) -> bytes:
    file.seek(place)
    return file.read(length)


def _header(block: bytes) -> tarfile.TarInfo | None:
    """What a block says if it is a header: the checksum decides."""
    try:
        found = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError, OverflowError):
        return None
    return found if found.size >= 0 else None


def _length(header: tarfile.TarInfo, pax: dict[str, str]) -> int:
    """Bytes that follow the header in the file; links and devices have none, whatever their header says."""
    if header.type in (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE):
        return 0
    stated = pax.get("size", "")
    plain = header.isreg() and not any(key.startswith("GNU.sparse") for key in pax)
    return int(stated) if plain and stated.isascii() and stated.isdecimal() and len(stated) < 20 else header.size


def _next_header(file: BinaryIO, place: int, size: int) -> int:
    while place + BLOCK <= size:
        block = _at(file, place, BLOCK)
        if block == _EMPTY or _header(block) is not None:
            return place
        place += BLOCK
    return size


def _records(data: bytes) -> dict[str, str]:
    """Records of a pax header, each a line "length key=value"; what does not read as one ends the list."""
    found: dict[str, str] = {}
    while data:
        digits, _, _ = data.partition(b" ")
        if not (digits.isdigit() and len(digits) < 6 and len(digits) < int(digits) <= len(data)):
            return found
        record, data = data[len(digits) + 1 : int(digits) - 1], data[int(digits) :]
        key, _, value = record.partition(b"=")
        found[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
    return found

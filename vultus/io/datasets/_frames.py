"""The frames of a RecordIO file: where each record lies, and how one is cut into parts and put together again.

A part is the magic number, a word with 3 bits of kind and 29 bits of length, the bytes, and zeros up to a multiple of
four. A record in which the magic number stands at a multiple of four is cut there, the number itself is left out, and
the parts are of the kinds 1, 2, ..., 2, 3; a record in one part is of kind 0. So the magic number at a multiple of four
is always the head of a part, and a reader that has lost its way finds the next record by looking for it. Format: dmlc
RecordIO (https://mxnet.apache.org/versions/1.9.1/api/architecture/note_data_loading).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from vultus.errors import InputError

MAGIC = 0xCED7230A
MARK = MAGIC.to_bytes(4, "little")
MAX_LENGTH = (1 << 29) - 1
MAX_PARTS = 1024  # a picture has one; each further one takes a magic number by chance, one in 2**32 words
_HEAD = struct.Struct("<II")
_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)
_CHUNK = 1 << 12, 1 << 20  # bytes that are read at once, at first and at most


class Damaged(ValueError):
    """What is wrong with a record, in words."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a record lies.

    Attributes:
        place: of its first head.
        parts: start and length of each part.
        end: where the next record begins.
    """

    place: int
    parts: tuple[tuple[int, int], ...]
    end: int

    @property
    def length(self) -> int:
        """Bytes of the record."""
        return sum(length for _, length in self.parts) + len(MARK) * (len(self.parts) - 1)


def framed(payload: bytes) -> bytes:
    """A record as it stands in a file.

    Raises:
        InputError: it is longer than the format can say, or has the magic number in it too often.
    """
    if len(payload) > MAX_LENGTH:
        raise InputError(f"record: expected at most {MAX_LENGTH} bytes, got {len(payload)}")
    pieces, start = [], 0
    for cut in _marks(payload):
        pieces.append(payload[start:cut])
        start = cut + len(MARK)
    pieces.append(payload[start:])
    if len(pieces) > MAX_PARTS:
        raise InputError(f"record: expected the magic number in it less than {MAX_PARTS} times, got {len(pieces) - 1}")
    kinds = [_WHOLE] if len(pieces) == 1 else [_FIRST, *[_MIDDLE] * (len(pieces) - 2), _LAST]
    return b"".join(
        _HEAD.pack(MAGIC, kind << 29 | len(piece)) + piece + bytes(-len(piece) % 4)
        for kind, piece in zip(kinds, pieces, strict=True)
    )


def frame_at(file: BinaryIO, place: int, size: int, most: int, *, search: bool = False) -> Frame:
    """Where the record whose head is at `place` lies in a file of `size` bytes; only heads are read.

    Args:
        file: the file.
        place: of the record's first head.
        size: of the file.
        most: bytes that a record may have.
        search: read the parts too, each before the next one's head, and look for a head inside.

    Raises:
        Damaged: no record is there, it leaves the file, is longer than `most` bytes, or runs over another head.
    """
    parts: list[tuple[int, int]] = []
    here, left = place, most
    while True:
        if not 0 <= here <= size - _HEAD.size or here % 4:
            what = "ends" if here + _HEAD.size > size and not here % 4 else "has no head"
            raise Damaged(f"expected a record at byte {place}, but the file of {size} bytes {what} at byte {here}")
        file.seek(here)
        magic, word = _HEAD.unpack(file.read(_HEAD.size).ljust(_HEAD.size, b"\0"))
        kind, length, start = word >> 29, word & MAX_LENGTH, here + _HEAD.size
        if magic != MAGIC:
            raise Damaged(f"expected the magic number {MAGIC:#x} at byte {here}, got {magic:#x}")
        if kind not in ((_MIDDLE, _LAST) if parts else (_WHOLE, _FIRST)):
            raise Damaged(
                f"expected the {'next' if parts else 'first'} part of a record at byte {here}, got kind {kind}"
            )
        if length > left or len(parts) == MAX_PARTS:
            raise Damaged(f"expected at most {most} bytes in at most {MAX_PARTS} parts, got more at byte {here}")
        if start + length > size:
            raise Damaged(f"expected {length} bytes at byte {start}, but the file ends after {size - start}")
        inside = next(_heads(file, start, start + length), None) if search else None
        if inside is not None:
            raise Damaged(f"expected {length} bytes at byte {start}, but the next record begins at {inside}")
        parts.append((start, length))
        here, left = start + length + -length % 4, left - length - len(MARK)
        if kind in (_WHOLE, _LAST):
            return Frame(place, tuple(parts), here)


def payload(file: BinaryIO, frame: Frame, most: int | None = None) -> bytes:
    """The record's bytes, or the first `most` of them; fewer when the file has shrunk."""
    pieces = []
    for start, length in frame.parts:
        file.seek(start)
        pieces.append(file.read(length if most is None else min(length, most)))
        if most is not None and length >= most:
            break
    return MARK.join(pieces)[:most]


def walk(file: BinaryIO, size: int, most: int) -> Iterator[Frame | tuple[int, str]]:
    """The records of a file from its beginning; what is damaged comes as its place and the reason.

    After damage the walk goes on at the next head of a record. No part may reach over a head, so the time is that of
    reading the file a few times, whatever is in it.
    """
    place = 0
    while place < size:
        try:
            frame = frame_at(file, place, size, most, search=True)
        except Damaged as error:
            good = _next_record(file, place + 4, size)
            yield place, f"{error}; {good - place} bytes are skipped"
            place = good
            continue
        yield frame
        place = frame.end


def _marks(data: bytes, start: int = 0) -> Iterator[int]:
    """Multiples of four at which the magic number stands."""
    found = data.find(MARK, start)
    while found >= 0:
        if found % 4 == 0:
            yield found
        found = data.find(MARK, found + 1)


def _heads(file: BinaryIO, place: int, end: int) -> Iterator[int]:
    """Where the magic number stands from `place`, a multiple of four, before `end`."""
    chunk, most = _CHUNK
    while place < end:
        file.seek(place)
        for found in _marks(file.read(min(chunk, end - place))):
            yield place + found
        place, chunk = place + chunk, min(2 * chunk, most)


def _next_record(file: BinaryIO, place: int, size: int) -> int:
    for found in _heads(file, place - place % 4, size):
        file.seek(found + len(MARK))
        word = file.read(4)
        if len(word) == 4 and int.from_bytes(word, "little") >> 29 in (_WHOLE, _FIRST):
            return found
    return size

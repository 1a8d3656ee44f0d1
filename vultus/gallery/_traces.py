"""Finding bytes that should be gone: whether pieces of vectors, crops and keys are still in some file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vultus.errors import StoreError

__all__ = ["PIECE", "Traces"]

PIECE = 16  # bytes: four numbers of a vector; any 31 bytes that are left hold a whole piece
_CHUNK = 1 << 22
_DISTINCT = 8  # a piece with fewer different bytes (zeros, the head of a JPEG) may be anywhere by chance
_MIX = np.uint32(2654435761)  # Knuth's multiplicative hash: spreads the first four bytes of a piece


class Traces:
    """Byte strings to look for, in memory for as long as the search takes.

    A database may split a value over pages, so a value is looked for in pieces of 16 bytes, at every place of a file. A
    value without a piece that tells it from others, such as one of zeros, is looked for as a whole.
    """

    def __init__(self) -> None:
        self._pieces: dict[bytes, None] = {}
        self._whole: dict[bytes, None] = {}
        self.values = 0

    def add(self, value: bytes) -> None:
        """One value that should be nowhere; one byte again and again, like free space, is nothing to look for."""
        if len(set(value)) < 2:
            return
        self.values += 1
        pieces = [value[at : at + PIECE] for at in range(0, len(value) - PIECE + 1, PIECE)]
        telling = [piece for piece in pieces if len(set(piece)) >= _DISTINCT and len(set(piece[:4])) > 1]
        if telling:
            self._pieces.update(dict.fromkeys(telling))
        else:
            self._whole[value] = None

    def spare(self, values: Iterable[bytes]) -> None:
        """Do not look for what somebody else's rows rightly hold too, such as one photo enrolled for two people."""
        for value in values:
            for known in (self._pieces, self._whole):
                for piece in [piece for piece in known if piece in value]:
                    del known[piece]

    def found(self, files: Iterable[Path]) -> dict[Path, list[bytes]]:
        """What is in each file; files with nothing are left out, and so are files that are gone.

        Raises:
            StoreError: if a file cannot be read.
        """
        result = {}
        for file in files:
            try:
                hits = list(self._in_file(file))
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StoreError(f"{file} cannot be searched for what was erased: {error.strerror}") from error
            if hits:
                result[file] = hits
        return result

    def only(self, pieces: Iterable[bytes]) -> Traces:
        """A search for these pieces alone."""
        few = Traces()
        for piece in pieces:
            (few._pieces if piece in self._pieces else few._whole)[piece] = None
        return few

    def __len__(self) -> int:
        return len(self._pieces) + len(self._whole)

    def _in_file(self, file: Path) -> Iterator[bytes]:
        table = self._table()
        seen: set[bytes] = set()
        longest = max([PIECE, *map(len, self._whole)])
        tail = b""  # a value may lie across two chunks
        # read, not mapped: another thread or process may empty a log meanwhile, and that kills who has it mapped
        with file.open("rb") as source:
            while chunk := source.read(_CHUNK):
                content = tail + chunk
                for value in self._whole.keys() - seen:
                    if value in content:
                        seen.add(value)
                        yield value
                for at in _candidates(content, table) if self._pieces else ():
                    piece = content[at : at + PIECE]
                    if piece in self._pieces and piece not in seen:
                        seen.add(piece)
                        yield piece
                tail = content[1 - longest :]

    def _table(self) -> NDArray[np.bool_]:
        table = np.zeros(1 << 24, np.bool_)
        first = np.frombuffer(b"".join(piece[:4] for piece in self._pieces), "<u4")
        table[_hashed(first)] = True
        return table


def _hashed(words: NDArray[np.uint32]) -> NDArray[np.uint32]:
    mixed: NDArray[np.uint32] = (words * _MIX) >> np.uint32(8)
    return mixed


def _candidates(chunk: bytes, table: NDArray[np.bool_]) -> Iterator[int]:
    """Places of a chunk where the first four bytes of a piece may be."""
    for offset in range(4):
        count = (len(chunk) - offset) // 4
        if count > 0:
            words = np.frombuffer(chunk, "<u4", count, offset)
            yield from (4 * np.flatnonzero(table[_hashed(words)]) + offset).tolist()

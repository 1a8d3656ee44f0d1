"""Columns of equal length that grow and shrink in place: a base, which may be the memory map of a file, and a tail.

Row numbers are not stable: where rows are removed, the last rows move into their places, so that there are no holes and
nothing of a removed row is left in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["I64", "Columns", "Rows"]

I64 = NDArray[np.int64]
Columns = dict[str, NDArray[Any]]
FIRST_TAIL = 256  # rows of the first tail; it doubles from there, so that adding one by one copies each row about twice


class Rows:
    """Named arrays that share their first axis.

    Args:
        columns: name -> (N, ...) arrays, taken over and written to. Fortran order is kept where a column has it.
    """

    def __init__(self, columns: Mapping[str, NDArray[Any]]) -> None:
        self._parts: list[Columns] = [dict(columns)]
        self._base = len(next(iter(columns.values())))  # rows that the base can hold
        self._count = self._base

    def __len__(self) -> int:
        return self._count

    @property
    def names(self) -> list[str]:
        """Of the columns."""
        return list(self._parts[0])

    def pieces(self, name: str) -> Iterator[tuple[int, NDArray[Any]]]:
        """One or two (first row number, rows) of a column; the arrays are views."""
        yield 0, self._parts[0][name][: self._count]
        if self._count > self._base:
            yield self._base, self._parts[1][name][: self._count - self._base]

    def column(self, name: str) -> NDArray[Any]:
        """A column whole: a view where there is no tail, else a copy."""
        pieces = [piece for _, piece in self.pieces(name)]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def take(self, name: str, rows: I64) -> NDArray[Any]:
        """A copy of some rows of a column."""
        if self._count <= self._base:
            taken: NDArray[Any] = np.take(self._parts[0][name], rows, axis=0)  # unlike [rows], lets other threads run
            return taken
        late = rows >= self._base
        base, tail = self._parts[0][name], self._parts[1][name]
        out = np.empty((len(rows), *tail.shape[1:]), np.result_type(base, tail))
        out[~late] = base[rows[~late]]
        out[late] = tail[rows[late] - self._base]
        return out

    def put(self, name: str, rows: I64, values: NDArray[Any]) -> None:
        """Overwrite some rows of a column; text is made wider where it has to be."""
        self._widen(name, values)
        late = rows >= self._base
        self._parts[0][name][rows[~late]] = values[~late]
        if late.any():
            self._parts[1][name][rows[late] - self._base] = values[late]

    def append(self, columns: Mapping[str, NDArray[Any]]) -> I64:
        """Add rows at the end; returns their numbers."""
        added = len(next(iter(columns.values())))
        rows = np.arange(self._count, self._count + added)
        self._reserve(self._count + added)
        self._count += added
        for name, values in columns.items():
            self.put(name, rows, values)
        return rows

    def delete(self, rows: I64) -> I64:
        """Remove rows; the last rows move into their places, and what they leave behind is overwritten with zeros.

        Returns:
            The new numbers of the rows that moved.
        """
        left = self._count - len(rows)
        gone = np.zeros(self._count - left, bool)
        gone[rows[rows >= left] - left] = True
        moved, holes = np.flatnonzero(~gone) + left, np.sort(rows[rows < left])
        for name in self._parts[0]:
            self.put(name, holes, self.take(name, moved))
            for first, piece in self.pieces(name):
                piece[max(left - first, 0) :] = np.zeros((), piece.dtype)
        self._count = left
        return holes

    def _reserve(self, count: int) -> None:
        room = len(next(iter(self._parts[1].values()))) if len(self._parts) > 1 else 0
        needed = count - self._base
        if needed <= room:
            return
        room, had = max(needed, 2 * room, FIRST_TAIL), max(self._count - self._base, 0)
        tail = {}
        for name, base in self._parts[0].items():
            old = self._parts[1][name] if len(self._parts) > 1 else base[:0]
            order: Any = "F" if base.flags.f_contiguous and not base.flags.c_contiguous else "C"
            tail[name] = np.zeros((room, *base.shape[1:]), old.dtype, order=order)
            tail[name][:had] = old[:had]
            old[:] = np.zeros((), old.dtype)  # vectors do not linger in freed memory
        self._parts[1:] = [tail]

    def _widen(self, name: str, values: NDArray[Any]) -> None:
        for part in self._parts:
            if part[name].dtype.kind == "S" and part[name].dtype.itemsize < values.dtype.itemsize:
                part[name] = part[name].astype(values.dtype)

"""What may be handed to an index, refused in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError
from vultus.types import F32

__all__ = ["count", "distinct", "texts", "unit_rows"]

UNIT_TOLERANCE = 1e-3  # how far a length may be from 1: float16 storage costs less, a forgotten normalization far more
CHUNK = 1 << 14


def unit_rows(name: str, values: Any, dim: int | None) -> F32:
    """(N, D) float32 rows of length 1, the array itself where it is one.

    Raises:
        InputError: for another shape or width, NaN or infinity, or rows of another length.
    """
    try:
        rows: F32 = np.asarray(values, np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: expected an array of numbers (rows, {dim or 'D'}), got {values!r:.40}") from error
    if rows.ndim != 2 or rows.shape[1] == 0 or dim not in (None, rows.shape[1]):
        raise InputError(f"{name}: expected shape (rows, {dim or 'D'}), got {rows.shape}")
    for start in range(0, len(rows), CHUNK):
        length = np.linalg.norm(rows[start : start + CHUNK].astype(np.float64), axis=1)
        if not np.isfinite(length).all():
            raise InputError(f"{name}: expected finite numbers, got NaN or infinity")
        off = np.abs(length - 1) > UNIT_TOLERANCE
        if off.any():
            row = int(np.flatnonzero(off)[0])
            raise InputError(
                f"{name}: expected rows of length 1, row {start + row} has {length[row]:.4g} "
                "(vultus.ops.vectors.unit makes them so)"
            )
    return rows


def texts(name: str, values: Collection[str], length: int | None = None) -> NDArray[np.bytes_]:
    """Keys as UTF-8, of one width, in which order is the order of code points.

    Raises:
        InputError: if one is no text, empty, or cannot be held, or if there are not `length` of them.
    """
    if isinstance(values, (str, bytes)) or not isinstance(values, Collection):
        raise InputError(f"{name}: expected several keys, got {values!r:.40}")
    if length is not None and len(values) != length:
        raise InputError(f"{name}: expected {length}, one per row, got {len(values)}")
    try:
        encoded = [value.encode() for value in values]
    except (AttributeError, UnicodeEncodeError) as error:
        raise InputError(f"{name}: expected text that UTF-8 can hold ({error})") from error
    if any(not value or b"\0" in value for value in encoded):
        raise InputError(f"{name}: expected text, got an empty key or one with a NUL in it")
    return np.array(encoded, np.bytes_) if encoded else np.empty(0, "S1")


def distinct(name: str, keys: NDArray[np.bytes_]) -> NDArray[np.bytes_]:
    """The keys, or InputError if one occurs twice."""
    listed = keys.tolist()
    if len(set(listed)) != len(listed):
        twice, _ = Counter(listed).most_common(1)[0]
        raise InputError(f"{name}: expected every key once, got {twice.decode()!r} more than once")
    return keys


def count(name: str, value: Any) -> int:
    """A whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise InputError(f"{name}: expected a whole number of at least 1, got {value!r}")
    return int(value)

"""What people have said about pairs of faces: the same person, or not; checked and made transitive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.types import F32, checked, is_number

__all__ = ["Links", "components", "linked", "rows_of", "score_of", "whole"]

I64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Links:
    """Must-linked faces as groups; what cannot be together, between groups.

    Attributes:
        group: (N,) number of the group of each face, 0 to G - 1 by first member; most groups hold one face.
        count: G.
        apart: (M, 2) groups that must not be in one cluster, smaller first, each pair once.
        bound: (G,) True where a group holds more than one face.
    """

    group: I64
    count: int
    apart: I64
    bound: NDArray[np.bool_]


def linked(n: int, must_link: ArrayLike | None, cannot_link: ArrayLike | None) -> Links:
    """Check constraints on n faces.

    Args:
        n: number of faces.
        must_link: (M, 2) indices of faces of one person, or None.
        cannot_link: (M, 2) indices of faces of two people, or None.

    Raises:
        InputError: if an array is not (M, 2) whole indices below n, or a pair is both linked and kept apart; the
            message names it.
    """
    must, cannot = _pairs("must_link", must_link, n), _pairs("cannot_link", cannot_link, n)
    _, group = np.unique(components(n, must[:, 0], must[:, 1]), return_inverse=True)
    sides = group[cannot]
    wrong = np.flatnonzero(sides[:, 0] == sides[:, 1])
    if len(wrong):
        one, other = cannot[wrong[0]].tolist()
        raise InputError(
            f"cannot_link: expected no pair that must_link joins, got ({one}, {other}): must_link puts both in one "
            "cluster, directly or over other faces; withdraw one of the two"
        )
    count = int(group.max(initial=-1)) + 1
    apart = np.unique(np.sort(sides, axis=1), axis=0)
    return Links(group, count, apart, np.bincount(group, minlength=count) > 1)


def components(n: int, i: I64, j: I64) -> I64:
    """The smallest node that each of n nodes is connected with, over the edges (i, j)."""
    root = np.arange(n, dtype=np.int64)
    while len(i):
        a, b = root[i], root[j]
        open_ = a != b
        i, j, a, b = i[open_], j[open_], a[open_], b[open_]
        np.minimum.at(root, np.maximum(a, b), np.minimum(a, b))
        while (root[root] != root).any():
            root = root[root]
    return root


def rows_of(name: str, vectors: ArrayLike) -> F32:
    """(N, D) float32 rows of unit length, or InputError in words."""
    rows = checked(name, vectors, (None, None))
    length = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    if len(rows) and np.abs(length - 1).max() > 1e-3:
        raise InputError(
            f"{name}: expected rows of length 1, got one of length {length[np.abs(length - 1).argmax()]:.4g}; scale "
            "them with vultus.ops.vectors.unit"
        )
    return rows


def score_of(name: str, value: Any) -> float:
    """A cosine, or InputError in words."""
    if not is_number(value) or isinstance(value, bool) or not -1.0 <= value <= 1.0:
        raise InputError(f"{name}: expected a cosine in [-1, 1], such as a calibration's threshold, got {value!r}")
    return float(value)


def _pairs(name: str, value: ArrayLike | None, n: int) -> I64:
    if value is None:
        return np.zeros((0, 2), np.int64)
    try:
        raw = np.asarray(value)
    except ValueError as error:
        raise InputError(f"{name}: expected pairs of indices, (M, 2), got rows of different lengths") from error
    if raw.size == 0:
        return np.zeros((0, 2), np.int64)
    if raw.ndim != 2 or raw.shape[1] != 2 or raw.dtype.kind not in "iu":
        raise InputError(f"{name}: expected pairs of indices, (M, 2) integers, got {raw.dtype} of shape {raw.shape}")
    pairs = raw.astype(np.int64)
    bad = np.flatnonzero(((pairs < 0) | (pairs >= n)).any(1))
    if len(bad):
        raise InputError(f"{name}: expected indices from 0 to {n - 1}, got the pair {tuple(pairs[bad[0]].tolist())}")
    return pairs


def whole(name: str, value: Any, least: int = 1) -> int:
    """A whole number of at least `least`, or InputError in words."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < least:
        raise InputError(f"{name}: expected a whole number of at least {least}, got {value!r}")
    return int(value)

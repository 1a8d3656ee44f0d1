"""The kinds of index: which columns each adds to the rows, and how it finds what has to be scored exactly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.gallery.search import _bits, _threads
from vultus.gallery.search._best import Best, in_reach
from vultus.gallery.search._rows import I64, Columns, Rows
from vultus.gallery.search._scan import Allowed, float_slack, quantized, scan
from vultus.types import F32

__all__ = ["Bits", "Int8", "Kind"]

CANDIDATES = 2000  # of "bits": see benchmarks/results/search.json for the agreement with float that it buys
WIDER = 4  # times as many candidates where too few people are among them


class Kind:
    """Exact search in float32; the other kinds differ from it in what they override."""

    name = "float"

    def __init__(self, rng: np.random.Generator | None) -> None:
        self.rng = rng

    def columns(self, vectors: F32) -> Columns:
        """What is kept of (N, D) new rows besides the rows."""
        return {}

    def fit(self, rows: Rows) -> None:
        """All rows are there for the first time."""

    def added(self, rows: Rows, numbers: I64) -> None:
        """Rows of these numbers were appended."""

    def removing(self, rows: Rows, numbers: I64) -> None:
        """Rows of these numbers are about to go."""

    def moved(self, rows: Rows, numbers: I64) -> None:
        """Other rows have moved to these numbers."""

    def slack(self, dim: int) -> float:
        """How far a score offered by `scan` may be from the exact one."""
        return float_slack(dim)

    def scan(self, rows: Rows, allowed: Allowed, best: Best, *, per_row: bool) -> None:
        """Offer what may be among the best."""
        scan(rows, allowed, best, column="vector", per_row=per_row)

    def saved(self, rows: Rows) -> Columns:
        """Arrays to keep in the file besides the columns."""
        return {}

    def loaded(self, columns: Columns, extra: Mapping[str, NDArray[Any]]) -> Columns:
        """Take back what `saved` gave; returns the columns as they are to be used."""
        return columns


class Int8(Kind):
    """int8 codes; exact, because what rounding took from each row is known."""

    name = "int8"
    _lost = 0.0

    def columns(self, vectors: F32) -> Columns:
        made = quantized(vectors)
        self._lost = max(self._lost, float(made["lost"].max(initial=0.0)))
        return made

    def slack(self, dim: int) -> float:
        return 1.01 * self._lost + 2 * float_slack(dim)  # 1.01: queries and rows are of length 1 to a thousandth

    def scan(self, rows: Rows, allowed: Allowed, best: Best, *, per_row: bool) -> None:
        scan(rows, allowed, best, column="int8", per_row=per_row)

    def loaded(self, columns: Columns, extra: Mapping[str, NDArray[Any]]) -> Columns:
        self._lost = float(columns["lost"].max(initial=0.0))
        return columns


class Bits(Kind):
    """Sign codes; see `_bits`."""

    name = "bits"
    _signs: _bits.Signs | None = None  # None: so few rows that all are candidates
    _fitted = 0  # rows at the last fit

    def columns(self, vectors: F32) -> Columns:
        words = np.zeros((len(vectors), _bits.WORDS), np.uint64) if self._signs is None else self._signs.encode(vectors)
        return {"code": _bits.laid_out(words)}

    def fit(self, rows: Rows) -> None:
        """Center on the rows that are there, and make all codes anew."""
        if len(rows) <= CANDIDATES:
            return
        turn = self._signs.turn if self._signs is not None else None
        self._signs = _bits.Signs.fit(rows, turn, self.rng or np.random.default_rng(0))
        self._fitted = len(rows)
        for first, piece in rows.pieces("vector"):
            for start in range(0, len(piece), _bits.CHUNK):
                some = piece[start : start + _bits.CHUNK]
                numbers = np.arange(first + start, first + start + len(some))
                rows.put("code", numbers, self._signs.encode(some))

    def added(self, rows: Rows, numbers: I64) -> None:
        if len(rows) >= 2 * self._fitted:
            self.fit(rows)

    def scan(self, rows: Rows, allowed: Allowed, best: Best, *, per_row: bool) -> None:
        there = len(rows) if allowed.rows is None else len(allowed.rows)
        if self._signs is None or there <= CANDIDATES:
            super().scan(rows, allowed, best, per_row=per_row)
            return
        signs, alone = self._signs, len(allowed.queries) == 1

        def one(query: F32) -> tuple[I64, I64, F32]:
            code, need = signs.encode(query[None])[0], CANDIDATES  # one by one: a batch may round a sign otherwise
            while True:
                found = _bits.candidates(rows, code, allowed.mask, need, _threads.count() if alone else 1)
                groups = found if per_row else rows.take("group", found).astype(np.int64)
                if len(found) >= there or len(np.unique(groups)) >= best.k:
                    break
                need *= WIDER
            scores = _scores(rows, found, query, _threads.count() if alone else 1)
            keep = in_reach(scores, groups, best.k, self.slack(len(query)))
            return found[keep], groups[keep], scores[keep]

        for number, (found, groups, scores) in enumerate(_threads.spread(one, list(allowed.queries))):
            best.add(np.full(len(found), number), found, groups, scores)

    def saved(self, rows: Rows) -> Columns:
        if self._signs is None:
            return {}
        fitted = np.array([self._fitted], np.int64)
        return {"center": self._signs.center, "turn": self._signs.turn, "fitted": fitted}

    def loaded(self, columns: Columns, extra: Mapping[str, NDArray[Any]]) -> Columns:
        if "turn" in extra:
            self._signs, self._fitted = _bits.Signs(extra["center"], extra["turn"]), int(extra["fitted"][0])
        return {**columns, "code": _bits.laid_out(columns["code"])}


def _scores(rows: Rows, numbers: I64, query: F32, threads: int) -> F32:
    """Cosines of some rows with one query; the rows lie anywhere, so fetching them is most of the time."""
    shares = np.array_split(numbers, threads)
    parts = _threads.spread(lambda share: np.einsum("nd,d->n", rows.take("vector", share), query), shares)
    return np.concatenate(parts)

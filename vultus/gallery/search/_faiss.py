"""Approximate kinds, by FAISS: lists of rows around centers (ivf), and a graph of near rows (hnsw).

FAISS holds one byte per number of each row and proposes rows; the exact score of each proposal ranks them. Where it
proposes too few people, it is asked for more, and in the end every row is scanned, so that k people come back where k
are there. Few rows, and few allowed rows, are scanned at once: that is exact, and no slower.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.errors import MissingExtra
from vultus.gallery.search._best import Best
from vultus.gallery.search._kinds import Kind
from vultus.gallery.search._rows import I64, Columns, Rows
from vultus.gallery.search._scan import Allowed, scan
from vultus.types import F32

__all__ = ["Graph", "Lists"]

SCANNED = 4096  # rows up to which a scan takes less than a millisecond
PROPOSED = 64  # rows asked for per query: the best photos of a dozen people, whatever one byte a number confuses
WIDER = 4  # times as much is looked at where too few people were proposed
CHUNK = 1 << 15

LISTS_PER_ROOT = 4  # lists per square root of the number of rows; 4 to 16 is what FAISS advises below a million rows
TRAINED_PER_LIST = 64  # rows per list that centers are fitted to
PROBED = 32  # lists looked at
ALMOST = 0.98  # cosine from which a center is taken for the copy of a row

LINKS = 24  # neighbors of each row in the graph
BUILD_BREADTH = 80  # rows looked at to find them
BREADTH = 96  # rows looked at by a search
DEAD = 0.25  # share of removed rows from which the graph is made anew


def _library() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise MissingExtra("approximate search", "search") from error
    return faiss


class _Approximate(Kind, ABC):
    """What the two have in common; rows are known to FAISS by an id that, unlike their number, never changes."""

    def __init__(self, rng: np.random.Generator | None) -> None:
        super().__init__(rng)
        self._faiss = _library()
        self._index: Any = None  # None: so few rows that they are scanned
        self._mapped: NDArray[np.uint8] | None = None  # the bytes that the index reads from, until it is changed
        self._row = np.empty(0, np.int64)  # id -> row number, -1 where it was removed
        self._fitted = 0

    def columns(self, vectors: F32) -> Columns:
        ids = np.arange(len(self._row), len(self._row) + len(vectors))
        self._row = np.concatenate([self._row, np.full(len(vectors), -1)])
        return {"id": ids}

    def fit(self, rows: Rows) -> None:
        ids = np.arange(len(rows))
        rows.put("id", ids, ids)
        self._row, self._index, self._mapped, self._fitted = ids.copy(), None, None, len(rows)
        if len(rows) > SCANNED:
            self._index = self._made(rows)
            for start in range(0, len(rows), CHUNK):
                some = ids[start : start + CHUNK]
                self._insert(rows.take("vector", some), some)

    def added(self, rows: Rows, numbers: I64) -> None:
        ids = rows.take("id", numbers)
        self._row[ids] = numbers
        if len(rows) > max(SCANNED, self._fitted * self.outgrown if self._index is not None else 0):
            self.fit(rows)
        elif self._index is not None:
            self._own()
            self._insert(rows.take("vector", numbers), ids)

    def removing(self, rows: Rows, numbers: I64) -> None:
        ids = rows.take("id", numbers)
        self._row[ids] = -1
        if self._index is not None:
            self._own()
            self._erase(rows, ids, rows.take("vector", numbers))

    def moved(self, rows: Rows, numbers: I64) -> None:
        self._row[rows.take("id", numbers)] = numbers
        if self._index is not None and (len(rows) <= SCANNED // 2 or self._worn(rows)):
            self.fit(rows)

    def scan(self, rows: Rows, allowed: Allowed, best: Best, *, per_row: bool) -> None:
        there = len(rows) if allowed.rows is None else len(allowed.rows)
        if self._index is None or there <= SCANNED:
            super().scan(rows, allowed, best, per_row=per_row)
            return
        numbers, wide = np.arange(len(allowed.queries)), 1
        while len(numbers) and wide * PROPOSED * WIDER < there:
            query, found = self._proposed(allowed, numbers, wide)
            groups = found if per_row else rows.take("group", found).astype(np.int64)
            pairs = np.unique(np.stack([query, groups]), axis=1)[0]
            enough = np.bincount(pairs, minlength=len(allowed.queries))[numbers] >= best.k
            self._offer(rows, allowed, best, query, found, groups, numbers[enough])
            numbers, wide = numbers[~enough], wide * WIDER
        if len(numbers):
            rest = Best(len(numbers), best.k, self.slack(rows.take("vector", numbers[:1]).shape[1]))
            scan(rows, Allowed(allowed.queries[numbers], allowed.mask), rest, column="vector", per_row=per_row)
            rest.compress()
            best.add(numbers[rest.query], rest.row, rest.group, rest.score)

    def _proposed(self, allowed: Allowed, numbers: I64, wide: int) -> tuple[I64, I64]:
        """(query, row) of every proposal."""
        selector, bitmap = None, None
        if allowed.mask is not None or self._hides():
            chosen = self._row >= 0
            if allowed.mask is not None:
                chosen[chosen] = allowed.mask[self._row[chosen]]
            bitmap = np.packbits(chosen, bitorder="little")
            selector = self._faiss.IDSelectorBitmap(bitmap)
        options = self._options(selector, wide)
        _, ids = self._index.search(allowed.queries[numbers], PROPOSED * wide, params=options)
        at, column = np.nonzero(ids >= 0)
        return numbers[at], self._row[ids[at, column]]

    def _offer(
        self, rows: Rows, allowed: Allowed, best: Best, query: I64, found: I64, groups: I64, numbers: I64
    ) -> None:
        chosen = np.flatnonzero(np.isin(query, numbers))
        for start in range(0, len(chosen), CHUNK):
            some = chosen[start : start + CHUNK]
            vectors = rows.take("vector", found[some])
            scores = np.einsum("nd,nd->n", vectors, allowed.queries[query[some]])
            best.add(query[some], found[some], groups[some], scores)

    def saved(self, rows: Rows) -> Columns:
        fitted = np.array([self._fitted, len(self._row)], np.int64)
        return {"fitted": fitted} | ({} if self._index is None else {"faiss": self._faiss.serialize_index(self._index)})

    def loaded(self, columns: Columns, extra: Mapping[str, NDArray[Any]]) -> Columns:
        self._fitted, ids = (int(number) for number in extra["fitted"])
        self._row = np.full(ids, -1, np.int64)
        self._row[columns["id"]] = np.arange(len(columns["id"]))
        if "faiss" in extra:
            self._mapped = extra["faiss"]
            reader = self._faiss.ZeroCopyIOReader(self._faiss.swig_ptr(self._mapped), self._mapped.nbytes)
            self._index = self._faiss.read_index(reader, self._faiss.IO_FLAG_MMAP_IFC)
        return columns

    def _own(self) -> None:
        """Before a change: copy the index out of the file it is mapped from."""
        if self._mapped is not None:
            self._index, self._mapped = self._faiss.deserialize_index(self._mapped), None

    outgrown = 2.0  # times as many rows as at the last fit, from which it is made anew

    @abstractmethod
    def _made(self, rows: Rows) -> Any:
        """An index that is trained on the rows and holds none."""

    @abstractmethod
    def _insert(self, vectors: F32, ids: I64) -> None:
        """Give rows to FAISS."""

    @abstractmethod
    def _erase(self, rows: Rows, ids: I64, vectors: F32) -> None:
        """Take rows from FAISS, and whatever it keeps that shows them."""

    @abstractmethod
    def _options(self, selector: Any, wide: int) -> Any:
        """Of a search that looks at `wide` times as much as usual."""

    def _hides(self) -> bool:
        """Whether FAISS still holds rows that were removed."""
        return False

    def _worn(self, rows: Rows) -> bool:
        return False


class Lists(_Approximate):
    """Rows in lists around centers; the lists whose centers are nearest are looked at."""

    name = "ivf"

    def _made(self, rows: Rows) -> Any:
        dim = next(rows.pieces("vector"))[1].shape[1]
        lists = int(LISTS_PER_ROOT * len(rows) ** 0.5)
        sample = (self.rng or np.random.default_rng(0)).permutation(len(rows))[: lists * TRAINED_PER_LIST]
        codes = (self._faiss.ScalarQuantizer.QT_8bit, self._faiss.METRIC_INNER_PRODUCT, False)
        index = self._faiss.IndexIVFScalarQuantizer(self._faiss.IndexFlatIP(dim), dim, lists, *codes)
        index.cp.min_points_per_centroid = 1  # a small gallery is no reason for a warning on the screen
        index.train(rows.take("vector", np.sort(sample)))
        return index

    def _insert(self, vectors: F32, ids: I64) -> None:
        self._index.add_with_ids(vectors, ids)

    def _erase(self, rows: Rows, ids: I64, vectors: F32) -> None:
        self._index.remove_ids(self._faiss.IDSelectorBatch(ids))
        flat = self._faiss.downcast_index(self._index.quantizer)
        size = self._index.nlist * self._index.d
        centers = self._faiss.rev_swig_ptr(flat.get_xb(), size).reshape(self._index.nlist, self._index.d)
        for number in np.flatnonzero((centers @ vectors.T > ALMOST * np.linalg.norm(centers, axis=1)[:, None]).any(1)):
            length = self._index.invlists.list_size(int(number))
            if length:
                left = self._faiss.rev_swig_ptr(self._index.invlists.get_ids(int(number)), length)
                centers[number] = rows.take("vector", self._row[left]).mean(axis=0)
            else:
                centers[number] = -centers.mean(axis=0)  # an empty list; nothing is to be looked for in it

    def _options(self, selector: Any, wide: int) -> Any:
        return self._faiss.SearchParametersIVF(sel=selector, nprobe=PROBED * wide)


class Graph(_Approximate):
    """Every row linked to near ones; a search walks from row to row."""

    name = "hnsw"
    outgrown = float("inf")  # a graph grows well

    def _made(self, rows: Rows) -> Any:
        dim = next(rows.pieces("vector"))[1].shape[1]
        codes = (self._faiss.ScalarQuantizer.QT_8bit, LINKS, self._faiss.METRIC_INNER_PRODUCT)
        index = self._faiss.IndexHNSWSQ(dim, *codes)
        index.hnsw.efConstruction = BUILD_BREADTH
        sample = (self.rng or np.random.default_rng(0)).permutation(len(rows))[:CHUNK]
        index.train(rows.take("vector", np.sort(sample)))
        return index

    def _insert(self, vectors: F32, ids: I64) -> None:
        assert ids[0] == self._index.ntotal, "ids of a graph are given in the order of its rows"
        self._index.add(vectors)

    def _erase(self, rows: Rows, ids: I64, vectors: F32) -> None:
        """Overwrite the removed rows with the nearest that stay, and pass over them in searches.

        A graph cannot lose a row. A copy of a near row keeps the paths through its place.
        """
        bitmap = np.packbits(self._row >= 0, bitorder="little")
        options = self._faiss.SearchParametersHNSW(sel=self._faiss.IDSelectorBitmap(bitmap), efSearch=BREADTH)
        _, near = self._index.search(vectors, 1, params=options)
        storage = self._faiss.downcast_index(self._index.storage)
        size = storage.code_size
        codes = self._faiss.rev_swig_ptr(storage.codes.data(), storage.ntotal * size).reshape(-1, size)
        codes[ids] = np.where(near >= 0, codes[near[:, 0]], 0)

    def _options(self, selector: Any, wide: int) -> Any:
        return self._faiss.SearchParametersHNSW(sel=selector, efSearch=max(BREADTH, PROPOSED) * wide)

    def _hides(self) -> bool:
        return bool((self._row < 0).any())

    def _worn(self, rows: Rows) -> bool:
        return len(self._row) - len(rows) > DEAD * len(self._row)

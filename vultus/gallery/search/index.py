"""An index of vectors that finds the most similar people: a disposable copy of what a store holds.

Kinds, and what each promises. Scores are exact cosines for all of them; equal scores rank by key.

    float   every row is compared: the exact answer
    int8    one byte a number is compared, and every row that could be among the k best, given how much rounding took
            from it, is scored exactly: the exact answer, for a quarter of the memory traffic
    bits    codes of 512 bits are compared, and the rows of the nearest codes are scored exactly: fast, and the exact
            answer unless more than `candidates` rows have a code nearer than that of a row that belongs into it
    ivf     some of the lists that rows are sorted into are compared (extra "search"): approximate
    hnsw    a graph of near rows is followed (extra "search"): approximate
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError, StoreError
from vultus.gallery.search import _check, _file
from vultus.gallery.search._best import Best
from vultus.gallery.search._faiss import Graph, Lists
from vultus.gallery.search._kinds import Bits, Int8, Kind
from vultus.gallery.search._rows import Columns, Rows
from vultus.gallery.search._scan import Allowed, ranked
from vultus.gallery.search._turns import Turns
from vultus.types import F32

__all__ = ["Hits", "VectorIndex"]

KINDS: dict[str, type[Kind]] = {kind.name: kind for kind in (Kind, Int8, Bits, Lists, Graph)}


@dataclass(frozen=True)
class Hits:
    """What a search found; best first.

    Attributes:
        groups: (Q, k) person ids, "" where there are fewer.
        keys: (Q, k) keys of the rows with these scores, "" where there are fewer.
        scores: (Q, k) float32 cosines in [-1, 1], -inf where there are fewer.
    """

    groups: NDArray[np.str_]
    keys: NDArray[np.str_]
    scores: F32

    def __len__(self) -> int:
        return len(self.scores)


class VectorIndex:
    """Rows of one embedding space, each with its key and its person. Make one with `build` or `open`.

    Any number of threads may search at once; a change waits for them and they for it.

    Attributes:
        kind: "float", "int8", "bits", "ivf" or "hnsw".
        space: embedding space of the vectors.
        dim: D.
        revision: of the store that the rows were taken from; whoever changes the index sets it.
    """

    def __init__(self, kind: Kind, space: str, revision: int, rows: Rows, names: list[str]) -> None:
        self.space, self.revision = space, revision
        self.dim = int(next(rows.pieces("vector"))[1].shape[1])
        self._kind, self._turns = kind, Turns()
        self._mark: NDArray[np.uint8] | None = None
        self._take_over(rows, names)

    def _take_over(self, rows: Rows, names: list[str]) -> None:
        self._rows, self._names = rows, names
        self._number = {name: number for number, name in enumerate(names)}
        self._sizes: list[int] = np.bincount(rows.column("group"), minlength=len(names)).tolist()  # rows of each person
        self._people = sum(size > 0 for size in self._sizes)
        self._places: dict[bytes, int] | None = None  # key -> row, made when something is changed

    def __repr__(self) -> str:
        return f"VectorIndex({self.kind!r}, {len(self)} rows, space={self.space!r}, revision={self.revision})"

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def kind(self) -> str:
        """How rows are compared."""
        return self._kind.name

    @classmethod
    def build(
        cls,
        vectors: F32,
        keys: Sequence[str],
        groups: Sequence[str],
        *,
        space: str,
        revision: int,
        kind: str = "float",
        rng: np.random.Generator | None = None,
        copy: bool = True,
    ) -> VectorIndex:
        """Index all rows of a store.

        Args:
            vectors: (N, D) float32 unit rows; N may be 0.
            keys: N different texts.
            groups: N person ids.
            space: embedding space of the vectors.
            revision: of the store they were read from.
            kind: see above.
            rng: draws the rotation of "bits"; None draws the same every time.
            copy: False takes the array over instead of copying it; removals write to it.

        Raises:
            InputError: for NaN, rows not of length 1, wrong shapes, a key twice or an unknown kind.
            MissingExtra: if the kind needs the extra "search" and it is not installed.
        """
        if kind not in KINDS:
            raise InputError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}")
        if not isinstance(space, str) or not space:
            raise InputError(f"space: expected the embedding space of the vectors, got {space!r}")
        rows = _check.unit_rows("vectors", vectors, None)
        texts = _check.distinct("keys", _check.texts("keys", keys, len(rows)))
        _check.texts("groups", groups, len(rows))
        names = list(dict.fromkeys(groups))
        number = {name: at for at, name in enumerate(names)}
        columns: Columns = {
            "vector": np.array(rows, order="C") if copy else rows,
            "key": texts,
            "group": np.array([number[group] for group in groups], np.int32),
        }
        how = KINDS[kind](rng)
        table = Rows({**columns, **how.columns(columns["vector"])})
        how.fit(table)
        return cls(how, space, _revision(revision), table, names)

    # -- changing --------------------------------------------------------------------------------------------------

    def add(self, vectors: F32, keys: Sequence[str], groups: Sequence[str]) -> None:
        """Add (N, D) unit rows, each with its key and person; a key that is there is replaced.

        Raises:
            InputError: as in `build`; then nothing has changed.
        """
        rows = _check.unit_rows("vectors", vectors, self.dim)
        texts = _check.distinct("keys", _check.texts("keys", keys, len(rows)))
        _check.texts("groups", groups, len(rows))
        if not len(rows):
            return
        with self._turns.writing():
            self._delete([key for key in texts.tolist() if key in self._where()])
            codes = np.array([self._code(group) for group in groups], np.int32)
            plain = np.array(rows, order="C")
            added = self._rows.append({"vector": plain, "key": texts, "group": codes, **self._kind.columns(plain)})
            self._where().update(zip(texts.tolist(), added.tolist(), strict=True))
            self._count(codes, 1)
            self._kind.added(self._rows, added)

    def remove(self, keys: Sequence[str]) -> int:
        """Remove rows by key; keys that are not there are passed over. Their bytes are overwritten in memory, and
        `save` overwrites the file that it replaces, so that nothing of them is left.

        Returns:
            How many rows were removed.
        """
        texts = _check.texts("keys", keys)
        with self._turns.writing():
            return self._delete([key for key in dict.fromkeys(texts.tolist()) if key in self._where()])

    def regroup(self, mapping: Mapping[str, str]) -> None:
        """Move rows to other people: key -> person id.

        Raises:
            InputError: if a key is not there; then nothing has changed.
        """
        texts = _check.texts("keys", list(mapping)).tolist()
        _check.texts("groups", list(mapping.values()))
        with self._turns.writing():
            absent = [key for key in texts if key not in self._where()]
            if absent:
                raise InputError(f"keys: expected keys of this index, got {absent[0].decode()!r}")
            rows = np.array([self._where()[key] for key in texts], np.int64)
            codes = np.array([self._code(group) for group in mapping.values()], np.int32)
            self._count(self._rows.take("group", rows), -1)
            self._count(codes, 1)
            self._rows.put("group", rows, codes)

    def _delete(self, keys: Sequence[bytes]) -> int:
        where = self._where()
        rows = np.array([where.pop(key) for key in keys], np.int64)
        if not len(rows):
            return 0
        self._count(self._rows.take("group", rows), -1)
        self._kind.removing(self._rows, rows)
        places = self._rows.delete(rows)
        where.update(zip(self._rows.take("key", places).tolist(), places.tolist(), strict=True))
        self._kind.moved(self._rows, places)
        return len(rows)

    def _where(self) -> dict[bytes, int]:
        if self._places is None:
            self._places = {key: row for row, key in enumerate(self._rows.column("key").tolist())}
        return self._places

    def _code(self, group: str) -> int:
        if group not in self._number:
            self._number[group] = len(self._names)
            self._names.append(group)
            self._sizes.append(0)
        return self._number[group]

    def _count(self, codes: NDArray[np.int32], by: int) -> None:
        for code in codes.tolist():
            had = self._sizes[code]
            self._sizes[code] = had + by
            self._people += (had + by > 0) - (had > 0)

    # -- searching -------------------------------------------------------------------------------------------------

    def search(self, queries: F32, k: int = 5, *, allowed: Collection[str] | None = None, per: str = "group") -> Hits:
        """The k most similar people, or rows, of every query.

        Args:
            queries: (Q, D) unit rows.
            k: how many; fewer come back only where fewer are there (and allowed).
            allowed: person ids that may be returned, None for all; others are left out before the comparison. Ids that
                are not there are passed over.
            per: "group" for people, each with their best row, or "row".

        Raises:
            InputError: if there is no query, one is not a finite row of length 1 and width D, or k is below 1.
            StoreError: if the file behind the index was wiped while it was read.
        """
        rows = _check.unit_rows("queries", queries, self.dim)
        k = _check.count("k", k)
        if not len(rows):
            raise InputError("queries: expected at least one, got none")
        if per not in ("group", "row"):
            raise InputError(f"per: expected 'group' or 'row', got {per!r}")
        if allowed is not None:
            _check.texts("allowed", allowed)
        with self._turns.reading():
            hits = self._search(np.ascontiguousarray(rows), k, allowed, per == "row")
            if self._mark is not None and not _file.alive(self._mark):
                raise StoreError("the file of this index was replaced or wiped while it was searched: open it again")
        return hits

    def _search(self, queries: F32, k: int, allowed: Collection[str] | None, per_row: bool) -> Hits:
        numbers = {self._number[name] for name in allowed or () if name in self._number}
        numbers = {number for number in numbers if self._sizes[number]}
        there = len(self) if allowed is None else sum(self._sizes[number] for number in numbers)
        people = self._people if allowed is None else len(numbers)
        wanted = min(k, there if per_row else people)
        scores = np.full((len(queries), k), -np.inf, np.float32)
        words = [[[""] * k for _ in queries] for _ in range(2)]
        if wanted:
            mask = None if there == len(self) else self._mask(numbers)
            best = Best(len(queries), wanted, self._kind.slack(self.dim))
            self._kind.scan(self._rows, Allowed(queries, mask), best, per_row=per_row)
            query, rank, row, score = ranked(best, self._rows, queries, wanted)
            scores[query, rank] = score
            names, keys = self._rows.take("group", row).tolist(), self._rows.take("key", row).tolist()
            for q, r, name, key in zip(query.tolist(), rank.tolist(), names, keys, strict=True):
                words[0][q][r], words[1][q][r] = self._names[name], key.decode()
        return Hits(np.array(words[0], np.str_), np.array(words[1], np.str_), scores)

    def _mask(self, numbers: Collection[int]) -> NDArray[np.bool_]:
        table = np.zeros(len(self._names), bool)
        table[list(numbers)] = True
        mask: NDArray[np.bool_] = table[self._rows.column("group")]
        return mask

    # -- keeping ---------------------------------------------------------------------------------------------------

    def save(self, path: str | PathLike[str]) -> None:
        """Write the index to a file: whole or not at all, every byte under a checksum, for its owner alone.

        What is written holds the rows that are there and nothing else; the bytes of the file that it replaces are
        overwritten.

        Raises:
            StoreError: if that fails.
        """
        target = Path(path)
        with self._turns.writing():
            used = [number for number, size in enumerate(self._sizes) if size]
            renumbered = np.zeros(len(self._names), np.int32)
            renumbered[used] = np.arange(len(used))
            names = [self._names[number] for number in used]
            columns = {name: self._rows.column(name) for name in self._rows.names}
            columns["group"] = renumbered[columns["group"]]
            facts = {"kind": self.kind, "space": self.space, "dim": self.dim, "revision": self.revision}
            arrays = {f"row.{name}": column for name, column in columns.items()}
            arrays["name"] = _check.texts("groups", names)
            arrays |= {f"kind.{name}": array for name, array in self._kind.saved(self._rows).items()}
            try:
                _file.write(target, facts, arrays)
            finally:
                if self._mark is not None and not _file.alive(self._mark):  # the file that was mapped is gone now
                    self._load(target, {}, verify=False)

    @classmethod
    def open(cls, path: str | PathLike[str], *, space: str, revision: int, verify: bool = True) -> VectorIndex:
        """Map the index in a file into memory; what is changed afterwards is changed in memory until it is saved.

        Args:
            path: the file.
            space: the space it has to be of.
            revision: the revision it has to be of.
            verify: check every byte (about a second per gigabyte); False checks head and length alone, and the file
                is usable at once.

        Raises:
            StoreError: if the file is absent, damaged, cut off, or of another format, space or revision: then it is
                to be built again.
            MissingExtra: if its kind needs the extra "search" and it is not installed.
        """
        self = cls.__new__(cls)
        self._turns = Turns()
        self._load(Path(path), {"space": space, "revision": revision}, verify=verify)
        return self

    def _load(self, path: Path, expected: Mapping[str, Any], *, verify: bool) -> None:
        facts, arrays, mark = _file.read(path, expected, verify=verify)
        try:
            kind = KINDS[facts["kind"]](None)
            self.space, self.revision, self.dim = str(facts["space"]), int(facts["revision"]), int(facts["dim"])
            columns = {name[4:]: array for name, array in arrays.items() if name.startswith("row.")}
            extra = {name[5:]: array for name, array in arrays.items() if name.startswith("kind.")}
            rows = Rows(kind.loaded(columns, extra))
            self._take_over(rows, [name.decode() for name in arrays["name"].tolist()])
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(f"{path}: the index lacks something ({error!r}): build it again") from error
        self._kind, self._mark = kind, mark

    @staticmethod
    def wipe(path: str | PathLike[str]) -> bool:
        """Overwrite the file of an index with zeros and delete it, and what an interrupted `save` left beside it.

        Returns:
            Whether there was one.

        Raises:
            StoreError: if that fails.
        """
        return _file.wipe(Path(path))


def _revision(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise InputError(f"revision: expected a whole number, got {value!r}")
    return int(value)

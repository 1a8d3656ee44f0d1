"""Sources whose pictures stay on the disk and are decoded when a batch asks for them.

    source = open_source("faces_webface", size_hw=(112, 112))
    for batch in Feed(source, batch=128, augment=Flip(), workers=4).batches(0): ...

A record that cannot be used is never the end of a run: it is counted and named in `faults`, and the feed puts another
picture of the same person in its place. A set of which more than a fifth is so stops the run.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError, StoreError, VultusError
from vultus.io import images
from vultus.io.datasets import Dataset, csv_table, folder
from vultus.io.datasets.lists import lst_table
from vultus.io.datasets.lmdb_set import LmdbDataset, lmdb_set
from vultus.io.datasets.recordio import RecordDataset, recordio
from vultus.io.datasets.records import indexed
from vultus.io.datasets.webdataset import Fault, Shard, read_span, shards
from vultus.ops.warp import warp
from vultus.train.data import Pictures
from vultus.types import F32, U8, checked

__all__ = ["Layout", "Stored", "open_source"]

I64 = NDArray[np.int64]
Layout = Literal["folder", "recordio", "lst", "csv", "webdataset", "lmdb"]
_LAYOUTS = """a folder with one folder of pictures per person
    a folder with train.rec (and train.idx, property), or a .rec file
    a folder of .tar shards, a .tar file, or a name with a range such as faces-{000..120}.tar
    a folder with data.mdb, or an .mdb or .lmdb file
    a .csv or .tsv table with the columns path and subject
    an .lst list"""

_FEW = 50  # records that were asked for before their faults can stop a run


@dataclass(eq=False)
class Stored:
    """Pictures on the disk, with labels; a source of `Feed`, safe to be asked by many threads.

    Attributes:
        name: of the set.
        read: the encoded bytes of picture i, or its path.
        where: what names picture i in messages.
        labels: (N,) whom each shows, as an index into `names`; -1 unknown.
        names: one per person.
        size_hw: height and width of the pictures that come out. With `resize` others are brought to it.
        resize: whether pictures of another size and the same proportion are brought to `size_hw`; without it they are
            faults.
        faulty: share of records that may be faulty before the run stops, 0 to 1.
        opening: faults found when the set was opened; those records are not among the N.
        license: terms as stated at the source.
        tier: "real" or "sim".

    Raises:
        InputError: if labels are out of range or there are none.
        StoreError: if more than `faulty` of the set was found unusable when it was opened.
    """

    name: str
    read: Callable[[int], bytes | Path]
    where: Callable[[int], str]
    labels: I64
    names: tuple[str, ...]
    size_hw: tuple[int, int]
    resize: bool = False
    faulty: float = 0.2
    opening: tuple[Fault, ...] = ()
    license: str = "unstated"
    tier: str = "real"
    _met: dict[int, Fault] = field(default_factory=dict, init=False, repr=False)
    _asked: NDArray[np.bool_] = field(init=False, repr=False)
    _lock: Any = field(default_factory=threading.Lock, init=False, repr=False)

    def __post_init__(self) -> None:
        self.labels = checked("labels", self.labels, (None,), np.int64)
        n = len(self.labels)
        if not n:
            raise InputError(f"{self.name}: expected pictures, got none")
        if self.labels.min() < -1 or self.labels.max() >= len(self.names):
            raise InputError(
                f"{self.name}: expected labels of -1 (unknown) or below {len(self.names)}, "
                f"got {self.labels.min()} to {self.labels.max()}"
            )
        if not 0 <= self.faulty <= 1:
            raise InputError(f"faulty: expected a share from 0 to 1, got {self.faulty}")
        self._asked = np.zeros(n, bool)
        gone = len(self.opening)
        if gone > self.faulty * (n + gone):
            raise StoreError(self._too_many(gone, n + gone, self.opening[0]))

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        height, width = self.size_hw
        return (
            f"Stored({self.name}: {len(self)} of {self.classes} people, {height} x {width}, {len(self.faults)} faults)"
        )

    @property
    def classes(self) -> int:
        """How many people."""
        return len(self.names)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What could not be used: when the set was opened, and since; each record once."""
        with self._lock:
            return (*self.opening, *(self._met[i] for i in sorted(self._met)))

    def picture(self, i: int) -> tuple[U8, F32 | None]:
        """Picture i, decoded.

        Raises:
            InputError: it cannot be used; it is in `faults` from now on.
            StoreError: more than `faulty` of the records asked for so far, at least 50, cannot be used.
        """
        if not 0 <= i < len(self):
            raise InputError(f"{self.name}: expected a picture from 0 to {len(self) - 1}, got {i}")
        if i in self._met:
            raise InputError(str(self._met[i]))
        try:
            found = images.read(self.read(i), max_side=max(self.size_hw) if self.resize else None).pixels
            image = self._sized(found)
        except VultusError as error:
            self._fault(i, error)
            raise InputError(f"{self.where(i)}: {error}") from error
        with self._lock:
            self._asked[i] = True
        return image, None

    def subset(self, rows: ArrayLike) -> Stored:
        """Some pictures, such as those of a balanced selection, with the labels they have.

        Args:
            rows: indices, or (N,) booleans.

        Raises:
            InputError: if an index is out of range.
        """
        picked = np.asarray(rows)
        picked = np.flatnonzero(picked) if picked.dtype == bool and picked.shape == (len(self),) else picked
        if picked.ndim != 1 or picked.dtype.kind not in "iu" or (picked < 0).any() or (picked >= len(self)).any():
            raise InputError(f"rows: expected indices from 0 below {len(self)}, got {picked.dtype} {picked[:3]}")
        return Stored(
            self.name,
            lambda i: self.read(int(picked[i])),
            lambda i: self.where(int(picked[i])),
            self.labels[picked],
            self.names,
            self.size_hw,
            self.resize,
            self.faulty,
            (),
            self.license,
            self.tier,
        )

    def in_memory(self, workers: int = 1) -> Pictures:
        """Everything that can be used, decoded: for sets that fit.

        Args:
            workers: threads that decode.

        Raises:
            StoreError: as `picture`.
        """
        with ThreadPoolExecutor(max(1, workers)) as pool:
            found = list(pool.map(self._or_none, range(len(self))))
        rows = np.array([i for i, image in enumerate(found) if image is not None], np.int64)
        pixels = [image for image in found if image is not None]
        crops = np.stack(pixels) if pixels else np.zeros((0, *self.size_hw, 3), np.uint8)
        return Pictures(crops, self.labels[rows], self.names, None, None, self.name, self.tier, self.license)

    def _or_none(self, i: int) -> U8 | None:
        try:
            return self.picture(i)[0]
        except InputError:
            return None  # it is in faults

    def _sized(self, image: U8) -> U8:
        height, width = image.shape[:2]
        if (height, width) == self.size_hw:
            return image
        want_h, want_w = self.size_hw
        if not self.resize or abs(height * want_w - width * want_h) > max(height, width):
            raise InputError(f"expected a picture of {want_h} x {want_w}, got {height} x {width}")
        x, y = want_w / width, want_h / height
        matrix = np.array([[x, 0, 0.5 * x - 0.5], [0, y, 0.5 * y - 0.5]])
        return warp(image, matrix, self.size_hw)

    def _fault(self, i: int, error: VultusError) -> None:
        where = self.where(i)
        place, _, key = where.rpartition("#")
        fault = Fault(Path(place or where), i, key if place else "", str(error).removeprefix(f"{where}: "))
        with self._lock:
            self._asked[i] = True
            self._met[i] = fault
            asked, met = int(self._asked.sum()), len(self._met)
        if asked >= min(_FEW, len(self)) and met > self.faulty * asked:
            raise StoreError(self._too_many(met, asked, fault))

    def _too_many(self, met: int, asked: int, fault: Fault) -> str:
        return (
            f"{self.name}: {met} of {asked} records cannot be used, and {self.faulty:.0%} may be so; the last is "
            f"{fault}: repair the set, or allow more with faulty="
        )


def open_source(
    path: str | os.PathLike[str],
    *,
    layout: Layout | None = None,
    size_hw: tuple[int, int] | None = None,
    faulty: float = 0.2,
    license: str = "unstated",
    tier: str = "real",
) -> Stored:
    """Open a training set of aligned crops in any of the layouts that are read.

    Args:
        path: folder, file, or name with a range, as the message of the error lists them.
        layout: which it is; None looks.
        size_hw: size of the pictures; those of another size and the same proportion are resized. None takes the size
            of the first picture that can be decoded (or what `property` says), and others are faults.
        faulty: see `Stored`.
        license: terms of the pictures.
        tier: "real" or "sim".

    Raises:
        InputError: nothing there, no layout that is read, or nothing in it that can be used.
        StoreError: the system refuses to read it, or too much of it is damaged.
        MissingExtra: LMDB without its package.
    """
    kind = layout or _layout_of(path)
    if size_hw is not None and min(size_hw) < 8:
        raise InputError(f"size_hw: expected at least 8 x 8 pixels, got {size_hw}")
    rest: dict[str, Any] = {"faulty": faulty, "license": license, "tier": tier}
    if kind in ("folder", "csv", "lst"):
        read = folder if kind == "folder" else csv_table if kind == "csv" else lst_table
        return _of_files(read(path), size_hw, rest)
    if kind == "recordio":
        records = recordio(_only_rec(Path(path)))
        return _of_records(records, size_hw or records.hw, size_hw is not None, rest)
    if kind == "lmdb":
        return _of_records(lmdb_set(path), size_hw, size_hw is not None, rest)
    if kind == "webdataset":
        return _of_shards(Path(path).name, shards(path), size_hw, rest)
    raise InputError(f"layout: expected folder, recordio, lst, csv, webdataset or lmdb, got {kind!r}")


def _layout_of(path: str | os.PathLike[str]) -> Layout:
    root = Path(path)
    kinds: dict[str, Layout] = {".rec": "recordio", ".tar": "webdataset", ".mdb": "lmdb", ".lmdb": "lmdb"}
    kinds |= {".csv": "csv", ".tsv": "csv", ".lst": "lst"}
    if root.is_dir():
        inside = sorted(p for p in root.iterdir() if not p.name.startswith("."))
        suffixes = {p.suffix.lower() for p in inside if p.is_file()}
        if (root / "data.mdb").is_file():
            return "lmdb"
        folders = [p.name for p in inside if p.is_dir()]
        if ".rec" in suffixes:
            return "recordio"
        if ".tar" in suffixes and folders:
            raise InputError(
                f"{root}: found tar files and folders such as {folders[0]}: say layout='webdataset' or layout='folder'"
            )
        if ".tar" in suffixes:
            return "webdataset"
        if folders:
            return "folder"
        tables = [p.name for p in inside if p.suffix.lower() in (".csv", ".tsv", ".lst")]
        hint = f"; name the table itself: {tables[0]}" if tables else ""
        raise InputError(f"{root}: found no training set in this folder{hint}; expected one of\n    {_LAYOUTS}")
    kind = kinds.get(root.suffix.lower())
    if kind is None or not (root.is_file() or "{" in root.name):
        what = "a file of another kind" if root.is_file() else "nothing"
        raise InputError(f"{root}: found {what}; expected one of\n    {_LAYOUTS}")
    return kind


def _only_rec(path: Path) -> Path:
    if not path.is_dir() or (path / "train.rec").is_file():
        return path
    found = sorted(p for p in path.iterdir() if p.suffix.lower() == ".rec")
    if len(found) != 1:
        raise InputError(f"{path}: expected train.rec or one .rec file, found {len(found)}: name the file")
    return found[0]


def _of_files(data: Dataset, size_hw: tuple[int, int] | None, rest: dict[str, Any]) -> Stored:
    paths = data.paths
    size = size_hw or _first_size(data.name, len(paths), lambda i: str(paths[i]), lambda i: paths[i])
    return Stored(
        data.name,
        lambda i: paths[i],
        lambda i: str(paths[i]),
        data.subjects,
        data.names,
        size,
        size_hw is not None,
        **rest,
    )


def _of_records(
    data: RecordDataset | LmdbDataset, size_hw: tuple[int, int] | None, resize: bool, rest: dict[str, Any]
) -> Stored:
    size = size_hw or _first_size(data.name, len(data), data.where, data.encoded)
    return Stored(
        data.name, data.encoded, data.where, data.subjects, data.names, size, resize, opening=data.faults, **rest
    )


def _of_shards(name: str, paths: Sequence[Path], size_hw: tuple[int, int] | None, rest: dict[str, Any]) -> Stored:
    """Who is on a picture is in its .cls, .json (subject, identity, label or id) or .txt file, or else its folder."""
    numbers: list[I64] = []
    places: list[I64] = []
    spans: list[I64] = []
    people: list[str] = []
    faults: list[Fault] = []
    for number, path in enumerate(paths):  # of a shard only the spans stay in memory: there may be millions
        shard = Shard(path)
        faults += shard.faults
        span = shard.spans()
        words = zip(shard.keys(), *(shard.words(suffix) for suffix in ("cls", "json", "txt")), strict=True)
        who = [_person(*one) for one in words]
        good = np.array([person is not None for person in who], bool) & (span[:, 0] >= 0)
        for i in np.flatnonzero(~good).tolist():
            missing = "a picture" if span[i, 0] < 0 else "a person: .cls, .json, .txt or a folder"
            faults.append(Fault(path, i, shard.keys()[i], f"expected {missing}, found none"))
        here = np.flatnonzero(good).astype(np.int64)
        numbers.append(np.full(len(here), number, np.int64))
        places.append(here)
        spans.append(span[here])
        people += [str(who[i]) for i in here.tolist()]
    if not people:
        why = f", such as {faults[0]}" if faults else ""
        raise InputError(f"{name}: expected samples with a picture and a person, found none{why}")
    of, place, span = np.concatenate(numbers), np.concatenate(places), np.concatenate(spans)
    labels, names = _numbered(people)
    keys = lru_cache(8)(lambda number: Shard(paths[number]).keys())  # for messages only

    def encoded(i: int) -> bytes:
        return read_span(paths[of[i]], int(span[i, 0]), int(span[i, 1]))

    def where(i: int) -> str:
        found = keys(int(of[i]))
        return f"{paths[of[i]]}#{found[place[i]] if place[i] < len(found) else int(place[i])}"

    size = size_hw or _first_size(name, len(labels), where, encoded)
    return Stored(name, encoded, where, labels, names, size, size_hw is not None, opening=tuple(faults), **rest)


def _person(key: str, label: bytes | None, about: bytes | None, text: bytes | None) -> str | None:
    if label is None and about is not None:
        try:
            fields = json.loads(about)
        except (ValueError, RecursionError):
            fields = None
        found = (
            [fields[k] for k in ("subject", "identity", "label", "id") if k in fields]
            if isinstance(fields, dict)
            else []
        )
        if found and isinstance(found[0], (str, int)):
            return str(found[0])
    words = label if label is not None else text
    if words is not None:
        return words.decode("utf-8", "replace").strip() or None
    return key.rpartition("/")[0].rpartition("/")[2] or None


def _numbered(people: Sequence[str]) -> tuple[I64, tuple[str, ...]]:
    """As `indexed`, with whole numbers in their own order."""
    if all(word.isdecimal() for word in people):
        found, labels = np.unique(np.array([int(word) for word in people]), return_inverse=True)
        return labels.astype(np.int64).reshape(-1), tuple(map(str, found.tolist()))
    return indexed(people)


def _first_size(
    name: str, count: int, where: Callable[[int], str], read: Callable[[int], bytes | Path]
) -> tuple[int, int]:
    """Size of the first picture that can be decoded, among the first hundred."""
    reasons = []
    for i in range(min(count, 100)):
        try:
            height, width = images.read(read(i)).pixels.shape[:2]
            return height, width
        except VultusError as error:
            reasons.append(f"{where(i)}: {str(error).removeprefix(f'{where(i)}: ')}")
    raise InputError(f"{name}: expected a picture among the first {len(reasons)}, found none, such as {reasons[0]}")

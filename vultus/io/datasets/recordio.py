"""RecordIO as InsightFace packs its training sets: `train.rec`, its index `train.idx`, and `property` beside them.

    record 0            label [number of pictures + 1, number of records]
    1 ... N             the label of a person, and the encoded picture
    N + 1 ...           one for each person: label [first, last + 1] of the person's records, and no picture

A header of 24 bytes opens each record (flag, label, two numbers; "IfQQ", little endian); a flag above 0 says how many
labels of four bytes follow it in place of the one in the header. Sets without such a record 0 hold pictures only.

A damaged set is never fatal: what cannot be used comes back as a `Fault` with the record's number and the reason. A
file without an index, or with a damaged one, is read from its frames.
"""

from __future__ import annotations

import io
import math
import os
import struct
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError, StoreError, VultusError
from vultus.io import images
from vultus.io.datasets._frames import Damaged, Frame, frame_at, framed, payload, walk
from vultus.io.datasets.records import Dataset
from vultus.io.datasets.webdataset import Fault
from vultus.io.files import read_bytes, write_atomic, write_bytes
from vultus.types import Image

__all__ = [
    "Record",
    "RecordDataset",
    "RecordLimits",
    "encoded_people",
    "pack",
    "recordio",
    "records",
    "unpack",
    "write_recordio",
]

I64 = NDArray[np.int64]

_HEADER = struct.Struct("<IfQQ")
_MAX_LABELS = 4096
_EXACT = 1 << 24  # labels are floats of four bytes: whole numbers above this are no longer exact
_MAX_PROPERTY = 1024


@dataclass(frozen=True, slots=True)
class RecordLimits:
    """What a file may ask for.

    Attributes:
        record_bytes: of one record.
        index_bytes: of the index; one of ten million records has about 200 MB.
    """

    record_bytes: int = 64 * 1024 * 1024
    index_bytes: int = 1 << 32


_DEFAULT = RecordLimits()


@dataclass(frozen=True, slots=True)
class Record:
    """One record, taken apart.

    Attributes:
        label: one number or more.
        picture: encoded; empty in the records that only tell of others.
        id: number of the record, as its writer saw it.
        id2: a second one, 0 in every published set.
        listed: the labels follow the header, as they do when there are more than one.
    """

    label: tuple[float, ...]
    picture: bytes = b""
    id: int = 0
    id2: int = 0
    listed: bool = False


def pack(record: Record) -> bytes:
    """The bytes of a record.

    Raises:
        InputError: no label, more than 4,096, one that four bytes cannot hold, or a number below 0 or above 64 bits.
    """
    label = record.label
    if not 1 <= len(label) <= _MAX_LABELS:
        raise InputError(f"label: expected 1 to {_MAX_LABELS} numbers, got {len(label)}")
    try:
        if len(label) == 1 and not record.listed:
            head = _HEADER.pack(0, label[0], record.id, record.id2)
        else:
            head = _HEADER.pack(len(label), 0.0, record.id, record.id2) + struct.pack(f"<{len(label)}f", *label)
    except (struct.error, OverflowError) as error:
        raise InputError(
            f"record: expected labels of four bytes and numbers of 64 bits, got {label[:4]}, {record.id} "
            f"and {record.id2}: {error}"
        ) from error
    return head + record.picture


def unpack(data: bytes) -> Record:
    """A record from its bytes.

    Raises:
        InputError: it ends within its header or labels, or says it has more than 4,096 labels.
    """
    if len(data) < _HEADER.size:
        raise InputError(f"record: expected a header of {_HEADER.size} bytes, got {len(data)} bytes in all")
    flag, label, first, second = _HEADER.unpack_from(data)
    end = _HEADER.size + 4 * flag
    if flag > _MAX_LABELS or end > len(data):
        raise InputError(
            f"record: expected at most {_MAX_LABELS} labels within its {len(data)} bytes, got a flag of {flag}"
        )
    labels = struct.unpack_from(f"<{flag}f", data, _HEADER.size) if flag else (label,)
    return Record(labels, data[end:], first, second, flag > 0)


def records(path: str | os.PathLike[str], limits: RecordLimits = _DEFAULT) -> Iterator[bytes | Fault]:
    """The bytes of every record of a file in order, without its index; what is damaged comes as a `Fault`.

    Raises:
        InputError: no such file, or it is none.
        StoreError: the system refuses to read it.
    """
    with _opened(Path(path)) as file:
        size = _size(file)
        for number, item in enumerate(walk(file, size, limits.record_bytes)):
            if isinstance(item, Frame):
                yield payload(file, item)
            else:
                yield Fault(Path(path), number, "", item[1])


@dataclass(frozen=True, slots=True, eq=False)
class RecordDataset:
    """Pictures in a RecordIO file and whom they show; nothing is decoded until it is asked for.

    It answers like `Dataset`, except that its pictures have no paths: `encoded(i)` gives the bytes as they are stored.

    Attributes:
        name: of the set.
        path: the .rec file.
        places: (N,) where each picture's record begins.
        keys: (N,) number of each picture's record, which is its name in messages.
        subjects: (N,) whom each shows, as an index into `names`.
        names: one per person: the labels, in rising order.
        faults: what cannot be used; those pictures are not among the N.
        hw: height and width as `property` states them, or None.
        license: terms as stated at the source.
        tier: "real" or "sim".
        limits: see `RecordLimits`.
    """

    name: str
    path: Path
    places: I64
    keys: I64
    subjects: I64
    names: tuple[str, ...]
    faults: tuple[Fault, ...] = ()
    hw: tuple[int, int] | None = None
    license: str = "unstated"
    tier: str = "real"
    limits: RecordLimits = _DEFAULT

    def __len__(self) -> int:
        return len(self.places)

    def where(self, i: int) -> str:
        """FILE#RECORD, which names picture i."""
        return f"{self.path}#{int(self.keys[self._checked(i)])}"

    def encoded(self, i: int) -> bytes:
        """Picture i as it is stored.

        Raises:
            InputError: there is no such picture.
            StoreError: the file changed since the set was opened, or cannot be read any more.
        """
        place = int(self.places[self._checked(i)])
        with _opened(self.path) as file:
            try:
                frame = frame_at(file, place, _size(file), self.limits.record_bytes)
                data = payload(file, frame)
                if len(data) != frame.length:
                    raise Damaged("it ends early")
                return unpack(data).picture
            except (Damaged, InputError) as error:
                raise StoreError(f"{self.where(i)}: the file changed while it was in use: {error}") from error

    def read(self, i: int) -> Image:
        """Decode picture i; a JPEG that ends early is accepted, as in `Dataset`.

        Raises:
            InputError: it is not a picture; the message names the record.
            StoreError: as `encoded`.
        """
        data = self.encoded(i)
        try:
            return images.read(data, truncated="accept")
        except InputError as error:
            raise InputError(f"{self.where(i)}: {error}") from error

    def pictures(self, order: Iterable[int] | None = None) -> Iterator[tuple[int, Image] | Fault]:
        """Index and picture one after the other; what is no picture comes as a `Fault`, and the run goes on.

        Args:
            order: which, and in what order; None takes all.
        """
        for i in range(len(self)) if order is None else order:
            try:
                yield i, self.read(i)
            except VultusError as error:
                key = str(self.keys[i]) if 0 <= i < len(self) else str(i)
                yield Fault(self.path, i, key, str(error).removeprefix(f"{self.path}#{key}: "))

    def _checked(self, i: int) -> int:
        if not 0 <= i < len(self):
            raise InputError(f"{self.path}: expected a picture from 0 to {len(self) - 1}, got {i}")
        return i


def recordio(
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    license: str = "unstated",
    tier: str = "real",
    limits: RecordLimits = _DEFAULT,
) -> RecordDataset:
    """Open a set; the index and the head of every record are read, and no picture.

    Without an index the whole file is read once, and records are numbered as they come.

    Args:
        path: the .rec file, or the folder that holds `train.rec`.
        name: of the set; None takes the folder's.
        license: terms of the pictures.
        tier: "real" or "sim".
        limits: see `RecordLimits`.

    Raises:
        InputError: no such file, or not one picture in it that can be used (the first reason is named).
        StoreError: the system refuses to read it.
    """
    if tier not in ("real", "sim"):
        raise InputError(f"tier: expected real or sim, got {tier!r}")
    given = Path(path)
    rec = given / "train.rec" if given.is_dir() else given
    with _opened(rec) as file:
        size = _size(file)
        scan = _Scan(rec, limits)
        index = rec.with_suffix(".idx")
        if index.exists() and scan.index(index, size):
            scan.by_index(file, size)
        else:
            scan.by_frames(file, size)
    if not scan.places:
        why = f", such as {scan.faults[0]}" if scan.faults else ""
        raise InputError(f"{rec}: expected records with pictures, found none, and {len(scan.faults)} faults{why}")
    found, subjects = np.unique(np.frombuffer(scan.labels, np.int64), return_inverse=True)
    hw = scan.property(rec.with_name("property"), len(found))
    return RecordDataset(
        name or rec.resolve().parent.name,
        rec,
        np.frombuffer(scan.places, np.int64),
        np.frombuffer(scan.keys, np.int64),
        subjects.astype(np.int64).reshape(-1),
        tuple(map(str, found.tolist())),
        tuple(scan.faults),
        hw,
        license,
        tier,
        limits,
    )


def write_recordio(
    folder: str | os.PathLike[str],
    pictures: Iterable[tuple[int, bytes]],
    *,
    hw: tuple[int, int] | None = None,
) -> int:
    """Write `train.rec`, `train.idx` and, where `hw` is given, `property`, as InsightFace reads them.

    Pictures are stored as they come. Each file appears complete or not at all, the index last but one.

    Args:
        folder: where they go; must exist. Files of these three names are replaced or, without `hw`, removed.
        pictures: label of the person (0, 1, ...) and the encoded picture; those of one person follow one another.
        hw: height and width of the pictures.

    Returns:
        How many pictures.

    Raises:
        InputError: no picture, an empty one, a label below 0, or a person who comes a second time.
        StoreError: the disk does not take it.
    """
    root = Path(folder)
    index = root / "train.idx"
    offsets = array("q")
    ranges: dict[int, tuple[int, int]] = {}

    def fill(file: BinaryIO) -> None:
        def add(record: Record) -> None:
            offsets.append(file.tell())
            file.write(framed(pack(record)))

        add(Record((0.0, 0.0)))  # written anew below, at the same length
        before = None
        for number, (label, picture) in enumerate(pictures, 1):
            _check(number, label, picture, again=label != before and label in ranges)
            add(Record((float(label),), picture, number))
            ranges[label] = (ranges.get(label, (number, number))[0], number + 1)
            before = label
        count = len(offsets)
        if count == 1:
            raise InputError("pictures: expected at least one, got none")
        if count + len(ranges) > _EXACT:
            raise InputError(f"pictures: expected pictures and people to be less than {_EXACT}: write several sets")
        for k, (start, end) in enumerate(ranges.values()):
            add(Record((float(start), float(end)), b"", count + k))
        file.seek(0)
        file.write(framed(pack(Record((float(count), float(count + len(ranges)))))))
        for old in (index, root / "property"):  # they would speak of the new file, which they do not know
            old.unlink(missing_ok=True)

    write_atomic(root / "train.rec", fill)
    write_bytes(index, "".join(f"{key}\t{place}\n" for key, place in enumerate(offsets)).encode())
    if hw is not None:
        write_bytes(root / "property", f"{len(ranges)},{hw[0]},{hw[1]}".encode())
    return len(offsets) - 1 - len(ranges)


def encoded_people(dataset: Dataset, limits: images.Limits | None = None) -> Iterator[tuple[int, bytes]]:
    """The pictures of a set as `write_recordio` takes them: person after person, as the files hold them.

    Raises:
        InputError: a file is missing or too large.
        StoreError: the system refuses to read it.
    """
    most = (limits or images.Limits()).max_bytes
    for i in np.argsort(dataset.subjects, kind="stable").tolist():
        yield int(dataset.subjects[i]), read_bytes(dataset.paths[i], most)


class _Scan:
    """What is found in a file: pictures that can be used, and the faults."""

    def __init__(self, rec: Path, limits: RecordLimits) -> None:
        self.rec, self.limits = rec, limits
        self.keys, self.places, self.labels = array("q"), array("q"), array("q")
        self.faults: list[Fault] = []
        self._index = array("q"), array("q")  # numbers and places
        self._end: int | None = None  # the first number that is no picture's, when record 0 says so

    def fault(self, name: str, reason: str) -> None:
        self.faults.append(Fault(self.rec, len(self.places), name, reason))

    def index(self, path: Path, size: int) -> bool:
        """Read "number TAB place" lines; False when there is not one that can be used."""
        keys, places = self._index
        data = read_bytes(path, self.limits.index_bytes) if path.stat().st_size else b""
        for number, line in enumerate(io.BytesIO(data), 1):
            words = line.split()
            good = len(words) == 2 and all(word.isdigit() and len(word) < 19 for word in words)
            if good and int(words[1]) < size and int(words[1]) % 4 == 0:
                keys.append(int(words[0]))
                places.append(int(words[1]))
            elif words:
                shown = line[:60].decode("ascii", "replace")
                self.fault("", f"{path.name}, line {number}: expected a number and a place below {size}, got {shown!r}")
        if not keys:
            self.fault("", f"{path.name}: expected lines of a number and a place, found none: the records are counted")
        return bool(keys)

    def by_index(self, file: BinaryIO, size: int) -> None:
        """The records that the index lists, by rising number."""
        keys, places = (np.frombuffer(column, np.int64) for column in self._index)
        order = np.argsort(keys, kind="stable")
        begins = np.append(np.unique(places), size)
        after = begins[np.searchsorted(begins, places, side="right")]
        before = -1
        for i in order.tolist():
            key, place, limit = int(keys[i]), int(places[i]), int(after[i])
            if key == before:
                self.fault(str(key), f"the index has a second place for this record, byte {place}")
                continue
            before = key
            try:
                frame = frame_at(file, place, size, self.limits.record_bytes)
                if frame.end > limit:
                    raise Damaged(f"its {frame.length} bytes run into the next record at byte {limit}")
            except Damaged as error:
                self.fault(str(key), str(error))
            else:
                self._take(file, key, frame)
        self._complete()

    def by_frames(self, file: BinaryIO, size: int) -> None:
        """Number the records as they come; what is damaged takes a number too."""
        for key, item in enumerate(walk(file, size, self.limits.record_bytes)):
            if isinstance(item, Frame):
                self._take(file, key, item)
            else:
                self.fault(str(key), item[1])
        self._complete()

    def _take(self, file: BinaryIO, key: int, frame: Frame) -> None:
        head = payload(file, frame, _HEADER.size + 4)
        if len(head) < _HEADER.size:
            return self.fault(str(key), f"expected a header of {_HEADER.size} bytes, got a record of {len(head)}")
        flag = int.from_bytes(head[:4], "little")
        start = _HEADER.size + 4 * flag
        if flag > _MAX_LABELS or start > frame.length:
            return self.fault(str(key), f"expected at most {_MAX_LABELS} labels within the record, got {flag}")
        bare = start == frame.length
        if key == 0 and flag >= 2 and bare:
            try:
                self._end = int(unpack(payload(file, frame)).label[0])
            except (ValueError, OverflowError):
                self.fault("0", "expected the number of pictures, got no number")
            return None
        if bare:
            if self._end is None or key < self._end <= _EXACT:
                self.fault(str(key), "expected a picture, got a record without one")
            return None
        (label,) = struct.unpack_from("<f", head, _HEADER.size if flag else 4)
        if not (math.isfinite(label) and label == int(label) and 0 <= label < 1 << 31):
            return self.fault(str(key), f"expected the number of a person for its label, got {label}")
        self.keys.append(key)
        self.places.append(frame.place)
        self.labels.append(int(label))
        return None

    def _complete(self) -> None:
        """Say so when record 0 speaks of more pictures than were met; above 2**24 it is not exact."""
        if self._end is not None and self._end <= _EXACT:
            missing = self._end - 1 - len(self.places) - len(self.faults)
            if missing > 0:
                self.fault("", f"record 0 speaks of {self._end - 1} pictures; {missing} of them are not in the file")

    def property(self, path: Path, people: int) -> tuple[int, int] | None:
        """Height and width; a file that does not fit is a fault."""
        if not path.is_file():
            return None
        try:
            words: Sequence[str] = read_bytes(path, _MAX_PROPERTY).decode("ascii", "replace").strip().split(",")
        except InputError as error:
            words = [str(error)]
        if len(words) != 3 or not all(word.strip().isdecimal() and len(word) < 12 for word in words):
            self.fault(
                "", f"property: expected people,height,width, such as 85742,112,112, got {','.join(words)[:60]!r}"
            )
            return None
        if int(words[0]) != people:
            self.fault("", f"property: expected {words[0]} people, found pictures of {people}")
        return int(words[1]), int(words[2])


def _check(number: int, label: int, picture: bytes, *, again: bool) -> None:
    if not isinstance(label, int) or not 0 <= label < _EXACT:
        raise InputError(f"pictures: expected a label from 0 below {_EXACT}, got {label!r} for picture {number}")
    if not picture:
        raise InputError(f"pictures: expected the bytes of a picture, got none for picture {number}")
    if again:
        raise InputError(
            f"pictures: expected all pictures of a person together, got person {label} again at picture {number}: "
            "sort them by person"
        )


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


def _opened(path: Path) -> BinaryIO:
    """A regular file, opened; a pipe or device would hang or never end."""
    try:
        if not path.is_file():
            raise InputError(f"{path}: expected a .rec file, found {'something else' if path.exists() else 'nothing'}")
        return open(path, "rb", buffering=4096)
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror or error}") from error

"""Training sets in LMDB, in the layout that most conversions of folders of pictures write.

    0, 1, ...       (encoded picture, label), as MessagePack or as a pickle, which is read without running it
    __keys__        the keys in order; where it is missing, all other keys in the order they have
    __len__         how many

Texts in a `__names__` entry, which vultus writes, are the people's names. Values of other kinds (arrays, pyarrow's
old form, records of Caffe) are faults. The library maps the file into memory: a file that is shorter than it says is
refused before that, but one that was damaged on purpose can end the process, so open only what you would run.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError, MissingExtra, StoreError
from vultus.io import images
from vultus.io.datasets._msgpack import after_bytes, packed, unpacked
from vultus.io.datasets.webdataset import Fault
from vultus.io.opcodes import interpret
from vultus.types import Image

__all__ = ["LmdbDataset", "lmdb_set", "write_lmdb"]

I64 = NDArray[np.int64]

_OWN = (b"__keys__", b"__len__", b"__names__")
_MAX_VALUE = 64 * 1024 * 1024
_ROOM = 1 << 26  # bytes that a new file may take at first; doubled when it is full
_MOST = 1 << 42
_LABELS = 1 << 63
_AT_ONCE = 256  # pictures of one transaction


class _Open:
    """An open file, which a process may open once: all sets of it share it, and the last one closes it."""

    def __init__(self, library_file: Any) -> None:
        self.library_file = library_file


_SHARED: WeakValueDictionary[tuple[str, int], _Open] = WeakValueDictionary()
_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True, eq=False)
class LmdbDataset:
    """Pictures in an LMDB file and whom they show; nothing is decoded until it is asked for.

    Attributes:
        name: of the set.
        path: the file.
        keys: N keys of the pictures.
        subjects: (N,) whom each shows, as an index into `names`; -1 where the label is -1: unknown.
        names: one per person: the labels in rising order, or what the set calls them.
        faults: what cannot be used; it is not among the N.
        license: terms as stated at the source.
        tier: "real" or "sim".
    """

    name: str
    path: Path
    keys: tuple[bytes, ...]
    subjects: I64
    names: tuple[str, ...]
    faults: tuple[Fault, ...] = ()
    license: str = "unstated"
    tier: str = "real"
    _file: _Open | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.keys)

    def where(self, i: int) -> str:
        """FILE#KEY, which names picture i."""
        return f"{self.path}#{_shown(self.keys[self._checked(i)])}"

    def encoded(self, i: int) -> bytes:
        """Picture i as it is stored.

        Raises:
            InputError: there is no such picture.
            StoreError: the file changed since it was opened.
        """
        key = self.keys[self._checked(i)]
        assert self._file is not None
        with _reading(self.path), self._file.library_file.begin() as turn:
            data = turn.get(key)
        try:
            return _entry(data)[0]
        except InputError as error:
            raise StoreError(f"{self.where(i)}: the file changed while it was in use: {error}") from error

    def read(self, i: int) -> Image:
        """Decode picture i; a JPEG that ends early is accepted, as in `Dataset`.

        Raises:
            InputError: it is not a picture; the message names it.
            StoreError: as `encoded`.
        """
        data = self.encoded(i)
        try:
            return images.read(data, truncated="accept")
        except InputError as error:
            raise InputError(f"{self.where(i)}: {error}") from error

    def _checked(self, i: int) -> int:
        if not 0 <= i < len(self):
            raise InputError(f"{self.path}: expected a picture from 0 to {len(self) - 1}, got {i}")
        return i


def lmdb_set(
    path: str | os.PathLike[str], *, name: str | None = None, license: str = "unstated", tier: str = "real"
) -> LmdbDataset:
    """Open a set; no picture is decoded, but values that are pickles are read as a whole to find their labels.

    Args:
        path: the file, or the folder that holds `data.mdb`.
        name: of the set; None takes the folder's or the file's.
        license: terms of the pictures.
        tier: "real" or "sim".

    Raises:
        InputError: no such file, it is none of this kind, it is shorter than it says, or not one picture in it can be
            used (the first reason is named).
        MissingExtra: the package lmdb is not installed.
        StoreError: the system refuses to read it.
    """
    if tier not in ("real", "sim"):
        raise InputError(f"tier: expected real or sim, got {tier!r}")
    given = Path(path)
    file = given / "data.mdb" if given.is_dir() else given
    opened = _opened(file)
    keys: list[bytes] = []
    labels: list[int] = []
    faults: list[Fault] = []
    with _reading(file), opened.library_file.begin(buffers=True) as turn:
        listed, called = _listed(file, turn)
        for key in listed:
            try:
                labels.append(_label(turn.get(key)))
                keys.append(bytes(key))
            except InputError as error:
                faults.append(Fault(file, len(keys), _shown(key), str(error)))
    if not keys:
        why = f", such as {faults[0]}" if faults else ""
        raise InputError(f"{file}: expected pictures with labels, found none, and {len(faults)} faults{why}")
    who = np.array(labels, np.int64)
    found = np.unique(who[who != -1])
    subjects = np.where(who == -1, -1, np.searchsorted(found, who))
    own = called is not None and len(found) and found[0] >= 0 and found[-1] < len(called)
    names = tuple(called[k] if own and called is not None else str(k) for k in found.tolist())
    title = name or (given.resolve().name if given.is_dir() else given.stem)
    return LmdbDataset(title, file, tuple(keys), subjects.astype(np.int64), names, tuple(faults), license, tier, opened)


def write_lmdb(
    folder: str | os.PathLike[str], pictures: Iterable[tuple[int, bytes]], *, names: Sequence[str] | None = None
) -> int:
    """Write `data.mdb` with keys 0, 1, ... and values as MessagePack; it appears complete or not at all.

    Args:
        folder: where it goes; must exist. A file of this name is replaced.
        pictures: label of the person from 0, and the encoded picture.
        names: one per label; kept in `__names__`, which other readers pass over.

    Returns:
        How many pictures.

    Raises:
        InputError: no picture, an empty one, or a label below 0 or without a name.
        MissingExtra: the package lmdb is not installed.
        StoreError: the disk does not take it.
    """
    library = _library()
    root = Path(folder)
    if not root.is_dir():
        raise StoreError(f"{root}: cannot be written: expected a folder")
    draft = root / f".vultus-{secrets.token_hex(8)}.part"
    count = 0
    try:
        with _reading(draft), library.open(str(draft), subdir=False, lock=False, map_size=_ROOM, sync=False) as opened:
            waiting: list[tuple[bytes, bytes]] = []
            for label, picture in pictures:
                if not picture or label < 0 or (names is not None and label >= len(names)):
                    limit = "" if names is None else f" below {len(names)}"
                    raise InputError(
                        f"pictures: expected a label from 0{limit} and a picture, got {label} and "
                        f"{len(picture)} bytes as number {count}"
                    )
                waiting.append((str(count).encode(), packed([picture, int(label)])))
                count += 1
                if len(waiting) == _AT_ONCE:
                    _put(library, opened, waiting)
                    waiting = []
            if not count:
                raise InputError("pictures: expected at least one, got none")
            waiting += [
                (b"__keys__", packed([str(k).encode() for k in range(count)])),
                (b"__len__", packed(count)),
            ]
            if names is not None:
                waiting.append((b"__names__", packed(list(names))))
            _put(library, opened, waiting)
            opened.sync(True)
        os.replace(draft, root / "data.mdb")
    except OSError as error:
        raise StoreError(f"{root}: cannot be written: {error.strerror or error}") from error
    finally:
        draft.unlink(missing_ok=True)
    return count


def _label(data: Any) -> int:
    """Label of a value; the picture itself is passed over where the form allows it."""
    start = None if data is None else after_bytes(data)
    if start is None or not start <= len(data) <= _MAX_VALUE:
        return _entry(data)[1]
    return _entry(packed([b"picture", unpacked(bytes(data[start:]))]))[1]


def _entry(data: Any) -> tuple[bytes, int]:
    """Picture and label of a value."""
    if data is None:
        raise InputError("expected a value, found none under this key")
    if not 0 < len(data) <= _MAX_VALUE:
        raise InputError(f"expected a value of 1 to {_MAX_VALUE} bytes, got {len(data)}")
    value = _read(bytes(data))
    label = value[1] if isinstance(value, (list, tuple)) and len(value) == 2 else None
    if isinstance(label, np.ndarray) and label.ndim == 0:
        label = label.item()
    if not isinstance(label, int) or isinstance(label, bool) or not isinstance(value[0], bytes) or not value[0]:
        raise InputError(f"expected an encoded picture and a label, got {_kinds(value)}")
    if not -_LABELS <= label < _LABELS:
        raise InputError(f"expected a label of 64 bits, got one of {label.bit_length()}")
    return value[0], label


def _read(data: bytes) -> Any:
    return (
        interpret(data, max_operations=max(1000, len(data)))
        if data[:1] == b"\x80" and data[-1:] == b"."
        else unpacked(data)
    )


def _listed(file: Path, turn: Any) -> tuple[Iterable[bytes], tuple[str, ...] | None]:
    """Keys of the pictures, and the names of the people or None."""
    called = turn.get(b"__names__")
    texts = None if called is None else _read(bytes(called))
    names = tuple(texts) if isinstance(texts, list) and all(isinstance(t, str) for t in texts) else None
    kept = turn.get(b"__keys__")
    if kept is None:
        return [key for key in (bytes(k) for k in turn.cursor().iternext(values=False)) if key not in _OWN], names
    keys = _read(bytes(kept))
    if not isinstance(keys, (list, tuple)) or not all(isinstance(key, (bytes, str)) and key for key in keys):
        raise InputError(f"{file}: expected a list of keys under __keys__, got {_kinds(keys)}")
    return [key.encode() if isinstance(key, str) else key for key in keys], names


def _kinds(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"{len(value)} of {', '.join(sorted({type(item).__name__ for item in value[:99]})) or 'nothing'}"
    return type(value).__name__


def _put(library: ModuleType, opened: Any, items: list[tuple[bytes, bytes]]) -> None:
    """One transaction; where the file is full it grows and the transaction is made again."""
    while True:
        try:
            with opened.begin(write=True) as turn:
                for key, value in items:
                    turn.put(key, value)
            return
        except library.MapFullError:
            room = 2 * opened.info()["map_size"]
            if room > _MOST:
                raise
            opened.set_mapsize(room)


def _opened(file: Path) -> _Open:
    """The open file, found to be as long as it says: behind its end the library would read what is not there."""
    library = _library()
    if not file.is_file():
        raise InputError(f"{file}: expected an LMDB file or the folder of data.mdb, found no such file")
    key = str(file.resolve()), file.stat().st_ino
    with _LOCK:
        shared = _SHARED.get(key)
        if shared is None:
            with _reading(file):
                opened = library.open(
                    key[0], subdir=False, readonly=True, lock=False, readahead=False, meminit=False, max_spare_txns=16
                )
                needed = (opened.info()["last_pgno"] + 1) * opened.stat()["psize"]
            if file.stat().st_size < needed:
                opened.close()
                raise InputError(
                    f"{file}: expected {needed} bytes, as it says, got {file.stat().st_size}: it was cut off"
                )
            shared = _SHARED[key] = _Open(opened)
    return shared


def _library() -> ModuleType:
    try:
        import lmdb
    except ImportError as error:
        raise MissingExtra("reading and writing LMDB", "train") from error
    found: ModuleType = lmdb
    return found


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Errors of the library in the words of the house."""
    library = _library()
    try:
        yield
    except (library.InvalidError, library.CorruptedError, library.VersionMismatchError) as error:
        raise InputError(f"{file}: expected an LMDB file, got something else or a damaged one: {error}") from error
    except library.Error as error:
        raise StoreError(f"{file}: cannot be read or written: {error}") from error


def _shown(key: bytes) -> str:
    return key[:60].decode("ascii", "backslashreplace")

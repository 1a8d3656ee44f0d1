"""WebDataset: samples in tar files ("shards"), each sample the files of one stem that follow one another.

    people-000000.tar:  0001.jpg 0001.json 0002.png 0002.txt ...

A shard is never fatal: what cannot be used (a damaged header, a file too large, a link, a name that comes twice, the
missing end of a shard that was cut off) comes back as a `Fault` in its place, with its name and the reason. Names are
keys and never become paths. Sample i of a shard is the same one at every reading, so that (shard, i) names a sample.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError, StoreError
from vultus.io.datasets._tar import BLOCK, Flaw, Member, members

__all__ = ["PICTURES", "Fault", "Sample", "Shard", "ShardLimits", "ShardWriter", "expand", "read_span", "shards"]

PICTURES = ("jpg", "jpeg", "png", "webp")  # the first of these that a sample has is its picture
_WORDS = ("json", "txt", "cls")
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_MAX_SHARDS = 1_000_000


@dataclass(frozen=True, slots=True)
class ShardLimits:
    """What a shard may ask for.

    Attributes:
        picture_bytes: of one encoded picture.
        words_bytes: of one .json, .txt or .cls file.
        samples: in one shard; what comes after them is left out, and said.
    """

    picture_bytes: int = 64 * 1024 * 1024
    words_bytes: int = 1024 * 1024
    samples: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Sample:
    """Files of one stem.

    Attributes:
        shard: the tar file.
        index: place among the samples of the shard, from 0.
        key: the stem, with the folders before it.
        files: suffix without the dot, in small letters -> bytes.
    """

    shard: Path
    index: int
    key: str
    files: Mapping[str, bytes]

    @property
    def name(self) -> str:
        """SHARD#KEY, which names the sample in messages."""
        return f"{self.shard}#{self.key}"

    @property
    def picture(self) -> bytes | None:
        """The encoded picture, or None when the sample has none."""
        return next((self.files[suffix] for suffix in PICTURES if suffix in self.files), None)

    @property
    def text(self) -> str | None:
        """What the .txt, or else the .cls, file says; InputError when it is not UTF-8."""
        data = self.files.get("txt", self.files.get("cls"))
        try:
            return None if data is None else data.decode("utf-8").strip()
        except UnicodeDecodeError as error:
            raise InputError(f"{self.name}: expected text in UTF-8: {error}") from error

    @property
    def json(self) -> Any:
        """What the .json file says, or None when there is none; InputError when it is not JSON."""
        try:
            return json.loads(self.files["json"]) if "json" in self.files else None
        except (ValueError, RecursionError) as error:
            raise InputError(f"{self.name}: expected JSON: {error}") from error


@dataclass(frozen=True, slots=True)
class Fault:
    """Something in a shard that cannot be used.

    Attributes:
        shard: the tar file.
        index: the sample it belongs to, or the next one when it belongs to none.
        name: of the member, or "" for the shard itself.
        reason: in words.
    """

    shard: Path
    index: int
    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.shard}{'#' if self.name else ''}{self.name}: {self.reason}"


@dataclass(frozen=True, slots=True)
class _Group:
    """Members of one stem: where their bytes are."""

    key: str
    files: dict[str, Member]


class Shard:
    """One tar file: its samples in order, and any one of them by its index.

    Opening one reads nothing; the headers are read at the first use, by seeking from one to the next, and afterwards
    only the bytes of the samples asked for.

    Args:
        path: an uncompressed tar file.
        limits: see `ShardLimits`.
    """

    def __init__(self, path: str | os.PathLike[str], limits: ShardLimits | None = None) -> None:
        self.path = Path(path)
        self.limits = limits or ShardLimits()
        self._found: tuple[list[_Group], list[Fault]] | None = None

    def __repr__(self) -> str:
        return f"Shard({str(self.path)!r})"

    def __len__(self) -> int:
        """How many samples; 0 when it cannot be read at all, which `faults` explains."""
        return len(self._index()[0])

    def __iter__(self) -> Iterator[Sample | Fault]:
        """Samples in order, each fault in the place where it was met."""
        return self.read()

    def sample(self, index: int) -> Sample:
        """The sample of that index, without reading those before it.

        Raises:
            InputError: if there is no such sample.
            StoreError: if the file cannot be read any more.
        """
        if not 0 <= index < len(self):
            raise InputError(f"{self.path}: expected a sample from 0 to {len(self) - 1}, got {index}")
        return next(item for item in self.read(index, index + 1) if isinstance(item, Sample))

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Everything that cannot be used."""
        return tuple(self._index()[1])

    def keys(self) -> list[str]:
        """The keys of the samples, in order."""
        return [group.key for group in self._index()[0]]

    def words(self, suffix: str) -> list[bytes | None]:
        """The .cls, .txt or .json file of every sample, or None where it has none; no picture is read.

        Raises:
            InputError: if the suffix is another one.
            StoreError: if the file changes or goes away while it is read.
        """
        if suffix not in _WORDS:
            raise InputError(f"suffix: expected one of {', '.join(_WORDS)}, got {suffix!r}")
        groups, found = self._index()[0], []
        if not any(suffix in group.files for group in groups):
            return [None] * len(groups)
        with _opened(self.path) as file:
            for group in groups:
                part = {name: member for name, member in group.files.items() if name == suffix}
                found.append(self._files(file, _Group(group.key, part)).get(suffix))
        return found

    def spans(self) -> NDArray[np.int64]:
        """(N, 2) where in the file the picture of each sample begins and how many bytes it has; -1 where it has none.

        With these, a shard of which nothing else is needed can be let go: `read_span` reads a picture.
        """
        found = np.full((len(self), 2), -1, np.int64)
        for row, group in zip(found, self._index()[0], strict=True):
            member = next((group.files[suffix] for suffix in PICTURES if suffix in group.files), None)
            if member is not None:
                row[:] = member.start, member.size
        return found

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[Sample | Fault]:
        """Samples `start` up to and without `stop` (None: to the end), with the faults among them.

        Raises:
            StoreError: if the file changes or goes away while it is read.
        """
        groups, faults = self._index()
        end = len(groups) if stop is None else min(stop, len(groups))
        last = stop is None or stop >= len(groups)
        wanted = iter([f for f in faults if start <= f.index and (f.index < end or last)])
        fault = next(wanted, None)
        if start < end:
            with _opened(self.path) as file:
                for i in range(start, end):
                    while fault is not None and fault.index <= i:
                        yield fault
                        fault = next(wanted, None)
                    yield Sample(self.path, i, groups[i].key, self._files(file, groups[i]))
        while fault is not None:
            yield fault
            fault = next(wanted, None)

    def _files(self, file: BinaryIO, group: _Group) -> dict[str, bytes]:
        found = {}
        for suffix, member in group.files.items():
            file.seek(member.start)
            data = file.read(member.size)
            if len(data) != member.size:
                raise StoreError(
                    f"{self.path}: expected {member.size} bytes of {member.name}, got {len(data)}: it shrank"
                )
            found[suffix] = data
        return found

    def _index(self) -> tuple[list[_Group], list[Fault]]:
        if self._found is None:
            try:
                with _opened(self.path) as file:
                    self._found = self._scan(file, os.fstat(file.fileno()).st_size)
            except (StoreError, InputError) as error:
                self._found = [], [Fault(self.path, 0, "", str(error).removeprefix(f"{self.path}: "))]
        return self._found

    def _scan(self, file: BinaryIO, size: int) -> tuple[list[_Group], list[Fault]]:
        groups: list[_Group] = []
        faults: list[Fault] = []
        seen: set[str] = set()
        if file.read(2) == b"\x1f\x8b":
            return [], [Fault(self.path, 0, "", "expected an uncompressed tar file, got gzip: unpack it with gunzip")]
        for item in members(file, size):
            reason = item.reason if isinstance(item, Flaw) else _unusable(item, self.limits)
            key, suffix = _split(item.name)
            here = groups[-1] if groups and groups[-1].key == key else None
            if not reason and isinstance(item, Member) and suffix in (*PICTURES, *_WORDS):
                if here is not None and suffix in here.files:
                    reason = "a second file of this name"
                elif here is None and key in seen:
                    reason = "its stem was seen before, with others in between"
                elif here is None and len(groups) == self.limits.samples:
                    faults.append(
                        Fault(
                            self.path, len(groups), item.name, f"more than {len(groups)} samples: the rest is left out"
                        )
                    )
                    break
                elif here is None:
                    seen.add(key)
                    groups.append(_Group(key, {suffix: item}))
                else:
                    here.files[suffix] = item
            if reason:
                faults.append(Fault(self.path, max(0, len(groups) - (here is not None)), item.name, reason))
        if not groups and not faults:
            faults.append(Fault(self.path, 0, "", "expected samples with pictures, found none"))
        return groups, faults


def read_span(path: Path, start: int, size: int) -> bytes:
    """Bytes of a shard, by `Shard.spans`.

    Raises:
        InputError: if there is no such file.
        StoreError: if it cannot be read, or is shorter than it was.
    """
    with _opened(path) as file:
        file.seek(start)
        data = file.read(size)
    if len(data) != size:
        raise StoreError(f"{path}: expected {size} bytes at {start}, got {len(data)}: it shrank")
    return data


def expand(spec: str) -> list[str]:
    """Write out the ranges of a name: "a-{00..02}.tar" -> a-00.tar, a-01.tar, a-02.tar.

    Raises:
        InputError: if a range falls, or there are more than a million names.
    """
    found = _RANGE.search(spec)
    if found is None:
        return [spec]
    low, high = int(found[1]), int(found[2])
    if not 0 <= high - low < _MAX_SHARDS:
        raise InputError(f"{spec}: expected a range that rises by less than {_MAX_SHARDS}, got {found[0]}")
    width = len(found[1]) if found[1].startswith("0") or len(found[1]) == len(found[2]) else 0
    rest = expand(spec[found.end() :])
    if (high - low + 1) * len(rest) > _MAX_SHARDS:
        raise InputError(f"{spec}: expected at most {_MAX_SHARDS} shards, got more")
    return [f"{spec[: found.start()]}{n:0{width}d}{tail}" for n in range(low, high + 1) for tail in rest]


def shards(spec: str | os.PathLike[str]) -> list[Path]:
    """The shards that a name with ranges, or a folder of tar files, stands for, in order.

    Raises:
        InputError: if there is none, or some do not exist (they are counted and the first named).
    """
    path = Path(spec)
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if p.suffix.lower() == ".tar" and not p.name.startswith("."))
        if not found:
            raise InputError(f"{path}: expected tar files in this folder, found none")
        return found
    named = [Path(name) for name in expand(os.fspath(spec))]
    missing = [p for p in named if not p.is_file()]
    if missing:
        raise InputError(f"{path}: {len(missing)} of {len(named)} shards are missing, such as {missing[0]}")
    return named


class ShardWriter:
    """Write samples into shards `NAME-000000.tar`, `NAME-000001.tar`, ...; each appears complete or not at all.

    The same samples give the same bytes. Use it with `with`; when the block raises, the shard in hand is dropped.

    Args:
        folder: where they go; must exist.
        name: what the names of the shards begin with.
        max_samples: in one shard.
        max_bytes: a shard that has reached this size is closed.
    """

    def __init__(
        self, folder: str | os.PathLike[str], name: str, *, max_samples: int = 10_000, max_bytes: int = 1 << 30
    ) -> None:
        if not name or Path(name).name != name or "{" in name or name.startswith("."):
            raise InputError(f"name: expected the beginning of a file name without folders or braces, got {name!r}")
        if max_samples < 1 or max_bytes < 1:
            raise InputError(f"max_samples, max_bytes: expected at least 1, got {max_samples} and {max_bytes}")
        self.folder, self.name = Path(folder), name
        self.max_samples, self.max_bytes = max_samples, max_bytes
        self.written: list[Path] = []
        self._file: BinaryIO | None = None
        self._draft = Path()
        self._keys: set[str] = set()

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close(keep=kind is None)

    def write(self, key: str, files: Mapping[str, bytes]) -> None:
        """Add a sample.

        Args:
            key: its stem; one sample per key in a shard. No dots, no leading slash, no "..".
            files: suffix without the dot -> bytes; one of `PICTURES`, json, txt or cls.

        Raises:
            InputError: if the key or a suffix would not be read back, or the key is in this shard already.
            StoreError: if the disk does not take it.
        """
        unknown = [suffix for suffix in files if suffix not in (*PICTURES, *_WORDS)]
        if unknown or not files or not all(files.values()):
            raise InputError(f"files: expected bytes under {', '.join((*PICTURES, *_WORDS))}, got {list(files)}")
        if _split(f"{key}.x") != (key, "x") or _bad_name(key):
            raise InputError(f"key: expected a stem without dots, such as people/0001, got {key!r}")
        if self._file is not None and (len(self._keys) >= self.max_samples or self._file.tell() >= self.max_bytes):
            self._close(keep=True)
        if key in self._keys:
            raise InputError(f"key: expected a new one in this shard, got {key!r} again")
        try:
            file = self._file = self._file or self._open()
            for suffix in sorted(files):
                about = tarfile.TarInfo(f"{key}.{suffix}")
                about.size = len(files[suffix])
                file.write(about.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict"))
                file.write(files[suffix] + bytes(-about.size % BLOCK))
        except OSError as error:
            raise StoreError(f"{self.folder}: a shard cannot be written: {error.strerror or error}") from error
        self._keys.add(key)

    def _open(self) -> BinaryIO:
        self._draft = self.folder / f".vultus-{secrets.token_hex(8)}.part"
        return open(self._draft, "xb")

    def _close(self, *, keep: bool) -> None:
        if self._file is None:
            return
        file, self._file = self._file, None
        target = self.folder / f"{self.name}-{len(self.written):06d}.tar"
        try:
            with file:
                if keep:
                    file.write(bytes(2 * BLOCK))
                    file.flush()
                    os.fsync(file.fileno())
            if keep:
                os.replace(self._draft, target)
                self.written.append(target)
        except OSError as error:
            raise StoreError(f"{target}: cannot be written: {error.strerror or error}") from error
        finally:
            self._draft.unlink(missing_ok=True)
            self._keys.clear()


def _opened(path: Path) -> BinaryIO:
    """A regular file, opened; a pipe or device would hang or never end."""
    try:
        if not path.is_file():
            raise InputError(f"{path}: expected a tar file, found {'something else' if path.exists() else 'nothing'}")
        return open(path, "rb")
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror or error}") from error


def _split(name: str) -> tuple[str, str]:
    """Key and suffix: the name is cut at the first dot of its last part."""
    folder, slash, last = name.rpartition("/")
    stem, _, suffix = last.partition(".")
    return folder + slash + stem, suffix.lower() if stem else ""  # hidden files have no suffix of ours


def _unusable(member: Member, limits: ShardLimits) -> str:
    suffix = _split(member.name)[1]
    if suffix not in (*PICTURES, *_WORDS):
        return ""  # no file of ours: left out in silence, like every other suffix
    bad = _bad_name(member.name)
    if bad:
        return bad
    most = limits.picture_bytes if suffix in PICTURES else limits.words_bytes
    return "" if 0 < member.size <= most else f"expected 1 to {most} bytes, got {member.size}"


def _bad_name(name: str) -> str:
    if name.startswith("/") or "\\" in name or ".." in name.split("/"):
        return "expected a name that stays inside the shard, got a path that leads out of it"
    if not name.isprintable():
        return "expected a name in UTF-8 that can be printed, got control characters or other bytes"
    return ""

"""A large job in chunks: what each reads, what its name is, and the columns that come out of it.

A chunk's name is a digest of what it reads (names, sizes, times of change), so the same files make the same chunks in
any process, and a file that has changed makes another one. Where a chunk ends is decided by the names in it, not by a
count from the start: a photo added to a folder changes the chunk it falls into and seldom another.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError, VultusError
from vultus.io.datasets.webdataset import Fault, Shard
from vultus.pipeline._encode import Encoded, Parts
from vultus.pipeline._pipeline import Pipeline
from vultus.pipeline.previews import previews
from vultus.types import F32

CHUNK = 32  # pictures, on average: about two seconds of one core, so that little is lost with a worker
_LONGEST = 4  # times that

Failure = tuple[str, str, str]  # what, class of the error, message


@dataclass(frozen=True, slots=True)
class Spec:
    """Everything that decides what comes out for a picture.

    Attributes:
        parts: of the pipeline.
        min_score: detection threshold, or None.
        license: what VULTUS_LICENSE says, or "".
        previews: whether a small JPEG of every face is made.
    """

    parts: Parts
    min_score: float | None
    license: str
    previews: bool = False

    @classmethod
    def of(cls, pipe: Pipeline, *, previews: bool = False) -> Spec:
        """That of a pipeline in this process."""
        return cls(pipe.parts, pipe.min_score, os.environ.get("VULTUS_LICENSE", ""), previews)

    def words(self) -> str:
        """One line that is equal exactly when the vectors are."""
        return f"{self.parts} min_score={self.min_score}"


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some photos, or a stretch of samples of one shard.

    Attributes:
        id: 16 hex digits; see the top of this file.
        files: paths; empty for a stretch of a shard.
        shard: path of the tar file, or "".
        start: first sample.
        stop: the sample after the last one.
    """

    id: str
    files: tuple[str, ...] = ()
    shard: str = ""
    start: int = 0
    stop: int = 0

    def __len__(self) -> int:
        return len(self.files) if not self.shard else self.stop - self.start

    def singles(self) -> list[Chunk]:
        """The same work picture by picture."""
        if self.shard:
            return [replace(self, start=i, stop=i + 1) for i in range(self.start, self.stop)]
        return [replace(self, files=(file,)) for file in self.files]

    def without(self, known: set[str]) -> Chunk:
        """The photos that are not among these names; a stretch of a shard is read as a whole."""
        return self if self.shard else replace(self, files=tuple(f for f in self.files if f not in known))

    def visible(self) -> bool:
        """Whether any of its files is to be seen from this machine."""
        return any(os.path.exists(path) for path in (self.files or (self.shard,)))

    def name(self) -> str:
        """What it reads, in words."""
        return f"{self.shard}#{self.start}..{self.stop - 1}" if self.shard else ", ".join(self.files[:3])

    def pictures(self) -> Iterator[tuple[str, str | bytes | None, str]]:
        """Name, path or bytes, and "" of each picture; None and the reason where a shard has something unusable."""
        if not self.shard:
            yield from ((file, file, "") for file in self.files)
            return
        told = set()
        for item in _shard(self.shard, *_stamp(self.shard)).read(self.start, self.stop):
            if isinstance(item, Fault):
                told.add(item.index)
                yield f"{item.shard}#{item.name}", None, item.reason
            elif item.picture is not None:
                yield item.name, item.picture, ""
            elif item.index not in told:  # its picture may be the fault that was just named
                yield item.name, None, "a sample without a picture"


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What came out of a chunk: N pictures, F faces.

    Attributes:
        chunk: its name.
        space: embedding space of the vectors.
        sources: N paths, or SHARD#KEY.
        sha256: N, of the encoded pictures.
        sizes_hw: (N, 2) height and width in pixels.
        photo: (F,) which picture each face is on.
        boxes: (F, 4) xyxy pixels.
        scores: (F,) of the detector.
        quality: (F,) in [0, 1].
        vectors: (F, D) unit rows.
        failed: pictures of which nothing came, and why.
        previews: F small JPEG files or None, or nothing at all where they were not asked for.
    """

    chunk: str
    space: str
    sources: tuple[str, ...]
    sha256: tuple[str, ...]
    sizes_hw: NDArray[np.int64]
    photo: NDArray[np.int64]
    boxes: F32
    scores: F32
    quality: F32
    vectors: F32
    failed: tuple[Failure, ...] = ()
    previews: tuple[bytes | None, ...] = ()


def plan(photos: Sequence[str | os.PathLike[str]], shards: Sequence[Path] = (), size: int = CHUNK) -> list[Chunk]:
    """Cut photos and shards into chunks of `size` pictures on average; the same order in gives the same chunks.

    Raises:
        InputError: if there is nothing to do, or the size is below 1.
    """
    if type(size) is not int or size < 1:
        raise InputError(f"chunk: expected a number of pictures from 1, got {size!r}")
    if not photos and not shards:
        raise InputError("expected photos or shards, got none")
    chunks = [_named(tuple(group)) for group in _grouped([os.fspath(p) for p in dict.fromkeys(photos)], size)]
    for path in dict.fromkeys(shards):
        stamp = _stamp(str(path))
        n = max(1, len(_shard(str(path), *stamp)))  # a shard without a sample is one chunk, which says why
        for start in range(0, n, size):
            stop = min(start + size, n)
            digest = hashlib.sha256(f"{path}\0{stamp}\0{start}\0{stop}".encode("utf-8", "surrogateescape"))
            chunks.append(Chunk(digest.hexdigest()[:16], (), str(path), start, stop))
    return chunks


def digest_of(chunks: Iterable[Chunk]) -> str:
    """One name for a whole plan."""
    return hashlib.sha256("\n".join(chunk.id for chunk in chunks).encode()).hexdigest()[:16]


def embed_chunk(spec: Spec, chunk: Chunk, stopped: Callable[[], bool] = lambda: False) -> Part:
    """Read, detect and embed the pictures of a chunk on one core.

    Args:
        spec: which models.
        chunk: what to read.
        stopped: asked before each picture; what is left is dropped when it says so.

    Raises:
        WeightsError: if a model is missing.
    """
    waiting: deque[tuple[str, str | bytes]] = deque()  # read, and not yet through: the pipeline keeps the order
    failed: list[Failure] = []

    def given() -> Iterator[str | bytes]:
        for name, picture, reason in chunk.pictures():
            if stopped():
                return
            if picture is None:
                failed.append((name, "InputError", reason))
            else:
                waiting.append((name, picture))
                yield picture

    pipe = _pipeline(spec)
    good: list[tuple[str, Encoded]] = []
    small: list[bytes | None] = []
    for result in pipe.stream(given()):
        name, picture = waiting.popleft()
        if isinstance(result, VultusError):
            failed.append((name, type(result).__name__, str(result)))
        else:
            good.append((name, result))
            small += previews(picture, result) if spec.previews else []
    return replace(_part(chunk.id, pipe.space, good, failed), previews=tuple(small))


def joined(chunk: Chunk, space: str, parts: Sequence[Part], failed: Sequence[Failure]) -> Part:
    """One part from those of its pictures."""
    starts = np.cumsum([0, *(len(part.sources) for part in parts)])
    empty = _part(chunk.id, space, [], [])
    return Part(
        chunk.id,
        space,
        tuple(source for part in parts for source in part.sources),
        tuple(key for part in parts for key in part.sha256),
        np.concatenate([empty.sizes_hw, *(part.sizes_hw for part in parts)]),
        np.concatenate([empty.photo, *(part.photo + start for part, start in zip(parts, starts, strict=False))]),
        np.concatenate([empty.boxes, *(part.boxes for part in parts)]),
        np.concatenate([empty.scores, *(part.scores for part in parts)]),
        np.concatenate([empty.quality, *(part.quality for part in parts)]),
        _stacked([part.vectors for part in parts]),
        (*(item for part in parts for item in part.failed), *failed),
        tuple(preview for part in parts for preview in part.previews),
    )


def _part(name: str, space: str, good: Sequence[tuple[str, Encoded]], failed: Sequence[Failure]) -> Part:
    records = [record for _, record in good]
    return Part(
        name,
        space,
        tuple(source for source, _ in good),
        tuple(record.sha256 for record in records),
        np.array([record.size_hw for record in records], np.int64).reshape(-1, 2),
        np.repeat(np.arange(len(records), dtype=np.int64), [len(record) for record in records]),
        np.concatenate([np.zeros((0, 4), np.float32), *(r.detections.boxes for r in records)]),
        np.concatenate([np.zeros(0, np.float32), *(r.detections.scores for r in records)]),
        np.concatenate([np.zeros(0, np.float32), *(r.quality for r in records)]),
        _stacked([record.embedded.vec for record in records]),
        tuple(failed),
    )


def _stacked(vectors: Sequence[F32]) -> F32:
    filled = [rows for rows in vectors if len(rows)] or vectors[:1]
    return np.concatenate(filled) if filled else np.zeros((0, 0), np.float32)


@lru_cache(maxsize=2)
def _pipeline(spec: Spec) -> Pipeline:
    """One per process: a worker opens its models once."""
    if spec.license:
        os.environ["VULTUS_LICENSE"] = spec.license
    parts = spec.parts
    pipe = Pipeline(
        detector=parts.detector,
        embedder=parts.embedder,
        refiner=parts.refiner or "none",
        threads=1,
        min_score=spec.min_score,
        tile=parts.tile,
        upright=parts.upright,
    )
    _ = pipe.space  # opens the models now, before several threads ask for them
    return pipe


def _grouped(files: Sequence[str], size: int) -> Iterator[list[str]]:
    """Groups that end where the digest of a name says so, of `size` names on average."""
    group: list[str] = []
    for file in files:
        group.append(file)
        digest = hashlib.sha256(os.fsencode(file)).digest()
        if int.from_bytes(digest[:8], "little") % size == 0 or len(group) == _LONGEST * size:
            yield group
            group = []
    if group:
        yield group


def _named(files: tuple[str, ...]) -> Chunk:
    digest = hashlib.sha256()
    for file in files:
        digest.update(os.fsencode(file) + f"\0{_stamp(file)}\n".encode())
    return Chunk(digest.hexdigest()[:16], files)


def _stamp(path: str) -> tuple[int, int]:
    """Size and time of change; (-1, -1) where there is nothing, which the reader will explain."""
    try:
        about = os.stat(path)
    except (OSError, ValueError):
        return -1, -1
    return about.st_size, about.st_mtime_ns


@lru_cache(maxsize=4)
def _shard(path: str, size: int, changed: int) -> Shard:
    """A shard whose headers were read once, as long as the file is the same."""
    return Shard(path)

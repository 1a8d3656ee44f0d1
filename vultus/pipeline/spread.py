"""Embedding a large collection: photos or WebDataset shards in chunks, on threads or on a Ray cluster, resumable.

    for step in spread(pipe, plan(photos), GallerySink(gallery, pipe.space), engine="ray"):
        print(step.pictures, step.faces, step.failed)

What is guaranteed: every picture is either kept or named with the reason; a chunk is kept whole or not at all, and
once, however often workers, machines or this process die; run again, the same job goes on where it stopped. At most two
chunks per core are in flight, so memory does not grow with the collection.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from vultus.errors import SpaceMismatch, VultusError
from vultus.pipeline._engines import Engine, Lost, engine
from vultus.pipeline._pipeline import Pipeline
from vultus.pipeline._sinks import FolderSink, GallerySink, Sink, read_parts
from vultus.pipeline._work import CHUNK, Chunk, Failure, Part, Spec, joined, plan

__all__ = ["CHUNK", "Chunk", "FolderSink", "GallerySink", "Part", "Sink", "Step", "plan", "read_parts", "spread"]

_ATTEMPTS = 2  # whole; then picture by picture, to find the one that kills workers
_POLL = 1.0  # seconds between looks at the cluster, which may have grown or shrunk


@dataclass(frozen=True, slots=True)
class Step:
    """One chunk is dealt with.

    Attributes:
        pictures: that were embedded and kept now.
        known: that were dealt with by an earlier run.
        faces: on the pictures of now.
        failed: (what, class of the error, message) of pictures of which nothing came.
    """

    pictures: int
    known: int
    faces: int
    failed: tuple[Failure, ...]


@dataclass
class _Job:
    index: int
    chunk: Chunk  # as planned
    rest: Chunk  # without what is known
    attempts: int = 1


def spread(
    pipe: Pipeline, chunks: Sequence[Chunk], sink: Sink, *, engine: str | Engine = "local", address: str | None = None
) -> Iterator[Step]:
    """Embed chunks and keep what comes out.

    Args:
        pipe: which models.
        chunks: see `plan`.
        sink: where the results go.
        engine: "local", "ray", or one of your own.
        address: of a Ray cluster.

    Yields:
        A step per chunk, in the order in which they are done; those that were kept already come first.

    Raises:
        InputError: if the sink holds results of another kind.
        SpaceMismatch: if the gallery, or a worker, is of another space.
        StoreError: if the results cannot be written, or a worker cannot see the files or its models.
        MissingExtra: if the engine is not installed.
    """
    done = sink.begin(chunks)
    for i in sorted(done):
        yield Step(0, len(chunks[i]) - len(done[i]), 0, done[i])
    if len(done) < len(chunks):
        space = pipe.space  # before anything is started: without weights there is no job
        works = (
            _made(engine, Spec.of(pipe, previews=sink.previews), pipe.threads, address)
            if isinstance(engine, str)
            else engine
        )
        try:
            yield from _drive(works, [(i, c) for i, c in enumerate(chunks) if i not in done], sink, space)
        finally:
            works.close()
    sink.finish()


def _made(name: str, spec: Spec, threads: int | None, address: str | None) -> Engine:
    return engine(name, spec, threads=threads, address=address)


def _drive(works: Engine, todo: Sequence[tuple[int, Chunk]], sink: Sink, space: str) -> Iterator[Step]:
    waiting = iter(todo)
    flight: dict[Any, _Job] = {}
    more = True
    while True:
        room = works.room()
        while more and len(flight) < room:
            index, chunk = next(waiting, (-1, None))
            if chunk is None:
                more = False
                break
            rest = chunk.without(sink.known(chunk))
            if not len(rest):
                sink.keep(index, chunk, joined(chunk, space, [], []))
                yield Step(0, len(chunk), 0, ())
                continue
            flight[works.submit(rest)] = _Job(index, chunk, rest)
        if not flight:
            return
        for handle in works.ready(list(flight), _POLL):
            job = flight.pop(handle)
            part = works.result(handle)
            if isinstance(part, Lost) and job.attempts < _ATTEMPTS:
                job.attempts += 1
                flight[works.submit(job.rest)] = job
                continue
            if isinstance(part, Lost):
                part = _one_by_one(works, job.rest, space)
            if part.space != space:
                raise SpaceMismatch(part.space, space)
            sink.keep(job.index, job.chunk, part)
            yield Step(len(part.sources), len(job.chunk) - len(job.rest), len(part.photo), part.failed)


def _one_by_one(works: Engine, chunk: Chunk, space: str) -> Part:
    """A chunk that costs every worker its life, picture by picture: only the guilty one is given up."""
    parts: list[Part] = []
    failed: list[Failure] = []
    for single in chunk.singles():
        handle = works.submit(single)
        while not works.ready([handle], _POLL):
            continue
        part = works.result(handle)
        if isinstance(part, Lost):
            reason = f"{single.name()}: every worker that was given it came to an end ({part.reason})"
            failed.append((single.name(), VultusError.__name__, reason))
        else:
            parts.append(part)
    return joined(chunk, space, parts, failed)

"""Chunks, parts and engines for tests of large jobs: no weights, no pictures of anybody."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from vultus.ops.vectors import unit
from vultus.pipeline import Parts
from vultus.pipeline._engines import Lost
from vultus.pipeline._work import Chunk, Part

SPACE = "toy@000000000000"


class Pipe:
    """What `spread` asks of a pipeline."""

    parts, min_score = Parts(), None
    space = SPACE
    threads = 1


def made(chunk: Chunk, space: str = SPACE) -> Part:
    """What a model would give: vectors by the name of the picture, two faces on each, none on every third."""
    names = list(chunk.files)
    faces = [0 if number(name) % 3 == 0 else 2 for name in names if "bad" not in name]
    good = [name for name in names if "bad" not in name]
    photo = np.repeat(np.arange(len(good)), faces)
    boxes = np.array([[10.0 + 50 * (i % 2), 10, 50 + 50 * (i % 2), 60] for i in range(len(photo))], np.float32)
    rows = [np.random.default_rng(number(good[p])).standard_normal(8) for p in photo]
    return Part(
        chunk.id,
        space,
        tuple(good),
        tuple(hashlib.sha256(name.encode()).hexdigest() for name in good),
        np.full((len(good), 2), 100, np.int64),
        photo,
        boxes.reshape(-1, 4),
        np.full(len(photo), 0.9, np.float32),
        np.full(len(photo), 0.5, np.float32),
        unit(np.array(rows)) if rows else np.zeros((0, 0), np.float32),
        tuple((name, "InputError", f"{name}: no picture") for name in names if "bad" in name),
    )


def number(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")


class FakeEngine:
    """Gives results in a random order; what happens to a chunk is decided by `fate`.

    Args:
        fate: chunk, how often it was given -> Part, Lost, or raises.
    """

    def __init__(self, fate: Callable[[Chunk, int], Part | Lost] | None = None, seed: int = 0, size: int = 3) -> None:
        self.fate = fate or (lambda chunk, n: made(chunk))
        self.rng = np.random.default_rng(seed)
        self.size = size
        self.given: list[Chunk] = []
        self.most = 0
        self.closed = False
        self._flight: dict[int, Chunk] = {}

    def room(self) -> int:
        return self.size

    def submit(self, chunk: Chunk) -> int:
        self.given.append(chunk)
        self._flight[len(self.given)] = chunk
        self.most = max(self.most, len(self._flight))
        return len(self.given)

    def ready(self, handles: Sequence[Any], timeout: float) -> list[Any]:
        return [handles[int(self.rng.integers(len(handles)))]]

    def result(self, handle: Any) -> Part | Lost:
        chunk = self._flight.pop(handle)
        return self.fate(chunk, sum(c == chunk for c in self.given))

    def close(self) -> None:
        self.closed = True


class MemorySink:
    """Remembers what was kept."""

    previews = False

    def __init__(self) -> None:
        self.kept: dict[int, Part] = {}
        self.times: dict[int, int] = {}
        self.finished = False
        self.here: set[str] = set()

    def begin(self, chunks: Sequence[Chunk]) -> dict[int, tuple[Any, ...]]:
        return {i: part.failed for i, part in self.kept.items()}

    def known(self, chunk: Chunk) -> set[str]:
        return self.here & set(chunk.files)

    def keep(self, index: int, chunk: Chunk, part: Part) -> None:
        self.kept[index] = part
        self.times[index] = self.times.get(index, 0) + 1

    def finish(self) -> None:
        self.finished = True

"""Pictures to train and measure the miniatures with: drawn once for a content hash, shard by shard, kept for the next.

An interrupted drawing goes on after the last finished shard. Each person has random numbers of their own, so a shard
does not depend on the others.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.io.files import read_bytes, write_atomic
from vultus.sim import faces
from vultus.sim._shards import FORMAT

__all__ = ["CATEGORIES", "NUMBERS", "Album", "Arrays", "code_hash", "drawn"]

Arrays = dict[str, NDArray[Any]]

CATEGORIES = ("hair_style", "hair_color", "glasses", "hat", "beard", "background")
"""Factors with names; their arrays hold the index into `faces.CHOICES`."""

NUMBERS = {
    "pose": 3,
    "expression": 14,
    "gaze": 2,
    "light": 27,
    "age": 1,
    "tone": 1,
    "sex": 1,
    "shape": 40,
    "albedo": 24,
    "points": 10,
}
"""Factors with numbers, and how many each has."""

_VERSION = 1  # raised when the same album would give other arrays
_PEOPLE_PER_SHARD = 25
_MAX_SHARD = 1 << 28


@dataclass(frozen=True)
class Album:
    """Which pictures: some people of a split, so many pictures of each, in one world.

    Attributes:
        split: key of `faces.people`.
        first, people: which people of the split.
        pictures: of each person.
        seed: of the factors.
        world: knobs.
        parsing: with the (S, S) class of each pixel.
        size, lod: as `faces.render`.
    """

    split: str
    first: int
    people: int
    pictures: int
    seed: int
    world: faces.World = field(default_factory=faces.World)
    parsing: bool = False
    size: int = 64
    lod: int = 0

    def seeds(self) -> list[int]:
        """The people."""
        return list(faces.people(self.split)[self.first : self.first + self.people])


def drawn(
    album: Album,
    folder: Path | None,
    *,
    workers: int = 1,
    progress: Callable[[int, int, str], None] = lambda done, total, what: None,
) -> Arrays:
    """The pictures of an album with their truth.

    Args:
        album: which.
        folder: where finished shards are kept and found; None keeps nothing.
        workers: processes that draw.
        progress: told (shards done, shards, what).

    Returns:
        image (N, S, S, 3) uint8; person (N,) int64, the seed; the arrays of `NUMBERS` (N, K) float32 and of
        `CATEGORIES` (N,) int64; parsing (N, S, S) uint8 when asked for; seconds (1,), the processor time that the
        drawing took, then or earlier.
    """
    seeds = album.seeds()
    chunks = [seeds[k : k + _PEOPLE_PER_SHARD] for k in range(0, len(seeds), _PEOPLE_PER_SHARD)]
    parts, seconds = [], 0.0
    for done, part in enumerate(_parts(album, chunks, folder, workers), 1):
        parts.append(part)
        seconds += float(part.pop("seconds")[0])
        progress(done, len(chunks), f"drawing {album.split}")
    out: Arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    out["seconds"] = np.array([seconds])
    return out


def _parts(album: Album, chunks: list[list[int]], folder: Path | None, workers: int) -> Iterator[Arrays]:
    jobs = [(album, chunk, folder) for chunk in chunks]
    if workers == 1:
        yield from map(_shard, jobs)
        return
    pool = ProcessPoolExecutor(workers, get_context("spawn"))
    try:
        yield from pool.map(_shard, jobs)
    finally:
        pool.shutdown(cancel_futures=True)


def _shard(job: tuple[Album, list[int], Path | None]) -> Arrays:
    """One shard, from the folder or drawn."""
    album, seeds, folder = job
    if folder is None:
        return _draw(album, seeds)
    plan = {name: value for name, value in asdict(album).items() if name not in ("first", "people")}
    words = json.dumps([plan, seeds, FORMAT, _VERSION], sort_keys=True)
    path = folder / f"{hashlib.sha256(words.encode()).hexdigest()[:20]}.npz"
    if path.is_file():
        with np.load(io.BytesIO(read_bytes(path, _MAX_SHARD)), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    arrays = _draw(album, seeds)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(path, lambda file: np.savez(file, allow_pickle=False, **arrays))
    return arrays


def _draw(album: Album, seeds: list[int]) -> Arrays:
    persons, factors = [], []
    for seed in seeds:
        rng = np.random.default_rng((album.seed, seed))
        person = faces.person_of(seed, album.world)
        for _ in range(album.pictures):
            persons.append(person)
            factors.append(faces.sample_factors(rng, album.world, person))
    begun = time.process_time()
    batch = faces.render_batch(persons, factors, album.size, album.lod)
    numbers = {
        "pose": batch["pose_deg"],
        "expression": batch["expression"],
        "gaze": [f.gaze_deg for f in factors],
        "light": batch["light"],
        "age": [[f.age] for f in factors],
        "tone": [[p.tone_ita_deg] for p in persons],
        "sex": [[p.sex_axis] for p in persons],
        "shape": batch["shape"],
        "albedo": batch["albedo"],
        "points": batch["points5"].reshape(len(persons), 10),
    }
    out: Arrays = {"image": batch["image"], "person": batch["seed"].astype(np.int64)}
    out |= {name: np.asarray(value, np.float32) for name, value in numbers.items()}
    for name in CATEGORIES:
        out[name] = np.array([faces.CHOICES[name].index(getattr(f, name)) for f in factors], np.int64)
    if album.parsing:
        samples = (faces.render(p, f, album.size, album.lod) for p, f in zip(persons, factors, strict=True))
        out["parsing"] = np.stack([sample.parsing for sample in samples])
    out["seconds"] = np.array([time.process_time() - begun])
    return out


@lru_cache(maxsize=64)
def code_hash(*names: str) -> str:
    """20 hex over the sources of files and folders of the package, named from its root."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for name in sorted(names):
        place = root / name
        for path in sorted(place.glob("*.py")) if place.is_dir() else [place]:
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:20]

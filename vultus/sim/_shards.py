"""Pictures on disk: shards of uint8 pictures with their truth, made once for a content hash, whole or absent."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError, StoreError
from vultus.sim import _world
from vultus.sim._folder import make_once
from vultus.sim._world import World

__all__ = ["FORMAT", "build_shards", "read_shards"]

FORMAT = "vultus-sim-faces-2"  # raised when the same world would give other pictures
PEOPLE_PER_SHARD = 50


def build_shards(
    world: World,
    n_people: int,
    per_person: int,
    size: int,
    out: str | os.PathLike[str],
    *,
    split: str = "base",
    lod: int = 1,
    processes: int = 1,
) -> Path:
    """Render pictures of the first people of a split into a folder; done already, it is only found.

    The folder is `out/<hash of all arguments>`. It appears in one step when the last picture is done: a full disk or an
    interrupt leaves what was there before.

    Args:
        world: knobs; `duplicates`, `wrong` and `label_noise` act here.
        n_people: how many, from the first of the split on.
        per_person: pictures of each.
        size: side in pixels.
        out: folder, made when missing.
        split: a key of `SPLITS`.
        lod: level of detail.
        processes: how many render at once, each its own shards; the bytes are the same for any number.

    Returns:
        The folder: `shard-000.npz` and so on, and `index.json`.

    Raises:
        InputError: if there are not that many people, or a number is out of range.
        StoreError: if the disk is full or the folder may not be written.
    """
    seeds = _world.people(split)
    if not isinstance(processes, int) or not 1 <= processes <= 64:
        raise InputError(f"processes: expected 1 to 64, got {processes!r}")
    whole = isinstance(n_people, int) and isinstance(per_person, int)
    if not whole or not 1 <= n_people <= len(seeds) or per_person < 1:
        raise InputError(
            f"n_people, per_person: expected 1 to {len(seeds)} people of split {split!r} and at least 1 picture each, "
            f"got {n_people!r} and {per_person!r}"
        )
    plan = {
        "format": FORMAT,
        "world": asdict(world),
        "n_people": n_people,
        "per_person": per_person,
        "size": size,
        "split": split,
        "lod": lod,
    }
    key = hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()[:16]
    fill = partial(_fill, world=world, plan=plan, seeds=seeds[:n_people], processes=processes)
    return make_once(Path(out) / key, "index.json", "the shards", fill)


def read_shards(place: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """Everything in a folder of shards, as arrays over all pictures.

    The arrays of `faces.render_batch`, and
    label (N,) int64: whose picture it is said to be; duplicate_of (N,) int64: index of the picture it repeats, or -1.

    Raises:
        StoreError: if the folder holds no whole set of shards.
    """
    folder = Path(place)
    try:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        parts = []
        for name, count in index["shards"]:
            # opened here: NumPy leaves a file open that turns out to be none of its own
            with open(folder / name, "rb") as raw, np.load(raw, allow_pickle=False) as file:
                parts.append({key: file[key] for key in file.files})
            if len(parts[-1]["image"]) != count:
                raise StoreError(
                    f"{folder / name}: expected {count} pictures, got {len(parts[-1]['image'])}: build anew"
                )
        if not parts:
            raise StoreError(f"{folder / 'index.json'}: expected at least one shard, got none: build anew")
    except (OSError, EOFError, BadZipFile, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{folder}: expected a folder made by build_shards, got: {error}") from error
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _fill(folder: Path, world: World, plan: dict[str, Any], seeds: range, processes: int) -> None:
    """Write all shards, then the index."""
    jobs = []
    for number, first in enumerate(range(0, len(seeds), PEOPLE_PER_SHARD)):
        path = folder / f"shard-{number:03d}.npz"
        jobs.append((path, world, plan, seeds[first : first + PEOPLE_PER_SHARD], first * plan["per_person"]))
    if processes == 1 or len(jobs) == 1:
        counts = [_shard(*job) for job in jobs]
    else:
        # a forked copy of a process that has started threads may hang: start anew
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(processes, len(jobs)), mp_context=context) as pool:
            counts = list(pool.map(_shard, *zip(*jobs, strict=True)))
    shards = [(job[0].name, count) for job, count in zip(jobs, counts, strict=True)]
    text = json.dumps({**plan, "shards": shards}, indent=1)
    with open(folder / "index.json", "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _shard(path: Path, world: World, plan: dict[str, Any], seeds: range, start: int) -> int:
    """Render and write one shard; how many pictures it has."""
    arrays = _rendered(world, plan, seeds, start)
    _write(path, arrays)
    return len(arrays["image"])


def _write(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    with open(path, "wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
        file.flush()
        os.fsync(file.fileno())


def _rendered(world: World, plan: dict[str, Any], seeds: range, start: int) -> dict[str, NDArray[Any]]:
    """The pictures of some people; each has random numbers of its own, so shards do not depend on each other."""
    from vultus.sim import faces

    every = _world.people(plan["split"])
    persons, factors, labels, copies = [], [], [], []
    for seed in seeds:
        rng = np.random.default_rng((seed, 1))
        own = faces.person_of(seed, world)
        for k in range(plan["per_person"]):
            wrong = rng.random() < world.wrong
            stranger = faces.person_of(int(rng.choice(every)), world) if wrong else own
            draws = _world.sample_factors(rng, world, stranger)
            mislabel = rng.random() < world.label_noise
            persons.append(stranger)
            factors.append(draws)
            labels.append(int(rng.choice(every)) if mislabel else seed)
            copies.append(-1)
            if k and rng.random() < world.duplicates:
                source = len(persons) - 1 - int(rng.integers(1, k + 1))
                persons[-1], factors[-1], copies[-1] = persons[source], factors[source], start + source
    arrays = faces.render_batch(persons, factors, plan["size"], plan["lod"])
    return {**arrays, "label": np.array(labels, np.int64), "duplicate_of": np.array(copies, np.int64)}

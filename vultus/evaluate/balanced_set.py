"""The controllable, balanced evaluation set, written to a folder: by the simulator, or by a text-to-image model.

    OUT/about.json        what it is: name, tier, terms, seed, cells, checks
    OUT/people.jsonl      one line per person: words, pictures with seeds, everything that was thrown away and why
    OUT/images/00000_A_female_young_frontal.png ...

A person's pictures are written before the line that names them. A run that was interrupted goes on after the last whole
line and ends with the same bytes.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from vultus import catalogue
from vultus.errors import InputError, StoreError
from vultus.evaluate.simulated_model import Flaws, SimBackend, Truth, Words
from vultus.io import images
from vultus.io.datasets.controlface import MANIFEST, file_name
from vultus.io.files import write_bytes
from vultus.sim import faces
from vultus.types import Basis

__all__ = ["Made", "build", "simulated"]

PEOPLE, PICTURES = "people.jsonl", "images"


@dataclass(frozen=True, slots=True)
class Made:
    """What was built.

    Attributes:
        folder: where.
        people: in all.
        pictures: in all.
        cells: how many cells, each of `people / cells` people.
        chi2: of the counts in the cells, after the checks; 0 is even.
        rejected: reason -> pictures that were thrown away.
        resumed: people who were there before.
    """

    folder: Path
    people: int
    pictures: int
    cells: int
    chi2: float
    rejected: Mapping[str, int]
    resumed: int


def simulated(
    *,
    size: int = 128,
    lod: int = 1,
    flaws: Flaws | None = None,
    population_shift: float = 0.6,
    slots: Mapping[str, list[str] | None] | None = None,
    limits: Mapping[str, float] | None = None,
    poses: Mapping[str, tuple[str, float]] | None = None,
) -> Any:
    """`Sig` over the face simulator, with checks that know the truth.

    Args:
        size: side of the pictures in pixels.
        lod: level of detail.
        flaws: how the simulated model disobeys.
        population_shift: how much groups differ in head shape.
        slots: groups, genders, ages and poses that are wanted; what is left out means all.
        limits: `unique_below`, `same_above`, `yaw_within_deg` of the checks.
        poses: value -> (words, yaw in degrees) in the place of the vocabulary's.

    Returns:
        A `vultus.generate.synthesize.sig.Sig`.

    Raises:
        UnknownMethod: if a wanted value does not exist; the message names near ones.
    """
    sig = import_module(catalogue.row("sig").module)
    groups = {name: f"population-{name}" for name in "ABCD"}
    words = sig.Vocabulary.read(group=groups, **({"pose": dict(poses)} if poses else {}))
    called = [str(faces.person_of(seed).name).split() for seed in faces.people("fairness")[:300]]
    first, last = (tuple(dict.fromkeys(part)) for part in zip(*called, strict=True))
    builder = sig.PromptBuilder(words, sig.Names({("*", ""): first}, {"*": last}), **dict(slots or {}))
    told = {slot: getattr(words, slot) for slot in sig.SLOTS}
    yaw = {pose: degrees for pose, (_, degrees) in words.pose.items()}
    backend = SimBackend(Words(told), yaw, size=size, lod=lod, flaws=flaws, population_shift=population_shift)
    truth = Truth(backend)
    checks = sig.Checks(truth, truth, truth, truth, truth, **{"same_above": 0.9, **(limits or {})})
    return catalogue.load("sig", backend=backend, builder=builder, checks=checks)


def build(
    out: str | os.PathLike[str], pipeline: Any, per_cell: int, *, basis: Basis, seed: int = 0, name: str = "controlface"
) -> Iterator[Made]:
    """Write a set, person by person; go on where an earlier call stopped.

    Args:
        out: folder; made when it is missing.
        pipeline: a `Sig`, strict.
        per_cell: people in each cell.
        basis: covers `generate`.
        seed: of the set.
        name: of the set.

    Yields:
        After each person, what is there so far; the last one is the whole.

    Raises:
        Refused: if the basis does not cover it.
        InputError: if the pipeline is not strict, the folder holds another set, or a place cannot be filled.
        StoreError: if it cannot be written.
    """
    if not pipeline.strict:
        raise InputError("pipeline: expected a strict one, because a set with empty places is not balanced")
    folder = Path(out)
    about = _about(pipeline, per_cell, seed, name)
    slots = pipeline.run(per_cell, basis=basis, seed=seed, done=())  # refuses before anything is written
    try:
        (folder / PICTURES).mkdir(parents=True, exist_ok=True)
        rows = _earlier(folder, about, pipeline)
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written: {error.strerror}") from error
    write_bytes(folder / MANIFEST, json.dumps(about, indent=1).encode() + b"\n")
    if rows:
        done = [(tuple(row["cell"]), row["number"], np.array(row["vector"], np.float32)) for row in rows]
        slots = pipeline.run(per_cell, basis=basis, seed=seed, done=done)
    counts, rejected = (
        Counter(tuple(r["cell"]) for r in rows),
        Counter(x["reason"] for r in rows for x in r["rejected"]),
    )
    poses, before = len(pipeline.builder.poses), len(rows)

    def state(people: int) -> Made:
        mean = people / len(pipeline.builder.cells)
        chi2 = sum((counts[cell] - mean) ** 2 for cell in pipeline.builder.cells) / max(mean, 1e-12)
        return Made(folder, people, people * poses, len(pipeline.builder.cells), chi2, dict(rejected), before)

    def write() -> Iterator[Made]:
        yield state(before)
        for at, slot in enumerate(slots, before):
            line = json.dumps(_row(folder, at, slot), separators=(",", ":")).encode()
            _append(folder / PEOPLE, line + b"\n")
            counts[slot.cell] += 1
            rejected.update(r.reason for r in slot.rejected)
            yield state(at + 1)

    return write()


def _row(folder: Path, at: int, slot: Any) -> dict[str, Any]:
    """Write the pictures of a person; the line that names them."""
    files = {}
    group, gender, age = slot.cell
    for pose, made in slot.pictures.items():
        file = file_name(f"{at:05d}", group, gender, age, pose)
        images.write(folder / PICTURES / file, made.images[0], made.provenance)
        files[pose] = {"file": file, "seed": made.provenance.seed, "provenance": made.provenance.id}
    return {
        "id": f"{at:05d}",
        "cell": list(slot.cell),
        "number": slot.number,
        "persona": asdict(slot.persona),
        "pictures": files,
        "vector": [] if slot.vector is None else [float(np.float32(x)) for x in slot.vector],
        "rejected": [asdict(r) for r in slot.rejected],
    }


def _append(path: Path, line: bytes) -> None:
    """Add a line; half a one, as a full disk leaves it, is cut off by the next run."""
    try:
        with open(path, "ab") as lines:
            lines.write(line)
            lines.flush()
            os.fsync(lines.fileno())
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}: run again to go on") from error


def _about(pipeline: Any, per_cell: int, seed: int, name: str) -> dict[str, Any]:
    backend, checks, builder = pipeline.backend, pipeline.checks, pipeline.builder
    about: dict[str, Any] = {
        "name": name,
        "tier": "sim" if backend.method.startswith("sim.") else "real",
        "license": backend.license,
        "method": f"sig over {backend.method}",
        "weights": backend.weights,
        "seed": seed,
        "per_cell": per_cell,
        "cells": [list(cell) for cell in builder.cells],
        "poses": list(builder.poses),
        "size": getattr(backend, "size", None),
        "retries": pipeline.retries,
        "checks": None,
    }
    if checks is not None:
        limits = {key: getattr(checks, key) for key in ("unique_below", "same_above", "yaw_within_deg")}
        about["checks"] = {"space": checks.embedder.space, **limits}
    return about


def _earlier(folder: Path, about: dict[str, Any], pipeline: Any) -> list[dict[str, Any]]:
    """Lines of an earlier run of the same set; half a line at the end is cut off."""
    manifest, lines = folder / MANIFEST, folder / PEOPLE
    if not manifest.is_file():
        if lines.exists() or any((folder / PICTURES).iterdir()):
            raise InputError(
                f"{folder}: expected an empty folder or a set begun earlier, got other files; name another"
            )
        return []
    try:
        there = json.loads(manifest.read_text("utf-8"))
        data = lines.read_bytes() if lines.is_file() else b""
        whole = data[: data.rfind(b"\n") + 1]
        rows = [json.loads(line) for line in whole.splitlines()]
    except (ValueError, RecursionError) as error:
        raise InputError(f"{folder}: expected a set that vultus made, got something else ({error})") from error
    if not isinstance(there, dict) or type(there.get("per_cell")) is not int:
        raise InputError(f"{manifest}: expected what a set says about itself, got something else; name another folder")
    differs = sorted(key for key in about if there.get(key) != about[key] and key != "per_cell")
    if differs or there["per_cell"] > about["per_cell"]:
        what = ", ".join(differs) or "per_cell"
        raise InputError(f"{folder}: holds a set made with another {what}; name another folder, or ask for the same")
    for at, row in enumerate(rows):
        if not _sound(row, at, pipeline):
            raise InputError(f"{lines}, line {at + 1}: expected person {at:05d} as vultus wrote it, got something else")
    if len(whole) < len(data):
        with open(lines, "r+b") as file:
            file.truncate(len(whole))
    return rows


def _sound(row: Any, at: int, pipeline: Any) -> bool:
    """Whether a line is that of the person of this place, as far as it is used again."""
    cells, checks = pipeline.builder.cells, pipeline.checks
    try:
        place = tuple(row["cell"]), row["number"]
        vector = np.array(row["vector"], np.float32)
        told = all(isinstance(x["reason"], str) for x in row["rejected"])
    except (TypeError, KeyError, ValueError):
        return False
    wanted = (checks.embedder.dim,) if checks is not None else (0,)
    good = row["id"] == f"{at:05d}" and place == (cells[at % len(cells)], at // len(cells))
    return told and good and vector.shape == wanted and bool(np.isfinite(vector).all())

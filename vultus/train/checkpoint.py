"""Checkpoints: all that a run needs to go on as if it had never stopped, as tensors and JSON.

    checkpoint/00000012/state.json            step, settings, evaluations; size and sha256 of the other files
                        run.safetensors       weights, their means, optimizer, log; alike on all ranks
                        rank0.safetensors     class centers of a rank with their momentum, random states, hooks

A folder gets its name when everything is in it and on the disk; the last two are kept. Ranks share a file system.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vultus.errors import InputError, StoreError, VultusError
from vultus.io.files import read_bytes, write_atomic, write_bytes
from vultus.io.tensors import pieces, unpack
from vultus.train._ranks import told
from vultus.train.optimizers import known, remembered
from vultus.train.random_states import random_states, restore
from vultus.train.run import Rows, Run

__all__ = ["found", "load", "save", "write_tensors"]

_FORMAT = 1
_KEPT = 2
_LIMIT = 1 << 42  # bytes of a file; what a file may hold is limited by the trainable, whose tensors must fit
_FREE = ("device", "log_every", "eval_every", "save_every")  # settings that may differ: they do not change the weights


def save(run: Run) -> None:
    """Write the checkpoint of a run's step, with all ranks.

    Raises:
        StoreError: full disk or a folder that cannot be written, on every rank; earlier checkpoints stay.
    """
    if run.out is None:
        return
    home = run.out / "checkpoint"
    draft, final = home / f".{run.step:08d}.part", home / f"{run.step:08d}"
    device = torch.device(run.settings.device)
    first = run.ranks.rank == 0
    files: dict[str, Any] = {}
    try:
        _together(run, device, lambda: _folder(draft) if first else None)
        _together(run, device, lambda: files.update(_written(run, draft, device)))
        _together(run, device, lambda: _finished(run, draft, final, files) if first else None)
    except BaseException:
        if first:
            shutil.rmtree(draft, ignore_errors=True)
        raise


def load(run: Run) -> None:
    """Bring a run to the state of its newest good checkpoint; one without any stays at its start.

    Raises:
        InputError: the checkpoint is of other settings or another network; the first difference is named.
        StoreError: there are checkpoints, and all are damaged.
    """
    if run.out is None:
        return
    about, folder = found(run.out)
    if folder is None:
        return
    _compared(f"{folder}: settings", _settings(run), {name: about.get(name) for name in _settings(run)})
    state = _tensors(folder / "run.safetensors")
    shapes = {name: list(value.shape) for name, value in run.trainable.state().items()}
    weights = _part(state, "weights/")
    _compared(f"{folder}: network", shapes, {name: list(value.shape) for name, value in weights.items()})
    remembered(run.optimizer, _part(state, "optimizer/"))
    run.trainable.load(weights)
    if run.averages is not None:
        run.averages.load(_part(state, "averages/"))
    run.precision.load(_part(state, "precision/"))
    run.step, run.evals = int(about["step"]), list(about["evals"])
    run.rows = Rows({name: value.numpy() for name, value in _part(state, "rows/").items()})
    shards = getattr(run.trainable, "load_shards", None)
    if shards is not None:
        shards(_part(_tensors(folder / f"rank{rank}.safetensors"), "shard/") for rank in range(int(about["ranks"])))
    mine = folder / f"rank{run.ranks.rank}.safetensors"
    if mine.exists():  # with more ranks than before, the others start from the seed
        own = _tensors(mine)
        restore(_part(own, "random/"), torch.device(run.settings.device))
        for name, hook in _hooks(run).items():
            hook.load(_part(own, name))


def found(out: Path) -> tuple[dict[str, Any], Path | None]:
    """The newest checkpoint of a run that is whole, and what it says of itself; empty and None where there is none.

    Raises:
        StoreError: there are some, and all are damaged.
    """
    steps = sorted(_steps(out / "checkpoint"), reverse=True)
    faults: list[str] = []
    for step in steps:
        folder = out / "checkpoint" / f"{step:08d}"
        try:
            about = _checked(folder)
        except VultusError as error:
            faults.append(str(error))
            continue
        if faults:
            warnings.warn(f"a checkpoint is passed over: {faults[-1]}; going on from step {step}", stacklevel=2)
        return about, folder
    if faults:
        raise StoreError(f"{out}: expected a whole checkpoint, all are damaged: {faults[0]}")
    return {}, None


def write_tensors(path: Path, tensors: Mapping[str, Tensor], words: Mapping[str, str]) -> dict[str, Any]:
    """A safetensors file, complete or not there; its size and sha256.

    Raises:
        StoreError: full disk, or a folder that cannot be written.
    """
    arrays = {name: _array(value) for name, value in tensors.items()}
    digest, size = hashlib.sha256(), 0

    def fill(file: Any) -> None:
        nonlocal size
        for piece in pieces(arrays, words):
            digest.update(piece)
            size += file.write(piece)

    write_atomic(path, fill)
    return {"bytes": size, "sha256": digest.hexdigest()}


def _together(run: Run, device: torch.device, part: Callable[[], None]) -> None:
    """One part of the work on all ranks; where one fails, all do."""
    error: Exception | None = None
    try:
        part()
    except (VultusError, OSError) as caught:
        error = caught
    bad = [rank for rank, (one,) in enumerate(told((int(error is not None),), run.ranks, device)) if one]
    if isinstance(error, OSError):
        raise StoreError(f"{run.out}: no checkpoint could be written: {error.strerror}: check the disk") from error
    if error is not None:
        raise error
    if bad:
        raise StoreError(f"{run.out}: rank {bad[0]} could not write its part of the checkpoint, see its message")


def _folder(draft: Path) -> None:
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)


def _written(run: Run, draft: Path, device: torch.device) -> dict[str, Any]:
    """The files of this rank, with their sizes and sha256."""
    own = f"rank{run.ranks.rank}.safetensors"
    found = {own: write_tensors(draft / own, _own(run, device), {})}
    if run.ranks.rank == 0:
        found["run.safetensors"] = write_tensors(draft / "run.safetensors", _shared(run), {})
    return found


def _finished(run: Run, draft: Path, final: Path, files: dict[str, Any]) -> None:
    """Say what is in the folder, give it its name, on the disk too, and let go of the oldest."""
    for rank in range(1, run.ranks.size):
        files[f"rank{rank}.safetensors"] = _digest(draft / f"rank{rank}.safetensors")
    about = {"format": _FORMAT, "step": run.step, "ranks": run.ranks.size, **_settings(run), "files": files}
    write_bytes(draft / "state.json", json.dumps({**about, "evals": run.evals}, indent=1).encode())
    if final.exists():  # damaged, else the run would have gone on from it
        shutil.rmtree(final)
    os.replace(draft, final)
    place = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(place)
    finally:
        os.close(place)
    for old in sorted(_steps(final.parent))[:-_KEPT]:
        shutil.rmtree(final.parent / f"{old:08d}", ignore_errors=True)


def _shared(run: Run) -> dict[str, Tensor]:
    rows = {name: torch.from_numpy(column) for name, column in run.rows.columns().items()}
    averages = {} if run.averages is None else run.averages.tensors
    parts = {
        "weights/": run.trainable.state(),
        "averages/": averages,
        "optimizer/": known(run.optimizer),
        "precision/": run.precision.state(),
        "rows/": rows,
    }
    return {prefix + name: value for prefix, part in parts.items() for name, value in part.items()}


def _own(run: Run, device: torch.device) -> dict[str, Tensor]:
    parts = {"random/": random_states(device)}
    if hasattr(run.trainable, "shard"):
        parts["shard/"] = run.trainable.shard()
    parts |= {name: hook.state() for name, hook in _hooks(run).items()}
    return {prefix + name: value for prefix, part in parts.items() for name, value in part.items()}


def _digest(path: Path) -> dict[str, Any]:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return {"bytes": path.stat().st_size, "sha256": digest.hexdigest()}


def _checked(folder: Path) -> dict[str, Any]:
    """What a checkpoint says of itself, after its files were read once."""
    path = folder / "state.json"
    try:
        about = json.loads(read_bytes(path, 1 << 30))
        if about["format"] != _FORMAT:
            raise StoreError(f"{path}: expected format {_FORMAT}, got {about['format']}: it is of another version")
        for name, wanted in about["files"].items():
            if Path(name).name != name or _digest(folder / name) != wanted:
                raise StoreError(f"{folder / name}: its size or sha256 is not the one in state.json: it is damaged")
    except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
        raise StoreError(f"{path}: expected the state of a run, could not read it or its files: {error}") from error
    return dict(about)


def _steps(home: Path) -> list[int]:
    return [int(one.name) for one in home.glob("*") if re.fullmatch("[0-9]{8,}", one.name)]


def _tensors(path: Path) -> dict[str, Tensor]:
    arrays, _ = unpack(read_bytes(path, _LIMIT))
    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}


def _array(value: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = value.detach().cpu().numpy()
    return array


def _part(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _hooks(run: Run) -> dict[str, Any]:
    """Hooks that have a state, by the prefix of their tensors."""
    found = [hook for hook in run.hooks if hasattr(hook, "state")]
    return {f"hook {number} {type(hook).__name__}/": hook for number, hook in enumerate(found)}


def _settings(run: Run) -> dict[str, Any]:
    """What must be the same for a run to go on."""
    about = run.trainable.about() if hasattr(run.trainable, "about") else {}
    kept = {name: value for name, value in asdict(run.settings).items() if name not in _FREE}
    hooks = {"with a state": [name.rstrip("/") for name in _hooks(run)]}
    words: dict[str, Any] = json.loads(json.dumps({"settings": kept, "about": about, "hooks": hooks}))
    return words


def _compared(what: str, now: Any, then: Any) -> None:
    """Refuse the first difference of two trees of names and values."""
    if isinstance(now, dict) and isinstance(then, dict):
        for name in [*now, *(one for one in then if one not in now)]:
            _compared(f"{what}, {name}", now.get(name, "none"), then.get(name, "none"))
    elif now != then:
        raise InputError(f"{what}: expected {now}, the checkpoint has {then}: go on with that, or in a new folder")

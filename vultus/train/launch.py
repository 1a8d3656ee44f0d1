"""A whole training run from a recipe's name to a folder: what `vultus train`, torchrun and Ray start.

    job = Job("arcface", data="sim", out=Path("runs/first"))
    done = train(job)
    done.results["sim_fr"]["eer"]

Under torchrun (RANK, WORLD_SIZE and MASTER_ADDR in the environment) every process calls `train` with the same job; the
first one writes, measures and answers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed as dist

from vultus import __version__
from vultus.errors import InputError, StoreError
from vultus.io.files import read_bytes, write_bytes
from vultus.io.tensors import unpack
from vultus.train import config
from vultus.train._ranks import Ranks, ranks_of
from vultus.train.export import Exported, card_of, export, template_of
from vultus.train.journal import LOG, SUMMARY
from vultus.train.loops.supervised import fit
from vultus.train.precision import device_of
from vultus.train.run import History
from vultus.train.settings import Settings
from vultus.train.sources import TrainingSet, doubt, training_set, verification_set
from vultus.train.verification import PairSet, Verification, compare, measured
from vultus.types import Metric

__all__ = [
    "RUN",
    "Done",
    "Job",
    "Plan",
    "export_run",
    "from_environment",
    "refuse_taken",
    "resumed",
    "train",
    "use_threads",
]

RUN, RESULTS, WEIGHTS = "run.json", "verification.json", "model.safetensors"
_FORMAT = "vultus-run-1"
_SAVE = 50  # steps between checkpoints, at least, where the recipe names none
_MAX_RUN, _MAX_WEIGHTS = 1 << 20, 1 << 34


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be trained.

    Attributes:
        recipe: name of a recipe, or its path.
        data: see `vultus.train.sources`.
        out: folder of the run; a new one, or with `resume` that of a run which stopped.
        scale: tiny, nano, mini or paper, as the recipe knows them.
        set: settings that replace those of the recipe, such as {"optimizer.lr": ".1"}.
        verify: sets to measure on besides what comes with the data: .bin files and folders.
        resume: go on with the run in `out`.
        device: "cpu", "cuda"; under torchrun "cuda" means the process's own.
    """

    recipe: str
    data: str
    out: Path
    scale: str = "nano"
    set: Mapping[str, str] = field(default_factory=dict)
    verify: tuple[str, ...] = ()
    resume: bool = False
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a job comes to, once recipe and data are open; told to `begin` before the first step.

    Attributes:
        job: as given.
        recipe, scale: as read.
        settings: of the loop.
        data: what is trained on.
        sets: what is measured on.
        pictures: of one step, of all processes.
        parameters: of the backbone.
        doubts: why figures of `verify` may not be of people that are not trained on, a sentence per set in question.
    """

    job: Job
    recipe: str
    scale: str
    settings: Settings
    data: TrainingSet
    sets: tuple[PairSet, ...]
    pictures: int
    parameters: int
    doubts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a job.

    Attributes:
        plan: what was trained on what.
        history: of the run.
        results: name of a set -> figure -> value with interval; empty in all processes but the first.
    """

    plan: Plan
    history: History
    results: Mapping[str, Mapping[str, Metric]]


def train(
    job: Job,
    *,
    begin: Callable[[Plan], Sequence[Any]] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Done:
    """Train, keep the run in its folder and measure it.

    Args:
        job: what.
        begin: told the plan before the first step; gives further hooks.
        progress: told (steps done, steps, the loss in words).

    Raises:
        InputError, UnknownMethod: no such recipe, setting or data; the folder is taken, or holds no run to go on with.
        WeightsError: loss or gradient is not finite.
        StoreError: full disk, read-only folder.
        KeyboardInterrupt: interrupted; the step was finished and saved.
    """
    recipe = config.read(job.recipe, job.scale, job.set)
    if job.resume:
        _as_begun(job, recipe)
    elif not ranks_of(None).rank:  # before the others are met: the first makes the folder afterwards
        refuse_taken(job.out)
    with from_environment(job.device) as (ranks, device):
        device_of(device)  # what cannot end well is said before anything is read
        template_of(recipe.size_hw)
        with _one_first(ranks):
            data = training_set(job.data, recipe.size_hw)
        if job.resume:
            _as_noted(job.out, "data", _noted(job.out)["data"], data.words)
        others = tuple(verification_set(name, recipe.size_hw) for name in job.verify)
        sets = (*data.pairs, *others)
        verification = Verification(sets)
        hooks = [*config.hooks(recipe), verification]
        feed = config.feed(recipe, data.source, ranks=(ranks.rank, ranks.size))
        settings = config.settings(recipe, len(feed), device=device)
        if not settings.save_every:  # what was killed loses a tenth at most
            settings = replace(settings, save_every=max(_SAVE, settings.steps // 10))
        recognizer = config.build_trainable(recipe, data.classes)
        parameters = sum(one.numel() for one in recognizer.backbone.parameters())
        plan = Plan(
            job,
            recipe.name,
            recipe.scale,
            settings,
            data,
            sets,
            feed.batch * settings.accumulate * ranks.size,
            parameters,
            tuple(filter(None, (doubt(data, pairs) for pairs in others))),
        )
        if ranks.rank == 0 and not job.resume:
            _note(job, recipe, data)
        hooks += begin(plan) if begin is not None else ()
        stepped = _Stepped()
        hooks.append(stepped)
        try:
            history = fit(recognizer, feed, settings, out=job.out, hooks=hooks, progress=progress, resume=job.resume)
        except Exception:
            if ranks.rank == 0 and not job.resume and not stepped.once:
                _forget(job.out)  # what refused its first batch is no run: the folder is free again
            raise
        results: dict[str, Mapping[str, Metric]] = {}
        if ranks.rank == 0:
            rng = np.random.default_rng(settings.seed)
            fresh = verification.step == settings.steps  # it is not when a finished run is resumed
            last = verification.scores if fresh else [compare(recognizer, pairs) for pairs in sets]
            results = {scores.of.name: measured(scores, rng=rng) for scores in last}
            told = {name: {key: m.to_dict() for key, m in one.items()} for name, one in results.items()}
            _keep(job.out / RESULTS, told)
        return Done(plan, history, results)


def resumed(out: str | os.PathLike[str]) -> Job:
    """The job of a run that stopped, as its folder has it, to go on.

    Raises:
        InputError: if it is no run.
        StoreError: if it cannot be read.
    """
    place = Path(out)
    about = _noted(place)
    return Job(str(place / config.FILE), about["source"], place, verify=tuple(about["verify"]), resume=True)


def refuse_taken(out: Path) -> None:
    """Refuse to train into a folder that holds something, but for the recipe of a run that was killed before it began.

    Raises:
        InputError: it is a file, or a folder that is not empty.
        StoreError: it cannot be read.
    """
    try:
        if not out.exists():
            return
        inside = sorted(path.name for path in out.iterdir())
    except NotADirectoryError as error:
        raise InputError(f"{out}: expected a new folder for the run, got a file: choose another name") from error
    except OSError as error:
        raise StoreError(f"{out}: cannot be read: {error.strerror}: choose another folder") from error
    if inside and inside != [config.FILE]:  # `_note` writes that first
        what = "a run" if {RUN, "checkpoint", config.FILE} & set(inside) else f"a folder with {inside[0]}"
        raise InputError(
            f"{out}: expected a new folder for the run, got {what}: go on with --resume, or choose another"
        )


def use_threads(number: int) -> None:
    """Let PyTorch use that many cores.

    Raises:
        InputError: if it is below 1.
    """
    if number < 1:
        raise InputError(f"threads: expected a whole number from 1, got {number}")
    torch.set_num_threads(number)


@contextmanager
def from_environment(device: str) -> Iterator[tuple[Ranks, str]]:
    """The process group that torchrun's environment describes, and this process's device; alone where there is none.

    A group that was started already is used and left.

    Raises:
        InputError: if the variables are incomplete, or the others do not come.
    """
    size = os.environ.get("WORLD_SIZE", "1")
    if (dist.is_available() and dist.is_initialized()) or size == "1":
        yield ranks_of(None), device
        return
    local = os.environ.get("LOCAL_RANK", "0")
    mine = f"cuda:{local}" if device == "cuda" else device
    if mine.startswith("cuda") and torch.cuda.is_available():
        torch.cuda.set_device(mine)
    try:
        dist.init_process_group("nccl" if mine.startswith("cuda") else "gloo")
    except (ValueError, RuntimeError, TimeoutError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"WORLD_SIZE={size}: expected the environment of torchrun (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT), "
            f"could not meet the others: {first}"
        ) from error
    try:
        yield ranks_of(None), mine
    finally:
        dist.destroy_process_group()


def export_run(folder: str | os.PathLike[str], *, name: str = "") -> Exported:
    """Make a finished run an embedder: backbone.safetensors, model.onnx and card.toml in its folder.

    Args:
        folder: of the run.
        name: the first half of the space; "" takes the folder's name.

    Raises:
        InputError: if it is no run, or one that is not finished.
        WeightsError: if ONNX Runtime gives other vectors than torch.
        StoreError: if it cannot be read or written.
    """
    place = Path(folder)
    if not (place / config.FILE).is_file():
        raise InputError(f"{place}: expected the folder of a run, which holds {config.FILE}; `vultus train` makes one")
    weights = place / WEIGHTS
    if not weights.is_file():
        raise InputError(f"{place}: expected a finished run with {WEIGHTS}: go on with `vultus train ... --resume`")
    recipe, about = config.read(place / config.FILE), _noted(place)
    backbone = config.backbone(recipe)
    arrays, words = unpack(read_bytes(weights, _MAX_WEIGHTS))
    mine = {key.removeprefix("backbone."): value for key, value in arrays.items() if key.startswith("backbone.")}
    own = backbone.state_dict()
    wrong = sorted(
        key for key in {*mine, *own} if key not in mine or key not in own or mine[key].shape != tuple(own[key].shape)
    )
    if wrong:
        raise InputError(
            f"{weights}: expected the weights of {recipe.method}'s backbone, got others: {wrong[0]} differs"
        )
    backbone.load_state_dict({key: torch.from_numpy(value.copy()) for key, value in mine.items()})
    card = card_of(
        backbone,
        name or place.resolve().name,
        method=f"{recipe.backbone_name} trained by the recipe {recipe.name}",
        training_data=about["data"],
        license=about["license"],
        commercial="yes" if about["tier"] == "sim" else "unclear",
    )
    return export(backbone, place, card, about={"recipe": recipe.name, "steps": words.get("step", "")})


@contextmanager
def _one_first(ranks: Ranks) -> Iterator[None]:
    """The first process goes ahead, so that what it makes on the disk is made once."""
    if ranks.rank > 0:
        dist.barrier()
    yield
    if ranks.rank == 0 and ranks.size > 1:
        dist.barrier()


def _note(job: Job, recipe: Any, data: TrainingSet) -> None:
    """What the card will say of the data, and the recipe as it was resolved."""
    try:
        job.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{job.out}: the folder cannot be made: {error.strerror}: choose another one") from error
    config.write(recipe, job.out / config.FILE)
    facts = {"format": _FORMAT, "source": _absolute(job.data), "verify": [_absolute(name) for name in job.verify]}
    facts |= {"data": data.words, "license": data.license, "tier": data.tier, "vultus": __version__}
    _keep(job.out / RUN, facts)


class _Stepped:
    """A hook that knows whether a step was taken."""

    once = False

    def on_step(self, step: int, run: Any) -> None:
        self.once = True


def _forget(out: Path) -> None:
    """Take away what a run leaves before its first step, and the folder if nothing else is in it."""
    with suppress(OSError):  # what ended the run is told, and not that
        for name in (LOG, SUMMARY, RUN, config.FILE):
            (out / name).unlink(missing_ok=True)
        if not any(out.iterdir()):
            out.rmdir()


def _as_begun(job: Job, recipe: config.Recipe) -> None:
    """Refuse to go on with another recipe; the checkpoint compares the numbers of the loop itself."""
    _noted(job.out)
    before = config.read(job.out / config.FILE)
    for name in ("backbone", "loss", "pair", "centers", "data", "hooks"):
        then, now = getattr(before, name), getattr(recipe, name)
        if name == "data":
            then = replace(then, workers=now.workers)  # threads change nothing
        _as_noted(job.out, name, then, now)


def _as_noted(out: Path, what: str, then: Any, now: Any) -> None:
    if then != now:
        raise InputError(
            f"{out}: {what}: expected {then}, as the run began, got {now}: go on with that, or name a new folder"
        )


def _absolute(name: str) -> str:
    """A path that holds from elsewhere too."""
    return name if name.startswith("sim") and not os.path.exists(name) else os.path.abspath(name)


def _keep(path: Path, document: Any) -> None:
    write_bytes(path, (json.dumps(document, indent=1) + "\n").encode())


def _noted(folder: Path) -> dict[str, Any]:
    """What stands in run.json."""
    path = folder / RUN
    if not path.is_file():
        raise InputError(f"{folder}: expected the folder of a run, which holds {RUN}; `vultus train` makes one")
    try:
        found = json.loads(read_bytes(path, _MAX_RUN))
        words = [*(found[key] for key in ("source", "data", "license", "tier")), *found["verify"]]
        if found["format"] != _FORMAT or not all(isinstance(word, str) for word in words):
            raise ValueError("another format")
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: expected what `vultus train` wrote, could not read it: {error}") from error
    return dict(found)

"""Recipes: TOML files that say how a method is trained, read into frozen records and built by catalogue names.

    recipe = config.read("arcface", scale="nano", set={"optimizer.lr": "0.05"})
    feed = config.feed(recipe, pictures)
    trainable = config.build_trainable(recipe, pictures.classes)
    fit(trainable, feed, config.settings(recipe, len(feed)), hooks=config.hooks(recipe))

A recipe is that of the paper; its tables [scale.tiny], [scale.nano] and [scale.mini] replace what differs at a smaller
scale, key by key, but `args` as a whole. A value with a `name` inside `args` is built first: a backbone in a backbone.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import vultus
from vultus import catalogue
from vultus.contracts import ClassLoss
from vultus.errors import InputError, UnknownMethod, VultusError
from vultus.io.files import write_bytes
from vultus.train._tables import built, merge, table_of, value_of, words_of
from vultus.train.augment import augmentation
from vultus.train.data import Feed, Source
from vultus.train.samplers import PK
from vultus.train.settings import Settings
from vultus.train.trainable import Recognizer

__all__ = [
    "FILE",
    "SCALES",
    "Batching",
    "Centers",
    "Optimizer",
    "Pair",
    "Part",
    "Recipe",
    "Schedule",
    "backbone",
    "build_trainable",
    "feed",
    "hooks",
    "names",
    "read",
    "seeded",
    "settings",
    "text",
    "write",
]

FILE = "recipe.toml"  # in the folder of a run
SCALES = ("tiny", "nano", "mini", "paper")
_LEAST = 8  # pixels of a side of a crop
_BACKBONES, _LOSSES, _HOOKS = "recognize.backbones", "recognize.losses", "train"  # rooms of the catalogue


@dataclass(frozen=True)
class Part:
    """Something of the catalogue: its name and its arguments."""

    name: str
    args: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Pair(Part):
    """A loss over pairs: `weight` in the total; `miner` in place of its own."""

    weight: float = 1.0
    miner: str = ""


@dataclass(frozen=True)
class Centers:
    """See `ClassCenters`."""

    sample_rate: float = 1.0
    filter_threshold: float = 0.0


@dataclass(frozen=True)
class Batching:
    """What a batch of a rank is: `batch` pictures, or `pictures` of each of `persons` who have at least `least`.

    Crops are of `size_hw`; `augment` is as of `vultus.train.augment`; `workers` threads make batches ahead.
    """

    size_hw: tuple[int, int] = (112, 112)
    batch: int = 0
    persons: int = 0
    pictures: int = 4
    least: int = 2
    augment: tuple[str, ...] = ()
    workers: int = 0


@dataclass(frozen=True)
class Optimizer:
    """See `Settings`; `name` is its `optimizer`."""

    name: str = "sgd"
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    clip: float = 5.0
    ema: float = 0.0
    ema_power: float = 0.0
    precision: str = "fp32"
    accumulate: int = 1


@dataclass(frozen=True)
class Schedule:
    """See `Settings`; `name` is its `schedule`. Either `steps` or `epochs`, passes over the pictures."""

    name: str = "cosine"
    steps: int = 0
    epochs: float = 0.0
    warmup: float = 0.0
    milestones: tuple[float, ...] = ()
    log_every: int = 10
    eval_every: int = 0
    save_every: int = 0


@dataclass(frozen=True)
class Recipe:
    """How a method is trained, at one scale.

    Attributes:
        name: of the file.
        scale: tiny, nano, mini or paper.
        method: catalogue name of what it trains.
        purpose: a sentence.
        backbone, loss, pair: of the catalogue; a loss over centers, one over pairs, or both.
        centers, data, optimizer, schedule: see there.
        hooks: of the catalogue, in order.
        seed: of all that draws.
        expected: scale -> what should come out, and where that stands.
    """

    name: str
    scale: str
    method: str
    purpose: str
    backbone: Part
    loss: Part | None = None
    pair: Pair | None = None
    centers: Centers = field(default_factory=Centers)
    data: Batching = field(default_factory=Batching)
    optimizer: Optimizer = field(default_factory=Optimizer)
    schedule: Schedule = field(default_factory=Schedule)
    hooks: tuple[Part, ...] = ()
    seed: int = 0
    expected: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the crops."""
        return self.data.size_hw

    @property
    def backbone_name(self) -> str:
        """Catalogue name of the network."""
        return self.backbone.name

    def __post_init__(self) -> None:
        where = f"recipe {self.name!r} at scale {self.scale}"
        if self.loss is None and self.pair is None:
            raise InputError(f"{where}: expected [loss], [pair] or both, got neither")
        if bool(self.data.batch) == bool(self.data.persons):
            raise InputError(
                f"{where}: data: expected batch or persons, got {'both' if self.data.batch else 'neither'}"
            )
        if min(self.data.size_hw) < _LEAST:
            raise InputError(
                f"{where}: data: size_hw: expected at least {_LEAST} x {_LEAST} pixels, got {self.data.size_hw}"
            )
        if (self.schedule.steps > 0) == (self.schedule.epochs > 0):
            raise InputError(f"{where}: schedule: expected steps or epochs, one of them above 0")


def seeded(seed: int) -> tuple[np.random.Generator, torch.Generator]:
    """Random numbers of NumPy and of torch that follow from a seed.

    Raises:
        InputError: if the seed is below 0, or is no number of 63 bits.
    """
    if not 0 <= seed < 1 << 63:
        raise InputError(f"seed: expected a number from 0 and below 2^63, got {seed}")
    return np.random.default_rng(seed), torch.Generator().manual_seed(seed)


def names() -> tuple[str, ...]:
    """Every recipe that comes with vultus, by the name of its file."""
    return tuple(_files())


def read(recipe: str | Path, scale: str = "nano", set: Mapping[str, str] | None = None) -> Recipe:
    """Read a recipe at a scale.

    Args:
        recipe: name of one that comes with vultus, or the path of a file. One that `text` wrote keeps its scale.
        scale: tiny, nano, mini or paper.
        set: what to change, such as {"optimizer.lr": "0.05", "data.augment": "['flip']"}; text is read as a TOML value,
            and as a word where it is none.

    Raises:
        UnknownMethod: no recipe of that name.
        InputError: there is no such scale or key, with the nearest that is; or a value is of another kind.
    """
    path = _path(recipe)
    table = table_of(path)
    name = str(table.pop("name", path.name.removesuffix(".toml")))
    kept = table.pop("resolved", None)
    over = _scales(table.pop("scale", {}), path.name)
    scale = kept or scale
    if scale not in SCALES or (scale != "paper" and kept is None and scale not in over):
        known = [one for one in SCALES if one in over or one == "paper"]
        raise InputError(f"{path.name}: expected a scale of {', '.join(known)}; got {scale!r}")
    merge(table, over.get(scale, {}))
    change = _nested(set or {})
    merge(table, change, whole_args=False)
    return built(Recipe, {**table, "name": name, "scale": scale}, path.name)


def text(recipe: Recipe) -> str:
    """A recipe as TOML with everything in it, for the folder of a run; read again, it is the same."""
    table = {key: value for key, value in asdict(recipe).items() if value is not None and key not in ("name", "scale")}
    expected = table.pop("expected")
    lines = [f"name = {json.dumps(recipe.name)}", f"resolved = {json.dumps(recipe.scale)}"]
    tables = {key: value for key, value in table.items() if isinstance(value, dict)}
    lines += [f"{key} = {words_of(value)}" for key, value in table.items() if key not in tables]
    for key, value in tables.items():
        lines += ["", f"[{key}]", *(f"{inner} = {words_of(one)}" for inner, one in value.items())]
    for key, value in expected.items():
        lines += ["", f"[expected.{key}]", *(f"{inner} = {words_of(one)}" for inner, one in value.items())]
    return "\n".join(lines) + "\n"


def write(recipe: Recipe, path: Path) -> None:
    """Write `text` to a file.

    Raises:
        StoreError: full disk, or a folder that cannot be written.
    """
    write_bytes(path, text(recipe).encode())


def backbone(recipe: Recipe) -> nn.Module:
    """The recipe's network with weights from its seed.

    Raises:
        UnknownMethod: no such row of the catalogue.
        InputError: the row does not know an argument.
    """
    _, generator = seeded(recipe.seed)
    found: nn.Module = _loaded(recipe.backbone, _BACKBONES, input_hw=recipe.data.size_hw, generator=generator)
    return found


def build_trainable(recipe: Recipe, classes: int) -> Recognizer:
    """The recipe's network and losses, from its seed.

    Args:
        recipe: as read.
        classes: persons of the training set.

    Raises:
        UnknownMethod: no such row of the catalogue.
        InputError: a row does not know an argument.
    """
    loss = None if recipe.loss is None else _loaded(recipe.loss, _LOSSES, classes=classes)
    if loss is not None and not isinstance(loss, ClassLoss):
        raise InputError(f"loss: expected a loss over class centers, got {recipe.loss!r}: one over pairs is [pair]")
    pair = None if recipe.pair is None else _pair(recipe.pair)
    centers = {**asdict(recipe.centers), "seed": recipe.seed} if loss is not None else {}
    return Recognizer(
        backbone(recipe),
        classes=None if loss is None else classes,
        loss=loss,
        pair=pair,
        miner=(recipe.pair.miner or None) if recipe.pair is not None else None,
        weight=1.0 if recipe.pair is None else recipe.pair.weight,
        **centers,
    )


def feed(recipe: Recipe, source: Source, *, ranks: tuple[int, int] = (0, 1)) -> Feed:
    """The recipe's batches of a source, for one rank.

    Raises:
        InputError: the source has too few pictures or persons.
    """
    how = recipe.data
    sampler = None
    if how.persons:
        apart = getattr(source, "apart", None)
        sampler = PK(
            source.labels, how.persons, how.pictures, apart=apart, least=how.least, seed=recipe.seed, ranks=ranks
        )
    return Feed(
        source,
        batch=how.batch or how.persons * how.pictures,
        sampler=sampler,
        augment=augmentation(how.augment),
        seed=recipe.seed,
        workers=how.workers,
        ranks=ranks,
    )


def hooks(recipe: Recipe) -> tuple[Any, ...]:
    """The recipe's hooks, in order, each with the recipe's seed unless it has one of its own."""
    return tuple(_loaded(part, _HOOKS, seed=recipe.seed) for part in recipe.hooks)


def settings(recipe: Recipe, batches: int = 0, *, device: str = "cpu") -> Settings:
    """What the loop is told.

    Args:
        recipe: as read.
        batches: of one pass, `len(feed)`; counts where the recipe says epochs, and is needed there.
        device: "cpu", "cuda".

    Raises:
        InputError: if a setting is out of range, or batches are not said where the recipe says epochs.
    """
    if recipe.schedule.epochs and batches < 1:
        raise InputError(f"batches: expected how many make an epoch of recipe {recipe.name!r}, got {batches}")
    if not math.isfinite(recipe.schedule.epochs) or recipe.optimizer.accumulate < 1:
        raise InputError(
            f"recipe {recipe.name!r}: expected a finite number of epochs and accumulate from 1, "
            f"got {recipe.schedule.epochs} and {recipe.optimizer.accumulate}"
        )
    how, plan = asdict(recipe.optimizer), asdict(recipe.schedule)
    epochs = plan.pop("epochs")
    steps = plan.pop("steps") or max(1, math.ceil(epochs * batches / how["accumulate"]))
    return Settings(
        steps, optimizer=how.pop("name"), schedule=plan.pop("name"), **how, **plan, seed=recipe.seed, device=device
    )


def _home() -> Path:
    package = Path(vultus.__file__).parent
    inside = package / "recipes"
    return inside if inside.is_dir() else package.parent / "recipes"


def _scales(over: Any, where: str) -> Mapping[str, Mapping[str, Any]]:
    """The tables [scale.NAME] of a recipe."""
    tables = isinstance(over, Mapping) and all(isinstance(one, Mapping) for one in over.values())
    if not tables or not frozenset(over) <= frozenset(SCALES):
        raise InputError(f"{where}: scale: expected tables named {', '.join(SCALES)}; got {over!r}"[:200])
    return dict(over)


def _nested(changes: Mapping[str, str]) -> dict[str, Any]:
    """Dotted keys as tables in tables."""
    found: dict[str, Any] = {}
    for key, value in changes.items():
        inner = found
        *heads, last = key.split(".")
        for head in heads:
            inner = inner.setdefault(head, {})
            if not isinstance(inner, dict):
                raise InputError(f"set: expected {key!r} or what stands above it, got both")
        inner[last] = value_of(value)
    return found


def _files() -> dict[str, Path]:
    return {path.name.removesuffix(".toml"): path for path in sorted(_home().glob("**/*.toml"))}


def _path(recipe: str | Path) -> Path:
    known = _files()
    if str(recipe) in known:
        return known[str(recipe)]
    path = Path(recipe)
    if path.suffix == ".toml":
        return path
    raise UnknownMethod(str(recipe), known, what="recipe")


def _loaded(part: Part, room: str, **offered: Any) -> Any:
    """A part of a room ("" is any); of what is offered, it is given what its call takes and `args` leave open."""
    row = catalogue.row(part.name)
    if not f"{row.room}.".startswith(room and f"{room}."):
        known = ", ".join(name for name, one in catalogue.rows().items() if f"{one.room}.".startswith(f"{room}."))
        raise InputError(f"{part.name}: expected a method of {room}, got one of {row.room}; there are {known}")
    args = {key: _inner(value) for key, value in part.args.items()}
    target = getattr(import_module(row.module), row.target.partition(":")[2])
    taken = inspect.signature(target).parameters
    given = {**{key: value for key, value in offered.items() if key in taken}, **args}
    try:
        return catalogue.load(part.name, **given)
    except VultusError:
        raise
    except (TypeError, ValueError, ArithmeticError, LookupError, RuntimeError) as error:  # of what stands in `args`
        raise InputError(f"{part.name}: cannot be made with args {dict(part.args)}: {error}") from error


def _pair(part: Pair) -> Any:
    """A loss over pairs, and a miner that it knows."""
    pair = _loaded(part, _LOSSES)
    try:
        inspect.signature(pair).bind(None, None, miner=None)
        fits = not isinstance(pair, ClassLoss)
    except TypeError:
        fits = False
    if not fits:
        raise InputError(f"pair: expected a loss over the vectors of a batch alone, got {part.name!r}")
    if part.miner:
        _loaded(Part(part.name, {**part.args, "miner": part.miner}), _LOSSES)  # its own words for a name it lacks
    return pair


def _inner(value: Any) -> Any:
    if isinstance(value, Mapping) and set(value) <= {"name", "args"} and "name" in value:
        return _loaded(built(Part, value, "args"), "")
    return value

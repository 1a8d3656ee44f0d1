"""Train a miniature, measure it on people it has not seen, and open it again; needs torch."""

from __future__ import annotations

import hashlib
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from vultus import catalogue
from vultus.claims import _fit, _gates, _kinds, _models, _nets
from vultus.claims._album import CATEGORIES, Album, Arrays, drawn
from vultus.claims._cards import FixtureCard, figure_entries, packed
from vultus.claims._recipes import Recipe
from vultus.errors import StoreError
from vultus.io.tensors import unpack
from vultus.sim import faces
from vultus.types import CropSpec, Metric
from vultus.zoo.cards import Card, Source

__all__ = ["measured", "opened", "trained"]

Progress = Callable[[int, int, str], None]
Figures = dict[str, dict[str, Metric]]


def trained(recipe: Recipe, cache: Path, *, workers: int, progress: Progress) -> tuple[FixtureCard, bytes]:
    """Train a fixture from nothing.

    Args:
        recipe: which.
        cache: folder of drawn pictures.
        workers: processes that draw, and threads that train.
        progress: told (done, total, what).

    Returns:
        Its card with the figures measured on the weights as they are stored, and the weights.
    """
    arrays = drawn(recipe.train, cache, workers=workers, progress=progress)
    torch.set_num_threads(workers)
    begun, worked = time.perf_counter(), time.process_time()
    net = _kinds.network(recipe.kind, recipe.net, recipe.seed)
    net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    training = _kinds.Training(recipe, net, arrays)
    stream = _fit.batches(arrays, training.columns, recipe.batch, np.random.default_rng(recipe.seed))
    losses = _fit.fit(training.learns, stream, training, steps=recipe.steps, lr=recipe.lr, progress=progress)
    spent, work = time.perf_counter() - begun, time.process_time() - worked
    data = packed(
        recipe.name, {**_fit.frozen_copy(net), **{k: v.astype(np.float32) for k, v in training.extra.items()}}
    )
    first, *_, last = recipe.train.seeds()
    card = FixtureCard(
        recipe.name,
        recipe.kind,
        hashlib.sha256(data).hexdigest(),
        len(data),
        dict(recipe.net),
        sum(p.numel() for p in net.parameters()),
        {
            "data": "vultus.sim.faces, simulated people only",
            "sim": recipe.sim(),
            "split": recipe.train.split,
            "people": [first, last],
            **{key: value for key, value in asdict(recipe.train).items() if key not in ("split", "first", "people")},
        },
        {
            "steps": recipe.steps,
            "batch": recipe.batch,
            "lr": recipe.lr,
            "seed": recipe.seed,
            "optimizer": "AdamW, one cycle",
            "loss": recipe.loss_words(),
            "last_loss": round(float(np.mean(losses[-50:])), 4),
            "minutes": round(spent / 60, 2),
            "processor_minutes": round(work / 60, 2),
            "processor_minutes_drawing": round(float(arrays["seconds"][0]) / 60, 2),
            "threads": workers,
            "precision": "bfloat16 autocast" if recipe.bf16 else "float32",
            "torch": torch.__version__.split("+")[0],
            "machine": platform.machine(),
        },
        {},
        recipe.key(),
        recipe.purpose,
        recipe.misuse,
    )
    found = measured(card, data, recipe.test, cache, workers=workers, progress=progress)
    values = {**{name: getattr(card, name) for name in card.__slots__}, "figures": figure_entries(recipe, found)}
    return FixtureCard(**values), data


def measured(
    card: FixtureCard, data: bytes, tests: Mapping[str, Album], cache: Path | None, *, workers: int, progress: Progress
) -> Figures:
    """Figures of a fixture on each of its tests.

    Args:
        card: of the fixture.
        data: its weights as bytes.
        tests: name -> pictures of people it has not seen.
        cache: folder of drawn pictures, or None.
        workers: processes that draw, and threads.
        progress: told (done, total, what).

    Raises:
        StoreError: if a person of a test is one it was trained on.
    """
    whole = replace(card, figures={})  # what is withheld for its figures is measured too
    model = opened(whole, {name: np.asarray(a, np.float32) for name, a in unpack(data)[0].items()})
    out: Figures = {}
    for name, album in tests.items():
        if set(album.seeds()) & set(card.train_ids):
            raise StoreError(f"{card.name}: expected people for {name!r} whom it has not seen")
        arrays = drawn(album, cache, workers=workers, progress=progress)
        out[name] = _figures(card.kind, model, arrays, np.random.default_rng(0))
    return out


def _figures(kind: str, model: Any, arrays: Arrays, rng: np.random.Generator) -> dict[str, Metric]:
    people = arrays["person"]
    if kind == "recognizer":
        return {"eer": _gates.equal_error_rate(model.embed(arrays["image"]).vec, people, rng)}
    if kind == "parser":
        guess = model.parse(arrays["image"])
        return {"miou": _gates.mean_iou(arrays["parsing"], guess, people, rng, len(faces.LABELS))}
    found = {}
    for name, guess in model.predict(arrays["image"]).items():
        if name in CATEGORIES:
            found[f"{name} accuracy"] = _gates.accuracy(arrays[name], guess.argmax(1), people, rng)
        else:
            found[f"{name} R^2"] = _gates.explained(arrays[name], guess, people, rng)
    return found


def opened(card: FixtureCard, arrays: Mapping[str, NDArray[np.float32]]) -> Any:
    """The object of a fixture.

    Args:
        card: of the fixture.
        arrays: its weights, float32.

    Raises:
        StoreError: if the arrays are not those of the network on the card.
    """
    net = _kinds.network(card.kind, card.network)
    _fill(card.name, net, arrays)
    words = f"{card.train['data']}; people {card.train_ids.start} to {card.train_ids.stop - 1}"
    if card.kind == "recognizer":
        half = (127.5, 127.5, 127.5)
        about = Card(
            card.name,
            str(card.network["backbone"]).split(".")[0],
            "embedder",
            f"{card.name}.safetensors",
            Source("file", "committed with the package"),
            sha256=card.sha256,
            size_bytes=card.size_bytes,
            license="Apache-2.0",
            commercial="yes",
            training_data=words,
            mean=half,
            std=half,
            crop=CropSpec("box", (64, 64)),
            dim=int(card.network["dim"]),
        )
        return catalogue.load("differentiable", backbone=net, card=about, train_ids=card.train_ids)
    if card.kind == "parser":
        return _models.FaceParser(cast(_nets.ParserNet, net), card.space, words)
    numbers = {name: array for name, array in arrays.items() if name.startswith(("mean.", "std."))}
    kind = _models.FactorJudge if card.name.endswith("_judge") else _models.FactorModel
    return kind(cast(_nets.FactorNet, net), card.name, card.space, words, numbers, card.withheld())


def _fill(name: str, net: nn.Module, arrays: Mapping[str, NDArray[np.float32]]) -> None:
    state = net.state_dict()
    wanted = {key: tuple(value.shape) for key, value in state.items() if value.is_floating_point()}
    held = {key: array.shape for key, array in arrays.items() if not key.startswith(("mean.", "std."))}
    if wanted != held:
        odd = sorted(key for key in set(wanted) | set(held) if wanted.get(key) != held.get(key))
        raise StoreError(f"{name}: expected the arrays of the network on its card, got others: {', '.join(odd[:4])}")
    net.load_state_dict({key: torch.from_numpy(np.array(arrays[key])) if key in held else state[key] for key in state})
    net.eval()

"""Small recognizers for claims about training: one arm in, how many of each test person's pictures are recognized out.

All arms of all claims have the same network, the same steps and the same 180 people of YouTube Faces, and are asked
about the other 70. Settings that are no arm's own (SGD, rate 0.2, warm-up of a tenth, bfloat16, mirrored pictures) were
chosen once with CosFace, trained on 130 and tested on 50 of the 180. An arm that two claims want is trained once.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from inspect import signature
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus import catalogue
from vultus.claims._context import Context
from vultus.errors import Refused
from vultus.io.files import write_bytes
from vultus.ops.stats import paired_bootstrap
from vultus.types import F32, U8

__all__ = ["Arm", "difference", "lengths", "level", "measured", "miniature", "recognized", "spread", "views", "worse"]

F64 = NDArray[np.float64]

_WIDTHS, _DIM, _BATCH = (8, 16, 32, 64), 128, 64
_TINY = 32, (4, 4, 8, 8), 16
_STEPS = {"tiny": 2, "nano": 240, "mini": 3000}
_PERSONS, _EACH = 16, 4  # of a batch for losses over pairs


@dataclass(frozen=True)
class Arm:
    """How one recognizer is trained.

    Attributes:
        name: for people, and unique in a claim.
        loss: class loss by its catalogue name, or "".
        args: of that loss.
        pair: loss over pairs by its catalogue name, or ""; batches are then 16 people with four pictures each.
        hook: hook of the loop by its catalogue name, or "".
        hook_args: of that hook.
        wrong: share of the training pictures whose label is another person's.
        degraded: share of the training pictures that are degraded; see `worse`.
        side: of the crops, in pixels; tiny has a size of its own.
    """

    name: str
    loss: str = "cosface"
    args: Mapping[str, Any] = field(default_factory=dict)
    pair: str = ""
    hook: str = ""
    hook_args: Mapping[str, Any] = field(default_factory=dict)
    wrong: float = 0.0
    degraded: float = 0.0
    side: int = 56


def miniature(ctx: Context, side: int = 56) -> Any:
    """Training and test people: real ones, or at tiny a few simulated ones.

    Args:
        ctx: of the claim.
        side: of the crops, in pixels; that of the arms.

    Raises:
        Refused: if the real ones are not there.
    """
    if ctx.scale == "tiny":
        return _miniature("", str(ctx.cache / "recognizers-tiny"), _TINY[0])
    if ctx.data is None or not (ctx.data / "ytf_faces").is_dir():
        raise Refused("YouTube Faces: expected the folder ytf_faces in VULTUS_DATA")
    return _miniature(str(ctx.data), "", side)


@lru_cache(maxsize=2)
def _miniature(data: str, cache: str, side: int) -> Any:
    from vultus.train.miniature import sim_fr, ytf_fr

    return ytf_fr(data, side) if data else sim_fr(8, 4, 7, side, cache=cache)


def measured(ctx: Context, arm: Arm, seed: int, ask: Callable[[Any], dict[str, F64]]) -> dict[str, F64]:
    """What `ask` finds with a trained arm; a step of the claim.

    Args:
        ctx: of the claim.
        arm: what is trained.
        seed: of the network's start, of the order and of everything drawn in training.
        ask: is handed the trained `Recognizer`, whose `embed` takes (N, H, W, 3) pictures.
    """

    def work() -> dict[str, Any]:
        recognizer, seconds = _trained(ctx, arm, seed)
        return {"seconds": seconds, **ask(recognizer)}

    name = "".join(c if c.isalnum() else "-" for c in arm.name)
    found: dict[str, Any] = ctx.step(f"{name}-{seed}", work)
    return found


def recognized(gallery: F32, probes: F32, labels: NDArray[np.int64], apart: NDArray[np.int64] | None) -> F64:
    """Share of each person's pictures whose nearest other picture is of that person.

    Args:
        gallery: (N, D) unit vectors of the pictures that are searched.
        probes: (N, D) of the same pictures, in another state: what is asked for.
        labels: (N,) who is on them.
        apart: (N,) video of each, which is not searched for its own pictures; None leaves out the picture alone.

    Returns:
        (people,) in the order of their labels.
    """
    alike = probes @ gallery.T
    videos = np.arange(len(labels)) if apart is None else apart
    alike[videos[:, None] == videos[None]] = -np.inf
    hit = labels[alike.argmax(axis=1)] == labels
    return np.array([hit[labels == person].mean() for person in np.unique(labels)])


def spread(vectors: F32, labels: NDArray[np.int64]) -> F64:
    """(people,) variance of each person's vectors, of all their numbers together."""
    return np.array([vectors[labels == person].var(axis=0).sum() for person in np.unique(labels)], np.float64)


def lengths(recognizer: Any, images: U8) -> F64:
    """(N,) length of the vector of each picture, before it is normalized, in evaluation mode."""
    import torch

    recognizer.eval()
    found = []
    with torch.no_grad():
        for first in range(0, len(images), 256):
            part = torch.from_numpy(np.ascontiguousarray(images[first : first + 256])).permute(0, 3, 1, 2)
            found.append(recognizer.features(part.float() / 255).norm[:, 0].double().numpy())
    return np.concatenate(found)


def views(ctx: Context, pipeline: Any, images: U8, *words: str | int) -> U8:
    """Each picture through a pipeline of `vultus.ops.degrade`, one draw each, that follows from the words.

    Args:
        ctx: of the claim.
        pipeline: keeps the size of pictures.
        images: (N, H, W, 3).
        *words: what the draws are for.
    """
    rng = ctx.rng("views", *words)
    return np.stack([pipeline.image(image, pipeline.draw(rng, image.shape[:2])) for image in images])


def worse() -> Any:
    """What makes a picture a poor one here: 7 to 14 pixels across, enlarged again, noise, JPEG."""
    from vultus.ops.degrade import Degradation, GaussianNoise, Jpeg, LowRes

    return Degradation([(LowRes((7, 14)), 1.0), (GaussianNoise((2.0, 10.0)), 1.0), (Jpeg((30, 70)), 1.0)])


def level(values: F64) -> float:
    """Mean of an arm."""
    return float(np.mean(values))


def difference(ctx: Context, left: F64, right: F64) -> str:
    """Mean of left - right over people with its 95 % interval, in words; arms are (seeds, people)."""
    one, other = left.mean(axis=0), right.mean(axis=0)
    if len(one) < 2:
        return "one person"
    found = paired_bootstrap(one, other, np.arange(len(one)), rng=ctx.rng("difference"))
    return f"{found.value:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"


# ---------------------------------------------------------------- training
def _trained(ctx: Context, arm: Arm, seed: int) -> tuple[Any, float]:
    """Trained here, or taken from where another claim has left it; and the seconds that the training took."""
    import torch

    said = {**asdict(replace(arm, name="")), "seed": seed, "scale": ctx.scale, "source": _source()}
    key = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:20]
    path = ctx.cache / f"recognizer-{key}.npz"
    people = miniature(ctx, arm.side).train
    recognizer = _recognizer(arm, people.classes, seed, _TINY if ctx.scale == "tiny" else (arm.side, _WIDTHS, _DIM))
    if path.is_file():
        with np.load(path, allow_pickle=False) as kept:
            seconds = float(kept["seconds"])
            recognizer.load({name: torch.from_numpy(kept[name]) for name in kept.files if name != "seconds"})
        return recognizer, seconds
    began = time.process_time()
    _fit(ctx, arm, seed, recognizer)
    seconds = time.process_time() - began
    state = {name: value.detach().cpu().numpy() for name, value in recognizer.state().items()}
    buffer = BytesIO()
    np.savez(buffer, allow_pickle=False, seconds=np.array(seconds), **state)
    write_bytes(path, buffer.getvalue())
    return recognizer, seconds


def _recognizer(arm: Arm, classes: int, seed: int, sizes: tuple[int, tuple[int, ...], int]) -> Any:
    import torch

    from vultus.train.trainable import Recognizer

    side, widths, dim = sizes
    spread = torch.Generator().manual_seed(seed)
    net = catalogue.load("iresnet.10", input_hw=(side, side), dim=dim, widths=widths, generator=spread)
    if not arm.loss:
        return Recognizer(net, pair=catalogue.load(arm.pair))
    args = dict(arm.args)
    if arm.loss.startswith("sphereface2"):
        args["classes"] = classes
    pair = catalogue.load(arm.pair) if arm.pair else None
    return Recognizer(net, classes=classes, loss=catalogue.load(arm.loss, **args), pair=pair, seed=seed)


def _fit(ctx: Context, arm: Arm, seed: int, recognizer: Any) -> None:
    from vultus.train.augment import Flip
    from vultus.train.data import Feed
    from vultus.train.loops.supervised import Settings, fit
    from vultus.train.samplers import PK

    people = _taught(ctx, arm, seed)
    sampler = None
    if arm.pair:
        sampler = PK(people.labels, min(_PERSONS, people.classes), _EACH, seed=seed)
    feed = Feed(people, batch=min(_BATCH, len(people)), sampler=sampler, augment=Flip(), seed=seed)
    hooks = []
    if arm.hook:
        known = signature(_target(arm.hook)).parameters
        hooks = [catalogue.load(arm.hook, **{**({"seed": seed} if "seed" in known else {}), **arm.hook_args})]
    steps = _STEPS[ctx.scale]
    precision = "fp32" if ctx.scale == "tiny" else "bf16"
    settings = Settings(steps=steps, lr=0.2, warmup=0.1, precision=precision, seed=seed)
    fit(
        recognizer,
        feed,
        settings,
        hooks=hooks,
        progress=lambda done, total, what: ctx.progress(done, total, f"{arm.name}, seed {seed}: {what}"),
    )


def _target(name: str) -> Any:
    from importlib import import_module

    module, _, attribute = catalogue.row(name).target.partition(":")
    return getattr(import_module(module), attribute)


def _taught(ctx: Context, arm: Arm, seed: int) -> Any:
    """The training pictures of an arm: labels that are wrong and pictures that are degraded follow from the seed alone,
    the same for every arm, and fewer are among the more.
    """
    people = miniature(ctx, arm.side).train
    images, labels = people.images, people.labels.copy()
    if arm.wrong:
        rng = ctx.rng("wrong labels", seed)
        order, away = rng.permutation(len(labels)), rng.integers(1, people.classes, len(labels))
        chosen = order[: round(arm.wrong * len(labels))]
        labels[chosen] = (labels[chosen] + away[chosen]) % people.classes
    if arm.degraded:
        order = ctx.rng("degraded", seed).permutation(len(labels))
        poor = np.sort(order[: round(arm.degraded * len(labels))])
        images = images.copy()
        images[poor] = views(ctx, worse(), images[poor], "train", seed)
    return replace(people, images=images, labels=labels)


@lru_cache(maxsize=1)
def _source() -> str:
    """12 hex over everything that training and its data are made of, claims other than this file left out."""
    root = Path(catalogue.__file__).parents[1]
    digest = hashlib.sha256()
    for room in ("train", "recognize", "ops", "io", "sim"):
        for path in sorted((root / room).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    for name in ("recognize.toml", "train.toml"):
        digest.update((root / "catalogue" / name).read_bytes())
    digest.update(Path(__file__).read_bytes())
    return digest.hexdigest()[:12]

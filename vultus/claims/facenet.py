"""Paper 42, "FaceNet: A Unified Embedding for Face Recognition and Clustering": which triplets, and what they give.

Written before the first run. Of the 180 training people of YouTube Faces in small, 150 are trained on and 30 are kept
for what is chosen or fitted (the threshold of clustering, the scale of bytes); 70 others are asked about. All mated
pairs are of two videos, and there are ten times as many non-mated ones. Networks are `iresnet.10` at 56 pixels with
widths 8, 16, 32 and 64 and 128 numbers, batches are 16 people with four pictures of different videos, AdamW with rate
0.001 and a warm-up, margin 0.2 of squared distances, and the loss is the mean over the triplets that violate it.

`facenet`. Arms: the same network from scratch, with semi-hard, random and hardest negatives for every pair of one
person, and as it starts. Metric: share of a person's mated pairs that are accepted at a false accept rate of 1 % of all
non-mated pairs. Expected: semi-hard 0.02 or more above random. Refuted: the interval of the gain over random reaches
below 0 or it is under 0.02; or hardest negatives or the untrained network gain over random. In `extra`, for every arm:
the variance of the vectors (1 - |mean|^2: near 0 where the network has collapsed to one point, which is expected of the
hardest negatives; it did not happen), the pairwise F of average-linkage clusters of all pictures of the 70 people, and
what 128 bytes cost against 128 numbers (expected: less than 0.001).

`facenet_harmonic`. An old network of half the widths is trained for 200 steps and fixed; a new one of the widths above
is trained for 200 on its own, and then for 240 against the old one: a third of these its last layer alone, drawn anew,
and then all of it. So the new network has had 440 steps where it is asked, and the old one 200. Metric as above, new
probes against old vectors. Expected, as in the paper: new to new above new to old above old to old, the middle one by
0.02 or more above the last; the new network as it was trained on its own finds nobody among the old vectors. Refuted:
the interval of the gain over old to old reaches below 0 or it is under 0.02; or the independent network gains. Beside
it stands what is another method: a linear map from the independent new network to the old one, least squares with a
ridge on the pictures that both were trained on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus import catalogue
from vultus.claims import ClaimResult, Context, claim
from vultus.errors import InputError, Refused
from vultus.evaluate.metrics.clustering import pairwise
from vultus.gallery import compat
from vultus.ops import roc, stats
from vultus.ops.vectors import ByteCode, unit
from vultus.types import F32

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

FAR = 0.01
STEPS = {"tiny": 2, "nano": 200, "mini": 2000}
SHARE = 1.2  # of those steps: the new network against the old one
KEPT = 30  # of the training people: for what is chosen or fitted
_THRESHOLD = "The threshold is that of the test people's own non-mated pairs; the interval does not draw it anew."
ARMS = {"semi-hard": "semi_hard", "random": "random", "hardest": "hardest_negative", "untrained": ""}


@claim(paper=42, minutes=25, scale="nano", seeds=3)
def facenet(ctx: Context) -> ClaimResult:
    """Triplets with semi-hard negatives train a better network than random ones; the hardest train none."""
    people = _people(ctx)
    found = {name: [ctx.step(f"{name}-{seed}", _one_arm, ctx, name, seed) for seed in ctx.seeds] for name in ARMS}
    accepted = {name: [_accepted(people, one["test"]) for one in runs] for name, runs in found.items()}
    names = [people["names"][k] for k in accepted["random"][0][1]]
    extra: dict[str, float | str] = {}
    for name, runs in found.items():
        extra[f"variance of the vectors, {name}"] = _each([1 - np.linalg.norm(r["test"].mean(0)) ** 2 for r in runs])
        extra[f"area under the curve, {name}"] = _each([_area(people, r["test"]) for r in runs])
        if name != "untrained":
            extra[f"last tenth of the steps: loss, {name}"] = _each(
                [r["loss"][-len(r["loss"]) // 10 :].mean() for r in runs]
            )
            extra[f"last tenth of the steps: violated, {name}"] = _each(
                [r["active"][-len(r["active"]) // 10 :].mean() for r in runs]
            )
    for name, runs in found.items():
        scores = [_clustered(people, r) for r in runs]
        extra[f"pairwise F of clusters, {name}"] = _each([f for f, _ in scores])
        extra[f"clusters of {len(names)} people, {name}"] = _each([float(n) for _, n in scores], digits=0)
    extra |= _bytes(ctx, people, found["semi-hard"])
    return ClaimResult(
        {name: np.stack([rate for rate, _ in runs]) for name, runs in accepted.items()},
        method="semi-hard",
        baseline="random",
        controls=("hardest", "untrained"),
        units=names,
        unit="person",
        metric="share of a person's pairs of two videos accepted at a false accept rate of 1 %",
        higher_is_better=True,
        min_effect=0.02,
        data=people["tier"],
        extra=extra,
        notes="Numbers with commas are those of the single seeds. " + _THRESHOLD,
    )


@claim(paper=42, minutes=25, scale="nano", seeds=3)
def facenet_harmonic(ctx: Context) -> ClaimResult:
    """A new network trained with harmonic triplets finds more people in an old gallery than the old network does."""
    people = _people(ctx)
    runs = [ctx.step(f"networks-{seed}", _old_and_new, ctx, seed) for seed in ctx.seeds]
    sides = {  # probes, gallery
        "new to old": ("harmonic", "old"),
        "old to old": ("old", "old"),
        "independent new to old": ("independent", "old"),
        "mapped new to old": ("mapped", "old"),
        "new to new": ("harmonic", "harmonic"),
        "independent new to new": ("independent", "independent"),
    }
    found = {
        name: [_accepted(people, one[f"{probe} test"], one[f"{kept} test"]) for one in runs]
        for name, (probe, kept) in sides.items()
    }
    arms = {name: np.stack([rate for rate, _ in each]) for name, each in found.items()}
    extra: dict[str, float | str] = {
        f"new to old - {name}": _difference(ctx, arms["new to old"], arms[name]) for name in list(arms)[2:]
    }
    extra |= {
        f"vultus.gallery.compat takes the pair, of {len(runs)} seeds, {name}": float(
            sum(_taken(people, one, name, ctx) for one in runs)
        )
        for name in ("harmonic", "independent", "mapped")
    }
    return ClaimResult(
        arms,
        method="new to old",
        baseline="old to old",
        controls=("independent new to old",),
        units=[people["names"][k] for k in found["old to old"][0][1]],
        unit="person",
        metric="share of a person's pairs of two videos accepted at a false accept rate of 1 %",
        higher_is_better=True,
        min_effect=0.02,
        data=people["tier"],
        extra=extra,
        notes="vultus.gallery.compat measures on 30 people whom no network was trained on, not on the 70. "
        + _THRESHOLD,
    )


# ---------------------------------------------------------------- people
def _people(ctx: Context) -> dict[str, Any]:
    """Training, kept and test pictures, and the test pairs; at tiny a few simulated people.

    Raises:
        Refused: if the real ones are not there.
    """
    if ctx.scale == "tiny":
        return _read("", str(ctx.cache / "facenet-tiny"))
    if ctx.data is None or not (ctx.data / "ytf_faces").is_dir():
        raise Refused("YouTube Faces: expected the folder ytf_faces in VULTUS_DATA")
    return _read(str(ctx.data), "")


@lru_cache(maxsize=2)
def _read(data: str, cache: str) -> dict[str, Any]:
    from vultus.train.miniature import sim_fr, ytf_fr

    mini = ytf_fr(data, 56) if data else sim_fr(8, 4, 7, 56, cache=cache)
    everyone = np.arange(mini.train.classes)
    kept = min(KEPT, len(everyone) // 3)
    return {
        "train": mini.train.subset(people=everyone[kept:]),
        "kept": mini.train.subset(people=everyone[:kept]),
        "test": mini.test,
        "pairs": (mini.left, mini.right, mini.same),
        "names": mini.test.names,
        "tier": mini.test.tier,
    }


# ---------------------------------------------------------------- networks
def _network(seed: int, widths: tuple[int, ...] = (8, 16, 32, 64)) -> Any:
    import torch

    generator = torch.Generator().manual_seed(seed)
    return catalogue.load("iresnet.10", input_hw=(56, 56), dim=128, widths=widths, generator=generator)


def _fit(
    ctx: Context, trainable: Any, what: tuple[str, int], share: float = 1.0, hooks: Sequence[Any] = ()
) -> dict[str, F64]:
    """Train with batches that follow from the seed alone; loss and share of violated triplets of every step."""
    from vultus.train.data import Feed
    from vultus.train.loops.supervised import Settings, fit
    from vultus.train.samplers import PK

    people, (name, seed) = _people(ctx)["train"], what
    steps = _steps(ctx, share)
    feed = Feed(people, sampler=PK(people.labels, min(16, people.classes), 4, apart=people.apart, seed=seed), seed=seed)
    settings = Settings(steps=steps, optimizer="adamw", lr=1e-3, warmup=0.05, seed=seed)

    def told(done: int, total: int, words: str) -> None:
        ctx.progress(done, total, f"{name}, seed {seed}: {words}")

    history = fit(trainable, feed, settings, hooks=hooks, progress=told)
    return {"loss": history.loss, "active": history.parts["active"]}


def _steps(ctx: Context, share: float) -> int:
    return max(2, round(share * STEPS[ctx.scale]))


def _one_arm(ctx: Context, name: str, seed: int) -> dict[str, Any]:
    """Vectors of kept and test pictures by the network of an arm."""
    from vultus.train.trainable import Recognizer

    people, miner = _people(ctx), ARMS[name]
    recognizer = Recognizer(_network(seed), pair=catalogue.load("triplet", miner=miner or "semi_hard"))
    told = _fit(ctx, recognizer, (name, seed)) if miner else {}
    return {"test": recognizer.embed(people["test"].images), "kept": recognizer.embed(people["kept"].images), **told}


def _old_and_new(ctx: Context, seed: int) -> dict[str, F32]:
    """Vectors of kept and test pictures by the old network, the new one on its own, mapped, and trained against it."""
    from vultus.train.harmonic import Harmonic
    from vultus.train.trainable import Recognizer

    people = _people(ctx)
    parts = {part: people[part].images for part in ("test", "kept", "train")}
    old = Recognizer(_network(1000 + seed, (4, 8, 16, 32)), pair=catalogue.load("triplet"))
    new = Recognizer(_network(seed), pair=catalogue.load("triplet"))
    _fit(ctx, old, ("old", seed))
    _fit(ctx, new, ("new alone", seed))
    found = {f"old {part}": old.embed(images) for part, images in parts.items()}
    found |= {f"independent {part}": new.embed(images) for part, images in parts.items()}
    turn = _map(found["independent train"], found["old train"])
    found |= {f"mapped {part}": unit(found[f"independent {part}"] @ turn) for part in parts}
    hook = Harmonic(old.backbone, first=_steps(ctx, SHARE) // 3, seed=seed)
    against = Recognizer(new.backbone, pair=catalogue.load("triplet"), weight=0.0)
    _fit(ctx, against, ("new against old", seed), SHARE, (hook,))
    found |= {f"harmonic {part}": against.embed(images) for part, images in parts.items()}
    return {name: vectors for name, vectors in found.items() if not name.endswith("train")}


def _map(source: F32, target: F32, ridge: float = 0.1) -> F64:
    """The matrix that brings rows of `source` to those of `target`, least squares."""
    gram = source.T.astype(np.float64) @ source
    scale = ridge * np.trace(gram) / len(gram)
    return np.asarray(np.linalg.solve(gram + scale * np.eye(len(gram)), source.T.astype(np.float64) @ target))


# ---------------------------------------------------------------- measures
def _accepted(people: Mapping[str, Any], probes: F32, gallery: F32 | None = None) -> tuple[F64, I64]:
    """Share of each person's mated pairs that reach the threshold of the false accept rate, and who they are.

    A pair whose two sides are of two networks counts in both directions.
    """
    left, right, same = people["pairs"]
    kept = probes if gallery is None else gallery
    scores = np.concatenate([(probes[left] * kept[right]).sum(1), (probes[right] * kept[left]).sum(1)]).astype(
        np.float64
    )
    mated = np.concatenate([same, same])
    bar = roc.threshold_at_fmr(scores[~mated], FAR, force=True)
    who = np.concatenate([people["test"].labels[left], people["test"].labels[right]])[mated]
    hit, every = (scores[mated] >= bar).astype(np.float64), np.unique(who)
    return np.array([hit[who == person].mean() for person in every]), every


def _area(people: Mapping[str, Any], vectors: F32) -> float:
    left, right, same = people["pairs"]
    scores = (vectors[left] * vectors[right]).sum(1)
    return roc.auc(scores[same], scores[~same])


def _clustered(people: Mapping[str, Any], vectors: Mapping[str, F32]) -> tuple[float, int]:
    """Pairwise F of the test people's clusters, at the threshold that is best for the kept people; and their number."""
    best = max(np.arange(0.0, 1.0, 0.05), key=lambda bar: _f(vectors["kept"], people["kept"].labels, bar)[0])
    return _f(vectors["test"], people["test"].labels, best)


def _f(vectors: F32, labels: I64, threshold: float) -> tuple[float, int]:
    found = catalogue.load("agglomerative", threshold=float(threshold)).cluster(vectors)
    return pairwise(found, labels)[2], int(found.max()) + 1


def _bytes(ctx: Context, people: Mapping[str, Any], runs: list[dict[str, Any]]) -> dict[str, float | str]:
    """What is lost when 128 numbers become 128 bytes, by kind of scale."""
    said: dict[str, float | str] = {}
    for name in ("own scale per dimension", "-1 to 1"):
        lost, moved = [], []
        for run in runs:
            vectors = run["test"]
            code = ByteCode.fit(run["kept"]) if name.startswith("own") else ByteCode.plain(vectors.shape[1])
            rounded = code.decode(code.encode(vectors))
            lost.append(_accepted(people, rounded)[0] - _accepted(people, vectors)[0])
            moved.append(float(np.abs(rounded @ rounded.T - vectors @ vectors.T).max()))
        gain = np.mean(lost, axis=0)
        found = stats.paired_bootstrap(gain, np.zeros_like(gain), np.arange(len(gain)), rng=ctx.rng("bytes"))
        said[f"128 bytes - 128 numbers, {name}"] = f"{found.value:+.5f} [{found.low:+.5f}, {found.high:+.5f}]"
        said[f"largest change of a cosine by bytes, {name}"] = max(moved)
    return said


def _difference(ctx: Context, left: F64, right: F64) -> str:
    """Mean of left - right over people with its 95 % interval; (seeds, people) each."""
    found = stats.paired_bootstrap(left.mean(0), right.mean(0), np.arange(left.shape[1]), rng=ctx.rng("difference"))
    return f"{found.value:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"


def _taken(people: Mapping[str, Any], run: Mapping[str, F32], name: str, ctx: Context) -> bool:
    """Whether a pair of networks can be registered, by the pictures that are kept."""
    spaces = ("old@000000000000", f"{name}@000000000000")
    who, rng = people["kept"].labels, ctx.rng("compat")
    try:
        compat.measure(run["old kept"], run[f"{name} kept"], who, spaces=spaces, dataset="kept", rng=rng)
    except (Refused, InputError):  # worse than staying; or, at tiny, too few people
        return False
    return True


def _each(values: Any, digits: int = 4) -> str:
    return ", ".join(f"{value:.{digits}f}" for value in values)

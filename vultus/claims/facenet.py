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
hardest negatives), the pairwise F of average-linkage clusters of all pictures of the 70 people, and what 128 bytes cost
against 128 numbers (expected: less than 0.001).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus import catalogue
from vultus.claims import ClaimResult, Context, claim
from vultus.errors import Refused
from vultus.evaluate.metrics.clustering import pairwise
from vultus.ops import roc, stats
from vultus.ops.vectors import ByteCode
from vultus.types import F32

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

FAR = 0.01
STEPS = {"tiny": 2, "nano": 200, "mini": 2000}
KEPT = 30  # of the training people: for what is chosen or fitted
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
        notes="Numbers with commas are those of the single seeds.",
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


def _fit(ctx: Context, trainable: Any, what: tuple[str, int], share: float = 1.0) -> dict[str, F64]:
    """Train with batches that follow from the seed alone; loss and share of violated triplets of every step."""
    from vultus.train.data import Feed
    from vultus.train.loops.supervised import Settings, fit
    from vultus.train.samplers import PK

    people, (name, seed) = _people(ctx)["train"], what
    steps = max(2, round(share * STEPS[ctx.scale]))
    feed = Feed(people, sampler=PK(people.labels, min(16, people.classes), 4, apart=people.apart, seed=seed), seed=seed)
    settings = Settings(steps=steps, optimizer="adamw", lr=1e-3, warmup=0.05, seed=seed)

    def told(done: int, total: int, words: str) -> None:
        ctx.progress(done, total, f"{name}, seed {seed}: {words}")

    history = fit(trainable, feed, settings, progress=told)
    return {"loss": history.loss, "active": history.parts["active"]}


def _one_arm(ctx: Context, name: str, seed: int) -> dict[str, Any]:
    """Vectors of kept and test pictures by the network of an arm."""
    from vultus.train.trainable import Recognizer

    people, miner = _people(ctx), ARMS[name]
    recognizer = Recognizer(_network(seed), pair=catalogue.load("triplet", miner=miner or "semi_hard"))
    told = _fit(ctx, recognizer, (name, seed)) if miner else {}
    return {"test": recognizer.embed(people["test"].images), "kept": recognizer.embed(people["kept"].images), **told}


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


def _each(values: Any, digits: int = 4) -> str:
    return ", ".join(f"{value:.{digits}f}" for value in values)

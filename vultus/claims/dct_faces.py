"""Paper 70, "Face Recognition Using Discrete Cosine Transform for Global and Local Features": parts beside the whole.

ORL (40 people, ten pictures each): a random five of each person are enrolled, the other five are asked for; one split a
seed, 20 seeds. Crops come from the five points of CenterFace, the same for every arm; where it finds no face, the
median of the other points is taken (and counted). Weights are the recognition rates of the enrolled pictures, each left
out once: no picture that is asked for has a part in them. Coefficients (64 and 24) were chosen before the first run.

Written before the first run.

`dct_faces`. Expected: the whole face alone recognizes 0.93 of the pictures, the weighted features 0.96; eyes are the
best part (0.8), nose and mouth 0.5 to 0.7; equal weights lose a little against weights by rate. Refuted: the interval
of the gain over the whole face reaches below 0 or the gain is under 0.01. Control: parts of pictures that are dealt out
at random, weighted as before; they must not help.

`dct_faces_agreement`. Ten people are strangers and 30 are enrolled, each person a stranger once in four rounds. A
stranger is accepted falsely when it is taken for anybody. Arms are compared at the same share of enrolled people that
are not recognized: 0.25, or more where agreement refuses more than that on its own. At one and the same threshold
agreement can only lower false acceptance, which shows nothing; at the same false rejection it can lose.
Expected: of strangers, a threshold alone accepts about 0.2 and agreement at the same false rejection about 0.1, because
the whole face and its parts rarely err towards the same person. Refuted: the interval of the difference reaches 0 or it
is under 0.02. Control: vetoes as frequent as those of agreement on enrolled people, at random.

All of it holds for frontal pictures of one studio. ORL's ten pictures of a person come from few sittings.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus import catalogue
from vultus.claims import ClaimResult, Context, claim
from vultus.claims._portraits import halves, portraits

F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]

PARTS = ("eyes", "nose", "mouth")
FRR = 0.25
ROUNDS = {"tiny": 3}
SWEEP = (8, 16, 32, 64, 128, 256)


@claim(paper=70, minutes=15, scale="nano", seeds=20)
def dct_faces(ctx: Context) -> ClaimResult:
    """Eyes, nose and mouth, weighted by their recognition rates, recognize faces that the whole face alone does not."""
    faces = ctx.step("faces", _aligned, ctx)
    arms: dict[str, list[F64]] = {}
    rates = []
    for done, seed in enumerate(ctx.seeds):
        ctx.progress(done, len(ctx.seeds), "splits")
        found = ctx.step(f"split-{seed}", _recognized, faces, ctx.rng("split", seed), ctx.rng("dealt", seed))
        for name, values in found["arms"].items():
            arms.setdefault(name, []).append(values)
        rates.append(found["rates"])
    sweep = ctx.step("sweep", _sweep, faces, [ctx.rng("split", seed) for seed in ctx.seeds[:5]])
    weights = np.mean([[rate[name] for name in ("face", *PARTS)] for rate in rates], axis=0)
    return ClaimResult(
        arms={name: np.array(values) for name, values in arms.items()},
        method="weighted",
        baseline="face alone",
        controls=("weighted, parts dealt out",),
        units=np.unique(faces["who"]).tolist(),
        unit="person",
        metric="share of pictures recognized",
        higher_is_better=True,
        min_effect=0.01,
        data="sim" if ctx.scale == "tiny" else "real",
        extra={
            **{f"rate on enrolled pictures: {n}": float(w) for n, w in zip(("face", *PARTS), weights, strict=True)},
            **{f"k = {k}: face alone, weighted": f"{a:.3f}, {b:.3f}" for k, (a, b) in zip(SWEEP, sweep, strict=True)},
            "pictures without a found face": float(faces["missed"]),
        },
        notes="k: coefficients of the face in the first five splits; 64 was chosen before, 24 of each part everywhere",
    )


@claim(paper=70, minutes=15, scale="nano", seeds=20)
def dct_faces_agreement(ctx: Context) -> ClaimResult:
    """Asking the face and its parts for the same person keeps out strangers better than a higher threshold."""
    faces = ctx.step("faces", _aligned, ctx)
    found = []
    for done, seed in enumerate(ctx.seeds):
        ctx.progress(done, len(ctx.seeds), "seeds")
        rounds = ROUNDS.get(ctx.scale, 4)
        found.append(ctx.step(f"strangers-{seed}", _strangers, faces, rounds, ctx.rng("strangers", seed)))
    said = [
        "false rejection of all arms",
        "false rejection by agreement alone",
        "same threshold: strangers accepted without agreement",
        "same threshold: strangers accepted with it",
        "same threshold: enrolled rejected without agreement",
        "same threshold: enrolled rejected with it",
    ]
    return ClaimResult(
        arms={name: np.array([one["arms"][name] for one in found]) for name in found[0]["arms"]},
        method="agreement",
        baseline="threshold alone",
        controls=("random veto",),
        units=np.unique(faces["who"]).tolist(),
        unit="person",
        metric="share of pictures of strangers accepted at the same false rejection",
        higher_is_better=False,
        min_effect=0.02,
        data="sim" if ctx.scale == "tiny" else "real",
        extra={name: float(np.mean([one["said"][i] for one in found])) for i, name in enumerate(said)},
        notes="thresholds are set on the pictures that are asked for, for every arm in the same way",
    )


def _aligned(ctx: Context) -> dict[str, Any]:
    """Crops of the portraits by five points: those of CenterFace, or the median of them where it finds no face."""
    pictures, who = portraits(ctx)
    recognizer = catalogue.load("dct_faces")
    if ctx.scale == "tiny":  # no network is loaded: simulated heads stand upright in the middle
        median, points = _MIDDLE * pictures[0].shape[0], [None] * len(pictures)
    else:
        faces = [found.points for found in catalogue.load("centerface").detect(pictures, max_faces=1)]
        points = [None if five is None or not len(five) else five[0] for five in faces]
        median = np.median([five for five in points if five is not None], axis=0)
    aligner = catalogue.load("similarity5")
    crops = [
        aligner.align(picture, np.asarray(median if five is None else five, np.float32)[None], recognizer.crop)[0][0]
        for picture, five in zip(pictures, points, strict=True)
    ]
    found = recognizer.describe(np.stack(crops))
    return {"found": found, "crops": np.stack(crops), "who": who, "missed": sum(five is None for five in points)}


_MIDDLE = np.array([(0.36, 0.45), (0.64, 0.45), (0.5, 0.6), (0.39, 0.73), (0.61, 0.73)])


def _recognized(faces: dict[str, Any], split: np.random.Generator, dealt: np.random.Generator) -> dict[str, Any]:
    """Share of each person's pictures that are recognized, for every arm of one split."""
    found, who = faces["found"], faces["who"]
    enrolled = halves(who, split)
    recognizer = _enrolled(found, who, enrolled)
    distances, asked = recognizer.compare(_of(found, ~enrolled)), who[~enrolled]
    order = dealt.permutation(len(asked))
    shuffled = np.concatenate([distances[:1], distances[1:, order]])
    rates = np.array(list(recognizer.rates.values()))
    only = dict(zip(("face alone", "eyes alone", "nose alone", "mouth alone"), np.eye(4), strict=True))
    weights = {"weighted": rates, **only, "equal weights": np.ones(4), "parts alone": rates * (0, 1, 1, 1)}
    arms = {name: _shares(distances, weight, asked) for name, weight in weights.items()}
    arms["weighted, parts dealt out"] = _shares(shuffled, rates, asked)
    return {"arms": arms, "rates": recognizer.rates}


def _enrolled(found: list[F64], who: NDArray[np.int64], chosen: Bools, **settings: Any) -> Any:
    recognizer = catalogue.load("dct_faces", **settings)
    recognizer.enroll(_of(found, chosen), [f"{person:02}" for person in who[chosen]])  # names sort as numbers do
    return recognizer


def _of(found: list[F64], chosen: Bools) -> list[F64]:
    return [part[chosen] for part in found]


def _shares(distances: F64, weight: F64, asked: NDArray[np.int64]) -> F64:
    right = np.tensordot(weight, distances, axes=1).argmin(axis=1) == asked
    return np.array([right[asked == person].mean() for person in np.unique(asked)])


def _sweep(faces: dict[str, Any], splits: list[np.random.Generator]) -> list[list[float]]:
    """Face alone and weighted for other numbers of coefficients of the face."""
    who = faces["who"]
    shares = np.zeros((len(SWEEP), 2))
    described = [catalogue.load("dct_faces", k_global=k).describe(faces["crops"]) for k in SWEEP]
    for split in splits:
        enrolled = halves(who, split)
        for row, k, found in zip(shares, SWEEP, described, strict=True):
            recognizer = _enrolled(found, who, enrolled, k_global=k)
            distances = recognizer.compare(_of(found, ~enrolled))
            rates = np.array(list(recognizer.rates.values()))
            row += [_shares(distances, weight, who[~enrolled]).mean() for weight in (np.eye(4)[0], rates)]
    return [[float(value) for value in row] for row in shares / len(splits)]


def _strangers(faces: dict[str, Any], rounds: int, rng: np.random.Generator) -> dict[str, Any]:
    """Share of each person's pictures accepted while it is a stranger, for every arm; and rates in words."""
    found, who = faces["found"], faces["who"]
    people = np.unique(who)
    groups = np.array_split(rng.permutation(people), rounds)
    arms = {name: np.zeros(len(people)) for name in ("agreement", "threshold alone", "random veto")}
    said = []
    for group in groups:
        away = np.isin(who, group)
        enrolled = halves(who, rng) & ~away
        recognizer = _enrolled(found, who, enrolled)
        home = _answers(recognizer, _of(found, ~enrolled & ~away))
        strange = _answers(recognizer, _of(found, away))
        right = home["best"] == np.array([f"{person:02}" for person in who[~enrolled & ~away]])
        often = home["agreed"].mean()
        vetoes = {
            "agreement": (home["agreed"], strange["agreed"]),
            "threshold alone": (np.ones_like(right), np.ones(len(strange["score"]), bool)),
            "random veto": (rng.random(len(right)) < often, rng.random(len(strange["score"])) < often),
        }
        count = min(int(np.ceil((1 - FRR) * len(right))), *(int((right & yes).sum()) for yes, _ in vetoes.values()))
        for name, (yes, let_in) in vetoes.items():
            threshold = np.sort(home["score"][right & yes])[-count] if count else np.inf
            taken = (strange["score"] >= threshold) & let_in
            for person in group:
                arms[name][person] = taken[who[away] == person].mean()
            if name == "threshold alone":
                kept = right & (home["score"] >= threshold)
                both = (taken.mean(), (taken & strange["agreed"]).mean(), 1 - kept.mean())
                same = (*both, 1 - (kept & home["agreed"]).mean())
        said.append([1 - count / len(right), 1 - (right & home["agreed"]).mean(), *same])
    return {"arms": arms, "said": np.mean(said, axis=0)}


def _answers(recognizer: Any, faces: list[F64]) -> dict[str, Any]:
    """Whom the recognizer takes each face for, how sure it is, and whether face and parts agree on it."""
    scores = recognizer.scores(faces)
    best = np.array(recognizer.people)[scores.argmax(axis=1)]
    agreed = np.array([name is not None for name in recognizer.identify(faces)])
    return {"best": best, "score": scores.max(axis=1), "agreed": agreed}

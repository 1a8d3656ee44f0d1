"""Paper 104, Cross-Age LFW: what makes its pairs hard, matched strangers and years between pictures, taken apart.

CALFW itself is not at hand, nor are ages of LFW's people. So each half stands on what there is, and says which.

`calfw` stands on photographs: LFW's pictures of View 2, MobileFaceNet (CASIA), sex by first name (508 women and 1,416
men; noisy). Unit: a person of known sex. Metric: share of a person's comparisons with other people that are accepted,
at the threshold that one in 1,000 comparisons of any other two people reaches; people are cut in two halves at random,
one cut a seed, and each half is judged at the threshold of the other. Arms: strangers of the same sex, any strangers.
Control: of the same sex, when sexes are dealt out anew. Expected: 0.0014 against 0.001. Refuted if the interval of the
gain holds 0, it is under 0.0002, or the control gains. Beside it, without a part in the verdict: the accuracy on View 2
by both threshold rules, which pins alignment and protocol (published for this network with its own detector: about
0.992; below 0.98 something is wrong); a proxy of CALFW, built by `build_cross_age_pairs` with matched and with random
strangers, in which the "age" of a picture is the day it was published, so that mated pairs are weeks or months apart
and not years; and View 2 with what comparators learn from nine folds.

`calfw_aging` stands on simulated faces: 200 people, six pictures each, ages of 18 to 90 drawn independently of all
else, in the easier world of the fixtures. Unit: a person. Metric: share of mated pairs missed by f_eval at the
threshold of a false match rate of 1 % on other people. Arms: the two pictures furthest apart in age; any two. Control:
furthest apart when the ages of a person's pictures are dealt out anew. Expected: 0.06 against 0.04. Refuted if the
interval of the gain holds 0, it is under 0.01, or the control gains. f_eval was trained on pictures of all ages, and
the simulator's ageing is wrinkles, color and hair: how far apart years put photographs is not shown here.

Written before the first run.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus import catalogue
from vultus.claims import ClaimResult, Context, claim
from vultus.claims._linear import RandomProjection
from vultus.errors import Refused
from vultus.evaluate.metrics.folds import fold_accuracy
from vultus.evaluate.protocols.calfw import build_cross_age_pairs
from vultus.evaluate.protocols.lfw_family import Judging, verification
from vultus.io import images
from vultus.io.datasets import lfw_pairs
from vultus.io.datasets.records import Dataset, Pairs
from vultus.io.datasets.tables import text_of
from vultus.ops import roc
from vultus.sim import faces
from vultus.types import ComparisonTable, Embedded, Provenance

__all__ = ["calfw", "calfw_aging"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Rows = NDArray[np.float32]

FMR, AGING_FMR = 1e-3, 1e-2
CHUNK = 400
WORLD = faces.World(yaw_deg=30.0, pitch_deg=10.0, roll_deg=8.0, hats=0.0, eyewear=0.0, beards=0.0)
LEARNERS = ("kissme", "sild", "lda", "joint_bayes")


@claim(paper=104, minutes=25, scale="nano", seeds=3)
def calfw(ctx: Context) -> ClaimResult:
    """Strangers of the same sex are taken for each other more often than any strangers."""
    rows, pairs, sex, days = _photographs(ctx)
    known = np.array([word != "" for word in sex])
    code = np.unique(sex, return_inverse=True)[1]
    arms: dict[str, list[F64]] = {"same sex": [], "any strangers": [], "sexes dealt out": []}
    taus = []
    for done, seed in enumerate(ctx.seeds):
        ctx.progress(done, len(ctx.seeds), "halves")
        dealt = code.copy()
        dealt[known] = ctx.rng("dealt", seed).permutation(code[known])
        half = ctx.rng("halves", seed).permutation(len(sex)) % 2
        found = ctx.step(f"halves-{seed}", _accepted, rows, pairs.subjects, half, (code, dealt), known)
        for name in arms:
            arms[name].append(found[name][known])
        taus += found["thresholds"]
    extra = ctx.step("accuracies", _accuracies, ctx.scale, rows, pairs, sex, days)
    return ClaimResult(
        arms={name: np.array(values) for name, values in arms.items()},
        method="same sex",
        baseline="any strangers",
        controls=("sexes dealt out",),
        units=np.flatnonzero(known).tolist(),
        unit="person",
        metric="share of a person's comparisons with others that are accepted",
        higher_is_better=True,
        min_effect=0.0002,
        data="sim" if ctx.scale == "tiny" else "real",
        extra={**extra, "mean threshold": float(np.mean(taus))},
        notes="higher means harder; each comparison counts for both of its people, but people are drawn on one side "
        "only, so the interval is somewhat too narrow; mated pairs of the proxy are days apart, not years",
    )


@claim(paper=104, minutes=25, scale="nano", seeds=6)
def calfw_aging(ctx: Context) -> ClaimResult:
    """The two pictures of a person that are furthest apart in age are missed more often than any two."""
    tiny = ctx.scale == "tiny"
    judge = RandomProjection("f_eval", 2) if tiny else ctx.fixtures.f_eval()
    people, each = (16, 4) if tiny else (200, 6)
    arms: dict[str, list[F64]] = {"furthest apart": [], "any two": [], "ages dealt out": []}
    said: list[list[float]] = []
    for done, seed in enumerate(ctx.seeds):
        ctx.progress(done, len(ctx.seeds), "seeds")
        album = ctx.step(f"album-{seed}", _album, people, each, ctx.rng("album", seed), judge)
        found = ctx.step(f"missed-{seed}", _missed, album, people, ctx.rng("missed", seed))
        for name in arms:
            arms[name].append(found[name])
        said.append(found["said"])
    words = (
        "mean gap in years, furthest apart",
        "mean gap in years, any two",
        "equal error rate of f_eval on these people",
        "accuracy, cross-age set with matched strangers",
        "accuracy, ages dealt out, matched strangers",
        "accuracy, cross-age set with random strangers",
    )
    return ClaimResult(
        arms={name: np.array(values) for name, values in arms.items()},
        method="furthest apart",
        baseline="any two",
        controls=("ages dealt out",),
        units=range(people),
        unit="person",
        metric="share of mated pairs missed at a false match rate of 1 %",
        higher_is_better=True,
        min_effect=0.01,
        data="sim",
        extra={word: float(np.mean([one[k] for one in said])) for k, word in enumerate(words)},
        notes="higher means harder; accuracies are of four folds, strangers matched by sex and skin tone",
        provenance=(Provenance("sim.faces"),),
        judges=(judge.space,),
    )


def _photographs(ctx: Context) -> tuple[Rows, Pairs, list[str], F64]:
    """Vectors, pairs of View 2, sex of each person by first name, and the day each picture was published."""
    if ctx.scale == "tiny":
        return _drawn(ctx)
    root = ctx.data
    if root is None or not (root / "lfw_deepfunneled").is_dir() or not (root / "lfw_meta").is_dir():
        raise Refused("LFW: expected its pictures and lists in lfw_deepfunneled and lfw_meta of VULTUS_DATA")
    pairs = lfw_pairs(root / "lfw_meta/pairs.txt", root / "lfw_deepfunneled")
    chunks = [pairs.paths[k : k + CHUNK] for k in range(0, len(pairs.paths), CHUNK)]
    found = []
    for k, chunk in enumerate(chunks):
        ctx.progress(k, len(chunks), "embed")
        found.append(ctx.step(f"embed-{k}", _embedded, chunk))
    table = csv.DictReader(text_of(root / "lfw_meta/lfw_person_gender.csv").splitlines())
    sex = {row["person"]: row["gender_from_first_name"] for row in table}
    return (
        np.concatenate(found),
        pairs,
        [sex.get(name, "") for name in pairs.dataset.names],
        _days(root / "lfw_meta/mapping.txt", pairs.paths),
    )


def _embedded(paths: Sequence[Path]) -> Rows:
    """Vectors of the faces nearest to the middle; zeros where none is found."""
    detector, aligner = catalogue.load("centerface"), catalogue.load("similarity5")
    embedder = catalogue.load("mobilefacenet_casia")
    crops, at = [], []
    rows = np.zeros((len(paths), embedder.dim), np.float32)
    for k, path in enumerate(paths):
        picture = images.read(path, truncated="accept").pixels
        found = detector.detect([picture])[0]
        if len(found):
            left, top, right, bottom = found.boxes.T
            height, width = picture.shape[:2]
            central = int(np.argmin((left + right - width) ** 2 + (top + bottom - height) ** 2))
            crops.append(aligner.align(picture, found.points[central][None], embedder.crop)[0][0])
            at.append(k)
    rows[at] = embedder.embed(np.stack(crops)).vec
    return rows


def _days(mapping: Path, paths: Sequence[Path]) -> F64:
    """(N,) day on which each picture was published, by LFW's mapping to the news photographs it was cut from."""
    day = {}
    for line in text_of(mapping).splitlines():
        person, number, source = line.split("\t")[:3]
        year, month, of_month = source.split("/")[:3]
        day[f"{person}_{int(number):04d}"] = float(np.datetime64(f"{year}-{month}-{of_month}").astype(np.int64))
    return np.array([day[path.stem] for path in paths])


def _drawn(ctx: Context) -> tuple[Rows, Pairs, list[str], F64]:
    """The same, made of numbers: 40 people of whom nothing is a photograph."""
    rng = ctx.rng("drawn")
    who = np.repeat(np.arange(40), 3)
    rows = rng.standard_normal((40, 16))[who] + 0.7 * rng.standard_normal((120, 16))
    paths = tuple(Path(f"P{s:02}_{k % 3}.png") for k, s in enumerate(who))
    dataset = Dataset("drawn", paths, who, tuple(f"P{s:02}" for s in range(40)), tier="sim")
    first = np.arange(0, 120, 3)
    ends = np.concatenate([first, first]), np.concatenate([first + 1, (first + 12) % 120])  # four on: same fold
    pairs = Pairs(dataset, *ends, np.tile(np.arange(40) % 4, 2))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit.astype(np.float32), pairs, ["female", "male"] * 20, rng.permutation(120).astype(float)


def _accepted(rows: Rows, who: I64, half: I64, sexes: tuple[I64, I64], known: NDArray[np.bool_]) -> dict[str, Any]:
    """(S,) share of each person's comparisons that are accepted, by whom they are compared with; and thresholds."""
    people = len(known)
    shares = {name: np.zeros(people) for name in ("same sex", "any strangers", "sexes dealt out")}
    sides = [np.flatnonzero((half == k)[who] & known[who]) for k in (0, 1)]
    taus = []
    for own, others in (sides, sides[::-1]):
        scores = rows[others] @ rows[others].T
        apart = np.triu(who[others][:, None] != who[others])
        rate = FMR if people > 100 else 0.2
        tau = roc.threshold_at_fmr(scores[apart], rate)
        taus.append(float(tau))
        mine = who[own]
        accepted = rows[own] @ rows[own].T >= tau
        strangers = mine[:, None] != mine
        for name, code in (("same sex", sexes[0]), ("any strangers", None), ("sexes dealt out", sexes[1])):
            counted = strangers if code is None else strangers & (code[mine][:, None] == code[mine])
            totals = [np.bincount(mine, table.sum(1), minlength=people) for table in (accepted & counted, counted)]
            there = totals[1] > 0
            shares[name][there] = totals[0][there] / totals[1][there]
    return {**shares, "thresholds": taus}


def _accuracies(scale: str, rows: Rows, pairs: Pairs, sex: list[str], days: F64) -> dict[str, float]:
    """Accuracy on View 2 and on the proxy, with what is learned; figures beside the claim."""
    place = {path: k for k, path in enumerate(pairs.paths)}

    def embed(paths: Sequence[Path]) -> tuple[Embedded, NDArray[np.bool_]]:
        own = rows[[place[path] for path in paths]]
        found = np.asarray(own.any(axis=1), np.bool_)
        return Embedded(own[found], "mobilefacenet_casia@000000000000"), found

    rules = Judging(n_boot=20)
    dim = 4 if scale == "tiny" else 64
    learners = {name: partial(catalogue.load, name, dim=dim) for name in LEARNERS}
    view2 = verification(pairs, embed, rules, learners=learners).metrics
    extra = {
        f"View 2, {words}": float(view2[name].value or 0.0)
        for name, words in (
            ("pairs.accuracy", "accuracy"),
            ("pairs.accuracy_grid", "accuracy by the grid"),
            ("pairs.accuracy_centered", "accuracy, centered"),
            *((f"learned.{name}", f"{name} on {dim} axes") for name in LEARNERS),
        )
    }
    dated = np.bincount(pairs.subjects, minlength=len(sex)) > 1
    able = int(sum(bool(sex[s]) and len(set(days[pairs.subjects == s])) > 1 for s in np.flatnonzero(dated)))
    folds, per_fold = (4, 3) if scale == "tiny" else (10, able // 10)
    for matched in (True, False):
        built = build_cross_age_pairs(
            pairs.dataset, lambda paths: days, sex, folds=folds, per_fold=per_fold, matched=matched, rng=1
        )
        words = "matched strangers" if matched else "random strangers"
        extra[f"proxy, {words}: accuracy"] = float(
            verification(built.pairs, embed, rules).metrics["pairs.accuracy"].value or 0.0
        )
        extra["proxy: mated pairs"] = float(built.pairs.same.sum())
        extra["proxy: mean days between mated pictures"] = float(built.gaps[built.pairs.same].mean())
    return extra


def _album(people: int, each: int, rng: np.random.Generator, judge: Any) -> dict[str, Any]:
    """Vectors, ages, sex and skin tone of simulated people, `each` pictures of everybody one after the other."""
    seeds = rng.choice(np.asarray(faces.people("test")), people, replace=False)
    persons = [faces.person_of(int(seed), WORLD) for seed in seeds]
    rows, ages = [], []
    for person in persons:
        factors = [faces.sample_factors(rng, world=WORLD, person=person) for _ in range(each)]
        rows.append(judge.embed(faces.render_batch([person] * each, factors, size=64, lod=0)["image"]).vec)
        ages += [factor.age for factor in factors]
    tone = np.array([person.tone_ita_deg for person in persons])
    return {
        "rows": np.concatenate(rows),
        "ages": np.array(ages, np.float64),
        "male": np.array([person.sex_axis > 0 for person in persons]),
        "light": tone > np.median(tone),
    }


def _missed(album: dict[str, Any], people: int, rng: np.random.Generator) -> dict[str, Any]:
    """(S,) share of mated pairs of each person that are missed, by how the pair is chosen; and figures beside it."""
    rows, ages = album["rows"], album["ages"]
    each = len(rows) // people
    who = np.repeat(np.arange(people), each)
    scores = (rows @ rows.T).astype(np.float64)
    tau = _thresholds(scores, who, rng)
    i, j = np.triu_indices(each, 1)
    of_person = np.arange(people)[:, None] * each
    missed = scores[of_person + i, of_person + j] < tau[:, None]
    dealt = np.concatenate([rng.permutation(own) for own in ages.reshape(people, each)])
    furthest = [np.abs(a.reshape(people, each)[:, i] - a.reshape(people, each)[:, j]) for a in (ages, dealt)]
    chosen = [gap.argmax(axis=1) for gap in furthest]
    at = np.arange(people)
    same = scores[of_person + i, of_person + j].ravel()
    eer = roc.eer(same, scores[np.triu(who[:, None] != who)])
    sets = [
        _set_accuracy(album, a, people, matched, rng) for a, matched in ((ages, True), (dealt, True), (ages, False))
    ]
    return {
        "furthest apart": missed[at, chosen[0]].astype(np.float64),
        "any two": missed.mean(axis=1),
        "ages dealt out": missed[at, chosen[1]].astype(np.float64),
        "said": [float(furthest[0].max(axis=1).mean()), float(furthest[0].mean()), float(eer), *sets],
    }


def _thresholds(scores: F64, who: I64, rng: np.random.Generator) -> F64:
    """(S,) threshold for each person, from strangers of the half of the people it is not in."""
    people = int(who.max()) + 1
    half = rng.permutation(people) % 2
    taus = np.empty(people)
    for k in (0, 1):
        others = half[who] != k
        part = scores[np.ix_(others, others)]
        apart = np.triu(who[others][:, None] != who[others])
        taus[half == k] = roc.threshold_at_fmr(part[apart], AGING_FMR if people > 100 else 0.2)
    return taus


def _set_accuracy(album: dict[str, Any], ages: F64, people: int, matched: bool, rng: np.random.Generator) -> float:
    """Accuracy of four folds on the set that the construction makes of the album."""
    each = len(ages) // people
    paths = tuple(Path(f"{k}.png") for k in range(len(ages)))
    meta = Dataset(
        "simulated", paths, np.repeat(np.arange(people), each), tuple(f"{s:03}" for s in range(people)), tier="sim"
    )
    sex = ["male" if male else "female" for male in album["male"]]
    tone = ["light" if light else "dark" for light in album["light"]]
    folds, race = (4, tone) if people > 100 else (2, None)
    built = build_cross_age_pairs(
        meta, lambda _: ages, sex, race, folds=folds, per_fold=people // (2 * folds), matched=matched, rng=rng
    ).pairs
    used = np.array([int(path.stem) for path in built.paths])
    left, right = used[built.left], used[built.right]
    score = np.clip((album["rows"][left] * album["rows"][right]).sum(1), -1, 1).astype(np.float64)
    table = ComparisonTable(score, built.same, built.subjects[built.left], built.subjects[built.right], "test")
    return float(fold_accuracy(table, built.folds, rng=rng, n_boot=2).mean.value or 0.0)

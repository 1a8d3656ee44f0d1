"""SIG, the pipeline for balanced sets of people who do not exist: its checks, its balance, and what such a set reveals.

arXiv:2409.08345 says that prompts with slots and a reference picture give a balanced set in which every person is one
person, and that such a set shows the bias of a recognizer. Three claims take that apart, all on a simulated text-to-
image model that disobeys on purpose (`vultus.evaluate.simulated_model.Flaws`, defaults unless said). Detector, pose and
attributes of the checks are the simulator's truth in all three: they show what checks do, not how such models err.

`sig`. Arms: pictures with checks (identity by f_train) and without. Unit: a person's place in the set. Metric: mean
cosine between the poses of a person, by the judge f_eval, which is in no check. Control: as many pictures thrown away,
by chance. Expected: a quarter of the further pictures drift, so the checks raise the mean; the judge's EER, beside it,
falls. Refuted if the interval holds 0, or if throwing away by chance gains as well: then redrawing does it, and not
checking.

`sig_balance`. Arms: every place filled by redrawing, and one prompt per place with what fails the checks left out.
Unit: a cell of group, gender and age. Metric: how many people a cell is away from the wanted number, after the checks.
Elderly people and group D are drawn badly (four times the wrong attributes). Expected: 0 everywhere against several.
Refuted if prompting alone is as even.

`sig_bias`. A linear recognizer is trained without one group and on all groups, with as many people; each of the four
groups is left out in turn. Unit: a person of the set. Metric: share of the comparisons with other people of the own
group that are accepted, at the threshold of a false match rate of 1 % on other people of all groups. Arms: trained
without the person's group, on all groups, and (control) without another group. Expected: directions that tell the
people of a group apart are missing where it was not seen, so false matches rise. Refuted if they do not, or if leaving
out any group raises them. Beside it: in how many of the fairness reports the left-out group is flagged as above all
others. Before the claim was written, a trial with other people gave the sizes; groups A and D have the palest and the
darkest skin and are high under every recognizer, so single groups are not compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.claims import ClaimResult, Context, claim
from vultus.claims._linear import LinearRecognizer, RandomProjection, aligned
from vultus.evaluate.balanced_set import simulated
from vultus.evaluate.fairness import About, Groups, Settings, fairness
from vultus.evaluate.simulated_model import Flaws
from vultus.io import annotate
from vultus.ops import roc
from vultus.types import U8, Basis, ComparisonTable, Provenance

__all__ = ["sig", "sig_balance", "sig_bias"]

F64 = NDArray[np.float64]

GROUPS = ("A", "B", "C", "D")
EVEN = Flaws(no_face=0, pose_deg=4, attribute=0, drift=0, slack=0.05, favorite=0)  # an obedient model
BAD = Flaws(hard={("age", "old"): 4.0, ("group", "D"): 4.0})
NEAR = {
    "frontal": ("facing the camera", 0.0),
    "left": ("turned slightly left", -12.0),
    "right": ("turned slightly right", 12.0),
}
SMALL = {"groups": ["A", "D"], "genders": ["female"], "ages": ["young", "old"]}


@claim(paper=76, minutes=10, scale="nano", seeds=3)
def sig(ctx: Context) -> ClaimResult:
    """Pictures of one person are more alike with the checks than without, by a judge that is in none of them."""
    if ctx.scale == "tiny":
        surrogate, judge = RandomProjection("f_train", 1), RandomProjection("f_eval", 2)
    else:
        surrogate, judge = ctx.fixtures.f_train(), ctx.fixtures.f_eval()
    per_cell, slots = (1, SMALL) if ctx.scale == "tiny" else (4, {})
    names = ("checked", "unchecked", "by chance")
    arms: dict[str, list[F64]] = {name: [] for name in names}
    extra: dict[str, float | str] = {}
    thrown: Counter[str] = Counter()
    errors: dict[str, list[float]] = {name: [] for name in names}
    sheet: U8 | None = None
    units: list[str] = []
    for at, seed in enumerate(ctx.seeds):
        limits = ctx.step(f"limits-{seed}", _limits, surrogate, seed, slots)
        share = 0.0  # of the pictures that the checks throw away
        for name in names:
            step = f"{name.replace(' ', '-')}-{seed}"
            made = ctx.step(step, _made, name, (per_cell, slots, seed), (surrogate, judge), limits, share)
            if name == "checked":
                share = float(made["thrown"]) / max(1.0, float(made["drawn"]))
                thrown.update({key: int(n) for key, n in made["reasons"].items()})
                sheet = made["sheet"] if sheet is None else sheet
            arms[name].append(made["genuine"])
            errors[name].append(float(made["eer"]))
            units = made["units"]
            ctx.progress(3 * at + names.index(name) + 1, 3 * len(ctx.seeds), "sets")
    for name in names:
        extra[f"EER by the judge, {name}"] = float(np.mean(errors[name]))
        extra[f"EER by the judge, {name}, single seeds"] = ", ".join(f"{e:.4f}" for e in errors[name])
    extra |= {f"thrown away: {reason}": float(n) for reason, n in thrown.most_common()}
    return ClaimResult(
        {name: np.stack(rows) for name, rows in arms.items()},
        method="checked",
        baseline="unchecked",
        controls=("by chance",),
        units=units,
        unit="person",
        metric="mean cosine between the poses of a person, by the judge",
        higher_is_better=True,
        data="sim",
        judges=(judge.space,),
        provenance=(
            Provenance("sig", base="sim.faces", basis_id="synthetic", loss_spaces=frozenset({surrogate.space})),
        ),
        extra=extra,
        picture=sheet,
        notes="Detector, pose and attributes of the checks are the simulator's truth; identity is checked by f_train.",
    )


@claim(paper=76, minutes=25, scale="nano", seeds=3)
def sig_balance(ctx: Context) -> ClaimResult:
    """Every cell holds exactly the wanted number of people after the checks, where prompting alone does not."""
    per_cell, slots = (1, SMALL) if ctx.scale == "tiny" else (6, {})
    arms: dict[str, list[F64]] = {"redrawn": [], "prompted once": []}
    chi: dict[str, list[float]] = {name: [] for name in arms}
    units: list[str] = []
    for at, seed in enumerate(ctx.seeds):
        for name in arms:
            counts, units = ctx.step(f"{name.replace(' ', '-')}-{seed}", _counts, name, per_cell, slots, seed)
            arms[name].append(np.abs(counts - per_cell).astype(np.float64))
            mean = max(float(counts.mean()), 1e-12)
            chi[name].append(float(((counts - mean) ** 2).sum() / mean))
        ctx.progress(at + 1, len(ctx.seeds), "seeds")
    extra = {
        f"chi-square over the cells, {name}": ", ".join(f"{x:.2f}" for x in values) for name, values in chi.items()
    }
    return ClaimResult(
        {name: np.stack(rows) for name, rows in arms.items()},
        method="redrawn",
        baseline="prompted once",
        units=units,
        unit="cell",
        metric=f"people that a cell is away from the wanted {per_cell}",
        higher_is_better=False,
        data="sim",
        extra=extra,
        notes="All checks, identity as well, are the simulator's truth.",
    )


@claim(paper=76, minutes=25, scale="nano", seeds=3)
def sig_bias(ctx: Context) -> ClaimResult:
    """A recognizer that never saw a group makes more false matches inside it, and the balanced set shows it."""
    sizes, slots = ((2, 2, 2), {"genders": ["female"], "ages": ["young"]}) if ctx.scale == "tiny" else ((6, 4, 3), {})
    names = ("without the group", "all groups", "without another")
    arms: dict[str, list[F64]] = {name: [] for name in names}
    units: list[str] = []
    flagged = Counter({name: 0 for name in names})
    for at, seed in enumerate(ctx.seeds):
        albums = [
            ctx.step(f"{part}-{seed}", _album, size, 10 * seed + k, slots)
            for k, (part, size) in enumerate(zip(("train", "test", "dev"), sizes, strict=True))
        ]
        found = ctx.step(f"rates-{seed}", _rates, albums, seed)
        units = found["units"]
        for name in names:
            arms[name].append(found[name])
            flagged[name] += int(found[f"flagged {name}"])
        ctx.progress(at + 1, len(ctx.seeds), "seeds")
    reports = len(GROUPS) * len(ctx.seeds)
    rates = {g: np.array([u.startswith(g) for u in units]) for g in GROUPS}
    extra: dict[str, float | str] = {
        f"reports of {reports} that flag the group, {name}": float(flagged[name]) for name in names
    }
    for name in names:
        mean = np.stack(arms[name]).mean(0)
        extra[f"FMR inside each group, {name}"] = ", ".join(f"{g} {mean[rates[g]].mean():.4f}" for g in GROUPS)
    return ClaimResult(
        {name: np.stack(rows) for name, rows in arms.items()},
        method="without the group",
        baseline="all groups",
        controls=("without another",),
        units=units,
        unit="person",
        metric="share of comparisons inside the group that are falsely accepted (more: the bias shows)",
        higher_is_better=True,
        data="sim",
        extra=extra,
        notes="The recognizer is a linear projection trained in the claim; it stands for any that misses a group.",
    )


# ---------------------------------------------------------------- checks on and off
class _Chance:
    """Checks that throw pictures away at random."""

    spaces: frozenset[str] = frozenset()

    def __init__(self, share: float, rng: np.random.Generator) -> None:
        self._share, self._rng = share, rng
        self.embedder = type("Nothing", (), {"space": "none@000000000000"})()

    def look(self, image: U8, persona: Any, yaw_deg: float) -> tuple[Any, Any]:
        """Whether it is thrown away."""
        wrong = ("chance", 0.0, 0.0) if self._rng.random() < self._share else None
        return wrong, np.ones(1, np.float32)

    def new(self, vector: Any, kept: Any) -> None:
        """Nothing is wrong with anybody."""

    def same(self, vector: Any, first: Any) -> None:
        """Nor with any picture."""


def _limits(surrogate: Any, seed: int, slots: Mapping[str, Any]) -> dict[str, float]:
    """Limits of the identity checks, on people of an obedient model who are in no set."""
    pipeline = simulated(size=64, lod=0, flaws=EVEN, slots=slots)
    pipeline.checks = None
    vectors, who = [], []
    for k, slot in enumerate(pipeline.run(2, basis=Basis.synthetic(), seed=1000 + seed)):
        vectors.append(surrogate.embed(_stacked(slot)).vec)
        who += [k] * len(slot.pictures)
    score, mated, _, _ = _pairs(np.concatenate(vectors), np.array(who))
    return {
        "same_above": float(np.quantile(score[mated], 0.1)),
        "unique_below": float(np.quantile(score[~mated], 0.999)),
    }


def _made(
    name: str,
    which: tuple[int, Mapping[str, Any], int],
    nets: tuple[Any, Any],
    limits: Mapping[str, float],
    share: float,
) -> dict[str, Any]:
    """A set under an arm, measured by the judge."""
    per_cell, slots, seed = which
    surrogate, judge = nets
    pipeline = simulated(size=64, lod=0, slots=slots, limits=limits)
    checks, truth = type(pipeline.checks), pipeline.checks.detector
    if name == "checked":
        pipeline.checks = checks(truth, truth, surrogate, truth, truth, **limits)
    else:
        pipeline.checks = _Chance(share, np.random.default_rng([seed, 7])) if name == "by chance" else None
    vectors, who, units, pictures = [], [], [], []
    reasons: Counter[str] = Counter()
    for k, slot in enumerate(pipeline.run(per_cell, basis=Basis.synthetic(), seed=seed)):
        stack = _stacked(slot)
        vectors.append(judge.embed(stack).vec)
        who += [k] * len(stack)
        units.append("-".join((*slot.cell, str(slot.number))))
        reasons.update(r.reason for r in slot.rejected)
        pictures += list(stack) if k < 12 else []
    score, mated, ref, _ = _pairs(np.concatenate(vectors), np.array(who))
    genuine = np.bincount(ref[mated], score[mated]) / np.bincount(ref[mated])
    thrown = sum(reasons.values())
    return {
        "genuine": genuine,
        "eer": roc.eer(score[mated], score[~mated]),
        "units": units,
        "thrown": float(thrown),
        "drawn": float(thrown + len(who)),
        "reasons": {key: float(n) for key, n in reasons.items()},
        "sheet": annotate.montage(pictures, columns=9, side=64),
    }


def _counts(name: str, per_cell: int, slots: Mapping[str, Any], seed: int) -> tuple[NDArray[np.int64], list[str]]:
    """People in each cell after the checks."""
    pipeline = simulated(size=64, lod=0, flaws=BAD, slots=slots)
    if name == "prompted once":
        pipeline.retries, pipeline.persons, pipeline.strict = 0, 1, False
    places = pipeline.run(per_cell, basis=Basis.synthetic(), seed=seed)
    found = Counter(slot.cell for slot in places if slot.filled)
    cells = pipeline.builder.cells
    return np.array([found[cell] for cell in cells], np.int64), ["-".join(cell) for cell in cells]


# ---------------------------------------------------------------- a recognizer that never saw a group
def _album(per_cell: int, seed: int, slots: Mapping[str, Any]) -> dict[str, Any]:
    """Crops of a set, whose they are, and the group of each person."""
    pipeline = simulated(size=64, lod=0, flaws=EVEN, poses=NEAR, slots=slots)
    backend, builder = pipeline.backend, pipeline.builder
    images: list[U8] = []
    who: list[int] = []
    groups: list[str] = []
    for number in range(per_cell):
        for cell in builder.cells:
            persona = builder.persona(cell, number, 0, 5000 + seed)
            first: U8 | None = None
            for k, pose in enumerate(builder.poses):
                words = builder.prompt(persona, pose)
                images.append(backend.generate(words, "", seed=persona.seed + k, pose=pose, reference=first))
                first = images[-1] if first is None else first
                who.append(len(groups))
            groups.append(cell[0])
    return {"rows": aligned(images, [backend.fact(i).points for i in images]), "who": np.array(who), "groups": groups}


def _rates(albums: list[dict[str, Any]], seed: int) -> dict[str, Any]:
    """FMR of each person inside the own group under each recognizer, and whether the fairness report flags it."""
    train, test, dev = albums
    of = np.array(test["groups"])
    result: dict[str, Any] = {"units": [f"{g}-{k}" for k, g in enumerate(test["groups"])]}
    by_group = {left: _one(train, test, dev, left, seed) for left in (None, *GROUPS)}
    choices: dict[str, Callable[[str], str | None]] = {
        "without the group": lambda g: g,
        "all groups": lambda g: None,
        "without another": lambda g: GROUPS[(GROUPS.index(g) + 2) % len(GROUPS)],
    }
    for name, left_out in choices.items():
        share = np.zeros(len(of))
        flags = 0
        for g in GROUPS:
            rates, alarms = by_group[left_out(g)]
            share[of == g] = rates[of == g]
            flags += any(alarm.startswith(f"{g}, FMR") and "above" in alarm for alarm in alarms)
        result |= {name: share, f"flagged {name}": float(flags)}
    return result


def _one(
    train: Mapping[str, Any], test: Mapping[str, Any], dev: Mapping[str, Any], left: str | None, seed: int
) -> tuple[F64, list[str]]:
    """Train on people of the other groups, as many whichever is left out; rates of people and alarms of the report."""
    rng = np.random.default_rng([seed, 11])
    of = np.array(train["groups"])
    used = [g for g in GROUPS if g != left]
    each = int(np.bincount([GROUPS.index(g) for g in train["groups"]]).min()) * (len(GROUPS) - 1) // len(used)
    kept = np.concatenate([rng.permutation(np.flatnonzero(of == g))[:each] for g in used])
    rows = np.isin(train["who"], kept)
    net = LinearRecognizer(train["rows"][rows], train["who"][rows])
    score, mated, *_ = _pairs(net.embed(dev["rows"]), dev["who"])
    tau = roc.threshold_at_fmr(score[~mated], 0.01, force=True)
    score, mated, ref, probe = _pairs(net.embed(test["rows"]), test["who"])
    groups = np.array(test["groups"])
    inside = ~mated & (groups[ref] == groups[probe])
    hits = (score >= tau) & inside
    n = len(groups)
    hit = np.bincount(ref[hits], minlength=n) + np.bincount(probe[hits], minlength=n)
    compared = np.bincount(ref[inside], minlength=n) + np.bincount(probe[inside], minlength=n)
    table = ComparisonTable(score, mated, ref, probe, "test")
    about = About("balanced set of simulated people", "sim")
    quick = Settings(n_boot=200, n_perm=999, min_errors=1)
    report = fairness(table, Groups.of(test["groups"], "simulated"), about, taus=[tau], settings=quick, rng=seed)
    return hit / np.maximum(compared, 1), list(report.provenance["alarms"])


def _stacked(slot: Any) -> U8:
    """(K, H, W, 3) pictures of a place."""
    return np.stack([made.images[0] for made in slot.pictures.values()])


def _pairs(vec: Any, who: NDArray[np.int64]) -> tuple[F64, NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
    """Every picture with every other one: score, same person, and both people."""
    i, j = np.triu_indices(len(who), 1)
    return (vec[i] * vec[j]).sum(1).astype(np.float64), who[i] == who[j], who[i], who[j]

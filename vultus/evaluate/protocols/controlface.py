"""A balanced set such as ControlFace10k: score distributions by group, gender, age and pose pair.

Nzalasse et al. 2024, arXiv:2409.08345. Every person is in one half: thresholds come from the dev
half, everything that is reported from the other. Each picture is compared with each; a picture without a face scores -1
in all its comparisons. Groups of people (race, gender, age) go through `vultus.evaluate.fairness`; pose belongs to a
picture, so pairs of poses are compared with one threshold, that of all dev comparisons.

`similarity_of_trends` says whether two sets, such as a synthetic and a real one, put groups in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError
from vultus.evaluate import _fairness, _fairness_metrics, _group_counts
from vultus.evaluate.fairness import About, Groups, Settings, fairness
from vultus.evaluate.metrics.all_pairs import UNDETECTED
from vultus.evaluate.metrics.verification import separation
from vultus.evaluate.protocols.lfw import Embed
from vultus.evaluate.provenance import licenses, provenance
from vultus.io.datasets.controlface import Faceted
from vultus.ops import roc, stats
from vultus.types import ComparisonTable, Metric, Report

__all__ = ["controlface", "kendall_tau", "similarity_of_trends", "split_people"]

I64 = NDArray[np.int64]

MAX_PAIRS = 20_000_000
SEPARATED = 400_000  # comparisons up to which d' and EER get an interval by redrawing people
NOTES = (
    "Every person is in one half of the set, dev or test, half of each cell in either; thresholds come from dev.",
    "A picture in which no face was found scores −1 in all its comparisons.",
    "Pose pairs: one threshold for all, fitted on all dev comparisons. Where each pose was taken once there is no "
    "mated comparison of a pose with itself.",
)


def controlface(
    faces: Faceted,
    embed: Embed,
    *,
    fmr_target: float = 1e-2,
    source: str | None = None,
    rng: np.random.Generator | int = 0,
    settings: Settings | None = None,
    title: str = "Balanced set",
) -> Report:
    """Run the protocol.

    Args:
        faces: the set; facets other than pose must be the same in all pictures of a person.
        embed: called once with all paths; unit vectors of the pictures with a face, and (N,) True where one was found.
        fmr_target: wanted false match rate, on the dev half.
        source: where the facets come from, see `Groups`; saying "model" here is to know it. None is "simulated" for a
            simulated set, else "annotator".
        rng: source of the draws, or its seed.
        settings: of the fairness reports.
        title: heading of the page.

    Returns:
        Metrics "race.*", "gender.*", "age.*" (and other facets of people) as in a fairness report, "separation.*" with
        d' and EER of each group, and "pose.*".

    Raises:
        InputError: fewer than two people in a half, an unsupported target, or as `fairness`.
    """
    seed, draws = (rng, np.random.default_rng(rng)) if isinstance(rng, int) else ("the caller's generator", rng)
    chosen = settings or Settings()
    embedded, found = embed(list(faces.dataset.paths))
    seen = np.asarray(found, bool)
    if seen.shape != (len(faces),) or len(embedded) != int(seen.sum()) or not seen.any():
        raise InputError(
            f"embed: expected {len(faces)} flags and a vector per picture with a face, got {len(embedded)}"
        )
    rows = np.zeros((len(faces), embedded.vec.shape[1]), np.float32)
    rows[seen] = embedded.vec
    facets = [facet for facet in faces.values if facet != "pose" and len(set(faces.values[facet]) - {""}) > 1]
    if not facets:
        raise InputError(f"faces: expected a facet of people with two values, got {dict(faces.values)}")
    dev_people = split_people(faces, facets, draws)
    dev_table, _ = _compared(rows, seen, faces.dataset.subjects, dev_people, "dev", draws)
    table, pictures = _compared(rows, seen, faces.dataset.subjects, ~dev_people, "test", draws)
    kind = source or ("simulated" if faces.dataset.tier == "sim" else "annotator")
    about = About(
        faces.dataset.name, faces.dataset.tier, (embedded.space,), title, trust_model_labels=source is not None
    )
    parts = _Parts()
    for facet in facets:
        groups = Groups.of(faces.of_people(facet), kind, key=facet, pictures=(faces.dataset.subjects, seen))
        one = fairness(
            table, groups, about, fmr_targets=[fmr_target], dev=(dev_table, groups), settings=chosen, rng=draws
        )
        parts.add(facet, one)
        parts.metrics |= _separated(table, groups, facet, draws, chosen.n_boot)
    tau = roc.threshold_at_fmr(dev_table.score[~dev_table.mated], fmr_target)
    if "pose" in faces.values:
        parts.metrics |= _poses(table, pictures, faces, tau, draws, chosen)
    facts = {
        "title": title,
        "headline": [
            f"{facet}-{_point(fmr_target)}.max_to_min_{kind}" for kind in ("fmr", "fnmr") for facet in facets[:2]
        ],
        "groups": {"separation": "Separation inside each group", "pose": "Pairs of poses", **parts.groups},
        "labels": parts.labels | {name: _words(name) for name in parts.metrics if name not in parts.labels},
        "tables": parts.tables,
        "thresholds": [{"name": "all", "value": tau, "source": f"FMR at most {fmr_target:g} on the dev half"}],
        "notes": [*NOTES, *parts.notes],
        "counts": _counts(dev_people, seen, table),
        "alarms": parts.alarms or ["no gap is shown"],
        **provenance(seed=seed),
        "licenses of the weights": licenses([embedded.space]),
    }
    words = f"{faces.dataset.name}: {len(faces.dataset.names)} people, {len(faces):,} pictures"
    return Report(
        "controlface",
        words,
        faces.dataset.tier,
        parts.metrics,
        parts.curves,
        (embedded.space,),
        facts,
        tuple(parts.missing),
    )


def _counts(dev: NDArray[np.bool_], seen: NDArray[np.bool_], table: ComparisonTable) -> dict[str, int]:
    return {
        "people, dev": int(dev.sum()),
        "people, test": int((~dev).sum()),
        "pictures": len(seen),
        "pictures without a detected face": int((~seen).sum()),
        "test comparisons": len(table),
    }


def split_people(faces: Faceted, facets: Sequence[str], rng: np.random.Generator) -> NDArray[np.bool_]:
    """(S,) True for the people of the dev half: half of each cell of the facets, by chance."""
    cells = [faces.of_people(facet) for facet in facets] or [["all"] * len(faces.dataset.names)]
    of: dict[tuple[str, ...], list[int]] = {}
    for person, cell in enumerate(zip(*cells, strict=True)):
        of.setdefault(cell, []).append(person)
    dev = np.zeros(len(faces.dataset.names), bool)
    for people in of.values():
        dev[rng.permutation(people)[: (len(people) + int(rng.random() < 0.5)) // 2]] = True
    if min(dev.sum(), (~dev).sum()) < 2:
        raise InputError(f"faces: expected at least two people in each half, got {dev.sum()} and {(~dev).sum()}")
    return dev


def similarity_of_trends(
    a: Report, b: Report, *, kinds: Sequence[str] = ("fmr", "fnmr"), rng: np.random.Generator | int = 0
) -> dict[str, Metric]:
    """Whether two reports put the same groups in the same order.

    Args:
        a: report of `controlface` or `fairness`, with one threshold for all.
        b: of another set, with groups of the same names.
        kinds: which rates.
        rng: of the relabelings, or its seed.

    Returns:
        Kind -> Kendall's tau-b over the groups that both know; the note has the share of random orders that agree as
        much. None where fewer than four groups are known in both.
    """
    draws = np.random.default_rng(rng) if isinstance(rng, int) else rng
    result = {}
    for kind in kinds:
        left, right = _rates(a, kind), _rates(b, kind)
        shared = sorted(left.keys() & right.keys())
        if len(shared) < 4:
            result[kind] = Metric(None, n=len(shared), note=f"insufficient: {len(shared)} shared groups, 4 are needed")
            continue
        x, y = (np.array([side[key] for key in shared]) for side in (left, right))
        value = kendall_tau(x, y)
        drawn = [kendall_tau(x, draws.permutation(y)) for _ in range(2000)]
        p = (1 + sum(d >= value - 1e-12 for d in drawn)) / 2001
        result[kind] = Metric(value, unit="", n=len(shared), note=f"random orders agree as much in {p:.2g} of cases")
    return result


def kendall_tau(x: NDArray[Any], y: NDArray[Any]) -> float:
    """Kendall's tau-b of two (N,) columns; 0 where one is constant."""
    i, j = np.triu_indices(len(x), 1)
    a, b = np.sign(x[i] - x[j]), np.sign(y[i] - y[j])
    untied = float(np.sqrt(np.abs(a).sum() * np.abs(b).sum()))
    return float((a * b).sum() / untied) if untied else 0.0


class _Parts:
    """What the fairness reports of the facets bring together."""

    def __init__(self) -> None:
        self.metrics: dict[str, Metric] = {}
        self.labels: dict[str, str] = {}
        self.groups: dict[str, str] = {}
        self.tables: list[Any] = []
        self.curves: dict[str, Mapping[str, Any]] = {}
        self.notes: list[str] = []
        self.alarms: list[str] = []
        self.missing: list[str] = []

    def add(self, facet: str, one: Report) -> None:
        about = one.provenance
        self.metrics |= {f"{facet}-{name}": metric for name, metric in one.metrics.items()}
        self.labels |= {f"{facet}-{name}": f"{facet}: {words}" for name, words in about["labels"].items()}
        self.groups |= {f"{facet}-{name}": f"{facet}, {words}" for name, words in about["groups"].items()}
        self.tables += [{**table, "title": f"{facet}: {table['title']}"} for table in about["tables"]]
        self.curves |= {
            f"{facet}-{name}": {**curve, "figure": f"{facet}: {curve.get('figure', name)}"}
            for name, curve in one.curves.items()
        }
        self.notes = list(about["notes"])
        self.alarms += [f"{facet}: {alarm}" for alarm in about["alarms"] if alarm != "no gap is shown"]
        self.missing += [f"{facet}: {line}" for line in one.missing]


def _compared(
    rows: NDArray[np.float32],
    seen: NDArray[np.bool_],
    subjects: I64,
    half: NDArray[np.bool_],
    split: str,
    rng: np.random.Generator,
) -> tuple[ComparisonTable, tuple[I64, I64]]:
    """Every picture of a half with every other one; where there are too many, non-mated ones are drawn."""
    own = np.flatnonzero(half[subjects])
    i, j = _pairs(subjects[own], rng)
    left, right = own[i], own[j]
    scores = np.empty(len(left))
    for start in range(0, len(left), 1 << 20):
        part = slice(start, start + (1 << 20))
        scores[part] = (rows[left[part]] * rows[right[part]]).sum(1)
    scores = np.clip(scores, -1.0, 1.0)
    scores[~(seen[left] & seen[right])] = UNDETECTED
    who, other = subjects[left], subjects[right]
    return ComparisonTable(scores, who == other, who, other, split), (left, right)


def _pairs(who: I64, rng: np.random.Generator) -> tuple[I64, I64]:
    """Places i < j of every two pictures; more than `MAX_PAIRS` are not written out: all mated ones, others drawn."""
    n = len(who)
    if n * (n - 1) // 2 <= MAX_PAIRS:
        return np.triu_indices(n, 1)
    order = np.argsort(who, kind="stable")
    ends = np.cumsum(np.unique(who, return_counts=True)[1])[:-1]
    mated = [own[np.stack(np.triu_indices(len(own), 1))] for own in np.split(order, ends)]
    drawn = np.sort(rng.integers(n, size=(2, MAX_PAIRS)), axis=0)
    drawn = np.stack(np.divmod(np.unique(drawn[0] * n + drawn[1]), n))
    i, j = np.concatenate([*mated, drawn[:, who[drawn[0]] != who[drawn[1]]]], axis=1)
    return i, j


def _separated(
    table: ComparisonTable, groups: Groups, facet: str, rng: np.random.Generator, n_boot: int
) -> dict[str, Metric]:
    """Separation of the comparisons inside each group."""
    ref, probe = groups.labels[table.ref_subject], groups.labels[table.probe_subject]
    result: dict[str, Metric] = {}
    for g, name in enumerate(groups.names):
        part = _part(table, (ref == g) & (probe == g))
        result |= {f"separation.{facet} {name}, {key}": m for key, m in _separation(part, rng, n_boot).items()}
    return result


def _poses(
    table: ComparisonTable,
    pictures: tuple[I64, I64],
    faces: Faceted,
    tau: float,
    rng: np.random.Generator,
    settings: Settings,
) -> dict[str, Metric]:
    """d', EER, FMR and FNMR of each pair of poses."""
    of, values = faces.of["pose"], faces.values["pose"]
    first, second = (np.sort(np.stack([of[pictures[0]], of[pictures[1]]]), axis=0)[k] for k in (0, 1))
    result: dict[str, Metric] = {}
    for a, b in combinations_with_replacement(range(len(values)), 2):
        part, words = _part(table, (first == a) & (second == b)), f"pose.{values[a]} with {values[b]}"
        if len(part) == 0:
            continue
        if not part.mated.any():
            result[f"{words}, fmr"] = _false_matches(part, tau, rng, settings)
            continue
        (false,), (missed,) = stats.subject_bootstrap(
            part, [tau], rng=rng, n_boot=settings.n_boot, min_errors=settings.min_errors
        )
        result |= {f"{words}, fmr": false, f"{words}, fnmr": missed}
        result |= {f"{words}, {key}": m for key, m in _separation(part, rng, settings.n_boot).items()}
    return result


def _false_matches(part: ComparisonTable, tau: float, rng: np.random.Generator, settings: Settings) -> Metric:
    """FMR where nobody is compared with themselves."""
    everybody = np.zeros(int(max(part.ref_subject.max(), part.probe_subject.max())) + 1, np.int64)
    c = _group_counts.cast(part, everybody, 1)
    w = _fairness.weigh(c, settings, rng)
    hit = part.score[c.nonmated] >= tau
    pairs = [_group_counts.pair_counts(c.left[k], c.right[k], c.n) for k in (hit, np.ones_like(hit))]
    false, compared = (_group_counts.quadratic(p, c.edges, w)[0, 0] for p in pairs)
    return _fairness.rate(false, compared, c.n, settings.min_errors)


def _part(table: ComparisonTable, kept: NDArray[np.bool_]) -> ComparisonTable:
    return ComparisonTable(
        table.score[kept], table.mated[kept], table.ref_subject[kept], table.probe_subject[kept], table.split
    )


def _separation(part: ComparisonTable, rng: np.random.Generator, n_boot: int) -> dict[str, Metric]:
    people = len(np.unique([part.ref_subject, part.probe_subject]))
    if not part.mated.any() or part.mated.all():
        return {}
    if len(part) <= SEPARATED:
        both = separation(part, rng=rng, n_boot=min(n_boot, 200))
        return {"eer": both["eer"], "d_prime": both["d_prime"]}
    same, different = part.score[part.mated], part.score[~part.mated]
    note = "without interval: too many comparisons to redraw"
    return {
        "eer": Metric(roc.eer(same, different), unit="share", n=people, note=note),
        "d_prime": Metric(roc.d_prime(same, different), n=people, note=note),
    }


def _point(target: float) -> str:
    """First part of the names of a fairness report's metrics at a wanted rate."""
    return _fairness_metrics.prefix(_fairness.Point(_fairness.name_of(target), target, 0.0), False)


def _words(name: str) -> str:
    text = name.partition(".")[2]
    for key, words in (("fnmr", "FNMR"), ("fmr", "FMR"), ("eer", "EER"), ("d_prime", "d′")):
        if text.endswith(f", {key}"):
            return text.removesuffix(key) + words
    return text


def _rates(report: Report, kind: str) -> dict[str, float]:
    """Group -> rate under one threshold for all, at the strictest point that the report has."""
    found: dict[str, float] = {}
    for name, metric in report.metrics.items():
        start, _, rest = name.partition(".")
        facet, dash, _ = start.rpartition("-") if "-fmr_" in start else ("", "", "")
        group, _, what = rest.rpartition(".")
        if what == kind and group and group != "pooled" and "own_" not in start and metric.value is not None:
            found[f"{facet}{dash}{group}"] = metric.value
    return found

"""Error rates per group of people, side by side, and how sure their differences are.

Two policies stand beside each other. One threshold for everybody is what a deployment does; a threshold per group is a
diagnosis, which shows what remains when every group is brought to one false match rate. A false match rate of a group
is that of comparisons inside the group, which is what an impostor who resembles the owner meets; rates between groups
stand in a matrix.

People are drawn, never comparisons: inside each group as often as there are people in it. Gaps are tested by
relabeling people, with a statistic that allows for groups that differ in spread only, and by Holm over all tests of the
report, so that equal groups raise any alarm in at most 5 % of reports. Definitions of the measures over groups:
`vultus.evaluate.metrics.inequity`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError
from vultus.evaluate import _fairness, _fairness_metrics, _fairness_page, _group_counts
from vultus.evaluate._fairness import Settings
from vultus.evaluate._fairness_records import SOURCES, About, Disparity, Groups
from vultus.evaluate.provenance import provenance
from vultus.types import ComparisonTable, Metric, Report

__all__ = ["SOURCES", "About", "Disparity", "Groups", "Settings", "disparity_along_security", "fairness"]

I64 = NDArray[np.int64]

MIN_PEOPLE = 2
HEADLINE = ("max_to_min_fmr", "max_to_min_fnmr", "garbe", "fdr")


def fairness(
    table: ComparisonTable,
    groups: Groups,
    about: About,
    *,
    fmr_targets: Iterable[float] = (1e-2, 1e-3),
    taus: Iterable[float] | None = None,
    dev: tuple[ComparisonTable, Groups] | None = None,
    settings: Settings | None = None,
    rng: np.random.Generator | int = 0,
) -> Report:
    """Compare the error rates of groups of people.

    Args:
        table: comparisons, mated and non-mated; a comparison with a picture that could not be enrolled stands in it
            with the lowest score, so it is a miss where it is mated.
        groups: of the table's subjects.
        about: what the report states about its data.
        fmr_targets: wanted false match rates; the thresholds come from `dev`.
        taus: thresholds instead of targets; there is no policy of a threshold per group then.
        dev: comparisons and groups that thresholds are fitted on, of other people. Without it they are fitted on
            `table` itself, which must not be tagged test, and the report says so.
        settings: draws, relabelings, weights.
        rng: source of the draws, or its seed.

    Returns:
        Per group and pooled: FMR, FNMR and failures to enroll with intervals over people, score distributions and DET
        curves; the matrix of FMR between groups; measures over groups under both policies; tested gaps; how disparity
        grows with security. What the data cannot support is listed under `missing`.

    Raises:
        InputError: if there are fewer than two groups of two people, labels do not cover the subjects, thresholds
            would be fitted on test data, a target lacks 30 expected errors, or labels come from a model unsaid.
    """
    chosen = settings or Settings()
    seed, draws = (rng, np.random.default_rng(rng)) if isinstance(rng, int) else ("the caller's generator", rng)
    _trusted(groups, about)
    names, labels, dropped = _usable(table, groups)
    points = _points(labels, names, (table, groups), dev, (fmr_targets, taus))
    if len({point.name for point in points}) < max(len(points), 1):
        called = ", ".join(point.name for point in points) or "none"
        raise InputError(f"fmr_targets, taus: expected at least one, and no two that have one name, got {called}")
    c = _group_counts.cast(table, labels, len(names))
    w = _fairness.weigh(c, chosen, draws)
    numbers = _fairness.measure(table, c, points, w)
    failures = _failures(groups, c)
    numbers = _fairness.between(table, c, numbers, chosen, draws, failures)
    people = np.diff(c.edges)
    enrolled = _fairness.enrollment(failures, c, w)
    metrics, labels_of = _named(_fairness_metrics.metrics(numbers, names, people, chosen, enrolled))
    if len(points) > 1 and taus is None:
        more, words = _named(_security(_disparity(numbers, c.n, chosen)))
        metrics, labels_of = metrics | more, labels_of | words
    scores, pictures = _fairness_page.distributions(table, c, names)
    origin = "dev comparisons, of other people" if dev else "these very comparisons"
    facts = {
        "title": about.title,
        "headline": _headline(points, metrics),
        "groups": _fairness_page.groups_of_names(numbers, groups.key),
        "labels": labels_of,
        "tables": [*_fairness_page.tables(numbers, names, people, metrics, chosen), scores],
        "thresholds": _fairness_page.threshold_rows(numbers, names, origin if taus is None else "given by the caller"),
        "notes": list(_fairness_page.NOTES),
        "counts": _fairness_page.counts(table, c, names),
        "alarms": _fairness_metrics.alarms(numbers, names, chosen.level) or ["no gap is shown"],
        "labels of the groups": f"{groups.key}: {groups.source.replace('_', ' ')}",
        **provenance(seed=seed),
        "draws of people": chosen.n_boot,
        "relabelings of people": chosen.n_perm,
        "alpha": chosen.alpha,
    }
    unsupported = [
        f"{name}: no threshold of its own for {point.name.replace('_', ' ')}, too few comparisons to fit one"
        for point in points
        if point.own is not None
        for name, tau in zip(names, point.own, strict=True)
        if np.isnan(tau)
    ]
    withheld = [f"{labels_of[k]} ({k.split('.')[0]}): {m.note}" for k, m in metrics.items() if m.value is None]
    drawn = {**_fairness_page.curves(numbers, people, names), **pictures}
    missing = (*dropped, *unsupported, *withheld)
    return Report("fairness", about.dataset, about.tier, metrics, drawn, about.spaces, facts, missing)


def disparity_along_security(
    table: ComparisonTable,
    groups: Groups,
    fmr_levels: Iterable[float],
    *,
    dev: tuple[ComparisonTable, Groups] | None = None,
    settings: Settings | None = None,
    rng: np.random.Generator | int = 0,
) -> Disparity:
    """Whether the gap between groups widens as the threshold, one for all, becomes stricter.

    Args:
        table: as `fairness`.
        groups: of the table's subjects.
        fmr_levels: at least two wanted false match rates.
        dev: as `fairness`.
        settings: draws and rules.
        rng: source of the draws, or its seed.

    Returns:
        The absolute gap max - min of FNMR, which grows with FNMR itself, and the gap relative to the mean FNMR, which
        does not; both growths come from the same draws of people (paired).

    Raises:
        InputError: as `fairness`, or if there are fewer than two levels.
    """
    chosen = settings or Settings()
    draws = np.random.default_rng(rng) if isinstance(rng, int) else rng
    names, labels, _ = _usable(table, groups)
    points = _points(labels, names, (table, groups), dev, (fmr_levels, None))
    if len(points) < 2:
        raise InputError(f"fmr_levels: expected at least two, got {len(points)}")
    c = _group_counts.cast(table, labels, len(names))
    return _disparity(_fairness.measure(table, c, points, _fairness.weigh(c, chosen, draws)), c.n, chosen)


def _headline(points: tuple[_fairness.Point, ...], metrics: dict[str, Metric]) -> list[str]:
    """Measures at the strictest threshold at which the false match rates of all groups are known."""
    starts = [_fairness_metrics.prefix(point, False) for point in points]
    known = [s for s in starts if metrics[f"{s}.{HEADLINE[0]}"].value is not None]
    return [f"{(known or starts)[-1]}.{key}" for key in HEADLINE]


def _named(rows: Iterable[tuple[str, str, Metric]]) -> tuple[dict[str, Metric], dict[str, str]]:
    metrics, words = {}, {}
    for name, label, metric in rows:
        metrics[name], words[name] = metric, label
    return metrics, words


def _security(found: Disparity) -> Iterator[tuple[str, str, Metric]]:
    for level, gap, share in zip(found.levels, found.absolute, found.relative, strict=True):
        key = f"{level:.3g}".replace(".", "_")
        yield f"security.absolute_{key}", f"Largest minus smallest FNMR at FMR {level:g}", gap
        yield f"security.relative_{key}", f"The same over the mean FNMR, at FMR {level:g}", share
    ends = f"from FMR {found.levels[0]:g} to {found.levels[-1]:g}"
    yield "security.growth", f"Growth of the absolute gap {ends}", found.growth
    yield "security.relative_growth", f"Growth of the relative gap {ends}", found.relative_growth


def _trusted(groups: Groups, about: About) -> None:
    guessed = {"model", "inferred"} & set(groups.source.split(" + "))
    if guessed and not about.trust_model_labels:
        raise InputError(
            f"groups: expected labels that people gave, got labels from {' and '.join(sorted(guessed))}: a model's "
            "errors would look like the recognizer's; pass trust_model_labels=True to say that you know"
        )


def _usable(table: ComparisonTable, groups: Groups) -> tuple[tuple[str, ...], I64, list[str]]:
    """Names and labels of groups with at least two people; who has none is -1; and what was left out, in words."""
    last = int(max(table.ref_subject.max(initial=-1), table.probe_subject.max(initial=-1)))
    if min(table.ref_subject.min(initial=0), table.probe_subject.min(initial=0)) < 0 or last >= len(groups.labels):
        raise InputError(
            f"groups: expected a label for every subject of the table, 0 to {last}, got {len(groups.labels)}"
        )
    seen = np.zeros(len(groups.labels), bool)
    seen[table.ref_subject] = True
    seen[table.probe_subject] = True
    people = np.bincount(groups.labels[seen & (groups.labels >= 0)], minlength=len(groups.names))
    kept = np.flatnonzero(people >= MIN_PEOPLE)
    if len(kept) < 2:
        counted = ", ".join(f"{name} {n}" for name, n in zip(groups.names, people, strict=True)) or "none"
        raise InputError(f"groups: expected at least two groups of at least two people, got {counted}")
    place = np.full(len(groups.names) + 1, -1)  # the last one is where label -1 looks
    place[kept] = np.arange(len(kept))
    dropped = [f"{groups.names[g]}: {people[g]} people, left out" for g in np.flatnonzero(people < MIN_PEOPLE)]
    unknown = int((seen & (groups.labels < 0)).sum())
    if unknown:
        dropped.append(f"{unknown} people without a group were left out, with all their comparisons")
    return tuple(groups.names[g] for g in kept), place[groups.labels], dropped


def _points(
    labels: I64,
    names: tuple[str, ...],
    here: tuple[ComparisonTable, Groups],
    dev: tuple[ComparisonTable, Groups] | None,
    wanted: tuple[Iterable[float], Iterable[float] | None],
) -> tuple[_fairness.Point, ...]:
    targets, taus = wanted
    if taus is not None:
        given = sorted({float(t) for t in taus})
        if not given or not np.isfinite(given).all():
            raise InputError(f"taus: expected at least one finite threshold, got {given}")
        return tuple(_fairness.Point(f"tau_{t:.4g}", None, t) for t in given)
    if dev is None:
        return _fairness.thresholds(here[0], labels, len(names), targets)
    table, groups = dev
    number = {name: i for i, name in enumerate(names)}
    place = np.array([number.get(name, -1) for name in groups.names] + [-1])
    if len(groups.labels) <= int(max(table.ref_subject.max(initial=-1), table.probe_subject.max(initial=-1))):
        raise InputError("dev: expected a label for every subject of its table, got fewer")
    return _fairness.thresholds(table, place[groups.labels], len(names), targets)


def _failures(groups: Groups, c: _group_counts.Cast) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """(n,) pictures that failed and pictures tried of each person, in the order of the cast."""
    if groups.tried is None or groups.failed is None:
        return None
    members = np.empty(c.n, np.int64)
    members[c.rank[c.rank >= 0]] = np.flatnonzero(c.rank >= 0)
    return groups.failed[members].astype(np.float64), groups.tried[members].astype(np.float64)


def _disparity(numbers: _fairness.Numbers, people: int, settings: Settings) -> Disparity:
    absolute: list[Metric] = []
    relative: list[Metric] = []
    columns: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    for sums in numbers.shared:
        rates = (sums.missed + 0.5) / (sums.mated + 1)  # smoothed: a draw without an error has no ratio
        seen = sums.missed[:, 0] / np.maximum(sums.mated[:, 0], 1)
        gaps = np.ptp(rates, axis=0)
        columns.append((gaps, gaps / rates.mean(0)))
        few = int(sums.missed[:, 0].min())
        enough = few >= settings.min_errors
        note = "" if enough else f"insufficient: a group has {few} errors, {settings.min_errors} are needed"
        for kept, value, draws, unit in (
            (absolute, np.ptp(seen), gaps, "share"),
            (relative, np.ptp(seen) / max(seen.mean(), 1e-300), columns[-1][1], ""),
        ):
            kept.append(_metric(float(value) if enough else None, draws[1:], unit, people, note))
    growths = []
    for kind, unit in ((0, "share"), (1, "")):
        before, after = columns[0][kind], columns[-1][kind]
        ends = (absolute, relative)[kind]
        known = ends[0].value is not None and ends[-1].value is not None
        value = (ends[-1].value or 0.0) - (ends[0].value or 0.0) if known else None
        note = "" if known else "insufficient: an end of it is"
        growths.append(_metric(value, (after - before)[1:], unit, people, note))
    levels = tuple(point.target or 0.0 for point in numbers.points)
    return Disparity(levels, tuple(absolute), tuple(relative), growths[0], growths[1])


def _metric(value: float | None, draws: NDArray[np.float64], unit: str, people: int, note: str) -> Metric:
    low, high = np.percentile(draws, (2.5, 97.5))
    return Metric(value, float(low), float(high), unit, people, note)

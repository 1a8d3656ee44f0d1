"""What was counted for a fairness report, as metrics with their words."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from vultus.evaluate._fairness import MEASURES, Numbers, Point, Settings, Sums, rate
from vultus.types import Metric

__all__ = ["across", "alarms", "metrics", "prefix"]

F64 = NDArray[np.float64]

Named = Iterator[tuple[str, str, Metric]]
"""Name, words and number."""


def prefix(point: Point, own: bool) -> str:
    """First part of the names of a point's metrics under a policy."""
    return ("own_" if own else "") + point.name.replace(".", "_")


def metrics(
    numbers: Numbers, names: tuple[str, ...], people: NDArray[np.int64], settings: Settings, failures: Sums | None
) -> Named:
    """Every metric, in the order of the page.

    Args:
        numbers: what was counted.
        names: of the G groups.
        people: (G,) how many people are in each.
        settings: weights and rules.
        failures: `missed` pictures without a face of `mated` ones that were tried, or None.
    """
    if failures is not None:
        yield from _failures(numbers, names, people, settings, failures)
    for point, shared, own in zip(numbers.points, numbers.shared, numbers.own, strict=True):
        for sums in (shared, own):
            if sums is not None:
                yield from _policy(numbers, point, sums, (names, people), settings, own=sums is own)


def across(sums: Sums, people: NDArray[np.int64], settings: Settings) -> list[list[Metric]]:
    """(G, G) FMR of comparisons between each two groups."""
    both = people[:, None] + people - np.diag(people)
    return [
        [rate(sums.false[g, h], sums.compared[g, h], int(both[g, h]), settings.min_errors) for h in range(len(people))]
        for g in range(len(people))
    ]


def alarms(numbers: Numbers, names: tuple[str, ...], level: float) -> list[str]:
    """Every gap that relabeling does not explain, in words."""
    kinds = {"fmr": "FMR", "fnmr": "FNMR", "fte": "failure to enroll"}
    return [
        f"{names[t.group]}, {kinds[t.kind]} at {t.point.replace('_', ' ').replace('fmr', 'FMR')}: "
        f"{'above' if t.statistic > 0 else 'below'} that of all others, p = {t.p_holm:.3g}"
        for t in numbers.tests
        if t.p_holm <= level
    ]


def _failures(
    numbers: Numbers, names: tuple[str, ...], people: NDArray[np.int64], settings: Settings, sums: Sums
) -> Named:
    for g, name in enumerate(names):
        yield (
            f"enroll.{name}.fte",
            f"{name}: failure to enroll",
            rate(sums.missed[g], sums.mated[g], int(people[g]), settings.min_errors),
        )
        yield from _gap(numbers, ("enroll", "enroll", "fte"), (g, name), sums.missed, sums.mated, settings)


def _policy(
    numbers: Numbers,
    point: Point,
    sums: Sums,
    cast: tuple[tuple[str, ...], NDArray[np.int64]],
    settings: Settings,
    *,
    own: bool,
) -> Named:
    names, people = cast
    start, least = prefix(point, own), settings.min_errors
    false, compared = sums.within
    for g, name in enumerate(names):
        yield f"{start}.{name}.fmr", f"{name}: FMR", rate(false[g], compared[g], int(people[g]), least)
        yield f"{start}.{name}.fnmr", f"{name}: FNMR", rate(sums.missed[g], sums.mated[g], int(people[g]), least)
    if not own:
        everybody = int(people.sum())
        yield f"{start}.pooled.fmr", "Pooled: FMR, across groups as well", rate(*sums.pooled, everybody, least)
        misses = sums.missed.sum(0), sums.mated.sum(0)
        yield f"{start}.pooled.fnmr", "Pooled: FNMR", rate(*misses, everybody, least)
        for g, name in enumerate(names):
            yield from _gap(numbers, (start, point.name, "fmr"), (g, name), false, compared, settings)
            yield from _gap(numbers, (start, point.name, "fnmr"), (g, name), sums.missed, sums.mated, settings)
    yield from _measures(numbers, point, sums, cast, settings, own=own)


def _gap(
    numbers: Numbers, keys: tuple[str, str, str], group: tuple[int, str], errors: F64, of: F64, settings: Settings
) -> Named:
    """A group's rate minus that of all others, with its p."""
    start, point, kind = keys
    g, name = group
    test = next(t for t in numbers.tests if (t.point, t.kind, t.group) == (point, kind, g))
    rest = errors.sum(0) - errors[g], of.sum(0) - of[g]
    gaps = errors[g] / np.maximum(of[g], 1e-300) - rest[0] / np.maximum(rest[1], 1e-300)
    use = (of[g] > 0) & (rest[1] > 0)
    words = f"{name}: {kind.upper()} minus that of the others"
    if not use[0]:
        yield f"{start}.{name}.gap_{kind}", words, Metric(None, unit="share", note="insufficient: no comparison")
        return
    low, high = np.percentile(gaps[1:][use[1:]], (2.5, 97.5))
    seen = "differs" if test.p_holm <= settings.level else "not shown to differ"
    note = f"{seen}: p = {test.p_holm:.3g} after Holm over {len(numbers.tests)} tests, {test.p:.2g} alone"
    total = round(float(errors[:, 0].sum()))
    value: float | None = float(gaps[0])
    if total < settings.min_errors:
        value, note = None, f"insufficient: {total} errors in all groups together, {settings.min_errors} are needed"
    yield f"{start}.{name}.gap_{kind}", words, Metric(value, float(low), float(high), "share", 0, note)


def _measures(
    numbers: Numbers,
    point: Point,
    sums: Sums,
    cast: tuple[tuple[str, ...], NDArray[np.int64]],
    settings: Settings,
    *,
    own: bool,
) -> Named:
    """Each measure over groups; its interval is from smoothed rates, which are never 0."""
    names, people = cast
    false = sums.within[0]
    fmr, fnmr = ((e / np.maximum(o, 1)).T for e, o in (sums.within, (sums.missed, sums.mated)))
    smooth = [((e + 0.5) / (o + 1)).T for e, o in (sums.within, (sums.missed, sums.mated))]
    few = [
        f"{name} has {round(float(e[g, 0]))} {what}"
        for e, what in ((false, "false matches"), (sums.missed, "false non-matches"))
        for g, name in enumerate(names)
        if e[g, 0] < max(settings.min_errors, 1)  # no ratio to a rate of 0
    ]
    for key, words, call in MEASURES:
        drawn = call(smooth[0], smooth[1], settings.alpha)
        low, high = (float(x) for x in np.percentile(drawn[1:], (2.5, 97.5)))
        wanted = [text for text in few if _concerns(key, text)]
        unit = "share" if key == "std" else ""
        value: float | None = None
        if wanted:
            note = f"insufficient: {', '.join(wanted)}, {settings.min_errors} are needed; "
            note += f"{float(drawn[0]):.3g} from smoothed rates"
        else:
            value = float(call(fmr[0], fnmr[0], settings.alpha))
            note = ""
        limit = None if own else numbers.chance.get((point.name, key))
        if limit is not None:
            worse = "below" if key == "fdr" else "above"
            chance = f"chance alone is {worse} {limit:.3g} in 5 % of relabelings"
            note = f"{note}; {chance}" if note else chance
        yield f"{prefix(point, own)}.{key}", words, Metric(value, low, high, unit, int(people.sum()), note)


def _concerns(key: str, few: str) -> bool:
    """Whether a measure uses the rate that too few errors support."""
    if key.endswith("_fmr"):
        return "false matches" in few
    if key.endswith("_fnmr"):
        return "non-matches" in few
    return True

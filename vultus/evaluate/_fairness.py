"""The numbers of a fairness report: rates of groups at operating points, drawn and relabeled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError
from vultus.evaluate import _group_counts
from vultus.evaluate._group_counts import Cast, PairCounts
from vultus.evaluate.metrics import inequity
from vultus.ops import stats
from vultus.ops.roc import threshold_at_fmr
from vultus.types import ComparisonTable, Metric

__all__ = [
    "Numbers",
    "Point",
    "Settings",
    "Test",
    "between",
    "enrollment",
    "measure",
    "name_of",
    "rate",
    "thresholds",
    "weigh",
]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

DRAWS = 500  # at once


@dataclass(frozen=True, slots=True)
class Settings:
    """How a fairness report is computed.

    Attributes:
        alpha: weight of false matches against false non-matches in FDR, GARBE and inequity.
        n_boot: draws of people behind every interval.
        n_perm: relabelings of people behind every test.
        min_errors: a rate that rests on fewer errors is withheld (rule of 30).
        level: chance that a report on equal groups raises any alarm.
    """

    alpha: float = 0.5
    n_boot: int = 2000
    n_perm: int = 2000
    min_errors: int = 30
    level: float = 0.05

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1 or not 0 < self.level < 1:
            raise InputError(f"settings: expected alpha in [0, 1] and level in (0, 1), got {self.alpha}, {self.level}")
        if self.n_boot < 100 or self.n_perm < 1 / self.level:
            raise InputError(
                f"settings: expected at least 100 draws and {1 / self.level:.0f} relabelings, got {self.n_boot} and "
                f"{self.n_perm}"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """Where it was decided: one threshold for all, and one per group.

    Attributes:
        name: of the wanted FMR or of the threshold.
        target: wanted FMR, or None where the threshold was given.
        tau: one threshold for everybody.
        own: (G,) threshold of each group; NaN where its comparisons do not support the target; None without target.
    """

    name: str
    target: float | None
    tau: float
    own: F64 | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Errors and comparisons at one point under one policy; the first column is what was observed, then the draws.

    Attributes:
        false: (G, G, 1 + B) false matches between each two groups.
        missed: (G, 1 + B) false non-matches.
        compared: (G, G, 1 + B) non-mated comparisons.
        mated: (G, 1 + B) mated ones.
    """

    false: F64
    missed: F64
    compared: F64
    mated: F64

    @property
    def within(self) -> tuple[F64, F64]:
        """(G, 1 + B) false matches and comparisons inside each group."""
        at = np.arange(len(self.missed))
        return self.false[at, at], self.compared[at, at]

    @property
    def pooled(self) -> tuple[F64, F64]:
        """(1 + B,) false matches and comparisons of everybody, each pair of groups once."""
        upper = np.triu_indices(len(self.missed))
        return self.false[upper].sum(0), self.compared[upper].sum(0)


@dataclass(frozen=True, slots=True)
class Test:
    """Whether one group's rate differs from that of all others: statistic, p by relabeling people, p after Holm."""

    point: str
    kind: str
    group: int
    statistic: float
    p: float
    p_holm: float


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """Everything that is counted.

    Attributes:
        points: rising security.
        shared: per point, one threshold for all.
        own: per point, a threshold per group; None where there is none for some group.
        tests: every gap that was tested.
        chance: (point, measure) -> what 5 % of relabelings exceed.
    """

    points: tuple[Point, ...]
    shared: tuple[Sums, ...]
    own: tuple[Sums | None, ...]
    tests: tuple[Test, ...] = ()
    chance: dict[tuple[str, str], float] = field(default_factory=dict)


def thresholds(table: ComparisonTable, labels: I64, n_groups: int, targets: Iterable[float]) -> tuple[Point, ...]:
    """One threshold for all and one per group at each wanted FMR.

    Raises:
        InputError: if the table is tagged test, or all comparisons together do not support a target.
    """
    if table.split == "test":
        raise InputError(
            "dev: expected comparisons that are not tagged test to fit thresholds on, got split 'test'; give dev=, or "
            "taus= that were fitted elsewhere"
        )
    ref, probe = labels[table.ref_subject], labels[table.probe_subject]
    used = ~table.mated & (ref >= 0) & (probe >= 0)
    everybody = table.score[used]
    inside = [table.score[used & (ref == g) & (probe == g)] for g in range(n_groups)]
    points = []
    for target in sorted({float(t) for t in targets}, reverse=True):
        tau = threshold_at_fmr(everybody, target)
        own = [threshold_at_fmr(s, target) if stats.rule_of_30(len(s), target) else np.nan for s in inside]
        points.append(Point(name_of(target), target, tau, np.array(own)))
    return tuple(points)


def name_of(target: float) -> str:
    """Name of the point of a wanted false match rate."""
    return "fmr_" + f"{target:.3g}".replace("e-0", "e-")


def measure(table: ComparisonTable, c: Cast, points: Sequence[Point], w: F64) -> Numbers:
    """Add up errors at every point under every draw; `w` (n, 1 + B) begins with a column of ones."""
    compared = _group_counts.pair_counts(c.left, c.right, c.n)
    mated = np.bincount(c.who, minlength=c.n).astype(np.float64)
    of = (
        _in_blocks(w, lambda part: _group_counts.quadratic(compared, c.edges, part)),
        _group_counts.group_sums(mated, c.edges, w),
    )
    everyone = np.ones(len(c.edges) - 1)
    shared = [_sums(errors(table, c, everyone * p.tau), c, w, of) for p in points]
    own = [
        None if p.own is None or np.isnan(p.own).any() else _sums(errors(table, c, p.own, across=False), c, w, of)
        for p in points
    ]
    return Numbers(tuple(points), tuple(shared), tuple(own))


def _sums(wrong: tuple[PairCounts, F64], c: Cast, w: F64, of: tuple[F64, F64]) -> Sums:
    false = _in_blocks(w, lambda part: _group_counts.quadratic(wrong[0], c.edges, part))
    return Sums(false, _group_counts.group_sums(wrong[1], c.edges, w), *of)


def errors(table: ComparisonTable, c: Cast, taus: F64, *, across: bool = True) -> tuple[PairCounts, F64]:
    """False matches per pair of people and misses per person, at each group's threshold."""
    group = c.group
    scores = table.score[c.nonmated]
    if across:
        hit = np.flatnonzero(scores >= taus[0])
    else:
        ours = group[c.left]
        hit = np.flatnonzero((scores >= taus[ours]) & (ours == group[c.right]))
    missed = np.bincount(c.who, table.score[c.mated] < taus[group[c.who]], c.n)
    return _group_counts.pair_counts(c.left[hit], c.right[hit], c.n), missed.astype(np.float64)


def weigh(c: Cast, settings: Settings, rng: np.random.Generator) -> F64:
    """(n, 1 + B) ones, then draws of people inside their groups."""
    return np.concatenate([np.ones((c.n, 1)), _group_counts.draw(c.edges, settings.n_boot, rng)], axis=1)


def enrollment(failures: tuple[F64, F64] | None, c: Cast, w: F64) -> Sums | None:
    """Failed and tried pictures under every draw, in the place of misses and mated comparisons."""
    if failures is None:
        return None
    failed, tried = (_group_counts.group_sums(x, c.edges, w) for x in failures)
    nothing = np.zeros((0, 0, w.shape[1]))
    return Sums(nothing, failed, nothing, tried)


def between(
    table: ComparisonTable,
    c: Cast,
    numbers: Numbers,
    settings: Settings,
    rng: np.random.Generator,
    failures: tuple[F64, F64] | None,
) -> Numbers:
    """Test every gap at the shared thresholds, by relabeling people; Holm over all tests of the report.

    Args:
        table: comparisons.
        c: who is in them.
        numbers: as `measure` gives them.
        settings: how many relabelings.
        rng: source of the relabelings.
        failures: (n,) pictures that failed and pictures tried, per person.
    """
    n_groups = len(c.edges) - 1
    compared = _group_counts.pair_counts(c.left, c.right, c.n)
    mated = np.bincount(c.who, minlength=c.n).astype(np.float64)
    found = [errors(table, c, np.full(n_groups, point.tau)) for point in numbers.points]
    rows: dict[tuple[str, str], list[tuple[F64, F64, F64]]] = {}
    for labels in _group_counts.relabel(c.group, settings.n_perm, rng):
        of = _group_counts.inside(compared, labels, n_groups)
        for point, (false, missed) in zip(numbers.points, found, strict=True):
            false_of = _group_counts.inside(false, labels, n_groups)
            rows.setdefault((point.name, "fmr"), []).append(_group_counts.studentized(false_of, of, labels, n_groups))
            rows.setdefault((point.name, "fnmr"), []).append(_alone(missed, mated, labels, n_groups))
        if failures is not None:
            rows.setdefault(("enroll", "fte"), []).append(_alone(*failures, labels, n_groups))
    found_p = []
    smoothed: dict[tuple[str, str], F64] = {}
    for key, parts in rows.items():
        t, e, o = (np.concatenate(column) for column in zip(*parts, strict=True))
        share = (1 + (np.abs(t[1:]) >= np.abs(t[0]) - 1e-9).sum(0)) / len(t)
        found_p += [(*key, g, float(t[0, g]), float(share[g])) for g in range(n_groups)]
        both = 2 if key[1] == "fmr" else 1  # inside a group both people count a comparison
        smoothed[key] = (e[1:] / both + 0.5) / (o[1:] / both + 1)
    adjusted = stats.holm([row[4] for row in found_p])
    tests = tuple(Test(*row, float(after)) for row, after in zip(found_p, adjusted, strict=True))
    return Numbers(numbers.points, numbers.shared, numbers.own, tests, _chance(smoothed, settings))


def _alone(errors: F64, of: F64, labels: I64, n_groups: int) -> tuple[F64, F64, F64]:
    """As `studentized` for counts (n,) that belong to a person, whatever the label."""
    wide, wide_of = (np.broadcast_to(x[:, None], labels.shape) for x in (errors, of))
    return _group_counts.studentized(wide, wide_of, labels, n_groups)


def _chance(rates: dict[tuple[str, str], F64], settings: Settings) -> dict[tuple[str, str], float]:
    """What each measure exceeds in 5 % of relabelings, at each point."""
    found = {}
    for point in dict.fromkeys(name for name, kind in rates if kind == "fmr"):
        fmr, fnmr = rates[point, "fmr"], rates[point, "fnmr"]
        for name, _, call in MEASURES:
            values = call(fmr, fnmr, settings.alpha)
            found[point, name] = float(np.quantile(values, 0.05 if name == "fdr" else 0.95))
    return found


MEASURES: tuple[tuple[str, str, Callable[[F64, F64, float], Any]], ...] = (
    ("max_to_min_fmr", "Largest FMR / smallest FMR", lambda fmr, fnmr, a: inequity.max_to_min(fmr)),
    ("max_to_min_fnmr", "Largest FNMR / smallest FNMR", lambda fmr, fnmr, a: inequity.max_to_min(fnmr)),
    ("max_to_geomean_fmr", "Largest FMR / geometric mean", lambda fmr, fnmr, a: inequity.max_to_geomean(fmr)),
    ("max_to_geomean_fnmr", "Largest FNMR / geometric mean", lambda fmr, fnmr, a: inequity.max_to_geomean(fnmr)),
    ("inequity", "Inequity, both ratios in one", lambda fmr, fnmr, a: inequity.inequity(fmr, fnmr, alpha=a)),
    ("garbe", "GARBE (0 is equal)", lambda fmr, fnmr, a: inequity.garbe(fmr, fnmr, alpha=a)),
    ("fdr", "Fairness discrepancy rate, FDR (1 is equal)", lambda fmr, fnmr, a: inequity.fdr(fmr, fnmr, alpha=a)),
    ("gini_fmr", "Gini of the FMR", lambda fmr, fnmr, a: inequity.gini(fmr)),
    ("gini_fnmr", "Gini of the FNMR", lambda fmr, fnmr, a: inequity.gini(fnmr)),
    ("std", "Standard deviation of the error", lambda fmr, fnmr, a: inequity.spread((fmr + fnmr) / 2)),
    ("ser", "Skewed error ratio, SER", lambda fmr, fnmr, a: inequity.skewed_error_ratio(fmr, fnmr)),
)
"""Name, words and call (FMR (..., G), FNMR (..., G), alpha) of every measure over groups."""


def rate(errors: F64, of: F64, people: int, min_errors: int) -> Metric:
    """A rate from observed sums and drawn ones; withheld below `min_errors`, with a limit where there is no error."""
    k, n = round(float(errors[0])), round(float(of[0]))
    if n == 0:
        return Metric(None, unit="share", n=people, note="insufficient: no comparison")
    use = of[1:] > 0
    low, high = (float(x) for x in np.percentile(errors[1:][use] / of[1:][use], (2.5, 97.5)))
    note = ""
    if k == 0:
        high = max(high, stats.rule_of_three(people))
        note = f"no error in {n:,}; smoothed rate {0.5 / (n + 1):.2g}, upper end 3 / {people} people"
    if k < min_errors:
        few = f"insufficient: {k} errors of {n:,}, {min_errors} are needed"
        if k:
            few += f"; smoothed rate {(k + 0.5) / (n + 1):.2g}"
        return Metric(None, low, high, "share", people, f"{few}; {note}" if note else few)
    return Metric(k / n, low, high, "share", people, note)


def _in_blocks(w: F64, call: Callable[[F64], F64]) -> F64:
    """The same along the last axis, a few draws at a time."""
    return np.concatenate([call(w[:, start : start + DRAWS]) for start in range(0, w.shape[1], DRAWS)], axis=-1)

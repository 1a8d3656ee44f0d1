"""What the fairness report shows besides its metrics: tables, curves, thresholds and rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.evaluate import _fairness_metrics
from vultus.evaluate._fairness import Numbers, Settings
from vultus.evaluate._group_counts import Cast
from vultus.ops import roc
from vultus.types import ComparisonTable, Metric

__all__ = ["NOTES", "counts", "curves", "distributions", "groups_of_names", "tables", "threshold_rows"]

F64 = NDArray[np.float64]

BINS, DET_POINTS, MOST_FIGURES, SERIES = 60, 60, 12, 8
NOTES = (
    "One threshold for all is what a deployment does: its differences are what people meet. A threshold per group is a "
    "diagnosis: it shows what remains when each group is brought to the same false match rate. It is no remedy: "
    "a system would have to know everybody's group.",
    "FMR of a group: comparisons of different people of that group. Pooled FMR: all pairs of different people, across "
    "groups as well; most of those are between groups, where people are less alike.",
    "Intervals are 95% percentiles of a bootstrap that draws people, each group at its own size; comparisons that "
    "share a person are not independent. n is the number of people.",
    "A rate that rests on fewer errors than the rule of 30 asks for is withheld. Where there is no error, its note has "
    "the smoothed rate (k + 0.5) / (n + 1), and the upper end is 3 / people.",
    "Gaps: the group's rate minus that of all other groups together, tested by giving people the groups' labels at "
    "random, with a statistic in units of its own standard error; p-values after Holm over all tests of this report. "
    "Not shown to differ is not shown to be equal: look at the interval.",
    "Measures over groups are never perfect by chance alone; beside each stands what 5% of relabelings exceed.",
)


def threshold_rows(numbers: Numbers, names: Sequence[str], origin: str) -> list[dict[str, Any]]:
    """Every threshold in use, and where it comes from."""
    rows = []
    for point in numbers.points:
        words = point.name.replace("_", " ")
        source = f"FMR at most {point.target:g} on {origin}" if point.target is not None else origin
        rows.append({"name": f"{words}, one for all", "value": float(point.tau), "source": source})
        if point.own is not None:
            rows += [
                {"name": f"{words}, {name} alone", "value": float(tau), "source": f"{source}, inside the group"}
                for name, tau in zip(names, point.own, strict=True)
                if not np.isnan(tau)
            ]
    return rows


def groups_of_names(numbers: Numbers, key: str) -> dict[str, str]:
    """Words over the metrics of each policy."""
    words = {"enroll": "Before comparing", "security": f"How the gap between groups of {key} grows with security"}
    for point in numbers.points:
        at = point.name.replace("_", " ").replace("fmr", "FMR")
        words[_fairness_metrics.prefix(point, False)] = f"{at}: one threshold for all"
        words[_fairness_metrics.prefix(point, True)] = f"{at}: a threshold per group"
    return words


def counts(table: ComparisonTable, c: Cast, names: Sequence[str]) -> dict[str, int]:
    """How much was compared."""
    within = int((c.group[c.left] == c.group[c.right]).sum())
    people = np.diff(c.edges)
    return {
        **{f"people, {name}": int(n) for name, n in zip(names, people, strict=True)},
        "mated comparisons": len(c.mated),
        "non-mated comparisons inside a group": within,
        "non-mated comparisons between groups": len(c.nonmated) - within,
        "comparisons left out": len(table) - len(c.mated) - len(c.nonmated),
    }


def tables(
    numbers: Numbers,
    names: Sequence[str],
    people: NDArray[np.int64],
    found: Mapping[str, Metric],
    settings: Settings,
) -> list[dict[str, Any]]:
    """Both policies side by side, and the FMR between groups, at each point."""
    made = []
    for point, shared in zip(numbers.points, numbers.shared, strict=True):
        start, own = (_fairness_metrics.prefix(point, which) for which in (False, True))
        at = point.name.replace("_", " ").replace("fmr", "FMR")
        rows = []
        for name, n in zip(names, people, strict=True):
            cells = [
                found.get(f"{policy}.{name}.{kind}", "not supported")
                for policy in (start, own)
                for kind in ("fmr", "fnmr")
            ]
            rows.append([name, int(n), *cells])
        rows.append(
            ["pooled", int(people.sum()), found[f"{start}.pooled.fmr"], found[f"{start}.pooled.fnmr"], "–", "–"]
        )
        made.append(
            {
                "title": f"{at}: both policies",
                "columns": ["Group", "People", "FMR, one threshold", "FNMR", "FMR, own threshold", "FNMR"],
                "rows": rows,
            }
        )
        matrix = _fairness_metrics.across(shared, people, settings)
        made.append(
            {
                "title": f"{at}: FMR between groups, one threshold",
                "columns": ["", *names],
                "rows": [[name, *row] for name, row in zip(names, matrix, strict=True)],
            }
        )
    return made


def distributions(
    table: ComparisonTable, c: Cast, names: Sequence[str]
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """A table of means and tails of the scores of each group, and the pictures: DET curves and histograms."""
    group = c.group
    mated_of, ours = group[c.who], group[c.left]
    inside = ours == group[c.right]
    scores, others = table.score[c.mated], table.score[c.nonmated]
    rows: list[list[Any]] = []
    drawn: dict[str, dict[str, Any]] = {}
    for g, name in enumerate(names):
        same, different = scores[mated_of == g], others[inside & (ours == g)]
        rows.append(_row(name, same, different))
        if len(same) and len(different):
            if g < MOST_FIGURES:
                drawn |= _histograms(name, same, different, (float(others.min()), float(scores.max())))
            drawn[f"det_{name}"] = _det(name, g, len(names), same, different)
    columns = ["Group", "Mated", "Mean", "Lowest 1 %", "Non-mated", "Mean", "Highest 0.1 %", "EER", "d′"]
    order = sorted(drawn, key=lambda key: not key.startswith("det_"))
    return {"title": "Scores inside each group", "columns": columns, "rows": rows}, {key: drawn[key] for key in order}


def curves(numbers: Numbers, people: NDArray[np.int64], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Rates of every group at each point, as dots with intervals; smoothed where there is no error."""
    made: dict[str, dict[str, Any]] = {}
    for point, sums in zip(numbers.points, numbers.shared, strict=True):
        at = point.name.replace("_", " ").replace("fmr", "FMR")
        for kind, (errors, of) in (("FMR", sums.within), ("FNMR", (sums.missed, sums.mated))):
            smooth = (errors + 0.5) / (of + 1)
            low, high = np.percentile(smooth[:, 1:], (2.5, 97.5), axis=1)
            made[f"{point.name}_{kind}"] = {
                "kind": "points",
                "figure": f"{kind} of each group, one threshold, {at}",
                "x": list(range(1, len(names) + 1)),
                "y": smooth[:, 0].tolist(),
                "low": low.tolist(),
                "high": high.tolist(),
                "x_label": ", ".join(f"{i + 1} {name}" for i, name in enumerate(names))
                if len(names) <= 4
                else "group, in the order of the tables",
                "y_label": kind,
                "y_scale": "log",
                "y_limits": [10 ** float(np.floor(np.log10(low.min()))), 10 ** float(np.ceil(np.log10(high.max())))],
                "x_limits": [0.5, len(names) + 0.5],
                "caption": "Smoothed rates with 95% intervals over people.",
            }
    return made


def _row(name: str, same: F64, different: F64) -> list[Any]:
    def number(call: Any, *values: F64) -> str:
        return f"{call(*values):.4g}" if all(len(v) > 1 for v in values) else "–"

    varied = len(same) > 1 and len(different) > 1 and (np.ptp(same) > 0 or np.ptp(different) > 0)
    return [
        name,
        f"{len(same):,}",
        number(np.mean, same),
        number(lambda v: np.quantile(v, 0.01), same),
        f"{len(different):,}",
        number(np.mean, different),
        number(lambda v: np.quantile(v, 0.999), different),
        f"{100 * roc.eer(same, different):.3g} %" if len(same) and len(different) else "–",
        number(roc.d_prime, same, different) if varied else "–",
    ]


def _det(name: str, g: int, n_groups: int, same: F64, different: F64) -> dict[str, Any]:
    x, y, _ = roc.det_curve(same, different, DET_POINTS)
    sheet = g // SERIES
    last = min(n_groups, (sheet + 1) * SERIES)
    which = f", groups {sheet * SERIES + 1}–{last}" if n_groups > SERIES else ""
    return {
        "figure": f"Detection error trade-off inside each group{which}",
        "series": name,
        "x": x.tolist(),
        "y": y.tolist(),
        "dashed": g % SERIES >= 4,
        "x_label": "false match rate",
        "y_label": "false non-match rate",
        "x_scale": "deviate",
        "y_scale": "deviate",
        "caption": "Both axes are normal deviates; lower left is better. Each group at every threshold of its own: "
        "curves that lie on each other can still differ at one threshold for all.",
    }


def _histograms(name: str, same: F64, different: F64, ends: tuple[float, float]) -> dict[str, dict[str, Any]]:
    edges = np.linspace(ends[0], max(ends[1], ends[0] + 1e-6), BINS + 1)
    common = {
        "kind": "histogram",
        "figure": f"Scores inside {name}",
        "x": edges.tolist(),
        "x_label": "score",
        "y_label": "share of comparisons per bin",
    }
    return {
        f"scores_{name}_{key}": {
            **common,
            "series": words,
            "y": (np.histogram(np.clip(values, *edges[[0, -1]]), edges)[0] / len(values)).tolist(),
        }
        for key, words, values in (("mated", "same person", same), ("nonmated", "different people", different))
    }

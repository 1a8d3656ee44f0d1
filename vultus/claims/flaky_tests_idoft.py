"""Paper 27 on real tests: is the order rule of the attribution what the labels of IDoFT say?

`tso-iso-rates.csv` of the International Dataset of Flaky Tests holds how often 101 Java tests failed in 4,000 runs of
their suites, in many orders, and in 4,000 runs in isolation. The rule of `vultus.testing.flaky` calls a test order
dependent when Fisher's exact test finds the two shares different at 0.05. The labels of the dataset (OD, OD-Vic,
OD-Brit, NDOD; NDOI, NOD, TD and others against them) are the truth; tests that are only "unknown dependency" are left
out. The metric is the share of tests that are classified as labeled.

Written before the first run, after reading ten rows of the table: in those NDOD and NDOI followed the published
p-value of differences *between orders of the suite*. The labels are thus partly made from the suite half of the same
runs; the isolation half, which the rule needs, is not in them. Counts of 4,000 make the rule sensitive to differences
that no developer would notice, and tests of one project are not independent, so projects are drawn together.

Expected: better than the majority label by about 0.1, precision near 0.9, recall about 0.7: tests that fail in one
order of twenty, and never alone, are missed where the failures are too few, and tests that only fail less in isolation
are called order dependent. Refuted: the interval of the gain over the majority holds 0, which is well possible when
nearly all tests carry one label. Control: the rule on isolation counts that are dealt out to the tests at random.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vultus.claims import ClaimResult, Context, claim
from vultus.errors import Refused
from vultus.testing.flaky.study import (
    LabeledTest,
    OrderCounts,
    cohen_kappa,
    load_idoft,
    load_order_counts,
    order_rule,
    priors,
)

Bools = NDArray[np.bool_]


@claim(paper=27, minutes=2, scale="nano", seeds=3)
def flaky_tests_idoft(ctx: Context) -> ClaimResult:
    """Failures in suite beside failures alone tell which real flaky tests depend on order."""
    labeled, counts = _published(ctx) if ctx.scale != "tiny" else _wiring()
    tests, truth = matched(labeled, counts)
    said = np.array([order_rule(test) for test in tests])
    majority = np.full(len(truth), truth.mean() >= 0.5)
    arms = {
        "rule": np.tile(said == truth, (len(ctx.seeds), 1)),
        "majority": np.tile(majority == truth, (len(ctx.seeds), 1)),
    }
    arms["rule, isolation dealt out"] = np.array([dealt(tests, ctx.rng("dealt", seed)) == truth for seed in ctx.seeds])
    projects = [test.project for test in tests]
    return ClaimResult(
        arms={name: values.astype(np.float64) for name, values in arms.items()},
        method="rule",
        baseline="majority",
        controls=("rule, isolation dealt out",),
        units=projects,
        unit="project",
        metric="share of tests classified as labeled",
        higher_is_better=True,
        data="real",
        extra=_extra(labeled, truth, said, projects, ctx.rng("bootstrap"), len(counts)),
        notes="the labels NDOD and NDOI come from the suite half of the same runs",
    )


def _published(ctx: Context) -> tuple[list[LabeledTest], list[OrderCounts]]:
    folder = ctx.data / "flaky_tests_idoft" if ctx.data else None
    if folder is None or not folder.is_dir():
        raise Refused("flaky_tests_idoft: expected the dataset in the folder flaky_tests_idoft of VULTUS_DATA")
    return load_idoft(folder), load_order_counts(folder)


def _wiring() -> tuple[list[LabeledTest], list[OrderCounts]]:
    """Eight tests that nobody wrote, for the tiny scale."""
    names = [(f"project {k // 2}", ".", f"test{k}") for k in range(8)]
    labeled = [LabeledTest(*name, frozenset({"OD" if k % 2 else "NOD"})) for k, name in enumerate(names)]
    counts = [OrderCounts(*name, 3 * k, 40, 0, 40, ((3 * k, 40),)) for k, name in enumerate(names)]
    return labeled, counts


def matched(labeled: Sequence[LabeledTest], counts: Sequence[OrderCounts]) -> tuple[list[OrderCounts], Bools]:
    """Tests with counts whose label says whether order matters, and what it says."""
    known = {(test.project, test.module, test.name): test.order_dependent for test in labeled}
    pairs = [(test, known.get((test.project, test.module, test.name))) for test in counts]
    kept = [(test, label) for test, label in pairs if label is not None]
    return [test for test, _ in kept], np.array([bool(label) for _, label in kept], dtype=np.bool_)


def dealt(tests: Sequence[OrderCounts], rng: np.random.Generator) -> Bools:
    """The rule with every test's isolation counts replaced by those of a test drawn without replacement."""
    order = rng.permutation(len(tests))
    mixed = [
        replace(test, alone_failed=tests[i].alone_failed, alone_runs=tests[i].alone_runs)
        for test, i in zip(tests, order, strict=True)
    ]
    return np.array([order_rule(test) for test in mixed], dtype=np.bool_)


def _extra(
    labeled: Sequence[LabeledTest],
    truth: Bools,
    said: Bools,
    projects: Sequence[str],
    rng: np.random.Generator,
    with_counts: int,
) -> dict[str, float | str]:
    """Precision, recall and kappa with intervals over projects, and the shares of labels."""
    groups = [np.flatnonzero(np.array(projects) == name) for name in sorted(set(projects))]
    drawn = [np.concatenate([groups[i] for i in rng.integers(len(groups), size=len(groups))]) for _ in range(2000)]
    extra: dict[str, float | str] = {
        "tests with counts": with_counts,
        "tests with a label on order": len(truth),
        "projects": len(groups),
        "labeled order dependent": int(truth.sum()),
        "called order dependent": int(said.sum()),
    }
    for name, number in (("precision", _precision), ("recall", _recall), ("kappa", _kappa)):
        values = np.array([number(truth[rows], said[rows]) for rows in drawn])
        low, high = np.nanpercentile(values, (2.5, 97.5))
        extra[name] = f"{number(truth, said):.3f} [{low:.3f}, {high:.3f}]"
    for label, share in list(priors(labeled).items())[:8]:
        extra[f"share of label {label}, all {len(labeled)} tests"] = round(share, 4)
    python = [test for test in labeled if test.name.partition("::")[0].endswith(".py")]
    told = Counter(test.order_dependent for test in python)
    extra["order dependent among labeled pytest tests"] = f"{told[True]} of {told[True] + told[False]}"
    return extra


def _precision(truth: Bools, said: Bools) -> float:
    return float((truth & said).sum() / said.sum()) if said.any() else float("nan")


def _recall(truth: Bools, said: Bools) -> float:
    return float((truth & said).sum() / truth.sum()) if truth.any() else float("nan")


def _kappa(truth: Bools, said: Bools) -> float:
    return cohen_kappa([str(x) for x in truth], [str(x) for x in said])

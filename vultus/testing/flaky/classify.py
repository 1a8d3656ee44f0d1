"""Which cause a flaky test has, by intervention: the change of circumstances that changes its failures most.

The eleven causes are those of "Understanding Flaky Tests: The Developer's Perspective" (Eck, Palomba, Castelluccio,
Bacchelli, ESEC/FSE 2019). Every intervention is compared with its own reference by Fisher's exact test, the p-values of
one test are corrected by Holm's step-down, and the cause of the largest significant change is named. Where several
changes are about as large, the more specific cause wins: what a shortened wait explains is not called a race. Where
nothing is significant the answer is "unknown".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vultus.errors import InputError

__all__ = [
    "CATEGORIES",
    "SHARES",
    "SPECIFIC_FIRST",
    "UNKNOWN",
    "Attribution",
    "Evidence",
    "attribute",
    "confusion",
    "fisher_exact",
    "holm",
    "macro_f1",
]

CATEGORIES = (
    "concurrency",
    "async wait",
    "too restrictive range",
    "test order dependency",
    "test case timeout",
    "resource leak",
    "platform dependency",
    "float precision",
    "test suite timeout",
    "time",
    "randomness",
)
# Shares of the 200 flaky tests that 21 developers classified in the study. The first three and the timeout of a test
# case are quoted by several later papers; the others are from memory of the paper and are used as a guide alone.
SHARES = dict(zip(CATEGORIES, (0.26, 0.22, 0.17, 0.09, 0.08, 0.06, 0.04, 0.03, 0.02, 0.02, 0.01), strict=True))
UNKNOWN = "unknown"

# Among changes of about the same size, the first of these is named. A race is also provoked by what provokes a short
# wait, and random numbers are behind most numbers that leave a range, so the wider cause stands later.
SPECIFIC_FIRST = (
    "float precision",
    "resource leak",
    "test suite timeout",
    "time",
    "platform dependency",
    "async wait",
    "test case timeout",
    "too restrictive range",
    "concurrency",
    "randomness",
    "test order dependency",
)
_AS_LARGE = 0.25  # changes of the failure probability that differ by less than this count as equal


@dataclass(frozen=True)
class Evidence:
    """Failures under one intervention beside failures under its reference.

    Attributes:
        category: the cause that the intervention stands for.
        intervention: its name.
        failed: of `runs` with the intervention.
        runs: with the intervention.
        reference_failed: of `reference_runs` without it.
        reference_runs: without it, everything else being the same.
    """

    category: str
    intervention: str
    failed: int
    runs: int
    reference_failed: int
    reference_runs: int

    @property
    def change(self) -> float:
        """Failure probability with the intervention minus that without it, in [-1, 1]."""
        return self.failed / self.runs - self.reference_failed / self.reference_runs

    @property
    def p(self) -> float:
        """Two-sided p-value of Fisher's exact test."""
        return fisher_exact(
            self.failed, self.runs - self.failed, self.reference_failed, self.reference_runs - self.reference_failed
        )


@dataclass(frozen=True)
class Attribution:
    """The cause that was found.

    Attributes:
        category: one of `CATEGORIES`, or `UNKNOWN`.
        intervention: that showed it; "" when unknown.
        change: of the failure probability under it.
        p: its p-value after Holm's correction over all interventions of this test; 1 when there was none.
        evidence: everything that was compared.
    """

    category: str
    intervention: str
    change: float
    p: float
    evidence: tuple[Evidence, ...]


def attribute(evidence: Iterable[Evidence], *, alpha: float = 0.05) -> Attribution:
    """Name the cause whose intervention changes the failure probability most.

    Args:
        evidence: every intervention that was tried on one test, each with its reference.
        alpha: family-wise error rate over the interventions of this test.

    Returns:
        The attribution; `UNKNOWN` when no change is significant.

    Raises:
        InputError: a category is none of `CATEGORIES`, or counts are impossible.
    """
    tried = tuple(evidence)
    for one in tried:
        _possible(one)
    corrected = holm([one.p for one in tried])
    significant = [(one, p) for one, p in zip(tried, corrected, strict=True) if p < alpha]
    if not significant:
        return Attribution(UNKNOWN, "", 0.0, min(corrected, default=1.0), tried)
    largest = max(abs(one.change) for one, _ in significant)
    near = [(one, p) for one, p in significant if abs(one.change) >= largest - _AS_LARGE]
    best, p = min(near, key=lambda pair: (SPECIFIC_FIRST.index(pair[0].category), -abs(pair[0].change)))
    return Attribution(best.category, best.intervention, best.change, p, tried)


def _possible(one: Evidence) -> None:
    if one.category not in CATEGORIES:
        raise InputError(f"category: expected one of {', '.join(CATEGORIES)}; got {one.category!r}")
    for failed, runs in ((one.failed, one.runs), (one.reference_failed, one.reference_runs)):
        if runs < 1 or not 0 <= failed <= runs:
            raise InputError(
                f"{one.intervention}: expected 0..runs failures of at least one run, got {failed} of {runs}"
            )


def fisher_exact(a: int, b: int, c: int, d: int) -> float:
    """Two-sided p-value of the table [[a, b], [c, d]]: all tables with its margins that are no more likely than it.

    Args:
        a: count, at least 0.
        b: count, at least 0.
        c: count, at least 0.
        d: count, at least 0.

    Returns:
        The p-value in (0, 1]; 1 where a margin is empty.

    Raises:
        InputError: a count is negative.
    """
    if min(a, b, c, d) < 0:
        raise InputError(f"fisher_exact: expected counts of 0 or more, got {(a, b, c, d)}")
    row, column, total = a + b, a + c, a + b + c + d
    low, high = max(0, row + column - total), min(row, column)
    if low == high:
        return 1.0
    logs = [_log_choose(column, k) + _log_choose(total - column, row - k) for k in range(low, high + 1)]
    top = max(logs)
    weights = [math.exp(value - top) for value in logs]
    observed = weights[a - low] * (1 + 1e-7)  # tables as likely as this one differ from it by rounding
    return min(1.0, math.fsum(w for w in weights if w <= observed) / math.fsum(weights))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: p-values to compare with the family-wise error rate, in the order given."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected, floor = [1.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        floor = max(floor, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = floor
    return corrected


def macro_f1(truth: Sequence[str], answer: Sequence[str], categories: Sequence[str] = CATEGORIES) -> float:
    """Mean over categories of the harmonic mean of precision and recall; a category without any hit counts 0.

    Raises:
        InputError: the lists differ in length or are empty.
    """
    if len(truth) != len(answer) or not truth:
        raise InputError(f"macro_f1: expected one answer per truth, got {len(answer)} for {len(truth)}")
    scores = []
    for category in categories:
        hits = sum(t == category == a for t, a in zip(truth, answer, strict=True))
        named = sum(a == category for a in answer)
        meant = sum(t == category for t in truth)
        if named + meant:
            scores.append(2 * hits / (named + meant))
    return sum(scores) / len(scores)


def confusion(truth: Sequence[str], answer: Sequence[str]) -> dict[tuple[str, str], int]:
    """How often each (truth, answer) came up; only pairs that did."""
    if len(truth) != len(answer):
        raise InputError(f"confusion: expected one answer per truth, got {len(answer)} for {len(truth)}")
    counts: dict[tuple[str, str], int] = {}
    for pair in zip(truth, answer, strict=True):
        counts[pair] = counts.get(pair, 0) + 1
    return counts

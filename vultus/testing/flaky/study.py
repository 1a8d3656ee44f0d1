"""The study and its data: agreement of labels, shares of causes, and the order rule on published failure counts.

`cohen_kappa` and `fleiss_kappa` compare what the tool named with what developers say. `replicate` summarizes the forms
that end quarantines as the study summarizes its interviews. `load_idoft` reads the International Dataset of Flaky
Tests, `load_study` a table of the study's own data, which is the user's copy (Zenodo 10.5281/zenodo.3265785).
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from vultus.errors import InputError
from vultus.testing.flaky.classify import CATEGORIES, fisher_exact
from vultus.testing.flaky.store import Repair

__all__ = [
    "LabeledTest",
    "OrderCounts",
    "cohen_kappa",
    "fleiss_kappa",
    "load_idoft",
    "load_order_counts",
    "load_study",
    "order_rule",
    "priors",
    "replicate",
]

_NAME = "Fully-Qualified Test Name (packageName.ClassName.methodName)"
_PYTEST = "Pytest Test Name (PathToFile::TestClass::TestMethod or PathToFile::TestMethod)"
_LABELED = ("pr-data.csv", "gr-data.csv", "py-data.csv")
_ORDER = frozenset({"OD", "OD-Vic", "OD-Brit", "NDOD"})
_NOT_ORDER = frozenset({"NOD", "NDOI", "TD", "TZD", "ID", "ID-HtF", "OSD"})


@dataclass(frozen=True)
class LabeledTest:
    """A test of the dataset: project, module, name, and its labels (OD-Vic, NOD, ID, ...)."""

    project: str
    module: str
    name: str
    labels: frozenset[str]

    @property
    def order_dependent(self) -> bool | None:
        """True for any order-dependent label, False for any other cause, None when the dataset does not say."""
        if self.labels & _ORDER:
            return True
        return False if self.labels & _NOT_ORDER else None


@dataclass(frozen=True)
class OrderCounts:
    """Failures of one test in suites and alone, as published.

    Attributes:
        project: URL.
        module: path.
        name: of the test.
        suite_failed: of `suite_runs`, all orders together.
        suite_runs: in suites.
        alone_failed: of `alone_runs`.
        alone_runs: in isolation.
        by_order: (failures, runs) of each order.
    """

    project: str
    module: str
    name: str
    suite_failed: int
    suite_runs: int
    alone_failed: int
    alone_runs: int
    by_order: tuple[tuple[int, int], ...]


def order_rule(counts: OrderCounts, *, alpha: float = 0.05) -> bool:
    """The order part of the attribution: does running alone change the failure probability significantly?"""
    suite, alone = counts.suite_runs - counts.suite_failed, counts.alone_runs - counts.alone_failed
    return fisher_exact(counts.suite_failed, suite, counts.alone_failed, alone) < alpha


def load_idoft(folder: Path) -> list[LabeledTest]:
    """Every labeled test of the dataset.

    Args:
        folder: with `pr-data.csv`, `gr-data.csv` and `py-data.csv`, as published.

    Raises:
        InputError: a file is missing or lacks a column.
    """
    found = []
    for file in _LABELED:
        name = _PYTEST if file == "py-data.csv" else _NAME
        for row in _rows(folder / file, ("Project URL", name, "Category")):
            labels = frozenset(filter(None, (label.strip() for label in row["Category"].split(";"))))
            found.append(LabeledTest(row["Project URL"], row.get("Module Path") or "", row[name], labels))
    return found


def load_order_counts(folder: Path) -> list[OrderCounts]:
    """The failure counts of `tso-iso-rates.csv`.

    Raises:
        InputError: the file is missing, lacks a column, or counts are impossible.
    """
    suite, alone = "Test Suite", "Isolation"
    columns = [f"Total Runs In {suite}", f"Number of Times Test Passed In {suite}"]
    columns += [f"Total Runs In {alone}", f"Number of Times Test Passed In {alone}"]
    orders = (f"Number Of Test Failures In {suite}", f"Number Of Test Runs In {suite}")
    found = []
    for row in _rows(folder / "tso-iso-rates.csv", ("Project URL", "Module Path", _NAME, *columns, *orders)):
        runs, passed, alone_runs, alone_passed = (int(row[column]) for column in columns)
        failures, totals = ([int(x) for x in row[column].strip("()").split(";")] for column in orders)
        if not (0 <= passed <= runs and 0 <= alone_passed <= alone_runs and len(failures) == len(totals)):
            raise InputError(f"tso-iso-rates.csv: impossible counts of {row[_NAME]}")
        by_order = tuple(zip(failures, totals, strict=True))
        counts = (runs - passed, runs, alone_runs - alone_passed, alone_runs)
        found.append(OrderCounts(row["Project URL"], row["Module Path"], row[_NAME], *counts, by_order))
    return found


def load_study(path: Path, *, columns: Mapping[str, str] | None = None) -> list[Repair]:
    """A table of repaired flaky tests, one a row, as CSV.

    Args:
        path: of the file. The published workbook is saved as CSV first.
        columns: our name -> the file's, for "nature", "origin", "minutes" and "fix"; a name that is left out is called
            the same in the file. "minutes" and "fix" may be missing.

    Raises:
        InputError: the file is missing or lacks a column, or a nature is none of `CATEGORIES`.
    """
    named = {name: (columns or {}).get(name, name) for name in ("nature", "origin", "minutes", "fix")}
    found = []
    for number, row in enumerate(_rows(path, (named["nature"], named["origin"])), 2):
        nature = row[named["nature"]].strip().lower()
        if nature not in CATEGORIES:
            raise InputError(f"{path.name}:{number}: expected a nature of {', '.join(CATEGORIES)}; got {nature!r}")
        minutes = float(row.get(named["minutes"]) or 0)
        found.append(Repair(f"row {number}", "", nature, row[named["origin"]], minutes, row.get(named["fix"]) or ""))
    return found


def _rows(path: Path, needed: Sequence[str]) -> list[dict[str, str]]:
    if not path.is_file():
        raise InputError(f"{path.name}: expected the table in {path.parent}, found none")
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        missing = [column for column in needed if column not in (reader.fieldnames or ())]
        if missing:
            raise InputError(f"{path.name}: expected the columns {', '.join(needed)}; missing: {', '.join(missing)}")
        return list(reader)


def priors(tests: Iterable[LabeledTest]) -> dict[str, float]:
    """Share of every label among the tests, most frequent first; a test may have several."""
    counted: Counter[str] = Counter()
    total = 0
    for test in tests:
        counted.update(test.labels)
        total += 1
    return {label: n / total for label, n in counted.most_common()} if total else {}


def cohen_kappa(first: Sequence[str], second: Sequence[str]) -> float:
    """Agreement of two raters beyond chance (Cohen 1960): 1 agrees always, 0 as chance does.

    Args:
        first: one label per test.
        second: the other rater's, in the same order.

    Returns:
        Kappa; NaN where both give one and the same label to everything, which chance explains as well.

    Raises:
        InputError: the lists differ in length or are empty.
    """
    if len(first) != len(second) or not first:
        raise InputError(f"cohen_kappa: expected two lists of one length, got {len(first)} and {len(second)}")
    n = len(first)
    left, right = Counter(first), Counter(second)
    agreed = sum(a == b for a, b in zip(first, second, strict=True)) / n
    chance = sum(left[label] * right[label] for label in left) / n**2
    return float("nan") if chance == 1 else (agreed - chance) / (1 - chance)


def fleiss_kappa(counts: ArrayLike) -> float:
    """Agreement of several raters beyond chance (Fleiss 1971).

    Args:
        counts: (tests, labels) how many raters gave each label; every row has the same sum of at least 2.

    Returns:
        Kappa; NaN where only one label was ever given.

    Raises:
        InputError: rows differ in their sum, or it is below 2.
    """
    table = np.asarray(counts, dtype=np.float64)
    if table.ndim != 2 or not len(table) or np.ptp(table.sum(axis=1)) or table[0].sum() < 2 or table.min() < 0:
        raise InputError("fleiss_kappa: expected (tests, labels) counts whose rows all sum to one number of 2 or more")
    raters = table[0].sum()
    agreed = float(((table**2).sum(axis=1) - raters).mean() / (raters * (raters - 1)))
    chance = float(((table.sum(axis=0) / table.sum()) ** 2).sum())
    return float("nan") if chance == 1 else (agreed - chance) / (1 - chance)


def replicate(repairs: Sequence[Repair]) -> dict[str, float]:
    """One's own numbers beside the study's: shares of causes and origins, median minutes, agreement with the tool.

    Returns:
        "n"; "nature: ..." and "origin: ..." as shares; "minutes" (median); "kappa" where the tool had named causes.
    """
    found: dict[str, float] = {"n": float(len(repairs))}
    if not repairs:
        return found
    for nature, n in Counter(one.nature for one in repairs).most_common():
        found[f"nature: {nature}"] = n / len(repairs)
    for origin, n in Counter(one.origin for one in repairs).most_common():
        found[f"origin: {origin}"] = n / len(repairs)
    found["minutes"] = float(np.median([one.minutes for one in repairs]))
    both = [(one.nature, one.tool) for one in repairs if one.tool]
    if both:
        found["kappa"] = cohen_kappa([a for a, _ in both], [b for _, b in both])
    return found

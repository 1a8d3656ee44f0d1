"""Agreement beside scikit-learn and by hand, and the readers of published tables."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from vultus.errors import InputError
from vultus.testing.flaky.store import Repair
from vultus.testing.flaky.study import (
    OrderCounts,
    cohen_kappa,
    fleiss_kappa,
    load_idoft,
    load_order_counts,
    load_study,
    order_rule,
    priors,
    replicate,
)

labels = st.sampled_from(["a", "b", "c"])


@given(st.lists(st.tuples(labels, labels), min_size=2, max_size=30))
def test_cohen_is_sklearns(pairs):
    first, second = ([pair[k] for pair in pairs] for k in (0, 1))
    ours = cohen_kappa(first, second)
    if len({*first, *second}) == 1:
        assert math.isnan(ours)
    else:
        assert ours == pytest.approx(cohen_kappa_score(first, second))


def test_fleiss_by_the_published_example():
    # Fleiss (1971) as worked in the literature: 10 subjects, 14 raters, 5 categories, kappa 0.210
    table = [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]  # fmt: skip
    assert fleiss_kappa(table) == pytest.approx(0.210, abs=5e-4)


def test_fleiss_of_two_raters_is_scotts_pi():
    first, second = ["a", "a", "b", "b", "a"], ["a", "b", "b", "b", "a"]
    table = [[(x == "a") + (y == "a"), (x == "b") + (y == "b")] for x, y in zip(first, second, strict=True)]
    pooled = np.array([0.5, 0.5])  # 5 of 10 each
    agreed, chance = 4 / 5, float((pooled**2).sum())
    assert fleiss_kappa(table) == pytest.approx((agreed - chance) / (1 - chance))
    assert math.isnan(fleiss_kappa([[2, 0], [2, 0]]))
    with pytest.raises(InputError, match="rows all sum"):
        fleiss_kappa([[2, 0], [1, 0]])


def test_kappa_of_nothing_is_refused():
    with pytest.raises(InputError, match="one length"):
        cohen_kappa([], [])


def test_the_order_rule():
    counts = OrderCounts("p", "m", "t", 0, 4000, 4000, 4000, ())
    assert order_rule(counts)
    assert not order_rule(OrderCounts("p", "m", "t", 1, 4000, 1, 4000, ()))


def test_replicate_and_the_form():
    forms = [
        Repair("a", "ann", "time", "test", 10, "a clock", "time"),
        Repair("b", "bo", "time", "code", 30, "UTC", "time"),
        Repair("c", "bo", "concurrency", "code", 50, "a lock", "async wait"),
    ]
    numbers = replicate(forms)
    assert numbers["n"] == 3
    assert numbers["nature: time"] == pytest.approx(2 / 3)
    assert numbers["minutes"] == 30
    assert numbers["kappa"] == pytest.approx(cohen_kappa_score(["t", "t", "c"], ["t", "t", "a"]))
    assert replicate([]) == {"n": 0.0}


def test_a_study_table(tmp_path):
    path = tmp_path / "study.csv"
    path.write_text("Category,Origin,minutes,fix\nTime,test,20,froze it\n", encoding="utf-8")
    columns = {"nature": "Category", "origin": "Origin"}
    assert load_study(path, columns=columns) == [Repair("row 2", "", "time", "test", 20.0, "froze it")]
    path.write_text("Category,Origin\nweather,test\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"study.csv:2: expected a nature of"):
        load_study(path, columns=columns)
    with pytest.raises(InputError, match="missing: nature, origin"):
        load_study(path)
    with pytest.raises(InputError, match="found none"):
        load_study(tmp_path / "none.csv")


@pytest.mark.data
def test_the_published_dataset(data_dir):
    folder = data_dir / "flaky_tests_idoft"
    tests, counts = load_idoft(folder), load_order_counts(folder)
    assert len(tests) > 10_000
    assert len(counts) == 101
    assert {"ID", "OD-Vic", "NOD"} <= set(priors(tests))
    # the first row of the table: always fails alone, fails in 200 of 4000 runs in suites
    assert (counts[0].alone_failed, counts[0].suite_failed) == (4000, 200)
    assert order_rule(counts[0])
    for one in counts:
        assert sum(n for _, n in one.by_order) == one.suite_runs
        assert sum(k for k, _ in one.by_order) == one.suite_failed

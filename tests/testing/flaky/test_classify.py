"""Attribution: exact tests beside SciPy, and the rule that names a cause."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import f1_score

from vultus.errors import InputError
from vultus.testing.flaky.classify import (
    CATEGORIES,
    SHARES,
    SPECIFIC_FIRST,
    UNKNOWN,
    Evidence,
    attribute,
    confusion,
    fisher_exact,
    holm,
    macro_f1,
)

counts = st.integers(0, 40)


@given(counts, counts, counts, counts)
def test_fisher_is_scipys(a, b, c, d):
    expected = stats.fisher_exact([[a, b], [c, d]]).pvalue
    assert fisher_exact(a, b, c, d) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(counts, counts, counts, counts)
def test_fisher_does_not_care_how_the_table_is_turned(a, b, c, d):
    assert fisher_exact(a, b, c, d) == pytest.approx(fisher_exact(c, d, a, b), rel=1e-9)
    assert fisher_exact(a, b, c, d) == pytest.approx(fisher_exact(a, c, b, d), rel=1e-9)


def test_fisher_by_hand():
    # 8 of 8 beside 0 of 8: one table of 12870 on each side
    assert fisher_exact(8, 0, 0, 8) == pytest.approx(2 / 12870)
    with pytest.raises(InputError, match="counts of 0 or more"):
        fisher_exact(1, -1, 0, 0)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_scipys_steps(p):
    order = np.argsort(p, kind="stable")
    expected = np.empty(len(p))
    expected[order] = np.minimum(1, np.maximum.accumulate((len(p) - np.arange(len(p))) * np.array(p)[order]))
    assert holm(p) == pytest.approx(list(expected))


def test_shares_are_of_every_category_once():
    assert set(SHARES) == set(CATEGORIES) == set(SPECIFIC_FIRST)
    assert sum(SHARES.values()) == pytest.approx(1.0)


def said(category, failed, runs=8, reference=0, reference_runs=8, name=""):
    return Evidence(category, name or category, failed, runs, reference, reference_runs)


def test_the_largest_change_is_named():
    found = attribute([said("time", 8), said("concurrency", 1), said("randomness", 0)])
    assert (found.category, found.intervention, found.change) == ("time", "time", 1.0)
    assert found.p == pytest.approx(3 * 2 / 12870)


def test_among_equals_the_more_specific_cause_is_named():
    assert attribute([said("concurrency", 8), said("async wait", 8)]).category == "async wait"
    assert attribute([said("randomness", 8), said("too restrictive range", 7)]).category == "too restrictive range"


def test_a_much_larger_change_is_named_before_a_more_specific_cause():
    half = said("float precision", 20, runs=40, reference_runs=40)
    assert attribute([half]).category == "float precision"
    assert attribute([half, said("randomness", 40, runs=40, reference_runs=40)]).category == "randomness"


def test_of_one_cause_the_larger_change_is_named():
    assert attribute([said("time", 7, name="leap day"), said("time", 8, name="zone +14")]).intervention == "zone +14"


def test_an_intervention_that_repairs_counts_as_much_as_one_that_breaks():
    assert attribute([said("test order dependency", 0, reference=8)]).change == -1.0


def test_nothing_significant_is_unknown():
    assert attribute([said("time", 2)]).category == UNKNOWN
    assert attribute([]).category == UNKNOWN
    # significant alone, not among twenty
    many = [said("time", 5, name=str(i)) for i in range(1)] + [said("randomness", 0, name=str(i)) for i in range(20)]
    assert attribute([said("time", 5)]).category == "time"
    assert attribute(many).category == UNKNOWN


@pytest.mark.parametrize("bad", [said("weather", 1), said("time", 9), said("time", 0, runs=0)])
def test_impossible_evidence_is_refused(bad):
    with pytest.raises(InputError, match="expected"):
        attribute([bad])


@given(st.lists(st.tuples(st.sampled_from(CATEGORIES), st.sampled_from(CATEGORIES)), min_size=1, max_size=40))
def test_macro_f1_is_sklearns(pairs):
    truth, answer = ([pair[k] for pair in pairs] for k in (0, 1))
    labels = sorted({*truth, *answer})
    expected = f1_score(truth, answer, labels=labels, average="macro", zero_division=0)
    assert macro_f1(truth, answer) == pytest.approx(expected)
    assert sum(confusion(truth, answer).values()) == len(pairs)

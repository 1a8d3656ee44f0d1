"""Which runs are compared with which, on runs that are written out."""

from __future__ import annotations

import pytest

from vultus.testing.flaky._evidence import Trials, ran
from vultus.testing.flaky.classify import UNKNOWN, attribute
from vultus.testing.flaky.interventions import Condition
from vultus.testing.flaky.runner import Attempt, Run, Wanted

TEST = "test_it.py::test"


def run(name, outcomes, *, left=(0, 0, 0), values=(), repetitions=1):
    """A process with one attempt per letter, F or p."""
    attempts = tuple(
        Attempt(TEST, letter == "F", k, r, "key", 0.01, left, values=values if letter == "F" else ())
        for k, letter in enumerate(outcomes)
        for r in range(repetitions)
    )
    return Run(Wanted(Condition(name, "", "")), attempts, 1, 1.0, True)


def found(*runs):
    return {(one.category, one.intervention): one for one in Trials(runs).of(TEST)}


CALM = run("baseline, alone", "pppppppp")


def test_repetitions_of_one_attempt_count_once():
    assert ran([run("repeated, alone", "FpFp", repetitions=40)], TEST) == (2, 4)
    assert ran([run("a", "F"), run("a", "p")], TEST) == (1, 2)


def test_second_trials_take_the_place_of_the_first():
    first = run("threads jittered, alone", "FFpppppp")
    assert Trials([CALM, first]).rare("threads jittered", TEST)
    assert attribute(Trials([CALM, first]).of(TEST)).category == UNKNOWN
    again = [run("threads jittered, alone, again", "FFFpp" * 8), run("baseline, alone, again", "p" * 40)]
    (one,) = found(CALM, first, *again).values()
    assert (one.failed, one.runs, one.reference_runs) == (24, 40, 40)
    assert attribute([one]).category == "concurrency"


def test_what_fails_when_repeated_leaks_or_depends_on_itself():
    bad = run("repeated, alone", "FFFFFFFF")
    leaking = run("repeated, alone", "pppppppp", left=(1, 0, 0))
    assert ("test order dependency", "repeated, alone") in found(CALM, bad)
    assert ("resource leak", "repeated, alone") in found(CALM, bad, leaking)


def test_a_test_that_seldom_leaves_something_open_does_not_leak():
    seldom = [run("repeated, alone", "FFFFppppp"), run("repeated, alone", "ppp", left=(1, 0, 0))]
    assert ("test order dependency", "repeated, alone") in found(CALM, *seldom)
    assert ("resource leak", "repeated, alone") not in found(CALM, *seldom)


def test_what_rounding_explains_is_not_evidence_for_a_narrow_range_as_well():
    rounded = run("failing seed", "FFFFFFFF", values=(("<", 1.0, 1.0 + 2e-16, 2e-16),))
    assert ("float precision", "tolerance 1e-6") in found(CALM, rounded)
    assert ("too restrictive range", "wider range") not in found(CALM, rounded)


def test_a_slow_suite_is_compared_with_the_harder_of_slow_and_suite():
    suite = [run("baseline, in suite", "pppppp"), run("slow machine, in suite", "FFFFFF")]
    slow_alone = run("slow machine, alone", "ppppFFFF")
    one = found(CALM, slow_alone, *suite)["test suite timeout", "slow machine, in suite"]
    assert (one.reference_failed, one.reference_runs) == (4, 8)
    victim = [run("baseline, in suite", "FFFFFF"), run("slow machine, in suite", "FFFFFF")]
    said = attribute(Trials([CALM, run("slow machine, alone", "pppppppp"), *victim]).of(TEST))
    assert said.category == "test order dependency"


@pytest.mark.parametrize(
    ("values", "category"),
    [
        ((("==", 1.0, 1.0 + 2e-16, 2e-16),), "float precision"),
        ((("<", 0.21, 0.2, 0.05),), "too restrictive range"),
        ((("isclose", 0.21, 0.2, 0.05),), "too restrictive range"),
        ((("==", 0.21, 0.2, 0.05),), "randomness"),  # equality is no range
        ((("<", 9.0, 0.2, 0.98),), "randomness"),  # nobody would call that a range that is a little too narrow
        ((), "randomness"),
    ],
)
def test_what_a_wider_comparison_would_have_saved(values, category):
    assert attribute(Trials([CALM, run("failing seed", "FFFFFFFF", values=values)]).of(TEST)).category == category

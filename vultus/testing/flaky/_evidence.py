"""From trials to evidence: which runs are compared with which."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vultus.testing.flaky.classify import Evidence
from vultus.testing.flaky.interventions import SCREEN
from vultus.testing.flaky.runner import Attempt, Run

AGAIN = ", again"
_ROUNDING = 1e-6  # a relative gap that rounding explains
_WIDER = 0.5  # a range that would have to be this much wider, relative to the numbers, was not merely too narrow
_UNCHANGED = ("baseline, alone", "failing seed", "failing hash seed", "passing hash seed")
_ORDERED = frozenset({"<", "<=", ">", ">=", "isclose"})


def ran(runs: Iterable[Run], test: str) -> tuple[int, int]:
    """Failures and runs of a test; repetitions within one attempt count as one, failed when any failed."""
    outcome: dict[tuple[int, int], bool] = {}
    for number, run in enumerate(runs):
        for attempt in run.attempts:
            if attempt.test == test:
                key = (number, attempt.attempt)
                outcome[key] = outcome.get(key, False) or attempt.failed
    return sum(outcome.values()), len(outcome)


class Trials:
    """Runs of the trials, looked at test by test."""

    def __init__(self, trials: Iterable[Run]) -> None:
        self.trials: dict[str, list[Run]] = {}
        for run in trials:
            self.trials.setdefault(run.wanted.condition.name, []).append(run)

    def of(self, test: str) -> list[Evidence]:
        """Everything that can be compared about one test."""
        reference = self._counts("baseline, alone", test)
        found = [self._alone(name, category, test, reference) for name, category in self._changed(test)]
        found += [
            self._beside("failing seed", "randomness", test, reference),
            self._beside("failing hash seed", "randomness", test, self._counts("passing hash seed", test)),
            *self._order(test, reference),
            *self._suite_time(test),
            *self._tolerance(test),
        ]
        return [one for one in found if one is not None]

    def rare(self, condition: str, test: str) -> bool:
        """Whether a test failed in some of its trials under a condition, and passed in others."""
        failed, runs = self._counts(f"{condition}, alone", test)
        return 0 < failed < runs

    def _alone(self, name: str, category: str, test: str, reference: tuple[int, int]) -> Evidence | None:
        """The second trials, where there were any, beside the second trials of the baseline."""
        second = self._beside(name + AGAIN, category, test, self._counts("baseline, alone" + AGAIN, test))
        return second or self._beside(name, category, test, reference)

    def _counts(self, name: str, test: str) -> tuple[int, int]:
        return ran(self.trials.get(name, ()), test)

    def _beside(self, name: str, category: str, test: str, reference: tuple[int, int]) -> Evidence | None:
        counts = self._counts(name, test)
        return Evidence(category, name, *counts, *reference) if counts[1] and reference[1] else None

    def _changed(self, test: str) -> list[tuple[str, str]]:
        pairs = []
        for condition in SCREEN:
            category = condition.category
            if condition.name == "repeated" and not self._leaks(test):
                category = "test order dependency"  # it fails because it has run before, and leaves nothing open
            if category not in ("randomness",) and condition.settings.get("order") is None:
                pairs.append((f"{condition.name}, alone", category))
        return pairs

    def _leaks(self, test: str) -> bool:
        """Whether most repetitions left a descriptor, a thread or a file behind."""
        runs = self.trials.get("repeated, alone", ())
        left = [a.left for run in runs for a in run.attempts if a.test == test and not a.failed]
        return any(sum(x > 0 for x in column) * 2 > len(column) for column in zip(*left, strict=True))

    def _order(self, test: str, alone: tuple[int, int]) -> list[Evidence | None]:
        """In file order beside alone; backwards and shuffled beside file order."""
        suite = self._counts("baseline, in suite", test)
        category = "test order dependency"
        found: list[Evidence | None] = []
        if suite[1] and alone[1]:
            found.append(Evidence(category, "in suite", *suite, *alone))
        if suite[1]:
            found += [self._beside(f"{name}, in suite", category, test, suite) for name in ("reversed", "shuffled")]
        return found

    def _suite_time(self, test: str) -> list[Evidence | None]:
        """A slow machine hurts in the suite and not alone: it is the time of the suite that runs out."""
        suite = self._counts("baseline, in suite", test)
        found = []
        for name in ("slow machine", "throttled"):
            alone = self._counts(f"{name}, alone", test)
            if suite[1] and alone[1]:  # beside whichever of the two fails more: slow alone, or the suite at full speed
                harder = max(alone, suite, key=lambda counts: counts[0] / counts[1])
                found.append(self._beside(f"{name}, in suite", "test suite timeout", test, harder))
        return found

    def _tolerance(self, test: str) -> list[Evidence | None]:
        """The same runs, judged with wider tolerances: of the condition under which the test fails most."""
        return [
            self._rescued(test, "float precision", "tolerance 1e-6", list(self.trials), (0.0, _ROUNDING)),
            self._rescued(test, "too restrictive range", "wider range", _UNCHANGED, (_ROUNDING, _WIDER)),
        ]

    def _rescued(
        self, test: str, category: str, name: str, conditions: Sequence[str], gap: tuple[float, float]
    ) -> Evidence | None:
        """How many of the failures would have been none, had the comparison been wider by a relative gap."""
        by_condition = [
            [a for run in self.trials.get(condition, ()) for a in run.attempts if a.test == test]
            for condition in conditions
        ]
        attempts = max(by_condition, key=lambda found: sum(a.failed for a in found), default=[])
        failed = [attempt for attempt in attempts if attempt.failed]
        saved = sum(_gap_within(attempt, *gap) for attempt in failed)
        if not saved:
            return None
        return Evidence(category, name, len(failed) - saved, len(attempts), len(failed), len(attempts))


def _gap_within(attempt: Attempt, above: float, up_to: float) -> bool:
    if not attempt.values:
        return False
    operator, _, _, gap = attempt.values[-1]
    return above < gap <= up_to and (up_to <= _ROUNDING or operator in _ORDERED)

"""Finding flaky tests and their causes: a screen of everything, then trials of what failed, then attribution.

1. **Screen.** The whole suite runs a few times as it is and once or a few times under every intervention. What failed
   in one run and passed in another is a suspect.
2. **Trials.** Every suspect is repeated, alone, under what made it fail and under what did not; order and the time of
   the whole suite are tried in the suite. Trials are new runs: the failures that made a test a suspect are not counted
   a second time. What failed now and then in its trials, too rarely to be sure, is tried five times as often once more.
3. **Attribution** by `classify.attribute`. A test is called flaky when unchanged runs both passed and failed, or when
   an intervention changes its failures significantly. A failure under an intervention that the trials do not confirm
   leaves it a suspect.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from vultus.errors import InputError
from vultus.testing.flaky._evidence import AGAIN, Trials, ran
from vultus.testing.flaky._shims import now
from vultus.testing.flaky.classify import UNKNOWN, Attribution, Evidence, attribute
from vultus.testing.flaky.interventions import BASELINE, SCREEN, Condition, by_name
from vultus.testing.flaky.runner import Attempt, Project, Run, Wanted

__all__ = ["Diagnosis", "Investigation", "Rates", "investigate", "rates"]

_NATURAL = frozenset({"baseline", "seeds", "hash seeds"})  # conditions that any ordinary run might have met
_IN_SUITE = ("reversed", "shuffled")
_ALPHA = 0.025  # of each look: what the first trials leave open may be tried once more
_AGAIN = 5  # times as many trials then
_SLOW = ("slow machine", "throttled")


@dataclass(frozen=True)
class Diagnosis:
    """What was found about one test.

    Attributes:
        test: its id.
        status: "stable", "flaky", "suspect" (failed under an intervention, not confirmed) or "broken" (never passed).
        attribution: of a flaky test or a suspect; None for the others.
        screen: condition -> (failures, runs) of the screen.
        leaves: descriptors, threads and temporary files that the test leaves behind, median of the unchanged runs.
    """

    test: str
    status: str
    attribution: Attribution | None
    screen: dict[str, tuple[int, int]] = field(default_factory=dict)
    leaves: tuple[int, int, int] = (0, 0, 0)

    @property
    def category(self) -> str:
        """The cause, `UNKNOWN`, or "" for a test that is not flaky."""
        if self.status != "flaky":
            return ""
        return self.attribution.category if self.attribution else UNKNOWN


@dataclass(frozen=True)
class Investigation:
    """Diagnoses of every test, in file order, and what they took.

    Attributes:
        diagnoses: one for every test that was looked at.
        screen_seconds: wall time of the screen.
        trial_seconds: wall time of the trials.
        processes: that were started.
        lost: conditions under which a process did not come to its end, so that tests may be missing there.
    """

    diagnoses: tuple[Diagnosis, ...]
    screen_seconds: float
    trial_seconds: float
    processes: int
    lost: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Everything together."""
        return self.screen_seconds + self.trial_seconds

    def flaky(self) -> list[Diagnosis]:
        """Those that were found flaky."""
        return [one for one in self.diagnoses if one.status == "flaky"]


def investigate(
    project: Project,
    *,
    repeats: int = 8,
    seed: int = 0,
    jobs: int = 1,
    tests: Sequence[str] | None = None,
    screen: Sequence[Condition] = SCREEN,
    progress: Callable[[int, int, str], None] | None = None,
) -> Investigation:
    """Find the flaky tests of a project and what makes them so.

    Args:
        project: to try out.
        repeats: trials of each suspect under each condition, at least 6: fewer can show nothing.
        seed: of every draw: seeds, hash seeds, shuffled orders.
        jobs: processes side by side; more than the cores disturb the timing of the tests.
        tests: ids to look at; None for all. The others still run, since order matters.
        screen: interventions to try.
        progress: called with (done, total, name of the condition).

    Returns:
        Diagnoses of every test.

    Raises:
        InputError: the project cannot be collected, a test id is unknown, or processes cannot be split off here.
    """
    if not hasattr(os, "fork"):
        raise InputError("investigate: expected a system that can fork (Linux, macOS); use `rates` here")
    started = now()
    if tests is not None:
        project.known(tests)
    natural = [project.run(Wanted(BASELINE, seed, seed))]  # first: a project that cannot be collected is refused here
    order = list(dict.fromkeys(attempt.test for attempt in natural[0].attempts))
    asked = [Wanted(BASELINE, seed + k, seed + k) for k in range(1, BASELINE.attempts)]
    natural += project.run_all(asked, jobs=jobs, progress=progress)
    passed = _by_test(natural)
    keys = {test: key for test in order if (key := _key(passed[test], failed=False))}
    runs = natural + project.run_all(_screening(screen, seed, keys), jobs=jobs, progress=progress)
    between = now()
    seen = _by_test(runs)
    suspects = [test for test in order if _mixed(seen[test]) and (tests is None or test in tests)]
    planner = _Planner(seen, suspects, max(6, repeats), seed)
    trials = project.run_all(planner.alone(), jobs=jobs, progress=progress)
    unexplained = _unexplained(trials, suspects)
    trials += project.run_all(planner.again(Trials(trials), unexplained), jobs=jobs, progress=progress)
    unexplained = _unexplained(trials, unexplained)
    trials += project.run_all(planner.in_suite(unexplained), jobs=jobs, progress=progress)
    evidence = Trials(trials)
    diagnoses = [
        _diagnosis(test, seen[test], evidence.of(test) if test in suspects else None)
        for test in order
        if tests is None or test in tests
    ]
    every = [*runs, *trials]
    lost = tuple(dict.fromkeys(run.wanted.condition.name for run in every if not run.whole))
    return Investigation(tuple(diagnoses), between - started, now() - between, len(every), lost)


def _unexplained(trials: Sequence[Run], suspects: Iterable[str]) -> list[str]:
    evidence = Trials(trials)
    return [test for test in suspects if attribute(evidence.of(test), alpha=_ALPHA).category == UNKNOWN]


def _screening(screen: Iterable[Condition], seed: int, keys: Mapping[str, str]) -> list[Wanted]:
    """Every intervention; random numbers are those with which a test has passed, unless they are the matter."""
    wanted = []
    for condition in screen:
        for k in range(condition.attempts):
            hashed = seed + (101 + k if condition.name == "hash seeds" else 0)
            drawn = seed + (k if condition.name in ("shuffled", "threads jittered") else 0)
            wanted.append(Wanted(condition, drawn, hashed, None, {} if condition.name == "seeds" else keys))
    return wanted


def _key(seen: Iterable[tuple[Run, Attempt]], *, failed: bool) -> str:
    """A stream of numbers with which a test failed, or passed, though nothing was changed but seeds; "" if none."""
    for run, attempt in seen:
        if run.wanted.condition.name in ("baseline", "seeds") and attempt.failed is failed:
            return attempt.key
    return ""


def _by_test(runs: Iterable[Run]) -> dict[str, list[tuple[Run, Attempt]]]:
    seen: dict[str, list[tuple[Run, Attempt]]] = defaultdict(list)
    for run in runs:
        for attempt in run.attempts:
            seen[attempt.test].append((run, attempt))
    return seen


def _mixed(seen: Sequence[tuple[Run, Attempt]]) -> bool:
    return len({attempt.failed for _, attempt in seen}) == 2


def _diagnosis(test: str, seen: Sequence[tuple[Run, Attempt]], evidence: Sequence[Evidence] | None) -> Diagnosis:
    counts: dict[str, tuple[int, int]] = {}
    for run, attempt in seen:
        failed, total = counts.get(run.wanted.condition.name, (0, 0))
        counts[run.wanted.condition.name] = (failed + attempt.failed, total + 1)
    unchanged = [attempt.left for run, attempt in seen if run.wanted.condition.name == "baseline"]
    leaves = tuple(sorted(column)[len(column) // 2] for column in zip(*unchanged, strict=True))
    if evidence is None:
        status = "broken" if all(attempt.failed for _, attempt in seen) else "stable"
        return Diagnosis(test, status, None, counts, (leaves[0], leaves[1], leaves[2]))
    attribution = attribute(evidence, alpha=_ALPHA)
    natural = {attempt.failed for run, attempt in seen if _natural(run, attempt)}
    status = "flaky" if len(natural) == 2 or attribution.category != UNKNOWN else "suspect"
    return Diagnosis(test, status, attribution, counts, (leaves[0], leaves[1], leaves[2]))


def _natural(run: Run, attempt: Attempt) -> bool:
    """A run as anybody might have made it; later repetitions in one process are not, since state may be left."""
    return run.wanted.condition.name in _NATURAL and attempt.repetition == 0


class _Planner:
    """Which trials the suspects need."""

    def __init__(
        self, seen: Mapping[str, list[tuple[Run, Attempt]]], suspects: Sequence[str], repeats: int, seed: int
    ) -> None:
        self.seen, self.suspects, self.repeats, self.seed = seen, suspects, repeats, seed
        self.passing = {test: _key(seen[test], failed=False) for test in suspects}
        self.failing = {test: _key(seen[test], failed=True) for test in suspects}
        self.failed: dict[str, set[str]] = defaultdict(set)  # condition -> suspects that failed in its screen
        for test in suspects:
            for run, attempt in seen[test]:
                if attempt.failed:
                    self.failed[run.wanted.condition.name].add(test)

    def alone(self) -> list[Wanted]:
        """Trials of single tests; suspects that need the same condition share a process."""
        if not self.suspects:
            return []
        plan = [self._alone(BASELINE, frozenset(self.suspects))]
        for name, tests in self.failed.items():
            if name not in _NATURAL and name not in _IN_SUITE:
                plan.append(self._alone(by_name(name), frozenset(tests)))
        return plan + self._seeds() + self._hashes()

    def again(self, trials: Trials, tests: Iterable[str]) -> list[Wanted]:
        """More trials of what failed now and then; they take the place of the first ones, which are not counted."""
        plan = []
        everybody: set[str] = set()
        for name in self.failed:
            if name not in _NATURAL and name not in _IN_SUITE:
                rare = frozenset(test for test in tests if trials.rare(name, test))
                everybody |= rare
                plan += [self._alone(by_name(name), rare, again=True)] if rare else []
        return [self._alone(BASELINE, frozenset(everybody), again=True), *plan] if plan else []

    def in_suite(self, tests: Iterable[str]) -> list[Wanted]:
        """Trials of whole suites, for what the trials of single tests did not explain."""
        left = set(tests)
        names = [name for name in _IN_SUITE if left & self.failed[name]]
        for name in _SLOW:  # the second only for tests that the first does not make fail
            names += [name] if left & self.failed[name] else []
            left -= self.failed[name]
        return [self._suite(name, k) for name in ["baseline", *names] for k in range(max(5, self.repeats - 2)) if names]

    def _alone(self, condition: Condition, tests: frozenset[str], again: bool = False) -> Wanted:
        keys = {test: key for test, key in self.passing.items() if test in tests and key}
        changed = condition.alone(_AGAIN * self.repeats, AGAIN) if again else condition.alone(self.repeats)
        return Wanted(changed, self.seed, self.seed, tests, keys)

    def _suite(self, name: str, k: int) -> Wanted:
        condition = by_name(name)
        changed = replace(condition, name=f"{name}, in suite")
        return Wanted(changed, self.seed + 50 + k, self.seed, None, {t: key for t, key in self.passing.items() if key})

    def _seeds(self) -> list[Wanted]:
        """The stream of numbers with which a test failed, again and again."""
        keys = {test: key for test, key in self.failing.items() if key and self.passing[test]}
        if not keys:
            return []
        condition = replace(BASELINE.alone(self.repeats), name="failing seed")
        return [Wanted(condition, self.seed, self.seed, frozenset(keys), keys)]

    def _hashes(self) -> list[Wanted]:
        """Hash seeds with which a test failed and passed, with the same stream of numbers."""
        groups: dict[tuple[str, int], set[str]] = defaultdict(set)
        for test in self.suspects:
            for name, failed in (("failing hash seed", True), ("passing hash seed", False)):
                found = [
                    run.wanted.hash_seed
                    for run, attempt in self.seen[test]
                    if run.wanted.condition.name in ("baseline", "hash seeds") and attempt.failed is failed
                ]
                if found:
                    groups[name, found[0]].add(test)
        both = {t for (name, _), tests in groups.items() if name == "failing hash seed" for t in tests}
        plan = []
        for (name, hashed), tests in sorted(groups.items()):
            if tests & both:
                condition = replace(BASELINE.alone(self.repeats), name=name)
                keys = {t: self.passing[t] for t in tests & both if self.passing[t]}
                plan.append(Wanted(condition, self.seed, hashed, frozenset(tests & both), keys))
        return plan


@dataclass(frozen=True)
class Rates:
    """Failures of one test in fresh processes and in its suite, and Fisher's p-value of their difference."""

    alone: tuple[int, int]
    suite: tuple[int, int]
    p: float


def rates(project: Project, test: str, *, runs: int = 10, jobs: int = 1) -> Rates:
    """How often a test fails alone, each time in a fresh process, and how often in its suite.

    Args:
        project: that holds it.
        test: its id.
        runs: of each kind.
        jobs: processes side by side.

    Returns:
        Counts and p-value.

    Raises:
        InputError: the test is unknown, or the project cannot be collected.
    """
    project.known([test])
    free = Condition("free", "", "nothing is set, nothing is changed")
    alone = [Wanted(free, k, k, frozenset({test})) for k in range(runs)]
    suite = [Wanted(free, k, k) for k in range(runs)]
    done = project.run_all([*alone, *suite], jobs=jobs)
    first, second = ran(done[:runs], test), ran(done[runs:], test)
    p = Evidence("test order dependency", "alone", *first, *second).p if first[1] and second[1] else 1.0
    return Rates(first, second, p)

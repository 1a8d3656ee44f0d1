"""pytest plugin: what was flaky in a run is said, what is known to be flaky has an owner and an end, leaks are found.

    pytest -p vultus.testing.flaky.plugin
    pytest -p vultus.testing.flaky.plugin --flaky-rerun 2 --flaky-db .flaky.sqlite

- A failed test that passes on a rerun is a **flaky pass**: it has its own letter, its own section and its own row in
  the history, and with `--flaky-strict` it fails the run. Without `--flaky-rerun` nothing is run twice.
- A test in **quarantine** may fail without failing the run, until its day; from then on it fails whatever it does.
- A test that leaves **descriptors or threads** open until the run ends is counted, and named with `--flaky-leaks`. What
  a fixture of a module closes later, or the collector of garbage frees, is no leak.

The plugin looks at no wall clock. "Today" is `--flaky-today`, else SOURCE_DATE_EPOCH, else the day of the commit that
is checked out: one commit, one answer.
"""

from __future__ import annotations

import datetime
import gc
import os
import subprocess
import threading
import warnings
import weakref
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from vultus.errors import VultusError
from vultus.testing.flaky._shims import descriptors
from vultus.testing.flaky.interventions import SETTINGS
from vultus.testing.flaky.store import History, Outcome, Quarantine

_NAME = "vultus-flaky"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options."""
    group = parser.getgroup("flaky", "flaky tests (vultus)")
    group.addoption("--flaky-rerun", type=int, default=0, metavar="N", help="run a failed test up to N times again")
    group.addoption("--flaky-strict", action="store_true", help="a flaky pass fails the run")
    group.addoption("--flaky-db", default=None, metavar="FILE", help="history of outcomes, with the quarantine")
    group.addoption("--flaky-today", default=None, metavar="YYYY-MM-DD", help="the day that quarantines are judged by")
    group.addoption("--flaky-leaks", action="store_true", help="name the tests that left descriptors or threads open")
    group.addoption("--flaky-no-leaks", action="store_true", help="do not look for descriptors and threads left open")


def pytest_configure(config: pytest.Config) -> None:
    """The watch starts, except in a process that is itself a trial."""
    if SETTINGS in os.environ or config.pluginmanager.has_plugin(_NAME):
        return
    try:
        config.pluginmanager.register(_Watch(config), _NAME)
    except VultusError as error:
        raise pytest.UsageError(f"flaky: {error}") from error


class _Watch:
    """Counts, quarantine and leaks of one session; with xdist, workers judge tests and the controller sums up."""

    def __init__(self, config: pytest.Config) -> None:
        self.reruns = max(0, int(config.getoption("--flaky-rerun")))
        self.strict = bool(config.getoption("--flaky-strict"))
        self.leaks = not config.getoption("--flaky-no-leaks")
        self.named = bool(config.getoption("--flaky-leaks"))
        self.worker = hasattr(config, "workerinput")
        path = config.getoption("--flaky-db")
        self.path = config.invocation_params.dir / path if path else None
        self.quarantine: dict[str, Quarantine] = {}
        if self.path is not None and (self.path.is_file() or not self.worker):
            with History(self.path, read_only=self.worker) as history:
                self.quarantine = history.quarantined()
        self.root = config.rootpath
        self.revision = _git(self.root, "rev-parse", "HEAD") or "unknown" if self.path is not None else ""
        self.today = _today(config, self.root) if self.quarantine else None
        self.before = _Held.now() if self.leaks else None
        self.seconds: Counter[str] = Counter()
        self.outcomes: dict[str, str] = {}
        self.again: Counter[str] = Counter()
        self.opened: dict[str, _Held] = {}  # test -> what it opened and did not close, in this process
        self.left: dict[str, tuple[int, int]] = {}  # test -> descriptors and threads of that which the run ended with

    # ------------------------------------------------------------ around a test
    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        if self.leaks:
            self.before = _Held.now()
        if not self.reruns:
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for attempt in range(self.reruns + 1):
            # The parent as the next node until the last attempt: the fixtures of the test end, wider ones stay.
            reports = runtestprotocol(item, nextitem=item.parent, log=False)  # type: ignore[arg-type]
            failed = any(report.failed for report in reports)
            if not failed or attempt == self.reruns:
                break
        if attempt:
            _mark(reports, attempt, passed=not failed)
        wider = pytest.CallInfo.from_call(lambda: item.session._setupstate.teardown_exact(nextitem), "teardown")
        if wider.excinfo is not None:  # a fixture of the module failed to end
            reports.append(item.ihook.pytest_runtest_makereport(item=item, call=wider))
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        known = self.quarantine.get(item.nodeid)
        if known is not None and self.today is not None and known.expired(self.today):
            pytest.fail(
                f"quarantine of this test ended on {known.expires} (today: {self.today}); {known.owner} answers for it"
                f"{': ' + known.reason if known.reason else ''}. Repair it and lift the quarantine, or renew it.",
                pytrace=False,
            )

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: Any) -> Any:
        report: Any = yield
        known = self.quarantine.get(item.nodeid)
        if known is not None and report.failed and self.today is not None and not known.expired(self.today):
            report.outcome = "skipped"
            report.wasxfail = f"quarantined until {known.expires}, {known.owner}"
            report.flaky = {"outcome": "quarantined"}
        if report.when == "teardown" and self.before is not None:
            opened = _Held.now() - self.before
            if any(opened.counts()):
                self.opened[item.nodeid] = opened
        return report

    # ------------------------------------------------------------ summing up
    def pytest_runtest_logreport(self, report: Any) -> None:
        test, said = report.nodeid, getattr(report, "flaky", {})
        self.seconds[test] += report.duration
        self.again[test] = max(self.again[test], said.get("reruns", 0))
        word = said.get("outcome") or ("failed" if report.failed else "skipped" if report.skipped else "passed")
        worst = ("failed", "quarantined", "flaky pass", "skipped", "passed")
        self.outcomes[test] = min(self.outcomes.get(test, "passed"), word, key=worst.index)

    def pytest_report_teststatus(self, report: Any) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
        word = getattr(report, "flaky", {}).get("outcome")
        if word == "flaky pass" and report.when == "call":
            return "flaky pass", "Y", ("FLAKY PASS", {"yellow": True})
        if word == "quarantined":
            return "quarantined", "q", ("QUARANTINED", {"yellow": True})
        return None

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.opened:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about what is freed here: no test is left that it could fail
                gc.collect()
            ending = _Held.now()
            counts = {test: (opened & ending).counts() for test, opened in self.opened.items()}
            self.left |= {test: count for test, count in counts.items() if any(count)}
        if self.worker:
            session.config.workeroutput[_NAME] = self.left  # type: ignore[attr-defined]
            return
        if self.strict and "flaky pass" in self.outcomes.values() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if self.path is not None and self.outcomes:
            rows = [
                Outcome(test, self.revision, word, round(self.seconds[test], 6), self.again[test])
                for test, word in self.outcomes.items()
            ]
            with History(self.path) as history:
                history.add(rows)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A worker of xdist has ended; one that crashed says nothing."""
        self.left |= {test: (n, m) for test, (n, m) in getattr(node, "workeroutput", {}).get(_NAME, {}).items()}

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.worker or not self.outcomes:
            return
        counts = Counter(self.outcomes.values())
        parts = [f"{len(self.outcomes)} tests seen"]
        parts.append(f"{counts['flaky pass']} flaky passes" if self.reruns else "no reruns")
        parts.append(f"{counts['quarantined']} quarantined")
        if self.leaks:
            ask = " (named with --flaky-leaks)" if self.left and not self.named else ""
            parts.append(f"{len(self.left)} left something open until the end{ask}")
        else:
            parts.append("leaks not looked for")
        terminalreporter.section("flaky tests", sep="-")
        terminalreporter.write_line(", ".join(parts))
        for test, word in self.outcomes.items():
            if word == "flaky pass":
                n = self.again[test]
                terminalreporter.write_line(f"  flaky pass   {test} (failed {n} times, then passed)", yellow=True)
            elif word == "quarantined":
                known = self.quarantine.get(test)
                whose = f" ({known.owner}, until {known.expires})" if known else ""
                terminalreporter.write_line(f"  quarantined  {test}{whose}", yellow=True)
        for test, (files, threads) in self.left.items() if self.named else ():
            terminalreporter.write_line(f"  left open    {test}: {files} descriptors, {threads} threads")


class _Held:
    """Descriptors that are open, with what they lead to, and threads that are alive."""

    def __init__(self, files: Iterable[tuple[str, str]], threads: Iterable[weakref.ref[threading.Thread]]) -> None:
        self.files, self.threads = set(files), set(threads)  # weak references are equal while what they refer to is

    @classmethod
    def now(cls) -> _Held:
        return cls(descriptors().items(), map(weakref.ref, threading.enumerate()))

    def __sub__(self, other: _Held) -> _Held:
        return _Held(self.files - other.files, self.threads - other.threads)

    def __and__(self, other: _Held) -> _Held:
        return _Held(self.files & other.files, self.threads & other.threads)

    def counts(self) -> tuple[int, int]:
        return len(self.files), len(self.threads)


def _mark(reports: list[Any], attempts: int, *, passed: bool) -> None:
    """A rerun is written on the reports, so that nobody takes it for a first attempt."""
    for report in reports:
        if report.when == "call" or not passed:
            said = {**getattr(report, "flaky", {}), "reruns": attempts}
            report.flaky = said | ({"outcome": "flaky pass"} if passed else {})


def _git(root: Path, *words: str) -> str:
    """One answer of git, or nothing where there is no git or no repository."""
    try:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _today(config: pytest.Config, root: Path) -> datetime.date:
    given = config.getoption("--flaky-today")
    if given:
        try:
            return datetime.date.fromisoformat(given)
        except ValueError as error:
            raise pytest.UsageError(f"--flaky-today: expected YYYY-MM-DD, got {given!r}") from error
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    if epoch.isdecimal():
        return datetime.datetime.fromtimestamp(int(epoch), datetime.timezone.utc).date()
    committed = _git(root, "log", "-1", "--format=%cs")
    if not committed:
        raise pytest.UsageError("the quarantine needs a day: no commit here says one; give --flaky-today YYYY-MM-DD")
    return datetime.date.fromisoformat(committed)

"""pytest plugin: what was flaky in a run is said, what is known to be flaky has an owner and an end, leaks are found.

    pytest -p vultus.testing.flaky.plugin
    pytest -p vultus.testing.flaky.plugin --flaky-rerun 2 --flaky-db .flaky.sqlite

- A failed test that passes on a rerun is a **flaky pass**: it has its own letter, its own section and its own row in
  the history, and with `--flaky-strict` it fails the run. Without `--flaky-rerun` nothing is run twice.
- A test in **quarantine** may fail without failing the run, until its day; from then on it fails whatever it does.
- A test that leaves **descriptors or threads** behind is named.

The plugin looks at no wall clock. "Today" is `--flaky-today`, else SOURCE_DATE_EPOCH, else the day of the commit that
is checked out: one commit, one answer.
"""

from __future__ import annotations

import datetime
import os
import subprocess
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from vultus.errors import VultusError
from vultus.testing.flaky._shims import open_files
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
    group.addoption("--flaky-no-leaks", action="store_true", help="do not look for descriptors and threads left behind")


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
        self.wider = False  # whether a fixture wider than a test was set up during this one: what it opened stays
        self.before = (0, 0)
        self.seconds: Counter[str] = Counter()
        self.outcomes: dict[str, str] = {}
        self.again: Counter[str] = Counter()
        self.left: dict[str, tuple[int, int]] = {}

    # ------------------------------------------------------------ around a test
    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        self.wider = False
        if self.leaks:
            self.before = (open_files(), threading.active_count())
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

    def pytest_fixture_setup(self, fixturedef: Any) -> None:
        self.wider = self.wider or fixturedef.scope != "function"

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
        if report.when == "teardown" and self.leaks and not self.wider and report.passed:
            self._look_for_leaks(report)
        return report

    def _look_for_leaks(self, report: Any) -> None:
        """Before the fixtures of modules end. No garbage is collected for it: that might warn, and fail a test."""
        after = (open_files(), threading.active_count())
        left = [max(0, a - b) for a, b in zip(after, self.before, strict=True)]
        if any(left):
            report.flaky = {**getattr(report, "flaky", {}), "left": left}

    # ------------------------------------------------------------ summing up
    def pytest_runtest_logreport(self, report: Any) -> None:
        test, said = report.nodeid, getattr(report, "flaky", {})
        self.seconds[test] += report.duration
        if "left" in said:
            self.left[test] = (said["left"][0], said["left"][1])
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
        if self.worker:
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

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.worker or not self.outcomes:
            return
        counts = Counter(self.outcomes.values())
        parts = [f"{len(self.outcomes)} tests seen"]
        parts.append(f"{counts['flaky pass']} flaky passes" if self.reruns else "no reruns")
        parts.append(f"{counts['quarantined']} quarantined")
        parts.append(f"{len(self.left)} left something open" if self.leaks else "leaks not looked for")
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
        for test, (files, threads) in list(self.left.items())[:10]:
            terminalreporter.write_line(f"  left open    {test}: {files} descriptors, {threads} threads")
        if len(self.left) > 10:
            terminalreporter.write_line(f"  and {len(self.left) - 10} more")


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

"""The pytest plugin of a process that was started to try tests under one condition; it writes what happened, and why.

Loaded with `-p vultus.testing.flaky._child`; its settings are the JSON file that `VULTUS_FLAKY_CHILD` names. Each line
of the output file is one attempt at one test.
"""

from __future__ import annotations

import gc
import json
import math
import os
import random
import re
import signal
import sqlite3  # noqa: F401  before the clock is replaced: its adapters are found by the exact class
import sys
import tempfile
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from vultus.testing.flaky._clock import REAL_SLEEP
from vultus.testing.flaky._shims import Shims, now, open_files
from vultus.testing.flaky.interventions import SETTINGS

_KEPT = 5  # numeric comparisons kept per attempt
_RELATIVE = re.compile(r"Max relative difference[^:]*: ([0-9.eE+-]+)")


def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Before any file of the project is imported: the world is changed."""
    settings = json.loads(Path(os.environ[SETTINGS]).read_text(encoding="utf-8"))
    early_config.pluginmanager.register(Child(settings, str(early_config.rootpath)), "vultus-flaky-child")


class Child:
    """Runs the selected tests in the wanted order and way, and writes a line per attempt."""

    def __init__(self, settings: dict[str, Any], root: str) -> None:
        self.settings = settings
        self.shims = Shims(settings, root)
        self.shims.install()
        self.out = os.open(settings["out"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.values: list[tuple[str, float, float, float]] = []
        self.reports: list[pytest.TestReport] = []

    # ------------------------------------------------------------ what is run
    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        self._write({"collected": len(items)})
        select = self.settings.get("select")
        if select is not None:
            wanted = set(select)
            config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in wanted])
            items[:] = [item for item in items if item.nodeid in wanted]
        order = self.settings.get("order", "file")
        if order == "reverse":
            items.reverse()
        elif order == "shuffle":
            random.Random(self.settings.get("seed") or 0).shuffle(items)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            raise session.Interrupted(f"{session.testsfailed} errors during collection")
        factory = getattr(session.config, "_tmp_path_factory", None)
        if factory is not None:
            factory.getbasetemp()  # once, here, and not in every process that is split off
        if self.settings.get("alone"):
            self._alone(session.items)
        else:
            for number, item in enumerate(session.items, 1):
                self._repeated(item, session.items[number] if number < len(session.items) else None, 0)
        return True

    def pytest_unconfigure(self) -> None:
        self.shims.close()

    def _alone(self, items: list[pytest.Item]) -> None:
        """Every attempt in a process of its own that has imported everything and run nothing."""
        ready = now()
        for attempt in range(int(self.settings.get("alone"))):  # type: ignore[arg-type]
            for item in items:
                self._flush()
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DeprecationWarning)  # threads that a library keeps are not ours
                    pid = os.fork()
                if pid == 0:
                    self._split_off(item, attempt, ready)
                self._wait_for(pid, item, attempt)

    def _split_off(self, item: pytest.Item, attempt: int, ready: float) -> None:
        code = 1
        try:
            if self.shims.clock is not None:
                self.shims.clock.forget(ready)
            self._repeated(item, None, attempt)
            code = 0
        finally:
            os._exit(code)

    def _wait_for(self, pid: int, item: pytest.Item, attempt: int) -> None:
        started, limit = now(), float(self.settings.get("limit", 20.0))
        while True:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                break
            if now() - started > limit:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                self._write_lost(item, attempt, f"no end after {limit:g} s")
                return
            REAL_SLEEP(0.001)
        if status:
            self._write_lost(item, attempt, f"its process ended with status {status}")

    def _write_lost(self, item: pytest.Item, attempt: int, why: str) -> None:
        self._write({"test": item.nodeid, "outcome": "failed", "attempt": attempt, "error": "Lost", "message": why})

    def _repeated(self, item: pytest.Item, following: pytest.Item | None, attempt: int) -> None:
        """One attempt, or many in this process, for at most `repeat_seconds`."""
        times, seconds = int(self.settings.get("repeat", 1)), float(self.settings.get("repeat_seconds", math.inf))
        started = now()
        for repetition in range(times):
            last = repetition + 1 == times or now() - started > seconds
            # The parent as the next node: fixtures of this test end, those of its module stay.
            self._once(item, following if last else item.parent, attempt, repetition)
            if last:
                return

    def _once(self, item: pytest.Item, following: Any, attempt: int, repetition: int) -> None:
        drawn = f"{self.settings.get('seed', 0)}:{repetition if self.settings.get('vary', True) else 0}"
        key = self.settings.get("keys", {}).get(item.nodeid, drawn)
        self.values.clear()
        before = self._held()
        self.shims.begin(item.nodeid, key, attempt)
        started = now()
        try:
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)  # as pytest does: warnings, comparisons
            reports = self.reports
        finally:
            self.shims.end()
        record = {
            "test": item.nodeid,
            "outcome": _outcome(reports),
            "attempt": attempt,
            "repetition": repetition,
            "key": key,
            "seconds": round(now() - started, 6),
        }
        after = self._held()
        if any(a > b for a, b in zip(after, before, strict=True)):
            gc.collect(1)  # a few milliseconds; what young cycles hold is no leak
            after = self._held()
        record["left"] = [a - b for a, b in zip(after, before, strict=True)]
        if record["outcome"] == "failed":
            record |= _why(reports)
            relative = _RELATIVE.search(record["message"])
            if relative:
                self.values.append(("isclose", 0.0, 0.0, float(relative[1])))
            record["values"] = self.values[-_KEPT:]
        self._write(record)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: Any) -> bool:
        self.reports = runtestprotocol(item, nextitem=nextitem, log=False)
        return True

    # ------------------------------------------------------------ what is seen
    def pytest_assertrepr_compare(self, op: str, left: object, right: object) -> None:
        """A comparison failed: how far was it from holding?"""
        expected = getattr(right, "expected", right)  # of pytest.approx
        numbers = [x for x in (left, expected) if _number(x)]
        if len(numbers) == 2 and any(not _whole(x) for x in numbers):
            a, b = (float(x) for x in numbers)  # type: ignore[arg-type]
            scale = max(abs(a), abs(b)) or 1.0
            what = "isclose" if expected is not right else op
            self.values.append((what, a, b, abs(a - b) / scale))

    def _held(self) -> tuple[int, int, int]:
        """Open descriptors, living threads, entries of the folder for temporary files."""
        try:
            entries = len(os.listdir(tempfile.gettempdir()))
        except OSError:
            entries = -1
        return open_files(), threading.active_count(), entries

    def _write(self, record: dict[str, Any]) -> None:
        os.write(self.out, (json.dumps(record) + "\n").encode())  # one call: lines of several processes do not mix

    @staticmethod
    def _flush() -> None:
        sys.stdout.flush()
        sys.stderr.flush()


def _number(x: object) -> bool:
    """Whether something is a finite real number, numpy's scalars included, and no truth value."""
    if isinstance(x, bool) or not hasattr(x, "__float__") or getattr(x, "shape", ()) != ():
        return False
    try:
        return math.isfinite(float(x))
    except (TypeError, ValueError, OverflowError):
        return False


def _whole(x: object) -> bool:
    return isinstance(x, int)


def _outcome(reports: list[pytest.TestReport]) -> str:
    if any(report.failed for report in reports):
        return "failed"
    return "skipped" if any(report.skipped for report in reports) else "passed"


def _why(reports: list[pytest.TestReport]) -> dict[str, Any]:
    """Class and first line of the first failure."""
    failed = next(report for report in reports if report.failed)
    crash = getattr(failed.longrepr, "reprcrash", None)
    text = str(crash.message if crash is not None else failed.longrepr)
    first = text.splitlines()[0] if text else ""
    relative = _RELATIVE.search(text)
    kind = first.partition(":")[0].strip()
    return {
        "phase": failed.when,
        "error": kind if kind.isidentifier() else "AssertionError",
        "message": f"{first[:300]} {relative[0] if relative else ''}".strip(),
    }

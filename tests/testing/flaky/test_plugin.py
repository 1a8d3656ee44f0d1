"""The plugin, in pytest processes of its own: nothing is retried in silence, quarantines end, leaks are named."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys

import pytest

from vultus.testing.flaky.store import History

SUITE = """
import os, pathlib
COUNT = pathlib.Path(__file__).with_name("count")
KEPT = []

def test_fine():
    assert COUNT.parent.is_dir()

def test_every_other_time():
    n = int(COUNT.read_text()) if COUNT.exists() else 0
    COUNT.write_text(str(n + 1))
    assert n % 2 == 1

def test_leaves_a_file_open():
    KEPT.append(os.open(__file__, os.O_RDONLY))

def test_broken():
    assert os.environ.get("REPAIRED") == "yes"
"""


@pytest.fixture
def suite(tmp_path):
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (tmp_path / "test_it.py").write_text(SUITE, encoding="utf-8")

    def run(*args, **env):
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "vultus.testing.flaky.plugin"]
        known = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **env}
        known.pop("SOURCE_DATE_EPOCH", None) if "SOURCE_DATE_EPOCH" not in env else None
        done = subprocess.run(
            [*command, *args], cwd=tmp_path, env=known, capture_output=True, text=True, timeout=120, check=False
        )
        return done.returncode, done.stdout + done.stderr

    return run


def test_without_options_nothing_is_run_twice(suite):
    code, said = suite()
    assert code == 1
    assert "2 failed, 2 passed" in said
    assert "4 tests seen, no reruns, 0 quarantined, 1 left something open until the end (named with" in said
    assert "test_leaves_a_file_open: " not in said


LEAKS = """
import os, threading
import pytest

KEPT, END = [], threading.Event()

@pytest.fixture(scope="module")
def pool():
    held = []
    yield held
    for number in held:
        os.close(number)

def test_opens_what_its_module_closes(pool):
    pool.append(os.open(__file__, os.O_RDONLY))

def test_opens_what_is_garbage():
    cycle = [open(__file__)]
    cycle.append(cycle)

def test_ends_its_thread():
    thread = threading.Thread(target=END.wait, args=(0.01,))
    thread.start()
    thread.join()

def test_leaves_two_files_and_a_thread():
    KEPT.extend(os.open(__file__, os.O_RDONLY) for _ in range(2))
    threading.Thread(target=END.wait, daemon=True).start()

def test_opens_what_the_next_closes():
    KEPT.append(os.open(__file__, os.O_RDONLY))

def test_closes_it():
    os.close(KEPT.pop())
"""


@pytest.mark.parametrize("workers", [(), ("-p", "xdist", "-n", "1")])
def test_a_leak_is_what_the_run_ends_with(suite, tmp_path, workers):
    (tmp_path / "test_it.py").write_text(LEAKS, encoding="utf-8")
    code, said = suite("--flaky-leaks", *workers)
    assert code == 0, said
    assert "6 tests seen, no reruns, 0 quarantined, 1 left something open until the end\n" in said
    assert "left open    test_it.py::test_leaves_two_files_and_a_thread: 2 descriptors, 1 threads" in said
    code, said = suite("--flaky-no-leaks", *workers)
    assert "6 tests seen, no reruns, 0 quarantined, leaks not looked for" in said


def test_a_rerun_that_passes_is_said_and_kept(suite, tmp_path):
    code, said = suite("--flaky-rerun", "2", "--flaky-db", "h.sqlite", REPAIRED="yes")
    assert code == 0
    assert "1 flaky passes" in said
    assert "flaky pass   test_it.py::test_every_other_time (failed 1 times, then passed)" in said
    assert "3 passed, 1 flaky pass" in said
    with History(tmp_path / "h.sqlite", read_only=True) as history:
        kept = {row.test.partition("::")[2]: (row.outcome, row.reruns) for row in history.outcomes()}
        assert list(history.flaky()) == ["test_it.py::test_every_other_time"]
    assert kept["test_every_other_time"] == ("flaky pass", 1)
    assert kept["test_fine"] == ("passed", 0)
    code, said = suite("--flaky-rerun", "1", "--flaky-strict", REPAIRED="yes")
    assert code == 1
    assert "1 flaky passes" in said


def test_a_failure_stays_one_after_all_reruns(suite):
    code, said = suite("--flaky-rerun", "2", "-k", "broken")
    assert code == 1
    assert "1 failed" in said


def test_quarantine_holds_until_its_day(suite, tmp_path):
    test = "test_it.py::test_broken"
    with History(tmp_path / "h.sqlite") as history:
        history.quarantine(test, "ann", datetime.date(2027, 3, 1), reason="a race")
    with_db = ("--flaky-db", "h.sqlite", "-k", "broken")
    code, said = suite(*with_db, "--flaky-today", "2027-02-28")
    assert code == 0
    assert "1 quarantined" in said
    assert "(ann, until 2027-03-01)" in said
    code, said = suite(*with_db, SOURCE_DATE_EPOCH="1803859200", REPAIRED="yes")  # 2027-03-01, and it would pass
    assert code == 1
    assert "quarantine of this test ended on 2027-03-01 (today: 2027-03-01); ann answers for it: a race" in said
    code, said = suite(*with_db, "--flaky-today", "soon")
    assert code == 4
    assert "expected YYYY-MM-DD" in said


def test_a_quarantine_without_a_day_is_refused(suite, tmp_path):
    with History(tmp_path / "h.sqlite") as history:
        history.quarantine("test_it.py::test_broken", "ann", datetime.date(2027, 3, 1))
    code, said = suite("--flaky-db", "h.sqlite", GIT_DIR=str(tmp_path / "none"))
    assert code == 4
    assert "give --flaky-today" in said


def test_a_file_that_is_no_history_stops_the_run(suite, tmp_path):
    (tmp_path / "h.sqlite").write_text("mine", encoding="utf-8")
    code, said = suite("--flaky-db", "h.sqlite")
    assert code == 4
    assert "expected a history of tests" in said
    assert (tmp_path / "h.sqlite").read_text(encoding="utf-8") == "mine"

"""From a project to causes, in real pytest processes; and projects that cannot be looked at."""

from __future__ import annotations

import pytest

from vultus.errors import InputError, UnknownMethod
from vultus.testing.flaky import _corpus, report
from vultus.testing.flaky.__main__ import main
from vultus.testing.flaky.classify import CATEGORIES, UNKNOWN
from vultus.testing.flaky.interventions import BASELINE, SCREEN, by_name
from vultus.testing.flaky.investigate import investigate, rates
from vultus.testing.flaky.runner import Project, Wanted

SUITE = """
import datetime, random
STATE = {}

def test_victim():
    assert not STATE

def test_polluter():
    STATE["x"] = 1

def test_license():
    assert datetime.date.today().year < 2035

def test_draw():
    assert random.random() < 0.9

def test_sum():
    values = [0.1, 0.2, 0.3]
    random.shuffle(values)
    assert sum(values) == 0.1 + 0.2 + 0.3

def test_broken():
    assert False
"""
ENV = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (tmp_path / "test_it.py").write_text(SUITE, encoding="utf-8")
    return tmp_path


def test_causes_are_found_and_told(folder):
    screen = [by_name(name) for name in ("reversed", "seeds", "far future")]
    seen = []
    found = investigate(
        Project(folder, env=ENV), repeats=6, screen=screen, progress=lambda done, total, what: seen.append(what)
    )
    cause = {one.test.partition("::")[2]: (one.status, one.category) for one in found.diagnoses}
    assert cause == {
        "test_victim": ("flaky", "test order dependency"),
        "test_polluter": ("stable", ""),
        "test_license": ("flaky", "time"),
        "test_draw": ("flaky", "too restrictive range"),
        "test_sum": ("flaky", "float precision"),
        "test_broken": ("broken", ""),
    }
    assert {"baseline", "reversed", "far future, alone"} <= set(seen)
    assert found.processes == len(seen) + 1
    said = report.terminal(found)
    assert said.startswith("6 tests, 4 flaky, 0 suspect, 1 broken")
    assert "time: far future, alone, 6 of 6 failed beside 0 of 6, p = 0.0" in said
    page = report.page(found, title="A <title>")
    assert "A &lt;title&gt;" in page
    assert "<script" not in page
    assert "http" not in page
    for test in cause:
        assert (f"test_it.py::{test}" in page) == (cause[test][0] != "stable")


def test_alone_in_fresh_processes_beside_in_suite(folder):
    (folder / "test_it.py").write_text(
        "STATE = {}\ndef test_a():\n    STATE['x'] = 1\ndef test_b():\n    assert not STATE\n", encoding="utf-8"
    )
    found = rates(Project(folder, env=ENV), "test_it.py::test_b", runs=4)
    assert found.alone == (0, 4)
    assert found.suite == (4, 4)
    assert found.p == pytest.approx(2 / 70)


def test_projects_that_cannot_be_looked_at(folder, capsys):
    with pytest.raises(InputError, match="expected a folder with tests"):
        Project(folder / "none")
    with pytest.raises(
        InputError, match=r"unknown test id 'test_it.py::test_victum'; near ones: test_it.py::test_victim"
    ):
        Project(folder, env=ENV).known(["test_it.py::test_victum"])
    empty = folder / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="pytest found no tests"):
        Project(folder, ["empty"], env=ENV).run(Wanted(BASELINE))
    (folder / "test_it.py").write_text("import nowhere_to_be_found\n", encoding="utf-8")
    assert main(["run", "--project", str(folder)]) == 2
    said = capsys.readouterr().err
    assert "pytest could not collect the tests" in said
    assert "nowhere_to_be_found" in said


def test_verbs_of_the_quarantine(tmp_path, capsys):
    path = str(tmp_path / "h.sqlite")
    assert main(["quarantine", "t::x", "--db", path, "--owner", "ann", "--until", "whenever"]) == 2
    assert "a quarantine has an end" in capsys.readouterr().err
    assert (
        main(["quarantine", "t::x", "--db", path, "--owner", "ann", "--until", "2027-01-01", "--reason", "race"]) == 0
    )
    assert main(["quarantine", "--db", path]) == 0
    assert "t::x: ann, until 2027-01-01: race" in capsys.readouterr().out
    answers = ["--nature", "concurrency", "--origin", "code", "--minutes", "30", "--fix", "a lock"]
    assert main(["lift", "t::x", "--db", path, "--owner", "ann", *answers]) == 0
    assert main(["study", "--db", path]) == 0
    assert "nature: concurrency" in capsys.readouterr().out
    assert main(["history", "--db", path]) == 0
    assert main(["report", "--db", path, "--html", str(tmp_path / "out" / "r.html")]) == 0
    assert "a lock" in (tmp_path / "out" / "r.html").read_text(encoding="utf-8")
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert main(["report", "--db", path, "--html", str(tmp_path / "file" / "r.html")]) == 2
    assert "name a folder to write in" in capsys.readouterr().err


def test_every_intervention_stands_for_a_cause():
    names = [condition.name for condition in (BASELINE, *SCREEN)]
    assert len(set(names)) == len(names)
    # a range and a rounding show when the same runs are judged again; a suite runs out of time when it is slow
    judged = {"too restrictive range", "float precision", "test suite timeout"}
    assert {condition.category for condition in SCREEN} == set(CATEGORIES) - judged
    assert UNKNOWN not in CATEGORIES
    with pytest.raises(UnknownMethod, match="near names: short waits"):
        by_name("short wait")


def test_the_planted_suite_is_whole(tmp_path):
    corpus = _corpus.plant(tmp_path / "a", 5)
    assert len(corpus.flaky()) == 33
    assert len(corpus.stable()) == 20
    assert sorted(corpus.category.values()).count("time") == 3
    run = Project(corpus.folder, env=ENV).run(Wanted(BASELINE))
    assert run.collected == 53
    assert {attempt.test for attempt in run.attempts} == set(corpus.test.values())
    failed = {attempt.test for attempt in run.attempts if attempt.failed}
    assert not failed & {corpus.test[unit] for unit in corpus.stable()}
    other = _corpus.plant(tmp_path / "b", 6)
    assert other.category == corpus.category
    assert other.test != corpus.test

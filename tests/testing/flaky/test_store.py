"""The history: rows by test and commit, quarantine with an owner and an end, and files that are not ours."""

from __future__ import annotations

import datetime
import os
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vultus.errors import InputError, StoreError
from vultus.testing.flaky.store import OUTCOMES, History, Outcome, Repair

DAY = datetime.date(2027, 3, 1)


@pytest.fixture
def history(tmp_path):
    with History(tmp_path / "made" / "flaky.sqlite") as opened:
        yield opened


def test_rows_come_back_in_order(history):
    rows = [Outcome("b", "r1", "passed", 0.5), Outcome("a", "r1", "failed", 0.1, 2), Outcome("a", "r2", "passed")]
    assert history.add(rows) == 3
    assert history.outcomes() == rows
    assert history.outcomes("a", "r2") == rows[2:]
    with History(history.path, read_only=True) as again:
        assert again.outcomes("a") == rows[1:]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("12"), st.sampled_from(OUTCOMES)), max_size=12))
def test_flaky_is_what_passed_and_failed_at_one_commit(tmp_path_factory, rows):
    with History(tmp_path_factory.mktemp("h") / "h.sqlite") as history:
        history.add([Outcome(*row) for row in rows])
        expected = {
            (test, revision)
            for test, revision, _ in rows
            if (seen := {o for t, r, o in rows if (t, r) == (test, revision)})
            and ("flaky pass" in seen or ("passed" in seen and seen & {"failed", "quarantined"}))
        }
        assert {(test, at) for test, all_at in history.flaky().items() for at in all_at} == expected


def test_a_quarantine_has_an_owner_and_an_end(history):
    history.quarantine("t", "ann", DAY, reason="race")
    known = history.quarantined()["t"]
    assert not known.expired(DAY - datetime.timedelta(days=1))
    assert known.expired(DAY)
    history.quarantine("t", "bo", DAY + datetime.timedelta(days=9))
    assert history.quarantined()["t"].owner == "bo"
    with pytest.raises(InputError, match="an owner"):
        history.quarantine("t", " ", DAY)


def test_a_quarantine_ends_with_the_form(history):
    form = Repair("t", "ann", "concurrency", "code", 45, "a lock", "concurrency")
    with pytest.raises(InputError, match="in no quarantine"):
        history.lift(form)
    history.quarantine("t", "ann", DAY)
    for wrong in ({"nature": "weather"}, {"origin": "moon"}, {"tool": "x"}, {"minutes": -1}, {"fix": " "}):
        with pytest.raises(InputError, match="expected"):
            history.lift(Repair(**{**vars(form), **wrong}))
    assert "t" in history.quarantined()
    history.lift(form)
    assert history.quarantined() == {}
    assert history.repairs() == [form]


def test_an_unknown_outcome_is_refused_whole(history):
    with pytest.raises(InputError, match="flaky pass"):
        history.add([Outcome("t", "r", "passed"), Outcome("t", "r", "maybe")])
    assert history.outcomes() == []


def test_what_is_no_history_is_refused_and_left_alone(tmp_path):
    for name, content in (("text", b"not a database, but long enough to be looked at" * 40), ("other", None)):
        path = tmp_path / name
        if content is None:
            file = sqlite3.connect(path)
            file.execute("CREATE TABLE theirs (x)")
            file.close()
        else:
            path.write_bytes(content)
        before = path.read_bytes()
        with pytest.raises(StoreError, match="expected a history of tests, got"):
            History(path)
        assert path.read_bytes() == before


def test_a_damaged_history_is_refused_and_left_alone(history):
    history.add([Outcome(f"test {i}" * 20, "r", "passed") for i in range(400)])
    history.close()
    content = bytearray(history.path.read_bytes())
    content[4096:16384] = b"\xff" * (16384 - 4096)
    history.path.write_bytes(content)
    with pytest.raises(StoreError, match="it was not changed"):
        History(history.path)
    assert history.path.read_bytes() == bytes(content)


def test_a_later_version_is_refused(history):
    history._file.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="expected version 1 of the history, got 99"):
        History(history.path)


def test_nothing_to_read(tmp_path):
    with pytest.raises(StoreError, match="found no file"):
        History(tmp_path / "none.sqlite", read_only=True)


def test_a_folder_that_may_not_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(StoreError, match="name a folder to write in"):
        History(tmp_path / "flaky.sqlite")
    assert list(tmp_path.iterdir()) == []

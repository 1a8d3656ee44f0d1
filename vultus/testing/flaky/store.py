"""The history of tests: outcomes by test and commit, quarantine with an owner and an end, and what a repair took.

One SQLite file. Rows are ordered by their number, not by a clock: the history of a commit is the same whenever and
wherever it is written down.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vultus.errors import InputError, StoreError
from vultus.testing.flaky.classify import CATEGORIES, UNKNOWN

__all__ = ["NATURES", "ORIGINS", "History", "Outcome", "Quarantine", "Repair"]

NATURES = CATEGORIES
ORIGINS = ("test", "code", "both", "environment")
OUTCOMES = ("passed", "failed", "flaky pass", "quarantined", "skipped")
_MAGIC = 0x76756C66  # "vulf": marks the file as ours
_VERSION = 1
_TABLES = """
CREATE TABLE outcome (number INTEGER PRIMARY KEY, test TEXT NOT NULL, revision TEXT NOT NULL, outcome TEXT NOT NULL,
                      seconds REAL NOT NULL, reruns INTEGER NOT NULL);
CREATE INDEX outcome_by_test ON outcome (test, number);
CREATE TABLE quarantine (test TEXT PRIMARY KEY, owner TEXT NOT NULL, expires TEXT NOT NULL, reason TEXT NOT NULL,
                         revision TEXT NOT NULL);
CREATE TABLE repair (number INTEGER PRIMARY KEY, test TEXT NOT NULL, revision TEXT NOT NULL, owner TEXT NOT NULL,
                     nature TEXT NOT NULL, origin TEXT NOT NULL, minutes REAL NOT NULL, fix TEXT NOT NULL,
                     tool TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Outcome:
    """One test in one run: `outcome` is one of passed, failed, flaky pass, quarantined, skipped."""

    test: str
    revision: str
    outcome: str
    seconds: float = 0.0
    reruns: int = 0


@dataclass(frozen=True)
class Quarantine:
    """A test whose failures are known, who answers for it, and the first day on which it fails again."""

    test: str
    owner: str
    expires: datetime.date
    reason: str = ""
    revision: str = ""

    def expired(self, today: datetime.date) -> bool:
        """Whether the quarantine is over on that day."""
        return today >= self.expires


@dataclass(frozen=True)
class Repair:
    """The form that ends a quarantine: the questions of the study, answered by who repaired the test.

    Attributes:
        test: its id.
        owner: who repaired it.
        nature: cause in the eyes of the developer, one of `NATURES`.
        origin: where the fault was, one of `ORIGINS`.
        minutes: it took, finding the cause included.
        fix: what was done, in words.
        tool: cause that `investigate` had named; `UNKNOWN` when it named none, "" when it was not asked.
        revision: of the repair.
    """

    test: str
    owner: str
    nature: str
    origin: str
    minutes: float
    fix: str
    tool: str = ""
    revision: str = ""


class History:
    """The file.

    Args:
        path: of the file; made, with its folder, when it does not exist.
        read_only: neither made nor changed.

    Raises:
        StoreError: the file is no history, is damaged, is of a later version, or cannot be opened or made. A file that
            is refused is left as it is.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = Path(path)
        if read_only and not self.path.is_file():
            raise StoreError(
                f"{self.path}: expected a history of tests, found no file; run pytest with --flaky-db first"
            )
        try:
            self._open(read_only)
        except sqlite3.Error as error:
            raise StoreError(
                f"{self.path}: expected a history of tests, got a file that SQLite refuses ({error}); "
                "it was not changed: move it away, or name another file"
            ) from error
        except OSError as error:
            raise StoreError(
                f"{self.path}: the history cannot be made here ({error}); name a folder to write in"
            ) from error

    def _open(self, read_only: bool) -> None:
        fresh = not self.path.exists() or not self.path.stat().st_size
        if fresh:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if not os.access(self.path.parent, os.W_OK):
                raise PermissionError(f"folder {self.path.parent} is read-only")
        mode = "ro" if read_only else "rwc" if fresh else "rw"
        self._file = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode={mode}", uri=True, timeout=30)
        try:
            if fresh:
                with self._file:
                    self._file.executescript(
                        f"BEGIN; {_TABLES} PRAGMA application_id = {_MAGIC}; PRAGMA user_version = {_VERSION}; COMMIT;"
                    )
            self._check()
        except BaseException:
            self._file.close()
            raise

    def _check(self) -> None:
        if self._pragma("application_id") != _MAGIC:
            raise StoreError(f"{self.path}: expected a history of tests, got another program's SQLite file")
        version = self._pragma("user_version")
        if version != _VERSION:
            raise StoreError(f"{self.path}: expected version {_VERSION} of the history, got {version}; update vultus")
        verdict = self._file.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise sqlite3.DatabaseError(str(verdict))

    def _pragma(self, name: str) -> int:
        return int(self._file.execute(f"PRAGMA {name}").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> History:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._file:
                yield self._file
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: the history could not be written ({error})") from error

    # ------------------------------------------------------------ outcomes
    def add(self, outcomes: Iterable[Outcome]) -> int:
        """Write down a run, all of it or nothing; how many rows that were.

        Raises:
            InputError: an outcome has another name.
            StoreError: the file cannot be written.
        """
        rows = []
        for one in outcomes:
            if one.outcome not in OUTCOMES:
                raise InputError(f"outcome: expected one of {', '.join(OUTCOMES)}; got {one.outcome!r}")
            rows.append((one.test, one.revision, one.outcome, one.seconds, one.reruns))
        with self._changing() as file:
            file.executemany(
                "INSERT INTO outcome (test, revision, outcome, seconds, reruns) VALUES (?, ?, ?, ?, ?)", rows
            )
        return len(rows)

    def outcomes(self, test: str | None = None, revision: str | None = None) -> list[Outcome]:
        """Rows in the order they were written, of one test, of one commit, or all."""
        rows = self._file.execute(
            "SELECT test, revision, outcome, seconds, reruns FROM outcome "
            "WHERE test = coalesce(?, test) AND revision = coalesce(?, revision) ORDER BY number",
            (test, revision),
        )
        return [Outcome(*row) for row in rows]

    def flaky(self) -> dict[str, list[str]]:
        """Tests that both passed and failed at one commit, or passed on a rerun there: test -> those commits."""
        rows = self._file.execute(
            "SELECT test, revision FROM outcome WHERE outcome <> 'skipped' GROUP BY test, revision "
            "HAVING sum(outcome = 'flaky pass') > 0 "
            "OR (sum(outcome = 'passed') > 0 AND sum(outcome IN ('failed', 'quarantined')) > 0) "
            "ORDER BY test, min(number)"
        )
        found: dict[str, list[str]] = {}
        for test, revision in rows:
            found.setdefault(test, []).append(revision)
        return found

    # ------------------------------------------------------------ quarantine
    def quarantine(
        self, test: str, owner: str, expires: datetime.date, *, reason: str = "", revision: str = ""
    ) -> None:
        """Put a test into quarantine, or move its end. An owner and an end are needed: nothing stays there by itself.

        Raises:
            InputError: no test, no owner.
            StoreError: the file cannot be written.
        """
        if not test.strip() or not owner.strip():
            raise InputError(f"quarantine: expected a test and an owner, got {test!r} and {owner!r}")
        with self._changing() as file:
            file.execute(
                "INSERT OR REPLACE INTO quarantine VALUES (?, ?, ?, ?, ?)",
                (test, owner, expires.isoformat(), reason, revision),
            )

    def quarantined(self) -> dict[str, Quarantine]:
        """Everything that is in quarantine, by test."""
        rows = self._file.execute("SELECT test, owner, expires, reason, revision FROM quarantine ORDER BY test")
        return {
            test: Quarantine(test, owner, datetime.date.fromisoformat(expires), reason, revision)
            for test, owner, expires, reason, revision in rows
        }

    def lift(self, repair: Repair) -> None:
        """End a quarantine with the form of its repair.

        Raises:
            InputError: the test is in no quarantine, or an answer is none of the choices.
            StoreError: the file cannot be written.
        """
        if repair.test not in self.quarantined():
            raise InputError(
                f"lift: {repair.test!r} is in no quarantine; in it are: {', '.join(self.quarantined()) or 'none'}"
            )
        _answered(repair)
        with self._changing() as file:
            file.execute(
                "INSERT INTO repair (test, revision, owner, nature, origin, minutes, fix, tool) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (repair.test, repair.revision, repair.owner, repair.nature, repair.origin, repair.minutes, repair.fix,
                 repair.tool),
            )  # fmt: skip
            file.execute("DELETE FROM quarantine WHERE test = ?", (repair.test,))

    def repairs(self) -> list[Repair]:
        """The forms, oldest first."""
        rows = self._file.execute(
            "SELECT test, owner, nature, origin, minutes, fix, tool, revision FROM repair ORDER BY number"
        )
        return [Repair(*row) for row in rows]


def _answered(repair: Repair) -> None:
    choices = (("nature", repair.nature, NATURES), ("origin", repair.origin, ORIGINS))
    for name, value, allowed in (*choices, ("tool", repair.tool, (*CATEGORIES, UNKNOWN, ""))):
        if value not in allowed:
            raise InputError(f"{name}: expected one of {', '.join(allowed)}; got {value!r}")
    if not 0 <= repair.minutes < 1e6:
        raise InputError(f"minutes: expected 0 or more, got {repair.minutes}")
    if not repair.fix.strip() or not repair.owner.strip():
        raise InputError("fix and owner: expected what was done and by whom, got nothing")

"""The interventions: what is changed around a test, and which cause of flakiness a change of its failures points to.

A condition is data: settings for the process that runs the tests (see `_shims`, `_child`) and variables of its
environment. Everything that a condition does not name stays as in the baseline, seeds included.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from vultus.errors import UnknownMethod

__all__ = ["BASELINE", "SCREEN", "SETTINGS", "Condition", "by_name"]

SETTINGS = "VULTUS_FLAKY_CHILD"  # variable that names the file of settings to the process that runs the tests


@dataclass(frozen=True)
class Condition:
    """One way to run tests.

    Attributes:
        name: unique.
        category: cause that it stands for; "" for the baseline.
        what: in words, for reports.
        settings: of the process that runs the tests.
        env: variables of its environment.
        attempts: how often a screen runs it on the whole suite.
    """

    name: str
    category: str
    what: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    attempts: int = 1

    def alone(self, attempts: int, again: str = "") -> Condition:
        """The same, with every attempt in a process of its own that has run no other test."""
        settings = {"clock": {}, **self.settings, "alone": attempts, "order": "file"}
        return replace(self, name=f"{self.name}, alone{again}", settings=settings)


def _clock(name: str, what: str, at: float, each_test: bool = False, zone: str = "UTC0") -> Condition:
    settings = {"seeded": True, "clock": {"at": at, "each_test": each_test}}
    return Condition(name, "time", what, settings, {"TZ": zone})


# Moments in seconds since 1970 UTC. Zones are written out (POSIX), so that no table of zones is needed.
_JANUARY_31 = 1801439999.97  # 2027-01-31 23:59:59.97
_YEAR_END = 1830297599.97  # 2027-12-31 23:59:59.97
_LEAP_DAY = 1835438400.0  # 2028-02-29 12:00
_FAR = 2223374400.0  # 2040-06-15 12:00, behind the end of 32-bit seconds
_SPRING = 1805007599.97  # 2027-03-14 01:59:59.97 on the coast that changes to summer time then
_NOON = 1811851200.0  # 2027-06-01 12:00
_EASTERN = "EST5EDT,M3.2.0,M11.1.0"

BASELINE = Condition("baseline", "", "file order, own seeds, nothing changed", {"seeded": True}, attempts=4)

SCREEN: tuple[Condition, ...] = (
    Condition("reversed", "test order dependency", "last test first", {"seeded": True, "order": "reverse"}),
    Condition("shuffled", "test order dependency", "random order", {"seeded": True, "order": "shuffle"}, attempts=2),
    Condition(
        "seeds",
        "randomness",
        "many seeds of Python, numpy and torch in one process",
        {"seeded": True, "repeat": 120, "repeat_seconds": 0.3},
    ),
    Condition("hash seeds", "randomness", "other hash seeds, so other orders of sets", {"seeded": True}, attempts=3),
    _clock("month end", "midnight after January 31 falls into the test", _JANUARY_31, True),
    _clock("year end", "midnight of the new year falls into the test", _YEAR_END, True),
    _clock("leap day", "February 29", _LEAP_DAY),
    _clock("far future", "the year 2040", _FAR),
    _clock("summer time", "the hour is skipped during the test", _SPRING, True, _EASTERN),
    _clock("zone +14", "local time 14 hours ahead of UTC", _NOON, False, "<+14>-14"),
    _clock("zone -12", "local time 12 hours behind UTC", _NOON - 43200, False, "<-12>12"),
    Condition(
        "coarse clock", "time", "the clock moves in steps of 16 ms", {"seeded": True, "clock": {"step": 0.015625}}
    ),
    Condition(
        "threads late", "concurrency", "every thread starts 20 ms late", {"seeded": True, "threads": {"start": "late"}}
    ),
    Condition(
        "threads eager",
        "concurrency",
        "a thread runs before its starter goes on",
        {"seeded": True, "threads": {"start": "eager"}},
    ),
    Condition(
        "threads jittered",
        "concurrency",
        "delays at locks, at thread starts and between lines",
        {"seeded": True, "threads": {"jitter": True}},
        attempts=3,
    ),
    Condition(
        "one core",
        "concurrency",
        "one thread for numerical libraries",
        {"seeded": True},
        {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
    ),
    Condition(
        "short waits", "async wait", "the test waits a tenth", {"seeded": True, "sleep": {"main": 0.1}}, attempts=2
    ),
    Condition(
        "slow others",
        "async wait",
        "other threads sleep five times as long, their files and sockets answer 30 ms late",
        {"seeded": True, "sleep": {"others": 5.0, "io": 0.03}},
    ),
    Condition(
        "slow machine",
        "test case timeout",
        "clocks and timers run four times as fast as the work",
        {"seeded": True, "clock": {"rate": 4.0}},
    ),
    Condition(
        "throttled", "test case timeout", "one core shared with four busy processes", {"seeded": True, "neighbors": 4}
    ),
    Condition(
        "repeated",
        "resource leak",
        "again and again in one process that may open 16 more files",
        {"seeded": True, "repeat": 40, "repeat_seconds": 1.5, "vary": False, "files": 16},
    ),
    Condition(
        "ASCII locale",
        "platform dependency",
        "no UTF-8 anywhere",
        {"seeded": True},
        {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ),
    Condition(
        "no network", "platform dependency", "only this machine", {"seeded": True, "platform": {"network": False}}
    ),
    Condition("one CPU", "platform dependency", "os.cpu_count is 1", {"seeded": True, "platform": {"cpus": 1}}),
    Condition(
        "case folded",
        "platform dependency",
        "names that differ in case are one file",
        {"seeded": True, "platform": {"case": True}},
    ),
    Condition(
        "listing",
        "platform dependency",
        "folders are listed backwards",
        {"seeded": True, "platform": {"listing": True}},
    ),
    Condition(
        "other kernels",
        "platform dependency",
        "the kernels of an older processor in OpenBLAS",
        {"seeded": True},
        {"OPENBLAS_CORETYPE": "Prescott"},
    ),
)


def by_name(name: str) -> Condition:
    """One condition.

    Raises:
        UnknownMethod: there is none of that name.
    """
    known = {condition.name: condition for condition in (BASELINE, *SCREEN)}
    if name not in known:
        raise UnknownMethod(name, known, what="intervention")
    return known[name]

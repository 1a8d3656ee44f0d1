"""A clock that can be set: the functions of `time` and the classes of `datetime`, started at any moment, at any rate.

Nothing here reads the wall clock: a moment is given, and time passes by the real performance counter.
"""

from __future__ import annotations

import copyreg
import datetime
import sys
import time
from collections.abc import Callable
from typing import Any

REAL_SLEEP = time.sleep
REAL_COUNTER = time.perf_counter
_REAL_TIME = time.time
_DATETIME, _DATE = datetime.datetime, datetime.date
_LOCALTIME, _GMTIME, _STRFTIME, _CTIME = time.localtime, time.gmtime, time.strftime, time.ctime


class Patches:
    """Attributes that were replaced, and what they were."""

    def __init__(self) -> None:
        self._was: list[tuple[Any, str, Any]] = []

    def set(self, owner: Any, name: str, value: Any) -> None:
        """Replace `owner.name` until `undo`."""
        self._was.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)

    def undo(self) -> None:
        """Put everything back, last replaced first."""
        while self._was:
            owner, name, value = self._was.pop()
            setattr(owner, name, value)


class Clock:
    """Time as a test sees it.

    Args:
        at: moment of the start as seconds since 1970 UTC; None keeps the machine's.
        rate: seconds that seem to pass in one real second.
        each_test: whether `restart` goes back to `at` (moments just before midnight need that).
        step: resolution of the wall clock in seconds; 0 keeps the machine's.
    """

    def __init__(self, at: float | None = None, rate: float = 1.0, each_test: bool = False, step: float = 0.0) -> None:
        self.at, self.rate, self.each_test, self.step = at, rate, each_test, step
        self._start = REAL_COUNTER()
        self._lost = 0.0  # real seconds that do not count
        self._base = at

    def restart(self) -> None:
        """A test begins."""
        if self.each_test:
            self._base, self._start, self._lost = self.at, REAL_COUNTER(), 0.0

    def forget(self, since: float) -> None:
        """What has passed since a reading of the real counter is not to be seen by the test that starts now."""
        self._lost += REAL_COUNTER() - since

    def counter(self) -> float:
        """In place of perf_counter and monotonic."""
        return self._start + self._passed()

    def now(self) -> float:
        """In place of time.time."""
        value = self._base + self._passed() if self._base is not None else _REAL_TIME() + self._ahead()
        return value - value % self.step if self.step else value

    def _passed(self) -> float:
        return (REAL_COUNTER() - self._start - self._lost) * self.rate

    def _ahead(self) -> float:
        return self._passed() - (REAL_COUNTER() - self._start)

    def install(self, patches: Patches) -> None:
        """Put this clock in place of the machine's, for everything that is imported from now on."""
        for name in ("perf_counter", "monotonic"):
            patches.set(time, name, self.counter)
            patches.set(time, f"{name}_ns", lambda: int(self.counter() * 1e9))
        patches.set(time, "time", self.now)
        patches.set(time, "time_ns", lambda: int(self.now() * 1e9))
        patches.set(time, "localtime", lambda seconds=None: _LOCALTIME(self.now() if seconds is None else seconds))
        patches.set(time, "gmtime", lambda seconds=None: _GMTIME(self.now() if seconds is None else seconds))
        patches.set(time, "ctime", lambda seconds=None: _CTIME(self.now() if seconds is None else seconds))
        patches.set(time, "strftime", lambda form, t=None: _STRFTIME(form, _LOCALTIME(self.now()) if t is None else t))
        patches.set(datetime, "datetime", _facade(_DATETIME, self.now))
        patches.set(datetime, "date", _facade(_DATE, self.now))
        for real in (_DATETIME, _DATE):
            _by_facade(real)
        if self.rate != 1.0:
            self._alarms(patches)

    def _alarms(self, patches: Patches) -> None:
        """Timers of the operating system go off by this clock too."""
        import signal

        if not hasattr(signal, "setitimer"):
            return
        real = signal.setitimer
        patches.set(
            signal, "setitimer", lambda which, seconds, interval=0.0: real(which, seconds / self.rate, interval)
        )
        patches.set(signal, "alarm", lambda seconds: int(real(signal.ITIMER_REAL, seconds / self.rate)[0]))


def _facade(real: Any, now: Callable[[], float]) -> Any:
    """A class that stands for `datetime` or `date`, makes the real ones, and asks `now` what time it is."""

    class Kind(type):
        def __instancecheck__(cls, thing: Any) -> bool:
            return isinstance(thing, real)

        def __subclasscheck__(cls, kind: type) -> bool:
            return issubclass(kind, real)

    def new(cls: Any, *args: Any, **keys: Any) -> Any:
        return real(*args, **keys) if cls is facade else real.__new__(cls, *args, **keys)

    def today(cls: Any) -> Any:
        return cls.fromtimestamp(now())

    methods: dict[str, Any] = {"__new__": new, "today": classmethod(today), "__module__": "datetime"}
    if real is _DATETIME:
        methods["now"] = classmethod(lambda cls, tz=None: cls.fromtimestamp(now(), tz))
        methods["utcnow"] = classmethod(
            lambda cls: cls.fromtimestamp(now(), datetime.timezone.utc).replace(tzinfo=None)
        )
    facade = Kind(real.__name__, (real,), methods)
    return facade


def _by_facade(real: Any) -> None:
    """Moments are still copied and sent between processes: by the name of their class, which is now the facade's."""

    def reduced(moment: Any) -> tuple[Any, ...]:
        facade = getattr(datetime, real.__name__)
        return (facade, *moment.__reduce_ex__(2)[1:])

    copyreg.pickle(real, reduced)


def loaded(name: str) -> Any:
    """A module, if somebody has imported it; nothing is imported for it here."""
    return sys.modules.get(name)

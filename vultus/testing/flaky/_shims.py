"""What an intervention does inside the process of the tests: seeds, sleeps, threads, platform, limits, neighbors.

Everything is switched by one mapping of settings (see `interventions`), put in place before the project's own files are
imported, and active only while a test runs, so that pytest itself is not disturbed.
"""

from __future__ import annotations

import builtins
import contextlib
import glob
import io
import os
import random
import signal
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from vultus.testing.flaky._clock import REAL_COUNTER, REAL_SLEEP, Clock, Patches, loaded

_REAL_RANDOM = random.Random
_START, _RUN, _JOIN = threading.Thread.start, threading.Thread.run, threading.Thread.join
_EVENT_WAIT = threading.Event.wait
_LOCK, _RLOCK = threading.Lock, threading.RLock
_LISTDIR, _READLINK = os.listdir, os.readlink
_OPEN = io.open
_LATE, _EAGER = 0.02, 0.05  # seconds: how late a thread starts, on average, and how long an eager one is waited for
_JITTER, _BUDGET = 0.002, 0.03  # seconds: the longest single delay, and all delays of one thread together
_LINES = 1000  # of each thread, that delays may come between
_STANDSTILL = 0.3  # seconds: a process that the test starts

Settings = Mapping[str, Any]


class Shims:
    """The interventions of one process.

    Args:
        settings: of the condition; a missing key leaves that part of the world as it is.
        root: folder of the project; only its lines are delayed by the thread jitter.
    """

    def __init__(self, settings: Settings, root: str) -> None:
        self.settings, self.root = settings, root
        self.patches = Patches()
        self.active = False
        self._rng, self._delays = _REAL_RANDOM(0), _REAL_RANDOM(0)
        self._main = threading.main_thread()
        self._tight_for, self._tight = "", 0
        self._interval = 0.0  # between switches of threads, as it was
        self._neighbors: list[subprocess.Popen[bytes]] = []
        clock = settings.get("clock")
        self.clock = Clock(**clock) if clock is not None else None

    def install(self) -> None:
        """Put everything in place; nothing but the clock acts before `begin`."""
        if self.clock is not None:
            self.clock.install(self.patches)
        if self.settings.get("seeded"):
            self._install_seeds()
        if "sleep" in self.settings:
            self._install_sleep()
        if "threads" in self.settings:
            self._install_threads()
        if "platform" in self.settings:
            self._install_platform()
        if self.settings.get("neighbors"):
            self._start_neighbors(int(self.settings["neighbors"]))

    def begin(self, test: str, key: str, attempt: int = 0) -> None:
        """A test starts: seeds are set, the clock is wound, neighbors wake up. One key, one stream of numbers."""
        number = zlib.crc32(f"{key}|{test}".encode())
        self._rng.seed(number)
        self._delays.seed(number + attempt)  # what the scheduler does is no matter of the test's numbers
        if self.settings.get("seeded"):
            self._seed(number)
        if self.clock is not None:
            self.clock.restart()
        self._tighten(test)
        self._signal_neighbors("SIGCONT")
        self.active = True
        if self.settings.get("threads", {}).get("jitter"):
            self._trace(True)

    def end(self) -> None:
        """A test is over."""
        self._trace(False)
        self.active = False
        self._signal_neighbors("SIGSTOP")
        self._loosen()

    def close(self) -> None:
        """The session is over: everything is as it was."""
        for neighbor in self._neighbors:
            neighbor.kill()
            neighbor.wait()
        self._neighbors.clear()
        if self._interval:
            sys.setswitchinterval(self._interval)
        self.patches.undo()

    # ------------------------------------------------------------ seeds
    def _install_seeds(self) -> None:
        """Sources of entropy answer from the seed: numpy's unseeded generators and `secrets` ask them."""

        class Seeded(_REAL_RANDOM):
            def __init__(inner, x: Any = None) -> None:
                super().__init__(self._rng.getrandbits(64) if x is None and self.active else x)

        real = os.urandom

        def urandom(n: int) -> bytes:
            return self._rng.randbytes(n) if self.active else real(n)

        self.patches.set(random, "Random", Seeded)
        self.patches.set(random, "_urandom", urandom)
        self.patches.set(os, "urandom", urandom)

    def _seed(self, number: int) -> None:
        random.seed(number)
        numpy, torch = loaded("numpy"), loaded("torch")
        if numpy is not None:
            numpy.random.seed(number)
        if torch is not None:
            torch.manual_seed(number)

    # ------------------------------------------------------------ waiting
    def _install_sleep(self) -> None:
        """The main thread waits shorter than it says, or everybody else longer."""
        sleep = self.settings["sleep"]
        main, others, slow_io = sleep.get("main", 1.0), sleep.get("others", 1.0), sleep.get("io", 0.0)

        def scaled(seconds: float) -> None:
            REAL_SLEEP(seconds * self._scale(main, others))

        def event_wait(event: threading.Event, timeout: float | None = None) -> bool:
            return _EVENT_WAIT(event, self._shorter(timeout, main))

        def join(thread: threading.Thread, timeout: float | None = None) -> None:
            _JOIN(thread, self._shorter(timeout, main))

        self.patches.set(time, "sleep", scaled)
        self.patches.set(threading.Event, "wait", event_wait)
        self.patches.set(threading.Thread, "join", join)
        self._install_asyncio(main, others)
        if slow_io:
            self._install_slow_io(slow_io)

    def _scale(self, main: float, others: float) -> float:
        if not self.active:
            return 1.0
        return main if threading.current_thread() is self._main else others

    def _shorter(self, timeout: float | None, main: float) -> float | None:
        """A wait with a limit is scaled half as much as a sleep: it ends early when what it waits for has happened."""
        if timeout is None or main >= 1 or not self.active or threading.current_thread() is not self._main:
            return timeout
        return timeout * min(1.0, 2 * main)

    def _install_asyncio(self, main: float, others: float) -> None:
        """In a loop the first task that sleeps is the test, every other task is what it waits for."""
        import asyncio
        import weakref

        real = asyncio.sleep
        first: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()

        async def scaled(delay: float, result: Any = None) -> Any:
            task = asyncio.current_task()
            owner = first.setdefault(asyncio.get_running_loop(), task)
            factor = (main if task is owner else others) if self.active else 1.0
            return await real(delay * factor, result)

        self.patches.set(asyncio, "sleep", scaled)

    def _install_slow_io(self, seconds: float) -> None:
        import socket

        def slowed(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **keys: Any) -> Any:
                if self.active and threading.current_thread() is not self._main:
                    REAL_SLEEP(seconds)
                return real(*args, **keys)

            return call

        self.patches.set(builtins, "open", slowed(_OPEN))
        self.patches.set(io, "open", slowed(_OPEN))
        for name in ("connect", "recv", "send", "sendall"):
            self.patches.set(socket.socket, name, slowed(getattr(socket.socket, name)))
        self._install_slow_processes()

    def _install_slow_processes(self) -> None:
        """A process that the test starts stands still for a moment first."""
        if not hasattr(signal, "SIGSTOP"):
            return
        real, wakers = subprocess.Popen.__init__, threading.Timer

        def started(process: Any, *args: Any, **keys: Any) -> None:
            real(process, *args, **keys)
            if self.active:
                process.send_signal(signal.SIGSTOP)
                waker = wakers(_STANDSTILL, process.send_signal, (signal.SIGCONT,))
                waker.daemon = True
                waker.start()

        self.patches.set(subprocess.Popen, "__init__", started)

    # ------------------------------------------------------------ threads
    def _install_threads(self) -> None:
        """Threads start late, or run before their starter goes on, or are delayed at locks and between lines."""
        threads = self.settings["threads"]
        start_as, jitter = threads.get("start"), bool(threads.get("jitter"))

        def start(thread: threading.Thread) -> None:
            _START(thread)
            if start_as == "eager" and self.active:
                _JOIN(thread, _EAGER)

        def run(thread: threading.Thread) -> None:
            if start_as == "late" and self.active:
                REAL_SLEEP(_LATE * (0.5 + self._delays.random()))
            if jitter:
                self._pause(1.0)
            _RUN(thread)

        self.patches.set(threading.Thread, "start", start)
        self.patches.set(threading.Thread, "run", run)
        if jitter:
            self._interval = sys.getswitchinterval()
            sys.setswitchinterval(1e-5)
            for name, real in (("Lock", _LOCK), ("RLock", _RLOCK)):
                self.patches.set(threading, name, self._delayed(real))

    def _delayed(self, real: Callable[[], Any]) -> Callable[[], Any]:
        pause = self._pause

        class Delayed:
            """A lock that is taken and given back a little later than it could be."""

            def __init__(self) -> None:
                self._lock = real()

            def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
                pause(0.2)
                return bool(self._lock.acquire(blocking, timeout))

            def release(self) -> None:
                self._lock.release()
                pause(0.2)

            def __enter__(self) -> bool:
                return self.acquire()

            def __exit__(self, *error: object) -> None:
                self.release()

            def __getattr__(self, name: str) -> Any:
                return getattr(self._lock, name)

        return Delayed

    def _pause(self, chance: float) -> None:
        """Perhaps stand still for up to `_JITTER`, as long as this thread has not used up its budget."""
        if not self.active or self._delays.random() > chance:
            return
        spent = getattr(threading.current_thread(), "_flaky_spent", 0.0)
        if spent < _BUDGET:
            seconds = self._delays.random() * _JITTER
            threading.current_thread()._flaky_spent = spent + seconds  # type: ignore[attr-defined]
            REAL_SLEEP(seconds)

    def _trace(self, on: bool) -> None:
        if on and sys.gettrace() is None:  # a debugger or coverage was there first
            threading.settrace(self._on_call)
            sys.settrace(self._on_call)
        elif not on and getattr(sys.gettrace(), "__self__", None) is self:
            threading.settrace(None)
            sys.settrace(None)

    def _on_call(self, frame: Any, event: str, argument: Any) -> Any:
        return self._on_line if frame.f_code.co_filename.startswith(self.root) else None

    def _on_line(self, frame: Any, event: str, argument: Any) -> Any:
        if event == "line" and threading.active_count() > 1:
            thread: Any = threading.current_thread()
            thread._flaky_lines = lines = getattr(thread, "_flaky_lines", 0) + 1
            frame.f_trace_lines = lines < _LINES  # watching every line of a long loop would slow it down tenfold
            self._pause(0.3)
        return self._on_line

    # ------------------------------------------------------------ platform
    def _install_platform(self) -> None:
        platform = self.settings["platform"]
        if platform.get("cpus"):
            self.patches.set(os, "cpu_count", lambda: int(platform["cpus"]))
        if platform.get("listing"):
            self._install_listing()
        if platform.get("case"):
            for owner in (builtins, io):
                self.patches.set(owner, "open", self._open_folding_case)
        if platform.get("network") is False:
            self._install_no_network()

    def _install_listing(self) -> None:
        """Folders are listed in another order than this file system's."""

        def listdir(path: Any = ".") -> list[Any]:
            names = _LISTDIR(path)
            return sorted(names, reverse=True) if self.active else names

        real = glob.glob

        def globbed(*args: Any, **keys: Any) -> list[Any]:
            found = real(*args, **keys)
            return sorted(found, reverse=True) if self.active else found

        self.patches.set(os, "listdir", listdir)
        self.patches.set(glob, "glob", globbed)

    def _open_folding_case(self, file: Any, *args: Any, **keys: Any) -> Any:
        """A file system on which "A.txt" and "a.txt" are one file."""
        if self.active and isinstance(file, (str, os.PathLike)):
            folder, name = os.path.split(os.fspath(file))
            if isinstance(name, str) and os.path.isdir(folder or "."):
                same = [other for other in _LISTDIR(folder or ".") if other.casefold() == name.casefold()]
                if same and name not in same:
                    file = os.path.join(folder, same[0])
        return _OPEN(file, *args, **keys)

    def _install_no_network(self) -> None:
        """Only this machine is there."""
        import socket

        connect, resolve = socket.socket.connect, socket.getaddrinfo

        def local(host: Any) -> bool:
            return not isinstance(host, str) or host in ("", "localhost", "::1") or host.startswith("127.")

        def connected(self_: socket.socket, address: Any) -> None:
            if self.active and isinstance(address, tuple) and not local(address[0]):
                raise OSError(101, f"Network is unreachable: {address[0]}")
            connect(self_, address)

        def resolved(host: Any, *args: Any, **keys: Any) -> Any:
            if self.active and not local(host):
                raise socket.gaierror(-3, f"Temporary failure in name resolution: {host}")
            return resolve(host, *args, **keys)

        self.patches.set(socket.socket, "connect", connected)
        self.patches.set(socket, "getaddrinfo", resolved)

    # ------------------------------------------------------------ limits
    def _tighten(self, test: str) -> None:
        """Few descriptors are left to all repetitions of one test, whatever others have left open."""
        spare = self.settings.get("files")
        if not spare:
            return
        import resource

        if not hasattr(self, "_limit"):
            self._limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        if test != self._tight_for:
            self._tight_for, self._tight = test, _room_for(int(spare))
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(self._tight, self._limit[0]), self._limit[1]))

    def _loosen(self) -> None:
        if hasattr(self, "_limit"):
            import resource

            resource.setrlimit(resource.RLIMIT_NOFILE, self._limit)

    # ------------------------------------------------------------ neighbors
    def _start_neighbors(self, count: int) -> None:
        """Processes that want the same core as the test, and end with it."""
        if not hasattr(os, "sched_setaffinity"):
            return
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[os.getpid() % len(cores)]})
        code = f"import os\nwhile os.getppid() == {os.getpid()}:\n    for i in range(1 << 20): pass"
        for _ in range(count):
            self._neighbors.append(subprocess.Popen([sys.executable, "-S", "-E", "-I", "-c", code]))
        self._signal_neighbors("SIGSTOP")

    def _signal_neighbors(self, name: str) -> None:
        for neighbor in self._neighbors:
            os.kill(neighbor.pid, getattr(signal, name))


def _room_for(spare: int) -> int:
    """The limit under which as many numbers of descriptors are free, whatever high ones are taken."""
    used = set(map(int, _LISTDIR("/proc/self/fd")))
    limit = free = 0
    while free < spare:
        free += limit not in used
        limit += 1
    return limit


def descriptors() -> dict[str, str]:
    """Descriptors of this process that are open, and what each leads to; empty where the platform does not tell."""
    found = {}
    with contextlib.suppress(OSError):
        for number in _LISTDIR("/proc/self/fd"):
            with contextlib.suppress(OSError):  # that of the listing itself is closed again
                found[number] = _READLINK(f"/proc/self/fd/{number}")
    return found


def open_files() -> int:
    """Descriptors of this process that are open; -1 where the platform does not tell."""
    try:
        return len(_LISTDIR("/proc/self/fd"))
    except OSError:
        return -1


def now() -> float:
    """Seconds of the real counter, whatever the tests see."""
    return REAL_COUNTER()

"""Each change of the world does what it says, and is undone."""

from __future__ import annotations

import asyncio
import builtins
import copy
import datetime
import os
import pickle
import random
import secrets
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from vultus.testing.flaky._clock import REAL_COUNTER, Clock, Patches
from vultus.testing.flaky._shims import Shims

NOON = 1811851200.0  # 2027-06-01 12:00 UTC


@pytest.fixture
def shims():
    made = []

    def make(**settings):
        one = Shims(settings, os.path.dirname(__file__))
        made.append(one)
        one.install()
        one.begin("a test", "key")
        return one

    yield make
    for one in made:
        one.end()
        one.close()


def test_a_clock_that_stands_elsewhere():
    patches = Patches()
    before = (time.time, datetime.datetime, time.monotonic)
    Clock(at=NOON).install(patches)
    try:
        from datetime import datetime as moment

        assert moment.now(datetime.timezone.utc).date() == datetime.date(2027, 6, 1)
        assert NOON <= time.time() < NOON + 60
        assert time.gmtime()[:3] == (2027, 6, 1)
        made = moment(2020, 1, 2, tzinfo=datetime.timezone.utc)
        assert isinstance(made, moment)
        assert isinstance(made, datetime.date)
        assert type(made) is before[1]
        assert copy.deepcopy(made) == pickle.loads(pickle.dumps(made)) == made
        assert moment.strptime("2020-01-02", "%Y-%m-%d") == datetime.datetime(2020, 1, 2)

        class Ours(moment):
            pass

        assert type(Ours(2020, 1, 2)) is Ours
    finally:
        patches.undo()
    assert (time.time, datetime.datetime, time.monotonic) == before


def test_a_clock_that_runs_fast_forgets_and_restarts():
    fast = Clock(rate=1000.0)
    first = fast.counter()
    mark = REAL_COUNTER()
    while REAL_COUNTER() - mark < 0.002:
        pass
    assert fast.counter() - first >= 2.0
    fast.forget(mark)
    assert fast.counter() - first < 2.0
    coarse = Clock(at=NOON + 0.1, step=0.25)
    assert coarse.now() % 0.25 == 0
    midnight = Clock(at=NOON, each_test=True)
    mark = REAL_COUNTER()
    while REAL_COUNTER() - mark < 0.002:
        pass
    midnight.restart()
    assert midnight.now() - NOON < 0.002 + (REAL_COUNTER() - mark)


def drawn():
    return [
        random.random(),
        random.Random().random(),
        secrets.token_hex(4),
        os.urandom(4),
        float(np.random.default_rng().random()),
        float(np.random.random()),  # noqa: NPY002
    ]


def test_one_key_one_stream(shims):
    one = shims(seeded=True)
    first = drawn()
    one.begin("a test", "key", 3)
    assert drawn() == first
    one.begin("a test", "other")
    second = drawn()
    assert all(a != b for a, b in zip(first, second, strict=True))
    one.end()
    assert os.urandom(8) != os.urandom(8)


def test_waits(shims):
    shims(sleep={"main": 0.001})
    started = REAL_COUNTER()
    time.sleep(20)
    assert not threading.Event().wait(5)
    assert REAL_COUNTER() - started < 10


def test_a_wait_with_a_limit_is_shortened_half_as_much_as_a_sleep(shims):
    one = shims(sleep={"main": 0.1})
    assert one._shorter(10.0, 0.1) == 2.0
    assert one._shorter(10.0, 0.8) == 10.0
    assert one._shorter(None, 0.1) is None


@pytest.mark.parametrize("who", ["main", "others"])
def test_in_a_loop_the_first_task_that_sleeps_is_the_test(shims, who):
    shims(sleep={who: 0.001})

    async def other():
        await asyncio.sleep(20)

    async def test():
        await asyncio.sleep(20 if who == "main" else 0)
        if who == "others":
            await asyncio.create_task(other())

    started = REAL_COUNTER()
    asyncio.run(test())
    assert REAL_COUNTER() - started < 10


def test_threads_of_others_and_late_ones(shims):
    shims(threads={"jitter": True}, sleep={"others": 0.001})
    box, lock = [], threading.Lock()

    def work():
        time.sleep(20)
        with lock:
            box.append(threading.current_thread())

    threads = [threading.Thread(target=work) for _ in range(3)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(box) == 3
    condition = threading.Condition(threading.RLock())
    with condition:
        assert not condition.wait(0.001)


def test_an_eager_thread_is_done_when_start_returns(shims):
    shims(threads={"start": "eager"})
    box = []
    thread = threading.Thread(target=box.append, args=(1,))
    thread.start()
    assert box == [1]
    thread.join()


def test_another_platform(shims, tmp_path):
    shims(platform={"cpus": 1, "listing": True, "case": True, "network": False})
    assert os.cpu_count() == 1
    for name in "abc":
        (tmp_path / name).write_text(name, encoding="utf-8")
    assert os.listdir(tmp_path) == ["c", "b", "a"]
    with open(tmp_path / "A", encoding="utf-8") as file:
        assert file.read() == "a"
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("example.org", 80)
    assert socket.getaddrinfo("127.0.0.1", 80)
    with socket.socket() as one, pytest.raises(OSError, match="unreachable"):
        one.connect(("192.0.2.1", 80))


def test_everything_is_undone(shims):
    before = (builtins.open, os.listdir, time.sleep, threading.Lock, os.urandom, subprocess.Popen.__init__)
    interval = sys.getswitchinterval()
    one = shims(seeded=True, sleep={"io": 0.01}, threads={"jitter": True}, platform={"case": True, "listing": True})
    one.end()
    one.close()
    assert (builtins.open, os.listdir, time.sleep, threading.Lock, os.urandom, subprocess.Popen.__init__) == before
    assert sys.getswitchinterval() == interval


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="the platform does not list descriptors")
def test_few_descriptors(shims):
    one = shims(files=5)
    kept = []
    with pytest.raises(OSError, match="Too many open files"):
        kept.extend(os.open(os.devnull, os.O_RDONLY) for _ in range(64))
    one.end()
    [os.close(fd) for fd in kept]
    with open(os.devnull, "rb"):
        pass

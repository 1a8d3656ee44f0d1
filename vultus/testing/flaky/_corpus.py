"""A suite with planted flaky tests: eleven causes, three tests each, and twenty tests that are not flaky.

Names tell nothing about causes: tests are called by numbers that are drawn, and lie in files by the same draw, except
where an order within a file is the matter. The plants and the interventions have the same authors: how many are found
here says that the machinery works, not how many of the world's flaky tests it would find.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vultus.testing.flaky.classify import CATEGORIES

__all__ = ["Corpus", "plant"]


@dataclass(frozen=True)
class Corpus:
    """A planted suite.

    Attributes:
        folder: that pytest is started in.
        category: unit -> cause; "" for a stable test. A unit is a plant, whatever its test is called this time.
        test: unit -> test id.
    """

    folder: Path
    category: Mapping[str, str]
    test: Mapping[str, str]

    def flaky(self) -> list[str]:
        """Units that are flaky, in a fixed order."""
        return [unit for unit, category in self.category.items() if category]

    def stable(self) -> list[str]:
        """Units that are not."""
        return [unit for unit, category in self.category.items() if not category]


# Every plant is the body of a test; `NAME` are numbers drawn for it. What stands above `---` goes before the test.
_PLANTS: dict[str, dict[str, str]] = {
    "concurrency": {
        "lost update": """
            import threading
            def step(value):
                return value + 1
            ---
            box = {"n": 0}
            def work():
                for _ in range(COUNT):
                    value = box["n"]
                    box["n"] = step(value)
            threads = [threading.Thread(target=work) for _ in range(2)]
            [t.start() for t in threads]
            [t.join() for t in threads]
            assert box["n"] == 2 * COUNT
            """,
        "made twice": """
            import threading
            def make(made):
                made.append(sum(range(50)))
                return made[-1]
            ---
            cache, made = {}, []
            def get():
                if "thing" not in cache:
                    cache["thing"] = make(made)
                return cache["thing"]
            threads = [threading.Thread(target=get) for _ in range(THREADS)]
            [t.start() for t in threads]
            [t.join() for t in threads]
            assert len(made) == 1
            """,
        "read too early": """
            import threading
            ---
            state = {"closed": False, "rows": []}
            def writer():
                for row in range(COUNT):
                    state["rows"].append(row)
                state["closed"] = True
            thread = threading.Thread(target=writer)
            thread.start()
            rows = list(state["rows"])
            thread.join()
            assert len(rows) == COUNT
            """,
    },
    "async wait": {
        "thread": """
            import threading, time
            ---
            done = []
            def work():
                time.sleep(WORK)
                done.append(1)
            thread = threading.Thread(target=work)
            thread.start()
            time.sleep(WORK * 3)
            seen = list(done)
            thread.join()
            assert seen == [1]
            """,
        "process": """
            import subprocess, sys, time
            ---
            mark = tmp_path / "mark"
            code = "import sys; open(sys.argv[1], 'w').close()"
            process = subprocess.Popen([sys.executable, "-S", "-I", "-c", code, str(mark)])
            time.sleep(PATIENCE)
            there = mark.exists()
            process.wait()
            assert there
            """,
        "task": """
            import asyncio
            ---
            async def main():
                rows = []
                async def fetch():
                    await asyncio.sleep(WORK)
                    rows.append(1)
                task = asyncio.get_running_loop().create_task(fetch())
                await asyncio.sleep(WORK * 1.6)
                seen = list(rows)
                await task
                return seen
            assert asyncio.run(main()) == [1]
            """,
    },
    "too restrictive range": {
        "mean": """
            import random
            ---
            mean = sum(random.random() for _ in range(50)) / 50
            assert abs(mean - 0.5) < HALF
            """,
        "pi": """
            import random
            ---
            inside = sum(random.random() ** 2 + random.random() ** 2 < 1 for _ in range(400))
            assert 3.14159 - WIDTH <= 4.0 * inside / 400
            """,
        "tail": """
            import random
            ---
            slowest = max(random.lognormvariate(0.0, 0.3) for _ in range(12))
            assert slowest < LIMIT
            """,
    },
    "test order dependency": {
        "victim of a variable": """
            import os
            ---
            assert os.environ.get("PLANTED_MODE", "plain") == "plain"
            """,
        "brittle": """
            import os
            ---
            assert os.environ.get("PLANTED_READY") == "yes"
            """,
        "victim of a class": """
            import planted_shared
            ---
            assert planted_shared.Settings.retries == 3
            """,
    },
    "test case timeout": {
        "elapsed": """
            import time
            ---
            started = time.perf_counter()
            total = 0
            for i in range(WORK_N):
                total += i * i
            assert time.perf_counter() - started < LIMIT_S
            """,
        "alarm": """
            import signal
            def late(*_):
                raise TimeoutError("took too long")
            ---
            before = signal.signal(signal.SIGALRM, late)
            signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
            try:
                total = 0
                for i in range(WORK_N):
                    total += i * i
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, before)
            """,
        "result": """
            from concurrent.futures import ThreadPoolExecutor
            def work(n):
                total = 0
                for i in range(n):
                    total += i * i
                return total
            ---
            with ThreadPoolExecutor(1) as pool:
                assert pool.submit(work, WORK_N).result(timeout=LIMIT_S) > 0
            """,
    },
    "resource leak": {
        "files": """
            KEPT = []
            ---
            path = tmp_path / "log"
            path.write_bytes(b"x")
            KEPT.append(open(path, "rb", buffering=0))
            assert KEPT[-1].read(1) == b"x"
            """,
        "threads": """
            import threading
            FOREVER = threading.Event()
            ---
            threading.Thread(target=FOREVER.wait, daemon=True).start()
            assert threading.active_count() < ROOM
            """,
        "temporary folders": """
            import os, tempfile
            ---
            tempfile.mkdtemp(prefix="planted-quota-")
            mine = [n for n in os.listdir(tempfile.gettempdir()) if n.startswith("planted-quota-")]
            assert len(mine) <= ROOM
            """,
    },
    "platform dependency": {
        "encoding": """
            ---
            path = tmp_path / "name.txt"
            with open(path, "w") as file:
                file.write("Zo\\u00eb")
            assert path.read_bytes() == b"Zo\\xc3\\xab"
            """,
        "case": """
            ---
            for name in ("Data.txt", "data.txt"):
                with open(tmp_path / name, "w", encoding="utf-8") as file:
                    file.write(name)
            with open(tmp_path / "Data.txt", encoding="utf-8") as file:
                assert file.read() == "Data.txt"
            """,
        "processors": """
            import os
            ---
            workers = os.cpu_count() - 1
            assert sum([COUNT // workers] * workers) <= COUNT
            """,
    },
    "float precision": {
        "set of names": """
            ---
            parts = {f"part{i}": (i + 1) / 7.0 for i in range(12)}
            assert sum(parts[name] for name in set(parts)) == sum(sorted(parts.values()))
            """,
        "order of threads": """
            import threading
            ---
            values, total = [0.1, 0.2, 0.3], [0.0]
            lock = threading.Lock()
            def add(value):
                with lock:
                    total[0] += value
            threads = [threading.Thread(target=add, args=(value,)) for value in values]
            [t.start() for t in threads]
            [t.join() for t in threads]
            assert total[0] == 0.1 + 0.2 + 0.3
            """,
        "shuffled": """
            import random
            ---
            values = [1.0 / (i + 3) for i in range(COUNT)]
            expected = sum(values)
            random.shuffle(values)
            assert sum(values) == expected
            """,
    },
    "test suite timeout": {
        "since the import": """
            import conftest_clock
            ---
            assert conftest_clock.elapsed() < SUITE_S
            """,
        "since the session": """
            ---
            import time
            assert time.monotonic() - session_start < SUITE_S
            """,
        "guard": """
            import pytest, conftest_clock
            @pytest.fixture
            def guard():
                if conftest_clock.elapsed() > SUITE_S:
                    pytest.fail("the time of the suite has run out")
            ---
            assert guard is None
            """,
    },
    "time": {
        "expires": """
            import datetime
            ---
            assert datetime.date.today() < datetime.date(YEAR, MONTH, 15)
            """,
        "same day later": """
            from datetime import date
            ---
            today = date.today()
            later = today.replace(year=today.year + 1) if BY_YEAR else today.replace(month=today.month % 12 + 1)
            assert later != today
            """,
        "zone": """
            from datetime import datetime as moment, timezone
            ---
            assert moment.now().date() == moment.now(timezone.utc).date()
            """,
    },
    "randomness": {
        "collision": """
            import random
            ---
            names = [random.randrange(SIDES) for _ in range(8)]
            assert len(set(names)) == 8
            """,
        "zero": """
            import random
            ---
            assert 100 // random.randrange(SIDES // 20) >= 0
            """,
        "missing key": """
            import random
            ---
            table = {a + b: a for a in "abcdef" for b in "abcdef" if a + b != "fa"}
            assert table[random.choice("abcdef") + random.choice("abcdef")]
            """,
    },
}
_STABLE: dict[str, str] = {
    "polluter of a variable": 'import os\n---\nos.environ["PLANTED_MODE"] = "fast"',
    "helper of the brittle": 'import os\n---\nos.environ["PLANTED_READY"] = "yes"',
    "polluter of a class": "import planted_shared\n---\nplanted_shared.Settings.retries = 0",
    "locked counter": """
        import threading
        ---
        box, lock = {"n": 0}, threading.Lock()
        def work():
            for _ in range(100):
                with lock:
                    box["n"] += 1
        threads = [threading.Thread(target=work) for _ in range(2)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        assert box["n"] == 200
        """,
    "queue": """
        import queue, threading
        ---
        jobs, out = queue.Queue(), []
        def work():
            while (job := jobs.get()) is not None:
                out.append(job * 2)
        thread = threading.Thread(target=work)
        thread.start()
        [jobs.put(i) for i in (*range(20), None)]
        thread.join()
        assert out == [2 * i for i in range(20)]
        """,
    "event": """
        import threading, time
        ---
        done = threading.Event()
        thread = threading.Thread(target=lambda: (time.sleep(0.01), done.set()))
        thread.start()
        assert done.wait(timeout=5)
        thread.join()
        """,
    "poll": """
        import threading, time
        ---
        done = []
        thread = threading.Thread(target=lambda: (time.sleep(0.01), done.append(1)))
        thread.start()
        deadline = time.monotonic() + 10
        while not done and time.monotonic() < deadline:
            time.sleep(0.002)
        thread.join()
        assert done
        """,
    "seeded mean": """
        import random
        ---
        rng = random.Random(5)
        assert abs(sum(rng.random() for _ in range(200)) / 200 - 0.5) < 0.05
        """,
    "closed file": """
        import tempfile
        ---
        with tempfile.TemporaryFile() as file:
            file.write(b"x" * 100)
            file.seek(0)
            assert len(file.read()) == 100
        """,
    "dates": """
        import datetime
        ---
        now = datetime.datetime.now(datetime.timezone.utc)
        assert (now + datetime.timedelta(days=365)) - now == datetime.timedelta(days=365)
        assert isinstance(now, datetime.datetime) and now.date() <= now.date() + datetime.timedelta(days=1)
        """,
    "said encoding": """
        ---
        path = tmp_path / "a.txt"
        path.write_text("Zo\\u00eb", encoding="utf-8")
        assert path.read_text(encoding="utf-8") == "Zo\\u00eb"
        """,
    "sorted listing": """
        import os
        ---
        for name in "cab":
            (tmp_path / name).touch()
        assert sorted(os.listdir(tmp_path)) == ["a", "b", "c"]
        """,
    "approx": """
        import pytest, random
        ---
        values = [1.0 / (i + 3) for i in range(40)]
        expected = sum(values)
        random.shuffle(values)
        assert sum(values) == pytest.approx(expected)
        """,
    "pool": """
        from concurrent.futures import ThreadPoolExecutor
        ---
        with ThreadPoolExecutor(3) as pool:
            assert list(pool.map(lambda x: x * x, range(10))) == [x * x for x in range(10)]
        """,
    "process": """
        import subprocess, sys
        ---
        done = subprocess.run([sys.executable, "-S", "-I", "-c", "print(6 * 7)"], capture_output=True, timeout=60)
        assert done.stdout.strip() == b"42"
        """,
    "gather": """
        import asyncio
        ---
        async def double(x):
            await asyncio.sleep(0.002)
            return 2 * x
        async def main():
            return await asyncio.gather(*(double(x) for x in range(5)))
        assert asyncio.run(main()) == [0, 2, 4, 6, 8]
        """,
    "shuffle and sort": """
        import random
        ---
        deck = list(range(30))
        random.shuffle(deck)
        assert sorted(deck) == list(range(30))
        """,
    "counter": """
        import time
        ---
        first = time.perf_counter()
        time.sleep(0.002)
        assert time.perf_counter() > first
        """,
    "several files": """
        ---
        files = [open(tmp_path / str(i), "wb") for i in range(6)]
        [file.close() for file in files]
        assert len(list(tmp_path.iterdir())) == 6
        """,
    "socket pair": """
        import socket, threading
        ---
        left, right = socket.socketpair()
        with left, right:
            thread = threading.Thread(target=lambda: right.sendall(right.recv(10).upper()))
            thread.start()
            left.sendall(b"ping")
            assert left.recv(10) == b"PING"
            thread.join()
        """,
}
# Units that must lie in one file, in this order: what comes first passes in file order.
_TOGETHER = (
    ("victim of a variable", "polluter of a variable"),
    ("helper of the brittle", "brittle"),
    ("victim of a class", "polluter of a class"),
)
_CLOCK = "import time\nBEGUN = time.monotonic()\n\ndef elapsed():\n    return time.monotonic() - BEGUN\n"
_CONFTEST = """\
import sys, time
from pathlib import Path
sys.path.insert(0, str(Path(__file__).parent))
import conftest_clock
import pytest

@pytest.fixture(scope="session")
def session_start():
    return time.monotonic()

@pytest.fixture(scope="session", autouse=True)
def begun(session_start):
    return session_start
"""


def plant(folder: Path, seed: int, *, per_category: int = 3, stable: int = 20) -> Corpus:
    """Write a suite.

    Args:
        folder: to write it to; made when it is not there.
        seed: of numbers, names and places.
        per_category: plants of each cause, 1..3.
        stable: tests that are not flaky, 3..20.

    Returns:
        What was planted where.
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "conftest.py").write_text(_CONFTEST, encoding="utf-8")
    (folder / "conftest_clock.py").write_text(_CLOCK, encoding="utf-8")
    (folder / "planted_shared.py").write_text("class Settings:\n    retries = 3\n", encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    bodies, category = _chosen(per_category, stable)
    names = {unit: f"test_{number:02d}" for unit, number in zip(bodies, rng.permutation(len(bodies)), strict=True)}
    files = _places(list(bodies), category, rng)
    test: dict[str, str] = {}
    for file, units in files.items():
        source = [_source(names[unit], bodies[unit], _numbers(rng)) for unit in units]
        (folder / file).write_text("\n\n".join(source), encoding="utf-8")
        test |= {unit: f"{file}::{names[unit]}" for unit in units}
    return Corpus(folder, category, {unit: test[unit] for unit in category})


def _chosen(per_category: int, stable: int) -> tuple[dict[str, str], dict[str, str]]:
    bodies: dict[str, str] = {}
    category: dict[str, str] = {}
    for cause in CATEGORIES:
        for name, body in list(_PLANTS[cause].items())[:per_category]:
            bodies[f"{cause}: {name}"], category[f"{cause}: {name}"] = body, cause
    for name, body in list(_STABLE.items())[:stable]:
        bodies[f"stable: {name}"], category[f"stable: {name}"] = body, ""
    return bodies, category


def _places(units: list[str], category: Mapping[str, str], rng: np.random.Generator) -> dict[str, list[str]]:
    """Files in the order pytest reads them; what waits for the time of the suite comes last."""
    by_name = {unit.partition(": ")[2]: unit for unit in units if category[unit] in ("", "test order dependency")}
    together = [[by_name[name] for name in pair if name in by_name] for pair in _TOGETHER]
    tied = {unit for group in together for unit in group}
    last = [unit for unit in units if category[unit] == "test suite timeout"]
    loose = [unit for unit in units if unit not in tied and unit not in last]
    loose = [loose[i] for i in rng.permutation(len(loose))]
    groups = [loose[i::6] for i in range(6)]
    for group in together:
        place = groups[int(rng.integers(6))]
        at = int(rng.integers(len(place) + 1))
        place[at:at] = group
    return {f"test_{chr(97 + i)}.py": group for i, group in enumerate([*groups, last])}


def _numbers(rng: np.random.Generator) -> dict[str, str]:
    """Numbers of a plant; a test uses those that its text names. Longer names first: none is part of another."""
    work = int(rng.integers(150_000, 250_000))  # about 10 to 20 ms
    return {
        "COUNT": str(int(rng.integers(30, 90))),
        "THREADS": str(int(rng.integers(2, 5))),
        "PATIENCE": f"{rng.uniform(0.25, 0.4):.3f}",
        "WORK_N": str(work),
        "WORK": f"{rng.uniform(0.01, 0.03):.4f}",
        "HALF": f"{rng.uniform(0.07, 0.1):.4f}",
        "WIDTH": f"{rng.uniform(0.13, 0.19):.4f}",
        "LIMIT_S": f"{work * 2.2e-7:.4f}",
        "LIMIT": f"{rng.uniform(1.9, 2.2):.4f}",
        "ROOM": str(int(rng.integers(12, 25))),
        "SUITE_S": f"{rng.uniform(1.6, 2.2):.3f}",
        "YEAR": str(int(rng.integers(2027, 2040))),
        "MONTH": str(int(rng.integers(1, 13))),
        "BY_YEAR": str(bool(rng.integers(2))),
        "SIDES": str(int(rng.integers(20, 60)) * 20),
    }


def _source(name: str, body: str, numbers: Mapping[str, str]) -> str:
    above, _, inside = textwrap.dedent(body).strip().partition("---")
    for word in sorted(numbers, key=len, reverse=True):
        above, inside = above.replace(word, numbers[word]), inside.replace(word, numbers[word])
    fixtures = ", ".join(f for f in ("tmp_path", "session_start", "guard") if f in inside)
    return f"{above.strip()}\n\ndef {name}({fixtures}):\n{textwrap.indent(inside.strip(chr(10)), '    ')}\n"

"""Starts pytest in a process of its own under one condition and reads what happened there."""

from __future__ import annotations

import difflib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vultus.errors import InputError, MissingExtra
from vultus.testing.flaky._shims import now
from vultus.testing.flaky.interventions import SETTINGS, Condition

__all__ = ["Attempt", "Project", "Run", "Wanted"]

_QUIET = ("-q", "--no-header", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:random_order")
_PACKAGE_PARENT = str(Path(__file__).resolve().parents[3])


@dataclass(frozen=True)
class Attempt:
    """One attempt at one test; `key` names the stream of random numbers it saw, `left` what it left open."""

    test: str
    failed: bool
    attempt: int
    repetition: int
    key: str
    seconds: float
    left: tuple[int, int, int]  # descriptors, threads, temporary files
    error: str = ""
    message: str = ""
    values: tuple[tuple[str, float, float, float], ...] = ()  # failed comparisons: operator, left, right, relative gap


@dataclass(frozen=True)
class Wanted:
    """A run that is asked for.

    Attributes:
        condition: to run under.
        seed: of random numbers and of a shuffled order.
        hash_seed: of strings.
        select: test ids; None for all.
        keys: test id -> stream of random numbers, where it is not to follow from the seed.
    """

    condition: Condition
    seed: int = 0
    hash_seed: int = 0
    select: frozenset[str] | None = None
    keys: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """What a process reported.

    Attributes:
        wanted: what was asked for.
        attempts: in the order they were made; skipped tests are left out.
        collected: number of tests found.
        seconds: it took.
        whole: whether the process came to its end.
    """

    wanted: Wanted
    attempts: tuple[Attempt, ...]
    collected: int
    seconds: float
    whole: bool


class Project:
    """A pytest project that is tried out.

    Args:
        folder: that pytest is started in.
        args: for pytest: files, folders, test ids, options.
        env: variables on top of this process's.
        limit: seconds after which a process is ended.
        alone_limit: seconds for one attempt in a process of its own.
        keep_temporary: use this folder for temporary files in every run; by default each run gets an empty one.

    Raises:
        InputError: the folder does not exist.
        MissingExtra: pytest is not installed.
    """

    def __init__(
        self,
        folder: Path,
        args: Sequence[str] = (),
        *,
        env: Mapping[str, str] | None = None,
        limit: float = 300.0,
        alone_limit: float = 20.0,
        keep_temporary: Path | None = None,
    ) -> None:
        if importlib.util.find_spec("pytest") is None:
            raise MissingExtra("trying out tests", "dev")
        self.folder = Path(folder).resolve()
        if not self.folder.is_dir():
            raise InputError(f"project: expected a folder with tests, got {str(folder)!r}, which is none")
        self.args, self.env = tuple(args), dict(env or {})
        self.limit, self.alone_limit, self.keep_temporary = limit, alone_limit, keep_temporary

    def run(self, wanted: Wanted, *, must_collect: bool = True) -> Run:
        """Start one process and wait for it.

        Args:
            wanted: condition, seeds and tests.
            must_collect: whether it is an error that pytest cannot collect. Under an intervention it may be a finding;
                then the run has no attempts.

        Raises:
            InputError: pytest could not collect: a broken file, an unknown test, no tests at all.
        """
        with tempfile.TemporaryDirectory(prefix="flaky-") as made:
            place = Path(made)
            out, settings = place / "out.jsonl", place / "settings.json"
            temporary = self.keep_temporary or place / "tmp"
            temporary.mkdir(exist_ok=True, parents=True)
            settings.write_text(json.dumps(self._settings(wanted, out)), encoding="utf-8")
            started = now()
            code, said = self._start(wanted, settings, temporary, place / "said.txt")
            seconds = now() - started
            collected, attempts = _read(out)
        if must_collect and (code in (2, 3, 4, 5) or (code is not None and not attempts and not collected)):
            raise InputError(self._refusal(code, said))
        return Run(wanted, attempts, collected, seconds, code in (0, 1))

    def run_all(
        self, wanted: Iterable[Wanted], *, jobs: int = 1, progress: Callable[[int, int, str], None] | None = None
    ) -> list[Run]:
        """Several runs, `jobs` of them side by side, in the order asked for; none of them has to collect."""
        asked = list(wanted)
        done: list[Run] = []
        with ThreadPoolExecutor(max_workers=max(1, jobs)) as pool:
            runs = pool.map(lambda one: self.run(one, must_collect=False), asked)
            for one, run in zip(asked, runs, strict=True):
                done.append(run)
                if progress is not None:
                    progress(len(done), len(asked), one.condition.name)
        return done

    def tests(self) -> list[str]:
        """Ids of all tests of the project.

        Raises:
            InputError: as `run`.
        """
        command = [sys.executable, "-m", "pytest", *_QUIET, "--collect-only", *self.args]
        done = subprocess.run(
            command, cwd=self.folder, env=self._env({}), capture_output=True, text=True, timeout=self.limit, check=False
        )
        if done.returncode:
            raise InputError(self._refusal(done.returncode, done.stdout + done.stderr))
        return [line for line in done.stdout.splitlines() if "::" in line]

    def known(self, tests: Iterable[str]) -> None:
        """Refuse test ids that the project does not have, and name near ones.

        Raises:
            InputError: one is unknown.
        """
        wanted = list(tests)
        everything = self.tests()
        for test in wanted:
            if test not in everything:
                near = difflib.get_close_matches(test, everything, n=3, cutoff=0.4) or everything[:3]
                raise InputError(f"unknown test id {test!r}; near ones: {', '.join(near)}")

    def _settings(self, wanted: Wanted, out: Path) -> dict[str, Any]:
        settings = dict(wanted.condition.settings)
        settings |= {"out": str(out), "seed": wanted.seed, "keys": dict(wanted.keys), "limit": self.alone_limit}
        if wanted.select is not None:
            settings["select"] = sorted(wanted.select)
        return settings

    def _env(self, extra: Mapping[str, str]) -> dict[str, str]:
        env = {**os.environ, **self.env, **extra}
        env["PYTHONPATH"] = os.pathsep.join(filter(None, (env.get("PYTHONPATH", ""), _PACKAGE_PARENT)))
        return env

    def _start(self, wanted: Wanted, settings: Path, temporary: Path, said: Path) -> tuple[int | None, str]:
        env = self._env(wanted.condition.env)
        env |= {SETTINGS: str(settings), "PYTHONHASHSEED": str(wanted.hash_seed), "TMPDIR": str(temporary)}
        command = [sys.executable, "-m", "pytest", *_QUIET, "-p", "vultus.testing.flaky._child", *self.args]
        with said.open("wb") as file:
            process = subprocess.Popen(
                command, cwd=self.folder, env=env, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                start_new_session=True,
            )  # fmt: skip
            try:
                code: int | None = process.wait(self.limit)
            except subprocess.TimeoutExpired:
                code = None
            finally:  # also when the user has had enough
                _end(process)
        return code, said.read_text(encoding="utf-8", errors="replace")

    def _refusal(self, code: int | None, said: str) -> str:
        tail = [line for line in said.splitlines() if line.strip()][-12:]
        what = {
            2: "pytest could not collect the tests: repair what it reports",
            4: "pytest refused its arguments: an unknown file, test id or option",
            5: "pytest found no tests: give it a folder or a file that holds some",
        }.get(code or 0, f"pytest ended with code {code}")
        return f"{self.folder}: {what}\n" + "\n".join(f"    {line}" for line in tail)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Whatever the tests left running goes with them."""
    if hasattr(os, "killpg"):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
    else:
        process.kill()
    process.wait()


def _read(out: Path) -> tuple[int, tuple[Attempt, ...]]:
    """The lines of a process; the last may be cut short when it was ended."""
    if not out.is_file():
        return 0, ()
    collected, attempts = 0, []
    for line in out.read_text(encoding="utf-8", errors="replace").splitlines():
        if not line.endswith("}"):
            continue
        record = json.loads(line)
        if "collected" in record:
            collected = int(record["collected"])
        elif record["outcome"] != "skipped":
            attempts.append(_attempt(record))
    return collected, tuple(attempts)


def _attempt(record: dict[str, Any]) -> Attempt:
    return Attempt(
        record["test"],
        record["outcome"] == "failed",
        int(record["attempt"]),
        int(record.get("repetition", 0)),
        str(record.get("key", "")),
        float(record.get("seconds", 0.0)),
        tuple(record.get("left", (0, 0, 0))),
        record.get("error", ""),
        record.get("message", ""),
        tuple((op, left, right, gap) for op, left, right, gap in record.get("values", ())),
    )

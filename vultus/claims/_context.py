"""What a claim is handed: its scale and seeds, steps that survive an interruption, and a budget."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from vultus.claims import _kept
from vultus.errors import InputError
from vultus.zoo.store import home

__all__ = ["Context", "OverBudget"]


class OverBudget(Exception):
    """The claim took longer than its minutes: an answer, which the harness turns into the status `budget`.

    It is no `VultusError`, so that no claim catches it by accident.
    """


class Context:
    """One run of one claim.

    Attributes:
        scale: "tiny", "nano" or "mini".
        seeds: the seeds, at least three at nano and mini.
        minutes: how long it may take.
    """

    def __init__(
        self,
        scale: str,
        seeds: tuple[int, ...],
        minutes: float,
        folder: Path,
        *,
        tell: Callable[[int, int, str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.scale, self.seeds, self.minutes = scale, seeds, minutes
        self._folder, self._tell, self._clock = folder, tell, clock
        self._began, self._earlier = clock(), 0.0
        self._used: set[str] = set()
        self.reused: list[str] = []

    @property
    def data(self) -> Path | None:
        """The folder of real data sets (VULTUS_DATA), or None."""
        value = os.environ.get("VULTUS_DATA")
        return Path(value).expanduser() if value else None

    @property
    def cache(self) -> Path:
        """A folder for things named by a hash of their content or recipe; it may be emptied at any time."""
        folder = home() / "claims" / "cache"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def fixtures(self) -> Any:
        """The house's small networks: the module `vultus.claims.fixtures`."""
        return import_module("vultus.claims.fixtures")

    @property
    def seconds(self) -> float:
        """What the run took so far, with the steps that an earlier, interrupted run has finished."""
        return self._clock() - self._began + self._earlier

    def rng(self, *words: str | int) -> np.random.Generator:
        """A source of random numbers that belongs to these words: the same on every machine."""
        digest = hashlib.sha256("\0".join(map(str, words)).encode()).digest()
        return np.random.default_rng(np.frombuffer(digest, np.uint32))

    def step(self, name: str, fn: Callable[..., Any], *args: Any) -> Any:
        """Run `fn(*args)` once and keep what it returns; an interrupted claim goes on after its last finished step.

        Args:
            name: unique in the claim; letters, digits, dot, dash and underscore.
            fn: returns None, numbers, text, lists, tuples, dicts with keys of text, arrays, and these in each other.
            *args: its arguments; they must follow from scale, seeds and earlier steps.

        Raises:
            OverBudget: the minutes are over.
            InputError: a name that is none or is used twice, or a result that cannot be kept.
            StoreError: a kept step cannot be read or written.
        """
        if not re.fullmatch(r"[\w.\-]{1,100}", name, re.ASCII):
            raise InputError(f"step: expected a name of letters, digits, dots, dashes and underscores, got {name!r}")
        if name in self._used:
            raise InputError(f"step: expected a name of its own for each step, got {name!r} twice; put the seed in it")
        self._used.add(name)
        self.check()
        path = self._folder / f"{name}.npz"
        found = _kept.read(path)
        if found is None:
            began = self.seconds
            value = _kept.copy(fn(*args), name)
            _kept.write(path, value, self.seconds - began)
        else:
            value, spent = found
            self._earlier += spent
            self.reused.append(name)
        self.check()
        return value

    def progress(self, done: int, total: int, what: str) -> None:
        """Say how far it is; call it often, the budget is checked here.

        Raises:
            OverBudget: the minutes are over.
        """
        if self._tell is not None:
            self._tell(done, total, what)
        self.check()

    def check(self) -> None:
        """Raise OverBudget when the minutes are over."""
        if self.seconds > 60 * self.minutes:
            raise OverBudget(f"stopped after {self.seconds / 60:.1f} minutes, {self.minutes:g} were declared")

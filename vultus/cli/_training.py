"""A training run while people watch: a table on a terminal, plain lines elsewhere, from the first process alone."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from vultus.types import Metric

_EVERY_S = 0.2  # a terminal is not written to more often
_RECENT = 50  # steps whose mean loss is shown
_SHOWN = 4  # evaluations on the screen


class Watch:
    """A hook of training, and a context: what it draws goes when it ends.

    Args:
        steps: of the whole run.
        pictures: per step, of all processes.
        every: steps between two lines where there is no terminal.
        first: whether this is the process that speaks.
    """

    def __init__(self, steps: int, pictures: int, every: int, first: bool = True) -> None:
        self.steps, self.pictures, self.every = steps, pictures, max(1, every)
        self.first, self.terminal = first, first and sys.stderr.isatty()
        self._live: Live | None = None
        self._last, self._told = 0.0, 0
        self._began: tuple[int, float] | None = None

    def __enter__(self) -> Watch:
        if self.terminal:
            self._live = Live(console=Console(stderr=True), transient=True, auto_refresh=False)
            self._live.__enter__()
        return self

    def __exit__(self, *about: Any) -> None:
        if self._live is not None:
            self._live.__exit__(*about)
            self._live = None

    def on_step(self, step: int, run: Any) -> None:
        """After each step."""
        if not self.first:
            return
        now = time.monotonic()
        if self._began is None:
            self._began = (step - 1, now)  # the first step of this sitting is not timed: it warms up
        if self._live is not None:
            if now - self._last >= _EVERY_S or step == self.steps:
                self._last = now
                self._live.update(self._table(step, run), refresh=True)
            return
        self._tell(run.evals)
        if step % self.every == 0 or step == self.steps:
            print(self._line(step, run), file=sys.stderr, flush=True)

    def end(self, evals: Sequence[Mapping[str, float]]) -> None:
        """What was measured after the last step."""
        if self.first and not self.terminal:
            self._tell(evals)

    def _tell(self, evals: Sequence[Mapping[str, float]]) -> None:
        for row in evals[self._told :]:
            print(_told(row), file=sys.stderr, flush=True)
        self._told = len(evals)

    def _numbers(self, step: int, run: Any) -> tuple[float, dict[str, float], float, float]:
        """Mean loss of late, the last row, pictures a second, seconds to go."""
        rows = run.rows[-_RECENT:]
        loss = sum(row["loss"] for row in rows) / len(rows)
        before, started = self._began or (step, time.monotonic())
        done, took = step - before - 1, time.monotonic() - started
        pace = took / done if done > 0 else 0.0
        return loss, rows[-1], self.pictures / pace if pace else 0.0, pace * (self.steps - step)

    def _line(self, step: int, run: Any) -> str:
        loss, row, speed, left = self._numbers(step, run)
        pace = f"  {speed:.0f} pictures/s  {_clock(left)} to go" if speed else ""
        return f"step {step} of {self.steps}  loss {loss:.4f}  lr {row.get('lr', 0):.4g}{pace}"

    def _table(self, step: int, run: Any) -> Group:
        loss, row, speed, left = self._numbers(step, run)
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_row("step", f"{step} of {self.steps}", "loss", f"{loss:.4f}", "rate", f"{row.get('lr', 0):.4g}")
        gradient = f"{row['norm']:.3g}" if "norm" in row else ""
        pace, rest = (f"{speed:.0f}", _clock(left)) if speed else ("", "")
        table.add_row("pictures/s", pace, "gradient", gradient, "to go", rest)
        return Group(table, *(Text(_told(one)) for one in run.evals[-_SHOWN:]))


def _told(evaluation: Mapping[str, float]) -> str:
    """What was measured after a step, in a line."""
    figures = (f"{name} {value:.4f}" for name, value in evaluation.items() if name != "step")
    return f"after step {int(evaluation['step'])}: {'  '.join(figures)}"


def figure(metric: Metric) -> tuple[str, str, str, str]:
    """Value, interval, count and note of a share, as cells."""
    value = "insufficient" if metric.value is None else f"{metric.value:.4f}"
    interval = "" if metric.low is None or metric.high is None else f"{metric.low:.4f} to {metric.high:.4f}"
    return value, interval, f"{metric.n:,}", metric.note


def _clock(seconds: float) -> str:
    whole = round(seconds)
    return (
        f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"
        if whole >= 3600
        else f"{whole // 60}:{whole % 60:02d}"
    )

"""Wall time of a command in a fresh process, again and again."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import time
from typing import Any

from benchmarks import machine, schema

__all__ = ["add", "measure"]


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--runs", type=int, default=21, help="timed runs (default: %(default)s)")
    parser.add_argument("--warm-up", type=int, default=3, help="runs before the clock (default: %(default)s)")


def measure(
    suite: str, command: list[str], limit_ms: float, args: argparse.Namespace, *, prints_ms: bool = False
) -> dict[str, Any]:
    """Run a command `args.warm_up + args.runs` times and return its record.

    Args:
        suite: its name.
        command: what to run.
        limit_ms: the median must be below it.
        args: `runs` and `warm_up`.
        prints_ms: the command prints its own time; else the whole process is timed.

    Raises:
        SystemExit: if the command fails.
    """
    record = machine.head(suite, {"warm_up": args.warm_up, "runs": args.runs}, ("vultus", "numpy"))
    runs = [_once(command) for _ in range(args.warm_up + args.runs)][args.warm_up :]
    ms = schema.timing([float(text) if prints_ms else wall for wall, text in runs])
    shown = shlex.join(["python", *command[1:]])
    record["results"] = [{"command": shown, "ms": ms, "limit_ms": limit_ms, "within": ms["median"] < limit_ms}]
    print(
        f"{suite}: {ms['median']:.0f} ms ({ms['low']:.0f} to {ms['high']:.0f}, {ms['n']} runs), limit {limit_ms:.0f} ms"
    )
    return record


def _once(command: list[str]) -> tuple[float, str]:
    """Milliseconds from start to end of one process, and what it printed."""
    env = {**os.environ, "PYTHONPATH": str(machine.root())}
    began = time.perf_counter()
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    wall = (time.perf_counter() - began) * 1e3
    if done.returncode:
        raise SystemExit(f"{shlex.join(command)} failed:\n{done.stderr}")
    return wall, done.stdout

"""Suite `cold_start`: `vultus --help` in a fresh process, interpreter included; under 400 ms."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from benchmarks import commands

__all__ = ["add", "run"]

SUITE = "cold_start"
LIMIT_MS = 400.0

add = commands.add


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure and return the record."""
    return commands.measure(SUITE, [sys.executable, "-m", "vultus.cli", "--help"], LIMIT_MS, args)

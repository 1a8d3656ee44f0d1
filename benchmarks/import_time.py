"""Suite `import_time`: `import vultus` in a fresh interpreter that has imported nothing else; under 150 ms."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from benchmarks import commands

__all__ = ["add", "run"]

SUITE = "import_time"
LIMIT_MS = 150.0

add = commands.add


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure and return the record."""
    code = "import time; began = time.perf_counter(); import vultus; print((time.perf_counter() - began) * 1e3)"
    return commands.measure(SUITE, [sys.executable, "-c", code], LIMIT_MS, args, prints_ms=True)

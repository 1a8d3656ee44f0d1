"""How much memory a process has held."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["peak_mb"]


def peak_mb() -> float:
    """Largest resident memory of this process so far, in megabytes.

    Linux is asked for the high-water mark of the program: what getrusage says includes the process that started it.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 / (1024 if sys.platform == "darwin" else 1)

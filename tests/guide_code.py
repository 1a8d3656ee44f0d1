"""The Python code of a guide: what it is, and what it prints when it runs as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def guide(name: str) -> str:
    """The text of docs/guides/NAME."""
    return (ROOT / "docs/guides" / name).read_text("utf-8")


def blocks(page: str) -> list[str]:
    """Its Python code, block by block."""
    return re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)


def printed(page: str, folder: Path) -> str:
    """What its one block prints, run by an interpreter of its own in that folder."""
    (code,) = blocks(page)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout

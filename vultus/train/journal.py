"""What a run says of itself in its folder: log.jsonl, a line per step that is due, and summary.csv, of evaluations."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

from vultus.errors import StoreError
from vultus.io.files import write_bytes
from vultus.train.run import Run

__all__ = ["LOG", "SUMMARY", "Journal"]

LOG, SUMMARY = "log.jsonl", "summary.csv"


class Journal:
    """Both files of a run, written by its first rank alone.

    Args:
        out: the folder of the run; None writes nothing.

    Raises:
        StoreError: from every call, if the disk is full or refuses.
    """

    def __init__(self, out: Path | None) -> None:
        self._log = None if out is None else out / LOG
        self._summary = None if out is None else out / SUMMARY

    def begin(self, run: Run) -> None:
        """Both files as they were at the run's step: lines of steps that were lost are taken out."""
        if self._log is not None:
            every = run.settings.log_every
            due = [n for n in range(1, run.step + 1) if n == run.settings.steps or (every and n % every == 0)]
            write_bytes(self._log, b"".join(_line(n, run.rows[n - 1]) for n in due))
            self.evaluated(run)

    def stepped(self, run: Run) -> None:
        """One line more, of the step that was taken last."""
        if self._log is not None:
            try:
                with open(self._log, "ab") as file:
                    file.write(_line(run.step, run.rows[-1]))
            except OSError as error:
                raise StoreError(f"{self._log}: cannot be written: {error.strerror}: check the disk") from error

    def evaluated(self, run: Run) -> None:
        """The table anew."""
        if self._summary is not None:
            names = list(dict.fromkeys(["step", *(name for row in run.evals for name in row)]))
            text = io.StringIO()
            table = csv.DictWriter(text, names, lineterminator="\n")
            table.writeheader()
            table.writerows(run.evals)
            write_bytes(self._summary, text.getvalue().encode())


def _line(step: int, row: dict[str, float]) -> bytes:
    """Numbers as they are: read again, they are the same; what is none is null."""
    numbers = {name: value if math.isfinite(value) else None for name, value in row.items()}
    return (json.dumps({"step": step, **numbers}) + "\n").encode()

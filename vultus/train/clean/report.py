"""What a cleaning did, as a table: one line for each claim that somebody is on a picture, and what became of it."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from vultus.errors import StoreError
from vultus.io.files import write_bytes

__all__ = ["ACTIONS", "Action", "CleanReport"]

ACTIONS = ("keep", "reject", "drop", "fault")


@dataclass(frozen=True, slots=True)
class Action:
    """What became of one claim.

    Attributes:
        path: name of the page.
        face: index of the face in the order of the detector, or -1 where no face was found for the claim.
        subject: key of the person; "" where the page could not be read.
        action: "keep"; "reject", the face (or all faces) of this page; "drop", the person as a whole; "fault".
        why: in words; "" where it is kept without remark.
        likeness: cosine of the face to what is known of the person; NaN where nothing was compared.
        left, top, right, bottom: box of the face in pixels of the picture, 0 where there is none.
    """

    path: str
    face: int
    subject: str
    action: str
    why: str = ""
    likeness: float = float("nan")
    left: float = 0.0
    top: float = 0.0
    right: float = 0.0
    bottom: float = 0.0


@dataclass(frozen=True, slots=True)
class CleanReport:
    """Every action, in the order of the pages.

    Attributes:
        actions: one per claim.
        people: keys of those of whom enough is kept, sorted.
        rounds: how often all pages were looked at until nothing changed, or as often as was allowed.
    """

    actions: tuple[Action, ...]
    people: tuple[str, ...]
    rounds: int

    def kept(self) -> tuple[Action, ...]:
        """Those that are kept."""
        return tuple(action for action in self.actions if action.action == "keep")

    def counts(self) -> dict[str, int]:
        """How many of each action and reason, as "action: why", the most frequent first."""
        found = Counter(f"{a.action}: {a.why}" if a.why else a.action for a in self.actions)
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    def write(self, folder: str | os.PathLike[str]) -> Path:
        """Write `actions.csv`, everything, and `kept.csv`, what `vultus.io.datasets.csv_table` reads as a set.

        Args:
            folder: made where it is not there.

        Returns:
            The folder.

        Raises:
            StoreError: the disk is full, or the folder may not be written.
        """
        out = Path(folder)
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{out}: the report cannot be written: {error.strerror or error}") from error
        for name, actions in (("actions.csv", self.actions), ("kept.csv", self.kept())):
            write_bytes(out / name, _table(actions).encode())
        return out


def _table(actions: Iterable[Action]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(Action)])
    for action in actions:
        cells = (_short(value) if isinstance(value, float) else value for value in astuple(action))
        writer.writerow(cells)
    return text.getvalue()


def _short(value: float) -> str:
    return "" if value != value else f"{value:.4f}".rstrip("0").rstrip(".")

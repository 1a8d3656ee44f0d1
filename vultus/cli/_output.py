"""How verbs speak: tables for people, one JSON document for programs, progress on stderr for terminals."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vultus.cli._exits import exit_code
from vultus.cli._words import printable, shortened
from vultus.errors import InputError, StoreError, VultusError
from vultus.types import Decision, Metric

OFF_TERMINAL = 240  # columns


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # the command line decides what that means, not rich


def console() -> Console:
    """Where people read: stdout. Names of files and people are shown as they are: no markup, no :emoji: codes."""
    # Off a terminal nobody knows the width; 80 columns would break every table that is piped into a file.
    width = None if sys.stdout.isatty() else OFF_TERMINAL
    return _Console(highlight=False, markup=False, emoji=False, width=width)


def say(text: str, style: str | None = None) -> None:
    """A line for people; a terminal breaks it, and a file keeps it whole."""
    console().print(printable(text), style=style, soft_wrap=not sys.stdout.isatty())


def wide() -> bool:
    """Whether there is room for columns that are good to have."""
    return console().width >= 140


def where(path: object) -> str:
    """A path as a table shows it: its end on a narrow terminal, all of it elsewhere."""
    text = printable(str(path))
    return text if wide() else shortened(text, max(24, console().width // 3))


def print_json(document: Any) -> None:
    """One document, one line, on stdout."""
    print(json.dumps(document, allow_nan=False))


class Rows(Table):
    """A table whose cells are text as it is, or `Text` with a color."""

    def add(self, *cells: str | Text) -> None:
        """Add a row."""
        self.add_row(*(cell if isinstance(cell, Text) else Text(printable(cell)) for cell in cells))


def table(*columns: str, title: str | None = None) -> Rows:
    """A plain table; numbers are right-aligned by a leading '>' in the column's name, '=' keeps a column unbroken."""
    result = Rows(
        title=title, box=None, pad_edge=False, title_justify="left", header_style="bold", padding=(0, 2, 0, 0)
    )
    for column in columns:
        name = column.lstrip(">=")
        right, whole = ">" in column[: len(column) - len(name)], "=" in column[: len(column) - len(name)]
        result.add_column(name, justify="right" if right else "left", overflow="fold", no_wrap=whole or right)
    return result


def progress(items: Iterable[Any], total: int | None, what: str) -> Iterator[Any]:
    """Count items on stderr while they pass, on a terminal only."""
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield from bar.track(items, total=total, description=what)


def photos(paths: Iterable[str]) -> list[Path]:
    """Files as given, and the pictures inside folders; InputError when nothing is left."""
    from vultus.io.images import list_pictures

    found: list[Path] = []
    for path in paths:
        if not path:
            raise InputError("expected the name of a photo or of a folder, got an empty one")
        inside = list_pictures(path) if os.path.isdir(path) else [Path(path)]
        if not inside:
            raise InputError(f"{path}: expected photos in this folder, found none")
        found.extend(inside)
    return found


def kept(results: Iterable[tuple[Any, Any | VultusError]]) -> tuple[list[Any], list[tuple[str, VultusError]]]:
    """What came out of each photo, and the photos of which nothing did.

    One bad photo among many must not cost the work on the others; when no photo is good, the first error is raised.
    """
    good, bad = [], []
    for source, result in results:
        if isinstance(result, VultusError):
            bad.append((str(source), result))
        else:
            good.append(result)
    if bad and not good:
        raise bad[0][1]
    return good, bad


def failures(bad: Iterable[tuple[str, VultusError]]) -> list[dict[str, str]]:
    """The photos of which nothing came, for a JSON document."""
    return [{"source": source, "code": type(error).__name__, "message": str(error)} for source, error in bad]


def warn(text: str) -> None:
    """A line on stderr about something that did not work."""
    print("vultus:", printable(text), file=sys.stderr)


def complain(bad: Sequence[tuple[str, VultusError]]) -> int:
    """Say on stderr which photos could not be used; the exit code that follows."""
    for _, error in bad:
        warn(f"{type(error).__name__}: {error}")
    return exit_code(bad[0][1]) if bad else 0


def writable(folder: str | Path) -> Path:
    """A folder that can be made or written to, found out before the work starts; changes nothing.

    Raises:
        StoreError: if a file is in the way, or the system will not let us write there.
    """
    path = Path(folder)
    there = next(p for p in (path, *path.absolute().parents) if os.path.exists(p))
    if not there.is_dir():
        raise StoreError(f"{path}: expected a folder to write to, but {there} is a file: choose another name")
    if not os.access(there, os.W_OK | os.X_OK):
        raise StoreError(f"{path}: expected a folder to write to, but {there} may not be written: choose another one")
    return path


def make_folder(path: Path) -> Path:
    """Make a folder for what is written; StoreError in words when that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = "a file is in the way" if isinstance(error, (FileExistsError, NotADirectoryError)) else error.strerror
        raise StoreError(f"{path}: expected a folder that can be written to, got: {why}; choose another one") from error
    return path


def one_in(metric: Metric) -> str:
    """A rate in words: '1 in 10,000'."""
    if not metric.value:
        return "unknown"
    return f"1 in {round(1 / metric.value):,}"


def verdict(decision: Decision) -> Text:
    """A decision in one word with its color."""
    return Text(decision.outcome, {"accept": "green", "reject": "red", "abstain": "yellow"}[decision.outcome])

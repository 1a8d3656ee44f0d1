"""How verbs speak: tables for people, one JSON document for programs, progress on stderr for terminals."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from vultus.errors import InputError, StoreError
from vultus.types import Decision, Metric


def console() -> Console:
    """Where people read: stdout."""
    # Off a terminal nobody knows the width; 80 columns would break every table that is piped into a file.
    return Console(highlight=False, width=None if sys.stdout.isatty() else 240)


def print_json(document: Any) -> None:
    """One document, one line, on stdout."""
    print(json.dumps(document, allow_nan=False))


def table(*columns: str, title: str | None = None) -> Table:
    """A plain table; numbers are right-aligned by a leading '>' in the column's name."""
    result = Table(title=title, box=None, pad_edge=False, title_justify="left", header_style="bold")
    for column in columns:
        result.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left", overflow="fold")
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
    for path in map(Path, paths):
        found.extend(list_pictures(path) if path.is_dir() else [path])
    if not found:
        raise InputError("expected at least one photo, found none")
    return found


def make_folder(path: Path) -> Path:
    """Make a folder for what is written; StoreError in words when that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{path}: expected a folder that can be written to, got: {error.strerror}") from error
    return path


def one_in(metric: Metric) -> str:
    """A rate in words: '1 in 10 000'."""
    if not metric.value:
        return "unknown"
    return f"1 in {round(1 / metric.value):,}".replace(",", " ")


def verdict(decision: Decision) -> str:
    """A decision in one word with its color."""
    color = {"accept": "green", "reject": "red", "abstain": "yellow"}[decision.outcome]
    return f"[{color}]{decision.outcome}[/{color}]"


def number(metric: Metric, digits: int = 4) -> str:
    """Value and interval, or why there is none."""
    if metric.value is None:
        return metric.note or "insufficient data"
    interval = (
        "" if metric.low is None or metric.high is None else f"  [{metric.low:.{digits}f}, {metric.high:.{digits}f}]"
    )
    return f"{metric.value:.{digits}f}{interval}"

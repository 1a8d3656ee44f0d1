"""A table with a column of pictures and a column of people."""

from __future__ import annotations

import csv
import io
import os
import unicodedata
from pathlib import Path

from vultus.errors import InputError
from vultus.io.datasets.records import Dataset, existing, indexed
from vultus.io.files import read_bytes

__all__ = ["csv_table", "text_of"]

_MAX_BYTES = 1 << 30


def csv_table(
    path: str | os.PathLike[str],
    *,
    root: str | os.PathLike[str] | None = None,
    picture: str = "path",
    person: str = "subject",
    name: str | None = None,
    license: str = "unstated",
) -> Dataset:
    """Read a UTF-8 table with a header line; a name in .tsv is tab-separated, any other comma-separated.

    Args:
        path: the table.
        root: folder that the pictures' paths start from; None means the table's own.
        picture: column of paths.
        person: column of names or identifiers; the same text is the same person.
        name: of the set; None takes the table's.
        license: terms of the pictures.

    Raises:
        InputError: no such table, a column is missing, a cell is empty, or pictures are missing (all are counted).
        StoreError: the system refuses to read it.
    """
    table = Path(path)
    start = table.parent if root is None else Path(root)
    rows = _rows(table, (picture, person))
    if not rows:
        raise InputError(f"{table}: expected a line per picture, got only a header")
    subjects, names = indexed([unicodedata.normalize("NFC", who) for _, who in rows])
    return Dataset(
        name or table.stem, existing([start / where for where, _ in rows], str(table)), subjects, names, license
    )


def _rows(table: Path, columns: tuple[str, str]) -> list[tuple[str, str]]:
    delimiter = "\t" if table.suffix.lower() == ".tsv" else ","
    reader = csv.DictReader(io.StringIO(text_of(table), newline=""), delimiter=delimiter)
    rows = []
    try:
        have = reader.fieldnames or []
        if not set(columns) <= set(have):
            raise InputError(f"{table}: expected the columns {' and '.join(columns)}, got {', '.join(have) or 'none'}")
        for row in reader:
            where, who = (row[column] for column in columns)
            if not where or not who:
                raise InputError(
                    f"{table}, line {reader.line_num}: expected {' and '.join(columns)}, got an empty cell"
                )
            rows.append((where, who))
    except csv.Error as error:
        raise InputError(f"{table}, line {reader.line_num}: expected a table, got something else: {error}") from error
    return rows


def text_of(path: Path) -> str:
    """A UTF-8 text file, with or without a byte order mark.

    Raises:
        InputError: missing, empty or not UTF-8.
        StoreError: the system refuses to read it.
    """
    try:
        return read_bytes(path, _MAX_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected UTF-8 text, got other bytes at position {error.start}") from error

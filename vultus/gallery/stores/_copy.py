"""A gallery of any store written out as one SQLite file."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Protocol

from vultus.errors import StoreError
from vultus.gallery.stores._sql import SqlEdit
from vultus.gallery.stores._sqlite_open import words
from vultus.gallery.stores.schema import TABLES, Rows
from vultus.gallery.stores.sqlite_file import SqliteFile, settled

__all__ = ["NumberedRows", "copy_to_file"]

PAGE_ROWS = 500


class NumberedRows(Rows, Protocol):
    """A view that also knows the numbers of its store."""

    def numbers(self) -> dict[str, int]:
        """The revision, and "serial.<table>": the last number given in that table."""
        ...


def copy_to_file(view: NumberedRows, path: Path) -> None:
    """Write every row of a view, its revision and its serial numbers to a new gallery file.

    Raises:
        StoreError: if the file is there already, or cannot be written; then no half file is left.
    """
    with settled(path) as half:
        target = SqliteFile(half)
        try:
            with target.write() as edit:
                if not isinstance(edit, SqlEdit):
                    raise TypeError(f"expected the edit of an SQLite file, got {type(edit).__name__}")
                for table, spec in TABLES.items():
                    key = None
                    while page := view.after(table, key, PAGE_ROWS):
                        edit.put(table, *page)
                        key = tuple(page[-1][name] for name in spec.key)
                for name, value in view.numbers().items():
                    if name == "revision" or name.startswith("serial."):
                        edit.set_number(name, value)
        finally:
            target.close()
        try:
            sql = sqlite3.connect(half, isolation_level=None)
            sql.execute("PRAGMA journal_mode = DELETE")  # one file without a log, readable anywhere
            sql.close()
        except sqlite3.Error as error:
            raise StoreError(words(path, error)) from error

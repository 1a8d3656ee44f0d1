"""One URL, or the name of a file, chooses where a gallery is kept."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from vultus.errors import InputError
from vultus.gallery.stores.schema import Store
from vultus.gallery.stores.sqlite_file import SqliteFile

__all__ = ["store_for"]

KINDS = "a file or sqlite:///FILE"


def store_for(url_or_path: str | PathLike[str]) -> Store:
    """The store of that name; nothing is opened or made yet.

    Args:
        url_or_path: a file, or "sqlite:///file" (three slashes: relative, four: absolute).

    Raises:
        InputError: if the URL names no kind of store, or no place.
    """
    if not isinstance(url_or_path, (str, PathLike)):
        raise InputError(f"gallery: expected {KINDS}, got {type(url_or_path).__name__}")
    text = str(url_or_path)
    scheme, found, rest = text.partition("://")
    if not found:
        return SqliteFile(_file(text))
    if scheme == "sqlite":
        if not rest.startswith("/") or len(rest) < 2:
            raise InputError(f"gallery: expected sqlite:///FILE (three slashes), got {text!r}")
        return SqliteFile(_file(rest[1:]))
    raise InputError(f"gallery: expected {KINDS}, got a URL of the unknown kind {scheme!r}")


def _file(text: str) -> Path:
    if not text or "\0" in text or text == ":memory:":
        raise InputError(f"gallery: expected the name of a file, got {text!r}")
    return Path(text)

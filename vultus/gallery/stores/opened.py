"""One URL, or the name of a file, chooses where a gallery is kept."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from vultus.errors import InputError
from vultus.gallery.stores.schema import Store
from vultus.gallery.stores.sqlite_file import SqliteFile

__all__ = ["store_for"]

KINDS = "a file, sqlite:///FILE, postgresql://USER:PASSWORD@HOST/DATABASE, milvus://HOST:PORT or milvus:///FILE.db"


def store_for(url_or_path: str | PathLike[str]) -> Store:
    """The store of that name; nothing is opened or made yet.

    Args:
        url_or_path: a file, "sqlite:///file" (three slashes: relative, four: absolute),
            "postgresql://user:password@host:port/database?schema=name",
            "milvus://host:port/database?prefix=name&token=..." or "milvus:///file.db".

    Raises:
        InputError: if the URL names no kind of store, or no place.
        MissingExtra: if the packages for that kind of store are not installed.
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
    if scheme in ("postgresql", "postgres"):
        from vultus.gallery.stores.postgres import Postgres  # its packages are an extra

        return Postgres(text)
    if scheme == "milvus":
        from vultus.gallery.stores.milvus import Milvus

        return Milvus(text)
    raise InputError(f"gallery: expected {KINDS}, got a URL of the unknown kind {scheme!r}")


def _file(text: str) -> Path:
    if not text or "\0" in text or text == ":memory:":
        raise InputError(f"gallery: expected the name of a file, got {text!r}")
    return Path(text)

"""Folders that are whole or absent: filled beside their place, then moved there in one step."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from vultus.errors import StoreError

__all__ = ["make_once", "make_whole", "why_not"]


def make_whole(place: Path, what: str, fill: Callable[[Path], object]) -> None:
    """Let `fill` write into a folder that appears under its name when `fill` is done, and not otherwise.

    Args:
        place: must not exist or be an empty folder; folders above it are made.
        what: is written, for the message.
        fill: called once with a folder beside `place`; an error or an interrupt in it removes what it wrote.

    Raises:
        StoreError: if the disk does not take it.
    """
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = place.parent / f".{place.name}-{secrets.token_hex(8)}.part"
        draft.mkdir()
        try:
            fill(draft)
            os.replace(draft, place)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)  # also on Ctrl-C
            raise
    except OSError as error:
        raise StoreError(
            f"{place}: {what} cannot be written: {why_not(error)}; nothing half-written was kept"
        ) from error


def make_once(place: Path, mark: str, what: str, fill: Callable[[Path], object]) -> Path:
    """`place`, filled as in `make_whole` unless its file `mark` says that it is there, from before or from elsewhere.

    Raises:
        StoreError: as `make_whole`.
    """
    if not (place / mark).is_file():
        try:
            make_whole(place, what, fill)
        except StoreError:
            if not (place / mark).is_file():  # or another process was first
                raise
    return place


def why_not(error: OSError) -> str:
    """What to do about a disk that does not take a file."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full: free some space or write elsewhere"
    return f"{error.strerror or error}: write elsewhere or change its permissions"

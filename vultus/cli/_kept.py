"""Galleries that are there, people in them, and documents that verbs write to files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vultus.errors import InputError, StoreError
from vultus.gallery import Gallery, open_gallery


def opened(name: str) -> Gallery:
    """A gallery that exists: looking into one must not make an empty one."""
    gallery = open_gallery(name)
    if not gallery.store.exists():
        raise InputError(f"--gallery: expected a gallery, got nothing at {name}; make one with `vultus enroll FOLDER`")
    return gallery


def person(gallery: Gallery, text: str) -> tuple[str, str]:
    """(id, name) of the person of that id or, when there is none, of that name."""
    with gallery.pages() as pages:
        row = pages.rows.get("people", text)
    if row is not None:
        return str(row["id"]), str(row["name"])
    found = gallery.named(text)
    if len(found) != 1:
        ids = ", ".join(one.id for one in found)
        why = f"{len(found)} people are called {text!r} ({ids}): give the id" if found else f"nobody is called {text!r}"
        raise InputError(f"person: expected the name or id of one person, but {why}")
    return found[0].id, found[0].name


def write_new(path: str, lines: Iterable[str]) -> None:
    """Write a text file that is not there yet."""
    try:
        with Path(path).open("x", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
    except FileExistsError as error:
        raise StoreError(f"{path} is there already: choose another name") from error
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error


def read_log(path: str) -> list[dict[str, Any]]:
    """The rows of an exported audit log."""
    try:
        rows = [json.loads(line) for line in Path(path).read_text("utf-8").splitlines() if line]
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path}: expected an audit log of `vultus audit export`, one JSON document a line") from error
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{path}: expected an audit log of `vultus audit export`, one JSON document a line")
    return rows

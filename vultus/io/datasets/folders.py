"""One folder per person: the layout people already have."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path
from typing import Literal

from vultus.errors import InputError
from vultus.io.datasets.records import Dataset, indexed
from vultus.io.images import list_pictures

__all__ = ["folder"]


def folder(
    path: str | os.PathLike[str],
    *,
    loose: Literal["refuse", "by_name"] = "refuse",
    name: str | None = None,
    license: str = "unstated",
) -> Dataset:
    """Pictures below `path`, where the name of the first folder is the name of the person.

    Folders inside a person's folder are searched too; hidden files are left out. Names are brought to Unicode NFC, so
    that one name is one person on every file system.

    Args:
        path: the folder of folders.
        loose: what to do with pictures that lie directly in `path`. "refuse" raises; "by_name" takes the file name
            without a trailing number for the person, so `Ann.jpg`, `Ann_2.jpg` and `Ann 0003.png` all show Ann.
        name: of the set; None takes the folder's.
        license: terms of the pictures.

    Raises:
        InputError: no such folder, no pictures in it, or loose ones that are refused.
    """
    if loose not in ("refuse", "by_name"):
        raise InputError(f'loose: expected "refuse" or "by_name", got {loose!r}')
    paths = list_pictures(path)
    root = Path(path)
    if not paths:
        raise InputError(f"{root}: expected one folder of pictures per person, got no pictures at all")
    inside = [found.relative_to(root) for found in paths]
    direct = [where for where in inside if len(where.parts) == 1]
    if direct and loose == "refuse":
        raise InputError(
            f"{root}: expected one folder per person, got {len(direct)} pictures that lie in no such folder, "
            f"such as {direct[0]}: move each into a folder with the person's name"
        )
    people = [_person(where.stem) if len(where.parts) == 1 else where.parts[0] for where in inside]
    subjects, names = indexed([unicodedata.normalize("NFC", person) for person in people])
    return Dataset(name or root.resolve().name, tuple(paths), subjects, names, license)


def _person(stem: str) -> str:
    return re.sub(r"[\s_.-]*\(?\d+\)?$", "", stem).strip() or stem

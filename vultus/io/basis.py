"""Bases on file, and the list of people whom nobody may use.

A basis is a JSON file with the fields of `vultus.types.Basis`. The list of protected people, which `VULTUS_PROTECTED`
names, is a text file: the first line is "salt <hex>", every further line the hash of one person's reference
(`vultus.types.subject_hash`); it holds no name. `protect` adds people to it.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from vultus.errors import InputError, Refused
from vultus.io.files import read_bytes, write_bytes
from vultus.types import Basis, subject_hash

__all__ = ["protect", "read", "with_protected", "write"]

_MAX_BYTES = 1 << 20
_MAX_LIST_BYTES = 256 << 20
_HASH = re.compile("[0-9a-f]{64}")
_FIELDS = tuple(f.name for f in fields(Basis) if f.name != "protected")


def read(path: str | os.PathLike[str] | None) -> Basis:
    """Open a basis, with the list of protected people that is in force now.

    Args:
        path: a JSON file as `write` makes it.

    Raises:
        Refused: there is no path: what can harm needs a basis.
        InputError: the file, or the list, is missing or is not what it should be.
    """
    if path is None:
        raise Refused("expected a basis (a JSON file, see the guide to responsible use), got none")
    try:
        table: Any = json.loads(read_bytes(path, _MAX_BYTES).decode())
    except (ValueError, RecursionError) as error:  # no UTF-8, no JSON, or a number of thousands of digits
        raise InputError(f"{path}: expected a basis in JSON, got something else: {error}") from error
    if not isinstance(table, dict):
        raise InputError(f"{path}: expected one JSON object, got {type(table).__name__}")
    unknown, missing = sorted(set(table) - set(_FIELDS)), sorted(set(_FIELDS) - set(table) - {"evidence_sha256"})
    if unknown or missing:
        raise InputError(f"{path}: expected the keys {', '.join(_FIELDS)}; unknown: {unknown}, missing: {missing}")
    texts = {name: value for name, value in table.items() if name != "scopes"}
    scopes = table["scopes"]
    if not all(isinstance(value, str) for value in texts.values()) or not isinstance(scopes, list):
        raise InputError(f"{path}: expected texts, and a list for scopes")
    if texts["kind"] == "synthetic":
        raise InputError(f"{path}: a synthetic basis is no document; use vultus.types.Basis.synthetic()")
    try:
        return with_protected(Basis(scopes=frozenset(map(str, scopes)), **texts))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def write(path: str | os.PathLike[str], basis: Basis) -> None:
    """Write a basis as JSON; the list of protected people is not part of it.

    Raises:
        StoreError: as `vultus.io.files.write_bytes`.
    """
    write_bytes(path, (json.dumps(basis.to_dict(), indent=2) + "\n").encode())


def with_protected(basis: Basis) -> Basis:
    """The same basis, with the list that `VULTUS_PROTECTED` names; with an empty one where it is not set.

    Raises:
        InputError: the variable names a list that is missing or malformed.
    """
    path = os.environ.get("VULTUS_PROTECTED")
    return replace(basis, protected=_list(Path(path).expanduser()) if path else ("", frozenset()))


def protect(path: str | os.PathLike[str], *subjects: str) -> int:
    """Add people to a list of protected people, which is made where there is none.

    Args:
        path: the list.
        subjects: references as bases and calls use them; case and white space do not count.

    Returns:
        How many people are on it now.

    Raises:
        InputError: an empty reference, or a file that is no such list.
        StoreError: the file cannot be written.
    """
    if not all(subject.strip() for subject in subjects):
        raise InputError("subjects: expected references of people, got an empty text")
    salt, hashes = _list(Path(path)) if os.path.exists(path) else (secrets.token_hex(16), frozenset[str]())
    hashes |= {subject_hash(salt, subject) for subject in subjects}
    write_bytes(path, "\n".join([f"salt {salt}", *sorted(hashes), ""]).encode())
    return len(hashes)


def _list(path: Path) -> tuple[str, frozenset[str]]:
    """Salt and hashes of a list; whatever is not one is refused, because a damaged list protects nobody."""
    lines = read_bytes(path, _MAX_LIST_BYTES).decode("ascii", "replace").split("\n")
    first, rows = lines[0].strip(), [line.strip() for line in lines[1:] if line.strip()]
    if not re.fullmatch("salt [0-9a-f]{32,}", first):
        raise InputError(
            f'{path}: expected a list of protected people, whose first line is "salt <hex>", got another file'
        )
    wrong = [row for row in rows if not _HASH.fullmatch(row)]
    if wrong:
        raise InputError(
            f"{path}: expected 64 hex digits per line, got {len(wrong)} other lines, such as {wrong[0][:20]!r}"
        )
    return first.removeprefix("salt "), frozenset(rows)

"""Looking a gallery through: checksums, references against their faces, rows without an owner, the audit log.

Reads everything once and changes nothing. What is wrong is told and not raised, so that all of it is seen at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from vultus.errors import InputError, StoreError
from vultus.gallery import audit
from vultus.gallery._book import Pages
from vultus.gallery.stores.schema import TABLES, Row, Rows, checksum
from vultus.gallery.vault import Vault

__all__ = ["every", "faults"]

_PAGE = 500


def faults(rows: Rows, vault: Vault | None) -> list[str]:
    """Everything wrong with the rows of a gallery, in words; empty when nothing is.

    Args:
        rows: a view of it.
        vault: its vault. None for an encrypted gallery whose key is not at hand: then vectors are not opened,
            references not fused again and the log not verified; everything else is looked at.
    """
    return [*_references(rows, vault), *_faces(rows, vault), *_strays(rows), *_log(rows, vault)]


def every(rows: Rows, table: str) -> Iterator[Row]:
    """All rows of a table, ordered by key, read page by page."""
    at: tuple[Any, ...] | None = None
    while page := rows.after(table, at, _PAGE):
        yield from page
        at = tuple(page[-1][name] for name in TABLES[table].key)


def _references(rows: Rows, vault: Vault | None) -> Iterator[str]:
    """Every person has references, and every reference is the one that the person's faces give."""
    for person in every(rows, "people"):
        templates = rows.find("templates", person_id=person["id"])
        whose = f"{person['name']!r} ({person['id']})"
        if not templates:
            yield f"{whose} has no reference"
        for row in templates:
            if checksum(row["vector"], row["person_id"], person["name"], row["space"]) != row["checksum"]:
                yield f"the reference of {whose} in {row['space']} is damaged"
            elif vault is not None:
                yield from _fused_again(Pages(rows, vault), row, whose)


def _fused_again(pages: Pages, row: Row, whose: str) -> Iterator[str]:
    key, space = row["person_id"], row["space"]
    try:
        name = str(pages.person_row(key)["name"])
        kept, again = pages.opened(row, key, key, name), pages.fused(key, space)
    except (StoreError, InputError) as error:
        yield str(error)
        return
    if not np.array_equal(kept, again.vector) or row["n_images"] != again.n_images:
        yield f"the reference of {whose} is not the one fused from its photos"


def _faces(rows: Rows, vault: Vault | None) -> Iterator[str]:
    """Every vector and crop is whole and of a face that is there."""
    for row in every(rows, "vectors"):
        face = rows.get("faces", row["face_id"])
        if face is None:
            yield f"a vector of face {row['face_id']}, which is not there"
        elif checksum(row["vector"], row["face_id"], row["space"]) != row["checksum"]:
            yield f"the vector of face {row['face_id']} in {row['space']} is damaged"
        elif vault is not None and vault.encrypted:
            yield from _sealed(rows, vault, face, row["vector"], f"vector\0{face['id']}\0{row['space']}")
    for row in every(rows, "crops"):
        face = rows.get("faces", row["face_id"])
        if face is None:
            yield f"a crop of face {row['face_id']}, which is not there"
        elif vault is not None and vault.encrypted:
            yield from _sealed(rows, vault, face, row["jpeg"], f"crop\0{face['id']}")


def _sealed(rows: Rows, vault: Vault, face: Row, blob: bytes, context: str) -> Iterator[str]:
    try:
        vault.unseal(rows, face["person_id"] or f"face:{face['id']}", blob, context)
    except StoreError as error:
        yield f"face {face['id']}: {error}"


def _strays(rows: Rows) -> Iterator[str]:
    """Rows of somebody or something that is not there."""
    for row in every(rows, "templates"):
        if rows.get("people", row["person_id"]) is None:
            yield f"a reference of person {row['person_id']}, who is not there"
    for row in every(rows, "faces"):
        if row["person_id"] is not None and rows.get("people", row["person_id"]) is None:
            yield f"face {row['id']} is of person {row['person_id']}, who is not there"
        if rows.get("media", row["medium"]) is None:
            yield f"face {row['id']} is on a picture that is not there"
    for row in every(rows, "keys"):
        face = row["owner"].removeprefix("face:")
        if rows.get("people", row["owner"]) is None and (face == row["owner"] or rows.get("faces", face) is None):
            yield f"a key of {row['owner']}, who is not there"


def _log(rows: Rows, vault: Vault | None) -> Iterator[str]:
    if vault is not None:
        yield from (f"audit log: {line}" for line in audit.verify(rows, mac=vault.mac))

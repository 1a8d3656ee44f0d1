"""People and faces as answers, read from one consistent view of the gallery."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vultus.gallery import Gallery
from vultus.gallery.stores.schema import Row, Rows
from vultus.serve import views
from vultus.serve.errors import Problem

__all__ = ["face", "faces", "known_faces", "known_person", "people", "person"]

_CHUNK = 500  # rows looked through at a time where a name is searched for


def known_person(rows: Rows, person_id: str) -> Row:
    """The row of a person; Problem 404 when there is none."""
    row = rows.get("people", person_id)
    if row is None:
        raise Problem(404, "NotFound", "there is no person of that id")
    return row


def known_faces(rows: Rows, face_ids: Sequence[str]) -> list[Row]:
    """The rows of faces; Problem 404 naming those that are not there."""
    found = [rows.get("faces", key) for key in face_ids]
    missing = [key for key, row in zip(face_ids, found, strict=True) if row is None]
    if missing:
        raise Problem(404, "NotFound", f"{len(missing)} of the faces are not there", {"face_ids": missing[:20]})
    return [row for row in found if row is not None]


def person(rows: Rows, row: Row) -> dict[str, Any]:
    """A person."""
    mine = rows.find("faces", person_id=row["id"])
    best = sorted(mine, key=lambda face: (-(face["quality"] or 0.0), face["added_at"], face["id"]))
    cover = next((face["id"] for face in best if rows.count("crops", face_id=face["id"])), None)
    return {
        "id": row["id"],
        "name": row["name"],
        "n_faces": len(mine),
        "enrolled_at": row["enrolled_at"],
        "attributes": dict(row["attributes"] or {}),
        "cover_face_id": cover,
    }


def people(rows: Rows, q: str, after: str | None, limit: int) -> list[dict[str, Any]]:
    """Up to `limit` people after that id whose name holds `q`, ordered by id."""
    wanted = q.casefold()
    found: list[dict[str, Any]] = []
    while len(found) < limit:
        chunk = rows.after("people", None if after is None else (after,), _CHUNK if wanted else limit)
        found += [person(rows, row) for row in chunk if wanted in row["name"].casefold()][: limit - len(found)]
        if len(chunk) < (_CHUNK if wanted else limit):
            break
        after = chunk[-1]["id"]
    return found


def face(rows: Rows, row: Row) -> dict[str, Any]:
    """A stored face."""
    medium = rows.get("media", row["medium"])
    size = (medium["height"], medium["width"]) if medium and medium["height"] and medium["width"] else None
    owner = rows.get("people", row["person_id"]) if row["person_id"] else None
    return {
        "id": row["id"],
        "medium": row["medium"],
        "person_id": row["person_id"],
        "person_name": owner["name"] if owner else None,
        "cluster_id": row["cluster"],
        **views.boxes(row["box"], size),
        "quality": row["quality"],
        "score": row["score"],
        "assigned_by": row["assigned_by"],
        "added_at": row["added_at"],
    }


def faces(gallery: Gallery, face_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Stored faces, in that order."""
    with gallery.store.read() as rows:
        return [face(rows, row) for row in known_faces(rows, face_ids)]

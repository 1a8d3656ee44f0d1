"""Small galleries of random people, written as rows: what erasure and backup are tried on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vultus.gallery import audit
from vultus.gallery.stores.schema import TABLES, Edit, Row, Rows, Store, checksum
from vultus.gallery.vault import Vault
from vultus.ops.vectors import fuse, unit

SPACES = ("toy@000000000000", "toy@111111111111")
KEY = bytes(range(32))
NOW = "2026-11-25T10:00:00.000000+00:00"


@dataclass
class Known:
    """What was written about one owner: a person, or a face of nobody."""

    name: str
    faces: list[str] = field(default_factory=list)
    blobs: list[bytes] = field(default_factory=list)  # plain vectors, references and crops


def key(rng: np.random.Generator) -> str:
    """An id as the gallery makes them."""
    return rng.bytes(16).hex()


def fill(
    store: Store, rng: np.random.Generator, *, people: int = 4, dim: int = 128, key_: bytes | None = None
) -> dict[str, Known]:
    """A gallery with people, faces of nobody, shared pictures, links, history; owner -> what was written."""
    with store.write() as edit:
        vault = Vault.start(edit, key_) if key_ else Vault.plain()
        known: dict[str, Known] = {}
        for i in range(people):
            owner = key(rng)
            known[owner] = Known(f"Person {i} {rng.bytes(6).hex()}")
            edit.put("people", _person(owner, known[owner].name))
            for k in range(int(rng.integers(1, 5))):
                medium = "group" if rng.random() < 0.3 and k == 0 else f"{known[owner].name} {k}.jpg"
                add_face(edit, vault, rng, known[owner], owner, medium, dim)
            reference(edit, vault, owner, known[owner])
        for i in range(int(rng.integers(0, 4))):
            face = key(rng)
            known[f"face:{face}"] = Known("")
            add_face(edit, vault, rng, known[f"face:{face}"], None, f"unknown {i}.jpg", dim, face=face)
        _history(edit, rng, known)
        audit.append(edit, actor="test", verb="enroll", details={"people": people}, mac=vault.mac)
    return known


def add_face(
    edit: Edit,
    vault: Vault,
    rng: np.random.Generator,
    known: Known,
    person: str | None,
    medium: str,
    dim: int,
    face: str | None = None,
) -> str:
    """One face with a vector per space and a crop."""
    face = face or key(rng)
    owner = person or f"face:{face}"
    known.faces.append(face)
    if edit.get("media", medium) is None:
        row = {"medium": medium, "source": f"album/{medium}", "height": 9, "width": 9, "exclusive": 1, "added_at": NOW}
        edit.put("media", row)
    row = {"id": face, "medium": medium, "person_id": person, "cluster": None, "box": None, "score": 0.9}
    edit.put("faces", {**row, "quality": 0.5, "assigned_by": "enroll", "added_at": NOW})
    for space in SPACES:
        plain = unit(rng.standard_normal(dim)).astype("<f4").tobytes()
        known.blobs.append(plain)
        blob = vault.seal(edit, owner, plain, f"vector\0{face}\0{space}")
        row = {"face_id": face, "space": space, "dim": dim, "vector": blob, "quality": 0.5}
        edit.put("vectors", {**row, "checksum": checksum(blob, face, space)})
    crop = rng.bytes(700)
    known.blobs.append(crop)
    edit.put("crops", {"face_id": face, "jpeg": vault.seal(edit, owner, crop, f"crop\0{face}")})
    return face


def reference(edit: Edit, vault: Vault, owner: str, known: Known) -> None:
    """The reference of a person, fused from the faces."""
    for space in SPACES:
        rows = [edit.get("vectors", face, space) for face in known.faces]
        vectors = [
            np.frombuffer(vault.unseal(edit, owner, row["vector"], f"vector\0{row['face_id']}\0{space}"), "<f4")
            for row in rows
            if row
        ]
        plain = fuse(np.stack(vectors)).astype("<f4").tobytes()
        known.blobs.append(plain)
        blob = vault.seal(edit, owner, plain, f"vector\0{owner}\0{space}")
        row = {"person_id": owner, "space": space, "dim": len(vectors[0]), "vector": blob, "quality": 0.5}
        check = checksum(blob, owner, known.name, space)
        edit.put("templates", {**row, "n_images": len(vectors), "checksum": check})


def _person(owner: str, name: str) -> Row:
    return {"id": owner, "name": name, "attributes": {}, "enrolled_at": NOW}


def _history(edit: Edit, rng: np.random.Generator, known: dict[str, Known]) -> None:
    owners = [owner for owner in known if not owner.startswith("face:")]
    faces = [face for one in known.values() for face in one.faces]
    for _ in range(6):
        a, b = (faces[int(i)] for i in rng.integers(0, len(faces), 2))
        kind = str(rng.choice(["must", "cannot", "not_person"]))
        other = str(rng.choice(owners)) if kind == "not_person" else b
        edit.put("links", {"id": key(rng), "kind": kind, "a": a, "b": other, "actor": "test", "at": NOW})
    for owner in owners:
        steps: list[Any] = [["rename", {"id": owner, "name": known[owner].name}]]
        row = {"at": NOW, "actor": "test", "verb": "rename", "people": [owner], "steps": steps, "undone_at": None}
        edit.put("undo", row)
    gone = key(rng)  # somebody who was merged into the first one and lives on in the history alone
    note = [{"people": {"id": gone, "name": f"once {known[owners[0]].name}"}, "faces": known[owners[0]].faces[:1]}]
    for people, steps in (([gone], note), ([owners[0], gone], note)):
        row = {"at": NOW, "actor": "test", "verb": "merge", "people": people, "steps": steps, "undone_at": None}
        edit.put("undo", row)


def every_row(rows: Rows, *without: str) -> dict[str, list[Row]]:
    """All rows of all tables but some."""
    return {table: rows.find(table) for table in TABLES if table not in without}


def plain_of(store: Store, vault: Vault) -> dict[tuple[str, str, str], bytes]:
    """Every vector and reference, opened: (table, key, space) -> bytes."""
    with store.read() as rows:
        found = {}
        for table, name in (("templates", "person_id"), ("vectors", "face_id")):
            for row in rows.find(table):
                owner = row[name]
                if table == "vectors":
                    face = rows.get("faces", owner)
                    assert face is not None
                    owner = face["person_id"] or f"face:{face['id']}"
                context = f"vector\0{row[name]}\0{row['space']}"
                found[table, row[name], row["space"]] = vault.unseal(rows, owner, row["vector"], context)
        return found

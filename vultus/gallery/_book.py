"""What the rows of a store mean: people, their faces and vectors, and the reference fused from them.

One `Book` lives inside one transaction. Everything that changes a person goes through it, so that a reference is always
the one fused from its faces, every vector is sealed under the key of its owner and carries a checksum that covers whose
it is, and the index learns who changed.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import numpy as np

from vultus.errors import InputError, SpaceMismatch, StoreError
from vultus.gallery import fuse
from vultus.gallery.records import StoredFace
from vultus.gallery.stores.schema import Edit, Row, Rows, checksum
from vultus.gallery.vault import Vault
from vultus.types import F32, Identity, Template, checked

__all__ = ["CHANGES_KEPT", "Book", "Pages", "note_change", "now"]

CHANGES_KEPT = 20_000  # an index that is further behind is built again, which costs about as much


def now() -> str:
    """UTC, ISO 8601, with microseconds."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")


class Pages:
    """Reading.

    Args:
        rows: one consistent view.
        vault: opens what is sealed.
    """

    def __init__(self, rows: Rows, vault: Vault) -> None:
        self.rows = rows
        self.vault = vault

    # -- spaces --------------------------------------------------------------------------------------------------

    def space(self) -> str | None:
        """The embedding space in use, or None while there is no vector."""
        fact = self.rows.get("facts", "space")
        return str(fact["value"]) if fact and self.rows.after("vectors", None, 1) else None

    def spaces(self) -> list[str]:
        """Every space some vector is of; two while the gallery moves from one embedder to another."""
        known = self.rows.get("facts", "spaces")
        listed = [name for name in str(known["value"]).split("\n") if name] if known else []
        return [name for name in listed if self.rows.after("vectors", None, 1, space=name)]

    def dim(self, space: str) -> int | None:
        """Numbers per vector of a space, or None when there is none."""
        fact = self.rows.get("facts", f"dim:{space}")
        return int(fact["value"]) if fact else None

    # -- people --------------------------------------------------------------------------------------------------

    def person_row(self, identity_id: str) -> Row:
        """The row of a person.

        Raises:
            InputError: if there is none of that key.
        """
        row = self.rows.get("people", key_text(identity_id))
        if row is None:
            raise InputError(f"identity: expected the key of an enrolled person, got {identity_id!r}")
        return row

    def person(self, identity_id: str) -> Identity:
        """A person with the reference of the space in use.

        Raises:
            InputError: if there is none of that key.
        """
        return self.identity(self.person_row(identity_id))

    def identity(self, row: Row) -> Identity:
        """A row of `people` as a record."""
        space = self.space()
        found = self.rows.get("templates", row["id"], space) if space else None
        if found is None:
            raise StoreError(f"{row['name']!r} ({row['id']}) has no reference of {space}: finish the migration first")
        vector = self.opened(found, row["id"], row["id"], row["name"])
        media = media_of(self.faces_of(row["id"]))
        if found["n_images"] != len(media):
            raise StoreError(
                f"{row['name']!r} ({row['id']}): the reference was fused from {found['n_images']} pictures, found "
                f"{len(media)}"
            )
        try:
            template = Template(vector, str(space), found["quality"], len(media), tuple(media))
        except InputError as error:
            raise StoreError(f"the reference of {row['name']!r} ({row['id']}) is not a unit vector: {error}") from error
        return Identity(row["id"], row["name"], template, row["enrolled_at"])

    def named(self, name: str) -> list[Row]:
        """Rows of everyone of that name, ordered by key."""
        return self.rows.find("people", name=name)

    # -- faces ---------------------------------------------------------------------------------------------------

    def face(self, face_id: str) -> StoredFace:
        """A face.

        Raises:
            InputError: if there is none of that key.
        """
        row = self.rows.get("faces", key_text(face_id))
        if row is None:
            raise InputError(f"face: expected the key of a stored face, got {face_id!r}")
        return stored(row)

    def faces_of(self, person_id: str) -> list[StoredFace]:
        """A person's faces, oldest first."""
        return oldest_first(stored(row) for row in self.rows.find("faces", person_id=person_id))

    def vector(self, face: StoredFace, space: str) -> F32 | None:
        """The (D,) vector of a face in a space, or None when it has none there."""
        row = self.rows.get("vectors", face.id, space)
        return None if row is None else self.opened(row, owner_of(face), face.id)

    def crop(self, face: StoredFace) -> bytes | None:
        """The small JPEG of a face, or None."""
        row = self.rows.get("crops", face.id)
        if row is None:
            return None
        return self.vault.unseal(self.rows, owner_of(face), row["jpeg"], f"crop\0{face.id}")

    def opened(self, row: Row, owner: str, key: str, *name: str) -> F32:
        """The vector of a row of `templates` or `vectors`, after its checksum was found to be the one of this row.

        Args:
            row: of either table.
            owner: under whose key it is sealed.
            key: of the person or face.
            name: of the person, for a reference: a swapped row is noticed before it can return the wrong name.
        """
        vector: F32 = self.opened_many([(row, owner, key, name)])[0]
        return vector

    def opened_many(self, items: Sequence[tuple[Row, str, str, tuple[str, ...]]]) -> F32:
        """`opened` for many rows of one space, with the keys read once: (N, D)."""
        for row, _, key, name in items:
            blob = row["vector"]
            if not isinstance(blob, bytes) or checksum(blob, key, *name, row["space"]) != row["checksum"]:
                raise StoreError(_damaged(key, name))
        sealed = [(owner, row["vector"], f"vector\0{key}\0{row['space']}") for row, owner, key, _ in items]
        if len(sealed) == 1:
            plain = [self.vault.unseal(self.rows, *sealed[0])]
        else:
            plain = self.vault.unseal_many(self.rows, sealed)
        for (row, _, key, name), found in zip(items, plain, strict=True):
            if len(found) != 4 * row["dim"] or row["dim"] != items[0][0]["dim"]:
                raise StoreError(_damaged(key, name))
        vectors: F32 = np.frombuffer(b"".join(plain), dtype="<f4").astype(np.float32)
        return vectors.reshape(len(items), -1)

    def fused(self, person_id: str, space: str) -> Template:
        """The reference that a person's faces give in a space."""
        faces = self.faces_of(person_id)
        rows = [(face, self.vector(face, space)) for face in faces]
        have = [(face, vector) for face, vector in rows if vector is not None]
        if not have:
            raise StoreError(f"person {person_id}: no face has a vector of {space}")
        media = media_of([face for face, _ in have])
        return fuse.fuse_photos(np.stack([v for _, v in have]), media, space, [face.quality for face, _ in have])


class Book(Pages):
    """Reading and writing, inside `Store.write`.

    Args:
        rows: the transaction.
        vault: seals and opens.
        actor: who does it, for the audit log.
    """

    rows: Edit

    def __init__(self, rows: Edit, vault: Vault, actor: str) -> None:
        super().__init__(rows, vault)
        self.actor = actor
        self._touched: dict[str, None] = {}

    def claim_space(self, space: str, dim: int) -> None:
        """Refuse vectors that do not belong in this gallery; note the space of the first one.

        Raises:
            SpaceMismatch: if the gallery is of another space.
            InputError: if the vectors have another length.
        """
        used = self.space()
        if used not in (None, space):
            raise SpaceMismatch(space, str(used))
        if used is None:
            self.fact("space", space)
        self.know_space(space, dim, fresh=used is None)

    def know_space(self, space: str, dim: int, *, fresh: bool = False) -> None:
        """Note that vectors of a space with `dim` numbers are kept."""
        known = self.dim(space)
        if not fresh and known not in (None, dim):
            raise InputError(f"vectors: expected {known} numbers per row as in this gallery, got {dim}")
        if known != dim:
            self.fact(f"dim:{space}", str(dim))
        listed = self.rows.get("facts", "spaces")
        names = str(listed["value"]).split("\n") if listed else []
        if space not in names:
            self.fact("spaces", "\n".join([*filter(None, names), space]))

    def fact(self, key: str, value: str | None) -> None:
        """Keep, replace or (None) drop a fact of the gallery."""
        if value is None:
            self.rows.delete("facts", key=key)
        else:
            self.rows.put("facts", {"key": key, "value": value})

    def put_person(self, person_id: str, name: str, attributes: Mapping[str, Any], enrolled_at: str) -> None:
        """Add a person, or give one another name or other attributes; call `settle` before the end."""
        row = {"id": person_id, "name": name, "attributes": dict(attributes), "enrolled_at": enrolled_at}
        self.rows.put("people", row)
        self.touch(person_id)

    def add_medium(self, medium: str, source: str | None, size_hw: tuple[int, int] | None, *, exclusive: bool) -> None:
        """Keep a picture's row; one that is there keeps what it says."""
        if self.rows.get("media", medium) is None:
            height, width = size_hw if size_hw else (None, None)
            self.rows.put(
                "media",
                {
                    "medium": medium, "source": source, "height": height, "width": width,
                    "exclusive": int(exclusive), "added_at": now(),
                },
            )  # fmt: skip

    def put_face(self, face: StoredFace, vector: F32, space: str, crop: bytes | None = None) -> None:
        """Keep a face with its vector, or replace them."""
        self.rows.put("faces", face_row(face))
        self._put_vector(face, np.asarray(vector, np.float32), space)
        if crop is not None:
            self._put_crop(face, crop)
        if face.person_id:
            self.touch(face.person_id)

    def move(self, face: StoredFace, person_id: str | None, by: str, cluster: str | None = None) -> StoredFace:
        """Give a face to a person, or (None) to nobody; its vectors and crop go under the new owner's key."""
        vectors = {
            row["space"]: self.opened(row, owner_of(face), face.id)
            for row in self.rows.find("vectors", face_id=face.id)
        }
        crop = self.crop(face)
        moved = StoredFace(
            face.id, face.medium, person_id, cluster, face.box, face.score, face.quality, by, face.added_at
        )
        self.rows.put("faces", face_row(moved))
        for space, vector in vectors.items():
            self._put_vector(moved, vector, space)
        if crop is not None:
            self._put_crop(moved, crop)
        if face.person_id is None and person_id is not None:
            self.vault.forget(self.rows, owner_of(face))
        for key in (face.person_id, person_id):
            if key:
                self.touch(key)
        return moved

    def drop_face(self, face: StoredFace) -> None:
        """Forget a face, its vectors, its crop, the links that name it, and its picture when nothing else is on it."""
        self.rows.delete("vectors", face_id=face.id)
        self.rows.delete("crops", face_id=face.id)
        for end in ("a", "b"):
            self.rows.delete("links", **{end: face.id})
        self.rows.delete("faces", id=face.id)
        if not self.rows.count("faces", medium=face.medium):
            self.rows.delete("media", medium=face.medium)
        if face.person_id:
            self.touch(face.person_id)
        else:
            self.vault.forget(self.rows, owner_of(face))

    def drop_person(self, person_id: str) -> None:
        """Forget a person who has no faces any more, with their reference and their key."""
        self.rows.delete("templates", person_id=person_id)
        self.rows.delete("people", id=person_id)
        self.rows.delete("links", b=person_id)
        self.vault.forget(self.rows, person_id)
        self.touch(person_id)

    def touch(self, person_id: str) -> None:
        """Somebody changed: their reference is fused again by `settle`, and the index will hear of it."""
        self._touched[person_id] = None

    def settle(self) -> None:
        """Fuse again whoever changed, and tell the index; the last step of every transaction.

        Raises:
            InputError: if somebody would be left without a face.
        """
        spaces = self.spaces()
        for person_id in self._touched:
            row = self.rows.get("people", person_id)
            if row is not None:
                self._fuse(row, spaces)
            note_change(self.rows, person_id)
        self._touched.clear()

    def _fuse(self, row: Row, spaces: Sequence[str]) -> None:
        faces = self.faces_of(row["id"])
        if not faces:
            raise InputError(f"{row['name']!r} would be left without a photo: remove the person instead")
        self.rows.delete("templates", person_id=row["id"])
        for space in spaces:
            if not any(self.rows.get("vectors", face.id, space) for face in faces):
                continue  # this space is still being filled
            template = self.fused(row["id"], space)
            plain = _bytes(template.vector)
            blob = self.vault.seal(self.rows, row["id"], plain, f"vector\0{row['id']}\0{space}")
            self.rows.put(
                "templates",
                {
                    "person_id": row["id"], "space": space, "dim": len(template.vector), "vector": blob,
                    "checksum": checksum(blob, row["id"], row["name"], space), "quality": template.quality,
                    "n_images": template.n_images,
                },
            )  # fmt: skip

    def _put_vector(self, face: StoredFace, vector: F32, space: str) -> None:
        plain = _bytes(vector)
        blob = self.vault.seal(self.rows, owner_of(face), plain, f"vector\0{face.id}\0{space}")
        self.rows.put(
            "vectors",
            {
                "face_id": face.id, "space": space, "dim": len(vector), "vector": blob,
                "checksum": checksum(blob, face.id, space), "quality": face.quality,
            },
        )  # fmt: skip

    def put_vector(self, face: StoredFace, vector: F32, space: str) -> None:
        """Keep another vector of a face that is there, as when the gallery moves to another embedder."""
        self._put_vector(face, vector, space)
        if face.person_id:
            self.touch(face.person_id)

    def _put_crop(self, face: StoredFace, crop: bytes) -> None:
        blob = self.vault.seal(self.rows, owner_of(face), crop, f"crop\0{face.id}")
        self.rows.put("crops", {"face_id": face.id, "jpeg": blob})


def note_change(rows: Edit, person_id: str) -> None:
    """Tell the indexes that a person changed; what is older than `CHANGES_KEPT` changes makes an index anew."""
    (seq,) = rows.put("changes", {"revision": rows.revision(), "person_id": person_id})
    if seq > CHANGES_KEPT:
        rows.delete("changes", seq=seq - CHANGES_KEPT)


def new_id() -> str:
    """A key that nobody has."""
    return uuid.uuid4().hex


def owner_of(face: StoredFace) -> str:
    """Under whose key a face is sealed: its person's, or its own while nobody knows who it is."""
    return face.person_id or f"face:{face.id}"


def stored(row: Row) -> StoredFace:
    """A row of `faces` as a record."""
    box = row["box"]
    return StoredFace(
        row["id"], row["medium"], row["person_id"], row["cluster"],
        None if box is None else (float(box[0]), float(box[1]), float(box[2]), float(box[3])),
        row["score"], row["quality"], row["assigned_by"], row["added_at"],
    )  # fmt: skip


def face_row(face: StoredFace) -> Row:
    """A record as a row of `faces`."""
    return {**face.to_dict(), "box": None if face.box is None else list(face.box)}


def oldest_first(faces: Iterable[StoredFace]) -> list[StoredFace]:
    """Ordered by when they were added, then by picture and key."""
    return sorted(faces, key=lambda face: (face.added_at, face.medium, face.id))


def media_of(faces: Sequence[StoredFace]) -> list[str]:
    """A different key per face: its picture, with the face's own key where a picture shows the person twice."""
    seen: set[str] = set()
    keys = []
    for face in faces:
        keys.append(f"{face.medium}#{face.id}" if face.medium in seen else face.medium)
        seen.add(face.medium)
    return keys


def key_text(value: object) -> str:
    """A key as given, refused when it is no text that UTF-8 can hold."""
    if not isinstance(value, str) or not value:
        raise InputError(f"identity: expected the key of a person or face, got {value!r}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"identity: expected letters that UTF-8 can hold, got {value!r}") from error
    return value


def unit_rows(vectors: F32) -> F32:
    """(N, D) rows as given, or one row of (D,); refused unless finite and of unit length."""
    rows = checked("vectors", np.atleast_2d(np.asarray(vectors)), (None, None))
    length = np.linalg.norm(rows, axis=1)
    if len(rows) and not np.allclose(length, 1.0, atol=1e-3):
        raise InputError(f"vectors: expected unit rows, got lengths from {length.min():.4f} to {length.max():.4f}")
    return rows


def _damaged(key: str, name: tuple[str, ...]) -> str:
    shown = f"{name[0]!r} ({key})" if name else f"face {key}"
    return f"the vector of {shown} is damaged: restore a backup or enroll this person again"


def _bytes(vector: F32) -> bytes:
    return np.ascontiguousarray(vector, dtype="<f4").tobytes()

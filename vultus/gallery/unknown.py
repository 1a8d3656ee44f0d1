"""Faces that nobody has named yet: kept once each, however often a picture is processed, and matched with people."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from vultus.errors import InputError
from vultus.gallery._book import Book, Pages, now, stored
from vultus.gallery.records import NewFace, StoredFace
from vultus.gallery.stores.schema import face_id
from vultus.ops.boxes import iou

__all__ = ["SAME_FACE_IOU", "add_faces", "complete_media", "mine", "place"]

SAME_FACE_IOU = 0.5  # two boxes on one picture that overlap this much are one face, whichever detector found them


def add_faces(book: Book, faces: Sequence[NewFace], space: str) -> list[StoredFace]:
    """Keep faces of pictures; who they are is left open.

    A face that is there already, by its picture and box, keeps its key, its person, its cluster and its links and gets
    the new vector, so that processing a picture twice, or with another detector, changes nothing but the vectors.

    Args:
        book: the transaction.
        faces: of any number of pictures.
        space: embedding space of their vectors.

    Returns:
        The faces as they are kept, in the order given.

    Raises:
        InputError: if vectors differ in length, or two new faces of one picture are the same face.
    """
    by_medium: dict[str, list[int]] = defaultdict(list)
    for index, face in enumerate(faces):
        by_medium[face.medium].append(index)
    kept: dict[int, StoredFace] = {}
    for medium, indices in by_medium.items():
        one = faces[indices[0]]
        book.add_medium(medium, one.source, one.size_hw, exclusive=True)
        there = place(book, medium, [faces[i] for i in indices])
        for i, old in zip(indices, there, strict=True):
            kept[i] = _keep(book, faces[i], old, space)
    book.settle()
    return [kept[i] for i in range(len(faces))]


def place(pages: Pages, medium: str, faces: Sequence[NewFace]) -> list[StoredFace | None]:
    """Which stored face of a picture each new one is, best overlap first; None where it is new."""
    there = [stored(row) for row in pages.rows.find("faces", medium=medium)]
    found: list[StoredFace | None] = [None] * len(faces)
    boxed = [face for face in there if face.box is not None]
    mine = [i for i, face in enumerate(faces) if face.box is not None]
    if boxed and mine:
        overlap = iou(
            np.array([faces[i].box for i in mine], np.float32), np.array([face.box for face in boxed], np.float32)
        )
        while overlap.size and overlap.max() >= SAME_FACE_IOU:
            row, column = np.unravel_index(int(np.argmax(overlap)), overlap.shape)
            found[mine[row]] = boxed[column]
            overlap[row], overlap[:, column] = -1.0, -1.0
    bare = [face for face in there if face.box is None]
    for i, face in enumerate(faces):
        alone = len(faces) == 1 and len(there) == 1  # a face kept without a box is the only one on its picture
        if found[i] is None and bare and (face.box is None or alone):
            found[i] = bare.pop(0)
    return found


def mine(pages: Pages, new: NewFace, person_id: str) -> StoredFace | None:
    """The stored face that a photo of a person shows, or None: by its box or, without one, by whose photo it is."""
    there = [stored(row) for row in pages.rows.find("faces", medium=new.medium)]
    own = [face for face in there if face.person_id == person_id]
    if new.box is not None:
        bare = [face for face in own if face.box is None]
        return place(pages, new.medium, [new])[0] or (bare[0] if bare else None)
    if len(own) == 1:
        return own[0]
    row = pages.rows.get("faces", face_id(new.medium, None, person_id))
    return None if row is None else stored(row)


def complete_media(pages: Pages, media: Iterable[str], space: str) -> set[str]:
    """The pictures, of those named, that are kept with a vector of this space for every face found on them."""
    done = set()
    for medium in media:
        if pages.rows.get("media", medium) is None:
            continue
        faces = pages.rows.find("faces", medium=medium)
        if all(pages.rows.get("vectors", face["id"], space) for face in faces):
            done.add(medium)
    return done


def _keep(book: Book, new: NewFace, old: StoredFace | None, space: str) -> StoredFace:
    if old is None:
        key = face_id(new.medium, new.box)
        face = StoredFace(key, new.medium, None, None, new.box, new.score, new.quality, "import", now())
        if book.rows.get("faces", key) is not None:
            raise InputError(
                f"faces: expected different faces of picture {new.medium[:12]}, got the box {new.box} twice"
            )
    else:
        face = StoredFace(
            old.id, old.medium, old.person_id, old.cluster, new.box or old.box, new.score, new.quality,
            old.assigned_by, old.added_at,
        )  # fmt: skip
    book.put_face(face, new.vector, space, new.crop_jpeg)
    return face

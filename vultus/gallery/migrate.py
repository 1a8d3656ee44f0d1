"""Moving a gallery to another embedder: both spaces side by side, then one step over.

    begin       note the next space; searches go on in the old one
    fill        give faces their vector of the next space: from their photos, or through a learned adapter
    cut_over    in one transaction the next space becomes the one in use; the old vectors stay, so `cut_over` leads back
    retire      drop the vectors of a space that is not in use

Every step is its own transaction and can be repeated: what an interruption leaves is a gallery that answers in the old
space, and a `fill` that goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vultus.errors import InputError, SpaceMismatch
from vultus.gallery import audit
from vultus.gallery._book import Book, stored
from vultus.gallery.records import NewFace, StoredFace
from vultus.gallery.unknown import place
from vultus.types import F32

if TYPE_CHECKING:
    from vultus.gallery.gallery import Gallery

__all__ = ["Progress", "adapt", "begin", "cut_over", "missing", "reembed", "retire"]

_STEP = 256  # faces per transaction


@dataclass(frozen=True)
class Progress:
    """How far a migration is.

    Attributes:
        space: the next space.
        faces: faces in the gallery.
        done: those with a vector of the next space.
        adapted: of those, how many came through an adapter and not from a photo.
        lost: pictures that could not be used, with the reason.
    """

    space: str
    faces: int
    done: int
    adapted: int
    lost: tuple[tuple[str, str], ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every face has its vector."""
        return self.done == self.faces


def begin(gallery: Gallery, space: str, *, actor: str = "local") -> Progress:
    """Note the next space; changes no answer.

    Raises:
        InputError: if it is the space in use already, or another migration has begun.
    """
    if not isinstance(space, str) or "@" not in space:
        raise InputError(f"space: expected an embedding space (name@hash), got {space!r}")
    with gallery.book(actor) as book:
        if book.space() == space:
            raise InputError(f"space: the gallery is in {space} already")
        coming = book.rows.get("facts", "next_space")
        if coming and coming["value"] != space:
            raise InputError(
                f"migrate: the gallery is moving to {coming['value']} already: finish or abandon that first"
            )
        book.fact("next_space", space)
        _told(book, "migrate_begin", space)
    return missing(gallery, space)


def missing(gallery: Gallery, space: str) -> Progress:
    """How many faces have their vector of a space."""
    with gallery.pages() as pages:
        faces = pages.rows.count("faces")
        done = pages.rows.count("vectors", space=space)
        note = pages.rows.get("facts", f"adapted:{space}")
        return Progress(space, faces, done, int(note["value"]) if note else 0)


def reembed(
    gallery: Gallery,
    space: str,
    encode: Callable[[Sequence[str]], Iterator[Sequence[NewFace] | str]],
    *,
    actor: str = "local",
) -> Iterator[Progress]:
    """Give faces their vector of the next space from their photos.

    A face is the one on the picture whose box overlaps it most; a face that was kept without a box is taken when the
    picture shows exactly one.

    Args:
        gallery: in which `begin` was called with `space`.
        space: the next space.
        encode: takes the sources (paths) of pictures, gives for each its faces, embedded in `space`, or why not.
        actor: who does it.

    Yields:
        The progress after every batch of pictures.
    """
    _moving(gallery, space)
    lost: list[tuple[str, str]] = []
    tried: set[str] = set()
    for batch in _without(gallery, space):
        media = [medium for medium in dict.fromkeys(face.medium for face in batch) if medium not in tried]
        tried |= set(media)
        with gallery.pages() as pages:
            rows = {medium: pages.rows.get("media", medium) for medium in media}
        known = {m: str(row["source"]) for m, row in rows.items() if row and row["source"]}
        lost += [(medium, "the place of the photo is not known") for medium in media if medium not in known]
        found = dict(zip(known, encode(list(known.values())), strict=True)) if known else {}
        with gallery.book(actor) as book:
            for medium, faces in found.items():
                lost += [(known[medium], why) for why in _fill_from_photo(book, medium, faces, space)]
        yield _with_losses(missing(gallery, space), lost)
    yield _with_losses(missing(gallery, space), lost)


def adapt(gallery: Gallery, space: str, adapter: Callable[[F32], F32], *, actor: str = "local") -> Iterator[Progress]:
    """Give faces that still lack it their vector of the next space through a map between the spaces, without photos.

    Args:
        gallery: in which `begin` was called with `space`.
        space: the next space.
        adapter: (N, D) unit rows of the space in use -> (N, D') unit rows of the next one; see
            `vultus.gallery.adapter`, which also measures what is lost.
        actor: who does it.

    Yields:
        The progress after every step.
    """
    _moving(gallery, space)
    for batch in _without(gallery, space):
        with gallery.book(actor) as book:
            old = str(book.space())
            have = [(face, book.vector(face, old)) for face in (book.face(face.id) for face in batch)]
            ready = [(face, vector) for face, vector in have if vector is not None]
            if ready:
                made = np.asarray(adapter(np.stack([vector for _, vector in ready])), np.float32)
                book.know_space(space, made.shape[1])
                for (face, _), vector in zip(ready, made, strict=True):
                    book.put_vector(face, vector, space)
            note = book.rows.get("facts", f"adapted:{space}")
            book.fact(f"adapted:{space}", str((int(note["value"]) if note else 0) + len(ready)))
        yield missing(gallery, space)
    yield missing(gallery, space)


def cut_over(gallery: Gallery, space: str, *, force: bool = False, actor: str = "local") -> Progress:
    """Make a space with vectors the one in use; a roll-back is a `cut_over` to the old space.

    Args:
        gallery: the gallery.
        space: the space to use from now on.
        force: also when faces have no vector of it: they stay, and people without any such face are not found until
            they have one.
        actor: who does it.

    Raises:
        InputError: if there is no vector of that space, or faces lack one and `force` is not given.
    """
    state = missing(gallery, space)
    if not state.done:
        raise InputError(f"cut over: expected a space with vectors, got {space!r}, which has none")
    if not state.complete and not force:
        raise InputError(
            f"cut over: {state.faces - state.done} of {state.faces} faces have no vector of {space}: run the migration "
            "again, or force it and lose them in searches"
        )
    with gallery.book(actor) as book:
        book.fact("space", space)
        coming = book.rows.get("facts", "next_space")
        if coming and coming["value"] == space:
            book.fact("next_space", None)
        _told(book, "cut_over", space)
    return state


def retire(gallery: Gallery, space: str, *, actor: str = "local") -> int:
    """Drop the vectors of a space that is not in use, also those of an abandoned migration; how many there were.

    Raises:
        InputError: if it is the space in use.
    """
    with gallery.book(actor) as book:
        if book.space() == space:
            raise InputError(f"retire: {space} is in use: cut over to another space first")
        coming = book.rows.get("facts", "next_space")
        if coming and coming["value"] == space:
            book.fact("next_space", None)
        book.rows.delete("templates", space=space)
        gone = book.rows.delete("vectors", space=space)
        for key in (f"adapted:{space}", f"dim:{space}"):
            book.fact(key, None)
        _told(book, "retire", space)
    gallery.store.compact()
    return gone


def _moving(gallery: Gallery, space: str) -> None:
    with gallery.pages() as pages:
        coming = pages.rows.get("facts", "next_space")
    if not coming or coming["value"] != space:
        raise SpaceMismatch(space, str(coming["value"]) if coming else "no next space: call begin first")


def _without(gallery: Gallery, space: str) -> Iterator[list[StoredFace]]:
    """Every face that has no vector of a space, a step at a time; reads on after what was done meanwhile."""
    after: tuple[Any, ...] | None = None
    while True:
        with gallery.pages() as pages:
            rows = pages.rows.after("faces", after, _STEP)
            lack = [stored(row) for row in rows if pages.rows.get("vectors", row["id"], space) is None]
        if not rows:
            return
        after = (rows[-1]["id"],)
        if lack:
            yield lack


def _fill_from_photo(book: Book, medium: str, faces: Sequence[NewFace] | str, space: str) -> list[str]:
    """Put the vectors of one picture; why faces of it got none."""
    if isinstance(faces, str):
        return [faces]
    there = [stored(row) for row in book.rows.find("faces", medium=medium)]
    pairs = [(old, new) for old, new in zip(place(book, medium, faces), faces, strict=True) if old is not None]
    bare = [face for face in there if face.box is None]
    if not pairs and len(bare) == len(there) == 1 and len(faces) == 1:
        pairs = [(bare[0], faces[0])]
    for old, new in pairs:
        book.know_space(space, len(new.vector))
        book.put_vector(old, new.vector, space)
    lack = {face.id for face in there if book.rows.get("vectors", face.id, space) is None}
    return [f"face {key} was not found again" for key in sorted(lack)]


def _with_losses(progress: Progress, lost: Sequence[tuple[str, str]]) -> Progress:
    return Progress(progress.space, progress.faces, progress.done, progress.adapted, tuple(lost))


def _told(book: Book, verb: str, space: str) -> None:
    audit.append(book.rows, actor=book.actor, verb=verb, subject="", details={"space": space}, mac=book.vault.mac)

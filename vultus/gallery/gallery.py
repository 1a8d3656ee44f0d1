"""People and their references: enroll, identify with a stated error rate or an abstention, correct, erase.

A gallery is a store (the truth) and what its rows mean. It holds faces of people and of unknowns, each with a vector;
the vectors of one person fuse into one reference, which a search compares the probe with. What another process writes
is seen at the next call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from types import TracebackType
from typing import Any

import numpy as np

from vultus.errors import InputError
from vultus.gallery import _enrolling, _identify, _links, thresholds, unknown
from vultus.gallery._book import Book, Pages, oldest_first, stored, unit_rows
from vultus.gallery._by_hand import ByHand, name_text, told
from vultus.gallery._keeping import Keeping
from vultus.gallery._roster import Current, Roster, same_space
from vultus.gallery._unknowns import Clustering
from vultus.gallery.calibrate import Calibration
from vultus.gallery.compat import compared
from vultus.gallery.erase import Copies
from vultus.gallery.records import Medium, NewFace, SecurityLevel, StoredFace
from vultus.gallery.stores.opened import store_for
from vultus.gallery.stores.schema import Row, Rows, Store
from vultus.gallery.vault import Vault, load_key
from vultus.types import F32, Decision, Identity, Match, Template

__all__ = ["Gallery", "open_gallery"]


def open_gallery(url_or_path: str | PathLike[str] = "people.db", *, key: bytes | None = None) -> Gallery:
    """Open a gallery, or make one at the first use.

    Args:
        url_or_path: a file; "sqlite:///file" (three slashes: relative, four: absolute); "postgresql://..." or
            "milvus://...".
        key: 32 bytes, for a gallery that is encrypted; None: from the environment, see `vultus.gallery.vault`.

    Raises:
        InputError: if the URL names a store that does not exist.
        MissingExtra: if the store's driver is not installed.

    Example:
        >>> open_gallery("sqlite:///people.db")
        Gallery('people.db')
    """
    return Gallery(store_for(url_or_path), key=key)


class Gallery(ByHand, Clustering, Keeping):
    """People in a store; safe for several threads and processes.

    Every call that writes is one transaction, takes `actor` (who does it) and leaves a row in the audit log.

    Args:
        store: where they are kept; see `open_gallery`.
        key: for an encrypted gallery, see `open_gallery`.
    """

    def __init__(self, store: Store, *, key: bytes | None = None) -> None:
        self.store = store
        self._key = key
        self._current = Current(store, self._vault)
        self._own: tuple[int, thresholds.OwnScores] | None = None
        self._begun = False

    def __repr__(self) -> str:
        name = self.store.url.removeprefix("sqlite:///")
        return f"Gallery({name!r})"

    def __reduce__(self) -> tuple[type[Gallery], tuple[Store]]:
        return Gallery, (self.store,)  # without the key: a copy takes it from the environment

    def __enter__(self) -> Gallery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._people())

    @contextmanager
    def pages(self) -> Iterator[Pages]:
        """One consistent view of everything; for the modules of this folder."""
        self._begin()
        with self.store.read() as rows:
            yield Pages(rows, self._vault(rows))

    @contextmanager
    def book(self, actor: str) -> Iterator[Book]:
        """One transaction; for the modules of this folder."""
        self._begin()
        with self.store.write() as rows:
            book = Book(rows, self._vault(rows), actor)
            yield book
            book.settle()

    def _begin(self) -> None:
        """At the first use: finish erasures that were interrupted."""
        if self._begun:
            return
        self._begun = True
        self._finish()

    def _copies(self) -> Sequence[Copies]:
        return self._current.copies()

    def _forget(self) -> None:
        self._own = None

    def _people(self) -> Roster:
        self._begin()
        return self._current.roster()

    def _vault(self, rows: Rows) -> Vault:
        if self._key is None and rows.get("facts", "encrypted") is not None:
            self._key = load_key()
        return Vault.open(rows, self._key)

    def close(self) -> None:
        """Close connections; the next call opens them again."""
        self._current.keep_if_large()
        self._current.forget()
        self._begun = False
        self.store.close()

    # -- people --------------------------------------------------------------------------------------------------

    @property
    def space(self) -> str | None:
        """The embedding space in use, or None while nobody is enrolled."""
        with self.pages() as pages:
            return pages.space()

    def spaces(self) -> list[str]:
        """Every space with vectors; two while the gallery moves to another embedder."""
        with self.pages() as pages:
            return pages.spaces()

    def people(self) -> list[Identity]:
        """Everyone, ordered by name."""
        with self.pages() as pages:
            return [pages.identity(row) for row in _by_name(pages.rows.find("people"))]

    def page(self, after: str | None = None, limit: int = 100) -> list[Identity]:
        """Up to `limit` people after that key, ordered by key: for galleries too large for `people`."""
        with self.pages() as pages:
            rows = pages.rows.after("people", None if after is None else (after,), limit)
            return [pages.identity(row) for row in rows]

    def named(self, name: str) -> list[Identity]:
        """Everyone of that name; names need not be unique."""
        with self.pages() as pages:
            return [pages.identity(row) for row in pages.named(name_text(name))]

    def person(self, identity_id: str) -> Identity:
        """The person of that key.

        Raises:
            InputError: if there is none.
        """
        with self.pages() as pages:
            return pages.person(identity_id)

    def attributes(self, identity_id: str) -> dict[str, Any]:
        """What is kept of a person beside the name, to filter searches by."""
        with self.pages() as pages:
            return dict(pages.person_row(identity_id)["attributes"] or {})

    def enroll(
        self,
        name: str,
        vectors: F32,
        qualities: Sequence[float | None] | None,
        media: Sequence[str] | None,
        space: str,
        *,
        identity_id: str | None = None,
        actor: str = "local",
    ) -> Identity:
        """Add photos to a person and fuse all of that person's photos into one reference, in one transaction.

        A person of that name is extended, otherwise made. A medium that the person already has is replaced, so that
        enrolling a folder twice changes nothing.

        Args:
            name: shown to people; blank ends are cut off.
            vectors: (N, D) unit rows, or (D,), one per photo of this person.
            qualities: N numbers in [0, 1] (None: not assessed), or None.
            media: N keys of the pictures (sha256), or None to use the sha256 of the vectors.
            space: embedding space of the vectors.
            identity_id: names the person when two share a name; a new key makes a new person.
            actor: who does it.

        Raises:
            InputError: if the vectors are not unit rows, lengths differ, two people have that name and no key is
                given, or a link or the same-photo constraint forbids it.
            SpaceMismatch: if the gallery holds vectors of another space.
            StoreError: if the store cannot be written; then nothing has changed.
        """
        new = _enrolling.new_faces(vectors, qualities, media, space)
        return self.enroll_faces(name, new, space, identity_id=identity_id, actor=actor)

    def enroll_faces(
        self,
        name: str,
        faces: Sequence[NewFace],
        space: str,
        *,
        identity_id: str | None = None,
        actor: str = "local",
    ) -> Identity:
        """`enroll` for faces with their boxes, previews and sources.

        A face that is kept as unknown already, by its picture and box, becomes this person's.
        """
        with self.book(actor) as book:
            person_id = _enrolling.enroll(book, name_text(name), list(faces), space, identity_id)
            told(book, "enroll", person_id, {"photos": len(faces), "space": space})
            book.settle()
            return book.person(person_id)

    # -- faces ---------------------------------------------------------------------------------------------------

    def add_faces(
        self,
        faces: Sequence[NewFace],
        space: str,
        *,
        media: Sequence[Medium] = (),
        actor: str = "local",
    ) -> list[StoredFace]:
        """Keep faces of pictures, in one transaction; who they are is left open.

        A face that is there already, by its picture and box, keeps its key, its person and its links and gets the new
        vector: adding a picture twice changes nothing.

        Args:
            faces: of any number of pictures.
            space: embedding space of their vectors: the one in use or, during a migration, the next one.
            media: pictures to note as processed, such as those on which no face was found.
            actor: who does it.

        Returns:
            The faces as they are kept, in the order given.

        Raises:
            SpaceMismatch: if the gallery is of another space.
        """
        with self.book(actor) as book:
            for medium in media:
                size = (medium.height, medium.width) if medium.height and medium.width else None
                book.add_medium(medium.medium, medium.source, size, exclusive=medium.exclusive)
            if faces:
                _enrolling.claim(book, space, len(faces[0].vector))
            kept = unknown.add_faces(book, faces, space)
            told(book, "add_faces", "", {"faces": len(kept), "space": space if faces else None})
            return kept

    def has_media(self, media: Iterable[str], space: str) -> set[str]:
        """The pictures, of those named, that are kept with a vector of this space for every face found on them."""
        with self.pages() as pages:
            return unknown.complete_media(pages, media, space)

    def owners(self, faces: Sequence[NewFace]) -> list[str | None]:
        """Whose faces these are already, by picture and box: names of people, or None."""
        with self.pages() as pages:
            there = [unknown.place(pages, face.medium, [face])[0] for face in faces]
            keys = [face.person_id if face else None for face in there]
            return [str(pages.person_row(key)["name"]) if key else None for key in keys]

    def face(self, face_id: str) -> StoredFace:
        """A face; InputError when there is none of that key."""
        with self.pages() as pages:
            return pages.face(face_id)

    def faces(
        self,
        *,
        person_id: str | None = None,
        unknown: bool = False,
        cluster: str | None = None,
        medium: str | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[StoredFace]:
        """Stored faces, ordered by key when paged and by age otherwise.

        Args:
            person_id: of this person only.
            unknown: of nobody only.
            cluster: of this cluster only.
            medium: on this picture only.
            after: start after this key.
            limit: at most so many.
        """
        equal: dict[str, Any] = {"person_id": person_id} if person_id else {"person_id": None} if unknown else {}
        equal |= {"cluster": cluster} if cluster else {}
        equal |= {"medium": medium} if medium else {}
        with self.pages() as pages:
            if limit is None and after is None:
                return oldest_first(stored(row) for row in pages.rows.find("faces", **equal))
            rows = pages.rows.after("faces", None if after is None else (after,), limit or 2**31, **equal)
            return [stored(row) for row in rows]

    def crop(self, face_id: str) -> bytes | None:
        """The small JPEG of a face, or None when none was kept."""
        with self.pages() as pages:
            return pages.crop(pages.face(face_id))

    def vectors_of(self, face_ids: Sequence[str], space: str | None = None) -> F32:
        """(N, D) vectors of faces in a space; the one in use unless given.

        Raises:
            InputError: if a face is not there or has no vector of that space.
        """
        with self.pages() as pages:
            name = space or pages.space()
            found = [pages.vector(pages.face(key), str(name)) for key in face_ids]
        for key, vector in zip(face_ids, found, strict=True):
            if vector is None:
                raise InputError(f"face {key}: expected a vector of {name}, found none")
        return np.stack([v for v in found if v is not None]) if found else np.zeros((0, 0), np.float32)

    # -- reading -------------------------------------------------------------------------------------------------

    def screen(
        self,
        vectors: F32,
        space: str,
        *,
        calibration: Calibration,
        qualities: Sequence[float | None] | None = None,
        name: str | None = None,
        fmr: float = 1e-2,
    ) -> list[str]:
        """Why photos should not be enrolled as one person; "" where nothing speaks against it. Changes nothing.

        A poor photo, a photo that does not look like the others of this person (or like those enrolled before), and a
        photo that looks like another enrolled person each spoil later identifications, so they are worth a look by a
        person before `enroll`.

        Args:
            vectors: (N, D) unit rows that are said to show one person.
            space: their embedding space.
            calibration: gives the threshold.
            qualities: N numbers in [0, 1], or None.
            name: the person they belong to, who may be enrolled already.
            fmr: false match rate at which two photos count as the same person; for a match with anybody else in the
                gallery it is the rate of the whole search.

        Returns:
            N sentences.
        """
        rows = unit_rows(vectors)
        same_space(space, calibration.space)
        known = name_text(name) if name else ""
        return _enrolling.screen(self._people(), rows, space, calibration, qualities, known, fmr)

    def search(self, probe: Template, k: int = 5, *, where: Mapping[str, Any] | None = None) -> list[Match]:
        """The k most similar people, best first, without a decision.

        Args:
            probe: vector with its space.
            k: at most so many.
            where: only people whose attributes equal these.

        Raises:
            SpaceMismatch: if the probe is of another space, and no registered pair (`vultus.gallery.compat`).
            InputError: if k is below 1.
        """
        return _identify.search(self._people(), probe, k, where)

    def identify(
        self,
        probe: Template,
        *,
        calibration: Calibration,
        fmr: float = 1e-3,
        fpir: float | None = None,
        min_quality: float | None = None,
        where: Mapping[str, Any] | None = None,
    ) -> Decision:
        """Say who it is, or that it is a stranger, or abstain.

        It abstains when the picture is too poor and when the two best people are too close: within half of the score
        that separates FMR `fmr` from ten times that rate. Every enrolled person is one more chance to be wrong, so the
        rate of naming a stranger is `expected_fpir(fmr)`. `fpir` holds that rate instead, whatever the size of the
        gallery: the threshold is the stricter one of 1 - (1 - FMR)^N and of this gallery's own faces, each searched
        among everybody but its own person.

        Args:
            probe: vector with its space and, if known, its quality.
            calibration: gives the threshold; of the same space, or of the registered pair (`vultus.gallery.compat`).
            fmr: false match rate of one comparison.
            fpir: share of searches with a stranger that may name somebody; takes the place of `fmr`.
            min_quality: abstain below it; None means the house's.
            where: only people whose attributes equal these.

        Raises:
            SpaceMismatch: if spaces differ and are no registered pair.
            InputError: if the calibration cannot support that rate, or `fpir` is asked for a probe of another space:
                this gallery's own faces say nothing about scores of two networks.
        """
        roster = self._people()
        strict = None
        if fpir is not None:
            if len(roster) and isinstance(probe, Template) and compared(probe.space, str(roster.space)) != probe.space:
                raise InputError(
                    f"fpir: expected None for a probe of {probe.space} in {roster.space}: choose a small fmr"
                )
            fmr = thresholds.fmr_for_fpir(fpir, len(roster))
            strict = thresholds.threshold_for_fpir(self._own_scores(), fpir)
        return _identify.identify(roster, probe, calibration, _identify.Level(fmr, strict, min_quality, where))

    def suggest(self, face_id: str, *, calibration: Calibration, fmr: float = 1e-3) -> Decision:
        """Who an unknown stored face may be, never against a link or the same-photo constraint.

        Raises:
            InputError: if there is no such face, or it has no vector of the space in use.
        """
        with self.pages() as pages:
            face = pages.face(face_id)
            never = frozenset(_links.forbidden_people(pages, face))
            space = str(pages.space())
            vector = pages.vector(face, space)
        if vector is None:
            raise InputError(f"face {face_id}: expected a vector of {space}, found none")
        probe = Template(vector, space, face.quality, media=(face.medium,))
        return _identify.identify(
            self._people(), probe, calibration, _identify.Level(fmr, never=never, min_quality=None)
        )

    def expected_fpir(self, fmr: float) -> float:
        """The share of searches with a stranger that name somebody: 1 - (1 - FMR)^N for N people.

        An estimate: comparisons count as independent and references as single photos. On LFW with 1,559 people and
        2,000 strangers at FMR 1e-4 and 1e-5 it says .144 and .015; MobileFaceNet named .118 and .018 of the strangers
        and abstained on .038 and none, dlib's network named .106 and .025 and abstained on .097 and .007.
        """
        return thresholds.expected_fpir(fmr, len(self))

    def fmr_for_fpir(self, fpir: float) -> float:
        """The false match rate per comparison that keeps the share of strangers named at `fpir`."""
        return thresholds.fmr_for_fpir(fpir, len(self))

    def security(self, calibration: Calibration, fmr: float) -> SecurityLevel:
        """What a false match rate means in this gallery: threshold, strangers named, own people missed."""
        same_space(calibration.space, self.space or calibration.space)
        return thresholds.level(self._own_scores(), calibration, fmr)

    def _own_scores(self) -> thresholds.OwnScores:
        """Scores of the gallery's own faces; measured again when somebody has written."""
        roster = self._people()
        if self._own is None or self._own[0] != roster.revision:
            with self.pages() as pages:
                self._own = (roster.revision, _identify.measure(pages, roster))
        return self._own[1]

    # -- the gallery itself --------------------------------------------------------------------------------------

    def fact(self, key: str) -> str | None:
        """A setting kept with the gallery under "user:" + key, or None."""
        with self.pages() as pages:
            row = pages.rows.get("facts", f"user:{key}")
            return None if row is None else str(row["value"])

    def set_fact(self, key: str, value: str | None, *, actor: str = "local") -> None:
        """Keep a setting with the gallery; None drops it."""
        with self.book(actor) as book:
            book.fact(f"user:{key}", value)
            told(book, "set_fact", "")


def _by_name(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row["name"], row["id"]))

"""People and their references: enroll, identify with a stated error rate or an abstention, search, remove.

A gallery holds vectors of one embedding space. Search compares the probe with one fused reference per person, exactly,
in memory; what another process writes is seen at the next call.
"""

from __future__ import annotations

import hashlib
import math
import threading
import unicodedata
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from os import PathLike
from pathlib import Path
from types import TracebackType

import numpy as np

from vultus.errors import InputError, SpaceMismatch
from vultus.gallery import fuse
from vultus.gallery.calibrate import Calibration, poor_quality
from vultus.gallery.stores.sqlite import Photo, Roster, SqliteStore, Transaction
from vultus.ops.vectors import top_k
from vultus.types import F32, Decision, Identity, Match, Template, checked, is_number

__all__ = ["Gallery", "open_gallery"]


def open_gallery(url_or_path: str | PathLike[str] = "people.db") -> Gallery:
    """Open a gallery, or make one at the first use.

    Args:
        url_or_path: a file, or "sqlite:///file" (three slashes: relative, four: absolute).

    Raises:
        InputError: if the URL names a store that does not exist.

    Example:
        >>> open_gallery("sqlite:///people.db")
        Gallery('people.db')
    """
    if not isinstance(url_or_path, (str, PathLike)):
        raise InputError(f"gallery: expected a file or sqlite:///FILE, got {type(url_or_path).__name__}")
    text = str(url_or_path)
    scheme, found, rest = text.partition("://")
    if found:
        if scheme != "sqlite" or not rest.startswith("/") or len(rest) < 2:
            raise InputError(f"gallery: expected a file or sqlite:///FILE, got {text!r}")
        text = rest[1:]
    if not text or "\0" in text or text == ":memory:":
        raise InputError(f"gallery: expected the name of a file, got {str(url_or_path)!r}")
    return Gallery(SqliteStore(Path(text)))


class Gallery:
    """People in a store; safe for several threads and processes.

    Args:
        store: where they are kept; see `open_gallery`.
    """

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self._roster: Roster | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Gallery({str(self.store.path)!r})"

    def __reduce__(self) -> tuple[type[Gallery], tuple[SqliteStore]]:
        return Gallery, (self.store,)

    def __enter__(self) -> Gallery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._current().ids)

    @property
    def space(self) -> str | None:
        """The embedding space, or None while nobody is enrolled."""
        return self._current().space

    def people(self) -> list[Identity]:
        """Everyone, ordered by name."""
        return self.store.people()

    def named(self, name: str) -> list[Identity]:
        """Everyone of that name; names need not be unique."""
        with self.store.read() as view:
            return view.named(_name(name))

    def person(self, identity_id: str) -> Identity:
        """The person of that key.

        Raises:
            InputError: if there is none.
        """
        with self.store.read() as view:
            return _known(view, identity_id)

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        self.store.close()

    # -- writing -------------------------------------------------------------------------------------------------

    def enroll(
        self,
        name: str,
        vectors: F32,
        qualities: Sequence[float | None] | None,
        media: Sequence[str] | None,
        space: str,
        *,
        identity_id: str | None = None,
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

        Raises:
            InputError: if the vectors are not unit rows, lengths differ, or two people have that name and no key is
                given.
            SpaceMismatch: if the gallery holds vectors of another space.
            StoreError: if the file cannot be written; then nothing has changed.
        """
        name = _name(name)
        if not isinstance(space, str) or not space:
            raise InputError(f"space: expected the embedding space of the vectors, got {space!r}")
        if identity_id is not None:
            _key(identity_id)
        rows = checked("vectors", np.atleast_2d(np.asarray(vectors)), (None, None))
        if media is None:
            media = [f"vector-{hashlib.sha256(row.tobytes()).hexdigest()}" for row in rows]
        fuse.fuse_photos(rows, media, space, qualities)  # refuse before anything is locked
        now = datetime.now(timezone.utc).isoformat(timespec="microseconds")
        given = [None] * len(rows) if qualities is None else list(qualities)
        new = [Photo(m, Template(v, space).vector, q, now) for m, v, q in zip(media, rows, given, strict=True)]
        with self.store.write() as change:
            _check_space(change, space, rows.shape[1])
            old = change.person(identity_id) if identity_id else _the_one(change.named(name), name)
            photos = {photo.medium: photo for photo in (change.photos(old.id) if old else [])}
            photos.update({photo.medium: photo for photo in new})
            key = old.id if old else identity_id or uuid.uuid4().hex
            person = Identity(key, name, _fused(list(photos.values()), space), old.enrolled_at if old else now)
            change.put(person, list(photos.values()))
            return _known(change, person.id)

    def rename(self, identity_id: str, name: str) -> Identity:
        """Give a person another name; two people may share one."""
        name = _name(name)
        with self.store.write() as change:
            person = replace(_known(change, identity_id), name=name)
            change.put(person, change.photos(identity_id))
        return person

    def remove_photo(self, identity_id: str, medium: str) -> Identity:
        """Take a photo away from a person and fuse the others again.

        Raises:
            InputError: if the person has no such photo, or no other.
        """
        with self.store.write() as change:
            person = _known(change, identity_id)
            rest = [photo for photo in change.photos(identity_id) if photo.medium != medium]
            if len(rest) == person.template.n_images:
                raise InputError(f"medium: expected a photo of {person.name!r}, got {medium!r}")
            if not rest:
                raise InputError(f"medium: {medium!r} is the only photo of {person.name!r}: remove the person instead")
            person = replace(person, template=_fused(rest, person.template.space))
            change.put(person, rest)
        self.store.compact()
        return person

    def remove(self, identity_id: str) -> None:
        """Remove a person and all their photos; the bytes are overwritten in the file.

        Raises:
            InputError: if there is no person of that key.
        """
        with self.store.write() as change:
            if not change.delete(_key(identity_id)):
                raise InputError(f"identity: expected the key of an enrolled person, got {identity_id!r}")
        self.store.compact()

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
        rows = checked("vectors", np.atleast_2d(np.asarray(vectors)), (None, None))
        roster = self._current()
        _same_space(space, calibration.space)
        given = [None] * len(rows) if qualities is None else list(qualities)
        reasons = ["" if q is None else poor_quality(q) for q in given]
        bar, _ = calibration.threshold(fmr)
        good = [i for i, reason in enumerate(reasons) if not reason]
        for i, odd in zip(good, fuse.misfits(rows[good], bar), strict=True):
            if odd:
                reasons[i] = "does not look like the other photos of this person"
        if roster.ids:
            _same_space(space, roster.space)
            if rows.shape[1] != roster.vectors.shape[1]:
                raise InputError(f"vectors: expected {roster.vectors.shape[1]} numbers per row, got {rows.shape[1]}")
            crowd = max(fmr / len(roster.ids), calibration.smallest_fmr)  # each enrolled person is a chance to be wrong
            strict = max(bar, calibration.threshold(crowd)[0])
            known = [_held_against(row, roster, _name(name) if name else "", bar, strict) for row in rows]
            reasons = [reason or found for reason, found in zip(reasons, known, strict=True)]
        return reasons

    def search(self, probe: Template, k: int = 5) -> list[Match]:
        """The k most similar people, best first, without a decision.

        Raises:
            SpaceMismatch: if the probe is of another space.
            InputError: if k is below 1.
        """
        if not isinstance(probe, Template):
            raise InputError(f"probe: expected a template (Encoded.template gives one), got {type(probe).__name__}")
        if not isinstance(k, int) or k < 1:
            raise InputError(f"k: expected at least 1 person, a whole number, got {k!r}")
        roster = self._current()
        if not roster.ids:
            return []
        scores = _scores(probe, roster)
        best = top_k(scores[None], k)[0]
        return [
            Match(roster.ids[i], roster.names[i], float(scores[i]), rank) for rank, i in enumerate(best.tolist(), 1)
        ]

    def identify(
        self, probe: Template, *, calibration: Calibration, fmr: float = 1e-3, min_quality: float | None = None
    ) -> Decision:
        """Say who it is, or that it is a stranger, or abstain.

        It abstains when the picture is too poor and when the two best people are too close: within half of the score
        that separates FMR `fmr` from ten times that rate. Every enrolled person is one more chance to be wrong, so the
        rate of naming a stranger is `expected_fpir(fmr)`; to hold that rate instead, pass `fmr=fmr_for_fpir(rate)`.

        Args:
            probe: vector with its space and, if known, its quality.
            calibration: gives the threshold; of the same space.
            fmr: false match rate of one comparison.
            min_quality: abstain below it; None means the house's.

        Raises:
            SpaceMismatch: if spaces differ.
            InputError: if the calibration cannot support that rate.
        """
        if not isinstance(calibration, Calibration):
            raise InputError(f"calibration: expected one of vultus.gallery.calibrate, got {type(calibration).__name__}")
        best = self.search(probe, 2)
        _same_space(probe.space, calibration.space)
        bar, rate = calibration.threshold(fmr)
        n = len(self._current().ids)
        verdict = Decision("reject", best[0].score if best else None, bar, rate, calibration.describe())
        poor = "" if probe.quality is None else poor_quality(probe.quality, min_quality)
        if poor:
            return replace(verdict, outcome="abstain", reason=poor)
        if not best:
            return replace(verdict, reason="the gallery is empty")
        top = best[0]
        if top.score < bar:
            return replace(
                verdict, reason=f"nobody of {n} is alike enough: the closest, {top.name}, is {top.score:.3f}"
            )
        margin = calibration.margin(fmr)
        if len(best) > 1 and top.score - best[1].score < margin:
            return replace(
                verdict,
                outcome="abstain",
                match=top,
                reason=f"{top.name} ({top.score:.3f}) and {best[1].name} ({best[1].score:.3f}) are too close to tell "
                f"apart: {margin:.3f} is needed",
            )
        chance = _expected_fpir(rate.value if rate.value is not None else fmr, n)
        return replace(
            verdict,
            outcome="accept",
            match=top,
            reason=f"a stranger would be named, as one of {n} people, in about {chance:.2%} of searches",
        )

    def expected_fpir(self, fmr: float) -> float:
        """The share of searches with a stranger that name somebody: 1 - (1 - FMR)^N for N people.

        An estimate: comparisons count as independent and references as single photos. On LFW with 1,559 people and
        2,000 strangers at FMR 1e-4 and 1e-5 it says .144 and .015; MobileFaceNet named .118 and .018 of the strangers
        and abstained on .038 and none, dlib's network named .106 and .025 and abstained on .097 and .007.
        """
        return _expected_fpir(fmr, len(self))

    def fmr_for_fpir(self, fpir: float) -> float:
        """The false match rate per comparison that keeps the share of strangers named at `fpir`."""
        if not is_number(fpir) or not 0.0 < fpir < 1.0:
            raise InputError(f"fpir: expected a share between 0 and 1, got {fpir!r}")
        return -math.expm1(math.log1p(-fpir) / max(len(self), 1))

    def damage(self) -> list[str]:
        """Everything wrong with the file: SQLite's own check, checksums, references that their photos do not give."""
        found = self.store.damage()
        for person in self.people():
            with self._view(person.id) as photos:
                again = _fused(photos, person.template.space)
            if not np.array_equal(again.vector, person.template.vector):
                found.append(f"the reference of {person.name!r} ({person.id}) is not the one fused from its photos")
        return found

    @contextmanager
    def _view(self, identity_id: str) -> Iterator[list[Photo]]:
        with self.store.read() as view:
            yield view.photos(identity_id)

    def _current(self) -> Roster:
        """The people as they are now; read again only when somebody has written."""
        with self._lock:
            if self._roster is None or self._roster.revision != self.store.revision():
                self._roster = self.store.roster()
            return self._roster


def _held_against(row: F32, roster: Roster, name: str, bar: float, strict: float) -> str:
    """What people enrolled before say about a photo that is said to show `name`; `strict` is the bar for the others."""
    scores = roster.vectors @ row
    mine = np.array([other == name for other in roster.names])
    if mine.any() and scores[mine].max() < bar:
        return f"does not look like {name} as enrolled before ({scores[mine].max():.3f} < {bar:.3f})"
    if not mine.all():
        best = int(np.argmax(np.where(mine, -np.inf, scores)))
        if scores[best] >= strict and (not mine.any() or scores[best] > scores[mine].max()):
            return f"looks like {roster.names[best]}, who is enrolled already ({scores[best]:.3f} >= {strict:.3f})"
    return ""


def _scores(probe: Template, roster: Roster) -> F32:
    _same_space(probe.space, roster.space)
    if len(probe.vector) != roster.vectors.shape[1]:
        raise InputError(f"probe: expected {roster.vectors.shape[1]} numbers, got {len(probe.vector)}")
    scores: F32 = np.clip(roster.vectors @ probe.vector, -1.0, 1.0)
    return scores


def _fused(photos: Sequence[Photo], space: str) -> Template:
    vectors = np.stack([photo.vector for photo in photos])
    return fuse.fuse_photos(vectors, [p.medium for p in photos], space, [p.quality for p in photos])


def _name(name: str) -> str:
    """One spelling per name: without blank ends, and in Unicode NFC, so that é is one letter whoever typed it."""
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"name: expected some text, got {name!r}")
    return _writable("name", unicodedata.normalize("NFC", name.strip()))


def _key(identity_id: str) -> str:
    if not isinstance(identity_id, str) or not identity_id:
        raise InputError(f"identity: expected the key of a person, got {identity_id!r}")
    return _writable("identity", identity_id)


def _writable(what: str, text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{what}: expected letters that UTF-8 can hold, got {text!r}") from error
    return text


def _the_one(people: Sequence[Identity], name: str) -> Identity | None:
    if len(people) > 1:
        ids = ", ".join(person.id for person in people)
        raise InputError(f"name: {len(people)} people are called {name!r} ({ids}): say which by identity_id")
    return people[0] if people else None


def _known(view: Transaction, identity_id: str) -> Identity:
    person = view.person(_key(identity_id))
    if person is None:
        raise InputError(f"identity: expected the key of an enrolled person, got {identity_id!r}")
    return person


def _check_space(view: Transaction, space: str, dim: int) -> None:
    _same_space(space, view.space() or space)
    if view.dim() not in (None, dim):
        raise InputError(f"vectors: expected {view.dim()} numbers per row as in this gallery, got {dim}")


def _same_space(left: str, right: str | None) -> None:
    if left != right:
        raise SpaceMismatch(left, str(right))


def _expected_fpir(fmr: float, n: int) -> float:
    if not is_number(fmr) or not 0.0 <= fmr <= 1.0:
        raise InputError(f"fmr: expected a share from 0 to 1, got {fmr!r}")
    return 1.0 if fmr == 1.0 and n else -math.expm1(n * math.log1p(-min(fmr, 1 - 1e-16)))

"""Photos of people into a gallery: which were used, which were refused, and why."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vultus.errors import InputError, StoreError, VultusError
from vultus.gallery import Gallery
from vultus.io.files import read_bytes
from vultus.io.images import Limits, list_pictures
from vultus.pipeline._encode import Encoded
from vultus.pipeline.previews import new_face, previews
from vultus.types import Identity

if TYPE_CHECKING:
    from vultus.pipeline._pipeline import Picture, Pipeline

AMBIGUOUS = 0.5  # a second face of at least this share of the largest one's area: nobody can say who is meant


@dataclass(frozen=True, slots=True)
class Enrollment:
    """What became of one person's photos.

    Attributes:
        name: the person.
        identity: as it stands in the gallery now, or None when no photo could be used.
        used: how many photos were added.
        known: how many were in the gallery already and were left as they are.
        refused: (photo, reason) for every other photo.
    """

    name: str
    identity: Identity | None
    used: int
    known: int
    refused: tuple[tuple[str, str], ...]


def people_folders(folder: str | os.PathLike[str]) -> dict[str, list[Path]]:
    """One folder per person -> name and photos.

    Raises:
        InputError: if the folder does not exist, holds no folder with a picture, or one whose name is no text.
        StoreError: if it may not be read.
    """
    if not isinstance(folder, (str, os.PathLike)) or not str(folder):
        raise InputError(f"folder: expected the name of a folder with one folder per person, got {folder!r}")
    root = Path(folder)
    if not os.path.isdir(root):
        raise InputError(f"{root}: expected a folder with one folder of photos per person, got {_kind(root)}")
    try:
        inside = [p for p in sorted(root.iterdir()) if p.is_dir() and not p.name.startswith(".")]
    except OSError as error:
        raise StoreError(f"{root}: cannot be listed: {error.strerror}: check its permissions") from error
    people: dict[str, list[Path]] = {}
    for path in inside:  # two folders may spell one name with other bytes: Ann and Ann with a blank, é in one or two
        people.setdefault(_name(path), []).extend(list_pictures(path))
    people = {name: photos for name, photos in people.items() if photos}
    if not people:
        raise InputError(f"{root}: expected one folder of photos per person (NAME/photo.jpg), found no such folder")
    return people


def enroll(
    pipe: Pipeline,
    name: str,
    pictures: Sequence[Picture],
    gallery: Gallery,
    *,
    force: bool = False,
    actor: str = "local",
) -> Enrollment:
    """See `Pipeline.enroll`."""
    name = unicodedata.normalize("NFC", name.strip())
    have = _media_of(gallery, name)
    fresh = [p for p in pictures if not (isinstance(p, (str, Path)) and _sha256(p) in have)]
    usable: list[tuple[Encoded, int]] = []
    refused: list[tuple[str, str]] = []
    seen: dict[str, str] = {}
    read: list[tuple[Picture, Encoded]] = []
    for picture, result in zip(fresh, pipe.stream(fresh), strict=True):
        label = str(picture) if isinstance(picture, (str, Path)) else "picture"
        reason = unusable(result)
        if reason:
            refused.append((label, reason))
        elif isinstance(result, Encoded) and result.sha256 in seen:
            refused.append((label, f"the same file as {seen[result.sha256]}"))
        elif isinstance(result, Encoded):
            seen[result.sha256] = label
            read.append((picture, result))
            usable.append((result, result.main()))
    usable, theirs = _free(usable, name, gallery)
    refused += theirs
    if usable and not force:
        usable, unlike = _screened(pipe, name, usable, gallery)
        refused += unlike
    if usable:
        picture_of = {encoded.sha256: picture for picture, encoded in read}
        faces = [new_face(e, i, previews(picture_of[e.sha256], e)[i]) for e, i in usable]
        gallery.enroll_faces(name, faces, pipe.space, actor=actor)
    same = gallery.named(name)
    known = len(pictures) - len(fresh)
    return Enrollment(name, same[0] if len(same) == 1 else None, len(usable), known, tuple(refused))


def enroll_folder(
    pipe: Pipeline, folder: str | os.PathLike[str], gallery: Gallery, *, force: bool = False
) -> Iterator[Enrollment]:
    """Enroll every person of a folder, one transaction each; run again after an interruption to go on."""
    for name, photos in people_folders(folder).items():
        yield enroll(pipe, name, photos, gallery, force=force)


def _free(
    usable: list[tuple[Encoded, int]], name: str, gallery: Gallery
) -> tuple[list[tuple[Encoded, int]], list[tuple[str, str]]]:
    """Faces that are nobody else's; a face of a picture is one person, so that is not a matter of likeness."""
    owners = gallery.owners([new_face(encoded, index) for encoded, index in usable])
    pairs = list(zip(usable, owners, strict=True))
    why = "this face of this picture is {}'s already: assign the face to {} instead"
    refused = [(str(e.source), why.format(owner, name)) for (e, _), owner in pairs if owner not in (None, name)]
    return [pair for pair, owner in pairs if owner in (None, name)], refused


def _screened(
    pipe: Pipeline, name: str, usable: list[tuple[Encoded, int]], gallery: Gallery
) -> tuple[list[tuple[Encoded, int]], list[tuple[str, str]]]:
    reasons = gallery.screen(
        np.stack([e.embedded.vec[i] for e, i in usable]),
        pipe.space,
        calibration=pipe.calibration,
        qualities=[float(e.quality[i]) for e, i in usable],
        name=name,
    )
    kept = [pair for pair, reason in zip(usable, reasons, strict=True) if not reason]
    return kept, [(str(e.source), reason) for (e, _), reason in zip(usable, reasons, strict=True) if reason]


def unusable(result: Encoded | VultusError) -> str:
    """Why a photo cannot be enrolled, or ""."""
    if isinstance(result, VultusError):
        return str(result)
    if not len(result):
        return "no face found"
    sides = result.detections.boxes[:, 2:] - result.detections.boxes[:, :2]
    areas = np.sort(np.prod(sides, axis=1))[::-1]
    if len(areas) > 1 and areas[1] >= AMBIGUOUS * areas[0]:
        return f"{len(areas)} faces, and the two largest are of similar size: crop the photo to the person meant"
    return ""


def _media_of(gallery: Gallery, name: str) -> set[str]:
    return {medium for person in gallery.named(name) for medium in person.template.media}


def _sha256(path: str | Path) -> str:
    """Of a file; "" when it cannot be read, which the decoder will explain."""
    try:
        return hashlib.sha256(read_bytes(path, Limits().max_bytes)).hexdigest()
    except VultusError:
        return ""


def _name(folder: Path) -> str:
    name = unicodedata.normalize("NFC", folder.name.strip())
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{folder}: expected a folder named in UTF-8 letters, got other bytes: rename it") from error
    if not name:
        raise InputError(f"{str(folder)!r}: expected a folder with a person's name, got a blank one: rename it")
    return name


def _kind(path: Path) -> str:
    return "a file" if path.exists() else "nothing"

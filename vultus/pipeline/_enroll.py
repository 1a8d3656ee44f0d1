"""Photos of people into a gallery: which were used, which were refused, and why."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vultus.errors import InputError, VultusError
from vultus.gallery import Gallery
from vultus.io.images import list_pictures
from vultus.pipeline._encode import Encoded
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


def people_folders(folder: str | Path) -> dict[str, list[Path]]:
    """One folder per person -> name and photos.

    Raises:
        InputError: if the folder does not exist or holds no folder with a picture.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"{root}: expected a folder with one folder of photos per person, got {_kind(root)}")
    people = {p.name: list_pictures(p) for p in sorted(root.iterdir()) if p.is_dir() and not p.name.startswith(".")}
    people = {name: photos for name, photos in people.items() if photos}
    if not people:
        raise InputError(f"{root}: expected one folder of photos per person (NAME/photo.jpg), found no such folder")
    return people


def enroll(
    pipe: Pipeline, name: str, pictures: Sequence[Picture], gallery: Gallery, *, force: bool = False
) -> Enrollment:
    """See `Pipeline.enroll`."""
    have = _media_of(gallery, name)
    fresh = [p for p in pictures if not (isinstance(p, (str, Path)) and _sha256(p) in have)]
    usable: list[tuple[Encoded, int]] = []
    refused: list[tuple[str, str]] = []
    for picture, result in zip(fresh, pipe.stream(fresh), strict=True):
        label = str(picture) if isinstance(picture, (str, Path)) else "picture"
        reason = _unusable(result)
        if reason:
            refused.append((label, reason))
        elif isinstance(result, Encoded):
            usable.append((result, result.main()))
    if usable and not force:
        usable, unlike = _screened(pipe, name, usable, gallery)
        refused += unlike
    if usable:
        gallery.enroll(
            name,
            np.stack([e.embedded.vec[i] for e, i in usable]),
            [float(e.quality[i]) for e, i in usable],
            [e.sha256 for e, _ in usable],
            pipe.space,
        )
    same = [person for person in gallery.people() if person.name == name.strip()]
    known = len(pictures) - len(fresh)
    return Enrollment(name, same[0] if len(same) == 1 else None, len(usable), known, tuple(refused))


def enroll_folder(pipe: Pipeline, folder: str | Path, gallery: Gallery, *, force: bool = False) -> Iterator[Enrollment]:
    """Enroll every person of a folder, one transaction each; run again after an interruption to go on."""
    for name, photos in people_folders(folder).items():
        yield enroll(pipe, name, photos, gallery, force=force)


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


def _unusable(result: Encoded | VultusError) -> str:
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
    return {medium for person in gallery.people() if person.name == name.strip() for medium in person.template.media}


def _sha256(path: str | Path) -> str:
    """Of a file; "" when it cannot be read, which the decoder will explain."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return ""


def _kind(path: Path) -> str:
    return "a file" if path.exists() else "nothing"

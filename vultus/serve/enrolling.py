"""Photos of one person into the gallery: which are used, which are refused, and whom one of them looks like."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vultus.errors import VultusError
from vultus.gallery import Gallery
from vultus.pipeline import Encoded, Pipeline
from vultus.pipeline._enroll import unusable
from vultus.pipeline.previews import new_face
from vultus.serve.batching import Seen
from vultus.serve.bodies import Upload
from vultus.serve.errors import Problem

__all__ = ["Outcome", "Who", "enroll", "fresh"]


@dataclass(frozen=True, slots=True)
class Who:
    """Whose photos they are.

    Attributes:
        name: as shown.
        person_id: key of a person who is there, or None: by the name.
        force: keep what quality or likeness speak against.
        actor: who does it.
    """

    name: str
    person_id: str | None
    force: bool
    actor: str


@dataclass(slots=True)
class Outcome:
    """What became of them.

    Attributes:
        used: how many were added.
        known: how many were there already.
        refused: photo and reason of every other.
        person_id: whose they are now, or None when nobody was enrolled.
    """

    used: int = 0
    known: int = 0
    refused: list[dict[str, str]] = field(default_factory=list)
    person_id: str | None = None


def fresh(gallery: Gallery, who: Who, uploads: Sequence[Upload]) -> tuple[list[Upload], Outcome]:
    """The photos that this person does not have yet, each once."""
    people = [gallery.person(who.person_id)] if who.person_id else gallery.named(who.name)
    if len(people) > 1:
        ids = [person.id for person in people]
        raise Problem(409, "Conflict", f"{len(ids)} people have that name: add photos by id", {"person_ids": ids})
    have = {medium for person in people for medium in person.template.media}
    outcome = Outcome(person_id=people[0].id if people else None)
    new: dict[str, Upload] = {}
    for upload in uploads:
        digest = hashlib.sha256(upload.data).hexdigest()
        if digest in have:
            outcome.known += 1
        elif digest in new:
            outcome.refused.append({"photo": upload.label, "reason": f"the same file as {new[digest].label}"})
        else:
            new[digest] = upload
    return list(new.values()), outcome


def enroll(
    gallery: Gallery,
    pipe: Pipeline,
    who: Who,
    uploads: Sequence[Upload],
    seen: Sequence[Seen | VultusError],
    outcome: Outcome,
) -> Outcome:
    """Add what can be used, in one transaction.

    Raises:
        Problem: 409 when a photo looks like, or is, somebody else's; then nothing is added. 422 when none can be used,
            409 when that is because they show somebody else than the person who is there.
    """
    pipe.check(gallery)
    usable: list[tuple[str, Seen, int]] = []
    for upload, result in zip(uploads, seen, strict=True):
        reason = unusable(result.encoded if isinstance(result, Seen) else result)
        if reason or not isinstance(result, Seen):
            outcome.refused.append({"photo": upload.label, "reason": reason})
        else:
            usable.append((upload.label, result, result.encoded.main()))
    _owned(gallery, who, usable, outcome.person_id)
    if usable and not who.force:
        usable = _screened(gallery, pipe, who, usable, outcome)
    if usable:
        faces = [new_face(s.encoded, i, s.previews[i] if s.previews else None) for _, s, i in usable]
        person = gallery.enroll_faces(who.name, faces, pipe.space, identity_id=outcome.person_id, actor=who.actor)
        outcome.person_id, outcome.used = person.id, len(usable)
    if not outcome.used and not outcome.known:
        unlike = any(item["reason"].startswith("does not look like") for item in outcome.refused)
        raise Problem(
            409 if unlike else 422, "NothingUsed", "none of the photos could be used", {"refused": outcome.refused}
        )
    return outcome


def _owned(gallery: Gallery, who: Who, usable: list[tuple[str, Seen, int]], person_id: str | None) -> None:
    """A face of a stored picture is somebody already: that is no matter of likeness."""
    owners = gallery.owners([new_face(s.encoded, i) for _, s, i in usable])
    taken = [
        {"photo": label, "name": owner}
        for (label, _, _), owner in zip(usable, owners, strict=True)
        if owner not in (None, who.name)
    ]
    if taken:
        raise Problem(
            409,
            "Conflict",
            "a face on these photos is somebody's already: assign it",
            {**_first(taken), "photos": taken},
        )


def _screened(
    gallery: Gallery, pipe: Pipeline, who: Who, usable: list[tuple[str, Seen, int]], outcome: Outcome
) -> list[tuple[str, Seen, int]]:
    encoded: list[tuple[Encoded, int]] = [(s.encoded, i) for _, s, i in usable]
    reasons = gallery.screen(
        np.stack([e.embedded.vec[i] for e, i in encoded]),
        pipe.space,
        calibration=pipe.calibration,
        qualities=[float(e.quality[i]) for e, i in encoded],
        name=who.name,
    )
    alike: list[dict[str, Any]] = []
    kept = []
    for item, (found, index), reason in zip(usable, encoded, reasons, strict=True):
        if reason.startswith("looks like"):
            best = gallery.search(found.template(index), 1)[0]
            alike.append({"photo": item[0], "person_id": best.identity_id, "name": best.name, "reason": reason})
        elif reason:
            outcome.refused.append({"photo": item[0], "reason": reason})
        else:
            kept.append(item)
    if alike:
        words = "a photo looks like somebody who is enrolled already: leave it out, or send force=true"
        raise Problem(409, "Conflict", words, {**_first(alike), "photos": alike, "refused": outcome.refused})
    return kept


def _first(photos: list[dict[str, Any]]) -> dict[str, Any]:
    return {key: value for key, value in photos[0].items() if key != "reason"}

"""What the server answers, as records. Keys that a newer server adds are left out; a missing key is an error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

__all__ = [
    "Cluster", "Compared", "Decision", "Detected", "Enrolled", "Face", "Identified", "Job", "Match", "Person",
    "Receipt", "Stored", "read",
]  # fmt: skip

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Match:
    """A candidate; `score` is None where the key's role is not told."""

    identity_id: str
    name: str
    score: float | None
    rank: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided ("accept", "reject", "abstain"), and the false match rate it stands for."""

    outcome: str
    score: float | None
    threshold: float
    fmr: Mapping[str, Any]
    calibration: str
    match: Match | None
    reason: str

    @property
    def accepted(self) -> bool:
        """True only for "accept"."""
        return self.outcome == "accept"


@dataclass(frozen=True, slots=True)
class Face:
    """A face of a picture that was sent; the last four are there where they were asked for.

    Attributes:
        box_px: x1, y1, x2, y2 in pixels of the upright picture.
        box_norm: the same as shares of its width and height.
        points_px: five (x, y), or None.
        score: of the detector.
        quality: in [0, 1].
        vector: of unit length.
        decision: who it is.
        candidates: the most alike.
        words: the decision in a sentence.
        face_id: when it was kept.
    """

    box_px: Mapping[str, float]
    box_norm: Mapping[str, float]
    points_px: list[list[float]] | None
    score: float
    quality: float
    vector: list[float] | None = None
    decision: Decision | None = None
    candidates: tuple[Match, ...] = ()
    words: str = ""
    face_id: str | None = None


@dataclass(frozen=True, slots=True)
class Detected:
    """Faces of a picture; `space` and vectors when they were embedded."""

    image: Mapping[str, Any]
    faces: tuple[Face, ...]
    space: str = ""
    dim: int = 0


@dataclass(frozen=True, slots=True)
class Identified:
    """Faces of a picture and who they are."""

    image: Mapping[str, Any]
    faces: tuple[Face, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """Whether two pictures show one person."""

    decision: Decision
    words: str


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is enrolled."""

    id: str
    name: str
    n_faces: int
    enrolled_at: str
    attributes: Mapping[str, Any]
    cover_face_id: str | None


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What became of photos: how many were used, known already, and refused with which reason."""

    person: Person | None
    used: int
    known: int
    refused: tuple[Mapping[str, str], ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """A face that the gallery keeps."""

    id: str
    medium: str
    person_id: str | None
    person_name: str | None
    cluster_id: str | None
    box_px: Mapping[str, float] | None
    box_norm: Mapping[str, float] | None
    quality: float | None
    score: float | None
    assigned_by: str
    added_at: str


@dataclass(frozen=True, slots=True)
class Cluster:
    """Unknown faces that look alike."""

    id: str
    size: int
    face_ids: tuple[str, ...]
    suggestion: Match | None
    purity: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Job:
    """Long work."""

    id: str
    kind: str
    owner: str
    state: str
    done: int
    total: int
    message: str
    result: Mapping[str, Any] | None
    created_at: str
    ended_at: str | None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state not in ("queued", "running")


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an erasure removed, what was checked afterwards, and where it does not reach."""

    id: str
    person_id: str
    at: str
    actor: str
    removed: Mapping[str, int]
    verified: tuple[str, ...]
    beyond: tuple[str, ...]
    audit_seq: int
    audit_hash: str


_INSIDE: dict[str, type] = {"decision": Decision, "match": Match, "suggestion": Match, "person": Person}
_LISTS: dict[str, type | None] = {
    "faces": Face, "candidates": Match, "refused": None, "face_ids": None, "verified": None, "beyond": None,
}  # fmt: skip


def read(kind: type[R], document: Mapping[str, Any]) -> R:
    """A JSON object as a record."""
    given = {f.name: document[f.name] for f in fields(kind) if f.name in document}  # type: ignore[arg-type]
    for name, value in given.items():
        if name in _INSIDE and value is not None:
            given[name] = read(_INSIDE[name], value)
        elif name in _LISTS:
            inner = _LISTS[name]
            given[name] = tuple(value if inner is None else (read(inner, item) for item in value))
    return kind(**given)

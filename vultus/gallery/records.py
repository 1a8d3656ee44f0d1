"""What a gallery hands out beside people: faces, links between them, its history, clusters, levels of security."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np

from vultus.errors import InputError
from vultus.types import F32, Metric, checked, is_number

__all__ = [
    "ASSIGNED_BY",
    "LINK_KINDS",
    "Box",
    "Cluster",
    "Entry",
    "Link",
    "Medium",
    "NewFace",
    "SecurityLevel",
    "StoredFace",
]

Box = tuple[float, float, float, float]  # x1, y1, x2, y2: pixels of the upright picture, edge coordinates
AssignedBy = Literal["enroll", "user", "cluster", "import"]
LinkKind = Literal["must", "cannot", "not_person"]
ASSIGNED_BY = ("enroll", "user", "cluster", "import")
LINK_KINDS = ("must", "cannot", "not_person")


class _Plain:
    """One serialization for all of them."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, one key per field."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}  # type: ignore[arg-type]


def _plain(value: Any) -> Any:
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return value


@dataclass(frozen=True, slots=True)
class StoredFace(_Plain):
    """A face on a picture, without its vector.

    Attributes:
        id: stable; re-processing the picture keeps it.
        medium: sha256 of the picture.
        person_id: who it is, or None when nobody knows.
        cluster: key of the cluster of unknown faces it belongs to, or None.
        box: x1, y1, x2, y2 in pixels of the upright picture, or None when it was enrolled without one.
        score: the detector's confidence in [0, 1], or None.
        quality: usefulness in [0, 1], or None when it was not assessed.
        assigned_by: what put it where it is: "enroll", "user" (a correction by hand), "cluster" or "import".
        added_at: UTC, ISO 8601.
    """

    id: str
    medium: str
    person_id: str | None
    cluster: str | None
    box: Box | None
    score: float | None
    quality: float | None
    assigned_by: str
    added_at: str


@dataclass(frozen=True, slots=True, eq=False)
class NewFace:
    """A face to be kept.

    Attributes:
        medium: sha256 of the picture, or another key of it.
        vector: (D,) float32 of unit length.
        box: x1, y1, x2, y2 in pixels of the upright picture, or None.
        score: the detector's confidence in [0, 1], or None.
        quality: usefulness in [0, 1], or None.
        crop_jpeg: a small JPEG of the face for people to look at, or None.
        source: where the picture came from (a path), or None.
        size_hw: height and width of the picture in pixels, or None.
    """

    medium: str
    vector: F32
    box: Box | None = None
    score: float | None = None
    quality: float | None = None
    crop_jpeg: bytes | None = None
    source: str | None = None
    size_hw: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        if not isinstance(self.medium, str) or not self.medium:
            raise InputError(f"medium: expected the key of a picture (its sha256), got {self.medium!r}")
        set_(self, "vector", checked("vector", self.vector, (None,)))
        length = float(np.linalg.norm(self.vector))
        if abs(length - 1.0) > 1e-3:
            raise InputError(f"vector: expected unit length, got {length:.4f}")
        if self.box is not None:
            box = checked("box", self.box, (4,), np.float64)
            if box[2] <= box[0] or box[3] <= box[1]:
                raise InputError(f"box: expected x1 < x2 and y1 < y2, got {box.tolist()}")
            set_(self, "box", tuple(box.tolist()))
        for name in ("score", "quality"):
            value = getattr(self, name)
            if value is not None:
                if not is_number(value) or not 0.0 <= value <= 1.0:
                    raise InputError(f"{name}: expected a number in [0, 1] or None, got {value!r}")
                set_(self, name, float(value))
        if self.crop_jpeg is not None and not isinstance(self.crop_jpeg, bytes):
            raise InputError(f"crop_jpeg: expected the bytes of a JPEG file, got {type(self.crop_jpeg).__name__}")


@dataclass(frozen=True, slots=True)
class Medium(_Plain):
    """A picture whose faces are kept.

    Attributes:
        medium: sha256 of the picture.
        source: where it came from, or None.
        height: pixels, or None.
        width: pixels, or None.
        exclusive: the same-photo constraint: its faces are different people (not so on a collage or in a mirror).
        added_at: UTC, ISO 8601.
    """

    medium: str
    source: str | None
    height: int | None
    width: int | None
    exclusive: bool
    added_at: str


@dataclass(frozen=True, slots=True)
class Link(_Plain):
    """What somebody said about faces; it outlives re-processing and decides before any score.

    Attributes:
        id: of the link.
        kind: "must": faces a and b show one person; "cannot": they do not; "not_person": face a is not person b.
        a: key of a face.
        b: key of a face or, for "not_person", of a person.
        actor: who said it.
        at: UTC, ISO 8601.
    """

    id: str
    kind: str
    a: str
    b: str
    actor: str
    at: str


@dataclass(frozen=True, slots=True)
class Entry(_Plain):
    """One correction in the history.

    Attributes:
        seq: its number.
        at: UTC, ISO 8601.
        actor: who made it.
        verb: "merge", "split", "assign", ...
        people: keys of the people it touched.
        summary: what was done, in words.
        undone_at: when it was taken back, or None.
    """

    seq: int
    at: str
    actor: str
    verb: str
    people: tuple[str, ...]
    summary: str
    undone_at: str | None


@dataclass(frozen=True, slots=True)
class Cluster(_Plain):
    """Unknown faces that look alike.

    Attributes:
        id: stable while faces join.
        face_ids: its faces, those nearest to its middle first.
        purity: estimated share of its faces that show its main person, or None.
    """

    id: str
    face_ids: tuple[str, ...]
    purity: Metric | None = None

    @property
    def size(self) -> int:
        """How many faces."""
        return len(self.face_ids)


@dataclass(frozen=True, slots=True)
class SecurityLevel(_Plain):
    """What a false match rate means in this gallery, and what it costs.

    Attributes:
        fmr: false match rate of one comparison.
        threshold: accept from this score on.
        fpir: share of searches with a stranger that name somebody, expected from 1 - (1 - FMR)^N.
        fpir_own: the same, measured: every face of this gallery searched among all people but its own.
        fnmr_own: share of this gallery's faces that the reference made of their person's other faces would reject.
        people: N.
        words: the level in one sentence.
        parts: what the measured shares rest on, in words.
    """

    fmr: float
    threshold: float
    fpir: Metric
    fpir_own: Metric
    fnmr_own: Metric
    people: int
    words: str
    parts: Mapping[str, Any] = field(default_factory=dict)


def one_in(rate: float) -> str:
    """A rate in words: "once in 10,000"."""
    return "never in what was measured" if rate <= 0 else f"once in {round(1 / rate):,}"

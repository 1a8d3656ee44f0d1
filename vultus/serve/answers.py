"""What answers hold, as models: they make the OpenAPI document and are checked on their way out."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from vultus.serve.roles import Role

__all__ = [
    "AuditPage",
    "AuditState",
    "Clustered",
    "ClustersPage",
    "Compared",
    "Detected",
    "Embedded",
    "Enrolled",
    "Envelope",
    "FacesPage",
    "Health",
    "HistoryEntry",
    "HistoryPage",
    "Identified",
    "JobOut",
    "JobsPage",
    "KeyMade",
    "KeyOut",
    "KeysPage",
    "LinkOut",
    "LinksPage",
    "Me",
    "Models",
    "PeoplePage",
    "PersonFull",
    "PersonOut",
    "ReceiptOut",
    "Searched",
    "SecurityOut",
    "Stored",
    "Suggested",
]


class Answer(BaseModel):
    """An answer."""

    model_config = ConfigDict(extra="forbid")


class Problem(Answer):
    """What went wrong."""

    code: str
    message: str
    details: dict[str, Any]


class Envelope(Answer):
    """Every answer that is not a success."""

    error: Problem
    request_id: str


# ---------------------------------------------------------------- parts
class BoxPx(Answer):
    """Edges in pixels of the upright picture."""

    x1: float
    y1: float
    x2: float
    y2: float


class BoxNorm(Answer):
    """Edges as shares of width and height."""

    x1: float
    y1: float
    x2: float
    y2: float


class Picture(Answer):
    """A picture that was sent."""

    sha256: str
    width: int
    height: int


class FaceFound(Answer):
    """A face on it. Points: viewer's left eye, right eye, nose, left and right corner of the mouth."""

    box_px: BoxPx
    box_norm: BoxNorm
    points_px: list[list[float]] | None
    score: float
    quality: float


class MetricOut(Answer):
    """A number with its 95 % interval."""

    value: float | None
    low: float | None
    high: float | None
    unit: str
    n: int
    note: str


class MatchOut(Answer):
    """A candidate. Keys of the role `identify` get scores rounded down to .05."""

    identity_id: str
    name: str
    score: float | None
    rank: int


class DecisionOut(Answer):
    """What was decided, and at which error rate."""

    outcome: Literal["accept", "reject", "abstain"]
    score: float | None
    threshold: float
    fmr: MetricOut
    calibration: str
    match: MatchOut | None
    reason: str


# ---------------------------------------------------------------- server
class QueueOut(Answer):
    """Pictures that wait for the models."""

    waiting: int
    limit: int


class StoreOut(Answer):
    """The gallery."""

    people: int
    faces: int
    unknown: int
    space: str | None


class Health(Answer):
    """Whether the server works; what it works with is told to keys only."""

    status: Literal["ok", "stopping"]
    version: str
    store: StoreOut | None = None
    queue: QueueOut | None = None
    models: dict[str, str | int | bool | None] | None = None


class Me(Answer):
    """Whose key this is."""

    key_id: str
    role: Role
    name: str


class CardOut(Answer):
    """A weight file that is ready on this server."""

    id: str
    kind: str
    method: str
    sha256: str
    license: str
    commercial: str
    training_data: str


class Models(Answer):
    """What the server works with."""

    parts: dict[str, str | int | bool | None]
    space: str
    calibration: str | None
    cards: list[CardOut]


class KeyOut(Answer):
    """A key, without its secret."""

    id: str
    name: str
    role: Role
    created_at: str
    revoked_at: str | None


class KeyMade(KeyOut):
    """A new key: `key` is shown here and never again."""

    key: str


class KeysPage(Answer):
    """Keys."""

    items: list[KeyOut]
    next_cursor: str | None


class JobOut(Answer):
    """Long work."""

    id: str
    kind: str
    owner: str
    state: Literal["queued", "running", "done", "failed", "canceled", "interrupted"]
    done: int
    total: int
    message: str
    result: dict[str, Any] | None
    created_at: str
    ended_at: str | None


class JobsPage(Answer):
    """Jobs, the latest first."""

    items: list[JobOut]
    next_cursor: str | None


# ---------------------------------------------------------------- pictures
class Detected(Answer):
    """Faces of a picture."""

    image: Picture
    faces: list[FaceFound]


class FaceEmbedded(FaceFound):
    """A face with its vector, of unit length."""

    vector: list[float]


class Embedded(Answer):
    """Faces of a picture with their vectors."""

    image: Picture
    faces: list[FaceEmbedded]
    space: str
    dim: int


class Compared(Answer):
    """Whether two pictures show one person."""

    decision: DecisionOut
    words: str


class FaceIdentified(FaceFound):
    """A face and who it is."""

    decision: DecisionOut
    candidates: list[MatchOut]
    words: str
    face_id: str | None


class Identified(Answer):
    """Faces of a picture and who they are."""

    image: Picture
    faces: list[FaceIdentified]


class Searched(Answer):
    """The most similar people, without a decision."""

    candidates: list[MatchOut]


# ---------------------------------------------------------------- people
class PersonOut(Answer):
    """A person."""

    id: str
    name: str
    n_faces: int
    enrolled_at: str
    attributes: dict[str, Any]
    cover_face_id: str | None


class PeoplePage(Answer):
    """People, ordered by id."""

    items: list[PersonOut]
    next_cursor: str | None


class Refusal(Answer):
    """A photo that was not used."""

    photo: str
    reason: str


class Enrolled(Answer):
    """What became of photos."""

    person: PersonOut | None
    used: int
    known: int
    refused: list[Refusal]


class TemplateOut(Answer):
    """A reference, without its vector."""

    space: str
    n_images: int
    quality: float | None


class FaceOut(Answer):
    """A stored face."""

    id: str
    medium: str
    person_id: str | None
    person_name: str | None
    cluster_id: str | None
    box_px: BoxPx | None
    box_norm: BoxNorm | None
    quality: float | None
    score: float | None
    assigned_by: str
    added_at: str


class FacesPage(Answer):
    """Stored faces, ordered by id."""

    items: list[FaceOut]
    next_cursor: str | None


class PersonFull(PersonOut):
    """A person with the reference and the first page of faces."""

    template: TemplateOut
    faces: FacesPage


class ReceiptOut(Answer):
    """What an erasure removed, and what was checked afterwards."""

    id: str
    person_id: str
    at: str
    actor: str
    removed: dict[str, int]
    verified: list[str]
    beyond: list[str]
    audit_seq: int
    audit_hash: str


# ---------------------------------------------------------------- faces
class Stored(Answer):
    """Faces as they are stored now."""

    faces: list[FaceOut]


class Suggested(Answer):
    """Who a stored face may be."""

    decision: DecisionOut
    words: str


class LinkOut(Answer):
    """What two faces, or a face and a person, are to one another."""

    id: str
    kind: Literal["must", "cannot", "not_person"]
    a: str
    b: str
    actor: str
    at: str


class LinksPage(Answer):
    """Links."""

    items: list[LinkOut]
    next_cursor: str | None


class HistoryEntry(Answer):
    """A correction."""

    seq: int
    at: str
    actor: str
    verb: str
    summary: str
    undone_at: str | None
    can_undo: bool


class HistoryPage(Answer):
    """Corrections, the latest first."""

    items: list[HistoryEntry]
    next_cursor: str | None


class Clustered(Answer):
    """Unknown faces that look alike."""

    id: str
    size: int
    face_ids: list[str]
    suggestion: MatchOut | None
    purity: MetricOut | None


class ClustersPage(Answer):
    """Clusters, the largest first."""

    items: list[Clustered]
    next_cursor: str | None


# ---------------------------------------------------------------- operation
class Level(Answer):
    """What a false match rate means in this gallery."""

    fmr: float
    threshold: float
    words: str
    fpir: MetricOut
    fpir_own: MetricOut
    fnmr_own: MetricOut


class SecurityOut(Answer):
    """The rate in use, and what others would mean."""

    fmr: float
    people: int
    calibration: str
    words: str
    levels: list[Level]


class AuditRow(Answer):
    """A row of the audit."""

    seq: int
    at: str
    actor: str
    verb: str
    subject: str
    details: Any
    previous: str
    hash: str


class AuditPage(Answer):
    """The audit, the latest first."""

    items: list[AuditRow]
    next_cursor: str | None


class AuditState(Answer):
    """Whether the audit's chain is whole."""

    ok: bool
    rows: int
    problems: list[str]

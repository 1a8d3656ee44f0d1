"""What requests may hold: strict models with bounds. Unknown keys are refused."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from vultus.serve.limits import Limits
from vultus.serve.roles import Role

__all__ = [
    "Ask",
    "Assign",
    "CompareAsk",
    "DetectAsk",
    "EmbedAsk",
    "EnrollAsk",
    "Erase",
    "FaceIds",
    "Id",
    "IdentifyAsk",
    "JobAsk",
    "KeyAsk",
    "LinkAsk",
    "Merge",
    "NameOrPerson",
    "PersonPatch",
    "PhotosAsk",
    "SearchAsk",
    "Security",
    "Split",
    "StoreAsk",
]

_LIMITS = Limits()
_PRINTED = r"[^\u0000-\u001f\u007f]"
# some text, without control characters, and with at least one character that is no blank
Name = Annotated[
    str,
    Field(min_length=1, max_length=_LIMITS.name_chars, pattern=rf"^{_PRINTED}*[^\s\u0000-\u001f\u007f]{_PRINTED}*$"),
]
Id = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\u0000-\u001f\u007f/]+$")]
Rate = Annotated[float, Field(ge=1e-6, le=0.1, description="false match rate of one comparison")]
Fpir = Annotated[float, Field(ge=1e-6, le=0.5, description="share of searches with a stranger that may name somebody")]
Ids = Annotated[list[Id], Field(min_length=1, max_length=_LIMITS.ids)]


class Ask(BaseModel):
    """A request."""

    model_config = ConfigDict(extra="forbid", strict=True)


class DetectAsk(Ask):
    """Beside the picture: nothing."""


class EmbedAsk(Ask):
    """Beside the picture: nothing."""


class CompareAsk(Ask):
    """Beside the pictures `a` and `b`."""

    fmr: Rate | None = None


class IdentifyAsk(Ask):
    """Beside the picture: one of two rates, and whether the faces are stored."""

    fmr: Rate | None = None
    fpir: Fpir | None = None
    keep: bool = False

    @model_validator(mode="after")
    def _one_rate(self) -> IdentifyAsk:
        if self.fmr is not None and self.fpir is not None:
            raise ValueError("expected fmr or fpir, got both")
        return self


class SearchAsk(Ask):
    """A vector with its space, or a picture."""

    vector: Annotated[list[float], Field(min_length=1, max_length=4096)] | None = None
    space: Annotated[str, Field(min_length=1, max_length=300)] | None = None
    k: Annotated[int, Field(ge=1, le=_LIMITS.candidates)] = 5


class EnrollAsk(Ask):
    """Beside the photos: whose they are."""

    name: Name
    force: bool = False


class PhotosAsk(Ask):
    """Beside the photos."""

    force: bool = False


class StoreAsk(Ask):
    """Beside the pictures: nothing."""


class PersonPatch(Ask):
    """What changes."""

    name: Name | None = None
    attributes: (
        dict[Annotated[str, Field(min_length=1, max_length=64)], Annotated[str, Field(max_length=500)]] | None
    ) = None

    @model_validator(mode="after")
    def _something(self) -> PersonPatch:
        if self.name is None and self.attributes is None:
            raise ValueError("expected name or attributes, got neither")
        if self.attributes is not None and len(self.attributes) > 50:
            raise ValueError("attributes: expected at most 50")
        return self


class Merge(Ask):
    """Who is taken into this person."""

    absorb_id: Id


class Split(Ask):
    """Which faces become a new person."""

    face_ids: Ids
    name: Name


class Erase(Ask):
    """The person's name, typed again."""

    confirm: Annotated[str, Field(min_length=1, max_length=_LIMITS.name_chars)]


class FaceIds(Ask):
    """Stored faces."""

    face_ids: Ids


class Assign(Ask):
    """Stored faces, and the person they show: one that is there, or a name."""

    face_ids: Ids
    person_id: Id | None = None
    name: Name | None = None

    @model_validator(mode="after")
    def _one_person(self) -> Assign:
        if (self.name is None) == (self.person_id is None):
            raise ValueError("expected name or person_id, one of them")
        return self


class NameOrPerson(Ask):
    """A person that is there, or a name."""

    person_id: Id | None = None
    name: Name | None = None

    @model_validator(mode="after")
    def _one_person(self) -> NameOrPerson:
        if (self.name is None) == (self.person_id is None):
            raise ValueError("expected name or person_id, one of them")
        return self


class LinkAsk(Ask):
    """What two faces, or a face and a person, are to one another."""

    kind: Literal["must", "cannot", "not_person"]
    a: Id
    b: Id


class Security(Ask):
    """The false match rate to decide at."""

    fmr: Rate


class JobAsk(Ask):
    """Long work."""

    kind: Literal["import", "cluster"]
    path: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    force: bool = False

    @model_validator(mode="after")
    def _path_of_import(self) -> JobAsk:
        if (self.kind == "import") != (self.path is not None):
            raise ValueError("expected path exactly for an import")
        return self


class KeyAsk(Ask):
    """A new key."""

    name: Name
    role: Role

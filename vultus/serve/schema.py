"""What requests may hold: strict models with bounds. Unknown keys are refused."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator
from pydantic.json_schema import SkipJsonSchema

from vultus.serve.limits import Limits
from vultus.serve.roles import Role

__all__ = [
    "Ask",
    "Assign",
    "ClusterJob",
    "CompareAsk",
    "DetectAsk",
    "EmbedAsk",
    "EnrollAsk",
    "Erase",
    "FaceIds",
    "Id",
    "IdentifyAsk",
    "ImportJob",
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
Fpir = Annotated[float, Field(ge=1e-5, le=0.5, description="share of searches with a stranger that may name somebody")]
Nothing = SkipJsonSchema[None]
Ids = Annotated[list[Id], Field(min_length=1, max_length=_LIMITS.ids)]


def _whole(value: Any) -> Any:
    """JSON has one kind of number: 5.0 is the whole number 5."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_WHOLE = BeforeValidator(_whole)  # after the bounds, so that the document knows them


class Ask(BaseModel):
    """A request.

    Attributes:
        alternative: fields that may stand in the place of a picture.
    """

    model_config = ConfigDict(extra="forbid", strict=True)
    alternative: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _no_null(cls, data: Any) -> Any:
        if isinstance(data, dict) and None in data.values():
            raise ValueError("expected no null: leave out what is not given")
        return data


class DetectAsk(Ask):
    """Beside the picture: nothing."""


class EmbedAsk(Ask):
    """Beside the picture: nothing."""


class CompareAsk(Ask):
    """Beside the pictures `a` and `b`."""

    fmr: Rate | Nothing = None


class IdentifyAsk(Ask):
    """Beside the picture: one of two rates, and which faces are stored: all, or those of these places from 0.

    In a form: `keep=true`, or the places as in `keep=0,2`.
    """

    model_config = ConfigDict(json_schema_extra={"not": {"required": ["fmr", "fpir"]}})
    fmr: Rate | Nothing = None
    fpir: Fpir | Nothing = None
    keep: (
        bool | Annotated[list[Annotated[int, Field(ge=0, lt=_LIMITS.faces), _WHOLE]], Field(max_length=_LIMITS.faces)]
    ) = False

    @field_validator("keep", mode="before")
    @classmethod
    def _places(cls, value: Any) -> Any:
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,4}(,[0-9]{1,4})*", value):
            return [int(place) for place in value.split(",")]
        return value

    @model_validator(mode="after")
    def _one_rate(self) -> IdentifyAsk:
        if self.fmr is not None and self.fpir is not None:
            raise ValueError("expected fmr or fpir, got both")
        return self


class SearchAsk(Ask):
    """A vector with its space (any length but 0), or a picture, whose main face is searched for."""

    alternative: ClassVar[tuple[str, ...]] = ("vector", "space")
    vector: Annotated[list[float], Field(min_length=1, max_length=4096)] | Nothing = None
    space: Annotated[str, Field(min_length=1, max_length=300)] | Nothing = None
    k: Annotated[int, Field(ge=1, le=_LIMITS.candidates), _WHOLE] = 5


class EnrollAsk(Ask):
    """Beside the photos: whose they are."""

    name: Name
    force: bool = False


class PhotosAsk(Ask):
    """Beside the photos."""

    force: bool = False


class StoreAsk(Ask):
    """Beside the pictures: nothing."""


_NO_OTHER: dict[str, Any] = {"additionalProperties": False}
Key = Annotated[str, Field(pattern=rf"^{_PRINTED}{{1,64}}$")]
Value = Annotated[str, Field(max_length=500, pattern=rf"^{_PRINTED}*$")] | bool | int | float


class PersonPatch(Ask):
    """What changes; attributes are replaced as a whole."""

    name: Name | Nothing = None
    attributes: Annotated[dict[Key, Value], Field(max_length=50, json_schema_extra=_NO_OTHER)] | Nothing = None


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


_ONE_OF_THEM: dict[str, Any] = {"oneOf": [{"required": ["person_id"]}, {"required": ["name"]}]}


class NameOrPerson(Ask):
    """A person that is there, or a name."""

    model_config = ConfigDict(json_schema_extra=_ONE_OF_THEM)
    person_id: Id | Nothing = None
    name: Name | Nothing = None

    @model_validator(mode="after")
    def _one_person(self) -> NameOrPerson:
        if (self.name is None) == (self.person_id is None):
            raise ValueError("expected name or person_id, one of them")
        return self


class Assign(NameOrPerson):
    """Stored faces, and the person they show: one that is there, or a name."""

    face_ids: Ids


class LinkAsk(Ask):
    """What two faces, or a face and a person, are to one another."""

    kind: Literal["must", "cannot", "not_person"]
    a: Id
    b: Id


class Security(Ask):
    """The false match rate to decide at."""

    fmr: Rate


class ImportJob(Ask):
    """Enroll a folder of this server that has one folder of photos per person."""

    kind: Literal["import"]
    path: Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[^\u0000]+$")]
    force: bool = False


class ClusterJob(Ask):
    """Group unknown faces that look alike."""

    kind: Literal["cluster"]


JobAsk = Annotated[ImportJob | ClusterJob, Field(discriminator="kind")]


class KeyAsk(Ask):
    """A new key."""

    name: Name
    role: Role

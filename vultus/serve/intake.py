"""Pictures of a request: multipart fields or base64 in JSON, checked against what the route needs, then encoded."""

from __future__ import annotations

from typing import TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from vultus.errors import VultusError
from vultus.serve import bodies
from vultus.serve.batching import Seen
from vultus.serve.bodies import Sent, Upload
from vultus.serve.errors import Problem
from vultus.serve.guard import Needs
from vultus.serve.schema import Ask
from vultus.serve.services import services_of

__all__ = ["one_seen", "seen", "taken"]

A = TypeVar("A", bound=Ask)


async def taken(request: Request, ask: type[A]) -> tuple[dict[str, list[Upload]], A]:
    """The pictures by field, and the rest of the body as a model.

    Raises:
        Problem: 400, 413 or 422 for a body that cannot be read or holds too few or too many pictures.
        RequestValidationError: if the rest is not what the model wants.
    """
    need, limits = request.scope["state"]["needs"], services_of(request).limits
    assert isinstance(need, Needs)
    names = frozenset(need.pictures)
    kind, boundary = bodies.media_type(request.headers.get("content-type"))
    if kind == "multipart/form-data":
        sent = bodies.form(await request.body(), boundary, limits, names)
    else:
        sent = bodies.unpacked(await request.json(), limits, names)
    for field in need.pictures:
        _counted(sent, field, limits.pictures if field == "images" else 1)
    try:
        return sent.files, ask.model_validate(sent.fields, strict=not sent.texts)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError([{**e, "loc": ("body", *e["loc"])} for e in found]) from None


def _counted(sent: Sent, field: str, most: int) -> None:
    n = len(sent.files.get(field, ()))
    if n > most:
        raise Problem(413 if most > 1 else 422, "TooMany", f"{field}: expected at most {most} in one request, got {n}")


async def seen(request: Request, uploads: list[Upload], *, keep: bool = False) -> list[Seen | VultusError]:
    """Every picture through the models, in order; an error in the place of one that could not be read."""
    return await services_of(request).batcher.encode([upload.data for upload in uploads], keep=keep)


async def one_seen(
    request: Request, files: dict[str, list[Upload]], field: str = "image", *, keep: bool = False
) -> Seen:
    """The one picture of a field.

    Raises:
        Problem: 422 if there is none.
        VultusError: if it could not be read.
    """
    uploads = files.get(field, [])
    if not uploads:
        raise Problem(422, "InputError", f"{field}: expected a picture in this field, or as {field}_base64")
    (result,) = await seen(request, uploads, keep=keep)
    if isinstance(result, VultusError):
        raise result
    return result

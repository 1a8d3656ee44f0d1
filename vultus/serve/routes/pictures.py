"""`/v1/detect`, `/v1/embed`, `/v1/compare`: pictures that are looked at and forgotten."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from vultus.errors import NoFace
from vultus.serve import answers, views
from vultus.serve.attempts import charge
from vultus.serve.guard import Guarded, needs_pictures
from vultus.serve.intake import one_seen, taken
from vultus.serve.schema import CompareAsk, DetectAsk, EmbedAsk
from vultus.serve.security import rate_in_use
from vultus.serve.services import caller_of, services_of

router = APIRouter(prefix="/v1", route_class=Guarded, tags=["pictures"])


@router.post("/detect", response_model=answers.Detected)
@needs_pictures("identify", DetectAsk, "image")
async def detect(request: Request) -> dict[str, Any]:
    """Faces of a picture, best first. The picture is not kept."""
    files, _ = await taken(request, DetectAsk)
    found = (await one_seen(request, files)).encoded
    return {"image": views.picture(found), "faces": views.faces(found)}


@router.post("/embed", response_model=answers.Embedded)
@needs_pictures("enroll", EmbedAsk, "image")
async def embed(request: Request) -> dict[str, Any]:
    """Faces of a picture with their vectors. The picture is not kept."""
    files, _ = await taken(request, EmbedAsk)
    found = (await one_seen(request, files)).encoded
    vectors = found.embedded.vec.tolist()
    rows = [{**face, "vector": vector} for face, vector in zip(views.faces(found), vectors, strict=True)]
    return {
        "image": views.picture(found),
        "faces": rows,
        "space": found.embedded.space,
        "dim": int(found.embedded.vec.shape[1]),
    }


@router.post("/compare", response_model=answers.Compared)
@needs_pictures("identify", CompareAsk, "a", "b")
async def compare(request: Request) -> dict[str, Any]:
    """Whether the main faces of two pictures are of one person, at a stated false match rate."""
    services, caller = services_of(request), caller_of(request)
    files, ask = await taken(request, CompareAsk)
    one, other = await one_seen(request, files, "a"), await one_seen(request, files, "b")
    for name, item in (("a", one), ("b", other)):
        if not len(item.encoded):
            raise NoFace(f"{name}: expected a face, found none")
    for item in (one, other):  # a picture that one face after another is tried against, like a stored person
        charge(services, caller, f"picture {item.encoded.sha256}")
    fmr = ask.fmr if ask.fmr is not None else await services.call(lambda: rate_in_use(services))
    made = await services.call(lambda: services.pipe.verify(one.encoded, other.encoded, fmr=fmr))
    services.metrics.decisions.labels(made.outcome).inc()
    return {"decision": views.decision(made, caller.role), "words": views.words(made, caller.role, compared=True)}

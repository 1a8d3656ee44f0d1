"""`/v1/identify`, `/v1/search`: who is on a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from fastapi import APIRouter, Request

from vultus.errors import InputError, SpaceMismatch
from vultus.serve import answers, views
from vultus.serve.attempts import charge
from vultus.serve.batching import Seen
from vultus.serve.errors import Problem
from vultus.serve.guard import Guarded, needs_pictures
from vultus.serve.intake import one_seen, taken
from vultus.serve.roles import allows
from vultus.serve.routes.faces import keep
from vultus.serve.schema import IdentifyAsk, SearchAsk
from vultus.serve.security import rate_in_use
from vultus.serve.services import Caller, Services, caller_of, services_of
from vultus.types import Decision, Match, Template

router = APIRouter(prefix="/v1", route_class=Guarded, tags=["people"])
CANDIDATES = 5


@router.post("/identify", response_model=answers.Identified)
@needs_pictures("identify", IdentifyAsk, "image")
async def identify(request: Request) -> dict[str, Any]:
    """Name every face of a picture, or say that it is a stranger, or abstain, at a stated rate.

    `fmr` is the false match rate of one comparison; `fpir` instead is the share of searches with a stranger that may
    name somebody, whatever the size of the gallery. `keep` stores the faces as unknown and needs the role `enroll`.
    """
    services, caller = services_of(request), caller_of(request)
    files, ask = await taken(request, IdentifyAsk)
    if ask.keep is not False and not allows(caller.role, "enroll"):
        raise Problem(403, "Forbidden", "keep: this needs a key of the role enroll", {"role": "enroll"})
    found = await one_seen(request, files, keep=ask.keep is not False)
    return await services.call(lambda: _identified(services, caller, found, ask))


def _identified(services: Services, caller: Caller, found: Seen, ask: IdentifyAsk) -> dict[str, Any]:
    gallery, pipe, encoded = services.gallery, services.pipe, found.encoded
    pipe.check(gallery)
    fmr = ask.fmr if ask.fmr is not None else rate_in_use(services)
    made: list[tuple[Decision, list[Match]]] = []
    for i in range(len(encoded)):
        probe = encoded.template(i)
        near = gallery.search(probe, CANDIDATES)
        if near:
            charge(services, caller, f"person {near[0].identity_id}")
        decision = gallery.identify(probe, calibration=pipe.calibration, fmr=fmr, fpir=ask.fpir)
        made.append((pipe.noted(decision), near))
        services.metrics.decisions.labels(decision.outcome).inc()
    kept = _kept(services, caller, found, ask.keep)
    faces = [
        {
            **face,
            "decision": views.decision(decision, caller.role),
            "candidates": views.candidates(near, decision.threshold, caller.role),
            "words": views.words(decision, caller.role),
            "face_id": face_id,
        }
        for face, (decision, near), face_id in zip(views.faces(encoded), made, kept, strict=True)
    ]
    return {"image": views.picture(encoded), "faces": faces}


def _kept(services: Services, caller: Caller, found: Seen, wanted: bool | list[int]) -> list[str | None]:
    """Store all faces, none, or those of some places; the id of each that was stored."""
    n = len(found.encoded)
    places = range(n) if wanted is True else sorted(set(wanted or ()))
    if any(place >= n for place in places):
        raise Problem(404, "NotFound", f"keep: expected places from 0 to {n - 1}: there are {n} faces")
    ids: list[str | None] = [None] * n
    if wanted is not False:
        for place, face_id in zip(places, keep(services, [(found, list(places))], caller.actor), strict=True):
            ids[place] = face_id
    return ids


@router.post("/search", response_model=answers.Searched)
@needs_pictures("enroll", SearchAsk, "image")
async def search(request: Request) -> dict[str, Any]:
    """The most similar people, without a decision: for a vector with its space, or for the main face of a picture."""
    services, caller = services_of(request), caller_of(request)
    files, ask = await taken(request, SearchAsk)
    if bool(files) == (ask.vector is not None) or (ask.vector is None) != (ask.space is None):
        raise Problem(422, "InputError", "expected either a picture, or a vector with its space")
    if ask.vector is not None and ask.space is not None:
        if ask.space != services.pipe.space:
            raise SpaceMismatch(ask.space, services.pipe.space)
        probe = _template(ask.vector, ask.space)
    else:
        probe = (await one_seen(request, files)).encoded.template()

    def work() -> list[Match]:
        services.pipe.check(services.gallery)
        return services.gallery.search(probe, ask.k)

    return {"candidates": views.candidates(await services.call(work), -1.0, caller.role)}


def _template(vector: list[float], space: str) -> Template:
    row = np.asarray(vector, np.float64)
    length = float(np.linalg.norm(row))
    if not np.isfinite(length) or length < 1e-12:
        raise InputError("vector: expected finite numbers that are not all 0")
    return Template((row / length).astype(np.float32), space)

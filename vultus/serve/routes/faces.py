"""`/v1/faces`: stored faces, known and unknown."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from vultus.errors import VultusError
from vultus.gallery.records import Medium
from vultus.pipeline.previews import new_face
from vultus.serve import answers, directory, views
from vultus.serve.attempts import charge
from vultus.serve.batching import Seen
from vultus.serve.correcting import corrected
from vultus.serve.errors import Problem
from vultus.serve.guard import Guarded, needs, needs_pictures
from vultus.serve.intake import seen, taken
from vultus.serve.paging import Cursor, Limit, after, next_cursor
from vultus.serve.schema import Assign, FaceIds, StoreAsk
from vultus.serve.security import rate_in_use
from vultus.serve.services import Services, caller_of, services_of

router = APIRouter(prefix="/v1", route_class=Guarded, tags=["faces"])
FaceId = Annotated[str, Path(min_length=1, max_length=200)]
Filter = Annotated[str | None, Query(min_length=1, max_length=200)]


@router.get("/faces", response_model=answers.FacesPage)
@needs("read")
async def list_faces(
    request: Request,
    person_id: Filter = None,
    cluster_id: Filter = None,
    unknown: bool = False,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """Faces, ordered by id: of a person, of a cluster, of nobody."""
    services = services_of(request)
    where = f"faces person={person_id or ''} cluster={cluster_id or ''} unknown={unknown}"
    last = after(request, where, cursor)
    equal: dict[str, Any] = {"person_id": person_id} if person_id else {"person_id": None} if unknown else {}
    equal |= {"cluster": cluster_id} if cluster_id else {}

    def work() -> tuple[list[dict[str, Any]], bool]:
        with services.gallery.store.read() as rows:
            found = rows.after("faces", None if last is None else (last,), limit + 1, **equal)
            return [directory.face(rows, row) for row in found[:limit]], len(found) > limit

    if unknown and person_id:
        return {"items": [], "next_cursor": None}
    items, more = await services.call(work)
    return {"items": items, "next_cursor": next_cursor(request, where, items[-1]["id"]) if more else None}


@router.post("/faces", response_model=answers.Stored, status_code=201)
@needs_pictures("enroll", StoreAsk, "images")
async def store_faces(request: Request) -> dict[str, Any]:
    """Keep every face of the pictures, as unknown; a face that is there already keeps its id and its person."""
    files, _ = await taken(request, StoreAsk)
    uploads = files.get("images", [])
    if not uploads:
        raise Problem(422, "InputError", "images: expected at least one picture, in this field or as images_base64")
    found = await seen(request, uploads, keep=True)
    good = {item.encoded.sha256: item for item in found if isinstance(item, Seen)}  # a picture sent twice counts once
    bad = [
        {"photo": upload.label, "reason": str(item)}
        for upload, item in zip(uploads, found, strict=True)
        if isinstance(item, VultusError)
    ]
    if bad:
        raise Problem(422, "InputError", f"{bad[0]['photo']}: {bad[0]['reason']}", {"refused": bad})
    services, actor = services_of(request), caller_of(request).actor
    pictures = [(item, list(range(len(item.encoded)))) for item in good.values()]
    return {"faces": await services.call(lambda: directory.faces(services.gallery, keep(services, pictures, actor)))}


def keep(services: Services, pictures: list[tuple[Seen, list[int]]], actor: str) -> list[str]:
    """Store faces of pictures, named by their places, in one transaction; their ids, in order."""
    services.pipe.check(services.gallery)
    new, media = [], []
    for item, places in pictures:
        new += [new_face(item.encoded, i, item.previews[i] if item.previews else None) for i in places]
        height, width = item.encoded.size_hw
        media.append(Medium(item.encoded.sha256, None, height, width, True, ""))
    kept = services.gallery.add_faces(new, services.pipe.space, media=media, actor=actor)
    return [face.id for face in kept]


@router.get(
    "/faces/{face_id}/crop",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}},
)
@needs("read")
async def crop(request: Request, face_id: FaceId) -> Response:
    """A small picture of a face."""
    services = services_of(request)

    def work() -> bytes | None:
        directory.faces(services.gallery, [face_id])
        return services.gallery.crop(face_id)

    found = await services.call(work)
    if found is None:
        raise Problem(404, "NotFound", "no picture of this face was kept")
    return Response(found, media_type="image/jpeg")


@router.post("/faces/assign", response_model=answers.PersonOut)
@needs("enroll", "json")
async def assign(request: Request, ask: Assign) -> dict[str, Any]:
    """Say who faces are. 409 names the link, or the picture, that forbids it."""
    services, actor = services_of(request), caller_of(request).actor

    def work() -> dict[str, Any]:
        with services.gallery.store.read() as rows:
            directory.known_faces(rows, ask.face_ids)
            if ask.person_id is not None:
                directory.known_person(rows, ask.person_id)
        person = services.gallery.assign(ask.face_ids, person_id=ask.person_id, name=ask.name, actor=actor)
        with services.gallery.store.read() as rows:
            return directory.person(rows, directory.known_person(rows, person.id))

    return await corrected(request, work)


@router.post("/faces/unassign", response_model=answers.Stored)
@needs("enroll", "json")
async def unassign(request: Request, ask: FaceIds) -> dict[str, Any]:
    """Say that nobody knows who faces are."""
    services, actor = services_of(request), caller_of(request).actor

    def work() -> dict[str, Any]:
        directory.faces(services.gallery, ask.face_ids)
        services.gallery.unassign(ask.face_ids, actor=actor)
        return {"faces": directory.faces(services.gallery, ask.face_ids)}

    return await corrected(request, work)


@router.post("/faces/{face_id}/suggest", response_model=answers.Suggested)
@needs("identify")
async def suggest(request: Request, face_id: FaceId) -> dict[str, Any]:
    """Who a stored face may be; never against a link, nor anybody else on its picture."""
    services, caller = services_of(request), caller_of(request)

    def work() -> dict[str, Any]:
        directory.faces(services.gallery, [face_id])
        charge(services, caller, f"face {face_id}")
        made = services.gallery.suggest(face_id, calibration=services.pipe.calibration, fmr=rate_in_use(services))
        services.metrics.decisions.labels(made.outcome).inc()
        return {"decision": views.decision(made, caller.role), "words": views.words(made, caller.role)}

    return await corrected(request, work)


@router.delete("/faces/{face_id}", response_model=answers.Stored)
@needs("enroll")
async def delete_face(request: Request, face_id: FaceId) -> dict[str, Any]:
    """Erase a face with its vector and picture; its person's reference is fused from the others. 409 for their last."""
    services, actor = services_of(request), caller_of(request).actor

    def work() -> dict[str, Any]:
        gone = directory.faces(services.gallery, [face_id])
        services.gallery.remove_face(face_id, actor=actor)
        return {"faces": gone}

    return await corrected(request, work)

"""`/v1/people`: who is enrolled, and what is put right about them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request

from vultus.serve import answers, directory, enrolling
from vultus.serve.bodies import Upload
from vultus.serve.correcting import corrected
from vultus.serve.enrolling import Who
from vultus.serve.errors import Problem
from vultus.serve.guard import Guarded, needs, needs_pictures
from vultus.serve.intake import seen, taken
from vultus.serve.paging import Cursor, Limit, after, next_cursor
from vultus.serve.schema import EnrollAsk, Erase, Merge, PersonPatch, PhotosAsk, Split
from vultus.serve.services import Services, caller_of, services_of

router = APIRouter(prefix="/v1", route_class=Guarded, tags=["people"])
PersonId = Annotated[str, Path(min_length=1, max_length=200)]
FIRST_FACES = 50


@router.get("/people", response_model=answers.PeoplePage)
@needs("read")
async def list_people(
    request: Request,
    q: Annotated[str, Query(max_length=200, description="part of a name")] = "",
    limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """People, ordered by id."""
    services, where = services_of(request), f"people {q}"
    last = after(request, where, cursor)

    def work() -> list[dict[str, Any]]:
        with services.gallery.store.read() as rows:
            return directory.people(rows, q, last, limit + 1)

    items = await services.call(work)
    more = next_cursor(request, where, items[limit - 1]["id"]) if len(items) > limit else None
    return {"items": items[:limit], "next_cursor": more}


@router.post("/people", response_model=answers.Enrolled, status_code=201)
@needs_pictures("enroll", EnrollAsk, "images")
async def enroll(request: Request) -> dict[str, Any]:
    """Enroll photos of one person, who is made or, when the name is known, extended.

    409 when a photo looks like somebody else; nothing is added then.
    """
    files, ask = await taken(request, EnrollAsk)
    who = Who(ask.name, None, ask.force, caller_of(request).actor)
    return await _enrolled(request, who, files.get("images", []))


@router.post("/people/{person_id}/photos", response_model=answers.Enrolled)
@needs_pictures("enroll", PhotosAsk, "images")
async def add_photos(request: Request, person_id: PersonId) -> dict[str, Any]:
    """Add photos to a person."""
    files, ask = await taken(request, PhotosAsk)
    row = await _row(services_of(request), person_id)
    who = Who(row["name"], person_id, ask.force, caller_of(request).actor)
    return await _enrolled(request, who, files.get("images", []))


async def _enrolled(request: Request, who: Who, uploads: list[Upload]) -> dict[str, Any]:
    services = services_of(request)
    if not uploads:
        raise Problem(422, "InputError", "images: expected at least one photo, in this field or as images_base64")
    new, outcome = await services.call(lambda: enrolling.fresh(services.gallery, who, uploads))
    found = await seen(request, new, keep=True) if new else []

    def work() -> dict[str, Any]:
        done = enrolling.enroll(services.gallery, services.pipe, who, new, found, outcome)
        person = None if done.person_id is None else _person(services, done.person_id)
        return {"person": person, "used": done.used, "known": done.known, "refused": done.refused}

    return await corrected(request, work)


@router.get("/people/{person_id}", response_model=answers.PersonFull)
@needs("read")
async def get_person(request: Request, person_id: PersonId) -> dict[str, Any]:
    """A person, the reference without its vector, and the first faces; `/v1/faces?person_id=` has the others."""
    services, where = services_of(request), f"faces person={person_id} cluster= unknown=False"

    def work() -> dict[str, Any]:
        person = services.gallery.person(_person(services, person_id)["id"])
        template = {
            "space": person.template.space,
            "n_images": person.template.n_images,
            "quality": person.template.quality,
        }
        with services.gallery.store.read() as rows:
            told = directory.person(rows, directory.known_person(rows, person_id))
            found = rows.after("faces", None, FIRST_FACES + 1, person_id=person_id)
            items = [directory.face(rows, row) for row in found[:FIRST_FACES]]
        more = next_cursor(request, where, items[-1]["id"]) if len(found) > FIRST_FACES else None
        return {**told, "template": template, "faces": {"items": items, "next_cursor": more}}

    return await services.call(work)


@router.patch("/people/{person_id}", response_model=answers.PersonOut)
@needs("enroll", "json")
async def change_person(request: Request, person_id: PersonId, ask: PersonPatch) -> dict[str, Any]:
    """Rename a person, or replace the attributes; what is left out stays."""
    services, actor = services_of(request), caller_of(request).actor
    await _row(services, person_id)

    def work() -> dict[str, Any]:
        if ask.name is not None:
            services.gallery.rename(person_id, ask.name, actor=actor)
        if ask.attributes is not None:
            services.gallery.set_attributes(person_id, ask.attributes, actor=actor)
        return _person(services, person_id)

    return await corrected(request, work)


@router.post("/people/{person_id}/merge", response_model=answers.PersonOut)
@needs("enroll", "json")
async def merge(request: Request, person_id: PersonId, ask: Merge) -> dict[str, Any]:
    """Two people are one: `absorb_id` goes, this person keeps the name. 409 names the link that forbids it."""
    services, actor = services_of(request), caller_of(request).actor
    for key in (person_id, ask.absorb_id):
        await _row(services, key)

    def work() -> dict[str, Any]:
        services.gallery.merge(person_id, ask.absorb_id, actor=actor)
        return _person(services, person_id)

    return await corrected(request, work)


@router.post("/people/{person_id}/split", response_model=answers.PersonOut)
@needs("enroll", "json")
async def split(request: Request, person_id: PersonId, ask: Split) -> dict[str, Any]:
    """One person is two: these faces become a new person, who is the answer."""
    services, actor = services_of(request), caller_of(request).actor
    await _row(services, person_id)

    def work() -> dict[str, Any]:
        directory.faces(services.gallery, ask.face_ids)
        made = services.gallery.split(person_id, ask.face_ids, ask.name, actor=actor)
        return _person(services, made.id)

    return await corrected(request, work)


@router.post("/people/{person_id}/erase", response_model=answers.ReceiptOut)
@needs("admin", "json")
async def erase(request: Request, person_id: PersonId, ask: Erase) -> dict[str, Any]:
    """Erase a person for good; `confirm` is the name, typed again. The answer is a receipt."""
    services, actor = services_of(request), caller_of(request).actor
    if ask.confirm.strip() != (await _row(services, person_id))["name"]:
        raise Problem(409, "Conflict", "confirm: expected the name of this person, typed as it is")
    return (await services.call(lambda: services.gallery.erase(person_id, actor=actor))).to_dict()


async def _row(services: Services, person_id: str) -> dict[str, Any]:
    def work() -> dict[str, Any]:
        with services.gallery.store.read() as rows:
            return directory.known_person(rows, person_id)

    return await services.call(work)


def _person(services: Services, person_id: str) -> dict[str, Any]:
    with services.gallery.store.read() as rows:
        return directory.person(rows, directory.known_person(rows, person_id))

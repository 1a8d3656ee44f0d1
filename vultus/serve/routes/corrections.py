"""`/v1/links`, `/v1/history`: what people said about faces, and how to take it back."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request

from vultus.gallery.records import Entry
from vultus.serve import answers, directory
from vultus.serve.correcting import corrected
from vultus.serve.errors import Problem
from vultus.serve.guard import Guarded, needs
from vultus.serve.paging import Cursor, Limit, page_of
from vultus.serve.schema import LinkAsk
from vultus.serve.services import caller_of, services_of

router = APIRouter(prefix="/v1", route_class=Guarded, tags=["corrections"])
ALL = 2**31 - 1


@router.get("/links", response_model=answers.LinksPage)
@needs("read")
async def list_links(
    request: Request,
    key: Annotated[str | None, Query(min_length=1, max_length=200, description="of a face or a person")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """Links, all of them or those of one face or person."""
    services = services_of(request)
    found = await services.call(lambda: services.gallery.links(key))
    return page_of(request, f"links {key or ''}", [link.to_dict() for link in found], limit, cursor)


@router.post("/links", response_model=answers.LinkOut, status_code=201)
@needs("enroll", "json")
async def add_link(request: Request, ask: LinkAsk) -> dict[str, Any]:
    """Say that two faces show one person (must), that they do not (cannot), or that face a is not person b."""
    services, actor = services_of(request), caller_of(request).actor

    def work() -> dict[str, Any]:
        with services.gallery.store.read() as rows:
            directory.known_faces(rows, [ask.a] if ask.kind == "not_person" else [ask.a, ask.b])
            if ask.kind == "not_person":
                directory.known_person(rows, ask.b)
        return services.gallery.link(ask.kind, ask.a, ask.b, actor=actor).to_dict()

    return await corrected(request, work)


@router.delete("/links/{link_id}", response_model=answers.LinkOut)
@needs("enroll")
async def remove_link(request: Request, link_id: Annotated[str, Path(min_length=1, max_length=200)]) -> dict[str, Any]:
    """Forget a link; faces stay where they are."""
    services, actor = services_of(request), caller_of(request).actor

    def work() -> dict[str, Any]:
        found = [link for link in services.gallery.links() if link.id == link_id]
        if not found:
            raise Problem(404, "NotFound", "there is no link of that id")
        services.gallery.unlink(link_id, actor=actor)
        return found[0].to_dict()

    return await corrected(request, work)


@router.get("/history", response_model=answers.HistoryPage)
@needs("read")
async def history(request: Request, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
    """Corrections, the latest first."""
    services = services_of(request)
    found = await services.call(lambda: services.gallery.history(ALL))
    return page_of(request, "history", [_told(entry) for entry in found], limit, cursor, lambda item: item["seq"])


@router.post("/history/{seq}/undo", response_model=answers.HistoryEntry)
@needs("enroll")
async def undo(request: Request, seq: Annotated[int, Path(ge=1, le=2**62)]) -> dict[str, Any]:
    """Take a correction back. 409 names what stands in the way."""
    services, actor = services_of(request), caller_of(request).actor

    def work() -> dict[str, Any]:
        if seq not in {entry.seq for entry in services.gallery.history(ALL)}:
            raise Problem(404, "NotFound", "there is no correction of that number")
        return _told(services.gallery.undo(seq, actor=actor))

    return await corrected(request, work)


def _told(entry: Entry) -> dict[str, Any]:
    told = {key: value for key, value in entry.to_dict().items() if key != "people"}
    return {**told, "can_undo": entry.undone_at is None}

"""`/v1/keys`: who may ask."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request

from vultus.serve import answers
from vultus.serve.errors import Problem
from vultus.serve.guard import Guarded, needs
from vultus.serve.paging import Cursor, Limit, page_of
from vultus.serve.schema import KeyAsk
from vultus.serve.services import caller_of, services_of

router = APIRouter(prefix="/v1", route_class=Guarded, tags=["keys"])


@router.get("/keys", response_model=answers.KeysPage)
@needs("admin")
async def list_keys(request: Request, limit: Limit = 100, cursor: Cursor = None) -> dict[str, Any]:
    """All keys, revoked ones included, without their secrets."""
    services = services_of(request)
    found = await services.call(services.keys.list)
    return page_of(request, "keys", [key.shown() for key in found], limit, cursor)


@router.post("/keys", response_model=answers.KeyMade, status_code=201)
@needs("admin", "json")
async def create_key(request: Request, ask: KeyAsk) -> dict[str, Any]:
    """Make a key; its secret is in this answer and nowhere else."""
    services = services_of(request)
    key, token = await services.call(lambda: services.keys.create(ask.name, ask.role))
    return {**key.shown(), "key": token}


@router.delete("/keys/{key_id}", response_model=answers.KeyOut)
@needs("admin")
async def revoke_key(request: Request, key_id: Annotated[str, Path(max_length=64)]) -> dict[str, Any]:
    """Make a key invalid; 409 for the one that asks."""
    services = services_of(request)
    if key_id == caller_of(request).key_id:
        raise Problem(409, "Conflict", "a key cannot revoke itself: use another one, or `vultus keys revoke`")
    known = {key.id for key in await services.call(services.keys.list)}
    if key_id not in known:
        raise Problem(404, "NotFound", "there is no key of that id")
    return (await services.call(lambda: services.keys.revoke(key_id))).shown()

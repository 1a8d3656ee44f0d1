"""`/v1/health`, `/v1/me`, `/v1/openapi.json`, `/metrics`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from vultus import __version__
from vultus.gallery import Gallery
from vultus.serve import answers
from vultus.serve.guard import Guarded, needs
from vultus.serve.metrics import CONTENT_TYPE
from vultus.serve.routes.models import parts_of
from vultus.serve.services import caller_of, services_of

router = APIRouter(prefix="/v1", route_class=Guarded, tags=["server"])
plain = APIRouter(route_class=Guarded, tags=["server"])


@router.get("/health", response_model=answers.Health)
@needs(None)
async def health(request: Request) -> dict[str, Any]:
    """Whether the server works; with a key also what it works with."""
    services = services_of(request)
    told: dict[str, Any] = {"status": "stopping" if services.stopping else "ok", "version": __version__}
    if request.scope["state"]["caller"] is not None:
        gallery = services.gallery
        told["store"] = await services.call(lambda: _counts(gallery))
        told["queue"] = {"waiting": len(services.batcher), "limit": services.limits.queue_pictures}
        told["models"] = parts_of(services)
    return told


@router.get("/me", response_model=answers.Me)
@needs("read")
async def me(request: Request) -> dict[str, Any]:
    """Whose key this is and what it may do."""
    caller = caller_of(request)
    return {"key_id": caller.key_id, "role": caller.role, "name": caller.name}


@router.get("/openapi.json", include_in_schema=False)
@needs(None)
async def document(request: Request) -> dict[str, Any]:
    """The OpenAPI document."""
    found: dict[str, Any] = request.app.openapi()
    return found


@plain.get(
    "/metrics", response_class=Response, responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
)
@needs("admin")
async def metrics(request: Request) -> Response:
    """What the server counts, for Prometheus."""
    return Response(services_of(request).metrics.text(), media_type=CONTENT_TYPE)


def _counts(gallery: Gallery) -> dict[str, Any]:
    space = gallery.space
    with gallery.store.read() as rows:
        counts = {"people": rows.count("people"), "faces": rows.count("faces")}
        return {**counts, "unknown": rows.count("faces", person_id=None), "space": space}

"""`/v1/models`: what the server works with."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request

from vultus.errors import StoreError
from vultus.serve import answers
from vultus.serve.guard import Guarded, needs
from vultus.serve.services import Services, services_of
from vultus.zoo import store

router = APIRouter(prefix="/v1", route_class=Guarded, tags=["server"])


def parts_of(services: Services) -> dict[str, str | int | bool | None]:
    """The rows of the pipeline and how its detector searches."""
    return {
        key: str(value) if not isinstance(value, (int, type(None))) else value
        for key, value in asdict(services.pipe.parts).items()
    }


@router.get("/models", response_model=answers.Models)
@needs("read")
async def models(request: Request) -> dict[str, Any]:
    """The parts of the pipeline, its embedding space, what its scores mean, and the licenses of the weights."""
    services = services_of(request)
    return await services.call(lambda: _told(services))


def _told(services: Services) -> dict[str, Any]:
    pipe = services.pipe
    try:
        calibration: str | None = pipe.calibration.describe()
    except StoreError:  # nobody has measured this space: detection and embedding work without
        calibration = None
    ready = [status.card for status in store.status() if status.state == "ready"]
    cards = [{key: getattr(card, key) for key in answers.CardOut.model_fields} for card in ready]
    return {"parts": parts_of(services), "space": pipe.space, "calibration": calibration, "cards": cards}

"""The application: parts, routes, errors, and the OpenAPI document."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Match
from starlette.types import ASGIApp

from vultus import __version__
from vultus.errors import StoreError, VultusError, WeightsError
from vultus.gallery import Gallery, open_gallery
from vultus.pipeline import Pipeline
from vultus.serve import openapi, routes, static
from vultus.serve.auth import Keys
from vultus.serve.edge import Edge
from vultus.serve.errors import Problem, envelope, problem_of
from vultus.serve.limits import Limits
from vultus.serve.logs import LOG
from vultus.serve.services import Options, Services

__all__ = ["App", "Options", "create_app"]


def create_app(
    gallery: str | os.PathLike[str] | Gallery,
    *,
    pipe: Pipeline,
    keys: Keys | None = None,
    limits: Limits | None = None,
    options: Options | None = None,
) -> App:
    """Make the application; it may be run once.

    Args:
        gallery: see `vultus.open_gallery`.
        pipe: what looks at pictures.
        keys: who may ask; the key file of this user unless given.
        limits: see `vultus.serve.limits`.
        options: see `vultus.serve.services`.

    Raises:
        StoreError: if the key file or the gallery cannot be read.
    """
    opened = gallery if isinstance(gallery, Gallery) else open_gallery(gallery)
    return App(Services(opened, pipe, keys or Keys.open(), limits or Limits(), options or Options()))


class App(FastAPI):
    """The API under `/v1`, `/metrics`, and the page.

    Args:
        services: what the routes share; closed when the application stops.
    """

    def __init__(self, services: Services) -> None:
        super().__init__(
            title="vultus",
            version=__version__,
            description="Find faces, say who they are, and at which error rate.",
            openapi_url=None,
            docs_url=None,
            redoc_url=None,
            lifespan=_lifespan,
        )
        self.state.services = services
        self.add_exception_handler(Problem, _problem)
        self.add_exception_handler(VultusError, _house)
        self.add_exception_handler(RequestValidationError, _invalid)
        self.add_exception_handler(HTTPException, _http)
        self.add_exception_handler(Exception, _defect)
        routes.add_all(self)
        static.add(self)

    def build_middleware_stack(self) -> ASGIApp:
        """Everything, inside the outermost layer."""
        return Edge(super().build_middleware_stack(), self.state.services)

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, with roles, bodies of pictures and the envelope of errors."""
        if self.openapi_schema is None:
            self.openapi_schema = openapi.document(self, super().openapi())
        return self.openapi_schema


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    services: Services = app.state.services
    services.batcher.start()
    yield
    await services.close()


def _answer(request: Request, problem: Problem) -> JSONResponse:
    return envelope(problem, request.scope["state"]["request_id"])


async def _problem(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)
    return _answer(request, error)


async def _house(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, VultusError)
    if isinstance(error, (StoreError, WeightsError)):
        told = {
            "request_id": request.scope["state"]["request_id"],
            "error": type(error).__name__,
            "message": str(error),
        }
        LOG.error("unusable", extra={"fields": told})
    return _answer(request, problem_of(error))


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    # what was sent is not sent back: it may be a name or a picture
    found = [{"where": [str(step)[:60] for step in e["loc"]], "problem": e["msg"]} for e in error.errors()[:20]]
    first = f"{'.'.join(found[0]['where'])}: {found[0]['problem']}" if found else "the request is not valid"
    return _answer(request, Problem(422, "InputError", first, {"problems": found}))


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    words = {
        404: ("NotFound", "there is nothing at this path"),
        405: ("MethodNotAllowed", "this path does not know that method"),
    }
    code, message = words.get(error.status_code, ("HttpError", "the request could not be understood"))
    answer = _answer(request, Problem(error.status_code, code, message))
    answer.headers.update(dict(error.headers or {}))
    if error.status_code == 405:  # of all routes of this path, not of the first one alone
        answer.headers["Allow"] = ", ".join(_methods(request))
    return answer


def _methods(request: Request) -> list[str]:
    here = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
    same = [route for route in here if getattr(route, "path", "") == getattr(here[0], "path", "")]
    return sorted({method for route in same for method in getattr(route, "methods", None) or ()})


async def _defect(request: Request, error: Exception) -> JSONResponse:
    """A defect of ours: the web server writes its type and frames to the log, the client learns the request's id."""
    return _answer(request, Problem(500, "Defect", "a defect of the server: report it with the request_id"))

"""What happens to every request between its route and its function: key, role, rate, body, deadline.

Routes say what they need with `@needs(role)`; one that says nothing cannot be made. Nothing of a body is read before
the key is known to be good for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from fastapi import Request, Response
from fastapi.routing import APIRoute

from vultus.serve import bodies
from vultus.serve.errors import Problem
from vultus.serve.roles import Role, allows
from vultus.serve.schema import Ask
from vultus.serve.services import Caller, Services, services_of

__all__ = ["Guarded", "Needs", "needs", "needs_of", "needs_pictures"]

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
Body = Literal["none", "json", "pictures"]
_JSON, _FORM = "application/json", "multipart/form-data"
_TYPES: dict[Body, tuple[str, ...]] = {"none": (), "json": (_JSON,), "pictures": (_JSON, _FORM)}


@dataclass(frozen=True, slots=True)
class Needs:
    """What a route needs.

    Attributes:
        role: the least role, or None: no key.
        body: what it reads.
        pictures: fields that hold pictures, when it reads some; the field `images` holds several.
        ask: what else a body with pictures holds.
    """

    role: Role | None
    body: Body = "none"
    pictures: tuple[str, ...] = ()
    ask: type[Ask] | None = None


def needs(role: Role | None, body: Body = "none") -> Callable[[Endpoint], Endpoint]:
    """Say what a route needs; goes below the line that names its path."""
    return _mark(Needs(role, body))


def needs_pictures(role: Role, ask: type[Ask], *fields: str) -> Callable[[Endpoint], Endpoint]:
    """Likewise, for a route that takes pictures; see `vultus.serve.intake`."""
    return _mark(Needs(role, "pictures", fields, ask))


def _mark(need: Needs) -> Callable[[Endpoint], Endpoint]:
    def mark(endpoint: Endpoint) -> Endpoint:
        endpoint.needs = need  # type: ignore[attr-defined]
        return endpoint

    return mark


def needs_of(endpoint: Callable[..., Any]) -> Needs:
    """What a route said that it needs."""
    found = getattr(endpoint, "needs", None)
    if not isinstance(found, Needs):
        raise TypeError(f"{endpoint.__name__}: expected @needs(role) below the line of its path")
    return found


class Read(Request):
    """A request whose body has been read."""

    def __init__(self, request: Request, data: bytes, parsed: Any) -> None:
        super().__init__(request.scope, request.receive)
        self._data = data
        self._parsed = parsed

    async def body(self) -> bytes:
        """The bytes."""
        return self._data

    async def json(self) -> Any:
        """The document."""
        return self._parsed


class Guarded(APIRoute):
    """A route of the API."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler with everything before it."""
        handler = super().get_route_handler()
        need = needs_of(self.endpoint)

        async def guarded(request: Request) -> Response:
            services, state = services_of(request), request.scope["state"]
            state["route"], state["needs"] = self.path_format, need
            caller = _caller(request, services, need)
            state["caller"] = caller
            if caller is not None:
                state["key_id"] = caller.key_id
                _admit(services, caller, need)
            data = await _body(request, services, need)
            try:
                parsed = bodies.document(data, services.limits) if data and _type(request) == _JSON else None
                return await _within(handler(Read(request, data, parsed)), request, services.limits.request_s)
            finally:
                services.memory.give(len(data))

        return guarded


def _caller(request: Request, services: Services, need: Needs) -> Caller | None:
    if not services.options.auth:
        return Caller("none", "everybody", "admin")
    header = request.headers.get("authorization")
    if header is None and (need.role is None or (services.options.metrics_open and request.url.path == "/metrics")):
        return None
    scheme, _, token = (header or "").partition(" ")
    key = services.keys.check(token.strip()) if scheme.lower() == "bearer" else None
    if key is not None:
        return Caller(key.id, key.name, key.role)
    address = request.client.host if request.client else ""
    wait = services.refusals.take(address) if header else 0.0
    services.metrics.refused.labels("key").inc()
    if wait:
        raise Problem(429, "TooMany", "too many wrong keys from this address: wait", retry_after_s=wait)
    raise Problem(401, "Unauthorized", "expected the header `Authorization: Bearer vlt_...` with a valid key")


def _admit(services: Services, caller: Caller, need: Needs) -> None:
    wait = services.rates.take(caller.key_id)
    if wait:
        services.metrics.refused.labels("rate").inc()
        raise Problem(429, "TooMany", "this key asks faster than it may: wait", retry_after_s=wait)
    if need.role is not None and not allows(caller.role, need.role):
        services.metrics.refused.labels("role").inc()
        raise Problem(
            403, "Forbidden", f"this needs a key of the role {need.role}, yours is {caller.role}", {"role": need.role}
        )


def _type(request: Request) -> str:
    return bodies.media_type(request.headers.get("content-type"))[0]


async def _body(request: Request, services: Services, need: Needs) -> bytes:
    limits = services.limits
    if need.body != "none" and _type(request) not in _TYPES[need.body]:
        want = " or ".join(_TYPES[need.body])
        raise Problem(415, "MediaType", f"the header Content-Type: expected {want}")
    cap = limits.body_bytes if need.body == "pictures" else limits.json_bytes
    stated = request.headers.get("content-length")
    data = await bodies.read(request.receive, stated, cap, limits.body_s, services.memory)
    if need.body == "none":
        services.memory.give(len(data))
        return b""
    return data


async def _within(work: Coroutine[Any, Any, Response], request: Request, seconds: float) -> Response:
    """Wait for the work, but neither longer than it may take nor for a client that has gone."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_disconnect(request))
    try:
        await asyncio.wait({task, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        if gone.done():
            raise Problem(499, "Disconnected", "the client has gone")
        raise Problem(
            504,
            "Timeout",
            f"the work took more than {seconds:.0f} s; what was being written may be kept: look, then ask again",
        )
    finally:
        for left in (task, gone):
            if not left.done():
                left.cancel()
        await asyncio.wait({task, gone})


async def _disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue

"""The outermost layer: request ids, the Host header, safe headers, the cap on requests, deadlines, logs, metrics."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vultus.serve.errors import Problem, envelope
from vultus.serve.logs import LOG
from vultus.serve.services import Services

__all__ = ["Edge"]

SAFETY = {
    "Cache-Control": "no-store",  # what is told here is about people
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",  # of the API; the page brings its own
}
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Edge:
    """Wraps the whole application.

    Args:
        app: what answers.
        services: the parts of the server.
    """

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self.app = app
        self.services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; anything but HTTP is handed on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["request_id"] = secrets.token_hex(8)
        passage = _Passage(state, receive, send)
        services, start = self.services, time.perf_counter()
        services.in_flight += 1
        services.metrics.in_flight.set(services.in_flight)
        limits = services.limits
        try:
            problem = self._refusal(scope)
            work = envelope(problem, passage.id) if problem else self.app
            await asyncio.wait_for(
                work(scope, passage.receive, passage.send), limits.body_s + limits.request_s + limits.send_s
            )
        except asyncio.TimeoutError:
            passage.status = passage.status or 504  # who reads so slowly is not told; the connection is closed
            raise _closed() from None
        finally:
            services.in_flight -= 1
            services.metrics.in_flight.set(services.in_flight)
            self._note(scope, state, passage, time.perf_counter() - start)

    def _refusal(self, scope: Scope) -> Problem | None:
        services = self.services
        hosts = services.options.hosts
        host = next((value.decode("latin-1") for key, value in scope["headers"] if key == b"host"), "")
        if hosts and _without_port(host) not in hosts:
            services.metrics.refused.labels("host").inc()
            return Problem(421, "Host", "the header Host names another server: use the address it listens on")
        if services.in_flight > services.limits.requests:
            services.metrics.refused.labels("requests").inc()
            return Problem(503, "Busy", "too many requests at once: ask again", retry_after_s=1)
        return None

    def _note(self, scope: Scope, state: dict[str, Any], passage: _Passage, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        route, status = state.get("route", "unmatched"), passage.status or 500
        metrics = self.services.metrics
        metrics.requests.labels(method, route, str(status)).inc()
        metrics.seconds.labels(method, route).observe(seconds)
        metrics.bytes_in.inc(passage.bytes_in)
        fields = {
            "request_id": passage.id,
            "method": method,
            "route": route,
            "status": status,
            "ms": round(1000 * seconds, 1),
            "bytes_in": passage.bytes_in,
            "bytes_out": passage.bytes_out,
            "key_id": state.get("key_id"),
        }
        LOG.info("request", extra={"fields": fields})


class _Passage:
    """One request on its way through: counts bytes, adds headers, remembers the status."""

    def __init__(self, state: dict[str, Any], receive: Receive, send: Send) -> None:
        self.id = str(state["request_id"])
        self._state = state
        self.status = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self._receive = receive
        self._send = send

    async def receive(self) -> Message:
        message = await self._receive()
        self.bytes_in += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = list(message.get("headers", ()))
            have = {key.lower() for key, _ in headers}
            more = {"X-Request-Id": self.id, **SAFETY}
            headers += [(k.encode(), v.encode()) for k, v in more.items() if k.lower().encode() not in have]
            if "history_seq" in self._state:
                headers.append((b"x-history-seq", str(self._state["history_seq"]).encode()))
            if self.status in (408, 413):  # the rest of the body is still on its way
                headers.append((b"connection", b"close"))
            message = {**message, "headers": headers}
        self.bytes_out += len(message.get("body", b""))
        await self._send(message)


def _without_port(host: str) -> str:
    """`localhost:8040` -> `localhost`, `[::1]:8040` -> `[::1]`."""
    head, colon, port = host.lower().rpartition(":")
    return head if colon and port.isdecimal() else host.lower()


def _closed() -> ConnectionError:
    return ConnectionError("the client took too long to read its answer")

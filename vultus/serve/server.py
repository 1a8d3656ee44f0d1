"""The process: uvicorn with a deadline for headers, a cap on connections, and an orderly end with exit code 0."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from vultus.errors import InputError, StoreError
from vultus.serve.app import App

__all__ = ["is_loopback", "listen", "run", "server_of"]


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach that address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one.

    Raises:
        InputError: if there is no such address.
        StoreError: if the port is taken or may not be used.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise InputError(f"host: expected an address of this machine, got {host!r}: {error.strerror}") from error
    sock = socket.socket(family, kind)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(512)
    except OSError as error:
        sock.close()
        raise StoreError(f"{host}:{port}: cannot be listened on: {error.strerror}: choose another --port") from error
    sock.setblocking(False)
    return sock


def run(app: App, sock: socket.socket, *, ready: Callable[[], None] | None = None) -> None:
    """Answer requests until SIGTERM or SIGINT; those in flight are finished, within `Limits.drain_s`."""
    server_of(app, ready).run(sockets=[sock])


def server_of(app: App, ready: Callable[[], None] | None = None) -> uvicorn.Server:
    """The server of `run`, for a caller with a thread of its own: it ends when `should_exit` is set.

    Args:
        app: what answers.
        ready: called once when it does.
    """
    limits = app.state.services.limits
    config = uvicorn.Config(
        app,
        http=type("Bounded", (_Bounded,), {"header_s": limits.header_s, "most": limits.connections}),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=limits.idle_s,
        timeout_graceful_shutdown=limits.drain_s,
        h11_max_incomplete_event_size=limits.header_bytes,
    )
    return _Server(config, ready)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None] | None) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self._ready:
            self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop in order; unlike the original, do not raise the signal again when that is done: the exit code is 0."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {sig: signal.signal(sig, self.handle_exit) for sig in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)


class _Bounded(H11Protocol):
    """HTTP/1.1 whose headers must come in time, on no more connections than allowed."""

    header_s = 10.0
    most = 512
    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > self.most:
            transport.abort()
            return
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is h11.IDLE and self._waiting is None:
            self._wait()  # the headers of another request on the same connection

    def handle_events(self) -> None:
        super().handle_events()
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(self.header_s, self._too_slow)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _too_slow(self) -> None:
        self._waiting = None
        if not self.transport.is_closing():
            self.transport.abort()

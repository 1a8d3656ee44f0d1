"""What the routes of one server share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from fastapi import Request

from vultus.gallery import Gallery
from vultus.pipeline import Pipeline
from vultus.serve.auth import Keys
from vultus.serve.batching import Batcher
from vultus.serve.bodies import Memory
from vultus.serve.budgets import Buckets
from vultus.serve.clusters import Clusters
from vultus.serve.cursors import Cursors
from vultus.serve.errors import Problem
from vultus.serve.jobs import Jobs
from vultus.serve.limits import Limits
from vultus.serve.metrics import Metrics
from vultus.serve.roles import Role

__all__ = ["Caller", "Options", "Services", "caller_of", "services_of"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Options:
    """How a server is to behave, beside its limits.

    Attributes:
        hosts: names under which it may be asked (header Host), without port; empty: any. Loopback names only, on a
            loopback address, so that a web page whose name was bound anew to 127.0.0.1 gets no answer.
        auth: whether keys are asked for. Without, everybody is admin.
        metrics_open: whether /metrics needs no key.
        folders: below which a job may import photos; none unless given.
        state: folder for the list of jobs; None: it is not kept.
        workers: batches that go through the models at the same time.
    """

    hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]")
    auth: bool = True
    metrics_open: bool = False
    folders: tuple[Path, ...] = ()
    state: Path | None = None
    workers: int = 1


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: key id, its name and role."""

    key_id: str
    name: str
    role: Role

    @property
    def actor(self) -> str:
        """How the audit names them."""
        return f"key:{self.key_id}"


@dataclass(slots=True)
class Services:
    """The parts of one server."""

    gallery: Gallery
    pipe: Pipeline
    keys: Keys
    limits: Limits
    options: Options
    metrics: Metrics = field(default_factory=Metrics)
    batcher: Batcher = field(init=False)
    jobs: Jobs = field(init=False)
    clusters: Clusters = field(init=False)
    cursors: Cursors = field(init=False)
    memory: Memory = field(init=False)
    rates: Buckets = field(init=False)
    refusals: Buckets = field(init=False)
    attempts: Buckets = field(init=False)
    in_flight: int = 0
    stopping: bool = False
    _pool: ThreadPoolExecutor = field(init=False)
    _waiting: int = 0

    def __post_init__(self) -> None:
        limits = self.limits
        self.batcher = Batcher(self.pipe, limits, self.metrics, self.options.workers)
        self.clusters = Clusters(self.gallery, self.pipe)
        self.jobs = Jobs(self.options.state, limits, self.metrics)
        self.cursors = Cursors(self.keys.signing_key())
        self.memory = Memory(limits.bodies_bytes)
        self.rates = Buckets(limits.rate_burst, limits.rate_per_s, most=limits.counters)
        self.refusals = Buckets(limits.refusals_per_minute, limits.refusals_per_minute / 60, most=limits.counters)
        self.attempts = Buckets(limits.attempts_per_hour, limits.attempts_per_hour / 3600, most=limits.counters)
        self._pool = ThreadPoolExecutor(limits.gallery_threads, thread_name_prefix="vultus-gallery")
        self.metrics.watch("queue_pictures", "Pictures that wait for the models", lambda: len(self.batcher))
        self.metrics.watch("bodies_bytes", "Bytes of requests in memory", lambda: self.memory.used)
        self.metrics.watch("jobs_waiting", "Jobs that wait or run", lambda: self.jobs.active())

    async def call(self, work: Callable[[], T]) -> T:
        """Run a synchronous call, of the gallery above all, in one of a few threads.

        Raises:
            Problem: 503 when too many wait already.
        """
        if self._waiting >= self.limits.gallery_queue:
            self.metrics.refused.labels("gallery").inc()
            raise Problem(503, "Busy", "too many requests wait for the gallery: ask again", retry_after_s=2)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """End everything; called when no request is in flight any more."""
        self.stopping = True
        await self.batcher.close()
        await asyncio.get_running_loop().run_in_executor(None, self.jobs.close)
        self._pool.shutdown(wait=True)
        self.gallery.close()


def services_of(request: Request) -> Services:
    """The parts of the server that a request came to."""
    found = request.app.state.services
    assert isinstance(found, Services)
    return found


def caller_of(request: Request) -> Caller:
    """Who asks; only in routes that need a role."""
    found = request.scope["state"]["caller"]
    assert isinstance(found, Caller)
    return found

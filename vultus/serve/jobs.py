"""Long work: one at a time, with progress, canceled on request, and known after a restart as interrupted.

The list is kept as a small JSON file; it holds kinds, counts and key ids, and no name, path or picture.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from vultus.errors import StoreError, VultusError
from vultus.io.files import write_bytes
from vultus.serve.errors import Problem
from vultus.serve.limits import Limits
from vultus.serve.logs import LOG, frames
from vultus.serve.metrics import Metrics

__all__ = ["Canceled", "Job", "Jobs", "Progress", "Work"]

State = Literal["queued", "running", "done", "failed", "canceled", "interrupted"]
OPEN: tuple[State, ...] = ("queued", "running")


class Canceled(Exception):
    """The job was told to stop."""


@dataclass(slots=True)
class Job:
    """One piece of long work.

    Attributes:
        id: 16 hex digits.
        kind: "import", "cluster".
        owner: id of the key that asked for it.
        state: see `State`.
        done: steps done.
        total: steps in all, 0 while unknown.
        message: what it does, or why it failed.
        result: counts, when it is done.
        created_at: UTC, ISO 8601.
        ended_at: likewise, or None.
    """

    kind: str
    owner: str
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    state: State = "queued"
    done: int = 0
    total: int = 0
    message: str = ""
    result: dict[str, Any] | None = None
    created_at: str = field(default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="milliseconds"))
    ended_at: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


class Progress:
    """What a job calls while it works."""

    def __init__(self, job: Job, stop: threading.Event) -> None:
        self._job = job
        self._stop = stop

    def __call__(self, done: int, total: int, message: str = "") -> None:
        """Say how far it is; raises Canceled when it was told to stop."""
        if self._stop.is_set():
            raise Canceled
        self._job.done, self._job.total, self._job.message = done, total, message


Work = Callable[[Progress], dict[str, Any]]


class Jobs:
    """The jobs of one server.

    Args:
        folder: where the list is kept, or None.
        limits: how many may wait and are remembered.
        metrics: where they are counted.
    """

    def __init__(self, folder: Path | None, limits: Limits, metrics: Metrics) -> None:
        self.limits = limits
        self.metrics = metrics
        self._path = folder / "jobs.json" if folder else None
        self._lock = threading.RLock()
        self._jobs: dict[str, Job] = {}
        self._stops: dict[str, threading.Event] = {}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="vultus-job")
        self._closing = False
        self._load()

    def active(self) -> int:
        """How many wait or run."""
        with self._lock:
            return sum(job.state in OPEN for job in self._jobs.values())

    def list(self) -> list[Job]:
        """All that are remembered, the latest first."""
        with self._lock:
            return sorted(self._jobs.values(), key=lambda job: (job.created_at, job.id), reverse=True)

    def get(self, job_id: str) -> Job | None:
        """The job of that id."""
        with self._lock:
            return self._jobs.get(job_id)

    def start(self, kind: str, owner: str, work: Work) -> Job:
        """Queue a piece of work.

        Raises:
            Problem: 503 when too many wait, or the server stops.
        """
        with self._lock:
            if self._closing or self.active() >= self.limits.jobs:
                raise Problem(503, "Busy", f"{self.limits.jobs} jobs wait already: ask again", retry_after_s=30)
            job = Job(kind, owner)
            self._jobs[job.id] = job
            stop = self._stops[job.id] = threading.Event()
            self._forget()
            self._save()
            future = self._pool.submit(self._run, job, stop, work)
            future.add_done_callback(lambda ended: self._ended(job, ended))
        return job

    def cancel(self, job_id: str) -> Job | None:
        """Tell a job to stop; it does so at its next step."""
        with self._lock:
            job = self._jobs.get(job_id)
            if job is not None and job.state in OPEN:
                self._stops[job.id].set()
                if job.state == "queued":
                    self._finish(job, "canceled", "canceled before it began")
            return job

    def close(self) -> None:
        """Stop what runs; it is remembered as interrupted."""
        with self._lock:
            self._closing = True
            for stop in self._stops.values():
                stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            for job in self._jobs.values():
                if job.state in OPEN:
                    self._finish(job, "interrupted", "the server was stopped")

    # -- inside --------------------------------------------------------------------------------------------------

    def _run(self, job: Job, stop: threading.Event, work: Work) -> dict[str, Any]:
        if stop.is_set():
            raise Canceled
        with self._lock:
            job.state = "running"
            self._save()
        return work(Progress(job, stop))

    def _ended(self, job: Job, future: Future[dict[str, Any]]) -> None:
        with self._lock:
            if job.state not in OPEN:  # canceled while it waited
                return
            error = None if future.cancelled() else future.exception()
            if error is None and not future.cancelled():
                job.result = future.result()
                self._finish(job, "done", "")
            elif isinstance(error, Canceled) or future.cancelled():
                stopped = self._closing
                words = "the server was stopped" if stopped else "canceled"
                self._finish(job, "interrupted" if stopped else "canceled", words)
            elif isinstance(error, (VultusError, Problem)):
                words = "the operator finds the reason in the log" if isinstance(error, StoreError) else str(error)
                self._finish(job, "failed", f"{type(error).__name__}: {words}")
                LOG.warning("job failed", extra={"fields": {"job_id": job.id, "error": type(error).__name__}})
            elif error is not None:
                self._finish(job, "failed", "a defect of the server: the operator finds it in the log")
                where = {"job_id": job.id, "error": type(error).__name__, "frames": frames(error.__traceback__)}
                LOG.error("job failed", extra={"fields": where})

    def _finish(self, job: Job, state: State, message: str) -> None:
        job.state, job.message = state, message
        job.ended_at = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        self._stops.pop(job.id, None)
        self.metrics.jobs.labels(job.kind, state).inc()
        self._save()

    def _forget(self) -> None:
        ended = [job for job in self.list() if job.state not in OPEN]
        for job in ended[self.limits.jobs_kept :]:
            del self._jobs[job.id]

    def _save(self) -> None:
        if self._path is None:
            return
        rows = [{**job.to_dict(), "message": "", "result": None} for job in self._jobs.values()]
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_bytes(self._path, json.dumps({"format": "vultus-jobs-1", "jobs": rows}).encode())
        except (OSError, StoreError) as error:  # the work goes on: only a restart would not know of it
            LOG.error("the list of jobs cannot be written", extra={"fields": {"error": type(error).__name__}})

    def _load(self) -> None:
        if self._path is None or not self._path.is_file():
            return
        try:
            rows = json.loads(self._path.read_text("utf-8"))["jobs"]
            known = {f.name for f in fields(Job)}
            jobs = [Job(**{key: value for key, value in row.items() if key in known}) for row in rows]
        except (OSError, ValueError, KeyError, TypeError) as error:
            LOG.error("the list of jobs cannot be read", extra={"fields": {"error": type(error).__name__}})
            return
        for job in jobs:
            self._jobs[job.id] = job
            if job.state in OPEN:
                job.state, job.message, job.ended_at = "interrupted", "the server was stopped", None
        self._save()

"""Who works on chunks: threads of this process, or a Ray cluster. Both call the same function, so results are equal."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Protocol

from vultus.errors import InputError, MissingExtra, StoreError, VultusError
from vultus.pipeline._work import Chunk, Part, Spec, embed_chunk
from vultus.zoo.session import default_threads

_STORE_BYTES = 256 * 1024 * 1024  # of a Ray that is started here: parts are small and taken out at once
_KNOCK_S = 5.0
_RETRIES = 3  # by Ray itself, when a worker or a machine is lost
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is reported to anybody
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # tasks ask for no GPU; leave the variables of those who have one
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # workers run in the environment that is there
}


@dataclass(frozen=True, slots=True)
class Lost:
    """A chunk that did not come back.

    Attributes:
        reason: what became of the worker.
    """

    reason: str


class Engine(Protocol):
    """Works on chunks, several at a time."""

    def room(self) -> int:
        """How many chunks should be in flight; may change when machines come and go."""
        ...

    def submit(self, chunk: Chunk) -> Any:
        """Begin; returns a handle."""
        ...

    def ready(self, handles: Sequence[Any], timeout: float) -> list[Any]:
        """Handles that have a result; waits at most `timeout` seconds for the first."""
        ...

    def result(self, handle: Any) -> Part | Lost:
        """What came out."""
        ...

    def close(self) -> None:
        """Drop what is in flight and free what was started."""
        ...


class LocalEngine:
    """One chunk per core, in threads.

    Args:
        spec: which models.
        threads: cores; None means all.
    """

    def __init__(self, spec: Spec, threads: int | None = None) -> None:
        self.spec = spec
        self.cores = threads or default_threads()
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(self.cores, thread_name_prefix="vultus-embed")

    def room(self) -> int:
        """See `Engine`."""
        return 2 * self.cores

    def submit(self, chunk: Chunk) -> Future[Part]:
        """See `Engine`."""
        return self._pool.submit(embed_chunk, self.spec, chunk, self._stop.is_set)

    def ready(self, handles: Sequence[Future[Part]], timeout: float) -> list[Future[Part]]:
        """See `Engine`."""
        return list(wait(handles, timeout, FIRST_COMPLETED).done)

    def result(self, handle: Future[Part]) -> Part | Lost:
        """See `Engine`."""
        return handle.result()

    def close(self) -> None:
        """See `Engine`; ends with the pictures in hand."""
        self._stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)


class RayEngine:
    """One core of a Ray cluster per chunk; lost workers and machines cost the chunks they had in hand.

    A Ray that this process has started already is used as it is. Otherwise one is joined (`address`, or RAY_ADDRESS) or
    started on this machine, and left or stopped at the end.

    Args:
        spec: which models.
        address: of a cluster, such as "auto" or "10.0.0.1:6379"; None means RAY_ADDRESS, or a Ray of one's own.
        threads: cores of a Ray that is started here; None means all.

    Raises:
        MissingExtra: if Ray is not installed.
        StoreError: if the cluster cannot be reached.
    """

    def __init__(self, spec: Spec, address: str | None = None, threads: int | None = None) -> None:
        for key, value in _QUIET.items():
            os.environ.setdefault(key, value)
        try:
            import ray
        except ImportError as error:
            raise MissingExtra("--engine ray", "ray") from error
        self._ray = ray
        self._mine = not ray.is_initialized()
        if self._mine:
            _start(ray, address or os.environ.get("RAY_ADDRESS") or "local", threads)
        self._spec = ray.put(spec)
        # SPREAD: to whatever machine has least to do, not to the first until it is full
        self._task = ray.remote(num_cpus=1, max_retries=_RETRIES, scheduling_strategy="SPREAD")(_in_worker)
        self._resources: Any = ray.cluster_resources
        self._flight: set[Any] = set()

    def room(self) -> int:
        """See `Engine`."""
        return 2 * max(1, int(self._resources().get("CPU", 1)))

    def submit(self, chunk: Chunk) -> Any:
        """See `Engine`."""
        handle = self._task.remote(self._spec, chunk, chunk.visible())
        self._flight.add(handle)
        return handle

    def ready(self, handles: Sequence[Any], timeout: float) -> list[Any]:
        """See `Engine`."""
        return list(self._ray.wait(list(handles), num_returns=1, timeout=timeout, fetch_local=False)[0])

    def result(self, handle: Any) -> Part | Lost:
        """See `Engine`."""
        self._flight.discard(handle)
        try:
            found = self._ray.get(handle)
        except self._ray.exceptions.RayTaskError:
            raise  # a defect of ours; not a machine
        except self._ray.exceptions.RayError as error:
            return Lost(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
        if isinstance(found, Part):
            return found
        raise StoreError(f"a worker could not begin: {found}")

    def close(self) -> None:
        """See `Engine`."""
        if not self._ray.is_initialized():
            return
        for handle in self._flight:
            self._ray.cancel(handle, force=True)
        self._flight.clear()
        if self._mine:
            self._ray.shutdown()


def _start(ray: Any, address: str, threads: int | None) -> None:
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == "local":
        options |= {
            "num_cpus": threads or default_threads(),
            "include_dashboard": False,
            "object_store_memory": _STORE_BYTES,
        }
    try:
        host, _, port = address.removeprefix("ray://").rpartition(":")
        if host and port.isdecimal():  # Ray itself would knock at a door that nobody opens for a quarter of an hour
            socket.create_connection((host, int(port)), _KNOCK_S).close()
        ray.init(address=address, **options)
    except (ConnectionError, RuntimeError, ValueError, OSError, OverflowError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StoreError(
            f"{address}: expected the address of a Ray cluster, could not join it: {first}; start one with `ray start "
            "--head`, or leave the address away"
        ) from error


def _in_worker(spec: Spec, chunk: Chunk, visible: bool) -> Part | str:
    """In a worker process; errors of ours go back as words, since not every one survives the journey.

    Args:
        spec: which models.
        chunk: what to read.
        visible: whether the process that planned the job saw its files.
    """
    if visible and not chunk.visible():
        return (
            f"{chunk.name()}: expected files that this machine can see, found none of them: photos must lie at the "
            "same path on every machine, on storage that all of them share"
        )
    try:
        return embed_chunk(spec, chunk)
    except VultusError as error:
        return f"{type(error).__name__}: {error}"


def engine(name: str, spec: Spec, *, threads: int | None = None, address: str | None = None) -> Engine:
    """An engine by name: "local" or "ray".

    Raises:
        InputError: if the name is another one.
        MissingExtra: if it needs a package that is not installed.
    """
    if name == "local":
        return LocalEngine(spec, threads)
    if name == "ray":
        return RayEngine(spec, address, threads)
    raise InputError(f"engine: expected local or ray, got {name!r}")

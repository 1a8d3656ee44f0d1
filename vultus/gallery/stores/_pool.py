"""Connections that threads share and a fork does not, and the queue of the writers of one process."""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from vultus.errors import StoreError

__all__ = ["Pool", "Pooled"]

IDLE_CONNECTIONS = 4


class Pooled(Protocol):
    """A connection that may lie idle."""

    pid: int

    def usable(self) -> bool:
        """Whether it still leads to the place it was opened for."""
        ...

    def rest(self) -> bool:
        """End what is open; False when the connection must be closed."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


H = TypeVar("H", bound=Pooled)
_pools: weakref.WeakSet[Pool[Pooled]] = weakref.WeakSet()
_orphans: list[Pooled] = []  # connections of a parent process: a fork may neither use nor close them


class Pool(Generic[H]):
    """Connections to one place.

    Args:
        connect: opens one.
        name: of the place, for errors.
    """

    def __init__(self, connect: Callable[[], H], name: str) -> None:
        self._connect = connect
        self._name = name
        self._begin()
        _pools.add(self)  # type: ignore[arg-type]

    def _begin(self) -> None:
        self._all: set[H] = set()
        self._idle: list[H] = []
        self._lock = threading.Lock()
        self._writer = threading.Lock()
        self._writing: int | None = None

    @contextlib.contextmanager
    def connected(self) -> Iterator[H]:
        """A connection of one's own, outside a transaction before and after."""
        handle = self.take()
        try:
            yield handle
        finally:
            self.give(handle)

    @contextlib.contextmanager
    def turn(self, seconds: float) -> Iterator[None]:
        """Writers of one process wait here; those of others wait where the rows are.

        Raises:
            StoreError: if this thread is writing already, or another one for that long.
        """
        if self._writing == threading.get_ident():
            raise StoreError(f"{self._name}: this thread is writing already: end that block first")
        lock = self._writer
        if not lock.acquire(timeout=seconds):
            raise StoreError(f"{self._name}: another thread has been writing for {seconds:.0f} s: try again later")
        self._writing = threading.get_ident()
        try:
            yield
        finally:
            if lock is self._writer:  # not so in a fork
                self._writing = None
            lock.release()

    def take(self) -> H:
        """An idle connection, or a new one."""
        while True:
            with self._lock:
                handle = self._idle.pop() if self._idle else None
            if handle is None:
                return self.fresh()
            try:
                if handle.usable():
                    return handle
            except StoreError:
                with self._lock:
                    self._idle.append(handle)  # so that the next call is refused as well
                raise
            self.drop(handle)

    def fresh(self) -> H:
        """A new connection; `give` takes it back."""
        handle = self._connect()
        self._all.add(handle)
        return handle

    def give(self, handle: H) -> None:
        """Take a connection back."""
        if handle.pid != os.getpid():
            return  # a fork came back to its parent's block: see `_orphans`
        if handle.rest():
            with self._lock:
                if len(self._idle) < IDLE_CONNECTIONS:
                    self._idle.append(handle)
                    return
        self.drop(handle)

    def drop(self, handle: H) -> None:
        """Close a connection for good."""
        self._all.discard(handle)
        handle.close()

    def close(self) -> None:
        """Close the connections that are not in use."""
        with self._lock:
            idle = list(self._idle)
            self._idle.clear()
        for handle in idle:
            self.drop(handle)


def _after_fork() -> None:
    for pool in list(_pools):
        _orphans.extend(pool._all)
        pool._begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

"""A few threads for kernels that release the interpreter; made at the first use, anew after a fork."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

from vultus.zoo.session import default_threads

__all__ = ["count", "spread"]

A = TypeVar("A")
B = TypeVar("B")
_pools: dict[int, ThreadPoolExecutor] = {}  # process id -> its threads: those of a parent do not live on in a child


@lru_cache(maxsize=1)
def count() -> int:
    """How many threads work on one search: VULTUS_THREADS, else the physical cores."""
    return default_threads()


def spread(work: Callable[[A], B], items: Sequence[A]) -> list[B]:
    """`work` of every item, in order, on all threads; one item, or one thread, needs none."""
    threads = count()
    if threads == 1 or len(items) < 2:
        return [work(item) for item in items]
    pool = _pools.get(os.getpid())
    if pool is None:
        pool = _pools.setdefault(os.getpid(), ThreadPoolExecutor(threads, thread_name_prefix="vultus-search"))
    return list(pool.map(work, items))

"""Token buckets: how fast a key may ask, how often an address may be wrong, how often one person may be tried."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

__all__ = ["Buckets"]


class Buckets:
    """One bucket of tokens per key, filled at a steady rate.

    Args:
        size: tokens in a full bucket.
        per_s: tokens that come in each second.
        most: buckets kept; the one unused for longest is dropped, which fills it again.
        clock: seconds, rising.
    """

    def __init__(
        self, size: float, per_s: float, *, most: int = 100_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.size = size
        self.per_s = per_s
        self.most = most
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()  # key -> (tokens, when)

    def take(self, key: Hashable, n: float = 1.0) -> float:
        """Take `n` tokens; 0.0 when they were there, else the seconds to wait, and nothing is taken."""
        with self._lock:
            now = self._clock()
            have = self._level(key, now)
            wait = 0.0 if have >= n else (n - have) / self.per_s
            self._keep(key, have if wait else have - n, now)
            return wait

    def wait(self, key: Hashable, n: float = 1.0) -> float:
        """The seconds until `n` tokens are there; takes none."""
        with self._lock:
            have = self._level(key, self._clock())
            return 0.0 if have >= n else (n - have) / self.per_s

    def __len__(self) -> int:
        return len(self._buckets)

    def _level(self, key: Hashable, now: float) -> float:
        tokens, when = self._buckets.get(key, (self.size, now))
        return min(self.size, tokens + (now - when) * self.per_s)

    def _keep(self, key: Hashable, tokens: float, now: float) -> None:
        self._buckets[key] = (tokens, now)
        self._buckets.move_to_end(key)
        while len(self._buckets) > self.most:
            self._buckets.popitem(last=False)

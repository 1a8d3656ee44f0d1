"""Pictures of many requests through the models together: a bounded queue, and batches of what came within milliseconds.

A batch never waits for more than `batch_wait_s`, and not at all while the models are busy: what arrives meanwhile is
the next batch. Decoding happens here too, so that at most one batch of decoded pictures per worker is in memory.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from vultus.errors import InputError, VultusError
from vultus.io import images
from vultus.pipeline import Encoded, Pipeline
from vultus.pipeline.previews import previews
from vultus.serve.errors import Problem
from vultus.serve.limits import Limits
from vultus.serve.metrics import Metrics
from vultus.types import Image

__all__ = ["Batcher", "Seen"]


@dataclass(frozen=True, slots=True)
class Seen:
    """What the models made of one picture.

    Attributes:
        encoded: faces, vectors, qualities.
        previews: a small JPEG per face, where they were asked for.
    """

    encoded: Encoded
    previews: tuple[bytes | None, ...] = ()


@dataclass(slots=True, eq=False)
class _Waiting:
    data: bytes
    keep: bool
    done: asyncio.Future[Seen | VultusError]
    since: float = field(default_factory=time.monotonic)


class Batcher:
    """Feeds one pipeline.

    Args:
        pipe: what encodes.
        limits: sizes of queue and batch.
        metrics: where batches are counted.
        workers: batches at the same time.
    """

    def __init__(self, pipe: Pipeline, limits: Limits, metrics: Metrics, workers: int = 1) -> None:
        self.pipe = pipe
        self.limits = limits
        self.metrics = metrics
        self._workers = workers
        self._queue: deque[_Waiting] = deque()
        self._more = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="vultus-batch")
        self._closed = False

    def __len__(self) -> int:
        return len(self._queue)

    def start(self) -> None:
        """Start the workers, in the running event loop."""
        self._tasks = [asyncio.ensure_future(self._work()) for _ in range(self._workers)]

    async def close(self) -> None:
        """Refuse what waits, finish what is being worked on, end the workers."""
        self._closed = True
        while self._queue:
            waiting = self._queue.popleft()
            if not waiting.done.done():
                waiting.done.set_exception(_stopping())
        self._more.set()
        await asyncio.gather(*self._tasks)
        self._pool.shutdown(wait=True)

    async def encode(self, data: Sequence[bytes], *, keep: bool = False) -> list[Seen | VultusError]:
        """Encode pictures; one result per picture, in order: what was seen, or why it could not be read.

        Canceling takes out of the queue what no worker has taken yet.

        Args:
            data: encoded files.
            keep: make a small picture of every face too; done here, so that no decoded picture leaves the batch.

        Raises:
            Problem: 503 when the queue is full or the server stops.
        """
        if self._closed:
            raise _stopping()
        if len(self._queue) + len(data) > self.limits.queue_pictures:
            self.metrics.refused.labels("queue").inc()
            raise Problem(503, "Busy", "the queue of the models is full: ask again", retry_after_s=2)
        loop = asyncio.get_running_loop()
        waiting = [_Waiting(item, keep, loop.create_future()) for item in data]
        self._queue.extend(waiting)
        self._more.set()
        try:
            return list(await asyncio.gather(*(item.done for item in waiting)))
        except asyncio.CancelledError:
            for item in waiting:
                item.done.cancel()
            raise

    # -- the workers ---------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._closed:
            batch = await self._next_batch()
            if not batch:
                continue
            now = time.monotonic()
            for item in batch:
                self.metrics.waited.observe(now - item.since)
            self.metrics.batch.observe(len(batch))
            work = asyncio.ensure_future(
                loop.run_in_executor(self._pool, self._encode, [(i.data, i.keep) for i in batch])
            )
            await asyncio.wait({work})
            self._hand_out(batch, work)

    async def _next_batch(self) -> list[_Waiting]:
        """What is to be encoded together; empty when there is nothing after all."""
        while not self._queue and not self._closed:
            self._more.clear()
            await self._more.wait()
        if len(self._queue) < self.limits.batch_pictures and not self._closed:
            await asyncio.sleep(self.limits.batch_wait_s)
        batch: list[_Waiting] = []
        while self._queue and len(batch) < self.limits.batch_pictures:
            item = self._queue.popleft()
            if not item.done.done():  # else nobody waits for it any more
                batch.append(item)
        return batch

    def _hand_out(self, batch: list[_Waiting], work: asyncio.Future[list[Seen | VultusError]]) -> None:
        error = work.exception()
        for i, item in enumerate(batch):
            if item.done.done():
                continue
            if error is not None:
                item.done.set_exception(error)
                continue
            result = work.result()[i]
            self.metrics.pictures.labels("refused" if isinstance(result, VultusError) else "encoded").inc()
            if isinstance(result, Seen):
                self.metrics.faces.inc(len(result.encoded))
            item.done.set_result(result)

    def _encode(self, batch: list[tuple[bytes, bool]]) -> list[Seen | VultusError]:
        """Decode and encode, in runs whose decoded pictures fit into memory."""
        results: list[Seen | VultusError] = []
        run: list[tuple[Image, bool] | VultusError] = []
        pixels = 0
        for data, keep in batch:
            image = self._decoded(data)
            size = 0 if isinstance(image, VultusError) else image.pixels.shape[0] * image.pixels.shape[1]
            if pixels + size > self.limits.batch_pixels and run:
                results += self._encoded(run)
                run, pixels = [], 0
            run.append(image if isinstance(image, VultusError) else (image, keep))
            pixels += size
        return results + self._encoded(run)

    def _decoded(self, data: bytes) -> Image | VultusError:
        try:
            return images.read(data, limits=self.limits.of_a_picture)
        except VultusError as error:
            return error.with_traceback(None)

    def _encoded(self, run: list[tuple[Image, bool] | VultusError]) -> list[Seen | VultusError]:
        good = [item[0] for item in run if not isinstance(item, VultusError)]
        found = iter([self.pipe.encode(good[0])] if len(good) == 1 else self.pipe.stream(good) if good else ())
        results: list[Seen | VultusError] = []
        for item in run:
            if isinstance(item, VultusError):
                results.append(item)
                continue
            result = next(found)
            if isinstance(result, Encoded) and len(result) > self.limits.faces:
                what = f"expected at most {self.limits.faces} faces, got {len(result)}: send parts of it"
                result = InputError(f"the picture: {what}")
            if isinstance(result, Encoded):
                results.append(Seen(result, tuple(previews(item[0], result)) if item[1] else ()))
            else:
                results.append(result)
        return results


def _stopping() -> Problem:
    return Problem(503, "Stopping", "the server is being stopped: ask again", retry_after_s=5)

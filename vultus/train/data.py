"""Batches: sources of pictures, and the feed that turns them into tensors.

A batch follows from its number and the seed alone, so a run that was cut off goes on with the batches that it would
have had, with any number of workers.

    pictures = Pictures(images, labels, names)
    for batch in Feed(pictures, batch=64, augment=Flip()).batches(0):
        batch["image"], batch["label"], batch["index"]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from vultus.errors import InputError, StoreError, VultusError
from vultus.types import F32, U8, checked

__all__ = ["Augment", "Batch", "Feed", "Pictures", "Sampler", "Source", "batch_of"]

I64 = NDArray[np.int64]
Batch = dict[str, Tensor]
Augment = Callable[[U8, F32 | None, np.random.Generator], tuple[U8, F32 | None]]

_ORDER, _AUGMENT, _INSTEAD = 0, 1, 2  # what a stream of random numbers is for
_TRIES = 32


@runtime_checkable
class Source(Protocol):
    """Pictures of one size with labels."""

    @property
    def labels(self) -> I64:
        """(N,) whom each shows, as an index into `names`; -1 unknown."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """One per person."""
        ...

    def picture(self, i: int) -> tuple[U8, F32 | None]:
        """(H, W, 3) picture i and its (5, 2) points, or None.

        Raises:
            VultusError: it cannot be had; the feed takes another in its place.
        """
        ...


class Sampler(Protocol):
    """Says which pictures are in a batch, from the batch's number alone; `vultus.train.samplers`."""

    def batch(self, number: int) -> I64:
        """Indices of a batch, of any shape."""
        ...

    def __len__(self) -> int: ...


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """Aligned crops of one size, in memory.

    Attributes:
        images: (N, H, W, 3) uint8 RGB.
        labels: (N,) whom each shows, as an index into `names`; -1 unknown.
        names: one per person.
        points: (N, 5, 2) pixels in center coordinates, or None.
        apart: (N,) what pictures must differ in to be told apart, such as the video or the album, or None.
        name: of the set.
        tier: "real" or "sim".
        license: terms as stated at the source.
    """

    images: U8
    labels: I64
    names: tuple[str, ...]
    points: F32 | None = None
    apart: I64 | None = None
    name: str = "pictures"
    tier: str = "real"
    license: str = "unstated"

    def __post_init__(self) -> None:
        images = self.images
        if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
            got = f"{images.dtype} {images.shape}" if isinstance(images, np.ndarray) else type(images).__name__
            raise InputError(f"images: expected uint8 of shape (N, H, W, 3), got {got}")
        n = len(images)
        kind = np.asarray(self.labels).dtype.kind
        if kind not in "iu":
            raise InputError(f"labels: expected whole numbers, got {np.asarray(self.labels).dtype}")
        labels = checked("labels", self.labels, (n,), np.int64)
        if n and (labels.min() < -1 or labels.max() >= len(self.names)):
            raise InputError(
                f"labels: expected -1 (unknown) or an index below {len(self.names)} names, "
                f"got {labels.min()} to {labels.max()}"
            )
        if self.tier not in ("real", "sim"):
            raise InputError(f"tier: expected real or sim, got {self.tier!r}")
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "names", tuple(self.names))
        if self.points is not None:
            object.__setattr__(self, "points", checked("points", self.points, (n, 5, 2)))
        if self.apart is not None:
            object.__setattr__(self, "apart", checked("apart", self.apart, (n,), np.int64))

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        height, width = self.images.shape[1:3]
        return f"Pictures({self.name}: {len(self)} of {self.classes} people, {height} x {width}, {self.tier})"

    @property
    def classes(self) -> int:
        """How many people."""
        return len(self.names)

    def picture(self, i: int) -> tuple[U8, F32 | None]:
        """Picture i and its points."""
        return self.images[i], None if self.points is None else self.points[i]

    def subset(self, *, people: ArrayLike | None = None, rows: ArrayLike | None = None) -> Pictures:
        """Some people, numbered anew in the order given, or some pictures, with the labels they have.

        Args:
            people: indices into `names`.
            rows: indices of pictures, or (N,) booleans.

        Raises:
            InputError: if both or neither are given, an index is out of range, or a person comes twice.
        """
        if (people is None) == (rows is None):
            raise InputError("subset: expected people or rows, got both or neither")
        if people is None:
            picked = np.asarray(rows)
            picked = np.flatnonzero(picked) if picked.dtype == bool and picked.shape == (len(self),) else picked
            return self._rows(_indices("rows", picked, len(self)), self.labels, self.names)
        chosen = _indices("people", np.asarray(people), self.classes)
        if len(np.unique(chosen)) < len(chosen):
            raise InputError("people: expected each once, got one again")
        place = np.full(self.classes + 1, -1)  # the last is for the unknown
        place[chosen] = np.arange(len(chosen))
        new = place[self.labels].astype(np.int64)
        return self._rows(np.flatnonzero(new >= 0), new, tuple(self.names[k] for k in chosen))

    def _rows(self, rows: I64, labels: I64, names: tuple[str, ...]) -> Pictures:
        points = None if self.points is None else self.points[rows]
        apart = None if self.apart is None else self.apart[rows]
        return Pictures(self.images[rows], labels[rows], names, points, apart, self.name, self.tier, self.license)


@dataclass(frozen=True, slots=True, eq=False)
class Feed:
    """An endless stream of batches.

    Without a sampler every pass takes each picture once, in an order that follows from the seed and the number of the
    pass; ranks share a pass. With a sampler the batches are its own.

    Attributes:
        source: the pictures.
        batch: how many per batch and rank; not used with a sampler.
        sampler: such as `PK`, made with the same ranks.
        augment: changes a picture and its points. Its random numbers follow from (seed, pass, index of the picture),
            and with a sampler, where a picture may come twice in a batch, from (seed, number, place in the batch).
        seed: of the order and of `augment`.
        workers: threads that make batches ahead; 0 makes them when they are asked for.
        ranks: which rank this is, and how many there are.
        drop_last: leave out the pictures that fill no batch; they differ from pass to pass. Otherwise the last batch
            is short; with several ranks it is filled up so that all of them take as many.

    Raises:
        InputError: if there are no pictures, fewer than a batch takes, or a setting is out of range.
    """

    source: Source
    batch: int = 64
    sampler: Sampler | None = None
    augment: Augment | None = None
    seed: int = 0
    workers: int = 0
    ranks: tuple[int, int] = (0, 1)
    drop_last: bool = True
    _orders: dict[int, I64] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        n, (rank, size) = len(self.source.labels), self.ranks
        if self.batch < 1 or self.seed < 0 or not 0 <= self.workers <= 64:
            raise InputError(
                "batch, seed, workers: expected a batch from 1, a seed from 0 and 0 to 64 workers, "
                f"got {self.batch}, {self.seed} and {self.workers}"
            )
        if not 0 <= rank < size:
            raise InputError(f"ranks: expected a rank from 0 and below how many there are, got {self.ranks}")
        theirs = getattr(self.sampler, "ranks", self.ranks)
        if theirs != self.ranks:
            raise InputError(f"ranks: expected those of the sampler, {theirs}, got {self.ranks}: give both the same")
        if not n:
            raise InputError("source: expected pictures, got none")
        if self.sampler is None and self.drop_last and n < self.batch * size:
            raise InputError(
                f"batch: expected at most {n} pictures on {size} ranks together, got {self.batch} each: "
                "lower batch or set drop_last=False"
            )

    def __len__(self) -> int:
        """Batches of one pass, per rank."""
        if self.sampler is not None:
            return len(self.sampler)
        whole, rest = divmod(len(self.source.labels), self.batch * self.ranks[1])
        return whole + (bool(rest) and not self.drop_last)

    def batches(self, start: int = 0) -> Iterator[Batch]:
        """The batches from a number on, without end.

        Args:
            start: number of the first; a run that was cut off after `start` steps goes on here.

        Raises:
            InputError: if the number is negative.
            StoreError: if pictures cannot be had, see `Stored`.
        """
        if start < 0:
            raise InputError(f"start: expected a number from 0, got {start}")
        return self._ahead(start) if self.workers else (self.at(number) for number in count(start))

    def at(self, number: int) -> Batch:
        """One batch by its number; nothing is remembered."""
        rows = self.rows(number)
        if self.sampler is None:
            turn = number // len(self)
            keys: list[tuple[int, ...]] = [(turn, int(i)) for i in rows]
        else:
            keys = [(number, place, self.ranks[0]) for place in range(len(rows))]
        items = [self._item(int(i), key) for i, key in zip(rows, keys, strict=True)]
        places = np.array([place for place, _, _ in items], np.int64)
        points = [point for _, _, point in items if point is not None]
        return batch_of(
            [image for _, image, _ in items],
            self.source.labels[places],
            places,
            np.stack(points) if len(points) == len(items) else None,
        )

    def rows(self, number: int) -> I64:
        """(N,) which pictures a batch asks for; where one cannot be had, the batch's "index" differs."""
        if self.sampler is not None:
            found = np.asarray(self.sampler.batch(number), np.int64).ravel()
            if not len(found) or found.min() < 0 or found.max() >= len(self.source.labels):
                raise InputError(
                    f"sampler: expected indices from 0 below {len(self.source.labels)}, got {found[:5].tolist()}"
                )
            return found
        turn, place = divmod(number, len(self))
        order, (rank, size) = self._order(turn), self.ranks
        part = order[place * self.batch * size : (place + 1) * self.batch * size]
        short = -len(part) % size
        return np.concatenate([part, np.resize(order, short)])[rank::size] if short else part[rank::size]

    def _order(self, turn: int) -> I64:
        order = self._orders.get(turn)
        if order is None:
            order = self._random(_ORDER, turn).permutation(len(self.source.labels)).astype(np.int64)
            for old in [key for key in list(self._orders) if key < turn - 1 or key > turn + 1]:
                self._orders.pop(old, None)
            self._orders[turn] = order
        return order

    def _item(self, i: int, key: tuple[int, ...]) -> tuple[int, U8, F32 | None]:
        place, (image, points) = self._had(i, key)
        if self.augment is not None:
            image, points = self.augment(image, points, self._random(_AUGMENT, *key))
        return place, image, points

    def _had(self, i: int, key: tuple[int, ...]) -> tuple[int, tuple[U8, F32 | None]]:
        """Picture i, or where it cannot be had another of the same person, or of anybody."""
        try:
            return i, self.source.picture(i)
        except StoreError:
            raise
        except VultusError as error:
            why = error
        label = int(self.source.labels[i])
        mine = np.flatnonzero(self.source.labels == label) if label >= 0 else np.zeros(0, np.int64)
        draws = self._random(_INSTEAD, *key)
        anybody = draws.integers(len(self.source.labels), size=_TRIES)
        for other in (*draws.permutation(mine[mine != i])[:_TRIES].tolist(), *anybody.tolist()):
            try:
                return int(other), self.source.picture(int(other))
            except StoreError:
                raise
            except VultusError:
                continue
        raise StoreError(f"source: {_TRIES} pictures in a row cannot be had, the first because of: {why}") from why

    def _random(self, *key: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, *key))

    def _ahead(self, start: int) -> Iterator[Batch]:
        """Batches in order, made by threads: decoding and copying leave the interpreter free for each other."""
        numbers = count(start)
        with ThreadPoolExecutor(self.workers, thread_name_prefix="feed") as pool:
            waiting: list[Future[Batch]] = [pool.submit(self.at, next(numbers)) for _ in range(2 * self.workers)]
            try:
                while True:
                    done = waiting.pop(0).result()
                    waiting.append(pool.submit(self.at, next(numbers)))
                    yield done
            finally:
                for future in waiting:
                    future.cancel()


def batch_of(images: Sequence[U8] | U8, labels: ArrayLike, index: ArrayLike, points: Any = None) -> Batch:
    """Pictures as a batch: "image" (N, 3, H, W) float32 in [0, 1], "label" and "index" (N,) int64, "points" (N, 5, 2).

    Raises:
        InputError: if the pictures differ in size or are not uint8.
    """
    sizes = {image.shape for image in images}
    if len(sizes) != 1 or any(image.dtype != np.uint8 for image in images):
        raise InputError(f"images: expected uint8 pictures of one size, got {sorted(sizes)[:3]}")
    pixels = torch.from_numpy(np.stack(list(images)))
    batch = {
        "image": pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format).div_(255),
        "label": torch.from_numpy(np.array(labels, np.int64)),
        "index": torch.from_numpy(np.array(index, np.int64)),
    }
    if points is not None:
        batch["points"] = torch.from_numpy(np.array(points, np.float32))
    return batch


def _indices(name: str, values: NDArray[Any], limit: int) -> I64:
    if values.ndim != 1 or (values.size and values.dtype.kind not in "iu"):
        raise InputError(f"{name}: expected a list of whole numbers, got {values.dtype} of shape {values.shape}")
    if values.size and (values.min() < 0 or values.max() >= limit):
        raise InputError(f"{name}: expected from 0 below {limit}, got {values.min()} to {values.max()}")
    return values.astype(np.int64)

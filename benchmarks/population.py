"""Embeddings of people who do not exist: clusters with the spectrum and the cosines of real ones, any number, by seed.

A person is a random direction, a photo of them that direction and another random one in such a share that two photos of
a person have a cosine of .5 to .7. Coordinates decay, so that the 512 numbers carry about 250 independent ones, and the
128 about 33, as those of the embedder with 128 numbers do on LFW (whose vectors also lie on one side, like here).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Population"]

F32 = NDArray[np.float32]
PHOTOS = 4  # of each person
CHUNK = 20_000  # rows that are drawn at a time, each chunk from a seed of its own
MATED = (0.5, 0.7)  # cosines of two photos of a person, where the side is 0
DECAY = {512: 0.25, 128: 0.16}  # of the coordinates, as a share of their number
SIDE = {512: 0.0, 128: 2.2}  # length of what all vectors have in common, in lengths of what they do not


@dataclass(frozen=True)
class Population:
    """N photos of N / 4 people, and probes of some of them and of strangers.

    Attributes:
        rows: N, a multiple of 4.
        dim: D.
        seed: of everything.
    """

    rows: int
    dim: int
    seed: int

    def chunks(self) -> Iterator[tuple[int, F32]]:
        """(first row, unit rows) of every chunk, in order."""
        for number, first in enumerate(range(0, self.rows, CHUNK)):
            size = min(CHUNK, self.rows - first)
            centers, rng = self._centers(number)
            yield first, self._photos(np.repeat(centers, PHOTOS, axis=0)[:size], rng)

    def keys(self) -> list[str]:
        """Of the rows."""
        return [f"photo-{row}" for row in range(self.rows)]

    def groups(self) -> list[str]:
        """The person of each row."""
        return [f"person-{row // PHOTOS}" for row in range(self.rows)]

    def mated(self, count: int) -> F32:
        """New photos of `count` people who are among the rows, spread over all chunks."""
        chunks = -(-self.rows // CHUNK)
        used = min(chunks, count)
        some = [self._centers(number)[0] for number in np.linspace(0, chunks - 1, used).astype(int)]
        people = [
            centers[i % min(len(centers), self.rows // PHOTOS)] for i in range(-(-count // used)) for centers in some
        ]
        return self._photos(np.array(people[:count]), np.random.default_rng([self.seed, 1, 0]))

    def strangers(self, count: int) -> F32:
        """Photos of people who are not among the rows."""
        rng = np.random.default_rng([self.seed, 2, 0])
        return self._photos(self._directions(count, rng), rng)

    def _centers(self, chunk: int) -> tuple[F32, np.random.Generator]:
        rng = np.random.default_rng([self.seed, 0, chunk])
        return self._directions(CHUNK // PHOTOS, rng), rng

    def _directions(self, count: int, rng: np.random.Generator) -> F32:
        decay = DECAY.get(self.dim, 0.25) * self.dim
        spectrum = np.exp(-np.arange(self.dim) / (2 * decay)).astype(np.float32)
        return _unit(rng.standard_normal((count, self.dim), np.float32) * spectrum)

    def _photos(self, centers: F32, rng: np.random.Generator) -> F32:
        own = np.sqrt(rng.uniform(*MATED, (len(centers), 1))).astype(np.float32)
        photos = own * centers + np.sqrt(1 - own * own) * self._directions(len(centers), rng)
        side = np.random.default_rng([self.seed, 3, 0]).standard_normal(self.dim).astype(np.float32)
        return _unit(photos + SIDE.get(self.dim, 0.0) * _unit(side[None]))


def _unit(rows: F32) -> F32:
    scaled: F32 = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return scaled

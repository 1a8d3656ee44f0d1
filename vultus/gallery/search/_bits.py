"""Sign bits: one code of 512 bits per row, ranked by Hamming distance, so that few rows have to be scored.

A row is centered, turned by a random rotation and reduced to the signs of its coordinates; the share of bits in which
two codes differ estimates the angle between the rows. Centering matters where all vectors of a model lie on one side
(dlib's do), the rotation where single coordinates carry much, and rows of fewer than 512 numbers are turned several
times, because 128 bits tell too little apart.

The candidates of a query are the R rows of nearest code and every further row as near as the last of them, so the set
depends neither on the order of rows nor on the kernel. Each candidate is scored exactly; what is missed is a row with
more than R codes nearer than its own.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.gallery.search import _threads
from vultus.gallery.search._rows import I64, Rows
from vultus.types import F32

__all__ = ["BITS", "Signs", "candidates", "kernel", "laid_out"]

BITS = 512
WORDS = BITS // 64
CHUNK = 1 << 14  # rows encoded at a time
TILE = 1 << 16  # rows compared at a time by NumPy: their words, counts and sums stay in the second-level cache
SAMPLE = 61  # every 61st distance guesses the cut; a prime, so that no regular order of enrollment is in step with it
FAR = np.uint16(BITS + 1)

U64 = NDArray[np.uint64]
U16 = NDArray[np.uint16]
_mine = threading.local()


class Signs:
    """Turns vectors into codes.

    Args:
        center: (D,) the mean of the rows it was fitted to.
        turn: (512, D) rows of rotations.
    """

    def __init__(self, center: F32, turn: F32) -> None:
        self.center, self.turn = center, turn

    @classmethod
    def fit(cls, rows: Rows, turn: F32 | None, rng: np.random.Generator) -> Signs:
        """Center on the mean of the rows and draw the rotations, unless they are drawn already."""
        dim = next(rows.pieces("vector"))[1].shape[1]
        if turn is None:
            frames = [np.linalg.qr(rng.standard_normal((dim, dim)))[0] for _ in range(-(-BITS // dim))]
            turn = np.concatenate(frames)[:BITS].astype(np.float32)
        total = np.zeros(dim, np.float64)
        for _, piece in rows.pieces("vector"):
            for start in range(0, len(piece), CHUNK):
                total += piece[start : start + CHUNK].sum(axis=0, dtype=np.float64)
        return cls((total / len(rows)).astype(np.float32), turn)

    def encode(self, vectors: F32) -> U64:
        """(N, D) rows to (N, 8) words."""
        out = np.empty((len(vectors), BITS // 8), np.uint8)
        offset = self.turn @ self.center
        for start in range(0, len(vectors), CHUNK):
            turned = vectors[start : start + CHUNK] @ self.turn.T
            out[start : start + CHUNK] = np.packbits(turned > offset, axis=1)
        return out.view(np.uint64)


def laid_out(words: U64) -> U64:
    """(N, 8) words as the kernel of this machine reads them fastest."""
    return np.ascontiguousarray(words) if kernel() == "faiss" else np.asfortranarray(words)


@lru_cache(maxsize=1)
def kernel() -> str:
    """Which kernel compares codes: "faiss" where it is installed, else "numpy"; both give the same distances."""
    try:
        import faiss  # noqa: F401
    except ImportError:
        return "numpy"
    return "faiss"


def candidates(rows: Rows, code: U64, allowed: NDArray[np.bool_] | None, need: int, threads: int) -> I64:
    """Row numbers of the candidates of one query.

    Args:
        rows: with the column "code".
        code: (8,) of the query.
        allowed: (N,) which rows count, or None for all.
        need: R; with no more rows than that, all are candidates.
        threads: how many share the work.
    """
    compare = _numpy_distances if kernel() == "numpy" else _faiss_distances
    distances = np.empty(len(rows), np.uint16)
    for first, piece in rows.pieces("code"):
        cuts = np.linspace(0, len(piece), (threads if len(piece) > TILE else 1) + 1).astype(int)
        shares = [(piece[start:end], distances[first + start : first + end]) for start, end in pairwise(cuts)]
        _threads.spread(lambda share: compare(share[0], code, share[1]), shares)
    if allowed is not None:
        distances[~allowed] = FAR
    return _nearest(distances, need)


def _nearest(distances: NDArray[Any], need: int) -> I64:
    """Positions of the `need` smallest distances and of all that tie with the last of them."""
    sample = np.sort(distances[::SAMPLE])
    guess = min(len(sample) - 1, need * 4 // (3 * SAMPLE) + 8)
    while True:
        cut = int(sample[guess])
        near = np.flatnonzero(distances <= cut)
        if len(near) >= need or guess == len(sample) - 1:
            break
        guess = min(len(sample) - 1, 2 * guess)
    if len(near) < need:
        near = np.flatnonzero(distances < FAR)
    found = distances[near]
    total = np.cumsum(np.bincount(found, minlength=BITS + 2)[: BITS + 1])
    if total[-1] <= need:
        return near[found < FAR]
    return near[found <= np.searchsorted(total, need)]


def _numpy_distances(codes: U64, query: U64, out: U16) -> None:
    """Hamming distances of (N, 8) words with (8,) words into (N,); fast where the words lie column by column."""
    changed, ones, few = np.empty(TILE, np.uint64), np.empty(TILE, np.uint8), np.empty(TILE, np.uint8)
    for start in range(0, len(codes), TILE):
        size = min(TILE, len(codes) - start)
        c, n, f, total = changed[:size], ones[:size], few[:size], out[start : start + size]
        total[:] = 0
        for word in range(WORDS):
            np.bitwise_xor(codes[start : start + size, word], query[word], out=c)
            if word % 3 == 0:
                np.bitwise_count(c, out=f)
            else:
                np.add(f, np.bitwise_count(c, out=n), out=f)  # at most three words: 192 fits into a byte
            if word % 3 == 2 or word == WORDS - 1:
                total += f


def _faiss_distances(codes: U64, query: U64, out: U16) -> None:
    """The same by FAISS, which wants the words row by row."""
    import faiss

    library: Any = faiss
    if not getattr(_mine, "alone", False) and threading.current_thread() is not threading.main_thread():
        library.omp_set_num_threads(1)  # of this thread: for one query, its own threads would only wait for each other
        _mine.alone = True
    few = np.empty(TILE, np.int32)
    words = np.ascontiguousarray(codes).view(np.uint8)
    ours, to = library.swig_ptr(query.view(np.uint8)), library.swig_ptr(few)
    for start in range(0, len(codes), TILE):
        tile = words[start : start + TILE]
        library.hammings(ours, library.swig_ptr(tile), 1, len(tile), BITS // 8, to)
        out[start : start + len(tile)] = few[: len(tile)]

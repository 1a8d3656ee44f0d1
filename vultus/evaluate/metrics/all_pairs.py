"""Compare every picture with every other one: tens of millions of scores in bounded memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.evaluate.metrics.verification import Comparisons
from vultus.ops import roc
from vultus.types import checked

__all__ = ["UNDETECTED", "all_against_all"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

UNDETECTED = -1.0  # score of a comparison with a picture in which no face was found


def all_against_all(
    vectors: ArrayLike, subjects: ArrayLike, *, found: ArrayLike, max_far: float = 3e-3, block: int = 512
) -> tuple[Comparisons, roc.ScoreHistogram]:
    """Compare every picture with every other one, in bounded memory.

    Args:
        vectors: (F, D) unit vectors of the pictures in which a face was found, in order.
        subjects: (N,) integer label of each picture's person.
        found: (N,) True where a face was found; F of them.
        max_far: largest false accept rate that will be asked for; the tail holds twice as many scores.
        block: rows per matrix product; about 10 * block * N bytes are needed.

    Returns:
        The comparisons, in which one with an undetected picture scores `UNDETECTED`, and a histogram of the non-mated
        ones between detected pictures.

    Raises:
        InputError: if shapes disagree, or fewer than two people or no two pictures of one person are there.
    """
    labels = checked("subjects", subjects, (None,), np.int64)
    seen = checked("found", found, (len(labels),), np.bool_)
    rows = checked("vectors", vectors, (int(seen.sum()), None), np.float32)
    names, person = np.unique(labels, return_inverse=True)
    pictures = np.bincount(person).astype(np.float64)
    n_nonmated = round((pictures.sum() ** 2 - (pictures**2).sum()) / 2)
    n_mated = round((pictures * (pictures - 1)).sum() / 2)
    if len(names) < 2 or n_mated == 0:
        raise InputError("subjects: expected at least two people and two pictures of one of them")
    order = np.argsort(person[seen], kind="stable")
    rows, who = rows[order], person[seen][order]
    mated, mated_subject = _mated(rows, who)
    lost = np.bincount(person, minlength=len(names)) - np.bincount(who, minlength=len(names))
    kept = pictures - lost
    missed = np.repeat(np.arange(len(names)), (pictures * (pictures - 1) / 2 - kept * (kept - 1) / 2).astype(int))
    mated = np.concatenate([np.full(len(missed), UNDETECTED), mated])
    mated_subject = np.concatenate([missed, mated_subject])
    rising = np.argsort(mated, kind="stable")
    tail, people, histogram = _tail(rows, who, keep=int(2 * max_far * n_nonmated) + 1000, block=block)

    def weigh(w: F64) -> float:
        return float(((pictures @ w) ** 2 - (pictures**2) @ (w * w)) / 2)

    return Comparisons(mated[rising], mated_subject[rising], tail, people, n_nonmated, len(names), weigh), histogram


def _mated(rows: NDArray[np.float32], who: I64) -> tuple[F64, I64]:
    """Scores of all pairs within each run of equal labels."""
    starts = np.flatnonzero(np.append(True, who[1:] != who[:-1])) if len(who) else np.zeros(0, np.int64)
    scores, subjects = [np.zeros(0)], [np.zeros(0, np.int64)]
    for start, stop in zip(starts, np.append(starts[1:], len(who)), strict=True):
        i, j = np.triu_indices(stop - start, 1)
        scores.append((rows[start + i] * rows[start + j]).sum(1).astype(np.float64))
        subjects.append(np.full(len(i), who[start]))
    return np.clip(np.concatenate(scores), -1, 1), np.concatenate(subjects)


def _tail(rows: NDArray[np.float32], who: I64, *, keep: int, block: int) -> tuple[F64, I64, roc.ScoreHistogram]:
    """The `keep` highest scores of different people, falling, and a histogram of all of them."""
    after = np.searchsorted(who, who, "right")  # first picture of the next person
    histogram = roc.ScoreHistogram()
    scores, people = np.zeros(0, np.float32), np.zeros((0, 2), np.int64)
    floor = -np.inf
    for start in range(0, len(rows), block):
        likeness = np.clip(rows[start : start + block] @ rows[start:].T, -1.0, 1.0)
        other = np.arange(start, len(rows)) >= after[start : start + block, None]
        histogram.add(likeness[other])
        first, second = np.nonzero(other & (likeness >= floor))
        scores = np.concatenate([scores, likeness[first, second]])
        people = np.concatenate([people, np.stack([who[start + first], who[start + second]], axis=1)])
        if len(scores) > keep:
            best = np.argpartition(-scores, keep - 1)[:keep]
            scores, people = scores[best], people[best]
            floor = float(scores.min())
    falling = np.argsort(-scores, kind="stable")
    return scores[falling].astype(np.float64), people[falling], histogram

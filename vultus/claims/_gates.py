"""Figures of the miniatures on people they have not seen, each with a 95 % interval over people."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.ops import roc
from vultus.types import Metric

__all__ = ["accuracy", "equal_error_rate", "explained", "mean_iou"]

F64 = NDArray[np.float64]
_BOOT = 400


def equal_error_rate(vectors: ArrayLike, people: ArrayLike, rng: np.random.Generator, n_boot: int = _BOOT) -> Metric:
    """Equal error rate of all pairs of pictures, people drawn whole.

    Args:
        vectors: (N, D) unit rows.
        people: (N,) whose picture each is.
        rng: the draws.
        n_boot: how many.

    Returns:
        The rate; `n` is the number of people. A person drawn twice is not compared with itself as a stranger.
    """
    vec, who = np.asarray(vectors, np.float32), np.asarray(people)
    names, index = np.unique(who, return_inverse=True)
    if len(names) < 2 or len(names) == len(who):
        raise InputError(f"people: expected at least two and two pictures of one, got {len(names)} in {len(who)}")
    order = np.argsort(index, kind="stable")
    vec, index = vec[order], index[order]
    score = vec @ vec.T
    first, second = np.triu_indices(len(vec), 1)
    same = index[first] == index[second]
    flat = score[first, second]
    value = roc.eer(flat[same], flat[~same])
    taus = np.unique(np.quantile(flat[same], np.linspace(0, min(1.0, 5 * value + 0.05), 160)))
    starts = np.flatnonzero(np.append(True, index[1:] != index[:-1]))
    sizes = np.bincount(index).astype(np.float64)
    between, within = np.zeros((len(taus), len(names), len(names))), np.zeros((len(taus), len(names)))
    np.fill_diagonal(score, -2)
    for k, tau in enumerate(taus):
        counts = np.add.reduceat(np.add.reduceat((score >= tau).astype(np.float32), starts, 0), starts, 1)
        within[k] = sizes * (sizes - 1) - np.diag(counts)  # misses, each pair twice
        between[k] = counts
        np.fill_diagonal(between[k], 0)
    rates = []
    for _ in range(n_boot):
        w = rng.multinomial(len(names), np.full(len(names), 1 / len(names))).astype(np.float64)
        if not within.shape[1] or (w * sizes * (sizes - 1)).sum() == 0:
            continue
        missed = (within @ w) / (w * sizes * (sizes - 1)).sum()
        matched = np.einsum("kij,i,j->k", between, w, w, optimize=True) / ((w @ sizes) ** 2 - (w * sizes) @ (w * sizes))
        at = int(np.argmin(np.abs(missed - matched)))
        rates.append((missed[at] + matched[at]) / 2)
    low, high = np.percentile(rates, (2.5, 97.5))
    return Metric(float(value), float(low), float(high), "share", len(names))


def explained(truth: ArrayLike, guess: ArrayLike, people: ArrayLike, rng: np.random.Generator) -> Metric:
    """R^2 of a block of numbers: 1 - (sum of squared errors) / (sum of squares about the mean), summed over the block.

    Args:
        truth: (N, K).
        guess: (N, K).
        people: (N,) whose picture each is.
        rng: the draws.
    """
    y, guessed = np.asarray(truth, np.float64), np.asarray(guess, np.float64)
    sums = np.concatenate([((y - guessed) ** 2).sum(1, keepdims=True), (y**2).sum(1, keepdims=True), y], axis=1)
    sums = np.concatenate([sums, np.ones((len(y), 1))], axis=1)

    def r2(total: F64) -> float:
        spread = total[1] - (total[2:-1] ** 2).sum() / total[-1]
        return float(1 - total[0] / spread) if spread > 0 else 0.0  # a draw of one person has no spread

    return _over_people(sums, people, r2, rng, "R^2")


def accuracy(truth: ArrayLike, guess: ArrayLike, people: ArrayLike, rng: np.random.Generator) -> Metric:
    """Share of right names, every class weighing the same (balanced accuracy).

    Args:
        truth: (N,) index of the class.
        guess: (N,) index of the class.
        people: (N,) whose picture each is.
        rng: the draws.
    """
    y, guessed = np.asarray(truth), np.asarray(guess)
    classes = int(y.max()) + 1
    seen = np.eye(classes)[y]
    sums = np.concatenate([seen * (y == guessed)[:, None], seen], axis=1)

    def balanced(total: F64) -> float:
        right, count = total[:classes], total[classes:]
        return float((right[count > 0] / count[count > 0]).mean())

    return _over_people(sums, people, balanced, rng, "share")


def mean_iou(truth: ArrayLike, guess: ArrayLike, people: ArrayLike, rng: np.random.Generator, classes: int) -> Metric:
    """Mean over the classes that occur of intersection over union, pixels of all pictures together.

    Args:
        truth: (N, S, S) classes.
        guess: (N, S, S) classes.
        people: (N,) whose picture each is.
        rng: the draws.
        classes: how many there are.
    """
    y, guessed = np.asarray(truth, np.int64), np.asarray(guess, np.int64)
    rows = []
    for a, b in zip(y, guessed, strict=True):
        both = np.bincount(a[a == b], minlength=classes)
        either = np.bincount(a.ravel(), minlength=classes) + np.bincount(b.ravel(), minlength=classes) - both
        rows.append(np.concatenate([both, either]))
    occurs = np.unique(y)

    def iou(total: F64) -> float:
        both, either = total[:classes][occurs], total[classes:][occurs]
        return float((both / np.maximum(either, 1)).mean())

    return _over_people(np.array(rows, np.float64), people, iou, rng, "share")


def _over_people(
    sums: F64, people: ArrayLike, figure: Callable[[F64], float], rng: np.random.Generator, unit: str
) -> Metric:
    """A figure of added-up rows, with its interval when whole people are drawn."""
    names, index = np.unique(np.asarray(people), return_inverse=True)
    per_person = np.zeros((len(names), sums.shape[1]))
    np.add.at(per_person, index, sums)
    draws = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=_BOOT).astype(np.float64)
    low, high = np.percentile([figure(total) for total in draws @ per_person], (2.5, 97.5))
    return Metric(figure(per_person.sum(0)), float(low), float(high), unit, len(names))

"""What protocols of pairs share: the set they need, vectors as rows, scores, and rates with their intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError
from vultus.evaluate.metrics.all_pairs import UNDETECTED
from vultus.evaluate.metrics.verification import TradeOff
from vultus.ops import stats
from vultus.types import F32, ComparisonTable, Embedded, Metric

__all__ = ["Embed", "PairSet", "at", "centered", "embedded_rows", "failures", "power", "rates_to_draw", "scored"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

Embed = Callable[[Sequence[Path]], tuple[Embedded, NDArray[np.bool_]]]


class PairSet(Protocol):
    """What the protocol needs of a data set of pairs."""

    @property
    def name(self) -> str:
        """Of the set."""
        ...

    @property
    def tier(self) -> str:
        """Of the data, real or sim."""
        ...

    @property
    def paths(self) -> Sequence[Path]:
        """(N,) each picture once."""
        ...

    @property
    def subjects(self) -> NDArray[np.int64]:
        """(N,) the person of each picture."""
        ...

    @property
    def left(self) -> NDArray[np.int64]:
        """(P,) index into `paths` of each pair's first picture."""
        ...

    @property
    def right(self) -> NDArray[np.int64]:
        """(P,) index of each pair's second picture."""
        ...

    @property
    def folds(self) -> NDArray[np.int64]:
        """(P,) fold of each pair."""
        ...


def embedded_rows(embed: Embed, paths: list[Path]) -> tuple[Embedded, F32, NDArray[np.bool_]]:
    """What `embed` gave, its vectors as (N, D) rows with zeros where no face was found, and (N,) where one was.

    Raises:
        InputError: if it found no face at all, or its flags and vectors disagree.
    """
    embedded, found = embed(paths)
    seen = np.asarray(found, bool)
    if seen.shape != (len(paths),) or len(embedded) != int(seen.sum()):
        raise InputError(
            f"embed: expected {len(paths)} flags and a vector for each picture with a face, got {seen.size} flags, "
            f"{int(seen.sum())} of them set, and {len(embedded)} vectors"
        )
    if not seen.any():
        raise InputError(f"embed: expected a face in some of {len(paths)} pictures, got none: is it their detector?")
    rows = np.zeros((len(paths), embedded.vec.shape[1]), np.float32)
    rows[seen] = embedded.vec
    return embedded, rows, seen


def scored(rows: F32, found: NDArray[np.bool_], subjects: I64, ends: tuple[I64, I64]) -> ComparisonTable:
    """Cosine of each pair, or `UNDETECTED`."""
    left, right = ends
    scores = np.clip((rows[left] * rows[right]).sum(1, dtype=np.float64), -1.0, 1.0)
    scores[~(found[left] & found[right])] = UNDETECTED
    return ComparisonTable(scores, subjects[left] == subjects[right], subjects[left], subjects[right], "test")


def centered(rows: F32, found: NDArray[np.bool_], ends: tuple[I64, I64], folds: I64) -> list[F64]:
    """Scores after the mean vector of the other folds is subtracted, once for each fold.

    Raises:
        InputError: if the other folds of one have no picture with a face.
    """
    left, right = ends
    both = found[left] & found[right]
    columns = []
    for label in np.unique(folds):
        others = np.concatenate([left[folds != label], right[folds != label]])
        seen = others[found[others]]
        if not len(seen):
            raise InputError(
                f"folds: expected a picture with a face in other folds than {label}, to center its vectors by, got none"
            )
        shifted = rows.astype(np.float64) - rows[seen].mean(0, dtype=np.float64)
        shifted /= np.maximum(np.linalg.norm(shifted, axis=1, keepdims=True), 1e-12)
        columns.append(np.where(both, (shifted[left] * shifted[right]).sum(1), UNDETECTED))
    return columns


def rates_to_draw(fars: tuple[float, ...], n: int, most: float) -> F64:
    """Rates to draw, evenly spaced in log, from what n comparisons support, with the named ones among them."""
    least = min(max(1.0 / n, stats.smallest_supported_fmr(n) / 10), most / 2)
    return np.unique(np.concatenate([np.geomspace(least, most, 48), [f for f in fars if f <= most]]))


def at(curve: TradeOff, far: float) -> Metric:
    """The point of the curve at a rate that was drawn."""
    return curve.tars[int(np.flatnonzero(curve.fars == far)[0])]


def power(far: float) -> str:
    """1e-3, without the zero of Python."""
    return f"{far:.0e}".replace("e-0", "e-")


def failures(found: NDArray[np.bool_], subjects: I64, rng: np.random.Generator, n_boot: int) -> Metric:
    """Share of the pictures without a face."""
    people = len(np.unique(subjects))
    note = f"{int((~found).sum())} of {len(found):,} pictures without a detected face"
    if found.all():
        return Metric(0.0, 0.0, stats.rule_of_three(people), "share", people, f"{note}; upper end 3 / {people} people")
    share = stats.bootstrap_mean(~found, subjects, rng=rng, n_boot=n_boot, unit="share")
    return Metric(share.value, share.low, share.high, "share", share.n, note)

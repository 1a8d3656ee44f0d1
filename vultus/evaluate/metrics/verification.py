"""Verification: true accept rate at a false accept rate, equal error rate, area under the ROC, d'.

Values come from `vultus.ops.roc`. Intervals are 95 % percentiles of a subject bootstrap: people are drawn with
replacement, a mated comparison of a person drawn w times weighs w, a non-mated one of two people w_s w_t. The
threshold is found anew in every draw, so an interval of a TAR holds the uncertainty of the threshold too. `Metric.n`
is the number of people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.ops import roc, stats
from vultus.types import ComparisonTable, Metric, checked

__all__ = ["Comparisons", "TradeOff", "from_table", "separation", "trade_off"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Comparisons:
    """Scores and who is behind them; non-mated ones may be the highest only, so that memory stays bounded.

    Attributes:
        mated: (M,) scores of the same person, rising.
        mated_subject: (M,) index of that person.
        tail: (T,) highest non-mated scores, falling.
        tail_subjects: (T, 2) the two people.
        n_nonmated: how many non-mated comparisons there are in all; T when the tail is complete.
        n_subjects: number of people.
        weigh: (S,) draws of each person -> weighted number of all non-mated comparisons.
    """

    mated: F64
    mated_subject: I64
    tail: F64
    tail_subjects: I64
    n_nonmated: int
    n_subjects: int
    weigh: Callable[[F64], float]


@dataclass(frozen=True, slots=True, eq=False)
class TradeOff:
    """True accept rates at false accept rates.

    Attributes:
        fars: (K,) false accept rates.
        thresholds: (K,) smallest observed score whose false match rate is at most that.
        tars: K metrics, the share of mated comparisons accepted at that threshold.
    """

    fars: F64
    thresholds: F64
    tars: tuple[Metric, ...]


def from_table(table: ComparisonTable) -> Comparisons:
    """All comparisons of a table.

    Raises:
        InputError: if the table lacks mated or non-mated comparisons.
    """
    same = table.mated
    if not same.any() or same.all():
        raise InputError(f"table: expected mated and non-mated comparisons, got {int(same.sum())} of {len(same)} mated")
    names, index = np.unique(np.concatenate([table.ref_subject, table.probe_subject]), return_inverse=True)
    ref, probe = index[: len(same)], index[len(same) :]
    rising = np.flatnonzero(same)[np.argsort(table.score[same], kind="stable")]
    falling = np.flatnonzero(~same)[np.argsort(-table.score[~same], kind="stable")]
    people = np.stack([ref[falling], probe[falling]], axis=1)

    def weigh(w: F64) -> float:
        return float(w[people[:, 0]] @ w[people[:, 1]])

    return Comparisons(table.score[rising], ref[rising], table.score[falling], people, len(falling), len(names), weigh)


def trade_off(comparisons: Comparisons, fars: ArrayLike, *, rng: np.random.Generator, n_boot: int = 2000) -> TradeOff:
    """True accept rate at each false accept rate.

    Args:
        comparisons: see `from_table` and `vultus.evaluate.metrics.all_pairs`.
        fars: (K,) in (0, 1].
        rng: source of the draws.
        n_boot: number of draws.

    Returns:
        K rates. Where fewer than 30 false matches are expected the metric says so in its note.

    Raises:
        InputError: if a rate is outside (0, 1] or reaches beyond the tail.
    """
    rates = checked("fars", fars, (None,), np.float64)
    c = comparisons
    if len(rates) == 0 or rates.min() <= 0 or rates.max() > 1 or rates.max() * c.n_nonmated > len(c.tail):
        most = min(1.0, len(c.tail) / c.n_nonmated)
        raise InputError(f"fars: expected rates in (0, {most:.3g}], which the kept scores cover, got {rates.tolist()}")
    ends = np.flatnonzero(np.append(c.tail[1:] != c.tail[:-1], True))
    ones = np.ones(c.n_subjects)
    thresholds, values = _operate(c, ends, rates, ones)
    drawn = np.stack([_operate(c, ends, rates, w)[1] for w in _draws(c, n_boot, rng)])
    low, high = np.nanpercentile(drawn, (2.5, 97.5), axis=0)
    tars = []
    for far, value, a, b in zip(rates, values, low, high, strict=True):
        note = ""
        if not stats.rule_of_30(c.n_nonmated, far):
            expected = far * c.n_nonmated
            note = f"{expected:.3g} false matches expected, fewer than 30: a rough figure"
        tars.append(Metric(float(value), float(a), float(b), "share", c.n_subjects, note))
    return TradeOff(rates, thresholds, tuple(tars))


def separation(table: ComparisonTable, *, rng: np.random.Generator, n_boot: int = 2000) -> dict[str, Metric]:
    """Equal error rate, area under the ROC and d'.

    Args:
        table: comparisons, both mated and non-mated.
        rng: source of the draws.
        n_boot: number of draws.

    Returns:
        `eer` and `auc` (shares) and `d_prime`.

    Raises:
        InputError: if a class is missing or no score varies.
    """
    c = from_table(table)
    other = c.tail[::-1]
    taus = np.unique(np.concatenate([c.mated, other]))
    places = (
        np.append(np.searchsorted(c.mated, taus), len(c.mated)),
        np.append(np.searchsorted(other, taus), len(other)),
        np.searchsorted(other, c.mated, "left"),
        np.searchsorted(other, c.mated, "right"),
    )
    drawn = np.stack([_separate(c, other, places, w) for w in _draws(c, n_boot, rng)])
    low, high = np.nanpercentile(drawn, (2.5, 97.5), axis=0)
    values = (roc.eer(c.mated, other), roc.auc(c.mated, other), roc.d_prime(c.mated, other))
    names = (("eer", "share"), ("auc", "share"), ("d_prime", ""))
    return {
        name: Metric(value, float(a), float(b), unit, c.n_subjects)
        for (name, unit), value, a, b in zip(names, values, low, high, strict=True)
    }


def _draws(c: Comparisons, n_boot: int, rng: np.random.Generator) -> Iterator[F64]:
    if n_boot < 1:
        raise InputError(f"n_boot: expected at least 1 draw, got {n_boot}")
    for _ in range(n_boot):
        yield np.bincount(rng.integers(c.n_subjects, size=c.n_subjects), minlength=c.n_subjects).astype(np.float64)


def _operate(c: Comparisons, ends: I64, fars: F64, w: F64) -> tuple[F64, F64]:
    """Threshold and TAR at each FAR for one draw; `ends` are the last places of equal scores in the tail."""
    weight = w[c.mated_subject]
    if weight.sum() == 0:
        return np.full(len(fars), np.nan), np.full(len(fars), np.nan)
    reached = np.cumsum(w[c.tail_subjects[:, 0]] * w[c.tail_subjects[:, 1]])[ends]
    allowed = fars * c.weigh(w) * (1 + 1e-12)
    last = np.searchsorted(reached, allowed, "right") - 1
    first = np.searchsorted(reached, reached[np.maximum(last, 0)], "left")  # people not drawn leave scores that weigh 0
    none = reached[np.maximum(last, 0)] == 0  # no score that was drawn may pass
    highest = c.tail[ends[min(int(np.searchsorted(reached, 0.0, "right")), len(ends) - 1)]]  # of those that were drawn
    taus = np.where((last < 0) | none, np.nextafter(highest, np.inf), c.tail[ends[first]])
    below = np.concatenate([[0.0], np.cumsum(weight)])[np.searchsorted(c.mated, taus, "left")]
    return taus, 1.0 - below / weight.sum()


def _separate(c: Comparisons, other: F64, places: tuple[I64, I64, I64, I64], w: F64) -> tuple[float, float, float]:
    """EER, AUC and d' of one draw."""
    like = w[c.mated_subject]
    unlike = (w[c.tail_subjects[:, 0]] * w[c.tail_subjects[:, 1]])[::-1]
    if like.sum() == 0 or unlike.sum() == 0:
        return np.nan, np.nan, np.nan
    like, unlike = like / like.sum(), unlike / unlike.sum()
    under_like, under_unlike = (np.concatenate([[0.0], np.cumsum(x)]) for x in (like, unlike))
    miss, false = under_like[places[0]], 1.0 - under_unlike[places[1]]
    right = max(1, int(np.argmax(miss >= false)))
    gaps = false[right - 1] - miss[right - 1], miss[right] - false[right]
    share = gaps[0] / (gaps[0] + gaps[1]) if gaps[0] + gaps[1] > 0 else 0.0
    eer = false[right - 1] + share * (false[right] - false[right - 1])
    area = like @ (under_unlike[places[2]] + under_unlike[places[3]]) / 2
    means = like @ c.mated, unlike @ other
    spread = np.sqrt((like @ (c.mated - means[0]) ** 2 + unlike @ (other - means[1]) ** 2) / 2)
    return float(eer), float(area), float((means[0] - means[1]) / spread) if spread > 0 else np.nan

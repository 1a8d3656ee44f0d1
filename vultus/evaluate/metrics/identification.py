"""Identification: whom a search of a gallery finds, and how often it names someone who is not in it.

A probe is mated where the gallery holds its person. Rank R, threshold T (ISO/IEC 19795-1:2021, 1:N):
    TPIR(R, T) = share of mated probes whose person is among the first R and scores >= T; FNIR = 1 - TPIR
    FPIR(T)    = share of non-mated probes for whom anyone scores >= T
    DIR at FAR = TPIR(1, T) at the T where FPIR is at most that (Phillips, Grother & Micheals 2011)
    rank k     = TPIR(k, none), the closed set

Equal scores count against the probe: a mate that ties with five others is sixth. With several galleries a figure is the
mean over them. Intervals are 95 % percentiles of a bootstrap that draws the people of the probes, all of a person's
probes together, and finds the threshold anew in every draw; the galleries stay as they are. Of a rate of 0 or 1 the
other end is 3 / mated people away. `Metric.n` is the number of people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.evaluate.metrics.all_pairs import UNDETECTED
from vultus.ops import stats
from vultus.types import Metric, checked

__all__ = ["OpenSet", "Searches", "closed_set", "mean_average_precision", "open_set", "search"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Searches:
    """Probes that were searched in one gallery.

    Attributes:
        subject: (Q,) person of each probe.
        best: (Q,) highest score of any entry of the gallery.
        mate: (Q,) highest score of an entry of that person; -inf where the gallery holds none.
        rank: (Q,) 1 + how many entries of other people score at least `mate`; 0 where it is not mated.
        precision: (Q,) average precision of the person's entries, by the trapezoid rule; NaN where it is not mated.
        n_gallery: number of entries.
    """

    subject: I64
    best: F64
    mate: F64
    rank: I64
    precision: F64
    n_gallery: int

    def __len__(self) -> int:
        return len(self.subject)

    @property
    def mated(self) -> Bool:
        """(Q,) True where the gallery holds the person."""
        found: Bool = self.rank > 0
        return found


@dataclass(frozen=True, slots=True, eq=False)
class OpenSet:
    """True positive identification rates at false positive identification rates.

    Attributes:
        fpirs: (K,) false positive identification rates.
        thresholds: (G, K) for each gallery the smallest observed score whose rate is at most that.
        tpirs: K metrics, the share of mated probes identified at that threshold, as the mean over the galleries.
    """

    fpirs: F64
    thresholds: F64
    tpirs: tuple[Metric, ...]


def search(
    probes: ArrayLike, probe_subjects: ArrayLike, gallery: ArrayLike, gallery_subjects: ArrayLike, *, block: int = 256
) -> Searches:
    """Search every probe in a gallery.

    Args:
        probes: (Q, D) unit vectors; a row of zeros is a probe in which no face was found: it scores `UNDETECTED` with
            every entry, a miss where it is mated and no alarm where it is not.
        probe_subjects: (Q,) integer label of each probe's person.
        gallery: (N, D) unit vectors, or zeros, of the entries; a person may have several.
        gallery_subjects: (N,) label of each entry's person; -1 is a person whom no probe shows.
        block: probes per matrix product; about 10 * block * N bytes are needed.

    Returns:
        The searches, in the order of the probes.

    Raises:
        InputError: if shapes disagree, or a side is empty.
    """
    rows = checked("probes", probes, (None, None), np.float32)
    who = checked("probe_subjects", probe_subjects, (len(rows),), np.int64)
    entries = checked("gallery", gallery, (None, rows.shape[1]), np.float32)
    whose = checked("gallery_subjects", gallery_subjects, (len(entries),), np.int64)
    if not len(rows) or not len(entries):
        raise InputError(f"probes, gallery: expected at least one of each, got {len(rows)} and {len(entries)}")
    known: Bool = np.asarray(entries.any(1))
    lost: Bool = np.asarray(~rows.any(1))
    order = np.argsort(whose, kind="stable")
    starts = np.searchsorted(whose[order], who, "left")
    stops = np.where(who < 0, starts, np.searchsorted(whose[order], who, "right"))
    best, mate = np.empty(len(rows)), np.full(len(rows), -np.inf)
    rank, precision = np.zeros(len(rows), np.int64), np.full(len(rows), np.nan)
    for start in range(0, len(rows), block):
        scores = np.clip(rows[start : start + block] @ entries.T, -1.0, 1.0)
        scores[:, ~known] = UNDETECTED
        scores[lost[start : start + block]] = UNDETECTED
        best[start : start + block] = scores.max(1)
        for q, row in enumerate(scores, start):
            if stops[q] > starts[q]:
                mine = order[starts[q] : stops[q]]
                mate[q], rank[q], precision[q] = _placed(row, mine)
    return Searches(who, best, mate, rank, precision, len(entries))


def closed_set(
    parts: Sequence[Searches], ranks: Sequence[int], *, rng: np.random.Generator, n_boot: int = 2000
) -> tuple[Metric, ...]:
    """Share of mated probes whose person is among the first `rank`, whatever the score.

    Args:
        parts: searches in one or more galleries.
        ranks: from 1.
        rng: source of the draws.
        n_boot: number of draws.

    Returns:
        A metric per rank, the mean over the galleries.

    Raises:
        InputError: if a gallery has no mated probe, or a rank is below 1.
    """
    _mated(parts)
    if not ranks or min(ranks) < 1:
        raise InputError(f"ranks: expected numbers from 1, got {list(ranks)}")

    wanted = np.array(ranks)

    def measure(k: int, w: F64) -> F64:
        part = parts[k]
        found = np.bincount(part.rank, w, minlength=2)  # rank 0: not mated
        total = found[1:].sum()
        if total == 0:
            return np.full(len(wanted), np.nan)
        shares: F64 = np.cumsum(found[1:])[np.minimum(wanted, len(found) - 1) - 1] / total
        return shares

    return _bootstrap(parts, measure, rng, n_boot)


def mean_average_precision(parts: Sequence[Searches], *, rng: np.random.Generator, n_boot: int = 2000) -> Metric:
    """Mean over the mated probes of the average precision of their person's entries, by the trapezoid rule.

    Args:
        parts: searches in one or more galleries.
        rng: source of the draws.
        n_boot: number of draws.

    Raises:
        InputError: if a gallery has no mated probe.
    """
    _mated(parts)

    def measure(k: int, w: F64) -> F64:
        part = parts[k]
        weight = w[part.mated]
        return np.array([weight @ part.precision[part.mated] / weight.sum() if weight.any() else np.nan])

    return _bootstrap(parts, measure, rng, n_boot)[0]


def open_set(
    parts: Sequence[Searches],
    fpirs: ArrayLike,
    *,
    rank: int | None = 1,
    rng: np.random.Generator,
    n_boot: int = 2000,
) -> OpenSet:
    """True positive identification rate at each false positive identification rate.

    Args:
        parts: searches in one or more galleries; each needs mated and non-mated probes.
        fpirs: (K,) in (0, 1].
        rank: the person must be among the first so many; None asks for the score alone.
        rng: source of the draws.
        n_boot: number of draws.

    Returns:
        K rates; at rank 1 they are the detection and identification rates, 1 minus them the FNIR. Where fewer than 30
        false alarms are expected in a gallery the metric says so in its note.

    Raises:
        InputError: if a rate is outside (0, 1], a gallery lacks mated or non-mated probes, or the rank is below 1.
    """
    rates = checked("fpirs", fpirs, (None,), np.float64)
    if not len(rates) or rates.min() <= 0 or rates.max() > 1 or (rank is not None and rank < 1):
        raise InputError(f"fpirs, rank: expected rates in (0, 1] and a rank from 1, got {rates.tolist()} and {rank}")
    _mated(parts)
    for part in parts:
        if part.mated.all():
            raise InputError("parts: expected probes whose person a gallery does not hold, got none")
    falling = [np.flatnonzero(~part.mated)[np.argsort(-part.best[~part.mated], kind="stable")] for part in parts]

    def taus(k: int, w: F64) -> F64:
        return _thresholds(parts[k].best[falling[k]], w[falling[k]], rates)

    named = [part.mated & (part.rank <= (part.n_gallery if rank is None else rank)) for part in parts]
    rising = [
        np.flatnonzero(at)[np.argsort(part.mate[at], kind="stable")] for at, part in zip(named, parts, strict=True)
    ]
    scores = [part.mate[order] for part, order in zip(parts, rising, strict=True)]

    def measure(k: int, w: F64) -> F64:
        bars, total = taus(k, w), w[parts[k].mated].sum()
        if total == 0 or np.isnan(bars).any():
            return np.full(len(rates), np.nan)
        from_there = np.append(np.cumsum(w[rising[k]][::-1])[::-1], 0.0)
        shares: F64 = from_there[np.searchsorted(scores[k], bars, "left")] / total
        return shares

    metrics = _bootstrap(parts, measure, rng, n_boot)
    fewest = min(len(ends) for ends in falling)
    noted = []
    for rate, metric in zip(rates.tolist(), metrics, strict=True):
        note = metric.note
        if not stats.rule_of_30(fewest, rate):
            rough = f"{rate * fewest:.3g} false alarms expected, fewer than 30: a rough figure"
            note = f"{rough}; {note}" if note else rough
        noted.append(Metric(metric.value, metric.low, metric.high, metric.unit, metric.n, note))
    bars = np.stack([taus(k, np.ones(len(part))) for k, part in enumerate(parts)])
    return OpenSet(rates, bars, tuple(noted))


def _placed(row: F32, mine: I64) -> tuple[float, int, float]:
    """Best score, rank and average precision of the entries `mine` of a gallery, whose scores are `row`.

    The i-th best of them, at place p, has precision i / p there and (i - 1) / (p - 1) just before; the average is that
    of both, over all of them: the trapezoid rule of the released code of TinyFace and of the Oxford buildings.
    """
    own = np.sort(row[mine])[::-1]
    row = row.copy()
    row[mine] = -np.inf
    others = np.array([(row >= score).sum() for score in own])
    nth = np.arange(1, len(own) + 1)
    place = nth + others
    before = np.where(place > 1, (nth - 1) / np.maximum(place - 1, 1), 1.0)
    return float(own[0]), int(place[0]), float(((nth / place + before) / 2).mean())


def _mated(parts: Sequence[Searches]) -> None:
    if not parts or not all(part.mated.any() for part in parts):
        raise InputError("parts: expected probes whose person each gallery holds, got a gallery without one")


def _thresholds(falling: F64, weights: F64, rates: F64) -> F64:
    """Smallest score whose weighted share of scores at or above it is at most each rate; NaN without weight."""
    total = weights.sum()
    if total == 0:
        return np.full(len(rates), np.nan)
    ends = np.flatnonzero(np.append(falling[1:] != falling[:-1], True))
    reached = np.cumsum(weights)[ends]
    last = np.searchsorted(reached, rates * total * (1 + 1e-12), "right") - 1
    first = np.searchsorted(reached, reached[np.maximum(last, 0)], "left")  # scores of people not drawn weigh 0
    drawn = falling[ends[np.searchsorted(reached, 0.0, "right")]]
    none = reached[np.maximum(last, 0)] == 0  # nobody who was drawn may pass
    taus: F64 = np.where((last < 0) | none, np.nextafter(drawn, np.inf), falling[ends[first]])
    return taus


def _bootstrap(
    parts: Sequence[Searches], measure: Callable[[int, F64], F64], rng: np.random.Generator, n_boot: int
) -> tuple[Metric, ...]:
    """Mean over the galleries of what `measure` gives for a gallery and weights of its probes, with intervals."""
    people, index = np.unique(np.concatenate([part.subject for part in parts]), return_inverse=True)
    cuts = np.cumsum([len(part) for part in parts])[:-1]
    places = np.split(index, cuts)

    def mean(w: F64) -> F64:
        values: F64 = np.mean([measure(k, w[place]) for k, place in enumerate(places)], axis=0)
        return values

    values = mean(np.ones(len(people)))
    if len(people) < 2:
        return tuple(Metric(float(value), unit="share", n=len(people), note="one person only") for value in values)
    drawn = np.stack([mean(w) for w in _draws(len(people), n_boot, rng)])
    drawn = drawn[~np.isnan(drawn).any(1)]
    if not len(drawn):
        raise InputError("parts: expected mated and non-mated probes in the drawn samples, got none; bring more people")
    low, high = np.percentile(drawn, (2.5, 97.5), axis=0)
    limit = stats.rule_of_three(min(len(np.unique(part.subject[part.mated])) for part in parts))
    rows = []
    for value, a, b in zip(values.tolist(), low.tolist(), high.tolist(), strict=True):  # draws never leave 0 or 1
        end = (min(a, 1 - limit), 1.0) if value == 1 else (0.0, max(b, limit)) if value == 0 else (a, b)
        rows.append(Metric(value, end[0], end[1], "share", len(people)))
    return tuple(rows)


def _draws(n: int, n_boot: int, rng: np.random.Generator) -> Iterator[F64]:
    if n_boot < 1:
        raise InputError(f"n_boot: expected at least 1 draw, got {n_boot}")
    for _ in range(n_boot):
        yield np.bincount(rng.integers(n, size=n), minlength=n).astype(np.float64)

"""From a probe to candidates, and from candidates to a decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vultus.errors import InputError
from vultus.gallery import thresholds
from vultus.gallery._book import Pages
from vultus.gallery._roster import Roster, same_space
from vultus.gallery.calibrate import Calibration, poor_quality
from vultus.ops.vectors import top_k
from vultus.types import F32, Decision, Match, Template

__all__ = ["Level", "identify", "measure", "search"]


@dataclass(frozen=True)
class Level:
    """How strictly to decide.

    Attributes:
        fmr: false match rate of one comparison.
        strict: a threshold that must be reached as well, or None.
        min_quality: abstain below it; None means the house's.
        where: only people whose attributes equal these, or None.
        never: keys of people that it cannot be.
    """

    fmr: float
    strict: float | None = None
    min_quality: float | None = None
    where: Mapping[str, Any] | None = None
    never: frozenset[str] = frozenset()


def search(
    roster: Roster,
    probe: Template,
    k: int,
    where: Mapping[str, Any] | None = None,
    never: frozenset[str] = frozenset(),
) -> list[Match]:
    """See `Gallery.search`."""
    if not isinstance(probe, Template):
        raise InputError(f"probe: expected a template (Encoded.template gives one), got {type(probe).__name__}")
    if not isinstance(k, int) or k < 1:
        raise InputError(f"k: expected at least 1 person, a whole number, got {k!r}")
    if not roster.ids:
        return []
    scores = _scores(probe, roster)
    rows = np.arange(len(roster.ids)) if not where else np.array(roster.allowed(where), np.int64)
    if never:
        rows = rows[[roster.ids[i] not in never for i in rows]]
    if not len(rows):
        return []
    best = rows[top_k(scores[rows][None], k)[0]]
    return [Match(roster.ids[i], roster.names[i], float(scores[i]), rank) for rank, i in enumerate(best.tolist(), 1)]


def identify(roster: Roster, probe: Template, calibration: Calibration, level: Level) -> Decision:
    """See `Gallery.identify`."""
    if not isinstance(calibration, Calibration):
        raise InputError(f"calibration: expected one of vultus.gallery.calibrate, got {type(calibration).__name__}")
    best = search(roster, probe, 2, level.where, level.never)
    same_space(probe.space, calibration.space)
    bar, rate = calibration.threshold(level.fmr)
    bar = bar if level.strict is None else max(bar, level.strict)
    n = len(roster.ids)
    verdict = Decision("reject", best[0].score if best else None, bar, rate, calibration.describe())
    poor = "" if probe.quality is None else poor_quality(probe.quality, level.min_quality)
    if poor:
        return replace(verdict, outcome="abstain", reason=poor)
    if not best:
        why = "the gallery is empty" if not n else f"none of the {n} people here can be the one searched for"
        return replace(verdict, reason=why)
    top = best[0]
    if top.score < bar:
        return replace(verdict, reason=f"nobody of {n} is alike enough: the closest, {top.name}, is {top.score:.3f}")
    margin = calibration.margin(level.fmr)
    if len(best) > 1 and top.score - best[1].score < margin:
        return replace(
            verdict,
            outcome="abstain",
            match=top,
            reason=f"{top.name} ({top.score:.3f}) and {best[1].name} ({best[1].score:.3f}) are too close to tell "
            f"apart: {margin:.3f} is needed",
        )
    chance = thresholds.expected_fpir(rate.value if rate.value is not None else level.fmr, n)
    reason = f"a stranger would be named, as one of {n} people, in about {chance:.2%} of searches"
    return replace(verdict, outcome="accept", match=top, reason=reason)


def measure(pages: Pages, roster: Roster) -> thresholds.OwnScores:
    """Score every enrolled face against this gallery; see `thresholds.own_scores`."""
    if not roster.ids or roster.space is None:
        empty, nobody = np.zeros((0, 1), np.float32), np.zeros(0, np.int64)
        return thresholds.own_scores(empty, nobody, empty)
    where = {key: i for i, key in enumerate(roster.ids)}
    vectors: list[F32] = []
    owners: list[int] = []
    qualities: list[float | None] = []
    for key, index in where.items():
        for face in pages.faces_of(key):
            vector = pages.vector(face, roster.space)
            if vector is not None:
                vectors.append(vector)
                owners.append(index)
                qualities.append(face.quality)
    rows = np.array(owners, np.int64)
    weights = thresholds.weights_of(qualities, rows, len(roster.ids))
    return thresholds.own_scores(np.stack(vectors), rows, roster.vectors, weights)


def _scores(probe: Template, roster: Roster) -> F32:
    same_space(probe.space, roster.space)
    if len(probe.vector) != roster.vectors.shape[1]:
        raise InputError(f"probe: expected {roster.vectors.shape[1]} numbers, got {len(probe.vector)}")
    scores: F32 = np.clip(roster.vectors @ probe.vector, -1.0, 1.0)
    return scores

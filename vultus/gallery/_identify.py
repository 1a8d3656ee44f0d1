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
from vultus.gallery.compat import compared
from vultus.types import Decision, Match, Template

__all__ = ["Level", "identify", "measure", "search"]


SAMPLE = 5000  # people whose faces are searched to measure a gallery: 30 errors at a rate of 1 in 170, at least
_QUERIES = 256  # faces searched at a time


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
    if not len(roster):
        return []
    compared(probe.space, str(roster.space))
    return roster.best(probe.vector[None], k, allowed=roster.where(where) if where else None, never=never)[0]


def identify(roster: Roster, probe: Template, calibration: Calibration, level: Level) -> Decision:
    """See `Gallery.identify`."""
    if not isinstance(calibration, Calibration):
        raise InputError(f"calibration: expected one of vultus.gallery.calibrate, got {type(calibration).__name__}")
    best = search(roster, probe, 2, level.where, level.never)
    same_space(compared(probe.space, str(roster.space)) if len(roster) else probe.space, calibration.space)
    bar, rate = calibration.threshold(level.fmr)
    bar = bar if level.strict is None else max(bar, level.strict)
    n = len(roster)
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
    """Score the enrolled faces of up to `SAMPLE` people against this gallery; see `vultus.gallery.thresholds`."""
    if roster.index is None or roster.space is None:
        return thresholds.OwnScores.none()
    keys = sorted(roster.names)
    if len(keys) > SAMPLE:
        picked = np.random.default_rng(0).choice(len(keys), SAMPLE, replace=False)
        keys = [keys[i] for i in np.sort(picked)]
    faces = [(i, face) for i, key in enumerate(keys) for face in pages.faces_of(key)]
    rows = [(i, face, pages.rows.get("vectors", face.id, roster.space)) for i, face in faces]
    have = [(i, face, row) for i, face, row in rows if row is not None]
    vectors = pages.opened_many([(row, keys[i], face.id, ()) for i, face, row in have])
    owners = np.array([i for i, _, _ in have], np.int64)
    weights = thresholds.weights_of([face.quality for _, face, _ in have], owners, len(keys))
    stranger = np.full(len(vectors), -np.inf, np.float32)
    for at in range(0, len(vectors) if len(roster) > 1 else 0, _QUERIES):
        found = roster.best(vectors[at : at + _QUERIES], 2)
        for i, best in enumerate(found, at):
            stranger[i] = next((match.score for match in best if match.identity_id != keys[owners[i]]), -np.inf)
    return thresholds.own_scores(vectors, owners, stranger, weights, len(roster))

"""What a threshold does in this gallery: how often strangers are named and known people are missed.

The gallery measures itself. Every face searched among everybody but its own person is a search with a stranger; every
face held against the reference of its person's *other* faces is a mated comparison. Both are optimistic in one way (the
photos were chosen by whoever enrolled them) and honest in another: they are of these people, this camera, this size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError
from vultus.gallery.calibrate import Calibration
from vultus.gallery.records import SecurityLevel, one_in
from vultus.ops.stats import bootstrap_mean, rule_of_three
from vultus.types import F32, Metric, is_number

__all__ = [
    "OwnScores",
    "expected_fpir",
    "fmr_for_fpir",
    "level",
    "own_scores",
    "threshold_for_fpir",
    "weights_of",
]

_DRAWS, _MANY = 1000, 5000  # of a bootstrap; with more people than that 200 draws give the interval in a second


@dataclass(frozen=True, eq=False)
class OwnScores:
    """What a gallery's own faces score.

    Attributes:
        stranger: (F,) float32, best score of each face among all people but its own; empty with fewer than two people.
        stranger_subject: (F,) index of the person it shows.
        mated: (M,) float32, score of each face against the reference of its person's other faces.
        mated_subject: (M,) index of the person.
        people: N.
    """

    stranger: F32
    stranger_subject: NDArray[np.int64]
    mated: F32
    mated_subject: NDArray[np.int64]
    people: int

    @classmethod
    def none(cls) -> OwnScores:
        """Of a gallery without people."""
        scores, nobody = np.zeros(0, np.float32), np.zeros(0, np.int64)
        return cls(scores, nobody, scores, nobody, 0)


def own_scores(
    faces: F32,
    owners: NDArray[np.int64],
    stranger: F32,
    weights: NDArray[np.float64] | None = None,
    people: int | None = None,
) -> OwnScores:
    """Hold every enrolled face against its person's other faces, beside its search among everybody else.

    Args:
        faces: (F, D) unit rows.
        owners: (F,) index of the person that each face shows, 0..P-1.
        stranger: (F,) best score of each face among all people but its own, -inf where there are none.
        weights: (F,) weight of each face in its reference, as it was fused; None: all alike.
        people: N, when these are the faces of some people only.
    """
    n = int(owners.max()) + 1 if len(owners) else 0
    w = np.ones(len(faces)) if weights is None else np.asarray(weights, np.float64)
    weighted = faces * w[:, None]
    total = np.zeros((n, faces.shape[1]))
    np.add.at(total, owners, weighted)
    several = np.bincount(owners, minlength=n)[owners] > 1
    rest = total[owners[several]] - weighted[several]
    length = np.linalg.norm(rest, axis=1)
    good = length > 0
    mated = (rest[good] * faces[several][good]).sum(1) / length[good]
    searched = np.isfinite(stranger)
    return OwnScores(
        np.asarray(stranger, np.float32)[searched],
        owners[searched],
        mated.astype(np.float32),
        owners[several][good],
        n if people is None else people,
    )


def level(own: OwnScores, calibration: Calibration, fmr: float) -> SecurityLevel:
    """What a false match rate means here.

    Raises:
        InputError: if the calibration cannot support that rate.
    """
    bar, rate = calibration.threshold(fmr)
    value = rate.value if rate.value is not None else fmr
    low, high = (expected_fpir(r if r is not None else value, own.people) for r in (rate.low, rate.high))
    chance = expected_fpir(value, own.people)
    fpir = Metric(chance, min(low, chance), max(high, chance), "share", rate.n, "expected: 1 - (1 - FMR)^N")
    words = (
        f"a stranger is accepted as a given person {one_in(value)}, and as one of the {own.people:,} people here "
        f"{one_in(chance)} searches" if own.people else f"a stranger is accepted as a given person {one_in(value)}"
    )  # fmt: skip
    return SecurityLevel(
        fmr,
        bar,
        fpir,
        _share(own.stranger >= bar, own.stranger_subject, "searches with the own person taken out"),
        _share(own.mated < bar, own.mated_subject, "faces against the reference of the person's other faces"),
        own.people,
        words,
        {"calibration": calibration.describe(), "searches": len(own.stranger), "mated": len(own.mated)},
    )


def threshold_for_fpir(own: OwnScores, fpir: float) -> float | None:
    """The smallest score that keeps the share of strangers named in this gallery at `fpir`, by its own searches.

    None where fewer than 30 errors would be expected: so few searches cannot tell.
    """
    if not is_number(fpir) or not 0.0 < fpir < 1.0:
        raise InputError(f"fpir: expected a share between 0 and 1, got {fpir!r}")
    n = len(own.stranger)
    if n * fpir < 30:
        return None
    allowed = int(np.floor(n * fpir))
    scores = np.sort(own.stranger)[::-1]
    return float(np.nextafter(scores[allowed], np.float32(2.0))) if allowed < n else float(scores[-1])


def expected_fpir(fmr: float, n: int) -> float:
    """The share of searches with a stranger that name somebody: 1 - (1 - FMR)^N for N people."""
    if not is_number(fmr) or not 0.0 <= fmr <= 1.0:
        raise InputError(f"fmr: expected a share from 0 to 1, got {fmr!r}")
    return 1.0 if fmr == 1.0 and n else float(-np.expm1(n * np.log1p(-min(fmr, 1 - 1e-16))))


def fmr_for_fpir(fpir: float, n: int) -> float:
    """The false match rate per comparison that keeps the share of strangers named at `fpir` among N people."""
    if not is_number(fpir) or not 0.0 < fpir < 1.0:
        raise InputError(f"fpir: expected a share between 0 and 1, got {fpir!r}")
    return float(-np.expm1(np.log1p(-fpir) / max(n, 1)))


def _share(hits: NDArray[np.bool_], subjects: NDArray[np.int64], what: str) -> Metric:
    """A share with the interval of drawing people again, or, where nothing or everything hit, the rule of three."""
    n, people = len(hits), len(np.unique(subjects))
    if not n:
        return Metric(None, None, None, "share", 0, f"{what}: there are none")
    share, note = float(np.mean(hits)), f"{n:,} {what}"
    if share in (0.0, 1.0) or people < 2:
        beyond = rule_of_three(people)
        return Metric(share, max(0.0, share - beyond), min(1.0, share + beyond), "share", people, note)
    rng = np.random.default_rng(0)  # the same gallery gives the same interval
    found = bootstrap_mean(hits.astype(np.float64), subjects, rng=rng, n_boot=_DRAWS if people < _MANY else 200)
    return Metric(share, min(found.low or 0.0, share), max(found.high or 0.0, share), "share", people, note)


def weights_of(qualities: Sequence[float | None], owners: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    """Weights as `fuse_photos` gives them: the quality; unassessed photos weigh as the mean of the others."""
    known = np.array([np.nan if q is None else float(q) for q in qualities], np.float64)
    have = ~np.isnan(known)
    total = np.bincount(owners[have], weights=known[have], minlength=n)
    count = np.bincount(owners[have], minlength=n)
    usual = np.where(count > 0, total / np.maximum(count, 1), 1.0)
    weights = np.where(have, known, usual[owners])
    empty = np.bincount(owners, weights=weights, minlength=n) <= 0  # all of quality 0: fused alike
    return np.where(empty[owners], 1.0, weights)

"""Open set: a gallery of some people, probes of them and of people who are not in it.

    split = draw_split(faces, rng=np.random.default_rng(0))
    report = open_set(faces, split, embed)

Rates are those of Phillips, Grother & Micheals 2011 ("Evaluation Methods in Face Recognition", Handbook of Face
Recognition, 2nd edition) and ISO/IEC 19795-1:2021: see `vultus.evaluate.metrics.identification`. DIR at FAR asks that
the person is the first and reaches the threshold; FNIR at FPIR that he reaches it, at whatever rank.

A split that leaks is refused: a picture on two sides, a person in the gallery among those who are said not to be, a
probe from the same video or album as the person's own entry, anybody whom the embedder was trained on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.evaluate.metrics.identification import closed_set, search
from vultus.evaluate.metrics.identification import open_set as tpir_at_fpir
from vultus.evaluate.metrics.templates import pooled
from vultus.evaluate.protocols import _search_page
from vultus.evaluate.protocols._pair_set import Embed, embedded_rows, failures, rates_to_draw
from vultus.evaluate.provenance import licenses, provenance
from vultus.types import Metric, Report, checked

__all__ = ["FaceSet", "OpenSplit", "draw_split", "open_set"]

I64 = NDArray[np.int64]

FARS = (1e-1, 1e-2)
RANKS = (1, 5, 20)


class FaceSet(Protocol):
    """What the protocol needs of a data set of faces; `vultus.io.datasets.Dataset` has it."""

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
        """(N,) pictures."""
        ...

    @property
    def subjects(self) -> I64:
        """(N,) whom each shows, as an index into `names`."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """One per person."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class OpenSplit:
    """Who is enrolled, who is searched for.

    Attributes:
        gallery: indices of the enrolled pictures; those of one person become one template.
        mated: indices of the probes of enrolled people.
        nonmated: indices of the probes of people who are not enrolled.
        apart: (N,) the video or album of every picture of the set, or None where nobody knows.
        trained_on: names of the people whom the embedder was trained on, as far as they are known.
    """

    gallery: I64
    mated: I64
    nonmated: I64
    apart: I64 | None = None
    trained_on: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for side in ("gallery", "mated", "nonmated"):
            object.__setattr__(self, side, checked(side, getattr(self, side), (None,), np.int64))
        if self.apart is not None:
            object.__setattr__(self, "apart", checked("apart", self.apart, (None,), np.int64))
        object.__setattr__(self, "trained_on", frozenset(self.trained_on))


def draw_split(
    faces: FaceSet,
    *,
    rng: np.random.Generator,
    known: float = 0.5,
    enrolled: int = 1,
    apart: ArrayLike | None = None,
    trained_on: Iterable[str] = (),
) -> OpenSplit:
    """Draw who is enrolled: people, not pictures, so nobody is on both sides.

    Args:
        faces: the pictures and their people.
        rng: source of the draw.
        known: share of the people who are enrolled, among those who have pictures enough for it.
        enrolled: pictures of each that are enrolled, all of one video or album where `apart` says so; the others, of
            other videos or albums, are the mated probes.
        apart: (N,) the video or album of each picture, or None where nobody knows.
        trained_on: names of people whom the embedder was trained on; they are in no part.

    Returns:
        The split.

    Raises:
        InputError: if no person remains on a side, or a number is out of its range.
    """
    if not 0 < known < 1 or enrolled < 1:
        raise InputError(
            f"known, enrolled: expected a share between 0 and 1 and at least 1 picture, got {known} and {enrolled}"
        )
    subjects = checked("subjects", faces.subjects, (len(faces.paths),), np.int64)
    group = None if apart is None else checked("apart", apart, subjects.shape, np.int64)
    seen = frozenset(trained_on)
    people = [k for k in np.unique(subjects).tolist() if faces.names[k] not in seen]
    cuts = {person: _cut(np.flatnonzero(subjects == person), group, enrolled, rng) for person in people}
    able = [person for person in people if cuts[person] is not None]
    n_known = min(max(1, round(known * len(people))), len(able), len(people) - 1)
    if n_known < 1:
        raise InputError(
            f"faces: expected people enough for both sides, got {len(people)} whom the embedder was not trained on, "
            f"{len(able)} of them with {enrolled} pictures to enroll and one to search with"
        )
    chosen = sorted(rng.choice(np.array(able), n_known, replace=False).tolist())
    sides = [cut for person in chosen if (cut := cuts[person]) is not None]
    others = ~np.isin(subjects, chosen) & np.isin(subjects, people)
    return OpenSplit(
        np.concatenate([own for own, _ in sides]),
        np.concatenate([probes for _, probes in sides]),
        np.flatnonzero(others),
        group,
        seen,
    )


def open_set(
    faces: FaceSet,
    split: OpenSplit,
    embed: Embed,
    *,
    fars: Sequence[float] = FARS,
    rng: np.random.Generator | int = 0,
    n_boot: int = 2000,
    title: str = "Open set",
) -> Report:
    """Run the protocol.

    Args:
        faces: the pictures and their people.
        split: who is enrolled, from `draw_split` or by hand.
        embed: called once with all pictures of the split; returns the unit vectors of those in which a face was found,
            in order, and True where one was found.
        fars: false alarm rates, in (0, 0.5].
        rng: source of the bootstrap draws, or its seed.
        n_boot: number of draws.
        title: heading of the report page.

    Returns:
        Metrics "open.dir_at_far_*", "open.fnir_at_fpir_*", "closed.rank_*" and "enroll.failure_to_acquire"; curves over
        rates and ranks; thresholds with their source.

    Raises:
        InputError: if the split leaks or a side is empty, or `embed` found no face or contradicts itself.
    """
    if not fars or min(fars) <= 0 or max(fars) > 0.5:
        raise InputError(f"fars: expected rates in (0, 0.5], got {list(fars)}")
    check(faces, split)
    subjects = np.asarray(faces.subjects)
    used = np.concatenate([split.gallery, split.mated, split.nonmated])
    seed, draws = (rng, np.random.default_rng(rng)) if isinstance(rng, int) else ("the caller's generator", rng)
    embedded, rows, found = embedded_rows(embed, [Path(faces.paths[k]) for k in used])
    n = len(split.gallery)
    people, owner = np.unique(subjects[split.gallery], return_inverse=True)
    gallery = pooled(rows[:n], owner, np.arange(n), len(people))
    searched = [search(rows[n:], subjects[used[n:]], gallery, people)]
    rates = rates_to_draw(tuple(fars), len(split.nonmated), 0.5)
    first = tpir_at_fpir(searched, rates, rank=1, rng=draws, n_boot=n_boot)
    anywhere = tpir_at_fpir(searched, rates, rank=None, rng=draws, n_boot=n_boot)
    ranks = [k for k in range(1, 51) if k <= len(people)]
    shares = closed_set(searched, ranks, rng=draws, n_boot=n_boot)
    metrics: dict[str, Metric] = {
        **{f"open.dir_at_far_{_search_page.rate_name(far)}": _search_page.tpir_at(first, far) for far in fars},
        **{
            f"open.fnir_at_fpir_{_search_page.rate_name(far)}": _search_page.missed(_search_page.tpir_at(anywhere, far))
            for far in fars
        },
        **{f"closed.rank_{k}": shares[k - 1] for k in RANKS if k <= len(people)},
        "enroll.failure_to_acquire": failures(found, subjects[used], draws, n_boot),
    }
    about = {
        "title": title,
        "groups": {
            "open": "People who are not in the gallery may come",
            "closed": "Everybody is in the gallery",
            "enroll": "Before searching",
        },
        "thresholds": _search_page.threshold_rows(first, fars, [""]),
        "notes": [*_search_page.NOTES, *_notes(faces, split)],
        "counts": {
            "people in the gallery": len(people),
            "people whose enrolled pictures show no face": _search_page.lacking(gallery),
            "mated probes": len(split.mated),
            "non-mated probes": len(split.nonmated),
            "people of the non-mated probes": len(np.unique(subjects[split.nonmated])),
            "pictures without a detected face": int((~found).sum()),
        },
        **provenance(seed=seed),
        "licenses of the weights": licenses([embedded.space]),
        "bootstrap draws": n_boot,
    }
    curves = {
        "dir": _search_page.rate_curve(first, "rank 1", "detection and identification rate"),
        "tpir": _search_page.rate_curve(anywhere, "at any rank", "detection and identification rate"),
        "cmc": _search_page.cmc_curve(ranks, shares, "mated probes"),
    }
    dataset = (
        f"{faces.name}: {len(people):,} people enrolled, {len(split.mated):,} mated and {len(split.nonmated):,} "
        "non-mated probes"
    )
    return Report("open_set", dataset, faces.tier, metrics, curves, (embedded.space,), about)


def check(faces: FaceSet, split: OpenSplit) -> None:
    """Refuse a split that leaks.

    Raises:
        InputError: it does, a side is empty or an index is out of range; what and who is named.
    """
    subjects = checked("subjects", faces.subjects, (len(faces.paths),), np.int64)
    sides = {"gallery": split.gallery, "mated": split.mated, "nonmated": split.nonmated}
    for side, index in sides.items():
        if not len(index) or index.min() < 0 or index.max() >= len(subjects):
            raise InputError(f"split: expected indices from 0 below {len(subjects)} in {side}, got {_shown(index)}")
    every, times = np.unique(np.concatenate(list(sides.values())), return_counts=True)
    if (times > 1).any():
        picture = faces.paths[int(every[times > 1][0])]
        raise InputError(
            f"split: expected every picture once, got {picture} and {int((times > 1).sum()) - 1} others twice"
        )
    held = set(subjects[split.gallery].tolist())
    leaked = sorted({int(k) for k in subjects[split.nonmated]} & held)
    if leaked:
        raise InputError(
            f"split: expected non-mated probes of people who are not in the gallery, got {len(leaked)} who are, such "
            f"as {faces.names[leaked[0]]}"
        )
    strangers = sorted({int(k) for k in subjects[split.mated]} - held)
    if strangers:
        raise InputError(
            f"split: expected mated probes of people in the gallery, got {len(strangers)} who are not, such as "
            f"{faces.names[strangers[0]]}"
        )
    learned = sorted({faces.names[int(k)] for k in subjects[every]} & split.trained_on)
    if learned:
        raise InputError(
            f"split: expected people whom the embedder never saw, got {len(learned)} whom it was trained on, such as "
            f"{learned[0]}: leave them out"
        )
    if split.apart is not None:
        group = checked("apart", split.apart, subjects.shape, np.int64)
        entered = set(zip(subjects[split.gallery].tolist(), group[split.gallery].tolist(), strict=True))
        near = [k for k in split.mated.tolist() if (int(subjects[k]), int(group[k])) in entered]
        if near:
            raise InputError(
                f"split: expected probes from other videos or albums than the person's entry, got {len(near)} from the "
                f"same, such as {faces.paths[near[0]]}"
            )


def _cut(pictures: I64, group: I64 | None, enrolled: int, rng: np.random.Generator) -> tuple[I64, I64] | None:
    """Pictures of a person to enroll and to search with, or None where they are too few."""
    order = rng.permutation(pictures)
    if group is None:
        return (order[:enrolled], order[enrolled:]) if len(order) > enrolled else None
    for label in dict.fromkeys(group[order].tolist()):
        own, others = order[group[order] == label], order[group[order] != label]
        if len(own) >= enrolled and len(others):
            return own[:enrolled], others
    return None


def _notes(faces: FaceSet, split: OpenSplit) -> list[str]:
    known = len(split.trained_on & set(faces.names))
    trained = (
        f"Nobody here is among the {len(split.trained_on):,} people whom the embedder is said to have been trained on; "
        f"{known:,} of their names are in the set and were left out."
        + ("" if known else " Are the names of both spelled alike?")
        if split.trained_on
        else "Whom the embedder was trained on was not stated; whether it knew these people is not known."
    )
    apart = (
        "Entries and probes may come from one video or album."
        if split.apart is None
        else "Every probe is from another video or album than the person's entry."
    )
    return [trained, apart]


def _shown(index: I64) -> str:
    return f"{index.min()} to {index.max()}" if len(index) else "none"

"""Cross-age pairs with matched strangers, made of any set whose pictures have an age: the construction of CALFW.

Zheng, Deng and Hu 2017, "Cross-Age LFW: A Database for Studying Cross-Age Face Recognition in Unconstrained
Environments", arXiv:1708.08197. A mated pair is the two pictures of a person that are furthest apart in age. A pair of
two people is of the same sex and race, so that telling men from women is of no help. Every person is in one fold, and
each fold has as many pairs of one kind as of the other. The pairs are judged by `vultus.evaluate.protocols.lfw_family`.

Differs: the paper re-collected pictures until 3,000 people had two of different age; here the people come as they are,
and who is needed and missing is said. Within each fold, strangers of each sex and race are as frequent as mated pairs
of it, which the paper does not state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.io.datasets.records import Dataset, Pairs
from vultus.types import checked

__all__ = ["CrossAgePairs", "build_cross_age_pairs", "pair_list"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
AgeOf = Callable[[Sequence[Path]], ArrayLike]


@dataclass(frozen=True, slots=True, eq=False)
class CrossAgePairs:
    """What was built.

    Attributes:
        pairs: the set: pictures that are in a pair, pairs, folds.
        gaps: (P,) difference in age of each pair, in the unit of the ages; that of strangers is as it came.
        cells: words of each sex and race -> number of mated pairs.
        left_out: people without a known sex or race, who are in no pair.
    """

    pairs: Pairs
    gaps: F64
    cells: dict[str, int]
    left_out: int


def build_cross_age_pairs(
    meta: Dataset,
    age_fn: AgeOf,
    sex: Sequence[str],
    race: Sequence[str] | None = None,
    *,
    folds: int = 10,
    per_fold: int = 300,
    matched: bool = True,
    rng: np.random.Generator | int = 0,
) -> CrossAgePairs:
    """Build the set.

    Args:
        meta: pictures and people.
        age_fn: called once with all N paths; gives (N,) ages, or scores that rise with age.
        sex: one word per person, in the order of `meta.names`; "" where it is not known.
        race: the same; None matches by sex alone.
        folds: how many.
        per_fold: mated pairs of each, one per person, and as many of two people.
        matched: False draws the strangers of a fold without regard to sex and race, for comparison.
        rng: of folds and strangers, or its seed.

    Returns:
        Mated pairs of those people whose pictures are furthest apart in age; no two people are paired twice.

    Raises:
        InputError: if a setting is out of range, too few people have two pictures of different age, or a fold has too
            few people of a sex and race for its strangers; the message names it.
    """
    draws = np.random.default_rng(rng) if isinstance(rng, int) else rng
    if folds < 2 or per_fold < 1:
        raise InputError(f"folds, per_fold: expected at least 2 folds of 1 pair, got {folds} of {per_fold}")
    ages = checked("ages", age_fn(list(meta.paths)), (len(meta),), np.float64)
    cell = _cells(meta, sex, race)
    first, second, gap = _furthest(meta.subjects, ages, len(meta.names))
    able = np.flatnonzero((cell != "") & (gap > 0))
    wanted = folds * per_fold
    if len(able) < wanted:
        raise InputError(
            f"{meta.name}: expected {wanted:,} people of known sex and race with two pictures of different age, for "
            f"{folds} folds of {per_fold}, got {len(able):,}; ask for fewer folds or pairs"
        )
    chosen = able[np.argsort(-gap[able], kind="stable")[:wanted]]
    fold_of = _dealt(chosen, cell, folds, draws)
    left, right, part = [first[chosen]], [second[chosen]], [fold_of[chosen]]
    pictures = _pictures(meta)
    for fold in range(folds):
        own = chosen[fold_of[chosen] == fold]
        for a, b in _strangers(np.flatnonzero(fold_of == fold), own, cell, matched, fold, draws):
            left.append(np.array([draws.choice(pictures[a])]))
            right.append(np.array([draws.choice(pictures[b])]))
            part.append(np.array([fold]))
    ends = np.concatenate(left), np.concatenate(right)
    names, counts = np.unique(cell[chosen], return_counts=True)
    return CrossAgePairs(
        _of_used(meta, *ends, np.concatenate(part)),
        np.abs(ages[ends[0]] - ages[ends[1]]),
        dict(zip(names.tolist(), counts.tolist(), strict=True)),
        int((cell == "").sum()),
    )


def pair_list(built: CrossAgePairs) -> list[str]:
    """The lines of a list in CALFW's form: two per pair, file name and fold from 1 or 0 for two people, mated first."""
    pairs = built.pairs
    lines = []
    for same in (True, False):
        at = np.flatnonzero(pairs.same == same)
        for k in at[np.argsort(pairs.folds[at], kind="stable")]:
            flag = int(pairs.folds[k]) + 1 if same else 0
            lines += [f"{pairs.paths[i].name} {flag}" for i in (pairs.left[k], pairs.right[k])]
    return lines


def _cells(meta: Dataset, sex: Sequence[str], race: Sequence[str] | None) -> NDArray[np.str_]:
    """(S,) sex and race of each person in words; "" where one is not known."""
    columns = [("sex", sex)] if race is None else [("sex", sex), ("race", race)]
    for name, column in columns:
        if len(column) != len(meta.names):
            raise InputError(f"{name}: expected one word for each of {len(meta.names)} people, got {len(column)}")
    rows = zip(*(column for _, column in columns), strict=True)
    return np.array([", ".join(row) if all(row) else "" for row in rows], dtype=np.str_)


def _furthest(who: I64, ages: F64, people: int) -> tuple[I64, I64, F64]:
    """Youngest and oldest picture of each person and their difference; -1 and 0 where there are not two."""
    first, second, gap = np.full(people, -1), np.full(people, -1), np.zeros(people)
    order = np.lexsort((np.arange(len(who)), ages, who))
    starts = np.flatnonzero(np.append(True, np.diff(who[order]) != 0)) if len(who) else np.zeros(0, np.int64)
    for start, stop in zip(starts, np.append(starts[1:], len(who)), strict=True):
        young, old = order[start], order[stop - 1]
        first[who[young]], second[who[young]], gap[who[young]] = young, old, ages[old] - ages[young]
    return first, second, gap


def _dealt(chosen: I64, cell: NDArray[np.str_], folds: int, rng: np.random.Generator) -> I64:
    """(S,) fold of each person, -1 for those of no cell: cell after cell is shuffled and dealt, chosen people first."""
    fold_of = np.full(len(cell), -1)
    others = np.setdiff1d(np.flatnonzero(cell != ""), chosen)
    for group in (chosen, others):
        shuffled = rng.permutation(group)
        order = shuffled[np.argsort(cell[shuffled], kind="stable")]
        fold_of[order] = np.arange(len(order)) % folds
    return fold_of


def _strangers(
    people: I64, mated: I64, cell: NDArray[np.str_], matched: bool, fold: int, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """Pairs of two people of a fold, as many as `mated`; in each cell as many as there are mated pairs of it."""
    groups = (
        {name: int((cell[mated] == name).sum()) for name in np.unique(cell[mated])} if matched else {"": len(mated)}
    )
    found = []
    for name, n in groups.items():
        own = people[cell[people] == name] if matched else people
        most = len(own) * (len(own) - 1) // 2
        if most < n:
            words = f"({name})" if matched else "of any kind"
            raise InputError(
                f"fold {fold + 1}, people {words}: expected {n} pairs of two people, got {len(own)} people, who make "
                f"{most}; ask for fewer folds or pairs, or join that group with another"
            )
        taken = rng.choice(most, n, replace=False)
        i = ((1 + np.sqrt(1 + 8 * taken.astype(np.float64))) / 2).astype(np.int64)  # pair k of a triangle of pairs
        i += (i * (i + 1) // 2 <= taken).astype(np.int64) - (i * (i - 1) // 2 > taken).astype(np.int64)
        j = taken - i * (i - 1) // 2
        found += [(int(a), int(b)) for a, b in zip(own[i], own[j], strict=True)]
    return found


def _pictures(meta: Dataset) -> list[I64]:
    order = np.argsort(meta.subjects, kind="stable")
    return np.split(order, np.cumsum(np.bincount(meta.subjects, minlength=len(meta.names)))[:-1])


def _of_used(meta: Dataset, left: I64, right: I64, folds: I64) -> Pairs:
    """The pairs over the pictures that are in one."""
    used, place = np.unique(np.concatenate([left, right]), return_inverse=True)
    kept = np.unique(meta.subjects[used])
    dataset = Dataset(
        f"{meta.name}, cross-age",
        tuple(meta.paths[i] for i in used),
        np.searchsorted(kept, meta.subjects[used]),
        tuple(meta.names[s] for s in kept),
        meta.license,
        meta.tier,
    )
    return Pairs(dataset, place[: len(left)], place[len(left) :], folds)

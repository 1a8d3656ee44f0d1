"""Verification sets after LFW: accuracy over folds at a threshold of the other folds, and people who are in two folds.

Huang, Ramesh, Berg & Learned-Miller, University of Massachusetts Amherst, Technical Report 07-49 (2007). The sets:
`vultus.io.datasets.lfw_family`, and InsightFace's .bin files through `vultus.io.datasets.bin_pairs`. Thresholds come
from the other folds alone, by two rules: exact midpoints between scores, and the grid of squared distances 0 to 4 in
steps of 0.01 that most published code tries. View 1 has one threshold, of its training pairs.

A picture without a face scores -1 in all its comparisons and is never left out of a count.

Who is in two folds has been seen by the threshold that judges them. Where the publication says that folds share nobody,
such a set is refused with names; where the published list itself does it, `leaks="state"` runs it and says so.

Differs: published code accepts below a distance, this at or above a score; they part only at exact ties.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.contracts import Aligner, Comparator, Embedder
from vultus.errors import InputError
from vultus.evaluate.metrics.folds import FoldAccuracy, fold_accuracy, fold_accuracy_of, held_out_accuracy
from vultus.evaluate.metrics.verification import from_table, separation, trade_off
from vultus.evaluate.protocols import _lfw_family_page as page
from vultus.evaluate.protocols._crops import embedded_crops
from vultus.evaluate.protocols._pair_set import (
    Embed,
    PairSet,
    at,
    centered,
    embedded_rows,
    failures,
    power,
    rates_to_draw,
    scored,
)
from vultus.evaluate.provenance import licenses, provenance
from vultus.io.datasets.bin_pairs import BinPairs
from vultus.ops import roc
from vultus.ops.warp import template
from vultus.types import F32, ComparisonTable, Embedded, Metric, Report

__all__ = ["Judging", "aligned_embed", "leaking_people", "verification"]

I64 = NDArray[np.int64]

_FARS = (1e-2, 1e-3)


@dataclass(frozen=True, slots=True)
class Judging:
    """How a set is judged, and what is said about it.

    Attributes:
        title: heading of the page.
        leaks: "refuse" a set with people in two folds, or "state" it.
        held_out: View 1: fold 0 gives the threshold, fold 1 is judged.
        flip: whether the vector of the mirrored picture was added, in words.
        faces: how faces were cut, in words.
        unsure: what is not known of the set's layout.
        n_boot: number of draws.
    """

    title: str = "Verification pairs"
    leaks: str = "refuse"
    held_out: bool = False
    flip: str = "not known"
    faces: str = "the face nearest to the middle of each picture, aligned by its five points"
    unsure: str = ""
    n_boot: int = 2000

    def __post_init__(self) -> None:
        if self.leaks not in ("refuse", "state"):
            raise InputError(f"leaks: expected refuse or state, got {self.leaks!r}")


def verification(
    pairs: PairSet,
    embed: Embed,
    judging: Judging | None = None,
    *,
    learners: Mapping[str, Callable[[], Comparator]] | None = None,
    rng: np.random.Generator | int = 0,
) -> Report:
    """Run the protocol.

    Args:
        pairs: the set.
        embed: called once with all N paths; returns the unit vectors of the pictures in which a face was found, in
            order, and (N,) True where one was found.
        judging: the rules; None takes the defaults.
        learners: name -> what makes a comparator, such as `vultus.recognize.classical.kissme.KissMe`; a new one learns
            from the other folds for every fold. One with `fit_pairs` sees their pairs only (LFW's image-restricted
            setting), any other sees who is on them (unrestricted).
        rng: source of the bootstrap draws, or its seed.

    Returns:
        Metrics "pairs.*", "learned.*" and "enroll.*"; curves for a DET picture, the scores and the folds; thresholds
        with their source; the worst errors; who is in two folds.

    Raises:
        InputError: if people are in two folds and may not be, the set is inconsistent or has one fold, `embed` found
            no face at all, or its flags and vectors disagree.
    """
    rules = judging or Judging()
    seed, draws = (rng, np.random.default_rng(rng)) if isinstance(rng, int) else ("the caller's generator", rng)
    paths, left, right = list(pairs.paths), np.asarray(pairs.left), np.asarray(pairs.right)
    subjects, folds = np.asarray(pairs.subjects), np.asarray(pairs.folds)
    leaks = _leaks(pairs, rules)
    embedded, rows, found = embedded_rows(embed, paths)
    table = scored(rows, found, subjects, (left, right))
    official, rest = _accuracies(table, (rows, found, left, right), folds, rules, draws)
    judged = folds == 1 if rules.held_out else np.ones(len(table), bool)
    part = _part(table, judged)
    curve = trade_off(
        from_table(part), rates_to_draw(_FARS, int((~part.mated).sum()), 0.5), rng=draws, n_boot=rules.n_boot
    )
    known = not hasattr(pairs, "linked")
    learned = {
        name: _learned(make, name, table, (rows, found, left, right), folds, known, rules, draws)
        for name, make in (learners or {}).items()
    }
    metrics = {
        "pairs.accuracy": official.mean,
        "pairs.accuracy_standard_error": Metric(official.standard_error, unit="share", n=len(official.of_fold)),
        **rest,
        **{f"pairs.tar_at_far_{power(far)}": at(curve, far) for far in _FARS},
        **{f"pairs.{name}": m for name, m in separation(part, rng=draws, n_boot=rules.n_boot).items()},
        **{f"learned.{name}": one for name, one in learned.items()},
        "enroll.failure_to_enroll": failures(found, subjects, draws, rules.n_boot),
    }
    ends = (paths, left[judged], right[judged])
    about = {
        **page.about(rules.title, official, curve, rules.held_out, tuple(learned)),
        "alarms": leaks,
        "notes": page.notes(rules.held_out, rules.unsure, getattr(pairs, "linked", None), bool(learned)),
        "counts": page.counts(subjects, found, part),
        "worst": page.worst(part, folds[judged], official, ends),
        "people in two folds": leaks[0] if leaks else "nobody",
        "mirrored picture": rules.flip,
        "faces": rules.faces,
        **provenance(seed=seed),
        "licenses of the weights": licenses([embedded.space]),
        "bootstrap draws": rules.n_boot,
    }
    dataset = f"{pairs.name}: {len(part):,} pairs in {len(official.of_fold)} folds, {len(paths):,} pictures"
    if rules.held_out:
        dataset = f"{pairs.name}: {len(part):,} pairs, threshold of {len(table) - len(part):,} others"
    missing = [f"{name}: {m.note}" for name, m in metrics.items() if m.value is None]
    curves = page.curves(part, official, curve)
    return Report("lfw.family", dataset, pairs.tier, metrics, curves, (embedded.space,), about, tuple(missing))


def leaking_people(pairs: PairSet) -> dict[int, list[int]]:
    """People in more than one fold: index of the person -> its folds."""
    folds = np.asarray(pairs.folds)
    who = np.asarray(pairs.subjects)[np.concatenate([pairs.left, pairs.right])]
    seen = np.unique(np.stack([who, np.tile(folds, 2)], axis=1), axis=0)
    people, count = np.unique(seen[:, 0], return_counts=True)
    return {int(p): seen[seen[:, 0] == p, 1].tolist() for p in people[count > 1]}


def aligned_embed(pairs: BinPairs, embedder: Embedder, aligner: Aligner, *, batch: int = 64) -> Embed:
    """What `verification` calls for the pictures of a .bin, which are aligned already: nothing is detected.

    The five points are those of the ArcFace template in a picture of that size; an embedder that wants another crop
    gets it by them. A picture that cannot be decoded counts as one without a face.

    Args:
        pairs: the set.
        embedder: of crops.
        aligner: cuts the embedder's crop.
        batch: crops in one call.
    """

    def embed(paths: Sequence[Path]) -> tuple[Embedded, NDArray[np.bool_]]:
        return embedded_crops(
            range(len(paths)),
            lambda i: pairs.read(i).pixels,
            lambda _, pixels: template("arcface112", (pixels.shape[0], pixels.shape[1])),
            embedder,
            aligner,
            batch,
        )

    return embed


def _leaks(pairs: PairSet, rules: Judging) -> list[str]:
    """What is to be said of people in two folds."""
    people = leaking_people(pairs)
    if not people:
        return []
    names = getattr(getattr(pairs, "dataset", None), "names", None)
    named = [f"{names[p] if names else f'person {p}'} ({', '.join(map(str, folds))})" for p, folds in people.items()]
    first = ", ".join(named[:5]) + (", ..." if len(named) > 5 else "")
    who = "1 person is" if len(people) == 1 else f"{len(people):,} people are"
    if rules.leaks == "refuse":
        raise InputError(
            f"{pairs.name}: expected every person in one fold, got {len(people):,} in two or more (person, folds): "
            f"{first}: thresholds would be fitted on them; if the published list is so, pass leaks='state' (--leaking)"
        )
    return [f"{who} in more than one fold, so thresholds were fitted on people whom they judge: {first}."]


def _accuracies(
    table: ComparisonTable,
    pictures: tuple[F32, NDArray[np.bool_], I64, I64],
    folds: I64,
    rules: Judging,
    rng: np.random.Generator,
) -> tuple[FoldAccuracy, dict[str, Metric]]:
    """The figure, and the figures by other rules."""
    if rules.held_out:
        if not np.array_equal(np.unique(folds), [0, 1]):
            raise InputError(f"folds: expected 0 and 1 to hold out the second, got {np.unique(folds).tolist()}")
        dev, test = _part(table, folds == 0), _part(table, folds == 1)
        return held_out_accuracy(dev, test, rng=rng, n_boot=rules.n_boot), {}
    rows, found, left, right = pictures
    grid = fold_accuracy(table, folds, rng=rng, n_boot=rules.n_boot, grid=roc.DISTANCE_GRID)
    shifted = fold_accuracy_of(centered(rows, found, (left, right), folds), table, folds, rng=rng, n_boot=rules.n_boot)
    exact = fold_accuracy(table, folds, rng=rng, n_boot=rules.n_boot)
    return exact, {"pairs.accuracy_grid": grid.mean, "pairs.accuracy_centered": shifted.mean}


def _learned(
    make: Callable[[], Comparator],
    name: str,
    table: ComparisonTable,
    pictures: tuple[F32, NDArray[np.bool_], I64, I64],
    folds: I64,
    known: bool,
    rules: Judging,
    rng: np.random.Generator,
) -> Metric:
    """Accuracy of what was learned on the other folds, for each fold that is judged."""
    rows, found, left, right = pictures
    both = found[left] & found[right]
    columns = []
    for label in [1] if rules.held_out else np.unique(folds):  # of View 1 nothing learns from the pairs that are judged
        train = both & (folds != label)
        learner: Any = make()
        if hasattr(learner, "fit_pairs"):
            learner.fit_pairs(rows[left[train]], rows[right[train]], table.mated[train])
        elif not known:
            raise InputError(f"{name}: expected a set that names its people, got a .bin; take a learner of pairs")
        else:
            who = np.concatenate([table.ref_subject[train], table.probe_subject[train]])
            used, first = np.unique(np.concatenate([left[train], right[train]]), return_index=True)
            learner.fit(rows[used], who[first])
        scores = np.zeros(len(table))
        scores[both] = _paired(learner, rows[left[both]], rows[right[both]])
        scores[~both] = scores[both].min(initial=0.0) - 1
        columns.append(scores)
    if rules.held_out:
        dev, test = (_part(replace(table, score=columns[0]), folds == k) for k in (0, 1))
        return held_out_accuracy(dev, test, rng=rng, n_boot=rules.n_boot).mean
    return fold_accuracy_of(columns, table, folds, rng=rng, n_boot=rules.n_boot).mean


def _paired(learner: Comparator, left: F32, right: F32, block: int = 64) -> NDArray[np.float64]:
    """Scores of rows with the same rows of the other side."""
    starts = range(0, len(left), block)
    tables = [learner.scores(left[k : k + block], right[k : k + block]) for k in starts]
    return np.concatenate([np.zeros(0), *(np.diagonal(table) for table in tables)])


def _part(table: ComparisonTable, kept: NDArray[np.bool_]) -> ComparisonTable:
    return ComparisonTable(
        table.score[kept], table.mated[kept], table.ref_subject[kept], table.probe_subject[kept], table.split
    )

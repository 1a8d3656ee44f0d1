"""Labeled Faces in the Wild, View 2: 6,000 pairs in ten folds, and every picture of them against every other.

Huang, Ramesh, Berg & Learned-Miller, University of Massachusetts Amherst, Technical Report 07-49 (2007): thresholds
come from nine folds, accuracy from the tenth; the figure is the mean of ten with its standard error. Other sets of the
same form (CALFW, CPLFW, ...) run through `vultus.evaluate.protocols.lfw_family`.

A picture without a face scores -1 in all its comparisons: a miss where it is mated, a correct rejection where it is
not. It is never left out of a count.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError
from vultus.evaluate.metrics.all_pairs import all_against_all
from vultus.evaluate.metrics.folds import fold_accuracy, fold_accuracy_of
from vultus.evaluate.metrics.verification import from_table, separation, trade_off
from vultus.evaluate.protocols import _lfw_page
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
from vultus.ops.vectors import unit
from vultus.types import Embedded, Metric, Report

__all__ = ["Embed", "PairSet", "lfw", "z_fused"]

PAIR_FARS = (1e-2, 1e-3)
ALL_FARS = (1e-3, 1e-4, 1e-5)


def lfw(
    pairs: PairSet, embed: Embed, *, rng: np.random.Generator | int = 0, n_boot: int = 2000, title: str = "LFW View 2"
) -> Report:
    """Run the protocol.

    Args:
        pairs: the pairs, such as `vultus.io.datasets.lfw_pairs` reads them.
        embed: called once with all N paths; returns the unit vectors of the pictures in which a face was found, in
            order, and (N,) True where one was found.
        rng: source of the bootstrap draws, or its seed.
        n_boot: number of draws.
        title: heading of the report page.

    Returns:
        Metrics "pairs.*" (the official pairs), "all.*" (every picture against every other) and "enroll.*"; curves for a
        DET picture, the score histograms and the folds; thresholds with their source; the worst errors.

    Raises:
        InputError: if the set is inconsistent, `embed` found no face at all, or its flags and vectors disagree.
    """
    paths = list(pairs.paths)
    seed, draws = (rng, np.random.default_rng(rng)) if isinstance(rng, int) else ("the caller's generator", rng)
    embedded, rows, found = embedded_rows(embed, paths)
    left, right = np.asarray(pairs.left), np.asarray(pairs.right)
    subjects, folds = np.asarray(pairs.subjects), np.asarray(pairs.folds)
    table = scored(rows, found, subjects, (left, right))
    official = fold_accuracy(table, folds, rng=draws, n_boot=n_boot)
    shifted = fold_accuracy_of(centered(rows, found, (left, right), folds), table, folds, rng=draws, n_boot=n_boot)
    everyone, histogram = all_against_all(embedded.vec, subjects, found=found)
    pair_curve = trade_off(
        from_table(table), rates_to_draw(PAIR_FARS, int((~table.mated).sum()), 0.5), rng=draws, n_boot=n_boot
    )
    all_curve = trade_off(everyone, rates_to_draw(ALL_FARS, everyone.n_nonmated, 3e-3), rng=draws, n_boot=n_boot)
    metrics = {
        "pairs.accuracy": official.mean,
        "pairs.accuracy_standard_error": Metric(official.standard_error, unit="share", n=len(official.of_fold)),
        "pairs.accuracy_centered": shifted.mean,
        **{f"pairs.tar_at_far_{power(far)}": at(pair_curve, far) for far in PAIR_FARS},
        **{f"pairs.{name}": m for name, m in separation(table, rng=draws, n_boot=n_boot).items()},
        **{f"all.tar_at_far_{power(far)}": at(all_curve, far) for far in ALL_FARS},
        "enroll.failure_to_enroll": failures(found, subjects, draws, n_boot),
    }
    about = {
        **_lfw_page.about(title, official, (pair_curve, all_curve)),
        "counts": _lfw_page.counts(subjects, found, table, everyone),
        "worst": _lfw_page.worst(table, folds, official, (paths, left, right)),
        **provenance(seed=seed),
        "licenses of the weights": licenses([embedded.space]),
        "bootstrap draws": n_boot,
    }
    curves = _lfw_page.curves(table, (everyone, histogram), official, (pair_curve, all_curve))
    dataset = f"{pairs.name}: {len(table):,} pairs in {len(official.of_fold)} folds, {len(paths):,} pictures"
    missing = [f"{name}: {m.note}" for name, m in metrics.items() if m.value is None]
    return Report("lfw.view2", dataset, pairs.tier, metrics, curves, (embedded.space,), about, tuple(missing))


def z_fused(
    parts: Sequence[Embed], weights: Sequence[float], *, rng: np.random.Generator, n_random: int = 100_000
) -> Embed:
    """One embedder from several, whose cosine is the weighted sum of their z-normalized cosines, up to a constant.

    The spread of each part's cosine is estimated on random pairs of the pictures at hand, without looking at names.

    Args:
        parts: embedders as `lfw` takes them; a face counts as found when every part found it.
        weights: one positive number per part.
        rng: source of the random pairs.
        n_random: how many.

    Raises:
        InputError: if there is not one positive weight per part.
    """
    if not parts or len(parts) != len(weights) or min(weights) <= 0:
        raise InputError(f"weights: expected one positive number for each of {len(parts)} parts, got {list(weights)}")

    def embed(paths: Sequence[Path]) -> tuple[Embedded, NDArray[np.bool_]]:
        results = [embedded_rows(part, list(paths)) for part in parts]
        found: NDArray[np.bool_] = np.logical_and.reduce([seen for _, _, seen in results])
        i, j = rng.integers(int(found.sum()), size=(2, n_random))
        columns = []
        for (_, rows, _), weight in zip(results, weights, strict=True):
            vec = rows[found]
            spread = float((vec[i[i != j]] * vec[j[i != j]]).sum(1).std())
            columns.append(vec * np.sqrt(weight / spread))
        names = " + ".join(f"{w:g} z({e.space})" for (e, _, _), w in zip(results, weights, strict=True))
        return Embedded(unit(np.concatenate(columns, axis=1)), names), found

    return embed

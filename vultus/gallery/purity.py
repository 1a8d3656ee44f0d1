"""How pure clusters are when nobody knows who is on the faces: an estimate from what joined them.

The model. The average-linkage tree of a cluster has one join per face but one. A join is right (both sides are mostly
of one person) or wrong. The mean score of a join, given that it reached the threshold of the clustering, is distributed
as mated scores from that threshold on when it is right, and as the best of as many non-mated scores as there are other
clusters when it is wrong; both come from a calibration. How many joins are right is fitted to all joins (expectation
maximization), for clusters of two faces by themselves. Joins are then drawn right or wrong by their posterior: where a
join is wrong, only its larger side counts. Estimate and interval of a cluster are the mean and the central 95 % of the
share that is left.

What it cannot see: scores of a population which differ from those of the calibration; twins and doubles that score as
mates do; faces that are missing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.gallery.evidence import ScoreModel
from vultus.types import F32, Metric, checked, is_number

__all__ = ["Purity", "purity"]

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

_MOST = 400  # faces of a cluster that are looked at; of more, so many are drawn
_ROUNDS = 200


@dataclass(frozen=True, slots=True, eq=False)
class Purity:
    """Estimated share of each cluster's faces that are of its most frequent person.

    Attributes:
        labels: (K,) clusters, rising.
        faces: (K,) how many faces they have.
        value: (K,) estimate.
        low: (K,) lower end of the 95 % interval under the model.
        high: (K,) upper end.
        total: of all clustered faces together; `n` is the number of clusters.
    """

    labels: I64
    faces: I64
    value: F64
    low: F64
    high: F64
    total: Metric


def purity(
    vectors: ArrayLike,
    labels: ArrayLike,
    model: ScoreModel,
    *,
    threshold: float,
    rng: np.random.Generator,
    draws: int = 1000,
) -> Purity:
    """Estimate the purity of every cluster.

    Args:
        vectors: (N, D) unit rows.
        labels: (N,) clusters, -1 is noise and left out.
        model: what scores mean in this space.
        threshold: cosine that the clustering asked for.
        rng: source of the draws.
        draws: how many.

    Raises:
        InputError: if shapes differ, a label is below -1 or the threshold is no cosine.
    """
    rows = checked("vectors", vectors, (None, None))
    given = checked("labels", labels, (len(rows),), np.int64)
    if len(given) and given.min() < -1:
        raise InputError(f"labels: expected -1 for noise and clusters from 0 on, got {given.min()}")
    if not is_number(threshold) or not -1.0 <= threshold <= 1.0:
        raise InputError(f"threshold: expected a cosine in [-1, 1], got {threshold!r}")
    order = np.argsort(given, kind="stable")
    order = order[given[order] >= 0]
    names, start, faces = np.unique(given[order], return_index=True, return_counts=True)
    trees = [_tree(_some(rows[order[a : a + n]], rng)) for a, n in zip(start, faces, strict=True)]
    rivals = len(names) + int((given < 0).sum())
    right = _right(trees, faces, model, (threshold, rivals))
    made = np.ones((4, len(names)))
    whole = np.zeros(draws)
    for k, (tree, chance) in enumerate(zip(trees, right, strict=True)):
        share = _share(tree, chance, rng, draws)
        made[0, k], made[1:3, k] = share.mean(), np.percentile(share, (2.5, 97.5))
        whole += share * faces[k]
    if not len(names):
        none = np.zeros(0)
        return Purity(names, faces, none, none, none, Metric(None, None, None, "share", 0, "no cluster"))
    whole /= faces.sum()
    low, high = np.percentile(whole, (2.5, 97.5))
    total = Metric(float(whole.mean()), float(low), float(high), "share", len(names), "estimated without labels")
    return Purity(names, faces, made[0], made[1], made[2], total)


@dataclass(frozen=True)
class _Tree:
    """Joins of one cluster: two nodes each (faces first, then joins in order) and their mean score."""

    n: int
    left: list[int]
    right: list[int]
    score: F64


def _some(rows: F32, rng: np.random.Generator) -> F32:
    return rows if len(rows) <= _MOST else rows[np.sort(rng.choice(len(rows), _MOST, replace=False))]


def _tree(rows: F32) -> _Tree:
    """Average linkage of the few faces of one cluster, down to one."""
    n = len(rows)
    mean = rows.astype(np.float64) @ rows.T
    np.fill_diagonal(mean, -np.inf)
    size, node = np.ones(n), list(range(n))
    left, right, score = [], [], np.zeros(n - 1)
    for k in range(n - 1):
        a, b = divmod(int(mean.argmax()), n)
        score[k] = mean[a, b]
        left.append(node[a])
        right.append(node[b])
        joined = (size[a] * mean[a] + size[b] * mean[b]) / (size[a] + size[b])
        joined[[a, b]] = -np.inf
        mean[a], mean[:, a] = joined, joined
        mean[b], mean[:, b] = -np.inf, -np.inf
        size[a] += size[b]
        node[a] = n + k
    return _Tree(n, left, right, score)


def _right(trees: list[_Tree], faces: I64, model: ScoreModel, asked: tuple[float, int]) -> list[F64]:
    """Chance of each join to be right; clusters of two faces are a population of their own.

    A wrong join from a score `bar` on is the best of M others: its density is f(s) exp(-M FMR(s)), and the integral of
    that from the bar on is (1 - exp(-M FMR(bar))) / M.
    """
    threshold, rivals = asked
    chance: list[F64] = [np.zeros(0)] * len(trees)
    for chosen in (np.flatnonzero(faces == 2), np.flatnonzero(faces > 2)):
        if len(chosen):
            score = np.concatenate([trees[k].score for k in chosen])
            bar = threshold if faces[chosen[0]] > 2 else max(threshold, float(score.min()))  # what pairs had to reach
            wrong = -np.expm1(-rivals * float(model.fmr(bar))) / rivals
            selected = float(np.log(wrong) - np.log(model.tmr(bar)))
            ratio = model.llr(score) + rivals * model.fmr(np.maximum(score, bar)) + selected
            ends = np.cumsum([len(trees[k].score) for k in chosen])[:-1]
            for k, part in zip(chosen, np.split(_posterior(ratio), ends), strict=True):
                chance[k] = part
    return chance


def _posterior(ratio: F64) -> F64:
    """Chance of each join, with the share of right ones that makes their mean itself (and one of each kind added)."""
    share = 0.5
    chance = np.zeros(len(ratio))
    for _ in range(_ROUNDS):
        chance = 1.0 / (1.0 + np.exp(-np.clip(ratio + np.log(share / (1.0 - share)), -500, 500)))
        fitted = (chance.sum() + 1.0) / (len(chance) + 2.0)
        if abs(fitted - share) < 1e-9:
            break
        share = float(fitted)
    return chance


def _share(tree: _Tree, chance: F64, rng: np.random.Generator, draws: int) -> F64:
    """(draws,) share of the faces that is left when a wrong join leaves its larger side only."""
    left = [np.ones(draws)] * tree.n
    for k, (a, b) in enumerate(zip(tree.left, tree.right, strict=True)):
        kept = rng.random(draws) < chance[k]
        left.append(np.where(kept, left[a] + left[b], np.maximum(left[a], left[b])))
    return left[-1] / tree.n

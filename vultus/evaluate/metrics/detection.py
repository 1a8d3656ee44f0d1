"""How well boxes were found: hits by the rule of PASCAL VOC, precision over recall, average precision, recall by size.

Everingham et al., "The PASCAL Visual Object Classes Challenge", doi:10.1007/s11263-009-0275-4; area under all points.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.ops.boxes import iou
from vultus.ops.stats import wilson
from vultus.types import Metric, checked

__all__ = ["Tally", "average_precision", "over_pictures", "precision_recall", "recall_at_zero_false", "tally"]

F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """Detections and true faces of many pictures as columns.

    Attributes:
        score: (N,) of each counted detection.
        hit: (N,) whether it is the first on a true face.
        picture: (N,) index of its picture.
        truth_score: (M,) score of the detection that found each true face; -inf when none did.
        truth_side: (M,) longer side of each true box, in pixels.
        truth_picture: (M,) index of its picture.
        n_pictures: how many pictures.
    """

    score: F64
    hit: NDArray[np.bool_]
    picture: NDArray[np.int64]
    truth_score: F64
    truth_side: F64
    truth_picture: NDArray[np.int64]
    n_pictures: int

    def recall(self, threshold: float = -np.inf) -> float:
        """Share of the true faces found at `threshold` or above; NaN where there are none."""
        return (
            float((self.truth_score >= max(threshold, np.finfo(float).min)).mean()) if len(self.truth_score) else np.nan
        )

    def false_alarms(self, threshold: float = -np.inf) -> int:
        """Detections at `threshold` or above that are no true face, or a second one on it."""
        return int(((self.score >= threshold) & ~self.hit).sum())


def tally(
    found: Sequence[tuple[ArrayLike, ArrayLike]],
    truth: Sequence[ArrayLike],
    *,
    iou_at: float = 0.5,
    min_side: float = 0.0,
) -> Tally:
    """Decide which detections are hits.

    Detections are taken best first; each belongs to the true box that it overlaps most. It is a hit when that overlap
    is `iou_at` or more and the box was not hit before; otherwise it is a false alarm.

    Args:
        found: (boxes (N, 4) xyxy, scores (N,)) of each picture.
        truth: (M, 4) xyxy of each picture, in the same order.
        iou_at: overlap that counts.
        min_side: true boxes whose longer side is below it (pixels) are neither asked for nor held against a detection.

    Raises:
        InputError: if the two lists differ in length, or a shape is wrong.
    """
    if len(found) != len(truth):
        raise InputError(f"truth: expected boxes of {len(found)} pictures, one entry each, got {len(truth)}")
    detections, faces = [], []
    for index, ((boxes, scores), true) in enumerate(zip(found, truth, strict=True)):
        true_boxes = checked("truth", np.reshape(np.asarray(true, np.float64), (-1, 4)), (None, 4), np.float64)
        boxes = checked("boxes", np.reshape(np.asarray(boxes, np.float64), (-1, 4)), (None, 4), np.float64)
        scores = checked("scores", scores, (len(boxes),), np.float64)
        side = (true_boxes[:, 2:] - true_boxes[:, :2]).max(axis=1, initial=0.0)
        outcome, found_at = _match(boxes, scores, true_boxes, side >= min_side, iou_at)
        counted = outcome >= 0
        detections.append((scores[counted], outcome[counted] == 1, np.full(counted.sum(), index)))
        asked = side >= min_side
        faces.append((found_at[asked], side[asked], np.full(asked.sum(), index)))
    score, hit, picture = (np.concatenate(column) for column in zip(*detections, strict=True)) if found else _NOTHING
    truth_score, truth_side, truth_picture = (
        (np.concatenate(column) for column in zip(*faces, strict=True)) if found else _NOTHING
    )
    return Tally(score, hit.astype(bool), picture, truth_score, truth_side, truth_picture, len(found))


_NOTHING = (np.zeros(0), np.zeros(0), np.zeros(0, np.int64))


def _match(
    boxes: F64, scores: F64, truth: F64, asked: NDArray[np.bool_], iou_at: float
) -> tuple[NDArray[np.int8], F64]:
    """1 hit, 0 false alarm, -1 not counted for each detection; score that found each true box."""
    outcome = np.zeros(len(boxes), np.int8)
    found_at = np.full(len(truth), -np.inf)
    if not len(truth) or not len(boxes):
        return outcome, found_at
    overlap = iou(boxes, truth)
    nearest = overlap.argmax(axis=1)
    for d in np.argsort(-scores, kind="stable"):
        t = nearest[d]
        if overlap[d, t] < iou_at:
            continue
        if not asked[t]:
            outcome[d] = -1
        elif found_at[t] == -np.inf:
            outcome[d], found_at[t] = 1, scores[d]
    return outcome, found_at


def precision_recall(score: ArrayLike, hit: ArrayLike, n_truth: float) -> tuple[F64, F64, F64]:
    """Precision and recall at every distinct score, from the highest down.

    Args:
        score: (N,) of the detections.
        hit: (N,) whether each is a hit.
        n_truth: number of true faces.

    Returns:
        precision (T,), recall (T,), threshold (T,); equal scores enter together, so the order of the input is nothing.
    """
    scores = checked("score", score, (None,), np.float64)
    hits = checked("hit", hit, (len(scores),), np.float64)
    order = np.argsort(-scores, kind="stable")
    precision, recall, last = _curve(scores[order], hits[order], np.ones(len(scores)), n_truth)
    return precision, recall, scores[order][last]


def average_precision(score: ArrayLike, hit: ArrayLike, n_truth: float) -> float:
    """Area under precision over recall, precision made monotone from the right, over all points.

    Args:
        score: (N,) of the detections.
        hit: (N,) whether each is a hit.
        n_truth: number of true faces.

    Returns:
        A share in [0, 1]; NaN when there is no true face.
    """
    precision, recall, _ = precision_recall(score, hit, n_truth)
    return _area(precision, recall) if n_truth else float("nan")


def recall_at_zero_false(score: ArrayLike, hit: ArrayLike, n_truth: float) -> tuple[float, float]:
    """Largest recall without a false alarm, and the lowest threshold that reaches it (inf: none does)."""
    scores = checked("score", score, (None,), np.float64)
    hits = checked("hit", hit, (len(scores),), np.bool_)
    worst = scores[~hits].max(initial=-np.inf)
    clean = scores[hits & (scores > worst)]
    return (len(clean) / n_truth if n_truth else float("nan")), float(clean.min(initial=np.inf))


def over_pictures(
    counts: Tally, statistic: str | Callable[[Tally, F64], float], *, rng: np.random.Generator, n_boot: int = 1000
) -> Metric:
    """A statistic with a 95 % percentile interval over draws of whole pictures; Wilson's at 0 and 1, where draws agree.

    Args:
        counts: the tally.
        statistic: "ap", or a function of the tally and (P,) weights of its pictures.
        rng: source of the draws.
        n_boot: number of draws.

    Returns:
        The metric; `n` is the number of pictures.
    """
    measure = _weighted_ap(counts) if statistic == "ap" else statistic
    if isinstance(measure, str):
        raise InputError(f"statistic: expected 'ap' or a function, got {statistic!r}")
    value = measure(counts, np.ones(counts.n_pictures))
    if not np.isfinite(value):
        return Metric(None, unit="share", n=counts.n_pictures, note="no true face to be found")
    draws = rng.multinomial(counts.n_pictures, np.full(counts.n_pictures, 1 / counts.n_pictures), size=n_boot)
    values = np.array([measure(counts, draw.astype(np.float64)) for draw in draws])
    values = values[np.isfinite(values)]  # a draw without any true face says nothing
    low, high = (float(end) for end in np.percentile(values, [2.5, 97.5]))
    if low == high and value in (0.0, 1.0):  # every draw agrees: as for k of n pictures without an exception
        low, high = wilson(round(value * counts.n_pictures), counts.n_pictures)
    return Metric(float(value), low, high, "share", counts.n_pictures)


def _weighted_ap(counts: Tally) -> Callable[[Tally, F64], float]:
    order = np.argsort(-counts.score, kind="stable")
    score, hit, picture = counts.score[order], counts.hit[order].astype(np.float64), counts.picture[order]

    def measure(_: Tally, weight: F64) -> float:
        n_truth = float(weight[counts.truth_picture].sum())
        if not n_truth:
            return float("nan")
        precision, recall, _last = _curve(score, hit, weight[picture], n_truth)
        return _area(precision, recall)

    return measure


def _curve(score: F64, hit: F64, weight: F64, n_truth: float) -> tuple[F64, F64, NDArray[np.int64]]:
    """Precision and recall after each run of equal scores (descending), and the last index of each run."""
    last = np.flatnonzero(np.append(np.diff(score) != 0, True)) if len(score) else np.zeros(0, np.int64)
    hits, seen = np.cumsum(hit * weight)[last], np.cumsum(weight)[last]
    precision = np.divide(hits, seen, out=np.zeros_like(hits), where=seen > 0)
    return precision, hits / max(n_truth, np.finfo(float).tiny), last


def _area(precision: F64, recall: F64) -> float:
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall, prepend=0.0) * envelope).sum())

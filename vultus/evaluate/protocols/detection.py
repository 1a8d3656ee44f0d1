"""Measure a detector on pictures with boxes: average precision, recall and false alarms at its own threshold, time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from vultus.contracts import Detector
from vultus.evaluate.metrics.detection import Tally, over_pictures, precision_recall, recall_at_zero_false, tally
from vultus.evaluate.provenance import provenance
from vultus.ops.stats import wilson
from vultus.types import F32, U8, Detections, Metric, Report

__all__ = ["SIZES", "evaluate_detection"]

SIZES = ((0, 16), (16, 32), (32, 64), (64, 128), (128, 256), (256, 1 << 20))
"""Bins of the longer side of a true box, in pixels of the picture: [low, high)."""

_FLOOR = 0.02  # scores below it do not move an average precision
_MIN_SIDE = 16  # "ap_16px" leaves out what even people call a guess


def evaluate_detection(
    detector: Detector,
    pictures: Iterable[tuple[Callable[[], U8], F32]],
    *,
    dataset: str,
    rng: np.random.Generator,
    tier: str = "real",
    iou_at: float = 0.5,
    name: str = "",
) -> Report:
    """Run a detector over a set and report what it found.

    Each picture is searched twice: at the detector's own threshold, which gives recall, false alarms and time, and with
    a low threshold, which gives average precision.

    Args:
        detector: any object with the contract of a detector.
        pictures: (function that reads an (H, W, 3) picture, (M, 4) true boxes); may hold no face at all.
        dataset: what the set is called.
        rng: source of the bootstrap draws.
        tier: "real" or "sim".
        iou_at: overlap from which a true box counts as found.
        name: of the detector, for the report.

    Returns:
        Metrics `ap`, `ap_16px`, `recall`, `precision`, `recall_at_0_fp`, `false_alarms`, `recall.<low>_<high>px`,
        `ms_per_picture`, and the curve `precision_recall`.
    """
    at_work, at_floor, truth = [], [], []
    milliseconds: list[float] = []
    for read, boxes in pictures:
        pixels = read()
        if not milliseconds:
            detector.detect([pixels])  # opens the network and warms it; not timed
        began = time.perf_counter()
        at_work.append(detector.detect([pixels])[0])
        milliseconds.append((time.perf_counter() - began) * 1e3)
        at_floor.append(detector.detect([pixels], min_score=_FLOOR)[0])
        truth.append(boxes)
    work, floor = (tally(_pairs(found), truth, iou_at=iou_at) for found in (at_work, at_floor))
    metrics: dict[str, Metric] = {}
    missing = []
    if len(floor.truth_score):
        metrics |= _ranked(floor, tally(_pairs(at_floor), truth, iou_at=iou_at, min_side=_MIN_SIDE), rng)
        metrics |= _at_threshold(work, rng)
    else:
        missing.append("recall and average precision: the set holds no face")
    metrics["false_alarms"] = Metric(
        float(work.false_alarms()), unit="boxes", n=work.n_pictures, note="at the detector's threshold"
    )
    if milliseconds:
        low, middle, high = np.percentile(milliseconds, [2.5, 50, 97.5])
        metrics["ms_per_picture"] = Metric(
            float(middle),
            float(low),
            float(high),
            "ms",
            len(milliseconds),
            "median; the range holds 95 % of the pictures",
        )
    return Report(
        protocol="detection",
        dataset=f"{dataset}: {work.n_pictures} pictures, {len(work.truth_score)} faces",
        data_tier=tier,
        metrics=metrics,
        curves=_curves(floor),
        spaces=(name or type(detector).__name__,),
        provenance=_about(detector, iou_at, rng),
        missing=tuple(missing),
    )


def _pairs(found: list[Detections]) -> list[tuple[F32, F32]]:
    return [(one.boxes, one.scores) for one in found]


def _ranked(counts: Tally, larger: Tally, rng: np.random.Generator) -> dict[str, Metric]:
    """What depends on the order of the scores alone."""
    recall, threshold = recall_at_zero_false(counts.score, counts.hit, len(counts.truth_score))
    found = round(recall * len(counts.truth_score))
    low, high = wilson(found, len(counts.truth_score))
    return {
        "ap": over_pictures(counts, "ap", rng=rng),
        "ap_16px": over_pictures(larger, "ap", rng=rng),
        "recall_at_0_fp": Metric(recall, low, high, "share", len(counts.truth_score), f"at score {threshold:.3f}"),
    }


def _at_threshold(counts: Tally, rng: np.random.Generator) -> dict[str, Metric]:
    """What a user of the detector's own threshold sees."""
    metrics = {
        "recall": over_pictures(counts, _recall, rng=rng),
        "precision": over_pictures(counts, _precision, rng=rng),
    }
    for low, high in SIZES:
        inside = (counts.truth_side >= low) & (counts.truth_side < high)
        if inside.any():
            found = int((counts.truth_score[inside] > -np.inf).sum())
            name = f"recall.{low}_{high}px" if high < 1 << 20 else f"recall.{low}px"
            metrics[name] = Metric(
                found / int(inside.sum()), *wilson(found, int(inside.sum())), "share", int(inside.sum())
            )
    return metrics


def _recall(counts: Tally, weight: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    each = weight[counts.truth_picture]
    return float((each * (counts.truth_score > -np.inf)).sum() / each.sum()) if each.sum() else float("nan")


def _precision(counts: Tally, weight: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    each = weight[counts.picture]
    return float((each * counts.hit).sum() / each.sum()) if each.sum() else float("nan")


def _curves(counts: Tally) -> dict[str, dict[str, Any]]:
    if not len(counts.truth_score) or not len(counts.score):
        return {}
    precision, recall, _ = precision_recall(counts.score, counts.hit, len(counts.truth_score))
    return {
        "precision_recall": {
            "x": recall.tolist(),
            "y": precision.tolist(),
            "x_label": "recall",
            "y_label": "precision",
        }
    }


def _about(detector: Detector, iou_at: float, rng: np.random.Generator) -> dict[str, Any]:
    """What the page needs besides the numbers."""
    fields = getattr(detector, "__dataclass_fields__", {})
    seed = getattr(rng.bit_generator.seed_seq, "entropy", "unknown")
    return {
        "title": "Face detection",
        "headline": ["ap", "recall", "recall_at_0_fp", "false_alarms"],
        "groups": {"recall": "Recall by longer side of the face, in pixels of the picture"},
        "notes": [
            f"A detection counts when it overlaps a true box by {iou_at} or more (intersection over union) and is the "
            "best-scored one on it; every further one is a false alarm.",
            "Average precision is the area under all points, precision made monotone; intervals draw whole pictures.",
            "Faces that the set does not list count as false alarms when they are found.",
        ],
        "iou": iou_at,
        "detector settings": {key: getattr(detector, key) for key in fields if key != "_"},
        **provenance(seed=str(seed)),
    }

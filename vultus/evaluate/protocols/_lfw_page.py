"""What the LFW report shows besides its metrics: curves, thresholds, counts, policies and the worst errors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.evaluate.metrics.all_pairs import UNDETECTED
from vultus.evaluate.metrics.folds import FoldAccuracy
from vultus.evaluate.metrics.verification import Comparisons, TradeOff
from vultus.ops.roc import ScoreHistogram
from vultus.types import ComparisonTable

__all__ = ["RULES", "about", "counts", "curves", "det", "fold_points", "worst"]

I64 = NDArray[np.int64]

WORST = 6  # of each kind
BINS = 80
RULES = {
    "accuracy": "Accuracy: the threshold that is best on nine folds (exact midpoints between scores) judges the tenth; "
    "the figure is the mean over the ten folds.",
    "tar": "TAR at FAR: the threshold is the smallest observed score whose false match rate is at most the stated "
    "rate, found on the same comparisons. It describes this set; it is no setting for other photographs.",
    "undetected": "A picture in which no face was found scores −1 in all its comparisons: a miss where it is mated, a "
    "correct rejection where it is not. It is counted everywhere.",
    "centered": "Centered: the mean vector of the pictures of the nine other folds is subtracted before comparing. "
    "Published for some networks; shown for the record.",
    "intervals": "Intervals are 95% percentiles of a bootstrap that draws people, not comparisons, and finds the "
    "threshold of a TAR anew in every draw. n is the number of people.",
}
NOTES = tuple(RULES.values())


def about(title: str, official: FoldAccuracy, trade_offs: tuple[TradeOff, TradeOff]) -> dict[str, Any]:
    """Heading, words and thresholds; `trade_offs` are of the pairs and of all against all."""
    taus = official.thresholds
    fitted = f"fitted on the nine other folds; {taus.min():.4f} to {taus.max():.4f} over the ten"
    rows = [{"name": "Accuracy, mean of ten folds", "value": float(taus.mean()), "source": fitted}]
    wanted = (("official pairs", (1e-2, 1e-3)), ("all against all", (1e-3, 1e-4, 1e-5)))
    for (where, fars), curve in zip(wanted, trade_offs, strict=True):
        for far in fars:
            at = np.flatnonzero(curve.fars == far)
            value = float(curve.thresholds[at[0]])
            source = "quantile of the non-mated scores of this very set"
            rows.append(
                {"name": f"FAR {far:.0e}".replace("e-0", "e-") + f", {where}", "value": value, "source": source}
            )
    return {
        "title": title,
        "headline": ["pairs.accuracy", "all.tar_at_far_1e-4", "all.tar_at_far_1e-5", "pairs.eer"],
        "groups": {
            "pairs": "The official pairs, ten folds",
            "all": "Every picture against every other",
            "enroll": "Before comparing",
        },
        "labels": {
            "pairs.d_prime": "d′",
            "pairs.auc": "Area under the ROC",
            "pairs.eer": "Equal error rate",
            "pairs.accuracy_standard_error": "Standard error of the accuracy",
            "pairs.accuracy_centered": "Accuracy, centered",
        },
        "thresholds": rows,
        "notes": list(NOTES),
    }


def counts(subjects: I64, found: NDArray[np.bool_], table: ComparisonTable, everyone: Comparisons) -> dict[str, int]:
    """How much was compared."""
    return {
        "pictures": len(found),
        "people": len(np.unique(subjects)),
        "pictures without a detected face": int((~found).sum()),
        "official mated pairs": int(table.mated.sum()),
        "official non-mated pairs": int((~table.mated).sum()),
        "official pairs with an undetected face": int((table.score == UNDETECTED).sum()),
        "mated comparisons, all against all": len(everyone.mated),
        "non-mated comparisons, all against all": everyone.n_nonmated,
    }


def curves(
    table: ComparisonTable,
    everybody: tuple[Comparisons, ScoreHistogram],
    official: FoldAccuracy,
    trade_offs: tuple[TradeOff, TradeOff],
) -> dict[str, dict[str, Any]]:
    """DET picture, score histograms and accuracy per fold."""
    everyone, histogram = everybody
    return {
        "det_all": det(
            trade_offs[1], f"all against all: {_count(everyone.n_nonmated)} non-mated, {len(everyone.mated):,} mated"
        ),
        "det_pairs": det(
            trade_offs[0], f"official pairs: {(~table.mated).sum():,} non-mated, {table.mated.sum():,} mated"
        ),
        **_histograms(everyone, histogram, float(official.thresholds.mean())),
        "folds": fold_points(official),
    }


def fold_points(official: FoldAccuracy) -> dict[str, Any]:
    """Picture of the accuracy of each fold."""
    return {
        "kind": "points",
        "figure": "Accuracy of each fold",
        "x": list(range(1, len(official.of_fold) + 1)),
        "y": [100 * float(a) for a in official.of_fold],
        "x_label": "fold",
        "y_label": "accuracy, %",
        "x_limits": [0.5, len(official.of_fold) + 0.5],
        "marks": [{"y": 100 * float(official.of_fold.mean()), "label": f"mean {100 * official.of_fold.mean():.2f}"}],
    }


def worst(
    table: ComparisonTable, folds: I64, official: FoldAccuracy, pictures: tuple[Sequence[Path], I64, I64]
) -> list[dict[str, Any]]:
    """Errors of the ten-fold rule, most wrong first: by how far the score is on the wrong side of its threshold."""
    paths, left, right = pictures
    tau = official.thresholds[np.unique(folds, return_inverse=True)[1]]
    rows = []
    for kind, error, wrong in (
        ("False match", ~table.mated & (table.score >= tau), table.score - tau),
        ("False non-match", table.mated & (table.score < tau), tau - table.score),
    ):
        at = np.flatnonzero(error)
        for i in at[np.argsort(-wrong[at], kind="stable")][:WORST]:
            names = ["/".join(Path(paths[k]).parts[-2:]) for k in (left[i], right[i])]
            lost = " (no face found)" if table.score[i] == UNDETECTED else ""
            rows.append({"kind": kind + lost, "score": round(float(table.score[i]), 4), "pictures": names})
    return rows


def _count(n: int) -> str:
    return f"{n / 1e6:.1f} M" if n >= 1e6 else f"{n:,}"


def det(curve: TradeOff, series: str) -> dict[str, Any]:
    """Detection error trade-off with its band."""
    misses = [1 - (m.value or 0.0) for m in curve.tars]
    return {
        "figure": "Detection error trade-off",
        "series": series,
        "x": curve.fars.tolist(),
        "y": misses,
        "low": [1 - (m.high or 0.0) for m in curve.tars],
        "high": [1 - (m.low or 0.0) for m in curve.tars],
        "x_label": "false match rate",
        "y_label": "false non-match rate",
        "x_scale": "deviate",
        "y_scale": "deviate",
        "caption": "Both axes are normal deviates; lower left is better. The band holds 95% of the draws of people.",
    }


def _histograms(everyone: Comparisons, histogram: ScoreHistogram, tau: float) -> dict[str, dict[str, Any]]:
    lowest = histogram.threshold_at_fmr(0.9999, force=True)  # one non-mated score in 10,000 lies below
    low = min(float(everyone.mated[everyone.mated > UNDETECTED].min(initial=1.0)), lowest)
    edges = np.linspace(low, 1.0, BINS + 1)
    same = np.histogram(everyone.mated[everyone.mated > UNDETECTED], edges)[0] / max(len(everyone.mated), 1)
    above = np.array([histogram.fmr_at(float(e)) for e in edges[:-1]] + [0.0])
    common = {
        "kind": "histogram",
        "figure": "Scores, all against all",
        "x": edges.tolist(),
        "x_label": "cosine",
        "y_label": "share of comparisons per bin",
        "caption": "Each side adds up to one. The upright line is the mean threshold of the ten folds.",
    }
    mark = [{"x": tau, "label": f"threshold {tau:.3f}"}]
    return {
        "scores_mated": {**common, "series": "same person", "y": same.tolist(), "marks": mark},
        "scores_nonmated": {**common, "series": "different people", "y": (-np.diff(above)).tolist()},
    }

"""What the report of a set of the LFW family shows besides its metrics."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.evaluate.metrics.all_pairs import UNDETECTED
from vultus.evaluate.metrics.folds import FoldAccuracy
from vultus.evaluate.metrics.verification import TradeOff
from vultus.evaluate.protocols._lfw_page import RULES, det, fold_points, worst
from vultus.types import ComparisonTable

__all__ = ["about", "counts", "curves", "notes", "worst"]

I64 = NDArray[np.int64]

_BINS = 60


def about(
    title: str, official: FoldAccuracy, curve: TradeOff, held_out: bool, learned: tuple[str, ...]
) -> dict[str, Any]:
    """Heading, words and thresholds; `learned` are the names of comparators, which stay as they are."""
    taus = official.thresholds
    source = (
        f"fitted on the training pairs: {taus[0]:.4f}"
        if held_out
        else f"fitted on the other folds; {taus.min():.4f} to {taus.max():.4f} over the {len(taus)}"
    )
    rows = [{"name": "Accuracy", "value": float(taus.mean()), "source": source}]
    for far in (1e-2, 1e-3):
        place = np.flatnonzero(curve.fars == far)
        if len(place):
            rows.append(
                {
                    "name": f"FAR {far:.0e}".replace("e-0", "e-"),
                    "value": float(curve.thresholds[place[0]]),
                    "source": "quantile of the non-mated scores of this very set",
                }
            )
    return {
        "title": title,
        "headline": ["pairs.accuracy", "pairs.eer", "pairs.tar_at_far_1e-2", "pairs.auc"],
        "groups": {
            "pairs": "The pairs of the set",
            "learned": "Comparators that learn from the other folds",
            "enroll": "Before comparing",
        },
        "labels": {
            "pairs.d_prime": "d′",
            "pairs.auc": "Area under the ROC",
            "pairs.eer": "Equal error rate",
            "pairs.accuracy_standard_error": "Standard error of the accuracy",
            "pairs.accuracy_grid": "Accuracy, thresholds from the grid",
            "pairs.accuracy_centered": "Accuracy, centered",
            **{f"learned.{name}": name for name in learned},
        },
        "thresholds": rows,
    }


def notes(held_out: bool, unsure: str, linked: bool | None, learned: bool) -> list[str]:
    """Rules a reader must know.

    Args:
        held_out: one threshold, of training pairs.
        unsure: of the layout.
        linked: of a .bin, whether its people could be linked; None where people are named.
        learned: whether comparators were fitted.
    """
    said = [
        "Accuracy: the threshold that is best on the training pairs (exact midpoints between scores) judges the test "
        "pairs."
        if held_out
        else "Accuracy: each fold is judged at the threshold that is best on all others (exact midpoints between "
        "scores); the figure is the mean over the folds. By the grid: squared distances from 0 to 4 in steps of 0.01.",
        RULES["tar"],
        RULES["undetected"],
        *([] if held_out else [RULES["centered"].replace("nine other", "other")]),
        RULES["intervals"],
    ]
    if linked is not None:
        said.append(
            "The file does not say who is on its pictures. Pictures of equal bytes are one picture; pictures linked by "
            "mated pairs are one person. Who is linked by no pair counts as two, so intervals may be too narrow."
            if linked
            else "The file does not say who is on its pictures and contradicts itself where pairs are linked, so "
            "pairs were drawn in place of people: intervals are too narrow."
        )
    if learned:
        said.append(
            "Comparators learn from the training pairs alone. Their threshold is fitted on those pairs too, which they "
            "have learned from, so it may suit new pairs less well."
            if held_out
            else "Comparators learn anew for each fold, from the other folds alone. Their threshold is fitted on the "
            "same other folds, whose pairs they have learned from, so it may suit the fold that is judged less well."
        )
    if unsure:
        said.append(f"Not known of this layout: {unsure}.")
    return said


def counts(subjects: I64, found: NDArray[np.bool_], table: ComparisonTable) -> dict[str, int]:
    """How much was compared."""
    return {
        "pictures": len(found),
        "people": len(np.unique(subjects)),
        "pictures without a face": int((~found).sum()),
        "mated pairs": int(table.mated.sum()),
        "non-mated pairs": int((~table.mated).sum()),
        "pairs with a picture without a face": int((table.score == UNDETECTED).sum()),
    }


def curves(table: ComparisonTable, official: FoldAccuracy, curve: TradeOff) -> dict[str, dict[str, Any]]:
    """DET picture, scores, and the folds where there are several."""
    seen = table.score > UNDETECTED
    scores = table.score[seen]
    edges = np.linspace(float(scores.min(initial=0.0)), float(scores.max(initial=1.0)), _BINS + 1)
    tau = float(official.thresholds.mean())
    common = {
        "kind": "histogram",
        "figure": "Scores of the pairs",
        "x": edges.tolist(),
        "x_label": "cosine",
        "y_label": "share of pairs per bin",
        "caption": "Each side adds up to one. The upright line is the threshold, the mean over the folds.",
    }
    sides = {
        name: (np.histogram(scores[table.mated[seen] == mated], edges)[0] / max(int((table.mated == mated).sum()), 1))
        for name, mated in (("same person", True), ("different people", False))
    }
    found: dict[str, dict[str, Any]] = {
        "det": det(curve, f"{(~table.mated).sum():,} non-mated, {table.mated.sum():,} mated"),
        "scores_mated": {
            **common,
            "series": "same person",
            "y": sides["same person"].tolist(),
            "marks": [{"x": tau, "label": f"threshold {tau:.3f}"}],
        },
        "scores_nonmated": {**common, "series": "different people", "y": sides["different people"].tolist()},
    }
    if len(official.of_fold) > 1:
        found["folds"] = fold_points(official)
    return found

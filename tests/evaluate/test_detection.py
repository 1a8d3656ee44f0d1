"""Detection metrics against hand-worked numbers, a slow twin and properties; the protocol on drawn sets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vultus.contracts import Detector
from vultus.errors import InputError
from vultus.evaluate import report as reports
from vultus.evaluate.metrics.detection import (
    average_precision,
    over_pictures,
    precision_recall,
    recall_at_zero_false,
    tally,
)
from vultus.evaluate.protocols.detection import evaluate_detection
from vultus.io.datasets.boxes import wider_val416
from vultus.ops.boxes import iou
from vultus.types import Detections


def test_average_precision_worked_by_hand():
    """Hits at ranks 1, 3 and 6 of six, four true faces: precisions 1, 2/3, 1/2 hold over a quarter of recall each."""
    score, hit = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4], [1, 0, 1, 0, 0, 1]
    assert average_precision(score, hit, 4) == pytest.approx((1 + 2 / 3 + 1 / 2) / 4)
    precision, recall, threshold = precision_recall(score, hit, 4)
    np.testing.assert_allclose(precision, [1, 1 / 2, 2 / 3, 1 / 2, 2 / 5, 1 / 2])
    np.testing.assert_allclose(recall, [0.25, 0.25, 0.5, 0.5, 0.5, 0.75])
    np.testing.assert_allclose(threshold, score)
    assert recall_at_zero_false(score, hit, 4) == (0.25, 0.9)


def test_the_envelope_lifts_a_dip():
    """Miss, then three hits: precision 3/4 at the end counts from the start."""
    assert average_precision([0.9, 0.8, 0.7, 0.6], [0, 1, 1, 1], 3) == pytest.approx(0.75)


def test_equal_scores_enter_together():
    assert average_precision([0.5, 0.5], [1, 0], 1) == average_precision([0.5, 0.5], [0, 1], 1) == pytest.approx(0.5)


def test_hits_worked_by_hand():
    truth = [[0, 0, 10, 10], [20, 0, 30, 10], [50, 50, 54, 54]]
    boxes = [[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 5], [20, 0, 30, 4], [50, 50, 54, 54], [90, 90, 99, 99]]
    counts = tally([(boxes, [0.6, 0.7, 0.5, 0.9, 0.8, 0.3])], [truth], min_side=5)
    # best first: 0.9 has IoU .4 and misses, 0.8 lies on a face that is not asked for, 0.7 hits, 0.6 repeats, 0.5 hits
    assert dict(zip(counts.score.tolist(), counts.hit.tolist(), strict=True)) == {
        0.9: False,
        0.7: True,
        0.6: False,
        0.5: True,
        0.3: False,
    }
    assert counts.truth_score.tolist() == [0.7, 0.5]
    assert counts.recall() == 1.0
    assert counts.recall(0.6) == 0.5
    assert counts.false_alarms(0.6) == 2


def test_nothing_found_and_nothing_to_find():
    none = np.zeros((0, 4))
    assert tally([(none, [])], [[[0, 0, 5, 5]]]).recall() == 0.0
    empty = tally([([[0, 0, 5, 5]], [0.9])], [none])
    assert np.isnan(empty.recall())
    assert empty.false_alarms() == 1
    assert np.isnan(average_precision([0.9], [False], 0))
    assert over_pictures(empty, "ap", rng=np.random.default_rng(0)).value is None
    assert tally([], []).n_pictures == 0


def slow_voc(found, truth, at):
    """Average precision of the development kit of PASCAL VOC, written loop by loop."""
    ranked = sorted(
        ((score, p, box) for p, (boxes, scores) in enumerate(found) for box, score in zip(boxes, scores, strict=True)),
        key=lambda row: -row[0],
    )
    taken, hits = set(), []
    for _, p, box in ranked:
        overlaps = [iou([box], [true])[0, 0] for true in truth[p]]
        best = int(np.argmax(overlaps)) if overlaps else -1
        good = best >= 0 and overlaps[best] >= at and (p, best) not in taken
        hits.append(good)
        if good:
            taken.add((p, best))
    n = sum(map(len, truth))
    recall = np.concatenate([[0], np.cumsum(hits) / n, [1]])
    precision = np.concatenate([[0], np.cumsum(hits) / (np.arange(len(hits)) + 1), [0]])
    for k in range(len(precision) - 2, -1, -1):
        precision[k] = max(precision[k], precision[k + 1])
    return sum((recall[k] - recall[k - 1]) * precision[k] for k in range(1, len(recall)))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_it_agrees_with_a_slow_twin(seed):
    rng = np.random.default_rng(seed)
    found, truth = [], []
    for _ in range(3):
        corner = rng.uniform(0, 60, (rng.integers(1, 5), 2))
        true = np.concatenate([corner, corner + rng.uniform(5, 30, corner.shape)], axis=1)
        boxes = np.concatenate(
            [true + rng.normal(0, 2, true.shape), true[:1] + 40, true[::-1] + rng.normal(0, 4, true.shape)]
        )
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2])
        found.append((boxes, rng.permutation(1000)[: len(boxes)] / 1000 + len(found) / 10**5))
        truth.append(true)
    counts = tally(found, truth)
    expected = slow_voc(found, truth, 0.5)
    assert average_precision(counts.score, counts.hit, len(counts.truth_score)) == pytest.approx(expected, abs=1e-9)
    shuffled = [(boxes[::-1], scores[::-1]) for boxes, scores in found]
    again = tally(shuffled, truth)
    assert average_precision(again.score, again.hit, len(again.truth_score)) == pytest.approx(expected, abs=1e-9)
    metric = over_pictures(counts, "ap", rng=np.random.default_rng(0), n_boot=50)
    assert metric.value == pytest.approx(expected, abs=1e-9)
    assert 0 <= metric.low <= metric.high <= 1


@pytest.mark.data
def test_the_truth_of_wider_finds_itself(data_dir):
    """True boxes as detections: 1 at every overlap; moved by a third of their side: 0 at IoU .5."""
    truth = [picture.boxes for picture in wider_val416(data_dir / "wider_val416").pictures]
    truth = [np.unique(boxes, axis=0) for boxes in truth]
    perfect = tally([(boxes, np.ones(len(boxes))) for boxes in truth], truth, iou_at=0.99)
    assert len(perfect.truth_score) > 1900
    assert average_precision(perfect.score, perfect.hit, len(perfect.truth_score)) == pytest.approx(1.0, abs=2e-3)
    solitary = [boxes for boxes in truth if len(boxes) == 1]
    moved = [boxes + np.tile((boxes[:, 2:] - boxes[:, :2]) * 0.34, 2) for boxes in solitary]
    lost = tally([(boxes, np.ones(1)) for boxes in moved], solitary)
    assert lost.recall() == 0.0


def test_lengths_must_agree():
    with pytest.raises(InputError, match="expected boxes of 1 pictures"):
        tally([([], [])], [])


class Squares:
    """Finds bright squares; the brightness is the score."""

    def __init__(self, wrong=0):
        self.wrong = wrong

    def detect(self, images, *, min_score=None, max_faces=None):
        found = []
        for image in images:
            rows, columns = np.nonzero(image[..., 0] > 100)
            boxes, scores = [], []
            if len(rows):
                boxes.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
                scores.append(image[rows[0], columns[0], 0] / 255)
            boxes += [[0, 0, 5, 5]] * self.wrong
            scores += [0.3] * self.wrong
            keep = np.array(scores) >= (0.5 if min_score is None else min_score)
            found.append(Detections(np.array(boxes).reshape(-1, 4)[keep], np.array(scores)[keep]))
        return found


def pictures(n, with_face=True):
    for k in range(n):
        pixels = np.zeros((60, 80, 3), np.uint8)
        box = np.array([[10 + k, 20, 30 + k, 45]], np.float32)
        if with_face:
            x1, y1, x2, y2 = box[0].astype(int)
            pixels[y1:y2, x1:x2] = 200 + k if k else 110  # one face is too dim for the detector's own threshold
        yield (lambda pixels=pixels: pixels), box if with_face else np.zeros((0, 4), np.float32)


def test_the_protocol_reports_what_the_detector_did(tmp_path):
    detector: Detector = Squares(wrong=1)
    made = evaluate_detection(detector, pictures(4), dataset="squares", rng=np.random.default_rng(0), tier="sim")
    value = {name: metric.value for name, metric in made.metrics.items()}
    assert value["ap"] == pytest.approx(1.0)  # the false boxes score below every face
    assert value["recall"] == pytest.approx(0.75)
    assert value["precision"] == pytest.approx(1.0)
    assert value["recall_at_0_fp"] == pytest.approx(1.0)
    assert value["false_alarms"] == 0
    assert value["recall.16_32px"] == pytest.approx(0.75)
    assert value["ms_per_picture"] > 0
    assert made.metrics["precision"].low < 0.6, "four pictures without an exception prove little"
    assert "4 pictures, 4 faces" in made.dataset
    assert made.data_tier == "sim"
    for name, metric in made.metrics.items():
        if metric.low is not None:
            assert metric.low <= metric.value <= metric.high, name
    reports.write(made, tmp_path)
    assert reports.read(tmp_path) == made


def test_the_protocol_on_a_set_without_faces_counts_false_alarms():
    made = evaluate_detection(
        Squares(wrong=2), pictures(3, with_face=False), dataset="noise", rng=np.random.default_rng(0), tier="sim"
    )
    assert made.metrics["false_alarms"].value == 0  # two boxes of 0.3 lie under the threshold
    assert "ap" not in made.metrics
    assert made.missing


def test_the_same_draws_give_the_same_interval():
    runs = [
        evaluate_detection(Squares(), pictures(6), dataset="squares", rng=np.random.default_rng(7), tier="sim")
        for _ in range(2)
    ]
    assert runs[0].metrics["recall"] == runs[1].metrics["recall"]
    assert runs[0].metrics["recall"].low < 1

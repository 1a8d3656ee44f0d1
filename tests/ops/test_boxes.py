import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vultus.errors import InputError
from vultus.ops import boxes

COORDINATE = st.integers(-50, 50).map(lambda eighths: eighths / 4)
BOX = st.tuples(COORDINATE, COORDINATE, st.integers(1, 60), st.integers(1, 60)).map(
    lambda b: (b[0], b[1], b[0] + b[2] / 4, b[1] + b[3] / 4)
)
BOXES = st.lists(BOX, min_size=1, max_size=25).map(lambda rows: np.array(rows, np.float32))


def distinct_scores(n, seed):
    return np.random.default_rng(seed).permutation(n).astype(np.float32) / n


def test_iou_by_hand():
    a = [[0, 0, 4, 2]]
    b = [[0, 0, 4, 2], [2, 1, 6, 3], [4, 0, 8, 2], [1, 0, 2, 2]]
    np.testing.assert_allclose(boxes.iou(a, b), [[1, 2 / 14, 0, 2 / 8]])
    np.testing.assert_allclose(boxes.ioa(a, b), [[1, 2 / 8, 0, 2 / 8]])
    np.testing.assert_allclose(boxes.ioa(b, a)[:, 0], [1, 2 / 8, 0, 1])


def test_plus_one_counts_pixels_inclusively():
    # 10 x 10 and 10 x 10 pixels that share 5 x 10
    assert boxes.iou([[0, 0, 9, 9]], [[5, 0, 14, 9]], plus_one=True)[0, 0] == pytest.approx(50 / 150)
    assert boxes.area([[0, 0, 9, 9]], plus_one=True)[0] == 100


def test_boxes_without_area_overlap_nothing():
    flat = [[1, 1, 1, 5], [3, 3, 2, 2]]
    assert boxes.area(flat).tolist() == [0, 0]
    assert not boxes.iou(flat, [*flat, [0, 0, 9, 9]]).any()
    assert not boxes.ioa(flat, flat).any()


@given(BOXES, BOXES)
def test_iou_is_symmetric_and_bounded(a, b):
    overlap = boxes.iou(a, b)
    np.testing.assert_array_equal(overlap, boxes.iou(b, a).T)
    assert ((overlap >= 0) & (overlap <= 1)).all()
    np.testing.assert_array_equal(np.diag(boxes.iou(a, a)), 1)
    assert (overlap <= boxes.ioa(a, b) + 1e-12).all()


def slow_nms(rows, scores, threshold):
    """Pixel-free restatement: walk down the ranking and keep what overlaps nothing kept."""
    kept = []
    for i in sorted(range(len(rows)), key=lambda i: (-scores[i], i)):
        if all(boxes.iou(rows[i : i + 1], rows[j : j + 1])[0, 0] <= threshold for j in kept):
            kept.append(i)
    return kept


@given(BOXES, st.integers(0, 10**6), st.sampled_from([0.0, 0.3, 0.5, 1.0]), st.booleans())
def test_nms_equals_the_slow_walk(rows, seed, threshold, ties):
    scores = distinct_scores(len(rows), seed)
    scores = np.floor(scores * 3) if ties else scores
    assert boxes.nms(rows, scores, threshold).tolist() == slow_nms(rows, scores, threshold)


@given(BOXES, st.integers(0, 10**6))
def test_nms_is_idempotent(rows, seed):
    scores = distinct_scores(len(rows), seed)
    kept = boxes.nms(rows, scores, 0.4)
    assert boxes.nms(rows[kept], scores[kept], 0.4).tolist() == list(range(len(kept)))


@given(BOXES, st.integers(0, 10**6))
def test_nms_does_not_depend_on_the_order(rows, seed):
    scores = distinct_scores(len(rows), seed)
    order = np.random.default_rng(seed + 1).permutation(len(rows))
    kept = boxes.nms(rows, scores, 0.4)
    assert order[boxes.nms(rows[order], scores[order], 0.4)].tolist() == kept.tolist()


def test_nms_breaks_ties_by_index():
    assert boxes.nms([[0, 0, 4, 4]] * 3, [0.5, 0.5, 0.5], 0.5).tolist() == [0]
    assert boxes.nms([[9, 9, 10, 10], [0, 0, 1, 1]], [0.5, 0.5], 0.5).tolist() == [0, 1]


def test_nothing_in_nothing_out():
    assert boxes.nms([], [], 0.5).shape == (0,)
    assert boxes.iou([], [[0, 0, 1, 1]]).shape == (0, 1)
    assert boxes.clip([], (5, 5)).shape == (0, 4)


def test_clip_and_scale():
    np.testing.assert_array_equal(boxes.clip([[-3, -2, 30, 7]], (10, 20)), [[0, 0, 20, 7]])
    np.testing.assert_array_equal(boxes.scale([[1, 2, 3, 4]], 2, 10), [[2, 20, 6, 40]])
    assert boxes.clip([[0, 0, 1, 1]], (1, 1)).dtype == boxes.scale([[0, 0, 1, 1]], 1, 1).dtype == np.float32


@pytest.mark.parametrize(
    "call",
    [
        lambda: boxes.iou([[0, 0, 1]], [[0, 0, 1, 1]]),
        lambda: boxes.iou([[0, 0, np.nan, 1]], [[0, 0, 1, 1]]),
        lambda: boxes.nms([[0, 0, 1, 1]], [0.5, 0.6], 0.5),
        lambda: boxes.nms([[0, 0, 1, 1]], [np.nan], 0.5),
        lambda: boxes.nms([[0, 0, 1, 1]], [0.5], 1.5),
        lambda: boxes.area("box"),
    ],
)
def test_bad_input_is_refused_in_words(call):
    with pytest.raises(InputError, match="expected"):
        call()

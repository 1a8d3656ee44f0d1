import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment

from vultus.errors import InputError
from vultus.ops.assignment import assign


def test_by_hand_greedy_would_lose():
    # the best pair alone (row 0, column 0) costs row 1 its only good column
    assert assign([[9, 8], [8, 1]]).tolist() == [1, 0]
    assert assign([[1, 2, 9]]).tolist() == [2]
    assert assign([[1], [9], [2]]).tolist() == [-1, 0, -1]
    assert assign([[-5, -1], [-1, -5]]).tolist() == [1, 0]


@given(
    arrays(np.float64, st.tuples(st.integers(0, 7), st.integers(0, 7)), elements=st.integers(-4, 4).map(float)),
)
def test_it_scores_what_scipy_scores_ties_and_all(scores):
    found = assign(scores)
    assert found.shape == (len(scores),)
    made = np.flatnonzero(found >= 0)
    assert len(made) == min(scores.shape)
    assert len(set(found[made].tolist())) == len(made)
    best = scores[linear_sum_assignment(scores, maximize=True)].sum()
    assert scores[made, found[made]].sum() == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("shape", [(60, 60), (40, 90), (90, 40)])
def test_it_finds_the_one_best_assignment_that_scipy_finds(shape):
    scores = np.random.default_rng(sum(shape)).standard_normal(shape)
    rows, columns = linear_sum_assignment(scores, maximize=True)
    expected = np.full(shape[0], -1)
    expected[rows] = columns
    np.testing.assert_array_equal(assign(scores), expected)


@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 5), st.floats(-1, 1))
def test_a_bar_leaves_the_best_choice_of_pairs_above_it(seed, n, m, bar):
    scores = np.random.default_rng(seed).uniform(-1, 1, (n, m))
    over = np.maximum(scores - bar, 0)
    found = assign(over)
    kept = [(r, c) for r, c in enumerate(found.tolist()) if c >= 0 and over[r, c] > 0]
    best = 0.0  # every choice of pairs, written out
    for size in range(1, min(n, m) + 1):
        for rows in itertools.combinations(range(n), size):
            for columns in itertools.permutations(range(m), size):
                best = max(best, sum(scores[r, c] - bar for r, c in zip(rows, columns, strict=True)))
    assert sum(scores[r, c] - bar for r, c in kept) == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize("bad", [[[1, np.nan]], [[np.inf]], [1, 2], "faces"])
def test_what_is_no_table_is_refused(bad):
    with pytest.raises(InputError, match="expected"):
        assign(bad)

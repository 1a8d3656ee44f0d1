import math
import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from vultus.errors import InputError
from vultus.ops import roc
from vultus.ops.roc import ScoreHistogram

# few distinct values, so that ties are common
SCORES = st.lists(st.integers(-20, 20).map(lambda n: n / 20), min_size=1, max_size=40).map(np.array)


def world(mated=400, nonmated=3000, seed=0, digits=2):
    rng = np.random.default_rng(seed)
    return rng.normal(1.5, 1, mated).round(digits), rng.normal(0, 1, nonmated).round(digits)


def test_rates_by_hand():
    scores = [0.1, 0.2, 0.2, 0.4]
    assert roc.fmr(scores, 0.2) == 0.75
    assert roc.fnmr(scores, 0.2) == 0.25
    assert roc.fmr(scores, 0.21) == 0.25
    assert roc.fmr(scores, np.array([0.0, 0.2, 0.5])).tolist() == [1, 0.75, 0]
    assert roc.fnmr(scores, np.array([0.0, 0.2, 0.5])).tolist() == [0, 0.25, 1]


@given(SCORES, SCORES)
def test_rates_are_monotonic_and_complementary(scores, taus):
    taus = np.sort(taus)
    false, miss = roc.fmr(scores, taus), roc.fnmr(scores, taus)
    assert (np.diff(false) <= 0).all()
    assert (np.diff(miss) >= 0).all()
    np.testing.assert_allclose(false + miss, 1)
    assert [roc.fmr(scores, float(t)) for t in taus] == false.tolist()
    assert [roc.fnmr(scores, float(t)) for t in taus] == miss.tolist()


def slow_threshold(scores, target):
    """Try every observed score."""
    fits = [s for s in sorted(scores) if sum(other >= s for other in scores) / len(scores) <= target]
    return fits[0] if fits else np.nextafter(max(scores), np.inf)


@given(SCORES, st.floats(0.001, 1))
def test_threshold_is_the_smallest_observed_score_that_holds_the_target(scores, target):
    tau = roc.threshold_at_fmr(scores, target, force=True)
    assert tau == slow_threshold(scores.tolist(), target)
    assert roc.fmr(scores, tau) <= target


@pytest.mark.parametrize("n", [30_000, 29_999 + 30_000, 99_999])
@pytest.mark.parametrize("target", [1e-3, 0.0011, 0.03, 0.1, 0.7])
def test_no_error_is_given_away_to_rounding(n, target):
    scores = np.random.default_rng(1).permutation(n) * 1.0
    tau = roc.threshold_at_fmr(scores, target)
    assert roc.fmr(scores, tau) <= target < roc.fmr(scores, tau - 1)


def test_a_target_below_the_rule_of_30_is_refused():
    scores = np.arange(29_999.0)
    with pytest.raises(InputError, match=r"at least 0\.001.*29999 non-mated.*30 expected errors.*got 0\.001"):
        roc.threshold_at_fmr(scores, 1e-3)
    assert roc.threshold_at_fmr(scores, 1e-3, force=True) == 29_970
    assert roc.threshold_at_fmr(np.arange(30_000.0), 1e-3) == 29_970


def test_tar_at_far_by_hand():
    nonmated = np.arange(100) / 100
    assert roc.tar_at_far([0.1, 0.69, 0.7, 0.9], nonmated, 0.3) == 0.5


@pytest.mark.parametrize("digits", [1, 2, 9])
def test_auc_agrees_with_scikit_learn(digits):
    mated, nonmated = world(digits=digits)
    truth = np.r_[np.ones(len(mated)), np.zeros(len(nonmated))]
    assert roc.auc(mated, nonmated) == pytest.approx(roc_auc_score(truth, np.r_[mated, nonmated]), abs=1e-12)


@given(SCORES, SCORES)
def test_auc_is_the_share_of_pairs_won(mated, nonmated):
    won = np.mean([(m > n) + (m == n) / 2 for m in mated for n in nonmated])
    assert roc.auc(mated, nonmated) == pytest.approx(won)
    assert roc.auc(-mated, -nonmated) == pytest.approx(1 - won)


@pytest.mark.parametrize("digits", [1, 2, 9])
def test_eer_agrees_with_the_roc_of_scikit_learn(digits):
    mated, nonmated = world(seed=4, digits=digits)
    truth = np.r_[np.ones(len(mated)), np.zeros(len(nonmated))]
    false, true, _ = roc_curve(truth, np.r_[mated, nonmated], drop_intermediate=False)
    along = np.linspace(0, 1, 200_001)
    crossing = along[np.argmin(np.abs(1 - np.interp(along, false, true) - along))]
    assert roc.eer(mated, nonmated) == pytest.approx(crossing, abs=2e-5)


def test_eer_by_hand():
    assert roc.eer([0.8, 0.9], [0.1, 0.2]) == 0
    assert roc.eer([0.1, 0.2], [0.8, 0.9]) == 1
    assert roc.eer([0.5], [0.5]) == 0.5
    assert roc.eer([0.3, 0.6, 0.8, 0.9], [0.1, 0.2, 0.4, 0.7]) == 0.25


@given(SCORES, SCORES)
def test_eer_is_a_rate_and_turns_with_its_sides(mated, nonmated):
    rate = roc.eer(mated, nonmated)
    assert 0 <= rate <= 1
    assert roc.eer(-nonmated, -mated) == pytest.approx(rate)


def test_d_prime_by_hand():
    assert roc.d_prime([3, 5], [0, 2]) == pytest.approx(3 / 2**0.5)
    mated, nonmated = world(200_000, 200_000, digits=9)
    assert roc.d_prime(mated, nonmated) == pytest.approx(1.5, abs=0.02)


def test_det_curve_points_lie_on_the_rates():
    mated, nonmated = world(nonmated=50_000)
    false, miss, taus = roc.det_curve(mated, nonmated, 100)
    assert 2 <= len(taus) <= 100
    assert len(false) == len(miss) == len(taus)
    assert (np.diff(false) > 0).all()
    assert (np.diff(miss) <= 0).all()
    assert false[-1] == 1
    assert false.tolist() == roc.fmr(nonmated, taus).tolist()
    assert miss.tolist() == roc.fnmr(mated, taus).tolist()
    assert np.diff(np.log10(false)).max() < 0.4


# --- LFW View 2 -------------------------------------------------------------------------------------------------


def slow_kfold(scores, same, folds):
    """Try every midpoint on the training folds, one comparison after another."""
    accuracies = []
    for fold in sorted(set(folds)):
        train = [i for i in range(len(scores)) if folds[i] != fold]
        test = [i for i in range(len(scores)) if folds[i] == fold]
        values = sorted({scores[i] for i in train})
        taus = [values[0], *[(a + b) / 2 for a, b in pairwise(values)], math.nextafter(values[-1], math.inf)]
        right = [sum((scores[i] >= t) == same[i] for i in train) for t in taus]
        best = [t for t, r in zip(taus, right, strict=True) if r == max(right)]
        tau = best[(len(best) - 1) // 2]
        accuracies.append(sum((scores[i] >= tau) == same[i] for i in test) / len(test))
    return accuracies


@given(st.integers(0, 10**6), st.integers(2, 5))
@example(224761, 2)  # the best is to reject all, and the tested fold holds the highest score
def test_kfold_equals_the_slow_rule(seed, k):
    rng = np.random.default_rng(seed)
    n = 12 * k
    same, folds = np.arange(n) % 2 == 0, rng.permutation(n) % k
    same[:2], folds[:4] = (True, False), (0, 0, 1, 1)
    scores = np.round((rng.normal(size=n) + same) * 8) / 8
    if any(len(set(same[folds != f])) < 2 for f in range(k)):
        return
    accuracy, taus = roc.kfold_accuracy(scores, same, folds)
    assert accuracy.tolist() == slow_kfold(scores.tolist(), same.tolist(), folds.tolist())
    order = rng.permutation(n)
    again = roc.kfold_accuracy(scores[order], same[order], folds[order])
    assert again[0].tolist() == accuracy.tolist()
    assert again[1].tolist() == taus.tolist()


def test_kfold_by_hand():
    #          fold 0                fold 1
    scores = [0.1, 0.2, 0.8, 0.9, 0.30, 0.40, 0.50, 0.60]
    same = [0, 0, 1, 1, 0, 0, 1, 1]
    accuracy, taus = roc.kfold_accuracy(scores, same, [7, 7, 7, 7, 9, 9, 9, 9])
    np.testing.assert_allclose(taus, [0.45, 0.5])  # midpoints of .40/.50 and of .2/.8
    assert accuracy.tolist() == [1, 1]


def test_kfold_may_accept_or_reject_everything():
    same = np.array([True] * 5 + [False] + [True] * 5 + [False])
    scores = np.array([0.5] * 12)
    accuracy, taus = roc.kfold_accuracy(scores, same, np.repeat([0, 1], 6))
    assert accuracy.tolist() == [5 / 6, 5 / 6]
    assert taus.tolist() == [0.5, 0.5]
    accuracy, taus = roc.kfold_accuracy(scores, ~same, np.repeat([0, 1], 6))
    assert accuracy.tolist() == [5 / 6, 5 / 6]
    assert (taus > 0.5).all()


def test_kfold_separates_neighboring_floats():
    low = 0.5
    high = np.nextafter(low, 1)
    accuracy, _ = roc.kfold_accuracy([low, high] * 2, [False, True] * 2, [0, 0, 1, 1])
    assert accuracy.tolist() == [1, 1]


def test_kfold_of_six_thousand_pairs_is_fast():
    rng = np.random.default_rng(0)
    same = np.arange(6000) % 600 < 300
    scores = rng.normal(size=6000) + 4 * same
    start = time.process_time()
    accuracy, _ = roc.kfold_accuracy(scores, same, np.arange(6000) // 600)
    assert time.process_time() - start < 1  # 0.01 s on an idle core
    assert accuracy.mean() == pytest.approx(0.977, abs=0.01)  # Phi(2)


# --- histogram --------------------------------------------------------------------------------------------------


def test_histogram_agrees_with_the_exact_threshold():
    scores = np.tanh(np.random.default_rng(2).normal(0, 0.2, 300_000)).astype(np.float32)
    histogram = ScoreHistogram()
    for part in np.array_split(scores, 7):
        histogram.add(part)
    assert histogram.n == len(scores)
    for target in (0.3, 1e-2, 1e-3, 1e-4):
        tau, exact = histogram.threshold_at_fmr(target), roc.threshold_at_fmr(scores, target)
        assert 0 <= roc.fmr(scores, exact) - roc.fmr(scores, tau) <= 3 / len(scores)  # a bin may hold a few scores
        assert histogram.fmr_at(tau) == roc.fmr(scores, tau) <= target


@given(st.lists(st.integers(-8, 8).map(lambda n: n / 8), min_size=1, max_size=30), st.floats(0.01, 1))
def test_histogram_rates_at_edges_are_exact(values, target):
    histogram = ScoreHistogram(bins=16)
    histogram.add(values)
    for tau in np.arange(-8, 8) / 8:
        assert histogram.fmr_at(tau) == roc.fmr(values, tau) or 1.0 in values
    tau = histogram.threshold_at_fmr(target, force=True)
    assert histogram.fmr_at(tau) <= target
    assert roc.fmr(values, tau) <= target
    if -1 < tau <= 1:
        assert histogram.fmr_at(tau - 1 / 8) > target
    assert histogram.fmr_at(0.3) >= roc.fmr(values, 0.3)


def test_histogram_ends():
    histogram = ScoreHistogram(bins=4)
    histogram.add([1.0, np.float32(1.0000001), -1.0])
    assert histogram.fmr_at(1.0) == pytest.approx(2 / 3)
    assert histogram.threshold_at_fmr(0.1, force=True) > 1
    assert histogram.fmr_at(1.1) == 0
    assert histogram.fmr_at(-5) == 1
    assert repr(histogram) == "ScoreHistogram(low=-1.0, high=1.0, bins=4, n=3)"
    histogram.add([])
    assert histogram.n == 3


def test_histogram_takes_thirty_million_scores_in_seconds():
    scores = np.tanh(np.random.default_rng(0).normal(0, 0.2, 3_000_000).astype(np.float32))
    histogram = ScoreHistogram()
    start = time.process_time()
    histogram.add(scores)
    assert time.process_time() - start < 1  # 0.05 s on an idle core: 0.5 s for thirty million


NAN = float("nan")


@pytest.mark.parametrize(
    "call",
    [
        lambda: roc.fmr([], 0.5),
        lambda: roc.fmr([0.1, NAN], 0.5),
        lambda: roc.fmr([0.1], NAN),
        lambda: roc.fnmr([[0.1]], 0.5),
        lambda: roc.fnmr(["a"], 0.5),
        lambda: roc.threshold_at_fmr([], 0.5),
        lambda: roc.threshold_at_fmr([0.1], 0.0, force=True),
        lambda: roc.threshold_at_fmr([0.1], NAN, force=True),
        lambda: roc.tar_at_far([], [0.1], 0.5, force=True),
        lambda: roc.eer([0.1], []),
        lambda: roc.auc([], [0.1]),
        lambda: roc.d_prime([0.1], [0.1, 0.2]),
        lambda: roc.d_prime([0.1, 0.1, 0.1], [0.3, 0.3, 0.3]),
        lambda: roc.det_curve([0.1], [0.1], 1),
        lambda: roc.kfold_accuracy([0.1, 0.2], [True, False], [0, 0]),
        lambda: roc.kfold_accuracy([0.1, 0.2], [True, True], [0, 1]),
        lambda: roc.kfold_accuracy([0.1, 0.2], [True], [0, 1]),
        lambda: roc.kfold_accuracy([0.1, NAN], [True, False], [0, 1]),
        lambda: ScoreHistogram(1, -1),
        lambda: ScoreHistogram().add([0.1, NAN]),
        lambda: ScoreHistogram().add([1.1]),
        lambda: ScoreHistogram().add(["a"]),
        lambda: ScoreHistogram().fmr_at(0.5),
        lambda: ScoreHistogram().fmr_at(NAN),
        lambda: ScoreHistogram().threshold_at_fmr(0.5),
    ],
)
def test_bad_input_is_refused_in_words(call):
    with pytest.raises(InputError, match="expected"):
        call()


def test_a_refused_batch_leaves_the_histogram_alone():
    histogram = ScoreHistogram()
    histogram.add([0.5])
    with pytest.raises(InputError):
        histogram.add([0.2, 5.0])
    assert histogram.n == 1
    with pytest.raises(InputError, match="30 expected errors"):
        histogram.threshold_at_fmr(0.5)


def test_counts_of_a_histogram_are_a_copy():
    histogram = ScoreHistogram(0.0, 1.0, 4)
    histogram.add([0.0, 0.3, 0.3, 1.0])
    counts = histogram.counts
    assert counts.tolist() == [1, 2, 0, 1]
    counts[:] = 9
    assert histogram.counts.tolist() == [1, 2, 0, 1]


def test_best_threshold_by_hand_and_on_a_grid():
    """Midpoints: .5 parts .2 .4 from .6 .8. A grid is tried in its order and the first of equally good ones taken."""
    scores, same = [0.6, 0.2, 0.8, 0.4], [True, False, True, False]
    assert roc.best_threshold(scores, same) == 0.5
    assert roc.best_threshold(scores, same, grid=[0.9, 0.55, 0.45]) == 0.55
    assert roc.best_threshold(scores, same, grid=[0.45, 0.55]) == 0.45
    assert roc.best_threshold(scores, same, grid=[0.6]) == 0.6  # a score at the threshold is accepted
    assert roc.DISTANCE_GRID[0] == 1
    assert roc.DISTANCE_GRID[100] == pytest.approx(0.5)  # squared distance 1 of unit vectors is a cosine of .5
    with pytest.raises(InputError, match="both classes"):
        roc.best_threshold([0.1, 0.2], [True, True])
    with pytest.raises(InputError, match="grid"):
        roc.best_threshold(scores, same, grid=[])

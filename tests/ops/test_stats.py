from itertools import combinations
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from vultus.errors import InputError
from vultus.ops import stats
from vultus.ops._subjects import draw_subjects
from vultus.types import ComparisonTable


def pairs_table(subjects=12, images=2, seed=0, effect=0.3):
    """All pictures against all: scores with an effect of each subject."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(subjects), images) * 10 + 3  # labels with gaps
    lean = dict(zip(sorted(set(owner)), rng.normal(size=subjects) * effect, strict=True))
    rows = [
        (lean[owner[i]] + lean[owner[j]] + rng.normal() + 2 * (owner[i] == owner[j]), owner[i], owner[j])
        for i, j in combinations(range(len(owner)), 2)
    ]
    score, ref, probe = (np.array(column) for column in zip(*rows, strict=True))
    swap = rng.random(len(rows)) < 0.5
    ref, probe = np.where(swap, probe, ref), np.where(swap, ref, probe)
    return ComparisonTable(score, ref == probe, ref, probe, "test")


def slow_rates(table, tau, weight):
    """FMR and FNMR with one weight per subject, comparison by comparison."""
    sums = {True: [0.0, 0.0], False: [0.0, 0.0]}
    for score, mated, ref, probe in zip(table.score, table.mated, table.ref_subject, table.probe_subject, strict=True):
        w = weight[ref] if mated else weight[ref] * weight[probe]
        sums[bool(mated)][0] += w * ((score < tau) if mated else (score >= tau))
        sums[bool(mated)][1] += w
    return [sums[side][0] / sums[side][1] if sums[side][1] else None for side in (False, True)]


@pytest.mark.parametrize(("subjects", "images"), [(12, 2), (4, 3), (30, 2)])
def test_subject_bootstrap_equals_the_slow_one(subjects, images):
    table = pairs_table(subjects, images)
    names = np.unique(table.ref_subject)
    (draws,) = draw_subjects(len(np.unique([table.ref_subject, table.probe_subject])), 60, np.random.default_rng(5))
    for tau in (0.5, 2.0):
        slow = [slow_rates(table, tau, dict(zip(names, w, strict=True))) for w in draws.T]
        metrics = stats.subject_bootstrap(table, [tau], rng=np.random.default_rng(5), n_boot=60, min_errors=0)
        whole = slow_rates(table, tau, dict.fromkeys(names, 1))
        for side in (0, 1):
            rates = [rates[side] for rates in slow if rates[side] is not None]
            metric = metrics[side][0]
            assert metric.value == pytest.approx(whole[side])
            if whole[side]:
                assert (metric.low, metric.high) == pytest.approx(tuple(np.percentile(rates, (2.5, 97.5))))
            assert metric.n == subjects


def test_sparse_and_dense_sums_agree():
    """Two pictures of each of 40 people against all, and the same people as a short list of pairs."""
    table = pairs_table(40, 2)
    few = np.concatenate([np.flatnonzero(table.mated), np.flatnonzero(~table.mated)[:11]])
    short = ComparisonTable(
        table.score[few], table.mated[few], table.ref_subject[few], table.probe_subject[few], "test"
    )
    weights = np.unique(short.ref_subject)
    (draws,) = draw_subjects(40, 50, np.random.default_rng(1))
    slow = [slow_rates(short, 0.0, dict(zip(weights, w, strict=True)))[0] for w in draws.T]
    slow = [rate for rate in slow if rate is not None]
    metric = stats.subject_bootstrap(short, [0.0], rng=np.random.default_rng(1), n_boot=50, min_errors=0)[0][0]
    assert (metric.low, metric.high) == pytest.approx(tuple(np.percentile(slow, (2.5, 97.5))))


def test_the_draws_do_not_depend_on_the_order_of_comparisons():
    table = pairs_table()
    order = np.random.default_rng(0).permutation(len(table))
    mixed = ComparisonTable(
        table.score[order], table.mated[order], table.probe_subject[order], table.ref_subject[order], "test"
    )
    first = stats.subject_bootstrap(table, [1.0, 2.0], rng=np.random.default_rng(3), n_boot=100)
    assert stats.subject_bootstrap(mixed, [1.0, 2.0], rng=np.random.default_rng(3), n_boot=100) == first


def test_draws_are_multiplicities():
    blocks = list(draw_subjects(3000, 3000, np.random.default_rng(0)))
    assert len(blocks) > 1
    together = np.concatenate(blocks, axis=1)
    assert together.shape == (3000, 3000)
    assert (together.sum(0) == 3000).all()


def test_all_pairs_equals_the_table():
    table = pairs_table(15, 2)
    tau = 0.8
    names, position = np.unique(table.ref_subject), {}
    position = {int(name): i for i, name in enumerate(names)}
    wrong = ~table.mated & (table.score >= tau)
    errors = [
        (position[int(r)], position[int(p)])
        for r, p in zip(table.ref_subject[wrong], table.probe_subject[wrong], strict=True)
    ]
    expected = stats.subject_bootstrap(table, [tau], rng=np.random.default_rng(9), n_boot=200)[0][0]
    found = stats.fmr_interval_all_pairs(errors, np.full(15, 2), rng=np.random.default_rng(9), n_boot=200)
    assert found.value == expected.value
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_all_pairs_with_uneven_picture_counts_by_hand():
    # 3, 2 and 1 pictures: 6 + 3 + 2 = 11 comparisons of different people
    metric = stats.fmr_interval_all_pairs(
        [[0, 1], [1, 0], [2, 0]], [3, 2, 1], rng=np.random.default_rng(0), n_boot=50, min_errors=0
    )
    assert metric.value == pytest.approx(3 / 11)
    assert 0 <= metric.low <= metric.high <= 1


def test_all_pairs_of_four_thousand_subjects():
    rng = np.random.default_rng(0)
    images = rng.integers(1, 4, 4281)
    pairs = np.unique(np.sort(rng.integers(0, 4281, (3000, 2)), axis=1), axis=0)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    metric = stats.fmr_interval_all_pairs(pairs, images, rng=rng, n_boot=400)
    assert metric.low < metric.value < metric.high
    assert metric.n == 4281
    assert metric.high - metric.low < 0.2 * metric.value


def test_coverage_of_the_intervals_under_a_strong_subject_effect():
    """120 people, FMR 1.4 %, 250 worlds: counting comparisons as independent fails, the bootstrap holds."""
    people, target, effect, worlds = 120, 0.014, 0.2, 250
    tau = NormalDist().inv_cdf(1 - target)  # scores have variance 1, of which each person brings `effect`
    first, second = np.triu_indices(people, 1)
    own, rng, hits = np.arange(people), np.random.default_rng(7), np.zeros(3)
    mated = np.repeat([False, True], [len(first), people])
    for _ in range(worlds):
        lean = rng.normal(size=people) * effect**0.5
        score = lean[first] + lean[second] + rng.normal(size=len(first)) * (1 - 2 * effect) ** 0.5
        table = ComparisonTable(
            np.append(score, np.full(people, 9.0)), mated, np.append(first, own), np.append(second, own), "test"
        )
        drawn = stats.subject_bootstrap(table, [tau], rng=rng, n_boot=200, min_errors=0)[0][0]
        left_out = stats.jackknife_subject(table, [tau], min_errors=0)[0][0]
        naive = stats.wilson(int((score >= tau).sum()), len(score))
        for i, (low, high) in enumerate([naive, (drawn.low, drawn.high), (left_out.low, left_out.high)]):
            hits[i] += low <= target <= high
    naive, bootstrap, jackknife = hits / worlds
    assert bootstrap >= 0.88
    assert jackknife >= 0.85
    assert naive < 0.70


def test_jackknife_by_hand():
    # three people compared once each; false matches at tau: only 0-1
    table = ComparisonTable(
        np.array([0.9, 0.1, 0.2, 0.9, 0.9, 0.4]),
        np.array([0, 0, 0, 1, 1, 1]) == 1,
        np.array([0, 0, 1, 0, 1, 2]),
        np.array([1, 2, 2, 0, 1, 2]),
        "test",
    )
    false, miss = stats.jackknife_subject(table, 0.5, min_errors=0)
    # without 0: 0/1, without 1: 0/1, without 2: 1/1 -> variance 2/3 * (1/9 + 1/9 + 4/9)
    half = 1.959964 * (2 / 3 * 6 / 9) ** 0.5
    assert false[0].value == pytest.approx(1 / 3)
    assert (false[0].low, false[0].high) == pytest.approx((0, min(1, 1 / 3 + half)))
    # without 0: 1/2, without 1: 1/2, without 2: 0/2 -> variance 2/3 * (1/36 + 1/36 + 4/36)
    half = 1.959964 * (2 / 3 * 6 / 36) ** 0.5
    assert (miss[0].low, miss[0].high) == pytest.approx((0, 1 / 3 + half))


def test_few_errors_give_no_number():
    table = pairs_table(12, 2)
    taus = [np.sort(table.score[~table.mated])[-29], np.sort(table.score[~table.mated])[-30], 99.0]
    few, enough, none = stats.subject_bootstrap(table, taus, rng=np.random.default_rng(0), n_boot=100)[0]
    assert few.value is None
    assert few.note == "insufficient: 29 errors of 264 comparisons, 30 are needed"
    assert enough.value == pytest.approx(30 / 264)
    assert enough.note == ""
    assert none.value is None
    assert (none.low, none.high) == (0, 3 / 12)
    assert "smoothed rate 0.0019" in none.note
    shown = stats.subject_bootstrap(table, [99.0], rng=np.random.default_rng(0), n_boot=100, min_errors=0)[0][0]
    assert shown.value == 0
    assert shown.high == 3 / 12


@pytest.mark.parametrize("k", [0, 1, 7, 50, 100])
def test_wilson_agrees_with_scipy(k):
    peer = binomtest(k, 100).proportion_ci(method="wilson")
    assert stats.wilson(k, 100) == pytest.approx((peer.low, peer.high), abs=1e-12)


@given(st.integers(1, 10**6), st.data())
def test_wilson_holds_the_share_and_mirrors(n, data):
    k = data.draw(st.integers(0, n))
    low, high = stats.wilson(k, n)
    assert 0 <= low <= k / n <= high <= 1
    assert stats.wilson(n - k, n) == pytest.approx((1 - high, 1 - low), abs=1e-9)


def test_rules_by_hand():
    assert stats.rule_of_three(300) == 0.01
    assert stats.rule_of_three(2) == 1
    assert stats.rule_of_30(30_000, 1e-3)
    assert not stats.rule_of_30(29_999, 1e-3)
    assert stats.smallest_supported_fmr(3000) == 0.01
    assert stats.allowed_errors(30_000, 1e-3) == 30
    assert stats.allowed_errors(35, 0.99) == 34


@given(st.integers(30, 10**7))
def test_the_smallest_supported_rate_is_supported(n):
    rate = stats.smallest_supported_fmr(n)
    assert stats.rule_of_30(n, rate)
    assert stats.allowed_errors(n, rate) in (29, 30)  # 29 when 30 / n rounds down


def test_bootstrap_mean_equals_the_slow_one():
    rng = np.random.default_rng(4)
    groups = rng.choice(["ann", "bob", "cyd", "dee", "eve"], 60)
    values = rng.normal(size=60) + (groups == "bob")
    names = np.unique(groups)
    (draws,) = draw_subjects(5, 80, np.random.default_rng(6))
    slow = []
    for w in draws.T:
        weight = np.array([dict(zip(names, w, strict=True))[g] for g in groups])
        slow.append(np.average(values, weights=weight))
    metric = stats.bootstrap_mean(values, groups, rng=np.random.default_rng(6), n_boot=80, unit="px")
    assert metric.value == pytest.approx(values.mean())
    assert (metric.low, metric.high) == pytest.approx(tuple(np.percentile(slow, (2.5, 97.5))))
    assert (metric.unit, metric.n) == ("px", 5)


def test_paired_bootstrap_sees_a_gain_that_the_spread_hides():
    rng = np.random.default_rng(1)
    hard = rng.normal(size=200) * 5  # how hard each item is: common to both
    baseline = hard + rng.normal(size=200) * 0.1
    method = baseline + 0.05 + rng.normal(size=200) * 0.1
    gain = stats.paired_bootstrap(method, baseline, np.arange(200) // 4, rng=rng, n_boot=500)
    assert gain.low > 0
    assert gain.low < gain.value < gain.high
    assert gain.n == 50
    none = stats.paired_bootstrap(baseline, baseline, np.arange(200), rng=rng, n_boot=50)
    assert (none.value, none.low, none.high) == (0, 0, 0)


RNG = np.random.default_rng(0)
MATED = ComparisonTable(np.ones(3), np.ones(3, bool), np.arange(3), np.arange(3), "test")
NONMATED = ComparisonTable(np.ones(3), np.zeros(3, bool), np.arange(3), np.arange(3) + 1, "test")
EMPTY = ComparisonTable(np.zeros(0), np.zeros(0, bool), np.zeros(0, int), np.zeros(0, int), "test")
TWO = ComparisonTable(np.ones(3), np.array([True, True, False]), np.array([0, 1, 0]), np.array([0, 1, 1]), "test")


@pytest.mark.parametrize(
    "call",
    [
        lambda: stats.subject_bootstrap(MATED, [0.5], rng=RNG),
        lambda: stats.subject_bootstrap(NONMATED, [0.5], rng=RNG),
        lambda: stats.subject_bootstrap(EMPTY, [0.5], rng=RNG),
        lambda: stats.subject_bootstrap(TWO, [float("nan")], rng=RNG),
        lambda: stats.subject_bootstrap(TWO, [0.5], rng=RNG, n_boot=0),
        lambda: stats.jackknife_subject(TWO, [0.5]),
        lambda: stats.fmr_interval_all_pairs([[0, 0]], [1, 1], rng=RNG),
        lambda: stats.fmr_interval_all_pairs([[0, 2]], [1, 1], rng=RNG),
        lambda: stats.fmr_interval_all_pairs([[0, 1], [0, 1]], [1, 1], rng=RNG),
        lambda: stats.fmr_interval_all_pairs([], [5], rng=RNG),
        lambda: stats.fmr_interval_all_pairs([], [5, -1], rng=RNG),
        lambda: stats.bootstrap_mean([], [], rng=RNG),
        lambda: stats.bootstrap_mean([1.0, 2.0], [0, 0], rng=RNG),
        lambda: stats.bootstrap_mean([1.0, float("nan")], [0, 1], rng=RNG),
        lambda: stats.bootstrap_mean([1.0, 2.0], [0], rng=RNG),
        lambda: stats.paired_bootstrap([1.0, 2.0], [1.0], [0, 1], rng=RNG),
        lambda: stats.wilson(3, 2),
        lambda: stats.wilson(0, 0),
        lambda: stats.rule_of_three(0),
        lambda: stats.smallest_supported_fmr(0),
    ],
)
def test_bad_input_is_refused_in_words(call):
    with pytest.raises(InputError, match="expected"):
        call()

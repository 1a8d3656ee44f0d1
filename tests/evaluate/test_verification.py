"""Values against the definitions and an independent slow bootstrap; intervals that behave."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vultus.errors import InputError
from vultus.evaluate.metrics.all_pairs import UNDETECTED, all_against_all
from vultus.evaluate.metrics.folds import fold_accuracy, fold_accuracy_of, held_out_accuracy
from vultus.evaluate.metrics.verification import _draws, from_table, separation, trade_off
from vultus.ops import roc
from vultus.types import ComparisonTable


def people(n_people: int, per_person: int, rng: np.random.Generator, noise: float = 0.5):
    """Unit vectors of pictures of made-up people, and whose they are."""
    who = np.repeat(np.arange(n_people), per_person)
    centers = rng.normal(size=(n_people, 16))
    vec = centers[who] + rng.normal(size=(len(who), 16)) * noise
    return (vec / np.linalg.norm(vec, axis=1, keepdims=True)).astype(np.float32), who


def table_of(seed: int = 0, n: int = 40) -> ComparisonTable:
    rng = np.random.default_rng(seed)
    vec, who = people(n, 3, rng)
    i, j = np.triu_indices(len(who), 1)
    keep = (who[i] == who[j]) | (rng.random(len(i)) < 0.2)
    i, j = i[keep], j[keep]
    return ComparisonTable((vec[i] * vec[j]).sum(1), who[i] == who[j], who[i], who[j], "test")


def test_rates_are_those_of_ops():
    table = table_of()
    mated, nonmated = table.score[table.mated], table.score[~table.mated]
    fars = [0.05, 0.1, 0.5]
    curve = trade_off(from_table(table), fars, rng=np.random.default_rng(0), n_boot=20)
    for far, tau, tar in zip(fars, curve.thresholds, curve.tars, strict=True):
        assert tau == roc.threshold_at_fmr(nonmated, far)
        assert tar.value == pytest.approx(roc.tar_at_far(mated, nonmated, far))
        assert tar.low <= tar.value <= tar.high


def test_every_draw_equals_a_table_with_people_repeated():
    """A draw with weights w is the same as writing each comparison out w times and starting again."""
    table = table_of(3, n=12)
    c = from_table(table)
    weights = next(_draws(c, 1, np.random.default_rng(5)))
    times = np.where(
        table.mated, weights[table.ref_subject], weights[table.ref_subject] * weights[table.probe_subject]
    ).astype(int)
    mated = np.repeat(table.score[table.mated], times[table.mated])
    nonmated = np.repeat(table.score[~table.mated], times[~table.mated])
    drawn = trade_off(c, [0.2], rng=np.random.default_rng(5), n_boot=1).tars[0]
    assert drawn.low == drawn.high == pytest.approx(roc.tar_at_far(mated, nonmated, 0.2, force=True))
    got = separation(table, rng=np.random.default_rng(5), n_boot=1)
    assert got["eer"].low == pytest.approx(roc.eer(mated, nonmated), abs=1e-9)
    assert got["auc"].low == pytest.approx(roc.auc(mated, nonmated))
    assert got["d_prime"].low == pytest.approx(roc.d_prime(mated, nonmated), rel=0.02)  # n - 1 against n


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 25), st.integers(2, 4), st.floats(0, 0.4), st.integers(1, 40))
def test_all_against_all_equals_the_plain_way(seed, n_people, per_person, lost, block):
    rng = np.random.default_rng(seed)
    vec, who = people(n_people, per_person, rng)
    order = rng.permutation(len(who))
    vec, who = vec[order], who[order]
    found = rng.random(len(who)) >= lost
    c, histogram = all_against_all(vec[found], who * 7 - 3, found=found, max_far=0.5, block=block)
    full = np.where(found[:, None] & found[None], vec @ vec.T, UNDETECTED)
    i, j = np.triu_indices(len(who), 1)
    same = who[i] == who[j]
    np.testing.assert_allclose(c.mated, np.sort(full[i, j][same]), atol=1e-6)
    assert c.n_nonmated == (~same).sum()
    expected = np.sort(full[i, j][~same & found[i] & found[j]])[::-1]
    assert histogram.n == len(expected)
    np.testing.assert_allclose(c.tail, expected[: len(c.tail)], atol=1e-6)
    w = rng.integers(0, 3, n_people).astype(float)
    assert c.weigh(w) == pytest.approx((w[who[i]] * w[who[j]])[~same].sum())


def test_tail_is_the_top_of_many():
    rng = np.random.default_rng(2)
    vec, who = people(400, 2, rng)
    c, _ = all_against_all(vec, who, found=np.ones(len(who), bool), max_far=1e-3, block=64)
    full = vec @ vec.T
    i, j = np.triu_indices(len(who), 1)
    top = np.sort(full[i, j][who[i] != who[j]])[::-1][: len(c.tail)]
    assert len(c.tail) < c.n_nonmated
    np.testing.assert_allclose(c.tail, top, atol=1e-6)
    tau = trade_off(c, [1e-3], rng=rng, n_boot=5).thresholds[0]
    assert tau == pytest.approx(roc.threshold_at_fmr(full[i, j][who[i] != who[j]], 1e-3), abs=1e-6)


def test_beyond_the_tail_is_refused_and_few_errors_are_named():
    rng = np.random.default_rng(2)
    vec, who = people(400, 2, rng)
    c, _ = all_against_all(vec, who, found=np.ones(len(who), bool), max_far=1e-3)
    with pytest.raises(InputError, match="kept scores cover"):
        trade_off(c, [0.5], rng=rng)
    assert "fewer than 30" in trade_off(c, [1e-5], rng=rng, n_boot=5).tars[0].note


def test_who_is_not_in_a_draw_does_not_hold_the_threshold():
    """In a draw of 1 and 2 alone, each twice, their score of 0.5 is too many at any rate: the bar is just above it, and
    the mate at 0.6 passes it though not the score of 8 and 9.
    """
    table = ComparisonTable(
        np.array([0.6, 0.95, 0.9, 0.5]), np.array([True, True, False, False]),
        np.array([1, 2, 8, 1]), np.array([1, 2, 9, 2]), "test",
    )  # fmt: skip
    c = from_table(table)
    seed = next(k for k in range(5000) if next(_draws(c, 1, np.random.default_rng(k))).tolist() == [2, 2, 0, 0])
    curve = trade_off(c, [0.25], rng=np.random.default_rng(seed), n_boot=1)
    assert curve.thresholds[0] == np.nextafter(0.9, np.inf)
    (tar,) = curve.tars
    assert (tar.value, tar.low, tar.high) == (0.5, 1, 1)


def test_a_draw_without_any_non_mated_score_ends_in_no_error():
    """1 alone is drawn: nothing of two people is left, and his mate passes."""
    table = ComparisonTable(np.array([0.6, 0.5]), np.array([True, False]), np.array([1, 1]), np.array([1, 2]), "test")
    c = from_table(table)
    seed = next(k for k in range(100) if next(_draws(c, 1, np.random.default_rng(k))).tolist() == [2, 0])
    (tar,) = trade_off(c, [0.5], rng=np.random.default_rng(seed), n_boot=1).tars
    assert tar.low == tar.high == 1


def test_interval_narrows_with_more_people():
    """With four times as many people the interval is about half as wide."""
    wide, narrow = (separation(table_of(1, n=n), rng=np.random.default_rng(0), n_boot=200)["eer"] for n in (40, 160))
    assert 0.3 < (narrow.high - narrow.low) / (wide.high - wide.low) < 0.75


def folds_of(table: ComparisonTable, k: int, rng: np.random.Generator):
    folds = np.zeros(len(table), int)
    for side in (table.mated, ~table.mated):
        at = rng.permutation(np.flatnonzero(side))
        folds[at] = np.arange(len(at)) % k
    return folds


def test_no_draw_is_refused_in_words():
    table = table_of(4)
    folds = folds_of(table, 10, np.random.default_rng(0))
    for run in (
        lambda rng: fold_accuracy(table, folds, rng=rng, n_boot=0),
        lambda rng: fold_accuracy_of([table.score] * 10, table, folds, rng=rng, n_boot=0),
        lambda rng: held_out_accuracy(table, table, rng=rng, n_boot=0),
    ):
        with pytest.raises(InputError, match="n_boot: expected at least 1 draw, got 0"):
            run(np.random.default_rng(0))


def test_fold_accuracy_is_the_rule_and_centering_nothing_changes_nothing():
    table = table_of(4)
    folds = folds_of(table, 10, np.random.default_rng(0))
    plain = fold_accuracy(table, folds, rng=np.random.default_rng(0), n_boot=50)
    accuracies, taus = roc.kfold_accuracy(table.score, table.mated, folds)
    assert plain.mean.value == accuracies.mean()
    assert plain.standard_error == pytest.approx(accuracies.std(ddof=1) / 10**0.5)
    np.testing.assert_array_equal(plain.thresholds, taus)
    same = fold_accuracy_of([table.score] * 10, table, folds, rng=np.random.default_rng(0), n_boot=50)
    np.testing.assert_array_equal(same.of_fold, plain.of_fold)
    assert same.mean == plain.mean
    with pytest.raises(InputError, match="one column per fold"):
        fold_accuracy_of([table.score] * 9, table, folds, rng=np.random.default_rng(0))


@pytest.mark.parametrize("field", ["mated", "nonmated"])
def test_one_class_is_refused(field):
    score = np.linspace(0, 1, 5)
    probe = np.arange(5) if field == "mated" else np.arange(5) + 10
    with pytest.raises(InputError, match="mated"):
        from_table(ComparisonTable(score, np.arange(5) == probe, np.arange(5), probe, "test"))

"""Verification while training: figures by hand, by an independent library, from files, and what cannot be compared."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from tests.train.drawn import Drawn, recognizer
from vultus.errors import InputError, WeightsError
from vultus.io import images
from vultus.io.datasets.insight_bin import write_insight_bin
from vultus.train.data import Pictures
from vultus.train.loops.supervised import fit
from vultus.train.settings import Settings
from vultus.train.sources import TrainingSet, doubt
from vultus.train.verification import FARS, PairSet, Scores, Verification, compare, figures, measured

PEOPLE, EACH = 30, 6


class Angles:
    """A recognizer whose vector is an angle that stands in the picture: red is the angle in degrees."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def embed(self, crops):
        self.seen.append(len(crops))
        turn = np.deg2rad(crops[:, 0, 0, 0].astype(np.float64))
        return np.stack([np.cos(turn), np.sin(turn)], 1).astype(np.float32)


def dots(degrees) -> np.ndarray:
    made = np.zeros((len(degrees), 4, 4, 3), np.uint8)
    made[..., 0] = np.asarray(degrees)[:, None, None]
    return made


@pytest.fixture(scope="module")
def crowd() -> Pictures:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(PEOPLE), EACH)
    degrees = np.clip(rng.uniform(10, 170, PEOPLE)[labels] + rng.normal(0, 12, len(labels)), 0, 180)
    return Pictures(dots(degrees.round()), labels, tuple(map(str, range(PEOPLE))), name="dots", tier="sim")


def test_figures_are_those_of_an_independent_library(crowd):
    scores = compare(Angles(), PairSet.of_pictures(crowd))
    mated = PEOPLE * EACH * (EACH - 1) // 2
    assert (int(scores.same.sum()), len(scores.score)) == (mated, 11 * mated)
    false, true, _ = roc_curve(scores.same, scores.score, drop_intermediate=False)
    found = figures(scores)
    assert list(found) == ["eer", "tar@0.1", "tar@0.01"]  # 4,500 non-mated pairs: 30 errors at 1e-2, 4.5 at 1e-3
    at = np.argmin(np.abs(1 - true - false))
    assert found["eer"] == pytest.approx((1 - true[at] + false[at]) / 2, abs=0.01)
    for far in (0.1, 0.01):
        assert found[f"tar@{far:g}"] == pytest.approx(
            true[false <= far].max(), abs=0.006
        )  # thresholds: non-mated scores


def test_the_interval_is_over_people_and_holds_the_value(crowd):
    scores = compare(Angles(), PairSet.of_pictures(crowd))
    found = measured(scores, rng=np.random.default_rng(0), n_boot=100)
    assert {name: m.value for name, m in found.items()} == pytest.approx(figures(scores))
    for m in found.values():
        assert m.low < m.value < m.high
        assert m.n == PEOPLE
        assert "450 mated and 4,500 non-mated pairs" in m.note


def test_mated_pairs_are_of_two_albums_and_nobody_unknown_is_compared():
    labels = np.array([0, 0, 0, 1, 1, -1, -1])
    apart = np.array([0, 0, 1, 2, 3, 4, 5])
    pairs = PairSet.of_pictures(Pictures(dots(range(7)), labels, ("a", "b"), apart=apart))
    mated = {tuple(pair) for pair in np.stack([pairs.left, pairs.right], 1)[pairs.same].tolist()}
    assert mated == {(0, 2), (1, 2), (3, 4)}
    other = {tuple(pair) for pair in np.stack([pairs.left, pairs.right], 1)[~pairs.same].tolist()}
    assert other == {(a, b) for a in (0, 1, 2) for b in (3, 4)}
    with pytest.raises(InputError, match="two pictures or more"):
        PairSet.of_pictures(Pictures(dots(range(3)), np.arange(3), ("a", "b", "c")))


@pytest.fixture
def bin_file(tmp_path):
    """20 pairs, mated ones 5 degrees apart, the others 40 to 60; pair 3 has a picture that is none."""
    rng = np.random.default_rng(1)
    same = [k % 2 == 0 for k in range(20)]
    pictures = []
    for k, flag in enumerate(same):
        start = rng.uniform(0, 100)
        pictures += [images.encode(one, ".png") for one in dots([start, start + (5 if flag else 40 + k)])]
    pictures[7] = b"no picture"
    write_insight_bin(tmp_path / "tiny.bin", pictures, same)
    return tmp_path / "tiny.bin"


def test_a_bin_file_by_hand(bin_file):
    pairs = PairSet.of_bin(bin_file)
    scores = compare(Angles(), pairs)
    assert (pairs.name, len(pairs), scores.lost) == ("tiny", 40, 1)
    assert 3 not in scores.kept
    np.testing.assert_allclose(scores.score[scores.same], np.cos(np.deg2rad(5)), atol=0.02)  # red is a whole number
    found = measured(scores, rng=np.random.default_rng(0))
    assert (found["accuracy"].value, found["eer"].value) == (1.0, 0.0)
    assert found["accuracy"].low is None
    assert "1 pairs left out" in found["accuracy"].note


def test_a_fold_that_is_wrong_costs_its_share(bin_file):
    pairs = PairSet.of_bin(bin_file)
    flipped = pairs.same.copy()
    flipped[:2] = ~flipped[:2]  # the whole first fold of ten
    scores = compare(Angles(), PairSet("x", pairs.pictures, pairs.left, pairs.right, flipped, pairs.folds))
    assert figures(scores)["accuracy"] == pytest.approx(0.9)


def test_pairs_that_are_left_out_take_their_folds_and_people_along(crowd):
    pairs = PairSet.of_pictures(crowd)
    folds = np.arange(len(pairs.same)) * 7 % 5
    pairs = PairSet("x", pairs.pictures, pairs.left, pairs.right, pairs.same, folds, pairs.people)
    whole = compare(Angles(), pairs)
    kept = np.flatnonzero(np.random.default_rng(0).random(len(pairs.same)) < 0.7)
    some = Scores(pairs, whole.score[kept], kept, len(pairs.same) - len(kept))
    part = PairSet("x", pairs.pictures, *(a[kept] for a in (pairs.left, pairs.right, pairs.same, folds)), pairs.people)
    assert figures(some) == figures(compare(Angles(), part))
    found, want = (measured(s, rng=np.random.default_rng(0), n_boot=20) for s in (some, compare(Angles(), part)))
    assert {name: (m.value, m.low, m.high) for name, m in found.items()} == {
        name: (m.value, m.low, m.high) for name, m in want.items()
    }


def test_pictures_come_in_chunks_and_in_order(crowd):
    many = Angles()
    pairs = PairSet.of_pictures(crowd)
    twice = PairSet("many", np.concatenate([pairs.pictures] * 4), pairs.left + 540, pairs.right, pairs.same)
    np.testing.assert_array_equal(compare(many, twice).score, compare(Angles(), pairs).score)
    assert many.seen == [512, 208]


def test_the_hook_writes_numbers_of_each_set(bin_file, crowd):
    small = Pictures(np.repeat(crowd.images, 8, 1).repeat(8, 2), crowd.labels, crowd.names, name="drawn")
    hook = Verification([PairSet.of_pictures(small), PairSet.of_bin(bin_file)])
    history = fit(recognizer(), Drawn(), Settings(steps=4, lr=0.01, eval_every=2), hooks=[hook])
    assert [row["step"] for row in history.evals] == [2, 4]
    want = {"step", "drawn.eer", "drawn.tar@0.1", "drawn.tar@0.01", "tiny.accuracy", "tiny.eer"}
    assert all(set(row) == want for row in history.evals)
    assert all(0 <= value <= 1 for row in history.evals for name, value in row.items() if name != "step")
    assert (hook.step, [scores.of.name for scores in hook.scores]) == (4, ["drawn", "tiny"])
    assert figures(hook.scores[0])["eer"] == history.evals[-1]["drawn.eer"]


def test_evaluating_does_not_change_what_is_learned(crowd):
    small = Pictures(np.repeat(crowd.images, 8, 1).repeat(8, 2), crowd.labels, crowd.names, name="drawn")
    settings = Settings(steps=3, lr=0.01, eval_every=1)
    with_hook = fit(recognizer(), Drawn(), settings, hooks=[Verification([PairSet.of_pictures(small)])])
    np.testing.assert_array_equal(with_hook.loss, fit(recognizer(), Drawn(), settings).loss)


def test_what_cannot_be_compared_is_said_in_words(crowd, bin_file):
    class Broken(Angles):
        def embed(self, crops):
            rows = super().embed(crops)
            rows[len(rows) - 1] = np.nan
            return rows

    pairs = PairSet.of_pictures(crowd)
    with pytest.raises(WeightsError, match="NaN or infinity for picture 179"):
        compare(Broken(), pairs)
    with pytest.raises(InputError, match="different names"):
        Verification([pairs, pairs])
    with pytest.raises(InputError, match="expected mated and non-mated pairs"):
        PairSet("x", pairs.pictures, pairs.left, pairs.right, np.ones(len(pairs.left), bool))
    with pytest.raises(InputError, match="indices of 180 pictures"):
        PairSet("x", pairs.pictures, pairs.left + 100, pairs.right, pairs.same)
    with pytest.raises(InputError, match="expected a trainable with `embed`"):
        Verification([pairs]).on_eval(1, type("Run", (), {"trainable": object()}))
    assert tuple(sorted(FARS, reverse=True)) == FARS


@pytest.mark.parametrize("spread", [None, 2])
@pytest.mark.parametrize("most", [1, 40, 10_000])
def test_pairs_are_those_of_all_pairs_written_out(most, spread):
    rng = np.random.default_rng(most)
    labels = rng.integers(-1, 9, 60)
    apart = None if spread is None else rng.integers(0, spread, 60)
    pictures = Pictures(dots(labels * 0), labels, tuple("abcdefghi"), None, apart)
    found = PairSet.of_pictures(pictures, most=most, seed=4)

    a, b = np.triu_indices(60, 1)
    known = (labels[a] == labels[b]) & (labels[a] >= 0)
    if apart is not None:
        known &= apart[a] != apart[b]
    mated = np.flatnonzero(known)
    if len(mated) > most:
        mated = np.sort(np.random.default_rng((4, 57)).choice(mated, most, replace=False))
    differ = np.flatnonzero(labels[a] != labels[b])
    drawn = np.random.default_rng((4, 56)).choice(differ, min(len(differ), 10 * len(mated)), replace=False)
    drawn = np.array([k for k in np.sort(drawn) if labels[a[k]] >= 0 and labels[b[k]] >= 0])
    np.testing.assert_array_equal(found.left, a[np.concatenate([mated, drawn])])
    np.testing.assert_array_equal(found.right, b[np.concatenate([mated, drawn])])
    np.testing.assert_array_equal(found.same, np.arange(len(found.same)) < len(mated))


def test_pairs_of_many_pictures_are_drawn_and_not_built():
    labels = np.arange(60_000) // 2  # all pairs of them would take 29 GB
    pictures = Pictures(np.zeros((len(labels), 1, 1, 3), np.uint8), labels, tuple(map(str, range(30_000))))
    found = PairSet.of_pictures(pictures, most=1000)
    assert (int(found.same.sum()), len(found.same)) == (1000, 11_000)
    np.testing.assert_array_equal(labels[found.left] == labels[found.right], found.same)
    assert (found.left < found.right).all()


def test_people_who_are_trained_on_too_are_named():
    def training(*names, used=None):
        people = np.arange(len(names) if used is None else used)
        return TrainingSet(Pictures(dots(people), people, names), (), "", "", "sim")

    def measured_on(*names):
        people = np.repeat(np.arange(len(names)), 2)
        return PairSet.of_pictures(Pictures(dots(people), people, names, name="held"))

    one = training("Ann_Lee", "bob", "cy")
    assert doubt(one, measured_on("dora", "eve")) == ""
    assert doubt(one, measured_on("lee ann", "Cy", "eve")).startswith(
        "held: 2 of its 3 people are trained on too (lee ann, Cy): its figures"
    )
    assert doubt(training("ann", "bob", used=1), measured_on("bob", "eve")) == ""  # named, and on no picture
    many = [f"p{i}" for i in range(9)]
    assert "9 of its 9 people are trained on too (p0, p1, p2, p3, p4, ...)" in doubt(
        training(*many), measured_on(*many)
    )
    assert "too, if both sets number people alike (2)" in doubt(training("0", "2"), measured_on("2", "3"))
    assert "nothing is known" in doubt(training("0", "2"), measured_on("ann", "bob"))
    held = measured_on("ann", "bob")
    nameless = PairSet("x.bin", held.pictures, held.left, held.right, held.same)
    assert doubt(one, nameless).startswith("x.bin: nothing is known of who in it is trained on too")

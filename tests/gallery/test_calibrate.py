"""Thresholds for a false match rate: the curve, its limits, its file, and the decision."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vultus import catalogue
from vultus.errors import InputError, SpaceMismatch, StoreError
from vultus.gallery import calibrate
from vultus.gallery.calibrate import Calibration, Origin, Rate, fit, fit_all_pairs
from vultus.ops import roc
from vultus.ops.vectors import unit
from vultus.types import ComparisonTable, Template

SPACE = "toy@000000000000"
ORIGIN = Origin(SPACE, "drawn", "toy people", "sim")


def _people(seed=0, people=60, photos=3, dim=16, spread=0.6):
    rng = np.random.default_rng(seed)
    centers = unit(rng.standard_normal((people, dim)))
    rows = unit(np.repeat(centers, photos, axis=0) + spread * unit(rng.standard_normal((people * photos, dim))))
    return rows, np.repeat(np.arange(people), photos)


def _table(rows, who, split="dev"):
    a, b = np.triu_indices(len(rows), 1)
    return ComparisonTable((rows @ rows.T)[a, b], who[a] == who[b], who[a], who[b], split)


def _toy(**more):
    """A curve that is exponential in the score: FMR = 10 ** (-10 t)."""
    rates = tuple(Rate(10.0**-k, k / 10, 0.8 * 10.0**-k, min(1.0, 1.2 * 10.0**-k), 0.01 * k) for k in range(6))
    return Calibration(ORIGIN, rates, 300, 100, 3_000_000, 300, "2026-01-01", "0.1.0", **more)


@pytest.fixture(scope="module")
def fitted():
    rows, who = _people()
    return fit_all_pairs(rows, who, ORIGIN, rng=np.random.default_rng(0), n_boot=200)


def test_both_ways_of_fitting_agree(fitted):
    rows, who = _people()
    table = _table(rows, who)
    other = fit(table, ORIGIN, rng=np.random.default_rng(0), n_images=len(rows), n_boot=200)
    assert (other.n_nonmated, other.n_mated, other.n_subjects) == (fitted.n_nonmated, fitted.n_mated, fitted.n_subjects)
    for rate in (0.3, 0.1, 0.03, 0.01):
        (left, left_rate), (right, right_rate) = fitted.threshold(rate), other.threshold(rate)
        assert left == pytest.approx(right, abs=2e-3)  # a bin edge and an observed score with the same FMR
        assert left_rate.low == pytest.approx(right_rate.low, rel=0.3)
        assert left_rate.high == pytest.approx(right_rate.high, rel=0.3)


def test_the_threshold_keeps_its_rate_on_the_data_it_was_fitted_on(fitted):
    rows, who = _people()
    table = _table(rows, who)
    nonmated = table.score[~table.mated]
    for rate in (0.1, 0.02, 0.01):
        threshold, metric = fitted.threshold(rate)
        assert roc.fmr(nonmated, threshold) == pytest.approx(rate, rel=0.06)
        assert metric.low <= metric.value == rate <= metric.high
        assert metric.n == 60


def test_the_threshold_keeps_its_rate_on_other_people(fitted):
    rows, who = _people(seed=1, people=200)
    table = _table(rows, who)
    got = roc.fmr(table.score[~table.mated], fitted.threshold(0.02)[0])
    assert 0.01 < got < 0.04


def test_curve_between_points_is_exponential():
    toy = _toy()
    assert toy.threshold(10**-2.5)[0] == pytest.approx(0.25)
    assert toy.threshold(1e-3)[0] == pytest.approx(0.3)
    assert toy.fmr_of(0.25).value == pytest.approx(10**-2.5)
    assert toy.fmr_of(0.25).high == pytest.approx(1.2 * 10**-2.5)
    assert toy.margin(1e-3) == pytest.approx(0.05)


@given(st.floats(1e-5, 0.9))
def test_threshold_and_rate_are_inverse(rate):
    toy = _toy()
    threshold, metric = toy.threshold(rate)
    assert toy.fmr_of(threshold).value == pytest.approx(rate, rel=1e-6)
    assert metric.low <= metric.value <= metric.high


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_rates_fall_with_the_score(a, b):
    toy = _toy()
    low, high = sorted((a, b))
    assert toy.fmr_of(low).value >= toy.fmr_of(high).value


def test_beyond_the_data_it_says_so():
    toy = _toy()
    beyond = toy.fmr_of(0.9)
    assert (beyond.value, beyond.low) == (0.0, 0.0)
    assert beyond.high == pytest.approx(1.2e-5)
    assert "cannot tell" in beyond.note
    with pytest.raises(InputError, match=r"at least 1e-05.*3000000 non-mated"):
        toy.threshold(1e-6)
    for bad in (0.0, 1.0, -1.0, float("nan")):
        with pytest.raises(InputError):
            toy.threshold(bad)
    with pytest.raises(InputError, match="finite"):
        toy.fmr_of(float("nan"))


def test_fit_refuses():
    rows, who = _people(people=20)
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="test"):
        fit(_table(rows, who, "test"), ORIGIN, rng=rng)
    smallest = 30 / (60 * 59 / 2 - 60)
    with pytest.raises(InputError, match=f"{smallest:.3g}"):
        fit_all_pairs(rows, who, ORIGIN, rng=rng, targets=(1e-4,), n_boot=10)
    with pytest.raises(InputError, match="two people"):
        fit_all_pairs(rows, np.zeros(len(rows), np.int64), ORIGIN, rng=rng)
    with pytest.raises(InputError, match="unit rows"):
        fit_all_pairs(2 * rows, who, ORIGIN, rng=rng)
    with pytest.raises(InputError, match="100 non-mated"):
        fit_all_pairs(rows[:9], who[:9], ORIGIN, rng=rng)
    with pytest.raises(InputError, match="tier"):
        Origin(SPACE, "drawn", "toy", "imaginary")


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_any_scores_give_a_valid_curve_or_a_refusal(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(150, 400))
    ref, probe = rng.integers(0, 12, n), rng.integers(0, 12, n)
    score = rng.choice(rng.standard_normal(int(rng.integers(1, 40))), n)  # many ties
    table = ComparisonTable(score, ref == probe, ref, probe, "dev")
    try:
        made = fit(table, ORIGIN, rng=rng, n_boot=20)
    except InputError:
        return
    nonmated = score[ref != probe]
    for rate in made.rates:
        assert roc.fmr(nonmated, rate.threshold) == pytest.approx(rate.fmr)


def test_file_round_trip(tmp_path, fitted):
    path = calibrate.save(fitted, home=tmp_path)
    assert calibrate.read(path) == fitted
    assert calibrate.load(SPACE, home=tmp_path) == fitted
    assert [p.name for p in path.parent.iterdir()] == [f"{SPACE}.json"]  # no temporary file stays


def test_load_in_words(tmp_path, fitted, monkeypatch):
    with pytest.raises(StoreError, match="vultus calibrate"):
        calibrate.load(SPACE, home=tmp_path)
    monkeypatch.setattr(calibrate, "_PACKAGED", tmp_path / "packaged")
    calibrate.write(fitted, tmp_path / "packaged" / "toy.json")
    assert calibrate.load(SPACE, home=tmp_path) == fitted
    with pytest.raises(StoreError, match="weights differ"):
        calibrate.load("toy@111111111111", home=tmp_path)
    own = replace(fitted, n_images=7)
    calibrate.save(own, home=tmp_path)
    assert calibrate.load(SPACE, home=tmp_path).n_images == 7  # the user's own wins
    for space in ("../evil", "", ".hidden"):
        with pytest.raises(InputError, match="space"):
            calibrate.load(space, home=tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: "",
        lambda text: text.replace("vultus-calibration-1", "vultus-calibration-9"),
        lambda text: json.dumps({**json.loads(text), "rates": [[0.1, 0.2, 0.1, 0.1, None]]}),
        lambda text: json.dumps({**json.loads(text), "rates": [[0.1, 0.2]]}),
        lambda text: json.dumps({**json.loads(text), "surprise": 1}),
        lambda text: json.dumps({**json.loads(text), "rates": json.loads(text)["rates"][::-1]}),
    ],
)
def test_damaged_file_is_a_store_error(tmp_path, fitted, damage):
    path = calibrate.save(fitted, home=tmp_path)
    path.write_text(damage(path.read_text()))
    with pytest.raises(StoreError, match="could not read"):
        calibrate.load(SPACE, home=tmp_path)


@pytest.mark.parametrize("path", sorted(calibrate._PACKAGED.glob("*.json")), ids=lambda path: path.stem)
def test_packaged_tables_belong_to_rows_of_the_catalogue(path):
    table = calibrate.read(path)
    assert table.space == catalogue.load(path.stem.replace("+", ".")).space
    assert table.origin.tier == "real"
    assert table.smallest_fmr <= 1.1e-6
    threshold, rate = table.threshold(1e-3)
    assert rate.low < 1e-3 < rate.high
    assert 0.1 < threshold < 0.99


def test_unwritable_place_is_a_store_error(tmp_path, fitted):
    (tmp_path / "calibration").write_text("a file where a folder should be")
    with pytest.raises(StoreError, match="could not be written"):
        calibrate.save(fitted, home=tmp_path)


def _template(vector, quality=None, space=SPACE):
    return Template(unit(np.array(vector, np.float32)), space, quality)


def test_decide():
    toy, one = _toy(), _template([1, 0])
    near, far = _template([1, 1.5]), _template([0.1, 1])  # cosines 0.555 and 0.0995
    yes = toy.decide(one, near, fmr=1e-3)
    assert yes.accepted
    assert (yes.threshold, yes.fmr.value) == (pytest.approx(0.3), 1e-3)
    assert "toy people" in yes.calibration
    no = toy.decide(one, far, fmr=1e-3)
    assert no.outcome == "reject"
    assert "below" in no.reason
    poor = toy.decide(one, _template([1, 0], quality=0.1), fmr=1e-3)
    assert poor.outcome == "abstain"
    assert "0.10" in poor.reason
    with pytest.raises(SpaceMismatch):
        toy.decide(one, _template([1, 0], space="other@000000000000"))

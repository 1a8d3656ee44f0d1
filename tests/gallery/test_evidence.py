"""Log-likelihood ratios from a calibration: right where the truth is known, monotone, never extrapolated."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vultus.errors import InputError
from vultus.gallery import calibrate
from vultus.gallery.evidence import score_model
from vultus.types import ComparisonTable

ORIGIN = calibrate.Origin("toy@000000000000", "none", "normal scores", "sim")


def fitted(seed=0, mated=20_000, nonmated=200_000):
    rng = np.random.default_rng(seed)
    score = np.concatenate([rng.normal(0.6, 0.1, mated), rng.normal(0.1, 0.1, nonmated)])
    n = mated + nonmated
    subject = rng.integers(50, size=n)
    other = np.where(np.arange(n) < mated, subject, (subject + rng.integers(1, 50, size=n)) % 50)
    table = ComparisonTable(score, np.arange(n) < mated, subject, other, "train")
    return calibrate.fit(table, ORIGIN, rng=rng, n_boot=20)


def test_two_normal_distributions():
    model = score_model(fitted())
    # equal spreads: the ratio is linear, (m - n) / s^2 * (score - middle) = 50 * (score - 0.35)
    at = np.array([0.25, 0.3, 0.35, 0.4, 0.45])
    np.testing.assert_allclose(model.llr(at), 50 * (at - 0.35), atol=0.6)
    assert model.fmr(0.35) == pytest.approx(0.00621, rel=0.1)  # of a normal distribution from 2.5 sigma on
    assert model.tmr(0.35) == pytest.approx(0.99379, abs=0.002)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 1000))
def test_rises_and_stays_within_the_data(seed):
    model = score_model(fitted(seed, 500, 5000))
    at = np.linspace(-1, 1, 400)
    assert (np.diff(model.llr(at)) >= 0).all()
    assert (np.diff(model.fmr(at)) <= 0).all()
    assert (np.diff(model.tmr(at)) <= 0).all()
    assert model.llr(1.0) <= np.log(5001 / 0.5)
    assert np.isfinite(model.llr([-1, 1])).all()
    assert "toy" in repr(model)


def test_without_mated_comparisons_there_is_no_evidence():
    made = fitted(0, 500, 5000)
    rates = tuple(rate._replace(fnmr=None) for rate in made.rates)
    none = calibrate.Calibration(
        made.origin, rates, made.n_images, made.n_subjects, made.n_nonmated, 0, made.created, made.version
    )
    with pytest.raises(InputError, match="expected mated comparisons, got none for toy"):
        score_model(none)
    with pytest.raises(InputError, match="got dict"):
        score_model({})

"""Lda: scikit-learn finds the same directions, two classes by Fisher's formula, the cosine around the mean."""

from __future__ import annotations

import numpy as np
import pytest

from vultus.errors import InputError
from vultus.recognize.classical.lda import Lda


def people(seed: int = 0, n: int = 12, dims: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Of 3 to 6 pictures each; some directions are noisy."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(n), rng.integers(3, 7, n))
    turn = np.linalg.qr(rng.normal(size=(dims, dims)))[0]
    rows = 2 * rng.normal(size=(n, dims))[who] + rng.normal(size=(len(who), dims)) * np.linspace(0.3, 4, dims)
    return rows @ turn + 3, who


def test_directions_are_those_of_scikit_learn() -> None:
    discriminant = pytest.importorskip("sklearn.discriminant_analysis")
    rows, who = people()
    for kept in (2, 4):
        peer = discriminant.LinearDiscriminantAnalysis(solver="eigen", n_components=kept).fit(rows, who)
        theirs = peer.transform(rows - rows.mean(0))
        made = Lda(kept=kept, ridge=0.0).fit(rows, who)
        ours = made.project(rows)
        signs = np.sign((ours * theirs).sum(0))
        np.testing.assert_allclose(ours * signs, theirs, rtol=1e-7, atol=1e-9)


def test_two_people_give_the_direction_of_fisher() -> None:
    """w = inverse(S_w) (m_1 - m_2), Fisher 1936."""
    rows, who = people(n=2)
    made = Lda(ridge=0.0).fit(rows, who)
    assert made.columns.shape == (5, 1)
    inside = np.concatenate([rows[who == k] - rows[who == k].mean(0) for k in (0, 1)])
    expected = np.linalg.solve(inside.T @ inside, rows[who == 0].mean(0) - rows[who == 1].mean(0))
    found = made.columns[:, 0]
    np.testing.assert_allclose(abs(found @ expected), np.linalg.norm(found) * np.linalg.norm(expected))


def test_scatter_within_people_is_the_identity_and_ratios_fall() -> None:
    rows, who = people()
    for dim in (None, 4):
        made = Lda(dim, ridge=0.0).fit(rows, who)
        along = made.project(rows)
        assert np.allclose(along.mean(0), 0)
        means = np.stack([along[who == k].mean(0) for k in range(12)])
        inside = along - means[who]
        np.testing.assert_allclose(inside.T @ inside / len(rows), np.eye(along.shape[1]), atol=1e-9)
        between = (means[who] ** 2).sum(0)
        assert (np.diff(between) < 0).all()


def test_scores_are_cosines_around_the_mean() -> None:
    rows, who = people()
    made = Lda(kept=3).fit(rows, who)
    along = made.project(rows)
    unit = along / np.linalg.norm(along, axis=1, keepdims=True)
    np.testing.assert_allclose(made.scores(rows[:4], rows), unit[:4] @ unit.T)
    assert made.scores(rows.mean(0)[None], rows[:1]).shape == (1, 1)


def test_settings_out_of_range() -> None:
    for wrong in ({"dim": 0}, {"kept": 0}, {"ridge": np.inf}):
        with pytest.raises(InputError, match="expected"):
            Lda(**wrong)
    rows, who = people()
    with pytest.raises(InputError, match="ridge"):
        Lda(ridge=0.0).fit(np.concatenate([rows, rows[:, :1]], axis=1), who)

"""Sild: by hand on two axes, as Fisher where everybody has as many pictures, pairs alone are enough."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from vultus.errors import InputError
from vultus.recognize.classical.lda import Lda
from vultus.recognize.classical.sild import Sild


def people(each: int = 4, n: int = 15, dims: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    who = np.repeat(np.arange(n), each)
    return 2 * rng.normal(size=(n, dims))[who] + rng.normal(size=(len(who), dims)) * np.linspace(0.3, 4, dims), who


def test_by_hand() -> None:
    """Differences of one person (1, 0), (0, 2): S = diag(.5, 2); of two (2, 0), (0, 2): S = diag(2, 2): ratios 4 and 1.

    The first direction is (sqrt 2, 0): one person's differences have 1 along it. The mean of all eight vectors is
    (3/8, 4/8); (1.375, 9) and (0.375 - 1, -9) are then apart by 180 degrees along it.
    """
    right = np.array([(1, 0), (0, 2), (2, 0), (0, 2)])
    made = Sild(kept=1, ridge=0.0).fit_pairs(np.zeros((4, 2)), right, [True, True, False, False])
    np.testing.assert_allclose(made.columns, [[np.sqrt(2)], [0]], atol=1e-12)
    np.testing.assert_allclose(made.scores([(1.375, 9)], [(-0.625, -9), (2, 0)]), [[-1, 1]])


def test_it_is_fisher_where_everybody_has_as_many_pictures() -> None:
    """S of two people is then a sum of both scatters of Fisher, so the eigenvectors are the same."""
    rows, who = people()
    ours, fisher = Sild(kept=3, ridge=0.0).fit(rows, who), Lda(kept=3, ridge=0.0).fit(rows, who)
    for k in range(3):
        a, b = ours.columns[:, k], fisher.columns[:, k]
        assert abs(a @ b) == pytest.approx(np.linalg.norm(a) * np.linalg.norm(b))
    np.testing.assert_allclose(ours.scores(rows, rows), fisher.scores(rows, rows), atol=1e-8)


def test_pairs_teach_what_known_people_teach() -> None:
    rows, who = people()
    i, j = np.array(list(combinations(range(len(rows)), 2))).T
    pairs = Sild(3, kept=2).fit_pairs(rows[i], rows[j], who[i] == who[j])
    named = Sild(3, kept=2).fit(rows, who)
    np.testing.assert_allclose(pairs.scores(rows, rows), named.scores(rows, rows), atol=1e-4)


def test_wrong_pairs_are_said() -> None:
    rows, _ = people()
    for left, right, same, words in (
        (rows, rows[1:], np.ones(len(rows), bool), "right"),
        (rows, rows[::-1], np.ones(len(rows), bool), "one person and of two"),
        (rows, rows[::-1], np.ones(3, bool), "same"),
    ):
        with pytest.raises(InputError, match=words):
            Sild().fit_pairs(left, right, same)
    with pytest.raises(InputError, match="kept"):
        Sild(kept=0)

"""KissMe: scatters pair by pair, the metric by hand, no negative eigenvalue, and it beats the plain distance."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vultus.errors import InputError
from vultus.recognize.classical._pair_scatter import PairScatter
from vultus.recognize.classical.kissme import KissMe


def people(seed: int = 0, n: int = 40, each: int = 3, spread=(1.0, 3.0, 0.3)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(n), each)
    return rng.normal(size=(n, 3))[who] + rng.normal(size=(len(who), 3)) * spread, who


def every_pair(rows: np.ndarray, who: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    i, j = np.array(list(combinations(range(len(rows)), 2))).T
    return rows[i], rows[j], who[i] == who[j]


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.integers(0, 4), min_size=3, max_size=14).filter(lambda w: 1 < len(set(w)) < len(w)), st.integers(0, 99)
)
def test_sums_over_all_pairs_are_those_of_the_listed_pairs(who: list[int], seed: int) -> None:
    labels = np.unique(who, return_inverse=True)[1]
    rows = np.random.default_rng(seed).normal(size=(len(who), 3)) + 5
    found, listed = PairScatter.of_people(rows, labels), PairScatter.of_pairs(*every_pair(rows, labels))
    np.testing.assert_allclose(found.same, listed.same, atol=1e-9)
    np.testing.assert_allclose(found.different, listed.different, atol=1e-9)


def test_the_metric_by_hand() -> None:
    """Differences of one person (2, 0), (0, 1): S = diag(2, .5); of two (2, 0), (0, 4): S = diag(2, 8).

    M = diag(.5 - .5, 2 - .125) = diag(0, 1.875); (3, 2) lies 1.875 * 4 = 7.5 from 0.
    """
    zero = np.zeros((4, 2))
    right = np.array([(2, 0), (0, 1), (2, 0), (0, 4)])
    made = KissMe(ridge=0.0).fit_pairs(zero, right, [True, True, False, False])
    np.testing.assert_allclose(made.metric, np.diag([0, 1.875]), atol=1e-12)
    np.testing.assert_allclose(made.scores([(0, 0)], [(3, 2), (9, 0)]), [[-7.5, 0]], atol=1e-12)


def test_a_direction_that_tells_the_wrong_way_does_not_count() -> None:
    """One person differs more along the second axis than two people do: its eigenvalue would be 1/4 - 1 < 0."""
    right = np.array([(1, 0), (0, 2), (3, 0), (0, 1)])
    made = KissMe(ridge=0.0).fit_pairs(np.zeros((4, 2)), right, [True, True, False, False])
    np.testing.assert_allclose(made.metric, np.diag([2 - 2 / 9, 0]), atol=1e-12)


def test_known_people_and_all_their_pairs_teach_the_same() -> None:
    rows, who = people()
    for dim in (None, 2):
        by_people = KissMe(dim).fit(rows, who).metric
        left, right, same = every_pair(rows, who)
        by_pairs = KissMe(dim).fit_pairs(left, right, same).metric
        np.testing.assert_allclose(by_people, by_pairs, rtol=1e-6)


def test_it_learns_which_direction_is_noise() -> None:
    rows, who = people()
    fresh, whose = people(seed=1)
    made = KissMe().fit(rows, who).scores(fresh, fresh)
    plain = -np.square(fresh[:, None] - fresh).sum(2)
    same = (whose[:, None] == whose) & ~np.eye(len(whose), dtype=bool)

    def right(scores: np.ndarray) -> float:  # area under the ROC
        return float((scores[same][:, None] > scores[whose[:, None] != whose]).mean())

    assert right(made) > right(plain) + 0.05
    assert made.max() <= 0
    assert np.allclose(np.diagonal(made), 0, atol=1e-9)


def test_it_is_a_log_likelihood_ratio_of_gaussians() -> None:
    """With positive eigenvalues, scores differ by twice the log ratio of the two Gaussians (eq. 10 to 15)."""
    rng = np.random.default_rng(2)
    one, two = np.diag([1.0, 0.5]), np.array([(4.0, 1.0), (1.0, 3.0)])
    apart = np.concatenate([rng.multivariate_normal((0, 0), one, 500), rng.multivariate_normal((0, 0), two, 500)])
    made = KissMe(ridge=0.0).fit_pairs(np.zeros((1000, 2)), apart, np.arange(1000) < 500)
    s_one, s_two = (part.T @ part / 500 for part in (apart[:500], apart[500:]))
    asked = rng.normal(size=(20, 2))

    def log_density(points: np.ndarray, cov: np.ndarray) -> np.ndarray:
        return -np.einsum("ni,ij,nj->n", points, np.linalg.inv(cov), points) / 2 - np.log(np.linalg.det(cov)) / 2

    ratio = log_density(asked, s_one) - log_density(asked, s_two)
    scores = made.scores(np.zeros((1, 2)), asked)[0]
    np.testing.assert_allclose(scores - scores[0], 2 * (ratio - ratio[0]), atol=1e-9)


def test_too_few_directions_are_said() -> None:
    flat = np.zeros((4, 2))
    right = np.array([(1, 0), (2, 0), (1, 1), (0, 2)])
    with pytest.raises(InputError, match="singular"):
        KissMe(ridge=0.0).fit_pairs(flat, right, [True, True, False, False])
    KissMe().fit_pairs(flat, right, [True, True, False, False])
    for wrong in ({"dim": 0}, {"ridge": -1.0}):
        with pytest.raises(InputError, match="expected"):
            KissMe(**wrong)

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from vultus.errors import InputError
from vultus.ops.pca import pca


def rows(n, d, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) * np.linspace(3, 1, d) + rng.standard_normal(d)


@pytest.mark.parametrize(("n", "d", "dim"), [(40, 6, 3), (5, 12, 4), (30, 4, None)])
def test_it_agrees_with_scikit_learn(n, d, dim):
    x = rows(n, d)
    found, peer = pca(x, dim), PCA(dim).fit(x)
    np.testing.assert_allclose(found.variances, peer.explained_variance_, rtol=1e-10)
    np.testing.assert_allclose(np.abs(found.axes @ peer.components_.T), np.eye(len(found.axes)), atol=1e-7)
    np.testing.assert_allclose(np.abs(found.apply(x)), np.abs(peer.transform(x)), atol=1e-7)
    assert found.explained == pytest.approx(peer.explained_variance_ratio_.sum())


def test_by_hand_in_the_plane():
    found = pca([[0, 0], [2, 2], [4, 4]])
    np.testing.assert_allclose(found.axes, [[0.5**0.5, 0.5**0.5]])
    np.testing.assert_allclose(found.mean, [2, 2])
    np.testing.assert_allclose(found.variances, [8])  # coordinates -2.83, 0, 2.83: 16 / 2
    np.testing.assert_allclose(found.apply([[3, 1]]), [[0]], atol=1e-12)


@given(st.integers(2, 12), st.integers(1, 9), st.integers(0, 10**6))
def test_all_axes_lose_nothing_and_signs_do_not_depend_on_order(n, d, seed):
    x = rows(n, d, seed)
    found = pca(x)
    np.testing.assert_allclose(found.invert(found.apply(x)), x, atol=1e-8)
    np.testing.assert_allclose(found.axes @ found.axes.T, np.eye(len(found.axes)), atol=1e-10)
    np.testing.assert_allclose(pca(x[::-1]).axes, found.axes, atol=1e-5)
    assert found.explained == pytest.approx(1)


@pytest.mark.parametrize(
    ("x", "dim", "said"),
    [
        ([[1.0, 2.0]], None, "at least two"),
        ([[0.1, 0.2]] * 3, None, "equal ones"),
        (rows(5, 8), 5, "1 to 4 axes"),
        (rows(9, 3), 0, "1 to 3 axes"),
        ([[1.0, np.nan], [0, 0]], None, "finite"),
    ],
)
def test_what_has_no_such_axes_is_refused(x, dim, said):
    with pytest.raises(InputError, match=said):
        pca(x, dim)


def test_another_width_is_refused():
    with pytest.raises(InputError, match="shape"):
        pca(rows(9, 3)).apply(rows(2, 4))

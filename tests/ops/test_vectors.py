import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics.pairwise import cosine_similarity

from vultus.errors import InputError
from vultus.ops import vectors


def rows(n, d, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


@given(st.integers(1, 6), st.integers(1, 9), st.floats(1e-30, 1e30))
def test_unit_rows_have_length_one_whatever_their_scale(n, d, scale):
    x = rows(n, d, n * 10 + d).astype(np.float64) * scale
    np.testing.assert_allclose(np.linalg.norm(vectors.unit(x), axis=1), 1, atol=1e-6)


def test_unit_by_hand():
    np.testing.assert_allclose(vectors.unit([3, 4]), [0.6, 0.8])
    np.testing.assert_allclose(vectors.unit([[3], [4]], axis=0), [[0.6], [0.8]])
    assert vectors.unit(np.zeros((0, 4))).shape == (0, 4)
    assert vectors.unit([3.0, 4.0]).dtype == np.float32


def test_cosine_agrees_with_scikit_learn():
    a, b = rows(7, 128), rows(5, 128, 1)
    np.testing.assert_allclose(vectors.cosine(a, b), cosine_similarity(a, b), atol=1e-6)
    assert vectors.cosine(a, np.zeros((0, 128))).shape == (7, 0)
    assert (vectors.cosine(a, a) <= 1).all()


def test_fuse_by_hand():
    np.testing.assert_allclose(vectors.fuse([[1, 0], [0, 1]]), [0.5**0.5, 0.5**0.5])
    np.testing.assert_allclose(vectors.fuse([[1, 0], [0, 1]], [3, 4]), [0.6, 0.8])
    np.testing.assert_allclose(vectors.fuse([[1, 0], [0, 1]], [0, 4]), [0, 1])


@given(st.integers(1, 8), st.integers(2, 16), st.integers(0, 10**6), st.floats(0.01, 100))
def test_fuse_is_unit_order_free_and_blind_to_the_scale_of_weights(n, d, seed, scale):
    x, rng = rows(n, d, seed) + 1, np.random.default_rng(seed)
    weights, order = rng.uniform(0.1, 1, n), rng.permutation(n)
    fused = vectors.fuse(x, weights)
    assert np.linalg.norm(fused) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(vectors.fuse(x[order], weights[order] * scale), fused, atol=1e-5)
    np.testing.assert_allclose(vectors.fuse(x[:1]), vectors.unit(x[0]), atol=1e-6)


@given(
    arrays(np.float64, st.tuples(st.integers(0, 4), st.integers(1, 30)), elements=st.integers(0, 5).map(float)),
    st.integers(1, 35),
)
def test_top_k_is_the_stable_ranking(scores, k):
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(vectors.top_k(scores, k), expected)


def test_top_k_of_integers_and_of_nothing():
    assert vectors.top_k(np.array([[1, 3, 3, 2]], np.uint8), 3).tolist() == [[1, 2, 3]]
    assert vectors.top_k(np.zeros((2, 0)), 3).shape == (2, 0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: vectors.unit([0.0, 0.0]),
        lambda: vectors.unit([[1.0, 0.0], [0.0, 0.0]]),
        lambda: vectors.unit([np.nan, 1.0]),
        lambda: vectors.unit(3.0),
        lambda: vectors.cosine([[1.0, 0.0]], [[1.0, 0.0, 0.0]]),
        lambda: vectors.cosine([[1.0, 0.0]], [[0.0, 0.0]]),
        lambda: vectors.fuse(np.zeros((0, 4))),
        lambda: vectors.fuse([[1.0, 0.0], [-1.0, 0.0]]),
        lambda: vectors.fuse([[1.0, 0.0]], [-1.0]),
        lambda: vectors.fuse([[1.0, 0.0]], [0.0]),
        lambda: vectors.fuse([[1.0, 0.0]], [1.0, 1.0]),
        lambda: vectors.top_k([[1.0]], 0),
        lambda: vectors.top_k([[np.nan]], 1),
    ],
)
def test_bad_input_is_refused_in_words(call):
    with pytest.raises(InputError, match="expected"):
        call()


def test_bytes_by_hand():
    """Of -1 to 1: -1 is 0, 0 is 127.5 and goes up, 1 is 255; 2 is cut off. Each dimension has its own scale."""
    plain = vectors.ByteCode.plain(3)
    assert plain.encode([[-1, 0, 1], [-2, 0.004, 2]]).tolist() == [[0, 128, 255], [0, 128, 255]]
    own = vectors.ByteCode(np.array([0, -1]), np.array([0.51, 1.55]))
    assert own.encode([[0.2, 0.55]]).tolist() == [[100, 155]]
    np.testing.assert_allclose(own.decode(np.array([[100, 155]], np.uint8)), vectors.unit([[0.2, 0.55]]), atol=1e-6)
    fitted = vectors.ByteCode.fit([[1, 5], [3, 5]], room=0.5)
    np.testing.assert_allclose(fitted.low, [0, 4.999])
    np.testing.assert_allclose(fitted.high, [4, 5.001])


@given(st.integers(0, 2**31), st.integers(2, 200))
def test_bytes_are_off_by_half_a_step_at_most(seed, d):
    x = vectors.unit(rows(20, d, seed)[:, :d])
    for code in (vectors.ByteCode.plain(d), vectors.ByteCode.fit(x)):
        bytes_ = code.encode(x)
        step = (code.high - code.low) / 255
        there = code.low + bytes_ * step
        assert (np.abs(there - x) <= step / 2 + 1e-5).all()
        assert (code.encode(there) == bytes_).all()
        np.testing.assert_allclose(code.decode(bytes_), vectors.unit(there), atol=1e-5)
    assert code.decode(bytes_[:0]).shape == (0, d)


@pytest.mark.parametrize(
    "call",
    [
        lambda: vectors.ByteCode(np.zeros(2), np.zeros(2)),
        lambda: vectors.ByteCode(np.zeros(2), np.ones(3)),
        lambda: vectors.ByteCode.fit(np.ones((1, 3))),
        lambda: vectors.ByteCode.fit(np.ones((4, 3)), room=-0.1),
        lambda: vectors.ByteCode.plain(3).encode(np.ones((2, 4))),
        lambda: vectors.ByteCode.plain(3).encode([[0, np.nan, 0]]),
        lambda: vectors.ByteCode.plain(3).decode(np.ones((2, 3))),
        lambda: vectors.ByteCode.plain(3).decode(np.ones((2, 4), np.uint8)),
    ],
)
def test_bytes_refuse_in_words(call):
    with pytest.raises(InputError, match="expected"):
        call()

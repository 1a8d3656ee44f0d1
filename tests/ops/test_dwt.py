import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vultus.errors import InputError, UnknownMethod
from vultus.ops import dwt as op

WAVELETS = st.sampled_from(op.WAVELETS)
MODES = st.sampled_from(op.MODES)

# Daubechies 1992, table 6.1, whose h sums to sqrt(2); in the order of the synthesis.
# fmt: off
PUBLISHED = {
    "db2": (0.4829629131445341, 0.8365163037378077, 0.2241438680420134, -0.1294095225512603),
    "db3": (0.3326705529500825, 0.8068915093110924, 0.4598775021184914, -0.1350110200102546,
            -0.0854412738820267, 0.0352262918857095),
    "db4": (0.2303778133088964, 0.7148465705529154, 0.6308807679298587, -0.0279837694168599,
            -0.1870348117190931, 0.0308413818355607, 0.0328830116668852, -0.0105974017850690),
}
# fmt: on


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(scale=50, size=shape)


def test_filters_are_those_of_the_table():
    for name, taps in PUBLISHED.items():
        np.testing.assert_allclose(op.filters(name)[0][::-1], taps, atol=2e-12)
    np.testing.assert_allclose(op.filters("haar")[0], [math.sqrt(0.5)] * 2, atol=1e-15)


def test_filters_are_those_of_the_closed_forms():
    root = math.sqrt(3)
    by_hand = np.array([1 + root, 3 + root, 3 - root, 1 - root]) / (4 * math.sqrt(2))
    np.testing.assert_allclose(op.filters("db2")[0][::-1], by_hand, atol=1e-15)
    ten, both = math.sqrt(10), math.sqrt(5 + 2 * math.sqrt(10))
    by_hand = np.array([1 + ten + both, 5 + ten + 3 * both, 10 - 2 * ten + 2 * both, 10 - 2 * ten - 2 * both])
    np.testing.assert_allclose(op.filters("db3")[0][::-1][:4], by_hand / (16 * math.sqrt(2)), atol=1e-14)


@pytest.mark.parametrize("name", op.WAVELETS)
def test_filters_are_orthonormal_and_blind_to_polynomials(name):
    low, high = op.filters(name)
    assert low.sum() == pytest.approx(math.sqrt(2))
    for shift in range(0, len(low), 2):
        end = len(low) - shift
        assert low[shift:] @ low[:end] == pytest.approx(float(shift == 0), abs=1e-12)
        assert high[shift:] @ high[:end] == pytest.approx(float(shift == 0), abs=1e-12)
        assert low[shift:] @ high[:end] == pytest.approx(0, abs=1e-12)
    for power in range(len(low) // 2):  # as many vanishing moments as half the taps
        assert high @ np.arange(len(low)) ** power == pytest.approx(0, abs=1e-9)


# What PyWavelets prints in its documentation ("DWT and IDWT", "Signal Extension Modes").
@pytest.mark.parametrize(
    ("x", "wavelet", "mode", "a", "d"),
    [
        (
            (3, 7, 1, 1, -2, 5, 4, 6),
            "db2",
            "symmetric",
            (5.65685425, 7.39923721, 0.22414387, 3.33677403, 7.77817459),
            (-2.44948974, -1.60368225, -4.44140056, -0.41361256, 1.22474487),
        ),
        (
            (1, 2, 1, 5, -1, 8, 4, 6),
            "db2",
            "symmetric",
            (1.76776695, 1.73309178, 3.40612438, 6.32928585, 7.77817459),
            (-0.61237244, -2.15599552, -5.95034847, -1.21545369, 1.22474487),
        ),
        (
            (1, 2, 3, 4, 5, 6),
            "haar",
            "symmetric",
            (2.12132034, 4.94974747, 7.77817459),
            (-0.70710678, -0.70710678, -0.70710678),
        ),
    ],
)
def test_numbers_are_those_of_pywavelets(x, wavelet, mode, a, d):
    found = op.dwt(x, wavelet, mode)
    np.testing.assert_allclose(found[0], a, atol=1e-7)
    np.testing.assert_allclose(found[1], d, atol=1e-7)


def test_synthesis_is_that_of_pywavelets():
    zero = [0, 0, 0, 0]
    expected = [1.19006969, 1.54362308, 0.44828774, -0.25881905, 0.48296291, 0.8365163]
    np.testing.assert_allclose(op.idwt([1, 2, 0, 1], zero, "db2", "symmetric"), expected, atol=1e-7)
    expected = [0.57769726, -0.93125065, 1.67303261, -0.96592583, -0.12940952, -0.22414387]
    np.testing.assert_allclose(op.idwt(zero, [1, 2, 0, 1], "db2", "symmetric"), expected, atol=1e-7)


def test_a_plane_by_hand():
    bands = op.dwt2([[1, 3], [5, 11]])
    assert [float(band[0, 0]) for band in bands] == pytest.approx([10, -6, -4, 2])  # sums of four, halved
    rows = op.dwt2([[9, 9], [1, 1]])
    assert float(rows.h[0, 0]) == pytest.approx(8)  # a horizontal edge, dark below
    assert float(rows.v[0, 0]) == pytest.approx(0)


@given(st.integers(1, 33), st.integers(1, 18), WAVELETS, MODES, st.integers(0, 10**6))
def test_planes_come_back(height, width, wavelet, mode, seed):
    x = numbers(2, height, width, seed=seed)
    bands = op.dwt2(x, wavelet, mode)
    assert len({band.shape for band in bands}) == 1
    np.testing.assert_allclose(op.idwt2(bands, wavelet, mode, size_hw=(height, width)), x, atol=1e-9)
    one = op.dwt2(x[1], wavelet, mode)
    for band, alone in zip(bands, one, strict=True):
        np.testing.assert_array_equal(band[1], alone)


@given(st.integers(1, 12), WAVELETS, st.integers(0, 10**6))
def test_periodic_is_orthonormal(half, wavelet, seed):
    a, d = op.dwt(np.eye(2 * half), wavelet, axis=0)
    matrix = np.concatenate([a, d])
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(2 * half), atol=1e-11)
    x = numbers(2 * half, seed=seed)
    np.testing.assert_allclose(op.idwt(*op.dwt(x, wavelet), wavelet), x, atol=1e-10)


def test_lengths_and_the_edges():
    line = np.arange(20.0)
    for moments, wavelet in enumerate(op.WAVELETS, 1):
        assert len(op.dwt(line, wavelet)[0]) == 10
        assert len(op.dwt(line, wavelet, "symmetric")[0]) == (20 + 2 * moments - 1) // 2
        np.testing.assert_allclose(op.dwt(np.full(20, 7.0), wavelet, "symmetric")[1], 0, atol=1e-9)
    jump, mirror = (np.abs(op.dwt(line, "db2", mode)[1]) for mode in op.MODES)
    assert jump.max() > 5 > mirror.max()  # the line begins again after its end
    np.testing.assert_allclose(op.dwt([1, 2, 5], "haar")[1], [-math.sqrt(0.5), 0], atol=1e-12)


def test_level_three_of_haar_is_a_thumbnail():
    plane = numbers(16, 24)
    a = plane
    for _ in range(3):
        a = op.dwt2(a).a
    np.testing.assert_allclose(a / 8, plane.reshape(2, 8, 3, 8).mean(axis=(1, 3)), atol=1e-10)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: op.filters("db9"), UnknownMethod),
        (lambda: op.dwt([1, 2], mode="zero"), UnknownMethod),
        (lambda: op.idwt([1], [2], mode="zero"), UnknownMethod),
        (lambda: op.dwt([1.0, np.nan]), InputError),
        (lambda: op.dwt([]), InputError),
        (lambda: op.dwt("haar"), InputError),
        (lambda: op.dwt(3.0), InputError),
        (lambda: op.dwt([1, 2], axis=1), InputError),
        (lambda: op.idwt([1, 2], [1]), InputError),
        (lambda: op.idwt([1, 2], [1, 2], n=2), InputError),
        (lambda: op.idwt([1], [1], "db4", "symmetric"), InputError),
        (lambda: op.dwt2([1, 2]), InputError),
        (lambda: op.idwt2(op.dwt2(np.ones((4, 4))), size_hw=(4, 5)), InputError),
    ],
)
def test_bad_input(call, error):
    with pytest.raises(error, match=r"expected|unknown|wavelet|mode"):
        call()

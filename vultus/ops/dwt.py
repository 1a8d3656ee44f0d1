"""Discrete wavelet transforms of lines and planes: Haar and Daubechies' db2 to db4, periodic or symmetric at the edges.

The filters are Daubechies' of extremal phase ("Ten Lectures on Wavelets", 1992, section 6.1 and table 6.1), found as
roots. Order and signs are those of PyWavelets: detail is positive where a line falls.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError, UnknownMethod

__all__ = ["MODES", "WAVELETS", "Bands", "dwt", "dwt2", "filters", "idwt", "idwt2"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

WAVELETS: tuple[str, ...] = ("haar", "db2", "db3", "db4")
"""Names of the wavelets: Haar, and Daubechies' with 2, 3 and 4 vanishing moments."""

MODES: tuple[str, ...] = ("periodic", "symmetric")
"""What lies beyond the edges: the line again (orthonormal, half as long), or its mirror image (longer, no jump)."""


class Bands(NamedTuple):
    """The four subbands of one level; each is (..., h, w).

    Attributes:
        a: approximation, low frequencies both ways.
        h: detail between rows: answers to horizontal edges.
        v: detail between columns: answers to vertical edges.
        d: detail both ways.
    """

    a: F64
    h: F64
    v: F64
    d: F64


@lru_cache(maxsize=8)
def filters(wavelet: str) -> tuple[F64, F64]:
    """The two filters of an orthonormal wavelet.

    Args:
        wavelet: one of `WAVELETS`.

    Returns:
        Low and high pass of the analysis, each (2 moments,) and read-only; those of the synthesis are the same,
        reversed. The low pass sums to sqrt(2).

    Raises:
        UnknownMethod: if there is no such wavelet.
    """
    if wavelet not in WAVELETS:
        raise UnknownMethod(str(wavelet), WAVELETS, what="wavelet")
    moments = WAVELETS.index(wavelet) + 1
    halfband = [math.comb(moments - 1 + k, k) for k in reversed(range(moments))]  # in y = sin(w / 2) squared
    inner = [min(np.roots([1.0, 4.0 * y - 2.0, 1.0]), key=abs) for y in np.roots(halfband)]  # z + 1/z = 2 - 4y
    synthesis = np.poly([-1.0] * moments + inner).real
    low = synthesis[::-1] * (math.sqrt(2.0) / synthesis.sum())
    high = low[::-1] * (-1.0) ** (1 + np.arange(len(low)))
    low.setflags(write=False)
    high.setflags(write=False)
    return low, high


def dwt(x: ArrayLike, wavelet: str = "haar", mode: str = "periodic", *, axis: int = -1) -> tuple[F64, F64]:
    """One level along one axis.

    Args:
        x: (..., n, ...) numbers, n at least 1.
        wavelet: one of `WAVELETS`.
        mode: one of `MODES`.
        axis: along which.

    Returns:
        Approximation and detail: n / 2 long, rounded up, when periodic (a line of odd length is continued by its last
        number); (n + taps - 1) / 2, rounded down, when symmetric.

    Raises:
        InputError: if x holds no finite numbers or has no such axis.
        UnknownMethod: if there is no such wavelet or mode.
    """
    values = _numbers("x", x)
    if not -values.ndim <= axis < values.ndim or values.shape[axis] < 1:
        raise InputError(f"x: expected numbers along axis {axis}, got shape {values.shape}")
    low, high = filters(wavelet)
    last = values.swapaxes(axis, -1)
    places = _places(last.shape[-1], len(low), mode)
    bands = [np.zeros((*last.shape[:-1], len(places))) for _ in range(2)]
    for tap in range(len(low)):  # one pass a tap: no copy of the line for each coefficient
        part = last[..., places[:, tap]]
        bands[0] += low[tap] * part
        bands[1] += high[tap] * part
    return bands[0].swapaxes(axis, -1), bands[1].swapaxes(axis, -1)


def idwt(
    a: ArrayLike, d: ArrayLike, wavelet: str = "haar", mode: str = "periodic", *, axis: int = -1, n: int | None = None
) -> F64:
    """Undo `dwt`.

    Args:
        a: (..., m, ...) approximation.
        d: detail, same shape.
        wavelet: as in `dwt`.
        mode: as in `dwt`.
        axis: along which.
        n: length of the line; None means the longest that has m coefficients, which is even.

    Returns:
        (..., n, ...).

    Raises:
        InputError: if the shapes differ or m does not belong to n.
        UnknownMethod: if there is no such wavelet or mode.
    """
    low, high = filters(wavelet)
    approximation, detail = _numbers("a", a), _numbers("d", d)
    if approximation.shape != detail.shape or not -approximation.ndim <= axis < approximation.ndim:
        raise InputError(
            f"d: expected the shape of a with an axis {axis}, got {detail.shape} beside {approximation.shape}"
        )
    count = approximation.shape[axis]
    taps = len(low)
    longest = 2 * count if _known(mode) == "periodic" else 2 * count - taps + 2
    length = longest if n is None else n
    if length not in (longest, longest - 1) or length < 1:
        raise InputError(f"n: expected {longest - 1} or {longest} for {count} coefficients, got {length}")
    pair = [band.swapaxes(axis, -1) for band in (approximation, detail)]
    margin = 0 if mode == "periodic" else taps  # what a mirror image has on the left; periodic lines wrap around
    out = np.zeros((*pair[0].shape[:-1], 2 * count + 2 * margin))
    for tap in range(taps):
        to = (_first(taps, mode) - tap + 2 * np.arange(count) + margin) % out.shape[-1]
        out[..., to] += low[tap] * pair[0] + high[tap] * pair[1]
    return np.ascontiguousarray(out[..., margin : margin + length].swapaxes(axis, -1))


def dwt2(x: ArrayLike, wavelet: str = "haar", mode: str = "periodic") -> Bands:
    """One level of planes, both ways; the next level is that of the approximation.

    Args:
        x: (..., H, W) numbers.
        wavelet: one of `WAVELETS`.
        mode: one of `MODES`.

    Returns:
        Four subbands with sides as `dwt` has them. One of Haar's approximation is twice the mean of a square of 2 x 2.

    Raises:
        InputError: if x holds no finite numbers or is no plane.
        UnknownMethod: if there is no such wavelet or mode.
    """
    values = _numbers("x", x)
    if values.ndim < 2 or 0 in values.shape[-2:]:
        raise InputError(f"x: expected (..., H, W) with at least one pixel, got shape {values.shape}")
    a_rows, d_rows = dwt(values, wavelet, mode, axis=-2)
    (a, v), (h, d) = dwt(a_rows, wavelet, mode), dwt(d_rows, wavelet, mode)
    return Bands(a, h, v, d)


def idwt2(
    bands: Bands, wavelet: str = "haar", mode: str = "periodic", *, size_hw: tuple[int, int] | None = None
) -> F64:
    """Undo `dwt2`.

    Args:
        bands: four subbands of one shape.
        wavelet: as in `dwt2`.
        mode: as in `dwt2`.
        size_hw: height and width of the plane; None means the largest that has these subbands, which is even.

    Returns:
        (..., H, W).

    Raises:
        InputError: if the shapes differ or do not belong to the size.
        UnknownMethod: if there is no such wavelet or mode.
    """
    height, width = (None, None) if size_hw is None else size_hw
    a_rows = idwt(bands.a, bands.v, wavelet, mode, n=width)
    d_rows = idwt(bands.h, bands.d, wavelet, mode, n=width)
    return idwt(a_rows, d_rows, wavelet, mode, axis=-2, n=height)


@lru_cache(maxsize=64)
def _places(n: int, taps: int, mode: str) -> I64:
    """(m, taps): which number of a line of n is weighted by which tap for each coefficient."""
    even = n + n % 2
    count = even // 2 if _known(mode) == "periodic" else (n + taps - 1) // 2
    places: I64 = _first(taps, mode) + 2 * np.arange(count)[:, None] - np.arange(taps)
    if mode == "periodic":
        places = np.minimum(places % even, n - 1)  # the added number of an odd line is its last
    else:
        places = places % (2 * n)
        places = np.where(places < n, places, 2 * n - 1 - places)
    places.setflags(write=False)
    return places


def _first(taps: int, mode: str) -> int:
    """Which number the first tap of the first coefficient weights."""
    return taps // 2 if mode == "periodic" else 1


def _known(mode: str) -> str:
    if mode not in MODES:
        raise UnknownMethod(str(mode), MODES, what="mode")
    return mode


def _numbers(name: str, x: ArrayLike) -> F64:
    array = np.asarray(x)
    if array.dtype.kind not in "fiub" or array.ndim < 1:
        raise InputError(f"{name}: expected an array of real numbers, got {array.dtype} of shape {array.shape}")
    values = array.astype(np.float64)
    if not np.isfinite(values).all():
        raise InputError(f"{name}: expected finite numbers, got NaN or infinity")
    return values

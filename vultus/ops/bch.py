"""BCH(127, 64): 64 bits as 127, of which any 10 may be wrong (doi:10.1016/S0019-9958(60)90287-4).

Narrow sense, over GF(2^7) made by x^7 + x^3 + 1. Decoding is that of a bounded distance: what lies farther than 10 bits
from every code word is refused. A random word lies near one with probability 2.6e-5.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError

__all__ = ["CAPACITY", "LENGTH", "MESSAGE", "decode", "encode"]

LENGTH, MESSAGE, CAPACITY = 127, 64, 10
_FIELD = 0b10001001
Bits = NDArray[np.bool_]


def encode(message: Any) -> Bits:
    """The code word of 64 bits.

    Args:
        message: (64,) zeros and ones.

    Returns:
        (127,) the message, then 63 check bits.

    Raises:
        InputError: another shape, or other numbers.
    """
    bits = _bits("message", message, MESSAGE)
    value = _number(bits) << (LENGTH - MESSAGE)
    rest, generator = value, _generator()
    for place in range(LENGTH - 1, LENGTH - MESSAGE - 1, -1):
        if rest >> place & 1:
            rest ^= generator << (place - (LENGTH - MESSAGE))
    return _as_bits(value | rest)


def decode(word: Any) -> tuple[Bits, int] | None:
    """The nearest message, if one lies within 10 bits.

    Args:
        word: (127,) zeros and ones.

    Returns:
        (64,) bits and how many of the 127 were wrong, or None.

    Raises:
        InputError: another shape, or other numbers.
    """
    bits = _bits("word", word, LENGTH)
    exp, _ = _tables()
    powers = LENGTH - 1 - np.flatnonzero(bits)  # of x: the first bit is the highest coefficient
    syndromes = [int(np.bitwise_xor.reduce(exp[j * powers % LENGTH], initial=0)) for j in range(1, 2 * CAPACITY + 1)]
    if not any(syndromes):
        return bits[:MESSAGE], 0
    locator = _berlekamp_massey(syndromes)
    if len(locator) - 1 > CAPACITY:
        return None
    wrong = np.flatnonzero(_values(locator) == 0)
    if len(wrong) != len(locator) - 1:
        return None
    bits[wrong] ^= True
    return bits[:MESSAGE], len(wrong)


@lru_cache(maxsize=1)
def _tables() -> tuple[NDArray[np.int64], list[int]]:
    """Powers of alpha, and the power that each element is."""
    exp, log, value = np.zeros(LENGTH, np.int64), [0] * (LENGTH + 1), 1
    for power in range(LENGTH):
        exp[power], log[value] = value, power
        value <<= 1
        if value > LENGTH:
            value ^= _FIELD
    return exp, log


def _times(a: int, b: int) -> int:
    exp, log = _tables()
    return int(exp[(log[a] + log[b]) % LENGTH]) if a and b else 0


@lru_cache(maxsize=1)
def _generator() -> int:
    """Product of x - alpha^j over the conjugates of alpha^1 to alpha^20, as bits."""
    exp, _ = _tables()
    roots = sorted({j << k for j in range(1, 2 * CAPACITY + 1) for k in range(7)}, key=int)
    product = [1]  # lowest coefficient first
    for root in sorted({root % LENGTH for root in roots}):
        product = [a ^ _times(b, int(exp[root])) for a, b in zip([0, *product], [*product, 0], strict=True)]
    return sum(bit << place for place, bit in enumerate(product))


def _berlekamp_massey(syndromes: list[int]) -> list[int]:
    """Shortest polynomial, lowest coefficient first, whose recurrence gives the syndromes."""
    exp, log = _tables()
    now, before, length, gap, last = [1], [1], 0, 1, 1
    for n, syndrome in enumerate(syndromes):
        off = syndrome
        for i in range(1, min(length, len(now) - 1) + 1):
            off ^= _times(now[i], syndromes[n - i])
        if off == 0:
            gap += 1
            continue
        factor = int(exp[(log[off] - log[last]) % LENGTH])
        shifted = [0] * gap + [_times(factor, c) for c in before]
        size = max(len(now), len(shifted))
        mixed = [(now[i] if i < len(now) else 0) ^ (shifted[i] if i < len(shifted) else 0) for i in range(size)]
        if 2 * length <= n:
            before, length, gap, last = now, n + 1 - length, 1, off
        else:
            gap += 1
        now = mixed
    while now[-1] == 0:
        now.pop()
    return now if len(now) - 1 == length else [1] * (2 * CAPACITY)  # degenerate: no locator of that degree


def _values(polynomial: list[int]) -> NDArray[np.int64]:
    """(127,) the polynomial at alpha^1 to alpha^127: 0 where the bit of that place is wrong."""
    exp, log = _tables()
    powers = np.arange(1, LENGTH + 1)
    total = np.zeros(LENGTH, np.int64)
    for degree, c in enumerate(polynomial):
        if c:
            total ^= exp[(log[c] + powers * degree) % LENGTH]
    return total


def _bits(name: str, values: Any, count: int) -> Bits:
    array = np.array(values)
    if array.shape != (count,) or not ((array == 0) | (array == 1)).all():
        raise InputError(f"{name}: expected {count} zeros and ones, got shape {array.shape}")
    return array.astype(np.bool_)


def _number(bits: Bits) -> int:
    return int("".join("01"[int(bit)] for bit in bits), 2)


def _as_bits(value: int) -> Bits:
    return np.array([value >> place & 1 for place in range(LENGTH - 1, -1, -1)], np.bool_)

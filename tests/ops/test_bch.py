"""BCH(127, 64): every pattern of up to ten wrong bits is corrected, and nothing else is made up."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vultus.errors import InputError
from vultus.ops import bch

messages = st.integers(0, 2**64 - 1).map(lambda value: [value >> k & 1 for k in range(64)])


def test_the_generator_is_the_published_one():
    # Lin & Costello, Error Control Coding, appendix C: BCH (127, 64), t = 10, in octal.
    assert oct(bch._generator())[2:] == "1206534025570773100045"


@settings(max_examples=60)
@given(messages, st.integers(0, 10), st.integers(0, 2**32))
def test_up_to_ten_wrong_bits_are_corrected(message, wrong, seed):
    word = bch.encode(message)
    assert word[:64].tolist() == [bool(bit) for bit in message]
    word[np.random.default_rng(seed).choice(127, wrong, replace=False)] ^= True
    found = bch.decode(word)
    assert found is not None
    assert found[0].astype(int).tolist() == message
    assert found[1] == wrong


@pytest.mark.parametrize("burst", range(0, 118, 13))
def test_ten_in_a_row_are_corrected(burst):
    word = bch.encode([1] * 64)
    word[burst : burst + 10] ^= True
    found = bch.decode(word)
    assert found is not None
    assert found[0].all()


def test_what_lies_beyond_is_refused():
    rng = np.random.default_rng(0)
    for wrong in (11, 12, 15, 20, 40, 63):
        for _ in range(40):
            word = bch.encode(rng.integers(0, 2, 64))
            word[rng.choice(127, wrong, replace=False)] ^= True
            assert bch.decode(word) is None
    share = sum(comb(127, k) for k in range(11)) / 2**63
    assert share == pytest.approx(2.6e-5, rel=0.1)  # of all words that lie near a code word, as the docstring says
    assert sum(bch.decode(rng.integers(0, 2, 127)) is not None for _ in range(300)) == 0


def test_the_sum_of_two_words_is_a_word_of_at_least_21_ones():
    rng = np.random.default_rng(1)
    for _ in range(100):
        a, b = bch.encode(rng.integers(0, 2, 64)), bch.encode(rng.integers(0, 2, 64))
        both = a ^ b
        assert both.sum() >= 21
        assert (bch.encode(both[:64]) == both).all()


@pytest.mark.parametrize(("call", "count"), [(bch.encode, 64), (bch.decode, 127)])
def test_refusals(call, count):
    for wrong in (np.zeros(count - 1), np.full(count, 2), np.zeros((1, count))):
        with pytest.raises(InputError, match=f"expected {count} zeros and ones"):
            call(wrong)

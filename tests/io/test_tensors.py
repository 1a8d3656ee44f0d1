"""Arrays as safetensors: read back, laid out as the format says, and damage is a StoreError."""

from __future__ import annotations

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vultus.errors import InputError, StoreError
from vultus.io.tensors import pack, unpack

KINDS = st.sampled_from(["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u1", ">f4"])


@given(
    st.dictionaries(
        st.text(max_size=8), hnp.arrays(KINDS, hnp.array_shapes(min_dims=0, min_side=0, max_side=4)), max_size=4
    )
)
def test_what_is_packed_is_unpacked(arrays):
    found, words = unpack(pack(arrays, {"a": "b", "ü": ""}))
    assert words == {"a": "b", "ü": ""}
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        assert found[name].shape == array.shape
        np.testing.assert_array_equal(found[name], array)


def test_the_layout_is_the_published_one():
    data = pack({"b": np.array([[1.0, 2.0]], np.float32), "a": np.array([7], np.int64)}, {"k": "v"})
    length = int.from_bytes(data[:8], "little")
    assert (8 + length) % 8 == 0
    assert json.loads(data[8 : 8 + length]) == {
        "__metadata__": {"k": "v"},
        "a": {"dtype": "I64", "shape": [1], "data_offsets": [0, 8]},
        "b": {"dtype": "F32", "shape": [1, 2], "data_offsets": [8, 16]},
    }
    assert data[8 + length :] == np.int64(7).tobytes() + np.array([1, 2], np.float32).tobytes()


def whole() -> bytes:
    return pack({"a": np.arange(6, dtype=np.float32).reshape(2, 3)}, {"k": "v"})


def changed(old: bytes, new: bytes) -> bytes:
    head = whole().replace(old, new)
    length = head.index(b"}", head.rindex(b"]")) + 2 - 8
    return (len(head) - 8 - 24).to_bytes(8, "little") + head[8:] if length else head


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 8,
        (1 << 62).to_bytes(8, "little") + b"{}",
        whole()[:-1],
        whole() + b"\0",
        changed(b"F32", b"F99"),
        changed(b"[2,3]", b"[2,4]"),
        changed(b"[2,3]", b"[-2,-3]"),
        changed(b"[0,24]", b"[8,32]"),
        changed(b"[0,24]", b'["0",24]'),
        changed(b'"v"', b"[1]"),
        changed(b'"a":{', b'"a":{"x":'),
    ],
)
def test_damage_is_a_store_error(data):
    with pytest.raises(StoreError, match="safetensors"):
        unpack(data)


@given(st.integers(0, 300), st.integers(0, 255))
def test_a_changed_byte_is_read_or_refused_in_words(place, value):
    data = bytearray(whole())
    data[place % len(data)] = value
    with contextlib.suppress(StoreError):
        unpack(bytes(data))


def test_what_the_format_does_not_hold():
    with pytest.raises(InputError, match="expected an array"):
        pack({"a": np.array(["x"])}, {})
    with pytest.raises(InputError, match="expected an array"):
        pack({"__metadata__": np.zeros(1)}, {})

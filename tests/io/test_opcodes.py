"""Pickle opcodes: what Python writes is read at every protocol, and nothing but values can come of any stream."""

from __future__ import annotations

import struct
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vultus.errors import InputError
from vultus.io.opcodes import interpret

# What CPython 3.11 wrote for ([b"\xff\xd8\x80", b""], [True, False]) at protocols 2 to 5.
PAIR = {
    2: b"\x80\x02]q\x00(c_codecs\nencode\nq\x01X\x06\x00\x00\x00\xc3\xbf\xc3\x98\xc2\x80q\x02X\x06\x00\x00\x00latin1q"
    b"\x03\x86q\x04Rq\x05c__builtin__\nbytes\nq\x06)Rq\x07e]q\x08(\x88\x89e\x86q\t.",
    3: b"\x80\x03]q\x00(C\x03\xff\xd8\x80q\x01C\x00q\x02e]q\x03(\x88\x89e\x86q\x04.",
    4: b"\x80\x04\x95\x16\x00\x00\x00\x00\x00\x00\x00]\x94(C\x03\xff\xd8\x80\x94C\x00\x94e]\x94(\x88\x89e\x86\x94.",
    5: b"\x80\x05\x95\x16\x00\x00\x00\x00\x00\x00\x00]\x94(C\x03\xff\xd8\x80\x94C\x00\x94e]\x94(\x88\x89e\x86\x94.",
}
# And with numpy for [np.array([[1, 2, 3]], np.uint8), np.bool_(True)]; protocols 2 and 3 with the names of numpy 1.
NUMBERS = {
    2: b"\x80\x02]q\x00(cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85q\x03c_codecs\ne"
    b"ncode\nq\x04X\x01\x00\x00\x00bq\x05X\x06\x00\x00\x00latin1q\x06\x86q\x07Rq\x08\x87q\tRq\n(K\x01K\x01K\x03"
    b"\x86q\x0bcnumpy\ndtype\nq\x0cX\x02\x00\x00\x00u1q\r\x89\x88\x87q\x0eRq\x0f(K\x03X\x01\x00\x00\x00|q\x10NN"
    b"NJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x11b\x89h\x04X\x03\x00\x00\x00\x01\x02\x03q\x12h\x06\x86q\x13R"
    b"q\x14tq\x15bcnumpy.core.multiarray\nscalar\nq\x16h\x0cX\x02\x00\x00\x00b1q\x17\x89\x88\x87q\x18Rq\x19(K"
    b"\x03h\x10NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x1abh\x04X\x01\x00\x00\x00\x01q\x1bh\x06\x86q\x1cRq"
    b"\x1d\x86q\x1eRq\x1fe.",
    3: b"\x80\x03]q\x00(cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85q\x03C\x01bq\x04"
    b"\x87q\x05Rq\x06(K\x01K\x01K\x03\x86q\x07cnumpy\ndtype\nq\x08X\x02\x00\x00\x00u1q\t\x89\x88\x87q\nRq\x0b(K"
    b"\x03X\x01\x00\x00\x00|q\x0cNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\rb\x89C\x03\x01\x02\x03q\x0etq"
    b"\x0fbcnumpy.core.multiarray\nscalar\nq\x10h\x08X\x02\x00\x00\x00b1q\x11\x89\x88\x87q\x12Rq\x13(K\x03h\x0c"
    b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x14bC\x01\x01q\x15\x86q\x16Rq\x17e.",
    4: b"\x80\x04\x95\xcb\x00\x00\x00\x00\x00\x00\x00]\x94(\x8c\x16numpy._core.multiarray\x94\x8c\x0c_reconstruct"
    b"\x94\x93\x94\x8c\x05numpy\x94\x8c\x07ndarray\x94\x93\x94K\x00\x85\x94C\x01b\x94\x87\x94R\x94(K\x01K\x01K"
    b"\x03\x86\x94h\x04\x8c\x05dtype\x94\x93\x94\x8c\x02u1\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01|\x94NNNJ\xff"
    b"\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94b\x89C\x03\x01\x02\x03\x94t\x94bh\x01\x8c\x06scalar\x94\x93\x94h\r"
    b"\x8c\x02b1\x94\x89\x88\x87\x94R\x94(K\x03h\x11NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94bC\x01\x01"
    b"\x94\x86\x94R\x94e.",
    5: b"\x80\x05\x95\xcd\x00\x00\x00\x00\x00\x00\x00]\x94(\x8c\x13numpy._core.numeric\x94\x8c\x0b_frombuffer\x94"
    b"\x93\x94(\x96\x03\x00\x00\x00\x00\x00\x00\x00\x01\x02\x03\x94\x8c\x05numpy\x94\x8c\x05dtype\x94\x93\x94"
    b"\x8c\x02u1\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01|\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94bK"
    b"\x01K\x03\x86\x94\x8c\x01C\x94t\x94R\x94\x8c\x16numpy._core.multiarray\x94\x8c\x06scalar\x94\x93\x94h\x07"
    b"\x8c\x02b1\x94\x89\x88\x87\x94R\x94(K\x03h\x0bNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94bC\x01\x01"
    b"\x94\x86\x94R\x94e.",
}
DTYPE = b"cnumpy\ndtype\n\x8c\x02%s\x89\x88\x87R(K\x03\x8c\x01%sNNNK\x00K\x00K\x00tb"
KEYS = st.one_of(st.text(max_size=3), st.binary(max_size=3), st.integers(-(2**50), 2**50), st.booleans())
VALUES = st.recursive(
    st.one_of(
        *(st.none(), st.booleans(), st.text(max_size=4), st.binary(max_size=300)),
        st.integers(-(2**200), 2**200),
        st.floats(allow_nan=False),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(KEYS, inner, max_size=3),
    ),
    max_leaves=12,
)


def opcodes(value) -> bytes:
    """A writer of our own, small: protocol 4 without memory."""
    if value is None or value is True or value is False:
        return {None: b"N", True: b"\x88", False: b"\x89"}[value]
    if isinstance(value, int):
        size = value.bit_length() // 8 + 1
        return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, str):
        data = value.encode()
        return b"X" + struct.pack("<I", len(data)) + data
    if isinstance(value, bytes):
        return b"B" + struct.pack("<I", len(value)) + value
    if isinstance(value, dict):
        return b"}(" + b"".join(opcodes(k) + opcodes(v) for k, v in value.items()) + b"u"
    inside = b"(" + b"".join(map(opcodes, value))
    return inside + b"t" if isinstance(value, tuple) else b"]" + inside + b"e"


@given(VALUES)
@settings(max_examples=80)
def test_any_plain_value_comes_back(value):
    found = interpret(b"\x80\x04" + opcodes(value) + b".")
    assert (repr(found), found) == (repr(value), value)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_what_python_writes(protocol):
    assert interpret(PAIR[protocol]) == ([b"\xff\xd8\x80", b""], [True, False])
    array, flag = interpret(NUMBERS[protocol])
    assert flag is True
    assert array.dtype == np.uint8
    np.testing.assert_array_equal(array, [[1, 2, 3]])
    assert not array.flags.writeable


@pytest.mark.parametrize(
    ("stream", "value"),
    [
        (b"\x80\x02(U\x02\xff\x00T\x01\x00\x00\x00ztq\x01.", (b"\xff\x00", b"z")),  # strings of Python 2
        (b"(I01\nI00\nI-7\nL12L\nF1.5\nl.", [True, False, -7, 12, 1.5]),
        (b"\x8d\x01\x00\x00\x00\x00\x00\x00\x00a.", "a"),
        (b"\x8e\x01\x00\x00\x00\x00\x00\x00\x00a.", b"a"),
        (b"\x8b\x02\x00\x00\x00\x00\x80.", -32768),
        (b"(J\xff\xff\xff\xffK\xffM\xff\xffG?\xf8\x00\x00\x00\x00\x00\x00t.", (-1, 255, 65535, 1.5)),
        (b"(NN1K\x05.", 5),
        (b"K\x01K\x020.", 1),
        (b"K\x012\x86.", (1, 1)),
        (b"}\x8c\x01aK\x01s.", {"a": 1}),
        (b"]K\x01ar\x01\x00\x00\x00K\x02aj\x01\x00\x00\x00\x86.", ([1, 2], [1, 2])),
        (b"(K\x01\x94K\x02\x94h\x00h\x01t.", (1, 2, 1, 2)),
        (b"(X\x01\x00\x00\x00aK\x01d.", {"a": 1}),
    ],
)
def test_opcodes_by_hand(stream, value):
    assert interpret(stream) == value


@pytest.mark.parametrize("kind", ["b1", "u2", "i4", "i8", "f2", "f4", "f8"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("columns", [False, True])
def test_arrays_of_every_kind(kind, order, columns):
    array = np.arange(6).reshape(2, 3).astype(order + kind)
    data = array.tobytes("F" if columns else "C")
    dtype = DTYPE % (kind.encode(), order.encode())
    stream = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
    stream += b"(K\x01K\x02K\x03\x86" + dtype + (b"\x88" if columns else b"\x89") + opcodes(data) + b"tb."
    np.testing.assert_array_equal(interpret(stream), array)
    scalar = b"cnumpy.core.multiarray\nscalar\n" + dtype + opcodes(array[1:, 2].tobytes()) + b"\x86R."
    found = interpret(scalar)
    assert type(found) in (bool, int, float)
    assert found == array[1, 2].item()


def frombuffer(data: bytes, shape: bytes, kind: bytes = b"u1") -> bytes:
    return b"cnumpy\n_frombuffer\n(" + opcodes(data) + DTYPE % (kind, b"|") + shape + b"\x8c\x01CtR."


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        (frombuffer(b"abc", b"K\x04\x85"), "4 numbers in 3 bytes"),
        (frombuffer(b"", b"K\x00\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x86"), "impossible shape"),
        (frombuffer(b"", b"K\x00" + b"\x8a\x06\xff\xff\xff\xff\xff\x7f" * 2 + b"\x87"), "impossible shape"),
        (frombuffer(b"a", b"J\xff\xff\xff\xff\x85"), "impossible shape"),
        (frombuffer(b"a", b"(" + b"K\x01" * 9 + b"t"), "plain numbers"),
        (frombuffer(b"a" * 8, b"K\x01\x85", b"O8"), "dtype of something"),
        (frombuffer(b"a" * 8, b"N"), "plain numbers"),
        (b"cnumpy\ndtype\n\x8c\x02u1\x85R.", "a name or a part of an array"),
        (b"]cnumpy\ndtype\na.", "a name or a part of an array"),
        (b"cnumpy\nndarray\n\x85.", "a name or a part of an array"),
        (b"cnumpy\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R.", "a name or a part of an array"),
        (b"cnumpy\ndtype\n\x8c\x02u1\x85R(K\x03\x8c\x01|K\x01K\x01K\x01tb.", "not one of plain numbers"),
        (b"cnumpy\nndarray\n)R.", "ndarray of something"),
        (b"cnumpy\ndtype\n)b.", "takes none"),
        (b"]Nb.", "no tuple"),
        (b"K\x01)R.", "no name"),
    ],
)
def test_arrays_that_lie(stream, said):
    with pytest.raises(InputError, match=said):
        interpret(stream)


@pytest.mark.parametrize(
    "name",
    [
        *(b"os\nsystem\n", b"posix\nsystem\n", b"builtins\neval\n", b"__builtin__\nexec\n", b"builtins\ngetattr\n"),
        *(b"numpy\nload\n", b"numpy\nfromfile\n", b"_codecs\ndecode\n", b"codecs\nencode\n", b"numpy.core\nndarray\n"),
    ],
)
def test_any_other_name_is_refused_and_nothing_is_called(name, tmp_path):
    module, word = name.decode().split()
    target = tmp_path / "called"
    argument = opcodes(f"touch {target}")
    stacked = opcodes(module) + opcodes(word) + b"\x93"
    for stream in (b"c" + name + argument + b"\x85R.", stacked + argument + b"\x85R.", b"c" + name + b"."):
        with pytest.raises(InputError, match=f"the name {module}.{word}, which this reader refuses"):
            interpret(stream)
    assert not target.exists()


def test_a_module_that_is_named_is_not_imported():
    assert "antigravity" not in sys.modules
    with pytest.raises(InputError, match="refuses"):
        interpret(b"cantigravity\nfly\n)R.")
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        (b"", "an end after 0 of 1 bytes"),
        (b"N", "an end after 0 of 1 bytes"),
        (b".", "0 values"),
        (b"NN.", "2 values"),
        (b"(N.", "1 marks"),
        (b"N.N", "1 bytes follow"),
        (b"\x80\x06N.", "protocol 6"),
        (b"\x80\x01N.", "protocol 1"),
        (b"B\xff\xff\xff\x7fabc", "an end after 3 of 2147483647 bytes"),
        (b"\x8e" + b"\xff" * 8 + b"a", "an end after 1 of 18446744073709551615 bytes"),
        (b"\x8b\xff\xff\xff\xff", "a whole number of 4294967295 bytes"),
        (b"I" + b"9" * 100 + b"\n.", "none"),
        (b"I1_0\n.", "none"),
        (b"Fone\n.", "a number that is none"),
        (b"c" + b"a" * 1000, "longer than 128"),
        (b"c\xff\nb\n.", "not ASCII"),
        (b"\x8c\x01\xff.", "not UTF-8"),
        (b"a.", "without the values"),
        (b"N(a.", "without the values"),
        (b"e.", "without the mark"),
        (b"Na.", "without the values"),
        (b"NNa.", "no list"),
        (b"NNNs.", "no dict"),
        (b"}(Nu.", "no pairs"),
        (b"}]Ns.", "a key"),
        (b"})Ns.", "a key"),
        (b"h\x07.", "never kept"),
        (b"K\x01K\x02\x93.", "no text"),
        (b"c_codecs\nencode\nX\x02\x00\x00\x00\xc4\x80\x8c\x06latin1\x86R.", "bytes above 255"),
        (b"c_codecs\nencode\n\x8c\x01a\x8c\x05utf-8\x86R.", "encode of something"),
        *((op + b"N.", "an opcode") for op in (b"i", b"o", b"\x81", b"\x92", b"P", b"Q", b"\x82", b"\x83", b"\x84")),
        *((op + b"N.", "an opcode") for op in (b"\x97", b"\x98", b"\x8f", b"\x90", b"\x91", b"S", b"V", b"p", b"g")),
        *((op + b"N.", "does not exist") for op in (b"\x00", b"z", b"\xff")),
    ],
)
def test_streams_that_are_refused(stream, said):
    with pytest.raises(InputError, match=said):
        interpret(stream)


def test_bombs_take_no_more_than_their_own_size():
    with pytest.raises(InputError, match="more than 1000 opcodes"):
        interpret(b"}" * 5000, max_operations=1000)
    assert len(interpret(b")" + b"2\x86" * 40 + b".")) == 2  # 2**40 tuples to whom walks it, 41 in memory
    deep = interpret(b"]" + b"\x85" * 100_000 + b".")
    assert type(deep) is tuple
    assert type(interpret(b"]q\x00h\x00a.")) is list  # which holds itself
    with pytest.raises(InputError, match="a key"):
        interpret(b"}]" + b"\x85" * 100_000 + b"Ns.")
    text = b"X" + struct.pack("<I", 1000) + b"a" * 1000 + b"q\x000("
    again = b"c_codecs\nencode\nh\x00\x8c\x06latin1\x86R" * 50
    with pytest.raises(InputError, match="more bytes than the stream has"):
        interpret(text + again + b"t.")


@given(st.binary(max_size=60), st.sampled_from([*PAIR.values(), *NUMBERS.values(), b""]), st.integers(0, 400))
@settings(max_examples=300)
def test_no_stream_raises_anything_else(junk, whole, place):
    place = min(place, len(whole))
    try:
        found = interpret(whole[:place] + junk + whole[place + len(junk) :])
    except InputError:
        return
    assert isinstance(found, (bool, int, float, str, bytes, list, tuple, dict, np.ndarray, type(None)))

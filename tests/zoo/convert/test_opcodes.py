from __future__ import annotations

import os
import pickle
import struct
import tempfile
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vultus.errors import InputError
from vultus.zoo.convert import opcodes
from vultus.zoo.convert.opcodes import Name, read

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(st.text(max_size=5) | st.integers() | st.binary(max_size=3), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(value=PLAIN, protocol=st.integers(0, 5))
@example(value={"a": [1, (2, -3)], "b": None}, protocol=0)
@settings(max_examples=200, deadline=None)
def test_plain_objects_come_back_as_python_wrote_them(value, protocol):
    if protocol < 3 and _has_bytes(value):
        return  # before protocol 3 bytes are written as a call, which is refused
    assert read(BytesIO(pickle.dumps(value, protocol)), {}) == value


def _has_bytes(value):
    if isinstance(value, dict):
        return any(map(_has_bytes, value)) or any(map(_has_bytes, value.values()))
    return isinstance(value, bytes) or (isinstance(value, (list, tuple)) and any(map(_has_bytes, value)))


def test_only_one_object_is_consumed():
    stream = BytesIO(pickle.dumps([1]) + pickle.dumps("next"))
    assert read(stream, {}) == [1]
    assert read(stream, {}) == "next"


def test_a_listed_name_is_called_and_a_mentioned_one_is_not():
    names = {"collections OrderedDict": Name("collections OrderedDict", dict), "torch F": Name("torch F")}
    assert read(BytesIO(b"\x80\x02ccollections\nOrderedDict\n)R."), names) == {}
    assert read(BytesIO(b"\x80\x02ctorch\nF\n."), names) is names["torch F"]
    with pytest.raises(InputError, match="refused"):
        read(BytesIO(b"\x80\x02ctorch\nF\n)R."), names)


class Evil:
    """Writes a call of `target` into the stream, as an attacker would."""

    def __init__(self, target, *arguments):
        self.target, self.arguments = target, arguments

    def __reduce__(self):
        return self.target, self.arguments


def _payloads(witness: Path) -> dict[str, bytes]:
    shell, code = f"touch {witness}", f"open({str(witness)!r}, 'w')"
    text = str(witness).encode()
    return {
        "os.system": b"cos\nsystem\n(S'" + shell.encode() + b"'\ntR.",
        "posix by Python 4": pickle.dumps(Evil(os.system, shell), 4),
        "posix by Python 0": pickle.dumps(Evil(os.system, shell), 0),
        "eval": pickle.dumps(Evil(eval, code), 2),
        "exec": pickle.dumps(Evil(exec, code), 5),
        "getattr": pickle.dumps(Evil(getattr, "x", "upper"), 2),
        "open": pickle.dumps(Evil(open, str(witness), "w"), 3),
        "opcode INST": b"(S'" + shell.encode() + b"'\nios\nsystem\n.",
        "opcode OBJ": b"(cos\nsystem\nS'" + shell.encode() + b"'\no.",
        "opcode NEWOBJ": b"\x80\x02cpathlib\nPath\n(U" + bytes([len(text)]) + text + b"t\x81.",
        "name on the stack": b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.",
        "state of an object": b"\x80\x02cbuiltins\nobject\n)\x81}U\x01aK\x01sb.",
        "extension": b"\x80\x02\x82\x01.",
        "buffer": b"\x80\x05\x97.",
        "persistent": b"\x80\x02U\x01xQ.",
        "text persistent": b"Px\n.",
    }


@pytest.mark.parametrize("case", sorted(_payloads(Path("x"))))
def test_a_stream_that_would_run_something_is_refused_and_nothing_runs(case, tmp_path):
    witness = tmp_path / "ran"
    payload = _payloads(witness)[case]
    names = {"collections OrderedDict": Name("collections OrderedDict", dict)}
    with pytest.raises(InputError):
        read(BytesIO(payload), names)
    assert not witness.exists()


def test_the_witness_would_have_seen_it():
    """The same payload does run under Python's own loader, so the test above can fail."""
    with tempfile.TemporaryDirectory() as folder:
        witness = Path(folder) / "ran"
        pickle.loads(_payloads(witness)["os.system"])
        assert witness.exists()


def test_a_memo_index_of_four_billion_costs_nothing():
    assert read(BytesIO(b"\x80\x02]r\xff\xff\xff\xff."), {}) == []


def test_a_key_that_takes_forever_to_hash_is_refused():
    doubling = b"\x80\x02}(K\x01" + b"2\x86" * 80 + b"K\x01u."  # a pair of a pair of a pair ...
    with pytest.raises(InputError):
        read(BytesIO(doubling), {})
    nested = b"\x80\x02}(K\x01\x85" + b"q\x00h\x00\x86" * 80 + b"K\x01u."
    with pytest.raises(InputError, match="keys"):
        read(BytesIO(nested), {})


def test_nesting_deep_neither_recurses_nor_crashes():
    value = read(BytesIO(b"\x80\x02)" + b"\x85" * 200_000 + b"."), {})
    assert type(value) is tuple


def test_the_count_of_opcodes_is_bounded(monkeypatch):
    monkeypatch.setattr(opcodes, "MAX_OPCODES", 10)
    with pytest.raises(InputError, match="at most"):
        read(BytesIO(b"N0" * 20 + b"N."), {})


def test_a_length_beyond_the_data_is_refused():
    for head in (b"X" + struct.pack("<I", 2**32 - 1), b"\x8d" + struct.pack("<Q", 2**63), b"\x8e" + b"\xff" * 8):
        with pytest.raises(InputError):
            read(BytesIO(head + b"abc."), {})


OPCODES = bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x98))


@given(data=st.binary(max_size=200) | st.lists(st.sampled_from(OPCODES), max_size=60).map(bytes))
@settings(max_examples=600, deadline=None)
def test_random_bytes_raise_nothing_but_input_errors(data):
    names = {"collections OrderedDict": Name("collections OrderedDict", dict)}
    with suppress(InputError):
        read(BytesIO(data), names, lambda reference: reference)

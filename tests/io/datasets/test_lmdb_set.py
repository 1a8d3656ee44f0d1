"""LMDB: what is written is read, other writers' forms are read, what is damaged is named."""

from __future__ import annotations

import pickle
import struct
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.io.datasets.crowd import crowd
from vultus.errors import InputError, MissingExtra
from vultus.io.datasets import lmdb_set as module
from vultus.io.datasets._msgpack import packed, unpacked
from vultus.io.datasets.lmdb_set import lmdb_set, write_lmdb

lmdb = pytest.importorskip("lmdb")


def written(folder, entries):
    with lmdb.open(str(folder), map_size=1 << 24) as opened, opened.begin(write=True) as turn:
        for key, value in entries.items():
            turn.put(key, value)
    return folder


PLAIN = st.recursive(
    st.integers(-(2**63), 2**64 - 1) | st.binary(max_size=300) | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=20),
    max_leaves=20,
)


@given(PLAIN)
def test_messagepack_gives_back_what_it_took(value):
    def depth(item):
        return 1 + max(map(depth, item), default=0) if isinstance(item, list) else 0

    if depth(value) <= 4:
        assert unpacked(packed(value)) == value


@pytest.mark.parametrize(
    ("data", "value"),
    [
        # by hand from the specification of the format
        (b"\x00", 0),
        (b"\xe0", -32),
        (b"\xcd\x01\x00", 256),
        (b"\xd1\xff\x00", -256),
        (b"\xc4\x02ab", b"ab"),
        (b"\xa2ab", "ab"),
        (b"\xa2\xff\xd8", b"\xff\xd8"),  # raw bytes of writers before the type for bytes
        (b"\x92\xc4\x01x\x07", [b"x", 7]),
        (b"\xdc\x00\x01\x05", [5]),
    ],
)
def test_messagepack_is_what_the_format_says(data, value):
    assert unpacked(data) == value


@pytest.mark.parametrize(
    "data", [b"", b"\xc4", b"\xc4\x05ab", b"\x00\x00", b"\x81\x00\x00", b"\xdd\xff\xff\xff\xff", b"\x91" * 9]
)
def test_messagepack_that_is_none(data):
    with pytest.raises(InputError, match="msgpack: expected"):
        unpacked(data)


def test_what_is_written_is_read(tmp_path):
    assert write_lmdb(tmp_path, crowd(), names=("Ann", "Bob", "Cy")) == 6
    assert [p.name for p in tmp_path.iterdir()] == ["data.mdb"]
    data = lmdb_set(tmp_path)
    assert (len(data), data.names, data.subjects.tolist()) == (6, ("Ann", "Bob", "Cy"), [0, 0, 1, 1, 2, 2])
    assert [data.encoded(k) for k in range(6)] == [picture for _, picture in crowd()]
    assert data.read(3).pixels.shape == (112, 112, 3)
    assert data.where(3) == f"{tmp_path / 'data.mdb'}#3"
    with ThreadPoolExecutor(4) as pool:  # as feeds read
        assert list(pool.map(data.encoded, [0, 5] * 50)) == [crowd()[0][1], crowd()[5][1]] * 50
    with pytest.raises(InputError, match="from 0 to 5, got 6"):
        data.read(6)
    assert lmdb_set(tmp_path / "data.mdb").name == "data"  # a second time in one process


def test_a_file_larger_than_its_first_room(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_ROOM", 1 << 16)
    monkeypatch.setattr(module, "_AT_ONCE", 3)
    big = [(k % 2, bytes([k]) * 40_000) for k in range(20)]
    assert write_lmdb(tmp_path, big) == 20
    data = lmdb_set(tmp_path)
    assert [data.encoded(k) for k in range(20)] == [picture for _, picture in big]


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("listed", [True, False])
def test_the_forms_of_other_writers(tmp_path, protocol, listed):
    pairs = {
        str(k).encode(): pickle.dumps((picture, label + 7), protocol) for k, (label, picture) in enumerate(crowd())
    }
    keys = {b"__keys__": pickle.dumps(list(pairs), protocol), b"__len__": pickle.dumps(6, protocol)} if listed else {}
    data = lmdb_set(written(tmp_path, {**pairs, **keys}))
    assert (data.names, data.subjects.tolist()) == (("7", "8", "9"), [0, 0, 1, 1, 2, 2])
    assert data.encoded(4) == crowd()[4][1]


def test_a_label_of_minus_one_is_nobody(tmp_path):
    pairs = {str(k).encode(): packed([picture, (-1, 4, 9)[label]]) for k, (label, picture) in enumerate(crowd())}
    data = lmdb_set(written(tmp_path, pairs))
    assert (data.names, data.subjects.tolist()) == (("4", "9"), [-1, -1, 0, 0, 1, 1])


def test_what_cannot_be_used_is_named(tmp_path):
    good = {str(k).encode(): packed([picture, label]) for k, (label, picture) in enumerate(crowd())}
    bad = {
        b"6": packed([b"picture", "Ann"]),
        b"7": packed([b"", 1]),
        b"8": b"\xff\xff\xff\xff\x68\x02\x00\x00",  # the beginning of pyarrow's old form
        b"9": pickle.dumps((np.zeros((2, 2, 3), np.uint8), 1)),
        b"A": pickle.dumps(print),  # never called
        b"B": packed([b"picture", 1])[:-1],
        b"C": b"\xc6" + struct.pack(">I", 1 << 31),
        b"D": packed([b"picture", 1 << 63]),
        b"E": pickle.dumps((b"picture", -(1 << 80))),
    }
    data = lmdb_set(written(tmp_path, {**good, **bad}))
    assert len(data) == 6
    assert [fault.name for fault in data.faults] == [key.decode() for key in bad]
    assert "expected an encoded picture and a label, got 2 of bytes, str" in str(data.faults[0])
    assert "print" in str(data.faults[4])


def test_no_set_at_all(tmp_path):
    with pytest.raises(InputError, match=r"data\.mdb: expected an LMDB file or the folder"):
        lmdb_set(tmp_path)
    (tmp_path / "x.mdb").write_bytes(bytes(9000))
    with pytest.raises(InputError, match="expected an LMDB file, got something else"):
        lmdb_set(tmp_path / "x.mdb")
    write_lmdb(tmp_path, [(k, bytes([k + 1]) * 9000) for k in range(9)])
    whole = (tmp_path / "data.mdb").read_bytes()
    (tmp_path / "data.mdb").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"bytes, as it says, got .*: it was cut off"):
        lmdb_set(tmp_path)
    with pytest.raises(InputError, match="found none, and 1 faults, such as"):
        lmdb_set(written(tmp_path / "one", {b"0": b"?"}))
    with pytest.raises(InputError, match="a list of keys under __keys__, got int"):
        lmdb_set(written(tmp_path / "two", {b"__keys__": packed(3)}))


@pytest.mark.parametrize(
    ("pictures", "message"),
    [([], "at least one"), ([(0, b"")], "got 0 and 0 bytes"), ([(2, b"x")], "below 2"), ([(-1, b"x")], "got -1")],
)
def test_what_is_refused_leaves_nothing_behind(tmp_path, pictures, message):
    with pytest.raises(InputError, match=message):
        write_lmdb(tmp_path, pictures, names=("a", "b"))
    assert not list(tmp_path.iterdir())


def test_without_the_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(MissingExtra, match="LMDB needs the extra 'train'"):
        lmdb_set(tmp_path)

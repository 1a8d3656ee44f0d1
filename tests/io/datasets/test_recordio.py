"""RecordIO: the bytes are those of the published format, what is written is read back, and no damage is fatal."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.io.datasets.crowd import SIDE, crowd
from vultus.errors import InputError, StoreError
from vultus.io import images
from vultus.io.datasets import Dataset, folder
from vultus.io.datasets._frames import MARK, MAX_PARTS, Frame, framed, payload, walk
from vultus.io.datasets.recordio import (
    Record,
    RecordDataset,
    RecordLimits,
    encoded_people,
    pack,
    recordio,
    records,
    unpack,
    write_recordio,
)
from vultus.io.datasets.webdataset import Fault

MAGIC = struct.pack("<I", 0xCED7230A)


def part(kind: int, data: bytes) -> bytes:
    """A part by hand."""
    return MAGIC + struct.pack("<I", kind << 29 | len(data)) + data + b"\0" * (-len(data) % 4)


@pytest.fixture
def packed(tmp_path):
    """The folder of a written set."""
    assert write_recordio(tmp_path, crowd(), hw=(SIDE, SIDE)) == 6
    return tmp_path


def places(root) -> list[int]:
    return [int(line.split("\t")[1]) for line in (root / "train.idx").read_text().splitlines()]


def spoil(root, place: int, data: bytes) -> None:
    """Write over some bytes of the .rec file."""
    with open(root / "train.rec", "r+b") as file:
        file.seek(place)
        file.write(data)


def reasons(data: RecordDataset) -> list[tuple[str, str]]:
    return [(fault.name, fault.reason) for fault in data.faults]


# ---------------------------------------------------------------- format
def test_the_bytes_of_a_set_are_those_of_the_format(tmp_path):
    write_recordio(tmp_path, [(0, b"abcde"), (0, b"fg"), (1, b"h")], hw=(112, 96))
    expected = [
        part(0, struct.pack("<IfQQff", 2, 0, 0, 0, 4, 6)),
        part(0, struct.pack("<IfQQ", 0, 0, 1, 0) + b"abcde"),
        part(0, struct.pack("<IfQQ", 0, 0, 2, 0) + b"fg"),
        part(0, struct.pack("<IfQQ", 0, 1, 3, 0) + b"h"),
        part(0, struct.pack("<IfQQff", 2, 0, 4, 0, 1, 3)),
        part(0, struct.pack("<IfQQff", 2, 0, 5, 0, 3, 4)),
    ]
    assert (tmp_path / "train.rec").read_bytes() == b"".join(expected)
    assert places(tmp_path) == [sum(map(len, expected[:k])) for k in range(6)]
    assert (tmp_path / "property").read_text() == "2,112,96"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["property", "train.idx", "train.rec"]


def test_a_magic_number_inside_is_cut_out_and_put_back():
    data = b"1234" + MAGIC + MAGIC + b"56" + MAGIC + b"7"  # the third one is at no multiple of four
    whole = part(1, b"1234") + part(2, b"") + part(3, b"56" + MAGIC + b"7")
    assert framed(data) == whole
    (frame,) = walk(io.BytesIO(whole), len(whole), 1 << 20)
    assert isinstance(frame, Frame)
    assert (payload(io.BytesIO(whole), frame), frame.length) == (data, len(data))
    with pytest.raises(InputError, match="magic number"):
        framed(MARK * MAX_PARTS)


@given(st.lists(st.lists(st.one_of(st.just(MAGIC), st.binary(max_size=9)), max_size=6).map(b"".join), max_size=5))
@settings(max_examples=150)
def test_any_records_come_back(payloads):
    whole = b"".join(map(framed, payloads))
    file = io.BytesIO(whole)
    assert [payload(file, frame) for frame in walk(file, len(whole), 1 << 20)] == payloads


@given(
    st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=5),
    st.binary(max_size=20),
    st.integers(0, 2**64 - 1),
)
@settings(max_examples=100)
def test_headers_come_back(label, picture, number):
    record = Record(tuple(label), picture, number, 7, len(label) > 1)
    assert unpack(pack(record)) == record


@pytest.mark.parametrize(
    "record", [Record(()), Record((1e300,)), Record((0.0,), id=-1), Record((0.0,), id2=1 << 64), Record((0.0,) * 5000)]
)
def test_records_that_the_format_cannot_hold(record):
    with pytest.raises(InputError, match="expected"):
        pack(record)


@pytest.mark.parametrize(
    "data", [b"", b"x" * 23, struct.pack("<IfQQ", 1, 0, 0, 0), struct.pack("<IfQQ", 2**31, 0, 0, 0)]
)
def test_headers_that_lie(data):
    with pytest.raises(InputError, match="expected"):
        unpack(data)


# ---------------------------------------------------------------- sets
@pytest.mark.parametrize("index", [True, False])
def test_what_is_written_is_read_back(packed, index):
    if not index:
        (packed / "train.idx").unlink()
    data = recordio(packed, license="ours", tier="sim")
    assert (len(data), data.names, data.subjects.tolist()) == (6, ("0", "1", "2"), [0, 0, 1, 1, 2, 2])
    assert (data.name, data.license, data.tier, data.hw) == (packed.name, "ours", "sim", (SIDE, SIDE))
    assert reasons(data) == []
    assert data.keys.tolist() == [1, 2, 3, 4, 5, 6]
    assert [data.encoded(i) for i in range(6)] == [picture for _, picture in crowd()]
    np.testing.assert_array_equal(data.read(5).pixels, images.read(crowd()[5][1]).pixels)
    assert data.where(5) == f"{packed / 'train.rec'}#6"
    with pytest.raises(InputError, match="expected a picture from 0 to 5, got -1"):
        data.read(-1)


def test_a_folder_of_people_becomes_a_set_byte_for_byte(tmp_path):
    for k, (label, picture) in enumerate(crowd()):
        where = tmp_path / "people" / f"p{label}"
        where.mkdir(parents=True, exist_ok=True)
        (where / f"{k}.jpg").write_bytes(picture)
    people = folder(tmp_path / "people")
    mixed = Dataset("mixed", people.paths[::-1], people.subjects[::-1].copy(), people.names)
    write_recordio(tmp_path, encoded_people(mixed))
    data = recordio(tmp_path / "train.rec")
    assert data.subjects.tolist() == [0, 0, 1, 1, 2, 2]
    assert sorted(data.encoded(i) for i in range(6)) == sorted(picture for _, picture in crowd())
    assert data.hw is None


def test_sets_without_a_record_0_and_with_several_labels(tmp_path):
    rows = [Record((7.0,), b"a"), Record((3.0, 0.5, 0.25), b"b", listed=True), Record((7.0,), b"c", listed=True)]
    (tmp_path / "train.rec").write_bytes(b"".join(framed(pack(row)) for row in rows))
    data = recordio(tmp_path)
    assert (data.names, data.subjects.tolist(), data.keys.tolist()) == (("3", "7"), [1, 0, 1], [0, 1, 2])
    assert [unpack(item) for item in records(tmp_path / "train.rec")] == rows


@pytest.mark.parametrize(
    ("pictures", "said"),
    [
        ([], "at least one"),
        ([(0, b"")], "none for picture 1"),
        ([(-1, b"x")], "label from 0"),
        ([(0.5, b"x")], "label from 0"),
        ([(0, b"x"), (1, b"y"), (0, b"z")], "person 0 again at picture 3"),
    ],
)
def test_a_set_that_cannot_be_written_leaves_the_old_one(packed, pictures, said):
    before = {p.name: p.read_bytes() for p in packed.iterdir()}
    with pytest.raises(InputError, match=said):
        write_recordio(packed, pictures)
    assert {p.name: p.read_bytes() for p in packed.iterdir()} == before


def test_what_an_old_set_says_of_itself_goes_with_it(packed):
    write_recordio(packed, [(0, crowd()[0][1])])
    assert sorted(p.name for p in packed.iterdir()) == ["train.idx", "train.rec"]
    assert (recordio(packed).hw, recordio(packed).faults) == (None, ())


# ---------------------------------------------------------------- damage
DAMAGE = {
    "magic": (0, b"\0\0\0\0", "expected the magic number 0xced7230a"),
    "kind": (4, struct.pack("<I", 5 << 29 | 8), "got kind 5"),
    "long": (4, struct.pack("<I", (1 << 29) - 1), "got more"),
    "beyond": (4, struct.pack("<I", 60_000_000), "the file ends after"),
    "over": (4, struct.pack("<I", 12_000), "the next record"),
    "never ends": (4, struct.pack("<I", 1 << 29 | 24), "expected the magic number"),
    "flag": (8, struct.pack("<I", 1 << 30), "labels within the record"),
    "nan": (12, struct.pack("<f", float("nan")), "number of a person"),
    "below": (12, struct.pack("<f", -1.0), "number of a person"),
    "half": (12, struct.pack("<f", 1.5), "number of a person"),
}


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("what", DAMAGE)
def test_one_damaged_record_is_named_and_the_others_stay(packed, what, index):
    offset, data, said = DAMAGE[what]
    spoil(packed, places(packed)[3] + offset, data)
    if not index:
        (packed / "train.idx").unlink()
    found = recordio(packed)
    kept = [1, 2, 4, 5, 6]
    if what == "over" and not index:
        assert found.faults[0].name == "3"
    assert found.keys.tolist() == kept
    assert [found.encoded(i) for i in range(5)] == [crowd()[k - 1][1] for k in kept]
    assert [name for name, _ in reasons(found)] == ["3"]
    assert said in found.faults[0].reason


class Counted(io.BytesIO):
    """Counts the bytes that are read."""

    count = 0

    def read(self, size=-1):
        data = super().read(size)
        self.count += len(data)
        return data


@pytest.mark.parametrize("kind", [0, 1])
def test_a_file_made_of_lies_is_read_a_few_times_and_not_once_per_lie(kind):
    """Every head claims everything up to a chain of parts at the end that breaks off."""
    heads, chain = 5000, part(2, b"") * 800 + b"zzzzzzzz"
    lies = [MAGIC + struct.pack("<I", kind << 29 | 8 * (heads - k - 1)) for k in range(heads)]
    file = Counted(b"".join(lies) + chain)
    found = list(walk(file, len(file.getvalue()), 1 << 26))
    assert [item[0] for item in found if not isinstance(item, Frame)][: heads - 1] == [8 * k for k in range(heads - 1)]
    assert file.count < 2 * 4096 * 1.1 * heads


@pytest.mark.parametrize("gap", [4096, 4097, 20_000, 3_000_000])
def test_heads_far_apart_are_found(gap):
    whole = part(0, b"a") + MAGIC + struct.pack("<I", 1 << 28) + bytes(gap) + bytes(-gap % 4) + part(0, b"b")
    whole += part(0, b"c" * 9_000_000)
    file = io.BytesIO(whole)
    found = list(walk(file, len(whole), 1 << 29))
    assert [payload(file, item)[:1] for item in found if isinstance(item, Frame)] == [b"a", b"b", b"c"]
    assert len(found) == 4


def test_a_file_that_was_cut_off_keeps_its_beginning(packed):
    place = places(packed)[5]
    with open(packed / "train.rec", "r+b") as file:
        file.truncate(place + 100)
    found = recordio(packed)
    assert found.keys.tolist() == [1, 2, 3, 4]
    assert any(name == "5" and "the file ends after 92" in why for name, why in reasons(found))
    assert any("train.idx, line 7" in why for _, why in reasons(found))
    assert any("property: expected 3 people, found pictures of 2" in why for _, why in reasons(found))
    (packed / "train.idx").unlink()
    assert recordio(packed).keys.tolist() == [1, 2, 3, 4]


def test_bad_lines_of_an_index_are_named(packed):
    lines = (packed / "train.idx").read_bytes().split(b"\n")
    lines[2:5] = [b"2\t-8", b"three\t12", b"4\t" + lines[4].split(b"\t")[1] + b"\t1"]
    lines[6:6] = [b"5\t0", b"1\t999999999999", b"\xff\xff", b"8\t2", b"9\t" + b"9" * 5000]
    (packed / "train.idx").write_bytes(b"\n".join(lines))
    found = recordio(packed)
    assert found.keys.tolist() == [1, 5, 6]
    said = [why for _, why in reasons(found)]
    assert [why.split(":")[0] for why in said if "line" in why] == [
        f"train.idx, line {n}" for n in (3, 4, 5, 8, 9, 10, 11)
    ]
    assert ("5", "the index has a second place for this record, byte 0") in reasons(found)
    (packed / "train.idx").write_bytes(b"nothing\n")
    assert recordio(packed).keys.tolist() == [1, 2, 3, 4, 5, 6]
    (packed / "train.idx").write_bytes(b"")
    assert recordio(packed).keys.tolist() == [1, 2, 3, 4, 5, 6]


def test_a_record_that_is_no_picture_does_not_end_a_run(tmp_path):
    good = crowd()[0][1]
    write_recordio(tmp_path, [(0, good), (0, b"no picture"), (1, good)])
    data = recordio(tmp_path)
    seen = list(data.pictures([2, 1, 0, 9]))
    assert [item[0] for item in seen if not isinstance(item, Fault)] == [2, 0]
    bad = [item for item in seen if isinstance(item, Fault)]
    assert [(item.index, item.name) for item in bad] == [(1, "2"), (9, "9")]
    assert str(bad[0]).startswith(f"{tmp_path / 'train.rec'}#2: picture: expected")
    with pytest.raises(InputError, match="#2: picture"):
        data.read(1)


def test_pictures_that_record_0_promises_and_nobody_finds(packed):
    (packed / "train.idx").write_text("0\t0\n" + f"1\t{places(packed)[1]}\n")
    assert reasons(recordio(packed))[0] == (
        "",
        "record 0 speaks of 6 pictures; 5 of them are not in the file",
    )


def test_limits_come_before_reading(packed):
    with pytest.raises(InputError, match=r"found none, and 10 faults, such as .*expected at most 16 bytes"):
        recordio(packed, limits=RecordLimits(record_bytes=16))
    with pytest.raises(InputError, match="expected at most 20 bytes"):
        recordio(packed, limits=RecordLimits(index_bytes=20))


def test_a_file_that_changes_in_use_is_said(packed):
    data = recordio(packed)
    spoil(packed, places(packed)[1], b"\0\0\0\0")
    with pytest.raises(StoreError, match="#1: the file changed"):
        data.encoded(0)
    assert data.encoded(1) == crowd()[1][1]
    (packed / "train.rec").unlink()
    with pytest.raises(InputError, match="found nothing"):
        data.encoded(1)


@pytest.mark.parametrize("about", ["1,2", "a,b,c", "", "3,-1,5", "1" * 2000])
def test_a_property_that_is_none_is_a_fault(packed, about):
    (packed / "property").write_text(about)
    found = recordio(packed)
    assert found.hw is None
    assert "property: expected people,height,width" in found.faults[0].reason


def test_what_is_no_set(tmp_path):
    with pytest.raises(InputError, match="found nothing"):
        recordio(tmp_path)
    (tmp_path / "train.rec").write_bytes(b"")
    with pytest.raises(InputError, match="found none, and 0 faults"):
        recordio(tmp_path)
    (tmp_path / "train.rec").write_bytes(b"hello" * 100)
    with pytest.raises(InputError, match="expected the magic number"):
        recordio(tmp_path)
    with pytest.raises(InputError, match="tier: expected real or sim"):
        recordio(tmp_path, tier="other")
    (tmp_path / "folder.rec").mkdir()
    with pytest.raises(InputError, match=r"folder\.rec"):
        recordio(tmp_path / "folder.rec")


@given(st.integers(0, 10**9), st.binary(min_size=1, max_size=8))
@settings(max_examples=80)
def test_no_damage_raises_anything_else(tmp_path_factory, place, junk):
    root = tmp_path_factory.mktemp("set")
    write_recordio(root, [(0, b"abcdefgh" * 4), (1, b"12" + MAGIC + MAGIC), (1, b"z" * 9)])
    name = ("train.rec", "train.idx")[place % 2]
    data = bytearray((root / name).read_bytes())
    data[place % len(data) : place % len(data) + len(junk)] = junk
    (root / name).write_bytes(data)
    try:
        found = recordio(root)
    except InputError:
        return
    for i in range(len(found)):
        found.encoded(i)

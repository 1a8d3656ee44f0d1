"""InsightFace's pairs: written and read back at both protocols; what is no pair is named, other files are refused."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from tests.io.datasets.crowd import SIDE, crowd
from vultus.errors import InputError
from vultus.io import images
from vultus.io.datasets.insight_bin import insight_bin, write_insight_bin
from vultus.io.datasets.webdataset import Fault

PICTURES = [picture for _, picture in crowd()]


@pytest.mark.parametrize("python2", [True, False])
def test_what_is_written_is_read_back(tmp_path, python2):
    path = tmp_path / "sim.bin"
    write_insight_bin(path, PICTURES, [True, True, False], python2=python2)
    data = insight_bin(path, n_folds=2, license="ours", tier="sim")
    assert (data.name, data.license, data.tier, len(data), data.faults) == ("sim", "ours", "sim", 3, ())
    assert (data.same.tolist(), data.folds.tolist()) == ([True, True, False], [0, 0, 1])
    assert (data.left.tolist(), data.right.tolist()) == ([0, 2, 4], [1, 3, 5])
    assert list(data.encoded) == PICTURES
    picture = data.read(5)
    assert picture.full_hw == (SIDE, SIDE)
    np.testing.assert_array_equal(picture.pixels, images.read(PICTURES[5]).pixels)
    with pytest.raises(InputError, match="from 0 to 5, got -1"):
        data.read(-1)


def test_the_bytes_are_those_of_the_format(tmp_path):
    path = tmp_path / "a.bin"
    write_insight_bin(path, [b"a", b"b" * 300], [True])
    assert path.read_bytes() == b"\x80\x03](C\x01aB\x2c\x01\x00\x00" + b"b" * 300 + b"e](\x88e\x86."
    write_insight_bin(path, [b"a", b"b" * 300], [False], python2=True)
    assert path.read_bytes() == b"\x80\x02](U\x01aT\x2c\x01\x00\x00" + b"b" * 300 + b"e](\x89e\x86."


def test_folds_are_those_of_insightface(tmp_path):
    write_insight_bin(tmp_path / "a.bin", [b"x"] * 46, [True] * 23)
    folds = insight_bin(tmp_path / "a.bin").folds
    assert np.bincount(folds).tolist() == [3, 3, 3, *[2] * 7]
    assert (np.diff(folds) >= 0).all()


def test_flags_and_pictures_of_numpy(tmp_path):
    dtype = b"cnumpy\ndtype\nX\x02\x00\x00\x00%s\x89\x88\x87R(K\x03X\x01\x00\x00\x00|NNNK\x00K\x00K\x00tb"
    row = b"cnumpy._core.numeric\n_frombuffer\n(C\x02%s" + dtype + b"K\x02\x85X\x01\x00\x00\x00CtR"
    stream = b"\x80\x03](" + row % (b"ab", b"u1") + b"C\x01cC\x01dC\x01ee" + row % (b"\x01\x00", b"b1") + b"\x86."
    (tmp_path / "a.bin").write_bytes(stream)
    data = insight_bin(tmp_path / "a.bin", n_folds=1)
    assert (data.encoded, data.same.tolist()) == ((b"ab", b"c", b"d", b"e"), [True, False])


def test_pairs_that_cannot_be_used_are_named_and_left_out(tmp_path):
    good = b"".join(b"B" + struct.pack("<I", len(p)) + p for p in PICTURES[:2])
    stream = b"\x80\x03](" + good + b"NC\x01a" + b"C\x00C\x01a" + good + good + b"e](\x88\x88\x88NK\x00e\x86."
    (tmp_path / "a.bin").write_bytes(stream)
    data = insight_bin(tmp_path / "a.bin", n_folds=2)
    assert (data.numbers.tolist(), data.same.tolist()) == ([0, 4], [True, False])
    assert [fault.name for fault in data.faults] == ["pair 1", "pair 2", "pair 3"]
    assert "something else" in data.faults[0].reason
    assert "got 0" in data.faults[1].reason
    assert "True or False" in data.faults[2].reason
    assert data.where(3).endswith("a.bin#9")


def test_a_picture_that_is_none_does_not_end_a_run(tmp_path):
    write_insight_bin(tmp_path / "a.bin", [*PICTURES[:2], b"none", PICTURES[2]], [True, False])
    data = insight_bin(tmp_path / "a.bin", n_folds=1)
    seen = list(data.pictures())
    assert [item[0] for item in seen if not isinstance(item, Fault)] == [0, 1, 3]
    (fault,) = (item for item in seen if isinstance(item, Fault))
    assert (fault.index, fault.name) == (2, "2")
    assert fault.reason.startswith("picture: expected")
    with pytest.raises(InputError, match=r"a\.bin#2: picture"):
        data.read(2)
    with pytest.raises(InputError, match="got 4"):
        list(data.pictures([4]))


def test_limits_come_before_decoding(tmp_path):
    large = images.encode(np.zeros((2100, 2100, 3), np.uint8), ".png")
    write_insight_bin(tmp_path / "a.bin", [large, large], [True])
    with pytest.raises(InputError, match="pixels"):
        insight_bin(tmp_path / "a.bin", n_folds=1).read(0)
    with pytest.raises(InputError, match="expected at most 100 bytes"):
        insight_bin(tmp_path / "a.bin", max_bytes=100)


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        (b"cposix\nsystem\nX\x02\x00\x00\x00ls\x85R.", r"a\.bin: pickle: .*the name posix\.system"),
        (b"N.", "got NoneType"),
        (b"]q\x00h\x00ah\x00a.", "got 2 pictures and 2 flags"),
        (b"](NNNe](\x88e\x86.", "got 3 pictures and 1 flags"),
        (b"](NNe}\x86.", "got 2 pictures and dict of 0"),
        (b"]]\x86.", "got 0 pairs and 0 faults"),
        (b"](NNe](\x88e\x86.", "got 0 pairs and 1 faults, such as .*pair 0"),
        (b"](C\x01aC\x01be", "an end after 0 of 1 bytes"),
    ],
)
def test_what_is_no_such_file(tmp_path, stream, said):
    (tmp_path / "a.bin").write_bytes(stream)
    with pytest.raises(InputError, match=said):
        insight_bin(tmp_path / "a.bin")


def test_what_cannot_be_written_or_found(tmp_path):
    for pictures, same in (([b"a"], [True]), ([b"a", b""], [True]), ([b"a", b"b"], [])):
        with pytest.raises(InputError, match="expected two for each"):
            write_insight_bin(tmp_path / "a.bin", pictures, same)
    with pytest.raises(InputError, match="nothing at this path"):
        insight_bin(tmp_path / "a.bin")
    with pytest.raises(InputError, match="tier"):
        insight_bin(tmp_path / "a.bin", tier="x")
    assert list(tmp_path.iterdir()) == []


def test_one_array_in_many_pairs_is_held_once(tmp_path):
    """A file of a few kilobytes could ask for gigabytes otherwise."""
    dtype = b"cnumpy\ndtype\nX\x02\x00\x00\x00u1\x89\x88\x87R(K\x03X\x01\x00\x00\x00|NNNK\x00K\x00K\x00tb"
    row = b"cnumpy._core.numeric\n_frombuffer\n(C\x02ab" + dtype + b"K\x02\x85X\x01\x00\x00\x00CtRq\x07"
    (tmp_path / "a.bin").write_bytes(b"\x80\x03](" + row + b"h\x07" * 39 + b"e](" + b"\x88" * 20 + b"e\x86.")
    data = insight_bin(tmp_path / "a.bin")
    assert data.encoded == (b"ab",) * 40
    assert len(set(map(id, data.encoded))) == 1

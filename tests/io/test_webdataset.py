"""WebDataset shards: what is written is read back, by anybody, and no damaged shard is fatal."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vultus.errors import InputError, StoreError
from vultus.io.datasets._tar import BLOCK
from vultus.io.datasets.webdataset import Fault, Sample, Shard, ShardLimits, ShardWriter, expand, shards


def tar(path: Path, *entries: tuple[str, bytes] | tarfile.TarInfo, format: int = tarfile.PAX_FORMAT) -> Path:
    """A tar file as others write it."""
    with tarfile.open(path, "w", format=format) as out:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                out.addfile(entry)
            else:
                about = tarfile.TarInfo(entry[0])
                about.size = len(entry[1])
                out.addfile(about, io.BytesIO(entry[1]))
    return path


def special(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    about = tarfile.TarInfo(name)
    about.type, about.linkname = kind, link
    return about


def samples(shard: Shard, *span: int) -> list[Sample]:
    return [item for item in shard.read(*span) if isinstance(item, Sample)]


def faults(shard: Shard) -> list[tuple[str, str]]:
    return [(fault.name, fault.reason) for fault in shard if isinstance(fault, Fault)]


THREE = (
    ("a/1.jpg", b"one"),
    ("a/1.json", b'{"x": 1}'),
    ("a/2.PNG", b"two"),
    ("a/2.cls", b"7\n"),
    ("a/3.webp", b"three"),
)


def test_samples_are_the_files_of_one_stem_in_order(tmp_path):
    shard = Shard(
        tar(tmp_path / "s.tar", *THREE, ("a/3.npy", b"other"), ("a/3.seg.png", b"mask"), ("._4.jpg", b"junk"))
    )
    found = samples(shard)
    assert [(s.index, s.key, sorted(s.files)) for s in found] == [
        (0, "a/1", ["jpg", "json"]),
        (1, "a/2", ["cls", "png"]),
        (2, "a/3", ["webp"]),
    ]
    assert [s.picture for s in found] == [b"one", b"two", b"three"]
    assert (found[0].json, found[0].text, found[1].text, found[2].json) == ({"x": 1}, None, "7", None)
    assert found[0].name.endswith("s.tar#a/1")
    assert shard.faults == ()
    assert (len(shard), shard.keys()) == (3, ["a/1", "a/2", "a/3"])


def test_any_part_is_read_alone(tmp_path):
    shard = Shard(tar(tmp_path / "s.tar", *THREE))
    assert shard.sample(1) == samples(shard)[1]
    assert [s.key for s in samples(shard, 1, 3)] == ["a/2", "a/3"]
    assert [s.key for s in samples(shard, 2)] == ["a/3"]
    assert samples(shard, 3) == []
    for index in (-1, 3):
        with pytest.raises(InputError, match="from 0 to 2"):
            shard.sample(index)


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_and_foreign_names_of_every_tar_format(tmp_path, format):
    long, foreign = f"{'d' * 60}/{'n' * 90}.jpg", "größe/ファイル.jpg"
    shard = Shard(tar(tmp_path / "s.tar", (long, b"a"), (foreign, b"b"), ("c.jpg", b"c"), format=format))
    assert shard.keys() == [long[:-4], foreign[:-4], "c"]
    assert [s.picture for s in samples(shard)] == [b"a", b"b", b"c"]


def test_a_shard_that_was_cut_off_keeps_what_is_whole(tmp_path):
    path = tar(tmp_path / "s.tar", ("1.jpg", b"x" * 2000), ("2.jpg", b"y" * 2000))
    path.write_bytes(path.read_bytes()[: BLOCK + 2048 + BLOCK + 700])
    assert samples(Shard(path))[0].picture == b"x" * 2000
    assert faults(Shard(path)) == [("2.jpg", "expected 2000 bytes, but the file ends after 700")]
    path.write_bytes(path.read_bytes()[: BLOCK + 2048 + 100])
    assert "part of a header is left" in faults(Shard(path))[0][1]
    path.write_bytes(path.read_bytes()[: BLOCK + 2048])
    assert "no end mark" in faults(Shard(path))[0][1]
    assert len(Shard(path)) == 1


@settings(max_examples=60)
@given(cut=st.integers(0, 11_000), flip=st.integers(0, 11_000))
def test_no_damage_is_fatal_or_invents_a_sample(tmp_path_factory, cut, flip):
    folder = tmp_path_factory.getbasetemp() / "damage"
    folder.mkdir(exist_ok=True)
    whole = tar(folder / "whole.tar", *((f"{i}.jpg", bytes([i + 1]) * 700) for i in range(5)))
    data = bytearray(whole.read_bytes())
    if flip < len(data):
        data[flip] ^= 0xFF
    bad = folder / "bad.tar"
    bad.write_bytes(data[:cut])
    shard = Shard(bad)
    items = list(shard)
    found = [item for item in items if isinstance(item, Sample)]
    assert [s.index for s in found] == list(range(len(found)))
    assert all(len(s.files["jpg"]) == 700 for s in found)
    if len(found) < 5:
        assert any(isinstance(item, Fault) for item in items)
    assert items == list(Shard(bad))


def test_a_damaged_header_costs_one_sample(tmp_path):
    path = tar(tmp_path / "s.tar", *((f"{i}.jpg", b"x" * 600) for i in range(3)))
    data = bytearray(path.read_bytes())
    data[3 * BLOCK + 10] ^= 0xFF  # in the header of the second
    path.write_bytes(data)
    assert Shard(path).keys() == ["0", "2"]
    assert [name for name, _ in faults(Shard(path))] == [""]
    assert "a damaged header at byte 1536" in str(Shard(path).faults[0])


def test_bounds_and_empty_members(tmp_path):
    path = tar(tmp_path / "s.tar", ("1.jpg", b"x" * 101), ("1.json", b"{}"), ("2.jpg", b""), ("3.txt", b"x" * 11))
    shard = Shard(path, ShardLimits(picture_bytes=100, words_bytes=10))
    assert [(s.key, s.picture) for s in samples(shard)] == [("1", None)]
    assert faults(shard) == [
        ("1.jpg", "expected 1 to 100 bytes, got 101"),
        ("2.jpg", "expected 1 to 100 bytes, got 0"),
        ("3.txt", "expected 1 to 10 bytes, got 11"),
    ]
    few = Shard(tar(tmp_path / "t.tar", *THREE), ShardLimits(samples=2))
    assert len(few) == 2
    assert "more than 2 samples" in few.faults[0].reason


def test_a_member_that_claims_terabytes_takes_no_memory(tmp_path):
    huge = special("1.jpg", tarfile.REGTYPE)
    huge.size = 1 << 45
    head = special("x", tarfile.XHDTYPE)
    head.size = 1 << 40
    for about, said in ((huge, "the file ends after 0"), (head, "extended header")):
        path = tmp_path / "s.tar"
        path.write_bytes(about.tobuf(tarfile.GNU_FORMAT))
        assert said in faults(Shard(path))[0][1]


def test_links_devices_and_paths_that_lead_out_are_refused(tmp_path):
    path = tar(
        tmp_path / "s.tar",
        special("dir", tarfile.DIRTYPE),
        special("1.jpg", tarfile.SYMTYPE, "/etc/passwd"),
        special("2.jpg", tarfile.LNKTYPE, "1.jpg"),
        special("3.jpg", tarfile.CHRTYPE),
        special("4.jpg", tarfile.FIFOTYPE),
        special("5.jpg", tarfile.GNUTYPE_SPARSE),
        ("../6.jpg", b"x"),
        ("/7.jpg", b"x"),
        ("a/../../8.jpg", b"x"),
        ("9\n.jpg", b"x"),
        ("good.jpg", b"x"),
    )
    shard = Shard(path)
    assert shard.keys() == ["good"]
    assert [name for name, _ in faults(shard)] == [
        *("1.jpg", "2.jpg", "3.jpg", "4.jpg", "5.jpg", "../6.jpg", "/7.jpg", "a/../../8.jpg", "9\n.jpg"),
    ]
    assert [p.name for p in tmp_path.iterdir()] == ["s.tar"]


def test_names_that_come_twice(tmp_path):
    path = tar(tmp_path / "s.tar", ("1.jpg", b"a"), ("1.jpg", b"b"), ("2.jpg", b"c"), ("1.txt", b"d"), ("2.txt", b"e"))
    assert [s.files for s in samples(Shard(path))] == [{"jpg": b"a"}, {"jpg": b"c", "txt": b"e"}]
    assert [name for name, _ in faults(Shard(path))] == ["1.jpg", "1.txt"]


def test_what_is_no_shard(tmp_path):
    (tmp_path / "text.tar").write_bytes(b"hello " * 500)
    (tmp_path / "empty.tar").write_bytes(b"")
    with tarfile.open(tmp_path / "packed.tar", "w:gz"):
        pass
    (tmp_path / "folder.tar").mkdir()
    tar(tmp_path / "none.tar", ("a.npy", b"x"))
    for name, said in {
        "text": "damaged header",
        "empty": "cut off",
        "packed": "gunzip",
        "folder": "expected a tar file",
        "missing": "found nothing",
        "none": "found none",
    }.items():
        shard = Shard(tmp_path / f"{name}.tar")
        assert len(shard) == 0
        assert said in shard.faults[0].reason


def test_words_that_do_not_read(tmp_path):
    sample = samples(Shard(tar(tmp_path / "s.tar", ("1.json", b"{"), ("1.txt", b"\xff"))))[0]
    with pytest.raises(InputError, match=r"s\.tar#1: expected JSON"):
        _ = sample.json
    with pytest.raises(InputError, match="UTF-8"):
        _ = sample.text
    assert sample.picture is None


def test_a_shard_that_shrinks_meanwhile_is_a_store_error(tmp_path):
    path = tar(tmp_path / "s.tar", ("1.jpg", b"x" * 2000))
    shard = Shard(path)
    assert len(shard) == 1
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(StoreError, match="it shrank"):
        list(shard)


# -- ranges -----------------------------------------------------------------------------------------------------------


def test_ranges_are_written_out():
    assert expand("n-{0008..0010}.tar") == ["n-0008.tar", "n-0009.tar", "n-0010.tar"]
    assert expand("{a}-{9..11}") == ["{a}-9", "{a}-10", "{a}-11"]
    assert expand("{0..1}/{00..01}") == ["0/00", "0/01", "1/00", "1/01"]
    for bad in ("{3..1}", "{0..99999999}", "{0..9999}{0..9999}"):
        with pytest.raises(InputError, match="expected"):
            expand(bad)


def test_shards_exist_or_are_named(tmp_path):
    for i in (0, 1, 3):
        tar(tmp_path / f"n-{i:03d}.tar", ("a.jpg", b"x"))
    assert [p.name for p in shards(tmp_path)] == ["n-000.tar", "n-001.tar", "n-003.tar"]
    assert shards(tmp_path / "n-{000..001}.tar") == [tmp_path / "n-000.tar", tmp_path / "n-001.tar"]
    with pytest.raises(InputError, match=r"1 of 4 shards are missing.*n-002\.tar"):
        shards(tmp_path / "n-{000..003}.tar")
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="found none"):
        shards(tmp_path / "none")


# -- writing ----------------------------------------------------------------------------------------------------------

KEYS = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=20)


@settings(max_examples=40)
@given(st.lists(st.tuples(KEYS, st.binary(min_size=1, max_size=2000)), unique_by=lambda pair: pair[0], max_size=8))
def test_what_is_written_is_read_back(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("written")
    with ShardWriter(folder, "s", max_samples=3) as out:
        for key, data in rows:
            out.write(key, {"jpg": data, "txt": key.encode()})
    assert [p.name for p in out.written] == [f"s-{i:06d}.tar" for i in range(-(-len(rows) // 3))]
    assert sorted(p.name for p in folder.iterdir()) == [p.name for p in out.written]
    found = [item for path in out.written for item in Shard(path)]
    assert [(s.key, s.picture, s.text) for s in found] == [(key, data, key) for key, data in rows]


def test_the_same_samples_give_the_same_bytes_and_size_closes_a_shard(tmp_path):
    for run in ("a", "b"):
        (tmp_path / run).mkdir()
        with ShardWriter(tmp_path / run, "s", max_bytes=3000) as out:
            for i in range(4):
                out.write(f"p/{i}", {"png": b"z" * 2000, "json": b"{}"})
    first, second = ([p.read_bytes() for p in sorted((tmp_path / run).iterdir())] for run in ("a", "b"))
    assert first == second
    assert len(first) == 4
    with tarfile.open(tmp_path / "a" / "s-000001.tar") as theirs:  # by another reader
        assert [(m.name, m.size, m.isreg()) for m in theirs] == [("p/1.json", 2, True), ("p/1.png", 2000, True)]


def test_a_block_that_raises_leaves_whole_shards_only(tmp_path):
    def broken():
        with ShardWriter(tmp_path, "s", max_samples=1) as out:
            out.write("1", {"jpg": b"x"})
            out.write("2", {"jpg": b"x"})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert [p.name for p in tmp_path.iterdir()] == ["s-000000.tar"]


def test_what_would_not_be_read_back_is_refused(tmp_path):
    with ShardWriter(tmp_path, "s") as out:
        out.write("ok", {"jpg": b"x"})
        for key in ("a.b", "../a", "/a", "a\n", ".a", "", "ok"):
            with pytest.raises(InputError, match="key"):
                out.write(key, {"jpg": b"x"})
        for files in ({}, {"exe": b"x"}, {"jpg": b""}):
            with pytest.raises(InputError, match="files"):
                out.write("k", files)
    for name in ("", "a/b", "{0..1}", ".hidden"):
        with pytest.raises(InputError, match="name"):
            ShardWriter(tmp_path, name)
    with pytest.raises(StoreError), ShardWriter(tmp_path / "missing", "s") as out:
        out.write("1", {"jpg": b"x"})

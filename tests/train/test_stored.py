"""Stored sources: every layout gives the same pictures, and what is damaged is named, replaced and never fatal."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest

from tests.io.datasets.crowd import crowd
from vultus.errors import InputError, StoreError
from vultus.io import images
from vultus.io.datasets.lmdb_set import write_lmdb
from vultus.io.datasets.recordio import write_recordio
from vultus.io.datasets.webdataset import ShardWriter
from vultus.train.augment import Flip
from vultus.train.data import Feed
from vultus.train.samplers import PK
from vultus.train.stored import Stored, open_source

NAMES = ("ann", "bob", "cy")


def as_folder(root, pictures):
    for k, (label, data) in enumerate(pictures):
        (root / NAMES[label]).mkdir(parents=True, exist_ok=True)
        (root / NAMES[label] / f"{k:03d}.jpg").write_bytes(data)
    return root


def as_recordio(root, pictures):
    root.mkdir(exist_ok=True)
    write_recordio(root, pictures, hw=(112, 112))
    return root


def as_lmdb(root, pictures):
    pytest.importorskip("lmdb")
    root.mkdir(exist_ok=True)
    write_lmdb(root, pictures)
    return root


def as_shards(root, pictures, kind="cls"):
    root.mkdir(exist_ok=True)
    with ShardWriter(root, "faces", max_samples=4) as writer:
        for k, (label, data) in enumerate(pictures):
            words = {"cls": str(label).encode(), "json": json.dumps({"subject": NAMES[label]}).encode()}
            key = f"{NAMES[label]}/{k:03d}" if kind == "folder" else f"{k:03d}"
            writer.write(key, {"jpg": data} | ({kind: words[kind]} if kind in words else {}))
    return root


def as_csv(root, pictures):
    as_folder(root, pictures)
    with open(root / "faces.csv", "w", newline="") as file:
        rows = [(f"{NAMES[label]}/{k:03d}.jpg", NAMES[label]) for k, (label, _) in enumerate(pictures)]
        csv.writer(file).writerows([("path", "subject"), *rows])
    return root / "faces.csv"


def as_lst(root, pictures):
    as_folder(root, pictures)
    rows = [f"{k}\t{label}\t{NAMES[label]}/{k:03d}.jpg" for k, (label, _) in enumerate(pictures)]
    (root / "faces.lst").write_text("\n".join(rows))
    return root / "faces.lst"


WRITERS = {
    "folder": as_folder,
    "recordio": as_recordio,
    "lmdb": as_lmdb,
    "webdataset": as_shards,
    "json": lambda root, pictures: as_shards(root, pictures, "json"),
    "keys": lambda root, pictures: as_shards(root, pictures, "folder"),
    "csv": as_csv,
    "lst": as_lst,
}


@pytest.mark.parametrize("layout", WRITERS)
def test_every_layout_gives_the_same_pictures(tmp_path, layout):
    place = WRITERS[layout](tmp_path / "set", crowd())
    source = open_source(place, tier="sim", license="mine")
    assert (len(source), source.classes, source.size_hw, source.faults) == (6, 3, (112, 112), ())
    assert source.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert source.names in (NAMES, ("0", "1", "2"))
    assert (source.tier, source.license) == ("sim", "mine")
    for i, (_, data) in enumerate(crowd()):
        assert np.array_equal(source.picture(i)[0], images.read(data).pixels)
    batches = [next(Feed(source, batch=6, augment=Flip(), workers=w).batches(1)) for w in (0, 2)]
    assert all((batches[0][key] == batches[1][key]).all() for key in batches[0])
    kept = open_source(place, size_hw=(56, 56)).in_memory(workers=2)
    assert kept.images.shape == (6, 56, 56, 3)
    means = images.read(crowd()[0][1]).pixels.astype(float).reshape(56, 2, 56, 2, 3).mean((1, 3))
    assert abs(kept.images[0] - means).mean() < 1  # a JPEG is decoded no smaller than asked for
    assert kept.labels.tolist() == [0, 0, 1, 1, 2, 2]


def test_resizing_keeps_every_pixel_in_its_place(tmp_path):
    (tmp_path / "ann").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (112, 96, 3), dtype=np.uint8)
    images.write(tmp_path / "ann" / "1.png", pixels)
    half = open_source(tmp_path, size_hw=(56, 48)).picture(0)[0]
    means = pixels.astype(float).reshape(56, 2, 48, 2, 3).mean((1, 3))
    assert abs(half - means).max() <= 1  # the mean of each 2 x 2 pixels: centers stay where they are
    with pytest.raises(InputError, match="expected a picture of 56 x 56, got 112 x 96"):
        open_source(tmp_path, size_hw=(56, 56), faulty=1).picture(0)


def damaged(kind):
    """The six pictures, the second of which cannot be used."""
    (label, good), rest = crowd()[1], list(crowd())
    other = images.encode(images.read(good).pixels[:100], ".jpg")
    rest[1] = label, {"cut": good[: len(good) // 2], "noise": b"no picture at all", "size": other}[kind]
    return rest


@pytest.mark.parametrize("layout", ["folder", "recordio", "lmdb", "webdataset"])
@pytest.mark.parametrize("kind", ["cut", "noise", "size"])
def test_what_is_damaged_is_named_and_replaced(tmp_path, layout, kind):
    source = open_source(WRITERS[layout](tmp_path / "set", damaged(kind)))
    feed = Feed(source, batch=6, workers=2)
    for number, batch in zip(range(4), feed.batches(), strict=False):
        assert 1 not in batch["index"].tolist()
        assert sorted(batch["label"].tolist()) == [0, 0, 1, 1, 2, 2]  # the same person's other picture
        assert batch["index"].tolist() == [0 if i == 1 else i for i in feed.rows(number).tolist()]
    (fault,) = source.faults
    assert fault.index == 1
    assert "picture" in fault.reason
    assert str(fault).startswith(source.where(1))
    assert len(source.in_memory()) == 5
    assert len(open_source(tmp_path / "set", size_hw=(112, 112)).in_memory()) == 5


def test_a_set_that_is_mostly_damaged_stops_the_run(tmp_path):
    pictures = [*crowd(), *[(2, b"nothing")] * 2]
    source = open_source(as_folder(tmp_path, pictures))
    with pytest.raises(StoreError, match=r"2 of 8 records cannot be used, and 20% may be so; the last is .*cy/00\d"):
        list(zip(range(9), Feed(source, batch=4).batches(), strict=False))
    allowed = open_source(tmp_path, faulty=0.5)
    list(zip(range(9), Feed(allowed, batch=4).batches(), strict=False))
    assert len(allowed.faults) == 2


def test_faults_of_opening_count(tmp_path):
    root = tmp_path / "set"
    root.mkdir()
    with ShardWriter(root, "faces") as writer:
        for k, (label, data) in enumerate(crowd()):
            writer.write(str(k), {"jpg": data} | ({"cls": str(label).encode()} if k else {}))
    source = open_source(root)
    assert (len(source), source.labels.tolist()) == (5, [0, 1, 1, 2, 2])
    assert "expected a person" in source.faults[0].reason
    with pytest.raises(StoreError, match="1 of 6 records"):
        open_source(root, faulty=0.1)


def test_sets_that_are_none(tmp_path):
    with pytest.raises(InputError, match=r"found nothing; expected one of\n.*one folder of pictures per person"):
        open_source(tmp_path / "gone")
    with pytest.raises(InputError, match="found no training set in this folder"):
        open_source(tmp_path)
    (tmp_path / "list.csv").write_text("path,subject\n")
    with pytest.raises(InputError, match=r"name the table itself: list\.csv"):
        open_source(tmp_path)
    with pytest.raises(InputError, match="only a header"):
        open_source(tmp_path / "list.csv")
    (tmp_path / "notes.docx").write_text("x")
    with pytest.raises(InputError, match="a file of another kind"):
        open_source(tmp_path / "notes.docx")
    (tmp_path / "people" / "ann").mkdir(parents=True)
    with pytest.raises(InputError, match="got no pictures at all"):
        open_source(tmp_path / "people")
    (tmp_path / "people" / "ann" / "1.jpg").write_bytes(b"x")
    with pytest.raises(InputError, match=r"expected a picture among the first 1, found none, such as .*1\.jpg: "):
        open_source(tmp_path / "people")
    with pytest.raises(InputError, match="layout: expected folder"):
        open_source(tmp_path, layout="zip")
    with pytest.raises(InputError, match="at least 8 x 8"):
        open_source(tmp_path, layout="folder", size_hw=(4, 4))


def test_a_folder_that_could_be_two_sets_is_not_guessed(tmp_path):
    as_shards(as_folder(tmp_path, crowd()), crowd())
    with pytest.raises(InputError, match="tar files and folders such as ann: say layout="):
        open_source(tmp_path)
    assert [open_source(tmp_path, layout=kind).names for kind in ("folder", "webdataset")] == [NAMES, ("0", "1", "2")]
    as_recordio(tmp_path, crowd()[:4])  # with its name beside, this is a set as InsightFace packs it
    assert len(open_source(tmp_path)) == 4


def test_one_person_and_labels_out_of_range(tmp_path):
    source = open_source(as_folder(tmp_path, crowd()[:2]))
    assert source.classes == 1
    with pytest.raises(InputError, match="at least 2 persons"):
        PK(source.labels, 2, 2)
    with pytest.raises(InputError, match="below 1, got 0 to 3"):
        Stored("x", source.read, source.where, np.array([0, 3]), ("a",), (112, 112))
    part = open_source(as_folder(tmp_path, crowd())).subset([5, 2])
    assert (part.labels.tolist(), part.names, part.where(0)[-10:]) == ([2, 1], NAMES, "cy/005.jpg")
    assert np.array_equal(part.picture(1)[0], images.read(crowd()[2][1]).pixels)
    with pytest.raises(InputError, match="from 0 below 2"):
        part.subset([2])


@pytest.mark.parametrize("layout", ["folder", "recordio", "webdataset"])
def test_files_that_go_away_while_they_are_used_are_faults(tmp_path, layout):
    place = WRITERS[layout](tmp_path / "set", crowd())
    source = open_source(place)
    last = sorted(p for p in place.rglob("*") if p.suffix in (".jpg", ".rec", ".tar"))[-1]
    last.write_bytes(last.read_bytes()[:700])
    with pytest.raises(InputError, match=re.escape(source.where(5))):
        source.picture(5)
    with pytest.raises(InputError, match=re.escape(source.where(5))):  # remembered, and not counted twice
        source.picture(5)
    (fault,) = source.faults
    assert (fault.index, fault.reason.count(str(last)) <= 1) == (5, True)

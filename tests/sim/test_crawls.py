"""Simulated crawls: the defects that were planted are those in the truth, and an oracle finds them again."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from collections import Counter
from dataclasses import replace

import cv2
import numpy as np
import pytest

from vultus.errors import InputError, StoreError
from vultus.io import images
from vultus.sim import crawls, faces
from vultus.sim._crawl_draw import drawn
from vultus.sim.crawls import CrawlWorld

DIRTY = CrawlWorld(
    flips=0.15, outliers=0.15, repeated=0.5, duplicates=0.1, near_duplicates=0.1, split=0.3, merged=0.3, namesakes=0.4
)


@pytest.fixture(scope="module")
def noisy():
    return crawls.folders(10, 7, 6, DIRTY, size=32)


@pytest.fixture(scope="module")
def shots(noisy):
    return [noisy.read(k) for k in range(len(noisy))]


def defects(crawl, name):
    return {k for k, entry in enumerate(crawl.entries) if name in entry.defects}


def dhash(image):
    small = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (9, 8), interpolation=cv2.INTER_AREA).astype(int)
    return (np.diff(small, axis=1) > 0).ravel()


def test_who_is_in_the_wrong_folder_is_found_by_who_was_rendered(noisy, shots):
    person_of = {entity.key: entity.person for entity in noisy.entities}
    belong = {f.name: {person_of[key] for key in f.entities} for f in noisy.folders}
    wrong = {k for k, s in enumerate(shots) if s.samples[0].person.seed not in belong[noisy.entries[k].label]}
    assert wrong == defects(noisy, "flip") | defects(noisy, "outlier") | defects(noisy, "namesake")
    assert wrong
    known = set(person_of.values())
    assert {k for k in wrong if shots[k].samples[0].person.seed not in known} == defects(noisy, "outlier")
    for k in defects(noisy, "namesake"):
        names = {entity.key: entity.name for entity in noisy.entities}
        assert names[noisy.entries[k].entities[0]] in {names[key] for key in named(noisy, noisy.entries[k].label)}
    for entry, shot in zip(noisy.entries, shots, strict=True):
        assert entry.people == tuple(sample.person.seed for sample in shot.samples)
        assert entry.entities == tuple(next((e.key for e in noisy.entities if e.person == p), "") for p in entry.people)


def named(crawl, folder):
    return next(f.entities for f in crawl.folders if f.name == folder)


def test_copies_are_found_by_their_bytes_and_reposts_by_their_hash(noisy, shots):
    first = {}
    exact = set()
    for k, shot in enumerate(shots):
        digest = hashlib.sha256(shot.image.tobytes()).digest()
        if digest in first and noisy.entries[k].copy_of >= 0:
            exact.add(k)
            assert noisy.entries[first[digest]].draw == noisy.entries[k].draw
        first.setdefault(digest, k)
    assert len(first) == len(shots) - len(exact)  # nothing else is equal
    twice_reposted = {k for k in exact if noisy.entries[k].recipe == "near"}
    assert exact - twice_reposted == defects(noisy, "duplicate")
    assert defects(noisy, "near_duplicate")
    for k in defects(noisy, "near_duplicate"):
        source = noisy.entries[k].copy_of
        assert (dhash(shots[k].image) != dhash(shots[source].image)).sum() <= 6
        assert not np.array_equal(shots[k].image, shots[source].image)
    assert {k for k, entry in enumerate(noisy.entries) if entry.copy_of >= 0} == defects(noisy, "duplicate") | defects(
        noisy, "near_duplicate"
    )


def test_split_and_merged_people_are_found_by_who_fills_the_folders(noisy):
    sound = [e for e in noisy.entries if not {"flip", "outlier", "namesake"} & set(e.defects)]
    where = {}
    for entry in sound:
        where.setdefault(entry.entities[0], set()).add(entry.label)
    who = {}
    for entry in sound:
        who.setdefault(entry.label, set()).add(entry.entities[0])
    truth = {f.name: f for f in noisy.folders}
    assert {name for name, f in truth.items() if f.defect == "merged"} == {
        n for n, keys in who.items() if len(keys) > 1
    }
    split = {name for names in where.values() if len(names) > 1 for name in names}
    assert {name for name, f in truth.items() if f.defect == "split"} == split
    assert split
    assert set(truth) == {entry.label for entry in noisy.entries}


def test_shares_are_those_asked_for():
    world = replace(DIRTY, merged=0, split=0, namesakes=0, duplicates=0, near_duplicates=0)
    crawl = crawls.folders(150, 20, 1, world)  # a plan costs nothing: no picture is drawn
    count = Counter(name for entry in crawl.entries for name in entry.defects)
    assert count["flip"] / len(crawl) == pytest.approx(0.15, abs=0.03)
    assert count["outlier"] / len(crawl) == pytest.approx(0.15, abs=0.03)
    strangers = Counter(e.people[0] for e in crawl.entries if "outlier" in e.defects)
    assert sum(n for n in strangers.values() if n > 1) / count["outlier"] == pytest.approx(0.5, abs=0.15)
    assert len(crawls.folders(100, 2, 1, DIRTY).namesakes()) == 20
    clean = crawls.folders(20, 4, 1, CrawlWorld(*[0.0] * 18))
    assert not [entry for entry in clean.entries if entry.defects]
    assert len(clean.folders) == 20


def test_namesakes_can_be_told_apart_by_what_they_do(noisy):
    by_key = {entity.key: entity for entity in noisy.entities}
    assert noisy.namesakes()
    for keys in noisy.namesakes():
        pair = [by_key[key] for key in keys]
        assert len({(entity.name, entity.profession) for entity in pair}) == len(pair)


def test_tags_of_pages():
    crawl = crawls.pages(12, 6, 3, CrawlWorld(namesakes=0.2), size=24)
    assert len(crawl) == 72
    name_of = {entity.person: entity.name for entity in crawl.entities}
    seen = Counter()
    for k, entry in enumerate(crawl.entries):
        shot = crawl.read(k) if k < 12 else None
        people = tuple(s.person.seed for s in shot.samples) if shot else entry.people
        assert people == entry.people
        present = [name_of.get(person, "") for person in people]
        found = {"wrong_tag"} if set(entry.tags) - set(present) else set()
        found |= {"bystander"} if "" in present else set()
        named_people = [name for name in present if name]
        right = sum(min(n, named_people.count(name)) for name, n in Counter(entry.tags).items())
        lost = len(named_people) - right
        wrong = len([tag for tag in entry.tags if tag not in present])
        found |= {"missing_tag"} if lost > wrong else set()
        assert found == set(entry.defects)
        seen.update(found)
        seen["group"] += len(people) > 1
    assert min(seen.values()) >= 3
    first = [entry for entry in crawl.entries if entry.path.endswith("_000.png")]
    assert all(len(e.people) == 1 and not e.defects and e.tags == (name_of[e.people[0]],) for e in first)


def test_useless_pictures_with_sentences_are_found_by_looking():
    crawl = crawls.texts(60, 2, size=96)
    words = re.compile(rf"\b({'|'.join(crawls.PEOPLE_WORDS)})\b")
    seen = Counter()
    for k, entry in enumerate(crawl.entries):
        shot = crawl.read(k)
        side = min(shot.image.shape[:2])
        share = (shot.boxes[:, 3] - shot.boxes[:, 1]) / shot.image.shape[0]
        looks = {
            "no_face": len(shot.samples) == 0,
            "many_faces": len(shot.samples) > 3,
            "small_face": len(shot.samples) == 1 and share[0] < 0.2,
            "low_resolution": side < 48,
            "caption": words.search(entry.text) is None,
        }
        found = [name for name, so in looks.items() if so]
        assert tuple(found) == entry.defects, (k, entry)
        assert len(shot.boxes) == len(shot.samples) == len(entry.people)
        seen.update(found or ["sound"])
    assert set(seen) == {"sound", "no_face", "many_faces", "small_face", "low_resolution", "caption"}


@pytest.mark.parametrize(
    ("recipe", "people", "size", "by"),
    [("group", 3, 96, 4), ("crowd", 4, 96, 3), ("small", 1, 160, 3), ("low", 1, 160, 2), ("near", 1, 384, 5)],
)
def test_boxes_lie_on_the_faces(recipe, people, size, by):
    """What a box holds looks like the face it is of, and less so when the box is moved by some pixels."""
    shot = drawn(recipe, tuple(range(people)), (3, 1), size, 0)
    assert shot.boxes.shape == (people, 4)
    for box, sample in zip(shot.boxes, shot.samples, strict=True):
        face = held(sample.image, np.clip(sample.box, 0, sample.size))
        scale = (box[2:] - box[:2]) / (sample.box[2:] - sample.box[:2])
        here = np.concatenate([box[:2], box[:2]]) + (
            np.clip(sample.box, 0, sample.size) - np.tile(sample.box[:2], 2)
        ) * np.tile(scale, 2)
        moves = [(0, 0), (by, 0), (-by, 0), (0, by), (0, -by)]
        off = [np.abs(held(shot.image, here + np.tile(move, 2)) - face).mean() for move in moves]
        assert off[0] == min(off), off
        assert off[0] < 12


def held(image, box):
    """A box of a picture at 24 x 24 pixels, gray values."""
    (x0, y0, x1, y1), side = box, np.arange(24) + 0.5
    x, y = x0 + side * (x1 - x0) / 24 - 0.5, y0 + side * (y1 - y0) / 24 - 0.5
    columns, rows = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
    soft = cv2.GaussianBlur(image, (0, 0), max((x1 - x0) / 48, 0.3))
    return cv2.remap(soft, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(float)


def test_what_is_written_comes_once_with_one_folder_per_label(tmp_path, noisy, shots):
    place = noisy.write(tmp_path)
    assert noisy.write(tmp_path) == place
    assert [p.name for p in tmp_path.iterdir()] == [place.name]
    (tmp_path / "plain").mkdir()
    assert place.stat().st_mode == (tmp_path / "plain").stat().st_mode  # others may read it
    truth = json.loads((place / "truth.json").read_text())
    assert truth["entries"] == json.loads(json.dumps(noisy.truth()["entries"]))
    lines = [json.loads(line) for line in (place / "index.jsonl").read_text().splitlines()]
    assert [line["path"] for line in lines] == [entry.path for entry in noisy.entries]
    assert not {"people", "defects", "entities"} & set(lines[0])  # what a crawler would not know
    assert "person" not in json.loads((place / "entities.json").read_text())[0]
    for k in (0, len(noisy) - 1):
        assert np.array_equal(images.read(place / "pictures" / noisy.entries[k].path).pixels, shots[k].image)
    assert {p.name for p in (place / "pictures").iterdir()} == {entry.label for entry in noisy.entries}


def test_a_full_disk_leaves_nothing(tmp_path, noisy, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(StoreError, match=r"the disk is full.*nothing half-written was kept"):
        crawls.texts(2, 1, size=24).write(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_same_seed_is_the_same_crawl():
    one, other = (crawls.folders(5, 4, 9, DIRTY, size=24) for _ in range(2))
    assert one.truth() == other.truth()
    assert np.array_equal(one.read(3).image, other.read(3).image)
    assert one.truth() != crawls.folders(5, 4, 10, DIRTY, size=24).truth()
    assert {e.person for e in one.entities} == set(faces.people("base")[:5])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: CrawlWorld(flips=1.2), "flips: expected a share"),
        (lambda: CrawlWorld(no_face=0.9), "no_face, many_faces"),
        (lambda: crawls.folders(1, 5, 0), "people: expected 2 to 2000"),
        (lambda: crawls.folders(5.5, 5, 0), "people: expected 2 to 2000"),
        (lambda: crawls.folders(5, 5, 0, size=8), "size: expected 16"),
        (lambda: crawls.folders(5, 5, 0, lod=3), "lod: expected 0"),
        (lambda: crawls.folders(5, 1, 0), "per_person: expected at least 2"),
        (lambda: crawls.pages(4, 1, 0), "at least 5 people"),
        (lambda: crawls.texts(0, 0), "count: expected at least 1"),
    ],
)
def test_refusals(call, said):
    with pytest.raises(InputError, match=said):
        call()

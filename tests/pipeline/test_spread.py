"""Large jobs: cut the same way every time, kept once whatever is lost, and gone on with."""

from __future__ import annotations

import os
from dataclasses import replace
from hashlib import sha256
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pipeline.jobs import SPACE, FakeEngine, MemorySink, Pipe, made
from vultus.errors import InputError, SpaceMismatch, StoreError
from vultus.gallery import open_gallery
from vultus.io.datasets.webdataset import ShardWriter
from vultus.pipeline._engines import Lost, RayEngine, engine
from vultus.pipeline._sinks import _indices, _spans, read_part
from vultus.pipeline._work import Spec, joined
from vultus.pipeline.spread import FolderSink, GallerySink, plan, read_parts, spread


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    """Where chunks end depends on names: relative ones are the same in every run."""
    monkeypatch.chdir(tmp_path)


def files(folder, n, size=4):
    """Paths of small files, and the chunks of about `size` of them."""
    paths = [Path(os.path.relpath(folder / f"{i:03d}.jpg")) for i in range(n)]
    for path in paths:
        path.write_bytes(path.name.encode())
    return paths, plan(paths, size=size)


def total(steps):
    rows = list(steps)
    return (
        sum(s.pictures for s in rows),
        sum(s.known for s in rows),
        sum(s.faces for s in rows),
        sum(len(s.failed) for s in rows),
    )


# -- cutting ----------------------------------------------------------------------------------------------------------


def test_every_photo_is_in_one_chunk_in_order_and_again_the_same(tmp_path):
    paths, chunks = files(tmp_path, 100)
    assert [f for chunk in chunks for f in chunk.files] == [str(p) for p in paths]
    assert plan(paths, size=4) == chunks
    assert plan([*paths, paths[3]], size=4) == chunks  # named twice, taken once
    assert 10 < len(chunks) < 50
    assert max(map(len, chunks)) <= 16
    assert len({chunk.id for chunk in chunks}) == len(chunks)


def test_a_new_or_changed_photo_changes_its_chunk_only(tmp_path):
    paths, chunks = files(tmp_path, 100)
    new = Path("050a.jpg")
    new.write_bytes(b"new")
    more = plan(sorted([*paths, new]), size=4)
    assert len({c.id for c in chunks} - {c.id for c in more}) == 1
    paths[7].write_bytes(b"longer than it was")
    assert len({c.id for c in chunks} - {c.id for c in plan(paths, size=4)}) == 1
    os.utime(paths[90], ns=(0, 1))
    assert len({c.id for c in chunks} - {c.id for c in plan(paths, size=4)}) == 2


def test_shards_are_cut_into_stretches_of_samples(tmp_path):
    with ShardWriter(tmp_path, "s", max_samples=10) as out:
        for i in range(13):
            out.write(f"{i}", {"jpg": bytes([i + 1])} if i != 4 else {"txt": b"x"})
    chunks = plan([], out.written, size=4)
    assert [(c.shard, c.start, c.stop) for c in chunks] == [
        (str(path), *span)
        for path, spans in zip(out.written, (((0, 4), (4, 8), (8, 10)), ((0, 3),)), strict=True)
        for span in spans
    ]
    read = [item for chunk in chunks for item in chunk.pictures()]
    assert [picture for _, picture, _ in read] == [None if i == 4 else bytes([i + 1]) for i in range(13)]
    assert read[4][2] == "a sample without a picture"
    assert list(chunks[0].singles()[2].pictures()) == [read[2]]
    (tmp_path / "none.tar").write_bytes(b"x" * 1024)
    (only,) = plan([], [tmp_path / "none.tar"])
    assert "damaged header" in next(only.pictures())[2]


def test_what_cannot_be_cut():
    for bad in (0, -1, 1.5, True):
        with pytest.raises(InputError, match="chunk"):
            plan(["a"], size=bad)
    with pytest.raises(InputError, match="got none"):
        plan([])


@given(st.sets(st.integers(0, 60)))
def test_spans_are_read_back(indices):
    assert _indices(_spans(indices), 61) == indices
    assert _indices(_spans(indices), 30) == {i for i in indices if i < 30}


@given(st.text("0123456789-,x", max_size=12))
def test_a_note_that_makes_no_sense_is_no_note(text):
    assert all(0 <= i < 5 for i in _indices(text, 5))


# -- driving ----------------------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), losses=st.integers(0, 3))
def test_every_chunk_is_kept_once_whatever_is_lost(tmp_path_factory, seed, losses):
    folder = tmp_path_factory.getbasetemp() / "many"
    folder.mkdir(exist_ok=True)
    _, chunks = files(folder, 40)
    rng = np.random.default_rng(seed)

    def fate(chunk, times):
        return Lost("WorkerCrashedError") if times <= losses and rng.random() < 0.5 else made(chunk)

    sink, works = MemorySink(), FakeEngine(fate, seed)
    pictures, known, faces, failed = total(spread(Pipe(), chunks, sink, engine=works))
    assert sink.times == dict.fromkeys(range(len(chunks)), 1)
    assert pictures + failed == 40
    assert known == 0
    assert works.most <= works.size + 1  # and one picture alone
    assert works.closed
    assert sink.finished
    if not failed:
        for i, chunk in enumerate(chunks):
            assert sink.kept[i].sources == made(chunk).sources
            np.testing.assert_array_equal(sink.kept[i].vectors, made(chunk).vectors)
            np.testing.assert_array_equal(sink.kept[i].photo, made(chunk).photo)
        assert faces == sum(len(made(chunk).photo) for chunk in chunks)


def test_only_the_picture_that_kills_workers_is_given_up(tmp_path):
    paths, chunks = files(tmp_path, 30)
    killer = str(paths[11])

    def fate(chunk, times):
        return Lost("OutOfMemoryError: too much") if killer in chunk.files else made(chunk)

    sink = MemorySink()
    steps = list(spread(Pipe(), chunks, sink, engine=FakeEngine(fate)))
    assert [f for s in steps for f in s.failed] == [
        (killer, "VultusError", f"{killer}: every worker that was given it came to an end (OutOfMemoryError: too much)")
    ]
    assert sorted(s for part in sink.kept.values() for s in part.sources) == [str(p) for p in paths if str(p) != killer]


def test_an_error_of_ours_stops_the_job_and_frees_the_engine(tmp_path):
    _, chunks = files(tmp_path, 10)

    def fate(chunk, times):
        raise StoreError("a worker could not begin")

    works, sink = FakeEngine(fate), MemorySink()
    with pytest.raises(StoreError, match="could not begin"):
        total(spread(Pipe(), chunks, sink, engine=works))
    assert works.closed
    assert not sink.finished
    with pytest.raises(SpaceMismatch):
        total(spread(Pipe(), chunks, sink, engine=FakeEngine(lambda chunk, n: made(chunk, "other@1"))))
    with pytest.raises(InputError, match="local or ray"):
        engine("spark", Spec.of)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1:99999"])
def test_a_cluster_that_is_not_there_is_told_at_once(address):
    pytest.importorskip("ray")
    with pytest.raises(StoreError, match="could not join it"):
        RayEngine(Spec.of(Pipe()), address)


def test_joined_pictures_are_the_chunk(tmp_path):
    _, chunks = files(tmp_path, 12)
    for chunk in chunks:
        whole, parts = made(chunk), [made(single) for single in chunk.singles()]
        again = joined(chunk, SPACE, parts, [])
        for name in ("sources", "sha256", "failed", "chunk"):
            assert getattr(again, name) == getattr(whole, name)
        for name in ("photo", "boxes", "vectors", "sizes_hw", "scores"):
            np.testing.assert_array_equal(getattr(again, name), getattr(whole, name))
    assert len(joined(chunks[0], SPACE, [], []).photo) == 0


# -- into a folder ----------------------------------------------------------------------------------------------------


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_is_gone_on_with_and_ends_the_same(tmp_path):
    (tmp_path / "in").mkdir()
    paths, _ = files(tmp_path / "in", 30)
    paths[5].rename(tmp_path / "in" / "bad.jpg")
    chunks = plan(sorted(Path("in").iterdir()), size=4)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert total(spread(Pipe(), chunks, FolderSink(whole, SPACE, "x"), engine=FakeEngine()))[3] == 1
    steps = spread(Pipe(), chunks, FolderSink(broken, SPACE, "x"), engine=FakeEngine())
    list(islice(steps, 3))
    steps.close()  # what an interrupt does
    assert len(names(broken)) == 4
    with pytest.raises(StoreError, match="could not read"):
        list(read_parts(broken))
    works = FakeEngine(seed=5)
    pictures, known, _, failed = total(spread(Pipe(), chunks, FolderSink(broken, SPACE, "x"), engine=works))
    assert len(works.given) == len(chunks) - 3
    assert (pictures + known, failed) == (29, 1)  # the bad one is named again, whichever run met it
    assert names(broken) == names(whole)
    for name in names(whole):
        assert (broken / name).read_bytes() == (whole / name).read_bytes()
    assert [s for part in read_parts(whole) for s in part.sources] == [
        f for c in chunks for f in c.files if "bad" not in f
    ]
    works = FakeEngine()
    assert total(spread(Pipe(), chunks, FolderSink(whole, SPACE, "x"), engine=works))[1:] == (29, 0, 1)
    assert works.given == []


def test_a_damaged_part_is_made_again_and_an_outdated_one_dropped(tmp_path):
    (tmp_path / "in").mkdir()
    paths, chunks = files(tmp_path / "in", 20)
    out = tmp_path / "out"
    total(spread(Pipe(), chunks, FolderSink(out, SPACE, "x"), engine=FakeEngine()))
    for damage in (
        lambda data: data[:-30],
        lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:],
        lambda data: b"",
    ):
        part = out / f"{chunks[2].id}.npz"
        good = part.read_bytes()
        part.write_bytes(damage(good))
        works = FakeEngine()
        total(spread(Pipe(), chunks, FolderSink(out, SPACE, "x"), engine=works))
        assert works.given == [chunks[2]]
        assert part.read_bytes() == good
    paths[0].write_bytes(b"changed")
    later = plan(paths, size=4)
    works = FakeEngine()
    total(spread(Pipe(), later, FolderSink(out, SPACE, "x"), engine=works))
    assert works.given == [later[0]]
    assert len(names(out)) == len(chunks) + 1
    assert read_part(out / f"{later[0].id}.npz").chunk == later[0].id


def test_a_folder_holds_results_of_one_kind(tmp_path):
    (tmp_path / "in").mkdir()
    _, chunks = files(tmp_path / "in", 5)
    out = tmp_path / "out"
    total(spread(Pipe(), chunks, FolderSink(out, SPACE, "x"), engine=FakeEngine()))
    for other in (FolderSink(out, "other@1", "x"), FolderSink(out, SPACE, "y")):
        with pytest.raises(InputError, match="choose another folder"):
            total(spread(Pipe(), chunks, other, engine=FakeEngine()))
    with pytest.raises(InputError, match="expected an empty folder"):
        total(spread(Pipe(), chunks, FolderSink(tmp_path / "in", SPACE, "x"), engine=FakeEngine()))
    (out / "manifest.json").write_text("{}")
    with pytest.raises(StoreError, match=r"manifest\.json"):
        total(spread(Pipe(), chunks, FolderSink(out, SPACE, "x"), engine=FakeEngine()))


# -- into a gallery ---------------------------------------------------------------------------------------------------


def contents(gallery):
    """Every face with its vector; keys and dates are the run's own."""
    faces = gallery.faces(limit=10_000)
    vectors = gallery.vectors_of([face.id for face in faces], SPACE) if faces else []
    return sorted((f.medium, f.box, f.score, v.tobytes()) for f, v in zip(faces, vectors, strict=True))


def test_a_gallery_gets_every_face_once(tmp_path):
    (tmp_path / "in").mkdir()
    _, chunks = files(tmp_path / "in", 30)
    with open_gallery(tmp_path / "whole.db") as whole, open_gallery(tmp_path / "broken.db") as broken:
        _, _, faces, _ = total(spread(Pipe(), chunks, GallerySink(whole, SPACE), engine=FakeEngine()))
        assert len(contents(whole)) == faces > 0
        steps = spread(Pipe(), chunks, GallerySink(broken, SPACE), engine=FakeEngine())
        list(islice(steps, 3))
        steps.close()
        works = FakeEngine(seed=4)
        pictures, known, _, _ = total(spread(Pipe(), chunks, GallerySink(broken, SPACE), engine=works))
        assert len(works.given) == len(chunks) - 3
        assert pictures + known == 30
        assert contents(broken) == contents(whole)
        assert broken.verify_audit() == broken.damage() == []


def test_a_part_that_comes_twice_changes_nothing(tmp_path):
    (tmp_path / "in").mkdir()
    _, chunks = files(tmp_path / "in", 12)
    with open_gallery(tmp_path / "g.db") as gallery:
        sink = GallerySink(gallery, SPACE)
        sink.begin(chunks)
        for i, chunk in enumerate(chunks):
            sink.keep(i, chunk, made(chunk))
        before = contents(gallery)
        ids = {face.id for face in gallery.faces(limit=100)}
        for i, chunk in enumerate(chunks):
            sink.keep(i, chunk, made(chunk))
        assert contents(gallery) == before
        assert {face.id for face in gallery.faces(limit=100)} == ids


def test_photos_that_the_gallery_knows_are_not_embedded_again(tmp_path):
    """Under another plan the notes do not help, and the sha256 of the files does."""
    (tmp_path / "in").mkdir()
    paths, chunks = files(tmp_path / "in", 20)

    def hashed(chunk, times):
        part = made(chunk)
        return replace(part, sha256=tuple(sha256(Path(s).read_bytes()).hexdigest() for s in part.sources))

    with open_gallery(tmp_path / "g.db") as gallery:
        total(spread(Pipe(), chunks, GallerySink(gallery, SPACE), engine=FakeEngine(hashed)))
        new = Path("in/new.jpg")
        new.write_bytes(b"new")
        works = FakeEngine(hashed)
        other = plan([*paths, new], size=7)
        assert total(spread(Pipe(), other, GallerySink(gallery, SPACE), engine=works))[:2] == (1, 20)
        assert [chunk.files for chunk in works.given] == [(str(new),)]

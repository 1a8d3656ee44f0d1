"""What is held in memory follows the store, whoever writes; a saved index is used when it fits, else made anew."""

from __future__ import annotations

import numpy as np
import pytest

from vultus.gallery import _book, _roster, backup, open_gallery
from vultus.ops.vectors import unit
from vultus.types import Template

SPACE = "toy@000000000000"
DIM = 16


def _rows(seed, n=2):
    rng = np.random.default_rng(seed)
    return unit(unit(rng.standard_normal(DIM)) + 0.3 * unit(rng.standard_normal((n, DIM))))


def _enroll(gallery, name, seed):
    return gallery.enroll(name, _rows(seed), None, [f"{name}-{seed}-{i}" for i in range(2)], SPACE)


def _found(gallery, seed, **how):
    return [(m.name, round(m.score, 5)) for m in gallery.search(Template(_rows(seed)[0], SPACE), 4, **how)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "people.db"


def test_it_follows_every_kind_of_change_as_a_fresh_reading_would_have_it(path):
    with open_gallery(path) as writer, open_gallery(path) as reader:
        for seed in range(12):
            _enroll(writer, f"p{seed}", seed)
        assert _found(reader, 3)[0][0] == "p3"
        index = reader._people().index
        ids = {p.name: p.id for p in writer.people()}
        writer.rename(ids["p3"], "Three")
        writer.set_attributes(ids["p4"], {"team": "red"})
        writer.merge(ids["p5"], ids["p6"])
        writer.split(ids["p7"], [writer.faces(person_id=ids["p7"])[0].id], "half")
        writer.erase(ids["p8"])
        _enroll(writer, "p9", 30)
        _enroll(writer, "new", 31)
        for seed in range(32):
            with open_gallery(path) as fresh:
                assert _found(reader, seed) == _found(fresh, seed)
        assert reader._people().index is index  # followed, not made again
        assert _found(reader, 4, where={"team": "red"}) == _found(reader, 4)[:1]
        assert "p8" not in [name for seed in range(32) for name, _ in _found(reader, seed)]


def test_a_saved_index_is_opened_caught_up_and_never_trusted_blindly(path, monkeypatch):
    monkeypatch.setattr(_roster, "MANY", 5)  # so that ten people are many
    with open_gallery(path) as gallery:
        for seed in range(10):
            _enroll(gallery, f"p{seed}", seed)
        want = [_found(gallery, seed) for seed in range(10)]
        assert gallery._people().index.kind == "bits"
    (saved,) = (path.parent / "people.db.index").iterdir()
    builds = []
    monkeypatch.setattr(_roster, "_built", lambda pages, real=_roster._built: builds.append(1) or real(pages))
    with open_gallery(path) as gallery:
        assert [_found(gallery, seed) for seed in range(10)] == want
        assert builds == []
        gallery.erase(gallery.named("p2")[0].id)
        assert not saved.exists()  # its vector lay in that file
        _enroll(gallery, "p11", 11)
        assert _found(gallery, 11)[0][0] == "p11"
        builds.clear()
    (saved,) = (path.parent / "people.db.index").iterdir()
    data = bytearray(saved.read_bytes())
    data[len(data) // 2] ^= 1
    saved.write_bytes(data)
    with open_gallery(path) as gallery:
        assert _found(gallery, 11)[0][0] == "p11"
        assert "p2" not in [name for name, _ in _found(gallery, 2)]
        assert builds == [1]  # damaged: made again
    for junk in ("junk.vectors", "999999-999999-1.vectors", "1-0-0.vectors"):
        (path.parent / "people.db.index" / junk).write_bytes(b"nothing of use")
    with open_gallery(path) as gallery:
        assert _found(gallery, 11)[0][0] == "p11"


def test_an_index_of_another_gallery_in_this_place_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(_roster, "MANY", 2)
    for folder, first in (("a", 0), ("b", 50)):
        (tmp_path / folder).mkdir()
        with open_gallery(tmp_path / folder / "people.db") as gallery:
            for seed in range(first, first + 4):
                _enroll(gallery, f"p{seed}", seed)
            len(gallery)
    (mine,) = (tmp_path / "a/people.db.index").iterdir()
    (theirs,) = (tmp_path / "b/people.db.index").iterdir()
    mine.write_bytes(theirs.read_bytes())
    with open_gallery(tmp_path / "a/people.db") as gallery:
        assert _found(gallery, 1)[0][0] == "p1"
        assert all(not m.startswith("p5") for m, _ in _found(gallery, 51))


def test_an_index_from_before_a_backup_was_restored_is_not_used(path, monkeypatch):
    """The same gallery with the same revisions, and another history."""
    monkeypatch.setattr(_roster, "MANY", 2)
    with open_gallery(path) as gallery:
        for seed in range(3):
            _enroll(gallery, f"p{seed}", seed)
        gallery.store.backup(path.with_name("backup.db"))
        _enroll(gallery, "p10", 10)
        len(gallery)
    for file in path.parent.glob("people.db*"):
        if file.is_file():
            file.unlink()
    path.with_name("backup.db").rename(path)
    with open_gallery(path) as gallery:
        for seed in (20, 21):
            _enroll(gallery, f"p{seed}", seed)
        assert _found(gallery, 20)[0][0] == "p20"
        assert "p10" not in [name for name, _ in _found(gallery, 10)]


def test_changes_that_are_not_kept_any_more_make_it_anew(path, monkeypatch):
    monkeypatch.setattr(_book, "CHANGES_KEPT", 4)
    with open_gallery(path) as writer, open_gallery(path) as reader:
        for seed in range(3):
            _enroll(writer, f"p{seed}", seed)
        assert _found(reader, 1)[0][0] == "p1"
        index = reader._people().index
        for seed in range(3, 9):
            _enroll(writer, f"p{seed}", seed)
        assert _found(reader, 4)[0][0] == "p4"
        assert reader._people().index is not index
        with writer.store.read() as rows:
            assert rows.count("changes") == 4


def test_a_gallery_restored_under_a_saved_index_is_not_followed_from_the_middle(tmp_path, monkeypatch):
    """The same history and a log of changes numbered anew, which has outgrown the number that the index stopped at."""
    monkeypatch.setattr(_roster, "MANY", 2)
    path = tmp_path / "people.db"
    with open_gallery(path) as gallery:
        for seed in range(4):
            _enroll(gallery, f"p{seed}", seed)
        len(gallery)
    (saved,) = (tmp_path / "people.db.index").iterdir()
    keep = saved.read_bytes()
    with open_gallery(path) as gallery:
        backup.backup(gallery.store, tmp_path / "backup.db")
    for file in tmp_path.glob("people.db*"):
        if file.is_file():
            file.unlink()
    with open_gallery(path) as gallery:
        backup.restore(tmp_path / "backup.db", gallery.store)
    with open_gallery(path) as gallery:
        for seed in range(20, 40):
            _enroll(gallery, f"p{seed}", seed)
    for file in (tmp_path / "people.db.index").iterdir():
        file.unlink()
    saved.write_bytes(keep)
    with open_gallery(path) as gallery:
        for seed in (1, 20, 22, 39):
            assert _found(gallery, seed)[0][0] == f"p{seed}"

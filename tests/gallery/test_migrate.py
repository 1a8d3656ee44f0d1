"""A gallery moves to another embedder and answers all the time: from photos, without photos, there and back."""

from __future__ import annotations

import numpy as np
import pytest

from vultus.errors import InputError, SpaceMismatch
from vultus.gallery import migrate, open_gallery
from vultus.gallery.records import NewFace
from vultus.ops.vectors import unit
from vultus.types import Template

OLD, NEW = "old@000000000000", "new@111111111111"
D_OLD, D_NEW = 12, 20
MAP = np.linalg.qr(np.random.default_rng(1).standard_normal((D_NEW, D_NEW)))[0][:, :D_OLD]


def _old(seed, n=2):
    rng = np.random.default_rng(seed)
    return unit(unit(rng.standard_normal(D_OLD)) + 0.4 * unit(rng.standard_normal((n, D_OLD))))


def _new(rows):
    return unit(rows @ MAP.T)


@pytest.fixture
def gallery(tmp_path):
    with open_gallery(tmp_path / "people.db") as opened:
        for seed in range(5):
            rows = _old(seed)
            faces = [
                NewFace(f"{seed}-{i}", row, (10, 10, 60, 60), 0.9, 0.8, source=f"/photos/{seed}-{i}.jpg")
                for i, row in enumerate(rows)
            ]
            opened.enroll_faces(f"p{seed}", faces, OLD)
        opened.add_faces([NewFace("street", _old(9)[0], (0, 0, 9, 9), source="/photos/street.jpg")], OLD)
        yield opened


def _encode(sources):
    """Stands for the new pipeline: boxes move a little, and one photo is gone."""
    for source in sources:
        stem = source.rpartition("/")[2].removesuffix(".jpg")
        if stem == "3-1":
            yield "no such file"
        elif stem == "street":
            yield [NewFace(stem, _new(_old(9)[:1])[0], (0, 1, 9, 10))]
        else:
            seed, i = map(int, stem.split("-"))
            yield [
                NewFace(stem, _new(_old(seed))[i], (11, 9, 62, 59)),
                NewFace(stem, _new(_old(50, 1))[0], (90, 0, 99, 9)),
            ]


def test_from_photos_with_both_spaces_side_by_side_and_back(gallery):
    probe_old, probe_new = Template(_old(2)[0], OLD), Template(_new(_old(2))[0], NEW)
    migrate.begin(gallery, NEW)
    for _progress in migrate.reembed(gallery, NEW, _encode):
        assert gallery.search(probe_old, 1)[0].name == "p2"  # it answers in the old space meanwhile
        with pytest.raises(SpaceMismatch):
            gallery.search(probe_new, 1)
    state = migrate.missing(gallery, NEW)
    assert (state.faces, state.done, state.complete) == (11, 10, False)
    assert dict(_progress.lost) == {"/photos/3-1.jpg": "no such file"}
    with pytest.raises(InputError, match="1 of 11 faces"):
        migrate.cut_over(gallery, NEW)
    list(migrate.adapt(gallery, NEW, _new))
    assert migrate.missing(gallery, NEW).complete
    assert migrate.missing(gallery, NEW).adapted == 1
    names = {p.name: p.id for p in gallery.people()}
    migrate.cut_over(gallery, NEW)
    assert gallery.space == NEW
    assert {p.name: p.id for p in gallery.people()} == names
    for seed in range(5):
        assert gallery.search(Template(_new(_old(seed))[1], NEW), 1)[0].name == f"p{seed}"
    assert gallery.damage() == []
    with pytest.raises(SpaceMismatch):
        gallery.search(probe_old, 1)
    assert sorted(gallery.spaces()) == sorted([OLD, NEW])
    migrate.cut_over(gallery, OLD)
    assert gallery.search(probe_old, 1)[0].name == "p2"
    migrate.cut_over(gallery, NEW)
    assert migrate.retire(gallery, OLD) == 11
    assert gallery.spaces() == [NEW]
    with pytest.raises(InputError, match="in use"):
        migrate.retire(gallery, NEW)
    assert gallery.verify_audit() == []


def test_without_photos_and_interrupted(gallery):
    migrate.begin(gallery, NEW)
    calls = []

    def failing(rows):
        calls.append(len(rows))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(migrate.adapt(gallery, NEW, failing))
    assert calls == [11]
    assert migrate.missing(gallery, NEW).done == 0
    assert gallery.damage() == []
    list(migrate.adapt(gallery, NEW, _new))
    migrate.cut_over(gallery, NEW)
    assert gallery.search(Template(_new(_old(4))[0], NEW), 1)[0].name == "p4"
    gallery.enroll("p9", _new(_old(9)), None, None, NEW)
    with pytest.raises(SpaceMismatch):
        gallery.enroll("p10", _old(10), None, None, OLD)


def test_who_is_enrolled_or_corrected_during_a_migration_is_not_lost(gallery):
    migrate.begin(gallery, NEW)
    list(migrate.adapt(gallery, NEW, _new))
    gallery.enroll("late", _old(20), None, None, OLD)
    keep, gone = gallery.named("p0")[0], gallery.named("p1")[0]
    gallery.merge(keep.id, gone.id)
    assert not migrate.missing(gallery, NEW).complete
    list(migrate.adapt(gallery, NEW, _new))
    migrate.cut_over(gallery, NEW)
    assert gallery.search(Template(_new(_old(20))[0], NEW), 1)[0].name == "late"
    assert gallery.person(keep.id).template.n_images == 4
    assert gallery.damage() == []


def test_what_cannot_be_is_refused(gallery):
    with pytest.raises(InputError, match="already"):
        migrate.begin(gallery, OLD)
    with pytest.raises(InputError, match="name@hash"):
        migrate.begin(gallery, "new")
    with pytest.raises(SpaceMismatch, match="begin"):
        next(migrate.adapt(gallery, NEW, _new))
    with pytest.raises(InputError, match="has none"):
        migrate.cut_over(gallery, NEW)
    migrate.begin(gallery, NEW)
    migrate.begin(gallery, NEW)
    with pytest.raises(InputError, match="moving to"):
        migrate.begin(gallery, "other@222222222222")
    migrate.retire(gallery, NEW)  # abandoned
    migrate.begin(gallery, "other@222222222222")

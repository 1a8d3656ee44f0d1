"""Erasure, encryption and checks as a gallery does them: from enrollment to a file in which nobody can be found."""

from __future__ import annotations

import base64
import copy

import numpy as np
import pytest

from vultus.errors import InputError, Refused, StoreError
from vultus.gallery import erase, open_gallery
from vultus.gallery.records import NewFace
from vultus.gallery.stores.sqlite_file import SqliteFile
from vultus.ops.vectors import unit

SPACE = "toy@000000000000"
KEY, OTHER = bytes(range(32)), bytes(range(32, 64))


def _photos(seed, n=3):
    return unit(np.random.default_rng(seed).standard_normal((n, 64)))


def _fill(gallery):
    people = [
        gallery.enroll(name, _photos(i), None, [f"{name}-{k}" for k in range(3)], SPACE)
        for i, name in enumerate(("Ada", "Grace", "Emmy"))
    ]
    faces = [NewFace(f"unknown {k}", row, (0, 0, 9, 9), crop_jpeg=bytes([k]) * 900) for k, row in enumerate(_photos(9))]
    gallery.add_faces(faces, SPACE)
    return people


@pytest.fixture(params=["plain", "encrypted first", "encrypted later"])
def gallery(tmp_path, request):
    with open_gallery(tmp_path / "people.db") as opened:
        if request.param == "encrypted first":
            opened.encrypt(KEY)
        opened.people_ = _fill(opened)
        if request.param == "encrypted later":
            opened.encrypt(KEY)
        yield opened


def _in_files(gallery, rows):
    content = b"".join(file.read_bytes() for file in gallery.store.files())
    return [row for row in rows if row.astype("<f4").tobytes()[:32] in content]


def test_a_person_is_erased_with_everything_and_the_others_are_found_as_before(gallery):
    ada, grace, _ = gallery.people_
    gallery.rename(ada.id, "Ada Lovelace")
    before = gallery.person(grace.id)
    receipt = gallery.erase(ada.id, actor="clerk")
    assert (receipt.person_id, receipt.actor) == (ada.id, "clerk")
    assert receipt.removed["vectors"] == 3
    assert receipt.removed.get("keys", 0) == int(gallery.encrypted)
    assert gallery.person(grace.id) == before
    assert [person.name for person in gallery.people()] == ["Emmy", "Grace"]
    assert gallery.search(before.template, 9)[0].identity_id == grace.id
    assert len(gallery.search(before.template, 9)) == 2
    assert _in_files(gallery, [*_photos(0), ada.template.vector]) == []
    assert not any(b"Lovelace" in file.read_bytes() for file in gallery.store.files())
    assert gallery.history() == []
    assert gallery.verify_audit() == []
    assert gallery.damage() == []
    with pytest.raises(InputError, match="enrolled person"):
        gallery.erase(ada.id)


def test_a_photo_and_a_face_of_nobody_are_erased_alike(gallery):
    ada, *_ = gallery.people_
    after = gallery.remove_photo(ada.id, "Ada-1")
    assert after.template.n_images == 2
    assert _in_files(gallery, [_photos(0)[1], ada.template.vector]) == []
    face = gallery.faces(unknown=True)[0]
    receipt = gallery.remove_face(face.id)
    assert receipt.person_id == f"face:{face.id}"
    assert len(gallery.faces(unknown=True)) == 2
    gallery.remove_photo(ada.id, "Ada-0")
    last = gallery.faces(person_id=ada.id)[0]
    with pytest.raises(InputError, match="remove the person instead"):
        gallery.remove_photo(ada.id, "Ada-2")
    with pytest.raises(InputError, match="remove the person instead"):
        gallery.remove_face(last.id)
    with pytest.raises(InputError, match="expected a photo"):
        gallery.remove_photo(ada.id, "Grace-0")
    assert gallery.damage() == []


def test_corrections_work_on_sealed_rows_and_leave_no_key_behind(gallery):
    ada, grace, emmy = gallery.people_
    gallery.merge(ada.id, grace.id)
    faces = gallery.faces(unknown=True)
    gallery.assign([faces[0].id], name="Sofja")
    gallery.undo()
    gallery.undo()
    gallery.split(emmy.id, [gallery.faces(person_id=emmy.id)[0].id], "Other")
    assert gallery.damage() == []
    with gallery.pages() as pages:
        owners = {row["owner"] for row in pages.rows.find("keys")}
        people = {row["id"] for row in pages.rows.find("people")}
        unknown = {f"face:{row['id']}" for row in pages.rows.find("faces", person_id=None)}
    assert owners == (people | unknown if gallery.encrypted else set())


def test_encryption_leaves_no_plain_vector_and_changes_no_answer(tmp_path, monkeypatch):
    monkeypatch.delenv("VULTUS_GALLERY_KEY", raising=False)
    with open_gallery(tmp_path / "people.db") as gallery:
        people = _fill(gallery)
        rows = np.concatenate([_photos(i) for i in (0, 1, 2, 9)])
        assert len(_in_files(gallery, rows)) == len(rows)
        probe = people[1].template
        before = gallery.search(probe, 3)
        done = gallery.encrypt(KEY)
        assert (done["vectors"], done["templates"], done["crops"], done["keys"]) == (12, 3, 3, 6)
        assert gallery.encrypted
        assert _in_files(gallery, [*rows, *(person.template.vector for person in people)]) == []
        assert gallery.search(probe, 3) == before
        assert gallery.people() == sorted(people, key=lambda person: person.name)
        assert gallery.crop(gallery.faces(unknown=True)[0].id)[:1] in (b"\0", b"\1", b"\2")
        assert gallery.damage() == []
        with pytest.raises(Refused, match="already"):
            gallery.encrypt(OTHER)
        assert gallery.rotate_key(OTHER) == 6
        assert gallery.search(probe, 3) == before
        assert gallery.damage() == []
        twin = copy.copy(gallery)
        with pytest.raises(Refused, match="VULTUS_GALLERY_KEY"):
            twin.people()
    with open_gallery(tmp_path / "people.db", key=KEY) as gallery, pytest.raises(Refused, match="not the key"):
        gallery.people()
    monkeypatch.setenv("VULTUS_GALLERY_KEY", base64.b64encode(OTHER).decode())
    with open_gallery(tmp_path / "people.db") as gallery:
        assert gallery.search(probe, 3) == before


def test_a_gallery_that_another_process_encrypts_asks_for_its_key(tmp_path, monkeypatch):
    monkeypatch.delenv("VULTUS_GALLERY_KEY", raising=False)
    with open_gallery(tmp_path / "people.db") as mine, open_gallery(tmp_path / "people.db") as theirs:
        _fill(mine)
        theirs.encrypt(KEY)
        with pytest.raises(Refused, match="encrypted"):
            mine.enroll("Eve", _photos(5), None, None, SPACE)
        with pytest.raises(Refused, match="encrypted"):
            len(mine)
        assert [person.name for person in theirs.people()] == ["Ada", "Emmy", "Grace"]


def test_a_plain_gallery_is_not_rotated(tmp_path):
    with open_gallery(tmp_path / "people.db") as gallery, pytest.raises(Refused, match="not encrypted"):
        gallery.rotate_key(KEY)


def test_a_damaged_gallery_is_not_encrypted(tmp_path):
    with open_gallery(tmp_path / "people.db") as gallery:
        _fill(gallery)
        with gallery.store.write() as edit:
            row = edit.find("vectors")[0]
            edit.put("vectors", {**row, "checksum": bytes(16)})
        with pytest.raises(StoreError, match="damaged"):
            gallery.encrypt(KEY)
        assert not gallery.encrypted


def _interrupted(gallery, monkeypatch, person):
    with monkeypatch.context() as patch:
        patch.setattr(SqliteFile, "compact", _die)
        with pytest.raises(KeyboardInterrupt):
            gallery.erase(person.id)


def _die(self):
    raise KeyboardInterrupt


def test_the_next_opening_finishes_an_erasure_that_was_interrupted(gallery, monkeypatch):
    ada = gallery.people_[0]
    _interrupted(gallery, monkeypatch, ada)
    with gallery.store.read() as rows:
        assert len(erase.pending(rows)) == 1
    with open_gallery(gallery.store.path, key=gallery._key) as again:
        assert [person.name for person in again.people()] == ["Emmy", "Grace"]
        with again.store.read() as rows:
            assert erase.pending(rows) == []
        assert _in_files(again, [*_photos(0), ada.template.vector]) == []
        assert again.audit()[-1]["verb"] == "erase_finished"
        assert again.damage() == []


def test_an_opening_that_cannot_finish_says_so_and_goes_on(gallery, monkeypatch):
    _interrupted(gallery, monkeypatch, gallery.people_[0])

    def busy(self):
        raise StoreError("somebody reads")

    with monkeypatch.context() as patch:
        patch.setattr(SqliteFile, "compact", busy)
        with (
            open_gallery(gallery.store.path, key=gallery._key) as again,
            pytest.warns(UserWarning, match="not finished"),
        ):
            assert len(again.people()) == 2

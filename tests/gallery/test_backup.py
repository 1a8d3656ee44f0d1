"""Backups and restores: looked through, atomic, never overwriting, as encrypted as the gallery, without the erased."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.gallery.small import KEY, every_row, fill, plain_of
from vultus.errors import InputError, Refused, StoreError
from vultus.gallery import audit, check, erase
from vultus.gallery.backup import backup, restore
from vultus.gallery.stores.sqlite_file import SqliteFile
from vultus.gallery.vault import Vault


@pytest.fixture(params=[None, KEY], ids=["plain", "encrypted"])
def gallery(tmp_path, request):
    store = SqliteFile(tmp_path / "people.db")
    known = fill(store, np.random.default_rng(5), people=3, key_=request.param)
    yield store, known, request.param
    store.close()


def _vault(store, key):
    with store.read() as rows:
        return Vault.open(rows, key)


def _faults(store, key):
    with store.read() as rows:
        return check.faults(rows, Vault.open(rows, key))


def test_a_gallery_comes_back_as_it_was(gallery, tmp_path):
    store, _, key = gallery
    before, plain = None, plain_of(store, _vault(store, key))
    with store.read() as rows:
        before = every_row(rows, "changes")
    made = backup(store, tmp_path / "backup.db", key=key)
    assert [file.name for file in tmp_path.glob("backup*")] == ["backup.db"]
    assert made.encrypted == (key is not None)
    assert made.unchecked == ()
    assert "every row equals the one in the gallery" in made.checks
    assert made.rows["people"] == 3
    content = (tmp_path / "backup.db").read_bytes()
    assert any(blob[:64] in content for blob in plain.values()) == (key is None)
    assert KEY not in content

    back = SqliteFile(tmp_path / "back.db")
    report = restore(tmp_path / "backup.db", back, key=key)
    assert report.digest == made.digest
    assert (tmp_path / "backup.db").read_bytes() == content  # a backup is read and never touched
    assert [file.name for file in tmp_path.glob("backup*")] == ["backup.db"]
    assert plain_of(back, _vault(back, key)) == plain
    with back.read() as rows:
        after = every_row(rows, "changes")
        assert after["audit"][-1]["verb"] == "restore"
        for table in set(before) - {"audit", "facts"}:
            assert after[table] == before[table]
    assert _faults(back, key) == []
    assert back.damage() == []
    json.dumps([made.to_dict(), report.to_dict()], allow_nan=False)
    with store.write() as edit:  # the history goes on with the next number
        edit.put("undo", {**before["undo"][-1], "seq": before["undo"][-1]["seq"] + 1})
    back.close()


def test_without_the_key_an_encrypted_gallery_is_copied_and_it_is_said_what_was_not_looked_at(tmp_path):
    store = SqliteFile(tmp_path / "people.db")
    fill(store, np.random.default_rng(5), people=2, key_=KEY)
    made = backup(store, tmp_path / "backup.db")
    assert made.encrypted
    assert any("key was not given" in line for line in made.unchecked)
    assert "every checksum" in made.checks
    back = SqliteFile(tmp_path / "back.db")
    assert any("key was not given" in line for line in restore(tmp_path / "backup.db", back).unchecked)
    assert _faults(back, KEY) == []
    with pytest.raises(Refused, match="not the key"):
        restore(tmp_path / "backup.db", SqliteFile(tmp_path / "other.db"), key=bytes(32))
    assert not (tmp_path / "other.db").exists()
    back.close()
    store.close()


def test_nothing_is_overwritten_and_nothing_half_is_left(gallery, tmp_path):
    store, _, key = gallery
    taken = tmp_path / "taken.db"
    taken.write_text("mine")
    with pytest.raises(StoreError, match="there already"):
        backup(store, taken, key=key)
    assert taken.read_text() == "mine"
    with pytest.raises(StoreError, match="folder"):
        backup(store, tmp_path / "no" / "backup.db", key=key)
    with pytest.raises(InputError, match="expected a gallery"):
        backup(SqliteFile(tmp_path / "none.db"), tmp_path / "backup.db")
    assert not (tmp_path / "none.db").exists()
    backup(store, tmp_path / "backup.db", key=key)
    with pytest.raises(StoreError, match="holds a gallery already"):
        restore(tmp_path / "backup.db", store, key=key)
    for name in ("nowhere.db", "taken.db"):
        with pytest.raises((InputError, StoreError)):
            restore(tmp_path / name, SqliteFile(tmp_path / "new.db"), key=key)
    assert not (tmp_path / "new.db").exists()
    assert _faults(store, key) == []


def test_an_unfinished_erasure_is_no_time_for_a_backup(gallery, tmp_path):
    store, _, key = gallery
    with store.write() as edit:
        item = {"receipt": "r", "subject": "s", "seq": 1}
        edit.put("facts", {"key": "erasure_pending", "value": json.dumps([item])})
    with pytest.raises(StoreError, match="not finished"):
        backup(store, tmp_path / "backup.db", key=key)


DAMAGE = [
    ("vectors", "vector", lambda blob: bytes([blob[0] ^ 1]) + blob[1:]),
    ("templates", "vector", lambda blob: blob[:-1] + bytes([blob[-1] ^ 1])),
    ("templates", "checksum", lambda blob: bytes(16)),
    ("people", "name", lambda name: "Mallory"),
    ("audit", "actor", lambda actor: "mallory"),
    ("faces", "person_id", lambda person: "nobody"),
    ("faces", "medium", lambda medium: "nowhere.jpg"),
    ("vectors", "face_id", lambda face: "nobody"),
    ("crops", "face_id", lambda face: "nobody"),
]


@pytest.mark.parametrize(("table", "column", "change"), DAMAGE, ids=[f"{t}.{c}" for t, c, _ in DAMAGE])
def test_a_damaged_gallery_is_neither_backed_up_nor_restored(gallery, tmp_path, table, column, change):
    store, _, key = gallery
    with store.write() as edit:
        row = edit.find(table)[0]
        edit.put(table, {**row, column: change(row[column])})
    assert _faults(store, key) != []
    with pytest.raises(StoreError, match="not whole"):
        backup(store, tmp_path / "backup.db", key=key)
    assert not (tmp_path / "backup.db").exists()
    store.backup(tmp_path / "backup.db")
    with pytest.raises(StoreError, match="damaged"):
        restore(tmp_path / "backup.db", SqliteFile(tmp_path / "new.db"), key=key)
    assert not (tmp_path / "new.db").exists()


def test_a_reference_that_its_photos_do_not_give_is_found_by_fusing_again(tmp_path):
    store = SqliteFile(tmp_path / "people.db")
    known = fill(store, np.random.default_rng(5), people=2)
    one, two = [owner for owner in known if not owner.startswith("face:")]
    from vultus.gallery.stores.schema import checksum

    with store.write() as edit:
        rows = edit.find("templates", person_id=one)
        other = edit.get("templates", two, rows[0]["space"])["vector"]
        check_ = checksum(other, one, known[one].name, rows[0]["space"])
        edit.put("templates", {**rows[0], "vector": other, "checksum": check_})  # whole, and somebody else's
    assert _faults(store, None) == [
        f"the reference of {known[one].name!r} ({one}) is not the one fused from its photos"
    ]
    store.close()


def test_sealed_rows_that_were_swapped_are_found(tmp_path):
    store = SqliteFile(tmp_path / "people.db")
    fill(store, np.random.default_rng(5), people=2, key_=KEY)
    with store.write() as edit:
        a, b = edit.find("crops")[:2]
        edit.put("crops", {**a, "jpeg": b["jpeg"]}, {**b, "jpeg": a["jpeg"]})
    assert len(_faults(store, KEY)) == 2
    store.close()


def test_who_was_erased_after_the_backup_is_erased_again(gallery, tmp_path):
    store, known, key = gallery
    one, two, _ = [owner for owner in known if not owner.startswith("face:")]
    backup(store, tmp_path / "backup.db", key=key)
    vault = _vault(store, key)
    receipt = erase.erase(store, vault, one, actor="test")
    assert any("backup.db" in line for line in receipt.beyond)
    with store.read() as rows:
        log = list(audit.export(rows))
    back = SqliteFile(tmp_path / "back.db")
    report = restore(tmp_path / "backup.db", back, key=key, later=log)
    assert report.erased == (one,)
    with back.read() as rows:
        assert rows.get("people", one) is None
        assert rows.get("people", two) is not None
    assert _faults(back, key) == []
    content = b"".join(file.read_bytes() for file in back.files())
    assert not any(blob[:32] in content for blob in known[one].blobs)
    forged = [{**row, "hash": "0" * 64} if "seq" in row else row for row in log]
    with pytest.raises(InputError, match="another gallery"):
        restore(tmp_path / "backup.db", SqliteFile(tmp_path / "other.db"), key=key, later=forged)
    if key is not None:
        with pytest.raises(Refused, match="needs the gallery key"):
            restore(tmp_path / "backup.db", SqliteFile(tmp_path / "other.db"), later=log)
    back.close()

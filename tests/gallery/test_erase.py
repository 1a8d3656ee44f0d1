"""Erasure: nothing of the person is left in any file, everybody else is as before, a crash in between is made good."""

from __future__ import annotations

import json
import sqlite3

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gallery.small import KEY, SPACES, add_face, every_row, fill, plain_of, reference
from vultus.errors import InputError, StoreError
from vultus.gallery import _traces, audit, erase
from vultus.gallery._traces import PIECE, Traces
from vultus.gallery.stores.sqlite_file import SqliteFile
from vultus.gallery.vault import Vault


def _vault(store):
    with store.read() as rows:
        return Vault.open(rows, KEY if rows.get("facts", "encrypted") else None)


def _pieces(blobs):
    """Runs of 16 bytes all over the plain vectors and crops."""
    return {blob[at : at + 16] for blob in blobs for at in range(0, len(blob) - 15, 64)}


def _in_files(store, pieces):
    content = b"\n".join(file.read_bytes() for file in store.files())
    return [piece for piece in pieces if piece in content]


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32), encrypted=st.booleans(), people=st.integers(1, 6), dim=st.sampled_from([32, 128, 512])
)
def test_nothing_of_the_erased_is_left_and_the_others_are_untouched(tmp_path_factory, seed, encrypted, people, dim):
    store = SqliteFile(tmp_path_factory.mktemp("erase") / "people.db")
    rng = np.random.default_rng(seed)
    known = fill(store, rng, people=people, dim=dim, key_=KEY if encrypted else None)
    vault = _vault(store)
    person = str(rng.choice([owner for owner in known if not owner.startswith("face:")]))
    with store.read() as rows:
        sealed = [row["vector"] for row in rows.find("templates", person_id=person)]
        sealed += [row["vector"] for face in known[person].faces for row in rows.find("vectors", face_id=face)]
        sealed += [rows.get("crops", face)["jpeg"] for face in known[person].faces]
        sealed += [rows.get("keys", person)["wrapped"]] if encrypted else []
    before = plain_of(store, vault)
    assert encrypted or _in_files(store, _pieces(known[person].blobs))

    receipt = erase.erase(store, vault, person, actor="test")

    assert _in_files(store, _pieces([*known[person].blobs, *sealed])) == []
    assert _in_files(store, [known[person].name.encode(), f"once {known[person].name}".encode()]) == []
    after = plain_of(store, vault)
    mine = {person, *known[person].faces}
    assert after == {place: plain for place, plain in before.items() if place[1] not in mine}
    with store.read() as rows:
        left = json.dumps(every_row(rows, "audit", "changes", "facts"), default=repr)
        assert not any(key in left for key in mine)
        assert person in [row["person_id"] for row in rows.find("changes")]
        assert audit.verify(rows, mac=vault.mac) == []
        row = rows.get("audit", receipt.audit_seq)
        assert (row["hash"], row["verb"], row["subject"]) == (receipt.audit_hash, "erase", person)
        assert erase.pending(rows) == []
        for other, one in known.items():
            if other != person and not other.startswith("face:"):
                assert rows.get("people", other)["name"] == one.name
                assert rows.count("undo") >= 1
    assert receipt.removed["people"] == 1
    assert receipt.removed["templates"] == 2
    assert receipt.removed["vectors"] == 2 * len(known[person].faces)
    assert receipt.removed.get("keys", 0) == int(encrypted)
    assert len(receipt.verified) == 2
    assert known[person].name not in json.dumps(receipt.to_dict())
    assert store.damage() == []
    store.close()


@pytest.fixture(params=[False, True], ids=["plain", "encrypted"])
def gallery(tmp_path, request):
    store = SqliteFile(tmp_path / "people.db")
    known = fill(store, np.random.default_rng(7), people=3, key_=KEY if request.param else None)
    yield store, known, _vault(store)
    store.close()


def _people(known):
    return [owner for owner in known if not owner.startswith("face:")]


def test_a_face_of_a_person_and_a_face_of_nobody(gallery):
    store, known, vault = gallery
    person = next(owner for owner in _people(known) if len(known[owner].faces) > 1)
    face = known[person].faces.pop(0)
    gone, known[person].blobs = known[person].blobs, []

    def fuse(edit, owner):
        assert owner == person
        reference(edit, vault, owner, known[person])

    receipt = erase.remove_faces(store, vault, [face], actor="test", fuse=fuse)
    assert receipt.person_id == f"face:{face}"
    assert receipt.removed["faces"] == 1
    kept = plain_of(store, vault)
    assert {place[1] for place in kept} >= {person, *known[person].faces}
    assert face not in {place[1] for place in kept}
    assert _in_files(store, _pieces([*gone[:3], *gone[-2:]])) == []  # its vectors and crop, and the reference before
    nobody = next((owner for owner in known if owner.startswith("face:")), None)
    assert nobody is not None
    receipt = erase.remove_faces(store, vault, [nobody.removeprefix("face:")], actor="test", fuse=fuse)
    assert receipt.removed.get("keys", 0) == int(vault.encrypted)
    assert _in_files(store, _pieces(known[nobody].blobs)) == []
    with store.read() as rows:
        assert audit.verify(rows, mac=vault.mac) == []


def test_what_cannot_be_erased_is_said(gallery):
    store, known, vault = gallery
    with pytest.raises(InputError, match="enrolled person"):
        erase.erase(store, vault, "nobody", actor="test")
    one, two = (known[owner] for owner in _people(known)[:2])

    def fuse(edit, owner):
        raise AssertionError("not asked")

    for faces, expected in (
        ([], "stored faces"),
        (["nobody"], "stored faces"),
        ([one.faces[0], two.faces[0]], "one person"),
        (one.faces, "erase the person"),
    ):
        with pytest.raises(InputError, match=expected):
            erase.remove_faces(store, vault, faces, actor="test", fuse=fuse)
    with store.read() as rows:
        assert rows.count("audit") == 1


def test_one_photo_enrolled_for_two_people_stays_with_the_other(tmp_path):
    store = SqliteFile(tmp_path / "people.db")
    known = fill(store, np.random.default_rng(1), people=2)
    one, two = _people(known)
    with store.write() as edit:
        same = edit.get("vectors", known[one].faces[0], SPACES[0])
        edit.put("vectors", {**same, "face_id": known[two].faces[0]})
    receipt = erase.erase(store, Vault.plain(), one, actor="test")
    assert "bytes" in receipt.verified[1]
    assert _in_files(store, [same["vector"]]) == [same["vector"]]


class Stopped(SqliteFile):
    """A store whose process dies before it has compacted."""

    def compact(self):
        raise KeyboardInterrupt


def test_a_crash_between_the_transaction_and_the_compaction_is_finished_later(gallery):
    store, known, vault = gallery
    person = _people(known)[0]
    with pytest.raises(KeyboardInterrupt):
        erase.erase(Stopped(store.path), vault, person, actor="test")
    with store.read() as rows:
        (receipt,) = erase.pending(rows)
        assert rows.get("people", person) is None
    dropped = []
    copies = [erase.Copies("search index", lambda: dropped.append(1) or 1, list)]
    assert erase.finish(store, vault, copies=copies) == [receipt]
    assert dropped == [1]
    assert _in_files(store, _pieces(known[person].blobs)) == []
    assert erase.finish(store, vault) == []
    with store.read() as rows:
        last = rows.find("audit")[-1]
        assert (last["verb"], last["details"]["resumed"]) == ("erase_finished", True)
        assert last["details"]["receipt"] == receipt
        assert audit.verify(rows, mac=vault.mac) == []


def test_somebody_who_reads_the_old_state_delays_the_removal_of_bytes(gallery, monkeypatch):
    store, known, vault = gallery
    monkeypatch.setattr("vultus.gallery.stores.sqlite_file.COMPACT_SECONDS", 0.05)
    person = _people(known)[0]
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM people").fetchone()
    with pytest.raises(StoreError, match="next opening"):
        erase.erase(store, vault, person, actor="test")
    other.execute("ROLLBACK")
    other.close()
    assert len(erase.finish(store, vault)) == 1
    assert _in_files(store, _pieces(known[person].blobs)) == []


class Leaky(SqliteFile):
    """A store that does not compact."""

    def compact(self):
        return None


def test_bytes_that_are_left_are_found_and_no_receipt_is_written(tmp_path):
    store = Leaky(tmp_path / "people.db")
    known = fill(store, np.random.default_rng(3), people=2)
    person = _people(known)[0]
    with pytest.raises(StoreError, match=r"pieces of it are still in .*people\.db"):
        erase.erase(store, Vault.plain(), person, actor="test")
    with store.read() as rows:
        assert len(erase.pending(rows)) == 1
    store.close()
    clean = SqliteFile(tmp_path / "people.db")
    assert len(erase.finish(clean, Vault.plain())) == 1
    assert _in_files(clean, _pieces(known[person].blobs)) == []
    clean.close()


def test_an_index_file_that_still_holds_a_vector_is_found(gallery, tmp_path):
    store, known, vault = gallery
    person = _people(known)[0]
    index = tmp_path / "people.index"
    index.write_bytes(b"head" + known[person].blobs[0])
    copies = [erase.Copies("search index", lambda: 0, lambda: [index])]
    with pytest.raises(StoreError, match=r"people\.index"):
        erase.erase(store, vault, person, actor="test", copies=copies)
    assert erase.finish(store, vault) != []
    other = _people(known)[1]
    index.write_bytes(b"head" + known[other].blobs[0])

    def drop():
        index.unlink()
        return 1

    receipt = erase.erase(store, vault, other, actor="test", copies=[erase.Copies("search index", drop, list)])
    assert receipt.removed["indexes"] == 1
    assert "search index" in receipt.verified[-1]


def test_backups_made_before_are_on_the_receipt(gallery):
    store, known, vault = gallery
    with store.write() as edit:
        edit.put("facts", {"key": "backups", "value": json.dumps([{"at": "2026-11-01", "file": "old.db"}])})
    receipt = erase.erase(store, vault, _people(known)[0], actor="test")
    assert any("old.db" in line for line in receipt.beyond)


def test_a_person_who_comes_back_while_being_erased_is_noticed(gallery):
    store, known, vault = gallery
    person = _people(known)[0]

    class Racing(SqliteFile):
        def compact(self):
            with self.write() as edit:
                add_face(edit, vault, np.random.default_rng(0), known[person], person, "again.jpg", 128)
            super().compact()

    with pytest.raises(StoreError, match="erase again"):
        erase.erase(Racing(store.path), vault, person, actor="test")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_search_finds_every_fragment_of_31_bytes_wherever_it_lies(tmp_path_factory, monkeypatch, data):
    seed = data.draw(st.integers(0, 2**32))
    rng = np.random.default_rng(seed)
    value = rng.standard_normal(64).astype("<f4").tobytes()
    start = data.draw(st.integers(0, len(value) - 31))
    length = data.draw(st.integers(2 * PIECE - 1, len(value) - start))
    place = data.draw(st.sampled_from([0, 1, 2, 3, 5, 1004, 1021, 1022, 1023, 1024, 1031]))
    content = rng.bytes(place) + value[start : start + length] + data.draw(st.binary(max_size=40))
    file = tmp_path_factory.getbasetemp() / "traces"
    file.write_bytes(content)
    monkeypatch.setattr(_traces, "_CHUNK", 1024)
    traces = Traces()
    traces.add(value)
    assert traces.found([file])
    file.write_bytes(content[:place] + rng.bytes(200))
    assert traces.found([file]) == {}


def test_the_search_knows_values_that_are_like_any_other(tmp_path):
    file = tmp_path / "file"
    one_hot = np.eye(128, dtype="<f4")[3].tobytes()
    file.write_bytes(b"x" + one_hot + b"y")
    traces = Traces()
    traces.add(one_hot)
    traces.add(b"")
    traces.add(bytes(100))
    assert traces.values == 1
    assert traces.found([file, tmp_path / "none"]) == {file: [one_hot]}
    traces.spare([one_hot])
    assert len(traces) == 0
    assert traces.found([file]) == {}
    file.write_bytes(b"")
    assert traces.found([file]) == {}
    with pytest.raises(StoreError, match="cannot be searched"):
        traces.found([tmp_path])


def test_a_log_that_is_emptied_while_it_is_searched_ends_the_search(tmp_path, monkeypatch):
    monkeypatch.setattr(_traces, "_CHUNK", 1 << 16)
    value = np.random.default_rng(5).bytes(64)
    file = tmp_path / "people.db-wal"
    file.write_bytes(value + bytes(1 << 20))
    traces = Traces()
    traces.add(value)
    real = _traces._candidates

    def emptied(chunk, table):
        found = list(real(chunk, table))
        file.write_bytes(b"")
        return found

    monkeypatch.setattr(_traces, "_candidates", emptied)
    assert set(traces.found([file])[file]) == {value[at : at + PIECE] for at in range(0, 64, PIECE)}

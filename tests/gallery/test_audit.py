"""The audit log: what the chain notices, what it cannot, and that nothing of a face or a name gets into it."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vultus.errors import InputError, StoreError
from vultus.gallery import audit
from vultus.gallery.audit import Mac, Pin
from vultus.gallery.stores.sqlite_file import SqliteFile
from vultus.gallery.vault import Vault

ID = "0123456789abcdef0123456789abcdef"
MAC = Mac(bytes(32), 4)


@pytest.fixture
def store(tmp_path):
    made = SqliteFile(tmp_path / "people.db")
    yield made
    made.close()


def _fill(store, n=6, mac=None):
    for i in range(n):
        with store.write() as edit:
            audit.append(edit, actor="local", verb="enroll", subject=ID, details={"faces": i, "fmr": 1e-3}, mac=mac)


def _verify(store, mac=None, pinned=None):
    with store.read() as rows:
        return audit.verify(rows, mac=mac, pinned=pinned)


def _change(store, seq, **columns):
    with store.write() as edit:
        row = {**edit.get("audit", seq), **columns}
        edit.delete("audit", seq=seq)
        edit.put("audit", row)


@pytest.mark.parametrize("mac", [None, MAC])
def test_a_log_that_nobody_touched(store, mac):
    assert _verify(store, mac) == []
    _fill(store, mac=mac)
    assert _verify(store, mac) == []
    with store.read() as rows:
        end = audit.head(rows)
        assert (end.seq, len(end.hash)) == (6, 64)
        assert [row["seq"] for row in audit.page(rows, after=2, limit=3)] == [3, 4, 5]
        *lines, last = audit.export(rows)
        assert [line["seq"] for line in lines] == [1, 2, 3, 4, 5, 6]
        assert last == {"head": end.to_dict()}
        json.dumps(lines, allow_nan=False)
    assert _verify(store, mac, pinned=end) == []
    assert _verify(store, mac, pinned=Pin(3, lines[2]["hash"])) == []


def test_the_hash_is_the_one_of_the_docstring(store):
    _fill(store, 1)
    with store.read() as rows:
        row = rows.get("audit", 1)
    told = f'[1,"{row["at"]}","local","enroll","{ID}",{{"faces":0,"fmr":0.001}}]'
    assert row["previous"] == "0" * 64
    assert row["hash"] == hashlib.sha256(f"{'0' * 64}\n{told}".encode()).hexdigest()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_single_change_is_found(tmp_path_factory, data):
    store = SqliteFile(tmp_path_factory.mktemp("audit") / "people.db")
    n = data.draw(st.integers(2, 7))
    mac = data.draw(st.sampled_from([None, MAC]))
    _fill(store, n, mac)
    seq = data.draw(st.integers(1, n))
    how = data.draw(st.sampled_from(["alter", "drop", "swap", "cut", "append", "rehash", "renumber"]))
    if how == "alter":
        column, value = data.draw(
            st.sampled_from(
                [
                    ("at", "2020"),
                    ("actor", "eve"),
                    ("verb", "erase"),
                    ("subject", "f" * 32),
                    ("details", {"faces": 99}),
                    ("previous", "f" * 64),
                    ("hash", "f" * 64),
                ]
            )
        )
        _change(store, seq, **{column: value})
    elif how == "drop":
        with store.write() as edit:
            edit.delete("audit", seq=seq)
    elif how == "swap":
        other = seq % n + 1
        with store.read() as rows:
            a, b = rows.get("audit", seq), rows.get("audit", other)
        with store.write() as edit:
            edit.put("audit", {**b, "seq": seq}, {**a, "seq": other})
    elif how == "cut":  # the end is removed, with or without a note that fits
        with store.write() as edit:
            for i in range(seq, n + 1):
                edit.delete("audit", seq=i)
    elif how == "append":
        with store.write() as edit:
            edit.put("audit", {**edit.get("audit", n), "seq": n + 1})
    elif how == "rehash":  # somebody who knows the formula, but goes on only to the end of one row
        with store.write() as edit:
            row = {**edit.get("audit", seq), "actor": "eve"}
            row["hash"] = audit._hash(row, mac)
            edit.put("audit", row)
    else:
        with store.write() as edit:
            row = edit.get("audit", seq)
            edit.delete("audit", seq=seq)
            edit.put("audit", {**row, "seq": n + 5})
    assert _verify(store, mac) != []
    store.close()


def test_what_is_wrong_is_said_by_number(store):
    _fill(store)
    _change(store, 3, actor="eve")
    assert _verify(store) == ["row 3 was altered"]
    with store.write() as edit:
        edit.delete("audit", seq=2)
    assert _verify(store) == ["row 2 is missing", "row 3 was altered"]
    with store.write() as edit:
        for seq in (5, 6):
            edit.delete("audit", seq=seq)
    assert _verify(store)[-1] == "the log was cut: it ends at row 4, and 6 were written"
    with store.write() as edit, pytest.raises(StoreError, match="audit verify"):
        audit.append(edit, actor="local", verb="enroll", mac=None)


def _rewrite(store, mac):
    """What somebody can do who may write the file and knows the formula: everything anew."""
    with store.write() as edit:
        rows = edit.find("audit")
        edit.delete("facts", key="audit_head")
        for row in rows:
            edit.delete("audit", seq=row["seq"])
        for row in rows[:-1]:
            audit.append(edit, actor="innocent", verb=row["verb"], subject=row["subject"], mac=mac)


def test_a_log_written_anew_is_found_by_a_pin_and_without_the_key_cannot_be_made(store):
    _fill(store)
    with store.read() as rows:
        pin = audit.head(rows)
        early = Pin(2, rows.get("audit", 2)["hash"])
    _rewrite(store, None)
    assert _verify(store) == []  # a chain alone cannot tell
    assert _verify(store, pinned=pin) == ["row 6 was exported and is missing: the log was rewritten since"]
    assert _verify(store, pinned=early) == ["row 2 is not the one that was exported: the log was rewritten since"]


def test_without_the_key_no_row_can_be_made_up(store):
    _fill(store, mac=MAC)
    _rewrite(store, Mac(b"1" * 32, 4))
    assert _verify(store, MAC) == ["row 4 was altered", "row 5 was altered"]  # 1 to 3 are older than the key


def test_the_log_of_an_encrypted_gallery_is_authenticated_from_then_on(store):
    _fill(store, 2)
    with store.write() as edit:
        vault = Vault.start(edit, bytes(32))
    assert vault.mac.since == 3
    _fill(store, 2, vault.mac)
    with store.read() as rows:
        assert audit.verify(rows, mac=Vault.open(rows, bytes(32)).mac) == []
        assert audit.verify(rows, mac=None) == ["row 3 was altered", "row 4 was altered"]


def test_a_transaction_that_fails_leaves_no_row(store):
    _fill(store, 1)
    with pytest.raises(InputError), store.write() as edit:
        edit.put("audit", audit.append(edit, actor="local", verb="erase", mac=None), {})
    _fill(store, 1)
    assert _verify(store) == []
    with store.read() as rows:
        assert rows.count("audit") == 2


SECRETS = [
    ("vector", [0.1, 0.2]),
    ("vector", np.ones(4, np.float32)),
    ("crop", b"\xff\xd8\xff"),
    ("name", "Ada Lovelace"),
    ("source", "photos/ada.jpg"),
    ("medium", "ada.jpg"),
    ("media", ["ada.jpg"]),
    ("media", "ada.jpg"),
    ("faces", [0.1] * 128),
    ("faces", 0.5),
    ("faces", True),
    ("faces", 2**60),
    ("fmr", float("nan")),
    ("fmr", float("inf")),
    ("fmr", "Ada"),
    ("kind", "Ada"),
    ("space", "Ada Lovelace"),
    ("space", "photos/ada.jpg@zzz"),
    ("exclusive", "Ada"),
    ("person", ["Ada"]),
    ("person", 1.5),
    ("attributes", {"name": "Ada"}),
]


@pytest.mark.parametrize(("key", "value"), SECRETS, ids=[f"{key}={str(value)[:12]}" for key, value in SECRETS])
def test_no_vector_crop_name_or_file_name_gets_in(store, key, value):
    with store.write() as edit:
        with pytest.raises(InputError, match=r"details: "):
            audit.append(edit, actor="local", verb="enroll", details={key: value}, mac=None)
        assert edit.count("audit") == 0


@pytest.mark.parametrize("kind", ["text", "number", "list", "bytes", "dict"])
def test_no_detail_takes_free_text_or_a_list(store, kind):
    value = {"text": "Ada Lovelace.jpg", "number": 3, "list": [3], "bytes": b"Ada", "dict": {"Ada": 3}}[kind]
    with store.write() as edit:
        for key in audit.DETAILS:
            try:
                row = audit.append(edit, actor="local", verb="enroll", subject="Ada", details={key: value}, mac=None)
            except InputError:
                continue
            assert kind in ("text", "number")
            assert "Ada" not in json.dumps(row)


@pytest.mark.parametrize("chosen", ["ada", "Ada Lovelace", "ada.jpg", "employee 17", "é" * 40, "face:1"])
def test_ids_that_people_chose_are_written_as_their_digest(store, chosen):
    with store.write() as edit:
        row = audit.append(edit, actor="local", verb="merge", subject=chosen, details={"into": chosen}, mac=None)
    assert row["subject"] == row["details"]["into"] == audit.pseudonym(chosen)
    assert row["subject"].startswith("h:")
    assert chosen not in json.dumps(row, ensure_ascii=False)
    assert audit.pseudonym(ID) == ID
    assert audit.pseudonym(row["subject"]) == row["subject"]


def test_a_row_with_forged_details_is_named_even_when_its_hash_fits(store):
    _fill(store, 1)
    with store.write() as edit:
        row = {**edit.get("audit", 1), "details": {"name": "Ada"}}
        row["hash"] = audit._hash(row, None)
        edit.put("audit", row)
        edit.put("facts", {"key": "audit_head", "value": json.dumps({"seq": 1, "hash": row["hash"]})})
    assert len(_verify(store)) == 1
    assert "never writes" in _verify(store)[0]


@pytest.mark.parametrize("bad", [{"actor": ""}, {"actor": "a\nb"}, {"actor": 3}, {"verb": "Drop it"}, {"verb": ""}])
def test_actor_and_verb_are_checked(store, bad):
    with store.write() as edit, pytest.raises(InputError, match=next(iter(bad))):
        audit.append(edit, **{"actor": "local", "verb": "enroll", "mac": None, **bad})

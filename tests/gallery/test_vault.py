"""Encryption at rest: what is sealed opens for its owner and its row only, and keys are refused in words."""

from __future__ import annotations

import base64
import builtins
import os
import pickle

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vultus.errors import InputError, MissingExtra, Refused, StoreError
from vultus.gallery import audit, vault
from vultus.gallery.stores.sqlite_file import SqliteFile
from vultus.gallery.vault import Vault

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
PLAIN = b"plain bytes of a vector, which nobody may read"
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)


@pytest.fixture
def store(tmp_path):
    made = SqliteFile(tmp_path / "people.db")
    yield made
    made.close()


@pytest.fixture
def locked(store):
    with store.write() as edit:
        Vault.start(edit, KEY)
    return store


def _opened(store, key=KEY):
    with store.read() as rows:
        return Vault.open(rows, key)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    owner=TEXT, other=TEXT, context=st.text(max_size=20), elsewhere=st.text(max_size=20), plain=st.binary(max_size=600)
)
def test_what_is_sealed_opens_for_its_owner_and_row_alone(locked, owner, other, context, elsewhere, plain):
    box = _opened(locked)
    with locked.write() as edit:
        blob = box.seal(edit, owner, plain, context)
        box.seal(edit, other, plain, context)
    assert len(blob) == len(plain) + 29
    assert len(plain) < 8 or plain not in blob
    with locked.read() as rows:
        assert box.unseal(rows, owner, blob, context) == plain
        assert box.unseal_many(rows, [(owner, blob, context)] * 2) == [plain, plain]
        for whose, where in ((other, context), (owner, elsewhere)):
            if (whose, where) != (owner, context):
                with pytest.raises(StoreError, match="damaged"):
                    box.unseal(rows, whose, blob, where)


def test_owner_and_context_do_not_run_into_each_other(locked):
    box = _opened(locked)
    with locked.write() as edit:
        blob = box.seal(edit, "a", PLAIN, "bc")
        edit.put("keys", {**edit.get("keys", "a"), "owner": "ab"})  # a copied key does not open for another owner
        with pytest.raises(StoreError, match="somebody else"):
            box.unseal(edit, "ab", blob, "c")


def test_every_seal_is_another_one_and_a_flipped_bit_is_noticed(locked):
    box = _opened(locked)
    with locked.write() as edit:
        one, two = (box.seal(edit, "ada", PLAIN, "vector\0ada\0s") for _ in range(2))
        assert one != two
        for at in (0, 1, 13, len(one) - 1):
            broken = bytearray(one)
            broken[at] ^= 1
            with pytest.raises(StoreError, match="damaged"):
                box.unseal(edit, "ada", bytes(broken), "vector\0ada\0s")
        for short in (b"", one[:28]):
            with pytest.raises(StoreError, match="damaged"):
                box.unseal(edit, "ada", short, "vector\0ada\0s")


def test_a_forgotten_owner_cannot_be_opened_and_a_new_one_gets_another_key(locked):
    box = _opened(locked)
    with locked.write() as edit:
        blob = box.seal(edit, "ada", PLAIN, "row")
        kept = box.seal(edit, "eve", PLAIN, "row")
        assert box.forget(edit, "ada")
        assert not box.forget(edit, "ada")
        with pytest.raises(StoreError, match="key of 'ada' is gone"):
            box.unseal(edit, "ada", blob, "row")
        box.seal(edit, "ada", PLAIN, "row")
        with pytest.raises(StoreError, match="damaged"):
            box.unseal(edit, "ada", blob, "row")
        assert box.unseal(edit, "eve", kept, "row") == PLAIN


def test_rotation_keeps_every_row_and_shuts_the_old_key_out(locked):
    box = _opened(locked)
    with locked.write() as edit:
        blobs = {f"owner {i}": box.seal(edit, f"owner {i}", PLAIN, "row") for i in range(5)}
        first = audit.append(edit, actor="t", verb="enroll", mac=box.mac)
    with locked.write() as edit:
        assert box.rewrap(edit, KEY, OTHER) == 5
    with locked.read() as rows:
        with pytest.raises(StoreError, match="another key"):
            box.unseal(rows, "owner 0", blobs["owner 0"], "row")
        new = Vault.open(rows, OTHER)
        assert {new.unseal(rows, owner, blob, "row") for owner, blob in blobs.items()} == {PLAIN}
        assert new.mac == box.mac
        assert audit.verify(rows, mac=new.mac, pinned=audit.Pin(1, first["hash"])) == []
    with pytest.raises(Refused, match="not the key"):
        _opened(locked, KEY)
    with locked.write() as edit, pytest.raises(Refused, match="not the key"):
        new.rewrap(edit, KEY, OTHER)


def test_keys_are_asked_for_and_refused_in_words(store):
    with pytest.raises(Refused, match="not encrypted"):
        _opened(store, KEY)
    plain = _opened(store, None)
    with store.write() as edit:
        assert not plain.encrypted
        assert plain.mac is None
        assert plain.seal(edit, "ada", PLAIN, "row") == PLAIN
        assert plain.unseal(edit, "ada", PLAIN, "row") == PLAIN
        assert edit.count("keys") == 0
        with pytest.raises(Refused, match="not encrypted"):
            plain.rewrap(edit, KEY, OTHER)
    with store.write() as edit, pytest.raises(InputError, match="32 bytes"):
        Vault.start(edit, b"short")
    with store.write() as edit:
        Vault.start(edit, KEY)
        with pytest.raises(Refused, match="already"):
            Vault.start(edit, OTHER)
    with pytest.raises(Refused, match="VULTUS_GALLERY_KEY"):
        _opened(store, None)
    with pytest.raises(Refused, match="not the key"):
        _opened(store, OTHER)
    with pytest.raises(InputError, match="32 bytes"):
        _opened(store, "text")
    with store.write() as edit, pytest.raises(StoreError, match="open it again"):
        plain.seal(edit, "ada", PLAIN, "row")  # another process has encrypted it: nothing may be written plain


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("encrypted", "no", "damaged"),
        ("encrypted", '{"cipher": "ROT13", "check": "x"}', "ROT13"),
        ("audit_key", "{}", "damaged"),
        ("audit_key", None, "missing"),
    ],
)
def test_damaged_notes(locked, key, value, expected):
    with locked.write() as edit:
        edit.delete("facts", key=key)
        if value is not None:
            edit.put("facts", {"key": key, "value": value})
    with pytest.raises(StoreError, match=expected):
        _opened(locked)


def test_a_vault_neither_shows_nor_sends_its_key(locked):
    box = _opened(locked)
    assert repr(box) == "Vault(encrypted)"
    assert "key" not in repr(box.mac)
    with pytest.raises(Refused, match="open the gallery there"):
        pickle.dumps(box)


def test_the_key_from_the_environment_or_a_file(tmp_path, monkeypatch):
    monkeypatch.delenv("VULTUS_GALLERY_KEY", raising=False)
    monkeypatch.delenv("VULTUS_GALLERY_KEY_FILE", raising=False)
    assert vault.load_key() is None
    key = vault.new_key()
    assert len(key) == 32
    assert key != vault.new_key()
    monkeypatch.setenv("VULTUS_GALLERY_KEY", base64.b64encode(key).decode())
    assert vault.load_key() == key
    file = tmp_path / "gallery.key"
    vault.write_key(file, key)
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(StoreError, match="never overwritten"):
        vault.write_key(file, key)
    monkeypatch.setenv("VULTUS_GALLERY_KEY_FILE", str(file))
    with pytest.raises(InputError, match="both"):
        vault.load_key()
    monkeypatch.delenv("VULTUS_GALLERY_KEY")
    assert vault.load_key() == key
    os.chmod(file, 0o640)
    with pytest.raises(Refused, match="chmod 600"):
        vault.load_key()
    os.chmod(file, 0o600)
    for text, expected in (("???", "other letters"), ("YWJj", "got 3 bytes")):
        file.write_text(text)
        with pytest.raises(InputError, match=expected):
            vault.load_key()
    file.unlink()
    with pytest.raises(StoreError, match="cannot be read"):
        vault.load_key()
    with pytest.raises(StoreError, match="cannot be written"):
        vault.write_key(tmp_path / "no" / "key", key)


def test_without_the_package_the_extra_is_named_before_anything_is_written(store, monkeypatch):
    real = builtins.__import__

    def missing(name, *rest):
        if name.startswith("cryptography"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with store.write() as edit:
        with pytest.raises(MissingExtra, match=r"vultus\[encrypt\]"):
            Vault.start(edit, KEY)
        assert edit.count("facts") == 0

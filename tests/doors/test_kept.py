"""Erase, audit, backup, restore and gallery from the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest

from vultus.cli.__main__ import EXIT_CODES
from vultus.gallery import open_gallery
from vultus.ops.vectors import unit

SPACE = "toy@000000000000"


@pytest.fixture
def people(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VULTUS_GALLERY_KEY", raising=False)
    monkeypatch.delenv("VULTUS_GALLERY_KEY_FILE", raising=False)
    with open_gallery("people.db") as gallery:
        for i, name in enumerate(("Ada <b>", "Grace")):
            gallery.enroll(name, unit(np.random.default_rng(i).standard_normal((2, 64))), None, None, SPACE)
    return tmp_path


def test_erase_asks_and_writes_a_receipt(vultus, people, monkeypatch):
    assert vultus("erase", "Ada <b>", "--json").code == EXIT_CODES["Refused"]
    assert vultus("erase", "Nobody", "--yes", "--json").code == EXIT_CODES["InputError"]
    assert vultus("erase", "Ada <b>", "--yes", "--gallery", "none.db").code == EXIT_CODES["InputError"]
    said = vultus("erase", "Ada <b>", "--yes", "--json", "--receipt", "r.html")
    assert said.code == 0
    assert said.document["removed"]["people"] == 1
    page = (people / "r.html").read_text()
    assert said.document["audit_hash"] in page
    assert "Ada" not in page
    with open_gallery("people.db") as gallery:
        grace = gallery.people()[0]
    assert vultus("erase", grace.id, "--yes", "--receipt", "r.html").code == EXIT_CODES["StoreError"]
    assert "out of reach" in vultus("erase", grace.id, "--yes", "--receipt", "r.json").out
    assert json.loads((people / "r.json").read_text())["person_id"] == grace.id


def test_audit_backup_restore_and_encryption(vultus, people, monkeypatch):
    assert vultus("gallery", "check", "--json").document == {"whole": True, "encrypted": False}
    assert vultus("backup", "copy.db", "--json").document["rows"]["people"] == 2
    assert vultus("backup", "copy.db").code == EXIT_CODES["StoreError"]
    assert vultus("erase", "Ada <b>", "--yes").code == 0
    assert "erase" in vultus("audit", "show").out
    assert vultus("audit", "export", "log.jsonl", "--json").document["head"]["seq"] == 5
    assert vultus("audit", "verify", "--pin", "log.jsonl").code == 0
    restored = vultus("restore", "copy.db", "--gallery", "new.db", "--erased", "log.jsonl", "--json")
    assert len(restored.document["erased"]) == 1
    assert vultus("restore", "copy.db", "--gallery", "new.db").code == EXIT_CODES["StoreError"]
    assert vultus("audit", "verify", "--pin", "copy.db").code == EXIT_CODES["InputError"]
    assert vultus("gallery", "rotate-key", "--key-file", "a.key").code == EXIT_CODES["InputError"]
    assert vultus("gallery", "encrypt", "--key-file", "a.key", "--json").document["vectors"] == 2
    assert vultus("gallery", "check").code == EXIT_CODES["Refused"]
    monkeypatch.setenv("VULTUS_GALLERY_KEY_FILE", "a.key")
    assert vultus("gallery", "check", "--json").document["encrypted"]
    assert vultus("gallery", "rotate-key", "--key-file", "b.key", "--json").document["keys"] == 1
    assert vultus("gallery", "check").code == EXIT_CODES["Refused"]
    monkeypatch.setenv("VULTUS_GALLERY_KEY_FILE", "b.key")
    assert vultus("audit", "verify").code == 0
    with open_gallery("people.db") as gallery, gallery.store.write() as edit:
        edit.put("audit", {**edit.get("audit", 2), "actor": "eve"})
    assert vultus("audit", "verify").code == EXIT_CODES["StoreError"]

"""Bases on file and the list of protected people."""

from __future__ import annotations

import json

import pytest

from vultus.errors import InputError, Refused
from vultus.io import basis
from vultus.types import Basis

CONSENT = Basis("consent", "Ada", frozenset({"swap"}), "a test", "its author", "2020-01-01", "9000-01-01", "ab" * 32)


@pytest.fixture(autouse=True)
def _no_list(monkeypatch):
    monkeypatch.delenv("VULTUS_PROTECTED", raising=False)


def test_a_basis_comes_back_as_it_was(tmp_path):
    basis.write(tmp_path / "ada.json", CONSENT)
    back = basis.read(tmp_path / "ada.json")
    assert back == CONSENT
    assert back.id == CONSENT.id
    back.require("swap", "Ada")


def test_the_list_in_force_is_read_with_the_basis(tmp_path, monkeypatch):
    basis.write(tmp_path / "ada.json", CONSENT)
    assert basis.protect(tmp_path / "people.txt", "ada ", "Bob") == 2
    assert basis.protect(tmp_path / "people.txt", "BOB", "Cem") == 3
    assert "bob" not in (tmp_path / "people.txt").read_text().lower()
    monkeypatch.setenv("VULTUS_PROTECTED", str(tmp_path / "people.txt"))
    with pytest.raises(Refused, match="list of protected people"):
        basis.read(tmp_path / "ada.json").require("swap")
    with pytest.raises(Refused, match="was not asked"):
        CONSENT.require("swap")
    with pytest.raises(Refused, match="list of protected people"):
        basis.with_protected(CONSENT).require("swap")


def test_a_damaged_list_is_never_an_empty_one(tmp_path, monkeypatch):
    basis.write(tmp_path / "ada.json", CONSENT)
    path = tmp_path / "people.txt"
    monkeypatch.setenv("VULTUS_PROTECTED", str(path))
    basis.protect(path, "Bob")
    whole = path.read_text()
    for text, said in [
        (whole.replace("salt", "salz"), "first line is"),
        (whole[:-9], "64 hex digits per line"),
        ("", "empty file"),
        (None, "nothing at this path"),
    ]:
        path.unlink() if text is None else path.write_text(text)
        with pytest.raises(InputError, match=said):
            basis.read(tmp_path / "ada.json")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no json", "expected a basis in JSON"),
        ("1" * 5000, "expected a basis in JSON"),
        ("[]", "expected one JSON object, got list"),
        ({"purpos": "x"}, r"unknown: \['purpos'\]"),
        ({"owner": None}, r"missing: \['owner'\]"),
        ({"scopes": "swap"}, "a list for scopes"),
        ({"scopes": ["steal"]}, "scopes: expected"),
        ({"purpose": 3}, "expected texts"),
        ({"kind": "synthetic"}, "a synthetic basis is no document"),
    ],
)
def test_what_is_no_basis_is_refused_in_words(tmp_path, text, said):
    if isinstance(text, dict):
        table = {**CONSENT.to_dict(), **text}
        text = json.dumps({key: value for key, value in table.items() if value is not None})
    (tmp_path / "basis.json").write_text(text)
    with pytest.raises(InputError, match=said):
        basis.read(tmp_path / "basis.json")


def test_no_file_is_no_basis():
    with pytest.raises(Refused, match="expected a basis"):
        basis.read(None)
    with pytest.raises(InputError, match="nothing at this path"):
        basis.read("no-such-basis.json")


def test_nobody_is_protected_without_a_name(tmp_path):
    with pytest.raises(InputError, match="got an empty text"):
        basis.protect(tmp_path / "people.txt", " ")

"""What a basis covers and refuses; what a provenance says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vultus.errors import InputError, Refused
from vultus.types import SCOPES, Basis, Generated, Provenance, subject_hash

PINNED = "9ac562b5eae2ffc262cc5e3312e3e8d58ba146b7c1ecefcda80c7615d548748a"
CONSENT = Basis(
    kind="consent",
    subject_ref="Ada Example",
    scopes=frozenset({"swap", "analyze:age"}),
    purpose="a portrait for her own page",
    owner="the studio",
    issued="2020-01-01",
    expires="9000-01-01T00:00:00Z",
    evidence_sha256="ab" * 32,
)


def test_what_is_covered_passes():
    CONSENT.require("swap")
    CONSENT.require("swap", "Ada Example")
    CONSENT.require("analyze:age", "Ada Example", sources=[None])


@pytest.mark.parametrize(
    ("change", "call", "said"),
    [
        ({}, ("morph",), "morph: this basis covers analyze:age, swap"),
        ({"scopes": frozenset()}, ("swap",), "covers nothing"),
        ({}, ("swap", "Bob"), "is that of 'Ada Example', not of 'Bob'"),
        ({"expires": "2020-01-02"}, ("swap",), "valid from 2020-01-01 until 2020-01-02"),
        ({"issued": "8000-01-01"}, ("swap",), "valid from 8000-01-01"),
    ],
)
def test_what_is_not_covered_is_refused(change, call, said):
    with pytest.raises(Refused, match=said):
        replace(CONSENT, **change).require(*call)


def test_no_basis_is_refused_too():
    with pytest.raises(Refused, match="generate: expected a basis, got none"):
        Basis.require(None, "generate")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "hearsay"}, "kind: expected one of own_image, consent"),
        ({"scopes": frozenset({"steal"})}, "scopes: expected a set of some of generate, swap"),
        ({"scopes": "swap"}, "scopes: expected a set"),
        ({"subject_ref": ""}, "subject_ref: expected in a basis of kind consent"),
        ({"owner": "", "expires": ""}, "owner, expires: expected in a basis"),
        ({"evidence_sha256": "ab"}, "evidence_sha256: expected 64 hex digits"),
        ({"expires": "soon"}, "expires: expected a time as 2026-11-25"),
        ({"expires": "2019-01-01"}, "expires: expected a time after 2020-01-01"),
    ],
)
def test_a_basis_that_proves_nothing_is_refused_in_words(change, said):
    with pytest.raises(InputError, match=said):
        replace(CONSENT, **change)


def test_one_s_own_picture_needs_no_document():
    replace(CONSENT, kind="own_image", evidence_sha256="").require("swap")


def test_protected_people_are_refused_whatever_the_basis_says(monkeypatch):
    monkeypatch.delenv("VULTUS_PROTECTED", raising=False)
    listed = ("5a17", frozenset({subject_hash("5a17", "ADA  example")}))
    with pytest.raises(Refused, match="on the list of protected people"):
        replace(CONSENT, protected=listed).require("swap")
    contract = replace(CONSENT, kind="contract", subject_ref="", protected=listed)
    contract.require("swap", "Bob")
    with pytest.raises(Refused, match="say whose pictures"):  # nobody can be looked up without a name
        contract.require("swap")
    assert subject_hash("5a17", "Ada") != subject_hash("5a18", "Ada")


def test_a_list_that_was_not_read_is_not_an_empty_one(monkeypatch):
    monkeypatch.setenv("VULTUS_PROTECTED", "people.txt")
    with pytest.raises(Refused, match="VULTUS_PROTECTED was not asked"):
        CONSENT.require("swap")
    replace(CONSENT, protected=("", frozenset())).require("swap")
    Basis.synthetic().require("swap", sources=())  # nobody real is on the list or in the picture


def test_a_synthetic_basis_is_for_simulated_pictures_only():
    made = Basis.synthetic()
    drawn = Provenance("sim.faces", seed=3)
    for scope in SCOPES:
        made.require(scope, sources=())
    made.require("swap", sources=[drawn, Provenance("simswap", basis_id=made.id)])
    made.require("swap", "sim:3", sources=[drawn])
    for sources in ([Provenance("stylegan2")], [drawn, None]):
        with pytest.raises(Refused, match="provenance of one does not say so"):
            made.require("swap", sources=sources)
        with pytest.raises(Refused, match="provenance of one does not say so"):
            made.require("swap", "sim:3", sources=sources)
    for call in [(), ("sim:3",), ("Ada Example",)]:
        with pytest.raises(Refused, match="a synthetic basis needs sources="):
            made.require("swap", *call)
    with pytest.raises(Refused, match="a synthetic basis needs sources="):
        made.require("swap", "Ada Example", sources=[drawn])


def test_the_id_is_that_of_the_contents():
    assert CONSENT.id == replace(CONSENT, protected=("5a17", frozenset())).id
    assert CONSENT.id != replace(CONSENT, scopes=frozenset({"swap"})).id
    assert Basis.synthetic().id == "synthetic"
    one = Provenance("swap", loss_spaces=frozenset("abcdefgh"), options={"b": 1, "a": [2.5, None]})
    other = Provenance("swap", loss_spaces=frozenset("hgfedcba"), options={"a": [2.5, None], "b": 1})
    assert one == other
    assert one.id == other.id == PINNED  # pinned: a mark in a picture of today points to it for ever
    assert one.id != replace(one, seed=0).id


def test_what_was_generated_carries_how():
    made = Generated(np.zeros((2, 8, 9, 3), np.uint8), Provenance("sim.faces"))
    assert made.images.shape == (2, 8, 9, 3)
    assert not made.images.flags.writeable
    with pytest.raises(InputError, match="images: expected shape"):
        Generated(np.zeros((8, 9, 3), np.uint8), Provenance("sim.faces"))
    with pytest.raises(InputError, match="images: expected uint8, got float64"):
        Generated(np.ones((1, 8, 9, 3)), Provenance("sim.faces"))
    with pytest.raises(InputError, match="Provenance: expected JSON values"):
        _ = Provenance("swap", options={"key": object()}).id
    with pytest.raises(InputError, match="method: expected"):
        Provenance("")

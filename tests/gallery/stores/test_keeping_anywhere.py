"""Backup, restore and erasure between stores of every kind."""

from __future__ import annotations

import numpy as np
import pytest

from tests.gallery.small import KEY, fill, plain_of
from vultus.gallery import audit, check, erase
from vultus.gallery.backup import backup, restore
from vultus.gallery.stores.opened import store_for
from vultus.gallery.vault import Vault


@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "encrypted"])
def test_a_gallery_moves_to_another_store_and_back_and_people_are_erased_there(store, tmp_path, key):
    first = store_for(tmp_path / "first.db")
    known = fill(first, np.random.default_rng(11), people=3, key_=key)
    made = backup(first, tmp_path / "one.db", key=key)
    moved = restore(tmp_path / "one.db", store, key=key)
    assert moved.digest == made.digest
    with store.read() as rows:
        vault = Vault.open(rows, key)
        assert check.faults(rows, vault) == []
    plain = plain_of(first, vault)
    assert plain_of(store, vault) == plain
    person = next(owner for owner in known if not owner.startswith("face:"))
    receipt = erase.erase(store, vault, person, actor="test")
    assert receipt.removed["people"] == 1
    assert receipt.removed.get("keys", 0) == int(key is not None)
    gone = {person, *known[person].faces}
    again = backup(store, tmp_path / "two.db", key=key)
    assert again.rows["people"] == 2
    second = store_for(tmp_path / "second.db")
    restore(tmp_path / "two.db", second, key=key)
    assert plain_of(second, vault) == {place: blob for place, blob in plain.items() if place[1] not in gone}
    with second.read() as rows:
        assert check.faults(rows, vault) == []
        assert audit.verify(rows, mac=vault.mac) == []
    first.close()
    second.close()

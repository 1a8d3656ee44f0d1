"""The people of a gallery as columns in memory, at one revision; read again only when somebody has written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vultus.errors import SpaceMismatch
from vultus.gallery._book import Pages
from vultus.gallery.stores.schema import Row, Rows, Store
from vultus.gallery.vault import Vault
from vultus.types import F32

__all__ = ["Current", "Roster", "same_space"]


@dataclass(frozen=True, eq=False)
class Roster:
    """Everyone at one revision, as columns, ordered by name and key.

    Attributes:
        revision: the store's revision this was read at.
        space: embedding space in use, or None while nobody is enrolled.
        ids: (N,) keys.
        names: (N,) names.
        attributes: (N,) what else is kept of them.
        vectors: (N, D) float32, the fused references.
    """

    revision: int
    space: str | None
    ids: tuple[str, ...]
    names: tuple[str, ...]
    attributes: tuple[Mapping[str, Any], ...]
    vectors: F32

    def allowed(self, where: Mapping[str, Any] | None) -> list[int] | None:
        """Rows whose attributes equal all of `where`; None when there is nothing to filter by."""
        if not where:
            return None
        return [
            i for i, have in enumerate(self.attributes) if all(key in have and have[key] == where[key] for key in where)
        ]


class Current:
    """The roster as it is now.

    Args:
        store: where people are kept.
        vault: opens the vault of a view.
    """

    def __init__(self, store: Store, vault: Callable[[Rows], Vault]) -> None:
        self._store = store
        self._vault = vault
        self._roster: Roster | None = None
        self._lock = threading.Lock()

    def roster(self) -> Roster:
        """Everyone, at the newest revision."""
        with self._lock:
            if self._roster is None or self._roster.revision != self._store.revision():
                with self._store.read() as rows:
                    self._roster = read_roster(Pages(rows, self._vault(rows)))
            return self._roster

    def forget(self) -> None:
        """Drop what is held, as after an erasure."""
        with self._lock:
            self._roster = None


def read_roster(pages: Pages) -> Roster:
    """Read everyone; checks every checksum."""
    people = sorted(pages.rows.find("people"), key=lambda row: (row["name"], row["id"]))
    space = pages.space()
    templates: dict[str, Row] = (
        {row["person_id"]: row for row in pages.rows.find("templates", space=space)} if space else {}
    )
    people = [row for row in people if row["id"] in templates]
    vectors = [pages.opened(templates[row["id"]], row["id"], row["id"], row["name"]) for row in people]
    table = np.stack(vectors) if vectors else np.zeros((0, 0), np.float32)
    table.setflags(write=False)
    return Roster(
        pages.rows.revision(),
        space,
        tuple(row["id"] for row in people),
        tuple(row["name"] for row in people),
        tuple(row["attributes"] for row in people),
        table,
    )


def same_space(left: str, right: str | None) -> None:
    """Refuse to compare vectors of two spaces."""
    if left != right:
        raise SpaceMismatch(left, str(right))

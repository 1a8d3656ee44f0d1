"""How an older SQLite gallery file becomes one of the present schema, one step at a time.

Each step runs inside a transaction that its caller opened and ends. The newest step may make the tables of the present
schema; when the schema moves on, that step must get the tables as they are now written out, or it would make others.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from vultus.errors import StoreError
from vultus.gallery.stores._sql import SQLITE
from vultus.gallery.stores.schema import checksum, face_id

__all__ = ["MIGRATIONS"]


def _from_1_to_2(sql: sqlite3.Connection) -> None:
    """Photos of people become media, faces and vectors; the fused vector of a person becomes a template.

    Raises:
        StoreError: if a vector does not have its checksum: damage is not to get a new one.
    """
    for table in ("facts", "people", "photos"):
        sql.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
    sql.execute("DROP INDEX people_name")
    for statement in SQLITE.create():
        sql.execute(statement)
    revision = int(sql.execute("SELECT value FROM old_facts WHERE key = 'revision'").fetchone()[0]) + 1
    sql.executemany(
        "INSERT INTO store_state VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
        [("revision", revision), ("stale", revision)],  # the old tables' bytes are still on free pages
    )
    sql.execute("INSERT INTO facts SELECT key, value FROM old_facts WHERE key <> 'revision'")
    sql.execute("INSERT OR IGNORE INTO facts SELECT 'space', space FROM old_people LIMIT 1")
    _people(sql)
    _photos(sql)
    for table in ("photos", "people", "facts"):
        sql.execute(f"DROP TABLE old_{table}")


def _people(sql: sqlite3.Connection) -> None:
    sql.execute("INSERT INTO people SELECT id, name, '{}', enrolled_at FROM old_people")
    for key, name, space, vector, check, quality, n_images in sql.execute(
        "SELECT id, name, space, vector, checksum, quality, n_images FROM old_people"
    ):
        _verify(vector, check, key, name, space)
        new = (key, space, len(vector) // 4, vector, checksum(vector, key, name, space), quality, n_images)
        sql.execute("INSERT INTO templates VALUES (?, ?, ?, ?, ?, ?, ?)", new)


def _photos(sql: sqlite3.Connection) -> None:
    sql.execute("INSERT INTO media SELECT medium, NULL, NULL, NULL, 0, min(added_at) FROM old_photos GROUP BY medium")
    for key, medium, space, vector, check, quality, added_at in sql.execute(
        "SELECT person_id, medium, space, vector, checksum, quality, added_at FROM old_photos"
    ):
        _verify(vector, check, key, medium, space)
        face = face_id(medium, owner=key)
        sql.execute(
            "INSERT INTO faces VALUES (?, ?, ?, NULL, NULL, NULL, ?, 'enroll', ?)",
            (face, medium, key, quality, added_at),
        )
        sql.execute(
            "INSERT INTO vectors VALUES (?, ?, ?, ?, ?, ?)",
            (face, space, len(vector) // 4, vector, checksum(vector, face, space), quality),
        )


def _verify(vector: Any, check: Any, *owner: str) -> None:
    if not isinstance(vector, bytes) or len(vector) % 4 or checksum(vector, *owner) != check:
        raise StoreError(
            f"the vector of {owner[1]!r} ({owner[0]}) is damaged: restore a backup, or remove this person with the "
            "version of vultus that made the file"
        )


# (from, to, step), in order
MIGRATIONS: tuple[tuple[int, int, Callable[[sqlite3.Connection], None]], ...] = ((1, 2, _from_1_to_2),)

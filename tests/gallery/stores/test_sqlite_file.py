"""The file survives what files go through: forks, damage, no room, no permission, old schemas, restores."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest

from tests.gallery.stores.conftest import person, template
from vultus.errors import InputError, StoreError
from vultus.gallery.stores import _pool, _sqlite_open, sqlite_file
from vultus.gallery.stores.opened import store_for
from vultus.gallery.stores.schema import TABLES, checksum, face_id
from vultus.gallery.stores.sqlite_file import SqliteFile

# as the first version of vultus made them
SCHEMA_1 = """
CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE people (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, space TEXT NOT NULL, vector BLOB NOT NULL, checksum BLOB NOT NULL,
    quality REAL, n_images INTEGER NOT NULL, enrolled_at TEXT NOT NULL
);
CREATE INDEX people_name ON people (name);
CREATE TABLE photos (
    person_id TEXT NOT NULL REFERENCES people (id) ON DELETE CASCADE, medium TEXT NOT NULL, space TEXT NOT NULL,
    vector BLOB NOT NULL, checksum BLOB NOT NULL, quality REAL, added_at TEXT NOT NULL,
    PRIMARY KEY (person_id, medium)
);
INSERT INTO facts VALUES ('revision', '41');
PRAGMA application_id = 1987406964;
PRAGMA user_version = 1;
PRAGMA journal_mode = WAL;
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "people.db"


@pytest.fixture
def store(path):
    made = SqliteFile(path)
    yield made
    made.close()


def _filled(store, count=20):
    with store.write() as edit:
        edit.put("people", *(person(f"{i:02}") for i in range(count)))
        edit.put("templates", *(template(f"{i:02}", vector=bytes([i]) * 2048) for i in range(count)))


def _names(store):
    with store.read() as view:
        return [row["id"] for row in view.find("people")]


# -- schema 1 ----------------------------------------------------------------------------------------------------------


def _old_file(path, people=3):
    sql = sqlite3.connect(path)
    sql.executescript(SCHEMA_1)
    rng = np.random.default_rng(0)
    vectors = {}
    for i in range(people):
        key, name = f"id{i}", f"Näme {i}"
        vector = vectors[key] = rng.bytes(512)
        row = (key, name, "toy@0", vector, checksum(vector, key, name, "toy@0"), 0.5, 2, f"2026-01-0{i + 1}")
        sql.execute("INSERT INTO people VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        for medium in (f"m{i}", "group"):
            vector = vectors[key, medium] = rng.bytes(512)
            row = (key, medium, "toy@0", vector, checksum(vector, key, medium, "toy@0"), None, f"2026-02-0{i + 1}")
            sql.execute("INSERT INTO photos VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    sql.commit()
    sql.close()
    return vectors


@pytest.mark.parametrize("first", ["read", "write"])
def test_a_file_of_schema_1_is_brought_up_with_everything_in_it(path, store, first) -> None:
    vectors = _old_file(path)
    if first == "write":
        with store.write() as edit:
            edit.delete("people", id="nobody")
    with store.read() as view:
        assert view.revision() == 42 + (first == "write")
        assert view.find("facts") == [{"key": "space", "value": "toy@0"}]
        assert view.get("people", "id1") == person("id1", "Näme 1", enrolled_at="2026-01-02")
        check = checksum(vectors["id1"], "id1", "Näme 1", "toy@0")
        expected = template("id1", "toy@0", vectors["id1"], checksum=check, n_images=2)
        assert view.get("templates", "id1", "toy@0") == expected
        assert [row["medium"] for row in view.find("media")] == ["group", "m0", "m1", "m2"]
        assert view.get("media", "group")["added_at"] == "2026-02-01"
        assert view.count("faces") == view.count("vectors") == 6
        key = face_id("group", owner="id2")
        assert view.get("faces", key)["person_id"] == "id2"
        assert view.get("vectors", key, "toy@0")["vector"] == vectors["id2", "group"]
        assert view.get("vectors", key, "toy@0")["checksum"] == checksum(vectors["id2", "group"], key, "toy@0")
    assert store.damage() == []
    with store.write() as edit:
        for table, column in (("people", "id"), ("templates", "person_id")):
            edit.delete(table, **{column: "id0"})
    store.compact()
    assert vectors["id0"] not in b"".join(file.read_bytes() for file in store.files())


def test_a_migration_that_fails_or_is_killed_leaves_the_file_whole(path, monkeypatch) -> None:
    _old_file(path, 200)

    def dump():
        sql = sqlite3.connect(path)
        lines = list(sql.iterdump())
        version = sql.execute("PRAGMA user_version").fetchone()
        sql.close()
        return lines, version

    before = dump()
    code = f"""
    import os, sqlite3
    from vultus.gallery.stores import _migrations, _sqlite_open
    from vultus.gallery.stores.opened import store_for
    (old, new, step), = _migrations.MIGRATIONS
    def killed(sql):
        sql.execute("PRAGMA cache_size = 1")  # so that pages are in the log already
        step(sql)
        os.kill(os.getpid(), 9)
    _sqlite_open.MIGRATIONS = ((old, new, killed),)
    store_for({str(path)!r}).revision()
    """
    assert subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False).returncode == -9
    assert dump() == before
    sql = sqlite3.connect(path)
    sql.execute("UPDATE photos SET vector = zeroblob(512) WHERE person_id = 'id7' AND medium = 'm7'")
    sql.commit()
    sql.close()
    before = dump()
    with pytest.raises(StoreError, match=r"'m7' .*damaged"):
        SqliteFile(path).revision()
    assert dump() == before


def test_two_processes_bring_a_file_up_at_once(path) -> None:
    _old_file(path, 50)
    code = f"from vultus.gallery.stores.opened import store_for; print(store_for({str(path)!r}).revision())"
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=60)[0] for process in both] == ["42\n", "42\n"]


def test_a_newer_schema_is_refused(path, store) -> None:
    _filled(store)
    store.close()
    sql = sqlite3.connect(path)
    sql.execute("PRAGMA user_version = 99")
    sql.commit()
    sql.close()
    with pytest.raises(StoreError, match="schema 2, found 99"):
        store.revision()
    with pytest.raises(StoreError, match="found 99"):
        store.exists()


# -- what is no gallery ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"hello, I am a text file\n" * 100, b"\xff\xd8\xff\xe0 jpeg" + bytes(4000)])
def test_a_file_that_is_no_gallery(path, store, content) -> None:
    path.write_bytes(content)
    for ask in (store.revision, store.exists, store.compact):
        with pytest.raises(StoreError, match="damaged or is not a gallery"):
            ask()
    assert "not a gallery" in store.damage()[0]
    assert path.read_bytes() == content


def test_another_program_s_database(path, store) -> None:
    sql = sqlite3.connect(path)
    sql.execute("CREATE TABLE notes (text)")
    sql.close()
    with pytest.raises(StoreError, match="not a vultus gallery"):
        store.revision()


def test_an_empty_file_is_no_gallery_yet(path, store) -> None:
    path.touch()
    assert not store.exists()
    assert store.revision() == 0
    assert store.exists()


def test_damage_is_found(path, store) -> None:
    _filled(store, 200)
    store.compact()
    store.close()
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(StoreError, match="damaged"), store.read() as view:
        view.find("templates")
    assert store.damage()
    path.write_bytes(data)
    assert store.damage() == []
    sql = sqlite3.connect(path)
    sql.execute("UPDATE templates SET vector = 'text' WHERE person_id = '03'")
    sql.execute("UPDATE people SET attributes = '{' WHERE id = '03'")
    sql.execute("UPDATE people SET name = CAST(x'ff' AS TEXT) WHERE id = '04'")
    sql.execute("ALTER TABLE crops RENAME TO old_crops")
    sql.commit()
    sql.close()
    with store.read() as view:
        with pytest.raises(StoreError, match="damaged"):
            view.get("templates", "03", "s")
        with pytest.raises(StoreError, match="damaged"):
            view.get("people", "03")
        with pytest.raises(StoreError, match="damaged"):
            view.get("people", "04")
    with pytest.raises(StoreError, match="damaged"), store.read() as view:
        view.find("crops")
    assert any("crops" in line for line in store.damage())


# -- places ------------------------------------------------------------------------------------------------------------


def test_no_folder_and_a_folder_instead_of_a_file(tmp_path) -> None:
    with pytest.raises(StoreError, match="does not exist"):
        SqliteFile(tmp_path / "nowhere" / "people.db").revision()
    with pytest.raises(StoreError, match="is a directory"):
        SqliteFile(tmp_path).revision()
    with pytest.raises(StoreError, match="cannot be opened"):
        SqliteFile(tmp_path / ("x" * 300)).revision()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not os.path.ismount("/sys"), reason="no /sys on this system")
def test_a_folder_where_nothing_can_be_made() -> None:
    with pytest.raises(StoreError, match=r"may be written|does not exist"):
        SqliteFile("/sys/people.db").revision()


def test_no_room(store) -> None:
    _filled(store, 3)
    with store._pool.connected() as handle:
        handle.run(f"PRAGMA max_page_count = {handle.run('PRAGMA page_count')[0][0]}")
    with pytest.raises(StoreError, match="no room"), store.write() as edit:
        edit.put("crops", {"face_id": "f", "jpeg": bytes(1_000_000)})

    def passes_over():
        with store.write() as edit:
            edit.put("people", person("before"))
            with pytest.raises(StoreError, match="no room"):
                edit.put("crops", {"face_id": "f", "jpeg": bytes(1_000_000)})
            with pytest.raises(StoreError):
                edit.put("people", person("after"))

    with store._pool.connected() as handle:
        handle.run(f"PRAGMA max_page_count = {handle.run('PRAGMA page_count')[0][0]}")
    with pytest.raises(StoreError, match="nothing of it was kept"):
        passes_over()
    assert _names(store) == ["00", "01", "02"]
    assert store.damage() == []


READ_ONLY = """
import os, sys
from vultus.errors import StoreError
from vultus.gallery.stores.opened import store_for
from tests.gallery.stores.conftest import person
path = sys.argv[1]
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
store = store_for(path)
def attempt(ask):
    try:
        print(ask())
    except StoreError as error:
        print("StoreError", error)
def put():
    with store.write() as edit:
        edit.put("people", person("new"))
def names():
    with store.read() as view:
        return [row["id"] for row in view.find("people")]
attempt(names)
attempt(store.exists)
attempt(put)
attempt(store.compact)
attempt(store.damage)
"""


@pytest.mark.skipif(os.name != "posix", reason="rights of this kind are POSIX's")
@pytest.mark.parametrize("kind", ["whole", "with a log", "old"])
def test_a_gallery_on_a_medium_that_cannot_be_written(request, store, path, kind) -> None:
    medium = Path(tempfile.mkdtemp(prefix="vultus-medium-"))  # pytest shuts its own folder to other users
    request.addfinalizer(lambda: (medium.chmod(0o755), shutil.rmtree(medium)))
    if kind == "old":
        _old_file(medium / "people.db", 1)
    else:
        _filled(store, 2)
        if kind == "with a log":
            shutil.copy(f"{path}-wal", medium / "people.db-wal")
        else:
            store.compact()
        shutil.copy(path, medium / "people.db")
    for file in medium.iterdir():
        file.chmod(0o444)
    medium.chmod(0o555)
    before = {file.name: file.read_bytes() for file in medium.iterdir()}
    done = subprocess.run(
        [sys.executable, "-c", READ_ONLY, str(medium / "people.db")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    if kind == "whole":
        assert said[:2] == ["['00', '01']", "True"]
        assert "may be written" in said[2]
        assert "read-only" in said[3]
        assert said[4] == "[]"
    else:
        word = "copy both" if kind == "with a log" else "copy the file"
        assert all(word in line for line in said), said
    assert {file.name: file.read_bytes() for file in medium.iterdir()} == before


def test_another_file_in_its_place_is_noticed(tmp_path, path, store) -> None:
    """SQLite would play the log of the old file into the new one."""
    _filled(store, 3)
    for name in ("a.db", "b.db"):
        store.backup(tmp_path / name)
    with store.write() as edit:
        edit.delete("people", id="00")
    os.replace(tmp_path / "a.db", path)
    for _ in range(2):
        with pytest.raises(StoreError, match="another file"):
            _names(store)
    os.unlink(f"{path}-wal")
    assert _names(store) == ["00", "01", "02"]
    with store.write() as edit:
        edit.delete("people", id="00")
    store.compact()
    os.replace(tmp_path / "b.db", path)
    assert _names(store) == ["00", "01", "02"]
    assert store.damage() == []


def test_the_folder_of_the_process_may_change(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = store_for("sqlite:///people.db")
    (tmp_path / "deeper").mkdir()
    monkeypatch.chdir(tmp_path / "deeper")
    _filled(store, 1)
    assert store.url == "sqlite:///people.db"
    assert store.files()[0] == tmp_path / "people.db"
    store.close()


# -- others ------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_opens_its_own_connection_whatever_its_parent_was_doing(store) -> None:
    def child():
        with store.write() as edit:
            edit.put("people", person("child"))
        assert _names(store) == ["child", "parent"]

    with store.write() as edit:
        edit.put("people", person("parent"))
    holding, done = threading.Event(), threading.Event()

    def hold():
        with store._pool.turn(1), store._pool.connected():  # locks that are never given back in the child
            holding.set()
            done.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    holding.wait(60)
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(60)
    done.set()
    thread.join(60)
    assert process.exitcode == 0
    assert _names(store) == ["child", "parent"]
    assert store.damage() == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_inside_a_write_cannot_end_it(store) -> None:
    with store.write() as edit:
        edit.put("people", person("a"))
        child = os.fork()
        if child == 0:
            try:
                edit.end()
                store._pool.give(next(iter(_pool._orphans)))
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        edit.put("people", person("b"))
    assert _names(store) == ["a", "b"]


def test_busy_for_too_long(path, store, monkeypatch) -> None:
    monkeypatch.setattr(_sqlite_open, "BUSY_SECONDS", 0.1)
    _filled(store, 3)
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    assert len(_names(store)) == 3  # readers are not blocked
    with pytest.raises(StoreError, match="another process"), store.write():
        pass
    blocker.execute("ROLLBACK")
    blocker.close()
    with store.write() as edit:
        refused = []

        def other():
            try:
                with store.write():
                    pass
            except StoreError as error:
                refused.append(str(error))

        thread = threading.Thread(target=other)
        thread.start()
        thread.join(60)
        edit.put("people", person("x"))
    assert "another thread" in refused[0]


def test_compact_says_so_when_a_reader_keeps_the_old_bytes(path, store, monkeypatch) -> None:
    monkeypatch.setattr(sqlite_file, "COMPACT_SECONDS", 0.2)
    _filled(store, 3)
    secret = bytes([2]) * 2048
    with store.read() as view:  # in this or in another process: it has an old state of the file
        with store.write() as edit:
            edit.delete("templates", person_id="02")
        with pytest.raises(StoreError, match="reading an old state"):
            store.compact()
        assert view.get("templates", "02", "s")["vector"] == secret
    store.compact()
    assert secret not in b"".join(file.read_bytes() for file in store.files())
    stop = threading.Event()

    def read_on():
        while not stop.is_set():
            _names(store)

    monkeypatch.setattr(sqlite_file, "COMPACT_SECONDS", 20)
    readers = [threading.Thread(target=read_on) for _ in range(2)]
    for reader in readers:
        reader.start()
    with store.write() as edit:
        edit.delete("templates", person_id="01")
    store.compact()  # readers that come and go do not keep it from ending
    stop.set()
    for reader in readers:
        reader.join(60)
    assert bytes([1]) * 2048 not in b"".join(file.read_bytes() for file in store.files())


def test_large_galleries_are_paged_through_an_index(store) -> None:
    with store.read() as view:
        for table, spec in TABLES.items():
            for name in (None, *spec.key, *spec.indexes):
                equal = {} if name is None else {name: None}
                sql, values = view._query(table, "rows", equal, tuple("" for _ in spec.key), 10)
                values += [0] * (sql.count("?") - len(values))
                plan = " ".join(str(row) for row in view._wire.rows(f"EXPLAIN QUERY PLAN {sql}", values))
                assert "SCAN" not in plan, (table, name, plan)
                assert "TEMP B-TREE" not in plan, (table, name, plan)


@pytest.mark.parametrize(
    "name", ["", "sqlite://people.db", "sqlite:///", "sqlite:///:memory:", ":memory:", "a\0b", "mysql://u:pw@h/d", 5]
)
def test_names_of_no_store(name) -> None:
    with pytest.raises(InputError, match="gallery: expected") as caught:
        store_for(name)
    assert "pw" not in str(caught.value)

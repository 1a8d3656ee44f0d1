"""A gallery on a real server: killed, frozen, shared, refusing, asked for neighbors."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading

import numpy as np
import psycopg
import pytest

from tests.gallery.stores.conftest import person, template
from vultus.errors import InputError, MissingExtra, StoreError
from vultus.gallery.stores import _postgres_open
from vultus.gallery.stores.opened import store_for
from vultus.gallery.stores.postgres import Postgres
from vultus.gallery.stores.schema import Searchable
from vultus.ops.vectors import unit

WRITER = """
import sys
from vultus.errors import StoreError
from vultus.gallery.stores.opened import store_for
store = store_for(sys.argv[1])
try:
    for i in range(100_000):
        with store.write() as edit:
            edit.put("facts", {"key": sys.argv[2], "value": str(i + 1)})
            edit.put("changes", *[{"revision": edit.revision(), "person_id": sys.argv[2]} for k in range(3)])
        print(i + 1, flush=True)
except StoreError as error:
    print(error, file=sys.stderr)
"""


@pytest.fixture
def store(postgres_url):
    made = store_for(postgres_url)
    assert isinstance(made, Postgres)
    assert isinstance(made, Searchable)
    yield made
    made.close()


def _names(store):
    with store.read() as view:
        return [row["id"] for row in view.find("people")]


def _put(store, *keys):
    with store.write() as edit:
        edit.put("people", *(person(key) for key in keys))


# -- servers that go away ----------------------------------------------------------------------------------------------


def test_killed_while_others_write_no_acknowledged_write_is_lost(postgres_server, postgres_url, store) -> None:
    _put(store, "before")
    for round_, kill in enumerate([postgres_server.kill, lambda: postgres_server.stop(signal.SIGQUIT)]):
        who = f"round {round_}"
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WRITER), postgres_url, who],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        said = [int(process.stdout.readline()) for _ in range(5 + 3 * round_)]
        kill()
        with pytest.raises(StoreError, match="cannot be reached"):
            _names(store)
        postgres_server.start()
        rest, why = process.communicate(timeout=60)
        assert process.returncode == 0, why
        assert "cannot be reached" in why
        acknowledged = max([*said, *(int(line) for line in rest.split())])
        with store.read() as view:  # the same store, after the restart
            kept = int(view.get("facts", who)["value"])
            assert kept in (acknowledged, acknowledged + 1)
            assert sum(row["person_id"] == who for row in view.find("changes")) == 3 * kept
        _put(store, who)
    assert _names(store) == ["before", "round 0", "round 1"]
    assert store.damage() == []


@pytest.mark.parametrize("kept", [True, False])
def test_when_the_answer_to_a_commit_is_lost_the_server_is_asked(store, monkeypatch, postgres_server, kept) -> None:
    _put(store, "before")
    change = _postgres_open.PgHandle.change

    def broken(handle, sql, values=()):
        if sql == "COMMIT":
            if kept:
                change(handle, sql, values)
            postgres_server.execute(f"SELECT pg_terminate_backend({handle.sql.info.backend_pid}, 10000)")
            sql = "SELECT 1"  # what the lost answer is asked by
        return change(handle, sql, values)

    monkeypatch.setattr(_postgres_open.PgHandle, "change", broken)
    if kept:
        _put(store, "after")
    else:
        with pytest.raises(StoreError, match="nothing of it was kept"):
            _put(store, "after")
    assert _names(store) == ["after", "before"][: 1 + kept] if kept else ["before"]


def test_a_frozen_server_is_given_up(store, postgres_server, monkeypatch) -> None:
    _put(store, "a")
    monkeypatch.setattr(_postgres_open, "PING_SECONDS", 0.3)
    monkeypatch.setattr(_postgres_open, "_DEAD", {"connect_timeout": "2"})
    address = _postgres_open.parse(store._given)
    monkeypatch.setattr(store._pool, "_connect", lambda: _postgres_open.connect(address))
    group = os.getpgid(postgres_server._process.pid)
    backends = [int(row[0]) for row in _asked(postgres_server, "SELECT pid FROM pg_stat_activity")]
    try:
        for pid in (group, *backends):
            _signal(pid, signal.SIGSTOP)
        with pytest.raises(StoreError, match="cannot be reached"):
            _names(store)
    finally:
        for pid in (*backends, group):
            _signal(pid, signal.SIGCONT)
    assert _names(store) == ["a"]


def _signal(pid, what):
    try:
        os.kill(pid, what)
    except ProcessLookupError:  # the one that answered where the others are
        assert what in (signal.SIGSTOP, signal.SIGCONT)


def _asked(server, statement):
    with psycopg.connect(server.url, autocommit=True) as sql:
        return sql.execute(statement).fetchall()


def test_nobody_there(postgres_server) -> None:
    for url in ("postgresql://u:pass%40word@127.0.0.1:9/d", "postgres://127.0.0.1:9/d?password=pass%40word"):
        store = store_for(url)
        for ask in (store.revision, store.exists, store.compact):
            with pytest.raises(StoreError, match="cannot be reached") as caught:
                ask()
            _no_secret("pass@word", store, caught.value)
            _no_secret("pass%40word", store, caught.value)
        assert "cannot be reached" in store.damage()[0]


# -- secrets and refusals ----------------------------------------------------------------------------------------------


def _no_secret(secret, store, error=None):
    for text in (store.url, repr(store), str(store.damage()), repr(store._address), str(error)):
        assert secret not in text
    while error is not None:
        assert secret not in str(error)
        error = error.__cause__


def test_a_password_is_shown_nowhere_and_the_url_still_opens(postgres_server, postgres_url, store, monkeypatch) -> None:
    _put(store, "a")
    _no_secret(postgres_server.password, store)
    assert store.url == postgres_url.replace(f":{postgres_server.password}", "")
    wrong = store_for(postgres_url.replace(postgres_server.password, "wrong-secret"))
    with pytest.raises(StoreError, match="check the user, the password") as caught:
        wrong.revision()
    _no_secret("wrong-secret", wrong, caught.value)
    monkeypatch.setenv("PGPASSWORD", postgres_server.password)
    again = store_for(store.url)
    assert _names(again) == ["a"]
    again.close()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:se%cret@h/d",
        "postgresql://u:secret@h:port/d",
        "postgresql://u:secret@h/d?schema=",
        "postgresql://u:secret@h/d?schema=pg_x",
        "postgresql://u:secret@h/d?schema=a%22b",
        "postgresql://u:secret@h/d?unknown=1",
    ],
)
def test_urls_that_cannot_be_read_are_refused_without_repeating_them(url) -> None:
    with pytest.raises(InputError, match="gallery: expected") as caught:
        store_for(url)
    assert "cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_without_the_driver(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtra, match=r"vultus\[postgres\]"):
        store_for("postgresql://h/d")


def test_no_database_no_rights_no_version(postgres_server, postgres_url, store) -> None:
    with pytest.raises(StoreError, match="name of the database"):
        store_for(postgres_url.replace("/postgres?", "/nowhere?")).revision()
    _put(store, "a")
    schema = store._address.schema
    postgres_server.execute("CREATE ROLE guest LOGIN PASSWORD 'guest'")
    guest = store_for(postgres_url.replace(f"postgres:{postgres_server.password}", "guest:guest"))
    with pytest.raises(StoreError, match="may not do that"):
        guest.revision()
    postgres_server.execute(f"GRANT USAGE ON SCHEMA {schema} TO guest")
    postgres_server.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO guest")
    assert _names(guest) == ["a"]
    with pytest.raises(StoreError, match="may not do that"):
        _put(guest, "b")
    guest.close()
    postgres_server.execute(f"DROP OWNED BY guest; DROP ROLE guest; ALTER TABLE {schema}.people DROP COLUMN name")
    assert any("people lacks name" in line for line in store.damage())
    with pytest.raises(StoreError, match="damaged"):
        _names(store)
    postgres_server.execute(f"UPDATE {schema}.store_state SET value = 99 WHERE name = 'schema'")
    store.close()
    with pytest.raises(StoreError, match="schema 2, found 99"):
        _names(store)


def test_busy_for_too_long(postgres_url, store, monkeypatch) -> None:
    monkeypatch.setattr(_postgres_open, "BUSY_SECONDS", 0.2)
    other = store_for(postgres_url)
    with other.write() as edit:
        with pytest.raises(StoreError, match="another process"):
            _put(store, "a")
        edit.put("people", person("b"))
    assert _names(store) == ["b"]
    other.close()


def test_two_galleries_in_one_database(postgres_server, postgres_url, store) -> None:
    url = f"{postgres_server.url}?schema=second"
    second = store_for(url)
    assert not second.exists()
    with store.write() as edit, second.write() as other:  # they do not wait for each other
        edit.put("people", person("a"))
        other.put("people", person("b"))
    assert (_names(store), _names(second)) == (["a"], ["b"])
    second.close()
    postgres_server.execute("DROP SCHEMA second CASCADE")


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_fork_opens_its_own_connection(store) -> None:
    _put(store, "parent")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _put(store, "child")
            code = 0 if _names(store) == ["child", "parent"] else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert _names(store) == ["child", "parent"]


# -- vectors -----------------------------------------------------------------------------------------------------------


def _vectors(store, count=200, dim=32, space="s"):
    rows = unit(np.random.default_rng(0).standard_normal((count, dim))).astype("<f4")
    with store.write() as edit:
        edit.put("templates", *(template(f"{i:04}", space, rows[i].tobytes()) for i in range(count)))
    return rows


def test_nearest_is_what_numpy_says(store) -> None:
    rows = _vectors(store)
    _vectors(store, 20, 32, "other'% space")
    query = unit(rows[:1] + 0.1)[0]
    scores = rows @ query
    best = np.argsort(-scores)[:7]
    found = store.nearest("s", query, 7)
    assert [key for key, _ in found] == [f"{i:04}" for i in best]
    np.testing.assert_allclose([score for _, score in found], scores[best], atol=1e-6)
    some = [f"{i:04}" for i in best[1::2]]
    assert [key for key, _ in store.nearest("s", query, 3, some)] == some
    assert store.nearest("s", query, 3, []) == []
    assert store.nearest("nowhere", query, 3) == []
    assert store.nearest("s", query, 3, exact=False)[0] == found[0]
    assert [key for key, _ in store.nearest("other'% space", rows[3], 1, exact=False)] == ["0003"]
    hits = sum(store.nearest("s", row, 1, exact=False)[0][0] == f"{i:04}" for i, row in enumerate(rows[:40]))
    assert hits >= 39
    with store.read() as view:
        plan = view._wire.rows(
            "EXPLAIN SELECT person_id FROM " + view._sql.name("templates") + " WHERE space = 's' AND dim = 32 AND"
            " embedding IS NOT NULL ORDER BY embedding::vector(32) <=> %s LIMIT 3", [query]
        )  # fmt: skip
    assert "hnsw" in str(plan)
    with store.write() as edit:
        edit.delete("templates", person_id=found[0][0])
    assert store.nearest("s", query, 1, exact=False)[0] == found[1]
    for bad in (rows[:2], rows[0][:5], np.full(32, np.nan, np.float32)):
        with pytest.raises(InputError, match="query"):
            store.nearest("s", bad, 1)
    with pytest.raises(InputError, match="k:"):
        store.nearest("s", query, 0)


def test_an_encrypted_gallery_keeps_no_readable_vector(store, postgres_server) -> None:
    rows = _vectors(store, 5)
    embedded = f"SELECT count(embedding) FROM {store._address.schema}.templates"
    assert _asked(postgres_server, embedded) == [(5,)]
    with store.write() as edit:
        edit.put("facts", {"key": "encrypted", "value": "1"})
        edit.put("templates", template("0001", vector=rows[1].tobytes()), template("new", vector=rows[1].tobytes()))
    assert _asked(postgres_server, embedded) == [(0,)]
    with pytest.raises(StoreError, match="encrypted"):
        store.nearest("s", rows[0], 1)


def test_bytes_that_are_no_vector_are_kept_and_never_found(store) -> None:
    rows = _vectors(store, 3)
    with store.write() as edit:
        for key, vector in (("long", b"\1" * 200), ("nan", b"\xff" * 128), ("zero", bytes(128))):
            edit.put("templates", {**template(key), "vector": vector, "dim": 32})
    found = [key for key, _ in store.nearest("s", rows[1], 9)]
    assert found[0] == "0001"
    assert len(found) == 3


def test_compact_leaves_no_deleted_byte_in_the_files_of_the_tables(store, postgres_server) -> None:
    rng = np.random.default_rng(2)
    secrets = [rng.bytes(1500) for _ in range(20)]
    with store.write() as edit:
        edit.put("crops", *({"face_id": f"{i:02}", "jpeg": secrets[i]} for i in range(20)))
    with store.write() as edit:
        for i in range(0, 20, 2):
            edit.delete("crops", face_id=f"{i:02}")
    store.compact()
    data = b"".join(path.read_bytes() for path in (postgres_server.data / "base").rglob("*") if path.is_file())
    assert [secret[:64] in data for secret in secrets] == [False, True] * 10


def test_readers_go_on_while_another_thread_writes(store) -> None:
    _put(store, "a")
    written = threading.Event()

    def write():
        _put(store, "b")
        written.set()

    with store.read() as view:
        thread = threading.Thread(target=write)
        thread.start()
        assert written.wait(60)
        assert [row["id"] for row in view.find("people")] == ["a"]
        thread.join(60)
    assert _names(store) == ["a", "b"]

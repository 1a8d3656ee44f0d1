"""A gallery in Milvus: killed servers, lost leases, open views, files that one process has, neighbors."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import numpy as np
import pytest

from tests.gallery.stores.conftest import person, template
from tests.gallery.stores.test_contract import WRITER
from vultus.errors import InputError, MissingExtra, StoreError
from vultus.gallery.stores import _milvus_open, _milvus_turn
from vultus.gallery.stores.milvus import Milvus
from vultus.gallery.stores.opened import store_for
from vultus.gallery.stores.schema import Searchable
from vultus.ops.vectors import unit


@pytest.fixture
def store(milvus_url):
    made = store_for(milvus_url)
    assert isinstance(made, Milvus)
    assert isinstance(made, Searchable)
    yield made
    made.close()


def _names(store):
    with store.read() as view:
        return [row["id"] for row in view.find("people")]


def _put(store, *keys):
    with store.write() as edit:
        edit.put("people", *(person(key) for key in keys))


def test_a_server_killed_while_others_write_loses_no_acknowledged_write(milvus_server, milvus_url, store) -> None:
    _put(store, "before")
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITER), milvus_url, "a", "100000"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    said = [int(process.stdout.readline()) for _ in range(5)]
    milvus_server.kill()
    rest, why = process.communicate(timeout=120)
    assert "StoreError" in why
    with pytest.raises(StoreError, match="cannot be reached"):
        _names(store)
    milvus_server.start()
    acknowledged = max([*said, *(int(line) for line in rest.split())])
    with store.read() as view:  # the same store, after the restart
        kept = int(view.get("facts", "a")["value"])
        assert kept in (acknowledged, acknowledged + 1)
        assert view.count("changes") == 3 * kept
    _put(store, "after")
    assert _names(store) == ["after", "before"]
    assert store.damage() == []


def _ticket(store, key, number):
    """As a writer on another machine leaves it."""
    with store._pool.connected() as link:
        entity = {"pk": key, "number": number, "beat": 1, "host": "another machine"}
        link.put(store._place.name("tickets"), [entity])


def test_a_writer_on_another_machine_is_waited_for(store, monkeypatch) -> None:
    monkeypatch.setattr(_milvus_open, "BUSY_SECONDS", 0.3)
    _put(store, "a")
    _ticket(store, "theirs", 1)
    with pytest.raises(StoreError, match="another machine"):
        _put(store, "b")
    assert _names(store) == ["a"]
    with store._pool.connected() as link:
        link.remove(store._place.name("tickets"), 'pk == "theirs"')  # it is done
    _put(store, "c")
    assert _names(store) == ["a", "c"]


def test_what_a_writer_wrote_that_lost_its_lease_is_never_seen(store, monkeypatch) -> None:
    _put(store, "a")
    before = store.revision()
    _ticket(store, "theirs", 1)
    with monkeypatch.context() as patch:
        patch.setattr(_milvus_turn, "LEASE_SECONDS", 2.0)
        _put(store, "b")  # the silent one is passed over, and its revision with it
    assert store.revision() == before + 2
    with store._pool.connected() as link:
        state = store._made(link)
        assert state.void == [before + 1]
        rows = link.page(
            state.rows(link), 'tbl == "people"', ["tbl", "k", "born", "died", "i0", "i1", "i2", "i3", "parts", "body"]
        )
        late = {**rows[0], "pk": rows[0]["pk"] + "-late", "k": "ff", "i0": "=ff", "born": before + 1}
        link.put(state.rows(link), [late, {**rows[0], "died": before + 1}])  # it still writes, and deletes
    assert _names(store) == ["a", "b"]
    with store.write() as edit:
        assert edit.delete("people", id="a") == 1
    assert _names(store) == ["b"]
    store.compact()
    assert _names(store) == ["b"]


def test_a_write_that_was_silent_for_too_long_gives_up(store) -> None:
    def silent():
        with store.write() as edit:
            edit.put("people", person("a"))
            edit._turn.seen -= _milvus_turn.LEASE_SECONDS
            edit.put("people", person("b"))

    with pytest.raises(StoreError, match="silent"):
        silent()
    assert _names(store) == []
    _put(store, "c")
    assert _names(store) == ["c"]


def test_a_commit_whose_answer_is_lost_is_looked_for(store, monkeypatch) -> None:
    put = _milvus_open.Link.put

    def lost(link, name, entities):
        put(link, name, entities)
        if name.endswith("_commits"):
            raise StoreError("no answer")

    store.revision()
    monkeypatch.setattr(_milvus_open.Link, "put", lost)
    _put(store, "a")
    assert _names(store) == ["a"]


def test_a_view_that_is_open_while_others_compact_ends_in_words(store) -> None:
    _put(store, "a", "b")
    with store.read() as view:
        with store.write() as edit:
            edit.delete("people", id="a")
        store.compact()
        with pytest.raises(StoreError, match="open a new view"):
            view.find("people")
    assert _names(store) == ["b"]


def test_nearest_is_what_numpy_says(store) -> None:
    rows = unit(np.random.default_rng(0).standard_normal((120, 32))).astype("<f4")
    with store.write() as edit:
        edit.put("templates", *(template(f"{i:03}", "it's", rows[i].tobytes()) for i in range(120)))
    query = unit(rows[:1] + 0.1)[0]
    scores = rows @ query
    best = np.argsort(-scores)[:7]
    for exact in (True, False):
        found = store.nearest("it's", query, 7, exact=exact)
        assert [key for key, _ in found] == [f"{i:03}" for i in best]
        np.testing.assert_allclose([score for _, score in found], scores[best], atol=1e-5)
    some = [f"{i:03}" for i in best[1::2]]
    assert [key for key, _ in store.nearest("it's", query, 3, some)] == some
    assert store.nearest("nowhere", query, 3) == []

    def fails():
        with store.write() as edit:
            edit.delete("templates", person_id=found[0][0])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert store.nearest("it's", query, 1, exact=False)[0][0] == found[0][0]
    with store.write() as edit:
        edit.delete("templates", person_id=found[0][0])
    store.compact()
    assert store.nearest("it's", query, 1, exact=False)[0][0] == found[1][0]
    for bad in (rows[:2], rows[0][:5], np.full(32, np.nan, np.float32)):
        with pytest.raises(InputError, match="query"):
            store.nearest("it's", bad, 1)
    with store.write() as edit:
        edit.put("facts", {"key": "encrypted", "value": "1"})
        edit.put("templates", template("new", "it's", rows[0].tobytes()))
    with pytest.raises(StoreError, match="encrypted"):
        store.nearest("it's", query, 1)
    store.compact()
    with store._pool.connected() as link:
        vectors = [name for name in link.names() if "_v" in name]
        assert vectors
        assert [link.count(name, "born >= 0") for name in vectors] == [0] * len(vectors)


def test_a_file_is_of_one_process_at_a_time(lite_url, monkeypatch) -> None:
    code = f"""
    import sys
    from vultus.gallery.stores.opened import store_for
    store = store_for({lite_url!r})
    print(store.revision(), flush=True)
    sys.stdin.read()
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "0\n"
    store = store_for(lite_url)
    monkeypatch.setattr(_milvus_open, "BUSY_SECONDS", 0.2)
    with pytest.raises(StoreError, match="one at a time"):
        store.revision()
    process.kill()
    process.communicate()
    other = store_for(lite_url)
    _put(store, "a")
    _put(other, "b")  # two stores of one process share it
    store.close()
    assert _names(other) == ["a", "b"]
    other.close()


def test_places_that_are_none(tmp_path, lite_url, monkeypatch) -> None:
    with pytest.raises(StoreError, match="does not exist"):
        store_for(f"milvus:///{tmp_path}/nowhere/people.db").revision()
    (tmp_path / "file.db").write_text("text")
    with pytest.raises(StoreError, match="not a folder of milvus-lite"):
        store_for(f"milvus:///{tmp_path}/file.db").revision()
    assert not store_for(lite_url).exists()
    monkeypatch.setattr(_milvus_open, "CONNECT_SECONDS", 0.5)
    gone = store_for("milvus://root:secret@127.0.0.1:9/d?prefix=p")
    with pytest.raises(StoreError, match="cannot be reached") as caught:
        gone.revision()
    for text in (gone.url, repr(gone), repr(gone._place), str(caught.value), str(gone.damage())):
        assert "secret" not in text
    assert gone.url == "milvus://127.0.0.1:9/d?prefix=p"
    assert "hidden" not in store_for("milvus://h/d?token=hidden").url


@pytest.mark.parametrize(
    "url",
    ["milvus://", "milvus://h/d?prefix=", "milvus://u:secret@/d", "milvus:///x.txt", "milvus://h/d?tokn=secret"],
)
def test_urls_that_cannot_be_read_are_refused_without_repeating_a_secret(url) -> None:
    with pytest.raises(InputError, match="gallery: expected") as caught:
        store_for(url)
    assert "secret" not in str(caught.value)


def test_without_the_driver(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "milvus_lite", None)
    with pytest.raises(MissingExtra, match=r"vultus\[milvus\]"):
        store_for("milvus:///people.db")
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(MissingExtra, match=r"vultus\[milvus\]"):
        store_for("milvus://h/d")

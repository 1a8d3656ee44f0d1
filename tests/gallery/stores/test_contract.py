"""What every kind of store promises, asked of each of them."""

from __future__ import annotations

import base64
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gallery.stores.conftest import audit, face, person, template
from vultus.errors import InputError, StoreError
from vultus.gallery.stores.opened import store_for
from vultus.gallery.stores.schema import TABLES

WRITER = """
import sys
from vultus.gallery.stores.opened import store_for
url, who, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = store_for(url)
print("ready", flush=True)
for i in range(count):
    with store.write() as edit:
        facts = {row["key"]: int(row["value"]) for row in edit.find("facts")}
        edit.put("facts", {"key": "total", "value": str(facts.get("total", 0) + 1)})
        edit.put("facts", {"key": who, "value": str(i + 1)})
        edit.put("changes", *[{"revision": edit.revision(), "person_id": f"{who}-{i}-{k}"} for k in range(3)])
    print(i + 1, flush=True)
store.close()
"""


def _writer(url, who, count):
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITER), url, who, str(count)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


def test_made_by_the_first_use_and_not_by_a_question(store) -> None:
    assert not store.exists()
    assert not store.exists()
    assert store.revision() == 0
    assert store.exists()
    with store.read() as view:
        assert {table: view.find(table) for table in TABLES} == {table: [] for table in TABLES}
    assert store.damage() == []


EVERYTHING = [
    ("facts", {"key": "k", "value": ""}),
    ("people", person("p", "Zoé 山田 \U0001f600 '\"%s", attributes={"a": [1, 2.5, None, "ü"], "b": {"c": True}})),
    ("templates", template("p", vector=bytes(range(256)) * 8, quality=None)),
    ("media", {"medium": "m", "source": None, "height": 2**31, "width": None, "exclusive": 1, "added_at": "t"}),
    ("faces", face("f", box=[1.5, 2.0, 3.25, 1e-7], score=0.1, quality=1.0, person_id="p", cluster="c")),
    ("vectors", {"face_id": "f", "space": "s", "dim": 1, "vector": b"\0\xff\0'", "checksum": b"", "quality": 1e-300}),
    ("crops", {"face_id": "f", "jpeg": bytes(range(256)) * 1000}),
    ("links", {"id": "l", "kind": "must", "a": "f", "b": "g", "actor": "x", "at": "t"}),
    (
        "undo",
        {"seq": 1, "at": "t", "actor": "x", "verb": "v", "people": ["p"], "steps": [["put", {}]], "undone_at": None},
    ),
    ("audit", audit("v", seq=1, details="\x00 and 😀")),
    ("keys", {"owner": "p", "wrapped": b"\x80" * 60, "made_at": "t"}),
    ("adapters", {"id": "a", "source": "s", "target": "t", "body": bytes(100_000), "report": None, "made_at": "t"}),
    ("changes", {"seq": 1, "revision": 2**62, "person_id": ""}),
]


def test_every_column_of_every_table_comes_back_as_it_was(store, url) -> None:
    assert [table for table, _ in EVERYTHING] == list(TABLES)
    with store.write() as edit:
        for table, row in EVERYTHING:
            edit.put(table, row)
    for opened in (store, store_for(url)):
        with opened.read() as view:
            for table, row in EVERYTHING:
                found = view.get(table, *(row[name] for name in TABLES[table].key))
                assert found == row
                assert {name: type(value) for name, value in found.items()} == {n: type(v) for n, v in row.items()}
                assert view.find(table) == [row]
        opened.close()
    assert store.damage() == []


def test_numbers_of_numpy_are_numbers(store) -> None:
    with store.write() as edit:
        edit.put("faces", face("f", score=np.float32(0.5), quality=1))
        edit.put("media", {"medium": "m", "source": None, "height": np.int64(3), "width": True, "exclusive": False,
                           "added_at": "t"})  # fmt: skip
        assert edit.get("faces", "f")["score"] == 0.5
        found = edit.get("media", "m")
        assert (found["height"], found["width"], found["exclusive"]) == (3, 1, 0)


def test_nothing_is_kept_of_a_block_that_raises(store) -> None:
    with store.write() as edit:
        edit.put("people", person("a"))
    before = store.revision()

    def fails():
        with store.write() as edit:
            edit.put("people", person("a", "Eve"), person("b"))
            edit.delete("people", id="a")
            edit.put("audit", audit("x"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    with store.read() as view:
        assert view.find("people") == [person("a")]
        assert view.find("audit") == []
        assert view.revision() == before
    with store.write() as edit:
        assert edit.put("audit", audit("y")) == [1]


def test_a_bad_row_leaves_its_good_neighbors_out(store) -> None:
    with store.write() as edit:
        with pytest.raises(InputError):
            edit.put("people", person("a"), {"id": "b"})
        edit.put("people", person("c"))
    with store.read() as view:
        assert [row["id"] for row in view.find("people")] == ["c"]


def test_a_view_does_not_see_what_others_write_meanwhile(store, url) -> None:
    with store.write() as edit:
        edit.put("people", person("a"), person("z"))
    other = store_for(url)
    for writer in (other, store):
        with store.read() as view:
            revision = view.revision()
            with writer.write() as edit:
                edit.put("people", person("a", "Eve"), person("b"))
                edit.delete("people", id="z")
                assert view.find("people") == [person("a"), person("z")]
            assert view.find("people") == [person("a"), person("z")]
            assert view.get("people", "b") is None
            assert view.count("people") == 2
            assert view.after("people", ("a",), 9) == [person("z")]
            assert view.revision() == revision < writer.revision()
        with store.write() as edit:
            edit.put("people", person("a"), person("z"))
            edit.delete("people", id="b")
    other.close()


def test_a_writer_sees_its_own_changes_and_others_do_not(store) -> None:
    with store.write() as edit:
        revision = edit.revision()
        edit.put("people", person("a"), person("b", "Bob"))
        edit.put("people", person("a", "Eve"))
        assert edit.get("people", "a")["name"] == "Eve"
        assert edit.find("people", name="Eve") == [person("a", "Eve")]
        assert edit.find("people", name="Ada") == []
        assert edit.delete("people", name="Bob") == 1
        assert edit.get("people", "b") is None
        assert edit.count("people") == 1
        edit.put("people", person("b", "Again"))
        assert [row["id"] for row in edit.after("people", None, 10)] == ["a", "b"]
        with store.read() as view:
            assert view.find("people") == []
            assert view.revision() < revision
    assert store.revision() == revision


def test_found_by_key_and_index_and_none(store) -> None:
    rows = [face(f"{i:02}", f"m{i % 3}", person_id=None if i % 2 else f"p{i % 4}") for i in range(20)]
    with store.write() as edit:
        edit.put("faces", *rows[::-1])
        edit.put("templates", *(template(p, s) for s in ("t", "s") for p in ("b", "a")))
    with store.read() as view:
        assert view.find("faces") == rows
        assert view.find("faces", medium="m1") == [row for row in rows if row["medium"] == "m1"]
        assert view.find("faces", person_id=None) == [row for row in rows if row["person_id"] is None]
        both = [row for row in rows if row["person_id"] is None and row["medium"] == "m2"]
        assert view.find("faces", person_id=None, medium="m2") == both
        assert view.count("faces", person_id=None, medium="m2") == len(both) > 0
        assert view.count("faces") == 20
        assert view.find("faces", id="03") == [rows[3]]
        assert view.find("faces", medium="none of that") == []
        assert [(r["person_id"], r["space"]) for r in view.find("templates")] == [
            ("a", "s"), ("a", "t"), ("b", "s"), ("b", "t"),
        ]  # fmt: skip
        assert [r["space"] for r in view.find("templates", person_id="a")] == ["s", "t"]
        assert [r["person_id"] for r in view.find("templates", space="t")] == ["a", "b"]
        assert view.get("templates", "a", "x") is None


def test_pages_follow_the_key(store) -> None:
    keys = sorted(["", "a", "B", "b", "ä", "Z", "é", "e\u0301", "\uffee", "\U0001f600", "a b", "a-b", "aa", "0", "10"])
    with store.write() as edit:
        edit.put("people", *(person(key, "even" if i % 2 else "odd") for i, key in enumerate(keys)))
        edit.put("templates", *(template(f"p{i}", s) for i in range(5) for s in ("s", "t")))
        edit.put("audit", *(audit(str(i)) for i in range(11)))

    def pages(view, table, size, **equal):
        found, key = [], None
        while page := view.after(table, key, size, **equal):
            assert len(page) <= size
            found += page
            key = tuple(page[-1][name] for name in TABLES[table].key)
        return found

    with store.read() as view:
        assert [row["id"] for row in view.find("people")] == keys
        assert [row["id"] for row in pages(view, "people", 4)] == keys
        assert [row["id"] for row in pages(view, "people", 2, name="odd")] == keys[::2]
        assert pages(view, "templates", 3) == view.find("templates")
        assert pages(view, "templates", 2, space="t") == view.find("templates", space="t")
        assert [row["seq"] for row in pages(view, "audit", 4)] == list(range(1, 12))
        assert view.after("templates", ("p2", "s"), 2) == [template("p2", "t"), template("p3", "s")]
        assert view.after("people", (keys[-1],), 5) == []


def test_serial_numbers_rise_by_one_and_are_never_given_twice(store, url) -> None:
    with store.write() as edit:
        assert edit.put("audit", audit("a"), audit("b")) == [1, 2]
        assert edit.put("undo", {"at": "", "actor": "", "verb": "", "people": [], "steps": [], "undone_at": None}) == [
            1
        ]
        assert edit.put("people", person("a")) == []
    with store.write() as edit:
        assert edit.delete("audit", seq=2) == 1
        assert edit.put("audit", audit("c")) == [3]
        assert edit.put("audit", audit("at one", seq=1), audit("d")) == [1, 4]
        assert edit.put("audit", audit("far", seq=10)) == [10]
    other = store_for(url)
    with other.write() as edit:
        assert edit.put("audit", audit("e")) == [11]
        assert [row["verb"] for row in edit.find("audit")] == ["at one", "c", "d", "far", "e"]
    other.close()


def test_deleting_says_how_many(store) -> None:
    with store.write() as edit:
        edit.put("faces", *(face(f"{i}", f"m{i % 2}") for i in range(5)))
        assert edit.delete("faces", medium="m0") == 3
        assert edit.delete("faces", medium="m0") == 0
        assert edit.delete("faces", person_id=None) == 2
        assert edit.count("faces") == 0


REFUSED = [
    lambda edit: edit.find("nothing"),
    lambda edit: edit.find(7),
    lambda edit: edit.find("people", attributes="x"),
    lambda edit: edit.find("people", nobody="x"),
    lambda edit: edit.find("people", id=5),
    lambda edit: edit.get("people"),
    lambda edit: edit.get("people", None),
    lambda edit: edit.get("people", "a", "b"),
    lambda edit: edit.after("people", None, 0),
    lambda edit: edit.after("people", "a", 1),
    lambda edit: edit.after("templates", ("a",), 1),
    lambda edit: edit.delete("people"),
    lambda edit: edit.delete("people", enrolled_at="x"),
    lambda edit: edit.put("people", {"id": "a"}),
    lambda edit: edit.put("people", person("a", more=1)),
    lambda edit: edit.put("people", person("a", name=None)),
    lambda edit: edit.put("people", person("a\0b")),
    lambda edit: edit.put("people", person("\ud800")),
    lambda edit: edit.put("people", person("a", attributes={"a": "\ud800"})),
    lambda edit: edit.put("people", person("a", attributes={"a": float("nan")})),
    lambda edit: edit.put("people", person("a", attributes=object())),
    lambda edit: edit.put("crops", {"face_id": "f", "jpeg": "text"}),
    lambda edit: edit.put("faces", face("f", score=float("inf"))),
    lambda edit: edit.put("changes", {"revision": 2**63, "person_id": ""}),
    lambda edit: edit.put("audit", audit("x", seq=None)),
]


def test_refused_in_words_and_the_write_goes_on(store) -> None:
    with store.write() as edit:
        edit.put("people", person("b"))
        for ask in REFUSED:
            with pytest.raises(InputError):
                ask(edit)
    with store.read() as view:
        assert view.find("people") == [person("b")]


def test_a_view_ends_with_its_block_and_a_write_has_no_second(store) -> None:
    with store.read() as view:
        pass
    with store.write() as edit, pytest.raises(StoreError, match="already"), store.write():
        pass
    for ask in (lambda: view.find("people"), lambda: edit.put("people", person("a")), view.revision):
        with pytest.raises(InputError, match="block"):
            ask()


def test_closed_it_opens_again(store) -> None:
    with store.write() as edit:
        edit.put("people", person("a"))
    store.close()
    store.close()
    with store.read() as view:
        assert view.count("people") == 1


def test_two_processes_write_at_once_and_none_is_lost(shared_url) -> None:
    url, store = shared_url, store_for(shared_url)
    count = 5
    revisions = [store.revision()]
    writers = [_writer(url, who, count) for who in ("a", "b")]
    deadline = time.monotonic() + 60
    while any(writer.poll() is None for writer in writers) and time.monotonic() < deadline:
        revisions.append(store.revision())
        time.sleep(0.01)
    for writer in writers:
        assert writer.wait(60) == 0
        writer.stdout.close()
    revisions.append(store.revision())
    assert revisions == sorted(revisions)
    assert revisions[-1] == revisions[0] + 2 * count
    with store.read() as view:
        assert view.get("facts", "total")["value"] == str(2 * count)  # nobody read what another was about to write
        changes = view.find("changes")
    assert [row["seq"] for row in changes] == list(range(1, 6 * count + 1))
    by_write = [{row["revision"] for row in changes[i : i + 3]} for i in range(0, len(changes), 3)]
    assert all(len(revision) == 1 for revision in by_write)
    store.close()


def test_threads_share_one_store(store) -> None:
    errors = []

    def work(who):
        try:
            for i in range(4):
                with store.write() as edit:
                    edit.put("people", person(f"{who}-{i}"))
                    edit.put("changes", {"revision": edit.revision(), "person_id": who})
                with store.read() as view:
                    assert view.count("people") >= i + 1
                    assert view.count("people") == view.count("changes")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(str(n),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    with store.read() as view:
        assert view.count("people") == 16


def test_killed_in_the_middle_of_writes_what_was_acknowledged_is_there(url) -> None:
    store = store_for(url)
    rng = np.random.default_rng(0)
    for round_ in range(2 if url.startswith("milvus") else 3):  # their processes take long to start
        process = _writer(url, f"round {round_}", 100_000)
        process.stdout.readline()  # the first write is kept
        time.sleep(float(rng.uniform(0.0, 0.15)))
        process.kill()
        said = [int(line) for line in process.stdout.read().split()]
        process.wait()
        process.stdout.close()
        acknowledged = max([1, *said])
        with store.read() as view:
            kept = int(view.get("facts", f"round {round_}")["value"])
            assert kept in (acknowledged, acknowledged + 1)  # the last one may be kept without having been said
            assert int(view.get("facts", "total")["value"]) == sum(
                int(row["value"]) for row in view.find("facts") if row["key"] != "total"
            )
            mine = [row for row in view.find("changes") if row["person_id"].startswith(f"round {round_}-")]
            assert len(mine) == 3 * kept  # all rows of a write, or none
        with store.write() as edit:
            edit.put("people", person(f"after {round_}"))
        assert store.damage() == []
        store.close()  # milvus-lite: so that the next process may open it


def test_deleted_bytes_are_in_no_file_after_compact(store, url) -> None:
    rng = np.random.default_rng(1)
    vectors = [rng.bytes(2048) for _ in range(60)]
    names = [f"Secret Name {i:03} " + rng.bytes(12).hex() for i in range(60)]
    with store.write() as edit:
        for i in rng.permutation(60).tolist():
            edit.put("people", person(f"{i:03}", names[i]))
            edit.put("templates", template(f"{i:03}", vector=vectors[i]))
            edit.put("keys", {"owner": f"{i:03}", "wrapped": vectors[i][:40], "made_at": "t"})
    for i in range(0, 60, 2):
        with store.write() as edit:
            for table, column in (("people", "id"), ("templates", "person_id"), ("keys", "owner")):
                edit.delete(table, **{column: f"{i:03}"})
            if i % 20 == 0:
                edit.put("people", person(f"{i + 1:03}", "replaced"))
                edit.put("templates", template(f"{i + 1:03}", vector=b"\1" * 2048))
    store.compact()
    files = store.files()
    data = b"".join(file.read_bytes() for file in files)
    for i in range(60):
        gone = i % 2 == 0 or i % 20 == 1
        raw = [vectors[i][at : at + 48] for at in (48, 960, 1920)]  # as they are, and as base64 writes them
        for secret in (*raw, *map(base64.b64encode, raw), names[i].encode()):
            assert not (gone and secret in data), i
        if files and not gone:
            assert names[i].encode() in data  # what is there can be read: nothing hides it
    with store.read() as view:
        assert view.count("templates") == 30
        assert view.get("templates", "003", "s")["vector"] == vectors[3]
    assert store.damage() == []
    store.compact()  # with nothing to do


def test_a_backup_is_a_gallery_file_with_the_same_rows(store, tmp_path) -> None:
    with store.write() as edit:
        for table, row in EVERYTHING:
            edit.put(table, row)
        edit.put("audit", audit("second"), audit("third"))
        edit.delete("audit", seq=3)
    path = tmp_path / "copy.db"
    store.backup(path)
    assert sorted(tmp_path.glob("*copy.db*")) == [path]
    copy = store_for(path)
    with store.read() as here, copy.read() as there:
        for table in TABLES:
            assert here.find(table) == there.find(table)
        assert here.revision() == there.revision()
    with copy.write() as edit:
        assert edit.put("audit", audit("next")) == [4]
    copy.close()
    with pytest.raises(StoreError, match="already"):
        store.backup(path)
    with pytest.raises(StoreError, match="does not exist"):
        store.backup(tmp_path / "nowhere" / "copy.db")
    sql = sqlite3.connect(path)
    assert sql.execute("SELECT name FROM people").fetchall() == [(EVERYTHING[1][1]["name"],)]
    sql.close()


KEYS = st.sampled_from(["a", "b", "B", "ä", ""])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, st.sampled_from(["m", "n"]), st.sampled_from([None, "p", "q"])),
        st.tuples(st.just("delete"), st.sampled_from(["id", "medium", "person_id"]), st.sampled_from([None, *"mpa"])),
        st.tuples(st.just("commit")),
        st.tuples(st.just("fail")),
    ),
    max_size=25,
)  # fmt: skip


class _Failed(Exception):
    pass


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=STEPS)
def test_like_a_dict(store, steps) -> None:
    """Any sequence of writes, ended well or badly, leaves what a dict would hold."""
    with store.write() as edit:
        for row in edit.find("faces"):
            edit.delete("faces", id=row["id"])
    kept: dict[str, dict] = {}
    writes: list[tuple[list, bool]] = [([], True)]
    for step in steps:
        if step[0] in ("commit", "fail"):
            writes[-1] = (writes[-1][0], step[0] == "commit")
            writes.append(([], True))
        else:
            writes[-1][0].append(step)
    for inside, good in writes:
        try:
            with store.write() as edit:
                after = _played(edit, kept, inside)
                if not good:
                    raise _Failed
            kept = after
        except _Failed:
            assert not good
        with store.read() as view:
            assert view.find("faces") == [kept[key] for key in sorted(kept)]


def _played(edit, kept, steps):
    rows = dict(kept)
    for step in steps:
        if step[0] == "put":
            rows[step[1]] = face(step[1], step[2], person_id=step[3])
            edit.put("faces", rows[step[1]])
        else:
            _, column, value = step
            gone = [key for key, row in rows.items() if row[column] == value]
            assert edit.count("faces", **{column: value}) == len(gone)
            assert edit.delete("faces", **{column: value}) == len(gone)
            for key in gone:
                del rows[key]
        assert edit.find("faces") == [rows[key] for key in sorted(rows)]
        assert edit.after("faces", ("B",), 2) == [rows[key] for key in sorted(rows) if key > "B"][:2]
    return rows

"""The file survives what files go through: kill -9, two writers, forks, threads, damage, no room, no permission."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

from vultus.errors import StoreError
from vultus.gallery import open_gallery
from vultus.ops.vectors import unit

SPACE = "toy@000000000000"
DIM = 64

WRITER = """
import sys
import numpy as np
from vultus.gallery import open_gallery
from vultus.ops.vectors import unit
path, who, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
gallery = open_gallery(path)
print("ready", flush=True)
for i in range(count):
    rows = unit(np.random.default_rng(i).standard_normal((3, 64)) + 3)
    gallery.enroll(f"{who} {i}", rows, [0.5, 0.6, 0.7], [f"{who}-{i}-{k}" for k in range(3)], "toy@000000000000")
    if i % 3 == 2:
        gallery.remove(gallery.enroll(f"{who} {i - 1}", rows[:1], None, [f"late-{i}"], "toy@000000000000").id)
gallery.close()
"""


def _writer(path, who, count):
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITER), str(path), who, str(count)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


def _rows(seed, n=3):
    return unit(np.random.default_rng(seed).standard_normal((n, DIM)) + 3)


def test_killed_in_the_middle_of_an_enrollment_nothing_is_half_written(tmp_path):
    path = tmp_path / "people.db"
    rng = np.random.default_rng(0)
    people = 0
    for round_ in range(4):
        process = _writer(path, f"round {round_}", 100_000)
        time.sleep(float(rng.uniform(0.05, 0.3)))
        process.kill()
        process.wait()
        process.stdout.close()
        with open_gallery(path) as gallery:
            assert gallery.damage() == []
            found = gallery.people()
            assert len(found) >= people
            for person in found:
                name, _, number = person.name.rpartition(" ")
                three = tuple(f"{name}-{number}-{k}" for k in range(3))
                assert person.template.media in (three, (*three, f"late-{int(number) + 1}"))  # never one or two
            people = len(found)
            gallery.enroll(
                f"after round {round_}", _rows(1), None, [f"after round {round_}-{k}" for k in range(3)], SPACE
            )
            gallery.remove(next(p.id for p in gallery.people() if p.name == f"after round {round_}"))
    assert people > 0


def test_two_processes_write_at_once(tmp_path):
    path = tmp_path / "people.db"
    writers = [_writer(path, who, 9) for who in ("a", "b")]
    with open_gallery(path) as gallery:
        for writer in writers:
            assert writer.wait(120) == 0
            writer.stdout.close()
        names = sorted(p.name for p in gallery.people())
        assert names == sorted(f"{who} {i}" for who in "ab" for i in range(9) if i % 3 != 1)
        assert gallery.damage() == []


def test_threads_share_one_gallery(tmp_path):
    errors = []
    with open_gallery(tmp_path / "people.db") as gallery:

        def work(who):
            try:
                for i in range(5):
                    gallery.enroll(f"{who} {i}", _rows(i), None, None, SPACE)
                    gallery.people()
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(who,)) for who in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert len(gallery) == 20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_opens_its_own_connection(tmp_path):
    with open_gallery(tmp_path / "people.db") as gallery:
        gallery.enroll("parent", _rows(0), None, None, SPACE)
        child = multiprocessing.get_context("fork").Process(
            target=lambda: gallery.enroll("child", _rows(1), None, None, SPACE)
        )
        child.start()
        child.join(60)
        assert child.exitcode == 0
        assert [p.name for p in gallery.people()] == ["child", "parent"]
        assert gallery.damage() == []


def _filled(path):
    with open_gallery(path) as gallery:
        for i in range(30):
            gallery.enroll(f"person {i}", _rows(i), None, None, SPACE)
        gallery.store.compact()


@pytest.mark.parametrize("content", [b"hello, I am a text file\n" * 100, b"\xff\xd8\xff\xe0 jpeg" + bytes(4000)])
def test_a_file_that_is_no_gallery(tmp_path, content):
    path = tmp_path / "people.db"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="damaged or is not a gallery"):
        open_gallery(path).people()
    assert path.read_bytes() == content  # untouched


def test_another_program_s_database(tmp_path):
    path = tmp_path / "people.db"
    with sqlite3.connect(path) as sql:
        sql.execute("CREATE TABLE notes (text)")
    sql.close()
    with pytest.raises(StoreError, match="not a vultus gallery"):
        open_gallery(path).people()


def test_a_gallery_of_another_version(tmp_path):
    path = tmp_path / "people.db"
    _filled(path)
    sql = sqlite3.connect(path)
    sql.execute("PRAGMA user_version = 99")
    sql.commit()
    sql.close()
    with pytest.raises(StoreError, match="schema 2, found 99"):
        open_gallery(path).people()


def test_a_flipped_bit_in_a_vector_is_noticed(tmp_path):
    path = tmp_path / "people.db"
    _filled(path)
    with open_gallery(path) as gallery:
        blob = gallery.people()[4].template.vector.astype("<f4").tobytes()
    data = bytearray(path.read_bytes())
    at = bytes(data).index(blob)
    data[at + 17] ^= 1
    path.write_bytes(data)
    with open_gallery(path) as gallery, pytest.raises(StoreError, match="damaged"):
        len(gallery)


def test_swapped_vectors_are_noticed(tmp_path):
    """Names and vectors that drift apart would return the wrong person at score 1."""
    path = tmp_path / "people.db"
    _filled(path)
    sql = sqlite3.connect(path)
    (a, va, ca), (b, vb, cb) = sql.execute("SELECT person_id, vector, checksum FROM templates LIMIT 2").fetchall()
    sql.execute("UPDATE templates SET vector = ?, checksum = ? WHERE person_id = ?", (vb, cb, a))
    sql.execute("UPDATE templates SET vector = ?, checksum = ? WHERE person_id = ?", (va, ca, b))
    sql.commit()
    sql.close()
    with open_gallery(path) as gallery, pytest.raises(StoreError, match="damaged"):
        len(gallery)


def test_a_truncated_file(tmp_path):
    path = tmp_path / "people.db"
    _filled(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with open_gallery(path) as gallery, pytest.raises(StoreError, match="damaged"):
        gallery.people()


def test_no_room(tmp_path):
    with open_gallery(tmp_path / "people.db") as gallery:
        gallery.enroll("Ada", _rows(0), None, None, SPACE)
        with gallery.store._pool.connected() as handle:
            pages = handle.run("PRAGMA page_count")[0][0]
            handle.run(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreError, match="no room"):
            gallery.enroll("Eve", _rows(1, 200), None, None, SPACE)
        assert [p.name for p in gallery.people()] == ["Ada"]
        assert gallery.damage() == []


def test_no_permission(tmp_path):
    with open_gallery(tmp_path / "people.db") as gallery:
        gallery.enroll("Ada", _rows(0), None, None, SPACE)
        with gallery.store._pool.connected() as handle:
            handle.run("PRAGMA query_only = ON")  # what a read-only file gives, for root as well
        with pytest.raises(StoreError, match="may be written"):
            gallery.enroll("Eve", _rows(1), None, None, SPACE)
        assert [p.name for p in gallery.people()] == ["Ada"]


@pytest.mark.skipif(not os.path.ismount("/sys"), reason="no /sys on this system")
def test_a_folder_where_nothing_can_be_made():
    with pytest.raises(StoreError, match=r"may be written|does not exist"):
        open_gallery("/sys/people.db").people()


def test_no_folder_and_a_folder_instead_of_a_file(tmp_path):
    with pytest.raises(StoreError, match="does not exist"):
        open_gallery(tmp_path / "nowhere" / "people.db").people()
    with pytest.raises(StoreError, match="is a directory"):
        open_gallery(tmp_path).people()


def test_busy_for_too_long(tmp_path, monkeypatch):
    from vultus.gallery.stores import _sqlite_open as module

    monkeypatch.setattr(module, "BUSY_SECONDS", 0.1)
    path = tmp_path / "people.db"
    _filled(path)
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with open_gallery(path) as gallery:
        assert len(gallery.people()) == 30  # readers are not blocked
        with pytest.raises(StoreError, match="another process"):
            gallery.enroll("Ada", _rows(0), None, None, SPACE)
    blocker.execute("ROLLBACK")
    blocker.close()

"""A saved index is whole or refused, and holds nothing of what was removed."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vultus.errors import StoreError
from vultus.gallery.search import VectorIndex
from vultus.ops.vectors import unit

SPACE = "toy@000000000000"
KINDS = ("float", "int8", "bits")


def _rows(seed=0, n=60, dim=16):
    return unit(np.random.default_rng(seed).standard_normal((n, dim)))


def _index(kind="float", n=60, dim=16):
    rows = _rows(n=n, dim=dim)
    return VectorIndex.build(
        rows, [f"key-{i}" for i in range(n)], [f"person-{i % 7}" for i in range(n)], space=SPACE, revision=5, kind=kind
    )


def _open(path, **more):
    return VectorIndex.open(path, **{"space": SPACE, "revision": 5, **more})


def _same(a, b):
    x, y = a.search(_rows(9), 4), b.search(_rows(9), 4)
    return all(np.array_equal(getattr(x, name), getattr(y, name)) for name in ("groups", "keys", "scores"))


@pytest.mark.parametrize("n", [0, 1, 60, 3000])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_saved_is_what_is_opened(tmp_path, kind, n):
    index = _index(kind, n)
    index.save(tmp_path / "people.index")
    again = _open(tmp_path / "people.index")
    assert (again.kind, again.space, again.dim, again.revision, len(again)) == (kind, SPACE, 16, 5, n)
    assert _same(index, again)
    assert os.listdir(tmp_path) == ["people.index"]
    assert (tmp_path / "people.index").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("kind", KINDS)
def test_an_opened_index_is_changed_and_saved_over_its_own_file(tmp_path, kind):
    path, fresh = tmp_path / "people.index", _index(kind, 2500)
    fresh.save(path)
    opened = _open(path)
    for index in (fresh, opened):
        index.remove([f"key-{i}" for i in range(0, 900, 3)])
        index.add(_rows(1, 40), [f"a much longer key {i}" for i in range(40)], ["Zoë"] * 40)
        index.regroup({"key-1": "person-6"})
        index.revision = 6
    assert _same(fresh, opened)
    opened.save(path)
    assert _same(fresh, opened)
    assert _same(fresh, _open(path, revision=6))


def test_another_space_or_revision_is_refused(tmp_path):
    path = tmp_path / "people.index"
    _index().save(path)
    with pytest.raises(StoreError, match=r"space 'other'.*build it again"):
        _open(path, space="other")
    with pytest.raises(StoreError, match=r"revision 6.*build it again"):
        _open(path, revision=6)
    with pytest.raises(StoreError, match="could not be read"):
        _open(tmp_path / "absent.index")
    (tmp_path / "text.index").write_text("not an index, but long enough to be one")
    with pytest.raises(StoreError, match="another file"):
        _open(tmp_path / "text.index")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(KINDS), where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_is_noticed(tmp_path, kind, where, bit):
    path = tmp_path / f"{kind}.index"
    _index(kind, 80).save(path)
    data = bytearray(path.read_bytes())
    data[int(where * len(data))] ^= 1 << bit
    path.write_bytes(data)
    with pytest.raises(StoreError, match=r"damaged|cut off|another file|makes no sense|format"):
        _open(path)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1, exclude_max=True), verify=st.booleans())
def test_a_file_cut_off_anywhere_is_noticed(tmp_path, where, verify):
    path = tmp_path / "people.index"
    _index().save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(where * len(data))])
    with pytest.raises(StoreError):
        _open(path, verify=verify)
    path.write_bytes(data + b"\0")
    with pytest.raises(StoreError, match="cut off"):
        _open(path, verify=verify)


def _holds(data, row, kind):
    """Whether some bytes hold a row in any form that this kind keeps."""
    needles = [row.tobytes()]
    if kind == "int8":
        needles.append(np.rint(row / (np.abs(row).max() / np.float32(127))).astype(np.int8).tobytes())
    return any(needle in data for needle in needles)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_a_removed_row_is_left_in_any_file(tmp_path, kind):
    path, rows = tmp_path / "people.index", _rows(n=2000)
    index = VectorIndex.build(
        rows,
        [f"key-{i}" for i in range(2000)],
        [f"person-{i}" for i in range(2000)],
        space=SPACE,
        revision=5,
        kind=kind,
    )
    index.save(path)
    os.link(path, tmp_path / "old")  # what the file system would still hold of the file that is replaced
    assert _holds(path.read_bytes(), rows[40], kind)
    index = _open(path)
    index.remove(["key-40", "key-1999"])
    index.save(path)
    for name in os.listdir(tmp_path):
        data = (tmp_path / name).read_bytes()
        for gone in (40, 1999):
            assert not _holds(data, rows[gone], kind)
            assert f"key-{gone}\0".encode() not in data.replace(f"key-{gone}0".encode(), b"")
            assert f"person-{gone}\0".encode() not in data
    assert not any((tmp_path / "old").read_bytes())
    assert _holds(path.read_bytes(), rows[41], kind)
    assert len(_open(path)) == 1998


def test_wipe_overwrites_and_deletes_with_what_an_interrupted_write_left(tmp_path):
    path = tmp_path / "people.index"
    _index().save(path)
    (tmp_path / ".people.index.part").write_bytes(path.read_bytes())
    for name in ("people.index", ".people.index.part"):
        os.link(tmp_path / name, tmp_path / f"old {name}")
    assert VectorIndex.wipe(path)
    assert sorted(os.listdir(tmp_path)) == ["old .people.index.part", "old people.index"]
    assert not any(b"".join((tmp_path / name).read_bytes() for name in os.listdir(tmp_path)))
    assert not VectorIndex.wipe(path)


def test_a_search_over_a_file_that_was_wiped_is_refused(tmp_path):
    path = tmp_path / "people.index"
    _index().save(path)
    opened = _open(path)
    VectorIndex.wipe(path)
    with pytest.raises(StoreError, match="open it again"):
        opened.search(_rows(9))


def test_a_disk_that_refuses_leaves_the_old_file_as_it_was(tmp_path, monkeypatch):
    path, index = tmp_path / "people.index", _index()
    index.save(path)
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", _full)
    index.remove(["key-3"])
    with pytest.raises(StoreError, match="No space left"):
        index.save(path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    with pytest.raises(StoreError, match="could not be written"):
        index.save(tmp_path / "absent" / "people.index")


def _full(handle):
    raise OSError(28, "No space left on device")


def test_killed_while_writing_the_old_index_stands_and_the_next_write_succeeds(tmp_path):
    path = tmp_path / "people.index"
    _index().save(path)
    script = """
        import os, sys
        from tests.gallery.search import test_file as t
        os.replace = lambda *names: os._exit(9)
        t._index("bits", 3000).save(sys.argv[1])
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(path)], check=False)
    assert done.returncode == 9
    assert len(_open(path)) == 60
    assert (tmp_path / ".people.index.part").stat().st_size > 0
    _index(n=50).save(path)
    assert len(_open(path)) == 50
    assert os.listdir(tmp_path) == ["people.index"]


def test_two_processes_do_not_write_one_index_at_once(tmp_path):
    fcntl = pytest.importorskip("fcntl")
    path = tmp_path / "people.index"
    with open(tmp_path / ".people.index.part", "wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(StoreError, match="another process"):
            _index().save(path)
    _index().save(path)
    assert len(_open(path)) == 60

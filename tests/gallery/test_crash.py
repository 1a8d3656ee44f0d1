"""What a killed process leaves: 30 rounds of `tests.gallery.crash`, and a disk that is full."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vultus.errors import StoreError
from vultus.gallery import check, open_gallery
from vultus.gallery.backup import backup
from vultus.ops.vectors import unit

SPACE = "toy@000000000000"


WRITER = """
import sys
from pathlib import Path
import numpy as np
from tests.gallery import crash
from vultus.gallery import open_gallery
gallery, state, last, before = open_gallery(sys.argv[1]), {}, "", {}
rng = np.random.default_rng(3)
for i in range(40):
    op = crash.choose(rng, state, last, f"w{i}")
    if op[0] != "migrate":
        crash.do(gallery, op)
        state, before, last = crash.after(state, op, before), state, op[0]
gallery.close()
"""


def test_a_reader_never_sees_half_of_what_another_process_writes(tmp_path):
    path, root = tmp_path / "people.db", Path(__file__).resolve().parents[2]
    open_gallery(path).people()
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], cwd=root, stderr=subprocess.PIPE, text=True)
    try:
        with open_gallery(path) as gallery:
            looks = _watched(gallery, writer)
            errors = writer.communicate(timeout=60)[1]
            assert writer.returncode == 0, errors
            assert looks > 1
            assert gallery.damage() == []
    finally:
        writer.kill()
        writer.wait()
        writer.stderr.close()


def _watched(gallery, writer):
    """Look until the writer is done; how often."""
    looks = 0
    while writer.poll() is None:
        with gallery.pages() as pages:
            assert check.faults(pages.rows, pages.vault) == []
        for person in gallery.people()[:3]:
            assert len(gallery.search(person.template, 1)) <= 1
        looks += 1
    return looks


@pytest.mark.slow
def test_thirty_kills_lose_nothing():
    command = [sys.executable, "-m", "tests.gallery.crash", "--rounds", "30", "--seed", "7"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, cwd=Path(__file__).resolve().parents[2]
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("lost: 0, wrong: 0\n")


def _photos(seed, n):
    return unit(np.random.default_rng(seed).standard_normal((n, 128)))


def _work(gallery, what, folder):
    if what == "enroll":
        gallery.enroll("Emmy", _photos(3, 2000), None, None, SPACE)
    else:
        backup(gallery.store, folder / "backup.db")


@pytest.mark.parametrize("what", ["enroll", "backup"])
def test_a_full_disk_loses_nothing_and_says_so(tmp_path, what):
    with open_gallery(tmp_path / "people.db") as gallery:
        for i, name in enumerate(("Ada", "Grace")):
            gallery.enroll(name, _photos(i, 40), None, None, SPACE)
        gallery.store.compact()
        before = gallery.people()
        room = sum(file.stat().st_size for file in gallery.store.files()) // 2
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit is an error, not a signal
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
        try:
            with pytest.raises(StoreError):
                _work(gallery, what, tmp_path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, handler)
        assert gallery.people() == before
        assert gallery.damage() == []
        assert not (tmp_path / "backup.db").exists()
        gallery.erase(before[0].id)
        assert gallery.damage() == []


def test_a_full_disk_while_erasing_is_made_good_at_the_next_opening(tmp_path):
    path = tmp_path / "people.db"
    with open_gallery(path) as gallery:
        for i, name in enumerate(("Ada", "Grace")):
            gallery.enroll(name, _photos(i, 200), None, None, SPACE)
        gallery.store.compact()
        ada, grace = gallery.people()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size // 5, hard))
        try:
            with pytest.raises(StoreError):
                gallery.erase(ada.id)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, handler)
    with open_gallery(path) as gallery:
        left = gallery.people()
        if ada in left:  # not even the transaction fitted: nothing has changed
            assert left == [ada, grace]
            gallery.erase(ada.id)
        assert gallery.people() == [grace]
        assert gallery.damage() == []
        content = b"".join(file.read_bytes() for file in gallery.store.files())
    assert not any(row.astype("<f4").tobytes()[:32] in content for row in _photos(0, 200))

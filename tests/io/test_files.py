"""Whole or not at all."""

from __future__ import annotations

import errno
import resource
from pathlib import Path

import pytest

from vultus.errors import InputError, StoreError
from vultus.io.files import read_bytes, write_atomic, write_bytes


def test_round_trip(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a", b"one")
    write_bytes(tmp_path / "a", b"two")
    assert read_bytes(tmp_path / "a", 3) == b"two"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_bounds(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a", b"12345")
    with pytest.raises(InputError, match="at most 4 bytes, got 5"):
        read_bytes(tmp_path / "a", 4)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "no permission"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_a_write_that_fails_halfway_leaves_the_old_file(tmp_path: Path, code: int, words: str) -> None:
    write_bytes(tmp_path / "a", b"old")

    def fill(file) -> None:
        file.write(b"half of the new")
        raise OSError(code, "Input/output error")

    with pytest.raises(StoreError, match=words):
        write_atomic(tmp_path / "a", fill)
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_the_system_may_refuse_a_size(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(StoreError, match="cannot be written"):
            write_bytes(tmp_path / "big", bytes(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, InputError])
def test_what_fill_raises_passes_and_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    def fill(file) -> None:
        file.write(b"half")
        raise error("stop")

    with pytest.raises(error):
        write_atomic(tmp_path / "a", fill)
    assert list(tmp_path.iterdir()) == []


def test_places_that_take_no_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "x").write_bytes(b"")
    for target, words in [
        (tmp_path / "gone" / "a", "there is no folder"),
        (tmp_path / "folder", "a folder of this name"),
        (tmp_path / "folder" / "x" / "a", "there is no folder"),
        (Path("/"), "name of a file"),
        (tmp_path / "a\0b", "name of a file"),
        (Path("/proc/vultus.png"), "cannot be written"),
    ]:
        with pytest.raises(StoreError, match=words):
            write_bytes(target, b"x")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["folder", "x"]

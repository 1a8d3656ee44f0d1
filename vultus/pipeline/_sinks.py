"""Where the parts of a large job go: a gallery, or a folder. Each part is kept whole or not at all, and once."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from vultus.errors import InputError, StoreError, VultusError
from vultus.gallery import Gallery
from vultus.gallery.records import Medium, NewFace
from vultus.io.files import read_bytes, write_atomic, write_bytes
from vultus.io.images import Limits
from vultus.pipeline._work import Chunk, Failure, Part, digest_of

MANIFEST = "manifest.json"
FORMAT = "vultus-parts-1"
_ARRAYS = ("sizes_hw", "photo", "boxes", "scores", "quality", "vectors")


class Sink(Protocol):
    """Keeps parts and knows which are kept."""

    @property
    def previews(self) -> bool:
        """Whether it keeps small pictures of the faces."""
        ...

    def begin(self, chunks: Sequence[Chunk]) -> dict[int, tuple[Failure, ...]]:
        """Get ready for these chunks; the indices of those that are kept already, with what is known to have failed."""
        ...

    def known(self, chunk: Chunk) -> set[str]:
        """The photos of a chunk that are kept already from another job."""
        ...

    def keep(self, index: int, chunk: Chunk, part: Part) -> None:
        """Keep what came out of chunk `index`, all of it or nothing."""
        ...

    def finish(self) -> None:
        """Every chunk is kept."""
        ...


class GallerySink:
    """Into a gallery: faces that nobody has named yet, and the pictures that were looked at.

    A part is one transaction. It is kept once whatever happens, because a face is known by the sha256 of its picture
    and by its box: the same part again changes nothing. Which chunks are done is noted beside it to save the work, not
    to keep it right.

    Args:
        gallery: where.
        space: of the vectors.
    """

    previews = True

    def __init__(self, gallery: Gallery, space: str) -> None:
        self.gallery = gallery
        self.space = space
        self._note = ""
        self._done: set[int] = set()
        self._ask = False

    def begin(self, chunks: Sequence[Chunk]) -> dict[int, tuple[Failure, ...]]:
        """See `Sink`."""
        self._note = f"embed:{digest_of(chunks)}:{self.space}"
        self._done = _indices(self.gallery.fact(self._note) or "", len(chunks))
        self._ask = self.space in self.gallery.spaces()  # an empty gallery knows no photo: no need to hash files twice
        return dict.fromkeys(self._done, ())

    def known(self, chunk: Chunk) -> set[str]:
        """See `Sink`."""
        if not self._ask or chunk.shard:
            return set()
        keys: dict[str, list[str]] = {}
        for file in chunk.files:
            keys.setdefault(_sha256(file), []).append(file)
        return {file for key in self.gallery.has_media([k for k in keys if k], self.space) for file in keys[key]}

    def keep(self, index: int, chunk: Chunk, part: Part) -> None:
        """See `Sink`."""
        faces, media, seen = [], [], set[str]()
        for i, key in enumerate(part.sha256):
            if key in seen:  # the same file under two names
                continue
            seen.add(key)
            height, width = part.sizes_hw[i].tolist()
            media.append(Medium(key, part.sources[i], height, width, True, ""))
            for f in np.flatnonzero(part.photo == i).tolist():
                left, top, right, bottom = (float(v) for v in part.boxes[f])
                if left >= right or top >= bottom:
                    continue  # none of it is on the picture
                score, quality = (min(1.0, max(0.0, float(v[f]))) for v in (part.scores, part.quality))
                small = part.previews[f] if part.previews else None
                faces.append(NewFace(key, part.vectors[f], (left, top, right, bottom), score, quality, small))
        if media:
            self.gallery.add_faces(faces, self.space, media=media, actor="embed")
        self._done.add(index)
        self.gallery.set_fact(self._note, _spans(self._done), actor="embed")

    def finish(self) -> None:
        """See `Sink`."""


class FolderSink:
    """Into a folder: `manifest.json`, and one file `CHUNK.npz` per chunk.

    Args:
        folder: made when it is missing.
        space: of the vectors.
        spec: what decides the results, in words; a folder holds results of one kind only.
    """

    previews = False

    def __init__(self, folder: Path, space: str, spec: str) -> None:
        self.folder = folder
        self._head = {"format": FORMAT, "space": space, "spec": spec}
        self._chunks: list[str] = []

    def begin(self, chunks: Sequence[Chunk]) -> dict[int, tuple[Failure, ...]]:
        """See `Sink`."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{self.folder}: cannot be made: {error.strerror}; choose another folder") from error
        there = manifest(self.folder) if (self.folder / MANIFEST).exists() else None
        if there is None and any(self.folder.iterdir()):
            raise InputError(f"{self.folder}: expected an empty folder or one with {MANIFEST}: choose another one")
        if there is not None and any(there.get(key) != value for key, value in self._head.items()):
            raise InputError(
                f"{self.folder}: expected results of the same models and options, got those of {there.get('space')} "
                f"with {there.get('spec')}: choose another folder"
            )
        self._chunks = [chunk.id for chunk in chunks]
        self._write(complete=False)
        parts = ((i, self._verified(chunk)) for i, chunk in enumerate(chunks))
        return {i: part.failed for i, part in parts if part is not None}

    def known(self, chunk: Chunk) -> set[str]:
        """Nothing: here a chunk is kept whole."""
        return set()

    def keep(self, index: int, chunk: Chunk, part: Part) -> None:
        """See `Sink`."""
        words = {
            "chunk": part.chunk,
            "space": part.space,
            "sources": list(part.sources),
            "sha256": list(part.sha256),
            "failed": [list(item) for item in part.failed],
        }
        arrays = {name: getattr(part, name) for name in _ARRAYS}
        arrays["words"] = np.frombuffer(json.dumps(words).encode(), np.uint8)
        write_atomic(self._place(chunk.id), lambda stream: np.savez(stream, **arrays))

    def finish(self) -> None:
        """See `Sink`; parts of files that have changed or gone are dropped."""
        wanted = set(self._chunks)
        for path in sorted(self.folder.glob("*.npz")):
            if path.stem not in wanted:
                path.unlink()
        self._write(complete=True)

    def _verified(self, chunk: Chunk) -> Part | None:
        """The part of a chunk if its file is there and whole: every byte is read and its checksum compared."""
        path = self._place(chunk.id)
        if not path.exists():
            return None
        try:
            part = read_part(path)
        except StoreError:
            return None  # it is made again
        return part if part.chunk == chunk.id and part.space == self._head["space"] else None

    def _place(self, name: str) -> Path:
        return self.folder / f"{name}.npz"

    def _write(self, *, complete: bool) -> None:
        text = json.dumps({**self._head, "complete": complete, "chunks": self._chunks}, indent=1)
        write_bytes(self.folder / MANIFEST, text.encode() + b"\n")


def manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a folder of parts; StoreError when it cannot be read or is none."""
    try:
        found = json.loads(read_bytes(folder / MANIFEST, 1 << 30))
        if found["format"] != FORMAT or not isinstance(found["chunks"], list):
            raise ValueError(f"the format {found['format']!r}")
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(
            f"{folder}: expected {MANIFEST} as vultus embed writes it, could not read it: {error}"
        ) from error
    return dict(found)


def read_part(path: Path) -> Part:
    """A part from its file; StoreError when it is damaged."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as found:
            arrays = {name: found[name] for name in _ARRAYS}
            words = json.loads(found["words"].tobytes())
        n, f = len(words["sources"]), len(arrays["photo"])
        if len(words["sha256"]) != n or len(arrays["sizes_hw"]) != n or {len(arrays[a]) for a in _ARRAYS[1:]} != {f}:
            raise ValueError("columns of unequal length")
        failed: list[Failure] = [(a, b, c) for a, b, c in words["failed"]]
        return Part(
            words["chunk"],
            words["space"],
            tuple(words["sources"]),
            tuple(words["sha256"]),
            **arrays,
            failed=tuple(failed),
        )
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise StoreError(
            f"{path}: expected a part of vultus embed, could not read it: {error}; run it again"
        ) from error


def read_parts(folder: Path) -> Iterator[Part]:
    """The parts of a folder in the order of the pictures; StoreError when one is missing or damaged."""
    for name in manifest(folder)["chunks"]:
        yield read_part(folder / f"{name}.npz")


def _sha256(file: str) -> str:
    """Of a file; "" when it cannot be read, which the worker will explain."""
    try:
        return hashlib.sha256(read_bytes(file, Limits().max_bytes)).hexdigest()
    except VultusError:
        return ""


def _spans(indices: set[int]) -> str:
    """{0, 1, 2, 5} -> "0-2,5"."""
    spans: list[list[int]] = []
    for i in sorted(indices):
        if spans and spans[-1][1] == i - 1:
            spans[-1][1] = i
        else:
            spans.append([i, i])
    return ",".join(f"{a}-{b}" if a != b else str(a) for a, b in spans)


def _indices(text: str, n: int) -> set[int]:
    """What `_spans` wrote; whatever does not read as that is left out, and done again."""
    found: set[int] = set()
    for span in text.split(","):
        low, _, high = span.partition("-")
        if low.isdecimal() and (high or low).isdecimal():
            found.update(range(int(low), min(int(high or low), n - 1) + 1))
    return found

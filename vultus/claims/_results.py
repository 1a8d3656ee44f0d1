"""Results that were written: those of this package, and those of one's own runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vultus.claims._claim import SCALES
from vultus.errors import InputError

__all__ = ["COMMITTED", "newest", "read", "results", "written"]

COMMITTED = Path(__file__).with_name("results")
_NEEDED = ("claim", "paper", "status", "why", "scale", "seeds", "minutes", "effect", "date", "commit", "device")


def read(path: Path) -> dict[str, Any]:
    """One result.

    Raises:
        InputError: it is not the result of a claim.
    """
    try:
        document: dict[str, Any] = json.loads(path.read_text("utf-8"))
        missing = [key for key in _NEEDED if key not in document]
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}: expected the result of a claim, could not read it ({error})") from error
    if missing or document["scale"] not in SCALES:
        raise InputError(f"{path}: expected the result of a claim; it lacks {', '.join(missing) or 'a known scale'}")
    return document


def written(*folders: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Every result in some folders, in them or one below: (file, document)."""
    files = [path for folder in folders for pattern in ("*.json", "*/*.json") for path in sorted(folder.glob(pattern))]
    wanted = [path for path in files if any(path.name.endswith(f".{scale}.json") for scale in SCALES)]
    return [(path, read(path)) for path in wanted]


def newest(documents: Iterable[Mapping[str, Any]], name: str) -> Mapping[str, Any] | None:
    """The result that speaks for a claim: the newest at nano or mini; tiny never does."""
    mine = [d for d in documents if d["claim"] == name and d["scale"] != SCALES[0]]
    return max(mine, key=lambda d: (d["date"], SCALES.index(d["scale"])), default=None)


def results() -> dict[str, Mapping[str, Any]]:
    """Name of a claim -> the committed result that speaks for it; claims without one are left out."""
    documents = [document for _, document in written(COMMITTED)]
    found = {name: newest(documents, name) for name in dict.fromkeys(str(d["claim"]) for d in documents)}
    return {name: document for name, document in found.items() if document is not None}

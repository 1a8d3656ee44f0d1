"""What a weight file is: one card per file, read from cards.toml beside this module."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, cast

from vultus.errors import InputError, UnknownMethod
from vultus.types import CropSpec

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Card", "Source", "card", "cards", "from_row", "pack", "packs"]

Kind = Literal["wheel", "npm", "hub", "url", "file"]
Commercial = Literal["yes", "no", "unclear"]
Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a weight file is published.

    Attributes:
        kind: `wheel` (PyPI project), `npm` (npm package), `hub` (Hugging Face repository), `url`, or `file` (not to be
            fetched: the user brings it with `vultus models import`).
        name: project, package or repository; the address for `url`; where to look, in words, for `file`.
        version: pinned version or revision, "" where there is none.
        path: the member inside the wheel, package or repository; "" for `url` and `file`.
        companions: further members needed with it, as (path, sha256).
    """

    kind: Kind
    name: str
    version: str = ""
    path: str = ""
    companions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Card:
    """One weight file and everything a caller must know to use it.

    Attributes:
        id: name of the card.
        method: what the network is.
        kind: detector, embedder, landmarks, mesh, attributes, quality, liveness, pose, gaze, parsing, matting.
        file: name of the published file.
        sha256: of the published file; "" when its publisher states none (then it can be imported, never fetched).
        size_bytes: of the published file, or None when unknown.
        source: where it is published.
        license: license of the weights.
        commercial: may they be used commercially: yes, no, unclear.
        training_data: what they were trained on, or "not stated".
        channel_order: RGB or BGR, of the network's input.
        mean: per channel, in 0..255, in `channel_order`: input = (pixel - mean) / std.
        std: see `mean`.
        input_hw: fixed input size, or None when height and width are free.
        crop: crop that an embedder wants.
        output: what comes out, in words.
        dim: size of the embedding.
        convert: converter that makes the ready-to-run ONNX, or None when the file is used as published.
        pack: packs that contain it.
        threshold: score from which a detection counts, or None.
        flip: embed the mirrored crop too and add both.
        note: traps.
    """

    id: str
    method: str
    kind: str
    file: str
    source: Source
    sha256: str = ""
    size_bytes: int | None = None
    license: str = "not stated"
    commercial: Commercial = "unclear"
    training_data: str = "not stated"
    channel_order: Literal["RGB", "BGR"] = "RGB"
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)
    input_hw: tuple[int, int] | None = None
    crop: CropSpec | None = None
    output: str = ""
    dim: int | None = None
    convert: str | None = None
    pack: tuple[str, ...] = field(default=())
    threshold: float | None = None
    flip: bool = False
    note: str = ""

    @property
    def runs(self) -> bool:
        """True when vultus can run the file: it is ONNX, or a converter reads it."""
        return self.convert is not None or self.file.endswith(".onnx")


@lru_cache(maxsize=1)
def cards() -> dict[str, Card]:
    """All cards by id."""
    table = tomllib.loads(Path(__file__).with_name("cards.toml").read_text(encoding="utf-8"))
    defaults = table.pop("family", {})
    return {name: from_row(name, _merged(row, defaults)) for name, row in table.items()}


def card(card_id: str) -> Card:
    """The card of that id; UnknownMethod names near ones."""
    known = cards()
    if not isinstance(card_id, str) or card_id not in known:
        raise UnknownMethod(card_id, known, what="model card")
    return known[card_id]


def packs() -> dict[str, tuple[str, ...]]:
    """Packs by name: the ids they contain."""
    found: dict[str, list[str]] = {}
    for item in cards().values():
        for name in item.pack:
            found.setdefault(name, []).append(item.id)
    return {name: tuple(ids) for name, ids in found.items()}


def pack(name: str) -> tuple[Card, ...]:
    """Cards of a pack, or the one card of that id; UnknownMethod when it is neither."""
    known = packs()
    if not isinstance(name, str):
        raise UnknownMethod(name, {**known, **cards()}, what="model card or pack")
    if name in known:
        return tuple(card(item) for item in known[name])
    if name in cards():
        return (card(name),)
    raise UnknownMethod(name, {**known, **cards()}, what="model card or pack")


def _merged(row: dict[str, Any], families: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Fill a row from the family it names; what the row says itself wins."""
    family = row.pop("family", None)
    return {**families[family], **row} if family else row


def from_row(name: str, row: dict[str, Any]) -> Card:
    """A card from its table in TOML.

    Raises:
        InputError: if the keys are not those of `Card`.
    """
    row = dict(row)
    kind, *where = row.pop("source")
    companions = tuple((path, digest) for path, digest in row.pop("companions", []))
    path = where[2] if len(where) > 2 else ""
    source = Source(kind, where[0], where[1] if len(where) > 1 else "", path, companions)
    if "crop" in row:
        template, height, width = row.pop("crop")
        row["crop"] = CropSpec(template, (height, width))
    for key in ("mean", "std"):
        if key in row:
            row[key] = _triple(row[key])
    if "input_hw" in row:
        row["input_hw"] = tuple(row["input_hw"])
    row["pack"] = tuple(row.get("pack", ()))
    row["convert"] = row.get("convert") or None  # "" in a row: not what its family says
    row.setdefault("file", (path or source.name).rsplit("/", 1)[-1])
    try:
        return Card(id=name, source=source, **row)
    except TypeError as error:
        raise InputError(f"card [{name}]: expected the fields of Card, got {sorted(row)}") from error


def _triple(value: float | list[float]) -> Triple:
    return cast(Triple, tuple(map(float, value))) if isinstance(value, list) else (float(value),) * 3

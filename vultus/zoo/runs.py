"""An embedder of one's own: a folder that holds model.onnx and card.toml, as `vultus export` leaves it.

The card says what the network wants (crop, mean, deviation, order of channels), what it was trained on, the sha256 of
its weights, which names the embedding space, and that of model.onnx, which is compared when it is opened. Folder, card
and ONNX file are three names for one embedder.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vultus.errors import InputError, StoreError
from vultus.zoo.cards import Card, from_row

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["CARD", "MODEL", "WEIGHTS", "Own", "name_of", "own", "text_of"]

CARD, MODEL, WEIGHTS = "card.toml", "model.onnx", "backbone.safetensors"
_EXPORT = "export"  # the table beside the card's
_MAX_CARD = 1 << 20


@dataclass(frozen=True, slots=True)
class Own:
    """A card that lies beside its file.

    Attributes:
        card: what the network is; `sha256` is that of backbone.safetensors, and names the space.
        path: the ONNX file.
        onnx_sha256: what its bytes must have.
        about: how it was made: parity, versions, date.
    """

    card: Card
    path: Path
    onnx_sha256: str
    about: Mapping[str, Any]


def own(weights: str | os.PathLike[str]) -> Own | None:
    """The embedder at a path: a run folder, its card.toml or its model.onnx; None where there is no such card.

    Raises:
        InputError: if it is a folder without a card, or the card is none.
        StoreError: if the card cannot be read.
    """
    place = Path(weights)
    if place.is_dir():
        folder, wanted = place, None
        if not (place / CARD).is_file():
            raise InputError(f"{place}: expected the folder of an embedder, with {CARD}, got {_inside(place)}")
    elif place.name == CARD:
        folder, wanted = place.parent, None
    elif place.suffix == ".onnx" and place.with_name(CARD).is_file():
        folder, wanted = place.parent, place.name
    else:
        return None
    found = _read(folder / CARD)
    return found if wanted in (None, found.card.file) else None


def text_of(card: Card, *, onnx_sha256: str, about: Mapping[str, str | float | int]) -> str:
    """What stands in card.toml.

    Args:
        card: `sha256` is of the weights, `file` the ONNX file's name.
        onnx_sha256: of the ONNX file.
        about: further facts, for people.
    """
    row: dict[str, Any] = {
        "method": card.method,
        "kind": card.kind,
        "source": [card.source.kind, card.source.name],
        "file": card.file,
        "sha256": card.sha256,
        "license": card.license,
        "commercial": card.commercial,
        "training_data": card.training_data,
        "channel_order": card.channel_order,
        "mean": list(card.mean),
        "std": list(card.std),
        "input_hw": None if card.input_hw is None else list(card.input_hw),
        "crop": None if card.crop is None else [card.crop.template, *card.crop.size_hw],
        "dim": card.dim,
        "flip": card.flip or None,
        "note": card.note or None,
    }
    lines = [
        "# vultus verify A B --embedder FOLDER, where FOLDER is the one that holds this file.",
        "# `sha256` is of backbone.safetensors; input = (pixel - mean) / std, pixels 0..255 in `channel_order`.",
        *_table(card.id, row),
        "",
        *_table(_EXPORT, {"onnx_sha256": onnx_sha256, **about}),
    ]
    return "\n".join(lines) + "\n"


def name_of(text: str) -> str:
    """A name as a space may have it: letters, digits, '.', '_' and '-'; what else there is becomes '-'.

    Raises:
        InputError: if nothing is left.
    """
    name = re.sub(r"[^\w.\-]+", "-", text).strip("-.")
    if not name or name == _EXPORT:
        raise InputError(f"name: expected letters, digits, '.', '_' or '-', and not {_EXPORT!r}, got {text!r}")
    return name


def _table(name: str, row: Mapping[str, Any]) -> list[str]:
    return [f"[{_word(name)}]", *(f"{key} = {_word(value)}" for key, value in row.items() if value is not None)]


def _word(value: Any) -> str:
    """A value as TOML writes it: JSON's way, but no surrogate pairs and DEL spelled out."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).replace("\x7f", "\\u007f")


def _read(path: Path) -> Own:
    advice = f"run `vultus export {path.parent}` to write it again"
    try:
        table = tomllib.loads(_bytes(path).decode("utf-8"))
        about = table.pop(_EXPORT, {})
        ((name, row),) = table.items()
        card = from_row(name, row)
        if card.kind != "embedder" or not re.fullmatch(r"[\w.\-]+", name) or Path(card.file).name != card.file:
            raise InputError(f"expected the card of an embedder, got {name!r}, {card.kind} in {card.file!r}")
        if not all(re.fullmatch("[0-9a-f]{64}", str(digest)) for digest in (card.sha256, about["onnx_sha256"])):
            raise InputError("expected sha256 and onnx_sha256 of 64 hex digits")
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise InputError(f"{path}: expected the card of one embedder, could not read it ({error}): {advice}") from error
    return Own(card, path.with_name(card.file), about["onnx_sha256"], about)


def _bytes(path: Path) -> bytes:
    """The whole card, or as much as no card has."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_CARD + 1)
    except FileNotFoundError as error:
        raise InputError(f"{path}: expected the card of an embedder, and there is nothing at this path") from error
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}: check its permissions") from error
    if len(data) > _MAX_CARD:
        raise InputError(f"more than {_MAX_CARD} bytes")
    return data


def _inside(folder: Path) -> str:
    try:
        names = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise StoreError(f"{folder}: cannot be read: {error.strerror}: check its permissions") from error
    if names & {"recipe.toml", "checkpoint", "model.safetensors"}:
        return f"a training run that was not exported: run `vultus export {folder}`"
    return f"a folder without one: name the folder of a run, as `vultus train` makes it ({len(names)} entries here)"

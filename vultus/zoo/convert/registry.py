"""Which converter a card names, and its version: a new version makes the store convert again from the kept source."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from vultus.errors import UnknownMethod

if TYPE_CHECKING:
    from vultus.zoo.cards import Card

__all__ = ["CONVERTERS", "convert", "version"]

CONVERTERS: dict[str, tuple[str, int]] = {
    "centerface": ("vultus.zoo.convert.centerface:convert", 3),
    "clean": ("vultus.zoo.convert.insight:clean", 1),
    "dlib_dat": ("vultus.zoo.convert.dlib_dat:convert", 1),
    "extd_pth": ("vultus.zoo.convert.extd:convert", 1),
    "facemesh_tfjs": ("vultus.zoo.convert.tfjs:facemesh", 2),
    "insight": ("vultus.zoo.convert.insight:convert", 3),
    "mobilefacenet_ckpt": ("vultus.zoo.convert.mobilefacenet:convert", 2),
    "retinaface_pth": ("vultus.zoo.convert.retinaface:convert", 1),
}


def version(name: str) -> int:
    """Version of the converter `name`; unknown names raise UnknownMethod."""
    if name not in CONVERTERS:
        raise UnknownMethod(name, CONVERTERS, what="converter")
    return CONVERTERS[name][1]


def convert(name: str, src: Path, card: Card) -> bytes:
    """Run the converter `name` on the checked file `src` and return a serialized ONNX model.

    Equal input gives equal bytes. Raises InputError when the file is not what the converter reads.
    """
    version(name)
    module, function = CONVERTERS[name][0].split(":")
    run: Callable[[Path, Card], bytes] = getattr(importlib.import_module(module), function)
    return run(src, card)

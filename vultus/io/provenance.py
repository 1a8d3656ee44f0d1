"""Provenance in and out of picture files, and whether it agrees with the mark in the pixels.

The record (`vultus.types.Provenance`) is JSON. PNG holds it as text under the keyword "vultus-provenance"; JPEG and
WebP hold it as the image description of EXIF; all three hold it in XMP too, beside the IPTC "digital source type" that
other programs look at. A sidecar, written on request, is a manifest in JSON that names the file by its sha256. Whatever
else a file says beside its pixels (GPS, serial numbers, comments, thumbnails) is dropped on the way; orientation and
color profile stay.
"""

from __future__ import annotations

import hashlib
import html
import json
import os
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from vultus import __version__
from vultus.errors import InputError
from vultus.io import images
from vultus.io._containers import Metadata, exif_text, format_of, metadata, rewritten
from vultus.io.files import read_bytes, write_bytes
from vultus.ops.mark import PUBLIC_KEY, Payload, detect
from vultus.types import Provenance

__all__ = ["Verification", "embed", "from_json", "read", "read_sidecar", "sidecar_path", "verify", "write_sidecar"]

KEYWORD = "vultus-provenance"
_MAX_BYTES = 64 << 20
_MAX_SIDECAR = 4 << 20
_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_IN_XMP = re.compile(r'vultus:provenance="([^"]*)"')
_FIELDS = frozenset(f.name for f in fields(Provenance))


@dataclass(frozen=True, slots=True)
class Verification:
    """What a file says about itself, and what its pixels say.

    Attributes:
        provenance: the record in the file or its sidecar, or None.
        places: where it stands: "png text", "exif", "xmp", "sidecar".
        payload: of the mark, or None.
        score: of the mark; see `vultus.ops.mark.detect`.
        missing: what is not there: "metadata", "mark".
        problems: what does not fit, in sentences.
    """

    provenance: Provenance | None
    places: tuple[str, ...]
    payload: Payload | None
    score: float
    missing: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def agree(self) -> bool:
        """True only where both are there and name the same record."""
        return not self.missing and not self.problems


def embed(data: bytes, provenance: Provenance, *, name: str = "picture") -> bytes:
    """The same picture file with this provenance in it, and nothing else beside its pixels.

    Args:
        data: an encoded JPEG, PNG or WebP.
        provenance: how it was made.
        name: what it is called in errors.

    Raises:
        InputError: not such a file, a damaged one, or options that do not fit into a JPEG.
    """
    text = _json(provenance)
    return rewritten(name, data, text, f"vultus {__version__}", _xmp(provenance, text), {KEYWORD: text})


def read(source: str | os.PathLike[str] | bytes) -> Provenance | None:
    """The provenance that stands in a picture file, or None; sidecars are read by `read_sidecar`.

    Raises:
        InputError: not a JPEG, PNG or WebP file, a damaged one, or a record that is none.
    """
    name, data = _bytes(source)
    found = _found(name, metadata(name, data))
    return next(iter(found.values()), None)


def verify(source: str | os.PathLike[str] | bytes, *, key: bytes = PUBLIC_KEY) -> Verification:
    """Hold the metadata of a picture file against the mark in its pixels.

    Args:
        source: a path, beside which a sidecar is looked for, or the bytes of a file.
        key: of the mark.

    Raises:
        InputError: as `read`.
    """
    name, data = _bytes(source)
    kind = format_of(name, data)
    found, problems = dict(_found(f"{name} ({kind})", metadata(name, data))), []
    if not isinstance(source, bytes) and os.path.exists(sidecar_path(source)):
        record, digest = read_sidecar(source)
        found["sidecar"] = record
        if digest != hashlib.sha256(data).hexdigest():
            problems.append("the sidecar is that of another file: the sha256 differs")
    records = {record.id for record in found.values()}
    if len(records) > 1:
        problems.append(f"{' and '.join(found)} hold different records")
    payload, score = detect(images.read(data).pixels, key)
    provenance = next(iter(found.values()), None)
    if payload and provenance and payload.number != int(provenance.id[:12], 16):
        problems.append(f"the mark names record {payload.number:012x}, the metadata {provenance.id[:12]}")
    missing = ["metadata"] * (provenance is None) + ["mark"] * (payload is None)
    return Verification(provenance, tuple(found), payload, score, tuple(missing), tuple(problems))


def sidecar_path(path: str | os.PathLike[str]) -> Path:
    """Where the sidecar of a picture file lies: beside it, with `.provenance.json` after its name."""
    return Path(f"{os.fspath(path)}.provenance.json")


def write_sidecar(path: str | os.PathLike[str], provenance: Provenance) -> Path:
    """Write the manifest of a picture file that is there.

    Returns:
        The path of the sidecar.

    Raises:
        InputError: the picture file is missing or none.
        StoreError: the sidecar cannot be written.
    """
    name, data = _bytes(path)
    action = {"action": "c2pa.created", "digitalSourceType": _source_type(provenance)}
    manifest = {
        "claim_generator": f"vultus/{__version__}",
        "title": Path(name).name,
        "format": f"image/{format_of(name, data)}",
        "sha256": hashlib.sha256(data).hexdigest(),
        "assertions": [
            {"label": "c2pa.actions", "data": {"actions": [action]}},
            {"label": "vultus.provenance", "data": provenance.to_dict()},
        ],
    }
    target = sidecar_path(path)
    write_bytes(target, (json.dumps(manifest, indent=2, sort_keys=True) + "\n").encode())
    return target


def read_sidecar(path: str | os.PathLike[str]) -> tuple[Provenance, str]:
    """Record of the sidecar of a picture file, and the sha256 of the file that it names.

    Raises:
        InputError: there is none, or it is not what `write_sidecar` writes.
    """
    target = sidecar_path(path)
    table = _loaded(str(target), read_bytes(target, _MAX_SIDECAR))
    assertions = table.get("assertions") if isinstance(table, dict) else None
    for assertion in assertions if isinstance(assertions, list) else []:
        if isinstance(assertion, dict) and assertion.get("label") == "vultus.provenance":
            return _record(str(target), assertion.get("data")), str(table.get("sha256", ""))
    raise InputError(f"{target}: expected a manifest with a vultus.provenance assertion, got another file")


def from_json(text: str, *, name: str = "provenance") -> Provenance:
    """A record out of its JSON.

    Raises:
        InputError: anything else.
    """
    return _record(name, _loaded(name, text))


def _json(provenance: Provenance) -> str:
    if not isinstance(provenance, Provenance):
        raise InputError(f"provenance: expected a vultus.types.Provenance, got {type(provenance).__name__}")
    try:
        return json.dumps(provenance.to_dict(), sort_keys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"provenance: expected options of JSON values, got something else: {error}") from error


def _loaded(name: str, data: str | bytes) -> Any:
    try:
        return json.loads(data if isinstance(data, str) else data.decode())
    except (ValueError, RecursionError) as error:  # no UTF-8, no JSON, or a number of thousands of digits
        raise InputError(f"{name}: expected a provenance in JSON, got something else: {error}") from error


def _record(name: str, table: Any) -> Provenance:
    if not isinstance(table, dict) or "method" not in table or not set(table) <= _FIELDS:
        raise InputError(f"{name}: expected a record with the keys {', '.join(sorted(_FIELDS))}, got another one")
    texts = ("method", "weights", "base", "basis_id", "created", "version")
    lists = [table.get(key, []) for key in ("parents", "loss_spaces")]
    fits = all(isinstance(table.get(key, ""), str) for key in texts) and isinstance(table.get("options", {}), dict)
    fits &= all(isinstance(row, list) and all(isinstance(item, str) for item in row) for row in lists)
    if not fits or not isinstance(table.get("seed"), (int, type(None))):
        raise InputError(f"{name}: expected a record of a provenance, but its values are of other kinds")
    made = Provenance(**table)
    _json(made)  # what could not be written, such as NaN or lists a thousand deep, is none
    return made


def _found(name: str, beside: Metadata) -> dict[str, Provenance]:
    """The record at each place where one stands; a description that somebody else wrote is none of ours."""
    places = {"png text": dict(beside.text).get(KEYWORD, "")}
    description = exif_text(beside.exif)
    places["exif"] = description if description.startswith("{") and '"method"' in description else ""
    match = _IN_XMP.search(beside.xmp.decode("utf-8", "replace"))
    places["xmp"] = html.unescape(match.group(1)) if match else ""
    return {place: from_json(text, name=f"{name}: {place}") for place, text in places.items() if text}


def _bytes(source: str | os.PathLike[str] | bytes) -> tuple[str, bytes]:
    return ("picture", source) if isinstance(source, bytes) else (os.fspath(source), read_bytes(source, _MAX_BYTES))


def _source_type(provenance: Provenance) -> str:
    """The IPTC term: drawn by an algorithm, made by a trained one, or a picture altered by one."""
    if provenance.method.startswith("sim."):
        return _SOURCE_TYPE + "algorithmicMedia"
    return _SOURCE_TYPE + ("compositeWithTrainedAlgorithmicMedia" if provenance.parents else "trainedAlgorithmicMedia")


def _xmp(provenance: Provenance, text: str) -> bytes:
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
        'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:vultus="urn:vultus:provenance:1" '
        f'xmp:CreatorTool="vultus {__version__}" Iptc4xmpExt:DigitalSourceType="{_source_type(provenance)}" '
        f'vultus:provenance="{html.escape(text)}"/></rdf:RDF></x:xmpmeta>\n<?xpacket end="w"?>'
    ).encode()

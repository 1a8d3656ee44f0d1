"""Metadata of JPEG, PNG and WebP files, taken apart and put together without touching the pixels.

Sources: ITU-T T.81 annex B and XMP specification part 3 (JPEG), W3C PNG third edition, RFC 9649 (WebP), CIPA DC-008
(Exif 2.32).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from vultus.errors import InputError
from vultus.io._jpeg import EOI, exif_orientation

__all__ = ["Metadata", "exif_text", "format_of", "make_exif", "metadata", "rewritten"]

_PNG = b"\x89PNG\r\n\x1a\n"
_EXIF, _XMP_JPEG, _ICC = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0"
_XMP_PNG = b"XML:com.adobe.xmp"
_KEPT_PNG = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"bKGD", b"pHYs")
_KEPT_WEBP = (b"VP8 ", b"VP8L", b"ALPH", b"ICCP", b"ANIM", b"ANMF")
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # neither a stuffed 0xff nor a restart
_MOST = 65_000  # bytes that one JPEG segment holds, less its headers
_DESCRIPTION, _ORIENTATION, _SOFTWARE = 0x010E, 0x0112, 0x0131


@dataclass(frozen=True, slots=True)
class Metadata:
    """What stands in a file beside its pixels; empty where it is not there.

    Attributes:
        exif: a TIFF block, without the `Exif` prefix.
        xmp: an XMP packet.
        text: PNG text by keyword (JPEG and WebP have none).
    """

    exif: bytes = b""
    xmp: bytes = b""
    text: tuple[tuple[str, str], ...] = ()


def format_of(name: str, data: bytes) -> str:
    """jpeg, png or webp.

    Raises:
        InputError: anything else.
    """
    if data[:3] == b"\xff\xd8\xff":
        return "jpeg"
    if data[:8] == _PNG:
        return "png"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    raise InputError(f"{name}: expected a JPEG, PNG or WebP file, got bytes that start with {data[:8].hex(' ')}")


def metadata(name: str, data: bytes) -> Metadata:
    """What a file says beside its pixels.

    Raises:
        InputError: not a JPEG, PNG or WebP file, or a damaged one.
    """
    kind = format_of(name, data)
    exif, xmp, text = b"", b"", []
    if kind == "jpeg":
        for marker, body, _ in _segments(name, data):
            if marker == 0xE1 and body.startswith(_EXIF):
                exif = exif or body[len(_EXIF) :]
            elif marker == 0xE1 and body.startswith(_XMP_JPEG):
                xmp = xmp or body[len(_XMP_JPEG) :]
    else:
        for tag, body in _png_chunks(name, data) if kind == "png" else _webp_chunks(name, data):
            if tag in (b"eXIf", b"EXIF"):
                exif = body[len(_EXIF) :] if body.startswith(_EXIF) else body
            elif tag == b"XMP ":
                xmp = body
            elif tag == b"iTXt" and body.startswith(_XMP_PNG + b"\0\0"):
                xmp = body.split(b"\0", 5)[-1]
            elif tag == b"iTXt" and b"\0\0\0" in body:
                text.append(
                    (body.split(b"\0", 1)[0].decode("latin-1"), body.split(b"\0", 5)[-1].decode("utf-8", "replace"))
                )
    return Metadata(exif, xmp, tuple(text))


def rewritten(name: str, data: bytes, description: str, software: str, xmp: bytes, text: dict[str, str]) -> bytes:
    """The same pixels with new metadata and no other: GPS, serial numbers, thumbnails and comments are gone.

    Orientation and color profile stay, because without them the pixels mean something else.

    Args:
        name: what it is called in errors.
        data: a JPEG, PNG or WebP file.
        description: for EXIF; ASCII.
        software: likewise.
        xmp: a packet.
        text: for PNG, by keyword.

    Raises:
        InputError: not such a file, a damaged one, or more metadata than a JPEG holds.
    """
    kind = format_of(name, data)
    exif = make_exif(exif_orientation(metadata(name, data).exif), description, software)
    if kind == "jpeg":
        return _jpeg(name, data, exif, xmp)
    return _png(name, data, exif, xmp, text) if kind == "png" else _webp(name, data, exif, xmp)


def make_exif(orientation: int, description: str, software: str) -> bytes:
    """A TIFF block of at most three tags; an empty text is left out."""
    entries: list[tuple[int, int, int, bytes]] = []
    for tag, words in ((_DESCRIPTION, description), (_SOFTWARE, software)):
        if words:
            raw = words.encode("ascii", "replace") + b"\0"
            entries.append((tag, 2, len(raw), raw))
    if orientation != 1:
        entries.append((_ORIENTATION, 3, 1, struct.pack("<HH", orientation, 0)))
    at = 8 + 2 + 12 * len(entries) + 4
    table, rest = struct.pack("<H", len(entries)), b""
    for tag, kind, count, raw in sorted(entries):
        value = raw.ljust(4, b"\0") if len(raw) <= 4 else struct.pack("<I", at + len(rest))
        rest += b"" if len(raw) <= 4 else raw + b"\0" * (len(raw) % 2)
        table += struct.pack("<HHI", tag, kind, count) + value
    return b"II*\0\x08\0\0\0" + table + b"\0\0\0\0" + rest


def exif_text(exif: bytes) -> str:
    """ImageDescription of a TIFF block, or "" where there is none or it cannot be read."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None or len(exif) < 14:
        return ""
    (first,) = struct.unpack_from(order + "I", exif, 4)
    if first + 2 > len(exif):
        return ""
    (count,) = struct.unpack_from(order + "H", exif, first)
    for at in range(first + 2, min(first + 2 + 12 * count, len(exif) - 11), 12):
        tag, kind, size, where = struct.unpack_from(order + "HHII", exif, at)
        if tag == _DESCRIPTION and kind == 2:
            start = at + 8 if size <= 4 else where
            return exif[start : start + size].rstrip(b"\0").decode("ascii", "replace")
    return ""


# ---------------------------------------------------------------- JPEG
def _segments(name: str, data: bytes) -> Iterator[tuple[int, bytes, tuple[int, int]]]:
    """Marker, body and place (first byte, end) of each segment up to the end of the first picture, scans included."""
    at = 2
    while at + 4 <= len(data):
        marker = data[at + 1]
        if data[at] != 0xFF or marker == 0xFF:
            at += 1  # fill bytes
            continue
        if marker == EOI[1]:
            return
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if end > len(data) or end < at + 4:
            raise InputError(f"{name}: expected a complete JPEG, but a segment ends behind the file")
        body = data[at + 4 : end]
        if marker == 0xDA:  # the scan itself: up to the next marker
            found = _MARKER.search(data, end)
            end = found.start() if found else len(data)
        yield marker, body, (at, end)
        at = end


def _jpeg(name: str, data: bytes, exif: bytes, xmp: bytes) -> bytes:
    out = [data[:2]]
    fresh = [_EXIF + exif, _XMP_JPEG + xmp]
    if max(map(len, fresh)) > _MOST:
        raise InputError(
            f"{name}: expected at most {_MOST} bytes of provenance in a JPEG, got more: use PNG or a sidecar"
        )
    added = b"".join(b"\xff\xe1" + struct.pack(">H", len(part) + 2) + part for part in fresh)
    placed, end = False, 2
    for marker, body, (start, end) in _segments(name, data):
        jfif = marker == 0xE0 and body.startswith(b"JFIF\0")
        kept = not 0xE0 <= marker <= 0xEF and marker != 0xFE
        kept = kept or jfif or marker == 0xEE or (marker == 0xE2 and body.startswith(_ICC))
        if not placed and not jfif:
            out.append(added)
            placed = True
        if jfif and len(body) > 14:  # a thumbnail may show what was cut away
            out.append(b"\xff\xe0\0\x10" + body[:12] + b"\0\0")
        elif kept:
            out.append(data[start:end])
    if not placed or data[end : end + 2] != EOI:
        raise InputError(f"{name}: expected a complete JPEG, but it ends before its last marker")
    return b"".join([*out, EOI])


# ---------------------------------------------------------------- PNG
def _png_chunks(name: str, data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_PNG)
    while at + 12 <= len(data):
        length, tag = struct.unpack_from(">I4s", data, at)
        if at + 12 + length > len(data):
            raise InputError(f"{name}: expected a complete PNG, but a chunk ends behind the file")
        yield tag, data[at + 8 : at + 8 + length]
        at += 12 + length
        if tag == b"IEND":
            return


def _png_chunk(tag: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))


def _png(name: str, data: bytes, exif: bytes, xmp: bytes, text: dict[str, str]) -> bytes:
    added = [(b"eXIf", exif), (b"iTXt", _XMP_PNG + b"\0\0\0\0\0" + xmp)]
    added += [(b"iTXt", word.encode("latin-1") + b"\0\0\0\0\0" + value.encode()) for word, value in text.items()]
    out, tag = [_PNG], b""
    for tag, body in _png_chunks(name, data):
        if tag in _KEPT_PNG:
            out.append(_png_chunk(tag, body))
        if tag == b"IHDR":
            out += [_png_chunk(*chunk) for chunk in added]
    if tag != b"IEND":
        raise InputError(f"{name}: expected a complete PNG, but its last chunk is missing")
    return b"".join(out)


# ---------------------------------------------------------------- WebP
def _webp_chunks(name: str, data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at, end = 12, min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    while at + 8 <= end:
        tag, length = struct.unpack_from("<4sI", data, at)
        if at + 8 + length > len(data):
            raise InputError(f"{name}: expected a complete WebP, but a chunk ends behind the file")
        yield tag, data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _webp(name: str, data: bytes, exif: bytes, xmp: bytes) -> bytes:
    chunks = list(_webp_chunks(name, data))
    kept = [(tag, body) for tag, body in chunks if tag in _KEPT_WEBP]
    tags = {tag for tag, _ in kept}
    first = next((body for tag, body in chunks if tag == b"VP8X"), None)
    if first is not None and len(first) < 10:
        raise InputError(f"{name}: expected a WebP header of 10 bytes, got {len(first)}")
    size = first[4:10] if first else _webp_size(name, kept)
    alpha = b"ALPH" in tags or (first is not None and bool(first[0] & 0x10))
    alpha = alpha or any(tag == b"VP8L" and len(body) > 4 and bool(body[4] & 0x10) for tag, body in kept)
    flags = 0x08 | 0x04 | 0x10 * alpha | 0x20 * (b"ICCP" in tags) | 0x02 * (b"ANIM" in tags)
    kept.sort(key=lambda chunk: {b"ICCP": 0, b"ANIM": 1}.get(chunk[0], 2))  # the order that RFC 9649 wants
    whole = [(b"VP8X", bytes((flags, 0, 0, 0)) + size), *kept, (b"EXIF", exif), (b"XMP ", xmp)]
    body = b"".join(tag + struct.pack("<I", len(part)) + part + b"\0" * (len(part) % 2) for tag, part in whole)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def _webp_size(name: str, chunks: list[tuple[bytes, bytes]]) -> bytes:
    """Width and height less one, 24 bits each, of a file without the extended header."""
    for tag, body in chunks:
        if tag == b"VP8 " and len(body) >= 10:
            width, height = (int.from_bytes(body[at : at + 2], "little") & 0x3FFF for at in (6, 8))
        elif tag == b"VP8L" and len(body) >= 5:
            packed = int.from_bytes(body[1:5], "little")
            width, height = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
        else:
            continue
        return (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    raise InputError(f"{name}: expected a WebP with a picture in it, got none")

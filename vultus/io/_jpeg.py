"""What a JPEG says about itself before it is decoded: size, orientation, scans, whether it is complete.

Source: ITU-T T.81 annex B (markers) and CIPA DC-008 (Exif 2.32) section 4.6 (tag 0x0112).
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

__all__ = ["EOI", "JpegHeader", "exif_orientation", "has_more_scans", "jpeg_header"]

EOI = b"\xff\xd9"
_SOI, _SOS, _APP1 = 0xD8, 0xDA, 0xE1
_PLAIN_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive; Huffman coded
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # neither a stuffed 0xff nor a restart
_OTHER_FRAMES = (0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """Facts of an 8-bit gray or three-channel JPEG.

    Attributes:
        width: stored columns, before orientation.
        height: stored rows, before orientation.
        orientation: Exif 1-8; 1 when there is none or it cannot be read.
        complete: an end marker follows the first scan.
    """

    width: int
    height: int
    orientation: int
    complete: bool

    @property
    def full_hw(self) -> tuple[int, int]:
        """Rows and columns once it is upright."""
        return (self.width, self.height) if self.orientation >= 5 else (self.height, self.width)


def jpeg_header(data: bytes) -> JpegHeader | None:
    """Walk the markers up to the first scan; None for anything but a plain 8-bit gray or three-channel JPEG.

    The walk is strict, so that it cannot see another size than the decoder does: where a decoder would skip
    stray bytes, this returns None and the caller takes the slower, tolerant way.
    """
    if data[:2] != bytes((0xFF, _SOI)):
        return None
    at, size, orientation = 2, None, 1
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        end = at + 2 + length
        if marker in _OTHER_FRAMES or marker < 0xC0 or 0xD0 <= marker <= 0xD9 or marker == 0xFF:
            return None
        if length < 2 or end > len(data):
            return None
        body = data[at + 4 : end] if marker == _APP1 or marker in _PLAIN_FRAMES else b""
        if marker in _PLAIN_FRAMES:
            if size is not None or len(body) < 6 or body[0] != 8 or body[5] not in (1, 3):
                return None
            size = (int.from_bytes(body[3:5], "big"), int.from_bytes(body[1:3], "big"))
        elif marker == _APP1 and body[:6] == b"Exif\0\0" and orientation == 1:
            orientation = exif_orientation(body)
        elif marker == _SOS:
            if size is None or 0 in size:
                return None
            return JpegHeader(*size, orientation, complete=data.find(EOI, end) >= 0)
        at = end
    return None


def exif_orientation(exif: bytes) -> int:
    """Orientation 1-8 of an Exif block (with or without its `Exif` prefix); 1 when absent or unreadable."""
    tiff = exif[6:] if exif[:6] == b"Exif\0\0" else exif
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None or len(tiff) < 8:
        return 1
    (first,) = struct.unpack_from(order + "I", tiff, 4)
    if first + 2 > len(tiff):
        return 1
    (entries,) = struct.unpack_from(order + "H", tiff, first)
    for index in range(entries):
        at = first + 2 + 12 * index
        if at + 12 > len(tiff):
            return 1
        tag, kind, _count, value = struct.unpack_from(order + "HHIH", tiff, at)
        if tag == 0x0112:
            return value if kind == 3 and 1 <= value <= 8 else 1
    return 1


def has_more_scans(data: bytes, limit: int) -> bool:
    """Whether the first picture of a JPEG has more than `limit` scans; each is a pass over the whole picture."""
    if data.count(bytes((0xFF, _SOS))) <= limit:  # an upper bound: thumbnails and films behind the picture count too
        return False
    at = scans = 0
    while (found := _MARKER.search(data, at + 2)) is not None:
        at = found.start()
        marker = data[at + 1]
        if marker == EOI[1]:
            return False
        scans += marker == _SOS
        if scans > limit:
            return True
        at += int.from_bytes(data[at + 2 : at + 4], "big")
    return False

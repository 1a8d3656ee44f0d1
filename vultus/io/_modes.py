"""Pillow's many kinds of picture, opened within bounds and turned into upright uint8 RGB."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import cv2
import numpy as np
import PIL.Image
import PIL.JpegImagePlugin

from vultus.errors import InputError
from vultus.io._jpeg import exif_orientation
from vultus.types import U8

__all__ = ["check_array", "check_pixels", "digest", "open_bounded", "opened_to_rgb", "upright"]

_FORMATS = ("PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
_WITH_ALPHA = ("RGBA", "RGBa", "LA", "La", "PA")
_TILE_WIDTH, _TILE_HEIGHT = 322, 323  # TIFF 6.0 tags
_NAMED = (
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a zip archive or office document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML document"),
    (b"<", "a web page or other markup"),
    (b"8BPS", "a Photoshop document"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file it stands for"),
)


def check_pixels(name: str, width: int, height: int, max_pixels: int) -> None:
    """Refuse a picture without pixels or with more than `max_pixels`.

    Raises:
        InputError: it has none, or too many.
    """
    if width < 1 or height < 1:
        raise InputError(f"{name}: expected a picture with pixels, got {width}x{height}")
    if width * height > max_pixels:
        raise InputError(
            f"{name}: expected at most {max_pixels / 1e6:g} megapixels, got {width}x{height} "
            f"({width * height / 1e6:.0f} megapixels): shrink it or raise Limits.max_pixels"
        )


def check_array(array: Any) -> None:
    """Refuse anything but a uint8 RGB array (H, W, 3), with a hint at how to get there.

    Raises:
        InputError: it is something else.
    """
    if not isinstance(array, np.ndarray):
        raise InputError(f"picture: expected a uint8 RGB array (H, W, 3), got {type(array).__name__}")
    hint = ""
    if array.dtype != np.uint8:
        hint = ": scale it to 0..255, round, and convert with .astype(numpy.uint8)"
    elif array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 1):
        hint = ": a gray picture is repeated to three channels with numpy.stack([gray] * 3, axis=2)"
    elif array.ndim == 3 and array.shape[2] == 4:
        hint = ": composite the alpha channel and keep three, in the order red, green, blue"
    elif array.ndim == 3 and array.shape[0] == 3 and array.shape[2] != 3:
        hint = ": the channels come last; use array.transpose(1, 2, 0)"
    elif array.ndim == 4:
        hint = ": hand over one picture at a time"
    elif array.size == 0:
        hint = ": it has no pixels"
    if hint or array.ndim != 3 or array.shape[2] != 3:
        raise InputError(f"picture: expected a uint8 RGB array (H, W, 3), got {array.dtype} {array.shape}{hint}")


def digest(pixels: U8) -> str:
    """Hex sha256 of the shape and the pixels: what identifies a picture that never was a file."""
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()


def open_bounded(name: str, data: bytes, max_pixels: int) -> PIL.Image.Image:
    """Parse the header only, with the formats vultus knows, and check the size it states.

    Pillow's plugins are called directly: `PIL.Image.open` would apply its own global limit and try formats that
    start other programs.

    Raises:
        InputError: unknown format, unreadable header, or over the limit.
    """
    opened = _by_signature(name, data)
    if opened is None:
        known = "JPEG, PNG, WebP, GIF, BMP, TIFF, PNM, JPEG 2000, AVIF"
        raise InputError(f"{name}: expected a picture ({known}), got {_looks_like(data)}")
    check_pixels(name, *opened.size, max_pixels)
    tags: Any = getattr(opened, "tag_v2", {})
    tile = (tags.get(_TILE_WIDTH, 1), tags.get(_TILE_HEIGHT, 1))
    if tile != (1, 1):
        check_pixels(f"{name}: its TIFF tiles", *tile, max_pixels)
    return opened


def opened_to_rgb(name: str, opened: PIL.Image.Image) -> U8:
    """Decode, convert to RGB by the rules of `vultus.io.images`, and turn upright.

    Raises:
        InputError: damaged data, or a kind of picture that has no plain meaning as RGB.
    """
    try:
        opened.load()
        pixels = _rgb(name, opened)
    except InputError:
        raise
    except Exception as error:  # decoders of hostile bytes fail in any way they like
        raise InputError(f"{name}: expected a complete picture, but decoding failed: {_reason(error)}") from error
    exif = opened.info.get("exif")
    if not isinstance(exif, bytes) or opened.format in ("TIFF", "AVIF"):  # Pillow turns these two upright itself
        return pixels
    return upright(pixels, exif_orientation(exif))


def upright(pixels: U8, orientation: int) -> U8:
    """Apply EXIF orientation 1-8 to an (H, W, 3) array; 5-8 swap height and width."""
    if orientation in (5, 6, 7, 8):
        pixels = cv2.transpose(pixels)  # type: ignore[assignment]
    flip = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(orientation)
    return pixels if flip is None else cv2.flip(pixels, flip)  # type: ignore[return-value]


def _by_signature(name: str, data: bytes) -> PIL.Image.Image | None:
    PIL.Image.preinit()
    if not all(known in PIL.Image.OPEN for known in _FORMATS[:-1]):
        PIL.Image.init()
    try:
        if data[:3] == b"\xff\xd8\xff":  # the plain class: the factory would also look for further pictures behind
            return PIL.JpegImagePlugin.JpegImageFile(io.BytesIO(data))
        for known in _FORMATS:
            factory, accept = PIL.Image.OPEN.get(known, (None, None))
            if factory is not None and accept is not None and accept(data[:16]) is True:
                return factory(io.BytesIO(data), "")
    except Exception as error:  # as above
        raise InputError(f"{name}: expected a picture, but its header cannot be read: {_reason(error)}") from error
    return None


def _rgb(name: str, opened: PIL.Image.Image) -> U8:
    if opened.mode.startswith("I") or opened.mode == "F":
        return _from_wide(name, np.asarray(opened))
    if opened.mode in _WITH_ALPHA or "transparency" in opened.info:
        layer = opened.convert("RGBA")
        canvas = PIL.Image.new("RGB", layer.size, "white")
        canvas.paste(layer, mask=layer.getchannel("A"))
        opened = canvas
    return np.array(opened if opened.mode == "RGB" else opened.convert("RGB"))


def _from_wide(name: str, values: np.ndarray[Any, Any]) -> U8:
    """16-bit, 32-bit or float gray -> RGB."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise InputError(f"{name}: expected finite pixel values, got NaN or infinity")
    low, high = values.min(), values.max()
    if low < 0 or high > 65535:
        raise InputError(
            f"{name}: expected values in 0..1, 0..255 or 0..65535, got {low:g}..{high:g}: save it with 8 bits a channel"
        )
    if values.dtype.kind == "f" and high <= 1:
        gray = np.floor(255.0 * values + 0.5)
    elif values.dtype.itemsize == 4 and high <= 255:
        gray = values
    else:
        gray = values.astype(np.int64) >> 8
    return np.repeat(gray.astype(np.uint8)[:, :, None], 3, axis=2)


def _looks_like(data: bytes) -> str:
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"):
        return "an HEIC/HEIF picture, which is not supported: convert it to JPEG or PNG"
    start = data[:64].lstrip()
    for mark, what in _NAMED:
        if start[: len(mark)].lower() == mark.lower():
            return what
    if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in data[:512]):
        return f"text that starts with {data[:20].decode('ascii')!r}"
    return f"bytes that start with {data[:8].hex(' ')}"


def _reason(error: Exception) -> str:
    words = str(error)
    if "truncated" in words.lower():
        return "the file is cut short (truncated)"
    if isinstance(error, OSError) and words:  # the ones that Pillow words itself
        return words
    return "its data are damaged"

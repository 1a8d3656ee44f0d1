"""Pictures that must be refused and pictures that must be read, made from noise and gradients.

bad_pictures(folder)   name -> path; reading each raises InputError
odd_pictures(folder)   name -> path; each is valid, but not the usual upright 8-bit RGB file
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import PIL.ImageCms

ORIENTATIONS = range(1, 9)
GREEN_INK = (255, 0, 255, 0)  # CMYK of pure green


def gradient(height: int = 48, width: int = 64) -> np.ndarray:
    """A smooth (H, W, 3) picture that differs under every flip and turn, so that JPEG keeps it closely."""
    y, x = np.mgrid[0:height, 0:width]
    channels = (
        x * 255 / max(1, width - 1),
        y * 255 / max(1, height - 1),
        (x + 2 * y) * 255 / max(1, width + 2 * height),
    )
    return np.stack(channels, axis=2).round().astype(np.uint8)


def encoded(pixels: np.ndarray | PIL.Image.Image, kind: str, **options: object) -> bytes:
    """A file of the given Pillow format in memory."""
    picture = PIL.Image.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """How a camera stores an upright picture whose EXIF orientation is 1-8: the inverse of what a reader does."""
    stored = {
        1: lambda p: p,
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.transpose(1, 0, 2),
        6: lambda p: np.rot90(p, 1),
        7: lambda p: np.rot90(p.transpose(1, 0, 2), 2),
        8: lambda p: np.rot90(p, -1),
    }[orientation](pixels)
    return np.ascontiguousarray(stored)


def exif(orientation: int, order: str = "<") -> bytes:
    """An Exif block that holds the orientation and nothing else."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    return b"Exif\0\0" + mark + struct.pack(order + "IH", 8, 1) + entry + struct.pack(order + "I", 0)


def with_exif(jpeg: bytes, block: bytes) -> bytes:
    """A JPEG with an APP1 segment put behind its first marker."""
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + jpeg[2:]


def png_chunk(name: bytes, body: bytes) -> bytes:
    """One PNG chunk with its checksum."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_header(width: int, height: int) -> bytes:
    """A PNG that states a size and holds next to nothing."""
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + png_chunk(b"IDAT", zlib.compress(b"\0" * 64)) + png_chunk(b"IEND", b"")


def jpeg_of_size(width: int, height: int) -> bytes:
    """A small JPEG whose frame header states another size."""
    data = bytearray(encoded(gradient(), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def scans_without_end(count: int = 2000) -> bytes:
    """A progressive JPEG that repeats its last scan."""
    data = encoded(gradient(), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + (data[last:-2]) * count + data[-2:]


def _huge(kind: str) -> bytes:
    small = bytearray(encoded(gradient(), kind))
    if kind == "BMP":
        small[18:26] = struct.pack("<ii", 30_000, 30_000)
    elif kind == "GIF":
        small[6:10] = struct.pack("<HH", 30_000, 30_000)
    elif kind == "PPM":
        return b"P6\n30000 30000\n255\n" + bytes(64)
    elif kind == "TIFF":  # inline values of the tags ImageWidth and ImageLength
        for tag in (256, 257):
            at = small.index(struct.pack("<HH", tag, 4 if struct.pack("<HHI", tag, 4, 1) in small else 3))
            small[at : at + 12] = struct.pack("<HHII", tag, 4, 1, 30_000)
    return bytes(small)


def bad_pictures(folder: Path) -> dict[str, Path]:
    """Write every kind of thing that is no readable picture; the last two are not files at all."""
    folder.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    jpeg, png, webp = encoded(noise, "JPEG"), encoded(noise, "PNG"), encoded(noise, "WEBP")
    nan = np.full((8, 8), np.nan, np.float32)
    damaged = bytearray(png)
    damaged[len(png) // 2 : len(png) // 2 + 40] = bytes(40)
    files: dict[str, bytes] = {
        "text.jpg": b"This is a letter, not a picture.\n" * 40,
        "page.png": b"<!doctype html><html><body>404</body></html>",
        "drawing.svg.png": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "document.jpg": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
        "archive.jpg": b"PK\x03\x04" + bytes(60),
        "phone.heic.jpg": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40),
        "noise.jpg": noise.tobytes()[:4000],
        "zeros.jpg": bytes(4000),
        "empty.jpg": b"",
        "one_byte.jpg": b"\xff",
        "start_only.jpg": b"\xff\xd8\xff",
        "start_only.png": b"\x89PNG\r\n\x1a\n",
        "start_only.gif": b"GIF89a",
        "truncated.jpg": jpeg[: len(jpeg) // 2],
        "truncated_progressive.jpg": encoded(noise, "JPEG", progressive=True)[: len(jpeg) // 2],
        "truncated_header.jpg": jpeg[:200],
        "truncated.png": png[: len(png) // 2],
        "truncated.webp": webp[: len(webp) // 2],
        "truncated.gif": encoded(noise, "GIF")[:900],
        "truncated.tif": encoded(noise, "TIFF")[:600],
        "truncated.bmp": encoded(noise, "BMP")[:600],
        "damaged.png": bytes(damaged),
        "huge.jpg": jpeg_of_size(30_000, 30_000),
        "huge.png": png_header(30_000, 30_000),
        "huge.bmp": _huge("BMP"),
        "huge.gif": _huge("GIF"),
        "huge.ppm": _huge("PPM"),
        "huge.tif": _huge("TIFF"),
        "endless.jpg": scans_without_end(),
        "no_width.png": png_header(0, 16),
        "nan.tif": encoded(PIL.Image.fromarray(nan), "TIFF"),
        "negative.tif": encoded(PIL.Image.fromarray(np.full((8, 8), -3.0, np.float32)), "TIFF"),
    }
    paths = {name: _written(folder / name, data) for name, data in files.items()}
    paths["too_many_bytes.jpg"] = folder / "too_many_bytes.jpg"
    with open(paths["too_many_bytes.jpg"], "wb") as file:
        file.write(jpeg)
        file.truncate(65 * 1024 * 1024)  # sparse: takes no room
    paths["folder.jpg"] = folder / "folder.jpg"
    paths["folder.jpg"].mkdir(exist_ok=True)
    paths["missing.jpg"] = folder / "missing.jpg"
    if hasattr(os, "mkfifo"):
        paths["pipe.jpg"] = folder / "pipe.jpg"
        if not paths["pipe.jpg"].exists():
            os.mkfifo(paths["pipe.jpg"])
    return paths


def odd_pictures(folder: Path, pixels: np.ndarray | None = None) -> dict[str, Path]:
    """Write `pixels` (default: a gradient) in every unusual but valid way.

    The content stays the same up to compression, quantization, or the loss of color, except in `one_pixel.png`,
    `one_row.png` and `one_column.jpg`, which are too small to hold it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pixels = gradient() if pixels is None else pixels
    picture = PIL.Image.fromarray(pixels)
    gray = picture.convert("L")
    wide_gray = np.asarray(gray).astype(np.uint16) * 257
    clear = np.full(pixels.shape[:2], 255, np.uint8)
    clear[:, 0] = 0  # one transparent column, so that the alpha channel is no formality
    rgba = PIL.Image.fromarray(np.dstack([pixels, clear]))
    palette = picture.quantize(255)
    jpeg = encoded(pixels, "JPEG", quality=95)
    srgb = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes()
    other = PIL.Image.fromarray(255 - pixels)
    animated = {"save_all": True, "append_images": [other], "duration": 80}
    files: dict[str, bytes] = {
        "one_pixel.png": encoded(pixels[:1, :1], "PNG"),
        "one_row.png": encoded(np.repeat(pixels[:1], 1, axis=0), "PNG"),
        "one_column.jpg": encoded(np.ascontiguousarray(pixels[:, :1]), "JPEG"),
        "gray.jpg": encoded(gray, "JPEG", quality=95),
        "gray.png": encoded(gray, "PNG"),
        "gray.pgm": encoded(gray, "PPM"),
        "gray_alpha.png": encoded(rgba.convert("LA"), "PNG"),
        "gray16.png": encoded(PIL.Image.fromarray(wide_gray), "PNG"),
        "gray16.tif": encoded(PIL.Image.fromarray(wide_gray), "TIFF"),
        "float.tif": encoded(PIL.Image.fromarray(np.asarray(gray).astype(np.float32) / 255), "TIFF"),
        "rgb16.png": _by_opencv(".png", pixels.astype(np.uint16) * 257),
        "rgb16.tif": _by_opencv(".tif", pixels.astype(np.uint16) * 257),
        "one_bit.png": encoded(gray.convert("1"), "PNG"),
        "palette.png": encoded(palette, "PNG"),
        "palette_transparent.png": encoded(palette, "PNG", transparency=254),
        "palette.gif": encoded(palette, "GIF"),
        "rgba.png": encoded(rgba, "PNG"),
        "rgba.webp": encoded(rgba, "WEBP", lossless=True),
        "cmyk.jpg": encoded(picture.convert("CMYK"), "JPEG", quality=95),
        "cmyk.tif": encoded(picture.convert("CMYK"), "TIFF"),
        "progressive.jpg": encoded(pixels, "JPEG", quality=95, progressive=True),
        "icc.jpg": encoded(pixels, "JPEG", quality=95, icc_profile=srgb),
        "trailing_bytes.jpg": jpeg + b"maker's notes" * 50,
        "two_pictures.mpo": encoded(pixels, "MPO", quality=95, save_all=True, append_images=[other]),
        "stray_exif.jpg": with_exif(jpeg, b"Exif\0\0MM\0*\xff\xff\xff\xff"),
        "animated.gif": encoded(pixels, "GIF", **animated),
        "animated.webp": encoded(pixels, "WEBP", lossless=True, **animated),
        "animated.png": encoded(pixels, "PNG", **animated),
        "lossless.jp2": encoded(pixels, "JPEG2000"),
        "png_in_disguise.jpg": encoded(pixels, "PNG"),
        "no_suffix": jpeg,
        "UPPER CASE é 李.JPG": jpeg,
    }
    for orientation in ORIENTATIONS:
        stored = turned(pixels, orientation)
        block = exif(orientation, "<" if orientation % 2 else ">")
        files[f"exif_{orientation}.jpg"] = with_exif(encoded(stored, "JPEG", quality=95, subsampling=0), block)
        files[f"exif_{orientation}.png"] = encoded(stored, "PNG", exif=block)
        files[f"exif_{orientation}.webp"] = encoded(stored, "WEBP", lossless=True, exif=block)
        files[f"exif_{orientation}.tif"] = encoded(stored, "TIFF", tiffinfo={274: orientation})
    return {name: _written(folder / name, data) for name, data in files.items()}


def _by_opencv(suffix: str, rgb: np.ndarray) -> bytes:
    done, data = cv2.imencode(suffix, np.ascontiguousarray(rgb[:, :, ::-1]))
    assert done
    return data.tobytes()


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


Maker = Callable[[Path], dict[str, Path]]

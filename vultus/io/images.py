"""Pictures in and out: the only decoder and the only encoder.

What comes out is always uint8 RGB of shape (H, W, 3), upright (EXIF orientations 1-8 are applied), whatever went in:
    gray, 1-bit, palette     expanded
    alpha                    composited on white; what lies under a transparent pixel is never shown
    16 bits a channel        the high byte is kept
    32-bit and float TIFF    0..1 becomes 0..255; 0..255 stays; 0..65535 keeps the high byte; anything else is refused
    CMYK                     the plain formula 255*(1-ink)*(1-black); Adobe's inverted JPEG inks are turned back
    animated GIF, WebP, PNG  first frame
    ICC profiles             ignored: pixels are used as stored, as the networks' training pictures were
Bytes and pixels are bounded from the header before anything is decoded. Plain JPEG goes through OpenCV (measured
1.2-1.6 times as fast as Pillow and equal to it bit for bit), everything else through Pillow.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import PIL.Image

from vultus.errors import InputError, StoreError, VultusError
from vultus.io import _jpeg, _modes
from vultus.io.files import read_bytes, write_bytes
from vultus.types import U8, Image, Provenance

__all__ = ["SUFFIXES", "Limits", "Source", "encode", "list_pictures", "read", "read_many", "write"]

Source = str | os.PathLike[str] | bytes | bytearray | memoryview | PIL.Image.Image | np.ndarray[Any, Any] | Image
Truncated = Literal["refuse", "accept"]

SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib"}) | {
    *(".tif", ".tiff", ".pbm", ".pgm", ".ppm", ".pnm", ".jp2", ".j2k", ".avif")
}
_MAX_SCANS = 500  # a progressive JPEG of thousands of scans is an attack: each one is a pass over the whole picture


@dataclass(frozen=True, slots=True)
class Limits:
    """What a picture may ask for, checked before it is decoded.

    Attributes:
        max_bytes: size of the encoded file.
        max_pixels: width times height as the header states them, in stored pixels.
    """

    max_bytes: int = 64 * 1024 * 1024
    max_pixels: int = 100_000_000


_DEFAULT_LIMITS = Limits()


def read(
    source: Source,
    *,
    max_side: int | None = None,
    limits: Limits = _DEFAULT_LIMITS,
    truncated: Truncated = "refuse",
) -> Image:
    """Decode one picture.

    Args:
        source: a path, the bytes of an encoded file, a Pillow picture, a uint8 RGB array (H, W, 3), or an `Image`,
            which comes back as it is. Arrays are copied.
        max_side: the longest side that the caller has a use for, in pixels. A JPEG is decoded at 1/2, 1/4 or 1/8 as
            long as its longest side stays at least this; `Image.reduction` tells the factor. None: full size. Other
            formats have no reduced decoding and come full size.
        limits: bounds on bytes and pixels.
        truncated: what to do with a JPEG that ends early. "refuse" raises; "accept" keeps the rows that are there and
            leaves the rest gray, as readers of published data sets have always done. Other formats are always refused.

    Raises:
        InputError: not a picture, over a limit, damaged, of an unknown format, or an array of another shape or dtype.
        StoreError: the system refuses to read the file.
    """
    if max_side is not None and max_side < 1:
        raise InputError(f"max_side: expected at least 1 pixel or None, got {max_side}")
    if truncated not in ("refuse", "accept"):
        raise InputError(f'truncated: expected "refuse" or "accept", got {truncated!r}')
    if isinstance(source, Image):
        return source
    if isinstance(source, np.ndarray):
        return _from_array(source, limits)
    if isinstance(source, PIL.Image.Image):
        _modes.check_pixels("picture", *source.size, limits.max_pixels)
        pixels = _modes.opened_to_rgb("picture", source)
        return Image(pixels, _modes.digest(pixels))
    if isinstance(source, (bytes, bytearray, memoryview)):
        data, name, path = bytes(source), "picture", None
        if not 0 < len(data) <= limits.max_bytes:
            raise InputError(f"picture: expected 1 to {limits.max_bytes} bytes, got {len(data)}")
    elif isinstance(source, (str, os.PathLike)):
        name = path = os.fspath(source)
        data = read_bytes(source, limits.max_bytes)
    else:
        raise InputError(
            "picture: expected a path, bytes, a Pillow picture or a uint8 RGB array (H, W, 3), "
            f"got {type(source).__name__}"
        )
    pixels, reduction, full_hw = _decode(name, data, max_side, limits, truncated)
    return Image(pixels, hashlib.sha256(data).hexdigest(), path, reduction, full_hw)


def read_many(
    sources: Iterable[Source],
    *,
    workers: int = 1,
    ahead: int | None = None,
    max_side: int | None = None,
    limits: Limits = _DEFAULT_LIMITS,
    truncated: Truncated = "refuse",
) -> Iterator[Image | VultusError]:
    """Decode pictures in worker threads while the caller works on the previous ones.

    One item comes back per source, in order: the `Image`, or the error object that `read` raised for it. At most
    `ahead` pictures wait decoded (default 2 per worker), so memory stays bounded however many there are. Leaving the
    loop early, or Ctrl-C, stops the workers after the picture in hand.

    Args:
        sources: see `read`; taken one by one as they are needed.
        workers: decoding threads.
        ahead: how many pictures may be decoded before they are asked for.
        max_side: see `read`.
        limits: see `read`.
        truncated: see `read`.

    Yields:
        `Image` or `VultusError` for each source.
    """
    if workers < 1:
        raise InputError(f"workers: expected at least 1, got {workers}")
    if ahead is not None and ahead < 1:
        raise InputError(f"ahead: expected at least 1 picture, got {ahead}")

    def attempt(source: Source) -> Image | VultusError:
        try:
            return read(source, max_side=max_side, limits=limits, truncated=truncated)
        except VultusError as error:
            cause: BaseException | None = error
            while cause is not None:
                cause.__traceback__ = None  # its frames would keep the picture's bytes alive
                cause = cause.__cause__ or cause.__context__
            return error

    return _in_order(attempt, sources, workers, ahead or 2 * workers)


def write(
    path: str | os.PathLike[str],
    pixels: U8,
    provenance: Provenance | None = None,
    *,
    quality: int = 95,
    sidecar: bool = False,
) -> None:
    """Encode a picture by the suffix of its name: .png (lossless), .jpg/.jpeg or .webp.

    The file appears complete or not at all, and holds pixels and, where there is one, the provenance: no GPS, serial
    numbers or profiles.

    Args:
        path: where to write; the folder must exist. An existing file is replaced.
        pixels: (H, W, 3) uint8 RGB.
        provenance: how the picture was made; see `vultus.io.provenance`.
        quality: 1-100, for JPEG and WebP.
        sidecar: write the provenance into a manifest beside the file as well, once the file is there.

    Raises:
        InputError: the array is not a picture, or too large for the format; a sidecar of no provenance.
        StoreError: unknown suffix, full disk, read-only or missing folder.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise InputError(f"path: expected the path of a file, got {type(path).__name__}")
    if sidecar and provenance is None:
        raise InputError("sidecar: expected a provenance to write into it, got none")
    target = Path(path)
    data = encode(pixels, target.suffix, quality=quality, name=str(target))
    if provenance is None:
        write_bytes(target, data)
        return
    from vultus.io.provenance import embed, write_sidecar  # which reads pictures itself

    write_bytes(target, embed(data, provenance, name=str(target)))
    if sidecar:
        write_sidecar(target, provenance)


def encode(pixels: U8, suffix: str = ".jpg", *, quality: int = 95, name: str = "picture") -> bytes:
    """Encode a picture in memory; what comes out holds pixels only, no EXIF, GPS, serial numbers or profiles.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        suffix: .png (lossless), .jpg, .jpeg or .webp.
        quality: 1-100, for JPEG and WebP.
        name: what it is called in errors.

    Raises:
        InputError: the array is not a picture, or too large for the format.
        StoreError: unknown suffix, or the encoder failed.
    """
    _modes.check_array(pixels)
    if not 1 <= quality <= 100:
        raise InputError(f"quality: expected 1 to 100, got {quality}")
    suffix = suffix.lower()
    options: dict[str, list[int]] = {
        ".png": [cv2.IMWRITE_PNG_COMPRESSION, 3],
        ".jpg": [cv2.IMWRITE_JPEG_QUALITY, quality],
        ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, quality],
        ".webp": [cv2.IMWRITE_WEBP_QUALITY, quality],
    }
    if suffix not in options:
        raise StoreError(
            f"{name}: expected a name that ends in .png, .jpg, .jpeg or .webp, got {suffix or 'no suffix'!r}"
        )
    side_limit = {".webp": 16383, ".png": 1_000_000}.get(suffix, 65500)
    if max(pixels.shape[:2]) > side_limit:
        raise InputError(f"{name}: {suffix} holds at most {side_limit} pixels a side, got {pixels.shape[:2]}: use .png")
    done, encoded = cv2.imencode(suffix, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), options[suffix])
    if not done:
        raise StoreError(
            f"{name}: a picture of {pixels.shape[1]}x{pixels.shape[0]} pixels could not be encoded as {suffix}"
        )
    return bytes(encoded.tobytes())


def list_pictures(folder: str | os.PathLike[str]) -> list[Path]:
    """Every file below `folder` whose suffix is a picture's, sorted; hidden files and folders are left out.

    Linked folders count like others, each folder once.

    Raises:
        InputError: the folder is missing or is a file.
        StoreError: a folder below it cannot be read.
    """
    if not isinstance(folder, (str, os.PathLike)) or not os.fspath(folder):
        raise InputError(f"folder: expected the path of a folder, got {folder!r}")
    root = Path(folder)
    if not os.path.isdir(root):
        what = "a file" if os.path.exists(root) else "nothing at this path"
        raise InputError(f"{root}: expected a folder of pictures, got {what}")

    def stop(error: OSError) -> None:
        raise StoreError(f"{error.filename}: cannot be listed: {error.strerror}: check its permissions") from error

    found: list[Path] = []
    seen: set[tuple[int, int]] = set()  # linked folders are followed, and a circle of links ends
    for here, folders, names in os.walk(root, onerror=stop, followlinks=True):
        about = os.stat(here)
        if (about.st_dev, about.st_ino) in seen:
            folders.clear()
            continue
        seen.add((about.st_dev, about.st_ino))
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(here, n) for n in names if not n.startswith(".") and Path(n).suffix.lower() in SUFFIXES]
    return sorted(found)


def _in_order(attempt: Any, sources: Iterable[Source], workers: int, ahead: int) -> Iterator[Image | VultusError]:
    pool = ThreadPoolExecutor(workers, thread_name_prefix="vultus-decode")
    waiting: deque[Future[Image | VultusError]] = deque()
    try:
        for source in sources:
            waiting.append(pool.submit(attempt, source))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _decode(
    name: str, data: bytes, max_side: int | None, limits: Limits, truncated: Truncated
) -> tuple[U8, int, tuple[int, int]]:
    """Encoded bytes -> upright RGB, the factor by which they were reduced, and the size that is stored."""
    if data[:2] == b"\xff\xd8" and _jpeg.has_more_scans(data, _MAX_SCANS):
        raise InputError(f"{name}: expected a JPEG of at most {_MAX_SCANS} scans, got more: save it again as baseline")
    header = _jpeg.jpeg_header(data)
    if header is not None:
        _modes.check_pixels(name, header.width, header.height, limits.max_pixels)
        reduction = _reduction(header, max_side)
        if header.complete:
            pixels = _fast_jpeg(data, header, reduction)
            if pixels is not None:
                return pixels, reduction, header.full_hw
        if truncated == "accept":
            data += _jpeg.EOI
    else:
        reduction = 1
    opened = _modes.open_bounded(name, data, limits.max_pixels)
    if reduction > 1:
        opened.draft(None, (opened.size[0] // reduction, opened.size[1] // reduction))
    pixels = _modes.opened_to_rgb(name, opened)
    return pixels, reduction, header.full_hw if header and reduction > 1 else (pixels.shape[0], pixels.shape[1])


def _fast_jpeg(data: bytes, header: _jpeg.JpegHeader, reduction: int) -> U8 | None:
    """OpenCV's reading, or None where it gives up: Pillow then finds the words for what is wrong."""
    flags = {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4}
    flag = cv2.IMREAD_COLOR_RGB if reduction == 1 else flags.get(reduction, cv2.IMREAD_REDUCED_COLOR_8)
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flag | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        return None
    if pixels is None or pixels.shape != (-(-header.height // reduction), -(-header.width // reduction), 3):
        return None
    if reduction > 1:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels)
    return _modes.upright(np.asarray(pixels, np.uint8), header.orientation)


def _reduction(header: _jpeg.JpegHeader, max_side: int | None) -> int:
    """Largest of 8, 4, 2, 1 that keeps the longest side >= `max_side` and the origin at a whole pixel."""
    if max_side is None:
        return 1
    short, long = sorted((header.width, header.height))
    for factor in (8, 4, 2):
        exact = header.orientation in (1, 5) or (short % factor == 0 and long % factor == 0)  # the others flip an axis
        if exact and short >= factor and long >= factor * max_side:
            return factor
    return 1


def _from_array(array: np.ndarray[Any, Any], limits: Limits) -> Image:
    _modes.check_array(array)
    _modes.check_pixels("array", array.shape[1], array.shape[0], limits.max_pixels)
    pixels = np.array(array, order="C")
    return Image(pixels, _modes.digest(pixels))

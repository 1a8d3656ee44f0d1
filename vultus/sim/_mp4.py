"""Clips as files: written beside their place, counted by reading them back, then moved there in one step."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from vultus.errors import InputError, StoreError, UnknownMethod
from vultus.sim._folder import why_not
from vultus.types import U8

__all__ = ["CODECS", "count_frames", "write_mp4"]

CODECS = ("mp4v", "avc1")
"""MPEG-4 part 2, which the usual builds of OpenCV have, and H.264, which few have."""


def write_mp4(path: str | os.PathLike[str], frames: Iterable[U8], *, fps: float = 25.0, codec: str = "mp4v") -> int:
    """Write frames as an mp4 file that is either complete or not there.

    Args:
        path: of the file, ending in .mp4; its folder must exist. An existing file stays as it was if anything fails.
        frames: (H, W, 3) uint8 RGB, all of one size with even sides; may be a generator.
        fps: frames a second.
        codec: of `CODECS`; both lose detail, so the pixels that are read back are near, not equal.

    Returns:
        How many frames were written and read back.

    Raises:
        UnknownMethod: if the codec is unknown.
        InputError: if the name does not end in .mp4, there is no frame, or a frame does not fit.
        StoreError: if this OpenCV has no encoder for the codec, the folder is missing, or the disk does not take it.
    """
    if codec not in CODECS:
        raise UnknownMethod(codec, CODECS, what="codec")
    if not 1 <= fps <= 240:
        raise InputError(f"fps: expected 1 to 240 frames a second, got {fps!r}")
    place = Path(path)
    if place.suffix.lower() != ".mp4":
        raise InputError(f"{place}: expected a name that ends in .mp4")
    if not place.parent.is_dir():
        raise StoreError(f"{place}: cannot be written: there is no folder {place.parent}: create it first")
    draft = place.with_name(f".vultus-{secrets.token_hex(8)}.part.mp4")
    try:
        try:
            draft.touch(exist_ok=False)  # the encoder would only say that it failed, not why
            count = _encode(draft, frames, fps, codec)
            found = count_frames(draft)
            if found != count:
                raise StoreError(
                    f"{place}: wrote {count} frames, read {found} back: the disk may be full; nothing was kept"
                )
            with open(draft, "rb") as file:
                os.fsync(file.fileno())
            os.replace(draft, place)
        except BaseException:
            draft.unlink(missing_ok=True)  # also on Ctrl-C
            raise
    except OSError as error:
        raise StoreError(f"{place}: cannot be written: {why_not(error)}; nothing half-written was kept") from error
    return count


def _encode(draft: Path, frames: Iterable[U8], fps: float, codec: str) -> int:
    """Write the frames; their number."""
    writer: cv2.VideoWriter | None = None
    shape: tuple[int, ...] = ()
    count = 0
    try:
        for frame in frames:
            good = isinstance(frame, np.ndarray) and frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3
            if not good or (shape and frame.shape != shape):
                got = f"{frame.dtype} {frame.shape}" if isinstance(frame, np.ndarray) else type(frame).__name__
                want = f"uint8 {shape}" if shape else "uint8 of shape (H, W, 3)"
                raise InputError(f"frames: expected {want}, got {got} at frame {count}")
            if writer is None:
                shape = frame.shape
                if shape[0] % 2 or shape[1] % 2:
                    raise InputError(f"frames: expected even sides, as mp4 stores colors by 2 x 2, got {shape[:2]}")
                writer = cv2.VideoWriter(str(draft), cv2.VideoWriter_fourcc(*codec), fps, (shape[1], shape[0]))  # type: ignore[attr-defined]
                if not writer.isOpened():
                    raise StoreError(f"this build of OpenCV has no encoder for {codec!r}: use codec='mp4v'")
            writer.write(np.ascontiguousarray(frame[..., ::-1]))
            count += 1
    finally:
        if writer is not None:
            writer.release()
    if not count:
        raise InputError("frames: expected at least one frame, got none")
    return count


def count_frames(path: str | os.PathLike[str]) -> int:
    """How many frames of a file can be decoded; 0 if it is no video."""
    reader = cv2.VideoCapture(str(path))
    count = 0
    try:
        while reader.isOpened() and reader.grab():
            count += 1
    finally:
        reader.release()
    return count

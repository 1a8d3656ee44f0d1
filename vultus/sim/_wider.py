"""Scenes on disk in the layout of WIDER FACE, whole or absent."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from vultus.errors import InputError, StoreError
from vultus.sim._folder import make_whole, why_not
from vultus.types import U8

if TYPE_CHECKING:
    from vultus.sim.scenes import FaceScene

__all__ = ["write_wider"]

EVENTS = {
    "crowd": "0--Crowd",
    "group": "1--Group",
    "operating room": "2--Operating_Room",
    "things": "3--Things",
    "animals": "4--Animals",
}
SPLIT = re.compile(r"[A-Za-z0-9_]{1,40}")


def write_wider(out: str | os.PathLike[str], splits: Mapping[str, Iterable[FaceScene]], *, quality: int = 92) -> Path:
    """Write scenes as WIDER FACE is laid out.

        WIDER_train/images/0--Crowd/0_Crowd_00000.jpg
        wider_face_split/wider_face_train_bbx_gt.txt   name, count, and for each face
            x y w h blur expression illumination invalid occlusion pose   (whole pixels; one row of zeros for no face)
        wider_face_split/wider_face_train_label.txt    the same boxes with five points, as RetinaFace reads them

    The folder appears in one step when the last picture is done: an interrupt or a full disk leaves nothing behind.

    Args:
        out: the folder; must not exist or must be empty.
        splits: for each split, such as train and val, its scenes; drawn one at a time.
        quality: of the JPEG files, 1 to 100.

    Returns:
        `out`.

    Raises:
        InputError: if there is no split, or a name or the quality cannot be used.
        StoreError: if the folder is taken or the disk does not take it.
    """
    if not splits or not all(isinstance(name, str) and SPLIT.fullmatch(name) for name in splits):
        raise InputError(f"splits: expected names of letters, digits and _, such as train, got {list(splits)}")
    if not isinstance(quality, int) or not 1 <= quality <= 100:
        raise InputError(f"quality: expected 1 to 100, got {quality!r}")
    place = Path(out)
    try:
        if place.exists() and (not place.is_dir() or any(place.iterdir())):
            raise StoreError(f"{place}: expected a new or empty folder, got one that is taken: write elsewhere")
    except OSError as error:
        raise StoreError(f"{place}: cannot be read: {why_not(error)}") from error

    def fill(draft: Path) -> None:
        for name, scenes in splits.items():
            _fill(draft, name, scenes, quality)

    make_whole(place, "the set", fill)
    return place


def _fill(draft: Path, split: str, scenes: Iterable[FaceScene], quality: int) -> None:
    """One split: pictures, then its two tables."""
    boxes: list[str] = []
    labels: list[str] = []
    for number, scene in enumerate(scenes):
        event = EVENTS[scene.style]
        stem = event.replace("--", "_")
        name = f"{event}/{stem}_{number:05d}.jpg"
        _write(draft / f"WIDER_{split}" / "images" / name, _jpeg(scene.image, quality))
        whole = _whole_pixels(scene)
        boxes += [name, str(len(whole))]
        boxes += [" ".join(map(str, (*box, *codes))) for box, codes in zip(whole, scene.wider.tolist(), strict=True)]
        boxes += [] if len(whole) else [" ".join("0" * 10)]
        labels.append(f"# {name}")
        labels += [_points_row(box, scene, k) for k, box in enumerate(whole)]
    tables = draft / "wider_face_split"
    _write(tables / f"wider_face_{split}_bbx_gt.txt", ("\n".join(boxes) + "\n").encode() if boxes else b"")
    _write(tables / f"wider_face_{split}_label.txt", ("\n".join(labels) + "\n").encode() if labels else b"")


def _whole_pixels(scene: FaceScene) -> list[tuple[int, int, int, int]]:
    """x, y, width, height: the pixels that a box touches at least half; never less than one."""
    found = []
    for x1, y1, x2, y2 in np.rint(scene.boxes).astype(int).tolist():
        found.append((x1, y1, max(x2 - x1, 1), max(y2 - y1, 1)))
    return found


def _points_row(box: tuple[int, int, int, int], scene: FaceScene, index: int) -> str:
    """Columns x y w h, five times x y 0.0 (-1 where it is not known), and how clear the face is, 0 to 1."""
    points = scene.points5[index]
    if np.isfinite(points).all():
        marks = " ".join(f"{x:.3f} {y:.3f} 0.0" for x, y in points.tolist())
    else:
        marks = " ".join(["-1.0 -1.0 -1.0"] * 5)
    height = float(scene.whole_boxes[index, 3] - scene.whole_boxes[index, 1])
    clear = float(np.clip(1 - 8 * scene.blur_px[index] / max(height, 1.0), 0, 1))
    return f"{' '.join(map(str, box))} {marks} {clear:.2f}"


def _jpeg(image: U8, quality: int) -> bytes:
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise InputError(f"image: expected a picture that JPEG can hold, got shape {image.shape}")
    return data.tobytes()


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())

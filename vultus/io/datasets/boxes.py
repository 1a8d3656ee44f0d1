"""Pictures with face boxes: sets that a detector is measured on, in their published layouts."""

from __future__ import annotations

import csv
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vultus.errors import InputError, StoreError
from vultus.io.images import list_pictures, read
from vultus.types import F32, U8

__all__ = ["BoxedPicture", "BoxedSet", "dlib_faces", "human_faces_detection", "pareidolia_noise", "wider_val416"]


@dataclass(frozen=True, slots=True, eq=False)
class BoxedPicture:
    """One picture and its faces.

    Attributes:
        path: the picture.
        boxes: (M, 4) xyxy pixels of the stored picture, edge coordinates; M may be 0.
    """

    path: Path
    boxes: F32

    def read(self) -> U8:
        """The picture, (H, W, 3) uint8 RGB."""
        return read(self.path).pixels


@dataclass(frozen=True, slots=True, eq=False)
class BoxedSet:
    """A set of them.

    Attributes:
        name: of the set.
        pictures: in order of the file names.
        license: terms as stated at the source.
        iou: overlap from which a box counts as found; below 0.5 where the set's boxes are drawn loosely.
        note: what a reader of the numbers must know.
    """

    name: str
    pictures: tuple[BoxedPicture, ...]
    license: str
    iou: float = 0.5
    note: str = ""

    def __len__(self) -> int:
        return len(self.pictures)

    def __iter__(self) -> Iterator[tuple[Callable[[], U8], F32]]:
        """(read, boxes) of each picture."""
        return ((picture.read, picture.boxes) for picture in self.pictures)


def wider_val416(root: Path) -> BoxedSet:
    """100 pictures of WIDER FACE val, squeezed to 416x416.

    `boxes.csv` holds corners in pixels of the unsqueezed picture, so x and y are scaled apart.

    Raises:
        StoreError: if the files are not there.
        InputError: if the table is not of this layout.
    """
    side = 416.0
    found: dict[str, list[list[float]]] = {}
    for row in _rows(root / "boxes.csv", ("image", "orig_w", "orig_h", "x1", "y1", "x2", "y2")):
        sx, sy = side / float(row["orig_w"]), side / float(row["orig_h"])
        corners = [float(row[key]) for key in ("x1", "y1", "x2", "y2")]
        found.setdefault(row["image"], []).append([x * s for x, s in zip(corners, (sx, sy, sx, sy), strict=True)])
    note = "squeezed to a square: faces are narrower than life, most are tiny"
    return BoxedSet("wider_val416", _boxed(root / "images", found), "research use", note=note)


def human_faces_detection(root: Path) -> BoxedSet:
    """63 photographs of crowds and portraits; `boxes.csv` holds x, y, w, h, every row twice.

    Raises:
        StoreError: if the files are not there.
        InputError: if the table is not of this layout.
    """
    found: dict[str, list[list[float]]] = {}
    for row in _rows(root / "boxes.csv", ("image", "x", "y", "w", "h")):
        x, y, w, h = (float(row[key]) for key in ("x", "y", "w", "h"))
        boxes = found.setdefault(row["image"], [])
        if [x, y, x + w, y + h] not in boxes:
            boxes.append([x, y, x + w, y + h])
    note = "boxes are heads, and not all faces are boxed: false alarms are an upper bound"
    return BoxedSet("human_faces_detection", _boxed(root / "images", found), "stock previews", iou=0.25, note=note)


def dlib_faces(root: Path) -> BoxedSet:
    """The example photographs of dlib: testing.xml and training.xml, boxes as left, top, width, height.

    Boxes marked `ignore` are left out.

    Raises:
        StoreError: if the files are not there.
        InputError: if a file is not of this layout.
    """
    found: dict[str, list[list[float]]] = {}
    for name in ("testing.xml", "training.xml"):
        try:
            tree = ElementTree.parse(root / name)
        except OSError as error:
            raise StoreError(f"expected dlib's {name} in {root}, could not read it ({error.strerror})") from error
        except ElementTree.ParseError as error:
            raise InputError(f"{root / name}: expected XML of dlib's imglab, got something else ({error})") from error
        for image in tree.iter("image"):
            boxes = found.setdefault(image.get("file", ""), [])
            for box in image.iter("box"):
                left, top, width, height = (
                    _number(root / name, box, key) for key in ("left", "top", "width", "height")
                )
                if box.get("ignore") != "1":
                    boxes.append([left, top, left + width, top + height])
    note = "boxes are tight squares from eyebrows to chin"
    return BoxedSet("dlib_faces", _boxed(root, found), "Boost Software License 1.0", iou=0.4, note=note)


def pareidolia_noise(root: Path) -> BoxedSet:
    """Fractal noise without a face: a detector should stay silent.

    Raises:
        StoreError: if the folder is not there.
    """
    if not root.is_dir():
        raise StoreError(f"expected the folder of the set pareidolia_noise, found none at {root}")
    empty = np.zeros((0, 4), np.float32)
    pictures = tuple(BoxedPicture(Path(path), empty) for path in list_pictures(root))
    return BoxedSet("pareidolia_noise", pictures, "not stated", note="no picture holds a face")


def _rows(path: Path, columns: tuple[str, ...]) -> Iterable[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            table = list(csv.DictReader(file))
    except OSError as error:
        raise StoreError(f"expected a table of boxes at {path}, could not read it ({error.strerror})") from error
    if table and not set(columns) <= set(table[0]):
        raise InputError(f"{path}: expected the columns {', '.join(columns)}, got {', '.join(table[0])}")
    for line, row in enumerate(table, start=2):
        for key in columns[1:]:
            try:
                float(row[key])
            except (TypeError, ValueError) as error:
                raise InputError(f"{path}, line {line}: expected a number in {key}, got {row[key]!r}") from error
    return table


def _number(path: Path, box: ElementTree.Element, key: str) -> float:
    try:
        return float(box.get(key, ""))
    except ValueError as error:
        raise InputError(f"{path}: expected a box with a number in {key}, got {box.get(key)!r}") from error


def _boxed(folder: Path, found: dict[str, list[list[float]]]) -> tuple[BoxedPicture, ...]:
    return tuple(
        BoxedPicture(folder / name, np.array(found[name], np.float32).reshape(-1, 4)) for name in sorted(found)
    )

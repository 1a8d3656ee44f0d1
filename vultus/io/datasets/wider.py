"""WIDER FACE in its published layout: `wider_face_split/wider_face_<split>_bbx_gt.txt` and the pictures beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError, StoreError
from vultus.io.datasets.boxes import BoxedPicture, BoxedSet

__all__ = ["COLUMNS", "read_table", "wider_face"]

COLUMNS = ("x", "y", "w", "h", "blur", "expression", "illumination", "invalid", "occlusion", "pose")


def wider_face(root: Path, split: str = "val") -> BoxedSet:
    """A split of WIDER FACE, or of a set written as it is; boxes that are marked invalid or empty are left out.

    Args:
        root: the folder that holds `wider_face_split` and `WIDER_<split>`.
        split: train or val.

    Raises:
        StoreError: if the files are not there.
        InputError: if the table is not of this layout; the message names the line.
    """
    table = read_table(Path(root) / "wider_face_split" / f"wider_face_{split}_bbx_gt.txt")
    pictures = []
    for name, rows in table:
        kept = rows[(rows[:, 7] == 0) & (rows[:, 2] > 0) & (rows[:, 3] > 0)]
        boxes = np.concatenate([kept[:, :2], kept[:, :2] + kept[:, 2:4]], axis=1).astype(np.float32)
        pictures.append(BoxedPicture(Path(root) / f"WIDER_{split}" / "images" / name, boxes))
    return BoxedSet(f"wider_face_{split}", tuple(pictures), "research use", note="invalid boxes are left out")


def read_table(path: Path) -> list[tuple[str, NDArray[np.int64]]]:
    """(name, (N, 10) of `COLUMNS`) of each picture, in order.

    A picture without faces has one row of zeros in the file and none here.

    Raises:
        StoreError: if the file cannot be read.
        InputError: if a line is not of this layout.
    """
    try:
        lines = enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
    except OSError as error:
        raise StoreError(f"expected a table of WIDER FACE at {path}, could not read it ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected text, got something else: {error.reason}") from error
    found = []
    for number, name in lines:
        if not name.strip().lower().endswith((".jpg", ".jpeg", ".png")):
            raise InputError(f"{path}, line {number}: expected the name of a picture, got {name!r}")
        _, count = next(lines, (number, ""))
        if not count.strip().isdigit():
            raise InputError(f"{path}, line {number + 1}: expected how many faces there are, got {count!r}")
        rows = [_row(path, lines, number) for _ in range(max(int(count), 1))]
        found.append((name.strip(), np.array(rows if int(count) else [], np.int64).reshape(-1, 10)))
    return found


def _row(path: Path, lines: Iterator[tuple[int, str]], start: int) -> list[int]:
    number, line = next(lines, (start, ""))
    try:
        values = [int(word) for word in line.split()]
    except ValueError:
        values = []
    if len(values) != len(COLUMNS):
        raise InputError(f"{path}, line {number}: expected the ten numbers {' '.join(COLUMNS)}, got {line!r}")
    return values

"""Frames of YouTube Faces with 68 points each: a table and a folder of pictures.

    FOLDER/landmarks68.csv            image, identity, video, width, height, x0, y0, ..., x67, y67
    FOLDER/images/NAME_VF.jpg         V, one digit, is the video and F the frame in it

Frames of one video look alike, so mated pairs are of two videos; see `cross_video`. The points come from a landmarker
and nobody has looked at them: those of turned heads are often wrong. Faces and identities are those of Wolf, Hassner &
Maoz, "Face recognition in unconstrained videos with matched background similarity", CVPR 2011.
"""

from __future__ import annotations

import csv
import io
import os
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.io.datasets.records import Dataset, existing, indexed
from vultus.io.datasets.tables import text_of
from vultus.ops.points import five_from_68
from vultus.types import F32, checked

__all__ = ["VideoFrames", "cross_video", "youtube_faces"]

I64 = NDArray[np.int64]

_NAMED = re.compile(r"(.+)_(\d)(\d+)")
_HEAD = ("image", "identity", "video", "width", "height")
_POINTS = tuple(f"{axis}{k}" for k in range(68) for axis in "xy")


@dataclass(frozen=True, slots=True, eq=False)
class VideoFrames:
    """Pictures of people, the video that each is from, and its points.

    Attributes:
        dataset: pictures and people.
        videos: (N,) number of the video; it counts from anew for every person.
        points68: (N, 68, 2) pixels, iBUG order.
        hw: (N, 2) height and width of each picture.
    """

    dataset: Dataset
    videos: I64
    points68: F32
    hw: I64

    def __post_init__(self) -> None:
        n = len(self.dataset)
        object.__setattr__(self, "videos", checked("videos", self.videos, (n,), np.int64))
        object.__setattr__(self, "points68", checked("points68", self.points68, (n, 68, 2)))
        object.__setattr__(self, "hw", checked("hw", self.hw, (n, 2), np.int64))

    def __len__(self) -> int:
        return len(self.dataset)

    @property
    def points5(self) -> F32:
        """(N, 5, 2) five points of the 68."""
        return five_from_68(self.points68)


def youtube_faces(
    folder: str | os.PathLike[str], *, name: str = "youtube_faces", license: str = "research"
) -> VideoFrames:
    """Read the table; no picture is opened.

    Args:
        folder: holds `landmarks68.csv` and `images`.
        name: of the set.
        license: terms of the pictures.

    Raises:
        InputError: no such table, a column or a number is missing, a name that says another video than its row, a
            picture listed twice, or pictures are missing (all are counted).
        StoreError: the system refuses to read it.
    """
    table = Path(folder) / "landmarks68.csv"
    reader = csv.DictReader(io.StringIO(text_of(table), newline=""))
    rows: list[tuple[str, str, list[float]]] = []
    try:
        gone = [column for column in (*_HEAD, *_POINTS) if column not in (reader.fieldnames or ())]
        if gone:
            raise InputError(f"{table}: expected image, identity, video, width, height, x0 to y67, lacks {gone[:3]}")
        for row in reader:
            rows.append(_row(f"{table}, line {reader.line_num}", row))
    except csv.Error as error:
        raise InputError(f"{table}: expected a table, got something else: {error}") from error
    if not rows:
        raise InputError(f"{table}: expected a line per picture, got only a header")
    files = [file for file, _, _ in rows]
    if len(set(files)) < len(files):
        twice = next(file for k, file in enumerate(files) if file in files[:k])
        raise InputError(f"{table}: expected each picture once, got {twice} again")
    subjects, names = indexed([person for _, person, _ in rows])
    paths = existing([table.parent / "images" / file for file in files], str(table))
    numbers = np.array([values for _, _, values in rows], np.float64)
    return VideoFrames(
        Dataset(name, paths, subjects, names, license),
        numbers[:, 0].astype(np.int64),
        numbers[:, 3:].reshape(-1, 68, 2).astype(np.float32),
        numbers[:, 2:0:-1].astype(np.int64),
    )


def cross_video(subjects: ArrayLike, videos: ArrayLike) -> tuple[I64, I64]:
    """All pairs of one person in two videos.

    Args:
        subjects: (N,) whom each picture shows, from 0.
        videos: (N,) the video of each, counted from anew for every person.

    Returns:
        (P,) and (P,), the first index below the second, in rising order.

    Raises:
        InputError: if shapes differ.
    """
    who = checked("subjects", subjects, (None,), np.int64)
    video = checked("videos", videos, (len(who),), np.int64)
    left, right = [], []
    for person in np.unique(who):
        mine = np.flatnonzero(who == person)
        a, b = np.triu_indices(len(mine), 1)
        apart = video[mine[a]] != video[mine[b]]
        left.append(mine[a[apart]])
        right.append(mine[b[apart]])
    none = [np.zeros(0, np.int64)]
    first, second = np.concatenate(left or none), np.concatenate(right or none)
    order = np.lexsort((second, first))
    return first[order], second[order]


def _row(where: str, row: dict[str, str]) -> tuple[str, str, list[float]]:
    """File, person, and video, width, height and the points as numbers."""
    file, person = row["image"] or "", unicodedata.normalize("NFC", row["identity"] or "")
    if not person or not file or Path(file).name != file:
        raise InputError(f"{where}: expected a file name without folders and a person, got {file!r} and {person!r}")
    try:
        values = [float(row[column]) for column in (*_HEAD[2:], *_POINTS)]
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: expected numbers from video to y67, got {error}") from error
    if not np.isfinite(values).all() or min(values[1:3]) < 1 or any(value % 1 for value in values[:3]):
        raise InputError(f"{where}: expected finite numbers and whole video, width and height, got {values[:3]}")
    match = _NAMED.fullmatch(Path(file).stem)
    if match is None or int(match[2]) != values[0]:
        raise InputError(f"{where}: expected NAME_VF with video {int(values[0])} in front of the frame, got {file!r}")
    return file, person, values

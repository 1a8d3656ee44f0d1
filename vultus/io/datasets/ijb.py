"""IJB-B and IJB-C: templates of several photographs and videos of a person, compared 1:1 and searched 1:N.

Layout: that in which InsightFace passes the sets on (recognition/_evaluation_/ijb), for the user's own copy:

    loose_crop/1.jpg ...                    the pictures
    meta/ijbc_face_tid_mid.txt              `picture template medium`
    meta/ijbc_name_5pts_score.txt           `picture x1 y1 ... x5 y5 score`, the same pictures in the same order
    meta/ijbc_template_pair_label.txt       `template template 1`, 0 for two people
    meta/ijbc_1N_gallery_G1.csv, _G2.csv    TEMPLATE_ID,SUBJECT_ID,...; a line per picture (IJB-B: _S1, _S2)
    meta/ijbc_1N_probe_mixed.csv            the same

Sets: Whitelam et al. 2017 (doi:10.1109/CVPRW.2017.87), Maze et al. 2018 (doi:10.1109/ICB2018.2018.00033). Without the
1:N lists only pairs can be judged, and people are what the mated pairs link.
"""

from __future__ import annotations

import csv
import io
import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError, StoreError
from vultus.io.datasets.records import existing
from vultus.io.datasets.tables import text_of
from vultus.types import F32

__all__ = ["Ijb", "ijb"]

I64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Ijb:
    """A set of templates.

    Attributes:
        name: "ijbb", "ijbc" or what its files begin with.
        paths: N pictures.
        points: (N, 5, 2) pixels of the five points that come with the set.
        score: (N,) of the detector that found the face, in [0, 1].
        template: (N,) template of each picture, as an index into `numbers`.
        media: (N,) number of the photograph or video.
        numbers: (T,) official number of each template, rising.
        subjects: (T,) person of each template, from 0.
        left: (P,) first template of each pair, as an index.
        right: (P,) second template.
        galleries: templates of each gallery, as indices; none without the 1:N lists.
        probes: templates that are searched, as indices.
        license: terms of the pictures.
        tier: "real" or "sim".
    """

    name: str
    paths: tuple[Path, ...]
    points: F32
    score: NDArray[np.float64]
    template: I64
    media: I64
    numbers: I64
    subjects: I64
    left: I64
    right: I64
    galleries: tuple[I64, ...] = ()
    probes: I64 | None = None
    license: str = "research, as granted by NIST"
    tier: str = "real"

    @property
    def same(self) -> NDArray[np.bool_]:
        """(P,) True where both templates are of one person."""
        result: NDArray[np.bool_] = self.subjects[self.left] == self.subjects[self.right]
        return result


def ijb(root: str | os.PathLike[str], *, license: str = "research, as granted by NIST", tier: str = "real") -> Ijb:
    """Read the folder that holds `meta` and `loose_crop`.

    Args:
        root: the folder, such as IJBC.
        license: terms of the pictures.
        tier: "real" or "sim".

    Raises:
        InputError: a list is missing or of another form (its line is named), lists contradict each other, or pictures
            are missing (all are counted).
        StoreError: the system refuses to read a file.
    """
    meta = Path(root) / "meta"
    heads = sorted(meta.glob("*_face_tid_mid.txt"))
    if len(heads) != 1:
        raise InputError(
            f"{meta}: expected one list *_face_tid_mid.txt, such as ijbc_face_tid_mid.txt, got {len(heads)}: name the "
            "folder that holds meta and loose_crop"
        )
    name = heads[0].name.removesuffix("_face_tid_mid.txt")
    pictures, owner, media = _owners(heads[0])
    points, score = _points(meta / f"{name}_name_5pts_score.txt", pictures)
    numbers, template = np.unique(owner, return_inverse=True)
    pairs = _pairs(meta / f"{name}_template_pair_label.txt", numbers)
    galleries: list[I64] = []
    probes: I64 | None = None
    people: dict[int, int] = {}
    for file in _lists(meta, name):
        listed, told = _listed(file, numbers)
        for at, who in told.items():
            if people.setdefault(at, who) != who:
                raise InputError(
                    f"{file}: expected one person for template {numbers[at]}, got {who} and {people[at]} elsewhere"
                )
        if file.name.endswith("_probe_mixed.csv"):
            probes = listed
        else:
            galleries.append(listed)
    subjects = _people(len(numbers), people, pairs, numbers)
    paths = existing([Path(root) / "loose_crop" / picture for picture in pictures], str(heads[0]))
    return Ijb(
        name, paths, points, score, template, media, numbers, subjects, pairs[:, 0], pairs[:, 1],
        tuple(galleries), probes, license, tier,
    )  # fmt: skip


def _owners(path: Path) -> tuple[list[str], I64, I64]:
    """Pictures, templates and media, a line each."""
    pictures, numbers = [], []
    for line, text in enumerate(text_of(path).splitlines(), 1):
        words = text.split()
        if not words:
            continue
        if len(words) != 3 or not (_whole(words[1]) and _whole(words[2])) or not _inside(words[0]):
            raise InputError(f"{path}, line {line}: expected `picture template medium`, got {text[:60]!r}")
        pictures.append(words[0])
        numbers.append((int(words[1]), int(words[2])))
    if not pictures:
        raise InputError(f"{path}: expected a line per picture, got none")
    both = np.array(numbers, np.int64)
    return pictures, both[:, 0], both[:, 1]


def _points(path: Path, pictures: list[str]) -> tuple[F32, NDArray[np.float64]]:
    """Five points and score of each picture of the other list."""
    rows: list[list[float]] = []
    for line, text in enumerate(text_of(path).splitlines(), 1):
        words = text.split()
        if not words:
            continue
        try:
            values = [float(word) for word in words[1:]]
        except ValueError:
            values = []
        if len(values) != 11 or not np.isfinite(values).all():
            raise InputError(f"{path}, line {line}: expected `picture x1 y1 ... x5 y5 score`, got {text[:60]!r}")
        if not 0 <= values[10] <= 1:
            raise InputError(
                f"{path}, line {line}: expected the score of a detector, from 0 to 1, by which pictures weigh, got "
                f"{values[10]:g}"
            )
        if len(rows) < len(pictures) and words[0] != pictures[len(rows)]:
            raise InputError(
                f"{path}, line {line}: expected the pictures of the other list in its order, next "
                f"{pictures[len(rows)]}, got {words[0]}"
            )
        rows.append(values)
    if len(rows) != len(pictures):
        raise InputError(f"{path}: expected {len(pictures)} pictures, as the other list has, got {len(rows)}")
    table = np.array(rows)
    return table[:, :10].reshape(-1, 5, 2).astype(np.float32), table[:, 10]


def _pairs(path: Path, numbers: I64) -> I64:
    """(P, 3) templates as indices and the label; millions of lines, so they are not read one by one."""
    if not path.is_file():
        raise InputError(f"{path}: expected the list of pairs, but there is nothing at this path")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # of an empty file
            table = np.loadtxt(path, dtype=np.int64, ndmin=2)
    except (ValueError, UserWarning) as error:
        raise InputError(f"{path}: expected `template template label` in whole numbers, got: {error}") from error
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}: check its permissions and the disk") from error
    if table.shape[1:] != (3,) or not len(table) or not np.isin(table[:, 2], (0, 1)).all():
        raise InputError(
            f"{path}: expected `template template label` with labels 0 and 1, got {table.shape[1:]} columns"
        )
    table[:, :2] = _indices(path, table[:, :2], numbers)
    return table


def _lists(meta: Path, name: str) -> list[Path]:
    """The 1:N lists, galleries first; all of them or none."""
    probes = meta / f"{name}_1N_probe_mixed.csv"
    galleries = sorted(meta.glob(f"{name}_1N_gallery_*.csv"))
    if not galleries and not probes.exists():
        return []
    if not galleries or not probes.exists():
        raise InputError(
            f"{meta}: expected galleries {name}_1N_gallery_*.csv and probes {probes.name}, or none of them, got only "
            f"{'galleries' if galleries else 'probes'}"
        )
    return [*galleries, probes]


def _listed(path: Path, numbers: I64) -> tuple[I64, dict[int, int]]:
    """Templates of a 1:N list as indices, rising, and the person of each."""
    reader = csv.reader(io.StringIO(text_of(path), newline=""))
    people: dict[int, int] = {}
    try:
        for row in reader:
            if reader.line_num == 1 and not (row and _whole(row[0])):
                continue
            if len(row) < 2 or not (_whole(row[0]) and _whole(row[1])):
                raise InputError(f"{path}, line {reader.line_num}: expected TEMPLATE_ID,SUBJECT_ID,..., got {row[:3]}")
            if people.setdefault(int(row[0]), int(row[1])) != int(row[1]):
                raise InputError(
                    f"{path}, line {reader.line_num}: expected one person for template {row[0]}, got {row[1]} and "
                    f"{people[int(row[0])]}"
                )
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: expected a table, got something else: {error}") from error
    if not people:
        raise InputError(f"{path}: expected a line per picture, got none")
    found = _indices(path, np.array(sorted(people), np.int64), numbers)
    return found, dict(zip(found.tolist(), (people[k] for k in sorted(people)), strict=True))


def _indices(path: Path, wanted: I64, numbers: I64) -> I64:
    """Official numbers of templates as indices."""
    at = np.minimum(np.searchsorted(numbers, wanted), len(numbers) - 1)
    unknown = wanted[numbers[at] != wanted]
    if unknown.size:
        raise InputError(
            f"{path}: expected templates of the list of pictures, got {len(np.unique(unknown))} without a picture, "
            f"such as {unknown.flat[0]}"
        )
    return at


def _people(n: int, told: dict[int, int], pairs: I64, numbers: I64) -> I64:
    """(T,) person of each template: what the lists say, and what mated pairs link.

    Raises:
        InputError: where lists and labels contradict each other.
    """
    parent = list(range(n))

    def root(k: int) -> int:
        while parent[k] != k:
            parent[k] = parent[parent[k]]
            k = parent[k]
        return k

    first: dict[int, int] = {}
    for at, who in told.items():
        parent[root(at)] = root(first.setdefault(who, at))
    for a, b in pairs[pairs[:, 2] == 1, :2].tolist():
        parent[root(a)] = root(b)
    roots = [root(k) for k in range(n)]
    said: dict[int, int] = {}
    for at, who in told.items():
        if said.setdefault(roots[at], who) != who:
            raise InputError(
                f"labels: expected mated pairs of one person, got a chain of them from person {said[roots[at]]} to "
                f"person {who} (template {numbers[at]})"
            )
    subjects = np.unique(roots, return_inverse=True)[1]
    wrong = (subjects[pairs[:, 0]] == subjects[pairs[:, 1]]) & (pairs[:, 2] == 0)
    if wrong.any():
        a, b = numbers[pairs[wrong][0, :2]]
        raise InputError(
            f"labels: expected non-mated pairs of two people, got {int(wrong.sum())} of one, such as templates {a} "
            f"and {b}"
        )
    return subjects


def _whole(word: str) -> bool:
    return word.isascii() and word.isdecimal() and len(word) < 16


def _inside(picture: str) -> bool:
    """A name that stays in the folder of pictures."""
    path = Path(picture)
    return not path.is_absolute() and ".." not in path.parts and "\0" not in picture

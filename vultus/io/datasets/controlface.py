"""ControlFace10k and sets of its form: every file name says who, which group, which pose."""

from __future__ import annotations

import csv
import json
import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError
from vultus.io.datasets.records import Dataset, indexed
from vultus.io.files import read_bytes
from vultus.io.images import list_pictures

__all__ = ["PATTERN", "Faceted", "controlface", "file_name", "with_groups"]

I64 = NDArray[np.int64]

PATTERN = r"(?P<id>[^_]+)_(?P<race>[^_]+)_(?P<gender>[^_]+)_(?P<age>[^_]+)_(?P<pose>[^_]+)"
"""Name without suffix: id_race_gender_age_pose. The published set may differ: give your own."""

MANIFEST = "about.json"
_MAX_NAMES = 5
_MAX_TABLE = 256 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Faceted:
    """A data set whose pictures are sorted by facets such as race, gender, age and pose.

    Attributes:
        dataset: pictures and people.
        values: facet -> its values, sorted.
        of: facet -> (N,) index into its values, one per picture.
    """

    dataset: Dataset
    values: Mapping[str, tuple[str, ...]]
    of: Mapping[str, I64]

    def __len__(self) -> int:
        return len(self.dataset)

    def of_people(self, facet: str) -> list[str]:
        """The value of each person, in the order of `dataset.names`.

        Raises:
            InputError: if there is no such facet, or pictures of one person differ in it, as in their pose.
        """
        if facet not in self.values:
            raise InputError(f"facet: expected one of {', '.join(self.values)}, got {facet!r}")
        found = np.full(len(self.dataset.names), -1)
        found[self.dataset.subjects] = self.of[facet]
        wrong = np.flatnonzero(found[self.dataset.subjects] != self.of[facet])
        if len(wrong):
            raise InputError(
                f"{facet}: expected one value per person, got several for {self._name(wrong[0])}: it belongs to "
                "pictures; if ids are counted anew in every group, let the pattern take the group into the id"
            )
        return [self.values[facet][place] for place in found]

    def _name(self, picture: np.intp) -> str:
        return self.dataset.names[int(self.dataset.subjects[picture])]


def file_name(person: str, race: str, gender: str, age: str, pose: str, suffix: str = ".png") -> str:
    """The name that `PATTERN` reads.

    Raises:
        InputError: if a part is empty or holds _ or a separator of paths.
    """
    parts = (person, race, gender, age, pose)
    if any(not part or set(part) & set("_/\\.") for part in parts):
        raise InputError(f"file name: expected parts without _ . / and \\, none empty, got {parts}")
    return "_".join(parts) + suffix


def controlface(
    path: str | os.PathLike[str],
    *,
    pattern: str = PATTERN,
    name: str | None = None,
    license: str = "unstated",
) -> Faceted:
    r"""Read a set whose file names hold the facets.

    A set that vultus made has `about.json` beside its pictures, which says that they are simulated and their terms.

    Args:
        path: folder; its subfolders are searched too.
        pattern: regular expression for the whole name without suffix, with the named groups `id` and any of race,
            gender, age, pose or others, such as r"(?P<race>\w)(?P<id>\d+)-(?P<pose>\w+)".
        name: of the set; None takes the folder's.
        license: terms of the pictures.

    Raises:
        InputError: no pictures, a name that does not match (all are counted, the first five named), or a pattern
            without `id` and a facet.
    """
    facets = _facets(pattern)
    root = Path(path)
    paths = list_pictures(root)
    if not paths:
        raise InputError(f"{root}: expected pictures, got none")
    matches = [re.fullmatch(pattern, found.stem) for found in paths]
    strange = [found.name for found, match in zip(paths, matches, strict=True) if match is None]
    if strange:
        first = ", ".join(strange[:_MAX_NAMES]) + (", ..." if len(strange) > _MAX_NAMES else "")
        raise InputError(f"{root}: expected names like {pattern}, {len(strange)} of {len(paths)} differ: {first}")
    rows = [match.groupdict() for match in matches if match is not None]
    subjects, names = indexed([row["id"] for row in rows])
    columns = {facet: indexed([row[facet] or "" for row in rows]) for facet in facets}
    about = _about(root)
    tier = "sim" if about.get("tier") == "sim" else "real"
    dataset = Dataset(
        name or about.get("name") or root.resolve().name,
        tuple(paths),
        subjects,
        names,
        license if license != "unstated" else about.get("license", license),
        tier,
    )
    return Faceted(dataset, {f: v for f, (_, v) in columns.items()}, {f: i for f, (i, _) in columns.items()})


def with_groups(dataset: Dataset, path: str | os.PathLike[str]) -> Faceted:
    """Facets of people from a CSV file with the column `person` and one column per facet.

    Args:
        dataset: pictures and people, such as `vultus.io.datasets.folder` reads them.
        path: the file; a person who is not in it, or whose cell is empty, has no group.

    Raises:
        InputError: the file is missing or has other columns, a person is in it twice, or it names nobody of the set.
    """
    try:
        text = read_bytes(path, _MAX_TABLE).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected UTF-8 text, got other bytes ({error})") from error
    reader = csv.DictReader(text.splitlines(), restval="")
    try:
        columns, rows = list(reader.fieldnames or ()), list(reader)
    except csv.Error as error:
        raise InputError(f"{path}: expected a CSV file, got something else ({error})") from error
    facets = [name for name in columns if name and name != "person"]
    if not facets or not rows or "person" not in columns or len(set(columns)) < len(columns):
        raise InputError(
            f"{path}: expected the columns person and one per facet, each once, and a line per person, got the columns "
            f"{', '.join(columns) or 'none'} and {len(rows)} lines"
        )
    people = Counter(row["person"] for row in rows)
    twice = [name for name, n in people.items() if n > 1]
    if twice:
        raise InputError(
            f"{path}: expected every person once, got {', '.join(map(repr, twice[:_MAX_NAMES]))} more often"
        )
    if not people.keys() & set(dataset.names):
        raise InputError(
            f"{path}: expected people of the set, such as {dataset.names[0]}, got {next(iter(people))} and others"
        )
    cells = {row["person"]: row for row in rows}
    values, of = {}, {}
    for facet in facets:
        words = [((cells.get(name) or {}).get(facet) or "").strip() for name in dataset.names]
        per_person, values[facet] = indexed(words)
        of[facet] = per_person[dataset.subjects]
    return Faceted(dataset, values, of)


def _facets(pattern: str) -> tuple[str, ...]:
    try:
        known = re.compile(pattern).groupindex
    except re.error as error:
        raise InputError(f"pattern: expected a regular expression, got {pattern!r} ({error})") from error
    facets = tuple(known.keys() - {"id"})
    if "id" not in known or not facets:
        raise InputError(f"pattern: expected the group (?P<id>...) and at least one facet, got {', '.join(known)}")
    return tuple(key for key in known if key != "id")


def _about(root: Path) -> dict[str, str]:
    file = root / MANIFEST
    if not file.is_file():
        return {}
    try:
        table = json.loads(file.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: expected JSON, got something else ({error})") from error
    if not isinstance(table, dict):
        raise InputError(f"{file}: expected one JSON object, got {type(table).__name__}")
    return {str(key): value for key, value in table.items() if isinstance(value, str)}

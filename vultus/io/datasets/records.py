"""What a data set is once it is read: pictures with their people, and pairs of pictures in folds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError
from vultus.io import images
from vultus.types import Image, checked

__all__ = ["Dataset", "Pairs", "existing", "indexed"]

I64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Pictures and whom they show; nothing is decoded until it is asked for.

    Attributes:
        name: of the set.
        paths: N pictures.
        subjects: (N,) whom each shows, as an index into `names`.
        names: one per person.
        license: terms as stated at the source, or what the loader knows.
        tier: "real" or "sim".
    """

    name: str
    paths: tuple[Path, ...]
    subjects: I64
    names: tuple[str, ...]
    license: str = "unstated"
    tier: str = "real"

    def __post_init__(self) -> None:
        subjects = checked("subjects", self.subjects, (len(self.paths),), np.int64)
        if len(subjects) and (subjects.min() < 0 or subjects.max() >= len(self.names)):
            raise InputError(
                f"subjects: expected indices from 0 below {len(self.names)}, got {subjects.min()} to {subjects.max()}"
            )
        if self.tier not in ("real", "sim"):
            raise InputError(f"tier: expected real or sim, got {self.tier!r}")
        object.__setattr__(self, "subjects", subjects)

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, i: int) -> Image:
        """Decode picture i; published sets hold JPEG files that end early, so those are accepted.

        Raises:
            InputError: it is not a picture.
        """
        return images.read(self.paths[i], truncated="accept")

    def people(self) -> Iterator[tuple[str, tuple[Path, ...]]]:
        """Each person's name and pictures, in the order of `names`."""
        of: list[list[Path]] = [[] for _ in self.names]
        for path, subject in zip(self.paths, self.subjects.tolist(), strict=True):
            of[subject].append(path)
        return ((name, tuple(paths)) for name, paths in zip(self.names, of, strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pairs of pictures to verify, in folds.

    Attributes:
        dataset: each picture once, sorted by path.
        left: (P,) first picture of each pair, as an index into `dataset.paths`.
        right: (P,) second picture.
        folds: (P,) fold of each pair, from 0.
    """

    dataset: Dataset
    left: I64
    right: I64
    folds: I64

    def __post_init__(self) -> None:
        for name in ("left", "right", "folds"):
            column = checked(name, getattr(self, name), (len(self.left),), np.int64)
            limit = len(self.left) if name == "folds" else len(self.dataset)
            if len(column) and (column.min() < 0 or column.max() >= limit):
                raise InputError(f"{name}: expected from 0 below {limit}, got {column.min()} to {column.max()}")
            object.__setattr__(self, name, column)

    def __len__(self) -> int:
        return len(self.left)

    @property
    def name(self) -> str:
        """Of the set."""
        return self.dataset.name

    @property
    def tier(self) -> str:
        """Of the data: "real" or "sim"."""
        return self.dataset.tier

    @property
    def paths(self) -> tuple[Path, ...]:
        """Each picture once."""
        return self.dataset.paths

    @property
    def subjects(self) -> I64:
        """(N,) whom each picture shows."""
        return self.dataset.subjects

    @property
    def same(self) -> NDArray[np.bool_]:
        """(P,) True where both pictures show one person."""
        result: NDArray[np.bool_] = self.subjects[self.left] == self.subjects[self.right]
        return result


def indexed(people: Sequence[str]) -> tuple[I64, tuple[str, ...]]:
    """One name per picture -> (N,) subject indices and the sorted names."""
    names = tuple(sorted(set(people)))
    number = {name: i for i, name in enumerate(names)}
    return np.array([number[name] for name in people], dtype=np.int64), names


def existing(paths: Sequence[Path], what: str) -> tuple[Path, ...]:
    """The paths, if every one is a file.

    Raises:
        InputError: some are not; all are counted and the first five named.
    """
    gone = [path for path in dict.fromkeys(paths) if not path.is_file()]
    if gone:
        first = ", ".join(map(str, gone[:5])) + (", ..." if len(gone) > 5 else "")
        raise InputError(f"{what}: {len(gone)} of {len(set(paths))} pictures are missing: {first}")
    return tuple(paths)

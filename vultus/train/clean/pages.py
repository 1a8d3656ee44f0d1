"""What a collection is made of: pages, each a picture with the names that stand beside it.

This package fetches nothing. `Page` is an interface; what reads an archive, a website or a disk is an adapter of the
user's, and so is the duty to keep to its terms, its robots.txt and the law on pictures of people.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from vultus.io import images
from vultus.io.datasets.records import Dataset
from vultus.types import Image

__all__ = ["FaceEncoder", "FilePage", "Page", "folder_pages"]


@runtime_checkable
class Page(Protocol):
    """A picture and who is said to be on it."""

    @property
    def name(self) -> str:
        """What the report calls it, such as its path; no two pages share one."""
        ...

    @property
    def tags(self) -> Sequence[str]:
        """Names that stand beside it, in any order; some may be wrong and some missing."""
        ...

    @property
    def portrait_of(self) -> str | None:
        """Key of the person whose main portrait it is, or None."""
        ...

    def read(self) -> Image:
        """Decode the picture.

        Raises:
            VultusError: it cannot be had; the collector says so in its report and goes on.
        """
        ...


@runtime_checkable
class FaceEncoder(Protocol):
    """Finds the faces of a picture and gives each a vector; `vultus.Pipeline` is one."""

    def encode(self, picture: Image) -> Any:
        """A picture -> an object with `detections` (`Detections`) and `embedded` (`Embedded`), one row per face."""
        ...


@dataclass(frozen=True, slots=True)
class FilePage:
    """A page whose picture is a file.

    Attributes:
        path: the picture.
        tags, portrait_of: see `Page`.
        root: folder that the name in the report starts from, such as that of the report; None for the path as it is.
    """

    path: Path
    tags: tuple[str, ...] = ()
    portrait_of: str | None = None
    root: Path | None = None

    @property
    def name(self) -> str:
        """See `Page`."""
        return Path(self.path if self.root is None else os.path.relpath(self.path, self.root)).as_posix()

    def read(self) -> Image:
        """See `Page`."""
        return images.read(self.path, truncated="accept")


def folder_pages(dataset: Dataset, root: Path | None = None) -> Iterator[FilePage]:
    """A set of folders by person as pages with one tag each, the name of the folder, and without portraits.

    Args:
        dataset: such as `vultus.io.datasets.folder` reads.
        root: see `FilePage`.
    """
    for path, subject in zip(dataset.paths, dataset.subjects.tolist(), strict=True):
        yield FilePage(path, (dataset.names[subject],), None, root)

"""Lists of pictures as MXNet and InsightFace keep them in `.lst` files: a line per picture, columns between tabs.

MXNet         number    label [label ...]    path
InsightFace   aligned   path                 label    [left top right bottom    [five points x, five points y]]
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from vultus.errors import InputError
from vultus.io.datasets.records import Dataset, existing, indexed
from vultus.io.datasets.tables import text_of

__all__ = ["lst_table"]

Layout = Literal["mxnet", "insightface"]


def lst_table(
    path: str | os.PathLike[str],
    *,
    root: str | os.PathLike[str] | None = None,
    layout: Layout | None = None,
    name: str | None = None,
    license: str = "unstated",
) -> Dataset:
    """Read a list; of several labels the first is the person, and boxes and points are left out.

    Args:
        path: the list, in UTF-8.
        root: folder that the pictures' paths start from; None means the list's own. Absolute paths stay.
        layout: "mxnet" or "insightface"; None tells them apart by which column of the first line holds the path.
        name: of the set; None takes the list's.
        license: terms of the pictures.

    Raises:
        InputError: no such list, a line of another layout (it is named), or pictures are missing (all are counted).
        StoreError: the system refuses to read it.
    """
    if layout not in (None, "mxnet", "insightface"):
        raise InputError(f'layout: expected "mxnet", "insightface" or None, got {layout!r}')
    table = Path(path)
    lines = [
        (number, line.rstrip().split("\t")) for number, line in enumerate(text_of(table).split("\n"), 1) if line.strip()
    ]
    if not lines:
        raise InputError(f"{table}: expected a line per picture, got none")
    layout = layout or _layout(table, lines[0][1])
    rows = [_row(f"{table}, line {number}", words, layout) for number, words in lines]
    start = table.parent if root is None else Path(root)
    subjects, names = indexed([person for _, person in rows])
    return Dataset(
        name or table.stem, existing([start / where for where, _ in rows], str(table)), subjects, names, license
    )


def _layout(table: Path, words: list[str]) -> Layout:
    if len(words) >= 3:
        second, last = _number(words[1]) is not None, _number(words[-1]) is not None
        if second != last:
            return "mxnet" if second else "insightface"
    raise InputError(
        f"{table}, line 1: expected `number label path` or `aligned path label` between tabs, got {_shown(words)}: "
        "name the layout if the path is a number"
    )


def _row(where: str, words: list[str], layout: Layout) -> tuple[str, str]:
    """Path and person; the same whole number is the same person, however it is written."""
    if layout == "mxnet":
        good = len(words) >= 3 and all(_number(word) is not None for word in words[:-1])
        picture, label = words[-1], words[1] if len(words) > 1 else ""
    else:
        good = len(words) in (3, 7, 17) and words[0] in ("0", "1")
        good = good and all(_number(word) is not None for word in words[2:])
        picture, label = (words[1], words[2]) if good else ("", "")
    value = _number(label)
    if not good or not picture.strip() or "\0" in picture or value is None or value < 0 or value != value // 1:
        form = "number label path" if layout == "mxnet" else "aligned path label"
        raise InputError(f"{where}: expected `{form}` between tabs, with a label of 0, 1, ..., got {_shown(words)}")
    return picture, str(int(value))


def _number(word: str) -> float | None:
    """A finite number, or None."""
    try:
        value = float(word)
    except ValueError:
        return None
    return value if abs(value) < 1 << 53 else None


def _shown(words: list[str]) -> str:
    return repr("\t".join(words)[:60])

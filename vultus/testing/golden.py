"""Pinned numbers: arrays in `<name>.npz` with a twin `<name>.json` that says who made them, from what and when.

A golden file is made by a script (`tools/golden/<name>.py`) that calls `save`; tests call `load` and `compare`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError

__all__ = ["NEEDED", "Golden", "compare", "load", "save"]

NEEDED = ("made_by", "source", "made", "versions")
_LOOSE = 1e-4


@dataclass(frozen=True)
class Golden:
    """Pinned arrays and where they come from.

    Attributes:
        name: of the pair of files.
        arrays: by name.
        provenance: `made_by` (path of the script), `source` (whose numbers: a commit, a release, a package), `made`
            (UTC date) and `versions` (of what was run).
    """

    name: str
    arrays: Mapping[str, NDArray[Any]]
    provenance: Mapping[str, Any]

    def __getitem__(self, key: str) -> NDArray[Any]:
        """One array; InputError when there is none of that name."""
        if key not in self.arrays:
            raise InputError(f"golden {self.name!r}: expected one of {', '.join(self.arrays)}; got {key!r}")
        return self.arrays[key]


def load(folder: Path, name: str) -> Golden:
    """Read `<folder>/<name>.npz` and its provenance.

    Raises:
        InputError: a file is missing, or the provenance does not say what it must.
    """
    numbers, words = folder / f"{name}.npz", folder / f"{name}.json"
    for path in (numbers, words):
        if not path.is_file():
            raise InputError(
                f"golden {name!r}: expected {path.name} beside its twin, found none; run tools/golden/{name}.py"
            )
    provenance = json.loads(words.read_text(encoding="utf-8"))
    missing = [key for key in NEEDED if not provenance.get(key)]
    if missing:
        raise InputError(f"golden {name!r}: expected {words.name} to say {', '.join(missing)}; it came without")
    with np.load(numbers, allow_pickle=False) as file:
        return Golden(name, {key: file[key] for key in file.files}, provenance)


def save(folder: Path, name: str, arrays: Mapping[str, NDArray[Any]], provenance: Mapping[str, Any]) -> None:
    """Write the pair of files; what `load` would refuse is refused here.

    Raises:
        InputError: the provenance lacks one of `NEEDED`, or an array holds objects.
    """
    missing = [key for key in NEEDED if not provenance.get(key)]
    if missing:
        raise InputError(f"golden {name!r}: expected provenance with {', '.join(missing)}; it came without")
    objects = [key for key, array in arrays.items() if array.dtype.hasobject]
    if objects:
        raise InputError(f"golden {name!r}: expected plain numbers, got objects in {', '.join(objects)}")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.npz").open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **dict(arrays))
    text = json.dumps(dict(provenance), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    (folder / f"{name}.json").write_text(text, encoding="utf-8")


def compare(
    what: str, actual: Any, expected: NDArray[Any], *, rtol: float = 1e-5, atol: float = 0.0, because: str = ""
) -> None:
    """Accept |actual - expected| <= atol + rtol |expected|, else say where the largest difference is.

    Args:
        what: name of the quantity, for the message.
        actual: numbers of this code.
        expected: pinned numbers.
        rtol: relative tolerance; above 1e-4 only with a reason.
        atol: absolute tolerance in the unit of the quantity.
        because: the reason for a loose tolerance.

    Raises:
        InputError: a loose tolerance came without a reason.
        AssertionError: shapes or numbers differ.
    """
    if rtol > _LOOSE and not because:
        raise InputError(f"{what}: expected rtol at most {_LOOSE:g}, or a reason; got {rtol:g} and none")
    got = np.asarray(actual)
    if got.shape != expected.shape:
        raise AssertionError(f"{what}: expected shape {expected.shape}, got {got.shape}")
    apart = np.abs(got.astype(np.float64) - expected.astype(np.float64))
    over = apart - (atol + rtol * np.abs(expected.astype(np.float64)))
    wrong = ~(over <= 0)  # NaN is wrong too
    if wrong.any():
        flat = int(np.argmax(np.where(np.isnan(over), np.inf, over)))
        worst = tuple(int(i) for i in np.unravel_index(flat, got.shape))
        raise AssertionError(
            f"{what}: {int(wrong.sum())} of {wrong.size} numbers differ; the largest difference beyond the tolerance "
            f"is {apart[worst]:g} at {worst}: {got[worst]:g} here, {expected[worst]:g} pinned "
            f"(rtol {rtol:g}, atol {atol:g})"
        )

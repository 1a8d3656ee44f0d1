"""The `.bin` files of InsightFace: pairs to verify, aligned to 112 x 112 pixels, in one pickle.

    ([picture, picture, ...], [same, same, ...])      pictures 2k and 2k + 1 are pair k; encoded, mostly as JPEG

lfw.bin, cfp_fp.bin, agedb_30.bin, calfw.bin and cplfw.bin come so, written by Python 2 (protocol 2) or 3. They are read
by `vultus.io.opcodes`, which runs nothing. The files say whether two pictures show one person and not whom: no picture
may be compared with those of other pairs. They have no folds of their own; InsightFace cuts the pairs into ten runs of
equal length, the first ones longer by one where they do not divide. Layout: deepinsight/insightface, lfw2pack.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError
from vultus.io import images
from vultus.io.datasets.webdataset import Fault
from vultus.io.files import read_bytes, write_bytes
from vultus.io.opcodes import interpret
from vultus.types import Image

__all__ = ["AlignedPairs", "insight_bin", "write_insight_bin"]

I64 = NDArray[np.int64]

_MAX_BYTES = 1 << 30
_PICTURE = images.Limits(max_bytes=16 * 1024 * 1024, max_pixels=1 << 22)  # aligned pictures are far smaller


@dataclass(frozen=True, slots=True, eq=False)
class AlignedPairs:
    """Pairs of encoded pictures; nothing is decoded until it is asked for.

    Attributes:
        name: of the set.
        path: the file.
        encoded: 2P pictures as they are stored; 2k and 2k + 1 are pair k.
        same: (P,) True where both pictures show one person.
        folds: (P,) fold of each pair, from 0.
        numbers: (P,) number of each pair in the file, which is its name in messages.
        faults: pairs that cannot be used; they are not among the P.
        license: terms of the pictures.
        tier: "real" or "sim".
    """

    name: str
    path: Path
    encoded: tuple[bytes, ...]
    same: NDArray[np.bool_]
    folds: I64
    numbers: I64
    faults: tuple[Fault, ...] = ()
    license: str = "research benchmark"
    tier: str = "real"

    def __len__(self) -> int:
        return len(self.same)

    @property
    def left(self) -> I64:
        """(P,) first picture of each pair, as an index into `encoded`."""
        return 2 * np.arange(len(self))

    @property
    def right(self) -> I64:
        """(P,) second picture."""
        return 2 * np.arange(len(self)) + 1

    def where(self, i: int) -> str:
        """FILE#PICTURE, which names picture i by its number in the file."""
        self._check(i)
        return f"{self.path}#{2 * int(self.numbers[i // 2]) + i % 2}"

    def read(self, i: int) -> Image:
        """Decode picture i; a JPEG that ends early is accepted.

        Raises:
            InputError: it is not a picture, or has more than four million pixels; the message names it.
        """
        self._check(i)
        try:
            return images.read(self.encoded[i], limits=_PICTURE, truncated="accept")
        except InputError as error:
            raise InputError(f"{self.where(i)}: {error}") from error

    def pictures(self, order: Iterable[int] | None = None) -> Iterator[tuple[int, Image] | Fault]:
        """Index and picture one after the other; what is no picture comes as a `Fault`, and the run goes on.

        Args:
            order: which, and in what order; None takes all.

        Raises:
            InputError: `order` names a picture that does not exist.
        """
        for i in range(len(self.encoded)) if order is None else order:
            where = self.where(i)
            try:
                yield i, self.read(i)
            except InputError as error:
                yield Fault(self.path, i, where.rpartition("#")[2], str(error).removeprefix(f"{where}: "))

    def _check(self, i: int) -> None:
        if not 0 <= i < len(self.encoded):
            raise InputError(f"{self.path}: expected a picture from 0 to {len(self.encoded) - 1}, got {i}")


def insight_bin(
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    n_folds: int = 10,
    license: str = "research benchmark",
    tier: str = "real",
    max_bytes: int = _MAX_BYTES,
) -> AlignedPairs:
    """Read a .bin file; the pictures stay encoded, in memory.

    Args:
        path: the file.
        name: of the set; None takes the file's.
        n_folds: how many runs the pairs are cut into.
        license: terms of the pictures.
        tier: "real" or "sim".
        max_bytes: size of the file, at most; it is held in memory once more while it is read.

    Raises:
        InputError: no such file, not of this layout, asking for more than values, or fewer good pairs than folds.
        StoreError: the system refuses to read it.
    """
    if tier not in ("real", "sim"):
        raise InputError(f"tier: expected real or sim, got {tier!r}")
    file = Path(path)
    try:
        found = interpret(read_bytes(file, max_bytes))
    except InputError as error:
        raise InputError(f"{file}: {str(error).removeprefix(f'{file}: ')}") from error
    pictures, same = _columns(file, found)
    encoded: list[bytes] = []
    good: list[tuple[int, bool]] = []
    faults: list[Fault] = []
    copies: dict[int, bytes] = {}  # one array may stand in many pairs, and would be copied for each
    for k, flag in enumerate(same):
        pair = [_bytes(picture, copies) for picture in pictures[2 * k : 2 * k + 2]]
        reason = _reason(pair, flag)
        if reason:
            faults.append(Fault(file, len(good), f"pair {k}", reason))
        else:
            encoded += [picture for picture in pair if picture]
            good.append((k, bool(flag)))
    if not 1 <= n_folds <= len(good):
        why = f", such as {faults[0]}" if faults else ""
        raise InputError(
            f"{file}: expected at least one pair for each of {n_folds} folds, got {len(good)} pairs and "
            f"{len(faults)} faults{why}"
        )
    sizes = [len(run) for run in np.array_split(np.arange(len(good)), n_folds)]
    return AlignedPairs(
        name or file.stem,
        file,
        tuple(encoded),
        np.array([flag for _, flag in good], np.bool_),
        np.repeat(np.arange(n_folds), sizes),
        np.array([k for k, _ in good], np.int64),
        tuple(faults),
        license,
        tier,
    )


def write_insight_bin(
    path: str | os.PathLike[str], pictures: Sequence[bytes], same: Sequence[bool], *, python2: bool = False
) -> None:
    """Write a .bin file as InsightFace reads it; pictures are stored as they come.

    Args:
        path: where; the folder must exist.
        pictures: 2P encoded pictures; 2k and 2k + 1 are pair k.
        same: P flags, True where both show one person.
        python2: write protocol 2 with Python 2's strings, as the older sets have them, in place of protocol 3.

    Raises:
        InputError: not two pictures for each flag, or an empty one.
        StoreError: the disk does not take it.
    """
    if len(pictures) != 2 * len(same) or not all(pictures):
        raise InputError(f"pictures: expected two for each of {len(same)} flags and none empty, got {len(pictures)}")
    short, long = (b"U", b"T") if python2 else (b"C", b"B")
    parts = [b"\x80\x02" if python2 else b"\x80\x03", b"]("]
    for picture in pictures:
        size = len(picture)
        if size >= 1 << 31:
            raise InputError(f"pictures: expected less than {1 << 31} bytes, got one of {size}")
        parts += [short + bytes([size]) if size < 256 else long + size.to_bytes(4, "little"), bytes(picture)]
    parts += [b"e](", b"".join(b"\x88" if flag else b"\x89" for flag in same), b"e\x86."]
    write_bytes(path, b"".join(parts))


def _columns(file: Path, found: Any) -> tuple[list[Any], list[Any]]:
    """The two lists, checked as far as their lengths."""
    if type(found) not in (tuple, list) or len(found) != 2 or type(found[0]) is not list:
        raise InputError(f"{file}: expected a list of pictures and one of flags, got {_kind(found)}")
    pictures, same = found
    if isinstance(same, np.ndarray) and same.ndim == 1:
        same = same.tolist()
    if type(same) not in (list, tuple) or len(pictures) != 2 * len(same):
        many = f"{len(same)} flags" if type(same) in (list, tuple) else _kind(same)
        raise InputError(f"{file}: expected two pictures for each flag, got {len(pictures)} pictures and {many}")
    return pictures, list(same)


def _kind(value: Any) -> str:
    """What it is, without showing what is in it: it may hold itself."""
    size = f" of {len(value)}" if type(value) in (tuple, list, dict) else ""
    return f"{type(value).__name__}{size}"


def _bytes(picture: Any, copies: dict[int, bytes]) -> bytes | None:
    """An encoded picture; some writers keep it as a row of uint8, of which each is copied once."""
    if isinstance(picture, np.ndarray) and picture.dtype == np.uint8 and picture.ndim == 1:
        if id(picture) not in copies:
            copies[id(picture)] = picture.tobytes()
        return copies[id(picture)]
    return picture if type(picture) is bytes else None


def _reason(pair: list[bytes | None], flag: Any) -> str:
    if type(flag) not in (bool, int) or flag not in (0, 1):
        return f"expected True or False, got {_kind(flag)}"
    for picture in pair:
        if picture is None:
            return "expected the bytes of an encoded picture, got something else"
        if not 0 < len(picture) <= _PICTURE.max_bytes:
            return f"expected a picture of 1 to {_PICTURE.max_bytes} bytes, got {len(picture)}"
    return ""

"""Portraits for claims about recognition: ORL, all of it, and a few simulated people for the tiny scale."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus.claims._context import Context
from vultus.errors import Refused
from vultus.io import images
from vultus.ops.warp import warp
from vultus.sim import faces
from vultus.types import U8

__all__ = ["halves", "portraits", "resized"]


def portraits(ctx: Context) -> tuple[list[U8], NDArray[np.int64]]:
    """Pictures, (H, W, 3) each, and who is on them: 40 people with ten each from ORL; at tiny, six simulated with four.

    Raises:
        Refused: if ORL is wanted and is not there.
    """
    if ctx.scale == "tiny":
        return _simulated(6, 4), np.repeat(np.arange(6), 4)
    folder = ctx.data / "orl_att_faces" if ctx.data else None
    if folder is None or not folder.is_dir():
        raise Refused("ORL: expected the 400 faces of AT&T in the folder orl_att_faces of VULTUS_DATA")
    pictures = [images.read(folder / f"s{p}" / f"{k}.pgm").pixels for p in range(1, 41) for k in range(1, 11)]
    return pictures, np.repeat(np.arange(40), 10)


def _simulated(people: int, each: int) -> list[U8]:
    rng = np.random.default_rng(0)
    pictures = []
    for seed in faces.people("test")[:people]:
        person = faces.person_of(seed)
        pictures += [
            faces.render(person, faces.sample_factors(rng, person=person), size=96, lod=0).image for _ in range(each)
        ]
    return pictures


def halves(who: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.bool_]:
    """(N,) True for the pictures that are enrolled: a random half of each person's."""
    enrolled = np.zeros(len(who), bool)
    for person in np.unique(who):
        mine = rng.permutation(np.flatnonzero(who == person))
        enrolled[mine[: len(mine) // 2]] = True
    return enrolled


def resized(picture: U8, size: int) -> U8:
    """(size, size, 3): both sides brought to one length."""
    sy, sx = size / picture.shape[0], size / picture.shape[1]
    matrix: Any = [[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2]]
    return warp(picture, matrix, (size, size))

"""TinyFace: faces of about twenty pixels, searched among matches and 153,428 distractors.

Layout of the release (Cheng, Zhu & Gong 2018, arXiv:1811.08965; qmul-tinyface.github.io), the user's own copy:

    Testing_Set/Probe/, Gallery_Match/, Gallery_Distractor/    pictures, each a face
    Testing_Set/probe_img_ID_pairs.mat                         probe_set (names), probe_ids
    Testing_Set/gallery_match_img_ID_pairs.mat                 gallery_set, gallery_ids

The two lists may also lie in Face_Identification_Evaluation.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError
from vultus.io.datasets.records import existing
from vultus.io.images import list_pictures
from vultus.io.matlab import read_matlab

__all__ = ["TinyFace", "tinyface"]

I64 = NDArray[np.int64]

_LISTS = ("Testing_Set", "Face_Identification_Evaluation", ".")


@dataclass(frozen=True, slots=True, eq=False)
class TinyFace:
    """Probes and a gallery.

    Attributes:
        probes: Q pictures that are searched for.
        probe_subjects: (Q,) number of the person of each.
        gallery: G pictures, first those of the probes' people and then the distractors.
        gallery_subjects: (G,) number of the person of each; -1 for a distractor.
        name: of the set.
        license: terms of the pictures.
        tier: "real" or "sim".
    """

    probes: tuple[Path, ...]
    probe_subjects: I64
    gallery: tuple[Path, ...]
    gallery_subjects: I64
    name: str = "tinyface"
    license: str = "non-commercial research"
    tier: str = "real"


def tinyface(
    root: str | os.PathLike[str], *, images: str | os.PathLike[str] | None = None, tier: str = "real"
) -> TinyFace:
    """Read the folder of the release.

    Args:
        root: the folder that holds Testing_Set.
        images: folder of Probe, Gallery_Match and Gallery_Distractor where they are not those of the release, such as
            aligned copies of the same names; None means Testing_Set.
        tier: "real" or "sim".

    Raises:
        InputError: a list is missing or of another form, a probe's person is not in the gallery, a folder is empty or
            pictures are missing (all are counted).
        StoreError: the system refuses to read a file.
    """
    place = Path(root) / "Testing_Set" if images is None else Path(images)
    probes, who = _listed(Path(root), "probe_img_ID_pairs.mat", "probe_set", "probe_ids")
    matches, whose = _listed(Path(root), "gallery_match_img_ID_pairs.mat", "gallery_set", "gallery_ids")
    alone = np.setdiff1d(who, whose)
    if len(alone):
        raise InputError(
            f"{root}: expected every probe's person in the gallery, got {len(alone)} who are not, such as number "
            f"{alone[0]}"
        )
    distractors = list_pictures(place / "Gallery_Distractor")
    if not distractors:
        raise InputError(f"{place / 'Gallery_Distractor'}: expected pictures of distractors, got none")
    return TinyFace(
        existing([place / "Probe" / name for name in probes], str(place / "Probe")),
        who,
        (*existing([place / "Gallery_Match" / name for name in matches], str(place / "Gallery_Match")), *distractors),
        np.concatenate([whose, np.full(len(distractors), -1)]),
        tier=tier,
    )


def _listed(root: Path, name: str, pictures: str, people: str) -> tuple[list[str], I64]:
    """Names of pictures and numbers of their people from a list of the release."""
    places = [root / folder / name for folder in _LISTS]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise InputError(f"{root}: expected {name} in Testing_Set, got none: name the folder that holds Testing_Set")
    variables = read_matlab(path)
    names, numbers = variables.get(pictures), variables.get(people)
    if not isinstance(names, list) or not isinstance(numbers, np.ndarray) or numbers.size != len(names) or not names:
        raise InputError(f"{path}: expected {pictures}, a cell of names, and {people}, as many numbers")
    # loaders of other libraries write each name as a cell of its own
    flat = [inner[0] if isinstance(inner, list) and len(inner) == 1 else inner for inner in names]
    wrong = [text for text in flat if not isinstance(text, str) or not text.strip() or Path(text).name != text.strip()]
    ids = numbers.ravel()
    bad = ids[~((ids == np.floor(ids)) & (ids >= 0) & (ids < 1 << 53))]
    if wrong or len(bad):
        shown = str(wrong[0] if wrong else bad[0])
        raise InputError(f"{path}: expected names of files and whole numbers from 0, got {shown[:60]!r}")
    if len(set(flat)) < len(flat):
        raise InputError(f"{path}: expected each picture once, got {len(flat) - len(set(flat))} names again")
    return [text.strip() for text in flat], ids.astype(np.int64)

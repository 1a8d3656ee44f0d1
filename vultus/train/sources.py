"""What `--data` and `--verify` name: pictures to train on, and pairs of other people to measure on.

sim                  simulated people; sim:PEOPLExPICTURES for another number of them
FOLDER of ytf_faces  YouTube Faces in small: 180 people to train on, 70 others to measure on
any other path       a training set in a layout that `open_source` reads; nobody is held out
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError
from vultus.sim import faces
from vultus.train.clean.dedup import plain_name
from vultus.train.data import Pictures, Source
from vultus.train.miniature import sim_fr, ytf_fr
from vultus.train.stored import Stored, open_source
from vultus.train.verification import PairSet
from vultus.zoo.store import home

__all__ = ["SIM_PEOPLE", "SIM_PICTURES", "TrainingSet", "doubt", "training_set", "verification_set"]

SIM_PEOPLE, SIM_PICTURES = 200, 10
_NAMED = 5  # people who are named
_MEMORY = 1 << 30  # bytes of decoded pictures of a folder that are held to compare them


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """What is trained on.

    Attributes:
        source: pictures and people.
        pairs: sets of other people that come with it; none where nobody is held out.
        words: what it is, in half a sentence.
        license: terms of the pictures.
        tier: "real" or "sim".
    """

    source: Source
    pairs: tuple[PairSet, ...]
    words: str
    license: str
    tier: str

    @property
    def classes(self) -> int:
        """How many people."""
        return len(self.source.names)


def training_set(name: str, size_hw: tuple[int, int], *, cache: Path | None = None) -> TrainingSet:
    """Open what is trained on.

    Args:
        name: see the top of this file.
        size_hw: height and width of the crops that the network takes.
        cache: where simulated pictures are kept; None means VULTUS_HOME/sim.

    Raises:
        InputError: if there is nothing of that name, or the network wants crops of another proportion.
        StoreError: if it cannot be read, or simulated pictures cannot be kept.
    """
    found = re.fullmatch(r"sim(?::(\d+)x(\d+))?", name)
    if found is not None:
        people, each = int(found[1] or SIM_PEOPLE), int(found[2] or SIM_PICTURES)
        others = min(max(2, people // 2), len(faces.people("test")))
        small = sim_fr(people, each, others, _square(name, size_hw), cache=cache or home() / "sim")
    elif name.startswith("sim:"):
        raise InputError(f"--data: expected sim:PEOPLExPICTURES such as sim:{SIM_PEOPLE}x{SIM_PICTURES}, got {name!r}")
    elif _is_ytf(_there("--data", name)):
        small = ytf_fr(name, _square(name, size_hw))
    else:
        stored = open_source(name, size_hw=size_hw)
        return TrainingSet(stored, (), _words(stored), stored.license, stored.tier)
    train = small.train
    return TrainingSet(train, (PairSet.of_miniature(small),), _words(train), train.license, train.tier)


def verification_set(name: str, size_hw: tuple[int, int]) -> PairSet:
    """Open what is measured on: an InsightFace .bin file, or aligned pictures of people in any layout of training sets.

    Raises:
        InputError: if there is nothing of that name, it is none of these, or its pictures fill the memory.
        StoreError: if it cannot be read.
    """
    place = _there("--verify", name)
    if place.suffix.lower() == ".bin":
        return PairSet.of_bin(place)
    if _is_ytf(place):
        return PairSet.of_miniature(ytf_fr(place, _square(name, size_hw)))
    stored = open_source(place, size_hw=size_hw)
    if len(stored) * size_hw[0] * size_hw[1] * 3 > _MEMORY:
        raise InputError(
            f"--verify: expected at most {_MEMORY >> 20} MB of decoded pictures, got {stored!r}: name fewer"
        )
    return PairSet.of_pictures(stored.in_memory())


def doubt(data: TrainingSet, pairs: PairSet) -> str:
    """Why figures of a set may not be of people that are not trained on; "" where its people have other names.

    Names are compared by `plain_name`. Numbers say who somebody is within one numbering only, so they are compared with
    numbers alone, and the answer says so.
    """
    who, theirs = _called(data.source.names, data.source.labels), _called(pairs.names, pairs.people)
    numbers = [all(word.isdecimal() for word in one) for one in (who, theirs)]
    if not theirs or numbers[0] != numbers[1]:
        return f"{pairs.name}: nothing is known of who in it is trained on too: the names of its people do not say"
    both = sorted(who.keys() & theirs.keys())
    if not both:
        return ""
    shown = ", ".join(theirs[word] for word in both[:_NAMED]) + (", ..." if len(both) > _NAMED else "")
    sure = ", if both sets number people alike" if numbers[0] else ""
    return (
        f"{pairs.name}: {len(both)} of its {len(theirs)} people are trained on too{sure} ({shown}): its figures are "
        "not those of other people"
    )


def _called(names: Sequence[str], people: NDArray[np.int64] | None) -> dict[str, str]:
    """Those who are on the pictures: their names as they are compared -> as they are written."""
    seen = [names[i] for i in np.unique(people).tolist() if i >= 0] if people is not None and names else []
    return {plain_name(name) or name: name for name in seen}


def _there(option: str, name: str) -> Path:
    """The path, which must be there; a range of shards is not looked up here."""
    place = Path(name)
    if "{" in name or os.path.exists(name):
        return place
    import difflib  # only when something has already gone wrong

    near = difflib.get_close_matches(name, _beside(place), n=3, cutoff=0.4)
    hint = f"; near names: {', '.join(near)}" if near else ""
    raise InputError(f"{option}: expected sim, or the path of a data set, and there is nothing at {name!r}{hint}")


def _beside(place: Path) -> list[str]:
    try:
        return ["sim", *(str(place.parent / path.name) for path in place.parent.iterdir())]
    except OSError:
        return ["sim"]


def _is_ytf(place: Path) -> bool:
    return any((folder / "landmarks68.csv").is_file() for folder in (place, place / "ytf_faces"))


def _square(name: str, size_hw: tuple[int, int]) -> int:
    if size_hw[0] != size_hw[1]:
        raise InputError(f"--data {name}: expected a network of square crops, got {size_hw[0]} x {size_hw[1]}")
    return size_hw[0]


def _words(source: Pictures | Stored) -> str:
    return f"{source.name}: {len(source.labels):,} pictures of {source.classes:,} people, {source.tier}"

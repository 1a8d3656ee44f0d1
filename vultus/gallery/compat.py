"""Comparing a new network's probes with an old network's gallery, where somebody has measured that it works.

Vectors of two networks cannot be compared, as a rule: their axes have nothing to do with each other, and every
comparison raises `SpaceMismatch`. A network that was trained to be comparable with an old one (harmonic embeddings,
Schroff et al. 2015, arXiv:1503.03832, appendix) is the exception. It is measured on people whom neither network was
trained on, and registered; from then on new probes are compared with the old gallery. The other direction, and every
other pair of spaces, stays refused. Thresholds are those of a calibration for `Compat.space`: the scores of two
networks are distributed unlike those of either.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vultus.errors import InputError, Refused, SpaceMismatch, StoreError
from vultus.gallery import _loss
from vultus.types import ComparisonTable, Metric, checked
from vultus.zoo import store

__all__ = ["Compat", "compared", "comparisons", "find", "measure", "pair", "register", "withdraw"]

FORMAT = "vultus-compat-1"
DRAWS = 1000  # of the bootstrap
_NAMES = {"target_target": "new_new", "adapted_target": "new_old", "source_source": "old_old"}


@dataclass(frozen=True, slots=True, eq=False)
class Compat:
    """That probes of a new network may be compared with vectors of an old one, and what was measured.

    Attributes:
        old: space of the gallery.
        new: space of the probes.
        dataset: on whom it was measured, in words.
        metrics: name -> number with its interval. `new_old` compares new probes with old vectors, `old_old` and
            `new_new` within one network; each at its own threshold. `new_old.gain_over_old_old_1e-2` is what a gallery
            gains by probing it with the new network.
        pictures: that were compared.
        people: whom they show.
        created: date, UTC.
    """

    old: str
    new: str
    dataset: str
    metrics: Mapping[str, Metric] = field(repr=False)
    pictures: int
    people: int
    created: str

    @property
    def space(self) -> str:
        """What a calibration for these comparisons is of."""
        return pair(self.new, self.old)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        plain = {name: getattr(self, name) for name in self.__slots__ if name != "metrics"}
        return {"format": FORMAT, **plain, "metrics": {name: m.to_dict() for name, m in self.metrics.items()}}


def pair(new: str, old: str) -> str:
    """The name under which comparisons of new probes with old vectors are calibrated.

    Example:
        >>> pair("b@2", "a@1")
        'b@2^a@1'
    """
    return f"{new}^{old}"


def compared(probe: str, reference: str) -> str:
    """In which space a calibration must be for this comparison: the one space, or that of a registered pair.

    Args:
        probe: space of the vector that is searched for.
        reference: space of the vector that is kept.

    Raises:
        SpaceMismatch: if they are two spaces and nobody registered them in this direction.
        StoreError: if what was registered is damaged.
    """
    if probe == reference:
        return probe
    if find(probe, reference) is None:
        raise SpaceMismatch(probe, reference)
    return pair(probe, reference)


def comparisons(old: ArrayLike, new: ArrayLike, subjects: ArrayLike, *, split: str = "dev") -> ComparisonTable:
    """Every picture as a probe of the new network against every other one as a reference of the old.

    Args:
        old: (N, D) unit rows of the old network.
        new: (N, D) unit rows of the new one; row i of both is the same crop.
        subjects: (N,) whole numbers, the person on each.
        split: what the pictures are for; `vultus.gallery.calibrate.fit` takes "train" and "dev".

    Raises:
        InputError: if shapes do not agree or rows are not of unit length.
    """
    kept, probes, who = _rows(old, new, subjects)
    pairs = _loss.Pairs(who)
    scores = pairs.scores(kept, probes)
    return ComparisonTable(scores, pairs.mated, who[pairs.first], who[pairs.second], split)


def measure(
    old: ArrayLike,
    new: ArrayLike,
    subjects: ArrayLike,
    *,
    spaces: tuple[str, str],
    dataset: str,
    rng: np.random.Generator,
    force: bool = False,
) -> Compat:
    """Measure what comparing two networks is worth, on people whom neither has seen.

    Args:
        old: (N, D) unit rows of the old network.
        new: (N, D) unit rows of the new one; row i of both is the same crop.
        subjects: (N,) whole numbers, the person on each.
        spaces: of the old and of the new network.
        dataset: in words, for the record.
        rng: draws the bootstrap over people.
        force: keep what is worse than staying with the old network.

    Raises:
        InputError: if shapes do not agree, both spaces are one, or there are fewer than 30 expected errors at a false
            accept rate of 1e-2.
        Refused: if fewer photos of known people are found by the new network than by the old one in the same gallery,
            at a false accept rate of 1e-2, and `force` is not set: such a pair is better not compared.
    """
    for name, space in zip(("old", "new"), spaces, strict=True):
        _space(name, space)
    if spaces[0] == spaces[1]:
        raise InputError(f"spaces: expected two, got {spaces[0]!r} twice: one space is comparable with itself")
    kept, probes, who = _rows(old, new, subjects)
    found = _loss.measure(kept, probes, kept, who, rng=rng, n_boot=DRAWS)
    metrics = {_renamed(name): metric for name, metric in found.items()}
    mine, before = metrics["new_old.tar_at_far_1e-2"], metrics["old_old.tar_at_far_1e-2"]
    if mine.value is None or before.value is None:
        raise InputError(f"subjects: {mine.note}: bring pictures of more people")
    if mine.value < before.value and not force:
        raise Refused(
            f"{spaces[1]} against a gallery of {spaces[0]}: at a false accept rate of 1e-2 it finds {mine.value:.1%} "
            f"of the photos of known people, the old network {before.value:.1%}: train it against the old one, learn "
            "an adapter, or embed the photos anew; force=True keeps the pair nevertheless"
        )
    today = datetime.now(timezone.utc).date().isoformat()
    return Compat(*spaces, dataset, metrics, len(who), len(np.unique(who)), today)


def register(compat: Compat, *, home: Path | None = None) -> Path:
    """From now on new probes may be compared with the old gallery; kept in VULTUS_HOME/compat.

    Raises:
        InputError: if it is no `Compat`.
        StoreError: if the file cannot be written.
    """
    if not isinstance(compat, Compat):
        raise InputError(f"compat: expected what measure returns, got {type(compat).__name__}")
    path = _path(compat.new, compat.old, home)
    beside = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            beside.write_text(json.dumps(compat.to_dict(), indent=2) + "\n", encoding="utf-8")
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{path}: the pair could not be written ({error}); check space and permissions") from error
    return path


def withdraw(new: str, old: str, *, home: Path | None = None) -> bool:
    """Refuse the pair again; whether it was registered.

    Raises:
        StoreError: if the file cannot be removed.
    """
    path = _path(new, old, home)
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StoreError(f"{path}: the pair could not be withdrawn ({error}); check permissions") from error
    return True


def find(probe: str, reference: str, *, home: Path | None = None) -> Compat | None:
    """What was registered for probes of one space against vectors of another, in this direction, or None.

    Raises:
        StoreError: if its file is damaged, or was renamed from another pair.
    """
    if not (_is_space(probe) and _is_space(reference)):
        return None
    path = _path(probe, reference, home)
    if not path.is_file():
        return None
    try:
        text = json.loads(path.read_text(encoding="utf-8"))
        if text.pop("format") != FORMAT or (text["new"], text["old"]) != (probe, reference):
            raise ValueError(f"another format or pair: {text.get('new')} against {text.get('old')}")
        metrics = {name: Metric(**metric) for name, metric in text.pop("metrics").items()}
        return Compat(metrics=metrics, **text)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreError(
            f"{path}: expected a registered pair, could not read it: {error}; register it again"
        ) from error


def _path(new: str, old: str, home: Path | None) -> Path:
    _space("new", new)
    _space("old", old)
    return (home or store.home()) / "compat" / f"{pair(new, old)}.json"


def _is_space(space: object) -> bool:
    """Whether it is name@hash and can be part of a file's name."""
    plain = isinstance(space, str) and "@" in space and not space.startswith(".")
    return plain and not any(c in str(space) for c in "/\\\0^")


def _space(name: str, space: str) -> None:
    if not _is_space(space):
        raise InputError(f"{name}: expected the space of an embedder (name@hash), got {space!r}")


def _rows(old: ArrayLike, new: ArrayLike, subjects: ArrayLike) -> tuple[Any, Any, Any]:
    kept = checked("old", old, (None, None))
    probes = checked("new", new, kept.shape)
    for name, rows in (("old", kept), ("new", probes)):
        length = np.linalg.norm(rows, axis=1)
        if len(rows) and not np.allclose(length, 1.0, atol=1e-3):
            raise InputError(f"{name}: expected unit rows, got lengths from {length.min():.4f} to {length.max():.4f}")
    return kept, probes, checked("subjects", subjects, (len(kept),), np.int64)


def _renamed(name: str) -> str:
    for theirs, ours in _NAMES.items():
        name = name.replace(theirs, ours)
    return name

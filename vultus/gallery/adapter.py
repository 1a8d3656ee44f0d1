"""Moving a gallery to another embedder without its photographs: a learned map between two spaces, and what it loses.

The map is learned from crops of any people, embedded by both models; they need not be in the gallery. What is lost is
measured on people of that set that the map has never seen, and travels with the map. Adapted vectors are of the space
"TARGET~SOURCE": they may be compared with vectors of TARGET, and everybody can see that they are adapted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError, Refused, SpaceMismatch, StoreError, VultusError
from vultus.gallery import _loss
from vultus.gallery._maps import MapKind, kind_of, kinds, register
from vultus.io.tensors import pack, unpack
from vultus.ops.vectors import unit
from vultus.types import F32, Metric, checked

__all__ = ["Adapter", "AdapterReport", "MapKind", "adapted_space", "comparable", "register"]

FORMAT = "vultus-adapter-1"
MIN_PEOPLE, MIN_REPEATED = 50, 30  # people in all, and people with two pictures or more
MAX_TEST, MAX_DEV = 1500, 800  # pictures; every one is compared with every other one
DRAWS = 1000  # of the bootstrap
TIE = 0.005  # of mean TAR: less is not worth a map of more numbers
USELESS = 0.5  # share of the target model's own TAR below which an adapter is refused

I64 = NDArray[np.int64]


def adapted_space(source: str, target: str) -> str:
    """The space of vectors of `source` that were mapped into `target`."""
    return f"{target}~{source}"


def comparable(a: str, b: str) -> bool:
    """Whether vectors of two spaces may be compared: they are one space, or adapted to one space.

    Example:
        >>> comparable("new@1", "new@1~old@2"), comparable("old@2", "new@1~old@2")
        (True, False)
    """
    return a.partition("~")[0] == b.partition("~")[0]


class Tried(NamedTuple):
    """One candidate: its kind, how strongly it was regularized, and its mean TAR on the people it is chosen on."""

    kind: str
    strength: float
    merit: float


@dataclass(frozen=True, slots=True)
class AdapterReport:
    """What an adapter was learned from, and what is lost, on people it has never seen.

    Attributes:
        metrics: name -> number with its interval. `target_target` compares new vectors with new ones, `adapted_target`
            an old, adapted gallery with new probes, `source_source` old vectors with old ones. `tar_at_far_...` is at
            each one's own threshold; `far_at_target_...` is the rate that the threshold of target_target really gives;
            `gain_over_...` is negative where something is lost.
        tried: every candidate.
        n_pairs: pairs of vectors that the map was learned from, after choosing.
        n_subjects: people among them.
        test_pictures: pictures that the numbers rest on.
        test_subjects: people among them.
        useful: False when too little is left; such an adapter exists only by force.
    """

    metrics: Mapping[str, Metric]
    tried: tuple[Tried, ...]
    n_pairs: int
    n_subjects: int
    test_pictures: int
    test_subjects: int
    useful: bool

    def words(self) -> str:
        """The loss in one sentence."""
        at = self.metrics["adapted_target.tar_at_far_1e-2"], self.metrics["target_target.tar_at_far_1e-2"]
        (mine, new), old = at, self.metrics["source_source.tar_at_far_1e-2"]
        shift = self.metrics.get("adapted_target.far_at_target_1e-2")
        shifted = f"; the new model's threshold for 1e-2 gives {shift.value:.2g} here" if shift and shift.value else ""
        return (
            f"at a false accept rate of 1e-2, {_share(mine)} of the photographs of a known person match an adapted "
            f"gallery, {_share(new)} one embedded anew and {_share(old)} the old one with the old model{shifted} "
            f"({self.test_pictures:,} pictures of {self.test_subjects:,} people the adapter has never seen)"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        plain = {name: getattr(self, name) for name in self.__slots__ if name not in ("metrics", "tried")}
        metrics = {name: metric.to_dict() for name, metric in self.metrics.items()}
        return {**plain, "metrics": metrics, "tried": [list(row) for row in self.tried]}


@dataclass(frozen=True, slots=True, eq=False)
class Adapter:
    """A map between two embedding spaces; see `Adapter.fit`.

    Attributes:
        source_space: of the vectors that go in.
        target_space: of the vectors that the result may be compared with.
        kind: which kind of map; see `register`.
        dims: sizes of the vectors that go in and come out.
        tensors: the map.
        report: what is lost.
    """

    source_space: str
    target_space: str
    kind: str
    dims: tuple[int, int]
    tensors: Mapping[str, F32] = field(repr=False)
    report: AdapterReport = field(repr=False)

    @property
    def space(self) -> str:
        """The space of adapted vectors."""
        return adapted_space(self.source_space, self.target_space)

    def __call__(self, vectors: ArrayLike) -> F32:
        """Map vectors.

        Args:
            vectors: (N, D1) unit rows of the source space.

        Returns:
            (N, D2) unit rows; their space is `space`.

        Raises:
            InputError: if they are of another width, or not of unit length.
        """
        rows = _rows("vectors", vectors, self.dims[0])
        if not len(rows):
            return np.zeros((0, self.dims[1]), np.float32)
        return unit(kind_of(self.kind).apply(self.tensors, rows.astype(np.float64)))

    @classmethod
    def fit(
        cls,
        source: ArrayLike,
        target: ArrayLike,
        subjects: ArrayLike,
        *,
        rng: np.random.Generator,
        source_space: str,
        target_space: str,
        kind: str = "auto",
        force: bool = False,
    ) -> Adapter:
        """Learn a map from the same crops embedded in two spaces, and measure what it loses.

        People are parted: the map is learned from 60 %, its kind and regularization are chosen on another 20 %, then it
        is learned anew from both, and measured on the last 20 %, which had no part in anything.

        Args:
            source: (N, D1) unit rows of the model that is left.
            target: (N, D2) unit rows of the model that is moved to; row i of both is the same crop.
            subjects: (N,) integer, the person on each.
            rng: parts the people, draws random features and bootstraps.
            source_space: of the model that is left.
            target_space: of the model that is moved to.
            kind: a registered kind of map, or "auto" for the best of all.
            force: keep an adapter that is useless.

        Raises:
            InputError: if shapes do not agree, rows are not of unit length, both spaces are one, or there are
                too few people.
            Refused: if what is left is useless and `force` is not set.
            UnknownMethod: if nobody registered that kind.
        """
        old, new = _rows("source", source, None), _rows("target", target, None)
        who = checked("subjects", subjects, (len(old),), np.int64)
        if len(new) != len(old):
            raise InputError(f"target: expected {len(old)} rows, one per row of source, got {len(new)}")
        for name in (source_space, target_space):
            if not isinstance(name, str) or not name or "~" in name:
                raise InputError(f"expected the space of an embedder, whose vectors are not adapted, got {name!r}")
        if source_space == target_space:
            raise InputError(f"target_space: expected another one than {source_space!r}: there is nothing to adapt")
        train, dev, test = _parts(who, rng)
        tried = _tried(old, new, who, (train, dev), kinds() if kind == "auto" else [kind], rng)
        bar = max(row.merit for row in tried) - TIE
        best = next(row for row in tried if row.merit >= bar)  # of equals the first, which is the simplest
        learn = np.concatenate([train, dev])
        chosen = kind_of(best.kind)
        tensors = chosen.fit(old[learn].astype(np.float64), new[learn].astype(np.float64), best.strength, rng)
        mapped = unit(chosen.apply(tensors, old[test].astype(np.float64)))
        metrics = _loss.measure(old[test], new[test], mapped, who[test], rng=rng, n_boot=DRAWS)
        useful = _useful(metrics)
        counts = (len(learn), len(np.unique(who[learn])), len(test), len(np.unique(who[test])))
        report = AdapterReport(metrics, tuple(tried), *counts, useful)
        if not useful and not force:
            raise Refused(
                f"an adapter from {source_space} to {target_space} would be useless: {report.words()}; embed the "
                "photographs anew, bring more pairs, or force it"
            )
        dims = old.shape[1], new.shape[1]
        return cls(source_space, target_space, best.kind, dims, tensors, report)

    def to_bytes(self) -> bytes:
        """As a safetensors file, with the report in its metadata."""
        words = {
            "format": FORMAT,
            "kind": self.kind,
            "source_space": self.source_space,
            "target_space": self.target_space,
            "dims": json.dumps(list(self.dims)),
            "report": json.dumps(self.report.to_dict()),
        }
        return pack(self.tensors, words)

    @classmethod
    def from_bytes(cls, data: bytes) -> Adapter:
        """What `to_bytes` wrote.

        Raises:
            StoreError: if it is not that, or is damaged.
            UnknownMethod: if its kind is not registered here.
        """
        tensors, words = unpack(data)
        if words.get("format") != FORMAT:
            raise StoreError(f"expected an adapter of the format {FORMAT}, got {words.get('format')!r}")
        kind_of(words.get("kind", ""))
        try:
            report = json.loads(words["report"])
            metrics = {name: Metric(**metric) for name, metric in report.pop("metrics").items()}
            rows = tuple(Tried(*row) for row in report.pop("tried"))
            a, b = json.loads(words["dims"])
            found = cls(
                words["source_space"],
                words["target_space"],
                words["kind"],
                (int(a), int(b)),
                {name: checked(name, array, (None,) * array.ndim) for name, array in tensors.items()},
                AdapterReport(metrics, rows, **report),
            )
            if found(np.eye(1, found.dims[0])).shape != (1, found.dims[1]):
                raise ValueError(f"arrays that do not map {a} numbers to {b}")
        except (ValueError, TypeError, KeyError, VultusError) as error:
            raise StoreError(f"expected an adapter, could not read it: {error}; fit it again") from error
        return found

    def check(self, source: str, target: str) -> None:
        """Refuse to adapt between other spaces than this adapter's.

        Raises:
            SpaceMismatch: if one of them is another.
        """
        for want, got in ((self.source_space, source), (self.target_space, target)):
            if want != got:
                raise SpaceMismatch(got, want)


def _rows(name: str, vectors: ArrayLike, width: int | None) -> F32:
    rows = checked(name, vectors, (None, width))
    length = np.linalg.norm(rows, axis=1)
    if len(rows) and not np.allclose(length, 1.0, atol=1e-3):
        raise InputError(f"{name}: expected unit rows, got lengths from {length.min():.4f} to {length.max():.4f}")
    return rows


def _parts(who: I64, rng: np.random.Generator) -> tuple[I64, I64, I64]:
    """Pictures to learn from, to choose on and to measure on; no person is in two parts."""
    names, index, counts = np.unique(who, return_inverse=True, return_counts=True)
    repeated, single = np.flatnonzero(counts > 1), np.flatnonzero(counts == 1)
    if len(names) < MIN_PEOPLE or len(repeated) < MIN_REPEATED:
        raise InputError(
            f"subjects: expected at least {MIN_PEOPLE} people, {MIN_REPEATED} of them with two pictures or more, got "
            f"{len(names)} and {len(repeated)}: bring pictures of any people, such as a public set"
        )
    place = np.empty(len(names))
    for group in (repeated, single):  # each part gets its share of both
        place[rng.permutation(group)] = (np.arange(len(group)) + 0.5) / max(1, len(group))
    part = np.digitize(place, (0.6, 0.8))
    train, dev, test = (np.flatnonzero(part[index] == k) for k in range(3))
    return train, _limited(dev, index, place, MAX_DEV), _limited(test, index, place, MAX_TEST)


def _limited(pictures: I64, index: I64, place: NDArray[np.float64], most: int) -> I64:
    """Whole people until there are enough pictures; the order of people is random already."""
    order = pictures[np.argsort(place[index[pictures]], kind="stable")]
    return np.sort(order[:most])


def _tried(
    old: F32, new: F32, who: I64, parts: tuple[I64, I64], names: list[str], rng: np.random.Generator
) -> list[Tried]:
    train, dev = parts
    pairs = _loss.Pairs(who[dev])
    rows = []
    for kind in map(kind_of, names):
        for strength in kind.strengths:
            tensors = kind.fit(old[train].astype(np.float64), new[train].astype(np.float64), strength, rng)
            mapped = unit(kind.apply(tensors, old[dev].astype(np.float64)))
            rows.append(Tried(kind.name, strength, _loss.merit(pairs.scores(mapped, new[dev]), pairs.mated)))
    return rows


def _useful(metrics: Mapping[str, Metric]) -> bool:
    mine, new = metrics["adapted_target.tar_at_far_1e-2"], metrics["target_target.tar_at_far_1e-2"]
    if mine.value is None or new.value is None:
        raise InputError(f"expected enough people to measure what is lost: {mine.note}; bring more")
    return mine.value >= max(USELESS * new.value, 0.1)  # 0.01 is what chance gives


def _share(metric: Metric) -> str:
    if metric.value is None or metric.low is None or metric.high is None:
        return "an unknown share"
    return f"{100 * metric.value:.1f} % ({100 * metric.low:.1f} to {100 * metric.high:.1f})"

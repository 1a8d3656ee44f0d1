"""What classical recognizers share: enrolled pictures, ranks of people, identification, verification and its errors."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.ops.dct import rgb_to_ycbcr
from vultus.ops.vectors import unit
from vultus.types import U8, CropSpec, Embedded

__all__ = ["ClassicalRecognizer"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

Faces = U8 | Sequence[F64]
"""Crops, (N, h, w, 3) uint8 RGB, or what `describe` made of them: who asks often describes once."""


class ClassicalRecognizer:
    """Features of crops by formula; a person is as near as the nearest of the pictures enrolled for it.

    A method says its `features`, computes them in `_described`, and may weight them in `_weights` and `_learn`, and ask
    in `_agreed` for more than a good score. Enrolling again replaces who was enrolled.

    Attributes:
        crop: the crop it wants.
        features: names of the features, in the order of their distances.
    """

    crop = CropSpec("arcface112", (128, 128))
    features: tuple[str, ...] = ()
    _name = ""

    def __init__(self) -> None:
        self._people: tuple[str, ...] = ()
        self._whose: I64 = np.zeros(0, np.int64)
        self._templates: list[F64] = []

    @property
    def people(self) -> tuple[str, ...]:
        """Who is enrolled, by name."""
        return self._people

    @property
    def space(self) -> str:
        """Catalogue name + "@" + first 12 hex of the sha256 over the settings: there are no weights."""
        return f"{self._name}@{hashlib.sha256(repr(self).encode()).hexdigest()[:12]}"

    @property
    def dim(self) -> int:
        """D."""
        nothing = np.zeros((0, *self.crop.size_hw, 3), np.uint8)
        return sum(int(feature.shape[1]) for feature in self.describe(nothing))

    def describe(self, crops: U8) -> list[F64]:
        """The features of (N, h, w, 3) uint8 RGB crops, (N, D) each, in the order of `features`.

        Raises:
            InputError: if the crops are not uint8 RGB of the size wanted.
        """
        want = (*self.crop.size_hw, 3)
        if not isinstance(crops, np.ndarray) or crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != want:
            came = f"{crops.dtype} {crops.shape}" if isinstance(crops, np.ndarray) else type(crops).__name__
            raise InputError(f"crops: expected uint8 RGB of shape (N, {', '.join(map(str, want))}), got {came}")
        gray: F64 = np.asarray(rgb_to_ycbcr(np.ascontiguousarray(crops, np.float64))[..., 0])
        return self._described(gray)

    def embed(self, crops: U8) -> Embedded:
        """One unit vector a crop, for galleries and searches that know vectors only.

        Raises:
            InputError: if the crops are not uint8 RGB of the size wanted, or one is without any contrast.
        """
        parts = [self._directed(feature) for feature in self.describe(crops)]
        flat = [index for index in range(len(crops)) if not all(part[index].any() for part in parts)]
        if flat:
            raise InputError(f"crops: expected faces, got a region of one gray in crop {flat[0]}: it has no features")
        shares = np.sqrt(self._shares())
        vectors = np.concatenate([share * unit(part) for share, part in zip(shares, parts, strict=True)], axis=1)
        return Embedded(vectors.astype(np.float32), self.space)

    def enroll(self, faces: Faces, names: Sequence[str]) -> None:
        """Take pictures of people as references.

        Args:
            faces: (N, h, w, 3) uint8 RGB crops, at least one, or what `describe` made of them.
            names: who is on each.

        Raises:
            InputError: if the crops are not uint8 RGB of the size wanted or the names are not one a crop.
        """
        templates = self._features_of(faces)
        count = len(templates[0])
        if len(names) != count or not count:
            raise InputError(f"names: expected one for each of at least one crop, got {len(names)} for {count}")
        people, whose = np.unique(np.array([str(name) for name in names]), return_inverse=True)
        self._people, self._whose, self._templates = tuple(people.tolist()), whose.astype(np.int64), templates
        self._learn()

    def compare(self, faces: Faces) -> F64:
        """Distances of each feature to each person's nearest reference.

        Returns:
            (F, N, P) in the order of `features` and `people`.

        Raises:
            InputError: if nobody is enrolled or the crops are not uint8 RGB of the size wanted.
        """
        if not self._people:
            raise InputError("enroll: expected people to compare with, got none; enroll pictures first")
        return self._nearest(self._features_of(faces))

    def scores(self, faces: Faces) -> F64:
        """(N, P) likeness to each person: minus the weighted sum of the distances, so 0 is the same picture."""
        return self._scored(self.compare(faces))

    def rank(self, faces: Faces) -> I64:
        """(N, P) people as indices into `people`, the most alike first."""
        order: I64 = np.argsort(-self.scores(faces), axis=1, kind="stable")
        return order

    def identify(self, faces: Faces, *, threshold: float = -np.inf) -> list[str | None]:
        """Who is on each face; None where nobody reaches the threshold or the method doubts its own answer.

        Raises:
            InputError: as `compare`.
        """
        distances = self.compare(faces)
        scores = self._scored(distances)
        best = scores.argmax(axis=1)
        rows = np.arange(len(best))
        sure = (scores[rows, best] >= threshold) & self._agreed(distances)[rows, best]
        return [self._people[person] if yes else None for person, yes in zip(best, sure, strict=True)]

    def verify(self, faces: Faces, names: Sequence[str], *, threshold: float) -> NDArray[np.bool_]:
        """(N,) whether each face is that of whom it claims to be.

        Raises:
            InputError: as `compare`, or if a name is not enrolled.
        """
        distances = self.compare(faces)
        claimed = self._indices(names, distances.shape[1])
        rows = np.arange(len(claimed))
        yes: NDArray[np.bool_] = self._scored(distances)[rows, claimed] >= threshold
        return yes & self._agreed(distances)[rows, claimed]

    def error_rates(self, faces: Faces, names: Sequence[str], thresholds: ArrayLike) -> tuple[F64, F64]:
        """False acceptance and false rejection when each face claims to be each enrolled person in turn.

        Args:
            faces: N crops that were not enrolled, or what `describe` made of them.
            names: who is on each; all enrolled.
            thresholds: (T,).

        Returns:
            FAR and FRR, (T,) each: shares of wrong claims accepted and of true claims rejected.

        Raises:
            InputError: as `verify`, or if there is no wrong or no true claim.
        """
        distances = self.compare(faces)
        own = self._indices(names, distances.shape[1])[:, None] == np.arange(len(self._people))
        if not own.any() or own.all():
            raise InputError(f"names: expected crops of at least two enrolled people, got {len(self._people)} people")
        scores, agreed = self._scored(distances), self._agreed(distances)
        taken = [(scores >= tau) & agreed for tau in np.asarray(thresholds, np.float64).ravel()]
        return np.array([t[~own].mean() for t in taken]), np.array([1 - t[own].mean() for t in taken])

    # ------------------------------------------------------------ what a method says
    def _described(self, gray: F64) -> list[F64]:
        """Features of (N, h, w) gray pictures, 0 to 255."""
        raise AssertionError("a method says its features")

    def _directed(self, feature: F64) -> F64:
        """A feature as a direction, for `embed`."""
        return feature

    def _shares(self) -> F64:
        """Weights of the features in `embed`, which knows nobody; they sum to 1."""
        return np.full(len(self.features), 1 / len(self.features))

    def _weights(self) -> F64:
        """Weights of the features in scores; they sum to 1."""
        return self._shares()

    def _learn(self) -> None:
        """Called after pictures were enrolled."""

    def _agreed(self, distances: F64) -> NDArray[np.bool_]:
        """(N, P) whether a person may be accepted at all."""
        return np.ones(distances.shape[1:], bool)

    # ------------------------------------------------------------ private
    def _features_of(self, faces: Faces) -> list[F64]:
        if isinstance(faces, np.ndarray) or not isinstance(faces, Sequence):
            return self.describe(faces)
        made = list(faces)
        if len(made) != len(self.features) or len({len(part) for part in made}) != 1:
            raise InputError(
                f"faces: expected crops, or of `describe` a part for each of {', '.join(self.features)}, "
                f"got {len(made)} parts of {sorted({len(part) for part in made})} faces"
            )
        return made

    def _scored(self, distances: F64) -> F64:
        scores: F64 = -np.tensordot(self._weights(), distances, axes=1)
        return scores

    def _nearest(self, described: list[F64], *, left_out: bool = False) -> F64:
        """(F, N, P); `left_out`: the references themselves, each without itself; infinite where nothing is left."""
        found = []
        for probe, reference in zip(described, self._templates, strict=True):
            each = _euclidean(probe, reference)
            if left_out:
                np.fill_diagonal(each, np.inf)
            columns = [each[:, self._whose == person].min(axis=1) for person in range(len(self._people))]
            found.append(np.stack(columns, axis=1))
        return np.stack(found)

    def _indices(self, names: Sequence[str], count: int) -> I64:
        if len(names) != count:
            raise InputError(f"names: expected one for each of {count} crops, got {len(names)}")
        known: dict[Any, int] = {person: index for index, person in enumerate(self._people)}
        strangers = sorted({str(name) for name in names} - set(known))
        if strangers:
            raise InputError(f"names: expected enrolled people, got {strangers[0]!r}; see `people`")
        return np.array([known[str(name)] for name in names], np.int64)


def _euclidean(a: F64, b: F64) -> F64:
    """(N, M) distances of rows; by differences, so that equal rows are exactly 0 apart."""
    out = np.empty((len(a), len(b)))
    for row, one in zip(out, a, strict=True):
        row[:] = np.sqrt(np.square(b - one).sum(axis=1))
    return out

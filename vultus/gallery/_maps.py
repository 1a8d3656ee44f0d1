"""Maps from one embedding space into another, learned from the same crops embedded in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError, UnknownMethod
from vultus.types import F32

F64 = NDArray[np.float64]


class MapKind(Protocol):
    """A way of mapping vectors. What `fit` returns is all that is kept; `apply` needs nothing else."""

    @property
    def name(self) -> str:
        """What it is called in files and reports."""
        ...

    @property
    def strengths(self) -> Sequence[float]:
        """Amounts of regularization to try, the weakest first."""
        ...

    def fit(self, source: F64, target: F64, strength: float, rng: np.random.Generator) -> dict[str, F32]:
        """Learn from unit rows (N, D1) and (N, D2) of the same crops; arrays by name."""
        ...

    def apply(self, tensors: Mapping[str, F32], vectors: F64) -> F64:
        """(N, D1) unit rows -> (N, D2) rows of any length but zero."""
        ...


@dataclass(frozen=True)
class Procrustes:
    """The rotation (with a common scale and shift) that brings one set of vectors closest to the other.

    Schönemann 1966, "A generalized solution of the orthogonal Procrustes problem"; spaces of unequal size count as
    padded with zeros. The fewest assumptions and the fewest pairs: right where both models see the same geometry.
    """

    name: str = "procrustes"
    strengths: Sequence[float] = (0.0,)

    def fit(self, source: F64, target: F64, strength: float, rng: np.random.Generator) -> dict[str, F32]:
        """See `MapKind`."""
        from_mean, to_mean = source.mean(0), target.mean(0)
        x, y = source - from_mean, target - to_mean
        left, values, right = np.linalg.svd(x.T @ y, full_matrices=False)
        scale = values.sum() / max(float((x * x).sum()), 1e-12)
        return _singles(from_mean=from_mean, to_mean=to_mean, matrix=scale * (left @ right))

    def apply(self, tensors: Mapping[str, F32], vectors: F64) -> F64:
        """See `MapKind`."""
        return _affine(tensors, vectors)


@dataclass(frozen=True)
class Ridge:
    """Least squares with a penalty on the size of the map: Hoerl & Kennard 1970."""

    name: str = "ridge"
    strengths: Sequence[float] = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)

    def fit(self, source: F64, target: F64, strength: float, rng: np.random.Generator) -> dict[str, F32]:
        """See `MapKind`."""
        from_mean, to_mean = source.mean(0), target.mean(0)
        matrix = _solve(source - from_mean, target - to_mean, strength)
        return _singles(from_mean=from_mean, to_mean=to_mean, matrix=matrix)

    def apply(self, tensors: Mapping[str, F32], vectors: F64) -> F64:
        """See `MapKind`."""
        return _affine(tensors, vectors)


@dataclass(frozen=True)
class RidgeFeatures:
    """A linear map and what random cosine features add to it, fitted together.

    The features of Rahimi & Recht 2007 stand for a Gaussian kernel whose width is the median distance of the vectors.
    """

    name: str = "ridge_features"
    strengths: Sequence[float] = (1e-3, 1e-2, 1e-1, 1.0)
    n_features: int = 1024

    def fit(self, source: F64, target: F64, strength: float, rng: np.random.Generator) -> dict[str, F32]:
        """See `MapKind`."""
        from_mean, to_mean = source.mean(0), target.mean(0)
        a, b = rng.integers(len(source), size=(2, 1000))
        width = max(float(np.median(np.linalg.norm(source[a] - source[b], axis=1))), 1e-6)
        tensors = _singles(
            from_mean=from_mean,
            to_mean=to_mean,
            waves=rng.standard_normal((source.shape[1], self.n_features)) / width,
            phases=rng.uniform(0, 2 * np.pi, self.n_features),
        )
        lifted = self._lifted(tensors, source)
        tensors["shift"] = lifted.mean(0).astype(np.float32)
        tensors["matrix"] = _solve(lifted - tensors["shift"], target - to_mean, strength).astype(np.float32)
        return tensors

    def apply(self, tensors: Mapping[str, F32], vectors: F64) -> F64:
        """See `MapKind`."""
        rows: F64 = (self._lifted(tensors, vectors) - tensors["shift"]) @ tensors["matrix"] + tensors["to_mean"]
        return rows

    def _lifted(self, tensors: Mapping[str, F32], vectors: F64) -> F64:
        x = vectors - tensors["from_mean"]
        waves = np.cos(x @ tensors["waves"] + tensors["phases"]) * np.sqrt(2 / len(tensors["phases"]))
        return np.concatenate([x, waves], axis=1)


_KINDS: dict[str, MapKind] = {}


def register(kind: MapKind) -> None:
    """Let adapters be of one more kind.

    Raises:
        InputError: if the name is taken.
    """
    if _KINDS.setdefault(kind.name, kind) is not kind:
        raise InputError(f"kind: expected a name that is not taken, got {kind.name!r}")


def kind_of(name: str) -> MapKind:
    """The kind of that name; UnknownMethod when nobody registered it."""
    if name not in _KINDS:
        raise UnknownMethod(name, _KINDS, what="kind of adapter")
    return _KINDS[name]


def kinds() -> list[str]:
    """Every kind, the simplest first."""
    return list(_KINDS)


def _affine(tensors: Mapping[str, F32], vectors: F64) -> F64:
    rows: F64 = (vectors - tensors["from_mean"]) @ tensors["matrix"].astype(np.float64) + tensors["to_mean"]
    return rows


def _solve(x: F64, y: F64, strength: float) -> F64:
    """Penalized least squares; the penalty counts in units of the mean variance of a column of x."""
    gram = x.T @ x
    penalty = max(strength * float(np.trace(gram)) / len(gram), 1e-12)
    return np.asarray(np.linalg.solve(gram + penalty * np.eye(len(gram)), x.T @ y), np.float64)


def _singles(**arrays: F64) -> dict[str, F32]:
    return {name: np.asarray(array, np.float32) for name, array in arrays.items()}


for _kind in (Procrustes(), Ridge(), RidgeFeatures()):
    register(_kind)

"""One Protocol per kind of part: the architecture on one page.

Nothing is inherited; an object with the right call passes. `vultus.testing.contracts` checks behavior.
Letters: N items, D embedding size, H and W height and width in pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.types import F32, U8, CropSpec, Detections, Embedded

__all__ = [
    "Aligner",
    "ClassLoss",
    "Clusterer",
    "Comparator",
    "Detector",
    "Embedder",
    "Landmarker",
    "LossOut",
    "PairLoss",
    "QualityEstimator",
    "Refiner",
    "Trainable",
]


@runtime_checkable
class Detector(Protocol):
    """Find faces."""

    def detect(
        self, images: Sequence[U8], *, min_score: float | None = None, max_faces: int | None = None
    ) -> list[Detections]:
        """Faces of each (H, W, 3) picture, best first, in that picture's pixels; an empty record where there is none.

        `min_score` None means the threshold that belongs to the weights. The batch equals one by one.
        """
        ...


@runtime_checkable
class Refiner(Protocol):
    """Improve five points."""

    def refine(self, image: U8, points: F32) -> F32:
        """(N, 5, 2) rough points on one picture -> (N, 5, 2) better points, same order."""
        ...


@runtime_checkable
class Landmarker(Protocol):
    """Find the 68 iBUG points."""

    def points(self, image: U8, boxes: F32) -> F32:
        """One picture and its (N, 4) boxes -> (N, 68, 2) points in pixels."""
        ...


@runtime_checkable
class Aligner(Protocol):
    """Cut the crop that a model wants."""

    def align(self, image: U8, points: F32, spec: CropSpec) -> tuple[U8, F32]:
        """One picture and (N, 5, 2) points -> crops (N, h, w, 3) uint8 and matrices (N, 2, 3), picture to crop."""
        ...


@runtime_checkable
class Embedder(Protocol):
    """Turn crops into comparable vectors."""

    @property
    def space(self) -> str:
        """Catalogue name + "@" + first 12 hex of the weights' sha256."""
        ...

    @property
    def dim(self) -> int:
        """D."""
        ...

    @property
    def crop(self) -> CropSpec:
        """The crop it wants."""
        ...

    def embed(self, crops: U8) -> Embedded:
        """(N, h, w, 3) uint8 crops -> N unit vectors; the batch equals one by one."""
        ...


@runtime_checkable
class QualityEstimator(Protocol):
    """Say how useful a face is for recognition."""

    def score(self, image: U8, faces: Detections) -> F32:
        """(N,) in [0, 1], higher is more useful."""
        ...


@runtime_checkable
class Clusterer(Protocol):
    """Say which faces are of one person."""

    def cluster(
        self, vectors: ArrayLike, *, cannot_link: ArrayLike | None = None, must_link: ArrayLike | None = None
    ) -> NDArray[np.int64]:
        """(N, D) unit rows -> (N,) cluster of each face, 0 to K - 1 by first face; -1 is noise.

        `must_link` and `cannot_link` are (M, 2) indices. Faces that must are in one cluster and never noise, faces that
        cannot are never in one; constraints that contradict each other are an InputError which names the pair.
        """
        ...


@runtime_checkable
class Comparator(Protocol):
    """Learn from labeled vectors how alike two others are."""

    def fit(self, vectors: ArrayLike, people: ArrayLike) -> Any:
        """(N, D) vectors and (N,) who is on each -> itself."""

    def scores(self, a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
        """(N, D) and (M, D) vectors -> (N, M), rising with likeness, the same whichever comes first."""
        ...


@runtime_checkable
class ClassLoss(Protocol):
    """Turn cosines to class centers into a loss; the centers may be split over machines. Tensors are torch's."""

    needs_norm: bool

    def logits(self, cos: Any, labels: Any, *, norm: Any = None, raw: Any = None) -> Any:
        """(N, C) cosines to the centers here, (N,) own center or -1 where it is elsewhere -> (N, C) logits, float32."""
        ...

    def reduce(self, logits: Any, labels: Any) -> Any:
        """Logits of all centers -> the loss, a scalar."""
        ...


@runtime_checkable
class PairLoss(Protocol):
    """Turn vectors with labels into a loss over their pairs or triplets. Tensors are torch's."""

    def __call__(self, emb: Any, labels: Any, *, miner: Any = None) -> Any:
        """(N, D) vectors, (N,) labels, -1 where nobody is known -> `loss`, a scalar, and `parts`, a number by name."""
        ...


@dataclass(frozen=True, slots=True)
class LossOut:
    """What one step of training is to lower. Tensors are torch's.

    Attributes:
        total: scalar with gradient.
        parts: what it is made of, by name, for the log: numbers, or scalars without gradient.
        features: what the network said of the batch, for hooks that add a loss; None where there is none to give.
    """

    total: Any
    parts: Mapping[str, Any] = field(default_factory=dict)
    features: Any = None


@runtime_checkable
class Trainable(Protocol):
    """All that a training loop knows of what it trains. Tensors are torch's.

    It may also have `follow(optimizer)`, told once; `settle()`, between backward and step, for gradients that ranks add
    up; `shard()` and `load_shards(shards)`, for what each rank holds a part of; `about()`, its settings in words, by
    name: a checkpoint of others is refused; and `to(device)`.
    """

    def loss(self, batch: dict[str, Any], step: int) -> LossOut:
        """Loss of a batch: "image" (N, 3, H, W) float32 in [0, 1], "label" and "index" (N,) int64, others by name."""
        ...

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Groups for the optimizer: "params" is a list of (name, parameter); "weight_decay" 0 where nothing decays;
        "sharded" true where each rank holds other rows.
        """
        ...

    def state(self) -> dict[str, Any]:
        """Every tensor that all ranks hold alike, by name; not copies."""
        ...

    def load(self, state: Mapping[str, Any]) -> None:
        """Take what `state` gave."""
        ...

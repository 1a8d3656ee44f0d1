"""Clustering and moving a gallery, with the thresholds and models that belong to a pipeline."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vultus import catalogue
from vultus.errors import InputError, VultusError
from vultus.gallery import Gallery, migrate
from vultus.gallery.calibrate import Calibration
from vultus.gallery.evidence import score_model
from vultus.gallery.purity import purity
from vultus.gallery.records import NewFace
from vultus.pipeline.previews import new_face
from vultus.types import F32, Metric

if TYPE_CHECKING:
    from vultus.pipeline._pipeline import Pipeline

__all__ = ["CLUSTER_FMR", "clusterer", "estimated_purity", "moved"]

CLUSTER_FMR = 1e-4  # of two faces that are joined
_DRAWS = 200


def clusterer(calibration: Calibration, row: str = "incremental") -> Any:
    """A clusterer of the catalogue with the threshold that these scores ask for."""
    options: dict[str, Any] = {"threshold": _threshold(calibration)}
    if row == "incremental":
        try:
            options["evidence"] = score_model(calibration).llr
        except InputError:  # a calibration without mated comparisons: pairs never stand alone
            options["evidence"] = None
    return catalogue.load(row, **options)


def estimated_purity(calibration: Calibration) -> Callable[[F32, NDArray[np.int64]], Mapping[int, Metric]]:
    """What `Gallery.clusters` takes to say how pure each cluster is; says nothing where nothing is known."""

    def estimate(vectors: F32, labels: NDArray[np.int64]) -> Mapping[int, Metric]:
        try:
            model = score_model(calibration)
        except InputError:  # no mated comparisons: nothing is known of how often they score low
            return {}
        rng = np.random.default_rng(0)  # the same faces give the same estimate
        found = purity(vectors, labels, model, threshold=_threshold(calibration), rng=rng, draws=_DRAWS)
        rows = zip(found.labels, found.value, found.low, found.high, found.faces, strict=True)
        return {int(label): Metric(float(v), float(a), float(b), "share", int(n)) for label, v, a, b, n in rows}

    return estimate


def moved(
    pipe: Pipeline, gallery: Gallery, adapter: Callable[[F32], F32] | None, actor: str
) -> Iterator[migrate.Progress]:
    """Fill a gallery with vectors of this pipeline: from its photos, and the rest through an adapter."""
    migrate.begin(gallery, pipe.space, actor=actor)

    def encode(sources: Sequence[str]) -> Iterator[Sequence[NewFace] | str]:
        for result in pipe.stream(sources, truncated="accept"):
            yield str(result) if isinstance(result, VultusError) else [new_face(result, i) for i in range(len(result))]

    yield from migrate.reembed(gallery, pipe.space, encode, actor=actor)
    if adapter is not None:
        yield from migrate.adapt(gallery, pipe.space, adapter, actor=actor)


def _threshold(calibration: Calibration) -> float:
    return calibration.threshold(max(CLUSTER_FMR, calibration.smallest_fmr))[0]

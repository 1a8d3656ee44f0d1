"""Clusters of unknown faces: found by a job, asked for by pages, so that they are worked out once per change."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vultus import catalogue
from vultus.errors import InputError
from vultus.gallery import Gallery
from vultus.gallery.evidence import score_model
from vultus.gallery.purity import purity
from vultus.gallery.records import Cluster
from vultus.pipeline import Pipeline
from vultus.serve.jobs import Progress
from vultus.types import F32, Metric

__all__ = ["Clusters"]

CLUSTERER = "incremental"
FMR = 1e-4  # of two faces that are joined
DRAWS = 200


class Clusters:
    """The clusters of one gallery.

    Args:
        gallery: whose unknown faces.
        pipe: gives the meaning of scores.
    """

    def __init__(self, gallery: Gallery, pipe: Pipeline) -> None:
        self.gallery = gallery
        self.pipe = pipe
        self._lock = threading.Lock()
        self._known: tuple[int, list[Cluster]] | None = None

    def find(self, progress: Progress, actor: str) -> dict[str, Any]:
        """Cluster all unknown faces; the work of a job."""
        progress(0, 1, "clustering")
        calibration = self.pipe.calibration
        evidence = score_model(calibration).llr
        clusterer = catalogue.load(CLUSTERER, threshold=self._threshold(), evidence=evidence)
        found = self.gallery.cluster(clusterer, actor=actor)
        progress(1, 1)
        return {"clusters": found}

    def all(self) -> list[Cluster]:
        """The largest first, with an estimate of how pure each is; worked out again when somebody has written."""
        with self._lock:
            revision = self.gallery.store.revision()
            if self._known is None or self._known[0] != revision:
                self._known = (revision, self.gallery.clusters(self._purity))
            return self._known[1]

    def _threshold(self) -> float:
        calibration = self.pipe.calibration
        return calibration.threshold(max(FMR, calibration.smallest_fmr))[0]

    def _purity(self, vectors: F32, labels: NDArray[np.int64]) -> Mapping[int, Metric]:
        try:
            model = score_model(self.pipe.calibration)
        except InputError:  # a calibration without mated comparisons: nothing is known of how often they score low
            return {}
        rng = np.random.default_rng(0)  # the same faces give the same estimate
        found = purity(vectors, labels, model, threshold=self._threshold(), rng=rng, draws=DRAWS)
        rows = zip(found.labels, found.value, found.low, found.high, found.faces, strict=True)
        return {int(label): Metric(float(v), float(a), float(b), "share", int(n)) for label, v, a, b, n in rows}

"""Clusters of unknown faces: found by a job, asked for by pages, so that they are worked out once per change."""

from __future__ import annotations

import threading
from typing import Any

from vultus.gallery import Gallery
from vultus.gallery.records import Cluster
from vultus.pipeline import Pipeline
from vultus.pipeline._groups import clusterer, estimated_purity
from vultus.serve.jobs import Progress

__all__ = ["Clusters"]


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
        found = self.gallery.cluster(clusterer(self.pipe.calibration), actor=actor)
        progress(1, 1)
        return {"clusters": found}

    def all(self) -> list[Cluster]:
        """The largest first, with an estimate of how pure each is; worked out again when somebody has written."""
        with self._lock:
            revision = self.gallery.store.revision()
            if self._known is None or self._known[0] != revision:
                self._known = (revision, self.gallery.clusters(estimated_purity(self.pipe.calibration)))
            return self._known[1]

"""Search: who among many is most like a probe. Exact by float32, int8 or bits, approximate by lists or a graph."""

from __future__ import annotations

from vultus.gallery.search.index import Hits, VectorIndex

__all__ = ["Hits", "VectorIndex"]

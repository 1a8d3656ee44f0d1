"""Room gallery.cluster: every row keeps its contract."""

from __future__ import annotations

ROOM = "gallery.cluster"


def test_cluster(promise, build):
    promise(build)

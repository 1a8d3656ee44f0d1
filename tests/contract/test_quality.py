"""Room quality: every row keeps its contract."""

from __future__ import annotations

ROOM = "quality"


def test_quality(promise, build):
    promise(build)

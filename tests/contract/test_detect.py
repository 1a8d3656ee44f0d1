"""Room detect: every row keeps its contract."""

from __future__ import annotations

ROOM = "detect"


def test_detect(promise, build):
    promise(build)

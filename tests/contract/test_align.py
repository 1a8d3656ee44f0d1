"""Room align: every row keeps its contract."""

from __future__ import annotations

ROOM = "align"


def test_align(promise, build):
    promise(build)

"""Room recognize: every row keeps its contract."""

from __future__ import annotations

ROOM = "recognize"


def test_recognize(promise, build):
    promise(build)

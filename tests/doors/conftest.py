"""One way to use the command line in a test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from vultus.cli.__main__ import main


class Said(NamedTuple):
    """What a run of the command line gave."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout; NaN and Infinity are no JSON."""

        def refuse(constant: str) -> None:
            raise ValueError(f"{constant} is no JSON")

        return json.loads(self.out, parse_constant=refuse)


@pytest.fixture
def vultus(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """`vultus VERB ...` in this process."""

    def run(*words: str | Path) -> Said:
        code = main([str(word) for word in words])
        return Said(code, *capsys.readouterr())

    return run

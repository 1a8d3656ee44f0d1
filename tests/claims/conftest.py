"""Planted claims, and a folder for their runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from vultus.claims import Claim, find

PLANTED = Path(__file__).with_name("planted.py")


@pytest.fixture
def planted(tmp_path, monkeypatch) -> dict[str, Claim]:
    """The claims of planted.py by name."""
    monkeypatch.setenv("PLANTED", str(tmp_path))
    return {claim.name: claim for claim in find(str(PLANTED))}

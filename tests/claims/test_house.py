"""The claims of this package run, and so does the one in the guide."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vultus import catalogue
from vultus.claims import claims, find, run
from vultus.errors import MissingExtra

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs/guides/claims.md"
PICTURE = ROOT / "docs/guides/img/claim.svg"


@pytest.mark.parametrize("name", sorted(claims()))
def test_every_claim_runs_at_tiny_scale(name, tmp_path):
    """A claim whose extra is not installed says so."""
    claim = claims()[name]
    try:
        outcome = run(claim, scale="tiny", folder=tmp_path)
    except MissingExtra as missing:
        pytest.skip(str(missing))
    document = outcome.document
    assert outcome.status == "wired", document
    assert document["arms"][document["method"]]["value"] is not None
    assert document["says"], f"{name} has no docstring"


def test_the_command_line_runs_several_claims(tmp_path):
    words = [sys.executable, "-m", "vultus.cli", "claim", "dct_faces", "calfw", "--scale", "tiny", "--json"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [*words, "--out", str(tmp_path)], env=env, capture_output=True, text=True, check=False, timeout=300
    )
    said = json.loads(done.stdout)
    assert [(document["claim"], document["status"]) for document in said["claims"]] == [
        ("dct_faces", "wired"),
        ("calfw", "wired"),
    ]


def test_claims_stand_at_their_paper():
    names = {paper.number: paper.name for paper in catalogue.papers()}
    for claim in claims().values():
        assert claim.paper in names, f"{claim.name}: paper {claim.paper}"
        assert Path(claim.source).stem in (names[claim.paper], claim.name)


def test_the_claim_of_the_guide_is_shown_and_is_the_one_in_its_picture(tmp_path):
    blocks = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text("utf-8"), re.M | re.S)
    (code,) = [block for block in blocks if "@claim" in block]
    (tmp_path / "mine.py").write_text(code)
    (mine,) = find(str(tmp_path / "mine.py"))
    outcome = run(mine, scale="nano", folder=tmp_path)
    assert outcome.status == "shown"
    drawn = (outcome.folder / f"{mine.name}.nano.svg").read_text("utf-8")
    assert drawn == PICTURE.read_text("utf-8"), f"run the claim of the guide and copy its picture to {PICTURE.name}"


def test_declaring_a_claim_loads_nothing_heavy():
    code = "import sys, vultus.claims; print(sorted({'torch', 'cv2', 'PIL', 'onnxruntime', 'rich'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

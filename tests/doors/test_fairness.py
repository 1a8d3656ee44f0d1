"""`vultus evaluate fairness` on both layouts, with vectors made up from file names in the place of a model."""

from __future__ import annotations

import json
import zlib

import numpy as np
import pytest

from vultus.cli import _options, evaluate
from vultus.cli.__main__ import EXIT_CODES, main
from vultus.io import images
from vultus.types import Embedded


def embed(paths):
    """Each person a direction, each picture a little off."""

    def draw(text):
        return np.random.default_rng(zlib.crc32(text.encode())).normal(size=16)

    rows = []
    for path in paths:
        person = path.name.split("_")[0] if "_" in path.name else path.parent.name
        rows.append(draw(person) + 0.4 * draw(str(path)))
    vec = np.array(rows)
    return Embedded(vec / np.linalg.norm(vec, axis=1, keepdims=True), "made-up@000000000000"), np.ones(len(paths), bool)


@pytest.fixture
def no_model(monkeypatch):
    monkeypatch.setattr(_options, "pipeline", lambda args: None)
    monkeypatch.setattr(evaluate, "embedder", lambda pipe, *, alone: embed)


@pytest.fixture
def people(tmp_path):
    rows = ["person,tone,empty"]
    for k in range(24):
        folder = tmp_path / "set" / f"p{k:02d}"
        folder.mkdir(parents=True)
        for n in range(3):
            images.write(folder / f"{n}.png", np.zeros((16, 16, 3), np.uint8))
        rows.append(f"p{k:02d},{('light', 'dark')[k % 2]},")
    (tmp_path / "groups.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def test_folders_and_a_table(no_model, people, capsys):
    words = ["evaluate", "fairness", str(people / "set"), "--groups", str(people / "groups.csv"), "--fmr", "0.1"]
    assert main([*words, "--labels-from", "self_reported", "--out", str(people / "report")]) == 0
    told = capsys.readouterr().out
    assert "tone: FMR 0.1: both policies" in told
    assert "light" in told
    assert "empty" not in told  # a column without values divides nobody
    document = json.loads((people / "report" / "report.json").read_text())
    assert document["provenance"]["counts"]["people, test"] == 12
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["protocol"] == "controlface"


def test_names_and_a_pattern(no_model, tmp_path, capsys):
    for k in range(16):
        for pose in ("left", "right"):
            name = f"{k:02d}_{'AB'[k % 2]}_{pose}.png"
            images.write(tmp_path / name, np.zeros((16, 16, 3), np.uint8))
    pattern = r"(?P<id>\d+)_(?P<race>\w)_(?P<pose>\w+)"
    assert main(["evaluate", "fairness", str(tmp_path), "--pattern", pattern, "--fmr", "0.3"]) == 0
    assert "race: FMR 0.3: both policies" in capsys.readouterr().out


def test_what_cannot_be_measured_is_refused_in_words(no_model, people, capsys):
    words = ["evaluate", "fairness", str(people / "set")]
    for more, said in (
        (["--groups", str(people / "none.csv")], "none.csv"),
        ([], "differ"),
        (["--groups", str(people / "groups.csv"), "--fmr", "1e-6"], "30 expected errors"),
        (["--groups", str(people / "groups.csv"), "--labels-from", "gossip"], "gossip"),
    ):
        assert main([*words, *more]) in (*EXIT_CODES.values(), 2)
        assert said in capsys.readouterr().err

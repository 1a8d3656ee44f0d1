"""`vultus evaluate pairs` on folders and a .bin, with vectors made up from pictures in the place of a model."""

from __future__ import annotations

import json
import re
import zlib
from types import SimpleNamespace

import numpy as np
import pytest

from vultus import catalogue
from vultus.cli import _options, evaluate
from vultus.cli.__main__ import EXIT_CODES, main
from vultus.io import images
from vultus.io.datasets.insight_bin import write_insight_bin
from vultus.pipeline import Parts, _encode
from vultus.types import CropSpec, Embedded


def embed(paths):
    """Each person a direction, each picture a little off."""

    def draw(text):
        return np.random.default_rng(zlib.crc32(text.encode())).normal(size=16)

    rows = [draw(path.stem.rpartition("_")[0]) + 0.9 * draw(path.stem) for path in paths]
    vec = np.array(rows)
    return Embedded(vec / np.linalg.norm(vec, axis=1, keepdims=True), "made-up@000000000000"), np.ones(len(paths), bool)


class Crops:
    """An embedder that tells pictures apart by their first pixel."""

    crop, dim, space = CropSpec("arcface112", (112, 112)), 2, "crops@000000000000"

    def embed(self, crops):
        turn = crops[:, 0, 0, 0] / 40.0
        return Embedded(np.stack([np.cos(turn), np.sin(turn)], axis=1), self.space)


@pytest.fixture
def no_model(monkeypatch):
    parts = Parts(embedder="dlib_resnet29.flip")
    monkeypatch.setattr(_options, "pipeline", lambda args: SimpleNamespace(parts=parts, cores=1))
    monkeypatch.setattr(evaluate, "embedder", lambda pipe, *, alone: embed)
    monkeypatch.setattr(_encode, "load_embedder", lambda name, threads: Crops())


@pytest.fixture
def calfw(tmp_path):
    """CALFW's layout with two folds: people of the first are not in the second."""
    lines = []
    for same in (True, False):
        for fold in (0, 1):
            for k in range(300):
                a = fold * 8 + k % 8
                b = a if same else fold * 8 + (a + 1 + k // 8 % 7) % 8
                lines += [f"P{a:02d}_0001.jpg {int(same)}", f"P{b:02d}_000{2 + k % 2}.jpg {int(same)}"]
    for name in {line.split()[0] for line in lines}:
        (tmp_path / "calfw" / "images").mkdir(parents=True, exist_ok=True)
        images.write(tmp_path / "calfw" / "images" / name, np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "calfw" / "pairs_CALFW.txt").write_text("\n".join(lines) + "\n")
    return tmp_path / "calfw"


def test_a_folder_with_comparators(no_model, calfw, capsys):
    words = ["evaluate", "pairs", str(calfw), "--set", "calfw", "--learn", "kissme", "--learn", "lda"]
    assert main([*words, "--json", "--out", str(calfw.parent / "report")]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["dataset"].startswith("calfw: 1,200 pairs in 2 folds")
    assert 0.6 < document["metrics"]["pairs.accuracy"]["value"] < 1
    assert {"learned.kissme", "learned.lda"} <= set(document["metrics"])
    assert document["provenance"]["mirrored picture"] == "its vector was added"
    assert document["provenance"]["people in two folds"] == "nobody"
    page = (calfw.parent / "report" / "report.html").read_text()
    assert "<h1>CALFW" in page
    assert "Not known of this layout" in page
    assert "Their threshold is fitted on the same other folds, whose pairs they have learned from" in page
    assert main(words) == 0
    assert re.search(r"pairs\.accuracy_grid", capsys.readouterr().out)


def test_folds_of_another_size(no_model, calfw, capsys):
    words = ["evaluate", "pairs", str(calfw), "--set", "calfw", "--per-fold", "150", "--leaking", "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["dataset"].startswith("calfw: 1,200 pairs in 4 folds")


def test_people_in_two_folds(no_model, calfw, capsys):
    lines = (calfw / "pairs_CALFW.txt").read_text().splitlines()
    moved = lines[:2] + lines[600:602] + lines[2:600] + lines[602:]  # a mated pair of the second fold in the first
    (calfw / "leaking.txt").write_text("\n".join(moved) + "\n")
    words = ["evaluate", "pairs", str(calfw), "--set", "calfw", "--list", str(calfw / "leaking.txt")]
    assert main(words) == EXIT_CODES["InputError"]
    assert "P08 (0, 1)" in capsys.readouterr().err
    assert main([*words, "--leaking", "--json"]) == 0
    assert "in more than one fold" in json.loads(capsys.readouterr().out)["provenance"]["people in two folds"]


def test_a_bin(no_model, tmp_path, capsys):
    shades = [40, 41, 90, 91, 150, 151, 200, 203]  # two pictures each of four people
    files = []
    for k, shade in enumerate(shades):
        images.write(tmp_path / f"{k}.png", np.full((112, 112, 3), shade, np.uint8))
        files.append((tmp_path / f"{k}.png").read_bytes())
    same = [(0, 1), (2, 3), (4, 5), (6, 7)]
    other = [(0, 2), (1, 3), (4, 6), (5, 7)]
    listed = [pair for both in zip(same, other, strict=True) for pair in both]
    write_insight_bin(tmp_path / "own.bin", [files[i] for pair in listed for i in pair], [True, False] * 4)
    words = ["evaluate", "pairs", str(tmp_path / "own.bin"), "--json"]
    assert main([*words, "--learn", "itml"]) == 2
    capsys.readouterr()
    assert main([*words, "--out", str(tmp_path / "report")]) == EXIT_CODES["InputError"]  # eight pairs, ten folds
    assert "10 folds" in capsys.readouterr().err
    write_insight_bin(tmp_path / "own.bin", [files[i] for pair in listed * 5 for i in pair], [True, False] * 20)
    assert main([*words, "--out", str(tmp_path / "report")]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["provenance"]["counts"]["pictures"] == 8
    assert document["provenance"]["counts"]["people"] == 4
    assert "people are in more than one fold" in document["provenance"]["people in two folds"]
    assert document["metrics"]["pairs.accuracy"]["value"] == 1.0
    assert document["spaces"] == ["crops@000000000000"]
    pictures = [files[i] for pair in listed * 5 for i in pair]
    write_insight_bin(tmp_path / "own.bin", [*pictures, *files[:2] * 7], [*[True, False] * 20, *[True] * 7])
    written = (tmp_path / "own.bin").read_bytes()
    (tmp_path / "own.bin").write_bytes(written[:-10] + b"N" * 7 + written[-3:])  # seven pairs without a flag
    assert main(words) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["dataset"].startswith(
        "own: 40 pairs"
    )  # what is left out is no part of the document
    assert "left out: " in captured.err
    assert "and 2 more that cannot be used" in captured.err
    assert main([*words, "--learn", "lda"]) == EXIT_CODES["InputError"]
    assert "learner of pairs" in capsys.readouterr().err


def test_what_is_missing_is_said(no_model, calfw, capsys):
    for words, message in (
        ([str(calfw)], "--set: expected which set"),
        ([str(calfw), "--set", "imdb"], "expected one of lfw, "),
        ([str(calfw), "--set", "cplfw"], "expected the list pairs_CPLFW.txt"),
        ([str(calfw / "none.bin")], "none.bin"),
        ([str(calfw / "none.bin"), "--per-fold", "4"], "has ten folds of equal length, got 4"),
    ):
        assert main(["evaluate", "pairs", *words]) == EXIT_CODES["InputError"]
        assert message in capsys.readouterr().err


def test_the_rows_that_learn_are_in_the_catalogue():
    from vultus.cli._pair_sets import LEARNERS

    assert all(catalogue.row(name).room == "recognize.classical" for name in LEARNERS)

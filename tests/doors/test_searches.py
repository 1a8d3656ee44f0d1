"""`vultus evaluate ijb|tinyface|open-set` with vectors made up from names in the place of a model."""

from __future__ import annotations

import json
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.io

from tests.io.datasets import ijb_replica
from vultus.cli import _options, evaluate
from vultus.cli.__main__ import EXIT_CODES, main
from vultus.io import images
from vultus.pipeline import Parts, _encode
from vultus.types import CropSpec, Embedded


def embed(paths):
    """Each person's folder a direction, each picture a little off."""

    def draw(text):
        return np.random.default_rng(zlib.crc32(text.encode())).normal(size=16)

    vec = np.array(
        [draw(path.parts[-3] if "album" in str(path) else path.parent.name) + 0.8 * draw(path.name) for path in paths]
    )
    return Embedded(vec / np.linalg.norm(vec, axis=1, keepdims=True), "made-up@000000000000"), np.ones(len(paths), bool)


class Crops:
    """An embedder that tells pictures apart by the pixel in the middle."""

    crop, dim, space = CropSpec("arcface112", (112, 112)), 2, "crops@000000000000"

    def embed(self, crops):
        turn = crops[:, 56, 56, 0] / 40.0
        return Embedded(np.stack([np.cos(turn), np.sin(turn)], axis=1), self.space)


@pytest.fixture
def no_model(monkeypatch):
    monkeypatch.setattr(_options, "pipeline", lambda args: SimpleNamespace(parts=Parts(), cores=1))
    monkeypatch.setattr(evaluate, "embedder", lambda pipe, *, alone: embed)
    monkeypatch.setattr(_encode, "load_embedder", lambda name, threads: Crops())


def told(words, capsys):
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def picture(path, level):
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write(path, np.full((112, 112, 3), level, np.uint8))


def test_open_set(no_model, tmp_path, capsys):
    for person in range(20):
        for k in range(4):
            picture(tmp_path / "people" / f"P{person:02d}" / f"album{k % 2}" / f"{k}.png", 9)
    (tmp_path / "seen.txt").write_text("P03\n\nP04\nsomebody\n")
    words = ["evaluate", "open-set", str(tmp_path / "people"), "--known", "0.22", "--enrolled", "2", "--albums"]
    words += ["--trained-on", str(tmp_path / "seen.txt")]
    document = told([*words, "--out", str(tmp_path / "report")], capsys)
    assert document["dataset"] == "people: 4 people enrolled, 8 mated and 56 non-mated probes"
    assert 0.3 < document["metrics"]["closed.rank_1"]["value"] <= 1
    notes = " ".join(document["provenance"]["notes"])
    assert "among the 3 people whom the embedder is said to have been trained on" in notes
    assert "2 of their names are in the set and were left out." in notes
    assert "another video or album" in notes
    assert "<h1>Open set" in (tmp_path / "report" / "report.html").read_text()
    assert main(words) == 0
    told_again, said = capsys.readouterr()
    assert "seen.txt: 1 of 3 names are nobody's here, such as somebody" in said
    assert "open.dir_at_far_1e-2" in told_again
    assert f"{document['metrics']['closed.rank_1']['value']:.4f}" in told_again  # the same people are drawn


def test_ijb(no_model, tmp_path, capsys):
    angles = ijb_replica.write(tmp_path / "IJBC")
    for name, angle in angles.items():
        (tmp_path / "IJBC" / "loose_crop" / name).unlink()
        picture(tmp_path / "IJBC" / "loose_crop" / f"{name}.png", round(np.deg2rad(angle) * 40))
        (tmp_path / "IJBC" / "loose_crop" / f"{name}.png").rename(tmp_path / "IJBC" / "loose_crop" / name)
    document = told(["evaluate", "ijb", str(tmp_path / "IJBC")], capsys)
    assert document["protocol"] == "ijb"
    assert document["metrics"]["identification.rank_1"]["value"] == 0.75  # as worked by hand for the replica
    alike = told(["evaluate", "ijb", str(tmp_path / "IJBC"), "--alike"], capsys)
    assert not any("detection score" in note for note in alike["provenance"]["notes"])


def test_tinyface(no_model, tmp_path, capsys):
    names = {"Probe": ["a.png", "b.png"], "Gallery_Match": ["c.png", "d.png"], "Gallery_Distractor": ["e.png"]}
    for folder, pictures in names.items():
        for k, name in enumerate(pictures):
            picture(tmp_path / "Testing_Set" / folder / name, 60 * k + 10 if folder != "Gallery_Distractor" else 200)
    for file, pictures, ids in (("probe", "Probe", "probe"), ("gallery_match", "Gallery_Match", "gallery")):
        cell = np.array([[name] for name in names[pictures]], object)
        scipy.io.savemat(
            tmp_path / "Testing_Set" / f"{file}_img_ID_pairs.mat", {f"{ids}_set": cell, f"{ids}_ids": [[4.0], [5.0]]}
        )
    document = told(["evaluate", "tinyface", str(tmp_path)], capsys)
    assert document["metrics"]["search.rank_1"]["value"] == 1
    assert "each picture is taken for the crop" in document["provenance"]["notes"][0]
    found = told(["evaluate", "tinyface", str(tmp_path), "--faces", "detect"], capsys)
    assert found["spaces"] == ["made-up@000000000000"]


@pytest.mark.parametrize("verb", ["ijb", "tinyface", "open-set"])
def test_an_empty_folder_is_refused_in_words(no_model, tmp_path, capsys, verb):
    assert main(["evaluate", verb, str(tmp_path)]) == EXIT_CODES["InputError"]
    assert "expected" in capsys.readouterr().err

"""An embedder of one's own: folder, card and file are one; what is damaged or missing is said in words."""

from __future__ import annotations

import hashlib
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vultus
from tests.recognize.embedders.tiny_networks import block_means, by_hand
from vultus import catalogue
from vultus.errors import HashMismatch, InputError, MissingWeights, Refused, StoreError, UnknownMethod
from vultus.pipeline import Pipeline
from vultus.types import CropSpec
from vultus.zoo import runs
from vultus.zoo.cards import Card, Source
from vultus.zoo.session import open_session

WEIGHTS = hashlib.sha256(b"weights").hexdigest()


def card(**changed):
    told = {
        "license": 'his "own"\n\x7f ☺ 𝔛',
        "commercial": "unclear",
        "training_data": "sim",
        "channel_order": "BGR",
        "mean": (127.5, 120.0, 110.25),
        "std": (127.5, 64.0, 255.0),
        "input_hw": (56, 56),
        "crop": CropSpec("arcface112", (56, 56)),
        "dim": 48,
        "note": "a \\ and a tab\t",
    }
    return Card("my.run-1", "blocks", "embedder", "model.onnx", Source("file", "here"), WEIGHTS, **{**told, **changed})


@pytest.fixture
def run(tmp_path):
    return written(tmp_path / "some run")


def written(folder, **changed):
    folder.mkdir()
    path = block_means(folder / "model.onnx", size=56)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "card.toml").write_text(runs.text_of(card(**changed), onnx_sha256=digest, about={"parity": 1e-7}))
    return folder


def test_a_card_says_what_was_written(run):
    found = runs.own(run)
    assert found.card == card()
    assert (found.path, found.about["parity"]) == (run / "model.onnx", 1e-7)


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_words_come_back(license, note):
    try:
        text = runs.text_of(card(license=license, note=note), onnx_sha256=WEIGHTS, about={"x": note})
        text.encode()
    except UnicodeEncodeError:  # lone surrogates are no text
        return
    assert runs.tomllib.loads(text)["my.run-1"]["license"] == license
    assert runs.tomllib.loads(text)["export"]["x"] == note


def test_folder_card_and_file_are_one_embedder(run):
    crops = np.random.default_rng(0).integers(0, 256, (3, 56, 56, 3), dtype=np.uint8)
    for name in (run, run / "card.toml", run / "model.onnx", f"{run}/"):
        embedder = vultus.load(name, threads=1)
        assert (embedder.space, embedder.dim, embedder.crop.size_hw) == (f"my.run-1@{WEIGHTS[:12]}", 48, (56, 56))
    x = (crops[..., ::-1].astype(np.float64) - card().mean) / card().std  # by the card: BGR, three means, three spreads
    means = x.reshape(3, 4, 14, 4, 14, 3).mean(axis=(2, 4)).transpose(0, 3, 1, 2).reshape(3, -1)
    np.testing.assert_allclose(
        embedder.embed(crops).vec, means / np.linalg.norm(means, axis=1, keepdims=True), atol=1e-5
    )


def test_a_file_beside_a_card_that_is_not_its_own_keeps_the_convention(run):
    other = block_means(run / "other.onnx")
    embedder = vultus.load(other)
    assert embedder.space == f"arcface.file@{hashlib.sha256(other.read_bytes()).hexdigest()[:12]}"
    crops = np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3), dtype=np.uint8)
    np.testing.assert_allclose(embedder.embed(crops).vec, by_hand(crops), atol=1e-5)


def test_a_pipeline_takes_it_and_says_that_nobody_calibrated_it(run, session_home):
    pipe = Pipeline(embedder=run, threads=1)
    assert pipe.space == f"my.run-1@{WEIGHTS[:12]}"
    with pytest.raises(StoreError, match=r"no calibration for my\.run-1@.*run `vultus calibrate FOLDER`"):
        pipe.verify("a.jpg", "b.jpg")
    with pytest.raises(InputError, match="detector: expected a row that can detect"):
        _ = Pipeline(detector=str(run)).space


def test_a_session_is_one_and_survives_pickling(run):
    session = open_session(run, threads=1)
    assert session is open_session(run / "model.onnx", threads=1)
    assert session.card.id == "my.run-1"
    assert pickle.loads(pickle.dumps(session)) is session


def test_another_file_under_the_card_is_found_out(run):
    block_means(run / "model.onnx", size=56, shift=1.0)
    with pytest.raises(HashMismatch, match=r"vultus export .*some run"):
        open_session(run)
    (run / "model.onnx").unlink()
    with pytest.raises(MissingWeights):
        open_session(run)


def test_commercial_use_needs_a_card_that_allows_it(run, tmp_path, monkeypatch):
    monkeypatch.setenv("VULTUS_LICENSE", "commercial")
    with pytest.raises(Refused, match=r"my\.run-1: commercial use"):
        open_session(run)
    assert open_session(written(tmp_path / "free", commercial="yes"))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda f: None, "a folder without one"),
        (lambda f: (f / "recipe.toml").write_text(""), "not exported: run `vultus export"),
        (lambda f: (f / "card.toml").write_text("no toml"), "could not read it"),
        (lambda f: (f / "card.toml").write_text(""), "could not read it"),
        (lambda f: (f / "card.toml").write_bytes(b"\xff\xfe"), "could not read it"),
        (lambda f: (f / "card.toml").write_text("[a]\nkind = 3\n"), "could not read it"),
        (lambda f: (f / "card.toml").write_bytes(b"#" * (2 << 20)), "more than"),
        (lambda f: (f / "card.toml").mkdir(), "expected the folder of an embedder"),
        (lambda f: _spoiled(f, 'kind = "embedder"', 'kind = "detector"'), "expected the card of an embedder"),
        (lambda f: _spoiled(f, 'file = "model.onnx"', 'file = "../model.onnx"'), "expected the card of an embedder"),
        (lambda f: _spoiled(f, WEIGHTS, WEIGHTS[1:]), "64 hex digits"),
    ],
)
def test_what_is_no_embedder_is_said_in_words(tmp_path, make, said):
    make(tmp_path)
    with pytest.raises(InputError, match=said):
        runs.own(tmp_path)


def _spoiled(folder, old, new):
    text = runs.text_of(card(), onnx_sha256=WEIGHTS, about={})
    assert old in text
    (folder / "card.toml").write_text(text.replace(old, new))


def test_paths_and_names_are_told_apart(run, monkeypatch):
    monkeypatch.chdir(run.parent)
    assert catalogue.row("some run").args["weights"] == "some run"
    run.rename(run.parent / "sface")
    assert catalogue.row("sface").args["weights"] == "sface"  # the card of the catalogue, which has no such folder
    assert catalogue.row("sface").name == "sface"
    assert catalogue.row("./sface").name == "arcface.file"
    with pytest.raises(InputError, match="there is none at this path"):
        catalogue.row("runs/nothing")
    with pytest.raises(UnknownMethod, match="near names"):
        catalogue.row("some rum")


def test_names_become_what_a_space_may_have():
    assert runs.name_of("My run (2)") == "My-run-2"
    assert runs.name_of("iresnet.10_b") == "iresnet.10_b"
    for text in ("", "..", "((", "export"):
        with pytest.raises(InputError, match="name: expected"):
            runs.name_of(text)

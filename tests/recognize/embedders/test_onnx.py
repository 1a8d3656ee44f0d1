"""Embedders: what goes into the network, what comes out, and that it tells real people apart."""

from __future__ import annotations

import copy
import csv
import hashlib
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tests.recognize.embedders.tiny_networks import block_means, by_hand
from vultus import catalogue
from vultus.align.similarity5 import Similarity5
from vultus.errors import InputError, MissingWeights
from vultus.io import images
from vultus.ops.points import five_from_68
from vultus.recognize.embedders import _network
from vultus.recognize.embedders.onnx import OnnxEmbedder
from vultus.types import CropSpec


@pytest.fixture
def tiny(tmp_path):
    return block_means(tmp_path / "tiny.onnx")


@pytest.fixture
def crops():
    return np.random.default_rng(0).integers(0, 256, (5, 112, 112, 3), dtype=np.uint8)


def test_arcface_convention_by_hand(tiny, crops):
    made = OnnxEmbedder(tiny, name="tiny", threads=1).embed(crops)
    np.testing.assert_allclose(made.vec, by_hand(crops), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(made.vec, axis=1), 1, atol=1e-6)
    assert (made.norm > 0).all()


def test_space_crop_and_size_follow_the_file(tiny):
    embedder = OnnxEmbedder(tiny, name="tiny", threads=1)
    assert embedder.space == f"tiny@{hashlib.sha256(tiny.read_bytes()).hexdigest()[:12]}"
    assert (embedder.dim, embedder.crop) == (48, CropSpec("arcface112", (112, 112)))
    assert "weights=" in repr(embedder)


def test_a_file_for_one_crop_at_a_time_and_small_batches_give_the_same(tmp_path, tiny, crops):
    whole = OnnxEmbedder(tiny, name="tiny", threads=1).embed(crops).vec
    one = block_means(tmp_path / "one.onnx", batch=1)
    np.testing.assert_allclose(OnnxEmbedder(one, name="tiny", threads=1).embed(crops).vec, whole, atol=1e-6)
    np.testing.assert_allclose(OnnxEmbedder(tiny, name="tiny", threads=1, batch=2).embed(crops).vec, whole, atol=1e-6)


def test_flip_adds_the_mirrored_crop_and_is_another_space(tiny, crops):
    plain = OnnxEmbedder(tiny, name="tiny", threads=1)
    both = OnnxEmbedder(tiny, name="tiny", flip=True, threads=1)
    np.testing.assert_allclose(both.embed(crops).vec, both.embed(crops[:, :, ::-1]).vec, atol=1e-5)
    raw, mirrored = (plain.embed(c) for c in (crops, crops[:, :, ::-1]))
    total = raw.vec * raw.norm[:, None] + mirrored.vec * mirrored.norm[:, None]
    want = total / np.linalg.norm(total, axis=1, keepdims=True)
    np.testing.assert_allclose(both.embed(crops).vec, want, atol=1e-4)
    assert both.space != plain.space


def test_channel_order_mean_and_std_come_from_the_card(tiny, crops, monkeypatch):
    as_stated = replace(_network._OWN, channel_order="BGR", mean=(104.0, 117.0, 123.0), std=(58.0, 57.0, 56.0))
    monkeypatch.setattr(_network, "_OWN", as_stated)
    x = (crops[..., ::-1].astype(np.float64) - as_stated.mean) / as_stated.std
    again = np.clip(x, -9, 9)  # the input of the network, written back to where `by_hand` starts
    means = again.reshape(5, 4, 28, 4, 28, 3).mean(axis=(2, 4)).transpose(0, 3, 1, 2).reshape(5, -1)
    want = means / np.linalg.norm(means, axis=1, keepdims=True)
    np.testing.assert_allclose(OnnxEmbedder(tiny, name="tiny", threads=1).embed(crops).vec, want, atol=1e-5)


def test_copies_give_the_same(tiny, crops):
    embedder = OnnxEmbedder(tiny, name="tiny", threads=1)
    want = embedder.embed(crops).vec
    twin = copy.deepcopy(embedder)
    assert np.array_equal(twin.embed(crops).vec, want)
    assert twin.space == embedder.space


def test_refusals(tiny, crops, tmp_path):
    embedder = OnnxEmbedder(tiny, name="tiny", threads=1)
    for bad in (crops.astype(np.float32), crops[0], crops[:, 1:], crops[..., :1], None, [crops[0]]):
        with pytest.raises(InputError, match=r"expected uint8 RGB of shape \(N, 112, 112, 3\)"):
            embedder.embed(bad)
    assert embedder.embed(crops[:0]).vec.shape == (0, 48)
    with pytest.raises(MissingWeights):
        OnnxEmbedder(tmp_path / "absent.onnx", name="absent").embed(crops)
    with pytest.raises(InputError, match="a detector"):
        OnnxEmbedder("centerface", name="wrong")
    for name in ("a/b", "a@b", ""):
        with pytest.raises(InputError, match="name"):
            OnnxEmbedder(tiny, name=name)
    with pytest.raises(InputError, match="batch"):
        OnnxEmbedder(tiny, name="tiny", batch=0)


@pytest.mark.data
@pytest.mark.models
def test_the_default_network_tells_real_people_apart(data_dir, models_home):
    """Cross-video pairs of 25 people of YouTube Faces, with the points that come with the set."""
    root = data_dir / "ytf_faces"
    with (root / "landmarks68.csv").open(encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    chosen = _two_videos_each(rows, people=25)
    embedder = catalogue.load("dlib_resnet29", threads=1)
    crops = []
    for row in chosen:
        picture = images.read(root / "images" / row[0]).pixels
        five = five_from_68(np.array(row[5:141], np.float32).reshape(1, 68, 2))
        crops.append(Similarity5().align(picture, five, embedder.crop)[0])
    vec = embedder.embed(np.concatenate(crops)).vec
    who = np.repeat(np.arange(len(chosen) // 2), 2)
    a, b = np.triu_indices(len(vec), 1)
    assert (
        roc_auc_score(who[a] == who[b], (vec @ vec.T)[a, b]) > 0.9
    )  # a wrong channel order or template costs more; one landmark file in six is wrong


def _two_videos_each(rows, people):
    """Rows (image, identity, video, width, height, points) of one picture of each of two videos of each person."""
    videos = {}
    for row in rows:
        videos.setdefault(row[1], {}).setdefault(row[2], row)
    two = [list(each.values())[:2] for _, each in sorted(videos.items()) if len(each) > 1][:people]
    return [row for pair in two for row in pair]

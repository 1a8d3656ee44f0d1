"""Recognizers of claims: who counts as recognized, whose labels are wrong, what is trained once, and how it starts."""

from __future__ import annotations

import numpy as np
import pytest

from vultus.claims import Context
from vultus.claims import _recognizers as small
from vultus.claims._recognizers import Arm, difference, lengths, measured, miniature, recognized, spread
from vultus.errors import Refused
from vultus.ops.degrade import Degradation, LowRes
from vultus.train.data import Pictures


def _turned(*degrees):
    angle = np.radians(degrees)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


def test_recognized_by_hand():
    """Two people with two videos of two pictures: a picture's own video is not searched, that of others is."""
    gallery = _turned(0, 2, 10, 50, 90, 91, 60, 100)
    who, video = np.repeat([0, 1], 4), np.array([0, 0, 1, 1, 10, 10, 11, 11])
    # 0 and 2 find 10, and 10 finds 2; 50 finds 60 of the other person. 90 and 91 find 100, 100 finds 91, 60 finds 50.
    np.testing.assert_allclose(recognized(gallery, gallery, who, video), (0.75, 0.75))
    np.testing.assert_allclose(recognized(gallery, gallery, who, None), (0.75, 0.75))
    # Asked with the vectors of the other person, nobody is recognized: what is asked for are the rows.
    assert recognized(gallery, gallery[::-1].copy(), who, video).sum() == 0
    # What is searched and what is asked for may differ: the probe at 52 finds 60, the gallery's own place is not used.
    probes = gallery.copy()
    probes[0] = _turned(58)[0]
    assert recognized(gallery, probes, who, video)[0] == pytest.approx(0.5)


def test_spread_by_hand():
    vectors = np.array([[1, 0], [0, 1], [1, 0], [1, 0]], np.float32)
    np.testing.assert_allclose(spread(vectors, np.array([0, 0, 4, 4])), (0.5, 0))


@pytest.fixture
def ctx(tmp_path, monkeypatch):
    monkeypatch.setenv("VULTUS_HOME", str(tmp_path))
    images = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3)).astype(np.uint8)
    pictures = Pictures(images, np.arange(40) % 8, tuple("abcdefgh"))
    found = type("Two", (), {"train": pictures, "test": pictures})
    monkeypatch.setattr(small, "miniature", lambda ctx, side=56: found)
    return Context("tiny", (0, 1), 5.0, tmp_path / "steps")


def test_wrong_labels_are_as_many_as_said_nested_and_those_of_others(ctx):
    clean, few, many = (small._taught(ctx, Arm("x", wrong=share), 3).labels for share in (0.0, 0.2, 0.4))
    other = small._taught(ctx, Arm("x", wrong=0.4), 4).labels
    assert ((few != clean).sum(), (many != clean).sum()) == (8, 16)
    assert np.array_equal(many[few != clean], few[few != clean])
    assert not np.array_equal(other, many)
    assert np.array_equal(clean, np.arange(40) % 8)


def test_poor_pictures_are_as_many_as_said_and_the_rest_is_left_alone(ctx):
    before = small.miniature(ctx).train.images.copy()
    poor = small._taught(ctx, Arm("x", degraded=0.5), 0).images
    changed = (poor != before).any(axis=(1, 2, 3))
    assert changed.sum() == 20
    assert np.array_equal(small.miniature(ctx).train.images, before)
    again = small._taught(ctx, Arm("y", "arcface", degraded=0.5), 0).images
    assert np.array_equal(again, poor)
    views = small.views(ctx, Degradation([(LowRes(8), 1.0)]), before[:2], "a")
    assert views.std() < before[:2].std()


def test_an_arm_is_trained_once_and_an_arm_of_another_seed_anew(ctx, monkeypatch):
    trained = []
    real = small._fit
    monkeypatch.setattr(small, "_fit", lambda *args: (trained.append(args[1].name), real(*args)))
    images = small.miniature(ctx).test.images[:3]

    def ask(net):
        return {"vectors": net.embed(images), "lengths": lengths(net, images)}

    one = measured(ctx, Arm("one"), 0, ask)
    same = measured(ctx, Arm("the same, of another name"), 0, ask)
    np.testing.assert_allclose(same["vectors"], one["vectors"], atol=1e-6)
    np.testing.assert_allclose(same["lengths"], one["lengths"], rtol=1e-6)
    assert one["lengths"].min() > 0.1
    assert one["lengths"].std() > 0
    assert trained == ["one"]
    for arm, seed in ((Arm("seed"), 1), (Arm("loss", "sphereface2"), 0), (Arm("hook", hook="aroface"), 0)):
        assert np.abs(measured(ctx, arm, seed, ask)["vectors"] - one["vectors"]).max() > 1e-3
    pairs = measured(ctx, Arm("pairs", "", pair="triplet"), 0, ask)
    np.testing.assert_allclose(np.linalg.norm(pairs["vectors"], axis=1), 1, rtol=1e-5)
    assert trained == ["one", "seed", "loss", "hook", "pairs"]


def test_difference_in_words(ctx):
    left = np.array([[0.5] * 10, [0.7] * 10])
    assert difference(ctx, left, left - 0.1) == "+0.1000 [+0.1000, +0.1000]"
    assert difference(ctx, left - 0.1, left).startswith("-0.1000")


def test_without_the_real_faces_it_is_refused(tmp_path, monkeypatch):
    monkeypatch.delenv("VULTUS_DATA", raising=False)
    with pytest.raises(Refused, match="expected the folder ytf_faces"):
        miniature(Context("nano", (0, 1, 2), 5.0, tmp_path))

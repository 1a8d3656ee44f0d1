"""The loop: it learns, its steps are those written out by hand, and it stops at numbers that are none."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.train.drawn import PEOPLE, SIZE, Drawn, backbone, recognizer
from vultus import catalogue
from vultus.contracts import Trainable
from vultus.errors import InputError, WeightsError
from vultus.train.loops.supervised import Settings, fit


@pytest.mark.parametrize(("loss", "pair"), [("cosface", None), (None, "triplet"), ("sphereface2", "contrastive")])
def test_the_loss_falls_and_people_are_told_apart(loss, pair):
    trainable = recognizer(loss, pair)
    assert isinstance(trainable, Trainable)
    history = fit(trainable, Drawn(), Settings(steps=30, lr=0.05))
    assert history.loss.shape == (30,)
    assert np.isfinite(history.loss).all()
    assert history.loss[-5:].mean() < 0.8 * history.loss[:5].mean()
    images = (Drawn().faces.permute(0, 2, 3, 1) * 255).byte().numpy()
    vectors = trainable.embed(np.concatenate([images, images]), batch=5)
    assert vectors.shape == (2 * PEOPLE, 16)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(vectors[:PEOPLE], vectors[PEOPLE:], atol=1e-5)  # alone and in a batch


def test_steps_are_those_written_out_by_hand():
    trainable, feed = recognizer(), Drawn()
    settings = Settings(steps=4, lr=0.5, warmup=0.5, weight_decay=0.01, clip=0.3, schedule="constant")
    fit(trainable, feed, settings)

    other = recognizer()
    named = [(name, one) for name, one in other.named_parameters() if one.requires_grad]
    groups = [
        {"params": [one for _, one in named if one.ndim > 1], "weight_decay": 0.01},
        {"params": [one for _, one in named if one.ndim == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.SGD(groups, lr=1, momentum=0.9)
    stream = feed.batches(0)
    for rate in (0.5 / 3, 1.0 / 3, 0.5, 0.5):
        for group in optimizer.param_groups:
            group["lr"] = rate
        batch = next(stream)
        optimizer.zero_grad()
        raw = other.backbone(batch["image"] * 2 - 1).raw
        other.centers(raw, batch["label"], other.class_loss).backward()
        torch.nn.utils.clip_grad_norm_([one for _, one in named], 0.3)
        optimizer.step()
    for (name, one), two in zip(trainable.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one, two, msg=name, rtol=1e-4, atol=1e-6)


def test_a_picture_that_is_none_stops_the_run_and_nothing_is_stepped():
    trainable = recognizer()
    fit(trainable, Drawn(), Settings(steps=2, lr=0.1))
    before = {name: value.clone() for name, value in trainable.state().items()}
    feed = Drawn(broken=2)
    later = type("Later", (), {"batches": lambda self, start: feed.batches(2)})()
    with pytest.raises(WeightsError, match=r"step 0: .*'image'.*pictures 19 of the source; nothing was stepped"):
        fit(trainable, later, Settings(steps=2))
    for name, value in trainable.state().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize("rate", [1.0, 0.5])
def test_a_batch_of_unknown_people_has_no_loss_over_centers(rate):
    class Unknown:
        def on_batch(self, batch, step, trainable):
            return {**batch, "label": torch.full_like(batch["label"], -1)} if step == 1 else batch

    trainable = recognizer("cosface", sample_rate=rate)
    history = fit(trainable, Drawn(), Settings(steps=3, lr=0.1), hooks=[Unknown()])
    assert (history.loss[1], history.parts["norm"][1]) == (0, 0)
    assert (history.loss[[0, 2]] > 0).all()


def test_refusals():
    loss = catalogue.load("arcface")
    with pytest.raises(InputError, match="at least one of them"):
        recognizer(None, None)
    with pytest.raises(InputError, match="both or neither"):
        type(recognizer())(backbone(), loss=loss)
    with pytest.raises(InputError, match="device: expected one that is here"):
        fit(recognizer(), Drawn(), Settings(steps=1, device="cuda"))
    with pytest.raises(InputError, match="uint8 RGB"):
        recognizer().embed(np.zeros((2, SIZE, SIZE), np.uint8))

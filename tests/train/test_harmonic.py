"""Harmonic training: what learns in which stage, the loss of the catalogue, old networks of every kind, its gain."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from vultus import catalogue
from vultus.errors import InputError, WeightsError
from vultus.io.tensors import pack
from vultus.recognize._features import features_of
from vultus.train.data import Feed, Pictures
from vultus.train.harmonic import Harmonic
from vultus.train.loops.supervised import Settings, fit
from vultus.train.samplers import PK
from vultus.train.trainable import Recognizer
from vultus.types import CropSpec, Embedded


class Small(nn.Module):
    """Like the backbones of the house, in a few numbers; its scale is not learned, as that of IResNet."""

    dim = 8

    def __init__(self, seed, side=16, width=6):
        super().__init__()
        self.input_hw = (side, side)
        self.conv = nn.Conv2d(3, width, 3, 4, 1)
        self.bn = nn.BatchNorm2d(width)
        self.fc = nn.Linear(width * (side // 4) ** 2, 8)
        self.features = nn.BatchNorm1d(8)
        self.features.weight.requires_grad_(False)
        generator = torch.Generator().manual_seed(seed)
        for part in (self.conv.weight, self.fc.weight):
            nn.init.normal_(part, 0, 0.3, generator=generator)

    def forward(self, x, maps=()):
        grid = torch.relu(self.bn(self.conv(x)))
        return features_of(self.features(self.fc(grid.flatten(1))), grid, {})


class Kept:
    """A backbone as an embedder that sees bytes."""

    space, dim = "kept@000000000000", 8

    def __init__(self, net):
        self.net, self.crop, self.seen = net.eval(), CropSpec("box", net.input_hw), []

    @torch.no_grad()
    def embed(self, crops):
        self.seen.append(crops)
        x = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 127.5 - 1
        return Embedded(self.net(x).unit.numpy(), self.space)


def people(seed=0, n=8, each=6):
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(n), each)
    faces = rng.uniform(40, 215, (n, 16, 16, 3))[who] + rng.normal(0, 25, (n * each, 16, 16, 3))
    return Pictures(np.clip(faces, 0, 255).astype(np.uint8), who, tuple(f"p{k}" for k in range(n)))


def batch(n=12, side=16):
    image = torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(3))
    return {"image": image, "label": torch.arange(n) // 3, "index": torch.arange(n)}


def recognizer(net):
    return Recognizer(net, pair=catalogue.load("triplet"), weight=0.0)


def state(net):
    return {name: value.clone() for name, value in net.state_dict().items()}


def changed(before, net):
    return {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}


def train(net, hook, steps, lr=0.01):
    pictures = people()
    feed = Feed(pictures, sampler=PK(pictures.labels, 4, 3, seed=0), seed=0)
    fit(recognizer(net), feed, Settings(steps=steps, optimizer="adamw", lr=lr, schedule="constant"), hooks=[hook])


def test_first_the_last_layer_alone_then_the_whole_network():
    old, net = Small(0), Small(1)
    before, kept = state(net), state(old)
    train(net, Harmonic(old, first=3), 3)
    assert changed(before, net) == {
        *("fc.weight", "fc.bias", "features.bias", "features.running_mean", "features.running_var"),
        "features.num_batches_tracked",
    }
    assert {name for name, value in net.named_parameters() if not value.requires_grad} == {"features.weight"}
    before = state(net)
    train(net, Harmonic(old, first=0, fresh=False), 2)
    assert set(before) - changed(before, net) == {"features.weight"}
    assert changed(kept, old) == set()
    assert not any(value.requires_grad for value in old.parameters())


def test_the_stages_meet_in_one_run():
    net = Small(1)
    hook, trunk = Harmonic(Small(0), first=4), []

    class Watch:
        def on_step(self, step, run):
            trunk.append(net.conv.weight.detach().clone())

    pictures = people()
    feed = Feed(pictures, sampler=PK(pictures.labels, 4, 3, seed=0), seed=0)
    fit(recognizer(net), feed, Settings(steps=6, optimizer="adamw", lr=0.01), hooks=[hook, Watch()])
    assert all(torch.equal(one, trunk[0]) for one in trunk[:4])
    assert not torch.equal(trunk[4], trunk[3])
    assert not net.features.weight.requires_grad


def test_the_loss_is_that_of_the_catalogue():
    old, net, what = Small(0), Small(1), batch()
    what["label"][-1] = -1
    hook, one = Harmonic(old, margin=0.7, weight=2.0, fresh=False), recognizer(net)
    what = hook.on_batch(what, 0, one)
    out = one.features(what["image"])
    found = hook.extra_loss(what, out, 0, one)["harmonic"]
    with torch.no_grad():
        kept = old.eval()(what["image"] * 2 - 1).raw
    want = 2 * catalogue.load("harmonic_triplet", margin=0.7)(out.raw, what["label"], old=kept).loss
    torch.testing.assert_close(found, want)
    found.backward()
    assert net.conv.weight.grad.abs().sum() > 0


def test_an_old_network_may_be_an_embedder_of_another_size():
    """It is handed bytes of its own size; the vectors are those of the network within a step of 1 / 255."""
    net, what = Small(0, side=8), batch()
    kept = Kept(net)
    by_bytes, direct = (Harmonic(one).old_vectors(what["image"]) for one in (kept, net))
    assert (kept.seen[0].dtype, kept.seen[0].shape) == (np.uint8, (12, 8, 8, 3))
    assert "kept@000000000000" in repr(Harmonic(kept))
    torch.testing.assert_close(by_bytes, torch.nn.functional.normalize(direct), rtol=0, atol=0.03)


def test_the_last_layer_is_drawn_anew_once():
    """Before the first step, and not where a run goes on."""
    for step, fresh, new in ((0, True, True), (5, True, False), (0, False, False)):
        net = Small(1)
        net.features.running_mean += 3  # of vectors that the old last layer gave
        before = state(net)
        Harmonic(Small(0), fresh=fresh).on_batch(batch(), step, recognizer(net))
        assert changed(before, net) == ({"fc.weight", "fc.bias", "features.running_mean"} if new else set())
        assert net.features.running_mean.tolist() == [0 if new else 3] * 8
    a, b, c = (Small(1) for _ in range(3))
    for net, seed in ((a, 4), (b, 4), (c, 5)):
        Harmonic(Small(0), seed=seed).on_batch(batch(), 0, recognizer(net))
    assert torch.equal(a.fc.weight, b.fc.weight)
    assert not torch.equal(a.fc.weight, c.fc.weight)


def test_the_new_network_starts_as_it_was_trained_alone(tmp_path):
    alone, net = Small(7), Small(1)
    path = tmp_path / "backbone.safetensors"
    path.write_bytes(pack({name: value.numpy() for name, value in alone.state_dict().items()}, {}))
    for start in (path, tmp_path):
        Harmonic(Small(0), start=str(start), fresh=False).on_batch(batch(), 0, recognizer(net))
        assert changed(state(alone), net) == set()
    with pytest.raises(InputError, match=r"expected bn.bias of shape \(9,\), got \(6,\): it is of another network"):
        Harmonic(Small(0), start=str(path)).on_batch(batch(), 0, recognizer(Small(1, width=9)))
    with pytest.raises(InputError, match="there is no"):
        Harmonic(Small(0), start=str(tmp_path / "none")).on_batch(batch(), 0, recognizer(Small(1)))


@pytest.mark.parametrize(
    ("row", "tail"),
    [
        ("iresnet.18", {"fc", "features"}),
        ("mobilefacenet", {"embedding"}),
        ("facenet_nn.1", {"fc7"}),
        ("facenet_nn.2", {"fc"}),
    ],
)
def test_the_last_layer_of_the_networks_of_the_house(row, tail):
    with torch.device("meta"):
        net = catalogue.load(row)
        Harmonic(Small(0), first=1, fresh=False).on_batch({}, 0, recognizer(net))
    assert {name.partition(".")[0] for name, value in net.named_parameters() if value.requires_grad} == tail
    assert {name for name, part in net.named_children() if part.training} == tail


def test_afterwards_the_old_gallery_is_searched_with_the_new_network():
    """Share of pictures whose nearest old vector of another picture is of the person: chance before, most after."""
    pictures, old, net = people(), Small(0), Small(1)
    who = pictures.labels

    def right():
        a, b = (Recognizer(one, pair=catalogue.load("triplet")).embed(pictures.images) for one in (net, old))
        near = a @ b.T
        np.fill_diagonal(near, -2)
        return (who[near.argmax(1)] == who).mean()

    before = right()
    train(net, Harmonic(old, first=10), 30, lr=0.03)
    assert before < 0.35
    assert right() > 0.7


def test_refusals():
    with pytest.raises(InputError, match="expected steps from 0 and a weight above 0"):
        Harmonic(Small(0), first=-1)
    with pytest.raises(InputError, match="weight above 0"):
        Harmonic(Small(0), weight=0.0)
    for bad in (3, nn.Linear(2, 2)):
        with pytest.raises(InputError, match=f"a backbone with `input_hw`.*got {type(bad).__name__}"):
            Harmonic(bad)
    with pytest.raises(InputError, match="a linear or convolutional layer, got Sequential"):
        Harmonic(Small(0)).on_batch(batch(), 0, recognizer(nn.Sequential(nn.BatchNorm2d(3))))
    with pytest.raises(WeightsError):
        Harmonic("no-such-run").old_vectors(batch()["image"])
    other = Small(0)
    other.fc, other.features = nn.Linear(96, 5), nn.BatchNorm1d(5)
    one = recognizer(Small(1))
    with pytest.raises(InputError, match="the same size of vector"):
        Harmonic(other).extra_loss(batch(), one.features(batch()["image"]), 0, one)

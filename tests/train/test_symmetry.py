"""The symmetry penalty as a hook: who counts, what is added, what it costs, what it says."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from vultus import catalogue
from vultus.errors import InputError
from vultus.ops.points import frontness

FIVE = torch.tensor(((2.0, 2), (6, 2), (4, 4), (2, 6), (6, 6)))


class _Net(torch.nn.Module):
    """Mean of the left two columns and of all others; counts what it sees."""

    def __init__(self):
        super().__init__()
        self.turn = torch.nn.Parameter(torch.eye(2))
        self.seen = 0

    def forward(self, x):
        self.seen += len(x)
        flat = (2 * x - 1).mean(dim=(1, 2))
        return SimpleNamespace(raw=torch.stack((flat[:, :2].mean(1), flat[:, 2:].mean(1)), dim=1) @ self.turn)


def _batch(noses):
    images = torch.rand((len(noses), 3, 9, 9), generator=torch.Generator().manual_seed(0))
    points = FIVE.repeat(len(noses), 1, 1)
    points[:, 2, 0] = torch.tensor(noses)
    return {"image": images, "points": points, "label": torch.zeros(len(noses), dtype=torch.long)}


def _added(hook, batch, net):
    out = net(batch["image"])
    net.seen = 0
    return hook.extra_loss(batch, out, 0, SimpleNamespace(features=net))["symface"]


def test_it_is_the_loss_of_the_frontal_faces():
    net, batch = _Net(), _batch([4.0, 4.3, 6.0, 4.0])
    hook, loss = catalogue.load("symface.hook", weight=2.0), catalogue.load("symface", weight=2.0)
    got = _added(hook, batch, net)
    assert net.seen == 6  # three of four are frontal; each goes through once more as either half
    front = torch.from_numpy(frontness(batch["points"].numpy()))
    rows = torch.tensor([0, 1, 3])
    left, right = loss.split(batch["image"][rows], batch["points"][rows, 2, 0])
    want = loss(net(left).raw, net(right).raw, front[rows]).loss
    torch.testing.assert_close(got, want)
    got.backward()
    assert net.turn.grad.abs().sum() > 0
    _added(hook, _batch([6.0]), net)  # a batch without a frontal face
    resumed = catalogue.load("symface.hook", weight=2.0)
    resumed.load(hook.state())
    told = hook.on_eval(0, None)
    assert resumed.on_eval(0, None) == told
    assert resumed.state()["seen"].shape == (0, 2)
    assert told["symface.frontal"] == 0.375
    assert told["symface.spread"] > 0
    assert hook.on_eval(1, None) == {}


def test_a_symmetric_picture_costs_nothing():
    net, batch = _Net(), _batch([4.0, 4.0])
    batch["image"] = (batch["image"] + batch["image"].flip(3)) / 2
    assert _added(catalogue.load("symface.hook"), batch, net).item() == pytest.approx(0, abs=1e-12)


def test_everybody_is_the_control():
    """Every face counts fully, a nose over an eye included."""
    net, batch = _Net(), _batch([4.0, 6.0, 5.0])
    got = _added(catalogue.load("symface.hook", everybody=True), batch, net)
    assert net.seen == 6
    loss = catalogue.load("symface")
    left, right = loss.split(batch["image"], batch["points"][:, 2, 0])
    torch.testing.assert_close(got, loss(net(left).raw, net(right).raw, torch.ones(3)).loss)


@pytest.mark.parametrize("everybody", [False, True])
def test_points_that_say_nothing_count_for_nothing(everybody):
    net, batch = _Net(), _batch([float("nan"), -3.0, 12.0, 4.0])
    batch["points"][3, 0] = batch["points"][3, 1]  # both eyes are one point
    got = _added(catalogue.load("symface.hook", everybody=everybody), batch, net)
    assert net.seen == 0
    assert got.item() == 0
    got.backward()
    assert net.turn.grad.abs().sum() == 0


def test_a_nose_lies_within_the_width_of_its_picture():
    """Three pixels from the right of a picture twice as wide as high, beyond its height."""
    net, batch = _Net(), _batch([4.0])
    batch["image"] = torch.rand((1, 3, 9, 18), generator=torch.Generator().manual_seed(1))
    batch["points"] = batch["points"] + torch.tensor([10.0, 0])
    assert _added(catalogue.load("symface.hook"), batch, net).item() > 0
    assert net.seen == 2


def test_refusals():
    with pytest.raises(InputError, match="expected five points with every picture"):
        catalogue.load("symface.hook").extra_loss({"image": torch.zeros(1, 3, 9, 9)}, None, 0, None)
    with pytest.raises(InputError, match="expected a number from 0 to 1"):
        catalogue.load("symface.hook", threshold=2.0)

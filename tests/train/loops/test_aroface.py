"""ARoFace: the authors' numbers, pictures and points by hand, and a network that the attack leaves as it was."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from vultus import catalogue
from vultus.errors import InputError
from vultus.testing import golden
from vultus.train.centers import ClassCenters
from vultus.train.loops.aroface import AdversarialWarp, Misaligned, _drawn, climbed, moved, warped

PINNED = golden.load(Path(__file__).parents[2] / "golden" / "aroface", "aroface")


def _pinned(k):
    scale, theta, shift = (torch.from_numpy(PINNED[f"{k}/{name}"]) for name in ("scale", "theta", "shift"))
    sizes = torch.from_numpy(PINNED[f"{k}/eta"])
    images = (torch.from_numpy(PINNED["images"]) + 1) / 2
    return (
        images,
        Misaligned(scale[:, 0], theta[:, 0], shift),
        Misaligned(sizes[:1], sizes[1:2], sizes[2:].expand(1, 2)),
    )


def _value(images):
    matrix, labels = torch.from_numpy(PINNED["matrix"]), torch.from_numpy(PINNED["labels"])

    def value(how):
        return functional.cross_entropy(4 * torch.tanh((2 * warped(images, how) - 1).flatten(1) @ matrix), labels)

    return value


@pytest.mark.parametrize("k", [1, 6])
def test_the_authors_numbers(k):
    images, drawn, eta = _pinned(k)
    how = climbed(_value(images), drawn, eta, k=k, released=True)
    golden.compare("matrix", how.matrix(), PINNED[f"{k}/matrix"], rtol=1e-5, atol=1e-6)
    whole, other = torch.from_numpy(PINNED[f"{k}/orders"])
    whole, other = whole[:6], other[:2]
    found = torch.cat((images[whole], warped(images, how)[other]))
    golden.compare("pictures", 2 * found - 1, PINNED[f"{k}/found"], atol=1e-5)
    assert torch.equal(
        torch.from_numpy(PINNED["labels"])[torch.cat((whole, other))], torch.from_numpy(PINNED[f"{k}/who"])
    )


def test_the_intended_bound_is_that_of_the_drawn_shift():
    images, drawn, eta = _pinned(6)
    ours, theirs = (climbed(_value(images), drawn, eta, k=6, released=flag) for flag in (False, True))
    assert not torch.allclose(ours.shift, theirs.shift, atol=1e-4)
    one = Misaligned(torch.ones(1), torch.tensor([0.1]), torch.tensor([[0.02, -0.03]]))
    step = Misaligned(torch.tensor([0.2]), torch.tensor([0.3]), torch.full((1, 2), 0.2))

    def up(at):
        return at.scale.sum() - at.theta.sum() + at.shift[:, 0].sum() - at.shift[:, 1].sum()

    far = climbed(up, one, step, k=9)
    torch.testing.assert_close(torch.cat((far.scale, far.theta, far.shift[0])), torch.tensor([2.5, -0.7, 0.32, -0.33]))
    assert climbed(up, one, step, k=9, released=True).shift[0, 0].item() == pytest.approx(0.4)
    assert climbed(lambda at: -up(at), one, step, k=9).scale.item() == pytest.approx(0.5)


def _still(count, **change):
    how = {"scale": torch.ones(count), "theta": torch.zeros(count), "shift": torch.zeros(count, 2), **change}
    return Misaligned(**how)


def test_border_and_direction_by_hand():
    """A row of four: with the border six places are read at four; half a side to the right is three pixels."""
    row = torch.tensor([0.2, 0.4, 0.6, 0.8]).expand(1, 3, 4, 4)
    got = warped(row, _still(1))[0, 0, 1]
    six = [0, 0.2, 0.4, 0.6, 0.8, 0]
    places = [((x + 1) * 6 - 1) / 2 for x in (-0.75, -0.25, 0.25, 0.75)]
    np.testing.assert_allclose(got, np.interp(places, range(6), six), atol=1e-6)
    right = warped(row, _still(1, shift=torch.tensor([[1.0, 0.0]])))[0, 0, 1]
    np.testing.assert_allclose(right, np.interp(np.add(places, 3), range(6), six), atol=1e-6)
    assert right[3] == 0  # beyond the border goes on what the border is: black


def test_a_dot_and_its_point_move_together():
    """A bright dot right of the middle: up when turned counterclockwise, nearer when small, left when read further."""
    images = torch.zeros(4, 3, 41, 41)
    images[:, :, 18:23, 30:35] = 1
    turn, small, away = torch.tensor([0.0, math.pi / 2, 0, 0]), torch.tensor([1.0, 1, 2, 1]), torch.zeros(4, 2)
    away[3, 0] = 0.5
    how = Misaligned(small, turn, away)
    spots = moved(torch.tensor([32.0, 20]).expand(4, 1, 2), how, (41, 41))[:, 0]
    pictures = warped(images, how)[:, 0]
    grid = torch.arange(41.0)
    mass = pictures.sum(dim=(1, 2))
    seen = torch.stack((pictures.sum(dim=1) @ grid, pictures.sum(dim=2) @ grid), dim=1) / mass[:, None]
    torch.testing.assert_close(spots, seen, atol=0.05, rtol=0)
    assert spots[0, 0] > 30
    assert spots[1, 1] < 10
    assert spots[2, 0] < spots[0, 0] - 5
    assert spots[3, 0] < spots[0, 0] - 8


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31))
def test_points_are_read_where_they_are(seed):
    """The place that `warped` reads for the pixel a point moved to is the point, in the coordinates of the border."""
    spread = torch.Generator().manual_seed(seed)
    numbers = torch.rand((3, 4), generator=spread, dtype=torch.float64)
    how = Misaligned(0.5 + numbers[:, 0], 2 * numbers[:, 1] - 1, numbers[:, 2:] - 0.5)
    points = 30 * torch.rand((3, 5, 2), generator=spread, dtype=torch.float64)
    side = torch.tensor((31.0, 47.0), dtype=torch.float64)
    places = (2 * moved(points, how, (47, 31)) + 1) / side - 1
    read = torch.einsum("nij,nkj->nki", how.matrix()[:, :, :2], places) + how.matrix()[:, None, :, 2]
    torch.testing.assert_close(((read + 1) * (side + 2) - 1) / 2 - 1, points)


# ---------------------------------------------------------------- the hook
class _Recognizer(nn.Module):
    """Batch normalization and dropout, as backbones have; class centers, and a loss with statistics of its own."""

    def __init__(self, sample_rate, loss):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 6, 3, 2), nn.BatchNorm2d(6), nn.PReLU(), nn.Flatten())
        self.out = nn.Sequential(nn.Dropout(0.5), nn.Linear(6 * 5 * 5, 8), nn.BatchNorm1d(8))
        self.centers = ClassCenters(6, 8, sample_rate=sample_rate)
        self.class_loss = catalogue.load(loss)

    def features(self, x):
        return SimpleNamespace(raw=self.out(self.layers((x - 0.5) / 0.5)))


def _parts(sample_rate=1.0, loss="adaface"):
    trainable, spread = _Recognizer(sample_rate, loss), torch.Generator().manual_seed(0)
    for parameter in [*trainable.layers.parameters(), *trainable.out.parameters()]:
        parameter.data.uniform_(-0.3, 0.5, generator=spread)
    if sample_rate < 1:
        trainable.centers.follow(torch.optim.SGD(trainable.parameters(), lr=0.1))
    labels = torch.arange(12) % 6
    images = torch.rand((12, 3, 12, 12), generator=torch.Generator().manual_seed(1))
    points = torch.full((12, 5, 2), 5.0)
    return trainable, {"image": images, "label": labels, "index": torch.arange(12) + 100, "points": points}


@pytest.mark.parametrize("sample_rate", [1.0, 0.5])
def test_the_attack_leaves_nothing_behind(sample_rate):
    """No gradient, no statistic, no draw of centers, no mode; then training goes on as if nothing had been."""
    trainable, batch = _parts(sample_rate)
    trainable.out[2].eval()  # a frozen layer stays frozen
    before = {name: value.clone() for name, value in trainable.state_dict().items()}
    modes = [part.training for part in trainable.modules()]
    given = batch["image"].clone()
    found = AdversarialWarp(k=2).on_batch(batch, 0, trainable)
    for name, value in trainable.state_dict().items():
        assert torch.equal(value, before[name]), name
    for parameter in trainable.parameters():
        assert parameter.grad is None
        assert parameter.requires_grad
    assert modes == [part.training for part in trainable.modules()]
    assert torch.equal(batch["image"], given)
    assert not any(value.requires_grad for value in found.values())
    trainable.centers(trainable.features(found["image"]).raw, found["label"], trainable.class_loss).backward()
    assert trainable.layers[0].weight.grad is not None


def test_what_comes_out_is_what_went_in_a_quarter_of_it_moved():
    trainable, batch = _parts()
    batch["image"][:] = torch.arange(1, 13).view(12, 1, 1, 1) / 16  # each picture says who it is
    found = AdversarialWarp(ratio=0.75).on_batch(batch, 3, trainable)
    place = found["index"] - 100
    assert torch.equal(found["label"], batch["label"][place])
    torch.testing.assert_close(found["image"][:, 0, 6, 6], batch["image"][place, 0, 6, 6])
    kept = (found["image"] == batch["image"][place]).flatten(1).all(dim=1)
    assert kept.tolist() == [True] * 9 + [False] * 3
    assert (found["points"] == 5).flatten(1).all(dim=1).tolist() == kept.tolist()
    again, other = (AdversarialWarp().on_batch(batch, step, trainable) for step in (3, 4))
    assert torch.equal(again["image"], found["image"])
    assert not torch.equal(other["index"], found["index"])
    everything = AdversarialWarp(ratio=1.0).on_batch(batch, 3, trainable)
    assert sorted(everything["index"].tolist()) == batch["index"].tolist()


def test_batches_of_one_step_are_drawn_apart():
    """Where gradients of several batches make a step, and again from the step's number when it is taken anew."""
    trainable, batch = _parts()
    hook = AdversarialWarp()
    first, second = (hook.on_batch(batch, 3, trainable) for _ in range(2))
    assert not torch.equal(first["index"], second["index"])
    hook.on_step(4, None)
    again = [hook.on_batch(batch, 3, trainable) for _ in range(2)]
    for one, other in zip((first, second), again, strict=True):
        assert torch.equal(one["image"], other["image"])
        assert torch.equal(one["index"], other["index"])
    apart = hook.on_batch(batch, 4, trainable)
    assert torch.equal(apart["image"], AdversarialWarp().on_batch(batch, 4, trainable)["image"])


def test_it_hurts_more_than_chance():
    """The loss of the pictures, in evaluation mode: the sign of the gradient against thrown signs of the same size."""
    trainable, batch = _parts(loss="cosface")
    trainable.eval()
    values = {}
    for sign in ("gradient", "random"):
        total = 0.0
        for step in range(6):
            found = AdversarialWarp(ratio=0.0, eta=0.03, sign=sign).on_batch(batch, step, trainable)
            with torch.no_grad():
                raw = trainable.features(found["image"]).raw
                total += trainable.centers(raw, found["label"], trainable.class_loss).item()
        values[sign] = total
    assert values["gradient"] > values["random"]


def test_the_control_needs_no_loss_and_moves_as_far():
    nobody = SimpleNamespace(centers=None, class_loss=None)
    batch = {"image": torch.rand(200, 3, 8, 8), "label": torch.zeros(200), "points": torch.full((200, 1, 2), 3.5)}
    found = AdversarialWarp(ratio=0.0, sign="random").on_batch(batch, 0, nobody)
    assert found["image"].shape == (200, 3, 8, 8)
    ways = (found["points"][:, 0] > 3.5).double().mean(dim=0)
    assert ((ways > 0.35) & (ways < 0.65)).all()
    with pytest.raises(InputError, match="expected a trainable with class centers"):
        AdversarialWarp().on_batch(batch, 0, nobody)


def test_points_of_wide_pictures_stay_on_what_they_mark():
    """A dot in another place of each picture, half as high as wide: its center of mass is where its point went."""
    marks = torch.tensor([[14.0, 9], [26, 8], [20, 12], [17, 11], [23, 9], [19, 8]])
    images, grid = torch.zeros(6, 3, 20, 40), torch.arange(40.0)
    for image, (x, y) in zip(images, marks.int().tolist(), strict=True):
        image[:, y - 2 : y + 3, x - 2 : x + 3] = 1
    batch = {"image": images, "label": torch.zeros(6), "points": marks[:, None]}
    found = AdversarialWarp(ratio=0.0, sign="random").on_batch(batch, 0, SimpleNamespace())
    picture = found["image"][:, 0]
    seen = torch.stack((picture.sum(dim=1) @ grid, picture.sum(dim=2) @ grid[:20]), dim=1)
    torch.testing.assert_close(found["points"][:, 0], seen / picture.sum(dim=(1, 2))[:, None], atol=0.1, rtol=0)


def test_what_is_drawn_is_spread_as_in_the_code_of_the_authors():
    """AdvWarp.py: normal numbers of deviation 0.01 around a scale of 1, no angle and no shift; 0.001 around eta."""
    spread = torch.Generator().manual_seed(1)
    drawn, _ = _drawn(20_000, 0.1, spread)
    numbers = torch.cat((drawn.scale[:, None] - 1, drawn.theta[:, None], drawn.shift), dim=1)
    torch.testing.assert_close(numbers.std(dim=0), torch.full((4,), 0.01), rtol=0.03, atol=0)
    assert numbers.mean(dim=0).abs().max() < 4e-4
    steps = [_drawn(1, 0.1, spread)[1] for _ in range(1000)]
    sizes = torch.stack([torch.cat((step.scale, step.theta, step.shift[0])) for step in steps])
    torch.testing.assert_close(sizes.mean(dim=0), torch.full((4,), 0.1), rtol=0.002, atol=0)
    torch.testing.assert_close(sizes.std(dim=0), torch.full((4,), 0.001), rtol=0.1, atol=0)


def test_refusals():
    for bad, message in (
        ({"eta": -1.0}, "eta, k, seed"),
        ({"k": 0}, "eta, k, seed"),
        ({"k": 1.5}, "whole ones"),
        ({"ratio": 1.5}, "expected a share"),
        ({"sign": "up"}, "expected one of gradient, random"),
    ):
        with pytest.raises(InputError, match=message):
            catalogue.load("aroface", **bad)
    trainable, batch = _parts()
    with pytest.raises(InputError, match="without boxes"):
        catalogue.load("aroface").on_batch({**batch, "boxes": torch.zeros(12, 4)}, 0, trainable)

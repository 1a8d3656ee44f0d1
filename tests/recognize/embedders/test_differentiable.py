"""The differentiable embedder: the runtime's vectors, honest gradients, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.recognize.embedders.tiny_networks import block_means
from vultus import catalogue
from vultus.errors import InputError
from vultus.ops import warp
from vultus.recognize._features import features_of
from vultus.recognize.embedders.onnx import OnnxEmbedder
from vultus.types import CropSpec
from vultus.zoo.cards import Card, Source

HALF = (127.5, 127.5, 127.5)
CARD = Card(
    "tiny", "block means", "embedder", "", Source("file", ""), sha256="ab" * 32, mean=HALF, std=HALF,
    crop=CropSpec("arcface112", (112, 112)), training_data="none",
)  # fmt: skip


class BlockMeans(nn.Module):
    """The network of `tiny_networks.block_means`, in torch."""

    input_hw, dim = (112, 112), 48

    def forward(self, x, maps=()):
        grid = functional.avg_pool2d(x, 28)
        return features_of(grid.flatten(1), grid, {name: grid for name in maps})


class Keep(BlockMeans):
    """Remembers the last crops it saw."""

    def forward(self, x, maps=()):
        self.seen = x
        return super().forward(x, maps)


class Smooth(nn.Module):
    """A small smooth network whose gradient is not constant."""

    input_hw, dim = (16, 16), 8

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, 2, 1)
        self.bn = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4 * 64, 8)
        generator = torch.Generator().manual_seed(5)
        for part in self.parameters():
            nn.init.normal_(part, 0, 0.2, generator=generator)

    def forward(self, x, maps=()):
        grid = torch.tanh(self.bn(self.conv(x)))
        return features_of(self.fc(grid.flatten(1)), grid, {})


def pictures(n, side, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def tensor(crops):
    return torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255


def embedder(backbone=None, card=CARD, **more):
    return catalogue.load("differentiable", backbone=backbone or BlockMeans(), card=card, **more)


def test_equals_the_onnx_embedder_on_the_same_crops(tmp_path):
    crops = pictures(6, 112)
    runtime = OnnxEmbedder(block_means(tmp_path / "tiny.onnx"), name="tiny", threads=1).embed(crops)
    for vec in (embedder().embed(crops).vec, embedder()(tensor(crops)).unit.numpy()):
        assert ((vec * runtime.vec).sum(1) >= 0.9999).all()
    np.testing.assert_allclose(embedder().embed(crops).norm, runtime.norm, rtol=1e-4)
    bgr = embedder(card=replace(CARD, channel_order="BGR")).embed(crops[..., ::-1])
    np.testing.assert_allclose(bgr.vec, runtime.vec, atol=1e-5)


@pytest.mark.parametrize("crop", ["whole", "known_points", "known_box"])
def test_gradients_are_those_of_the_picture(crop):
    """Finite differences at 8 pixels in float64, through resizing, cropping, normalization and the unit vector."""
    net = embedder(Smooth().double(), crop=crop).double()
    x = torch.rand((1, 3, 40, 36), generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 0.8 + 0.1
    five = torch.tensor([[[12.0, 14.0], [24.0, 15.0], [18.0, 21.0], [13.0, 27.0], [23.0, 27.0]]])
    given = {"known_points": {"points": five}, "known_box": {"boxes": torch.tensor([[6.0, 8.0, 30.0, 34.0]])}}.get(
        crop, {}
    )
    goal = torch.linspace(-1, 1, 8, dtype=torch.float64)

    def value(picture):
        out = net(picture, **given)
        return (out.unit.double() @ goal + 0.01 * out.norm.double().sum()).sum()

    leaf = x.clone().requires_grad_()
    value(leaf).backward()
    rng = np.random.default_rng(1)
    for c, i, j in zip(rng.integers(0, 3, 8), rng.integers(8, 32, 8), rng.integers(8, 30, 8), strict=True):
        up, down = x.clone(), x.clone()
        up[0, c, i, j] += 1e-5
        down[0, c, i, j] -= 1e-5
        numeric = (value(up) - value(down)) / 2e-5
        assert float(leaf.grad[0, c, i, j]) == pytest.approx(float(numeric), rel=1e-4, abs=1e-8)
    assert leaf.grad.abs().sum() > 0


def test_a_signed_picture_is_refused_and_would_be_another_vector():
    x = tensor(pictures(2, 112))
    with pytest.raises(InputError, match=r"expected values in \[0, 1\], got -1 to 1"):
        embedder()(2 * x - 1)
    right, wrong = embedder()(x).unit, embedder()((2 * x - 1).clamp(0, 1)).unit
    assert (right * wrong).sum(1).max() < 0.999


def test_known_points_cut_the_crop_of_the_aligner():
    """The same crop as `ops.warp`, to the rounding of 8 bits and of OpenCV's 1/32 pixel."""
    big = np.kron(pictures(1, 10, seed=3)[0], np.ones((16, 16, 1), np.uint8))
    five = np.array([[[60.0, 62.0], [98.0, 64.0], [79.0, 84.0], [62.0, 104.0], [96.0, 106.0]]], np.float32)
    matrix = warp.similarities(five, warp.template("arcface112", (112, 112)))[0]
    want = warp.warp(big, matrix, (112, 112))
    net = Keep()
    embedder(net, crop="known_points")(tensor(big[None]), points=torch.from_numpy(five))
    got = (net.seen[0].permute(1, 2, 0).numpy() + 1) * 127.5
    assert np.abs(got - want).mean() < 1.0


def places_seen(hw, *, margin=0.0, **given):
    """(112, 112, 2): which place of a picture each pixel of its crop shows, read off two ramps; black is NaN."""
    v, u = torch.meshgrid(*(torch.arange(float(side)) for side in hw), indexing="ij")
    ramps = torch.stack([0.1 + 0.8 * u / hw[1], 0.1 + 0.8 * v / hw[0], torch.ones_like(u)])[None]
    net, crop = Keep(), "known_box" if "boxes" in given else "known_points"
    card = replace(CARD, crop=CropSpec("box" if crop == "known_box" else "arcface112", (112, 112), margin))
    embedder(net, card=card, crop=crop)(ramps, **{name: torch.tensor(value) for name, value in given.items()})
    seen = ((net.seen[0] + 1) / 2).permute(1, 2, 0).numpy()
    return np.where(seen[..., 2:] > 0.5, (seen[..., :2] - 0.1) / 0.8 * np.array(hw)[::-1], np.nan)


PIXELS = np.stack(np.meshgrid(np.arange(112.0), np.arange(112.0)), axis=-1)


@pytest.mark.parametrize(
    ("box", "margin"),
    [
        ((100.0, 60.0, 212.0, 172.0), 0.0),  # pixel by pixel
        ((130.0, 90.0, 171.0, 140.0), 0.1),  # enlarged
        ((80.0, 30.0, 280.0, 270.0), 0.02),  # shrunk, by means first
    ],
)
def test_a_known_box_is_cut_out_as_a_square_around_its_middle(box, margin):
    """Edge coordinates: the crop's first pixel begins where the square does."""
    side = max(box[2] - box[0], box[3] - box[1]) * (1 + 2 * margin)
    corner = np.array([box[0] + box[2], box[1] + box[3]]) / 2 - side / 2
    want = corner + (PIXELS + 0.5) * side / 112 - 0.5
    np.testing.assert_allclose(places_seen((301, 402), margin=margin, boxes=[box]), want, atol=0.05)


def test_beyond_the_picture_is_black():
    seen = places_seen((150, 150), boxes=[(-28.0, 40.0, 28.0, 96.0)])
    assert np.isnan(seen[:, :55]).all()
    np.testing.assert_allclose(seen[:, 57:, 0], (PIXELS[:, 57:, 0] + 0.5) / 2 - 28.5, atol=0.05)


@pytest.mark.parametrize("scale", [0.8, 2.4])
def test_known_points_turn_and_shrink_about_the_right_place(scale):
    """Also where the picture is averaged first; its sides are no multiples of the factor."""
    turn = scale * np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
    shift = np.array([200.0, 190.0]) - turn @ np.array([55.5, 55.5])
    five = (warp.template("arcface112", (112, 112)) @ turn.T + shift).astype(np.float32)
    np.testing.assert_allclose(places_seen((383, 402), points=five[None]), PIXELS @ turn.T + shift, atol=0.05)


def test_crops_of_another_precision():
    """Weights in double precision, as where gradients are checked."""
    crops = pictures(3, 112)
    exact = embedder(Smooth()).double().embed(crops)
    np.testing.assert_allclose(exact.vec, embedder(Smooth()).embed(crops).vec, atol=1e-5)


def test_a_large_picture_is_averaged_not_sampled():
    stripes = np.tile(np.array((0, 255, 255, 0), np.uint8)[:, None], (112, 448))  # sampling sees the white ones alone
    big = tensor(stripes[None, ..., None].repeat(3, 3))
    box = torch.tensor([[0.0, 0.0, 448.0, 448.0]])
    for net, given in ((embedder(), {}), (embedder(crop="known_box"), {"boxes": box})):
        assert net(big, **given).raw.abs().max() < 0.05  # gray


def test_it_stays_frozen():
    net = embedder(Smooth())
    before = net.backbone.bn.running_mean.clone()
    net.train()
    x = torch.rand(4, 3, 16, 16, requires_grad=True)
    net(x).unit.sum().backward()
    assert not net.training
    assert torch.equal(net.backbone.bn.running_mean, before)
    assert all(not p.requires_grad and p.grad is None for p in net.parameters())
    assert x.grad is not None


def test_what_it_says_of_itself():
    net = embedder(train_ids=range(5))
    assert net.space == "tiny@abababababab"
    assert (net.dim, net.input_hw, net.family, net.train_data, net.train_ids) == (
        48,
        (112, 112),
        "block means",
        "none",
        range(5),
    )
    assert net.differentiable
    assert "tiny@abababababab" in repr(net)
    assert net(tensor(pictures(1, 112)), maps=("grid",)).maps["grid"].shape == (1, 3, 4, 4)


@pytest.mark.parametrize("given", [{}, {"points": torch.zeros(0, 5, 2)}, {"boxes": torch.zeros(0, 4)}])
def test_no_picture_gives_no_vector(given):
    crop = {"points": "known_points", "boxes": "known_box"}.get("".join(given), "whole")
    assert embedder(crop=crop)(torch.zeros(0, 3, 64, 64), **given).unit.shape == (0, 48)


def test_refusals():
    x = tensor(pictures(2, 112))
    for bad in (x[0], x[:, :1], (x * 255).to(torch.uint8), x.numpy()):
        with pytest.raises(InputError, match=r"expected floating point RGB of shape \(N, 3, H, W\)"):
            embedder()(bad)
    with pytest.raises(InputError, match="crops by 'whole'; got what is for known_points"):
        embedder()(x, points=torch.zeros(2, 5, 2))
    with pytest.raises(InputError, match="crops by 'known_box'; got what is for neither"):
        embedder(crop="known_box")(x)
    with pytest.raises(InputError, match=r"known_points: expected shape \(2, 5, 2\)"):
        embedder(crop="known_points")(x, points=torch.zeros(1, 5, 2))
    with pytest.raises(InputError, match="finite boxes with an area"):
        embedder(crop="known_box")(x, boxes=torch.zeros(2, 4))
    with pytest.raises(InputError, match=r"expected uint8 RGB of shape \(N, 112, 112, 3\)"):
        embedder().embed(pictures(1, 64))
    with pytest.raises(InputError, match="expected one of whole, known_box, known_points"):
        embedder(crop="points")
    with pytest.raises(InputError, match="states none"):
        embedder(card=replace(CARD, crop=None), crop="known_points")
    assert embedder().embed(pictures(0, 112)).vec.shape == (0, 48)

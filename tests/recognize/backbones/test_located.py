"""Located: the crop of the aligner, points as means of heat maps, gradients through both, and that it can be taught."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from vultus import catalogue
from vultus.errors import InputError
from vultus.ops import warp
from vultus.recognize._features import features_of
from vultus.recognize.backbones.located import Located


class Flat(nn.Module):
    """The crop itself as the vector."""

    input_hw, dim = (24, 24), 3 * 24 * 24

    def forward(self, x, maps=()):
        return features_of(x.flatten(1), x, {})


def located(**more):
    return catalogue.load("located", backbone=Flat(), **more)


def smooth(n=3, seed=0):
    """Pictures without edges, (n, 3, 64, 64)."""
    coarse = torch.rand((n, 3, 5, 5), generator=torch.Generator().manual_seed(seed))
    return nn.functional.interpolate(coarse, (64, 64), mode="bicubic", align_corners=True).clamp(0, 1)


FIVE = torch.tensor([[[24.0, 26.0], [38.0, 29.0], [30.0, 35.0], [24.0, 41.0], [35.0, 43.0]]]).repeat(3, 1, 1)
FIVE = FIVE + torch.tensor([[[0.0, 0.0]], [[3.0, -4.0]], [[-5.0, 2.0]]])


def test_the_crop_is_that_of_the_similarity():
    """Equation 3 with the similarity of `ops.warp`, fitted from the template to the points."""
    net, x = located(), smooth()
    crops = net.cut(x, FIVE).permute(0, 2, 3, 1).numpy()
    u, v = np.meshgrid(np.arange(24.0), np.arange(24.0))
    shares = np.array(((0.354, 0.406), (0.646, 0.406), (0.5, 0.573), (0.385, 0.729), (0.615, 0.729)))
    for k in range(3):
        matrix = warp.similarity_umeyama(shares * 24 - 0.5, FIVE[k].numpy())  # crop to picture
        places = warp.apply(matrix, np.stack([u, v], -1).reshape(-1, 2))
        left, top = np.floor(places).astype(int).T
        part = places - np.floor(places)
        picture = x[k].permute(1, 2, 0).numpy()
        want = sum(
            picture[top + j, left + i]
            * (part[:, :1] if i else 1 - part[:, :1])
            * (part[:, 1:] if j else 1 - part[:, 1:])
            for i in (0, 1)
            for j in (0, 1)
        )
        np.testing.assert_allclose(crops[k].reshape(-1, 3), want, atol=1e-4)


def test_points_are_the_means_of_the_heat_maps():
    net = located().eval()
    heat = torch.full((1, 5, 16, 16), -40.0)
    for k, (row, column) in enumerate(((0, 0), (3, 7), (15, 15), (8, 2), (2, 8))):
        heat[0, k, row, column] = 40.0
    net.localize.forward = lambda x: heat
    want = [[4 * c + 1.5, 4 * r + 1.5] for r, c in ((0, 0), (3, 7), (15, 15), (8, 2), (2, 8))]
    np.testing.assert_allclose(net.points(torch.zeros(1, 3, 64, 64))[0], want, atol=1e-4)


def test_a_picture_that_is_not_square_and_what_lies_beyond_its_edge():
    """Two ramps: each pixel of the crop says which place it shows; beyond the edge it shows the edge."""
    net, (v, u) = located(input_hw=(64, 96)), torch.meshgrid(torch.arange(64.0), torch.arange(96.0), indexing="ij")
    shares = torch.tensor(((0.354, 0.406), (0.646, 0.406), (0.5, 0.573), (0.385, 0.729), (0.615, 0.729)))
    points = (shares * 30 + torch.tensor((50.0, 44.0)))[None] - 0.5  # a square of 30 pixels, from row 44 on
    crop = net.cut(torch.stack([u, v, u])[None], points)[0]
    along = torch.arange(24.0) * 30 / 24 + 30 / 48 - 0.5
    torch.testing.assert_close(crop[0], (50 + along).expand(24, 24), rtol=0, atol=1e-3)
    torch.testing.assert_close(crop[1], (44 + along).clamp(max=63)[:, None].expand(24, 24), rtol=0, atol=1e-3)
    heat = torch.full((1, 5, 16, 24), -40.0)
    heat[0, :, 3, 21] = 40.0
    torch.testing.assert_close(net.means(heat), torch.tensor((85.5, 13.5)).expand(1, 5, 2))


def test_a_turned_and_larger_face_gives_the_same_crop():
    """What the alignment is for: moving the points with the picture does not change the crop."""
    net = located()
    v, u = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")

    def painted(points):
        return torch.stack([torch.exp(-((u - p[0]) ** 2 + (v - p[1]) ** 2) / 30) for p in points[[0, 1, 3]]])[None]

    turn = torch.tensor([[0.98, 0.199], [-0.199, 0.98]]) * 1.0
    moved = (FIVE[:1] - 32) @ turn.T + torch.tensor([33.0, 30.0])
    a, b = net.cut(painted(FIVE[0]), FIVE[:1]), net.cut(painted(moved[0]), moved)
    assert (a - b).abs().max() < 0.03


def test_gradients_reach_the_picture_and_the_localization():
    net = located().eval()
    x = smooth().requires_grad_()
    net(x).unit[:, :300].sum().backward()
    assert x.grad.abs().sum() > 0
    assert net.localize.out.weight.grad.abs().sum() > 0


def test_it_learns_where_a_spot_is():
    net = located(generator=torch.Generator().manual_seed(1))
    chance = torch.Generator().manual_seed(2)
    optimizer = torch.optim.AdamW(net.localize.parameters(), 5e-3)
    v, u = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    losses = []
    for _ in range(40):
        place = torch.rand((8, 2), generator=chance) * 30 + 17
        spots = torch.exp(-((u - place[:, :1, None]) ** 2 + (v - place[:, 1:, None]) ** 2) / 40)
        missed = (net.points(spots[:, None].expand(-1, 3, -1, -1)) - place[:, None]).abs().mean()
        optimizer.zero_grad()
        missed.backward()
        optimizer.step()
        losses.append(float(missed.detach()))
    assert np.mean(losses[-5:]) < 0.5 * losses[0]


def test_it_works_where_its_weights_are():
    """Whatever it makes on the way is made on the device of the picture; "meta" minds, as a graphics card does."""
    net = located().to("meta")
    x = torch.zeros(2, 3, 64, 64, device="meta")
    assert net(x).raw.device.type == net.points(x).device.type == "meta"


def test_refusals():
    with pytest.raises(InputError, match=r"expected \(N, 3, 64, 64\)"):
        located()(torch.zeros(1, 3, 32, 32))
    with pytest.raises(InputError, match="multiples of 8"):
        Located(Flat(), input_hw=(60, 64))

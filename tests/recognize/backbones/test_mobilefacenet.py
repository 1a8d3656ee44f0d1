"""MobileFaceNet: published size, the crop alone or in a batch, and the depthwise end."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import batch_norm, conv2d, prelu

from tests.recognize.backbones.macs import multiply_adds, parameters
from vultus import catalogue
from vultus.errors import InputError
from vultus.recognize.backbones.mobilefacenet import MobileFaceNet


def test_size_is_the_published_one():
    """Abstract and table 1: 0.99 M parameters, 221 M multiply-adds; worked by hand from the rows of the table."""
    net = MobileFaceNet()
    normed = sum(part.num_features for part in net.modules() if isinstance(part, nn.BatchNorm2d))
    assert parameters(net) == 1_003_136
    assert parameters(net) - normed == 993_344  # a folded batch norm leaves one number per channel
    assert multiply_adds(net, torch.zeros(1, 3, 112, 112)) == pytest.approx(221e6, rel=0.02)


def test_alone_equals_in_a_batch():
    net = catalogue.load("mobilefacenet.tiny").eval()
    x = torch.rand(5, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        whole = net(x)
        alone = torch.cat([net(x[k : k + 1]).raw for k in range(5)])
    torch.testing.assert_close(whole.raw, alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(whole.unit.norm(dim=1), torch.ones(5))
    assert parameters(net) <= 300_000


def test_places_keep_weights_of_their_own():
    """Section 3.2: a depthwise convolution over the whole map, not a mean: moving the last map changes the vector."""
    net = catalogue.load("mobilefacenet.tiny").eval()
    grid = torch.rand(1, 256, 4, 4)
    with torch.no_grad():
        straight, moved = net.global_depthwise(grid), net.global_depthwise(grid.roll(1, dims=3))
    assert straight.shape == (1, 256, 1, 1)
    assert not torch.allclose(straight, moved)


def test_shortcuts_where_shape_and_stride_allow():
    net = MobileFaceNet()
    flags = [unit.shortcut for number in range(1, 6) for unit in getattr(net, f"stage{number}")]
    assert flags == [False, *[True] * 4, False, *[True] * 6, False, *[True] * 2]


def test_a_bottleneck_by_functions():
    """Section 3.1: widen, filter each channel, both with PReLU, narrow without; the input is added."""
    unit, generator = MobileFaceNet(input_hw=(32, 32)).stage1[1].eval(), torch.Generator().manual_seed(4)
    state = unit.state_dict()
    for value in state.values():
        if value.is_floating_point() and value.ndim == 1:
            value.copy_(torch.rand(value.shape, generator=generator) + 0.3)

    def layer(part, x, **more):
        x = conv2d(x, state[f"body.{part}.0.weight"], **more)
        names = ("running_mean", "running_var", "weight", "bias")
        return batch_norm(x, *(state[f"body.{part}.1.{name}"] for name in names))

    x = torch.randn(2, 64, 8, 8, generator=generator)
    inner = prelu(layer(0, x), state["body.0.2.weight"])
    inner = prelu(layer(1, inner, padding=1, groups=128), state["body.1.2.weight"])
    with torch.no_grad():
        torch.testing.assert_close(unit(x), x + layer(2, inner), rtol=1e-4, atol=1e-4)


def test_maps_and_refusals():
    net = catalogue.load("mobilefacenet.tiny").eval()
    out = net(torch.rand(2, 3, 64, 64), maps=("stage3",))
    assert out.maps["stage3"].shape == (2, 64, 8, 8)
    with pytest.raises(InputError, match=r"expected \(N, 3, 64, 64\)"):
        net(torch.rand(2, 3, 112, 112))
    with pytest.raises(InputError, match=r"multiply to 8 .*got 4"):
        MobileFaceNet(stages=((2, 8, 1, 2), (2, 8, 1, 2)))

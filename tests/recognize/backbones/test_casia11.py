"""Casia11: the table of the paper, layer by layer, the crop alone or in a batch, grey, and what is dropped when."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d, max_pool2d, relu

from tests.recognize.backbones.macs import multiply_adds, parameters
from vultus import catalogue
from vultus.errors import InputError
from vultus.recognize.backbones.casia11 import Casia11


def tiny(**more):
    return catalogue.load("casia11.tiny", **more)


def test_size_is_that_of_table_1():
    """Table 1 counts weights in units of 1,024: 5,015 of them with the layer of 10,575 classes."""
    net = Casia11()
    weights = [p.numel() for p in net.parameters() if p.ndim == 4]
    published = [0.28, 18, 36, 72, 108, 162, 216, 288, 360, 450]
    np.testing.assert_allclose(np.array(weights) / 1024, published, atol=0.005)
    assert round((sum(weights) + 320 * 10_575) / 1024) == 5_015
    assert parameters(net) == sum(weights) + 32 + 64 + 64 + 128 + 96 + 192 + 128 + 256 + 160 + 320 == 1_752_768


def test_sizes_of_the_maps_are_those_of_table_1():
    """100, 50, 25, 13 and 7: the maxima keep an odd last row. Multiply-adds by hand from these."""
    net, x = Casia11().eval(), torch.zeros(1, 1, 100, 100)
    levels = net.pyramid(x)
    assert [tuple(level.shape[1:]) for level in levels] == [
        (64, 100, 100),
        (128, 50, 50),
        (192, 25, 25),
        (256, 13, 13),
        (320, 7, 7),
    ]
    by_hand = 10_000 * (288 + 18_432) + 2_500 * (36_864 + 73_728) + 625 * (110_592 + 165_888)
    by_hand += 169 * (221_184 + 294_912) + 49 * (368_640 + 460_800)
    assert multiply_adds(net, x) == by_hand == 764_342_784
    assert net(x, maps=("pair2",)).maps["pair2"].shape == (1, 128, 50, 50)


def test_order_of_the_layers_by_functions():
    net, generator = tiny().eval(), torch.Generator().manual_seed(2)
    for value in net.parameters():
        if value.ndim == 1:
            value.data.copy_(torch.randn(value.shape, generator=generator) * 0.1)
    x = torch.randn(2, 1, 56, 56, generator=generator)
    state, y = net.state_dict(), x
    for number in range(1, 6):
        y = relu(conv2d(y, state[f"conv{number}1.weight"], state[f"conv{number}1.bias"], padding=1))
        y = conv2d(y, state[f"conv{number}2.weight"], state[f"conv{number}2.bias"], padding=1)
        y = max_pool2d(relu(y), 2, ceil_mode=True) if number < 5 else y
    with torch.no_grad():
        raw = net(x).raw
    torch.testing.assert_close(raw, y.flatten(2).sum(2) / 16, rtol=1e-4, atol=1e-6)
    assert raw.min() < 0 < raw.max()  # no ReLU after the last one


def test_alone_equals_in_a_batch():
    net, x = tiny().eval(), torch.randn(5, 1, 56, 56, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        whole = net(x)
        alone = torch.cat([net(x[k : k + 1]).raw for k in range(5)])
    torch.testing.assert_close(whole.raw, alone, rtol=1e-4, atol=1e-6)
    assert whole.raw.shape == (5, net.dim) == (5, 128)
    assert parameters(net) <= 300_000


def test_color_is_made_grey():
    net, x = tiny().eval(), torch.randn(2, 3, 56, 56, generator=torch.Generator().manual_seed(3))
    grey = 0.299 * x[:, :1] + 0.587 * x[:, 1:2] + 0.114 * x[:, 2:]
    with torch.no_grad():
        torch.testing.assert_close(net(x).raw, net(grey).raw, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(net(grey.expand(-1, 3, -1, -1)).raw, net(grey).raw, rtol=1e-4, atol=1e-6)


def test_what_is_dropped_and_when():
    """Two fifths of the vector in training, none in use; the last map stays whole."""
    net, x = Casia11(input_hw=(20, 20)), torch.randn(8, 1, 20, 20, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        torch.manual_seed(0)
        out = net.train()(x)
        whole = out.grid.mean((2, 3))
        kept = out.raw != 0
        torch.testing.assert_close(out.raw[kept], (whole / 0.6)[kept])
        assert 0.35 < 1 - kept.float().mean() < 0.45
        torch.testing.assert_close(net.eval()(x).raw, whole)


def test_gradient_reaches_every_number():
    net = tiny(dropout=0.0)
    net(torch.randn(4, 3, 56, 56)).unit[:, :64].sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_refusals():
    with pytest.raises(InputError, match=r"expected \(N, 1, 56, 56\)"):
        tiny()(torch.zeros(1, 1, 100, 100))
    with pytest.raises(InputError, match="pair9"):
        tiny()(torch.zeros(1, 1, 56, 56), maps=("pair9",))
    with pytest.raises(InputError, match=r"expected \(N, 3, 56, 56\)"):
        tiny(in_chans=3)(torch.zeros(1, 1, 56, 56))
    with pytest.raises(InputError, match="ten numbers of channels, got 3"):
        Casia11(widths=(1, 2, 3))

"""IResNet: published sizes, the crop alone or in a batch, maps, and that it learns."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import batch_norm, conv2d, linear, prelu

from tests.recognize.backbones.macs import multiply_adds, parameters
from vultus import catalogue
from vultus.errors import InputError
from vultus.recognize.backbones.iresnet import IResNet

# Derived by hand from the released network: stem 1,920; a unit of widths a to b has 2 a + 9 a b + 2 b + b + 9 b b + 2 b
# numbers and, where the stride is 2, a b + 2 b more; end 2 x 512 + 25,088 x 512 + 512 + 2 x 512.
BY_HAND = {18: 24_025_600, 34: 34_139_328, 50: 43_590_848, 100: 65_156_160}


def by_hand(units):
    widths, before, total = (64, 128, 256, 512), 64, 3 * 64 * 9 + 2 * 64 + 64
    for width, count in zip(widths, units, strict=True):
        for k in range(count):
            a = before if k == 0 else width
            total += 2 * a + 9 * a * width + 2 * width + width + 9 * width * width + 2 * width
            total += a * width + 2 * width if k == 0 else 0
        before = width
    return total + 2 * 512 + 512 * 7 * 7 * 512 + 512 + 2 * 512


@pytest.mark.parametrize(
    ("depth", "units"), [(18, (2, 2, 2, 2)), (34, (3, 4, 6, 3)), (50, (3, 4, 14, 3)), (100, (3, 13, 30, 3))]
)
def test_parameters_are_the_published_ones(depth, units):
    with torch.device("meta"):
        net = IResNet(depth)
    assert parameters(net) == by_hand(units) == BY_HAND[depth]


@pytest.mark.parametrize(
    ("depth", "published"),
    [
        (34, 8.934e9 / 2),  # OpenVINO's page of LResNet34E-IR: 8.934 GFLOPs, 34.129 M
        (100, 24.2115e9 / 2),  # its page of ResNet100 ArcFace: 24.2115 GFLOPs, 65.132 M
        (18, 2.6e9),  # InsightFace's table of arcface_torch, to two digits
        (50, 6.3e9),
    ],
)
def test_multiply_adds_are_the_published_ones(depth, published):
    with torch.device("meta"):
        net = IResNet(depth)
        assert multiply_adds(net, torch.zeros(1, 3, 112, 112)) == pytest.approx(published, rel=0.01)


def tiny(**more):
    return catalogue.load("iresnet.tiny", **more)


def test_alone_equals_in_a_batch():
    net, x = tiny().eval(), torch.rand(5, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        whole = net(x)
        alone = torch.cat([net(x[k : k + 1]).raw for k in range(5)])
    torch.testing.assert_close(whole.raw, alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(whole.unit * whole.norm, whole.raw, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("depth", "units"), [(50, (3, 4, 14, 3)), (100, (3, 13, 30, 3))])
def test_parameters_of_the_weighed_units(depth, units):
    """By hand: a unit of b channels has b b / 8 + b + 2 b / 16 numbers more, with biases and slopes."""
    with torch.device("meta"):
        net = catalogue.load(f"iresnet.{depth}_se")
    more = sum(count * (b * b // 8 + b + b // 8) for b, count in zip((64, 128, 256, 512), units, strict=True))
    assert parameters(net) == BY_HAND[depth] + more


def by_functions(net, x):
    """Section 3.1 written out once more, from the numbers of the network by name."""
    state = net.state_dict()

    def norm(name, x):
        return batch_norm(x, *(state[f"{name}.{what}"] for what in ("running_mean", "running_var", "weight", "bias")))

    x = prelu(norm("bn1", conv2d(x, state["conv1.weight"], padding=1)), state["prelu.weight"])
    for name in [f"layer{stage}.0" for stage in range(1, 5)]:
        inner = conv2d(norm(f"{name}.bn1", x), state[f"{name}.conv1.weight"], padding=1)
        inner = prelu(norm(f"{name}.bn2", inner), state[f"{name}.prelu.weight"])
        inner = norm(f"{name}.bn3", conv2d(inner, state[f"{name}.conv2.weight"], stride=2, padding=1))
        if f"{name}.se.conv1.weight" in state:
            n, c, *_ = inner.shape
            few = linear(inner.reshape(n, c, -1).mean(2), state[f"{name}.se.conv1.weight"].flatten(1))
            few = prelu(few + state[f"{name}.se.conv1.bias"], state[f"{name}.se.prelu.weight"])
            all_of_them = linear(few, state[f"{name}.se.conv2.weight"].flatten(1), state[f"{name}.se.conv2.bias"])
            inner = inner * torch.sigmoid(all_of_them)[:, :, None, None]
        side = conv2d(x, state[f"{name}.downsample.0.weight"], stride=2)
        x = inner + norm(f"{name}.downsample.1", side)
    return norm("features", linear(norm("bn2", x).flatten(1), state["fc.weight"], state["fc.bias"]))


@pytest.mark.parametrize("name", ["iresnet.tiny", "iresnet.tiny_se"])
def test_order_and_signs_of_the_layers(name):
    net, generator = catalogue.load(name).eval(), torch.Generator().manual_seed(6)
    for value in net.state_dict().values():  # no statistic and no slope stays where it does nothing
        if value.is_floating_point() and value.ndim == 1:
            value.copy_(torch.rand(value.shape, generator=generator) + 0.3)
    x = torch.rand(2, 3, 64, 64, generator=generator)
    with torch.no_grad():
        torch.testing.assert_close(net(x).raw, by_functions(net, x), rtol=1e-3, atol=1e-3)


def test_maps_grid_and_pyramid():
    net, x = tiny().eval(), torch.rand(2, 3, 64, 64)
    out = net(x, maps=("layer1", "layer3"))
    assert {name: tuple(value.shape) for name, value in out.maps.items()} == {
        "layer1": (2, 16, 32, 32),
        "layer3": (2, 40, 8, 8),
    }
    assert [tuple(level.shape[2:]) for level in net.pyramid(x)] == [(32, 32), (16, 16), (8, 8), (4, 4)]
    assert out.grid.shape == (2, 64, 4, 4)
    assert parameters(net) <= 300_000


def test_the_same_seed_gives_the_same_weights():
    a, b, c = (tiny(generator=torch.Generator().manual_seed(k)) for k in (3, 3, 4))
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
    assert not torch.equal(a.conv1.weight, c.conv1.weight)


def test_the_scale_of_the_vector_is_not_learned():
    net = tiny()
    assert not net.features.weight.requires_grad
    assert torch.equal(net.features.weight, torch.ones(128))


def test_other_sizes_and_channels():
    net = IResNet(10, input_hw=(56, 40), dim=32, in_chans=6, widths=(8, 8, 16, 16)).eval()
    assert net(torch.rand(2, 6, 56, 40)).raw.shape == (2, 32)
    with pytest.raises(InputError, match=r"expected \(N, 6, 56, 40\)"):
        net(torch.rand(2, 3, 56, 40))
    with pytest.raises(InputError, match="layer9"):
        net(torch.rand(2, 6, 56, 40), maps=("layer9",))
    with pytest.raises(InputError, match="expected a depth of 10, 18, 34, 50, 100"):
        IResNet(11)

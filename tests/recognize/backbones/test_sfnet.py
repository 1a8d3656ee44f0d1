"""SFNet: published sizes, units by functions, plain and with batch norm, and that sixty-four plain layers hold."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import batch_norm, conv2d, linear, prelu, relu

from tests.recognize.backbones.macs import multiply_adds, parameters
from vultus import catalogue
from vultus.errors import InputError
from vultus.recognize.backbones.sfnet import SFNet


def test_size_is_the_published_one():
    """OpenVINO's page of Sphereface: 22.671 M parameters, 3.504 GFLOPs at 112 x 96."""
    with torch.device("meta"):
        net = SFNet(20)
        assert parameters(net) == pytest.approx(22.671e6, rel=3e-4)
        assert multiply_adds(net, torch.zeros(1, 3, 112, 96)) == pytest.approx(3.504e9 / 2, rel=0.005)


@pytest.mark.parametrize(
    ("depth", "units"),
    [(4, (0, 0, 0, 0)), (10, (0, 1, 2, 0)), (20, (1, 2, 4, 1)), (36, (2, 4, 8, 2)), (64, (3, 8, 16, 3))],
)
def test_layers_and_parameters_are_those_of_table_2(depth, units):
    """Numbers by hand: a first convolution has 9 a b + b and b slopes, a unit 18 b b and 2 b slopes."""
    with torch.device("meta"):
        net = SFNet(depth)
    layers = [part for part in net.modules() if isinstance(part, nn.Conv2d)]
    assert len(layers) == depth
    total, before = 512 * 7 * 6 * 512 + 512, 3
    for width, count in zip((64, 128, 256, 512), units, strict=True):
        total += 9 * before * width + 2 * width + count * (18 * width * width + 2 * width)
        before = width
    assert parameters(net) == total


def test_parameters_with_batch_norm_by_hand():
    with torch.device("meta"):
        net = catalogue.load("sfnet.20_bn")
    total, before = 512 * 7 * 7 * 512 + 512 + 2 * 512, 3
    for width, count in zip((64, 128, 256, 512), (1, 2, 4, 1), strict=True):
        total += 9 * before * width + 2 * width + count * (18 * width * width + 4 * width)
        before = width
    assert parameters(net) == total == 24_506_688


def shaken(name, seed):
    net, generator = catalogue.load(name).eval(), torch.Generator().manual_seed(seed)
    for value in net.state_dict().values():
        if value.is_floating_point() and value.ndim == 1:
            value.copy_(torch.rand(value.shape, generator=generator) + 0.3)
    return net, torch.rand(2, 3, 56, 56, generator=generator) * 0.1


def test_plain_by_functions():
    """The released twenty-layer network, layer by layer: what is added was activated before, not after."""
    net, x = shaken("sfnet.tiny", 3)
    state, y = net.state_dict(), x
    for stage, units in enumerate((1, 2, 4, 1), 1):
        name = f"layer{stage}.0"
        y = conv2d(y, state[f"{name}.conv1.weight"], state[f"{name}.conv1.bias"], stride=2, padding=1)
        y = prelu(y, state[f"{name}.act.weight"])
        for k in range(1, units + 1):
            name = f"layer{stage}.{k}"
            inner = prelu(conv2d(y, state[f"{name}.conv1.weight"], padding=1), state[f"{name}.act1.weight"])
            y = y + prelu(conv2d(inner, state[f"{name}.conv2.weight"], padding=1), state[f"{name}.act2.weight"])
    with torch.no_grad():
        want = linear(y.flatten(1), state["fc.weight"], state["fc.bias"])
        torch.testing.assert_close(net(x).raw, want, rtol=1e-3, atol=1e-4)


def test_batch_norm_by_functions():
    """opensphere with batch norm, with its names: the second activation comes after the addition."""
    net, x = shaken("sfnet.tiny_bn", 4)
    state, y = net.state_dict(), x

    def norm(name, x):
        return batch_norm(x, *(state[f"{name}.{what}"] for what in ("running_mean", "running_var", "weight", "bias")))

    for stage, units in enumerate((1, 2, 4, 1), 1):
        y = relu(norm(f"layer{stage}.0.bn1", conv2d(y, state[f"layer{stage}.0.conv1.weight"], stride=2, padding=1)))
        for k in range(1, units + 1):
            name = f"layer{stage}.{k}"
            inner = relu(norm(f"{name}.bn1", conv2d(y, state[f"{name}.conv1.weight"], padding=1)))
            y = relu(y + norm(f"{name}.bn2", conv2d(inner, state[f"{name}.conv2.weight"], padding=1)))
    with torch.no_grad():
        want = norm("features", linear(y.flatten(1), state["fc.weight"], state["fc.bias"]))
        torch.testing.assert_close(net(x).raw, want, rtol=1e-3, atol=1e-3)
    used = {name for name in state if "num_batches" not in name}
    assert {name.rsplit(".", 1)[0].rsplit(".", 1)[-1] for name in used} == {
        "conv1",
        "conv2",
        "bn1",
        "bn2",
        "fc",
        "features",
    }


def test_where_the_weights_start():
    """As released: units of deviation 0.01, so that the sum of thirty of them is still about what came in."""
    net = SFNet(64, input_hw=(32, 32), widths=(64, 64, 64, 64), dim=16).eval()
    assert float(net.layer3[5].conv2.weight.detach().std()) == pytest.approx(0.01, rel=0.05)
    with torch.no_grad():
        first, *_, last = net.pyramid(torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)))
    assert 0.1 < float(last.std() / first.std()) < 10
    assert torch.equal(catalogue.load("sfnet.tiny_bn").features.weight, torch.full((128,), 0.1))


def test_maps_and_refusals():
    net = catalogue.load("sfnet.tiny").eval()
    out = net(torch.rand(2, 3, 56, 56), maps=("layer2",))
    assert out.maps["layer2"].shape == (2, 16, 14, 14)
    assert out.grid.shape == (2, 48, 4, 4)
    with pytest.raises(InputError, match=r"expected \(N, 3, 56, 56\)"):
        net(torch.rand(2, 3, 112, 96))
    with pytest.raises(InputError, match="expected a depth of 4, 10, 20, 36, 64"):
        SFNet(50)

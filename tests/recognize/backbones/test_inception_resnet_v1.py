"""Inception-ResNet-v1: published sizes, names of published weights, blocks by functions, small crops."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import batch_norm, conv2d, max_pool2d, relu

from tests.recognize.backbones.macs import multiply_adds, parameters
from vultus import catalogue
from vultus.errors import InputError
from vultus.recognize.backbones.inception_resnet_v1 import InceptionResNetV1


def tiny(**more):
    return catalogue.load("inception_resnet_v1.tiny", **more)


def normed(net):
    return sum(part.num_features for part in net.modules() if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)))


def test_parameters_are_the_published_ones():
    """Tables of layers that others printed of facenet-pytorch (512-D) and of the Keras form of facenet (128-D)."""
    with torch.device("meta"):
        large, small = InceptionResNetV1(), catalogue.load("inception_resnet_v1.128")
    assert parameters(large) == 23_482_624
    assert parameters(small) - normed(small) == 22_779_312  # facenet's batch norms have no factor
    assert parameters(small) + normed(small) == 22_808_144  # with running means and variances
    assert parameters(large) - normed(large) == pytest.approx(23.469e6, rel=1e-4)  # OpenVINO's page, norms folded


def test_multiply_adds_are_the_published_ones():
    """OpenVINO's page of facenet-20180408-102900: 2.846 GFLOPs, which count the additions and the activations too."""
    with torch.device("meta"):
        net = InceptionResNetV1()
        assert multiply_adds(net, torch.zeros(1, 3, 160, 160)) == pytest.approx(2.846e9 / 2, rel=0.01)


def names_of_facenet_pytorch():
    """The names of its published files, written out by their pattern, without `logits`."""
    layers = [f"conv2d_{place}" for place in ("1a", "2a", "2b", "3b", "4a", "4b")]
    blocks = {
        "repeat_1": (5, "0 1.0 1.1 2.0 2.1 2.2"),
        "repeat_2": (10, "0 1.0 1.1 1.2"),
        "repeat_3": (5, "0 1.0 1.1 1.2"),
    }
    ends = []
    for grid, (count, paths) in blocks.items():
        layers += [f"{grid}.{k}.branch{path}" for k in range(count) for path in paths.split()]
        ends += [f"{grid}.{k}.conv2d" for k in range(count)]
    layers += [f"block8.branch{path}" for path in ["0", "1.0", "1.1", "1.2"]]
    layers += [f"mixed_6a.branch{path}" for path in ["0", "1.0", "1.1", "1.2"]]
    layers += [f"mixed_7a.branch{path}" for path in ["0.0", "0.1", "1.0", "1.1", "2.0", "2.1", "2.2"]]
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    names = {f"{layer}.conv.weight" for layer in layers} | {f"{layer}.bn.{what}" for layer in layers for what in norm}
    names |= {f"{end}.{what}" for end in [*ends, "block8.conv2d"] for what in ("weight", "bias")}
    return names | {"last_linear.weight"} | {f"last_bn.{what}" for what in norm}


def test_names_and_shapes_are_those_of_published_files():
    with torch.device("meta"):
        state = InceptionResNetV1().state_dict()
    assert set(state) == names_of_facenet_pytorch()
    shapes = {
        "conv2d_1a.conv.weight": (32, 3, 3, 3),
        "conv2d_3b.conv.weight": (80, 64, 1, 1),
        "conv2d_4b.conv.weight": (256, 192, 3, 3),
        "repeat_1.4.conv2d.weight": (256, 96, 1, 1),
        "repeat_2.0.branch1.1.conv.weight": (128, 128, 1, 7),
        "repeat_2.0.branch1.2.conv.weight": (128, 128, 7, 1),
        "repeat_3.0.branch1.1.conv.weight": (192, 192, 1, 3),
        "mixed_6a.branch1.2.conv.weight": (256, 192, 3, 3),
        "mixed_7a.branch0.1.conv.weight": (384, 256, 3, 3),
        "mixed_7a.branch2.2.conv.weight": (256, 256, 3, 3),
        "block8.conv2d.weight": (1792, 384, 1, 1),
        "last_linear.weight": (512, 1792),
    }
    assert {name: tuple(state[name].shape) for name in shapes} == shapes


def shaken(net, seed):
    """No statistic and no factor stays where it does nothing."""
    generator = torch.Generator().manual_seed(seed)
    for value in net.state_dict().values():
        if value.is_floating_point() and value.ndim == 1:
            value.copy_(torch.rand(value.shape, generator=generator) + 0.3)
    return net.eval(), generator


def layer(state, name, x, **more):
    x = conv2d(x, state[f"{name}.conv.weight"], **more)
    stats = (state[f"{name}.bn.{what}"] for what in ("running_mean", "running_var", "weight", "bias"))
    return relu(batch_norm(x, *stats, eps=1e-3))


def test_the_three_blocks_by_functions():
    """Figures 10, 11 and 13 with the scales of facenet; the last block neither scales nor activates."""
    net, generator = shaken(tiny(), 6)
    wide = [net.repeat_1[0].conv2d.out_channels, net.repeat_2[0].conv2d.out_channels, net.block8.conv2d.out_channels]

    def ended(state, x, paths, scale):
        return x + scale * conv2d(torch.cat(paths, 1), state["conv2d.weight"], state["conv2d.bias"])

    x = torch.randn(2, wide[0], 9, 9, generator=generator)
    state = net.repeat_1[0].state_dict()
    two = layer(state, "branch1.1", layer(state, "branch1.0", x), padding=1)
    three = layer(state, "branch2.1", layer(state, "branch2.0", x), padding=1)
    three = layer(state, "branch2.2", three, padding=1)
    want = relu(ended(state, x, [layer(state, "branch0", x), two, three], 0.17))
    with torch.no_grad():
        torch.testing.assert_close(net.repeat_1[0](x), want, rtol=1e-4, atol=1e-4)
    for block, width, side, scale in ((net.repeat_2[0], wide[1], 3, 0.1), (net.repeat_3[0], wide[2], 1, 0.2)):
        x, state = torch.randn(2, width, 9, 9, generator=generator), block.state_dict()
        two = layer(state, "branch1.1", layer(state, "branch1.0", x), padding=(0, side))
        two = layer(state, "branch1.2", two, padding=(side, 0))
        with torch.no_grad():
            want = relu(ended(state, x, [layer(state, "branch0", x), two], scale))
            torch.testing.assert_close(block(x), want, rtol=1e-4, atol=1e-4)
    state = net.block8.state_dict()
    two = layer(
        state, "branch1.2", layer(state, "branch1.1", layer(state, "branch1.0", x), padding=(0, 1)), padding=(1, 0)
    )
    with torch.no_grad():
        want = ended(state, x, [layer(state, "branch0", x), two], 1.0)
        torch.testing.assert_close(net.block8(x), want, rtol=1e-4, atol=1e-4)
    assert want.min() < 0


def test_the_two_reductions_by_functions():
    net, generator = shaken(tiny(), 7)
    x, state = torch.randn(2, net.conv2d_4b.conv.out_channels, 9, 9, generator=generator), net.mixed_6a.state_dict()
    two = layer(state, "branch1.1", layer(state, "branch1.0", x), padding=1)
    want = [layer(state, "branch0", x, stride=2), layer(state, "branch1.2", two, stride=2), max_pool2d(x, 3, 2)]
    with torch.no_grad():
        torch.testing.assert_close(net.mixed_6a(x), torch.cat(want, 1), rtol=1e-4, atol=1e-4)
    x, state = torch.cat(want, 1), net.mixed_7a.state_dict()
    three = layer(state, "branch2.1", layer(state, "branch2.0", x), padding=1)
    want = [
        layer(state, "branch0.1", layer(state, "branch0.0", x), stride=2),
        layer(state, "branch1.1", layer(state, "branch1.0", x), stride=2),
        layer(state, "branch2.2", three, stride=2),
        max_pool2d(x, 3, 2),
    ]
    with torch.no_grad():
        torch.testing.assert_close(net.mixed_7a(x), torch.cat(want, 1), rtol=1e-4, atol=1e-4)


def test_the_end_and_the_sizes_of_the_grids():
    net, generator = shaken(tiny(), 8)
    x = torch.rand(2, 3, 56, 56, generator=generator)
    with torch.no_grad():
        out = net(x, maps=("grid1",))
        want = net.last_bn(out.grid.mean((2, 3)) @ net.last_linear.weight.T)
    torch.testing.assert_close(out.raw, want, rtol=1e-4, atol=1e-4)
    assert out.maps["grid1"].shape == (2, 32, 11, 11)
    assert out.grid.shape == (2, 224, 2, 2)
    with torch.device("meta"):
        published = [tuple(level.shape[1:]) for level in InceptionResNetV1().pyramid(torch.zeros(1, 3, 160, 160))]
    assert published == [(256, 17, 17), (896, 8, 8), (1792, 3, 3)]


def test_what_is_dropped_and_when():
    """Six tenths of the mean, as facenet's training scripts keep 0.4; whole in evaluation."""
    net, seen = tiny(), []
    net.last_linear.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    x = torch.rand(8, 3, 56, 56, generator=torch.Generator().manual_seed(5))
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(6)
        grid = net(x).grid
        whole = grid.mean((2, 3)) != 0
        assert (seen[-1][whole] == 0).double().mean() == pytest.approx(0.6, abs=0.05)
        torch.testing.assert_close(net.eval()(x).grid.mean((2, 3)), seen[-1])


@pytest.mark.parametrize(("stride", "side"), [(1, 39), (2, 75)])
def test_the_smallest_crop(stride, side):
    small = {"width": 0.05, "repeats": (1, 1, 1), "stem_stride": stride, "dim": 8}
    net = InceptionResNetV1(input_hw=(side, side), **small).eval()
    assert net(torch.zeros(1, 3, side, side)).grid.shape[2:] == (1, 1)
    with pytest.raises(InputError, match="sides of 75 or more"):
        InceptionResNetV1(input_hw=(side, side - 1), **small)


def test_refusals():
    with pytest.raises(InputError, match=r"expected \(N, 3, 56, 56\)"):
        tiny()(torch.zeros(1, 3, 160, 160))
    with pytest.raises(InputError, match="grid9"):
        tiny()(torch.zeros(1, 3, 56, 56), maps=("grid9",))
    with pytest.raises(InputError, match="three numbers of blocks"):
        InceptionResNetV1(repeats=(1, 2))

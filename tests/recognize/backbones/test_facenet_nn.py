"""FaceNet's networks: tables 1 and 2 row by row, the branches by functions, and that the miniature learns."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import avg_pool2d, conv2d, linear, max_pool2d

from tests.recognize.backbones.macs import multiply_adds, parameters
from vultus import catalogue
from vultus.errors import InputError
from vultus.recognize.backbones.facenet_nn import FaceInception, ZeilerFergus

# Params in thousands and FLOPS in millions, as printed in the paper.
TABLE_1 = {
    "conv1": (9, 115), "conv2a": (4, 13), "conv2": (111, 335), "conv3a": (37, 29), "conv3": (664, 521),
    "conv4a": (148, 29), "conv4": (885, 173), "conv5a": (66, 13), "conv5": (590, 116), "conv6a": (66, 13),
    "conv6": (590, 116), "fc1": (103_000, 103), "fc2": (34_000, 34), "fc7": (524, 0.5),
}  # fmt: skip
TABLE_2 = {
    "conv1": (9, 119), "inception2": (115, 360), "inception3a": (164, 128), "inception3b": (228, 179),
    "inception3c": (398, 108), "inception4a": (545, 107), "inception4b": (595, 117), "inception4c": (654, 128),
    "inception4d": (722, 142), "inception4e": (717, 56), "inception5a": (1_600, 78), "inception5b": (1_600, 78),
    "fc": (131, 0.1),
}  # fmt: skip
SIZES_2 = {  # channels and side of each row's output
    "conv1": (64, 112), "inception2": (192, 56), "inception3a": (256, 28), "inception3b": (320, 28),
    "inception3c": (640, 14), "inception4a": (640, 14), "inception4b": (640, 14), "inception4c": (640, 14),
    "inception4d": (640, 14), "inception4e": (1024, 7), "inception5a": (1024, 7), "inception5b": (1024, 7),
}  # fmt: skip


def on_nothing(name):
    """A row of the catalogue without memory for its weights, and what it adds up to."""
    with torch.device("meta"):
        net = catalogue.load(f"facenet_nn.{name}")
        x = torch.zeros(1, 3, *net.input_hw)
        return net, multiply_adds(net, x), x


def each(net, x, names):
    """Multiply-adds of each named part."""
    found = {}

    def note(name):
        def hook(part, inputs, output):
            found[name] = found.get(name, 0) + output.numel() * part.weight[0].numel()

        return hook

    for name in names:
        for part in getattr(net, name).modules():
            if isinstance(part, (nn.Conv2d, nn.Linear)):
                part.register_forward_hook(note(name))
    with torch.no_grad():
        net.eval()(x)
    return found


@pytest.mark.parametrize(("name", "table"), [("1", TABLE_1), ("2", TABLE_2)])
def test_every_row_has_the_published_size(name, table):
    """To the digit that is printed, or the next one: the paper cuts off as often as it rounds."""
    net, _, x = on_nothing(name)
    adds = each(net, x, table)
    for row, (thousands, millions) in table.items():
        step = 100 if thousands in (1_600,) else 1000 if thousands > 10_000 else 1
        assert abs(parameters(getattr(net, row)) / 1e3 - thousands) <= step, row
        assert abs(adds[row] / 1e6 - millions) <= 1.2, row
    assert sum(parameters(getattr(net, row)) for row in table) == parameters(net)


@pytest.mark.parametrize(
    ("name", "millions", "adds", "within"),
    [
        ("1", 140, 1.6e9, 0.01),
        ("2", 7.5, 1.6e9, 0.01),
        ("3", 7.5, 1.6e9 * (160 / 224) ** 2, 0.01),  # the same network on a smaller map
        ("4", None, 285e6, 0.002),  # section 5.1
    ],
)
def test_the_whole_has_the_published_size(name, millions, adds, within):
    net, counted, _ = on_nothing(name)
    if millions:
        assert parameters(net) / 1e6 == pytest.approx(millions, abs=0.05)
    assert counted == pytest.approx(adds, rel=within)


def test_no_other_set_of_top_modules_without_5x5_has_the_published_multiply_adds():
    """The reading of "higher layers" that is built is the one of all tops that rounds to 285 M."""
    order = [f"{stage}" for stage in ("3a", "3b", "3c", "4a", "4b", "4c", "4d", "4e", "5a", "5b")]
    fits = []
    with torch.device("meta"):
        for first in range(len(order) + 1):
            net = FaceInception(input_hw=(96, 96), without_5x5=order[first:])
            if round(multiply_adds(net, torch.zeros(1, 3, 96, 96)) / 1e6) == 285:
                fits.append(tuple(order[first:]))
    assert fits == [("4e", "5a", "5b")] == [tuple(catalogue.row("facenet_nn.4").args["without_5x5"])]


def test_maps_have_the_published_sizes():
    net, _, x = on_nothing("2")
    out = net(x, maps=tuple(SIZES_2))
    assert {name: (value.shape[1], value.shape[3]) for name, value in out.maps.items()} == SIZES_2
    assert [level.shape[2] for level in net.pyramid(x)] == [112, 56, 28, 14, 7]
    net, _, x = on_nothing("1")
    sizes = [(64, 55, 55), (192, 28, 28), (384, 14, 14), (256, 7, 7)]
    assert [tuple(level.shape[1:]) for level in net.pyramid(x)] == sizes
    assert list(net(x, maps=("pool3",)).maps) == ["pool3"]


def test_pooling_is_of_the_published_kind():
    """Table 2, column "pool proj": L2 or m."""
    net, _, _ = on_nothing("2")
    kinds = {name: getattr(net, f"inception{name}").pool for name in ("3a", "3b", "3c", "4a", "4b", "4c", "4d")}
    assert kinds == {"3a": "max", "3b": "l2", "3c": "max", **dict.fromkeys(("4a", "4b", "4c", "4d"), "l2")}
    assert [getattr(net, f"inception{name}").pool for name in ("4e", "5a", "5b")] == ["max", "l2", "max"]


def tiny(**more):
    return catalogue.load("facenet_nn.tiny", **more)


def pictures(n=4, side=56, seed=1):
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("make", [tiny, lambda: ZeilerFergus(input_hw=(40, 56), units=16)])
def test_alone_equals_in_a_batch(make):
    net = make().eval()
    x = torch.nn.functional.interpolate(pictures(5), net.input_hw)
    with torch.no_grad():
        whole = net(x)
        alone = torch.cat([net(x[k : k + 1]).raw for k in range(5)])
    torch.testing.assert_close(whole.raw, alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(whole.unit.norm(dim=1), torch.ones(5))


def test_the_miniature_is_small():
    assert parameters(tiny()) <= 300_000


def test_a_module_by_functions():
    """Table 2, row 4a in small: four branches side by side, in the order 1x1, 3x3, 5x5, pool; the root of the mean
    of squares over 3 x 3."""
    net = FaceInception(input_hw=(32, 32), width=0.1).eval()
    module, generator = net.inception4a, torch.Generator().manual_seed(3)
    for value in module.parameters():
        value.data = torch.randn(value.shape, generator=generator) * 0.3
    state = module.state_dict()
    x = torch.rand(2, module.one[0].in_channels, 5, 5, generator=generator)

    def layer(name, x, **more):
        return conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], **more).relu()

    want = torch.cat(
        [
            layer("one.0", x),
            layer("three.1.0", layer("three.0.0", x), padding=1),
            layer("five.1.0", layer("five.0.0", x), padding=2),
            layer("project.0", avg_pool2d(x**2, 3, 1, 1).sqrt()),
        ],
        dim=1,
    )
    with torch.no_grad():
        torch.testing.assert_close(module(x), want, rtol=1e-4, atol=1e-5)
        assert module(x).shape[1] == module.channels


def test_a_strided_module_hands_the_largest_values_on():
    module = FaceInception(input_hw=(32, 32), width=0.1).inception3c.eval()
    x = torch.randn(1, module.three[0][0].in_channels, 6, 6, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        out = module(x)
    assert module.one is None
    assert module.project is None
    assert out.shape[2:] == (3, 3)
    torch.testing.assert_close(out[:, -x.shape[1] :], max_pool2d(x, 3, 2, 1))


def norm(x):
    square = torch.nn.functional.pad(x**2, (0, 0, 0, 0, 2, 2))
    total = sum(square[:, k : k + x.shape[1]] for k in range(5))
    return x / (1 + 1e-4 * total / 5) ** 0.75


def test_maxout_and_the_order_of_nn1():
    """Table 1 written out once more: norm after the first pooling and after conv2, maxout of neighbors."""
    net, generator = ZeilerFergus(input_hw=(32, 32), units=6, dim=5).eval(), torch.Generator().manual_seed(4)
    for value in net.parameters():
        value.data += torch.randn(value.shape, generator=generator) * 0.02
    state, x = net.state_dict(), 20 * torch.randn(2, 3, 32, 32, generator=generator)

    def conv(name, x, **more):
        return conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], **more).relu()

    def largest(name, x):
        out = linear(x, state[f"{name}.weight"], state[f"{name}.bias"])
        return torch.maximum(out[:, ::2], out[:, 1::2])

    y = norm(max_pool2d(conv("conv1", x, stride=2, padding=3), 3, 2, 1))
    y = max_pool2d(norm(conv("conv2", conv("conv2a", y), padding=1)), 3, 2, 1)
    y = max_pool2d(conv("conv3", conv("conv3a", y), padding=1), 3, 2, 1)
    for k in (4, 5, 6):
        y = conv(f"conv{k}", conv(f"conv{k}a", y), padding=1)
    y = largest("fc2", largest("fc1", max_pool2d(y, 3, 2, 1).flatten(1)))
    with torch.no_grad():
        torch.testing.assert_close(net(x).raw, linear(y, state["fc7.weight"], state["fc7.bias"]), rtol=1e-3, atol=1e-3)


def test_response_norms_stand_where_the_table_says():
    """Table 2: "max pool + norm" before inception (2), "norm + max pool" behind it; with batch norms there are none."""
    net, x = FaceInception(input_hw=(32, 32), width=0.1).eval(), 60 * pictures(1, 32)
    came = {}
    for name in ("inception2", "inception3a"):
        net.get_submodule(name).register_forward_pre_hook(lambda _, given, name=name: came.update({name: given[0]}))
    with torch.no_grad():
        maps = net(x, maps=("conv1", "inception2")).maps
    torch.testing.assert_close(came["inception2"], norm(max_pool2d(maps["conv1"], 3, 2, 1)))
    torch.testing.assert_close(came["inception3a"], max_pool2d(norm(maps["inception2"]), 3, 2, 1))
    for name, before in (("inception2", "conv1"), ("inception3a", "inception2")):
        assert not torch.allclose(came[name], max_pool2d(maps[before], 3, 2, 1), rtol=1e-4)
    assert not tiny().respond


def test_slopes_are_finite_where_a_map_is_zero():
    """The root of the mean of squares has none at 0."""
    net = FaceInception(input_hw=(32, 32), width=0.1)
    x = torch.zeros(1, 3, 32, 32, requires_grad=True)
    net(x).raw.sum().backward()
    assert torch.isfinite(x.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


def test_a_step_down_the_slope_costs_less_and_every_layer_takes_part():
    net, loss = FaceInception(input_hw=(32, 32), width=0.1, norm="batch").train(), catalogue.load("triplet")
    x, who = pictures(6, 32, seed=5), torch.arange(3).repeat_interleave(2)
    before = loss(net(x).raw, who, miner="batch_all").loss
    before.backward()
    with torch.no_grad():
        for name, value in net.named_parameters():
            assert value.grad.abs().sum() > 0 or name == "fc.bias", name
            value -= 0.1 * value.grad
        assert loss(net(x).raw, who, miner="batch_all").loss < before


def test_refusals():
    with pytest.raises(InputError, match=r"expected \(N, 3, 56, 56\)"):
        tiny()(torch.rand(2, 3, 96, 96))
    with pytest.raises(InputError, match="inception9"):
        tiny()(pictures(), maps=("inception9",))
    with pytest.raises(InputError, match="pool9"):
        ZeilerFergus(input_hw=(32, 32), units=4)(pictures(1, 32), maps=("pool9",))
    with pytest.raises(InputError, match="expected some of 3a, 3b"):
        FaceInception(without_5x5=("6a",))
    with pytest.raises(InputError, match="response or batch"):
        FaceInception(norm="layer")
    with pytest.raises(InputError, match="expected at least 1, got 0"):
        ZeilerFergus(units=0)

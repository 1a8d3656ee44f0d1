"""Export: ONNX Runtime gives what torch gives, the folder is an embedder, what differs or is broken is not written."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import vultus
from vultus import catalogue
from vultus.errors import InputError, StoreError, WeightsError
from vultus.io.tensors import unpack
from vultus.ops.warp import template
from vultus.testing.pictures import drawn_crops
from vultus.train import export as exports
from vultus.zoo.convert import graph

SIZE = (32, 32)


def network(seed: int = 0) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    net = catalogue.load("iresnet.10", widths=[4, 4, 8, 8], dim=16, input_hw=SIZE, generator=generator)
    with torch.no_grad():  # statistics and slopes that would show if they were left out
        for part in net.modules():
            if isinstance(part, (nn.BatchNorm2d, nn.BatchNorm1d)):
                part.running_mean.uniform_(-0.2, 0.2, generator=generator)
                part.running_var.uniform_(0.5, 2.0, generator=generator)
                part.bias.uniform_(-0.5, 0.5, generator=generator)
            if isinstance(part, nn.PReLU):
                part.weight.uniform_(-0.5, 0.9, generator=generator)
    return net


@pytest.fixture(scope="module")
def net():
    return network()


@pytest.fixture(scope="module")
def made(net, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "my run"
    return exports.export(net, folder, exports.card_of(net, folder.name, method="iresnet.10"), about={"steps": 3})


def test_the_embedder_gives_what_torch_gives(net, made):
    crops = drawn_crops(np.random.default_rng(1), n=5, size_hw=SIZE)
    mine = vultus.load(made.folder, threads=1)
    want = catalogue.load("differentiable", backbone=network(), card=made.card)
    assert mine.space == want.space == made.space == f"my-run@{made.card.sha256[:12]}"
    assert (mine.crop, mine.dim) == (want.crop, 16)
    np.testing.assert_allclose(mine.embed(crops).vec, want.embed(crops).vec, atol=1e-5)
    np.testing.assert_allclose(mine.embed(crops).norm, want.embed(crops).norm, rtol=1e-4)
    assert 0 < made.parity < 1e-5


def test_the_graph_is_one_that_onnx_runtime_is_quick_with(made):
    model = graph.load(made.folder / "model.onnx")
    kinds = {node.op_type for node in model.graph.node}
    assert {"Conv", "Relu"} <= kinds
    assert "PRelu" not in kinds  # it would leave the blocked layout of the convolutions
    (given,) = model.graph.input
    free, *fixed = given.type.tensor_type.shape.dim
    assert (free.dim_param, [one.dim_value for one in fixed]) == ("N", [3, *SIZE])


def test_the_backbone_is_left_as_it_is(net, made):
    assert net.training
    for name, tensor in network().state_dict().items():
        assert torch.equal(tensor, net.state_dict()[name]), name


def test_the_weights_can_be_read_again(net, made):
    arrays, _ = unpack((made.folder / "backbone.safetensors").read_bytes())
    twin = network(1)
    twin.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in arrays.items()})
    x = torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    assert torch.equal(twin.eval()(x).raw, network().eval()(x).raw)


def test_the_same_weights_give_the_same_files_and_space(made, tmp_path):
    again = exports.export(network(), tmp_path, made.card)
    for name in ("model.onnx", "backbone.safetensors"):
        assert (tmp_path / name).read_bytes() == (made.folder / name).read_bytes()
    assert again.space == made.space
    renamed = exports.export(network(), tmp_path, exports.card_of(network(), "other", method="another"))
    assert renamed.space == made.space.replace("my-run", "other")
    assert exports.export(network(1), tmp_path, made.card).space != made.space


@pytest.mark.parametrize(("size", "name"), [((56, 56), "arcface112"), ((112, 96), "sphereface112x96")])
def test_the_template_is_that_of_the_proportion(size, name):
    assert exports.template_of(size) == name
    template(name, size)  # an aligner can cut it
    with pytest.raises(InputError, match="expected square crops"):
        exports.template_of((96, 112))


class Odd(nn.Module):
    """Does what a traced graph does not hold: it looks at the batch."""

    input_hw, dim = SIZE, 4

    def __init__(self) -> None:
        super().__init__()
        self.net = network()

    def forward(self, x: torch.Tensor) -> object:
        out = self.net(x)
        if len(x) > 2:
            return type(out)(out.raw.flip(1), out.unit, out.norm)
        return out


class Untraceable(Odd):
    def forward(self, x: torch.Tensor) -> object:
        raise RuntimeError("this cannot be\ntraced")


def test_what_the_graph_does_not_hold_is_refused_and_nothing_is_written(tmp_path):
    odd = Odd()
    with pytest.raises(WeightsError, match="nothing was written"):
        exports.export(odd, tmp_path / "run", exports.card_of(odd, "odd", method="odd"))
    with pytest.raises(InputError, match=r"Untraceable: expected a network that can be traced, got: this cannot be$"):
        exports.onnx_bytes(Untraceable())
    assert not (tmp_path / "run").exists()


def test_broken_weights_and_places_are_said_in_words(net, tmp_path):
    card = exports.card_of(net, "run", method="iresnet.10")
    broken = network()
    with torch.no_grad():
        broken.fc.weight[0, 0] = torch.nan
    with pytest.raises(WeightsError, match=r"NaN or infinity in fc\.weight"):
        exports.export(broken, tmp_path / "run", card)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="choose another"):
        exports.export(net, tmp_path / "file", card)
    with pytest.raises(InputError, match=r"crops: expected uint8 \(N, 32, 32, 3\)"):
        exports.export(net, tmp_path / "run", card, crops=np.zeros((1, 16, 16, 3), np.uint8))
    assert not (tmp_path / "run").exists()

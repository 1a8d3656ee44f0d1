"""What holds for every backbone of the catalogue, shown on its narrow twin: batch, gradient, ONNX."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.recognize.backbones.macs import parameters
from vultus import catalogue
from vultus.train import export

TWINS = sorted(name for name, row in catalogue.rows().items() if row.room == "recognize.backbones" and ".tiny" in name)


def test_every_family_has_a_twin():
    rows = {name: row.file for name, row in catalogue.rows().items() if row.room == "recognize.backbones"}
    del rows["located"]  # takes any of the others
    assert {rows[name] for name in TWINS} == set(rows.values())


@pytest.fixture(params=TWINS)
def net(request):
    return catalogue.load(request.param).eval()


def crops(net, n=4, seed=1):
    return torch.randn(n, net.in_chans, *net.input_hw, generator=torch.Generator().manual_seed(seed))


def test_is_small(net):
    assert parameters(net) <= 300_000


def test_alone_equals_in_a_batch(net):
    x = crops(net)
    with torch.no_grad():
        whole, alone = net(x), torch.cat([net(x[k : k + 1]).unit for k in range(len(x))])
    torch.testing.assert_close(whole.unit, alone, rtol=0, atol=1e-5)
    assert whole.raw.shape == (4, net.dim)
    assert whole.grid.shape[0] == 4


def test_gradient_reaches_every_number_that_learns(net):
    net.train()
    for part in net.modules():
        if isinstance(part, nn.Dropout):
            part.eval()
    goal = torch.randn(4, net.dim, generator=torch.Generator().manual_seed(2))
    (net(crops(net)).unit * goal).sum().backward()
    for name, number in net.named_parameters():
        assert not number.requires_grad or number.grad is not None, name
        assert not number.requires_grad or number.ndim < 2 or number.grad.abs().max() > 0, name


def test_onnx_gives_the_same_vectors(net):
    for part in net.modules():  # numbers of the size they have after training
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_mean, -0.2, 0.2, generator=torch.Generator().manual_seed(3))
            nn.init.uniform_(part.running_var, 0.5, 1.5, generator=torch.Generator().manual_seed(4))
    assert export.parity(net, export.onnx_bytes(net), export.card_of(net, "twin", method="twin")) < 1e-4

"""MobileFaceNet for crops of 112 x 96, PyTorch checkpoint -> ONNX of any batch.

Chen et al. 2018, "MobileFaceNets: efficient CNNs for accurate real-time face verification on mobile devices",
arXiv:1804.07573; weights of Xiaoccer/MobileFaceNet_Pytorch, trained on CASIA-WebFace. The global depthwise convolution
sees 7 x 6, and normalization follows every layer, the last included.

Input: (N, 3, 112, 96) RGB, (x - 127.5) / 128. Output: embedding (N, 128), not normalized.
"""

from __future__ import annotations

from pathlib import Path

from vultus.zoo.cards import Card
from vultus.zoo.convert._build import Net
from vultus.zoo.convert.torch_zip import read_state

__all__ = ["convert"]

_GROUPS = ((5, 2), (1, 2), (6, 1), (1, 2), (2, 1))  # (blocks, stride of the first)


def convert(src: Path, card: Card) -> bytes:
    """Read the checkpoint and write the graph; InputError when it is of another architecture."""
    net = Net(read_state(src), card.id)
    x = _unit(net, "input", "conv1", stride=2)
    x = _unit(net, x, "dw_conv1")
    strides = [stride if first == 0 else 1 for count, stride in _GROUPS for first in range(count)]
    for k, stride in enumerate(strides):
        x = _bottleneck(net, x, f"blocks.{k}.conv", stride)
    x = _unit(net, x, "conv2")
    x = net.conv(x, "linear7.conv", norm="linear7.bn", pad=0)
    x = net.conv(x, "linear1.conv", norm="linear1.bn")
    net.node("Flatten", [x], to="embedding", axis=1)
    return net.finish({"input": ("batch", 3, 112, 96)}, {"embedding": ("batch", 128)})


def _unit(net: Net, x: str, key: str, *, stride: int = 1) -> str:
    return net.prelu(net.conv(x, f"{key}.conv", norm=f"{key}.bn", stride=stride), f"{key}.prelu")


def _bottleneck(net: Net, x: str, key: str, stride: int) -> str:
    """Widen, depthwise, narrow without a bend; added to x where sizes agree."""
    wide = net.prelu(net.conv(x, f"{key}.0", norm=f"{key}.1"), f"{key}.2")
    wide = net.prelu(net.conv(wide, f"{key}.3", norm=f"{key}.4", stride=stride), f"{key}.5")
    out = net.conv(wide, f"{key}.6", norm=f"{key}.7")
    same = net.tensor(f"{key}.0.weight").shape[1] == len(net.tensor(f"{key}.6.weight"))
    return net.node("Add", [x, out]) if stride == 1 and same else out

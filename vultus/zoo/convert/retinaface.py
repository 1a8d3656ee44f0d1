"""RetinaFace with a MobileNet of width 0.25, PyTorch checkpoint -> ONNX of any batch and size.

Deng et al. 2020, "RetinaFace: single-shot multi-level face localisation in the wild", arXiv:1905.00641, in the reduced
form of biubug6/Pytorch_Retinaface (MIT): depthwise-separable trunk, three maps of strides 8, 16 and 32, a top-down
pyramid of 64 channels, one context module per map, two square anchors per place.

Input: (N, 3, H, W) BGR, mean (104, 117, 123) taken off. Outputs, one row per anchor, stride 8 first, in reading order:
    loc (N, A, 4)    box offsets, variances 0.1 and 0.2
    conf (N, A, 2)   probabilities of background and face
    landm (N, A, 10) offsets of the five points
"""

from __future__ import annotations

from pathlib import Path

from vultus.zoo.cards import Card
from vultus.zoo.convert._build import Net
from vultus.zoo.convert.torch_zip import read_state

__all__ = ["convert"]

_SLOPE = 0.1
_STAGES = ((1, 1, 2, 1, 2, 1), (2, 1, 1, 1, 1, 1), (2, 1))  # strides of the separable blocks; the first is plain


def convert(src: Path, card: Card) -> bytes:
    """Read the checkpoint and write the graph; InputError when it is of another architecture."""
    net = Net(read_state(src), card.id)
    p3, p4, p5 = _pyramid(net, *_trunk(net))
    maps = [_context(net, x, f"ssh{k}") for k, x in enumerate((p3, p4, p5), 1)]
    net.node("Concat", _heads(net, maps, "BboxHead", 4), to="loc", axis=1)
    logits = net.node("Concat", _heads(net, maps, "ClassHead", 2), axis=1)
    net.node("Softmax", [logits], to="conf", axis=-1)
    net.node("Concat", _heads(net, maps, "LandmarkHead", 10), to="landm", axis=1)
    shapes = {"loc": ("batch", "anchors", 4), "conf": ("batch", "anchors", 2), "landm": ("batch", "anchors", 10)}
    return net.finish({"input": ("batch", 3, "height", "width")}, shapes)


def _trunk(net: Net) -> list[str]:
    """The maps of strides 8, 16 and 32."""
    x, maps = "input", []
    for stage, strides in enumerate(_STAGES, 1):
        for block, stride in enumerate(strides):
            key = f"body.stage{stage}.{block}"
            if (stage, block) == (1, 0):
                x = _unit(net, x, key, stride=2)
            else:
                x = _unit(net, x, key, stride=stride)
                x = net.leaky(net.conv(x, f"{key}.3", norm=f"{key}.4"), _SLOPE)
        maps.append(x)
    return maps


def _unit(net: Net, x: str, key: str, *, stride: int = 1, bend: bool = True) -> str:
    """Convolution, normalization and (unless it ends a context branch) the bend."""
    weight = net.conv(x, f"{key}.0", norm=f"{key}.1", stride=stride)
    return net.leaky(weight, _SLOPE) if bend else weight


def _pyramid(net: Net, c3: str, c4: str, c5: str) -> tuple[str, str, str]:
    p3, p4, p5 = (_unit(net, x, f"fpn.output{k}") for k, x in enumerate((c3, c4, c5), 1))
    p4 = _unit(net, net.node("Add", [p4, net.resize_like(p5, p4, "nearest")]), "fpn.merge2")
    p3 = _unit(net, net.node("Add", [p3, net.resize_like(p4, p3, "nearest")]), "fpn.merge1")
    return p3, p4, p5


def _context(net: Net, x: str, key: str) -> str:
    """Three branches that see 3, 5 and 7 pixels, made of 3x3 kernels."""
    small = _unit(net, x, f"{key}.conv3X3", bend=False)
    shared = _unit(net, x, f"{key}.conv5X5_1")
    middle = _unit(net, shared, f"{key}.conv5X5_2", bend=False)
    large = _unit(net, _unit(net, shared, f"{key}.conv7X7_2"), f"{key}.conv7x7_3", bend=False)
    return net.node("Relu", [net.node("Concat", [small, middle, large], axis=1)])


def _heads(net: Net, maps: list[str], key: str, width: int) -> list[str]:
    return [net.rows(net.conv(x, f"{key}.{k}.conv1x1"), width) for k, x in enumerate(maps)]

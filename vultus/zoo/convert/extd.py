"""EXTD, the extremely tiny face detector, PyTorch checkpoint -> ONNX of any batch and size.

Yoo, Han, Yun 2019, "EXTD: extremely tiny face detector via iterative filter reuse", arXiv:1906.06579; weights of
clovaai/EXTD_Pytorch (MIT). One small network is applied again and again: its first pass ends at stride 4, every further
pass of the same weights halves the map, six maps in all. The top-down path and the heads have weights of their own.

Input: (N, 3, H, W) RGB, mean (123, 117, 104) taken off. Outputs, one row per place, stride 4 first, in reading order:
    loc (N, A, 4)    box offsets, variances 0.1 and 0.2
    conf (N, A, 2)   probabilities of background and face
The finest map has three background channels, of which the largest counts (max-out).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vultus.errors import InputError
from vultus.zoo.cards import Card
from vultus.zoo.convert._build import Net
from vultus.zoo.convert.torch_zip import read_state

__all__ = ["convert"]

_MAPS = 6
_REUSED_FROM = 2  # the stem and the first block run once


def convert(src: Path, card: Card) -> bytes:
    """Read the checkpoint of width 32, 48 or 64 and write the graph; InputError when it is another network."""
    net = Net(read_state(src), card.id)
    count = 0
    while net.has(f"base.{count}.0.weight") or net.has(f"base.{count}.conv.0.weight"):
        count += 1
    if count <= _REUSED_FROM:
        raise InputError(f"{src.name}: expected the blocks base.0 to base.5 or more, got {count}")
    maps = _top_down(net, _bottom_up(net, count))
    loc = [net.rows(net.conv(x, f"loc.{k}"), 4) for k, x in enumerate(maps)]
    conf = [net.rows(_background_and_face(net, x, k), 2) for k, x in enumerate(maps)]
    net.node("Concat", loc, to="loc", axis=1)
    net.node("Softmax", [net.node("Concat", conf, axis=1)], to="conf", axis=-1)
    shapes = {"loc": ("batch", "anchors", 4), "conf": ("batch", "anchors", 2)}
    return net.finish({"input": ("batch", 3, "height", "width")}, shapes)


def _bottom_up(net: Net, count: int) -> list[str]:
    """The maps of strides 4 to 128."""
    x = net.prelu(net.conv("input", "base.0.0", norm="base.0.1", stride=2), "base.0.2")
    x, maps = _block(net, x, "base.1.conv", 1), []
    for _ in range(_MAPS):
        for k in range(_REUSED_FROM, count):
            x = _block(net, x, f"base.{k}.conv", 2 if k == count - 1 else 1)
        maps.append(x)
    return maps


def _block(net: Net, x: str, key: str, stride: int) -> str:
    """Inverted residual: widen (unless the first kernel is depthwise), depthwise, narrow; added to x where it fits."""
    wide, at = x, 0
    if net.tensor(f"{key}.0.weight").shape[2] == 1:
        wide, at = net.prelu(net.conv(x, f"{key}.0", norm=f"{key}.1"), f"{key}.2"), 3
    wide = net.prelu(net.conv(wide, f"{key}.{at}", norm=f"{key}.{at + 1}", stride=stride), f"{key}.{at + 2}")
    last = f"{key}.{at + 3}"
    out = net.conv(wide, last, norm=f"{key}.{at + 4}")
    if net.has(f"{key}.{at + 5}.weight"):
        out = net.prelu(out, f"{key}.{at + 5}")
    entering = net.tensor(f"{key}.0.weight").shape[1 if at else 0]
    return net.node("Add", [x, out]) if stride == 1 and entering == len(net.tensor(f"{last}.weight")) else out


def _top_down(net: Net, maps: list[str]) -> list[str]:
    """Each map plus the brought-up coarser one, finest first."""
    x = maps[-1]
    merged = [x]
    for k, side in enumerate(reversed(maps[:-1])):
        up = net.resize_like(x, side, "linear")
        up = net.conv(net.conv(up, f"upfeat.{k}.0"), f"upfeat.{k}.1", norm=f"upfeat.{k}.2")
        x = net.node("Add", [net.node("Relu", [up]), side])
        merged.append(x)
    return merged[::-1]


def _background_and_face(net: Net, x: str, k: int) -> str:
    logits = net.conv(x, f"conf.{k}")
    if k:
        return logits
    first, third, last = (net.constant(np.array([at], np.int64)) for at in (0, 3, 4))
    axis = net.constant(np.array([1], np.int64))
    background = net.node("Slice", [logits, first, third, axis])
    face = net.node("Slice", [logits, third, last, axis])
    return net.node("Concat", [net.node("ReduceMax", [background], axes=[1], keepdims=1), face], axis=1)

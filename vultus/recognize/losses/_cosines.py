"""What every loss over class centers does with its cosines, labels and norms before and after its own formula."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from vultus.errors import InputError

__all__ = ["EDGE", "cross_entropy", "lengths", "opened", "own", "placed", "positive"]

EDGE = 1e-7  # cosines are kept this far from -1 and 1, where the angle has no slope
_SLACK = 0.02  # what half precision may add to a cosine of 1


def opened(cos: Tensor, labels: Tensor, *, edge: float = EDGE) -> Tensor:
    """Cosines in float32 (float64 for float64), inside (-1, 1).

    Args:
        cos: (N, C) cosines to the centers that are here.
        labels: (N,) own center, -1 where it is not here.
        edge: how far from -1 and 1.

    Raises:
        InputError: if shapes disagree, a cosine is NaN or none, or a label names no center.
    """
    if cos.ndim != 2 or labels.shape != cos.shape[:1]:
        raise InputError(f"cos, labels: expected (N, C) and (N,), got {tuple(cos.shape)} and {tuple(labels.shape)}")
    if 0 in cos.shape:
        raise InputError(f"cos: expected at least one row and one center, got {tuple(cos.shape)}")
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise InputError(f"labels: expected whole numbers, got {labels.dtype}")
    low, high = torch.stack(torch.aminmax(cos.detach())).tolist()
    if not (low >= -1 - _SLACK and high <= 1 + _SLACK):  # NaN fails too
        raise InputError(
            f"cos: expected cosines from -1 to 1, got {low:g} to {high:g}: check the network and its input"
        )
    first, last = torch.stack(torch.aminmax(labels)).tolist()
    if first < -1 or last >= cos.shape[1]:
        raise InputError(
            f"labels: expected -1 (not here) or 0 to {cos.shape[1] - 1}, got {first} to {last}: "
            "the number of classes and the labels disagree"
        )
    wide = cos if cos.dtype == torch.float64 else cos.float()
    return wide.clamp(-1 + edge, 1 - edge)


def lengths(norm: Tensor | None, cos: Tensor) -> Tensor:
    """(N,) norms in the precision of the opened cosines.

    Args:
        norm: (N,) or (N, 1) lengths of the vectors before they were normalized.
        cos: (N, C) opened cosines.

    Raises:
        InputError: if they are missing, of another shape, negative or not finite.
    """
    if norm is None:
        raise InputError("norm: this loss needs the lengths of the vectors before they were normalized; got none")
    if norm.shape not in (cos.shape[:1], (cos.shape[0], 1)):
        raise InputError(f"norm: expected ({cos.shape[0]},) or ({cos.shape[0]}, 1), got {tuple(norm.shape)}")
    low, high = torch.stack(torch.aminmax(norm.detach())).tolist()
    if not (low >= 0 and high < math.inf):
        raise InputError(f"norm: expected finite lengths from 0, got {low:g} to {high:g}")
    return norm.reshape(-1).to(cos.dtype)


def own(values: Tensor, labels: Tensor) -> Tensor:
    """(N, C) -> (N,) the value at the own center; of column 0 where that is not here, see `placed`."""
    return values.gather(1, labels.long().clamp(min=0)[:, None])[:, 0]


def placed(values: Tensor, labels: Tensor, at_own: Tensor) -> Tensor:
    """`values` with the (N,) `at_own` at the own center; a row whose own center is not here stays as it is."""
    spot = labels.long().clamp(min=0)[:, None]
    new = torch.where(labels >= 0, at_own, own(values, labels))
    return values.scatter(1, spot, new[:, None])


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross entropy over the rows whose own center is here; 0 where there is none."""
    total = functional.cross_entropy(logits, labels.long(), ignore_index=-1, reduction="sum")
    return total / (labels >= 0).sum().clamp(min=1)


def positive(**settings: float) -> None:
    """Refuse a setting that is not a finite number above 0, by its name."""
    for name, value in settings.items():
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"{name}: expected a number above 0, got {value}")

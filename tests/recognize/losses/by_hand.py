"""A second derivation of losses: two rows and three classes in plain floats, slopes by differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch

COS = ((0.8, 0.1, -0.3), (0.2, 0.5, 0.4))
LABELS = (0, 2)

Rows = Sequence[Sequence[float]]


def cross_entropy(logits: Rows, labels: Sequence[int] = LABELS) -> float:
    """Mean of -log softmax at the label."""
    losses = [math.log(sum(math.exp(v) for v in row)) - row[y] for row, y in zip(logits, labels, strict=True)]
    return sum(losses) / len(losses)


def with_own(own: Callable[[float], float], other: Callable[[float], float], cos: Rows = COS) -> list[list[float]]:
    """Logits: `own` of the cosine at the label, `other` of the rest."""
    return [[(own if k == y else other)(c) for k, c in enumerate(row)] for row, y in zip(cos, LABELS, strict=True)]


def slopes(value: Callable[[np.ndarray], float], at: Rows, step: float = 1e-3) -> np.ndarray:
    """Gradient by sixth-order central differences: about ten digits for smooth functions of order one."""
    at, found = np.array(at, float), np.zeros(np.shape(at))
    for where in np.ndindex(at.shape):
        moved = np.zeros_like(at)
        moved[where] = step
        for k, weight in ((1, 45), (2, -9), (3, 1)):
            found[where] += weight * (value(at + k * moved) - value(at - k * moved)) / (60 * step)
    return found


def value_and_gradient(loss, cos: Rows = COS, labels: Sequence[int] = LABELS, norm=None):
    """What the code says in float64: logits, loss, gradient to the cosines."""
    at, own = torch.tensor(cos, dtype=torch.float64, requires_grad=True), torch.tensor(labels)
    logits = loss.logits(at, own, norm=norm)
    value = loss.reduce(logits, own)
    value.backward()
    return logits.detach().numpy(), value.item(), at.grad.numpy()

"""Identification and verification together: a loss over pairs beside the class loss, whose weight grows in training.

Paper: Yi, Lei, Liao and Li, "Learning Face Representation from Scratch", 2014, arXiv:1411.7923: softmax over people
plus a times a contrastive loss over the pairs of a batch, a from 3.2e-4 at the beginning to 6.4e-3 at the end.

Differs: the weight grows in a straight line; how it grows is not said. With several ranks, pairs are made of the
vectors of one rank. The published weights are for vectors of their natural length: what they weigh depends on it, as
squared distances grow with it. For unit vectors give weights of your own (`casia11` recipe: 0.05 to 1, twenty times).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from vultus import catalogue
from vultus.errors import InputError

__all__ = ["VerificationSignal"]


class VerificationSignal:
    """A hook: adds `verification`, the loss over the pairs of a batch times the weight of the step.

        fit(recognizer, feed, settings, hooks=[VerificationSignal(steps=settings.steps)])

    Args:
        steps: over which the weight grows; it stays at its end afterwards.
        start: weight of the first step.
        end: weight of the last step.
        loss: catalogue name of a loss over pairs.
        args: of that loss.
        whole: compare the mean of the last map in place of the vector: for networks that drop a part of the vector in
            training, such as Casia11, where only the class loss is to see it dropped.

    Raises:
        InputError: if a setting is out of range.
    """

    def __init__(
        self,
        steps: int,
        *,
        start: float = 3.2e-4,
        end: float = 6.4e-3,
        loss: str = "contrastive",
        args: Mapping[str, Any] | None = None,
        whole: bool = False,
    ) -> None:
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise InputError(f"steps: expected a whole number of at least 1, got {steps!r}")
        for name, value in (("start", start), ("end", end)):
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"{name}: expected a weight from 0, got {value}")
        self.steps, self.start, self.end, self.whole = steps, start, end, whole
        self.loss, self.args = loss, dict(args or {})
        self._pairs = catalogue.load(loss, **self.args)

    def __repr__(self) -> str:
        return (
            f"VerificationSignal(steps={self.steps}, start={self.start}, end={self.end}, loss={self.loss!r}, "
            f"args={self.args}, whole={self.whole})"
        )

    def weight(self, step: int) -> float:
        """Weight of a step, counted from 0."""
        share = min(step / max(self.steps - 1, 1), 1.0)
        return self.start + (self.end - self.start) * share

    def extra_loss(self, batch: Mapping[str, Tensor], out: Any, step: int, trainable: Any) -> dict[str, Tensor]:
        """The weighted loss over the pairs of a batch, by its name.

        Args:
            batch: with "label" (N,).
            out: what the backbone says of it: `raw` (N, D), and `grid` (N, D, h, w) for `whole`.
            step: from 0.
            trainable: not used.

        Raises:
            InputError: if `whole` is wanted of a network that has no last map.
        """
        vectors = out.raw
        if self.whole:
            if out.grid is None:
                raise InputError("whole: expected a network with a last map, got one without `grid`")
            vectors = out.grid.mean((2, 3))
        found = self._pairs(vectors.float(), batch["label"])
        return {"verification": self.weight(step) * found.loss}

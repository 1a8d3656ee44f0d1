"""The symmetry penalty of SymFace as a hook of training: the two halves of a frontal face are to give one vector.

Paper: Prakash et al., "SymFace: Additional Facial Symmetry Loss for Deep Face Recognition", arXiv:2409.11816. The split
and the penalty are the catalogue's `symface`; here is what a loop needs: which pictures of a batch are frontal, and
their halves sent through the network.

Differs: nothing known beyond `symface`; no code was released.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from vultus import catalogue
from vultus.errors import InputError
from vultus.ops.points import frontness

__all__ = ["SymmetryPenalty"]


class SymmetryPenalty:
    """A hook of training: adds the penalty to whatever loss there is.

    Each frontal picture goes through the network three times, whole and as two halves: with a share f of frontal
    pictures a step costs 1 + 2 f times as much. The halves are one batch more for batch statistics.

    Args:
        weight: of the penalty beside the other losses.
        threshold: frontness from which a face counts.
        everybody: every face counts fully, frontal or not: the control, which the paper's reasoning says is worse.
        mode: how halves are made whole; see `symface`.

    Raises:
        InputError: if a setting is out of range.
    """

    def __init__(
        self, weight: float = 1.0, threshold: float = 0.8, *, everybody: bool = False, mode: str = "mirror"
    ) -> None:
        self.loss = catalogue.load("symface", weight=weight, threshold=threshold, mode=mode)
        self.everybody = everybody
        self._seen: list[dict[str, float]] = []

    def __repr__(self) -> str:
        return f"SymmetryPenalty({self.loss!r}, everybody={self.everybody})"

    def extra_loss(self, batch: dict[str, Tensor], out: Any, step: int, trainable: Any) -> dict[str, Tensor]:
        """The penalty of one batch.

        Args:
            batch: `image` (N, 3, H, W) in [0, 1] and `points` (N, 5, 2) in pixels; a face whose points are not finite,
                whose eyes are one point or whose nose lies outside the picture counts for nothing.
            out: features of the whole pictures.
            step: not used.
            trainable: its `features` embed the halves.

        Returns:
            {"symface": scalar}; 0 where no face is frontal.

        Raises:
            InputError: if the batch has no points.
        """
        if "points" not in batch:
            raise InputError(
                "symface: expected five points with every picture, got a batch without; add them to the data"
            )
        images, points = batch["image"], batch["points"].detach()
        front = self._frontness(points, images.shape[3]).to(images.device)
        chosen = (front >= self.loss.threshold).nonzero()[:, 0]
        if not len(chosen):
            self._seen.append({"frontal": 0.0})
            return {"symface": out.raw.float().sum() * 0}
        left, right = self.loss.split(images[chosen], points.to(images.device)[chosen, 2, 0])
        halves = trainable.features(torch.cat((left, right))).raw
        found = self.loss(halves[: len(chosen)], halves[len(chosen) :], front[chosen])
        self._seen.append({"frontal": len(chosen) / len(images), "spread": found.parts["spread"]})
        return {"symface": found.loss}

    def on_eval(self, step: int, run: Any) -> dict[str, float]:
        """Since it was last asked: the mean share of frontal faces, and the mean variance of the vectors of halves.

        When the variance nears 0, the network gives everybody one vector.
        """
        seen, self._seen = self._seen, []
        found = {}
        for name in ("frontal", "spread"):
            values = [one[name] for one in seen if name in one]
            if values:
                found[f"symface.{name}"] = sum(values) / len(values)
        return found

    def state(self) -> dict[str, Tensor]:
        """For a checkpoint: what was seen since it was last asked, a row per batch, NaN where no face was frontal."""
        rows = [(one["frontal"], one.get("spread", float("nan"))) for one in self._seen]
        return {"seen": torch.tensor(rows, dtype=torch.float64).reshape(-1, 2)}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take what `state` gave."""
        self._seen = [
            {"frontal": share} if spread != spread else {"frontal": share, "spread": spread}
            for share, spread in state["seen"].tolist()
        ]

    def _frontness(self, points: Tensor, width: int) -> Tensor:
        """(N,) in [0, 1]; -1 where points say nothing."""
        five = points.cpu().double()
        known = five.isfinite().flatten(1).all(dim=1)
        nose = five[:, 2, 0]
        known &= (nose >= 0) & (nose <= width - 1) & (five[:, 0] != five[:, 1]).any(dim=1)
        front = torch.full((len(five),), -1.0)
        if bool(known.any()):
            front[known] = 1.0 if self.everybody else torch.from_numpy(frontness(five[known].numpy()))
        return front

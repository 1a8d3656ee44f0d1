"""Several embedders as one: a vector whose cosine is the weighted sum of theirs.

The concatenation of sqrt(w_i) u_i with weights that sum to 1 has unit length, and the cosine of two such vectors is the
sum of w_i cos_i: the weighted-sum rule of score fusion (Kittler et al. 1998, doi:10.1109/34.667881) without a second
comparison, so that search, calibration and galleries see one space like any other.

Differs: the rule's scores are normalized first (z-scores); dividing a weight by the spread of the part's non-mated
cosines does the same up to a constant, which moves the threshold and nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from vultus.errors import InputError
from vultus.ops.vectors import unit
from vultus.ops.warp import similarity_umeyama, template, warp
from vultus.recognize.embedders._network import Network, checked_crops
from vultus.types import F32, U8, CropSpec, Embedded

__all__ = ["Fused"]


class Fused:
    """Embed one wide crop with several networks; loads their weights at the first use.

    Args:
        parts: ids of the embedders' model cards.
        weights: one positive weight per part; they are scaled to sum to 1.
        flip: for each part, whether to add the vector of the mirrored crop; None means as the cards say.
        name: catalogue name; the first half of the space.
        crop: template and size (h, w) of the one crop from which the parts' crops are cut.
        threads: of one run; None means the house's default.
        batch: most crops in one run; larger ones leave the caches and gain nothing.
    """

    def __init__(
        self,
        parts: Sequence[str],
        weights: Sequence[float],
        *,
        flip: Sequence[bool] | None = None,
        name: str = "fused",
        crop: tuple[str, int, int] = ("wide208", 208, 208),
        threads: int | None = None,
        batch: int = 8,
    ) -> None:
        if len(parts) != len(weights) or len(parts) < 2 or not all(0 < w < np.inf for w in weights):
            raise InputError(f"weights: expected a positive one for each of two or more parts, got {list(weights)}")
        if flip is not None and len(flip) != len(parts):
            raise InputError(f"flip: expected True or False for each of {len(parts)} parts, got {list(flip)}")
        self.parts, self.weights, self.name = tuple(parts), tuple(weights), name
        self.flip = None if flip is None else tuple(flip)
        self.threads, self.batch = threads, batch
        self.crop = CropSpec(crop[0], (crop[1], crop[2]))
        mirrored = [None] * len(parts) if flip is None else list(flip)
        self._networks = [
            Network(part, flip=each, threads=threads, batch=batch) for part, each in zip(parts, mirrored, strict=True)
        ]

    def __repr__(self) -> str:
        crop = (self.crop.template, *self.crop.size_hw)
        return (
            f"Fused(parts={self.parts}, weights={self.weights}, flip={self.flip}, name={self.name!r}, crop={crop}, "
            f"threads={self.threads}, batch={self.batch})"
        )

    @property
    def space(self) -> str:
        """Catalogue name + "@" + first 12 hex of the sha256 over the parts' weights, shares, flips and the crop."""
        text = [
            f"{net.sha256} {share:.9f} {net.flip}" for net, share in zip(self._networks, self._shares(), strict=True)
        ]
        digest = hashlib.sha256("\n".join([*text, str(self.crop)]).encode()).hexdigest()
        return f"{self.name}@{digest[:12]}"

    @property
    def dim(self) -> int:
        """D, the sum of the parts'."""
        return sum(net.dim for net in self._networks)

    def embed(self, crops: U8) -> Embedded:
        """Embed crops.

        Args:
            crops: (N, h, w, 3) uint8 RGB crops of `crop`.

        Returns:
            (N, D) unit vectors.

        Raises:
            InputError: if the crops are not uint8 RGB of the size wanted.
            WeightsError: if the weights of a part are missing or damaged.
        """
        checked_crops(crops, self.crop)
        out = np.empty((len(crops), self.dim), np.float32)
        column = 0
        for net, share in zip(self._networks, self._shares(), strict=True):
            cut = self._cut(crops, net.crop)
            if len(crops):
                out[:, column : column + net.dim] = np.sqrt(share) * unit(net.vectors(cut))
            column += net.dim
        return Embedded(out, self.space)

    def _shares(self) -> list[float]:
        return [weight / sum(self.weights) for weight in self.weights]

    def _cut(self, crops: U8, spec: CropSpec) -> U8:
        """The part's own crops, cut from the wide ones: template onto template."""
        matrix: F32 = similarity_umeyama(
            template(self.crop.template, self.crop.size_hw), template(spec.template, spec.size_hw)
        )
        cut = np.empty((len(crops), *spec.size_hw, 3), np.uint8)
        for crop, out in zip(crops, cut, strict=True):
            out[:] = warp(crop, matrix, spec.size_hw)
        return cut

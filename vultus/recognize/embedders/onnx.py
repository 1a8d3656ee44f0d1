"""Face embedding by a network in ONNX: the card says what it wants, the vectors come out with unit length.

Paper: Deng et al., "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", CVPR 2019, arXiv:1801.07698,
whose input convention (112 x 112 crop by five points, embedding compared by cosine) most published networks keep. Rows
of this file also run MobileFaceNets (Chen et al. 2018, arXiv:1804.07573), SFace (Zhong et al. 2021, arXiv:2205.12010)
and dlib's ResNet-29 (King 2017, https://github.com/davisking/dlib-models).

Differs: dlib compares by Euclidean distance; here every space is compared by cosine. Shifting dlib's vectors to their
mean first, which keeps distances and spreads the cosines, was measured on people of no test set and lost.
"""

from __future__ import annotations

import os
import re

import numpy as np

from vultus.errors import InputError
from vultus.ops.vectors import unit
from vultus.recognize.embedders._network import Network
from vultus.types import U8, CropSpec, Embedded
from vultus.zoo.session import space

__all__ = ["OnnxEmbedder"]


class OnnxEmbedder:
    """Crops to unit vectors; loads its weights at the first use.

    Args:
        weights: id of a model card, the folder of a run that was exported (or its model.onnx or card.toml), or path to
            an .onnx file that keeps the ArcFace convention: 112 x 112 crops of the `arcface112` template, RGB,
            (pixel - 127.5) / 127.5.
        name: the first half of the space; None means the card's id, or `arcface.file` where there is no card.
        flip: add the vector of the mirrored crop, at twice the time; None means as the card says.
        threads: of one run; None means the house's default.
        batch: most crops in one run; larger ones leave the caches and gain nothing.
    """

    def __init__(
        self,
        weights: str | os.PathLike[str],
        *,
        name: str | None = None,
        flip: bool | None = None,
        threads: int | None = None,
        batch: int = 8,
    ) -> None:
        if name is not None and not re.fullmatch(r"[\w.\-]+", name):
            raise InputError(f"name: expected letters, digits, '.', '_' or '-', got {name!r}")
        self._network = Network(weights, flip=flip, threads=threads, batch=batch)
        self.name, self.flip = name or self._network.name, flip

    def __repr__(self) -> str:
        net = self._network
        return (
            f"OnnxEmbedder(weights={net.weights!r}, name={self.name!r}, flip={self.flip}, threads={net.threads}, "
            f"batch={net.batch})"
        )

    @property
    def space(self) -> str:
        """Catalogue name + "@" + first 12 hex of the weights' sha256; mirrored crops make another space."""
        net = self._network
        suffix = "" if net.flip == net.card.flip else "+flip" if net.flip else "-flip"
        return space(self.name + suffix, net.sha256)

    @property
    def dim(self) -> int:
        """D."""
        return self._network.dim

    @property
    def crop(self) -> CropSpec:
        """The crop it wants."""
        return self._network.crop

    def embed(self, crops: U8) -> Embedded:
        """Embed crops.

        Args:
            crops: (N, h, w, 3) uint8 RGB crops of `crop`.

        Returns:
            (N, D) unit vectors, and the length each had.

        Raises:
            InputError: if the crops are not uint8 RGB of the size wanted.
            WeightsError: if the weights are missing or damaged.
        """
        raw = self._network.vectors(crops)
        vec = unit(raw) if len(raw) else raw
        return Embedded(vec, self.space, np.linalg.norm(raw, axis=1))

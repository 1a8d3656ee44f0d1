"""FaceNet as a system: vectors of 128 numbers or 128 bytes, and "same person" by a threshold on squared distance.

Paper: Schroff et al., "FaceNet: A Unified Embedding for Face Recognition and Clustering", CVPR 2015, arXiv:1503.03832:
section 3 (unit vectors, compared by squared L2 distance), section 5.4 (128 bytes are enough).

Differs: which network gives the vectors is an argument. Scores still rise with likeness everywhere else in the house:
for unit vectors d2 = 2 - 2 cos, so a threshold of the paper is turned into one of cosines by `cosine_of`, and back by
`squared_distance_of`. The paper does not say how numbers become bytes; here each dimension has a scale of its own.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.contracts import Embedder
from vultus.errors import InputError, SpaceMismatch
from vultus.ops.vectors import ByteCode
from vultus.types import U8, CropSpec, Embedded

__all__ = ["FaceNet", "cosine_of", "squared_distance_of"]


class FaceNet:
    """An embedder whose vectors may be kept as one byte per number.

    Args:
        embedder: gives the vectors: a trained network of `recognize.backbones` in `differentiable`, or one in ONNX.
        code: how numbers become bytes, from `ByteCode.fit`; None is -1 to 1 in every dimension.
        stored: "float", or "bytes": `embed` gives what is left after a vector was kept as bytes.

    Raises:
        InputError: if `stored` is neither.
    """

    def __init__(self, embedder: Embedder, *, code: ByteCode | None = None, stored: str = "float") -> None:
        if stored not in ("float", "bytes"):
            raise InputError(f'stored: expected "float" or "bytes", got {stored!r}')
        self.embedder, self.code, self.stored = embedder, code, stored

    def __repr__(self) -> str:
        code = "None" if self.code is None else f"ByteCode({len(self.code.low)} numbers)"
        return f"FaceNet(embedder={self.embedder!r}, code={code}, stored={self.stored!r})"

    @property
    def space(self) -> str:
        """That of the embedder, for bytes too: they stand for the same vectors, rounded."""
        return self.embedder.space

    @property
    def dim(self) -> int:
        """D."""
        return self.embedder.dim

    @property
    def crop(self) -> CropSpec:
        """The crop it wants."""
        return self.embedder.crop

    def embed(self, crops: U8) -> Embedded:
        """Embed crops.

        Args:
            crops: (N, h, w, 3) uint8 RGB crops of `crop`.

        Returns:
            (N, D) unit vectors, and the length each had where the embedder says it.

        Raises:
            InputError: if the crops are not what the embedder wants, or the code is of another size.
        """
        found = self.embedder.embed(crops)
        if self.stored == "float":
            return found
        return Embedded(self._code().decode(self._code().encode(found.vec)), found.space, found.norm)

    def encode(self, crops: U8) -> U8:
        """(N, h, w, 3) uint8 RGB crops -> (N, D) bytes, to be kept."""
        return self._code().encode(self.embedder.embed(crops).vec)

    def decode(self, codes: U8) -> Embedded:
        """(N, D) bytes -> the unit vectors they stand for."""
        return Embedded(self._code().decode(codes), self.space)

    def squared_distances(self, a: Embedded, b: Embedded) -> NDArray[np.float64]:
        """(N,) squared L2 distance of row i of `a` and row i of `b`, from 0 (alike) to 4.

        Raises:
            SpaceMismatch: if one of them is of another space.
            InputError: if they are not as many.
        """
        for one in (a, b):
            if one.space != self.space:
                raise SpaceMismatch(one.space, self.space)
        if a.vec.shape != b.vec.shape:
            raise InputError(f"a, b: expected as many vectors in both, got {a.vec.shape} and {b.vec.shape}")
        return cast(NDArray[np.float64], ((a.vec.astype(np.float64) - b.vec) ** 2).sum(1))

    def verify(self, a: Embedded, b: Embedded, squared_distance: float) -> NDArray[np.bool_]:
        """(N,) whether row i of `a` and row i of `b` are one person: at most so far from each other, squared.

        Raises:
            SpaceMismatch, InputError: as `squared_distances`; or if the threshold is not from 0 to 4.
        """
        cosine_of(squared_distance)
        return np.asarray(self.squared_distances(a, b) <= squared_distance)

    def _code(self) -> ByteCode:
        return self.code or ByteCode.plain(self.dim)


def cosine_of(squared_distance: ArrayLike) -> NDArray[np.float64]:
    """Squared distances of unit vectors as cosines, 1 - d2 / 2: what `vultus` decides and clusters by.

    Raises:
        InputError: if one is not from 0 to 4.
    """
    return 1 - _within("squared_distance", squared_distance, 0, 4) / 2


def squared_distance_of(cosine: ArrayLike) -> NDArray[np.float64]:
    """Cosines of unit vectors as squared distances, 2 - 2 cos.

    Raises:
        InputError: if one is not from -1 to 1.
    """
    return 2 - 2 * _within("cosine", cosine, -1, 1)


def _within(name: str, values: ArrayLike, low: float, high: float) -> NDArray[np.float64]:
    found = np.asarray(values, np.float64)
    if not ((found >= low) & (found <= high)).all():
        raise InputError(f"{name}: expected numbers from {low} to {high}, got {found.min()} to {found.max()}")
    return found

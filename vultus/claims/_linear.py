"""A recognizer small enough to be trained inside a claim: a linear projection of aligned crops (Fisher 1936)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError
from vultus.ops import warp
from vultus.ops.vectors import unit
from vultus.types import F32, U8, CropSpec, Embedded

__all__ = ["LinearRecognizer", "RandomProjection", "aligned"]

F64 = NDArray[np.float64]

_SIZE = (42, 40)
_GOAL = np.array([[12, 16], [28, 16], [20, 24], [14, 31], [26, 31]], np.float64)  # five points in that crop
_RADIUS = 5


def aligned(images: Sequence[U8], points: Sequence[F32]) -> F32:
    """(N, 5040) crops by five points each, without their local mean and contrast."""
    rows = []
    for image, five in zip(images, points, strict=True):
        crop = warp.warp(image, warp.similarity_umeyama(five, _GOAL), _SIZE).astype(np.float64)
        detail = crop - _blurred(crop)
        rows.append((detail / np.sqrt(_blurred(detail * detail) + 25)).ravel())
    return np.array(rows, np.float32)


class LinearRecognizer:
    """Directions in which people differ most, in units of how their pictures do.

    Args:
        rows: (N, D) crops.
        people: (N,) whose; at least two pictures of each.
        directions: size of the vector.
        kept: principal components that are looked at.
        ridge: added to the scatter within people, as a share of its mean.
    """

    def __init__(
        self, rows: F32, people: NDArray[np.int64], *, directions: int = 60, kept: int = 300, ridge: float = 0.05
    ) -> None:
        names, index, pictures = np.unique(people, return_inverse=True, return_counts=True)
        if len(names) < 2 or pictures.min() < 2:
            raise InputError(f"people: expected two with two pictures each, got {len(names)} with {pictures.min()}")
        self.mean = rows.mean(0, dtype=np.float64)
        centered = rows - self.mean
        project = np.linalg.svd(centered, full_matrices=False)[2][:kept].T
        z = centered @ project
        centers = np.stack([np.bincount(index, column) for column in z.T], axis=1) / pictures[:, None]
        inside = z - centers[index]
        within = inside.T @ inside / len(z)
        within += ridge * np.trace(within) / len(within) * np.eye(len(within))
        root = np.linalg.inv(np.linalg.cholesky(within))
        between = root @ np.cov(centers.T) @ root.T
        vectors = np.linalg.eigh(between)[1][:, ::-1][:, :directions]
        self.project: F64 = project @ root.T @ vectors

    def embed(self, rows: F32) -> F32:
        """(N, D) crops -> (N, directions) unit vectors."""
        return unit((rows - self.mean) @ self.project)


class RandomProjection:
    """Stands where a trained recognizer stands, at tiny scale: vectors that are made of pixels and mean nothing.

    Args:
        name: of the network whose place it takes.
        seed: of the projection.
    """

    crop = CropSpec("box", (64, 64))
    dim = 32

    def __init__(self, name: str, seed: int) -> None:
        self.space = f"random_{name}@{seed:012x}"
        self._project = np.random.default_rng(seed).standard_normal((16 * 16 * 3, self.dim))

    def embed(self, crops: U8) -> Embedded:
        """(N, 64, 64, 3) uint8 RGB -> N unit vectors."""
        coarse = crops.reshape(-1, 16, 4, 16, 4, 3).mean((2, 4)).reshape(len(crops), -1)
        return Embedded(unit((coarse - 127.5) @ self._project), self.space)


def _blurred(image: F64) -> F64:
    """Mean over a square, edges repeated."""
    side = 2 * _RADIUS + 1
    for axis in (0, 1):
        wide = np.pad(image, [(_RADIUS + 1, _RADIUS) if a == axis else (0, 0) for a in range(3)], mode="edge")
        total = np.cumsum(wide, axis=axis)
        n = total.shape[axis]
        image = (np.take(total, range(side, n), axis) - np.take(total, range(n - side), axis)) / side
    return image

"""From a picture and matrices to the planes that a landmark network takes, and back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vultus.errors import InputError
from vultus.ops.warp import apply, invert, warp
from vultus.types import F32, U8
from vultus.zoo.cards import Card
from vultus.zoo.session import Session

__all__ = ["BATCH", "Colors", "back", "centered", "look", "planes", "seen"]

BATCH = 32


@dataclass(frozen=True)
class Colors:
    """What a network wants to see: (pixel - mean) / std, channels in `order`.

    Attributes:
        order: "RGB" or "BGR".
        mean: per channel, in the network's order.
        std: per channel, in the network's order.
    """

    order: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @classmethod
    def of(cls, card: Card | None, order: str) -> Colors:
        """Those of the card; for a file without one, 0..1 in `order`, as the method was published."""
        if card is None:
            return cls(order, (0.0, 0.0, 0.0), (255.0, 255.0, 255.0))
        return cls(card.channel_order, card.mean, card.std)


def seen(image: U8) -> U8:
    """The picture itself, when it is one: uint8 (H, W, 3) with at least one pixel; InputError otherwise."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        what = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise InputError(f"image: expected uint8 RGB of shape (H, W, 3), got {what}")
    if 0 in image.shape:
        raise InputError(f"image: expected at least one pixel, got shape {image.shape}")
    return image


def centered(center: F32, side: F32, roll_rad: F32, size: int) -> F32:
    """Matrices of square crops that are turned upright.

    Args:
        center: (N, 2) center of each crop in the picture, center coordinates.
        side: (N,) side in pixels of the picture.
        roll_rad: (N,) direction in the picture of the crop's horizontal axis, clockwise as seen.
        size: side of the crop in its own pixels.

    Returns:
        (N, 2, 3), picture to crop.
    """
    factor = size / side.astype(np.float64)
    cosine, sine = factor * np.cos(roll_rad), factor * np.sin(roll_rad)
    turn = np.stack([cosine, sine, -sine, cosine], axis=1).reshape(-1, 2, 2)
    shift = (size - 1) / 2 - np.einsum("nij,nj->ni", turn, center.astype(np.float64))
    return np.concatenate([turn, shift[:, :, None]], axis=2).astype(np.float32)


def planes(image: U8, matrices: F32, size: int, colors: Colors) -> Iterator[F32]:
    """Crops as (n, 3, size, size) float32, at most `BATCH` at a time."""
    channels = (0, 1, 2) if colors.order == "RGB" else (2, 1, 0)
    mean, std = (np.array(value, np.float32)[:, None, None] for value in (colors.mean, colors.std))
    for start in range(0, len(matrices), BATCH):
        part = matrices[start : start + BATCH]
        batch = np.empty((len(part), 3, size, size), np.float32)
        for plane, matrix in zip(batch, part, strict=True):
            plane[:] = warp(image, matrix, (size, size)).transpose(2, 0, 1)[list(channels)]
        batch -= mean
        batch /= std
        yield batch


def look(session: Session, image: U8, matrices: F32, size: int, order: str) -> list[F32]:
    """Outputs of a network of one input for every crop, joined over batches; `order` counts where there is no card."""
    if len(session.inputs) != 1:
        raise InputError(f"{session.path.name}: expected a network with one input, got {list(session.inputs)}")
    (name,) = session.inputs
    colors = Colors.of(session.card, order)
    batches = [session.run({name: batch}) for batch in planes(image, matrices, size, colors)]
    return [np.concatenate(parts) for parts in zip(*batches, strict=True)]


def back(matrices: F32, points: F32) -> F32:
    """Points of each crop, in edge coordinates, to the picture in center coordinates; (N, K, 2) both."""
    inverse = np.stack([invert(matrix) for matrix in matrices])
    return apply(inverse, points - 0.5)

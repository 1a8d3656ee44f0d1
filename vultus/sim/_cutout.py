"""People without their background: what scenes and clips are pasted together from, front to back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.ops.points import five_from_68
from vultus.ops.pose import R_to_euler, euler_to_R
from vultus.sim import _chart, _draw, _finish, _points, _scene, _shade, faces
from vultus.sim._people import Factors, Person
from vultus.types import F32, U8

__all__ = ["Canvas", "Cutout", "behind", "cutout", "linear", "shrunk", "to_picture", "turned"]

Mask = NDArray[np.bool_]
FINE = 256  # pixels up to which masks are as fine as colors; larger ones are half as fine
_L = {name: k for k, name in enumerate(faces.LABELS)}
_NECK = _L["neck"]
_WORN = tuple(_L[name] for name in ("background", "hat", "cloth", "glasses"))


@dataclass(frozen=True, eq=False)
class Cutout:
    """Something to paste; colors are linear light.

    Attributes:
        color: (h, w, 3) float32, multiplied by the cover already.
        cover: (h, w) float32 share of each pixel that it hides.
        face: (h, w) float32 share of each pixel that is face, whether or not something worn hides it.
        shown: (h, w) float32 share of each pixel that is face and hidden by nothing that is worn.
        box: (4,) xyxy in edge coordinates of this cutout.
        points: (68, 2) or (5, 2) in center coordinates of this cutout, NaN where they are not known.
        pose_deg: (3,), NaN where it is not known.
    """

    color: F32
    cover: F32
    face: F32
    shown: F32
    box: F32
    points: F32
    pose_deg: F32

    @property
    def points5(self) -> F32:
        """(5, 2)."""
        return self.points if len(self.points) == 5 else five_from_68(self.points[None])[0]


def linear(image: U8) -> F32:
    """Picture values to linear light."""
    light: F32 = (image.astype(np.float32) / np.float32(255)) ** 2
    return light


def cutout(person: Person, factors: Factors, size: int, lod: int) -> Cutout:
    """Draw a person without a background, `size` pixels square but no larger than `faces.render` draws.

    One drawing at the size itself, not at twice the size: it is to be made smaller.
    """
    size = min(size, faces.MAX_SIDE)
    faces.check(person, factors, size, lod)
    scene = _scene.build(person, factors, lod)
    drawn = _draw.draw(scene, person, factors, size, lod)
    cover: F32 = np.clip(drawn[..., 3], 0, 1).astype(np.float32)
    straight = (drawn[..., :3] / np.maximum(cover, 1e-3)[..., None]).astype(np.float32)
    color = _shade.develop(straight) ** 2 * cover[..., None]  # the scene is put together from pictures, not from light
    truth = _draw.truth(scene, person, factors, size if size <= FINE else size // 2, lod)
    place = np.rint(np.clip(truth.uv, 0, 1) * 255).astype(int)
    face = _face_table()[place[..., 1], place[..., 0]] & (truth.uv[..., 0] >= 0)
    # hair and beard grow on the face: only what is worn or held before it hides it
    worn = _WORN if factors.glasses == "sun" else _WORN[:-1]
    shown = face & ~np.isin(truth.labels, worn)
    camera = _draw.camera_at(scene, size)
    return Cutout(
        color.astype(np.float32),
        cover,
        _at(face, size),
        _at(shown, size),
        _points.box_of(scene, lod, camera),
        _points.points68(scene, lod, camera)[0],
        np.asarray(factors.pose_deg, np.float32),
    )


def _at(mask: Mask, size: int) -> F32:
    """A mask as shares, at the size of the drawing."""
    shares = mask.astype(np.float32)
    return np.asarray(cv2.resize(shares, (size, size), interpolation=cv2.INTER_NEAREST), np.float32)


@cache
def _face_table() -> Mask:
    """(256, 256) which places of the head's texture are face: what the box of a face reaches around."""
    x, y, ahead = np.moveaxis(_chart.chart(256, 256), -1, 0)
    inside = (ahead > 0.5) & (np.abs(x) < np.minimum(6.9, 5.5 + 0.45 * (y + 5.6))) & (y > -5.6 + 0.04 * x * x)
    return np.asarray(inside & (_draw.head_labels() != _NECK))


def shrunk(cut: Cutout, height: int, width: int, sigma: float = 0.0) -> Cutout:
    """The cutout at another size, blurred by `sigma` of its new pixels; sides of at least one pixel."""
    old_h, old_w = cut.cover.shape
    sx, sy = width / old_w, height / old_h
    way = cv2.INTER_AREA if sx <= 1 and sy <= 1 else cv2.INTER_LINEAR
    planes = [np.asarray(cv2.resize(a, (width, height), interpolation=way), np.float32) for a in _planes(cut)]
    if sigma > 0:
        planes[:2] = [
            np.asarray(cv2.GaussianBlur(a, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.float32)
            for a in planes[:2]
        ]
    scale = np.array((sx, sy), np.float32)
    points = ((cut.points + np.float32(0.5)) * scale - np.float32(0.5)).astype(np.float32)
    box = (cut.box * np.tile(scale, 2)).astype(np.float32)
    return replace(cut, color=planes[0], cover=planes[1], face=planes[2], shown=planes[3], box=box, points=points)


def turned(cut: Cutout, degrees: float) -> Cutout:
    """The cutout turned clockwise in the picture, on a square that holds all of it; its box is that of the face."""
    height, width = cut.cover.shape
    side = int(np.ceil(np.hypot(height, width)))
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    middle, goal = np.array(((width - 1) / 2, (height - 1) / 2)), (side - 1) / 2
    turn = np.array(((c, -s), (s, c)))
    shift = goal - turn @ middle
    move = np.concatenate([turn, shift[:, None]], 1)
    planes = [
        np.asarray(cv2.warpAffine(a, move, (side, side), flags=cv2.INTER_LINEAR), np.float32) for a in _planes(cut)
    ]
    rows, columns = np.flatnonzero((planes[2] > 0.5).any(1)), np.flatnonzero((planes[2] > 0.5).any(0))
    box = np.zeros(4, np.float32)
    if len(rows):
        box = np.array((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1), np.float32)
    pose = cut.pose_deg
    if np.isfinite(pose).all():  # the picture turns last, after yaw and pitch, so it changes all three angles
        pose = R_to_euler(euler_to_R((0, 0, degrees)) @ euler_to_R(pose)).astype(np.float32)
    points = (cut.points @ turn.T + shift).astype(np.float32)
    return Cutout(planes[0], planes[1], planes[2], planes[3], box, points, pose)


def _planes(cut: Cutout) -> tuple[F32, F32, F32, F32]:
    return cut.color, cut.cover, cut.face, cut.shown


class Canvas:
    """A picture that is filled from front to back, so that what is hidden is known for every thing that is put in.

    Attributes:
        color: (H, W, 3) float32 linear light so far.
        open: (H, W) float32 share of each pixel that nothing hides yet.
        owner: (H, W) int16 who fills most of each pixel, 0 for nobody yet.
    """

    def __init__(self, size_hw: tuple[int, int]) -> None:
        self.color: F32 = np.zeros((*size_hw, 3), np.float32)
        self.open: F32 = np.ones(size_hw, np.float32)
        self.owner: NDArray[np.int16] = np.zeros(size_hw, np.int16)

    def window(self, left: int, top: int, shape: tuple[int, ...]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Where a thing of a shape at (left, top) lies in the picture, and which part of it that is; may be empty."""
        height, width = self.open.shape
        x0, y0 = max(left, 0), max(top, 0)
        x1, y1 = max(min(left + shape[1], width), x0), max(min(top + shape[0], height), y0)
        return (slice(y0, y1), slice(x0, x1)), (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))

    def seen(self, left: int, top: int, mask: F32) -> F32:
        """The part of a mask that would be seen at (left, top), as a picture of the mask's own size."""
        there, here = self.window(left, top, mask.shape)
        out = np.zeros_like(mask)
        out[here] = mask[here] * self.open[there]
        return out

    def put(self, left: int, top: int, color: F32, cover: F32, owner: int) -> None:
        """Put something behind everything that is there; `color` is multiplied by `cover` already."""
        there, here = self.window(left, top, cover.shape)
        gap = self.open[there]
        self.color[there] += gap[..., None] * color[here]
        mostly = (gap * cover[here] > 0.5) & (self.owner[there] == 0)
        self.owner[there][mostly] = owner
        gap *= 1 - cover[here]

    def finish(self, background: F32) -> F32:
        """(H, W, 3) linear light with the background behind."""
        whole: F32 = self.color + self.open[..., None] * background
        return whole


def behind(name: str, seed: int, size_hw: tuple[int, int], gain: float) -> F32:
    """(H, W, 3) one of the named backgrounds in linear light, cut from a square, at an exposure as `faces.render`."""
    side = max(size_hw)
    square = _finish.background(name, seed, side) * np.float32(0.4 + 0.6 * min(gain, 1.3))
    top, left = (side - size_hw[0]) // 2, (side - size_hw[1]) // 2
    part: F32 = square[top : top + size_hw[0], left : left + size_hw[1]]
    return part


def to_picture(light: F32) -> U8:
    """Linear light to a uint8 picture."""
    return _finish.to_bytes(_shade.encode(light))

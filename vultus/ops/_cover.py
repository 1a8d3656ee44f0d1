"""Things that hide parts of a picture, and the drawn glasses and masks that sit on a face."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError
from vultus.ops._op import ANGLE, PLACE, SEED, Names, Number, Op, Range, Scene, Values, from_levels
from vultus.ops._resample import rectangle
from vultus.ops._tone import luma
from vultus.types import F32, U8

__all__ = ["CutOut", "FaceMask", "Glasses", "Occluder", "RandomErase", "mask_layer"]

F64 = NDArray[np.float64]

_FINE = 3  # drawn so many times larger, for smooth edges
_LEVEL = Number(0, 255, drifts=False, whole=True)


class _Cover(Op):
    """Paints one layer: colors and how much of each pixel they hide."""

    def layer(self, x: U8, values: Values, scene: Scene) -> tuple[F32, F32]:
        """(H, W, 3) colors in levels and (H, W) cover in 0..1."""
        raise InputError(f"{self.name}: expected an operation that paints")

    def cover(self, x: U8, values: Values, scene: Scene) -> tuple[U8, F32 | None]:
        color, alpha = self.layer(x, values, scene)
        return from_levels(x + alpha[..., None] * (color - x)), alpha

    def image(self, x: U8, values: Values, scene: Scene) -> U8:
        return self.cover(x, values, scene)[0]


@dataclass(frozen=True)
class RandomErase(_Cover):
    """A rectangle is filled.

    Attributes:
        area_share: area of the rectangle, of the picture's.
        log_ratio: logarithm of width / height.
        x, y: where it lies, 0 left or top to 1 right or bottom; drawn evenly.
        fill: noise, gray or black.
    """

    NUMBERS: ClassVar[Mapping[str, Number]] = {
        "area_share": Number(0.0, 1.0, 0.0),
        "log_ratio": Number(-3.0, 3.0, drifts=False),
        "x": PLACE,
        "y": PLACE,
        "seed": SEED,
    }
    CHOICES: ClassVar[Mapping[str, tuple[str, ...]]] = {"fill": ("noise", "gray", "black")}
    area_share: Range = (0.02, 0.33)
    log_ratio: Range = (math.log(0.3), math.log(3.3))
    fill: Names = "noise"

    def layer(self, x: U8, values: Values, scene: Scene) -> tuple[F32, F32]:
        left, top, right, bottom = rectangle(values, (x.shape[0], x.shape[1]))
        color = np.full(x.shape, 128.0 if values["fill"] == "gray" else 0.0, np.float32)
        if values["fill"] == "noise":
            rng = np.random.default_rng(int(values["seed"]))
            color[top:bottom, left:right] = rng.integers(0, 256, (bottom - top, right - left, 3))
        alpha = np.zeros(x.shape[:2], np.float32)
        alpha[top:bottom, left:right] = 1
        return color, alpha


@dataclass(frozen=True)
class CutOut(_Cover):
    """A square turns black; it may hang over the border.

    Attributes:
        share: side of the square, of the shorter side.
        x, y: where its middle lies, 0 left or top to 1 right or bottom; drawn evenly.
    """

    NUMBERS: ClassVar[Mapping[str, Number]] = {"share": Number(0.0, 2.0, 0.0), "x": PLACE, "y": PLACE}
    share: Range = (0.1, 0.4)

    def layer(self, x: U8, values: Values, scene: Scene) -> tuple[F32, F32]:
        height, width = x.shape[:2]
        side = round(values["share"] * min(height, width))
        left, top = (round(values[k] * n - side / 2) for k, n in (("x", width), ("y", height)))
        alpha = np.zeros((height, width), np.float32)
        alpha[max(0, top) : max(0, top + side), max(0, left) : max(0, left + side)] = 1
        return np.zeros(x.shape, np.float32), alpha


_SHAPES = ("rectangle", "ellipse", "triangle", "blob")


@dataclass(frozen=True)
class Occluder(_Cover):
    """A plain object in front of the picture.

    Attributes:
        shape: rectangle, ellipse, triangle or blob.
        area_share: about its area, of the picture's.
        x, y: where its middle lies, 0 left or top to 1 right or bottom; drawn evenly.
        theta_rad: its turn.
        red, green, blue: its color; it is shaded from one end to the other.
    """

    NUMBERS: ClassVar[Mapping[str, Number]] = {
        "area_share": Number(0.0, 1.0, 0.0),
        "x": PLACE,
        "y": PLACE,
        "theta_rad": ANGLE,
        "log_ratio": Number(-3.0, 3.0, drifts=False),
        "red": _LEVEL,
        "green": _LEVEL,
        "blue": _LEVEL,
        "seed": SEED,
    }
    CHOICES: ClassVar[Mapping[str, tuple[str, ...]]] = {"shape": _SHAPES}
    shape: Names = _SHAPES
    area_share: Range = (0.05, 0.3)
    log_ratio: Range = (-0.7, 0.7)
    theta_rad: Range = (0.0, 2 * math.pi)

    def layer(self, x: U8, values: Values, scene: Scene) -> tuple[F32, F32]:
        height, width = x.shape[:2]
        outline = _outline(values["shape"], int(values["seed"]))
        size = math.sqrt(values["area_share"] * height * width)
        stretch = math.exp(values["log_ratio"] / 2)
        c, s = math.cos(values["theta_rad"]), math.sin(values["theta_rad"])
        turned = (outline * (size * stretch, size / stretch)) @ np.array([[c, s], [-s, c]])
        middle = np.array([values["x"] * (width - 1), values["y"] * (height - 1)])
        alpha = _filled(turned + middle, (height, width))
        shade = np.linspace(1.1, 0.75, height, dtype=np.float32)[:, None, None]
        color = shade * np.array([values["red"], values["green"], values["blue"]], np.float32)
        return np.broadcast_to(color, x.shape).astype(np.float32), alpha


def _outline(shape: str, seed: int) -> F64:
    """(K, 2) outline of area 1 about the origin."""
    if shape == "rectangle":
        points = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
    elif shape == "triangle":
        points = np.array([[-1.0, 1], [1, 1], [0, -1]])
    else:
        angle = np.linspace(0, 2 * math.pi, 64, endpoint=False)
        waves = np.random.default_rng(seed).normal(size=(3, 2)) * 0.12 if shape == "blob" else np.zeros((3, 2))
        radius = 1 + sum(a * np.cos((k + 2) * angle) + b * np.sin((k + 2) * angle) for k, (a, b) in enumerate(waves))
        points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    x, y = points[:, 0], points[:, 1]
    area = abs(float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum())) / 2
    scaled: F64 = points / math.sqrt(area)
    return scaled


def _filled(points: F64, size_hw: tuple[int, int]) -> F32:
    """(H, W) how much of each pixel lies inside an outline of center coordinates."""
    height, width = size_hw
    fine = np.zeros((height * _FINE, width * _FINE), np.uint8)
    place = np.clip((points + 0.5) * _FINE - 0.5, -20000, 20000)
    cv2.fillPoly(fine, [np.rint(place * 16).astype(np.int32)], 255, shift=4)
    small = cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) / np.float32(255)


# ---------------------------------------------------------------- glasses
_FRAMES = ("reading", "sun", "round")


def _points68(op: Op, scene: Scene) -> F64:
    if scene.points68 is None:
        raise InputError(f"{op.name}: expected the 68 points of the face, got none; pass points68= to draw")
    return scene.points68


@dataclass(frozen=True)
class Glasses(_Cover):
    """Drawn glasses over the eyes. Needs the 68 points of the face.

    Attributes:
        style: reading (clear), sun (dark) or round (tinted).
        red, green, blue: color of the frame.
    """

    NUMBERS: ClassVar[Mapping[str, Number]] = {"red": _LEVEL, "green": _LEVEL, "blue": _LEVEL}
    CHOICES: ClassVar[Mapping[str, tuple[str, ...]]] = {"style": _FRAMES}
    style: Names = _FRAMES
    red: Range = (10, 90)
    green: Range = (10, 80)
    blue: Range = (10, 80)

    def layer(self, x: U8, values: Values, scene: Scene) -> tuple[F32, F32]:
        points = _points68(self, scene)
        size = x.shape[0], x.shape[1]
        eyes = points[36:42].mean(0), points[42:48].mean(0)
        axis = eyes[1] - eyes[0]
        far = float(np.hypot(*axis))
        if far < 1e-6:
            raise InputError("Glasses: expected two different eyes in points68, got one point twice")
        right, down = axis / far, np.array([-axis[1], axis[0]]) / far
        tall = 0.30 * max(far, float(np.abs((points[30] - points[27]) @ down)))  # a turned face is narrow, not low
        power = 2.0 if values["style"] == "round" else 3.5
        angle = np.linspace(0, 2 * math.pi, 72, endpoint=False)
        ring = np.stack([np.sign(f(angle)) * np.abs(f(angle)) ** (2 / power) for f in (np.cos, np.sin)], axis=1)
        wide, line = 0.36 * far, max(0.035 * far, 0.6)
        inner, outer = np.zeros(size, np.float32), np.zeros(size, np.float32)
        for eye in eyes:
            for alpha, grow in ((inner, -line), (outer, line)):
                at = eye + 0.06 * tall * down + ring[:, :1] * (wide + grow) * right + ring[:, 1:] * (tall + grow) * down
                np.maximum(alpha, _filled(at, size), out=alpha)
        bar = [
            (eyes[0] + (wide - line) * right, eyes[1] - (wide - line) * right),
            (eyes[0] - wide * right, points[0]),
            (eyes[1] + wide * right, points[16]),
        ]
        frame = np.clip(outer - inner, 0, 1)
        for a, b in bar:
            way = b - a
            side = np.array([-way[1], way[0]]) / max(float(np.hypot(*way)), 1e-6) * line
            np.maximum(
                frame, _filled(np.array([a + side, b + side, b - side, a - side]), size) * (1 - inner), out=frame
            )
        glass = {"reading": 0.08, "sun": 0.93, "round": 0.5}[values["style"]] * inner
        tint = np.array({"reading": (225, 235, 245), "sun": (22, 22, 26), "round": (120, 80, 50)}[values["style"]])
        ink = np.array([values["red"], values["green"], values["blue"]])
        alpha = np.maximum(frame, glass)
        share = (frame / np.maximum(frame + glass, np.float32(1e-6)))[..., None]
        return (share * ink + (1 - share) * tint).astype(np.float32), alpha


# ---------------------------------------------------------------- masks
_STYLES = ("surgical", "n95", "cloth")
_COLORS: dict[str, tuple[int, int, int]] = {
    "blue": (126, 178, 208),
    "green": (140, 190, 165),
    "white": (232, 233, 230),
    "black": (44, 44, 48),
    "pink": (226, 168, 180),
    "red": (168, 52, 52),
}
_ART = 256  # side of the drawn template

# Where the points of the face lie on the template, x and y in 0..1: bridge and nose, lips, then jaw 1 to 15.
_INNER = (28, 29, 30, 31, 33, 35, 48, 51, 54, 57)
_INNER_AT = (
    (0.50, 0.02),
    (0.50, 0.13),
    (0.50, 0.26),
    (0.40, 0.33),
    (0.50, 0.36),
    (0.60, 0.33),
    (0.33, 0.56),
    (0.50, 0.50),
    (0.67, 0.56),
    (0.50, 0.68),
)


_TENT = [*range(29, 36), *range(48, 60), *range(5, 12)]
_THICK = 1.05  # the mask lies a little outside the face


def _jaw_at() -> F64:
    """(15, 2) jaw points 1 to 15 on the template: a U from ear to ear."""
    angle = np.linspace(math.pi, 0.0, 15)
    x = 0.5 + 0.49 * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 0.8
    y = 0.10 + 0.88 * np.sin(angle) ** 0.85
    return np.stack([x, y], axis=1)


@dataclass(frozen=True)
class FaceMask(_Cover):
    """A drawn mask over nose, mouth and chin, bent over the face by its points. Needs the 68 points of the face.

    The drawing is carried triangle by triangle from a flat template to the bridge of the nose (28 to 30), nose, lips
    and jaw (1 to 15); triangles that face away are left out, and the light of the face lies on it.

    Attributes:
        style: surgical, n95 or cloth.
        color: blue, green, white, black, pink or red.
    """

    CHOICES: ClassVar[Mapping[str, tuple[str, ...]]] = {"style": _STYLES, "color": tuple(_COLORS)}
    style: Names = _STYLES
    color: Names = ("blue", "green", "white", "black")

    def layer(self, x: U8, values: Values, scene: Scene) -> tuple[F32, F32]:
        points = _points68(self, scene)
        color, alpha = mask_layer(points, (x.shape[0], x.shape[1]), values["style"], values["color"], scene.yaw_deg)
        light = cv2.GaussianBlur(luma(x), (0, 0), max(1.0, 0.08 * float(np.ptp(points[:17, 0]) + 1)))
        under = alpha > 0.5
        if under.any():
            usual = max(float(np.asarray(light)[under].mean()), 1.0)
            level = min(usual / 150, 1.0) ** 0.5  # a mask in a dark picture is dark
            color = color * np.clip(light / usual, 0.45, 1.35)[..., None] * np.float32(level)
        return np.asarray(color, np.float32), alpha


def mask_layer(
    points68: F64, size_hw: tuple[int, int], style: str, color: str, yaw_deg: float | None = None
) -> tuple[F32, F32]:
    """The drawing of a mask in the place of a face.

    Args:
        points68: (68, 2) center coordinates.
        size_hw: size of the picture.
        style: surgical, n95 or cloth.
        color: a color of `FaceMask`.
        yaw_deg: beyond 20 degrees the strap of the far side is not drawn; None reads it from the points.

    Returns:
        (H, W, 3) colors in levels and (H, W) cover in 0..1.
    """
    at, goal = _control_points(points68)
    tent = _middle(points68) + (points68[_TENT] - _middle(points68)) * _THICK
    low = np.floor(np.minimum(goal.min(0), points68[[0, 16]].min(0)) - 3).astype(int)
    high = np.ceil(np.maximum(goal.max(0), points68[[0, 16]].max(0)) + 4).astype(int)
    low, high = np.clip(low, 0, size_hw[::-1]), np.clip(high, 0, size_hw[::-1])
    color_out, alpha_out = np.zeros((*size_hw, 3), np.float32), np.zeros(size_hw, np.float32)
    if (high - low < 1).any():
        return color_out, alpha_out
    width, height = (high - low).tolist()
    where = np.full((height * _FINE, width * _FINE, 2), -1, np.float32)
    fine = (goal - low + 0.5) * _FINE - 0.5
    for triangle in _triangles():
        _carry(where, fine[list(triangle)], at[list(triangle)] * (_ART - 1))
    _stretch(where, (tent - low + 0.5) * _FINE - 0.5)
    art = _art(style, color)
    drawn = np.asarray(cv2.remap(art, where[..., 0], where[..., 1], cv2.INTER_LINEAR), np.float32)
    solid = (where[..., 0] >= 0).astype(np.float32)
    straps = _straps(points68, low, (height, width), yaw_deg) * (1 - solid)
    ink = np.array(_COLORS[color], np.float32) * np.float32(0.8)
    premixed = drawn * solid[..., None] + straps[..., None] * ink
    alpha = np.asarray(cv2.resize(solid + straps, (width, height), interpolation=cv2.INTER_AREA), np.float32)
    mixed = np.asarray(cv2.resize(premixed, (width, height), interpolation=cv2.INTER_AREA), np.float32)
    part = slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))
    color_out[part] = mixed / np.maximum(alpha, np.float32(1e-3))[..., None]
    alpha_out[part] = alpha
    return color_out, alpha_out


def _middle(points68: F64) -> F64:
    """(2,) between nose and lips."""
    middle: F64 = points68[[30, 33, 51, 57]].mean(0)
    return middle


def _stretch(where: F32, tent: F64) -> None:
    """Cloth spans what sticks out: fill the outline of nose, lips and chin with what the nearest drawn pixel shows."""
    outline = cv2.convexHull(np.rint(tent * 16).astype(np.int32))
    inside = np.zeros(where.shape[:2], np.uint8)
    cv2.fillConvexPoly(inside, outline, 1, shift=4)
    bare = where[..., 0] < 0
    extra = bare & (inside > 0)
    if not extra.any() or bare.all():
        return
    _, label = cv2.distanceTransformWithLabels(bare.astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
    place = np.zeros((int(label.max()) + 1, 2), np.float32)
    place[label[~bare]] = where[~bare]
    where[extra] = place[label[extra]]


def _control_points(points68: F64) -> tuple[F64, F64]:
    """Places on the template, 0..1, and in the picture; the jaw is moved outward a little, as cloth has thickness."""
    inner, jaw = points68[list(_INNER)], points68[1:16]
    middle = _middle(points68)
    goal = np.concatenate([inner, middle + (jaw - middle) * _THICK])
    return np.concatenate([np.array(_INNER_AT), _jaw_at()]), goal


@lru_cache(maxsize=1)
def _triangles() -> tuple[tuple[int, int, int], ...]:
    """Triangles between the control points: Delaunay on the template, corners clockwise as seen."""
    at = np.concatenate([np.array(_INNER_AT), _jaw_at()]).astype(np.float32)
    plane = cv2.Subdiv2D((-1, -1, 3, 3))
    for x, y in at:
        plane.insert((float(x), float(y)))
    found = []
    for six in plane.getTriangleList():
        corners = np.asarray(six, np.float32).reshape(3, 2)
        if (np.abs(corners) > 1.5).any():
            continue
        index = [int(np.abs(at - corner).sum(1).argmin()) for corner in corners]
        a, b, c = at[index]
        turn = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        found.append((index[0], index[1], index[2]) if turn > 0 else (index[0], index[2], index[1]))
    return tuple(sorted(found))


def _carry(where: F32, goal: F64, source: F64) -> None:
    """Write for each fine pixel of a triangle the place on the template that it shows; none when it faces away."""
    (ax, ay), (bx, by), (cx, cy) = goal
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    if area <= 1e-6:
        return
    low = np.clip(np.floor(goal.min(0)).astype(int), 0, where.shape[1::-1])
    high = np.clip(np.ceil(goal.max(0)).astype(int) + 1, 0, where.shape[1::-1])
    if (high <= low).any():
        return
    x, y = np.arange(low[0], high[0])[None, :], np.arange(low[1], high[1])[:, None]
    u = ((x - ax) * (cy - ay) - (y - ay) * (cx - ax)) / area
    v = ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / area
    inside = (u >= -1e-6) & (v >= -1e-6) & (u + v <= 1 + 1e-6)
    place = source[0] + u[..., None] * (source[1] - source[0]) + v[..., None] * (source[2] - source[0])
    where[low[1] : high[1], low[0] : high[0]][inside] = place[inside]


def _straps(points68: F64, low: NDArray[np.int64], size_hw: tuple[int, int], yaw_deg: float | None) -> F32:
    """(h, w) of the fine picture: two straps on each side that is seen, from the mask's corner toward the ear."""
    fine = np.zeros((size_hw[0] * _FINE, size_hw[1] * _FINE), np.float32)
    nose, left, right = points68[30], points68[1], points68[15]
    reach = np.hypot(*(left - nose)), np.hypot(*(right - nose))
    yaw = yaw_deg if yaw_deg is not None else math.degrees(math.asin((reach[0] - reach[1]) / max(sum(reach), 1e-6)))
    thick = max(1, round(0.012 * sum(reach) * _FINE))
    for ear, upper, lower, seen in (
        (points68[0], left, points68[4], yaw > -20),  # + turns the face to the viewer's right: its left side shows
        (points68[16], right, points68[12], yaw < 20),
    ):
        for start in (upper, lower) if seen else ():
            ends = [tuple(np.rint(((p - low) + 0.5) * _FINE).astype(int).tolist()) for p in (start, ear)]
            cv2.line(fine, ends[0], ends[1], 1.0, thick)
    return fine


@lru_cache(maxsize=32)
def _art(style: str, color: str) -> F32:
    """(_ART, _ART, 3) the flat drawing, in levels."""
    y, x = np.mgrid[0:_ART, 0:_ART].astype(np.float32) / _ART
    base = np.array(_COLORS[color], np.float32)
    shade = np.ones((_ART, _ART), np.float32)
    if style == "surgical":
        for pleat in (0.40, 0.56, 0.72):
            shade -= 0.16 * np.exp(-(((y - pleat) / 0.012) ** 2)) - 0.07 * np.exp(-(((y - pleat - 0.03) / 0.02) ** 2))
        shade += 0.10 * (((y > 0.05) & (y < 0.08)) | (y > 0.93))
    elif style == "n95":
        shade += 0.10 * (1 - 2.2 * np.abs(x - 0.5)) - 0.15 * np.exp(-(((x - 0.5) / 0.008) ** 2)) * (y > 0.3)
        shade -= 0.12 * (np.abs(np.hypot((x - 0.5) / 0.43, (y - 0.5) / 0.44) - 1) < 0.03)
    else:
        weave = 0.035 * (np.sin(x * 2 * math.pi * 60) + np.sin(y * 2 * math.pi * 60))
        shade += weave - 0.14 * np.exp(-(((x - 0.5) / 0.007) ** 2))
        shade -= 0.18 * (np.abs(y - 0.07) < 0.006)
    edge = np.minimum(np.minimum(x, 1 - x), 1 - y)
    shade *= 1 - 0.25 * np.exp(-edge / 0.02)
    art: F32 = np.asarray(base * shade[..., None], np.float32)
    if style == "n95":  # the metal strip over the nose
        strip = ((y > 0.04) & (y < 0.08) & (np.abs(x - 0.5) < 0.13))[..., None]
        art = np.where(strip, np.float32(165), art).astype(np.float32)
    art.setflags(write=False)
    return art

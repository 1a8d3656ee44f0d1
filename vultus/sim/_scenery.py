"""How one scene comes about: its light and camera, its background, a face put into it, a thing put into it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError
from vultus.sim import _crowd, _cutout, _finish, _lettering, _shade, _things, _world
from vultus.sim._crowd import Layout
from vultus.sim._cutout import Canvas, Cutout
from vultus.sim._people import Factors, Person
from vultus.sim._world import World
from vultus.types import F32, U8

__all__ = ["BACKGROUNDS", "OUTDOORS", "Crop", "FaceSource", "Placed", "Setting", "background", "put_face", "put_thing"]

Rng = np.random.Generator
BACKGROUNDS = (*_finish.BACKGROUNDS, "texture", "hall", "operating room")
OUTDOORS = (*_finish.BACKGROUNDS, "hall")
VIEW_CM = 33.0 / 0.7  # side of the square that a person is drawn on
LIFT = -0.17  # of the face in it, share of the side
SIDES = (32, 64, 128, 256, 512, 768)  # a few sizes to draw at; whatever is needed is made smaller from the next one
FACE_CM = 17.0  # about, from hairline to chin
HIDDEN, HEAVY, LOST = 0.01, 0.30, 0.80  # shares hidden from which a face is partially, heavily occluded, invalid


@dataclass(frozen=True, eq=False)
class Crop:
    """A face from elsewhere, such as a photograph that the caller has the right to use.

    Attributes:
        image: (h, w, 3) uint8 RGB.
        mask: (h, w) bool or share in [0, 1]: what is pasted.
        box: (4,) the face, xyxy pixels of the crop in edge coordinates.
        points5: (5, 2) pixels of the crop in center coordinates, or None.
        pose_deg: (3,) yaw, pitch, roll, or None.
        face: (h, w) the part of the mask that is face; None for the ellipse in the box.
    """

    image: U8
    mask: NDArray[np.generic]
    box: F32
    points5: F32 | None = None
    pose_deg: F32 | None = None
    face: NDArray[np.generic] | None = None


FaceSource = Callable[[Rng, float], Crop]


@dataclass(frozen=True, eq=False)
class Placed:
    """A face in the picture; see `scenes.FaceScene`."""

    box: F32
    points5: F32
    pose_deg: F32
    hidden: float
    area_px: float
    blur_px: float
    wider: tuple[int, int, int, int, int, int]
    seen: NDArray[np.bool_]
    person: Person | None
    factors: Factors | None


@dataclass(frozen=True, eq=False)
class Setting:
    """What the faces of a scene share.

    Attributes:
        style: of the scene.
        layout: where people stand.
        light_sh, gain: light.
        blur_px: deviation of the camera's blur.
        noise: deviation of the sensor's noise, gray levels.
        tint: (3,) factors.
    """

    style: str
    layout: Layout
    light_sh: F32
    gain: float
    blur_px: float
    noise: float
    tint: F32

    @classmethod
    def drawn(cls, rng: Rng, style: str, size_hw: tuple[int, int], layout: str | None) -> Setting:
        """The setting of a scene."""
        surgical = style == "operating room"
        kind = "top" if surgical else str(rng.choice(_shade.LIGHTS))
        gain = float(np.exp(rng.normal(-0.05, 0.12)))
        odd = rng.random()
        if not surgical and odd < 0.1:
            gain = float(rng.uniform(0.25, 0.42) if odd < 0.06 else rng.uniform(1.8, 2.3))
        tint = 1 + rng.normal(0, 0.03, 3)
        if surgical:
            tint = np.array((0.80, 1.06, 0.98)) + rng.normal(0, 0.04, 3)
        small = max(size_hw) < 200
        blur = 0.0 if small else float(rng.uniform(0.4, 1.4) if surgical else rng.choice((0.0, rng.uniform(0.3, 0.9))))
        noise = float(rng.uniform(0.3, 1.5) if small else rng.uniform(0.5, 3.5))
        place = Layout.drawn(rng, size_hw, layout)
        if layout == "row":
            place = place._replace(line=0.42)
        return cls(style, place, _shade.lamp(kind, rng), gain, blur, noise, tint.astype(np.float32))

    def developed(self, rng: Rng, light: F32) -> U8:
        """(H, W, 3) uint8 from linear light: the camera's blur, tint and noise."""
        if self.blur_px > 0:
            light = np.asarray(cv2.GaussianBlur(light, (0, 0), self.blur_px), np.float32)
        values = np.asarray(_shade.encode(light * self.tint), np.float32) * 255
        values += rng.normal(0, self.noise, light.shape).astype(np.float32)
        return _finish.to_bytes(values / np.float32(255))


# ---------------------------------------------------------------- faces
def put_face(
    canvas: Canvas,
    setting: Setting,
    rng: Rng,
    size: float,
    source: tuple[FaceSource | None, World, int, bool],
) -> Placed | None:
    """Draw a face of a height and put it behind what is there; None if nothing of it would be seen and that may be.

    Args:
        canvas: the picture so far.
        setting: of the scene.
        rng: everything that is drawn at random.
        size: height of the face in pixels.
        source: the caller's source of crops or None, the world, the index of this face, whether it may be left out.
    """
    make, world, index, may_drop = source
    person: Person | None = None
    factors: Factors | None = None
    draw = rng.random()
    soft = (
        0.0
        if draw < 0.7 or setting.layout.kind == "row"
        else rng.uniform(0.015, 0.05)
        if draw < 0.92
        else rng.uniform(0.05, 0.08)
    )
    sigma = float(min(soft * size, 9.0)) if soft * size > 0.25 else 0.0
    if make is None:
        cut, person, factors = _simulated(setting, rng, size, sigma, world, canvas.open.shape[0])
    else:
        cut = _given(make(rng, size), size, sigma)
    high, wide = float(cut.box[3] - cut.box[1]), float(cut.box[2] - cut.box[0])
    cx, cy = _crowd.find_place(canvas, setting.layout, rng, (high, wide), cut=rng.random() < 0.08)
    left = round(cx - float(cut.box[0] + cut.box[2]) / 2)
    top = round(cy - float(cut.box[1] + cut.box[3]) / 2)
    if setting.layout.kind == "row":
        left, top = _in_a_row(canvas, rng, cut, index, top)
    seen = canvas.seen(left, top, cut.shown)
    hidden = 1.0 - float(seen.sum()) / max(float(cut.face.sum()), 1e-6)
    if may_drop and hidden > 0.9:
        return None
    canvas.put(left, top, cut.color, cut.cover, index + 1)
    there, here = canvas.window(left, top, cut.cover.shape)
    mask = np.zeros(canvas.open.shape, bool)
    mask[there] = (seen[here] > 0.5) & (canvas.owner[there] == index + 1)
    shift = np.array((left, top), np.float32)
    box = cut.box + np.tile(shift, 2)
    blur = float(np.hypot(sigma, setting.blur_px))
    codes = _columns(hidden, blur / size, setting.gain, cut.pose_deg, factors)
    return Placed(
        box, cut.points5 + shift, cut.pose_deg, hidden, float(cut.face.sum()), blur, codes, mask, person, factors
    )


def _in_a_row(canvas: Canvas, rng: Rng, cut: Cutout, index: int, top: int) -> tuple[int, int]:
    """Place of the next person of a group: beside the others, in the widest gap."""
    width = canvas.open.shape[1]
    free = canvas.open[max(top, 0) + cut.cover.shape[0] // 4 :].mean(0)
    wide = max(3, round(1.05 * float(cut.box[2] - cut.box[0])))
    score = np.convolve(free, np.ones(wide) / wide, "same")
    at = np.arange(width)
    score[(at < 0.6 * wide) | (at > width - 0.6 * wide)] = -1
    score += rng.uniform(0, 0.02, width) if index else -np.abs(at - rng.uniform(0.25, 0.75) * width) / width
    middle = int(np.argmax(score))
    return round(middle - float(cut.box[0] + cut.box[2]) / 2), top


def _simulated(
    setting: Setting, rng: Rng, size: float, sigma: float, world: World, rows: int
) -> tuple[Cutout, Person, Factors]:
    """A person of the world with a body, the face `size` pixels tall."""
    person = _world.sample_person(rng, world)
    factors = _world.sample_factors(rng, world, person)
    factors = replace(
        factors,
        light_sh=setting.light_sh,
        light_gain=setting.gain,
        occluder="mask" if factors.occluder == "mask" else "none",
        style="photo",
        camera=(float(rng.uniform(90, 160)), 0.7, 0.0, LIFT),
    )
    surgical = setting.style == "operating room"
    if surgical:
        factors = _scrubbed(factors, rng)
    side = max(16, round(size * VIEW_CM / FACE_CM))
    drawn_at = next((s for s in SIDES if s >= 1.3 * side), SIDES[-1])
    lod = 0 if side <= 96 else 1 if side <= 360 else 2
    cut = _cutout.cutout(person, factors, drawn_at, lod)
    side = max(16, round(size * drawn_at / float(cut.box[3] - cut.box[1])))
    cut = _cutout.shrunk(cut, side, side, sigma)
    if surgical:
        # a camera on the ceiling sees people turned around a table
        return (
            _cutout.turned(
                _crowd.standing(cut, rng, side / VIEW_CM, rows, person.tone_ita_deg), float(rng.uniform(-35, 35))
            ),
            person,
            factors,
        )
    return _crowd.standing(cut, rng, side / VIEW_CM, rows, person.tone_ita_deg), person, factors


def _scrubbed(factors: Factors, rng: Rng) -> Factors:
    """Mask, cap and scrubs, the head bent down as a camera above sees it."""
    pose = np.array((rng.uniform(-45, 45), rng.uniform(-42, -12), rng.normal(0, 5)), np.float32)
    # the cap takes the shirt's color with red and blue exchanged
    green = np.array((0.30, 0.50, 0.40) if rng.random() < 0.5 else (0.42, 0.52, 0.50))
    return replace(
        factors,
        pose_deg=pose,
        hat="beanie",
        occluder="mask" if rng.random() < 0.9 else "none",
        glasses="round" if rng.random() < 0.3 else "none",
        beard="none",
        hair_style="short",
        shirt=(green * rng.uniform(0.85, 1.15)).astype(np.float32),
    )


def _given(crop: Crop, size: float, sigma: float) -> Cutout:
    """A caller's crop as a cutout, the face `size` pixels tall."""
    image = getattr(crop, "image", None)
    if not isinstance(crop, Crop) or not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3:
        raise InputError(f"face_source: expected a Crop with a uint8 picture (h, w, 3), got {type(crop).__name__}")
    mask, box = np.asarray(crop.mask, np.float32), np.asarray(crop.box, np.float32)
    if mask.shape != image.shape[:2] or box.shape != (4,) or not np.isfinite(box).all() or box[3] - box[1] < 4:
        raise InputError(
            f"face_source: expected a mask of {image.shape[:2]} and a box (4,) at least 4 pixels tall, "
            f"got {mask.shape} and {box.tolist()}"
        )
    mask = np.clip(mask, 0, 1)
    if crop.face is None:
        y, x = np.mgrid[: mask.shape[0], : mask.shape[1]] + 0.5
        middle, half = (box[:2] + box[2:]) / 2, np.maximum((box[2:] - box[:2]) / 2, 1)
        face = mask * ((((x - middle[0]) / half[0]) ** 2 + ((y - middle[1]) / half[1]) ** 2) <= 1)
    else:
        face = mask * np.asarray(crop.face, np.float32)
    lost5, lost3 = np.full((5, 2), np.nan), np.full(3, np.nan)
    cut = Cutout(
        _cutout.linear(image) * mask[..., None],
        mask,
        face.astype(np.float32),
        face.astype(np.float32),
        box,
        np.asarray(lost5 if crop.points5 is None else crop.points5, np.float32).reshape(5, 2),
        np.asarray(lost3 if crop.pose_deg is None else crop.pose_deg, np.float32).reshape(3),
    )
    scale = size / float(box[3] - box[1])
    return _cutout.shrunk(cut, max(1, round(mask.shape[0] * scale)), max(1, round(mask.shape[1] * scale)), sigma)


def _columns(
    hidden: float, blur: float, gain: float, pose_deg: F32, factors: Factors | None
) -> tuple[int, int, int, int, int, int]:
    """Columns of WIDER FACE: blur, expression, illumination, invalid, occlusion, pose (atypical from 30 degrees on)."""
    strong = factors is not None and float(factors.expression[1]) > 0.4  # the jaw drops
    yaw, pitch, roll = (abs(float(v)) for v in np.nan_to_num(pose_deg))
    return (
        0 if blur < 0.02 else 1 if blur < 0.05 else 2,
        int(strong),
        int(factors is not None and not 0.45 <= gain <= 1.7),
        int(hidden > LOST),
        0 if hidden < HIDDEN else 1 if hidden <= HEAVY else 2,
        int(roll > 30 or pitch > 30 or yaw > 90),
    )


# ---------------------------------------------------------------- things and backgrounds
def put_thing(
    canvas: Canvas, setting: Setting, rng: Rng, kind: str, how: tuple[float, float]
) -> tuple[str, F32, F32, str]:
    """Put a thing of a size and a likeness to a face behind what is there; kind, box, five points and text."""
    size, likeness = how
    toward = _shade.main_direction(setting.light_sh)
    if kind in _lettering.KINDS:
        cut, text = _lettering.lettered(kind, rng, max(4, round(size)))
    else:
        lamp = [float(v) for v in toward]
        cut, text = _things.thing(kind, rng, max(4, round(size)), likeness=likeness, toward=lamp), ""
    wide, high = float(cut.box[2] - cut.box[0]), float(cut.box[3] - cut.box[1])
    cx, cy = _crowd.find_place(canvas, setting.layout._replace(kind="spread"), rng, (high, wide))
    left = round(cx - float(cut.box[0] + cut.box[2]) / 2)
    top = round(cy - float(cut.box[1] + cut.box[3]) / 2)
    gain = np.float32(setting.gain if kind not in ("back", "scrambled") else 1.0)
    canvas.put(left, top, cut.color * gain, cut.cover, -1)
    shift = np.array((left, top), np.float32)
    return kind, (cut.box + np.tile(shift, 2)).astype(np.float32), (cut.points5 + shift).astype(np.float32), text


def background(rng: Rng, choice: Sequence[str] | Callable[..., U8] | None, setting: Setting) -> F32:
    """(H, W, 3) linear light: one of the names, or what the caller's function gives."""
    size_hw = setting.layout.size_hw
    if callable(choice):
        given = np.asarray(choice(rng, size_hw))
        if given.dtype != np.uint8 or given.shape != (*size_hw, 3):
            raise InputError(f"backgrounds: expected uint8 of shape {(*size_hw, 3)}, got {given.dtype} {given.shape}")
        return _cutout.linear(given)
    name, seed = str(rng.choice(list(choice or BACKGROUNDS))), int(rng.integers(1 << 31))
    if name in _finish.BACKGROUNDS:
        return _cutout.behind(name, seed, size_hw, setting.gain)
    own = np.random.default_rng(seed)
    make = {"texture": _texture, "hall": _hall, "operating room": _theater}[name]
    made: F32 = make(own, size_hw) * np.float32(setting.gain)
    return made


def _texture(rng: Rng, size_hw: tuple[int, int]) -> F32:
    side = max(size_hw)
    made: F32 = _things.textured(rng, side)[: size_hw[0], : size_hw[1]] * np.float32(0.8)
    return made


def _hall(rng: Rng, size_hw: tuple[int, int]) -> F32:
    """A room: wall with windows, floor in perspective, lamps."""
    height, width = size_hw
    y, x = np.mgrid[:height, :width].astype(np.float32)
    y, x = (y + 0.5) / height, (x + 0.5) / width - 0.5
    line = rng.uniform(0.42, 0.6)
    wall, floor = rng.uniform(0.35, 0.85) * (1 + rng.uniform(-0.12, 0.12, (2, 3))) * np.array([[1.0], [0.65]])
    depth = np.maximum(y - line, 1e-3)
    tiles = (np.floor(0.25 / depth + 40) + np.floor(x / depth * 1.2 + 40)) % 2
    ground = floor * (0.86 + 0.14 * tiles * np.clip(depth * 6, 0, 1))[..., None]
    out = np.where((y < line)[..., None], wall * (1.05 - 0.35 * y / line)[..., None], ground)
    count = int(rng.integers(3, 7))
    inside = (np.abs((x + 0.5) * count % 1 - 0.5) < 0.33) & (y > 0.08) & (y < line - 0.14)
    out = np.where(inside[..., None], np.array((0.75, 0.85, 0.95)) * (0.7 + 0.3 * y)[..., None], out)
    soft = np.asarray(cv2.GaussianBlur(out.astype(np.float32), (0, 0), 0.004 * width + 0.3), np.float32)
    made: F32 = np.clip(soft, 0, 1) ** 2
    return made


def _theater(rng: Rng, size_hw: tuple[int, int]) -> F32:
    """An operating room from above: floor tiles, a draped table, trays, the lamp's pool of light."""
    height, width = size_hw
    y, x = np.mgrid[:height, :width].astype(np.float32)
    u, v = (x - width / 2) / height, (y - height / 2) / height
    turn = rng.uniform(-0.5, 0.5)
    a, b = u * np.cos(turn) + v * np.sin(turn), -u * np.sin(turn) + v * np.cos(turn)
    grid = np.minimum(np.abs(a * 7 % 1 - 0.5), np.abs(b * 7 % 1 - 0.5))
    out = np.ones((height, width, 3)) * np.array((0.50, 0.55, 0.54)) * np.where(grid < 0.03, 0.88, 1)[..., None]
    folds = 0.9 + 0.1 * np.sin(9 * a + 4 * np.sin(6 * b))
    table = (np.abs(a) < 0.62) & (np.abs(b) < 0.2)
    out = np.where(table[..., None], np.array((0.16, 0.40, 0.42)) * folds[..., None], out)
    field = np.hypot(a / 0.16, b / 0.09) < 1
    out = np.where(field[..., None], np.array((0.42, 0.22, 0.16)), out)
    for _ in range(int(rng.integers(1, 4))):
        cx, cy = rng.uniform(-0.7, 0.7), float(rng.choice((-1, 1))) * rng.uniform(0.32, 0.48)
        tray = (np.abs(a - cx) < 0.13) & (np.abs(b - cy) < 0.08)
        glint = 0.72 + 0.2 * (np.sin(60 * (a - cx)) > 0.4)
        out = np.where(tray[..., None], glint[..., None] * np.array((0.95, 1, 1)), out)
    pool = 0.55 + 0.75 * np.exp(-((a / 0.45) ** 2) - (b / 0.33) ** 2)
    soft = np.asarray(
        cv2.GaussianBlur((out * pool[..., None]).astype(np.float32), (0, 0), 0.003 * width + 0.3), np.float32
    )
    made: F32 = np.clip(soft, 0, 1) ** 2
    return made

"""Presentation attacks on simulated faces: prints, screens, paper masks, cut-outs and eye strips before three cameras.

    sample = render(person, factors, size=128)
    shot = present(sample, "replay", "webcam", np.random.default_rng(0))
    shot.image, shot.attack, shot.points68, shot.drawn

A live face goes through the same camera as an attack, so that no step of a camera gives an attack away. Simulated data
shows a mechanism, not accuracy in the field: nobody has printed these pictures. A label of 1 means an attack.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError, UnknownMethod
from vultus.ops import degrade as d
from vultus.sim import _finish
from vultus.sim._capture import DEVICES, FINE, capture, to_light
from vultus.sim._instruments import framed, glare, printed, shown
from vultus.sim.faces import FaceSample
from vultus.types import F32, U8, checked

__all__ = ["DEVICES", "SPECIES", "Presentation", "present"]

F64 = NDArray[np.float64]

SPECIES = ("bona_fide", "print", "replay", "paper_mask", "cutout", "eye_mask")
"""What stands before the camera. print: a sheet of paper; replay: a screen; paper_mask: a printed face over a live one;
cutout: a print cut along the head, with holes through which live eyes look; eye_mask: a printed strip over the eyes of
a live face, a partial attack."""

_FOUND = d.Degradation([(d.ResizeShare((0.6, 1.0), "area", "bicubic"), 0.5), (d.Jpeg((70, 95)), 1.0)])
_BEHIND = ("plain white", "plain gray", "plain beige", "plain blue", "office", "city")
_DOTS_PX, _STRIPES_PX = (0.8, 2.2), (1.2, 3.0)  # from one to the next, in pixels of the sensor
_MIN_SIDE, _MAX_SIDE = 32, 512


@dataclass(frozen=True, eq=False)
class Presentation:
    """A captured picture and what is true about it.

    Attributes:
        image: (S, S, 3) uint8, what the camera wrote.
        species: one of `SPECIES`.
        device: one of `DEVICES`.
        attack: (S, S) how much of each pixel shows paper or screen, borders included, 0 to 1.
        points68: (68, 2) points of the face that is presented, center coordinates, or None when none were given.
        drawn: numbers of the attack, such as the distance between dots in pixels of the picture.
    """

    image: U8
    species: str
    device: str
    attack: F32
    points68: F32 | None
    drawn: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def is_attack(self) -> bool:
        """Whether it is one."""
        return self.species != "bona_fide"


@dataclass(frozen=True, eq=False)
class _Face:
    """What is presented, with what an attacker needs of it to cut paper."""

    image: U8
    points: F64 | None
    outline: F32 | None  # (S, S) the whole head, where it is known better than from the points

    def needed(self, species: str) -> F64:
        if self.points is None:
            raise InputError(f"points68: expected the 68 points of the face for {species!r}, got none")
        return self.points


_Light = tuple[F32, F32, F64, dict[str, float]]  # scene, cover, where the face went, what was drawn


def present(
    image: U8 | FaceSample,
    species: str,
    device: str,
    rng: np.random.Generator,
    *,
    points68: ArrayLike | None = None,
    wearer: FaceSample | None = None,
) -> Presentation:
    """Hold a face, or a picture of one, before a camera.

    Args:
        image: the face: a sample of `vultus.sim.faces`, or (S, S, 3) uint8; square, 32 to 512 pixels.
        species: one of `SPECIES`.
        device: one of `DEVICES`.
        rng: everything that differs from one presentation to the next.
        points68: (68, 2) of an array, center coordinates; the three species that cut paper need them.
        wearer: who wears a paper mask or eye strip or looks through a cut-out; None is the presented person.

    Returns:
        The picture and its truth, of the size of `image`.

    Raises:
        UnknownMethod: if species or device is unknown; the message names near ones.
        InputError: if the picture or the points are not what they should be.
    """
    if species not in SPECIES:
        raise UnknownMethod(species, SPECIES, what="species")
    if device not in DEVICES:
        raise UnknownMethod(device, DEVICES, what="device")
    face = _face(image, points68)
    live = face if wearer is None else _face(wearer, None)
    if live.image.shape != face.image.shape:
        raise InputError(f"wearer: expected a picture of the size {face.image.shape}, got {live.image.shape}")
    camera = np.random.default_rng(int(rng.integers(2**63)))  # drawn first: one seed is one state of the camera
    scene, cover, move, drawn = _MAKERS[species](face, live, rng)
    side = face.image.shape[0]
    attack = np.asarray(cv2.resize(cover, (side, side), interpolation=cv2.INTER_AREA), np.float32)
    shown_face = live if species in ("paper_mask", "eye_mask") else face
    points = None if shown_face.points is None else _carried(move, shown_face.points)
    picture = capture(scene, DEVICES[device], camera)
    return Presentation(picture, species, device, np.clip(attack, 0, 1), points, MappingProxyType(drawn))


def _face(image: object, points68: ArrayLike | None) -> _Face:
    if isinstance(image, FaceSample):
        outline = (image.parsing != 0).astype(np.float32)
        pixels, points = image.image, image.points68.astype(np.float64)
    else:
        pixels, outline = image, None  # type: ignore[assignment]
        points = None if points68 is None else checked("points68", points68, (68, 2), np.float64)  # type: ignore[assignment]
    good = isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3
    if not good or pixels.shape[0] != pixels.shape[1] or not _MIN_SIDE <= pixels.shape[0] <= _MAX_SIDE:
        what = f"{pixels.dtype} {pixels.shape}" if isinstance(pixels, np.ndarray) else type(image).__name__
        raise InputError(
            f"image: expected a FaceSample or uint8 of shape (S, S, 3), S from {_MIN_SIDE} to {_MAX_SIDE}, got {what}"
        )
    return _Face(pixels, points, outline)


# ---------------------------------------------------------------- what stands before the camera
def _bona_fide(face: _Face, live: _Face, rng: np.random.Generator) -> _Light:
    scene, move = _live(face.image, rng)
    return scene, np.zeros(scene.shape[:2], np.float32), move, {}


def _print(face: _Face, live: _Face, rng: np.random.Generator) -> _Light:
    side, pitch = face.image.shape[0], float(rng.uniform(*_DOTS_PX))
    sheet = printed(_found(face.image, rng), side * FINE, pitch * FINE, rng)
    scene, cover, move, drawn = _held(framed(sheet, 0.07, (0.90, 0.90, 0.87)), side, 0.07, rng)
    return scene * _shade(scene.shape[0], 0.25, rng), cover, move, {"pitch_px": pitch * drawn["scale"], **drawn}


def _replay(face: _Face, live: _Face, rng: np.random.Generator) -> _Light:
    side, pitch = face.image.shape[0], float(rng.uniform(*_STRIPES_PX))
    screen = framed(shown(_found(face.image, rng), side * FINE, pitch * FINE, rng), 0.05, (0.012, 0.012, 0.013))
    scene, cover, move, drawn = _held(screen, side, 0.05, rng)
    mirrored = glare(scene.shape[0], rng) if rng.random() < 0.7 else np.zeros(cover.shape, np.float32)
    scene = scene + (cover * mirrored)[..., None]
    drawn = {"pitch_px": pitch * drawn["scale"], "glare": float((cover * mirrored).max()), **drawn}
    return scene, cover, move, drawn


def _paper_mask(face: _Face, live: _Face, rng: np.random.Generator) -> _Light:
    """The printed face, cut out, bent over the live head like half a tube."""
    target, source = live.needed("paper_mask"), face.needed("paper_mask")
    side = face.image.shape[0]
    scene, move = _live(live.image, rng)
    bent = _bent(face.image, source, target)
    pitch = float(rng.uniform(*_DOTS_PX))
    sheet = _warped(printed(_found(bent, rng), side * FINE, pitch * FINE, rng), move)
    edge = _grown(np.concatenate([target[:17], _brow_line(target)]), 1.06)
    cover = _polygon(edge, move, side)
    for eye in (target[36:42], target[42:48]) if rng.random() < 0.5 else ():
        cover = cover * (1 - _polygon(_grown(eye, 1.9, rounder=True), move, side))
    x = np.arange(side * FINE, dtype=np.float32)
    middle, half = (float(v) * FINE for v in (target[:17, 0].mean(), np.ptp(target[:17, 0]) / 2))
    tube = np.sqrt(np.clip(1 - 0.6 * ((x - middle) / max(half, 1.0)) ** 2, 0.15, 1))
    return *_laid(scene, sheet * tube[None, :, None], cover), move, {"pitch_px": pitch}


def _cutout(face: _Face, live: _Face, rng: np.random.Generator) -> _Light:
    """The whole head, cut out of a print; live eyes look through two holes."""
    points, side = face.needed("cutout"), face.image.shape[0]
    scene, move = _live(_bent(live.image, live.needed("cutout"), points), rng)  # eyes come to lie behind the holes
    behind = _finish.background(str(rng.choice(_BEHIND)), int(rng.integers(2**31)), side * FINE)
    pitch = float(rng.uniform(*_DOTS_PX))
    sheet = _warped(printed(_found(face.image, rng), side * FINE, pitch * FINE, rng), move)
    head = _grown(np.concatenate([points[:17], _brow_line(points, 0.75)]), 1.12, rounder=True)
    whole = _polygon(head, move, side)
    if face.outline is not None:
        fine = cv2.resize(face.outline, (side * FINE, side * FINE), interpolation=cv2.INTER_LINEAR)
        fine = cv2.GaussianBlur(fine, (0, 0), 0.012 * side * FINE)  # nobody cuts along every hair
        whole = _warped(np.clip(np.asarray(fine, np.float32) * 4 - 1.2, 0, 1)[..., None], move)[..., 0]
    holes = np.zeros_like(whole)
    for eye in (points[36:42], points[42:48]):
        holes = np.maximum(holes, _polygon(_grown(eye, 1.35, rounder=True), move, side))
    scene = behind + holes[..., None] * (scene - behind)
    return *_laid(scene, sheet * _shade(side * FINE, 0.2, rng), whole * (1 - holes)), move, {"pitch_px": pitch}


def _eye_mask(face: _Face, live: _Face, rng: np.random.Generator) -> _Light:
    """A printed strip from brow to cheek over the eyes of a live face."""
    target, source = live.needed("eye_mask"), face.needed("eye_mask")
    side = face.image.shape[0]
    scene, move = _live(live.image, rng)
    pitch = float(rng.uniform(*_DOTS_PX))
    sheet = _warped(printed(_found(_bent(face.image, source, target), rng), side * FINE, pitch * FINE, rng), move)
    eyes = target[[36, 39, 42, 45]]
    right = eyes[3] - eyes[0]
    down = np.array([-right[1], right[0]])
    strip = [eyes[0] - 0.22 * right - 0.30 * down, eyes[3] + 0.22 * right - 0.30 * down]
    strip += [eyes[3] + 0.22 * right + 0.22 * down, target[29] + 0.05 * down, eyes[0] - 0.22 * right + 0.22 * down]
    cover = _polygon(np.array(strip), move, side)
    return *_laid(scene, sheet * _shade(side * FINE, 0.15, rng), cover), move, {"pitch_px": pitch}


_MAKERS: Mapping[str, Callable[[_Face, _Face, np.random.Generator], _Light]] = MappingProxyType(
    {
        "bona_fide": _bona_fide,
        "print": _print,
        "replay": _replay,
        "paper_mask": _paper_mask,
        "cutout": _cutout,
        "eye_mask": _eye_mask,
    }
)


# ---------------------------------------------------------------- parts of a scene
def _live(image: U8, rng: np.random.Generator) -> tuple[F32, F64]:
    """The face itself in linear light, framed a little otherwise each time, and where its points go."""
    side = image.shape[0]
    light = np.asarray(cv2.resize(to_light(image), (side * FINE,) * 2, interpolation=cv2.INTER_CUBIC), np.float32)
    grow = float(rng.uniform(1.0, 1.18))
    slack = (grow - 1) / 2 * side
    move = _placed(side, grow, rng.uniform(-slack, slack, 2), np.zeros((4, 2)))
    return _warped(np.clip(light, 0, 1), move) * _shade(side * FINE, 0.15, rng), move


def _held(sheet: F32, side: int, margin: float, rng: np.random.Generator) -> tuple[F32, F32, F64, dict[str, float]]:
    """A sheet held before the camera, not quite straight: scene, cover, where points of its picture go."""
    behind = _finish.background(str(rng.choice(_BEHIND)), int(rng.integers(2**31)), side * FINE)
    scale = float(rng.uniform(0.86, 1.22))
    shift = rng.uniform(-0.03, 0.03, 2) * side
    move = _placed(side, scale, shift, rng.uniform(-0.025, 0.025, (4, 2)) * side)
    wide = round(margin * side * FINE) / FINE
    whole = move @ np.array([[1.0, 0, -wide], [0, 1, -wide], [0, 0, 1]])  # the sheet begins before its picture does
    seen = _warped(sheet, whole, side * FINE)
    cover = _warped(np.ones((*sheet.shape[:2], 1), np.float32), whole, side * FINE)[..., 0]
    return *_laid(behind, seen, cover), move, {"scale": scale}


def _laid(scene: F32, sheet: F32, cover: F32) -> tuple[F32, F32]:
    """Paper in front of a scene, with the shadow it throws."""
    side = scene.shape[0]
    shadow = np.asarray(cv2.GaussianBlur(cover, (0, 0), 0.012 * side), np.float32)
    shadow = np.roll(shadow, (side // 90, side // 120), axis=(0, 1)) * (1 - cover)
    dim = scene * (1 - np.float32(0.45) * shadow[..., None])
    return np.asarray(dim + cover[..., None] * (sheet - dim), np.float32), cover


def _found(image: U8, rng: np.random.Generator) -> U8:
    """The picture as an attacker has it: from the web, compressed before."""
    return _FOUND.image(image, _FOUND.draw(rng, (image.shape[0], image.shape[1])))


def _shade(side: int, most: float, rng: np.random.Generator) -> F32:
    """(side, side, 1) light that falls off to one side."""
    angle, depth = rng.uniform(0, 2 * math.pi), rng.uniform(0, most)
    at = np.linspace(-1, 1, side, dtype=np.float32)
    slope = np.float32(math.cos(angle)) * at[None, :] + np.float32(math.sin(angle)) * at[:, None]
    return np.asarray(1 + depth * slope[..., None], np.float32)


def _placed(side: int, scale: float, shift: NDArray[Any], corners: NDArray[Any]) -> F64:
    """(3, 3) center coordinates: scaled about the middle, shifted, and each corner moved by a little more."""
    middle = (side - 1) / 2
    start = np.array([[-0.5, -0.5], [side - 0.5, -0.5], [side - 0.5, side - 0.5], [-0.5, side - 0.5]])
    end = (start - middle) * scale + middle + shift + corners
    matrix: F64 = np.asarray(cv2.getPerspectiveTransform(start.astype(np.float32), end.astype(np.float32)), np.float64)
    return matrix


def _fine(move: F64) -> F64:
    """The same move for pixels that are FINE times smaller."""
    half = (FINE - 1) / 2
    up = np.array([[FINE, 0, half], [0, FINE, half], [0, 0, 1.0]])
    fine: F64 = up @ move @ np.linalg.inv(up)
    return fine


def _warped(light: F32, move: F64, side: int | None = None) -> F32:
    wide = side or light.shape[1]
    out = cv2.warpPerspective(light, _fine(move), (wide, wide), flags=cv2.INTER_LINEAR)
    return np.asarray(out, np.float32).reshape(wide, wide, light.shape[2])


def _carried(move: F64, points: F64) -> F32:
    full = points @ move[:, :2].T + move[:, 2]
    return np.asarray(full[:, :2] / full[:, 2:], np.float32)


def _polygon(points: F64, move: F64, side: int) -> F32:
    """(FINE S, FINE S) 1 inside an outline of center coordinates before the move."""
    at = _carried(_fine(move), points * FINE + (FINE - 1) / 2)
    out = np.zeros((side * FINE, side * FINE), np.float32)
    cv2.fillPoly(out, [np.rint(at * 16).astype(np.int32)], 1.0, shift=4)
    return np.asarray(cv2.GaussianBlur(out, (0, 0), 0.8), np.float32)


def _grown(points: F64, factor: float, *, rounder: bool = False) -> F64:
    """An outline, larger about its middle; rounder takes the ellipse around it instead."""
    middle = (points.min(0) + points.max(0)) / 2
    if not rounder:
        grown: F64 = middle + (points - middle) * factor
        return grown
    half = np.maximum(np.ptp(points, axis=0) / 2, 0.35 * np.ptp(points, axis=0).max()) * factor
    angle = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    ellipse: F64 = middle + half * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return ellipse


def _brow_line(points: F64, up: float = 0.35) -> F64:
    """(10, 2) above the brows, right to left, so that it closes the jaw to an outline of the face."""
    rise = (points[27] - points[8]) * up
    line: F64 = (points[17:27] + rise)[::-1]
    return line


def _bent(image: U8, source: F64, target: F64) -> U8:
    """The picture moved so that the face lies on that of the wearer: a projective fit over all 68 points."""
    if np.array_equal(source, target):
        return image
    matrix, _ = cv2.findHomography(source, target, 0)
    return np.asarray(cv2.warpPerspective(image, matrix, image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE), np.uint8)

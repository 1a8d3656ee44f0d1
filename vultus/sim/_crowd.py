"""Where people stand in a scene, how large their faces are, and the rest of their bodies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError, UnknownMethod
from vultus.sim import _paint
from vultus.sim._cutout import Canvas, Cutout
from vultus.types import F32

__all__ = ["SIZE_LAWS", "Layout", "SizeLaw", "find_place", "standing", "wider_sizes"]

F64 = NDArray[np.float64]
Rng = np.random.Generator
SizeLaw = Callable[[Rng, int], NDArray[np.floating]]
HALF_BELOW = np.log(0.2) / np.log(0.5)  # makes the median 16 pixels on 8 to 256


def wider_sizes(rng: Rng, count: int, low: float = 8.0, high: float = 256.0) -> F64:
    """(count,) heights of faces as in crowds: log-uniform, skewed to the small; half lie in the lowest octave of five.

    On 8 to 256 pixels half of the faces are smaller than 16.
    """
    sizes: F64 = low * (high / low) ** (rng.random(count) ** HALF_BELOW)
    return sizes


def _log_uniform(rng: Rng, count: int, low: float, high: float) -> F64:
    sizes: F64 = low * (high / low) ** rng.random(count)
    return sizes


def _uniform(rng: Rng, count: int, low: float, high: float) -> F64:
    return rng.uniform(low, high, count)


SIZE_LAWS: dict[str, Callable[[Rng, int, float, float], F64]] = {
    "wider": wider_sizes,
    "log-uniform": _log_uniform,
    "uniform": _uniform,
}


def sizes_of(law: str | SizeLaw, rng: Rng, count: int, limits: tuple[float, float]) -> F64:
    """(count,) heights in pixels from a named law or a callable, largest first.

    Raises:
        UnknownMethod: if there is no such law.
        InputError: if a callable gives something else than `count` numbers within the limits.
    """
    if callable(law):
        sizes = np.asarray(law(rng, count), np.float64)
        if sizes.shape != (count,) or not np.isfinite(sizes).all() or (sizes < 4).any() or (sizes > 1024).any():
            raise InputError(f"size_law: expected {count} heights of 4 to 1024 pixels, got shape {sizes.shape}")
    elif law in SIZE_LAWS:
        sizes = SIZE_LAWS[law](rng, count, *limits)
    else:
        raise UnknownMethod(law, SIZE_LAWS, what="size law")
    return np.sort(sizes)[::-1]


class Layout(NamedTuple):
    """Where the middles of faces may lie.

    Attributes:
        kind: street (eyes near one line), stand (rows, the far ones above), spread (anywhere), row (side by side).
        line: height of the horizon, share of the picture.
        slope: how far below it nearer faces lie, in their own heights.
        size_hw: of the picture.
    """

    kind: str
    line: float
    slope: float
    size_hw: tuple[int, int]

    @classmethod
    def drawn(cls, rng: Rng, size_hw: tuple[int, int], kind: str | None = None) -> Layout:
        """A layout for a picture."""
        kind = kind or str(rng.choice(("street", "stand", "spread"), p=(0.45, 0.4, 0.15)))
        return cls(kind, float(rng.uniform(0.22, 0.42)), float(rng.uniform(0.0, 0.7)), size_hw)

    def candidates(self, rng: Rng, size: float, count: int = 32, *, cut: bool = False) -> F64:
        """(count, 2) middles for a face of a size; with `cut` some reach over the border."""
        height, width = self.size_hw
        edge = -0.2 * size if cut else 0.45 * size
        x = rng.uniform(min(edge, width / 2), max(width - edge, width / 2), count)
        if self.kind == "street":
            y = self.line * height + self.slope * size + rng.normal(0, 0.35 * size + 0.02 * height, count)
        elif self.kind == "stand":
            near = np.clip(np.log2(size / 8) / 5, 0, 1)
            y = height * (0.16 + 0.40 * near + rng.normal(0, 0.13, count))
        elif self.kind == "row":
            y = height * self.line + rng.normal(0, 0.05 * height, count)
        else:
            y = rng.uniform(0, height, count)
        low, high = min(0.62 * size, height / 2), max(height - 0.62 * size, height / 2)
        return np.stack([x, np.clip(y, low, high)], 1)


def find_place(
    canvas: Canvas, layout: Layout, rng: Rng, face_hw: tuple[float, float], *, cut: bool = False
) -> tuple[float, float]:
    """The middle of a face where about as much of it is hidden as chance wants: most faces free, some half hidden."""
    draw = rng.random()
    aim = 0.0 if draw < 0.76 else rng.uniform(0.02, 0.3) if draw < 0.92 else rng.uniform(0.3, 0.75)
    total = np.asarray(cv2.integral(canvas.open), np.float64)
    places = layout.candidates(rng, face_hw[0], cut=cut)
    gone = _covered(total, places, face_hw)
    best = int(np.argmin(np.abs(gone - aim)))
    if gone[best] > aim + 0.2:  # no room where people would stand: anywhere
        places = layout._replace(kind="spread").candidates(rng, face_hw[0], 64)
        gone = _covered(total, places, face_hw)
        best = int(np.argmin(np.abs(gone - aim)))
    return float(places[best, 0]), float(places[best, 1])


def _covered(total: F64, places: F64, face_hw: tuple[float, float]) -> F64:
    """(K,) share of a face at each place that something hides, from the running sum of what is open."""
    height, width = total.shape[0] - 1, total.shape[1] - 1
    half = np.array((face_hw[1], face_hw[0])) / 2
    low = np.clip(np.rint(places - half), 0, (width, height)).astype(int)
    high = np.clip(np.rint(places + half), 0, (width, height)).astype(int)
    (x0, y0), (x1, y1) = low.T, high.T
    free = total[y1, x1] - total[y0, x1] - total[y1, x0] + total[y0, x0]
    share: F64 = 1 - free / np.maximum((high - low).prod(1), 1)
    return share


TORSO_CM, LEGS_CM = 46.0, 84.0  # below what a portrait shows


def standing(cut: Cutout, rng: Rng, px_per_cm: float, rows: int, tone_ita_deg: float) -> Cutout:
    """A portrait with the rest of the body below it, at most `rows` rows of it.

    Args:
        cut: whose lowest row is the shirt.
        rng: trousers and stance.
        px_per_cm: scale of the cutout.
        rows: how many the picture has below the portrait.
        tone_ita_deg: skin tone of the hands.
    """
    wide = cut.cover.shape[1]
    torso, legs = round(TORSO_CM * px_per_cm), round(LEGS_CM * px_per_cm)
    count = min(torso + legs, rows)
    trousers = rng.uniform(0.02, 0.5) * (np.ones(3) + rng.uniform(-0.25, 0.25, 3))
    tone = _paint.skin_color(tone_ita_deg)
    apart = rng.uniform(6.5, 9.5)
    if count < 1:
        return cut
    solid = np.flatnonzero(cut.cover[-1] > 0.5)
    if not len(solid):
        return cut
    middle = (solid[0] + solid[-1]) / 2
    light = float(np.clip(cut.color[-1].mean() / 0.12, 0.5, 1.6))
    down = np.arange(count, dtype=np.float32)[:, None] / px_per_cm  # cm below the portrait
    x = np.arange(wide, dtype=np.float32)[None] - middle
    narrow = np.interp(down, (0, 12, 34, 46), (1.0, 1.0, 0.84, 0.86)).astype(np.float32)
    source = (x / narrow + middle).astype(np.float32)
    row = np.concatenate([cut.color[-1:], cut.cover[-1:, :, None]], -1)
    pulled = cv2.remap(row, source, np.zeros_like(source), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    folds = 0.05 * (1 - np.exp(-down / 8)) * np.cos(x / px_per_cm * 0.7 + down * 0.11)
    shade = (0.88 + 0.12 * np.exp(-down / 14) + folds)[..., None]
    in_torso = np.clip((TORSO_CM - down) * px_per_cm + 0.5, 0, 1)[..., None]
    out = np.asarray(pulled, np.float32) * in_torso
    out[..., :3] *= shade
    _limbs(out, (down, x / px_per_cm), (trousers * light, tone.astype(np.float64) * light, apart), px_per_cm)
    extended = [np.concatenate([a, b]) for a, b in ((cut.color, out[..., :3]), (cut.cover, out[..., 3]))]
    flat = np.zeros((count, wide), np.float32)
    return replace(
        cut,
        color=extended[0].astype(np.float32),
        cover=np.clip(extended[1], 0, 1).astype(np.float32),
        face=np.concatenate([cut.face, flat]),
        shown=np.concatenate([cut.shown, flat]),
    )


def _limbs(out: F32, place: tuple[F32, F32], paint: tuple[F64, F64, float], px_per_cm: float) -> None:
    """Legs under the shirt and hands beside it, into premultiplied (R, C, 4)."""
    first = int(max(TORSO_CM - 8, 0) * px_per_cm)  # nothing of them is seen above
    if first >= len(out):
        return
    out, (down, x) = out[first:], (place[0][first:], place[1])
    trousers, tone, apart = paint
    for side in (-1, 1):
        leg = np.clip((down - TORSO_CM) / LEGS_CM, 0, 1)
        half = np.interp(leg, (0, 0.5, 1), (8.6, 6.6, 5.2))
        at = side * (apart - 1.2 * (1 - leg) + 1.5 * leg)
        inside = np.clip((half - np.abs(x - at)) * px_per_cm + 0.5, 0, 1)
        inside = inside * (down >= TORSO_CM - 4) * np.clip((TORSO_CM + LEGS_CM - down) * px_per_cm, 0, 1)
        round_ = np.sqrt(np.clip(1 - ((x - at) / half) ** 2, 0.12, 1))
        shoe = (leg > 0.95)[..., None]
        color = np.where(shoe, np.array((0.02, 0.018, 0.016)), trousers * (0.55 + 0.5 * round_)[..., None])
        _under(out, color, inside)
        hand = np.clip((3.6 - np.hypot(x - side * 17.5, 0.75 * (down - TORSO_CM + 3))) * px_per_cm + 0.5, 0, 1)
        _under(out, np.broadcast_to(tone * 0.8, (*hand.shape, 3)), hand)


def _under(out: F32, color: NDArray[np.floating], cover: NDArray[np.floating]) -> None:
    gap = (1 - out[..., 3]) * cover
    out[..., :3] += (gap[..., None] * color).astype(np.float32)
    out[..., 3] += gap

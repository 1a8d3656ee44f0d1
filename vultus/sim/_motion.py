"""How a head moves: named movements with their words, smooth noise, and drivers who each move in their own way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError, UnknownMethod
from vultus.sim import _head, _shade, _world, faces
from vultus.sim._people import Factors
from vultus.sim.faces import AUS
from vultus.types import F32

__all__ = ["HEADS", "LAMPS", "MOODS", "Driver", "Motion", "acted", "ease", "wander"]

F64 = NDArray[np.float64]
Rng = np.random.Generator
_E = {name: k for k, name in enumerate(_head.EXPRESSIONS)}
POSE_LIMIT = (75.0, 40.0, 35.0)


@dataclass(frozen=True, eq=False)
class Motion:
    """What changes over T frames; a frame of it laid over the factors of a picture gives that frame's factors.

    Attributes:
        fps: frames a second.
        pose_deg: (T, 3) added to the pose.
        expression: (T, 14) in place of the expression.
        gaze_deg: (T, 2) in place of the gaze.
        light_sh: (T, 9, 3) in place of the light, or None to leave it.
        gain: (T,) factor on the exposure.
        words: what happens, such as "turns left while smiling".
        au: (T, 8) strengths of `faces.AUS` where a driver made the motion, else None.
        driver: whose motion it is: the driver's seed, or None.
    """

    fps: float
    pose_deg: F32
    expression: F32
    gaze_deg: F32
    light_sh: F32 | None
    gain: F32
    words: str
    au: F32 | None = None
    driver: int | None = None

    def __len__(self) -> int:
        return len(self.pose_deg)

    def over(self, factors: Factors) -> tuple[Factors, ...]:
        """The factors of each frame."""
        base, most = np.asarray(factors.pose_deg, np.float32), np.array(POSE_LIMIT, np.float32)
        return tuple(
            replace(
                factors,
                pose_deg=np.clip(base + self.pose_deg[k], -most, most),
                expression=self.expression[k],
                gaze_deg=self.gaze_deg[k],
                light_sh=factors.light_sh if self.light_sh is None else self.light_sh[k],
                light_gain=float(np.clip(factors.light_gain * float(self.gain[k]), 0.05, 8.0)),
            )
            for k in range(len(self))
        )


# ---------------------------------------------------------------- smooth paths
def ease(count: int, start: float, stop: float) -> F64:
    """(count,) from 0 to 1 with the least jerk, moving between two shares of the time."""
    t = np.clip((np.linspace(0, 1, count) - start) / max(stop - start, 1e-6), 0, 1)
    path: F64 = t**3 * (10 - 15 * t + 6 * t * t)
    return path


def wander(rng: Rng, count: int, fps: float, tau: float, sigma: float, width: int = 1) -> F64:
    """(count, width) smooth noise: an Ornstein-Uhlenbeck process through a lag of its own time, stationary.

    Args:
        rng: where it comes from.
        count: frames.
        fps: frames a second.
        tau: seconds over which it forgets.
        sigma: deviation.
        width: how many of them.
    """
    keep = float(np.exp(-1 / (fps * tau)))
    warm = int(np.ceil(8 * fps * tau))
    white = rng.standard_normal((count + warm, width)) * np.sqrt(1 - keep * keep)
    # deviation of one lag after another: sum over both of keep^k, squared, in closed form
    gain = sigma / np.sqrt((1 + keep * keep) / (1 + keep) ** 2)
    fast, slow, out = np.zeros(width), np.zeros(width), np.empty((count, width))
    for k in range(count + warm):
        fast = keep * fast + white[k]
        slow = keep * slow + (1 - keep) * fast
        if k >= warm:
            out[k - warm] = gain * slow
    return out


def blinks(rng: Rng, count: int, fps: float, per_minute: float) -> F64:
    """(count,) how far the lids are closed: blinks of 0.15 to 0.3 seconds at random times."""
    closed = np.zeros(count)
    time = np.arange(count) / fps
    at = float(rng.exponential(60 / per_minute))
    while at < count / fps:
        half = float(rng.uniform(0.075, 0.15))
        closed = np.maximum(
            closed, np.where(np.abs(time - at) < half, 0.5 + 0.5 * np.cos(np.pi * (time - at) / half), 0)
        )
        at += half * 2 + float(rng.exponential(60 / per_minute))
    return closed


# ---------------------------------------------------------------- movements with names
def _to(axis: int, angle: float) -> Callable[[Rng, int, float], F64]:
    def path(rng: Rng, count: int, fps: float) -> F64:
        out = np.zeros((count, 3))
        start = rng.uniform(0.05, 0.25)
        out[:, axis] = angle * rng.uniform(0.8, 1.2) * ease(count, start, start + rng.uniform(0.45, 0.7))
        return out

    return path


def _swing(axis: int, angle: float, hertz: float) -> Callable[[Rng, int, float], F64]:
    def path(rng: Rng, count: int, fps: float) -> F64:
        out = np.zeros((count, 3))
        seconds = np.arange(count) / fps
        swell = np.sin(np.pi * np.linspace(0, 1, count)) ** 0.5
        out[:, axis] = (
            angle * rng.uniform(0.8, 1.2) * swell * np.sin(2 * np.pi * hertz * rng.uniform(0.8, 1.2) * seconds)
        )
        return out

    return path


def _around(rng: Rng, count: int, fps: float) -> F64:
    return wander(rng, count, fps, 0.7, 1.0, 3) * (20.0, 8.0, 4.0)


def _still(rng: Rng, count: int, fps: float) -> F64:
    return np.zeros((count, 3))


HEADS: dict[str, Callable[[Rng, int, float], F64]] = {
    "turns left": _to(0, -38.0),
    "turns right": _to(0, 38.0),
    "looks up": _to(1, 20.0),
    "looks down": _to(1, -20.0),
    "tilts the head left": _to(2, -18.0),
    "tilts the head right": _to(2, 18.0),
    "nods": _swing(1, 10.0, 1.2),
    "shakes the head": _swing(0, 18.0, 1.2),
    "looks around": _around,
    "holds still": _still,
}
"""Movements of the head; left and right are the viewer's."""

MOODS = (
    "smiling",
    "laughing",
    "frowning",
    "looking sad",
    "looking surprised",
    "winking",
    "talking",
    "glancing left",
    "glancing right",
    "keeping a straight face",
)
_MOOD_OF = {
    "smiling": "smiling",
    "laughing": "laughing",
    "frowning": "angry",
    "looking sad": "sad",
    "looking surprised": "surprised",
}
LAMPS = ("none", "light moves from left to right", "light moves from right to left", "light fades", "light grows")


def acted(rng: Rng, count: int, fps: float, head: str, mood: str, lamp: str = "none") -> Motion:
    """A movement of the head, a mood and a change of light at once, with small unrest and blinks.

    Raises:
        UnknownMethod: if a name is unknown; the message names near ones.
        InputError: if there are no frames or the rate is not positive.
    """
    for value, known, what in ((head, HEADS, "movement"), (mood, MOODS, "mood"), (lamp, LAMPS, "change of light")):
        if value not in known:
            raise UnknownMethod(value, known, what=what)
    _checked(count, fps)
    pose = HEADS[head](rng, count, fps) + wander(rng, count, fps, 0.6, 0.8, 3)
    shape = np.abs(wander(rng, count, fps, 0.5, 0.03, 14))
    gaze = wander(rng, count, fps, 0.5, 2.5, 2)
    rise = ease(count, float(rng.uniform(0, 0.2)), float(rng.uniform(0.45, 0.7)))
    if mood in _MOOD_OF:
        shape += rise[:, None] * _world.expression(_MOOD_OF[mood], float(rng.uniform(0.85, 1.0)))
    elif mood == "talking":
        mouth = np.abs(wander(rng, count, fps, 0.09, 0.33, 3))
        for k, name in enumerate(("jaw open", "lips part", "pucker")):
            shape[:, _E[name]] += mouth[:, k] * (1.0, 0.8, 0.5)[k]
    elif mood.startswith("glancing"):
        gaze[:, 0] += (-1 if mood.endswith("left") else 1) * 16 * rise * (1 - ease(count, 0.75, 0.95))
    closed = blinks(rng, count, fps, 14.0)
    for name in ("blink left", "blink right"):
        shape[:, _E[name]] = closed
    if mood == "winking":
        at = np.exp(-(((np.arange(count) / fps - 0.55 * count / fps) / 0.16) ** 2))
        shape[:, _E["blink left"]] = np.maximum(closed, at)
        shape[:, _E["smile"]] += 0.4 * rise
    words = head if mood == "keeping a straight face" else f"{head} while {mood}"
    light, gain = _lamp_path(lamp, count)
    return Motion(
        fps,
        pose.astype(np.float32),
        np.clip(shape, 0, 1).astype(np.float32),
        np.clip(gaze, -20, 20).astype(np.float32),
        light,
        gain,
        words if lamp == "none" else f"{words} as the {lamp}",
    )


def _lamp_path(lamp: str, count: int) -> tuple[F32 | None, F32]:
    """Light (T, 9, 3) or None, and the exposure's factor (T,)."""
    share = ease(count, 0.1, 0.9)
    even = np.ones(count, np.float32)
    if lamp in ("light fades", "light grows"):
        path = 1 - 0.65 * (share if lamp == "light fades" else 1 - share)
        return None, path.astype(np.float32)
    if lamp == "none":
        return None, even
    mix = (share if lamp.endswith("to right") else 1 - share)[:, None, None]
    left, right = _shade.lamp("left"), _shade.lamp("right")
    return ((1 - mix) * left + mix * right).astype(np.float32), even


def _checked(count: int, fps: float) -> None:
    if not isinstance(count, int) or not 1 <= count <= 100_000:
        raise InputError(f"n_frames: expected 1 to 100000 frames, got {count!r}")
    if not 1 <= fps <= 240:
        raise InputError(f"fps: expected 1 to 240 frames a second, got {fps!r}")


# ---------------------------------------------------------------- drivers
N_SIGNALS = len(AUS) + 3


@cache
def _au_basis() -> F64:
    """(8, 14) strengths of the expression shapes for each action unit."""
    out = np.zeros((len(AUS), len(_E)))
    units: tuple[Mapping[str, float], ...] = faces._AU_OF
    for row, parts in zip(out, units, strict=True):
        for name, weight in parts.items():
            row[_E[name]] = weight
    return out


@dataclass(frozen=True)
class Driver:
    """Somebody's way to move a face, apart from how the face looks: it can drive any appearance.

    Eight action units and three angles of the head are a mixture of as many second-order processes; the mixture, their
    rhythms, the resting face, the blink rate and the reach of the sway are the driver's own, drawn from the seed.

    Attributes:
        seed: 0 or more; the driver's identity.
    """

    seed: int
    _drawn: dict[str, F64] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.seed, int) or self.seed < 0:
            raise InputError(f"seed: expected a whole number from 0, got {self.seed!r}")
        rng = np.random.default_rng((self.seed, 17))
        turn, _ = np.linalg.qr(rng.standard_normal((N_SIGNALS, N_SIGNALS)))
        strength = np.exp(rng.normal(0, 0.9, N_SIGNALS))
        mix = turn * (strength / np.sqrt((strength**2).mean()))
        # each signal has its own reach: rows scaled to it
        reach = np.concatenate([rng.uniform(0.10, 0.26, len(AUS)), rng.uniform((3, 2, 1.2), (9, 5, 4))])
        mix *= (reach / np.linalg.norm(mix, axis=1))[:, None]
        self._drawn.update(
            mix=mix,
            hertz=np.exp(rng.uniform(np.log(0.15), np.log(1.1), N_SIGNALS)),
            damping=rng.uniform(0.35, 0.95, N_SIGNALS),
            rest=np.concatenate([rng.uniform(0.02, 0.30, len(AUS)), rng.normal(0, (3, 2, 2))]),
            blink=rng.uniform(6, 32, 1),
        )

    @property
    def covariance(self) -> F64:
        """(11, 11) stationary covariance of the eight action units and yaw, pitch, roll (degrees), before clipping."""
        mix = self._drawn["mix"]
        result: F64 = mix @ mix.T
        return result

    @property
    def rest(self) -> F64:
        """(11,) their means."""
        return self._drawn["rest"].copy()

    @property
    def blinks_per_minute(self) -> float:
        """Of the driver."""
        return float(self._drawn["blink"][0])

    def signals(self, rng: Rng, n_frames: int, fps: float = 25.0) -> F64:
        """(T, 11) action units and angles before they are clipped, one performance; AR(2) in each hidden process."""
        _checked(n_frames, fps)
        omega, damping = 2 * np.pi * self._drawn["hertz"], self._drawn["damping"]
        radius = np.exp(-damping * omega / fps)
        angle = omega * np.sqrt(1 - damping**2) / fps
        a1, a2 = 2 * radius * np.cos(angle), -(radius**2)
        # innovations that give each process unit variance (Yule-Walker)
        spread = np.sqrt((1 + a2) * ((1 - a2) ** 2 - a1**2) / (1 - a2))
        warm = int(np.ceil(6 * fps / float((damping * omega).min())))
        white = rng.standard_normal((n_frames + warm, N_SIGNALS)) * spread
        hidden = np.zeros((n_frames + warm, N_SIGNALS))
        for k in range(2, len(hidden)):
            hidden[k] = a1 * hidden[k - 1] + a2 * hidden[k - 2] + white[k]
        result: F64 = hidden[warm:] @ self._drawn["mix"].T + self._drawn["rest"]
        return result

    def perform(self, rng: Rng, n_frames: int, fps: float = 25.0) -> Motion:
        """One performance: another state of `rng` gives another one of the same driver.

        Raises:
            InputError: if the number of frames or their rate is out of range.
        """
        signals = self.signals(rng, n_frames, fps)
        au = np.clip(signals[:, : len(AUS)], 0, 1)
        shape = np.zeros((n_frames, 14))
        shape += au @ _au_basis()
        closed = blinks(rng, n_frames, fps, self.blinks_per_minute)
        shape[:, _E["blink left"]], shape[:, _E["blink right"]] = closed, closed
        return Motion(
            fps,
            signals[:, len(AUS) :].astype(np.float32),
            np.clip(shape, 0, 1).astype(np.float32),
            np.clip(wander(rng, n_frames, fps, 0.4, 4.0, 2), -18, 18).astype(np.float32),
            None,
            np.ones(n_frames, np.float32),
            "talks to the camera",
            au.astype(np.float32),
            self.seed,
        )

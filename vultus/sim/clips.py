"""Moving pictures of simulated people: captions, tracks, true optical flow, drivers, planted defects, stories.

    sim = ClipSim(size=96)
    clip = sim.draw(np.random.default_rng(0), n_frames=50, people=2, cuts=1, low_quality=1)
    clip.caption, clip.boxes, clip.cuts, clip.low_quality
    flow, visible, exact = clip.flow(3)                      # from frame 3 to frame 4
    write_mp4("clip.mp4", clip.frames, fps=clip.fps)

    acted = sim.play(person, factors, motion(rng, 50, head="turns left", mood="smiling"))
    driven = sim.play(person, factors, Driver(7).perform(rng, 100))
    album = story(rng, n_characters=2, n_scenes=6)

The same state of `rng` gives the same bytes. Boxes are in edge coordinates, points in center coordinates, angles those
of `vultus.ops.pose`, left is the viewer's. Simulated data shows a mechanism, not accuracy in the field.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vultus.errors import InputError
from vultus.sim import _cutout, _defects, _flow, _motion, _world, faces
from vultus.sim._defects import DEFECTS, Defect
from vultus.sim._motion import HEADS, LAMPS, MOODS, Driver, Motion
from vultus.sim._mp4 import CODECS, count_frames, write_mp4
from vultus.sim._people import Factors, Person
from vultus.sim._stories import Album, Character, Page, story
from vultus.sim._world import World
from vultus.types import F32, U8

__all__ = [
    "CODECS",
    "DEFECTS",
    "HEADS",
    "LAMPS",
    "MOODS",
    "Album",
    "Character",
    "Clip",
    "ClipSim",
    "Defect",
    "Driver",
    "Flow",
    "Motion",
    "Page",
    "Role",
    "Shot",
    "count_frames",
    "motion",
    "story",
    "write_mp4",
]

Mask = NDArray[np.bool_]
MIN_SHOT = 6  # frames


class Flow(NamedTuple):
    """True flow from one frame to the next.

    Attributes:
        shift: (H, W, 2) float32 pixels to the right and down; 0 on the background.
        visible: (H, W) whether what the pixel sees is still seen in the next frame.
        exact: (H, W) whether the picture moves as the surface does: not where eyes and lips are drawn anew.
    """

    shift: F32
    visible: Mask
    exact: Mask


@dataclass(frozen=True, eq=False)
class Role:
    """One person in one shot.

    Attributes:
        person: index into the clip's people.
        factors: of each frame of the shot.
        left, top, side: the square on which the person is drawn, pixels of the frame.
        motion: what was performed.
    """

    person: int
    factors: tuple[Factors, ...]
    left: int
    top: int
    side: int
    motion: Motion


@dataclass(frozen=True, eq=False)
class Shot:
    """Frames `start` to `stop` (not included) without a cut; roles from front to back."""

    start: int
    stop: int
    roles: tuple[Role, ...]


@dataclass(frozen=True, eq=False)
class Clip:
    """Frames and all that is true about them; T frames, P people.

    Attributes:
        frames: (T, H, W, 3) uint8 RGB.
        fps: frames a second.
        caption: what happens, one sentence per shot.
        people: the P people, over all shots.
        shots: in order.
        boxes: (T, P, 4); NaN where a person is not in the frame.
        points68: (T, P, 68, 2); NaN likewise.
        pose_deg: (T, P, 3); NaN likewise.
        low_quality: segments with a defect; boxes, points and flow are those of the scene.
        lod: level of detail.
    """

    frames: U8
    fps: float
    caption: str
    people: tuple[Person, ...]
    shots: tuple[Shot, ...]
    boxes: F32
    points68: F32
    pose_deg: F32
    low_quality: tuple[Defect, ...]
    lod: int

    @property
    def cuts(self) -> tuple[int, ...]:
        """First frame of every shot but the first."""
        return tuple(shot.start for shot in self.shots[1:])

    @property
    def drivers(self) -> tuple[tuple[int, int, int | None], ...]:
        """(first frame, person, driver's seed or None) of each role."""
        return tuple((s.start, r.person, r.motion.driver) for s in self.shots for r in s.roles)

    def tracks(self) -> tuple[tuple[int, NDArray[np.int64], F32], ...]:
        """(person, frames (K,), boxes (K, 4)) of each person that is ever seen."""
        found = []
        for p in range(len(self.people)):
            at = np.flatnonzero(np.isfinite(self.boxes[:, p, 0]))
            if len(at):
                found.append((p, at, self.boxes[at, p]))
        return tuple(found)

    def flow(self, frame: int) -> Flow:
        """True flow from a frame to the next one, from the mesh, the pose and the camera of both.

        Raises:
            InputError: if there is no next frame or a cut lies between them.
        """
        shot = next((s for s in self.shots if s.start <= frame < s.stop), None)
        if shot is None or frame + 1 >= shot.stop:
            raise InputError(
                f"frame: expected one that a frame of the same shot follows, got {frame} of {len(self.frames)} "
                f"with cuts at {list(self.cuts)}"
            )
        return _flow_of(self, shot, frame - shot.start)


@dataclass(frozen=True)
class ClipSim:
    """Clips of a world.

    Attributes:
        world: how people and what they wear are drawn.
        size: height of the frames in pixels, even; one person is seen in a square, two in a frame 1.5 times as wide.
        lod: level of detail, as in `faces.render`.
        fps: frames a second.
    """

    world: World = field(default_factory=lambda: World(sex_typical=1.0, yaw_deg=20, frontal=0.7))
    size: int = 96
    lod: int = 1
    fps: float = 25.0

    def __post_init__(self) -> None:
        if not isinstance(self.size, int) or not 16 <= self.size <= 1024 or self.size % 4:
            raise InputError(f"size: expected a multiple of 4 from 16 to 1024 pixels, got {self.size!r}")
        if self.lod not in (0, 1, 2):
            raise InputError(f"lod: expected 0, 1 or 2, got {self.lod!r}")
        if not 1 <= self.fps <= 240:
            raise InputError(f"fps: expected 1 to 240 frames a second, got {self.fps!r}")

    def play(self, person: Person, factors: Factors, performance: Motion) -> Clip:
        """A person performs a motion: one shot, every frame as `faces.render` draws it.

        Raises:
            UnknownMethod, InputError: as `faces.render`.
        """
        faces.check(person, factors, self.size, self.lod)
        if not isinstance(performance, Motion):
            raise InputError(f"performance: expected a Motion, got {type(performance).__name__}")
        role = Role(0, performance.over(factors), 0, 0, self.size, performance)
        words = f"a {_who(person)} {performance.words}"
        return self._shown((person,), (Shot(0, len(performance), (role,)),), words, (self.size, self.size))

    def draw(
        self,
        rng: np.random.Generator,
        n_frames: int = 50,
        *,
        people: int = 1,
        cuts: int = 0,
        low_quality: int = 0,
        driver: Driver | None = None,
    ) -> Clip:
        """A clip at random, with planted cuts and defects.

        Args:
            rng: where everything comes from.
            n_frames: frames in all.
            people: 1 or 2 at a time; where there are cuts, one more person takes turns.
            cuts: how many; no shot is shorter than 6 frames.
            low_quality: how many segments get one of `DEFECTS`; they do not overlap.
            driver: who moves all of them; None for movements with names.

        Returns:
            A `Clip`.

        Raises:
            InputError: if a number is out of range or the clip is too short for what is to be planted.
        """
        _motion._checked(n_frames, self.fps)
        if driver is not None and not isinstance(driver, Driver):
            raise InputError(f"driver: expected a Driver or None, got {type(driver).__name__}")
        if people not in (1, 2):
            raise InputError(f"people: expected 1 or 2 at a time, got {people!r}")
        for name, value in (("cuts", cuts), ("low_quality", low_quality)):
            if not isinstance(value, int) or value < 0 or (value + 1) * MIN_SHOT > n_frames:
                raise InputError(
                    f"{name}: expected 0 to {max(n_frames // MIN_SHOT - 1, 0)} in {n_frames} frames, got {value!r}"
                )
        cast = [_world.sample_person(rng, self.world) for _ in range(people + bool(cuts))]
        edges = [0, *_apart(rng, n_frames, cuts), n_frames]
        shots, words = [], []
        for start, stop in pairwise(edges):
            shot, said = self._shot(rng, cast, (start, stop), people, driver)
            shots.append(shot)
            words.append(said)
        wide = self.size if people == 1 else self.size * 3 // 2
        clip = self._shown(tuple(cast), tuple(shots), "; ".join(words), (self.size, wide))
        plan = _defects.planned(rng, n_frames, low_quality)
        return replace(clip, frames=_defects.spoiled(clip.frames, plan), low_quality=plan) if plan else clip

    def _shot(
        self,
        rng: np.random.Generator,
        cast: Sequence[Person],
        span: tuple[int, int],
        people: int,
        driver: Driver | None,
    ) -> tuple[Shot, str]:
        """Who is in a shot, where, and what they do."""
        chosen = rng.choice(len(cast), people, replace=False)
        background, seed = str(rng.choice(_world.CHOICES["background"])), int(rng.integers(1 << 31))
        gain, lamp = float(np.exp(rng.normal(0, 0.1))), str(rng.choice(_world.CHOICES["light"]))
        count = span[1] - span[0]
        roles, words = [], []
        for k, index in enumerate(int(i) for i in chosen):
            person = cast[index]
            factors = _world.with_light(_world.sample_factors(rng, self.world, person), lamp)
            shared = replace(factors, light_gain=gain, background=background, background_seed=seed, style="photo")
            shared = replace(shared, occluder="mask" if shared.occluder == "mask" else "none")
            left = 0
            if people == 2:
                shared = replace(
                    shared, camera=(float(rng.uniform(80, 130)), 0.72, 0.0, float(rng.uniform(-0.12, -0.02)))
                )
                left = round(self.size * (-0.16 + 0.82 * k + rng.uniform(-0.03, 0.03)))
            performance = motion(rng, count, fps=self.fps) if driver is None else driver.perform(rng, count, self.fps)
            roles.append(Role(index, performance.over(shared), left, 0, self.size, performance))
            words.append(f"a {_who(person)} {performance.words}")
        return Shot(span[0], span[1], tuple(roles)), " and ".join(words)

    def _shown(
        self, people: tuple[Person, ...], shots: tuple[Shot, ...], caption: str, size_hw: tuple[int, int]
    ) -> Clip:
        """Draw all frames."""
        total = shots[-1].stop
        frames = np.empty((total, *size_hw, 3), np.uint8)
        boxes = np.full((total, len(people), 4), np.nan, np.float32)
        points = np.full((total, len(people), 68, 2), np.nan, np.float32)
        pose = np.full((total, len(people), 3), np.nan, np.float32)
        for shot in shots:
            for role in shot.roles:
                for factors in (role.factors[0], role.factors[-1]):
                    faces.check(people[role.person], factors, role.side, self.lod)
            for k in range(shot.stop - shot.start):
                for role, (box, all68) in zip(shot.roles, self._frame(people, shot, k, frames), strict=True):
                    shift, at = np.array((role.left, role.top), np.float32), (shot.start + k, role.person)
                    boxes[at], points[at] = box + np.tile(shift, 2), all68 + shift
                    pose[at] = role.factors[k].pose_deg
        return Clip(frames, self.fps, caption, people, shots, boxes, points, pose, (), self.lod)

    def _frame(self, people: tuple[Person, ...], shot: Shot, k: int, frames: U8) -> list[tuple[F32, F32]]:
        """Draw a frame into its place; box and points of each role in its own square."""
        if len(shot.roles) == 1 and (role := shot.roles[0]).side == frames.shape[2]:
            sample = faces.render(people[role.person], role.factors[k], role.side, self.lod)
            frames[shot.start + k] = sample.image
            return [(sample.box, sample.points68)]
        canvas, found = _cutout.Canvas(frames.shape[1:3]), []
        for order, role in enumerate(shot.roles):
            large = _cutout.cutout(people[role.person], role.factors[k], 2 * role.side, self.lod)
            cut = _cutout.shrunk(large, role.side, role.side)
            canvas.put(role.left, role.top, cut.color, cut.cover, order + 1)
            found.append((cut.box, cut.points))
        first = shot.roles[0].factors[k]
        behind = _cutout.behind(first.background, first.background_seed, frames.shape[1:3], first.light_gain)
        frames[shot.start + k] = _cutout.to_picture(canvas.finish(behind))
        return found


def motion(
    rng: np.random.Generator,
    n_frames: int,
    *,
    fps: float = 25.0,
    head: str | None = None,
    mood: str | None = None,
    lamp: str | None = None,
) -> Motion:
    """A movement of the head, a mood and a change of light; what is not named is drawn at random.

    Args:
        rng: where everything comes from.
        n_frames: how long.
        fps: frames a second.
        head: of `HEADS`.
        mood: of `MOODS`.
        lamp: of `LAMPS`; at random it is "none" four times out of five.

    Raises:
        UnknownMethod: if a name is unknown; the message names near ones.
        InputError: if there are no frames or the rate is out of range.
    """
    draw_head, draw_mood = str(rng.choice(list(HEADS))), str(rng.choice(MOODS))
    draw_lamp = str(rng.choice(LAMPS, p=(0.8, 0.05, 0.05, 0.05, 0.05)))
    return _motion.acted(rng, n_frames, fps, head or draw_head, mood or draw_mood, lamp or draw_lamp)


def _who(person: Person) -> str:
    return "man" if person.sex_axis > 0 else "woman"


def _apart(rng: np.random.Generator, n_frames: int, cuts: int) -> list[int]:
    """Frames of cuts, at least `MIN_SHOT` apart from each other and from both ends."""
    spare = n_frames - (cuts + 1) * MIN_SHOT
    extra = np.sort(rng.integers(0, spare + 1, cuts)) if cuts else np.zeros(0, np.int64)
    return [int(e) + MIN_SHOT * (k + 1) for k, e in enumerate(extra)]


def _flow_of(clip: Clip, shot: Shot, k: int) -> Flow:
    """Flow of all roles, each within what it owns; the background stands still."""
    height, width = clip.frames.shape[1:3]
    shift = np.zeros((height, width, 2), np.float32)
    exact, visible = np.ones((height, width), bool), np.ones((height, width), bool)
    owner = [np.zeros((height, width), np.int16) for _ in range(2)]
    for order, role in enumerate(shot.roles):
        there, here = _cutout.Canvas((height, width)).window(role.left, role.top, (role.side, role.side))
        person = clip.people[role.person]
        moved, open_, kept, masks = _flow.flow_between(
            person, role.factors[k], role.factors[k + 1], role.side, clip.lod
        )
        for held, mask in zip(owner, masks, strict=True):
            held[there][mask[here] & (held[there] == 0)] = order + 1
        mine = owner[0][there] == order + 1
        for out, part in ((shift, moved), (visible, open_), (exact, kept)):
            out[there][mine] = part[here][mine]
    rows, columns = np.mgrid[:height, :width]
    x, y = np.rint(columns + shift[..., 0]).astype(int), np.rint(rows + shift[..., 1]).astype(int)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    same = owner[1][np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)] == owner[0]
    return Flow(shift, visible & inside & same, exact)

"""True optical flow of a simulated head: what a pixel sees, and where that is one frame on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vultus.ops.pose import euler_to_R
from vultus.sim import _head, _points, _scene, faces
from vultus.sim._people import Factors, Person
from vultus.types import F32

__all__ = ["flow_between"]

Mask = NDArray[np.bool_]
BEARD_CM = 0.4
NEAR_CM = 0.6  # a point is hidden where something lies more than this before it
_L = {name: k for k, name in enumerate(faces.LABELS)}
# what may hide what: the head's own surface is one group, everything that is worn or grows is one each
_GROUP = np.ones(len(faces.LABELS), np.int64)
for _k, _name in enumerate(("background", "skin", "hair", "glasses", "hat", "cloth", "l_ear", "r_ear"), start=0):
    _GROUP[_L[_name]] = _k


def flow_between(
    person: Person, before: Factors, after: Factors, size: int, lod: int
) -> tuple[F32, Mask, Mask, tuple[Mask, Mask]]:
    """From one frame to the next.

    The head's surface moves as its mesh does, expression included; ears, hair, hat and glasses move with the turn of
    the head, the body with the shift of the neck.

    Returns:
        (S, S, 2) pixels to the right and down, 0 on the background; (S, S) whether what is seen is still seen; (S, S)
        whether the picture moves so, which is not known where eyes and lips are drawn anew or a mask stretches; and
        where the person is, in both frames.
    """
    first, second = (faces.render(person, f, size, lod) for f in (before, after))
    labels, uv, depth = first.parsing, first.uv, first.depth
    there = labels != 0
    places = np.zeros((size, size, 3))
    surface = there & (uv[..., 0] >= 0) & (_GROUP[labels] == 1)
    under = _points.on_mesh(_grid(person, before, lod), lod, uv[surface])
    surface[surface] = np.abs(under[:, 2] - depth[surface]) < BEARD_CM  # a beard has the label of the skin
    places[surface] = _points.on_mesh(_grid(person, after, lod), lod, uv[surface])
    rest = there & ~surface
    middle = np.where(np.isfinite(depth), depth, np.float32(before.camera[0]))
    rows, columns = np.nonzero(rest)
    rays = np.stack([columns - first.camera.cx, rows - first.camera.cy], 1) / first.camera.focal
    z = middle[rest][:, None]
    at = np.concatenate([rays * z, z], 1)
    body = (labels[rest] == _L["cloth"]) & (uv[rest][:, 0] < 0)
    places[rest] = np.where(body[:, None], at + _shift(after) - _shift(before), _turned(at, before, after))
    flow = np.zeros((size, size, 2), np.float32)
    rows, columns = np.nonzero(there)
    goal = second.camera.project(places[there])
    flow[there] = goal - np.stack([columns, rows], 1)
    visible = ~there & (second.parsing == 0)
    visible[there] = _seen(goal, places[there][:, 2], _GROUP[labels[there]], second)
    return flow, visible, ~_redrawn(labels, uv, before, after), (there, second.parsing != 0)


def _grid(person: Person, factors: Factors, lod: int) -> F32:
    """(R, C, 3) the head's grid of a level of detail, camera coordinates."""
    head = _scene.build(person, factors, lod).head
    rows, columns = _head.lod_grid(lod)
    return head if len(head) == len(rows) else head[np.ix_(rows, columns)]


def _shift(factors: Factors) -> NDArray[np.float64]:
    """(3,) from the head's axes to the camera's."""
    turn = euler_to_R(factors.pose_deg).astype(np.float32)
    return np.asarray(_scene._camera(factors, turn)[1], np.float64)


def _turned(at: NDArray[np.floating], before: Factors, after: Factors) -> NDArray[np.float64]:
    """Points that move with the head as one."""
    turns = [np.asarray(euler_to_R(f.pose_deg)) for f in (before, after)]
    pivots = [_scene.PIVOT + _shift(f) for f in (before, after)]
    moved: NDArray[np.float64] = (at - pivots[0]) @ turns[0] @ turns[1].T + pivots[1]
    return moved


def _seen(goal: NDArray[np.float64], z: NDArray[np.float64], group: NDArray[np.int64], later: faces.FaceSample) -> Mask:
    """Whether points are still seen: the same kind of thing is there, and it is not nearer."""
    size = later.size
    near = np.rint(goal).astype(int)
    inside = ((near >= 0) & (near < size)).all(1)
    x, y = np.clip(near, 0, size - 1).T
    met = later.depth[y, x]
    open_ = (z < met + NEAR_CM) | ~np.isfinite(met)
    return np.asarray(inside & open_ & (_GROUP[later.parsing[y, x]] == group))


def _redrawn(labels: NDArray[np.uint8], uv: F32, before: Factors, after: Factors) -> Mask:
    """Pixels whose look does not go with the mesh: eyes and lips are drawn on it anew in every frame."""
    out = np.zeros(labels.shape, bool)
    same = np.array_equal(before.expression, after.expression)
    if not same or not np.array_equal(before.gaze_deg, after.gaze_deg):
        out |= np.isin(labels, (_L["l_eye"], _L["r_eye"]))
    if not same:
        out |= np.isin(labels, (_L["mouth"], _L["u_lip"], _L["l_lip"]))
        out |= (labels == _L["cloth"]) & (uv[..., 0] >= 0)
    return out

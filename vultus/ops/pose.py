"""Head pose: Euler angles, the pinhole camera, and the pose of a known shape from its points in a picture.

Camera axes: x to the viewer's right, y down, z away from the camera. A neutral face looks along -z. Angles are
(yaw, pitch, roll) in degrees: yaw + turns the face to the viewer's right, pitch + turns it up, roll + turns it
clockwise as seen. R = R_yaw R_pitch R_roll, roll first.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vultus.errors import InputError
from vultus.types import F32, checked

__all__ = ["Camera", "R_to_euler", "euler_to_R", "pose_from_points"]

F64 = NDArray[np.float64]


class Camera(NamedTuple):
    """A pinhole camera at the origin that looks along +z.

    Attributes:
        focal: in pixels.
        cx: column of the optical axis, pixels in center coordinates.
        cy: row of the optical axis.
    """

    focal: float
    cx: float
    cy: float

    def project(self, points: ArrayLike) -> F64:
        """(..., 3) camera coordinates to (..., 2) pixels in center coordinates; z must be positive."""
        places = np.asarray(points, np.float64)
        flat: F64 = self.focal * places[..., :2] / places[..., 2:] + (self.cx, self.cy)
        return flat


def euler_to_R(pose_deg: ArrayLike) -> F64:
    """Rotation matrices of (yaw, pitch, roll).

    Args:
        pose_deg: (..., 3) degrees.

    Returns:
        (..., 3, 3); the face looks along R (0, 0, -1).

    Raises:
        InputError: if the last axis is not 3 or a number is not finite.
    """
    angles = np.asarray(pose_deg, np.float64)
    if angles.shape[-1:] != (3,) or not np.isfinite(angles).all():
        raise InputError(f"pose_deg: expected finite (..., 3) yaw, pitch and roll, got shape {angles.shape}")
    radians = np.radians(angles)
    c, s = np.cos(radians), np.sin(radians)
    cy, cp, cr, sy, sp, sr = c[..., 0], c[..., 1], c[..., 2], s[..., 0], s[..., 1], s[..., 2]
    turn = np.empty((*angles.shape[:-1], 3, 3))
    turn[..., 0, 0], turn[..., 0, 1], turn[..., 0, 2] = cy * cr + sy * sp * sr, -cy * sr + sy * sp * cr, -sy * cp
    turn[..., 1, 0], turn[..., 1, 1], turn[..., 1, 2] = cp * sr, cp * cr, sp
    turn[..., 2, 0], turn[..., 2, 1], turn[..., 2, 2] = sy * cr - cy * sp * sr, -sy * sr - cy * sp * cr, cy * cp
    return turn


def R_to_euler(R: ArrayLike) -> F64:
    """(yaw, pitch, roll) of rotation matrices, the inverse of `euler_to_R`.

    Args:
        R: (..., 3, 3) rotations.

    Returns:
        (..., 3) degrees; pitch in [-90, 90]. At a pitch of exactly 90 degrees only yaw and roll together are fixed, and
        roll is given as 0.

    Raises:
        InputError: if the shape is not (..., 3, 3) or a matrix is no rotation.
    """
    turn = np.asarray(R, np.float64)
    if turn.shape[-2:] != (3, 3):
        raise InputError(f"R: expected (..., 3, 3), got {turn.shape}")
    if not np.allclose(turn @ np.swapaxes(turn, -1, -2), np.eye(3), atol=1e-4) or (np.linalg.det(turn) < 0).any():
        raise InputError("R: expected rotations (orthonormal, determinant 1), got something else")
    pitch = np.arcsin(np.clip(turn[..., 1, 2], -1.0, 1.0))
    lost = np.hypot(turn[..., 1, 0], turn[..., 1, 1]) < 1e-9
    yaw = np.where(lost, np.arctan2(turn[..., 2, 0], turn[..., 0, 0]), np.arctan2(-turn[..., 0, 2], turn[..., 2, 2]))
    roll = np.where(lost, 0.0, np.arctan2(turn[..., 1, 0], turn[..., 1, 1]))
    result: NDArray[np.float64] = np.degrees(np.stack([yaw, pitch, roll], axis=-1))
    return result


def pose_from_points(points: ArrayLike, model: ArrayLike, camera: Camera, *, steps: int = 30) -> tuple[F32, F32]:
    """Pose of a rigid shape from where its points are seen: direct linear start, then Gauss-Newton on pixel error.

    Args:
        points: (K, 2) pixels in center coordinates, such as the 68 iBUG points; K at least 6.
        model: (K, 3) the same points on the shape in its own axes, any unit of length; not all in one plane.
        camera: that took the picture.
        steps: most Gauss-Newton steps.

    Returns:
        pose_deg (3,) and the shift t (3,) such that `R model + t` are camera coordinates.

    Raises:
        InputError: if shapes do not agree, a number is not finite, or the points do not fix a pose.
    """
    solid = checked("model", model, (None, 3), np.float64)
    seen = checked("points", points, (len(solid), 2), np.float64)
    if len(solid) < 6:
        raise InputError(f"points: expected at least 6, got {len(solid)}")
    center = solid.mean(0)
    scale = float(np.sqrt(((solid - center) ** 2).sum(1).mean()))
    if scale <= 0 or np.linalg.svd(solid - center, compute_uv=False)[2] < 1e-6 * scale:
        raise InputError("model: expected points that span three dimensions, got a flat or empty shape")
    body = (solid - center) / scale
    rays = (seen - (camera.cx, camera.cy)) / camera.focal
    turn, shift = _direct(body, rays)
    turn, shift = _refined(body, rays, turn, shift, steps)
    place = scale * shift - turn @ center
    return R_to_euler(turn).astype(np.float32), place.astype(np.float32)


def _direct(body: F64, rays: F64) -> tuple[F64, F64]:
    """DLT: the 3 x 4 matrix in the null space, its rotation made orthonormal."""
    count = len(body)
    homogeneous = np.concatenate([body, np.ones((count, 1))], axis=1)
    rows = np.zeros((2 * count, 12))
    rows[0::2, 0:4], rows[0::2, 8:12] = homogeneous, -rays[:, :1] * homogeneous
    rows[1::2, 4:8], rows[1::2, 8:12] = homogeneous, -rays[:, 1:] * homogeneous
    matrix = np.linalg.svd(rows)[2][-1].reshape(3, 4)
    if (homogeneous @ matrix[2]).mean() < 0:  # the shape is in front of the camera
        matrix = -matrix
    u, size, vt = np.linalg.svd(matrix[:, :3])
    turn = u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt
    if size.mean() <= 0:
        raise InputError("points: expected points that fix a pose, got points that lie on each other")
    return turn, matrix[:, 3] / size.mean()


def _refined(body: F64, rays: F64, turn: F64, shift: F64, steps: int) -> tuple[F64, F64]:
    """Gauss-Newton with damping on the six pose parameters."""
    damping, error = 1e-3, _residual(body @ turn.T + shift, rays)
    for _ in range(steps):
        placed = body @ turn.T + shift
        jacobian = _jacobian(placed - shift, placed)
        normal = jacobian.T @ jacobian
        step = np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-12), -jacobian.T @ error)
        new_turn, new_shift = _rotation(np.asarray(step[:3], np.float64)) @ turn, shift + step[3:]
        moved = body @ new_turn.T + new_shift
        if (moved[:, 2] <= 0).any() or (new_error := _residual(moved, rays)) @ new_error > error @ error:
            damping *= 10
            if damping > 1e6:
                break
            continue
        turn, shift, error, damping = new_turn, new_shift, new_error, max(damping / 10, 1e-9)
        if np.abs(step).max() < 1e-10:
            break
    return turn, shift


def _residual(placed: F64, rays: F64) -> F64:
    difference: F64 = (placed[:, :2] / placed[:, 2:] - rays).ravel()
    return difference


def _jacobian(arm: F64, placed: F64) -> F64:
    """d(residual) / d(rotation vector, shift): (2K, 6)."""
    count, (x, y, z) = len(placed), placed.T
    flat = np.zeros((count, 2, 3))
    flat[:, 0, 0] = flat[:, 1, 1] = 1 / z
    flat[:, 0, 2], flat[:, 1, 2] = -x / z**2, -y / z**2
    cross = np.zeros((count, 3, 3))  # d(w x arm)/dw = -[arm]x
    cross[:, 0, 1], cross[:, 0, 2], cross[:, 1, 2] = arm[:, 2], -arm[:, 1], arm[:, 0]
    cross -= cross.transpose(0, 2, 1).copy()
    return np.concatenate([flat @ cross, flat], axis=2).reshape(2 * count, 6)


def _rotation(vector: F64) -> F64:
    """Rodrigues."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-14:
        return np.eye(3)
    x, y, z = vector / angle
    skew = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turn: F64 = np.eye(3) + np.sin(angle) * skew + (1 - np.cos(angle)) * skew @ skew
    return turn
